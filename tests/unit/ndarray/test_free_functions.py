"""The functions of mx.nd beside the operators, and joining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd


def test_methods_as_functions() -> None:
    a = nd.array([[1, -2], [3, 4]])
    assert nd.sum(a).asnumpy().tolist() == [6]
    assert nd.sum(data=a, axis=1).asnumpy().tolist() == [-1, 7]
    assert nd.max(a, axis=0, keepdims=True).asnumpy().tolist() == [[3, 4]]
    assert nd.abs(a).asnumpy().tolist() == [[1, 2], [3, 4]]
    assert nd.reshape(a, shape=(-1,)).shape == (4,)
    assert nd.transpose(a, axes=(1, 0)).asnumpy().tolist() == [[1, 3], [-2, 4]]
    assert nd.dot(a, a).asnumpy().tolist() == [[-5, -10], [15, 10]]
    assert nd.clip(a, 0, 3).asnumpy().tolist() == [[1, 0], [3, 3]]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("nd.add(a, b)", [3, 4, 5]),
        ("nd.add(a, c)", [[2, 3, 4]]),
        ("nd.subtract(1, a)", [0, -1, -2]),
        ("nd.multiply(a, 2)", [2, 4, 6]),
        ("nd.divide(6, a)", [6, 3, 2]),
        ("nd.true_divide(a, 2)", [0.5, 1, 1.5]),
        ("nd.modulo(a, 2)", [1, 0, 1]),
        ("nd.modulo(5, a)", [0, 1, 2]),
        ("nd.power(a, 2)", [1, 4, 9]),
        ("nd.power(2, a)", [2, 4, 8]),
        ("nd.maximum(a, b)", [2, 2, 3]),
        ("nd.maximum(2, a)", [2, 2, 3]),
        ("nd.minimum(a, 2)", [1, 2, 2]),
        ("nd.equal(a, 2)", [0, 1, 0]),
        ("nd.not_equal(2, a)", [1, 0, 1]),
        ("nd.greater(2, a)", [1, 0, 0]),
        ("nd.greater_equal(2, a)", [1, 1, 0]),
        ("nd.lesser(a, 2)", [1, 0, 0]),
        ("nd.lesser_equal(2, a)", [0, 1, 1]),
        ("nd.logical_and(a, 0)", [0, 0, 0]),
        ("nd.logical_or(0, a)", [1, 1, 1]),
        ("nd.logical_xor(a, b)", [0, 0, 0]),
    ],
)
def test_arithmetic_by_name(expression: str, values: Any) -> None:
    names = {"nd": nd, "a": nd.array([1, 2, 3]), "b": nd.array([2, 2, 2]), "c": nd.ones((1, 3))}
    assert eval(expression, names).asnumpy().tolist() == values


def test_arithmetic_of_numbers() -> None:
    assert (nd.add(1, 2), nd.maximum(1, 2.5), nd.power(2, 3), nd.lesser(1, 2)) == (3, 2.5, 8, True)
    with pytest.raises(TypeError, match="is not supported beside an NDArray"):
        nd.add(np.ones(3), nd.ones((3,)))


def test_joining() -> None:
    a, b = nd.ones((2, 3)), nd.zeros((2, 1))
    assert nd.concat(a, b).asnumpy().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    assert nd.concat(a, a, dim=0).shape == (4, 3)
    assert nd.concatenate([a, a]).shape == (4, 3)
    assert nd.stack(a, a, axis=1).shape == (2, 2, 3)
    assert nd.concat(a.astype("bfloat16"), b.astype("bfloat16")).dtype is nd.zeros((1,), dtype="bfloat16").dtype
    single = nd.concat(a)
    single[:] = 5
    assert a.asnumpy().max() == 1


def test_joining_refuses() -> None:
    a = nd.ones((2, 3))
    with pytest.raises(mx.DTypeError, match="Concat: arg1 has dtype int32, expected float32"):
        nd.concat(a, a.astype("int32"))
    with pytest.raises(mx.ShapeError, match=r"Concat: arg1 has shape \(3,\), expected \(2,\)"):
        nd.concat(a, nd.ones((3, 3)))
    with pytest.raises(mx.ShapeError, match="stack: axis is 5, expected an axis from -3 to 2"):
        nd.stack(a, a, axis=5)
    with pytest.raises(mx.ParamError, match="Concat: num_args is 0, expected at least 1"):
        nd.concatenate([])
    with pytest.raises(AssertionError, match="Concat: arg1 is a list, expected an NDArray"):
        nd.concat(a, [[1, 2, 3]])
