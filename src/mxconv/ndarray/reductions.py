"""The methods of NDArray that reduce it, or compute something of each of its elements: operators of the registry.

Results keep the array's dtype (also argmax and argmin); a reduction over everything has shape (1,). What is computed
is in `mxconv.ops.library`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from .base import ArrayBase
from .invoke import apply

if TYPE_CHECKING:
    from typing_extensions import Self

Axis: TypeAlias = "int | Sequence[int] | None"
A = TypeVar("A", bound=ArrayBase)


def _each(op: str) -> Callable[[A], A]:
    """A method that computes an operator without parameters."""

    def method(self: A) -> A:
        return apply(op, self)

    method.__name__ = method.__qualname__ = op
    method.__doc__ = f"`mx.nd.{op}` of this array."
    return method


class ReductionMethods(ArrayBase):
    """The reductions and element-wise functions of NDArray."""

    __slots__ = ()

    def sum(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Sum over the axes (all by default; `exclude`: over all but those)."""
        return apply("sum", self, axis=axis, keepdims=keepdims, exclude=exclude)

    def prod(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Product over the axes."""
        return apply("prod", self, axis=axis, keepdims=keepdims, exclude=exclude)

    def mean(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Mean over the axes."""
        return apply("mean", self, axis=axis, keepdims=keepdims, exclude=exclude)

    def max(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Largest element over the axes."""
        return apply("max", self, axis=axis, keepdims=keepdims, exclude=exclude)

    def min(self, axis: Axis = None, keepdims: bool = False, exclude: bool = False) -> Self:
        """Smallest element over the axes."""
        return apply("min", self, axis=axis, keepdims=keepdims, exclude=exclude)

    def norm(self, ord: int = 2, axis: Axis = None, keepdims: bool = False) -> Self:
        """The 2-norm (or with ord=1 the sum of magnitudes) over the axes, taken as one vector."""
        return apply("norm", self, ord=ord, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Position of the first largest element, in the array's dtype (as in MXNet)."""
        return apply("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Position of the first smallest element, in the array's dtype (as in MXNet)."""
        return apply("argmin", self, axis=axis, keepdims=keepdims)

    abs = _each("abs")
    sign = _each("sign")
    square = _each("square")
    sqrt = _each("sqrt")
    rsqrt = _each("rsqrt")
    cbrt = _each("cbrt")
    rcbrt = _each("rcbrt")
    reciprocal = _each("reciprocal")
    round = _each("round")
    rint = _each("rint")
    ceil = _each("ceil")
    floor = _each("floor")
    trunc = _each("trunc")
    fix = _each("fix")
    exp = _each("exp")
    expm1 = _each("expm1")
    log = _each("log")
    log2 = _each("log2")
    log10 = _each("log10")
    log1p = _each("log1p")
    sin = _each("sin")
    cos = _each("cos")
    tan = _each("tan")
    arcsin = _each("arcsin")
    arccos = _each("arccos")
    arctan = _each("arctan")
    degrees = _each("degrees")
    radians = _each("radians")
    sinh = _each("sinh")
    cosh = _each("cosh")
    tanh = _each("tanh")
    arcsinh = _each("arcsinh")
    arccosh = _each("arccosh")
    arctanh = _each("arctanh")
    relu = _each("relu")
    sigmoid = _each("sigmoid")
    zeros_like = _each("zeros_like")
    ones_like = _each("ones_like")

    def clip(self, a_min: float, a_max: float) -> Self:
        """Values limited to [a_min, a_max]; the limits take the array's dtype."""
        return apply("clip", self, a_min=a_min, a_max=a_max)

    def dot(self, other: ArrayBase, transpose_a: bool = False, transpose_b: bool = False) -> Self:
        """Product of our last axis with the other array's first one; shape (1,) for two vectors."""
        return apply("dot", self, other, transpose_a=transpose_a, transpose_b=transpose_b)

    def softmax(self, axis: int = -1) -> Self:
        """exp(x), divided by its sum along the axis."""
        return apply("softmax", self, axis=axis)

    def log_softmax(self, axis: int = -1) -> Self:
        """The logarithms of the softmax along the axis."""
        return apply("log_softmax", self, axis=axis)
