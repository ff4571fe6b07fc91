"""Functions of `mx.nd` that are no operators: arithmetic of arrays and scalars by name, and more names for methods."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ops.casts import is_scalar, python_number
from .arithmetic import combine
from .invoke import invoke
from .ndarray import NDArray


def _function(name: str, symbol: str, plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`nd.name(lhs, rhs)` for `lhs symbol rhs`; of two numbers it is a number, as in MXNet."""

    def function(lhs: Any, rhs: Any) -> Any:
        if is_scalar(lhs) and is_scalar(rhs):
            return plain(python_number(lhs), python_number(rhs))
        return combine(symbol, lhs, rhs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"lhs {symbol} rhs, element by element, for arrays that broadcast and for numbers."
    return function


add = _function("add", "+", operator.add)
subtract = _function("subtract", "-", operator.sub)
multiply = _function("multiply", "*", operator.mul)
divide = _function("divide", "/", operator.truediv)
true_divide = _function("true_divide", "/", operator.truediv)
modulo = _function("modulo", "%", operator.mod)
power = _function("power", "**", operator.pow)
equal = _function("equal", "==", operator.eq)
not_equal = _function("not_equal", "!=", operator.ne)
greater = _function("greater", ">", operator.gt)
greater_equal = _function("greater_equal", ">=", operator.ge)
lesser = _function("lesser", "<", operator.lt)
lesser_equal = _function("lesser_equal", "<=", operator.le)
maximum = _function("maximum", "maximum", max)
minimum = _function("minimum", "minimum", min)
logical_and = _function("logical_and", "logical_and", np.logical_and)
logical_or = _function("logical_or", "logical_or", np.logical_or)
logical_xor = _function("logical_xor", "logical_xor", np.logical_xor)


def concatenate(arrays: Sequence[NDArray], axis: int = 0, always_copy: bool = True) -> NDArray:
    """The arrays of a list joined along an existing axis; always a copy."""
    result: NDArray = invoke("Concat", arrays, {"dim": axis})[0]
    return result


def to_dlpack_for_read(data: NDArray) -> Any:
    """A DLPack capsule upon the array's memory, to be read; see NDArray.to_dlpack_for_read."""
    return data.to_dlpack_for_read()


def to_dlpack_for_write(data: NDArray) -> Any:
    """A DLPack capsule upon the array's memory, to be written; see NDArray.to_dlpack_for_write."""
    return data.to_dlpack_for_write()
