"""MXNet's `mx.util`: whether 0 in a shape is a size (NumPy's meaning) or "unknown" (MXNet's old meaning).

The setting speaks to shape inference only; the arrays of `mx.nd` take 0 as a size always. It belongs to the
current thread or task.

>>> is_np_shape()
False
>>> with np_shape(True):
...     is_np_shape()
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_np_shape: ContextVar[bool] = ContextVar("mxconv_np_shape", default=False)


def is_np_shape() -> bool:
    """Whether 0 in a shape is a size now, and -1 the unknown."""
    return _np_shape.get()


def set_np_shape(active: bool) -> bool:
    """Set the meaning of 0 for the current thread or task from now on; returns the previous setting."""
    previous = _np_shape.get()
    _np_shape.set(bool(active))
    return previous


@contextmanager
def np_shape(active: bool = True) -> Iterator[None]:
    """Set the meaning of 0 within a `with` block, or, as a decorator `@np_shape(True)`, within a function."""
    token = _np_shape.set(bool(active))
    try:
        yield
    finally:
        _np_shape.reset(token)


def use_np_shape(function: Function) -> Function:
    """Decorator: 0 in a shape is a size while `function` runs."""
    return np_shape(True)(function)
