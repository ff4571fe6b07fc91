"""How an operator looks as a function of `mx.nd` or `mx.sym`: its inputs, signature and documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import MXNetError
from .grammar import BOOL, Null
from .registry import OpSpec
from .signature import Field


def all_inputs(spec: OpSpec) -> tuple[str, ...]:
    """The inputs that an operator has for the parameters that ask for most of them.

    >>> from mxconv.ops import OPERATORS
    >>> all_inputs(OPERATORS["Deconvolution"])
    ('data', 'weight', 'bias')
    """
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


def dress(
    function: Callable[..., Any],
    spec: OpSpec,
    name: str,
    module: str,
    *,
    input_type: str,
    tail: Mapping[str, str],
    returns: str,
) -> None:
    """Give a generated function its name, signature and documentation.

    `tail` says what it takes after the inputs and parameters, each with its type and meaning.
    """
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__signature__ = _signature(spec, tail)  # type: ignore[attr-defined]
    function.__doc__ = _documentation(spec, name, input_type, tail, returns)


def _signature(spec: OpSpec, tail: Mapping[str, str]) -> inspect.Signature:
    kinds = inspect.Parameter
    kind = kinds.KEYWORD_ONLY if spec.variadic else kinds.POSITIONAL_OR_KEYWORD
    if spec.variadic:
        inputs = [kinds("data", kinds.VAR_POSITIONAL)]
    else:
        inputs = [kinds(key, kind, default=None) for key in all_inputs(spec)]
    fields = [kinds(key, kind, default=Null) for key in spec.signature.fields]
    last = [kinds(key, kind, default=None) for key in tail]
    return inspect.Signature([*inputs, *fields, *last, kinds("kwargs", kinds.VAR_KEYWORD)])


def _documentation(spec: OpSpec, name: str, input_type: str, tail: Mapping[str, str], returns: str) -> str:
    lines = [spec.doc.strip() or f"The operator {spec.name}.", ""]
    if name != spec.name:
        lines += [f"Another name of {spec.name}.", ""]
    lines += ["Parameters", "----------"]
    lines += [f"{key} : {input_type}" for key in (("*data",) if spec.variadic else all_inputs(spec))]
    for key, field in spec.signature.fields.items():
        kind = field.kind.valid or field.kind.words
        lines.append(f"{key} : {kind}, {'required' if field.default is None else f'default {field.default}'}")
    lines += [f"{key} : {text}" for key, text in tail.items()]
    return "\n".join([*lines, "", "Returns", "-------", returns])
