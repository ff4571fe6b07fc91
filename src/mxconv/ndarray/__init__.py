"""`mx.nd`: arrays and the functions on them."""

from __future__ import annotations

from .creation import arange, array, empty, eye, full, linspace, ones, ones_like, zeros, zeros_like
from .functions import Convolution, Deconvolution
from .ndarray import NDArray, waitall

__all__ = [
    "Convolution",
    "Deconvolution",
    "NDArray",
    "arange",
    "array",
    "empty",
    "eye",
    "full",
    "linspace",
    "ones",
    "ones_like",
    "waitall",
    "zeros",
    "zeros_like",
]
