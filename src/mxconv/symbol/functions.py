"""The functions of `mx.sym`: one for every operator, and a few written by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..files import PathName
from ..ops.registry import lookup
from . import json_file
from .arithmetic import is_number, with_scalar, with_symbol
from .compose import create
from .symbol import Symbol


@cache
def operator_function(name: str) -> Callable[..., Symbol] | None:
    """The function that makes nodes of the operator of that name, or None."""
    spec = lookup(name)
    if spec is None:
        return None

    def function(*args: Any, **kwargs: Any) -> Symbol:
        return Symbol(create(spec, name, args, kwargs))

    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = "mxconv.symbol", spec.doc
    return function


def load(fname: PathName) -> Symbol:
    """The symbol in a file that any version of MXNet since 0.8 wrote.

    Raises: FormatError, for a damaged file or an unknown operator, saying where; MXNetError, if there is no such file.
    """
    return Symbol(json_file.load(fname))


def load_json(json_str: str) -> Symbol:
    """The symbol in a text, as `load`."""
    return Symbol(json_file.load_json(json_str))


def pow(base: Any, exp: Any) -> Any:
    """base ** exp, for symbols or numbers."""
    return _either(base, exp, "_power", "_powerscalar", "_rpowerscalar", "_rpower_scalar", lambda x, y: x**y)


def power(base: Any, exp: Any) -> Any:
    """base ** exp, for symbols or numbers."""
    return pow(base, exp)


def maximum(left: Any, right: Any) -> Any:
    """The larger of two, element by element; for symbols of one shape, or numbers."""
    return _either(left, right, "_maximum", "_maximumscalar", "_maximumscalar", "_maximum_scalar", max)


def minimum(left: Any, right: Any) -> Any:
    """The smaller of two, element by element; for symbols of one shape, or numbers."""
    return _either(left, right, "_minimum", "_minimumscalar", "_minimumscalar", "_minimum_scalar", min)


def _either(
    left: Any, right: Any, op: str, hint: str, reflected_hint: str, reflected_op: str, plain: Callable[[Any, Any], Any]
) -> Any:
    """A node for two symbols or for one and a number; the plain function for two numbers."""
    if isinstance(left, Symbol) and isinstance(right, Symbol):
        return with_symbol(left, op, op, right)
    if isinstance(left, Symbol) and is_number(right):
        return with_scalar(left, f"{op}_scalar", hint, right)
    if is_number(left) and isinstance(right, Symbol):
        return with_scalar(right, reflected_op, reflected_hint, left)
    if is_number(left) and is_number(right):
        return plain(left, right)
    raise TypeError(f"types ({type(left)}, {type(right)}) not supported, expected symbols or numbers")
