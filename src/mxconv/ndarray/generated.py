"""Functions of `mx.nd` that are made from the registry when they are first asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from ..ops.faces import all_inputs, dress
from ..ops.grammar import Null
from ..ops.registry import OPERATORS, OpSpec, lookup
from .functions import call, only
from .invoke import invoke

Function = Callable[..., Any]


def is_operator_name(name: str, *, internal: bool = False) -> bool:
    """Whether a module of functions may have that attribute: internal names start with one underscore."""
    return name.startswith("_") == internal and not name.startswith("__")


def names(*, internal: bool = False) -> list[str]:
    """The names of all operators, public or internal ones."""
    lookup("")  # so that all are registered
    return sorted(name for name in OPERATORS if is_operator_name(name, internal=internal))


def function_for(module: str, name: str, *, internal: bool = False) -> Function:
    """The function of the operator of that name, for a module's `__getattr__`.

    Raises: AttributeError, with a name that is close.
    """
    spec = lookup(name) if is_operator_name(name, internal=internal) else None
    if spec is None:
        close = difflib.get_close_matches(name, OPERATORS, n=1) if is_operator_name(name, internal=internal) else []
        hint = f". Did you mean '{close[0]}'?" if close else ""
        raise AttributeError(f"module '{module}' has no attribute '{name}'{hint}")
    if name not in _made:
        _made[name] = _make(spec, name)
    return _made[name]


_made: dict[str, Function] = {}


def _make(spec: OpSpec, name: str) -> Function:
    function = _variadic(spec) if spec.variadic else _fixed(spec)
    dress(
        function,
        spec,
        name,
        __package__,
        input_type="NDArray or numpy.ndarray",
        tail=_TAIL,
        returns="NDArray, or a list where there are several; `out` itself if given.",
    )
    return function


_TAIL = {
    "out": "NDArray, numpy.ndarray or list, optional\n"
    "    Where to write the result, of exactly its shape and dtype; it may overlap the inputs.",
    "name": "str, optional\n    Ignored, as in MXNet.",
}


def _variadic(spec: OpSpec) -> Function:
    def function(*data: Any, out: Any = None, name: str | None = None, **parameters: Any) -> Any:
        attributes = {key: value for key, value in parameters.items() if value is not Null}
        return only(invoke(spec, data, attributes, out), out)

    return function


def _fixed(spec: OpSpec) -> Function:
    inputs = all_inputs(spec)
    places = (*inputs, *spec.signature.fields)

    def function(*args: Any, out: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        if len(args) > len(places):
            raise TypeError(
                f"{spec.name}() takes from 0 to {len(places)} positional arguments but {len(args)} were given"
            )
        for key, value in zip(places, args, strict=False):
            if key in kwargs:
                raise TypeError(f"{spec.name}() got multiple values for argument '{key}'")
            kwargs[key] = value
        given = {key: kwargs.pop(key, None) for key in inputs}
        return call(spec, given, out, {}, kwargs)

    return function
