"""Arithmetic and comparisons of NDArrays with each other and with scalars: which operator each spelling calls.

Arrays must have one dtype and broadcast as in NumPy; a scalar takes the array's dtype. Results keep that
dtype: integer division cuts towards zero, comparisons give 0 and 1, integer and real `x % 0` is 0. A bool
array counts as int64 beside a scalar. Where MXNet would cast the fraction of a scalar away before comparing
it with integers, the comparison here is exact; where it would kill the process (integer division by zero), it
is a ZeroDivisionError. What is computed is in `mxconv.ops.library.binary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DTypeError, ShapeError
from ..ops.casts import is_scalar, python_number
from .base import ArrayBase
from .invoke import apply, invoke

if TYPE_CHECKING:
    from typing_extensions import Self


class Spelling(NamedTuple):
    """The operators of one function of x and y: of two arrays alike, two that broadcast, x with a scalar, a scalar
    with y."""

    alike: str
    broadcast: str
    with_scalar: str
    of_scalar: str


def _spelling(name: str, alike: str = "", scalar: str = "", reflected: str = "") -> Spelling:
    scalar = scalar or f"_{name}_scalar"
    return Spelling(alike or f"_{name}", f"broadcast_{name}", scalar, reflected or scalar)


SPELLINGS = {
    "+": _spelling("add", "elemwise_add", "_plus_scalar"),
    "-": _spelling("sub", "elemwise_sub", "_minus_scalar", "_rminus_scalar"),
    "*": _spelling("mul", "elemwise_mul"),
    "/": _spelling("div", "elemwise_div", reflected="_rdiv_scalar"),
    "%": _spelling("mod", reflected="_rmod_scalar"),
    "**": _spelling("power", reflected="_rpower_scalar"),
    "==": _spelling("equal"),
    "!=": _spelling("not_equal"),
    "<": _spelling("lesser", reflected="_greater_scalar"),
    "<=": _spelling("lesser_equal", reflected="_greater_equal_scalar"),
    ">": _spelling("greater", reflected="_lesser_scalar"),
    ">=": _spelling("greater_equal", reflected="_lesser_equal_scalar"),
    **{name: _spelling(name) for name in ("maximum", "minimum", "logical_and", "logical_or", "logical_xor")},
}


def combine(symbol: str, x: Any, y: Any, out: Any = None) -> Any:
    """A function of two arrays, or of an array and a scalar.

    Raises: TypeError, if neither is an array, or one is neither array nor scalar (NumPy arrays included, as in MXNet);
    what the operators raise.
    """
    spelling = SPELLINGS[symbol]
    for one in (x, y):
        if not isinstance(one, ArrayBase) and not is_scalar(one):
            raise TypeError(f"{symbol}: type {type(one)} is not supported beside an NDArray; convert it with nd.array")
    if isinstance(x, ArrayBase) and isinstance(y, ArrayBase):
        op = spelling.alike if x._array.shape == y._array.shape else spelling.broadcast
        return invoke(op, [x, y], {}, out)[0]
    if isinstance(x, ArrayBase):
        return invoke(spelling.with_scalar, [x], {"scalar": python_number(y)}, out)[0]
    return invoke(spelling.of_scalar, [y], {"scalar": python_number(x)}, out)[0]


class ArithmeticMethods(ArrayBase):
    """The operators of NDArray."""

    __slots__ = ()
    __array_priority__ = 1000.0  # NumPy's operators leave mixed expressions to us

    def _with(self, symbol: str, other: Any) -> Self:
        result: Self = combine(symbol, self, other)
        return result

    def _reflected(self, symbol: str, other: Any) -> Self:
        result: Self = combine(symbol, other, self)
        return result

    def _in_place(self, symbol: str, other: Any) -> Self:
        try:
            combine(symbol, self, other, self)
        except (ShapeError, DTypeError) as error:
            if error.argument == "out":
                error.op, error.fix = f"{symbol}=", f"Write x = x {symbol} y, which makes a new array."
            raise
        return self

    def __add__(self, other: Any) -> Self:
        return self._with("+", other)

    def __sub__(self, other: Any) -> Self:
        return self._with("-", other)

    def __mul__(self, other: Any) -> Self:
        return self._with("*", other)

    def __truediv__(self, other: Any) -> Self:
        return self._with("/", other)

    def __mod__(self, other: Any) -> Self:
        return self._with("%", other)

    def __pow__(self, other: Any) -> Self:
        return self._with("**", other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Self:
        return self._reflected("-", other)

    def __rtruediv__(self, other: Any) -> Self:
        return self._reflected("/", other)

    def __rmod__(self, other: Any) -> Self:
        return self._reflected("%", other)

    def __rpow__(self, other: Any) -> Self:
        return self._reflected("**", other)

    def __iadd__(self, other: Any) -> Self:
        return self._in_place("+", other)

    def __isub__(self, other: Any) -> Self:
        return self._in_place("-", other)

    def __imul__(self, other: Any) -> Self:
        return self._in_place("*", other)

    def __itruediv__(self, other: Any) -> Self:
        return self._in_place("/", other)

    def __imod__(self, other: Any) -> Self:
        return self._in_place("%", other)

    def __ipow__(self, other: Any) -> Self:
        return self._in_place("**", other)

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]
        return self._with("==", other)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]
        return self._with("!=", other)

    def __lt__(self, other: Any) -> Self:
        return self._with("<", other)

    def __le__(self, other: Any) -> Self:
        return self._with("<=", other)

    def __gt__(self, other: Any) -> Self:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Self:
        return self._with(">=", other)

    def __hash__(self) -> int:
        return object.__hash__(self)  # by identity, as == gives arrays

    def __neg__(self) -> Self:
        return self._with("*", -1)

    def __abs__(self) -> Self:
        return apply("abs", self)
