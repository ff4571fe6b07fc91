"""The functions of mx.nd that are methods too, and joining."""

from __future__ import annotations

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
    with pytest.raises(TypeError, match=r"sum: got .*ndarray.*wrap the value with mx\.nd\.array"):
        nd.sum(np.ones(3))  # type: ignore[arg-type]


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
    with pytest.raises(mx.DTypeError, match=r"concat: the arrays have dtypes \['float32', 'int32'\]"):
        nd.concat(a, a.astype("int32"))
    with pytest.raises(mx.ShapeError, match="cannot be joined along axis 1"):
        nd.concat(a, nd.ones((3, 3)))
    with pytest.raises(mx.ShapeError, match="cannot be joined along axis 5"):
        nd.stack(a, a, axis=5)
    with pytest.raises(mx.DTypeError, match="expected one"):
        nd.concatenate([])
    with pytest.raises(TypeError, match="concat: got"):
        nd.concat(a, np.ones((2, 3)))  # type: ignore[arg-type]
