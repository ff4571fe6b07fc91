"""DLPack capsules to and from NumPy arrays, for every dtype of ours.

NumPy makes the capsules, so that their deleters are compiled code, safe at any time. It knows no bfloat16: those
arrays leave as uint16 and the type in the capsule's header is set right before anybody sees it. Capsules that come in
are read here: NumPy would refuse bfloat16, and older NumPy makes whatever it imports read-only.

Source: dlpack.h of the DLPack project, versions 0.8 (`dltensor`) and 1.0 (`dltensor_versioned`).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p, py_object
from typing import Any

import numpy as np

from ..dtypes import BFLOAT16, DTYPES
from ..errors import DTypeError, ShapeError, UnsupportedError
from .base import BOOL, Array

CPU_DEVICE = (1, 0)
_HOST_DEVICES = (1, 3, 11, 13)  # CPU, CUDA host, ROCm host, CUDA managed
_READ_ONLY = 1
_BFLOAT_CODE = 4
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_TYPES = {
    (_BFLOAT_CODE if dtype == BFLOAT16 else _CODES[dtype.kind], 8 * dtype.itemsize): dtype
    for dtype in (*(known.numpy for known in DTYPES.values()), BOOL)
}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", c_void_p), ("deleter", c_void_p))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", c_uint32),
        ("minor", c_uint32),
        ("context", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", _Tensor),
    )


_LAYOUTS: dict[bytes, type[_Managed | _ManagedVersioned]] = {
    b"dltensor": _Managed,
    b"dltensor_versioned": _ManagedVersioned,
}
_USED = {b"dltensor": b"used_dltensor", b"dltensor_versioned": b"used_dltensor_versioned"}
_Deleter = ctypes.CFUNCTYPE(None, c_void_p)
_is_valid = ctypes.PYFUNCTYPE(c_int, py_object, c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_get_pointer = ctypes.PYFUNCTYPE(c_void_p, py_object, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
_set_name = ctypes.PYFUNCTYPE(c_int, py_object, c_char_p)(("PyCapsule_SetName", ctypes.pythonapi))
for _name in _USED.values():  # a capsule keeps the pointer to its name: these must outlive the interpreter
    ctypes.PYFUNCTYPE(None, py_object)(("Py_IncRef", ctypes.pythonapi))(_name)

_NUMPY_HAS_VERSIONS = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def export_capsule(array: Array, *, versioned: bool) -> Any:
    """A capsule that lends the array's memory: versioned if asked for and NumPy can, else of the old kind.

    Raises: BufferError, for a read-only array in a capsule of the old kind, which cannot say so.
    """
    plain = array.view(np.uint16) if array.dtype == BFLOAT16 else array
    options: dict[str, Any] = {"max_version": (1, 0)} if versioned and _NUMPY_HAS_VERSIONS else {}
    capsule = plain.__dlpack__(**options)
    if plain is not array:
        _, managed, _ = _open(capsule)
        managed.tensor.code = _BFLOAT_CODE
    return capsule


def import_capsule(capsule: Any) -> Array:
    """The capsule's memory as a NumPy array, which gives it back when the last view of it is gone.

    Raises: ValueError, if the capsule was used before; UnsupportedError, for memory of a GPU, of a later DLPack
    version or not aligned; DTypeError; ShapeError, if the memory is not C-contiguous.
    """
    name, managed, address = _open(capsule)
    tensor = managed.tensor
    versioned = isinstance(managed, _ManagedVersioned)
    if versioned and managed.major != 1:
        raise _refuse("DLPack version", f"{managed.major}.{managed.minor}", "1.x", "Ask the producer for version 1.")
    if tensor.device_type not in _HOST_DEVICES:
        device = (tensor.device_type, tensor.device_id)
        raise _refuse("DLPack device", device, "memory of the host", "Move the tensor to the CPU first.")
    dtype = _TYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if dtype is None:
        got = f"type code {tensor.code} of {tensor.bits} bits, {tensor.lanes} lanes"
        raise DTypeError(
            f"the DLPack tensor has {got}, expected a dtype of NDArrays",
            op="from_dlpack", argument="dlpack", got=got, expected=tuple(map(str, _TYPES.values())),
            fix="Convert the tensor in the library that made it.",
        )  # fmt: skip
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    start = (tensor.data or 0) + tensor.byte_offset
    if tensor.strides and not _is_contiguous(shape, [tensor.strides[axis] for axis in range(tensor.ndim)]):
        raise ShapeError(
            "the DLPack tensor is not C-contiguous, expected one that is",
            op="from_dlpack", argument="dlpack", got="strided memory", expected="C-contiguous memory",
            fix="Make it contiguous in the library that made it.",
        )  # fmt: skip
    if start % dtype.alignment:
        raise _refuse("address", hex(start), f"a multiple of {dtype.alignment}", "Copy the tensor first.")

    _set_name(capsule, _USED[name])
    owner = _Owner(
        {
            "data": (start, bool(versioned and managed.flags & _READ_ONLY)),
            "shape": shape,
            "typestr": "<u2" if dtype == BFLOAT16 else dtype.str,
            "version": 3,
        },
        _Deleter(managed.deleter) if managed.deleter else None,
        address,
    )
    array: Array = np.empty(shape, dtype) if math.prod(shape) == 0 else np.asarray(owner).view(dtype)
    return array


class _Owner:
    """The one who gives the memory back; the base of the NumPy array that shows it."""

    def __init__(self, interface: dict[str, Any], deleter: Callable[[int], None] | None, address: int) -> None:
        self.__array_interface__ = interface
        self._deleter, self._address = deleter, address

    def __del__(self) -> None:
        if self._deleter is not None:
            self._deleter(self._address)


def _open(capsule: Any) -> tuple[bytes, Any, int]:
    """The capsule's name, header and the header's address."""
    for name, layout in _LAYOUTS.items():
        if _is_valid(capsule, name):
            address = _get_pointer(capsule, name)
            return name, layout.from_address(address), address
    raise ValueError(
        "Invalid DLPack Tensor: not a DLPack capsule, or used before (a capsule can be consumed only once)"
    )


def _is_contiguous(shape: tuple[int, ...], strides: list[int]) -> bool:
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return 0 in shape
        step *= size
    return True


def _refuse(what: str, got: Any, expected: str, fix: str) -> UnsupportedError:
    return UnsupportedError(
        f"the tensor's {what} is {got}, expected {expected}",
        op="from_dlpack", argument="dlpack", got=got, expected=expected, fix=fix,
    )  # fmt: skip
