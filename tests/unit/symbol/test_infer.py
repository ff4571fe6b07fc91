"""Shapes and types through graphs, in both directions and both notations; what MXNet says is in tests/golden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx

S = mx.sym
X, Y = S.Variable("x"), S.Variable("y")
CONV = S.Convolution(X, kernel=(3, 3), num_filter=2, name="c")


def test_by_name_and_by_position() -> None:
    expected = ([(1, 4, 9, 9), (2, 4, 3, 3), (2,)], [(1, 2, 7, 7)], [])
    assert CONV.infer_shape(x=(1, 4, 9, 9)) == expected
    assert CONV.infer_shape((1, 4, 9, 9)) == CONV.infer_shape((1, 4, 9, 9), None, (2,)) == expected
    assert CONV.infer_type("float16")[1] == CONV.infer_type(x=np.float16)[1] == [np.float16]


def test_backwards_through_several_nodes() -> None:
    net = S.Convolution(
        S.relu(S.Convolution(X, kernel=(3, 3), pad=(1, 1), num_filter=2)) + Y, kernel=(1, 1), num_filter=3
    )
    arguments, _, _ = net.infer_shape_partial(x=(0, 3, 0, 8), y=(5, 2, 7, 0))
    assert arguments[0] == (5, 3, 7, 8)
    assert arguments[3] == (5, 2, 7, 8)
    assert (S.relu(X) + Y).infer_type(y="int32") == ([np.int32, np.int32], [np.int32], [])


def test_two_ends_meet() -> None:
    net = S.Group([S.Reshape(X, shape=(-1, 6)), X + Y])
    assert net.infer_shape(y=(2, 3, 2))[:2] == ([(2, 3, 2), (2, 3, 2)], [(2, 6), (2, 3, 2)])


def test_what_is_unknown_gives_none_and_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"Cannot decide shape .*0s in shape means unknown.*\n\tx: \(0, 4, 9, 9\)"):
        assert CONV.infer_shape(x=(0, 4, 9, 9)) == (None, None, None)
    with pytest.warns(UserWarning, match="Cannot decide type for the following arguments"):
        assert CONV.infer_type() == (None, None, None)
    many = S.add_n(*[S.Variable(f"v{i}") for i in range(12)])
    with pytest.warns(UserWarning, match=r"\tv9: \(\)\n\t\.\.\.$"):
        many.infer_shape()
    assert CONV.infer_shape_partial() == ([(), (), ()], [()], [])
    assert CONV.infer_type_partial(c_weight="float16") == ([None, np.float16, None], [None], [])


def test_minus_one_is_unknown() -> None:
    assert CONV.infer_shape_partial(x=(-1, 4, 9, 9))[1] == [(0, 2, 7, 7)]


def test_np_shape() -> None:
    with mx.util.np_shape(True):
        assert CONV.infer_shape(x=(0, 4, 9, 9))[1] == [(0, 2, 7, 7)]
        assert CONV.infer_shape_partial(x=(-1, 4, 9, 9))[1] == [(-1, 2, 7, 7)]
        assert CONV.infer_shape_partial() == ([None, None, None], [None], [])
        assert S.relu(S.Variable("s", shape=())).infer_shape()[1] == [()]
        with pytest.warns(UserWarning, match="-1s in shape"):
            CONV.infer_shape(x=(-1, 4, 9, 9))


def test_what_variables_say_of_themselves() -> None:
    net = S.Convolution(S.Variable("d", shape=(0, 4, 9, 9), dtype="float64"), kernel=(3, 3), num_filter=2)
    assert net.infer_shape_partial()[1] == [(0, 2, 7, 7)]
    assert net.infer_shape(d=(5, 0, 0, 0))[1] == [(5, 2, 7, 7)]
    assert net.infer_shape(d=(1, 3, 5, 5))[1] == [(1, 2, 3, 3)]
    assert net.infer_type()[1] == [np.float64]
    assert net.infer_type(d="float32")[1] == [np.float32]


def test_one_name_for_two_variables() -> None:
    assert (S.Variable("a") * S.Variable("a")).infer_shape(a=(2, 3))[0] == [(2, 3), (2, 3)]


def test_states_are_checked() -> None:
    net = S.BatchNorm(X, name="b")
    assert net.infer_shape(x=(2, 3, 4))[2] == [(3,), (3,)]
    with pytest.raises(mx.ShapeError):  # MXNet overlooks it
        net.infer_shape(x=(2, 3, 4), b_moving_mean=(5,))


@pytest.mark.parametrize(
    ("action", "error", "text"),
    [
        (lambda: CONV.infer_shape(x=[1, 4, 9, 9]), TypeError, r"need to be shapes \(tuple\), but 'x' is"),
        (lambda: CONV.infer_shape(dat=(1,)), mx.ParamError, "Keyword argument name dat not found.*x, c_weight"),
        (lambda: CONV.infer_shape((1,), x=(1,)), ValueError, "either by positional or kwargs"),
        (lambda: CONV.infer_shape(None, None, None, None), mx.ParamError, "4 of them, expected at most 3"),
        (lambda: CONV.infer_shape(x=(-2, 4, 9, 9)), mx.ShapeError, "must be >= -1"),
        (lambda: CONV.infer_type(x="uint16"), mx.DTypeError, "uint16"),
        (
            lambda: CONV.infer_type(x="float99"),
            mx.DTypeError,
            "x has dtype 'float99', expected one of float32, float64",
        ),
        (lambda: CONV.infer_type(x=3.5), mx.DTypeError, r"x has dtype 3.5, expected one of"),
        (lambda: CONV.infer_type(zz="float32"), mx.ParamError, "Keyword argument name zz not found"),
        (
            lambda: S.relu(CONV, name="r").infer_shape(x=(1, 4, 9, 9), c_weight=(2, 5, 3, 3)),
            mx.ShapeError,
            r"Convolution: Error in operator 'c' \(inputs x, c_weight, c_bias; used by r\): .*Shape inconsistent",
        ),
        (
            lambda: CONV.infer_type(x="float32", c_weight="float16"),
            mx.DTypeError,
            r"Error in operator 'c' .*requires uniform type",
        ),
        (lambda: (X + Y).infer_shape(x=(2, 3), y=(2, 4)), mx.ShapeError, r"Error in operator '_plus\d+' \(inputs x, y"),
        (lambda: S.Variable("v", __shape__="(2, x)").infer_shape(), mx.FormatError, "__shape__ is '\\(2, x\\)'"),
        (lambda: S.Variable("v", __dtype__="77").infer_type(), mx.FormatError, "__dtype__ is '77'"),
    ],
)
def test_refusals(action: Any, error: type[Exception], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(error, match=text):
        action()
    assert capsys.readouterr().out == ""  # MXNet prints the arguments


def test_a_node_short_of_inputs() -> None:
    text = S.Convolution(X, S.Variable("w"), no_bias=True, kernel=(3, 3), num_filter=2, name="c").tojson()
    net = S.load_json(text.replace("[[0, 0, 0], [1, 0, 0]]", "[[0, 0, 0]]"))
    assert net.list_arguments() == ["x"]
    with pytest.raises(mx.ParamError, match=r"'c' has 1 inputs, expected 2: data, weight"):
        net.infer_shape(x=(1, 1, 3, 3))
