"""`mx.nd`: arrays and the functions on them.

What is not listed here is made from the registry of operators when it is first asked for.
"""

from __future__ import annotations

from typing import Any

from . import _internal as _internal
from . import generated, op, random
from .creation import arange, array, empty, eye, full, linspace, ones, ones_like, zeros, zeros_like
from .free_functions import (
    abs,
    argmax,
    argmin,
    broadcast_like,
    broadcast_to,
    clip,
    concat,
    concatenate,
    dot,
    exp,
    expand_dims,
    flatten,
    flip,
    log,
    max,
    mean,
    min,
    norm,
    prod,
    repeat,
    reshape,
    reshape_like,
    round,
    slice_axis,
    sqrt,
    square,
    squeeze,
    stack,
    sum,
    swapaxes,
    tile,
    to_dlpack_for_read,
    to_dlpack_for_write,
    transpose,
)
from .functions import Convolution, Deconvolution
from .ndarray import NDArray, waitall
from .params_file import load, load_frombuffer, save
from .sharing import from_dlpack, from_numpy

__all__ = [
    "Convolution",
    "Deconvolution",
    "NDArray",
    "abs",
    "arange",
    "argmax",
    "argmin",
    "array",
    "broadcast_like",
    "broadcast_to",
    "clip",
    "concat",
    "concatenate",
    "dot",
    "empty",
    "exp",
    "expand_dims",
    "eye",
    "flatten",
    "flip",
    "from_dlpack",
    "from_numpy",
    "full",
    "linspace",
    "load",
    "load_frombuffer",
    "log",
    "max",
    "mean",
    "min",
    "norm",
    "ones",
    "ones_like",
    "op",
    "prod",
    "random",
    "repeat",
    "reshape",
    "reshape_like",
    "round",
    "save",
    "slice_axis",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "sum",
    "swapaxes",
    "tile",
    "to_dlpack_for_read",
    "to_dlpack_for_write",
    "transpose",
    "waitall",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    return generated.function_for(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *generated.names()})
