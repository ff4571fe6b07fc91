"""`mx.nd`: arrays and the functions on them.

Operators that are not listed here are made from the registry, and modules imported, when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from .sharing import from_dlpack, from_numpy

if TYPE_CHECKING:
    from . import _internal as _internal
    from . import op, random
    from .params_file import load, load_frombuffer, save

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
    if name in ("_internal", "op", "random"):
        return import_module(f".{name}", __name__)
    if name in ("load", "load_frombuffer", "save"):
        globals()[name] = found = getattr(import_module(".params_file", __name__), name)
        return found
    from .generated import function_for

    return function_for(__name__, name)


def __dir__() -> list[str]:
    from .generated import names

    return sorted({*globals(), *__all__, *names()})
