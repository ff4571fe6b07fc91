"""Sums and other reductions of NDArrays, and element-wise mathematics.

Results keep the array's dtype (also argmax and argmin); a reduction over everything has shape (1,). Sums of
float16 and bfloat16 are accumulated in float32 and rounded once. Integers are exact modulo 2**bits; their
means, norms and roots are cut towards zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..dtypes import BFLOAT16
from ..errors import DTypeError, ParamError, ShapeError
from ..ops.casts import cast_array, cast_limit
from .base import BOOL, Array, ArrayBase

if TYPE_CHECKING:
    from typing_extensions import Self

Axis: TypeAlias = "int | Sequence[int] | None"
_HALVES = (np.dtype(np.float16), BFLOAT16)


def _working(array: Array, *, real: bool = False) -> Array:
    """The array in the type that it is computed in: float32 for 16-bit floats; if `real`, float64 for integers."""
    if array.dtype in _HALVES:
        return array.astype(np.float32)
    if real and array.dtype.kind in "biu":
        return array.astype(np.float64)
    return array


def round_away(x: Array) -> Array:
    """The nearest whole numbers, halves away from zero (NumPy and `rint` go to even)."""
    return np.asarray(np.where(np.abs(x - np.trunc(x)) == 0.5, np.trunc(x) + np.sign(x), np.rint(x)))


class ReductionMethods(ArrayBase):
    """The reductions and element-wise functions of NDArray."""

    __slots__ = ()

    def sum(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Sum over the axes (all by default; `exclude`: over all but those)."""
        return self._reduce("sum", np.sum, axis, keepdims, exclude)

    def prod(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Product over the axes."""
        return self._reduce("prod", np.prod, axis, keepdims, exclude)

    def mean(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Mean over the axes."""
        return self._reduce("mean", np.mean, axis, keepdims, exclude, real=True)

    def max(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Largest element over the axes."""
        return self._reduce("max", np.max, axis, keepdims, exclude)

    def min(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Smallest element over the axes."""
        return self._reduce("min", np.min, axis, keepdims, exclude)

    def norm(self, ord: int = 2, axis: Axis = None, keepdims: bool = False) -> Self:
        """The 2-norm (or with ord=1 the sum of magnitudes) over the axes, taken as one vector."""
        if ord not in (1, 2):
            raise ParamError(
                f"ord is {ord!r}, expected 1 or 2", op="norm", argument="ord", got=ord, expected=(1, 2),
                fix="Compute other norms with NumPy: np.linalg.norm(x.asnumpy(), ...).",
            )  # fmt: skip

        def norm(x: Array, axis: Any, keepdims: bool) -> Any:
            size = np.abs(x)
            return size.sum(axis=axis, keepdims=keepdims) if ord == 1 else np.sqrt(
                np.square(size).sum(axis=axis, keepdims=keepdims))  # fmt: skip

        return self._reduce("norm", norm, axis, keepdims, real=True)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Position of the first largest element, in the array's dtype (as in MXNet)."""
        return self._position("argmax", np.argmax, axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Position of the first smallest element, in the array's dtype (as in MXNet)."""
        return self._position("argmin", np.argmin, axis, keepdims)

    def _position(self, op: str, function: Callable[..., Any], axis: int | None, keepdims: bool) -> Self:
        if axis is not None and not isinstance(axis, int):
            raise ParamError(
                f"axis is {axis!r}, expected an int or None", op=op, argument="axis", got=axis,
                expected="int or None",
                fix="Reshape the array so that the axes to search are one.",
            )  # fmt: skip
        dtype = self._array.dtype
        result = self._reduce(op, function, axis, keepdims, index=True)
        if np.any(result._array.astype(dtype).astype(np.complex128) != result._array):
            raise DTypeError(
                f"a position is too large for {dtype}, in which {op} answers",
                op=op, argument="data", got=dtype, expected="a type that holds the position exactly",
                fix="Convert first, for example with .astype('float64').",
            )  # fmt: skip
        return self._result(result._array.astype(dtype))

    def _reduce(
        self,
        op: str,
        function: Callable[..., Any],
        axis: Axis,
        keepdims: bool,
        exclude: bool = False,
        *,
        real: bool = False,
        index: bool = False,
    ) -> Self:
        array = _working(self._array, real=real)
        axes = self._axes(op, axis, exclude)
        options: dict[str, Any] = {"axis": axes, "keepdims": bool(keepdims)}
        if index:
            options["axis"] = None if axis is None else axes[0]
        try:
            with np.errstate(all="ignore"):
                result = np.asarray(function(array, **options))
        except ValueError:
            raise ShapeError(
                f"an array of shape {self._array.shape} has no {op}: it is empty along axis {axes}",
                op=op, argument="data", got=self._array.shape, expected="at least one element",
                fix="Check the array's size first.",
            ) from None  # fmt: skip
        result = result if result.ndim else result.reshape(1)
        return self._result(result if index else cast_array(result, self._array.dtype))

    def _axes(self, op: str, axis: Axis, exclude: bool) -> tuple[int, ...]:
        ndim = self._array.ndim
        named = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        axes = tuple(one + ndim if one < 0 else one for one in named)
        if len(set(axes)) < len(axes) or not all(0 <= one < ndim for one in axes):
            raise ShapeError(
                f"axis {axis} does not fit an array of shape {self._array.shape}",
                op=op, argument="axis", got=axis, expected=f"different axes of a {ndim}-dimensional array",
                fix="Count axes from 0, or from -1 at the end.",
            )  # fmt: skip
        if exclude:
            return tuple(one for one in range(ndim) if one not in axes)
        return axes or tuple(range(ndim))

    def _map(self, function: Callable[[Array], Any]) -> Self:
        with np.errstate(all="ignore"):
            return self._result(cast_array(np.asarray(function(self._array)), self._array.dtype))

    def _real_map(self, function: Callable[[Array], Any]) -> Self:
        return self._map(lambda x: function(_working(x, real=True)))

    def abs(self) -> Self:
        """Magnitudes."""
        return self._map(np.abs)

    def square(self) -> Self:
        """Squares."""
        return self._map(lambda x: x * x)

    def sqrt(self) -> Self:
        """Square roots."""
        return self._real_map(np.sqrt)

    def exp(self) -> Self:
        """Exponentials."""
        return self._real_map(np.exp)

    def log(self) -> Self:
        """Natural logarithms."""
        return self._real_map(np.log)

    def round(self) -> Self:
        """The nearest whole numbers, halves away from zero."""
        return self._map(lambda x: x if x.dtype.kind in "biu" else round_away(_working(x)))

    def clip(self, a_min: float, a_max: float) -> Self:
        """Values limited to [a_min, a_max]; the limits take the array's dtype."""
        low, high = (cast_limit(limit, self._array.dtype) for limit in (a_min, a_max))
        return self._map(lambda x: np.minimum(np.maximum(x, low), high))

    def dot(self, other: ArrayBase) -> Self:
        """Product of our last axis with the other array's first one; shape (1,) for two vectors."""
        x, y = self._array, other._array
        if x.dtype != y.dtype or x.dtype == BOOL:
            raise DTypeError(
                f"the operands are {x.dtype} and {y.dtype}, expected one number type",
                op="dot", argument="other", got=y.dtype, expected=x.dtype,
                fix=f"Convert one of them, for example with .astype('{x.dtype}').",
            )  # fmt: skip
        if not x.ndim or not y.ndim or x.shape[-1] != y.shape[0]:
            raise ShapeError(
                f"shapes {x.shape} and {y.shape} do not fit: x's last size must be y's first",
                op="dot", argument="other", got=y.shape, expected=x.shape[-1:],
                fix="Transpose one of them.",
            )  # fmt: skip
        result = np.tensordot(_working(x), _working(y), 1)
        return self._result((result if result.ndim else result.reshape(1)).astype(x.dtype))
