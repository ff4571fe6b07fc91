"""ConvolutionParam and DeconvolutionParam: MXNet's parameter names, defaults and value grammar.

A value is turned into text as `str` does it, and the text is both read and kept (for JSON), as in MXNet. So a
tuple, a list, an int, a NumPy integer and any spelling of them as a string mean the same:

    shape   (3, 3)  [3, 3]  (3,3,)  (3L, 3L)  ( 3 , 3 )  ()  None; 3 or (3) is one entry, so kernel=3 is 1-D
    number  8  +8  08, blanks around allowed; never negative (MXNet wraps -1 to 4294967295)
    bool    True, False in any case, 1, 0; no blanks
    word    exactly as listed

Extensions that MXNet lacks: kernels of four and more entries; `pad` entries that are pairs (lo, hi), which
may differ and, like plain entries, be negative (crop); `target_shape` entries None or 0, unset on that axis
alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, cast

import numpy as np

from ..errors import MXNetError, ParamError
from .layouts import LAYOUT_WORDS, is_layout_name
from .refusal import refusal

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
P = TypeVar("P", bound="ConvParam")

INT64_MAX = 2**63 - 1


class NullType:
    """The mark of a parameter that was left out; such parameters are not recorded."""

    def __repr__(self) -> str:
        return "_Null"

    def __bool__(self) -> bool:
        return False


Null = NullType()


def attr_text(value: Any) -> str:
    """The text of a parameter's value, as MXNet writes it into JSON: `str(value)`, whatever NumPy's version.

    >>> attr_text((3, np.int64(3))), attr_text([1, 2]), attr_text(True), attr_text(None)
    ('(3, 3)', '[1, 2]', 'True', 'None')
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(_entry_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_entry_text, value))}]"
    return str(value)


def _entry_text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return attr_text(value)
    return str(value) if isinstance(value, np.integer) else repr(value)


# ---- the grammar: readers take text and return a value, or raise ValueError

_TOKEN = re.compile(r"\s*(?:(?P<open>[(\[])|(?P<close>[)\]])|(?P<comma>,)|(?P<int>[+-]?\d+)L?|(?P<none>None))", re.A)


def _read_nested(text: str, depth: int) -> Any:
    """Brackets (at most `depth` deep), commas, whole numbers and None, as nested tuples."""
    tokens: list[tuple[str, str]] = []
    rest = text.strip()
    while rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise ValueError(text)
        kind = str(match.lastgroup)
        tokens.append((kind, match[kind]))
        rest = rest[match.end() :]
    tokens.append(("end", ""))
    place = 0

    def take() -> tuple[str, str]:
        nonlocal place
        place += 1
        return tokens[place - 1]

    def value(level: int) -> Any:
        kind, word = take()
        if kind == "none":
            return None
        if kind == "int" and abs(int(word)) <= INT64_MAX:
            return int(word)
        if kind != "open" or level == 0:
            raise ValueError(text)
        entries: list[Any] = []
        while tokens[place][0] != "close":
            entries.append(value(level - 1))
            if tokens[place][0] == "comma":
                take()
            elif tokens[place][0] != "close":
                raise ValueError(text)
        take()
        return tuple(entries)

    result = value(depth)
    if take()[0] != "end":
        raise ValueError(text)
    return result


def _read_entries(text: str, depth: int = 1) -> tuple[Any, ...] | None:
    value = _read_nested(text, depth)
    return (value,) if isinstance(value, int) else value


def _read_shape(text: str) -> Ints | None:
    entries = _read_entries(text)
    if entries is not None and None in entries:
        raise ValueError(text)
    return entries


def _read_pads(text: str) -> Pairs | None:
    entries = _read_entries(text, depth=2)
    if entries is None:
        return None
    pairs = tuple(e if isinstance(e, tuple) else (e, e) for e in entries)
    if any(len(pair) != 2 or None in pair for pair in pairs):
        raise ValueError(text)
    return pairs


def _read_targets(text: str) -> tuple[int | None, ...]:
    return tuple(e or None for e in _read_entries(text) or ())


def _read_number(text: str, limit: int) -> int:
    if not re.fullmatch(r"\s*\+?\d+\s*", text, re.A) or int(text) > limit:
        raise ValueError(text)
    return int(text)


