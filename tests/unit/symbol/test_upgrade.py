"""Graphs of older versions; more of them, with MXNet's answers, are in tests/golden."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mxconv as mx


def load(version: int | None, *nodes: dict[str, Any]) -> Any:
    """A chain of nodes; the first one is a variable."""
    variable: dict[str, Any] = {"op": "null", "name": "x", "inputs": []}
    graph: dict[str, Any] = {"nodes": [variable], "arg_nodes": [0], "heads": [[len(nodes), 0]]}
    for number, node in enumerate(nodes):
        graph["nodes"].append({"inputs": [[number, 0]], **node})
    if version is not None:
        graph["attrs"] = {"mxnet_version": ["int", version]}
    return mx.sym.load_json(json.dumps(graph))


CONV = {"op": "Convolution", "name": "c", "param": {"kernel": "(3,3)", "num_filter": "2"}}


def test_before_0_9_missing_inputs_are_made() -> None:
    net = load(None, CONV, {"op": "BatchNorm", "name": "bn", "param": {"eps": "0.001"}, "attr": {"ctx_group": "g"}})
    assert net.list_arguments() == ["x", "c_weight", "c_bias", "bn_gamma", "bn_beta"]
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    assert net.attr_dict()["bn_moving_var"] == {
        "eps": "0.001", "__ctx_group__": "g", "ctx_group": "g", "__init__": '["one", {}]'
    }  # fmt: skip
    assert net.infer_shape(x=(1, 3, 5, 5))[1] == [(1, 2, 3, 3)]


def test_from_0_9_on_they_are_not() -> None:
    assert load(900, CONV).list_arguments() == ["x"]


def test_hidden_keys_get_underscores() -> None:
    attributes = load(800, {**CONV, "attr": {"wd_mult": "7", "__lr_mult__": "5"}}).attr_dict()
    assert attributes["c"] == {
        "kernel": "(3,3)", "num_filter": "2", "__wd_mult__": "7", "wd_mult": "7", "__lr_mult__": "5", "lr_mult": "5"
    }  # fmt: skip
    assert attributes["c_bias"] == attributes["c"]


def test_hidden_keys_of_inputs_move_there() -> None:
    text = mx.sym.Convolution(mx.sym.Variable("x"), kernel=(3, 3), num_filter=2, name="c").tojson()
    old = text.replace("10901", "10000").replace('"num_filter": "2"\n      }, \n      "inputs": [[', "@")
    head, tail = old.split("@")
    net = mx.sym.load_json(head + '"num_filter": "2", "weight_lr_mult": "3"}, "inputs": [[' + tail)
    assert net.attr_dict()["c_weight"]["lr_mult"] == "3"
    assert "weight_lr_mult" not in net.attr_dict()["c"]


def test_other_hidden_keys_are_refused_by_the_operator() -> None:
    with pytest.raises(mx.FormatError, match=r"node 'c' .*Cannot find argument 'foo_lr_mult'"):
        load(10000, {**CONV, "attr": {"foo_lr_mult": "3"}, "inputs": [[0, 0]] * 3})


@pytest.mark.parametrize(("version", "shape"), [(904, (1,)), (905, (2,))])
def test_argmax_of_everything(version: int, shape: tuple[int, ...]) -> None:
    net = load(version, {"op": "argmax", "name": "a", "attr": {"axis": "-1"}})
    assert net.infer_shape(x=(2, 3))[1] == [shape]


def test_initializers_come_with_0_9_4() -> None:
    prelu = {"op": "LeakyReLU", "name": "p", "attr": {"act_type": "prelu"}, "inputs": [[0, 0], [0, 0]]}
    assert load(903, prelu).attr_dict()["x"] == {"__init__": '["Constant", {"value": 0.25}]'}
    assert "x" not in load(904, prelu).attr_dict()
