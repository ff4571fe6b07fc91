"""Windows that slide along one axis of an array: what they hold is folded into one value each, or spread back.

Folding axis by axis is the same as folding whole boxes, for sums and for maxima. Of equal maxima the first in each
axis is the first of the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..registry import Array


class Windows(NamedTuple):
    """`places` windows of `extent` samples, `stride` apart; the first begins `pad` before the axis does.

    Only samples that exist count.
    """

    axis: int
    extent: int
    stride: int
    pad: int
    places: int

    def starts(self) -> Array:
        """Where each window begins."""
        return np.arange(self.places) * self.stride - self.pad

    def taps(self, size: int) -> Iterator[tuple[Any, Any]]:
        """For each tap of a window: the windows where it lies on a sample, and these samples, as indices of arrays."""
        before = (slice(None),) * self.axis
        for tap in range(self.extent):
            shift = tap - self.pad
            first = max(0, -(shift // self.stride))
            last = min(self.places - 1, (size - 1 - shift) // self.stride)
            if first <= last:
                samples = slice(first * self.stride + shift, last * self.stride + shift + 1, self.stride)
                yield (*before, slice(first, last + 1)), (*before, samples)


def fold(x: Array, windows: Windows, function: Any, empty: Any) -> Array:
    """function.reduce, such as np.add's, over each window; `empty` is its neutral element."""
    axis = windows.axis
    if windows[1:] == (x.shape[axis], 1, 0, 1):
        return np.asarray(function.reduce(x, axis=axis, keepdims=True, initial=empty))
    result = np.full((*x.shape[:axis], windows.places, *x.shape[axis + 1 :]), empty, x.dtype)
    for where, samples in windows.taps(x.shape[axis]):
        function(result[where], x[samples], out=result[where])
    return result


def spread(values: Array, windows: Windows, size: int) -> Array:
    """Each sample's sum of the values of the windows that hold it: the adjoint of `fold` with sums."""
    axis = windows.axis
    result = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), values.dtype)
    for where, samples in windows.taps(size):
        result[samples] += values[where]
    return result


def _hits(x: Array, maxima: Array, windows: Windows, every: bool) -> Iterator[tuple[Any, Any, Array]]:
    """The taps, and where each holds its window's maximum; the first one only, unless `every`."""
    is_open = np.ones(maxima.shape, bool)
    for where, samples in windows.taps(x.shape[windows.axis]):
        hit = is_open[where] & (x[samples] == maxima[where])
        if not every:
            is_open[where] &= ~hit
        yield where, samples, hit


def _only(values: Array, hit: Array) -> Array:
    """The values where they hit, else 0: by masks of bits, seven times as fast as np.where for irregular hits."""
    if values.dtype.kind == "c":
        return np.where(hit, values, 0)
    bits = np.dtype(f"i{values.dtype.itemsize}")
    mask: Array = np.negative(hit, dtype=bits)
    mask &= values.view(bits)
    return mask.view(values.dtype)


def pick(values: Array, x: Array, maxima: Array, windows: Windows, every: bool) -> Array:
    """The values where x has its maxima, for each window."""
    result = np.zeros(maxima.shape, values.dtype)
    for where, samples, hit in _hits(x, maxima, windows, every):
        result[where] += _only(values[samples], hit)
    return result


def spread_to_maxima(values: Array, x: Array, maxima: Array, windows: Windows, every: bool) -> Array:
    """Each window's value given to the sample that is its maximum in x: the adjoint of `pick`."""
    result = np.zeros(x.shape, values.dtype)
    for where, samples, hit in _hits(x, maxima, windows, every):
        result[samples] += _only(values[where], hit)
    return result
