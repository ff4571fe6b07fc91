"""MXNet's Convolution and Deconvolution for today's Python, compiled for your CPU at run time.

>>> import mxconv as mx
>>> x = mx.nd.ones((1, 3, 8, 8))
>>> w = mx.nd.ones((4, 3, 3, 3))
>>> mx.nd.Convolution(x, w, no_bias=True, kernel=(3, 3), num_filter=4).shape
(1, 4, 6, 6)
"""

from __future__ import annotations

try:
    import llvmlite.binding

    del llvmlite
except (ImportError, OSError) as error:
    raise ImportError(
        f"mxconv needs llvmlite, which could not be imported ({error}). Install it with `pip install llvmlite`. "
        "It has wheels for Linux with glibc (x86-64, aarch64), Windows (x86-64) and macOS; it has none for musl "
        "(Alpine: use an image with glibc), for 32-bit Pythons, and since 0.46 for macOS on Intel "
        "(there: pip install 'llvmlite<=0.45.1')."
    ) from error

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import base, config, context, errors, ndarray, util
from . import ndarray as nd
from ._version import __version__
from .context import Context, cpu, cpu_pinned, current_context, gpu
from .errors import (
    DTypeError,
    FormatError,
    MXNetError,
    ParamError,
    ShapeError,
    UnsupportedError,
    WorkspaceError,
)

if TYPE_CHECKING:
    from . import attribute, autograd, executor, init, model, name, random, symbol, viz
    from . import init as initializer
    from . import symbol as sym
    from . import viz as visualization
    from .attribute import AttrScope

_LAZY = {
    "AttrScope": "attribute",
    "attribute": "",
    "autograd": "",
    "executor": "",
    "init": "",
    "initializer": "init",
    "model": "",
    "name": "",
    "random": "",
    "sym": "symbol",
    "symbol": "",
    "visualization": "viz",
    "viz": "",
}
"""What is imported when it is first asked for: the module that it is, or is in; "" where it has the same name."""

__all__ = [
    "AttrScope",
    "Context",
    "DTypeError",
    "FormatError",
    "MXNetError",
    "ParamError",
    "ShapeError",
    "UnsupportedError",
    "WorkspaceError",
    "__version__",
    "attribute",
    "autograd",
    "base",
    "config",
    "context",
    "cpu",
    "cpu_pinned",
    "current_context",
    "errors",
    "executor",
    "gpu",
    "init",
    "initializer",
    "model",
    "name",
    "nd",
    "ndarray",
    "random",
    "sym",
    "symbol",
    "util",
    "visualization",
    "viz",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mxconv' has no attribute {name!r}")
    module = import_module(f".{_LAZY[name] or name}", __name__)
    globals()[name] = found = getattr(module, name) if name == "AttrScope" else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
