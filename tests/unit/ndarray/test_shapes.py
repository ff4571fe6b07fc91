"""Shapes: reshape codes from MXNet's documentation and from MXNet 1.9.1's answers, and the other shape methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.ops.reshape_codes import resolve_shape


@pytest.mark.parametrize(
    ("shape", "codes", "result"),
    [
        # the documentation of Reshape
        ((2, 3, 4), (4, 0, 2), (4, 3, 2)),
        ((2, 3, 4), (2, 0, 0), (2, 3, 4)),
        ((2, 3, 4), (6, 1, -1), (6, 1, 4)),
        ((2, 3, 4), (3, -1, 8), (3, 1, 8)),
        ((2, 3, 4), (-1,), (24,)),
        ((2, 3, 4), (-2,), (2, 3, 4)),
        ((2, 3, 4), (2, -2), (2, 3, 4)),
        ((2, 3, 4), (-2, 1, 1), (2, 3, 4, 1, 1)),
        ((2, 3, 4), (-3, 4), (6, 4)),
        ((2, 3, 4, 5), (-3, -3), (6, 20)),
        ((2, 3, 4), (0, -3), (2, 12)),
        ((2, 3, 4), (-3, -2), (6, 4)),
        ((2, 3, 4), (-4, 1, 2, -2), (1, 2, 3, 4)),
        ((2, 3, 4), (2, -4, -1, 3, -2), (2, 1, 3, 4)),
        # further answers
        ((10, 5, 4), (-1, 0), (40, 5)),
        ((2, 3, 4), (0, -1), (2, 12)),
        ((2, 3, 4), (0, 0, 0, 1), (2, 3, 4, 1)),
        ((2, 3, 4), (-4, -1, 2, 0, 0), (1, 2, 3, 4)),
        ((2, 3, 4), (0, -4, -1, 1, -2), (2, 3, 1, 4)),
        ((2, 4, 6, 8), (0, 2, -1, 0), (2, 2, 12, 8)),  # as in the RetinaFace checkpoints
        ((2, 3, 4), (-4, 1, 2, -1), (1, 2, 12)),  # MXNet writes beyond an array here
        ((1,), (), ()),
        ((0, 3), (0, -1), (0, 3)),
        ((0, 3), (-1, 3), (0, 3)),
        ((2, 0, 3), (-1, 0, 3), (2, 0, 3)),
    ],
)
def test_reshape_codes(shape: tuple[int, ...], codes: tuple[int, ...], result: tuple[int, ...]) -> None:
    assert resolve_shape(shape, codes) == result
    assert nd.zeros(shape).reshape(codes).shape == result


@pytest.mark.parametrize(
    ("shape", "codes", "result"),
    [
        ((10, 5, 4), (-1, 0), (50, 4)),
        ((2, 3, 4), (-1, 0), (6, 4)),
        ((2, 3, 4), (0, -1), (3, 8)),
        ((2, 3, 4), (-1, 0, 0), (2, 3, 4)),
        ((2, 3, 4), (-3, 0), (6, 4)),
        ((2, 3, 4), (0, -3), (2, 12)),
        ((2, 3, 4), (-2, 4), (2, 3, 4)),
        ((2, 3, 4), (6, 4), (6, 4)),
        ((2, 3, 4), (-3, -4, 1, 4), (6, 1, 4)),
        ((2, 3, 4), (-2, -4, 2, -1), (2, 3, 2, 2)),
    ],
)
def test_reshape_codes_from_the_right(shape: tuple[int, ...], codes: tuple[int, ...], result: tuple[int, ...]) -> None:
    assert nd.zeros(shape).reshape(codes, reverse=True).shape == result


@pytest.mark.parametrize(
    ("codes", "why"),
    [
        ((7,), "24 elements do not fill"),
        ((7, -1), "24 elements do not fill"),  # MXNet gives (7, 17) or dies
        ((5, 5), "24 elements do not fill"),
        ((8, 0, 3), "24 elements do not fill"),
        ((), "24 elements do not fill"),
        ((-1, -1), "only one size"),
        ((-5,), "-5 is not a code"),
        ((0, 0, 0, 0), "more axes than there are"),
        ((-3, -3), "more axes than there are"),
        ((-4, 2, 2, -2), "does not split"),
        ((-4, -1, -1, -2), "does not split"),
        ((-4, 0, -1, -2), "does not split"),
        ((-4, 1), "followed by two sizes"),
    ],
)
def test_reshape_refuses(codes: tuple[int, ...], why: str) -> None:
    with pytest.raises(mx.ShapeError, match=rf"reshape: cannot reshape \(2, 3, 4\).*{why}.*Codes:") as caught:
        nd.zeros((2, 3, 4)).reshape(codes)
    assert isinstance(caught.value, ValueError)


def test_reshape_spellings() -> None:
    a = nd.arange(24).reshape(2, 3, 4)
    for made in (a.reshape(6, 4), a.reshape((6, 4)), a.reshape([6, 4]), a.reshape(shape=(6, 4)), a.reshape(-3, -2)):
        assert made.shape == (6, 4)
    assert a.reshape(6, 4, reverse=True).shape == (6, 4)
    assert a.reshape(24).shape == (24,)
    for bad in ({}, {"foo": 1}, {"shape": (24,), "foo": 1}):
        with pytest.raises(TypeError, match="reshape takes a shape"):
            a.reshape(**bad)
    for wrong in ("x", 2.0, (2.0, 12)):
        with pytest.raises(TypeError):
            a.reshape(wrong)


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("z.reshape_like(nd.zeros((6, 4)))", (6, 4)),
        ("z.flatten()", (2, 12)),
        ("nd.zeros(3).flatten()", (3, 1)),
        ("nd.zeros((0, 3)).flatten()", (0, 3)),
        ("z.expand_dims(0)", (1, 2, 3, 4)),
        ("z.expand_dims(axis=-1)", (2, 3, 4, 1)),
        ("z.expand_dims(-4)", (1, 2, 3, 4)),
        ("z.squeeze()", (2, 3, 4)),
        ("one.squeeze()", (3,)),
        ("one.squeeze(0)", (3, 1)),
        ("one.squeeze(axis=(0, 2))", (3,)),
        ("nd.zeros((1, 1)).squeeze()", (1,)),
        ("z.T", (4, 3, 2)),
        ("z.transpose()", (4, 3, 2)),
        ("z.transpose((0, 2, 1))", (2, 4, 3)),
        ("z.transpose(axes=(0, 2, 1))", (2, 4, 3)),
        ("z.transpose(0, -1, 1)", (2, 4, 3)),
        ("z.swapaxes(0, 2)", (4, 3, 2)),
        ("z.swapaxes(dim1=0, dim2=-1)", (4, 3, 2)),
        ("nd.zeros((1, 3)).broadcast_to((2, 3))", (2, 3)),
        ("nd.zeros((1, 3)).broadcast_to(shape=(4, 2, 3))", (4, 2, 3)),
        ("nd.zeros((1, 3)).broadcast_like(nd.zeros((2, 3)))", (2, 3)),
        ("nd.zeros((2, 3)).tile((2, 2))", (4, 6)),
        ("nd.zeros((2, 3)).tile(reps=(2, 1, 1))", (2, 2, 3)),
        ("nd.zeros((2, 3)).repeat(2)", (12,)),
        ("nd.zeros((2, 3)).repeat(repeats=2, axis=0)", (4, 3)),
        ("z.slice_axis(axis=1, begin=0, end=2)", (2, 2, 4)),
        ("z.slice_axis(axis=1, begin=1, end=None)", (2, 2, 4)),
        ("z.flip(axis=1)", (2, 3, 4)),
        ("z.slice((1, None), (None, 2))", (1, 2, 4)),
        ("z.slice_like(nd.zeros((1, 2)), axes=(0, 1))", (1, 2, 4)),
        ("z.split(3)[1]", (2, 1, 4)),
        ("z.split(1, axis=0)", (2, 3, 4)),
        ("z.take(nd.array([0, 1, 1]), axis=2)", (2, 3, 3)),
        ("z.pick(nd.zeros((2, 3)))", (2, 3)),
        ("z.one_hot(5)", (2, 3, 4, 5)),
        ("z.pad(mode='edge', pad_width=(0, 0, 0, 0, 1, 2))", (2, 3, 7)),
    ],
)
def test_shape_methods(expression: str, shape: tuple[int, ...]) -> None:
    assert eval(expression, {"nd": nd, "z": nd.zeros((2, 3, 4)), "one": nd.zeros((1, 3, 1))}).shape == shape


def test_shape_methods_move_the_values() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    z = nd.array(values)
    expected: dict[str, Any] = {
        "transpose": (z.transpose(2, 0, 1), values.transpose(2, 0, 1)),
        "swapaxes": (z.swapaxes(0, 1), values.swapaxes(0, 1)),
        "flip": (z.flip(2), values[..., ::-1]),
        "repeat": (z.repeat(2, axis=1), values.repeat(2, 1)),
        "tile": (z.tile((1, 2, 1)), np.tile(values, (1, 2, 1))),
        "slice_axis": (z.slice_axis(2, 1, -1), values[:, :, 1:-1]),
        "broadcast_to": (z[:, :1].broadcast_to((2, 5, 4)), np.broadcast_to(values[:, :1], (2, 5, 4))),
    }
    for name, (got, want) in expected.items():
        np.testing.assert_array_equal(got.asnumpy(), want, err_msg=name)
        assert got.asnumpy().flags.c_contiguous


@pytest.mark.parametrize(
    "expression",
    ["z.expand_dims(5)", "z.squeeze(0)", "z.squeeze(axis=5)", "z.transpose((0, 1))", "z.transpose((0, 0, 1))",
     "z.swapaxes(0, 3)", "z.broadcast_to((2, 3, 5))", "z.broadcast_to((3, 4))", "z.reshape_like(nd.zeros((6, 5)))",
     "z.transpose((0, 1, 5))", "z.flip(3)", "z.slice_axis(3, 0, 1)", "z.repeat(2, axis=3)", "nd.zeros(()).flatten()"],
)  # fmt: skip
def test_shape_methods_refuse(expression: str) -> None:
    with pytest.raises(mx.ShapeError):
        eval(expression, {"nd": nd, "z": nd.zeros((2, 3, 4))})
