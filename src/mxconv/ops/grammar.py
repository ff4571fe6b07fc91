"""The text grammar of parameters: how a value becomes text, and how each kind of text is read.

A value is turned into text as `str` does it, and the text is both read and kept (for JSON), as in MXNet. So a
tuple, a list, an int, a NumPy integer and any spelling of them as a string mean the same:

    shape   (3, 3)  [3, 3]  (3,3,)  (3L, 3L)  ( 3 , 3 )  ()  None; 3 or (3) is one entry, so kernel=3 is 1-D
    number  8  +8  08, blanks around allowed; where only counts make sense never negative (MXNet wraps -1)
    float   whatever float() reads
    bool    True, False in any case, 1, 0; no blanks
    dtype   its name, such as float32; a NumPy type becomes its name
    word    exactly as listed
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import DTYPES
from .layouts import LAYOUT_WORDS, is_layout_name

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

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
        if all([type(entry) is int for entry in value]):
            return repr(tuple(value))
        return f"({', '.join(map(_entry_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_entry_text, value))}]"
    if isinstance(value, (type, np.dtype)):
        return str(np.dtype(value).name)
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


def _read_int(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?\d+\s*", text, re.A) or abs(int(text)) > INT64_MAX:
        raise ValueError(text)
    return int(text)


def _read_optional_int(text: str) -> int | None:
    return None if text.strip() == "None" else _read_int(text)


def _read_float(text: str) -> float:
    if "_" in text:  # Python's own separators are not MXNet's
        raise ValueError(text)
    return float(text)


def _read_scalar(text: str) -> int | float | complex:
    for reader in (_read_int, _read_float):
        with suppress(ValueError):
            return reader(text)
    return complex(text.replace("_", "?"))  # Python's own separators are not MXNet's


def _read_optional_float(text: str) -> float | None:
    return None if text.strip() == "None" else _read_float(text)


def _read_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _read_layout(text: str) -> str | None:
    if text == "None":
        return None
    if not is_layout_name(text):
        raise ValueError(text)
    return text


class Kind(NamedTuple):
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
AXES = Kind("Shape or None", _read_shape, "Write one axis or a tuple of axes, such as {name}=(0, 1), or None for all.")
ENDS = Kind("Shape(tuple)", _read_entries, "Write a tuple of whole numbers or None, such as {name}=(0, None).")
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
TEXT = Kind("string", str, "Write any text.")
BOOL = Kind("boolean", _read_bool, "Write {name}=True or {name}=False.")
OPTIONAL_BOOL = Kind(
    "boolean or None",
    lambda text: None if text == "None" else _read_bool(text),
    "Write {name}=True, {name}=False or {name}=None.",
)
INT = Kind("int", _read_int, "Write a whole number, such as {name}=1.")
OPTIONAL_INT = Kind("int or None", _read_optional_int, "Write a whole number, such as {name}=1, or None.")
FLOAT = Kind("float", _read_float, "Write a number, such as {name}=0.5.")
SCALAR = Kind("double", _read_scalar, "Write a number, such as {name}=2.")
OPTIONAL_FLOAT = Kind("float or None", _read_optional_float, "Write a number, such as {name}=0.5, or None.")
LAYOUT = Kind(
    "word",
    _read_layout,
    "Write one of these words; for four and more spatial axes 'NC' and a distinct capital letter for each axis, "
    "or 'N', the letters and 'C'.",
    "{None, " + ", ".join(f"'{word}'" for word in LAYOUT_WORDS) + "}",
)


def word(*words: str | None) -> Kind:
    """One of these words, exactly; None among them allows None.

    >>> word(None, "fastest").valid
    "{None, 'fastest'}"
    """
    table = {str(one): one for one in words}
    return Kind("word", table.__getitem__, "Write one of these words.", f"{{{', '.join(map(repr, words))}}}")


def dtype_word(*more: None) -> Kind:
    """The name of a data type that arrays can have, read as the NumPy dtype.

    >>> dtype_word().read("float16")
    dtype('float16')
    """
    names = {name: known.numpy for name, known in DTYPES.items()} | {"bool": np.dtype(np.bool_)}
    table = names | {str(one): one for one in more}
    return Kind("word", table.__getitem__, "Write one of these words.", f"{{{', '.join(map(repr, (*more, *names)))}}}")
