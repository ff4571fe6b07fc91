"""Which products of a correlation read padding, and what is left of them where tiles of pixels leave these out."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from ... import geometry
from ..problem import Ints
from .correlation import Roles

MOST_TAPS = 64
"""Taps of one axis in a phase, up to which products are left out: each of a box's positions looks at all of them."""
MOST_BANDS = 32
"""Boxes of bands that are looked at."""


class Band(NamedTuple):
    """Neighbouring grid positions of an axis that the same taps hit."""

    length: int
    taps: int


@functools.lru_cache(maxsize=256)
def hits_of(axis: geometry.AxisPlan, extent: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The grid positions from which each tap hits the image, from the first up to the last + 1, by phase."""
    by_phase = []
    for phase in axis.phases:
        firsts = [max(0, -(tap.offset // axis.src_step)) for tap in phase.taps]
        ends = [min(phase.count, -((tap.offset - extent) // axis.src_step)) for tap in phase.taps]
        by_phase.append(tuple((first, max(first, end)) for first, end in zip(firsts, ends, strict=True)))
    return tuple(by_phase)


def bands_of(axis: geometry.AxisPlan, extent: int) -> tuple[tuple[Band, ...], ...]:
    """The bands of every phase of an axis.

    >>> bands_of(geometry.forward_axis(9, 3, 1, 4, 4), 9)
    ((Band(length=4, taps=2), Band(length=1, taps=3), Band(length=4, taps=2)),)
    """
    by_phase = []
    for phase, hits in zip(axis.phases, hits_of(axis, extent), strict=True):
        ends = sorted({0, phase.count, *(end for pair in hits for end in pair if end < phase.count)})
        by_phase.append(
            tuple(Band(end - start, sum(a <= start < b for a, b in hits)) for start, end in itertools.pairwise(ends))
        )
    return tuple(by_phase)


@functools.lru_cache(maxsize=64)
def valid(roles: Roles) -> float:
    """The share of all products that read a sample; 1.0 if an axis has more taps than are looked at."""
    if any(len(phase.taps) > MOST_TAPS for axis in roles.axes for phase in axis.phases):
        return 1.0
    share = 1.0
    for axis, extent in zip(roles.axes, roles.src_spatial, strict=True):
        every = sum(phase.count * len(phase.taps) for phase in axis.phases)
        hits = sum(end - first for phase in hits_of(axis, extent) for first, end in phase)
        share *= hits / every if every else 1.0
    return share


def needed(roles: Roles, mr: int, block: Sequence[int]) -> float:
    """The share of all products that is left in tiles of `mr` neighbouring pixels of a box: those of taps that hit the
    image from one of them, on each axis for itself. On average, where tiles begin anywhere in a row."""
    share, inner = 1.0, 1
    for axis, extent, size in reversed(list(zip(roles.axes, roles.src_spatial, block, strict=True))):
        whole = -(-mr // inner)
        straight = size * inner % mr == 0 and (inner % mr == 0 or mr % inner == 0)
        wraps = 0.0 if straight else min(1.0, (whole - 1) / size)
        more = 0.0 if inner % mr == 0 or mr % inner == 0 else min(1.0, (mr - 1) % inner / inner)
        left = every = 0.0
        for phase, hits in zip(axis.phases, hits_of(axis, extent), strict=True):
            every += phase.count * len(hits)
            seen = _seen(hits, phase.count, whole)
            if more:
                seen = (1 - more) * seen + more * _seen(hits, phase.count, whole + 1)
            if wraps:
                seen = wraps * sum(a < b for a, b in hits) + (1 - wraps) * seen
            left += phase.count * seen
        share *= left / every if every else 1.0
        inner *= size
    return share


def _seen(hits: Sequence[tuple[int, int]], count: int, window: int) -> float:
    """How many taps hit the image from one of so many neighbouring positions, on average."""
    window = min(window, count)
    any_hit = missed = 0
    for a, b in hits:
        if a < b:
            any_hit += 1
            if a >= window:
                missed += a - window + 1
            if count - b >= window:
                missed += count - b - window + 1
    return any_hit - missed / (count - window + 1)


@functools.lru_cache(maxsize=64)
def _boxes_of_bands(roles: Roles) -> tuple[tuple[Ints, int, int], ...]:
    """The extents of every box of bands, its pixels, and the taps that hit the image from it; none if there are too
    many."""
    axes = [list(itertools.chain(*bands_of(a, n))) for a, n in zip(roles.axes, roles.src_spatial, strict=True)]
    if math.prod(map(len, axes)) > MOST_BANDS:
        return ()
    boxes = []
    for bands in itertools.product(*axes):
        extents = tuple([band.length for band in bands])
        boxes.append((extents, math.prod(extents), math.prod([band.taps for band in bands])))
    return tuple(boxes)


@functools.lru_cache(maxsize=1024)
def banded(roles: Roles, mr: int, block: Ints) -> float | None:
    """The products of tiles of `mr` pixels that lie within bands on every axis, relative to all products of all
    pixels; None if there are too many bands."""
    total, every = 0.0, math.prod(sum(phase.count * len(phase.taps) for phase in axis.phases) for axis in roles.axes)
    for extents, pixels, taps in _boxes_of_bands(roles):
        pieces = 1
        for length, size in zip(extents, block, strict=True):
            if length > size:
                pieces *= -(-length // size)
        total += pieces * math.ceil(pixels / pieces / mr) * mr * taps
    return total / every if total else None
