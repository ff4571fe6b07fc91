"""Blocks of lines of any array on their way to Fourier transforms and back: what overlap-save does to each.

A family (see fft_pieces.py) is a group and one set of taps: a strided data gradient has a set for each phase. A unit
is one line: a sample, a position on the other axes, and a residue of the step.

Values that are not finite, or huge, are taken for zero by the transforms, and their products are added to the block's
results one by one, so that they reach what the filter makes them reach and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I1, I8, I64, PTR, Function, Module, Operand, Value
from ..numbers import Numbers
from ..target import Target
from .blocks import Layout
from .correlation import COMMON_ARGS
from .epilogue import Epilogue, Place
from .fft_passes import Passes
from .fft_pieces import PIECE_ARGS, Pieces
from .pointwise import Huge

ARGS = (
    # elements between neighbours: samples and taps of a line, results; source positions from one tap to the next
    "src_lane", "dst_lane", "w_lane", "tap_step", "dst_step",
    # extents of the line, sets of taps, other axes and their positions, residues of tap_step
    "extent", "sets", "outer_axes", "positions", "residues",
    # columns of a task; tables, and places in scratch
    "share", "set_at", "outer_at", "at_spectrum",
    # lines abreast: elements from one to the next in scratch; bundles of them in a row of positions, and positions
    "line_pitch", "bundles", "abreast",
    *PIECE_ARGS,
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

SET = Layout(("start", "count", "first", "step", "taps"))
"""A set of taps: source position of the first result's first tap, results, and its taps' places in the weight."""
OUTER = Layout(("count", "multiply", "add", "divide", "extent", "src_stride", "dst_stride"))
"""Another axis: position p reads the source at (p*multiply + add) / divide, if that is whole and exists."""
COLUMN = Layout(("source", "dst", "low", "high", "outputs"))
"""Offset of a block's first sample and first result; its samples that exist, and its results."""


