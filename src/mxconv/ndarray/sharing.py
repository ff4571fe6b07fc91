"""NDArrays that share memory with NumPy arrays and DLPack tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..context import host_context
from ..errors import ParamError
from .base import array_dtype
from .creation import array
from .dlpack import CPU_DEVICE, import_capsule
from .ndarray import NDArray
from .storage import Storage


def from_numpy(ndarray: Any, zero_copy: bool = True) -> NDArray:
    """An NDArray upon the memory of a NumPy array, or upon a copy of it; the dtype stays.

    What is written through either is seen through both (MXNet makes the NumPy array read-only instead; here it stays
    as it is). A read-only NumPy array gives an NDArray that cannot be written.

    Raises: TypeError, if it is no NumPy array; DTypeError; ParamError (also a ValueError), if the memory cannot be
    shared because it is not C-contiguous, not aligned or byte-swapped.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy needs a NumPy array, got {type(ndarray)}; use nd.array for anything else")
    dtype = array_dtype(ndarray.dtype)
    if not zero_copy:
        return array(ndarray, dtype=dtype)
    if not (ndarray.flags.c_contiguous and ndarray.flags.aligned and ndarray.dtype.isnative):
        raise ParamError(
            f"only c-contiguous arrays are supported for zero-copy (aligned and in native byte order), "
            f"got strides {ndarray.strides} for shape {ndarray.shape}, dtype {ndarray.dtype.str}",
            op="from_numpy", argument="ndarray", got=ndarray.strides, expected="a C-contiguous array",
            fix="Pass zero_copy=False, or np.ascontiguousarray(x).",
        )  # fmt: skip
    return NDArray._wrap(np.asarray(ndarray)[...], Storage(tainted=True), host_context(None))


def from_dlpack(dlpack: Any) -> NDArray:
    """An NDArray upon the memory of a DLPack capsule, or of any object that has `__dlpack__`; bfloat16 included.

    Raises: TypeError, ValueError, UnsupportedError, DTypeError or ShapeError, as `dlpack.import_capsule` says.
    """
    capsule = dlpack
    if type(dlpack).__name__ != "PyCapsule":
        if not hasattr(dlpack, "__dlpack__"):
            raise TypeError(f"from_dlpack needs a DLPack capsule or an object with __dlpack__, got {type(dlpack)}")
        try:
            capsule = dlpack.__dlpack__(max_version=(1, 0), dl_device=CPU_DEVICE)
        except TypeError:  # a producer from before DLPack 1.0
            capsule = dlpack.__dlpack__()
    return NDArray._wrap(import_capsule(capsule), Storage(tainted=True), host_context(None))
