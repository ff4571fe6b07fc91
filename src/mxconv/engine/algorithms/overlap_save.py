"""How a long filter along one axis is cut into lines, and these into blocks, for Fourier transforms.

See jit/kernels/fft_1d.py and fft_pieces.py for the words. All that the bits of a result depend on is decided here,
from the problem and the target alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ... import config
from ...jit.kernels.fft_columns import OUTER, SET
from ...jit.kernels.gemm import Tile
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..problem import ConvProblem, Ints
from .fft_blocks import LONGEST, Blocks, cost


@dataclass(frozen=True, slots=True)
class Line:
    """The long axis of a problem, as lines of neighbours `tap_step` apart; see SET and OUTER of the kernel."""

    axis: int
    sets: tuple[Ints, ...]
    tap_step: int
    dst_step: int
    outer: tuple[Ints, ...]

    @property
    def taps(self) -> int:
        """The taps of the longest filter of a set."""
        return max(row[SET.index["taps"]] for row in self.sets)

    @property
    def results(self) -> int:
        """The results of the longest line."""
        return max(-(-row[SET.index["count"]] // self.tap_step) for row in self.sets)

    @property
    def positions(self) -> int:
        return math.prod(row[OUTER.index["count"]] for row in self.outer)


def line_of(p: ConvProblem, axis: int) -> Line:
    """The lines of a problem along an axis; forward, its stride must be 1.

    A data gradient's position r + s*g sees the taps t with t*d = r + pad modulo s, s / gcd(s, d) apart, and from one to
    the one before the source advances by d / gcd(s, d): see geometry.backward_data_axis.
    """
    kernel, stride, dilation, pad, _ = p.axis(axis)
    if p.direction == "forward":
        sets: tuple[Ints, ...] = ((-pad, p.out_spatial[axis], 0, 1, kernel),)
        tap_step, dst_step = dilation, 1
    else:
        common = math.gcd(stride, dilation)
        tap_step, dst_step, apart = dilation // common, stride, stride // common
        rows = []
        for r in range(min(stride, p.in_spatial[axis])):
            last = next((t for t in range(kernel)[: -apart - 1 : -1] if (r + pad - t * dilation) % stride == 0), None)
            count = -(-(p.in_spatial[axis] - r) // stride)
            if last is None:
                rows.append((0, count, 0, 0, 0))
            else:
                rows.append(((r + pad - last * dilation) // stride, count, last, -apart, last // apart + 1))
        sets = tuple(rows)
    src, dst = p.strides_of(p.inputs[0])[2:], p.strides_of(p.output)[2:]
    outer = []
    for a in range(p.rank):
        if a != axis:
            _, stride, _, pad, _ = p.axis(a)
            if p.direction == "forward":
                own = (p.out_spatial[a], stride, -pad, 1, p.in_spatial[a])
            else:
                own = (p.in_spatial[a], 1, pad, stride, p.out_spatial[a])
            outer.append((*own, src[a], dst[a]))
    outer.sort(key=lambda row: -abs(row[OUTER.index["dst_stride"]]))
    return Line(axis, sets, tap_step, dst_step, tuple(outer))


@dataclass(frozen=True, slots=True)
class Work(Blocks):
    """How a problem is cut along one axis."""

    line: Line


def choose_work(p: ConvProblem, target: Target) -> Work:
    """The cut with the least cost for one sample: blocks of two to eight times the filter's length, mostly.

    A sample's bits must not depend on the rest of the batch."""
    line = line_of(p, long_axes(p)[0])
    own_in, own_out = p.in_channels // p.groups, p.out_channels // p.groups
    rows, channels = (own_out, own_in) if p.direction == "forward" else (own_in, own_out)
    size = Numbers.of(p.dtype).computed.itemsize
    lanes = target.lanes(size)
    tile = None if channels == 1 else Tile(4, 2) if target.registers >= 32 else Tile(2, 2)
    families, units = p.groups * len(line.sets), line.positions * line.tap_step
    best: tuple[float, Work] | None = None
    half = lanes * lanes
    while half <= LONGEST:
        outputs = min(2 * half - line.taps + 1, line.results, config.get("block_pixels") or line.results)
        if outputs > 0:
            blocks = -(-line.results // outputs)
            work = Work(rows, channels, half, outputs, blocks, families, units, tile, line)
            estimate = cost(work, lanes, size)
            if best is None or estimate < best[0]:
                best = estimate, work
            if blocks == 1:
                break
        half *= 2
    assert best is not None
    return replace(best[1], units=p.batch * units)


def long_axes(p: ConvProblem) -> list[int]:
    """The axes with more than one tap."""
    return [a for a in range(p.rank) if p.kernel[a] > 1]


def abreast_of(p: ConvProblem, w: Work) -> str:
    """What of lines whose samples or results are far apart are neighbours in both arrays; see LinesAbreast."""
    src, dst = p.strides_of(p.inputs[0]), p.strides_of(p.output)
    line = w.line
    if src[2 + line.axis] * line.tap_step == 1 and dst[2 + line.axis] * line.tap_step * line.dst_step == 1:
        return ""
    by_channel = src[1] == dst[1] == 1
    if w.tile is not None:
        return "channels" if by_channel and w.channels > 1 and w.rows > 1 else ""
    if w.rows > 1:
        return ""
    if by_channel and w.families == p.groups > 1:
        return "groups"
    if line.outer and line.tap_step == 1:
        count, *how, extent, src_stride, dst_stride = line.outer[-1]
        if how == [1, 0, 1] and 1 < count <= extent and src_stride == dst_stride == 1:
            return "positions"
    return ""