def _read_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _read_tune(text: str) -> str | None:
    return {"None": None, "fastest": "fastest", "limited_workspace": "limited_workspace", "off": "off"}[text]


def _read_layout(text: str) -> str | None:
    if text == "None":
        return None
    if not is_layout_name(text):
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type of value is read, what MXNet calls it, and what to write instead of a refused text."""

    words: str
    read: Callable[[str], Any]
    fix: str
    valid: str = ""


SHAPE = Kind(
    "Shape(tuple)",
    _read_shape,
    "Write a tuple with one whole number for each spatial axis, such as {name}=(1, 1).",
)
PADS = Kind(
    "Shape(tuple)",
    _read_pads,
    "Write a tuple with a whole number, or a pair (lo, hi), for each spatial axis, such as {name}=(1, 1).",
)
TARGETS = Kind(
    "Shape(tuple)",
    _read_targets,
    "Write a tuple with one whole number, or None, for each spatial axis, such as {name}=(32, 32).",
)
UINT = Kind(
    "int (non-negative)",
    lambda text: _read_number(text, 2**32 - 1),
    "Write a whole number from 0 to 4294967295, such as {name}=8.",
)
ULONG = Kind(
    "long (non-negative)",
    lambda text: _read_number(text, 2**64 - 1),
    "Write a whole number of megabytes, such as {name}=512.",
)
BOOL = Kind("boolean", _read_bool, "Write {name}=True or {name}=False.")
TUNE = Kind("word", _read_tune, "Write one of these words.", "{None, 'fastest', 'limited_workspace', 'off'}")
LAYOUT = Kind(
    "word",
    _read_layout,
    "Write one of these words; for four and more spatial axes 'NC' and a distinct capital letter for each axis, "
    "or 'N', the letters and 'C'.",
    "{None, " + ", ".join(f"'{word}'" for word in LAYOUT_WORDS) + "}",
)

KINDS: dict[str, Kind] = {
    "kernel": SHAPE,
    "stride": SHAPE,
    "dilate": SHAPE,
    "pad": PADS,
    "adj": SHAPE,
    "target_shape": TARGETS,
    "num_filter": UINT,
    "num_group": UINT,
    "workspace": ULONG,
    "no_bias": BOOL,
    "cudnn_tune": TUNE,
    "cudnn_off": BOOL,
    "layout": LAYOUT,
}
"""Every parameter of the two operators, in MXNet's order."""

REQUIRED = ("kernel", "num_filter")

_LENGTH_WORDS = {
    "stride": "Stride",
    "dilate": "Dilate",
    "pad": "Padding",
    "adj": "Adjustment",
    "target_shape": "Target shape",
}


def _read(name: str, text: str) -> Any:
    kind = KINDS[name]
    try:
        return kind.read(text)
    except (ValueError, KeyError):
        pass
    expected = kind.valid or kind.words
    why = f"Invalid Parameter format for {name} expect {kind.words} but value='{text}'"
    if kind.valid:
        why = f"Invalid Input: '{text}', valid values are: {kind.valid}"
    raise refusal(ParamError, name, repr(text), expected, why, fix=kind.fix.format(name=name))


