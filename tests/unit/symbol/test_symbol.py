"""Symbols: outputs, names, attributes, arithmetic, composition, files."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mxconv as mx

S = mx.sym
A, B = S.Variable("a"), S.Variable("b")
PARTS = S.SliceChannel(A, num_outputs=3, name="sl")
CONV = S.Convolution(A, kernel=(3, 3), num_filter=2, name="c")


# ---- outputs


def test_indexing() -> None:
    assert len(PARTS) == 3
    assert [one.list_outputs() for one in PARTS] == [["sl_output0"], ["sl_output1"], ["sl_output2"]]
    assert PARTS[1].name == PARTS["sl_output1"].name == "sl"
    assert PARTS[np.int64(2)].list_outputs() == PARTS[2:].list_outputs() == ["sl_output2"]
    assert PARTS[0:3:2].list_outputs() == ["sl_output0", "sl_output2"]
    assert CONV.get_internals()["c_output"].tojson() == CONV.tojson()


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (3, IndexError, "output 3 of 3"),
        (-1, mx.ParamError, "only accept nonnegative index"),
        (slice(-2, None), mx.ParamError, "only accept nonnegative index"),
        ("sl", ValueError, 'Cannot find output that matches name "sl"'),
        (1.0, TypeError, "only support integer index"),
    ],
)
def test_indexing_refuses(index: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PARTS[index]


def test_ambiguous_output_names() -> None:
    with pytest.raises(ValueError, match='There are multiple outputs with name "a"'):
        S.Group([A, S.Variable("a")])["a"]


def test_groups() -> None:
    group = S.Group((A, CONV))
    assert (repr(A), repr(group)) == ("<Symbol a>", "<Symbol group [a, c]>")
    assert (group.name, group.attr("kernel")) == (None, None)
    assert group.list_outputs() == ["a", "c_output"]
    for wrong in ([], [A, 3], A):
        with pytest.raises(TypeError, match="Expected a list of symbols"):
            S.Group(wrong)


def test_children() -> None:
    children = (A + B).get_children()
    assert children is not None
    assert children.list_outputs() == ["a", "b"]
    assert A.get_children() is None


# ---- attributes


def test_variable_hints() -> None:
    init = mx.init.Normal(0.5)
    x = S.Variable(
        "x", {"mood": "good"}, (0, 3), 2, 0.5, "float16", init, "default", __k__=3
    )  # in this order by position
    assert x.list_attr() == {
        "mood": "good", "__shape__": "(0, 3)", "__lr_mult__": "2", "lr_mult": "2", "__wd_mult__": "0.5",
        "wd_mult": "0.5", "__dtype__": "2", "__init__": init.dumps(), "__storage_type__": "0", "__k__": "3"
    }  # fmt: skip
    assert S.Variable("x", dtype="bfloat16").attr("__dtype__") == "12"
    assert S.var is S.Variable


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"name": 3}, TypeError, "Expect a string"),
        ({"name": "x", "z": 3}, ValueError, "Attribute name=z is not supported"),
        ({"name": "x", "attr": {"k": 3}}, ValueError, "Set Attr only accepts string values"),
        ({"name": "x", "attr": {"w_lr_mult": "3"}}, mx.ParamError, "w_lr_mult is deprecated"),
        ({"name": "x", "dtype": "int16"}, mx.DTypeError, "dtype is int16, expected"),
    ],
)
def test_variables_refuse(keywords: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        S.Variable(**keywords)


def test_hidden_keys_are_found_in_both_spellings() -> None:
    x = S.Variable("x$y", lr_mult=2)
    assert x.attr("lr_mult") == x.attr("__lr_mult__") == "2"
    assert S.relu(x).attr_dict() == {"x$y": {"__lr_mult__": "2", "lr_mult": "2"}}  # MXNet stumbles over the $
    assert (x.attr("name"), x.attr("nothing")) == ("x$y", None)


def test_attributes_can_be_set() -> None:
    net = S.Convolution(A, kernel=(3, 3), num_filter=2)
    net._set_attr(num_filter="5", ctx_group="g")
    assert net.infer_shape(a=(1, 1, 3, 3))[1] == [(1, 5, 1, 1)]
    assert net.attr("__ctx_group__") == "g"
    with pytest.raises(ValueError, match="only accepts string values"):
        net._set_attr(k=3)
    with pytest.raises(mx.ParamError, match="only works for non-grouped symbol"):
        S.Group([A, B])._set_attr(k="v")
    with pytest.raises(DeprecationWarning, match="attr_dict"):
        net.list_attr(recursive=True)


# ---- arithmetic: what nodes are made is compared with MXNet's in tests/golden


def test_numbers_on_both_sides() -> None:
    for net in (A + 1, 1 + A, np.float32(1) + A, A + np.int64(1)):
        assert net.entries[0].node.op.name == "_plus_scalar"
    assert (np.float64(2) / A).attr("scalar") == "2.0"
    assert S.maximum(2, 3) == 3
    assert S.pow(2, 3) == S.power(2, 3) == 8


@pytest.mark.parametrize(
    "action",
    [lambda: A + None, lambda: A == "x", lambda: [1] - A, lambda: A * np.ones(3), lambda: S.maximum(A, "x")],
)
def test_other_operands_are_refused(action: Any) -> None:
    with pytest.raises(TypeError, match="not supported"):
        action()


def test_what_only_arrays_can_do() -> None:
    x = A
    with pytest.raises(mx.base.NotImplementedForSymbol, match=r'__iadd__ \(namely operator "\+="\)'):
        x += 1
    with pytest.raises(mx.base.NotImplementedForSymbol, match="__bool__"):
        bool(A)
    with pytest.raises(mx.MXNetError, match="asnumpy is not implemented for Symbol"):
        A.asnumpy()
    with pytest.raises(TypeError, match="unhashable"):
        hash(A)
    assert A in [A]


def test_operators_are_methods() -> None:
    assert A.reshape((0, -1)).attr("shape") == "(0, -1)"
    assert A.sum(axis=1).attr("axis") == "1"
    assert A.astype("float16").attr("dtype") == "float16"
    assert A.flatten(inplace=True).list_attr() == {}
    with pytest.raises(AttributeError, match="no operator of that name"):
        A.no_such_thing()
    assert not hasattr(A, "_plus_scalar")


# ---- composition and copies


def test_calling_replaces_variables_in_a_copy() -> None:
    net = S.FullyConnected(name="f", num_hidden=3)
    new = net(f_data=A + B, name="g")
    assert new.list_arguments() == ["a", "b", "f_weight", "f_bias"]
    assert (new.list_outputs(), net.list_arguments()[0]) == (["g_output"], "f_data")
    assert A(a=B, name="z").list_outputs() == ["b"]
    assert B.name == "b"  # what replaces is not renamed


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "text"),
    [
        ((A,), {}, mx.ParamError, "General composition only support kwargs for now"),
        ((A,), {"a": B}, TypeError, "not both"),
        ((), {"a": 3}, TypeError, "Compose expect `Symbol`"),
        ((), {"foo": A}, mx.ParamError, "Keyword argument name foo not found"),
        ((), {"a": PARTS}, mx.ParamError, "is a tuple, single value is required"),
    ],
)
def test_calls_that_are_refused(args: Any, kwargs: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        CONV(*args, **kwargs)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent(duplicate: Any) -> None:
    net = S.Group([S.BatchNorm(A, name="bn"), PARTS[1]])
    new = duplicate(net)
    assert new.tojson() == net.tojson()
    new.get_internals()["bn_gamma"]._set_attr(k="v")
    assert new.tojson() != net.tojson()


# ---- files


def test_save_and_load(tmp_path: Path) -> None:
    file = tmp_path / "net-symbol.json"
    CONV.save(str(file))
    assert file.read_text(encoding="utf-8") == CONV.tojson()
    assert S.load(file).tojson() == CONV.tojson()
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(mx.MXNetError, match="No such file or directory"):
        S.load(str(tmp_path / "none.json"))
    with pytest.raises(TypeError):
        S.load(3)
    with pytest.raises(TypeError, match="required to be a string"):
        S.load_json(b"{}")
    file.write_bytes(b"\xff")
    with pytest.raises(mx.FormatError, match="byte 0 is not UTF-8"):
        S.load(file)
