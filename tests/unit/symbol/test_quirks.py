"""MXNet 1.9.1's bugs that concern graphs: what mxconv does instead, or keeps; numbered as in tests/test_quirks.py."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mxconv as mx

S = mx.sym
X = S.Variable("x")
CONV = S.Convolution(X, kernel=(3, 3), num_filter=2, name="c")


def test_quirk_5_target_shape_with_an_unknown_size() -> None:
    """MXNet reads memory that nobody wrote."""
    net = S.Deconvolution(X, kernel=(4, 4), stride=(2, 2), target_shape=(11, 12), num_filter=3)
    assert net.infer_shape_partial(x=(0, 2, 0, 6))[1] == [(0, 3, 11, 12)]


def test_quirk_14_inference_by_position() -> None:
    """MXNet fails always: basic_string null not valid."""
    assert CONV.infer_shape((1, 2, 5, 5))[1] == [(1, 2, 3, 3)]
    assert CONV.infer_type("float64")[1] == [np.float64]
    assert CONV.infer_type_partial(None, "float64")[0] == [None, np.float64, None]


def test_quirk_15_contradictions_are_seen() -> None:
    """MXNet accepts a state of any shape, and drops types that it does not know."""
    with pytest.raises(mx.ShapeError, match="Error in operator 'b'"):
        S.BatchNorm(X, name="b").infer_shape(x=(2, 2, 4), b_moving_mean=(3,))
    with pytest.raises(mx.DTypeError, match="uint16"):
        CONV.infer_type(x="uint16")


def test_quirk_20_reshape_checks_sizes() -> None:
    """MXNet makes an array of the wrong size, or aborts."""
    for shape in ((7,), (7, -1)):
        with pytest.raises(mx.ShapeError):
            S.Reshape(X, shape=shape).infer_shape(x=(120,))


def test_quirk_22_damaged_json_is_refused_and_odd_json_read() -> None:
    """MXNet crashes, loses inputs, or writes what is no JSON."""
    text = CONV.tojson()
    for damaged in (text[:300], text.replace('"heads": [[3, 0, 0]]', '"heads": [[3, 9, 0]]')):
        with pytest.raises(mx.FormatError):
            S.load_json(damaged)
    with pytest.raises(mx.FormatError, match="an edge comes from node 3, expected one of the 3 before"):
        S.load_json(text.replace("[[0, 0, 0], [1", "[[3, 0, 0], [1"))
    assert S.load_json(text.replace('"x"', '"\\u0078\\u00e9"')).list_arguments()[0] == "xé"
    assert json.loads(S.Variable("a\x01b").tojson())["nodes"][0]["name"] == "a\x01b"


def test_quirk_23_new_variables_inherit_all_attributes() -> None:
    """Kept, since files are to be the same; but names may contain $."""
    assert CONV.attr_dict()["c_weight"] == {"kernel": "(3, 3)", "num_filter": "2"}
    assert S.Convolution(X, kernel=(3, 3), num_filter=2, attr={"kernel": "(1, 1)"}).attr("kernel") == "(1, 1)"
    assert S.Variable("a$b", lr_mult=1).attr_dict() == {"a$b": {"__lr_mult__": "1", "lr_mult": "1"}}


def test_quirk_28_unknown_channels_in_groups_stay_unknown() -> None:
    """MXNet says that the groups do not divide them."""
    net = S.Deconvolution(X, kernel=(2, 2), num_filter=4, num_group=2, name="d")
    assert net.infer_shape_partial(x=(1, 0, 5, 5))[0] == [(1, 0, 5, 5), (0, 2, 2, 2)]
