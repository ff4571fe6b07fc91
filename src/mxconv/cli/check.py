"""The largest error of a result, against float64, in windows of it: the corner where padding acts, the middle, the end.

A window of the result needs only the part of data that its halo reaches, so that a large photograph is checked in a
moment, and what is checked is the very result that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.problem import ConvProblem
from ..geometry import dilated_kernel, input_halo
from ..testing import reference

WINDOW = 64
"""The size of a window along each spatial axis."""

Array = NDArray[Any]
Span = tuple[int, int]


def largest_error(problem: ConvProblem, data: Array, weight: Array, output: Array) -> float:
    """The largest |output - float64| in all windows, for arrays in logical order (batch, channels, *spatial).

    `data` is x for a forward problem and y for a backward_data problem (the deconvolution's data).
    """
    return max(
        float(np.max(np.abs(output[_index(slice(*span) for span in window)] - expected), initial=0.0))
        for window, expected in _expected_windows(problem, data, weight, output.shape[2:])
    )


def _index(spatial: Iterable[slice]) -> Any:
    """The index of a part of the spatial axes, all of batch and channels."""
    return (Ellipsis, *spatial)


def _expected_windows(
    problem: ConvProblem, data: Array, weight: Array, extents: Sequence[int]
) -> Iterator[tuple[tuple[Span, ...], Array]]:
    of_result = _forward_window if problem.direction == "forward" else _backward_window
    for window in sorted(set(_windows(extents))):
        yield window, of_result(problem, data, weight, window)


def _windows(extents: Sequence[int]) -> Iterator[tuple[Span, ...]]:
    """The first, the middle and the last window; one that is everything, if the result is small."""
    for place in (0.0, 0.5, 1.0):
        starts = [int(place * max(0, extent - WINDOW)) for extent in extents]
        yield tuple((start, min(extent, start + WINDOW)) for start, extent in zip(starts, extents, strict=True))


def _forward_window(p: ConvProblem, x: Array, w: Array, window: Sequence[Span]) -> Array:
    spans, pad_lo, pad_hi = [], [], []
    for a, (first, stop) in enumerate(window):
        lo, hi = input_halo(first, stop, p.kernel[a], p.stride[a], p.dilation[a], p.pad_lo[a])
        inside = max(0, lo), max(max(0, lo), min(p.in_spatial[a], hi))
        spans.append(slice(*inside))
        pad_lo.append(inside[0] - lo)
        pad_hi.append(hi - inside[1])
    return reference.convolution(
        x[_index(spans)], w, stride=p.stride, dilation=p.dilation, pad_lo=pad_lo, pad_hi=pad_hi, groups=p.groups
    )


def _backward_window(p: ConvProblem, y: Array, w: Array, window: Sequence[Span]) -> Array:
    spans, pad_lo, pad_hi = [], [], []
    for a, (first, stop) in enumerate(window):
        reach = dilated_kernel(p.kernel[a], p.dilation[a]) - 1
        # every y sample that can reach the window; one that does not is dropped by the reference
        lo = max(0, (first + p.pad_lo[a] - reach) // p.stride[a])
        hi = max(lo, min(p.out_spatial[a], (stop - 1 + p.pad_lo[a]) // p.stride[a] + 1))
        spans.append(slice(lo, hi))
        pad_lo.append(p.pad_lo[a] + first - lo * p.stride[a])
        pad_hi.append(0)
    return reference.deconvolution(
        y[_index(spans)], w, stride=p.stride, dilation=p.dilation, pad_lo=pad_lo, pad_hi=pad_hi, groups=p.groups,
        out_spatial=[stop - first for first, stop in window],
    )  # fmt: skip
