"""The one sentence of every refusal in `ops`: *argument is got, expected expected: why. How to mend it.*"""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import MXNetError

E = TypeVar("E", bound=MXNetError)


def refusal(
    error: type[E],
    argument: str,
    got: Any,
    expected: Any,
    why: str = "",
    *,
    fix: str,
    op: str = "",
    verb: str = "is",
) -> E:
    """The error to raise, whose text says all of its parts.

    >>> from mxconv.errors import ParamError
    >>> print(refusal(ParamError, "pad", "(1,)", "2 entries", fix="Pass pad=(1, 1).", op="Convolution"))
    Convolution: pad is (1,), expected 2 entries. Pass pad=(1, 1).
    """
    message = f"{argument} {verb} {got}, expected {expected}" + (f": {why}" if why else "")
    return error(message, op=op, argument=argument, got=got, expected=expected, fix=fix)


def spell_shape(shape: tuple[int | None, ...]) -> str:
    """A shape as text, with ? for an extent that is not known.

    >>> spell_shape((2, None, 5)), spell_shape((8,))
    ('(2, ?, 5)', '(8,)')
    """
    entries = ["?" if n is None else str(n) for n in shape]
    return f"({', '.join(entries)}{',' if len(entries) == 1 else ''})"
