"""Attributes, conversions and copies of NDArray."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.dtypes import DTYPES

ALL_DTYPES = [*DTYPES, "bool"]


def test_attributes() -> None:
    a = nd.array([[1, 2, 3], [4, 5, 6]])
    assert (a.shape, a.size, a.ndim, a.stype) == ((2, 3), 6, 2, "default")
    assert a.dtype is np.float32
    assert a.dtype == np.float32
    assert a.dtype != "float32"
    assert nd.zeros((1,), dtype="bfloat16").dtype is ml_dtypes.bfloat16
    assert a.context == a.ctx == mx.cpu(0)
    with pytest.raises(AttributeError):
        a.shape = (3, 2)  # type: ignore[misc]


def test_repr() -> None:
    assert repr(nd.array([[1, 2], [3, 4]])) == "\n[[1. 2.]\n [3. 4.]]\n<NDArray 2x2 @cpu(0)>"
    assert repr(nd.array([1], dtype="int32")) == "\n[1]\n<NDArray 1 @cpu(0)>"
    assert repr(nd.array(3, mx.cpu(1))) == "\n3.0\n<NDArray  @cpu(1)>"


def test_numbers() -> None:
    a = nd.array([3.7])
    assert isinstance(a.asscalar(), np.float32)
    assert (float(a), int(a)) == (np.float32(3.7), 3)
    assert complex(nd.array([1j], dtype="complex64")) == 1j
    assert range(9)[nd.array([2], dtype="int32")] == 2
    with pytest.raises(TypeError, match="cannot be an index"):
        range(9)[a]
    for many in (nd.array([1, 2]), nd.zeros((0,))):
        for convert in (float, int, nd.NDArray.asscalar):
            with pytest.raises(ValueError, match="not a scalar"):
                convert(many)


def test_asnumpy_copies() -> None:
    a = nd.array([1, 2])
    taken = a.asnumpy()
    taken[:] = 9
    assert a.asnumpy().tolist() == [1, 2]
    assert not a.storage.tainted


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_astype_copyto_pickle_and_deepcopy(dtype: str) -> None:
    a = nd.array([[1, 0, 3]], dtype=dtype)
    target = nd.zeros((1, 3), dtype=dtype)
    copies = [a.copy(), a.astype(dtype), a.copyto(mx.cpu(1)), a.copyto(target), copy.copy(a), copy.deepcopy(a)]
    copies += [pickle.loads(pickle.dumps(a, protocol)) for protocol in range(2, 6)]
    assert copies[3] is target
    assert a.astype(dtype, copy=False) is a
    for one in copies:
        assert one.dtype is a.dtype
        assert one.storage is not a.storage
        assert one.asnumpy().tolist() == a.asnumpy().tolist()
        one[:] = 0
    assert a.asnumpy()[0, 0] == 1


def test_pickles_keep_the_context() -> None:
    assert pickle.loads(pickle.dumps(nd.zeros((1,), mx.cpu(2)))).context == mx.cpu(2)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1.7, -1.7], "int32", [1, -1]),
        ([300.0, -1.0], "uint8", [44, 255]),
        ([0.5, 0], "bool", [True, False]),
        ([1.0, 2.0], "bfloat16", [1, 2]),
        ([1.0, 2.0], "complex64", [1, 2]),
    ],
)
def test_astype(values: Any, dtype: str, expected: Any) -> None:
    assert nd.array(values).astype(dtype).asnumpy().tolist() == expected


def test_astype_refuses() -> None:
    a = nd.array([1j], dtype="complex64")
    with pytest.raises(mx.DTypeError, match="expected real ones"):
        a.astype("float32")
    with pytest.raises(TypeError):
        a.astype("foo")


def test_copyto_and_contexts() -> None:
    a, other = nd.array([1.5, 2.5]), nd.zeros((2,), dtype="int32")
    assert a.copyto(other) is other
    assert other.asnumpy().tolist() == [1, 2]
    assert a.copyto(mx.cpu(1)).context == mx.cpu(1)
    assert a.as_in_context(mx.cpu(0)) is a
    assert a.as_in_context(mx.cpu(1)).context == mx.cpu(1)
    with pytest.raises(mx.ShapeError, match=r"copyto: the destination has shape \(3,\), expected \(2,\)"):
        a.copyto(nd.zeros((3,)))
    with pytest.raises(TypeError, match="copyto does not support"):
        a.copyto(5)
    for move in (a.copyto, a.as_in_context):
        with pytest.raises(mx.MXNetError, match="GPU is not enabled"):
            move(mx.gpu())


def test_waiting() -> None:
    nd.ones((1,)).wait_to_read()
    nd.waitall()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.arange(6, dtype=np.float32)[::-1],
        np.arange(3, dtype=">f4"),
        np.broadcast_to(np.float32(1), (3,)),
        np.frombuffer(b"x" + np.arange(3, dtype=np.float32).tobytes(), np.uint8)[1:].view(np.float32),
        np.array(5, dtype=np.float32),
    ],
    ids=["transposed", "reversed", "byte-swapped", "0-stride", "unaligned", "0-d"],
)
def test_adopt_brings_any_array_into_form(array: np.ndarray[Any, Any]) -> None:
    made = nd.NDArray._adopt(array)
    memory = made._array
    assert memory.flags.c_contiguous
    assert memory.flags.aligned
    assert memory.flags.writeable
    assert memory.dtype.isnative
    assert memory.shape == array.shape
    assert memory.tolist() == array.tolist()


def test_adopt_does_not_copy_what_fits() -> None:
    array = np.zeros((2, 3), np.float32)
    assert np.shares_memory(nd.NDArray._adopt(array).numpy_view(), array)


def test_numpy_view() -> None:
    a = nd.zeros((2,))
    version = a.storage.version
    with pytest.raises(ValueError, match="read-only"):
        a.numpy_view()[0] = 1
    assert a.storage.version == version
    with a.writing() as memory:
        memory[0] = 1
    assert a.storage.version > version
    assert a.asnumpy().tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        memory[0] = 2


def test_writing_counts_at_the_end_even_of_a_failed_write() -> None:
    a = nd.zeros((2,))
    before = a.storage.version
    with a.writing() as memory:
        memory[0] = 1
        inside = a.storage.version
    after = a.storage.version
    assert before <= inside < after
    with pytest.raises(KeyError), a.writing():
        raise KeyError
    assert a.storage.version > after


def test_versions_are_never_shared() -> None:
    storages = [nd.zeros((1,)).storage for _ in range(100)]
    assert len({storage.version for storage in storages}) == 100
