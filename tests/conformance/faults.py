"""Faults to seed into mxconv, so that the random check is checked itself.

A fault is a snippet of source, which must occur exactly once in geometry, engine and jit together, and what stands
there instead. It is applied while its module is imported, in a child process; nothing on disk changes.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

PLACES = ("geometry.py", "engine/**/*.py", "jit/**/*.py")


@dataclass(frozen=True)
class Fault:
    """One mistake: `mutated` stands in the place of `original`."""

    original: str
    mutated: str
    algorithm: str = ""
    """The algorithms that the problems may use, separated by commas; empty: all."""
    problems: str = "random_problems"
    """The module here that draws problems which these algorithms accept."""


GEMM = "implicit_gemm,direct_weight,scratch_free"
LANES = "channel_lanes,direct_weight,scratch_free"
FFT_1D = ("fft_1d", "fft_1d_problems")
DEPTHWISE = (
    "scaling,depthwise,depthwise_lanes,depthwise_phases,depthwise_lanes_weight,depthwise_weight",
    "depthwise_problems",
)
FFT_2D = ("fft_2d", "fft_2d_problems")
FFT_FLAT = ("fft_flat", "fft_flat_problems")
WINOGRAD = ("winograd_4", "winograd_problems")
PHASE_ROWS = ("phase_rows", "phase_rows_problems")

WINOGRAD_WEIGHT = ("winograd_weight_4,scratch_free", "winograd_weight_problems")

FAULTS: dict[str, Fault] = {
    # geometry
    "pad: one sample less before": Fault("_evenly(-pad_lo, dilation, kernel)", "_evenly(1 - pad_lo, dilation, kernel)"),
    "dilation: ignored": Fault("_evenly(-pad_lo, dilation, kernel)", "_evenly(-pad_lo, 1, kernel)"),
    "phase: taps of its neighbour": Fault("divmod(origin + pad_lo, common)", "divmod(origin + 1 + pad_lo, common)"),
    "phase: one position less": Fault("(size - origin + stride - 1) // stride", "(size - origin) // stride"),
    "phase: one position more": Fault("(size - origin + stride - 1) // stride", "(size - origin) // stride + 1"),
    # the front door
    "byte order: ignored": Fault("flags.aligned and array.dtype.isnative", "flags.aligned"),
    # tables, strides, blocks
    "group offset of the source": Fault(
        '"src_group": src[1] * roles.channels', '"src_group": src[1] * (roles.channels + 1)'
    ),
    "group offset of the weight": Fault('"w_group": roles.w_group', '"w_group": roles.w_row'),
    "stride of the wrong axis": Fault('"src_stride": roles.src_strides[a]', '"src_stride": roles.src_strides[a - 1]'),
    "step of the destination": Fault('"dst_step": axis.dst_step', '"dst_step": axis.src_step'),
    "tap table: phases overlap": Fault(
        "(phase.origin, phase.count, first, len(phase.taps)",
        "(phase.origin, phase.count, max(0, first - 1), len(phase.taps)",
    ),
    "extent: one sample too many is read": Fault(
        '"extent": roles.src_spatial[a]', '"extent": roles.src_spatial[a] + 1'
    ),
    "block bound: the last pixels": Fault(
        "pixel_blocks = -(-roles.pixels // (block_panels * nr))",
        "pixel_blocks = -(-(roles.pixels - 1) // (block_panels * nr))",
    ),
    "block bound: the last channels": Fault(
        "row_blocks = -(-row_groups // block_rows)", "row_blocks = max(1, (row_groups - 1) // block_rows)"
    ),
    # implicit_gemm's kernel
    "tail mask: one lane more is written": Fault(
        "f.lane_numbers(lanes) < f.splat(pixels - f.args", "f.lane_numbers(lanes) <= f.splat(pixels - f.args"
    ),
    "tail mask: one lane less is written": Fault("f.splat(pixels - f.args[", "f.splat(pixels - 1 - f.args["),
    "tail rows: written beyond the last": Fault(
        "own_rows = f.smaller(rows - row_0, own_groups * mr)", "own_rows = own_groups * mr"
    ),
    "tail rows: one weight too many is read": Fault("rows - first > i, place", "rows - first >= i, place"),
    "in place: one vector too many is read": Fault(
        "(pixels - first) // self.nr * in_place", "(pixels - first + (self.nr - 1)) // self.nr * in_place", GEMM
    ),
    "whole tiles: their bias is the first channel's": Fault(
        'epilogue.begin_row(f.args["channel"] + i)\n                row = f.offset(f.args["to"]',
        'epilogue.begin_row(f.args["channel"])\n                row = f.offset(f.args["to"]',
        GEMM,
    ),
    "whole tiles: one too many counts as whole": Fault(
        "whole_panels = f.select(single, plain // self.tile.nv, 0)",
        "whole_panels = f.select(single, (plain + (self.tile.nv - 1)) // self.tile.nv, 0)",
        GEMM,
    ),
    "chunks: the last one is not shortened": Fault(
        "c1, t1 = f.smaller(c0 + chunk_c, channels), f.smaller(t0 + chunk_t, taps)\n                        k =",
        "c1, t1 = c0 + chunk_c, f.smaller(t0 + chunk_t, taps)\n                        k =",
    ),
    "chunks: an empty sum is left as it was": Fault(
        "f.when(first_chunk.get().equals(1)),", "f.when(first_chunk.get().equals(2)),"
    ),
    "segments: more than there is room for": Fault(
        "few = (count.get() <= SEGMENTS)", "few = (count.get() <= 4 * SEGMENTS)", GEMM
    ),
    "segments: a stride reads the first vector again": Fault("range(j * lanes, (j + 1) * lanes)", "range(lanes)", GEMM),
    "epilogue: the bias of another block": Fault("channel_0 = group * rows + row_0", "channel_0 = group * rows"),
    "epilogue: the residual is read beyond the last lane": Fault(
        "self._to_residual, I8), place.mask)",
        "self._to_residual, I8), place.mask if place.pointer.type.lanes else None)",
    ),
    "epilogue: the residual comes before its turn": Fault(
        '        if "scale" in self.words:\n            values = self._product',
        '        if "scale" in self.words:\n            values = [*map(self._residual, places)] if "add" in self.words'
        " else values\n            values = self._product",
    ),
    "epilogue: the slope of the first channel": Fault(
        "at = f.offset(self._pointers[name], channel * numbers.parts",
        'at = f.offset(self._pointers[name], channel * (numbers.parts * (name != "slope"))',
    ),
    # channel_lanes' kernel
    "channel_lanes: one channel too many is stored as it is": Fault(
        "f.lane_numbers(lanes) < f.splat(rows - j * lanes, lanes)",
        "f.lane_numbers(lanes) <= f.splat(rows - j * lanes, lanes)",
        LANES,
    ),
    "channel_lanes: earlier chains are forgotten": Fault(
        "cells[i][j].set(before + cells[i][j].get())", "cells[i][j].set(cells[i][j].get())", LANES
    ),
    "pixels: the first of a row counts as a neighbour": Fault(
        "follows = (n % lanes > 0) & to.equals(last.get() + 1)", "follows = (n % lanes > 0) & (to > last.get())", LANES
    ),
    "in place: a tap may be one sample outside": Fault(
        "(phase.count - 1) * axis.src_step < extent\n        for axis",
        "(phase.count - 1) * axis.src_step <= extent\n        for axis",
        LANES,
    ),
    "channels: one weight too many is gathered": Fault(
        "exists = row < f.splat(rows - v, lanes)", "exists = row <= f.splat(rows - v, lanes)", LANES
    ),
    "channels: one row of weights too many is transposed": Fault(
        "f.select(rows > i, columns, 0)", "f.select(rows >= i, columns, 0)", LANES
    ),
    "channels: one too many is stored beside the others": Fault(
        "exists = f.lane_numbers(lanes) < f.splat(rows - v, lanes)",
        "exists = f.lane_numbers(lanes) <= f.splat(rows - v, lanes)",
        LANES,
    ),
    "channels: those beyond the last are stored": Fault(
        'f.loop(0, f.smaller(f.args["rows"], lanes)) as i', "f.loop(0, lanes) as i", LANES
    ),
    "transposed: the last pixels count as whole": Fault(
        "is_whole = beside.equals(1) & (left >= lanes)", "is_whole = beside.equals(1)", LANES
    ),
    "padding: the last tap that hits the image is left out": Fault(
        'end.set(end.get() + f.cast("zext", at < extent, I64))',
        'end.set(end.get() + f.cast("zext", at < extent - 1, I64))',
        LANES,
    ),
    # direct's kernel
    "staging: one vector too many is read": Fault(
        "f.smaller(f.larger(extent - low, 0), span) // lanes * lanes",
        "(f.smaller(f.larger(extent - low, 0), span) + (lanes - 1)) // lanes * lanes",
    ),
    "staging: the end of a box": Fault("length = f.smaller(block, count - start)", "length = block"),
    "staging: a phase is overwritten": Fault(
        "size.set(size.get() + shared.get() + self.lanes)", "size.set(size.get())"
    ),
    "staging: rows share one zero too many": Fault(
        "shared.set(f.larger(f.smaller(f.smaller(before, after), high - low), 0))",
        "shared.set(f.larger(f.smaller(f.smaller(before, after) + 1, high - low), 0))",
    ),
    "offsets: in another order than the weight": Fault("else t * channels + c", "else c * taps + t"),
    "chain: the last one is too long": Fault(
        "length = f.smaller(total - k, chain)\n            own_a = f.offset(a, k * self.tile.mr",
        "length = chain\n            own_a = f.offset(a, k * self.tile.mr",
    ),
    "tail mask: one pixel beyond the row is stored": Fault(
        "f.lane_numbers(lanes) < f.splat(columns - at, lanes)", "f.lane_numbers(lanes) <= f.splat(columns - at, lanes)"
    ),
    "step of the lanes of the destination": Fault(
        "roles.dst_strides[-1] * roles.axes[-1].dst_step // step", "roles.dst_strides[-1] // step"
    ),
    "row: channels that do not exist are stored": Fault(
        "whole = (at + width * lanes <= columns) & (rows >= tile.mr)", "whole = at + width * lanes <= columns"
    ),
    "row block: the first again": Fault(
        "state, sample, group, row_block * block_row_groups)", "state, sample, group, 0 * block_row_groups)"
    ),
    # phase_rows' kernel
    "phases: one row too many is stored": Fault("at.below(dst_rows)", "at.below(dst_rows + 1)", *PHASE_ROWS),
    "phases: one column too many is stored": Fault(
        "place.below(f.splat(exist, lanes))", "place.below(f.splat(exist + 1, lanes))", *PHASE_ROWS
    ),
    "phases: each piece begins the sums": Fault("(n | channel).equals(0)", "channel.equals(0)", *PHASE_ROWS),
    "phases: each block has the weights of the first": Fault("+ channel * taps", "+ 0 * taps", *PHASE_ROWS),
    # the weight gradient
    "slices: only the first begins its sums": Fault(
        'f.cast("zext", box.equals(first), I64)', 'f.cast("zext", box.equals(0), I64)'
    ),
    "samples: each in the place of the first": Fault(
        "f.store(begin + at_sample + q * step", "f.store(begin + q * step"
    ),
    "tail pairs: one gradient too many is written": Fault(
        "exists = f.lane_numbers(lanes) < f.splat(pairs, lanes)",
        "exists = f.lane_numbers(lanes) <= f.splat(pairs, lanes)",
    ),
    "tail rows: one gradient too many is written": Fault("with f.when(rows > o):", "with f.when(rows >= o):"),
    "tail rows: one channel too many is read": Fault(
        "f.splat(f.constant(i, I64) < rows, lanes)", "f.splat(f.constant(i, I64) <= rows, lanes)"
    ),
    # winograd_weight's kernels
    "winograd_weight: the last tiles of an axis": Fault(
        "own = f.smaller(size, groups - first)", "own = f.smaller(size, groups - 1 - first)", *WINOGRAD_WEIGHT
    ),
    "winograd_weight: no zeros between two samples": Fault(
        'inside = f.cast("zext", z < count, I64)', 'inside = f.cast("zext", z < span, I64)', *WINOGRAD_WEIGHT
    ),
    "winograd_weight: one channel too many is read": Fault(
        'mask & f.splat(a["channels"] > i, lanes)', 'mask & f.splat(a["channels"] >= i, lanes)', *WINOGRAD_WEIGHT
    ),
    "winograd_weight: one gradient too many is written": Fault(
        "f.lane_numbers(lanes) < f.splat(pairs - first, lanes)",
        "f.lane_numbers(lanes) <= f.splat(pairs - first, lanes)",
        *WINOGRAD_WEIGHT,
    ),
    "winograd_weight: what is not finite is transformed": Fault(
        "return (HUGE_EXPONENT[size] + bias) << fraction", "return (1 << (8 * size - 1)) - 1", *WINOGRAD_WEIGHT
    ),
    # scratch_free's kernels
    "scratch_free: one pixel more is stored": Fault(
        "(number < f.splat(last, lanes))", "(number <= f.splat(last, lanes))", "scratch_free"
    ),
    "scratch_free: a row outside the image is read": Fault(
        "(base + offset).below(extent_a)", "(base + offset).below(extent_a + 1)", "scratch_free"
    ),
    "scratch_free: a tile counts as inside with a lane outside": Fault(
        "(high - low).equals(self.nr)", "(high - low) >= self.nr - 1", "scratch_free"
    ),
    "scratch_free: the last rows of the weight": Fault(
        "row = f.smaller(wanted, rows - mr)", "row = wanted", "scratch_free"
    ),
    "scratch_free: taps of another block": Fault(
        'f.cast("zext", taps > block, I64) | f.args["fresh"]', 'f.args["fresh"]', "scratch_free"
    ),
    "scratch_free: the last chain is too long": Fault(
        "f.smaller(channels - c0, per_chain)", "per_chain", "scratch_free"
    ),
    "scratch_free: stride 2 reads beyond the last lane": Fault("half * (lanes - 1)", "half * lanes", "scratch_free"),
    "scratch_free: the box of a tap": Fault(
        "(f.larger(to, 0) + (step - 1)) // step, count)", "f.larger(to, 0) // step, count)", "scratch_free"
    ),
    "scratch_free: the last source channels": Fault(
        "channel = f.smaller(channel_group * tile.nv, channels - tile.nv)",
        "channel = channel_group * tile.nv",
        "scratch_free",
    ),
    "scratch_free: lanes that are added twice": Fault("range(half, 2 * half)", "range(half)", "scratch_free"),
    # winograd's kernels
    "winograd: samples of a tile are neighbours in spite of a dilation": Fault(
        "row = row_start + i * row_delta", "row = row_start + i", *WINOGRAD
    ),
    "winograd: a slot keeps its first plane": Fault(
        'f.load(I64, row, SLOT.index["source"]).equals(source) ^ 1',
        'f.load(I64, row, SLOT.index["source"]).equals(-(1 << 62))',
        *WINOGRAD,
    ),
    "winograd: a tile's last samples may be huge": Fault(
        "f.loop(0, self.row.n) as i,", "f.loop(0, self.row.m) as i,", *WINOGRAD
    ),
    "winograd: the last tile is stored whole": Fault(
        "width = f.smaller(limit - lane_start * lane_phases, most)", "width = most", *WINOGRAD
    ),
    "winograd: a class of taps begins where another does": Fault(
        'part % lane_classes), CLASS.index["first"])', 'part // lane_classes), CLASS.index["first"])', *WINOGRAD
    ),
    # fft_1d's kernels
    "fft_1d: a block is one result too long": Fault(
        "outputs = min(2 * half - line.taps + 1,", "outputs = min(2 * half - line.taps + 2,", *FFT_1D
    ),
    "fft_1d: one sample too many is staged": Fault(
        "(number >= f.splat(low, lanes)) & (number < f.splat(high, lanes))",
        "(number >= f.splat(low, lanes)) & (number <= f.splat(high, lanes))",
        *FFT_1D,
    ),
    "fft_1d: a huge sample reaches one result too many": Fault(
        "f.loop(f.larger(j - taps + 1, 0), f.smaller(j + 1, outputs))",
        "f.loop(f.larger(j - taps, 0), f.smaller(j + 1, outputs))",
        *FFT_1D,
    ),
    "fft_1d: taps of another set": Fault("family % sets * len(SET)", "(family + 1) % sets * len(SET)", *FFT_1D),
    "fft_1d: a position that no sample reaches": Fault("& (there % divide).equals(0) &", "&", *FFT_1D),
    # fft_flat's kernels
    "fft_flat: rows are too near": Fault(
        "max(extent, extent - low, axis.positions, axis.positions + high)",
        "max(extent, extent - low, axis.positions, axis.positions + high - 1)",
        *FFT_FLAT,
    ),
    "fft_flat: what wraps around meets samples": Fault(
        "max(self.samples - self.first, self.results + max(0, last))", "self.samples - self.first", *FFT_FLAT
    ),
    "fft_flat: the last place of a row is not stored": Fault(
        "f.smaller(start + width, count)", "f.smaller(start + width - 1, count)", *FFT_FLAT
    ),
    "fft_flat: one sample too many is staged": Fault(
        "low, high = f.larger(start, 0), f.smaller(start + extent, half * 2)",
        "low, high = f.larger(start, 0), f.smaller(start + extent + 1, half * 2)",
        *FFT_FLAT,
    ),
    "fft_flat: taps of the first phase": Fault("f.select(exists, row // rows, 0)", "f.zero(I64)", *FFT_FLAT),
    # fft_2d's kernels
    "fft_2d: a tile is one result too long": Fault(
        "results = min(size - taps + 1, axis.positions)", "results = min(size - taps + 2, axis.positions)", *FFT_2D
    ),
    "fft_2d: an axis that is one tile wraps onto its image": Fault(
        "wrap = max(wrap, extent - min(low, 0), ", "wrap = max(wrap, extent, ", *FFT_2D
    ),
    "fft_2d: what wraps keeps its sign": Fault(
        "signed = f.select((turns & 1).equals(0), value, -value)", "signed = value", *FFT_2D
    ),
    "fft_2d: one column too many is read": Fault(
        'width = f.cast("trunc", (right - left - 1) * step + 1, I32)',
        'width = f.cast("trunc", (right - left) * step + 1, I32)',
        *FFT_2D,
    ),
    "fft_2d: one column too many is stored": Fault(
        "mask = (f.vector(I32, range(lanes)) + first) < limit",
        "mask = (f.vector(I32, range(lanes)) + first) <= limit",
        *FFT_2D,
    ),
    "fft_2d: one column too many is stored between others": Fault(
        "numbers_of + first < limit", "numbers_of + first <= limit", *FFT_2D
    ),
    "fft_2d: lanes that do not exist have results": Fault(
        'alive.set(f.cast("zext", (wanted < channels) & (position < positions), I64))', "alive.set(1)", *FFT_2D
    ),
    "fft_2d: huge numbers pass": Fault(
        "is_huge = f.load(self.bits.element, largest, i) > limit_bits(numbers.computed)",
        "is_huge = f.load(self.bits.element, largest, i) < 0",
        *FFT_2D,
    ),
    # depthwise kernels
    "depthwise: a row below those that are staged": Fault(
        '.below(f.args["staged_rows"])', '.below(f.args["staged_rows"] + 1)', *DEPTHWISE
    ),
    "depthwise: one pixel more is stored": Fault(
        "masks = [f.vector(I32, range(v * lanes, (v + 1) * lanes)) < left",
        "masks = [f.vector(I32, range(v * lanes, (v + 1) * lanes)) <= left",
        *DEPTHWISE,
    ),
    "depthwise: a row below the last is stored": Fault(
        "with f.when(row + apart * o < end_row)", "with f.when(row + apart * o <= end_row)", *DEPTHWISE
    ),
    "depthwise: rows below the image are not cleared": Fault(
        "f.offset(copy, count * pitch, numbers.computed), end - end_row",
        "f.offset(copy, count * pitch, numbers.computed), (end - end_row) * 0",
        *DEPTHWISE,
    ),
    "depthwise: grid rows of a dilated kernel": Fault(
        "Plane(taps, stride // common, dilation // common)", "Plane(taps, stride // common, 1)", *DEPTHWISE
    ),
    "depthwise_lanes: a column beside the image is read": Fault(
        "f.select(place.below(extent), at, zeros)", "f.select(place.below(extent + 1), at, zeros)", *DEPTHWISE
    ),
    "depthwise_lanes: a pixel beside the last is stored": Fault(
        'with f.when(f.args["column"] + q < columns):\n                epilogue',
        'with f.when(f.args["column"] + q <= columns):\n                epilogue',
        *DEPTHWISE,
    ),
    "depthwise_lanes: one channel too many": Fault(
        "is_whole = groups - channel >= self.lanes", "is_whole = groups - channel >= self.lanes - 1", *DEPTHWISE
    ),
    "depthwise_transposed: rows end a pixel later": Fault(
        "ends = column.equals(extent)", "ends = column.equals(extent + 1)", *DEPTHWISE
    ),
    "depthwise_transposed: one channel more is stored": Fault(
        "with f.when(channel + i < groups)", "with f.when(channel + i <= groups)", *DEPTHWISE
    ),
    "depthwise_phases: columns beyond the box are stored": Fault(
        "end_result = f.smaller(end_column * spec.phases, results)", "end_result = results", *DEPTHWISE
    ),
    "depthwise_phases: what the first row tap reads": Fault(
        '"low": first.offset if first else cut.lowest[0]', '"low": cut.lowest[0]', *DEPTHWISE
    ),
    "depthwise_lanes_weight: pixels that are left over": Fault(
        "(whole, end_column, 1)", "(whole, end_column - 1, 1)", *DEPTHWISE
    ),
    "depthwise_lanes_weight: columns beside the image": Fault(
        "inside = exists & f.splat(place.below(extent), lanes)",
        "inside = exists & f.splat(place.below(extent + 1), lanes)",
        *DEPTHWISE,
    ),
    "depthwise_weight: one lane more counts": Fault(
        'f.cast("trunc", length - whole, I32), lanes)', 'f.cast("trunc", length - whole + 1, I32), lanes)', *DEPTHWISE
    ),
    "depthwise_weight: rows that are left over": Fault(
        "f.loop(begin.get(), rows - apart * (height - 1), apart * height)",
        "f.loop(begin.get(), rows, apart * height)",
        *DEPTHWISE,
    ),
    "depthwise_weight: taps of another square": Fault(
        "exists = f.lane_numbers(lanes) < f.splat(taps - t, lanes)",
        "exists = f.lane_numbers(lanes) < f.splat(taps, lanes)",
        *DEPTHWISE,
    ),
    "scaling: a pixel beyond the last is stored": Fault("first_lanes < some", "first_lanes <= some", *DEPTHWISE),
    "scaling: vectors that are left over": Fault(
        "with f.loop(whole, end, lanes)", "with f.loop(whole, end - lanes, lanes)", *DEPTHWISE
    ),
    # the language and the conversions
    "second level: the first chain is added to rubbish": Fault(
        "with f.when(first.equals(1)) as otherwise", "with f.when(first.equals(2)) as otherwise"
    ),
    "complex: the sign of i squared": Fault("f.multiply_add(-a[1], b[1]", "f.multiply_add(a[1], b[1]"),
    "conversion: unsigned as signed": Fault('"zext" if name.startswith("u") else "sext"', '"sext"'),
    "conversion: halves rounded up": Fault("((bits >> 16) & 1) + 0x7FFF", "0x8000"),
    "tasks: one too many": Fault(
        'self.jump_if(self.compare("slt", first + last, count)', 'self.jump_if(self.compare("sle", first + last, count)'
    ),
}


class StaleFault(Exception):
    """The snippet does not occur exactly once any more: the fault must be brought up to date."""


def locate(fault: Fault) -> str:
    """The name of the module that has the snippet.

    Raises: StaleFault, unless there is exactly one such module, and the snippet occurs once in it.
    """
    root = Path(importlib.util.find_spec("mxconv").origin).parent
    found = []
    for path in (path for place in PLACES for path in sorted(root.glob(place))):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        found += [name] * path.read_text(encoding="utf-8").count(fault.original)
    if len(found) != 1:
        raise StaleFault(f"{fault.original!r} occurs {len(found)} times, expected once: {found}")
    return found[0]


class _MutatingLoader(importlib.machinery.SourceFileLoader):
    """Loads a module's source with the fault in it; never reads or writes byte code."""

    def __init__(self, fullname: str, path: str, fault: Fault) -> None:
        super().__init__(fullname, path)
        self._fault = fault

    def get_code(self, fullname: str):
        source = self.get_data(self.path).decode()
        return self.source_to_code(source.replace(self._fault.original, self._fault.mutated), self.path)


class _Finder:
    def __init__(self, module: str, fault: Fault) -> None:
        self._module, self._fault = module, fault

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        loader = _MutatingLoader(fullname, spec.origin, self._fault)
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


def seed(name: str) -> None:
    """Seed a fault; mxconv must not have been imported yet."""
    if "mxconv" in sys.modules:
        raise RuntimeError(f"mxconv is imported already: the fault {name!r} would have no effect")
    sys.meta_path.insert(0, _Finder(locate(FAULTS[name]), FAULTS[name]))
