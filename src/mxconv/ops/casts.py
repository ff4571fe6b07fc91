"""Numbers next to arrays: which Python values count as scalars, and how one becomes an array's dtype.

A scalar never changes the dtype of the array that it meets. For an integer array its fraction is cut off and
it wraps modulo 2**bits, as a C cast does (and MXNet's arithmetic).
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ..errors import DTypeError
from .registry import Array


def is_scalar(value: object) -> bool:
    """Whether `value` is a number: of Python, NumPy or ml_dtypes."""
    return isinstance(value, (numbers.Number, np.generic)) and not isinstance(value, (np.character, np.void))


def python_number(value: Any) -> int | float | complex:
    """The int, float or complex that a scalar stands for."""
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, (float, complex)):
        return number
    return int(number) if isinstance(number, numbers.Integral) else float(number)


def cast_scalar(value: Any, dtype: np.dtype[Any]) -> Array:
    """A scalar as a 0-d array of the dtype.

    Raises: DTypeError, for a complex number beside a real dtype; ValueError, for nan or inf beside an integer
    dtype.
    """
    number: Any = python_number(value)
    if isinstance(number, complex) and dtype.kind != "c":
        raise DTypeError(
            f"the scalar {number} is complex, expected a real one for an array of dtype {dtype}",
            got=number,
            expected=f"a number that {dtype} can hold",
            fix="Convert the array with .astype('complex64') first.",
        )
    if dtype.kind in "iu":
        if not math.isfinite(number):
            raise ValueError(f"{number} has no integer value, which an array of dtype {dtype} needs")
        number = int(number) % (1 << 8 * dtype.itemsize)  # the cast below makes it negative again if it must
    with np.errstate(all="ignore"):
        return np.asarray(number).astype(dtype)


def cast_limit(value: Any, dtype: np.dtype[Any]) -> Array:
    """A lower or upper limit in the dtype: what lies beyond an integer dtype's range becomes its end."""
    if dtype.kind in "iu":
        value = min(max(value, np.iinfo(dtype).min), np.iinfo(dtype).max)
    return cast_scalar(value, dtype)


def cast_array(array: Array, dtype: np.dtype[Any]) -> Array:
    """A copy of the array in the dtype, by C's rules: fractions are cut off, integers wrap.

    Raises: DTypeError, where imaginary parts would be lost.
    """
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(
            f"the values are {array.dtype}, expected real ones for dtype {dtype}",
            got=array.dtype,
            expected=f"a type that {dtype} can hold",
            fix="Pass dtype='complex64', or take .real of the NumPy array first.",
        )
    with np.errstate(all="ignore"):
        if array.dtype.kind not in "biuc" and dtype.kind == "u":
            # C leaves a negative float's cast to an unsigned type undefined; by int64 it wraps.
            return array.astype(np.int64).astype(dtype, order="C")
        return array.astype(dtype, order="C")
