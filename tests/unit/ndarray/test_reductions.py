"""Reductions and element-wise functions, against the answers of MXNet 1.9.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.dtypes import DTYPES


def names() -> dict[str, Any]:
    return {
        "a": nd.array([[1, 2, 3], [4, 5, 6]]),
        "i": nd.array([[1, 2], [3, 4]], dtype="int32"),
        "u": nd.array([1, 2, 255], dtype="uint8"),
        "t": nd.array([True, False], dtype="bool"),
        "r": nd.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.4999999702]),
        "nd": nd,
        "inf": float("inf"),
    }


@pytest.mark.parametrize(
    ("expression", "dtype", "values"),
    [
        ("a.sum()", np.float32, [21]),
        ("a.sum(axis=0)", np.float32, [5, 7, 9]),
        ("a.sum(0)", np.float32, [5, 7, 9]),
        ("a.sum(axis=[0])", np.float32, [5, 7, 9]),
        ("a.sum(axis=(0, 1))", np.float32, [21]),
        ("a.sum(axis=())", np.float32, [21]),
        ("a.sum(axis=-1)", np.float32, [6, 15]),
        ("a.sum(axis=1, keepdims=True)", np.float32, [[6], [15]]),
        ("a.sum(keepdims=True)", np.float32, [[21]]),
        ("a.sum(axis=0, exclude=True)", np.float32, [6, 15]),
        ("nd.array(3).sum()", np.float32, [3]),
        ("nd.zeros((0, 3)).sum(axis=0)", np.float32, [0, 0, 0]),
        ("i.sum()", np.int32, [10]),
        ("u.sum()", np.uint8, [2]),
        ("t.sum()", np.bool_, [True]),
        ("i.mean()", np.int32, [2]),
        ("u.mean()", np.uint8, [86]),
        ("a.mean(axis=0)", np.float32, [2.5, 3.5, 4.5]),
        ("a.max()", np.float32, [6]),
        ("a.max(axis=0)", np.float32, [4, 5, 6]),
        ("a.min(axis=1)", np.float32, [1, 4]),
        ("a.min(axis=(0, 1), keepdims=True)", np.float32, [[1]]),
        ("a.prod()", np.float32, [720]),
        ("i.prod(axis=1)", np.int32, [2, 12]),
        ("a.argmax()", np.float32, [5]),
        ("a.argmax(axis=0)", np.float32, [1, 1, 1]),
        ("a.argmax(axis=1, keepdims=True)", np.float32, [[2], [2]]),
        ("a.argmax(axis=-1)", np.float32, [2, 2]),
        ("a.argmin(axis=1)", np.float32, [0, 0]),
        ("i.argmax(axis=0)", np.int32, [1, 1]),
        ("nd.array([[3, -4]]).norm()", np.float32, [5]),
        ("nd.array([[3, -4]]).norm(axis=1, keepdims=True)", np.float32, [[5]]),
        ("nd.array([[3, -4]]).norm(ord=1, axis=1)", np.float32, [7]),
        ("nd.array([[3, -4], [0, 12]]).norm(axis=(0, 1))", np.float32, [13]),
        ("i.norm()", np.int32, [5]),
        ("a.clip(2, 4)", np.float32, [[2, 2, 3], [4, 4, 4]]),
        ("i.clip(a_min=1.5, a_max=3.5)", np.int32, [[1, 2], [3, 3]]),
        ("u.clip(-5, 100)", np.uint8, [1, 2, 100]),
        ("u.clip(2, inf)", np.uint8, [2, 2, 255]),
        ("r.round()", np.float32, [1, 2, 3, -1, -2, 0]),
        ("i.round()", np.int32, [[1, 2], [3, 4]]),
        ("a[0].square()", np.float32, [1, 4, 9]),
        ("i.sqrt()", np.int32, [[1, 1], [1, 2]]),
        ("i.exp()", np.int32, [[2, 7], [20, 54]]),
        ("nd.array([1, 4]).sqrt()", np.float32, [1, 2]),
        ("nd.array([1]).log()", np.float32, [0]),
        ("nd.array([0]).exp()", np.float32, [1]),
        ("(-a[0]).abs()", np.float32, [1, 2, 3]),
        ("a.dot(a.T)", np.float32, [[14, 32], [32, 77]]),
        ("a[0].dot(a[1])", np.float32, [32]),
        ("i.dot(i)", np.int32, [[7, 10], [15, 22]]),
    ],
)
def test_values_and_dtype(expression: str, dtype: type, values: Any) -> None:
    result = eval(expression, names())
    assert result.dtype is dtype
    assert result.asnumpy().tolist() == values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "norm", "argmax", "argmin"])
def test_every_dtype_against_numpy(dtype: str, name: str) -> None:
    values = np.array([[1, 2, 3], [1, 3, 2]])
    data = nd.array(values, dtype=dtype)
    result = getattr(data, name)(axis=1)
    reference = (lambda x, axis: np.sqrt((x * x).sum(axis))) if name == "norm" else getattr(np, name)
    expected = nd.array(reference(values.astype(np.float64), axis=1), dtype=dtype)
    assert result.dtype is data.dtype
    np.testing.assert_array_equal(result.asnumpy(), expected.asnumpy())


def test_halves_are_summed_in_float32() -> None:
    assert nd.ones((4096,), dtype="bfloat16").sum().asscalar() == 4096  # a bfloat16 sum would stop at 256
    assert nd.full((3000,), 30, dtype="float16").mean().asscalar() == 30  # a float16 sum would overflow


@pytest.mark.parametrize("expression", ["a.sum(axis=2)", "a.sum(axis=(0, 0))", "a.max(axis=(0, -2))",
                                        "a.argmax(axis=2)", "nd.zeros((0, 3)).max()",
                                        "nd.zeros((0, 3)).argmax(axis=0)", "a.dot(a)",
                                        "nd.array(1).dot(a)"])  # fmt: skip
def test_shape_errors(expression: str) -> None:
    with pytest.raises(mx.ShapeError):
        eval(expression, names())


def test_other_errors() -> None:
    with pytest.raises(mx.ParamError, match=r"norm: ord is 3, expected 1 or 2.*np\.linalg"):
        nd.ones((2,)).norm(ord=3)
    with pytest.raises(mx.ParamError, match=r"argmax: axis is '\(0, 1\)', expected int or None"):
        nd.ones((2, 2)).argmax(axis=(0, 1))  # type: ignore[arg-type]
    with pytest.raises(mx.DTypeError, match="dot: lhs has dtype bool, expected one number type"):
        nd.ones((2,), dtype="bool").dot(nd.ones((2,), dtype="bool"))
    with pytest.raises(mx.DTypeError, match="dot: rhs has dtype float64, expected float32"):
        nd.ones((2,)).dot(nd.ones((2,), dtype="float64"))


def test_argmax_does_not_round_its_answer() -> None:
    data = nd.zeros((300,), dtype="int8")
    data[299] = 1
    with pytest.raises(mx.DTypeError, match="too large for int8"):
        data.argmax()
    assert data.astype("int32").argmax().asscalar() == 299


FUNCTIONS = """abs sign square sqrt rsqrt cbrt rcbrt reciprocal round rint ceil floor trunc fix exp expm1 log log2
log10 log1p sin cos tan arcsin arccos arctan degrees radians sinh cosh tanh arcsinh arctanh relu sigmoid zeros_like
ones_like"""


def test_methods_of_each_element() -> None:
    x = nd.array([0.25, 0.5])
    for name in FUNCTIONS.split():
        np.testing.assert_array_equal(getattr(x, name)().asnumpy(), getattr(nd, name)(x).asnumpy())
    np.testing.assert_allclose(x.softmax().sum().asnumpy(), 1, rtol=1e-6)
    np.testing.assert_allclose(x.log_softmax(axis=0).exp().asnumpy(), x.softmax().asnumpy(), rtol=1e-6)
    assert (x + 1).arccosh().asnumpy()[0] == np.arccosh(np.float32(1.25))
