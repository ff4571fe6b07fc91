"""Functions of `mx.nd` that are made from the registry when they are first asked for."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import MXNetError
from ..ops.grammar import BOOL, Null
from ..ops.registry import OPERATORS, OpSpec, lookup
from ..ops.signature import Field
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
    function.__name__ = function.__qualname__ = name
    function.__module__ = __package__
    function.__doc__ = _doc(spec, name)
    return function


def _variadic(spec: OpSpec) -> Function:
    def function(*data: Any, out: Any = None, name: str | None = None, **parameters: Any) -> Any:
        attributes = {key: value for key, value in parameters.items() if value is not Null}
        return only(invoke(spec, data, attributes, out), out)

    kinds = inspect.Parameter
    fields = [kinds(key, kinds.KEYWORD_ONLY, default=Null) for key in spec.signature.fields]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds("data", kinds.VAR_POSITIONAL), *fields, *_tail(kinds.KEYWORD_ONLY)]
    )
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

    kinds = inspect.Parameter
    arrays = [kinds(key, kinds.POSITIONAL_OR_KEYWORD, default=None) for key in inputs]
    fields = [kinds(key, kinds.POSITIONAL_OR_KEYWORD, default=Null) for key in spec.signature.fields]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*arrays, *fields, *_tail(kinds.POSITIONAL_OR_KEYWORD)]
    )
    return function


def _tail(kind: Any) -> list[inspect.Parameter]:
    last = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    return [*(inspect.Parameter(key, kind, default=None) for key in ("out", "name")), last]


def all_inputs(spec: OpSpec) -> tuple[str, ...]:
    """The inputs that an operator has for the parameters that ask for most of them."""
    fields = spec.signature.fields
    least = {key: _words(field)[0] for key, field in fields.items() if field.default is None}
    most: tuple[str, ...] = ()
    for change in _changes(fields):
        try:
            found = spec.input_names(spec.parse({**least, **change}))
        except MXNetError:  # parameters that do not go together
            continue
        most = max(most, found, key=len)
    return most


def _changes(fields: dict[str, Field]) -> Iterator[dict[str, str]]:
    """Nothing, and every word or truth value of every parameter on its own."""
    yield {}
    for key, field in fields.items():
        for text in _words(field):
            yield {key: text}


def _words(field: Field) -> list[str]:
    """Texts that a parameter accepts."""
    found = re.findall(r"'([^']*)'", field.kind.valid)
    return found or (["False", "True"] if field.kind is BOOL else ["1"])


def _doc(spec: OpSpec, name: str) -> str:
    """The operator's documentation and a line for each parameter."""
    lines = [spec.doc.strip() or f"The operator {spec.name}.", ""]
    if name != spec.name:
        lines += [f"Another name of {spec.name}.", ""]
    lines += ["Parameters", "----------"]
    if spec.variadic:
        lines.append("*data : NDArray or numpy.ndarray")
    else:
        lines += [f"{key} : NDArray or numpy.ndarray" for key in all_inputs(spec)]
    for key, field in spec.signature.fields.items():
        kind = field.kind.valid or field.kind.words
        lines.append(f"{key} : {kind}, {'required' if field.default is None else f'default {field.default}'}")
    lines += [
        "out : NDArray, numpy.ndarray or list, optional",
        "    Where to write the result, of exactly its shape and dtype; it may overlap the inputs.",
        "name : str, optional",
        "    Ignored, as in MXNet.",
        "",
        "Returns",
        "-------",
        "NDArray, or a list where there are several; `out` itself if given.",
    ]
    return "\n".join(lines)
