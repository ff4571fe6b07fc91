"""The functions of `mx.sym`: one for every operator, and a few written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from ..files import PathName
from ..ops.faces import dress
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

    dress(function, spec, name, "mxconv.symbol", input_type="Symbol, optional", tail=_TAIL, returns="Symbol")
    return function


_TAIL = {
    "name": "str, optional\n    The node's name; the default is the function's and a number.",
    "attr": "dict of str to str, optional\n    Attributes; they win over parameters of the same name.",
    "out": "optional\n    Ignored, as in MXNet.",
}


def load(fname: PathName) -> Symbol:
    """The symbol in a file that any version of MXNet since 0.8 wrote.

    Raises: FormatError, for a damaged file or an unknown operator, saying where; MXNetError, if there is no such file.
    """
    return Symbol(json_file.load(fname))


def load_json(json_str: str) -> Symbol:
    """The symbol in a text, as `load`."""
    return Symbol(json_file.load_json(json_str))


# ---- constants


def zeros(shape: Any, dtype: Any = None, **kwargs: Any) -> Symbol:
    """Zeros of a shape; float32 unless `dtype` says otherwise."""
    return _constant("_zeros", dtype, kwargs, shape=shape)


def ones(shape: Any, dtype: Any = None, **kwargs: Any) -> Symbol:
    """Ones of a shape, likewise."""
    return _constant("_ones", dtype, kwargs, shape=shape)


def full(shape: Any, val: float, dtype: Any = None, **kwargs: Any) -> Symbol:
    """One number in a whole shape, likewise."""
    return _constant("_full", dtype, kwargs, shape=shape, value=float(val))


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1.0,
    repeat: int = 1,
    infer_range: bool = False,
    name: str | None = None,
    dtype: Any = None,
) -> Symbol:
    """Numbers from `start` up to before `stop` (from 0 up to before `start`, if that is None), each `repeat` times."""
    parameters = {"start": start, "stop": stop, "step": step, "repeat": repeat, "infer_range": infer_range}
    return _constant("_arange", dtype, {"name": name}, **parameters)


def _constant(op: str, dtype: Any, more: dict[str, Any], **parameters: Any) -> Symbol:
    function = operator_function(op)
    assert function is not None, op
    return function(**parameters, dtype="float32" if dtype is None else dtype, **more)


# ---- arithmetic


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


def hypot(left: Any, right: Any) -> Any:
    """sqrt(left**2 + right**2), for symbols of one shape or numbers."""
    return _either(left, right, "_hypot", "_hypotscalar", "_hypotscalar", "_hypot_scalar", math.hypot)


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