# ---- the parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvParam:
    """What Convolution and Deconvolution share; every tuple has one entry for each spatial axis.

    Parameters are never made by hand: `parse` reads them, whatever their spelling, and fills in the defaults.
    """

    op: ClassVar[str]
    defaults: ClassVar[Mapping[str, str]]

    kernel: Ints
    stride: Ints
    dilate: Ints
    pad: Pairs
    """(lo, hi) of each axis."""
    num_filter: int
    num_group: int
    workspace: int
    no_bias: bool
    cudnn_tune: str | None
    cudnn_off: bool
    layout: str | None
    attrs: tuple[tuple[str, str], ...] = field(compare=False, repr=False)
    """The parameters that were given, each with its exact text."""

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    def text(self, name: str) -> str:
        """A parameter as it was given, or the text of its default."""
        return self.to_attrs().get(name) or self.defaults[name]

    def to_attrs(self) -> dict[str, str]:
        """What JSON keeps: the exact texts that were given, no defaults added; `parse` reads them back."""
        return dict(self.attrs)

    @classmethod
    def parse(cls: type[P], attrs: Mapping[str, Any]) -> P:
        """Read parameters of any accepted spelling; `__dunder__` keywords are ignored.

        Raises: ParamError, naming the parameter, what was got and what to write.

        >>> ConvolutionParam.parse({"kernel": "(3, 3)", "num_filter": 8, "pad": [1, 1]}).pad
        ((1, 1), (1, 1))
        """
        given = tuple((k, attr_text(v)) for k, v in attrs.items() if not (k.startswith("__") and k.endswith("__")))
        try:
            parsed: P = _parse(cast("Any", cls), given)
        except MXNetError as error:
            error.with_context(op=cls.op)
            raise
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionParam(ConvParam):
    """The parameters of one Convolution."""

    op: ClassVar[str] = "Convolution"
    defaults: ClassVar[Mapping[str, str]] = {
        "stride": "()",
        "dilate": "()",
        "pad": "()",
        "num_group": "1",
        "workspace": "1024",
        "no_bias": "False",
        "cudnn_tune": "None",
        "cudnn_off": "False",
        "layout": "None",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvolutionParam(ConvParam):
    """The parameters of one Deconvolution."""

    op: ClassVar[str] = "Deconvolution"
    defaults: ClassVar[Mapping[str, str]] = {
        **ConvolutionParam.defaults,
        "adj": "()",
        "target_shape": "()",
        "workspace": "512",
        "no_bias": "True",
    }

    adj: Ints
    target_shape: tuple[int | None, ...]
    """The extent to reach on each axis, or None where `pad` and `adj` apply."""


@lru_cache(maxsize=4096)
def _parse(cls: Any, given: tuple[tuple[str, str], ...]) -> Any:
    names = [name for name in KINDS if name in cls.defaults or name in REQUIRED]
    texts = dict(given)
    for name in texts:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            fix = f"Did you mean '{close[0]}'?" if close else f"Leave '{name}' out."
            why = f"Cannot find argument '{name}', Possible Arguments: {', '.join(names)}"
            raise refusal(ParamError, name, "no parameter", "one of MXNet's", why, fix=fix)
    for name in REQUIRED:
        if name not in texts:
            kind = KINDS[name]
            why = f"Required parameter {name} of {kind.words} is not presented"
            fix = f"Pass {name}=" + ("(3, 3), one entry for each spatial axis." if name == "kernel" else "8.")
            got = f"only {', '.join(texts)}" if texts else "nothing"
            raise refusal(ParamError, name, got, kind.words, why, fix=fix, verb="is missing, got")
    values = {name: _read(name, texts.get(name, cls.defaults.get(name, ""))) for name in names}
    for name in ("num_filter", "num_group"):
        if values[name] < 1:
            why = f"value {values[name]} for Parameter {name} should be greater equal to 1"
            raise refusal(ParamError, name, values[name], "at least 1", why, fix=f"Pass {name}=1 or more.")
    _fit_to_kernel(values, texts, cls.op)
    return cls(**values, attrs=given)


def _fit_to_kernel(values: dict[str, Any], texts: Mapping[str, str], op: str) -> None:
    """Fill empty shapes with their defaults, and refuse shapes whose length is not the kernel's."""
    kernel = values["kernel"]
    rank = -1 if kernel is None else len(kernel)
    if rank < 1:
        got, why = texts["kernel"], f"{rank}D {op.lower()} not supported"
        fix = "Pass kernel=(3,) for 1-D data, (3, 3) for 2-D data and so on."
        raise refusal(ParamError, "kernel", got, "one entry for each spatial axis", why, fix=fix)
    usual = {"stride": 1, "dilate": 1, "pad": (0, 0), "adj": 0, "target_shape": None}
    for name, default in usual.items():
        if name not in values:
            continue
        if values[name] == ():
            values[name] = (default,) * rank
        elif values[name] is None or len(values[name]) != rank:
            why = (
                f"{_LENGTH_WORDS[name]} must have the same number of dimensions with kernel_size, but kernel is "
                f"{texts['kernel']}"
            )
            fix = f"Give one entry for each spatial axis, or leave {name} out."
            raise refusal(ParamError, name, texts[name], _entries(rank), why, fix=fix)
    if any(target is not None and target < 0 for target in values.get("target_shape", ())):
        expected = "positive entries, or 0 or None on an axis without a target"
        fix = "Replace the negative entry."
        raise refusal(ParamError, "target_shape", texts["target_shape"], expected, fix=fix)


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"
