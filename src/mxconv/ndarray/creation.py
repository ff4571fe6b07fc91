"""How NDArrays are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..context import Context
from ..errors import ParamError
from ..ops.casts import cast_array
from .base import array_dtype
from .invoke import note
from .ndarray import NDArray
from .shapes import as_shape


def array(source_array: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An NDArray with a copy of the values of lists, numbers, NumPy arrays, NDArrays or what NumPy can read.

    Without `dtype` the result is float32 whatever the source's dtype is, except that an NDArray's is kept.

    >>> array([[1, 2], [3, 4]]).shape
    (2, 2)

    Raises: TypeError, if the source is not array-like; DTypeError, if complex values would lose their
    imaginary part.
    """
    if isinstance(source_array, NDArray):
        target = source_array._array.dtype if dtype is None else array_dtype(dtype)
        context = source_array.context if ctx is None else ctx
        copy = NDArray._adopt(cast_array(source_array._array, target), context)
        return note("Cast", {"dtype": target.name}, source_array, copy)
    try:
        values = np.asarray(source_array)
    except (TypeError, ValueError) as error:
        raise TypeError(f"source_array must be array like object: {error}") from None
    if values.dtype.kind in "OSUMm":
        raise TypeError(f"source_array must be array like object, got {source_array!r:.60}")
    return NDArray._adopt(cast_array(values, array_dtype(dtype)), ctx)


def empty(shape: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An NDArray of the shape (an int or a tuple) with undefined values; float32 by default."""
    return NDArray._adopt(np.empty(as_shape(shape), array_dtype(dtype)), ctx)


def zeros(shape: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An NDArray of zeros; float32 by default.

    >>> zeros((0, 3)).shape
    (0, 3)
    """
    return NDArray._adopt(np.zeros(as_shape(shape), array_dtype(dtype)), ctx)


def ones(shape: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An NDArray of ones; float32 by default."""
    return NDArray._adopt(np.ones(as_shape(shape), array_dtype(dtype)), ctx)


def full(shape: Any, val: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An NDArray filled with a number, or with an array broadcast to the shape; float32 by default."""
    result = empty(shape, ctx, dtype)
    result[...] = val
    return result


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1.0,
    repeat: int = 1,
    ctx: Context | None = None,
    dtype: Any = None,
) -> NDArray:
    """start, start + step, ... below stop (0 up to `start` if only that is given), each `repeat` times;
    float32.

    Raises: ParamError, if the step is 0 or leads away from stop.
    """
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0 or (last - first) / step < 0:
        raise ParamError(
            f"the range ({first}, {last}, {step}) is invalid, expected a step that leads from start to stop",
            op="arange", argument="step", got=step, expected="a step of the sign of stop - start",
            fix="Change the sign of step, or exchange start and stop.",
        )  # fmt: skip
    values = np.repeat(np.arange(first, last, step, dtype=np.float64), repeat)
    if all(isinstance(number, (int, np.integer)) for number in (first, last)) and step == int(step):
        values = np.repeat(np.arange(int(first), int(last), int(step)), repeat)  # exact beyond 2**53
    return NDArray._adopt(cast_array(values, array_dtype(dtype)), ctx)


def linspace(
    start: float,
    stop: float,
    num: int,
    endpoint: bool = True,
    ctx: Context | None = None,
    dtype: Any = None,
) -> NDArray:
    """`num` numbers at equal distances from start to stop (without stop, if not `endpoint`); float32 by
    default."""
    values = np.linspace(start, stop, num, endpoint)
    return NDArray._adopt(cast_array(values, array_dtype(dtype)), ctx)


def eye(N: int, M: int = 0, k: int = 0, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An N x M matrix (square if M is 0) with ones on diagonal k; float32 by default."""
    return NDArray._adopt(np.eye(N, M or N, k, dtype=array_dtype(dtype)), ctx)
