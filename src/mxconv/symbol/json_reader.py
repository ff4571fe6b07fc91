"""JSON read piece by piece: what stands in a text costs memory only where somebody asks for it.

`json.loads` makes an object of everything, thirty times what a hostile text takes. Here the caller walks over the text
and takes the strings that it wants; everything else is checked and passed over. UTF-8 is read as bytes, because one
rare character would make the text's string four times as large.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # since 2.6, without a stub
from types import NoneType

from ..errors import FormatError

DEEPEST = 16
"""Graphs have brackets five deep; recursion ends here."""
MOST_DIGITS = 18
LONGEST_WIDE = 2**16
"""Bytes of the longest string that is not plain ASCII: in memory it may take four times as much."""
LONGEST_SHOWN = 2**12
"""Bytes of the longest value that a message decodes."""
SHORT, MOST_SHARED = 64, 512
"""The strings that are kept once: how many bytes they have at most, and how many there are."""

_BLANKS = re.compile(rb"[ \t\n\r]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_CONSTANT = re.compile(rb"-?Infinity|NaN")
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_WIDE = re.compile(rb"[\x80-\xff]|\\u")
_CONTINUATION = bytes(range(0x80, 0xC0))
_KINDS = {b"{": dict, b"[": list, b'"': str}
_WORDS = {b"t": (b"true", bool), b"f": (b"false", bool), b"n": (b"null", NoneType)}


def encoded(text: str) -> bytes:
    """A text in UTF-8; halves of surrogate pairs count as characters."""
    return text.encode("utf-8", "surrogatepass")


def decoded(content: bytes | memoryview) -> str:
    """The text that was encoded."""
    return str(content, "utf-8", "surrogatepass")


def damaged(found: str, expected: str) -> FormatError:
    """The error for a symbol's JSON that is not as it should be."""
    return FormatError(
        f"{found}, expected {expected}", op="load_json", argument="json", got=found, expected=expected,
        fix="Take an undamaged copy of the file.",
    )  # fmt: skip


def no_json(why: str) -> FormatError:
    """The error for a text that no parser of JSON takes."""
    return damaged(f"the text is no JSON ({why})", "a complete symbol's JSON")


