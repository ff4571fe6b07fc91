"""Arithmetic and comparisons of NDArrays with each other and with scalars.

Arrays must have one dtype and broadcast as in NumPy; a scalar takes the array's dtype. Results keep that
dtype: integer division cuts towards zero, comparisons give 0 and 1, integer and real `x % 0` is 0. A bool
array counts as int64 beside a scalar. Where MXNet would cast the fraction of a scalar away before comparing
it with integers, the comparison here is exact; where it would kill the process (integer division by zero), it
is a ZeroDivisionError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ops.casts import cast_scalar, is_scalar, python_number
from .base import BOOL, Array, ArrayBase

if TYPE_CHECKING:
    from typing_extensions import Self

Function: TypeAlias = Callable[[Array, Array], Array]


def true_divide(x: Array, y: Array) -> Array:
    """x / y; integers are cut towards zero."""
    if x.dtype.kind not in "iu":
        return np.asarray(np.true_divide(x, y))
    if not np.all(y):
        raise ZeroDivisionError("division of an integer NDArray by zero")
    quotient = np.asarray(np.floor_divide(x, y))
    return np.asarray(quotient + (quotient < 0) * (quotient * y != x))  # from floor to truncation


def modulo(x: Array, y: Array) -> Array:
    """x modulo y with the sign of y; 0 where y is 0."""
    zero = y == 0
    return np.where(zero, x.dtype.type(0), np.mod(x, np.where(zero, x.dtype.type(1), y)))


def power(x: Array, y: Array) -> Array:
    """x to the power of y; for integers with y < 0 the real result cut towards zero (0 for x = 0)."""
    if x.dtype.kind != "i":
        return np.asarray(np.power(x, y))
    negative = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y & 1), 0))
    return np.where(y < 0, negative, np.power(x, np.maximum(y, 0)))


def _pair(x: ArrayBase, other: Any, name: str, *, exact: bool = False) -> tuple[Array, Array]:
    """The two NumPy operands of an operation of `x` with an array or a scalar.

    Raises: TypeError, if `other` is neither (NumPy arrays included, as in MXNet); DTypeError, ShapeError.
    """
    left = x._array
    if isinstance(other, ArrayBase):
        right = other._array
        if right.dtype != left.dtype:
            raise DTypeError(
                f"the operands are {left.dtype} and {right.dtype}, expected one dtype",
                op=name, argument="other", got=right.dtype, expected=left.dtype,
                fix=f"Convert one of them, for example with .astype('{left.dtype}').",
            )  # fmt: skip
        if left.dtype == BOOL and not exact:
            raise DTypeError(
                "the operands are bool, expected numbers",
                op=name, argument="other", got=BOOL, expected="a number type",
                fix="Convert them, for example with .astype('int32').",
            )  # fmt: skip
        try:
            np.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            raise ShapeError(
                f"the operands have shapes {left.shape} and {right.shape}, which do not broadcast",
                op=name, argument="other", got=right.shape, expected=left.shape,
                fix="Make the sizes equal, or 1, counted from the last axis.",
            ) from None  # fmt: skip
        return left, right
    if not is_scalar(other):
        raise TypeError(f"{name}: type {type(other)} is not supported beside an NDArray; convert it with nd.array")
    if left.dtype == BOOL:
        left = left.astype(np.int64)
    number = python_number(other)
    if exact and left.dtype.kind in "iu" and isinstance(number, (int, float)):
        # NumPy compares integers with any Python number exactly.
        return left, number  # type: ignore[return-value]
    return left, cast_scalar(number, left.dtype)


def _compute(function: Function, x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):
        return function(x, y)


class ArithmeticMethods(ArrayBase):
    """The operators of NDArray."""

    __slots__ = ()
    __array_priority__ = 1000.0  # NumPy's operators leave mixed expressions to us

    def _binary(self, function: Function, other: Any, name: str) -> Self:
        left, right = _pair(self, other, name)
        return self._result(_compute(function, left, right).astype(left.dtype, copy=False))

    def _reflected(self, function: Function, other: Any, name: str) -> Self:
        left, right = _pair(self, other, name)
        return self._result(_compute(function, right, left).astype(left.dtype, copy=False))

    def _in_place(self, function: Function, other: Any, name: str) -> Self:
        left, right = _pair(self, other, name)
        if left.dtype != self._array.dtype:  # bool beside a scalar
            raise DTypeError(
                f"the result would be {left.dtype}, expected {self._array.dtype}",
                op=name, argument="other", got=left.dtype, expected=self._array.dtype,
                fix=f"Write x = x {name[:-1]} y, which makes a new array.",
            )  # fmt: skip
        result = _compute(function, left, right)
        if result.shape != left.shape:
            raise ShapeError(
                f"the result would have shape {result.shape}, expected {left.shape}",
                op=name, argument="other", got=result.shape, expected=left.shape,
                fix=f"Write x = x {name[:-1]} y, which makes a new array.",
            )  # fmt: skip
        with self.writing() as memory:
            memory[...] = result
        return self

    def _compare(self, function: Function, other: Any, name: str) -> Self:
        left, right = _pair(self, other, name, exact=True)
        return self._result(_compute(function, left, right).astype(self._array.dtype))

    def __add__(self, other: Any) -> Self:
        return self._binary(np.add, other, "+")

    def __sub__(self, other: Any) -> Self:
        return self._binary(np.subtract, other, "-")

    def __mul__(self, other: Any) -> Self:
        return self._binary(np.multiply, other, "*")

    def __truediv__(self, other: Any) -> Self:
        return self._binary(true_divide, other, "/")

    def __mod__(self, other: Any) -> Self:
        return self._binary(modulo, other, "%")

    def __pow__(self, other: Any) -> Self:
        return self._binary(power, other, "**")

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Self:
        return self._reflected(np.subtract, other, "-")

    def __rtruediv__(self, other: Any) -> Self:
        return self._reflected(true_divide, other, "/")

    def __rmod__(self, other: Any) -> Self:
        return self._reflected(modulo, other, "%")

    def __rpow__(self, other: Any) -> Self:
        return self._reflected(power, other, "**")

    def __iadd__(self, other: Any) -> Self:
        return self._in_place(np.add, other, "+=")

    def __isub__(self, other: Any) -> Self:
        return self._in_place(np.subtract, other, "-=")

    def __imul__(self, other: Any) -> Self:
        return self._in_place(np.multiply, other, "*=")

    def __itruediv__(self, other: Any) -> Self:
        return self._in_place(true_divide, other, "/=")

    def __imod__(self, other: Any) -> Self:
        return self._in_place(modulo, other, "%=")

    def __ipow__(self, other: Any) -> Self:
        return self._in_place(power, other, "**=")

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]
        return self._compare(np.equal, other, "==")

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]
        return self._compare(np.not_equal, other, "!=")

    def __lt__(self, other: Any) -> Self:
        return self._compare(np.less, other, "<")

    def __le__(self, other: Any) -> Self:
        return self._compare(np.less_equal, other, "<=")

    def __gt__(self, other: Any) -> Self:
        return self._compare(np.greater, other, ">")

    def __ge__(self, other: Any) -> Self:
        return self._compare(np.greater_equal, other, ">=")

    def __hash__(self) -> int:
        return object.__hash__(self)  # by identity, as == gives arrays

    def __neg__(self) -> Self:
        return self * -1

    def __abs__(self) -> Self:
        return self._result(np.abs(self._array))
