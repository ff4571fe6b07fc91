"""`mx.sym`: graphs of operators. Every operator that is registered is a function here: `mx.sym.Convolution(...)`.

Inputs and parameters are taken by position or keyword, as in MXNet; so are `name`, `attr` (attributes) and `out`
(which means nothing). Inputs that are not given become variables, named after the node.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .functions import (
    arange,
    full,
    hypot,
    load,
    load_json,
    maximum,
    minimum,
    ones,
    operator_function,
    pow,
    power,
    zeros,
)
from .symbol import Group, Symbol, Variable

var = Variable
op = _internal = sys.modules[__name__]  # where MXNet keeps the functions

__all__ = [
    "Group",
    "Symbol",
    "Variable",
    "arange",
    "full",
    "hypot",
    "load",
    "load_json",
    "maximum",
    "minimum",
    "ones",
    "op",
    "pow",
    "power",
    "var",
    "zeros",
]


def __getattr__(name: str) -> Callable[..., Any]:
    function = None if name.startswith("__") else operator_function(name)
    if function is None:
        raise AttributeError(f"module 'mxconv.symbol' has no attribute {name!r}, and there is no operator of that name")
    return function


def __dir__() -> list[str]:
    from ..ops.registry import OPERATORS, lookup

    lookup("")  # has all of them registered
    return sorted({*globals(), *OPERATORS})