class Columns(Pieces):
    """The functions of a bundle that take columns one by one; what comes between the transforms is added to them.

    `mr` is how many filters share a tile of the panels; with `separate`, each group has one source channel.
    """

    def __init__(self, dtype: str, target: Target, epilogue: Sequence[str], mr: int, *, separate: bool) -> None:
        self.numbers = Numbers.of(dtype)
        self.element = self.numbers.computed
        self.lanes = target.lanes(self.element.itemsize)
        self.vector = self.element.of(self.lanes)
        self.stored = self.numbers.stored.of(self.lanes)
        self.pair = 2 * self.lanes
        self.args = Layout((*COMMON_ARGS, *ARGS))
        self.epilogue = tuple(epilogue)
        self.module = Module(target)
        self.passes = Passes(self.module, self.element, filtered=separate)
        self.emit_locate()
        self.emit_stage()
        self.emit_add_product()
        self.emit_mend()
        self.emit_finish()
        self.emit_pack_weight(mr)

    # ---- columns

    def emit_locate(self) -> None:
        """Where a block of a unit of a family reads and writes; no results if it does not exist."""
        with self.module.function("locate", args=PTR, family=I64, unit=I64, block=I64, column=PTR) as f:
            args = f.args["args"]
            tables = self.args.pointer(f, args, "tables")
            sets, residues, positions, axes, set_at, outer_at = self.args.read(
                f, args, "sets", "residues", "positions", "outer_axes", "set_at", "outer_at"
            )
            tap_step, dst_step, src_lane, dst_lane, extent = self.args.read(
                f, args, "tap_step", "dst_step", "src_lane", "dst_lane", "extent"
            )
            outputs, half = self.args.read(f, args, "outputs", "half")
            group, set_ = f.args["family"] // sets, f.args["family"] % sets
            residue, rest = f.args["unit"] % residues, f.variable(I64, f.args["unit"] // residues)
            sample = rest.get() // positions
            source, dst, exists = f.variable(I64), f.variable(I64), f.variable(I1, 1)
            src_batch, src_group, dst_batch, dst_group = self.args.read(
                f, args, "src_batch", "src_group", "dst_batch", "dst_group"
            )
            source.set(sample * src_batch + group * src_group)
            dst.set(sample * dst_batch + group * dst_group)
            with f.loop(0, axes) as i:
                row = f.offset(tables, outer_at + (axes - 1 - i) * len(OUTER), I64)
                count, multiply, add, divide, own_extent, src_stride, dst_stride = OUTER.read(f, row, *OUTER.names)
                position = rest.get() % count
                rest.set(rest.get() // count)
                there = position * multiply + add
                exists.set(exists.get() & (there >= 0) & (there % divide).equals(0) & (there // divide < own_extent))
                source.set(source.get() + there // divide * src_stride)
                dst.set(dst.get() + position * dst_stride)
            start, count = SET.read(f, f.offset(tables, set_at + set_ * len(SET), I64), "start", "count")
            first = f.args["block"] * outputs  # in steps from the residue's own beginning
            begin = start + residue + first * tap_step
            above, below = f.larger(0 - begin, 0), f.larger(extent - begin, 0)
            low = f.smaller((above + tap_step - 1) // tap_step, half * 2)
            high = f.smaller((below + tap_step - 1) // tap_step, half * 2)
            own = f.larger((count - residue + tap_step - 1) // tap_step - first, 0)
            place = set_ + (residue + first * tap_step) * dst_step
            for name, value in (
                ("source", source.get() + begin * src_lane),
                ("dst", dst.get() + place * dst_lane),
                ("low", low),
                ("high", f.select(exists.get(), f.larger(high, low), low)),
                ("outputs", f.smaller(own, outputs)),
            ):
                f.store(value, f.args["column"], COLUMN.index[name])

    def source_of(self, f: Function, args: Value, column: Value, channel: Operand = 0) -> Value:
        """The address of a column's first sample, which need not exist, in a channel of its group."""
        (at,) = COLUMN.read(f, column, "source")
        (distance,) = self.args.read(f, args, "src_channel")
        return f.offset(self.args.pointer(f, args, "src"), at + distance * channel, self.numbers.stored)

    def weight_of(self, f: Function, args: Value, family: Value, row: Value, channel: Operand = 0) -> list[Value]:
        """The address of a filter's first tap, the distance from tap to tap, and how many there are."""
        w_group, w_row, w_channel, w_lane, sets, set_at = self.args.read(
            f, args, "w_group", "w_row", "w_channel", "w_lane", "sets", "set_at"
        )
        tables = self.args.pointer(f, args, "tables")
        first, step, taps = SET.read(
            f, f.offset(tables, set_at + family % sets * len(SET), I64), "first", "step", "taps"
        )
        at = family // sets * w_group + row * w_row + w_channel * channel + first * w_lane
        return [f.offset(self.args.pointer(f, args, "w"), at, self.numbers.stored), step * w_lane, taps]

    # ---- lines to and from scratch

    def emit_stage(self) -> None:
        """Copy the samples [low, high) of a line to scratch, zeros around them; gives whether a value was huge.

        `origin` is where sample 0 lies, or would lie."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage", args=PTR, origin=PTR, distance=I64, low=I64, high=I64, work=PTR) as f:
            distance, work = f.args["distance"], f.args["work"]
            (half,) = self.args.read(f, f.args["args"], "half")
            vectors = half // lanes
            huge = Huge(f, self.vector)
            is_near = distance.equals(1)
            with f.loop(0, 2) as part:
                low, high = (self.between(f, f.args[name] - part * half, half) for name in ("low", "high"))
                to = f.offset(work, part * lanes, self.element)
                origin = f.offset(f.args["origin"], part * half * distance, numbers.stored)

                def exist(v: Value, low: Value = low, high: Value = high) -> Value:
                    number = f.lane_numbers(lanes) + f.splat(v * lanes, lanes)
                    return (number >= f.splat(low, lanes)) & (number < f.splat(high, lanes))

                def put(v: Value, stored: Value, to: Value = to) -> None:
                    value = numbers.widen(f, stored)
                    huge.see(value)
                    f.store(value, f.offset(to, v * self.pair, self.element), aligned=True)

                with f.when(is_near) as otherwise:
                    begin = (low + lanes - 1) // lanes
                    end = f.larger(high // lanes, begin)
                    for first, last in ((f.zero(I64), begin), (end, vectors)):
                        with f.loop(first, last) as v:
                            at = f.offset(origin, v * lanes, numbers.stored)
                            put(v, f.masked_load(self.stored, at, exist(v)))
                    with f.loop(begin, end) as v:
                        put(v, f.load(self.stored, f.offset(origin, v * lanes, numbers.stored)))
                with otherwise:
                    index = f.lane_numbers(lanes) * f.splat(distance, lanes)
                    with f.loop(0, vectors) as v:
                        at = f.offset(f.offset(origin, v * lanes * distance, numbers.stored), index, numbers.stored)
                        put(v, f.gather(self.stored, at, exist(v)))
            found = huge.found()
            with f.when(found):
                self.leave_out(f, work, vectors)
            f.give(f.cast("zext", found, I64))

    def emit_mend(self) -> None:
        """Add the products of samples and weights that were left out of the transforms to a block's results."""
        numbers = self.numbers
        with self.module.function("mend", args=PTR, column=PTR, family=I64, row=I64, work=PTR) as f:
            args, column, work = (f.args[name] for name in ("args", "column", "work"))
            channels, lane, step = self.args.read(f, args, "channels", "src_lane", "tap_step")
            low, high, outputs = COLUMN.read(f, column, "low", "high", "outputs")
            with f.loop(0, channels) as c:
                source = self.source_of(f, args, column, c)
                weight, distance, taps = self.weight_of(f, args, f.args["family"], f.args["row"], c)

                def sample(j: Value, source: Value = source) -> Value:
                    return numbers.widen(f, f.load(numbers.stored, source, j * (lane * step)))

                def tap(t: Value, weight: Value = weight, distance: Value = distance) -> Value:
                    return numbers.widen(f, f.load(numbers.stored, weight, t * distance))

                with f.loop(low, high) as j:
                    x = sample(j)
                    with (
                        f.when(self.passes_transform(f, x) ^ 1),
                        f.loop(f.larger(j - taps + 1, 0), f.smaller(j + 1, outputs)) as o,
                    ):
                        f.call("add_product", args, work, o, x * tap(j - o))
                with f.loop(0, taps) as t:
                    w = tap(t)
                    with (
                        f.when(self.passes_transform(f, w) ^ 1),
                        f.loop(f.larger(low - t, 0), f.smaller(high - t, outputs)) as o,
                    ):
                        x = sample(o + t)
                        with f.when(self.passes_transform(f, x)):
                            f.call("add_product", args, work, o, x * w)

    def emit_finish(self) -> None:
        """Store a block's results, after the epilogue; `channel` is counted over all groups."""
        lanes, result = self.lanes, self.numbers.result
        with self.module.function("finish", args=PTR, column=PTR, work=PTR, row=I64, channel=I64) as f:
            args = f.args["args"]
            half, dst_channel, dst_lane, dst_step, tap_step = self.args.read(
                f, args, "half", "dst_channel", "dst_lane", "dst_step", "tap_step"
            )
            at, outputs = COLUMN.read(f, f.args["column"], "dst", "outputs")
            distance = dst_lane * dst_step * tap_step
            dst = f.offset(self.args.pointer(f, args, "dst"), at + f.args["row"] * dst_channel, result)
            epilogue = Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue)
            epilogue.begin_row(f.args["channel"])
            is_near = distance.equals(1)
            with f.loop(0, 2) as part:
                count = self.between(f, outputs - part * half, half)
                own = f.offset(f.args["work"], part * lanes, self.element)
                to = f.offset(dst, part * half * distance, result)

                def value(v: Value, own: Value = own) -> Value:
                    return f.load(self.vector, f.offset(own, v * self.pair, self.element), aligned=True)

                def exist(v: Value, count: Value = count) -> Value:
                    return f.lane_numbers(lanes) < f.splat(count - v * lanes, lanes)

                with f.when(is_near) as otherwise:
                    whole = count // lanes
                    with f.loop(0, whole) as v:
                        epilogue.store([value(v)], [Place(f.offset(to, v * lanes, result))])
                    with f.loop(whole, (count + lanes - 1) // lanes) as v:
                        epilogue.store([value(v)], [Place(f.offset(to, v * lanes, result), exist(v))])
                with otherwise:
                    index = f.lane_numbers(lanes) * f.splat(distance, lanes)
                    with f.loop(0, (count + lanes - 1) // lanes) as v:
                        places = f.offset(f.offset(to, v * lanes * distance, result), index, result)
                        epilogue.store([value(v)], [Place(places, exist(v))])

    # ---- transforms

    def scratch(self, f: Function, args: Value) -> Value:
        """This worker's scratch: one line, and after it its spectrum where that is kept for several rows."""
        (size,) = self.args.read(f, args, "scratch_bytes")
        return f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * size, I8)

    def emit_pack_weight(self, mr: int) -> None:
        """Spectra of all filters, divided by what the transforms multiply with; rows that fill up a tile are zeros."""
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            count, rows, padded, channels, pitch, vectors = self.args.read(
                f, args, "pack_tasks", "rows", "padded_rows", "channels", "w_vector", "vectors"
            )
            scale = f.splat(f.load(self.element, self.args.address(f, args, "normaliser")), self.lanes)
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                c, row, family = task % channels, task // channels % padded, task // (channels * padded)
                weight, distance, taps = self.weight_of(f, args, family, row, c)
                own = f.select(row < rows, taps, 0)
                mark = f.call_for(I64, "stage", args, weight, distance, 0, own, work)
                f.store(mark, self.panel_mark(f, args, family, row, c))
                with f.loop(0, vectors * self.pair, self.lanes) as i:
                    at = f.offset(work, i, self.element)
                    f.store(f.load(self.vector, at, aligned=True) * scale, at, aligned=True)
                place = self.panel(f, args, family, row, c, mr)
                f.call("to_spectrum", work, self.args.pointer(f, args, "transform"), place, pitch)
