"""Signature: the parameters of one operator, and how attributes of any spelling become their values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import MXNetError, ParamError
from .grammar import Kind, attr_text
from .refusal import refusal


class Field(NamedTuple):
    """One parameter: what it is read as, the text of its default (None: it is required), what else holds for it."""

    kind: Kind
    default: str | None = None
    least: float | None = None
    example: str = ""


class Values:
    """The parameters of one call, each an attribute; `attrs` are the texts that were given. Not to be changed."""

    def __init__(self, attrs: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> None:
        self.attrs = attrs
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:  # for the type checker; what exists is found before this is called
        raise AttributeError(f"there is no parameter {name}, only {', '.join(self.__dict__)}")


class Signature:
    """The parameters of an operator in MXNet's order.

    >>> from mxconv.ops.grammar import FLOAT
    >>> Signature("LRN", alpha=Field(FLOAT, "0.0001")).parse({"alpha": "1e-3"}).alpha
    0.001
    """

    def __init__(self, op: str, **fields: Field) -> None:
        self.op = op
        self.fields = fields
        self._parsed = lru_cache(maxsize=1024)(lambda given: Values(given, self.read(dict(given))))

    def parse(self, attrs: Mapping[str, Any]) -> Values:
        """The values of attributes in any accepted spelling; `__dunder__` attributes are ignored.

        Raises: ParamError, naming the parameter, what was got and what to write.
        """
        try:
            return self._parsed(given_texts(attrs))
        except MXNetError as error:
            error.with_context(op=self.op)
            raise

    def read(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The value of every parameter from the texts of those that were given.

        Raises: ParamError.
        """
        self._check_names(texts)
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            text = texts.get(name, field.default)
            if text is None:
                raise self._missing(name, texts)
            value = values[name] = _read(name, field.kind, text)
            if field.least is not None and value is not None and value < field.least:
                why = f"value {value} for Parameter {name} should be greater equal to {field.least}"
                fix = f"Pass {name}={field.least} or more."
                raise refusal(ParamError, name, value, f"at least {field.least}", why, fix=fix)
        return values

    def _check_names(self, given: Iterable[str]) -> None:
        for name in given:
            if name not in self.fields:
                close = difflib.get_close_matches(name, self.fields, n=1)
                fix = f"Did you mean '{close[0]}'?" if close else f"Leave '{name}' out."
                why = f"Cannot find argument '{name}', Possible Arguments: {', '.join(self.fields)}"
                raise refusal(ParamError, name, "no parameter", "one of MXNet's", why, fix=fix)

    def _missing(self, name: str, texts: Mapping[str, str]) -> ParamError:
        field = self.fields[name]
        why = f"Required parameter {name} of {field.kind.words} is not presented"
        fix = f"Pass {name}={field.example}." if field.example else f"Pass {name}."
        got = f"only {', '.join(texts)}" if texts else "nothing"
        return refusal(ParamError, name, got, field.kind.words, why, fix=fix, verb="is missing, got")


def given_texts(attrs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The parameters among attributes, each with the text of its value."""
    return tuple((k, attr_text(v)) for k, v in attrs.items() if not (k.startswith("__") and k.endswith("__")))


def _read(name: str, kind: Kind, text: str) -> Any:
    try:
        return kind.read(text)
    except (ValueError, KeyError):
        pass
    expected = kind.valid or kind.words
    why = f"Invalid Parameter format for {name} expect {kind.words} but value='{text}'"
    if kind.valid:
        why = f"Invalid Input: '{text}', valid values are: {kind.valid}"
    raise refusal(ParamError, name, repr(text), expected, why, fix=kind.fix.format(name=name))
