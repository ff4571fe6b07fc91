"""Making arrays: the shapes and dtypes that MXNet 1.9.1 gives, and what goes beyond it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from mxconv import nd


@pytest.mark.parametrize(
    ("source", "options", "dtype", "values"),
    [
        (3, {}, np.float32, 3.0),
        (np.float64(3), {}, np.float32, 3.0),
        ([], {}, np.float32, []),
        ([1, 2], {}, np.float32, [1, 2]),
        ((1, 2), {"dtype": None}, np.float32, [1, 2]),
        (range(3), {}, np.float32, [0, 1, 2]),
        ([True, False], {}, np.float32, [1, 0]),
        (np.array([1, 2], np.int64), {}, np.float32, [1, 2]),
        (np.array([0.5], np.float64), {}, np.float32, [0.5]),
        (np.array([1.5], ml_dtypes.bfloat16), {}, np.float32, [1.5]),
        ([1.9, -1.9], {"dtype": "int32"}, np.int32, [1, -1]),
        ([300.0, -1.0], {"dtype": "uint8"}, np.uint8, [44, 255]),
        ([1, 0], {"dtype": bool}, np.bool_, [True, False]),
        ([1, 2], {"dtype": "bfloat16"}, ml_dtypes.bfloat16, [1, 2]),
        ([1, 2], {"dtype": np.float16}, np.float16, [1, 2]),
        ([1j], {"dtype": "complex64"}, np.complex64, [1j]),
        (nd.array([1, 2], dtype="int32"), {}, np.int32, [1, 2]),
        (nd.array([1, 2], dtype="int32"), {"dtype": "float64"}, np.float64, [1, 2]),
        (np.arange(4).reshape(2, 2).T, {}, np.float32, [[0, 2], [1, 3]]),
        (np.array([1, 2], ">f4"), {"dtype": ">f4"}, np.float32, [1, 2]),
    ],
)
def test_array(source: Any, options: dict[str, Any], dtype: type, values: Any) -> None:
    made = nd.array(source, **options)
    assert made.dtype is dtype
    assert made.asnumpy().tolist() == values
    assert made.shape == np.shape(values)


@pytest.mark.parametrize("source", ["x", None, [[1, 2], [3]], [None], {1: 2}, object(), np.array(["a"])])
def test_array_refuses_what_is_no_array(source: Any) -> None:
    with pytest.raises(TypeError, match="array like"):
        nd.array(source)


def test_array_refuses_dtypes() -> None:
    with pytest.raises(mx.DTypeError, match=r"complex.*dtype='complex64'"):
        nd.array([1j])
    with pytest.raises(mx.DTypeError, match=r"uint16 is not supported.*astype"):
        nd.zeros((1,), dtype="uint16")
    with pytest.raises(TypeError):
        nd.zeros((1,), dtype="no such type")


def test_array_copies() -> None:
    source = np.zeros(3, np.float32)
    made = nd.array(source)
    again = nd.array(made)
    made[:] = 1
    assert source.tolist() == again.asnumpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("made", "dtype", "values"),
    [
        (lambda: nd.zeros(3), np.float32, [0, 0, 0]),
        (lambda: nd.zeros([1, 2], dtype="int32"), np.int32, [[0, 0]]),
        (lambda: nd.zeros((2,), mx.cpu(), "int8"), np.int8, [0, 0]),
        (lambda: nd.zeros(()), np.float32, 0),
        (lambda: nd.zeros((0, 3)), np.float32, []),
        (lambda: nd.ones((2,), dtype="bfloat16"), ml_dtypes.bfloat16, [1, 1]),
        (lambda: nd.full((2,), 3.5), np.float32, [3.5, 3.5]),
        (lambda: nd.full((2,), 3.5, dtype="int32"), np.int32, [3, 3]),
        (lambda: nd.full((2, 2), [1, 2]), np.float32, [[1, 2], [1, 2]]),
        (lambda: nd.full((2, 2), nd.array([1, 2])), np.float32, [[1, 2], [1, 2]]),
        (lambda: nd.arange(3), np.float32, [0, 1, 2]),
        (lambda: nd.arange(1, 7, 2), np.float32, [1, 3, 5]),
        (lambda: nd.arange(1, 5, 2, repeat=2), np.float32, [1, 1, 3, 3]),
        (lambda: nd.arange(5, 1, -1, dtype="int32"), np.int32, [5, 4, 3, 2]),
        (lambda: nd.arange(2**53 + 1, 2**53 + 3, dtype="int64"), np.int64, [2**53 + 1, 2**53 + 2]),
        (lambda: nd.arange(0), np.float32, []),
        (lambda: nd.linspace(0, 1, 5), np.float32, [0, 0.25, 0.5, 0.75, 1]),
        (lambda: nd.linspace(0, 2, 4, endpoint=False), np.float32, [0, 0.5, 1, 1.5]),
        (lambda: nd.eye(2), np.float32, [[1, 0], [0, 1]]),
        (lambda: nd.eye(2, 3, 1, dtype="int32"), np.int32, [[0, 1, 0], [0, 0, 1]]),
        (lambda: nd.eye(2, k=-1), np.float32, [[0, 0], [1, 0]]),
        (lambda: nd.zeros_like(nd.array([5], dtype="int8")), np.int8, [0]),
        (lambda: nd.ones_like(nd.array([5], dtype="bfloat16")), ml_dtypes.bfloat16, [1]),
    ],
)
def test_other_makers(made: Any, dtype: type, values: Any) -> None:
    result = made()
    assert result.dtype is dtype
    assert result.asnumpy().tolist() == values


def test_empty_has_the_shape() -> None:
    assert nd.empty((2, 3), dtype="float16").shape == (2, 3)


def test_makers_refuse() -> None:
    with pytest.raises(mx.ShapeError, match=r"\(-1, 2\) has a negative size"):
        nd.zeros((-1, 2))
    with pytest.raises(mx.ParamError, match=r"arange: the range \(1, 0, 1.0\) is invalid"):
        nd.arange(1, 0)
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*broadcast to \(2,\)"):
        nd.full((2,), np.ones((2, 3)))
    with pytest.raises(TypeError, match=r"nd\.array"):
        nd.NDArray([1])


def test_contexts_of_new_arrays() -> None:
    assert nd.zeros((1,)).context == mx.cpu(0)
    assert nd.zeros((1,), ctx=mx.cpu(2)).ctx == mx.cpu(2)
    assert nd.array([1], mx.cpu_pinned()).context == mx.cpu_pinned()
    with mx.cpu(1):
        assert nd.ones((1,)).context == mx.cpu(1)
    assert nd.array(nd.zeros((1,), mx.cpu(3))).context == mx.cpu(3)
    assert nd.zeros_like(nd.zeros((1,), mx.cpu(3))).context == mx.cpu(3)
    with pytest.raises(mx.MXNetError, match="GPU is not enabled"):
        nd.zeros((1,), ctx=mx.gpu())
    with pytest.raises(TypeError, match=r"expected a Context such as mx.cpu\(\)"):
        nd.zeros((1,), ctx="cpu")  # type: ignore[arg-type]
