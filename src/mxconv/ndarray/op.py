"""`mx.nd.op`: every operator as a function, each made when it is first asked for."""

from __future__ import annotations

from typing import Any

from . import generated
from .functions import Convolution, Deconvolution

__all__ = ["Convolution", "Deconvolution"]


def __getattr__(name: str) -> Any:
    return generated.function_for(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *generated.names()})