class JsonReader:
    """A place in a text. Every method may raise FormatError, for what is no JSON.

    >>> reader = JsonReader(b'{"a": [1, "x"], "b": "y"}')
    >>> [(key, reader.shown()) for key in reader.members()]
    [('a', "[1, 'x']"), ('b', "'y'")]
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0
        self._depth = 0
        self._shared: dict[bytes, str] = {}

    def kind(self) -> type:
        """The type of the value that follows, as `json` would make it."""
        mark = self._mark()
        if mark in _KINDS:
            return _KINDS[mark]
        if mark in _WORDS and self.content.startswith(_WORDS[mark][0], self.at):
            return _WORDS[mark][1]
        number = _NUMBER.match(self.content, self.at)
        if number is None:
            constant = _CONSTANT.match(self.content, self.at)
            raise no_json(f"{constant[0].decode()} is no JSON") if constant else self._wrong("Expecting value")
        return int if number.lastindex is None else float

    def members(self) -> Iterator[str]:
        """The keys of an object; the caller takes each value before it asks for the next key."""
        for _ in self._items(b"}"):
            if self._mark() != b'"':
                raise self._wrong("Expecting property name enclosed in double quotes")
            key = self.string(share=True)
            if self._mark() != b":":
                raise self._wrong("Expecting ':' delimiter")
            self.at += 1
            yield key

    def elements(self) -> Iterator[None]:
        """Stands before each value of an array in turn; the caller takes it."""
        return self._items(b"]")

    def string(self, *, share: bool = False) -> str:
        """A string; of those to share, short ones that are equal are one object."""
        begin = self.at + 1
        end = self._find_quote()
        if not share or end - begin > SHORT:
            return self._decode(begin, end)
        piece = self.content[begin:end]
        known = self._shared.get(piece)
        if known is None:
            known = self._decode(begin, end)
            if len(self._shared) < MOST_SHARED:
                self._shared[piece] = known
        return known

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """What follows as one pattern, passed over if it is there."""
        self._mark()
        found = pattern.match(self.content, self.at)
        if found:
            self.at = found.end()
        return found

    def skip(self) -> None:
        """Pass over a value, which is checked."""
        kind = self.kind()
        if kind is str:
            self._decode(self.at + 1, self._find_quote())
        elif kind is list:
            for _ in self.elements():
                self.skip()
        elif kind is dict:
            for _ in self.members():
                self.skip()
        elif kind in (bool, NoneType):
            self.at += len(_WORDS[self._mark()][0])
        else:
            begin, self.at = self.at, _NUMBER.match(self.content, self.at).end()  # type: ignore[union-attr]
            if kind is int and self.at - begin > MOST_DIGITS:
                raise no_json(f"a number of {self.at - begin} digits")

    def shown(self) -> str:
        """Pass over a value; how Python would write it, for a message, or how a long one begins."""
        self._mark()
        begin = self.at
        self.skip()
        if self.at - begin > LONGEST_SHOWN:
            return self.content[begin : begin + SHORT].decode(errors="replace")
        return repr(json.loads(decoded(self.content[begin : self.at]), strict=False))

    def finish(self) -> None:
        """Nothing follows."""
        if self._mark():
            raise self._wrong("Extra data")

    def _mark(self) -> bytes:
        """The character that follows the blanks here; b"" at the end."""
        mark = self.content[self.at : self.at + 1]
        if mark > b" " or not mark:
            return mark
        self.at = _BLANKS.match(self.content, self.at).end()  # type: ignore[union-attr]  # it always matches
        return self.content[self.at : self.at + 1]

    def _items(self, closing: bytes) -> Iterator[None]:
        self._depth += 1
        if self._depth > DEEPEST:
            raise damaged("the text is nested too deeply", "a symbol's JSON")
        self.at += 1
        if self._mark() != closing:
            while True:
                yield
                mark = self._mark()
                if mark == closing:
                    break
                if mark != b",":
                    raise self._wrong("Expecting ',' delimiter")
                self.at += 1
        self.at += 1
        self._depth -= 1

    def _find_quote(self) -> int:
        """Pass over a string; where it ends."""
        begin = end = self.at
        while True:
            found = _QUOTE_OR_ESCAPE.search(self.content, end + 1)
            if found is None:
                raise self._wrong("Unterminated string starting at", begin)
            end = found.start()
            if found[0] == b'"':
                self.at = end + 1
                return end
            end += 1

    def _decode(self, begin: int, end: int) -> str:
        """The string before the quotation mark at `end`."""
        content = memoryview(self.content)  # whose slices are no copies
        if end - begin > LONGEST_WIDE and _WIDE.search(content, begin, end):
            raise damaged(f"a string of {end - begin} bytes is there", "such long ones in plain ASCII")
        if self.content.find(b"\\", begin, end) < 0:
            return decoded(content[begin:end])
        text = decoded(content[begin : end + 1])
        try:
            return str(scanstring(text, 0, False)[0])
        except json.JSONDecodeError as error:
            raise self._wrong(error.msg, begin + len(encoded(text[: error.pos]))) from None

    def _wrong(self, what: str, at: int | None = None) -> FormatError:
        at = self.at if at is None else at
        line = self.content.count(b"\n", 0, at)
        column = self._characters(self.content.rfind(b"\n", 0, at) + 1, at)
        place = f"line {line + 1} column {column + 1} (char {self._characters(0, at)})"
        return no_json(f"{what}: {place}")

    def _characters(self, begin: int, end: int) -> int:
        """How many there are between two places, counted without a copy of all."""
        step = 2**16
        pieces = (self.content[at : min(at + step, end)] for at in range(begin, end, step))
        return sum(len(piece.translate(None, _CONTINUATION)) for piece in pieces)
