"""Sharing memory: from_numpy, `__array__`, DLPack in both directions, taint and lifetimes."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.dtypes import DTYPES
from mxconv.ndarray import dlpack

ALL_DTYPES = [*DTYPES, "bool"]
VERSIONED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


class Producer:
    """An object of another library that has __dlpack__, of DLPack 1.0 or older."""

    def __init__(self, array: Any, *, old: bool) -> None:
        self.array, self.old = array, old

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **options: Any) -> Any:
        if self.old and options:
            raise TypeError("unexpected keyword argument")
        return self.array.__dlpack__(max_version=(1, 0)) if not self.old and VERSIONED else self.array.__dlpack__()


WAYS: dict[str, Callable[[nd.NDArray], Any]] = {
    "object": lambda a: a,
    "new producer": lambda a: Producer(a, old=False),
    "old producer": lambda a: Producer(a, old=True),
    "read capsule": lambda a: nd.to_dlpack_for_read(a),
    "write capsule": nd.NDArray.to_dlpack_for_write,
}


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("way", WAYS)
def test_dlpack_round_trip(dtype: str, way: str) -> None:
    a = nd.array(np.arange(6).reshape(2, 3) % 2, dtype=dtype)
    b = nd.from_dlpack(WAYS[way](a))
    assert (b.dtype, b.shape) == (a.dtype, a.shape)
    assert b.asnumpy().tolist() == a.asnumpy().tolist()
    b[0, 0] = 1
    assert a[0, 0].asscalar() == 1
    assert a.storage.tainted
    assert b.storage.tainted


@pytest.mark.parametrize("dtype", [name for name in ALL_DTYPES if name != "bfloat16"])
def test_numpy_reads_and_feeds_dlpack(dtype: str) -> None:
    a = nd.array([[1, 0], [1, 1]], dtype=dtype)
    out = np.from_dlpack(a)
    assert out.dtype.type is a.dtype
    assert np.shares_memory(out, a.numpy_view())
    back = nd.from_dlpack(np.ones((2, 2), dtype))
    assert back.dtype is a.dtype
    back[:] = 0
    assert back.asnumpy().sum() == 0


@pytest.mark.parametrize("versioned", [False, pytest.param(True, marks=pytest.mark.skipif(
    not VERSIONED, reason="this NumPy makes no versioned capsules"))])  # fmt: skip
def test_bfloat16_capsule_header(versioned: bool) -> None:
    a = nd.array([[1, 2, 3]], dtype="bfloat16")
    capsule = a.__dlpack__(max_version=(1, 0)) if versioned else a.__dlpack__()
    name, managed, _ = dlpack._open(capsule)
    assert name == (b"dltensor_versioned" if versioned else b"dltensor")
    tensor = managed.tensor
    assert (tensor.code, tensor.bits, tensor.lanes) == (4, 16, 1)
    assert [tensor.shape[i] for i in range(tensor.ndim)] == [1, 3]
    words = (ctypes.c_uint16 * 3).from_address(tensor.data + tensor.byte_offset)
    assert list(words) == [0x3F80, 0x4000, 0x4040]


def test_dlpack_of_views_empty_and_scalar_arrays() -> None:
    a = nd.arange(12).reshape(3, 4)
    assert nd.from_dlpack(a[1]).asnumpy().tolist() == [4, 5, 6, 7]
    assert nd.from_dlpack(nd.zeros((0, 3))).shape == (0, 3)
    assert nd.from_dlpack(nd.array(3)).shape == ()
    assert nd.from_dlpack(np.zeros((1, 4))[:, :1]).shape == (1, 1)


def test_dlpack_copy_taints_nothing() -> None:
    a = nd.ones((2,))
    b = nd.from_dlpack(a.__dlpack__(copy=True))
    b[:] = 5
    assert a.asnumpy().tolist() == [1, 1]
    assert not a.storage.tainted


def test_dlpack_options() -> None:
    a = nd.ones((2,))
    assert a.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError):
        a.__dlpack__(stream=1)  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        a.__dlpack__(dl_device=(2, 0))
    assert not a.storage.tainted


@pytest.mark.skipif(not VERSIONED, reason="this NumPy refuses to export read-only arrays")
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_read_only_memory_stays_read_only(dtype: Any) -> None:
    source = np.ones(3, dtype)
    source.flags.writeable = False
    a = nd.from_numpy(source)
    b = nd.from_dlpack(a)
    for array in (a, b):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        with pytest.raises(ValueError, match="read-only"):
            array += 1
    with pytest.raises(BufferError):
        a.to_dlpack_for_write()
    assert a.copy().asnumpy().flags.writeable


def test_capsules_are_consumed_once() -> None:
    capsule = nd.ones((2,)).to_dlpack_for_read()
    nd.from_dlpack(capsule)
    with pytest.raises(ValueError, match="consumed only once"):
        nd.from_dlpack(capsule)
    with pytest.raises(TypeError, match="needs a DLPack capsule"):
        nd.from_dlpack([1])


def test_import_keeps_the_memory_and_then_gives_it_back() -> None:
    source = np.arange(1000.0)
    alive = weakref.ref(source)
    view = nd.from_dlpack(source)[10:20]
    del source
    gc.collect()
    assert alive() is not None
    assert view.asnumpy().tolist() == list(range(10, 20))
    del view
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_export_keeps_the_memory_and_then_gives_it_back(dtype: str) -> None:
    a = nd.arange(1000, dtype=dtype)
    memory = a._array
    alive = weakref.ref(memory)
    capsule = a.to_dlpack_for_read()
    unused = a.to_dlpack_for_write()
    del a, memory
    gc.collect()
    b = nd.from_dlpack(capsule)
    del capsule, unused
    gc.collect()
    assert alive() is not None
    assert b[1].asscalar() == 1
    del b
    gc.collect()
    assert alive() is None


def edited(**changes: Any) -> Any:
    """A capsule with a changed header; the tensor behind it is a float32 of 4 elements."""
    capsule = np.zeros(4, np.float32).__dlpack__()
    _, managed, _ = dlpack._open(capsule)
    for name, value in changes.items():
        setattr(managed.tensor, name, value)
    return capsule


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"device_type": 2}, mx.UnsupportedError, r"device is \(2, 0\), expected memory of the host"),
        ({"lanes": 4}, mx.DTypeError, "type code 2 of 32 bits, 4 lanes"),
        ({"code": 4, "bits": 8}, mx.DTypeError, "type code 4 of 8 bits"),
        ({"byte_offset": 2}, mx.UnsupportedError, "expected a multiple of 4"),
    ],
)
def test_foreign_capsules_that_are_refused(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    capsule = edited(**changes)
    with pytest.raises(error, match=text):
        nd.from_dlpack(capsule)
    dlpack._open(capsule)  # it still belongs to its producer, who frees it


def test_strided_memory_is_refused() -> None:
    with pytest.raises(mx.ShapeError, match="not C-contiguous"):
        nd.from_dlpack(np.zeros((3, 4)).T)


@pytest.mark.skipif(not VERSIONED, reason="this NumPy makes no versioned capsules")
def test_later_dlpack_versions_are_refused() -> None:
    capsule = np.zeros(4, np.float32).__dlpack__(max_version=(1, 0))
    _, managed, _ = dlpack._open(capsule)
    managed.major = 2
    with pytest.raises(mx.UnsupportedError, match=r"version is 2\.\d+, expected 1\.x"):
        nd.from_dlpack(capsule)


def test_from_numpy_shares() -> None:
    source = np.zeros((2, 3), np.int64)
    a = nd.from_numpy(source)
    assert (a.dtype, a.storage.tainted) == (np.int64, True)
    a[0] = 1
    source[1] = 2
    assert a.asnumpy().tolist() == source.tolist() == [[1, 1, 1], [2, 2, 2]]
    copy = nd.from_numpy(source, zero_copy=False)
    copy[:] = 0
    assert (copy.dtype, copy.storage.tainted, source[0, 0]) == (np.int64, False, 1)


@pytest.mark.parametrize("source", [np.zeros((2, 4))[:, ::2], np.zeros((2, 3)).T, np.zeros(3, ">f4")])
def test_from_numpy_refuses_what_it_cannot_share(source: Any) -> None:
    with pytest.raises(ValueError, match="only c-contiguous arrays are supported for zero-copy") as caught:
        nd.from_numpy(source)
    assert isinstance(caught.value, mx.MXNetError)
    assert nd.from_numpy(source, zero_copy=False).shape == source.shape


def test_from_numpy_refuses_types() -> None:
    with pytest.raises(TypeError, match="needs a NumPy array"):
        nd.from_numpy([1])
    with pytest.raises(mx.DTypeError, match="uint16"):
        nd.from_numpy(np.zeros(1, np.uint16))


def test_array_protocol() -> None:
    a = nd.array([1, 2])
    for made in (np.asarray(a), np.array(a), a.__array__(), np.asarray(a, dtype=np.float64)):
        made[:] = 9
    assert a.asnumpy().tolist() == [1, 2]
    assert np.asarray(a, dtype=np.int32).dtype == np.int32
    assert not a.storage.tainted
    a.__array__(copy=False)[0] = 5
    assert a.storage.tainted
    assert a.asnumpy().tolist() == [5, 2]
    with pytest.raises(ValueError, match="without a copy"):
        a.__array__(np.float64, copy=False)


def test_taint_is_shared_by_all_views_for_ever() -> None:
    a = nd.zeros((2, 3))
    row = a[1]
    lent = a[0].to_dlpack_for_write()
    del lent
    gc.collect()
    assert a.storage.tainted
    assert row.storage.tainted
    assert row.reshape(3, 1)[0].storage.tainted
    assert not row.copy().storage.tainted


def test_torch_reads_and_feeds_dlpack() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for dtype in ("float32", "bfloat16", "int64", "bool", "complex64"):
        a = nd.array([[1, 0], [1, 1]], dtype=dtype)
        tensor = torch.from_dlpack(a)
        assert tensor.dtype == getattr(torch, dtype)
        tensor[0, 0] = 0
        assert a[0, 0].asscalar() == 0
        back = nd.from_dlpack(tensor)
        assert back.dtype is a.dtype
        assert back.asnumpy().tolist() == a.asnumpy().tolist()
