"""Gradients written as formulas: what a Term's operators make is calls to registered operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..registry import Step

Operand: TypeAlias = "Term | float | int | complex"


class Term:
    """An array of a step that is being differentiated.

    Terms may have any shapes that broadcast, and may stand beside numbers. `term.exp()` calls the operator `exp`.
    """

    __slots__ = ("step", "value")

    def __init__(self, step: Step[Any], value: Any) -> None:
        self.step, self.value = step, value

    def call(self, op: str, *others: Term, **attributes: Any) -> Term:
        """The registered operator on this term, and on others."""
        return Term(self.step, self.step.call(op, self.value, *(one.value for one in others), **attributes))

    def __getattr__(self, op: str) -> Callable[..., Term]:
        return lambda *others, **attributes: self.call(op, *others, **attributes)

    def _with(self, array_op: str, scalar_op: str, other: Operand) -> Term:
        if isinstance(other, Term):
            return self.call(array_op, other)
        return self.call(scalar_op, scalar=other)

    def __add__(self, other: Operand) -> Term:
        return self._with("broadcast_add", "_plus_scalar", other)

    def __sub__(self, other: Operand) -> Term:
        return self._with("broadcast_sub", "_minus_scalar", other)

    def __mul__(self, other: Operand) -> Term:
        return self._with("broadcast_mul", "_mul_scalar", other)

    def __truediv__(self, other: Operand) -> Term:
        return self._with("broadcast_div", "_div_scalar", other)

    def __pow__(self, other: Operand) -> Term:
        return self._with("broadcast_power", "_power_scalar", other)

    def __lt__(self, other: Operand) -> Term:
        return self._with("broadcast_lesser", "_lesser_scalar", other)

    def __le__(self, other: Operand) -> Term:
        return self._with("broadcast_lesser_equal", "_lesser_equal_scalar", other)

    def __gt__(self, other: Operand) -> Term:
        return self._with("broadcast_greater", "_greater_scalar", other)

    def __ge__(self, other: Operand) -> Term:
        return self._with("broadcast_greater_equal", "_greater_equal_scalar", other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: float) -> Term:
        return self.call("_rminus_scalar", scalar=other)

    def __rtruediv__(self, other: float) -> Term:
        return self.call("_rdiv_scalar", scalar=other)

    def __rpow__(self, other: float) -> Term:
        return self.call("_rpower_scalar", scalar=other)

    def __neg__(self) -> Term:
        return self.call("negative")
