"""How a long filter along one axis is cut into blocks for Fourier transforms: lines, blocks, what they cost, panels.

See jit/kernels/fft_1d.py for the words. All that the bits of a result depend on is decided here, from the problem and
the target alone.
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

LONGEST = 1 << 22
"""Complex values of the longest transform."""
PIECE_BYTES = 32 << 20
"""What the spectra and the sums of a piece may take: weights are read once for all of its columns."""
NEAR_BYTES, FAR_BYTES = 1 << 20, 16 << 20
"""What a core keeps near, and what all keep in a common cache: more than that comes from memory."""


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
class Work:
    """How a problem is cut: everything that its bits depend on, and counts."""

    line: Line
    rows: int
    channels: int
    half: int
    """Complex values of a block, which is twice as many samples."""
    outputs: int
    """Results of a block."""
    blocks: int
    """Blocks of a line."""
    families: int
    units: int
    """Lines of a family."""
    tile: Tile | None

    @property
    def columns(self) -> int:
        """Blocks of all lines of a family."""
        return self.units * self.blocks

    @property
    def padded_rows(self) -> int:
        return self.rows if self.tile is None else -(-self.rows // self.tile.mr) * self.tile.mr

    @property
    def transforms(self) -> int:
        return self.families * self.columns * (self.rows + self.channels)

    @property
    def filters(self) -> int:
        return self.families * self.padded_rows * self.channels


def transform_cost(half: int, lanes: int, size: int) -> float:
    """The vector operations that a transform there or back is worth, with its line's way to or from scratch."""
    bytes_ = 2 * half * size
    slower = 1.0 if bytes_ <= 32 << 10 else 1.2 if bytes_ <= 128 << 10 else 1.3 if bytes_ <= 512 << 10 else 1.6
    return half / lanes * (4.0 * math.log2(half) + 24) * slower


def cost(w: Work, lanes: int, size: int) -> float:
    """The vector operations that a run is worth, but for spectra of the weight that have to be made.

    Fitted on one core of a Zen 5 with AVX-512; bits depend on it, so that it must not depend on the machine."""
    total = w.transforms * transform_cost(w.half, lanes, size)
    vectors = w.half / lanes
    pair = 2 * lanes * size
    if w.tile is not None:
        total += w.families * w.columns * w.padded_rows * w.channels * vectors * 4.4
        if w.columns * (w.padded_rows + w.channels) * vectors * pair > NEAR_BYTES:
            total += w.transforms * vectors * 80
    panels = w.filters * vectors * pair
    return total + w.filters * vectors * (36 if panels > FAR_BYTES else 8 if panels > NEAR_BYTES else 1)


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
            work = Work(line, rows, channels, half, outputs, blocks, families, units, tile)
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


def lay_panels(w: Work, lanes: int) -> dict[str, int]:
    """The slots that say where spectra of the weight lie, in elements; a family's are w_family."""
    vectors, pair = w.half // lanes, 2 * lanes
    if w.tile is None:  # [family][row][vector]
        return {"w_family": w.rows * vectors * pair, "w_tile": vectors * pair, "w_vector": pair}
    # [family][tile][vector][channel][row of the tile], with a gap after each vector as in a piece
    mr = w.tile.mr
    of_vector = (w.channels * mr + 1) * pair
    return {
        "w_family": w.padded_rows // mr * vectors * of_vector,
        "w_tile": vectors * of_vector,
        "w_vector": of_vector,
        "w_column": mr * pair,
        "w_place": pair,
    }


def cut_pieces(w: Work, lanes: int, size: int, share: int, thrift: int) -> dict[str, int]:
    """The slots that say how columns are cut into pieces whose spectra and sums fit in PIECE_BYTES, and their tasks of
    `share` lines."""
    assert w.tile is not None
    step, vectors, pair = w.tile.nv, w.half // lanes, 2 * lanes
    line_bytes = vectors * pair * size
    most = PIECE_BYTES // (line_bytes * (w.channels + w.padded_rows)) >> thrift
    most = max(step, min(most, config.get("block_channels") or most))
    columns = -(-min(w.columns, most) // step) * step
    pieces = -(-w.columns // columns)
    columns = -(-w.columns // (pieces * step)) * step  # all about the same
    families = max(1, min(w.families, most // columns)) if pieces == 1 else 1
    return {
        # Vectors of one line that are a power of two apart would meet in a few sets of the caches.
        "columns_vector": (columns * w.channels + 1) * pair,
        "results_vector": (columns * w.padded_rows + 1) * pair,
        "piece": -1,
        "piece_families": families,
        "piece_columns": columns,
        "column_pieces": pieces,
        "transform_tasks": families * columns * -(-w.channels // share),
        "mix_tasks": families * vectors,
        "restore_tasks": families * columns * -(-w.rows // share),
    }
