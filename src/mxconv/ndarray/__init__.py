"""`mx.nd`: arrays and the functions on them.

What is not listed here is made from the registry of operators when it is first asked for.
"""

from __future__ import annotations

from typing import Any

from . import _internal as _internal
from . import generated, op, random
from .creation import arange, array, empty, eye, full, linspace, ones, zeros
from .free_functions import (
    add,
    concatenate,
    divide,
    equal,
    greater,
    greater_equal,
    lesser,
    lesser_equal,
    logical_and,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    modulo,
    multiply,
    not_equal,
    power,
    subtract,
    to_dlpack_for_read,
    to_dlpack_for_write,
    true_divide,
)
from .functions import Convolution, Deconvolution
from .ndarray import NDArray, waitall
from .params_file import load, load_frombuffer, save
from .sharing import from_dlpack, from_numpy

__all__ = [
    "Convolution",
    "Deconvolution",
    "NDArray",
    "add",
    "arange",
    "array",
    "concatenate",
    "divide",
    "empty",
    "equal",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "greater",
    "greater_equal",
    "lesser",
    "lesser_equal",
    "linspace",
    "load",
    "load_frombuffer",
    "logical_and",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "modulo",
    "multiply",
    "not_equal",
    "ones",
    "op",
    "power",
    "random",
    "save",
    "subtract",
    "to_dlpack_for_read",
    "to_dlpack_for_write",
    "true_divide",
    "waitall",
    "zeros",
]


def __getattr__(name: str) -> Any:
    return generated.function_for(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *generated.names()})
