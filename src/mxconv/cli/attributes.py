"""What the command line's words mean: operator names, PARAM=VALUE, and shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ParamError
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
    raise ParamError(
        f"OP is {text!r}, expected one of {', '.join(OPERATOR_NAMES).lower()}",
        argument="OP",
        got=text,
        expected=OPERATOR_NAMES,
        fix="For example: mxconv apply convolution --help",
    )


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
            problem = f"{name} is given twice" if equals and name else f"got the word {text!r}"
            raise ParamError(
                f"{problem}, expected each parameter once as PARAM=VALUE",
                argument=name or text,
                got=text,
                expected="PARAM=VALUE",
                fix="For example: kernel=3,3 stride=2,2 no_bias=True",
            )
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
        raise ParamError(
            f"{option} is {text!r}, expected whole numbers separated by commas",
            argument=option,
            got=text,
            expected="N,C,H,W",
            fix=f"For example: {option} 1,3,224,224",
        )
    return tuple(int(word) for word in words)
