"""Functions of `mx.nd` beside the operators: the methods of NDArray as functions, and joining arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from ..errors import DTypeError, ShapeError
from .ndarray import NDArray

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _function(
    method: Callable[Concatenate[NDArray, Arguments], Result],
) -> Callable[Concatenate[NDArray, Arguments], Result]:
    """`nd.name(data, ...)` for `data.name(...)`."""

    def call(data: NDArray, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        _check(method.__name__, data)
        return method(data, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call  # type: ignore[return-value]  # the first argument may also be named data


def _check(name: str, data: Any) -> None:
    if not isinstance(data, NDArray):
        raise TypeError(f"{name}: got {type(data)}, expected an NDArray; wrap the value with mx.nd.array")


abs = _function(NDArray.abs)
argmax = _function(NDArray.argmax)
argmin = _function(NDArray.argmin)
broadcast_like = _function(NDArray.broadcast_like)
broadcast_to = _function(NDArray.broadcast_to)
clip = _function(NDArray.clip)
dot = _function(NDArray.dot)
exp = _function(NDArray.exp)
expand_dims = _function(NDArray.expand_dims)
flatten = _function(NDArray.flatten)
flip = _function(NDArray.flip)
log = _function(NDArray.log)
max = _function(NDArray.max)
mean = _function(NDArray.mean)
min = _function(NDArray.min)
norm = _function(NDArray.norm)
prod = _function(NDArray.prod)
repeat = _function(NDArray.repeat)
reshape = _function(NDArray.reshape)
reshape_like = _function(NDArray.reshape_like)
round = _function(NDArray.round)
slice_axis = _function(NDArray.slice_axis)
sqrt = _function(NDArray.sqrt)
square = _function(NDArray.square)
squeeze = _function(NDArray.squeeze)
sum = _function(NDArray.sum)
swapaxes = _function(NDArray.swapaxes)
tile = _function(NDArray.tile)
to_dlpack_for_read = _function(NDArray.to_dlpack_for_read)
to_dlpack_for_write = _function(NDArray.to_dlpack_for_write)
transpose = _function(NDArray.transpose)


def concat(*data: NDArray, dim: int = 1) -> NDArray:
    """The arrays joined along an existing axis.

    Raises: TypeError; DTypeError, if the dtypes differ; ShapeError, if the other sizes differ.
    """
    return _join("concat", np.concatenate, data, dim)


def concatenate(arrays: Sequence[NDArray], axis: int = 0) -> NDArray:
    """The arrays of a list joined along an existing axis."""
    return _join("concatenate", np.concatenate, arrays, axis)


def stack(*data: NDArray, axis: int = 0) -> NDArray:
    """The arrays joined along a new axis."""
    return _join("stack", np.stack, data, axis)


def _join(op: str, function: Callable[..., Any], arrays: Sequence[NDArray], axis: int) -> NDArray:
    for one in arrays:
        _check(op, one)
    dtypes = {one._array.dtype.name for one in arrays}
    if len(dtypes) != 1:
        got = sorted(dtypes)
        raise DTypeError(
            f"the arrays have dtypes {got}, expected one",
            op=op, argument="data", got=got, expected="at least one array, all of one dtype",
            fix="Convert them with .astype(...) first.",
        )  # fmt: skip
    try:
        joined = function([one._array for one in arrays], axis)
    except ValueError as error:  # NumPy's AxisError is one, too
        shapes = [one.shape for one in arrays]
        raise ShapeError(
            f"arrays of shapes {shapes} cannot be joined along axis {axis} ({error})",
            op=op, argument="data", got=shapes, expected="equal sizes, except along the joined axis",
            fix="Reshape or slice them first.",
        ) from None  # fmt: skip
    return NDArray._adopt(joined, arrays[0].context)
