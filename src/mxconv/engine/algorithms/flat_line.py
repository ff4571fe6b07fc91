"""How all axes of an image are laid on one line, and how that is cut into blocks for Fourier transforms.

See jit/kernels/fft_flat.py. All that the bits of a result depend on is decided here, from the problem and the target
alone.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace

from ... import config, geometry
from ...jit.kernels.gemm import Tile
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..problem import ConvProblem, Ints
from .correlation import Roles, roles_of
from .fft_blocks import LONGEST, Blocks, cost

UNFOLDED = 1 << 60
"""Positions on the first axis until the next of none."""


@dataclass(frozen=True, slots=True)
class FlatLine:
    """An image as a line. Places are counted from the first sample; results stand where they stand on their grid."""

    pitches: Ints
    """Places from one position of an axis to the next."""
    first: int
    """The place of the first tap, before the first sample where there is padding."""
    taps: int
    """Places from the first tap to the last."""
    samples: int
    results: int

    @property
    def folds(self) -> Ints:
        """Positions of an axis until the next of the axis before it."""
        return (UNFOLDED, *(outer // inner for outer, inner in itertools.pairwise(self.pitches)))

    def results_of(self, length: int) -> int:
        """The results of a block of so many samples; all, where what wraps around only meets zeros."""
        last = self.first + self.taps - 1
        if length >= max(self.samples - self.first, self.results + max(0, last)):
            return self.results
        return min(length - self.taps + 1, self.results)


@functools.lru_cache(maxsize=64)
@functools.lru_cache(maxsize=64)
def flat_line(roles: Roles) -> FlatLine:
    """The line with the fewest zeros that keep rows apart, shared by neighbours: of all phases, so that they see one
    line."""
    pitch, first, last, samples, results = 1, 0, 0, 0, 0
    pitches: list[int] = []
    for axis, extent in zip(reversed(roles.axes), reversed(roles.src_spatial), strict=True):
        low, high = _offsets(axis)
        pitches.append(pitch)
        first, last = first + low * pitch, last + high * pitch
        samples, results = samples + (extent - 1) * pitch, results + (axis.positions - 1) * pitch
        pitch *= max(extent, extent - low, axis.positions, axis.positions + high)
    return FlatLine(tuple(reversed(pitches)), first, last - first + 1, samples + 1, results + 1)


def _offsets(axis: geometry.AxisPlan) -> tuple[int, int]:
    """The least and the greatest offset of an axis's taps."""
    offsets = [phase.taps.offsets for phase in axis.phases if phase.taps.offsets]
    return min((own[0] for own in offsets), default=0), max((own[-1] for own in offsets), default=0)


def cut_line(p: ConvProblem, target: Target) -> Blocks:
    """The cut with the least cost for one sample, with the units of the whole batch.

    A sample's bits must not depend on the rest of the batch."""
    size = Numbers.of(p.dtype).computed.itemsize
    blocks = _cut_line(roles_of(p), p.groups, target, size, config.get("block_pixels"))
    return replace(blocks, units=p.batch)


@functools.lru_cache(maxsize=64)
def _cut_line(roles: Roles, groups: int, target: Target, size: int, limit: int | None) -> Blocks:
    """The same with blocks of so many results at most: an estimate asks, and then the plan."""
    line, lanes = flat_line(roles), target.lanes(size)
    tile = Tile(4, 2) if target.registers >= 32 else Tile(2, 2)
    rows = roles.rows * roles.phases
    best: tuple[float, Blocks] | None = None
    half = lanes * lanes
    while half <= LONGEST:
        outputs = min(line.results_of(2 * half), limit or line.results)
        if outputs > 0:
            count = -(-line.results // outputs)
            blocks = Blocks(rows, roles.channels, half, outputs, count, groups, 1, tile)
            estimate = cost(blocks, lanes, size)
            if best is None or estimate < best[0]:
                best = estimate, blocks
            if count == 1:
                break
        half *= 2
    assert best is not None
    return best[1]
