"""What the command line's words mean: operator names, PARAM=VALUE, and shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ParamError
from ..ops.refusal import refusal
from ..ops.registry import OPERATORS, OpSpec

OPERATOR_NAMES = ("Convolution", "Deconvolution")

_BARE_LIST = re.compile(r"[-+\s\d]+(,[-+\s\d]*)+")


def find_operator(text: str) -> OpSpec:
    """The operator of that name, in capital letters or not.

    Raises: ParamError, if there is none.
    """
    for name in OPERATOR_NAMES:
        if text.lower() == name.lower():
            return OPERATORS[name]
    fix = "Write it out, in capital letters or not."
    raise refusal(ParamError, "OP", repr(text), f"one of {', '.join(OPERATOR_NAMES).lower()}", fix=fix)


def parse_assignments(texts: Sequence[str]) -> dict[str, str]:
    """PARAM=VALUE words as a dictionary; 3,3 is accepted for (3,3), which a shell would want quoted.

    Raises: ParamError, for a word without = or a parameter that is given twice.

    >>> parse_assignments(["kernel=3,3", "no_bias=True"])
    {'kernel': '(3,3)', 'no_bias': 'True'}
    """
    attributes: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or name in attributes:
            got = "given twice" if equals and name else "a lonely word"
            fix = "For example: kernel=3,3 stride=2,2 no_bias=True"
            raise refusal(ParamError, name or text, got, "each parameter once, as PARAM=VALUE", fix=fix)
        attributes[name] = f"({value})" if _BARE_LIST.fullmatch(value) else value
    return attributes


def parse_shape(option: str, text: str) -> tuple[int, ...]:
    """A shape such as 1,3,224,224, with or without brackets.

    Raises: ParamError, if it is none.

    >>> parse_shape("--data", "(1, 3, 8)")
    (1, 3, 8)
    """
    words = text.strip().removeprefix("(").removesuffix(")").removesuffix(",").split(",")
    if not all(re.fullmatch(r"\d{1,18}", word.strip()) for word in words):
        fix = f"For example: {option} 1,3,224,224"
        raise refusal(ParamError, option, repr(text), "whole numbers separated by commas", fix=fix)
    return tuple(int(word) for word in words)
