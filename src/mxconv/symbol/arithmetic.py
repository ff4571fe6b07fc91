"""Operators between symbols, and between symbols and numbers: nodes, named as MXNet names them."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NotImplementedForSymbol
from ..ops.registry import lookup
from .base import SymbolBase
from .compose import create

if TYPE_CHECKING:
    from .symbol import Symbol

Method = Callable[[Any, Any], "Symbol"]


def _node(symbol: SymbolBase, op: str, hint: str, arguments: tuple[Any, ...], **parameters: Any) -> Symbol:
    spec = lookup(op)
    assert spec is not None, op
    return type(symbol)(create(spec, hint, arguments, parameters))  # type: ignore[return-value]


def is_number(value: Any) -> bool:
    """Whether a value can stand beside a symbol."""
    return isinstance(value, (Number, np.generic))


def with_scalar(symbol: SymbolBase, op: str, hint: str, value: Any) -> Symbol:
    """A node of an operator with one input and a number."""
    return _node(symbol, op, hint, (symbol,), scalar=value)


def with_symbol(left: SymbolBase, op: str, hint: str, right: SymbolBase) -> Symbol:
    """A node of an operator with two inputs."""
    return _node(left, op, hint, (left, right))


def _unsupported(value: Any) -> TypeError:
    return TypeError(f"type {type(value)} not supported, expected a Symbol or a number")


def _binary(op: str, hint: str, scalar_op: str, scalar_hint: str) -> Method:
    def method(self: SymbolBase, other: Any) -> Symbol:
        if isinstance(other, SymbolBase):
            return with_symbol(self, op, hint, other)
        if is_number(other):
            return with_scalar(self, scalar_op, scalar_hint, other)
        raise _unsupported(other)

    return method


def _reflected(scalar_op: str, scalar_hint: str) -> Method:
    def method(self: SymbolBase, other: Any) -> Symbol:
        if is_number(other):
            return with_scalar(self, scalar_op, scalar_hint, other)
        raise _unsupported(other)

    return method


def _comparison(op: str) -> Method:
    return _binary(op, op, f"{op}_scalar", f"{op}_scalar")


def _in_place(name: str, operator: str) -> Method:
    def method(self: SymbolBase, other: Any) -> Symbol:
        raise not_for_symbols(name, f' (namely operator "{operator}")')

    return method


def not_for_symbols(name: str, also: str = "") -> NotImplementedForSymbol:
    """The error of what only arrays can do."""
    return NotImplementedForSymbol(
        f"Function {name}{also} is not implemented for Symbol and only available in NDArray",
        op="Symbol", argument=name, got="a Symbol", expected="an NDArray",
        fix="Bind the symbol, run it and use its outputs.",
    )  # fmt: skip


class ArithmeticMethods(SymbolBase):
    """Shapes of two symbols must be equal; the broadcast_ operators are for others.

    == makes a node as well, so symbols cannot be hashed, and `bool` of one raises.
    """

    __slots__ = ()

    __array_ufunc__ = None  # so that NumPy's numbers leave the operators to us

    __add__ = __radd__ = _binary("elemwise_add", "_plus", "_plus_scalar", "_plusscalar")
    __sub__ = _binary("elemwise_sub", "_minus", "_minus_scalar", "_minusscalar")
    __rsub__ = _reflected("_rminus_scalar", "_rminusscalar")
    __mul__ = __rmul__ = _binary("elemwise_mul", "_mul", "_mul_scalar", "_mulscalar")
    __truediv__ = _binary("elemwise_div", "_div", "_div_scalar", "_divscalar")
    __rtruediv__ = _reflected("_rdiv_scalar", "_rdivscalar")
    __mod__ = _binary("_mod", "_mod", "_mod_scalar", "_modscalar")
    __rmod__ = _reflected("_rmod_scalar", "_rmodscalar")
    __pow__ = _binary("_power", "_power", "_power_scalar", "_powerscalar")
    __rpow__ = _reflected("_rpower_scalar", "_rpower_scalar")
    __eq__ = _comparison("_equal")  # type: ignore[assignment]
    __ne__ = _comparison("_not_equal")  # type: ignore[assignment]
    __gt__ = _comparison("_greater")
    __ge__ = _comparison("_greater_equal")
    __lt__ = _comparison("_lesser")
    __le__ = _comparison("_lesser_equal")
    __hash__ = None  # type: ignore[assignment]
    __iadd__ = _in_place("__iadd__", "+=")
    __isub__ = _in_place("__isub__", "-=")
    __imul__ = _in_place("__imul__", "*=")
    __itruediv__ = _in_place("__itruediv__", "/=")

    def __neg__(self) -> Symbol:
        return with_scalar(self, "_mul_scalar", "_mulscalar", -1.0)

    def __abs__(self) -> Symbol:
        return _node(self, "abs", "abs", (self,))

    def __bool__(self) -> bool:
        raise not_for_symbols("__bool__", ' (namely operator "bool")')
