"""Dense filters of several axes by the Fourier transforms of one line, on which all axes of an image are laid.

Rows follow one another with so many zeros between them that no tap of a result reaches another row's samples, and so
do planes. On that line the tap at offset (i, j) stands at i*pitch + j, and the correlation of images is one of lines,
whose filter is mostly zeros. Places between the rows have results as well, which are not stored. The line is never
made: what a block needs is gathered row by row, and its results are stored so.

Blocks overlap as those of fft_1d.py. A line that is a single block need not have room for the zeros on both sides: what
wraps around finds the zeros of the other side.

The phases of a strided data gradient see the same samples: they are rows, beside the result channels, each with the
filter of its own taps. See correlation.py for phases and taps, fft_pieces.py for families, columns and pieces. A family
is a group here, and a unit a sample of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from ..ir import I1, I32, I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, TAP_ROW, Correlation
from .epilogue import Epilogue, Place
from .fft_passes import Passes
from .fft_pieces import PIECE_ARGS, Pieces
from .gemm import Tile
from .pointwise import Huge

ARGS = (
    # where pitches stand in the tables; the place of the first tap; results and rows of samples of a line
    "pitches_at", "first_tap", "line_results", "line_rows",
    # phases times result channels of a group
    "all_rows",
    # places in scratch
    "at_tap", "at_work",
    *PIECE_ARGS,
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

Rows: TypeAlias = AbstractContextManager[tuple[Value, Value]]
PITCH = Layout(("pitch", "fold"))
"""Of an axis: places from one position to the next, and positions until the next of the axis before it."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile
    """Rows and blocks whose sums over channels are made at once."""
    epilogue: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "_".join((f"fft_flat_{self.dtype}_{self.tile.mr}x{self.tile.nv}mixed", *self.epilogue))


def emit_fft_flat(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)`, `begin`, `transform`, `mix` and `restore`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Correlation, Pieces):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, packs_weight=False)
        self.element = self.numbers.computed
        self.stored = self.numbers.stored.of(self.lanes)
        self.pair = 2 * self.lanes
        self.epilogue = spec.epilogue
        self.passes = Passes(self.module, self.element, filtered=False)
        self.emit_add_product()
        self.emit_stage()
        self.emit_place_tap()
        self.emit_pack_spectra()
        self.emit_begin()
        self.emit_transform()
        self.emit_tile(spec.tile)
        self.emit_mix(spec.tile)
        self.emit_mend()
        self.emit_finish()
        self.emit_restore()

    # ---- rows of the line

    def pitch(self, f: Function, args: Value, a: Value, name: str) -> Value:
        tables = self.args.pointer(f, args, "tables")
        (pitches_at,) = self.args.read(f, args, "pitches_at")
        (value,) = PITCH.read(f, f.offset(tables, pitches_at + a * len(PITCH), I64), name)
        return value

    def last_axis(self, f: Function, args: Value, *names: str) -> list[Value]:
        (rank,) = self.args.read(f, args, "rank")
        return AXIS.read(f, self.axis_row(f, self.args.pointer(f, args, "tables"), rank - 1), *names)

    @contextmanager
    def rows(
        self, f: Function, args: Value, first: Value, count: Value, axis: Callable[[Value], tuple[Value, Value]]
    ) -> Iterator[tuple[Value, Value]]:
        """The rows that have some of `count` places from `first` on: the number of a row's first place among these,
        which may be negative, and its distance from the array's first. `axis(a)`: how many positions another axis has,
        and the distance from one to the next."""
        rank, line_rows = self.args.read(f, args, "rank", "line_rows")
        between = self.pitch(f, args, rank - 2, "pitch")
        end = f.smaller((f.larger(first + count, 0) + between - 1) // between, line_rows)
        rest, at, exists = f.variable(I64), f.variable(I64), f.variable(I1)
        with f.loop(f.larger(first, 0) // between, end) as number:
            rest.set(number)
            at.set(0)
            exists.set(1)
            with f.loop(0, rank - 1) as i:
                a = rank - 2 - i
                fold = self.pitch(f, args, a, "fold")
                position = rest.get() % fold
                rest.set(rest.get() // fold)
                positions, distance = axis(a)
                exists.set(exists.get() & (position < positions))
                at.set(at.get() + position * distance)
            with f.when(exists.get()):
                yield number * between - first, at.get()

    def source_rows(self, f: Function, args: Value, first: Value) -> Rows:
        """The same of the samples of a block."""
        tables = self.args.pointer(f, args, "tables")
        (half,) = self.args.read(f, args, "half")

        def axis(a: Value) -> tuple[Value, Value]:
            extent, stride = AXIS.read(f, self.axis_row(f, tables, a), "extent", "src_stride")
            return extent, stride

        return self.rows(f, args, first, half * 2, axis)

    def result_rows(self, f: Function, args: Value, state: Value, first: Value, count: Value) -> Rows:
        """The same of the results of a block in the phase that `state` is in."""
        tables = self.args.pointer(f, args, "tables")

        def axis(a: Value) -> tuple[Value, Value]:
            stride, step = AXIS.read(f, self.axis_row(f, tables, a), "dst_stride", "dst_step")
            (positions,) = self.axis_state.read(f, self.state_row(f, state, a), "count")
            return positions, stride * step

        return self.rows(f, args, first, count, axis)

    @contextmanager
    def vectors(self, f: Function, work: Value, half: Value, low: Value, high: Value) -> Iterator[tuple[Value, ...]]:
        """The vectors of a block in scratch that have some of its numbers [low, high), where low is not negative: its
        first number, its address, and the mask of those numbers."""
        lanes = self.lanes
        whole = half // lanes
        with f.loop(low // lanes, (f.larger(high, 0) + (lanes - 1)) // lanes) as v:
            at = v * self.pair - f.select(v >= whole, half * 2 - lanes, 0)
            first = v * lanes
            numbers = f.vector(I32, range(lanes))
            from_, to = (f.splat(f.cast("trunc", limit - first, I32), lanes) for limit in (low, high))
            yield first, f.offset(work, at, self.element), (numbers >= from_) & (numbers < to)

    # ---- blocks to and from scratch

    def emit_stage(self) -> None:
        """Copy what a block from place `first` of a line on has to scratch; gives whether a value was huge.

        `origin` is where the first sample of the image lies."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage", args=PTR, origin=PTR, first=I64, work=PTR) as f:
            args, origin, work = (f.args[name] for name in ("args", "origin", "work"))
            (half,) = self.args.read(f, args, "half")
            extent, stride = self.last_axis(f, args, "extent", "src_stride")
            self.clear(f, work, half)
            huge = Huge(f, self.vector)

            def put(stored: Value, at: Value, mask: Value) -> None:
                value = numbers.widen(f, stored)
                huge.see(value)
                f.masked_store(value, at, mask)

            with self.source_rows(f, args, f.args["first"]) as (start, at):
                row = f.offset(origin, at, numbers.stored)
                low, high = f.larger(start, 0), f.smaller(start + extent, half * 2)
                with f.when(stride.equals(1)) as otherwise, self.vectors(f, work, half, low, high) as (first, to, mask):
                    put(f.masked_load(self.stored, f.offset(row, first - start, numbers.stored), mask), to, mask)
                with otherwise, self.vectors(f, work, half, low, high) as (first, to, mask):
                    index = (f.lane_numbers(lanes) + f.splat(first - start, lanes)) * f.splat(stride, lanes)
                    put(f.gather(self.stored, f.offset(row, index, numbers.stored), mask), to, mask)
            found = huge.found()
            with f.when(found):
                self.leave_out(f, work, half // lanes)
            f.give(f.cast("zext", found, I64))

    def clear(self, f: Function, work: Value, half: Value) -> None:
        with f.loop(0, half * 2, self.lanes) as i:
            f.store(f.zero(self.vector), f.offset(work, i, self.element), aligned=True)

    def emit_finish(self) -> None:
        """Store the results of a block from place `first` on, of a result channel in the phase that `state` is in."""
        numbers, lanes, result = self.numbers, self.lanes, self.numbers.result
        with self.module.function(
            "finish", args=PTR, state=PTR, work=PTR, first=I64, sample=I64, group=I64, row=I64
        ) as f:
            args, state, work, first = (f.args[name] for name in ("args", "state", "work", "first"))
            half, rank, rows = self.args.read(f, args, "half", "rank", "rows")
            dst_batch, dst_group, dst_channel = self.args.read(f, args, "dst_batch", "dst_group", "dst_channel")
            tables = self.args.pointer(f, args, "tables")
            sample, group, channel = (f.args[name] for name in ("sample", "group", "row"))
            at = f.variable(I64, sample * dst_batch + group * dst_group + channel * dst_channel)
            with f.loop(0, rank) as a:
                (origin,) = self.axis_state.read(f, self.state_row(f, state, a), "origin")
                (stride,) = AXIS.read(f, self.axis_row(f, tables, a), "dst_stride")
                at.set(at.get() + origin * stride)
            dst = f.offset(self.args.pointer(f, args, "dst"), at.get(), result)
            stride, step = self.last_axis(f, args, "dst_stride", "dst_step")
            distance = stride * step
            (width,) = self.axis_state.read(f, self.state_row(f, state, rank - 1), "count")
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            epilogue.begin_row(group * rows + channel)
            count = self.results(f, args, first)
            with self.result_rows(f, args, state, first, count) as (start, to):
                row = f.offset(dst, to, result)
                low, high = f.larger(start, 0), f.smaller(start + width, count)
                with f.when(distance.equals(1)) as otherwise, self.vectors(f, work, half, low, high) as (n, own, mask):
                    value = f.load(self.vector, own, aligned=True)
                    epilogue.store([value], [Place(f.offset(row, n - start, result), mask)])
                with otherwise, self.vectors(f, work, half, low, high) as (n, own, mask):
                    value = f.load(self.vector, own, aligned=True)
                    index = (f.lane_numbers(lanes) + f.splat(n - start, lanes)) * f.splat(distance, lanes)
                    epilogue.store([value], [Place(f.offset(row, index, result), mask)])

    def results(self, f: Function, args: Value, first: Value) -> Value:
        """How many results a block has whose first is that of the line."""
        outputs, line_results = self.args.read(f, args, "outputs", "line_results")
        return f.smaller(outputs, line_results - first)

    # ---- taps

    def emit_place_tap(self) -> None:
        """place_tap(args, state, tap, w_offset): where a tap of the phase that `state` is in stands in the filter."""
        with self.module.function("place_tap", args=PTR, state=PTR, tap=I64, w_offset=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            f.call("select_tap", args, state, f.args["tap"], f.args["w_offset"])
            rank, first_tap = self.args.read(f, args, "rank", "first_tap")
            place = f.variable(I64, 0 - first_tap)
            with f.loop(0, rank) as a:
                (offset,) = self.axis_state.read(f, self.state_row(f, state, a), "offset")
                place.set(place.get() + offset * self.pitch(f, args, a, "pitch"))
            f.give(place.get())

    def emit_pack_spectra(self) -> None:
        """Spectra of all filters, divided by what the transforms multiply with; rows that fill up a tile are zeros."""
        numbers, mr = self.numbers, self.tile.mr
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            work, w_cell = (self.section(f, args, state, name) for name in ("at_work", "at_tap"))
            tables = self.args.pointer(f, args, "tables")
            count, rows, all_rows, padded, channels, half, pitch, rank = self.args.read(
                f, args, "pack_tasks", "rows", "all_rows", "padded_rows", "channels", "half", "w_vector", "rank"
            )
            w_group, w_row, w_channel = self.args.read(f, args, "w_group", "w_row", "w_channel")
            (w_stride,) = self.last_axis(f, args, "w_stride")
            scale = f.splat(f.load(self.element, self.args.address(f, args, "normaliser")), self.lanes)
            huge = Huge(f, self.vector)
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                c, row, family = task % channels, task // channels % padded, task // (channels * padded)
                exists = row < all_rows
                f.call("select_phase", args, state, f.select(exists, row // rows, 0))
                at = family * w_group + row % rows * w_row + c * w_channel
                weight = f.offset(self.args.pointer(f, args, "w"), at, numbers.stored)
                self.clear(f, work, half)
                (taps,) = self.state.read(f, state, "taps")
                inner, tap_at = self.axis_state.read(f, self.state_row(f, state, rank - 1), "taps", "tap_at")
                with f.loop(0, f.select(exists, taps, 0), f.larger(inner, 1)) as t:  # a row of taps
                    place = f.call_for(I64, "place_tap", args, state, t, w_cell)
                    own = f.offset(weight, f.load(I64, w_cell), numbers.stored)
                    first, first_offset = f.load(I64, tables, tap_at), f.load(I64, tables, tap_at + 1)
                    with f.loop(0, inner) as i:
                        tap, offset = (f.load(I64, tables, tap_at + i * TAP_ROW + part) for part in range(2))
                        value = numbers.widen(f, f.load(numbers.stored, own, (tap - first) * w_stride))
                        f.store(value, work, self.spot(f, place + (offset - first_offset), half))
                huge.begin()
                with f.loop(0, half * 2, self.lanes) as i:
                    huge.see(f.load(self.vector, f.offset(work, i, self.element), aligned=True))
                found = huge.found()
                f.store(f.cast("zext", found, I64), self.panel_mark(f, args, family, row, c))
                with f.when(found):
                    self.leave_out(f, work, half // self.lanes)
                with f.loop(0, half * 2, self.lanes) as i:
                    there = f.offset(work, i, self.element)
                    f.store(f.load(self.vector, there, aligned=True) * scale, there, aligned=True)
                panel = self.panel(f, args, family, row, c, mr)
                f.call("to_spectrum", work, self.args.pointer(f, args, "transform"), panel, pitch)

    def emit_mend(self) -> None:
        """Add the products of samples and weights that were left out of the transforms to a block's results."""
        numbers = self.numbers
        with self.module.function(
            "mend", args=PTR, state=PTR, work=PTR, first=I64, sample=I64, group=I64, row=I64
        ) as f:
            args, state, work, first = (f.args[name] for name in ("args", "state", "work", "first"))
            w_cell = self.section(f, args, state, "at_tap")
            half, channels, first_tap = self.args.read(f, args, "half", "channels", "first_tap")
            w_group, w_row, w_channel = self.args.read(f, args, "w_group", "w_row", "w_channel")
            extent, stride = self.last_axis(f, args, "extent", "src_stride")
            (taps,) = self.state.read(f, state, "taps")
            count = self.results(f, args, first)
            weight = self.args.pointer(f, args, "w")
            weights = f.offset(weight, f.args["group"] * w_group + f.args["row"] * w_row, numbers.stored)

            @contextmanager
            def samples(source: Value) -> Iterator[tuple[Value, Value]]:
                """All samples of the block: their numbers and values."""
                with self.source_rows(f, args, first + first_tap) as (start, at):
                    row = f.offset(source, at, numbers.stored)
                    with f.loop(f.larger(start, 0), f.smaller(start + extent, half * 2)) as j:
                        yield j, numbers.widen(f, f.load(numbers.stored, row, (j - start) * stride))

            with f.loop(0, channels) as c:
                source = self.source_of(f, args, f.args["sample"], f.args["group"], c)
                own = f.offset(weights, c * w_channel, numbers.stored)

                def tap(t: Value, own: Value = own) -> tuple[Value, Value]:
                    place = f.call_for(I64, "place_tap", args, state, t, w_cell)
                    return place, numbers.widen(f, f.load(numbers.stored, own, f.load(I64, w_cell)))

                with samples(source) as (j, x), f.when(self.passes_transform(f, x) ^ 1), f.loop(0, taps) as t:
                    place, w = tap(t)
                    with f.when((j - place).below(count)):
                        f.call("add_product", args, work, j - place, x * w)
                with f.loop(0, taps) as t:
                    place, w = tap(t)
                    with (
                        f.when(self.passes_transform(f, w) ^ 1),
                        samples(source) as (j, x),
                        f.when(self.passes_transform(f, x) & (j - place).below(count)),
                    ):
                        f.call("add_product", args, work, j - place, x * w)

    # ---- steps

    def source_of(self, f: Function, args: Value, sample: Value, group: Value, channel: Value) -> Value:
        """The address of an image's first sample."""
        batch, by_group, by_channel = self.args.read(f, args, "src_batch", "src_group", "src_channel")
        at = sample * batch + group * by_group + channel * by_channel
        return f.offset(self.args.pointer(f, args, "src"), at, self.numbers.stored)

    def emit_transform(self) -> None:
        with self.module.function("transform", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.section(f, args, self.scratch(f, args), "at_work")
            tasks, columns, channels, vectors, blocks, pitch, outputs, first_tap = self.args.read(
                f, args, "transform_tasks", "piece_columns", "channels", "vectors", "blocks", "columns_vector",
                "outputs", "first_tap",
            )  # fmt: skip
            spectra, transform = (self.args.pointer(f, args, name) for name in ("columns", "transform"))
            first_family, first_column = self.corner(f, args)
            with f.tasks(self.args.address(f, args, "transform_counter"), tasks) as task:
                n, c, own = task % columns, task // columns % channels, task // (columns * channels)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    source = self.source_of(f, args, number // blocks, family, c)
                    first = number % blocks * outputs + first_tap
                    mark = f.call_for(I64, "stage", args, source, first, work)
                    f.store(mark, self.mark_of(f, args, own, n, c))
                    at = own * vectors * pitch + (c * columns + n) * self.pair
                    f.call("to_spectrum", work, transform, f.offset(spectra, at, self.element), pitch)

    def emit_restore(self) -> None:
        with self.module.function("restore", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            work = self.section(f, args, state, "at_work")
            tasks, columns, rows, all_rows, vectors, blocks, pitch, outputs = self.args.read(
                f, args, "restore_tasks", "piece_columns", "rows", "all_rows", "vectors", "blocks", "results_vector",
                "outputs",
            )  # fmt: skip
            results, transform = (self.args.pointer(f, args, name) for name in ("results", "transform"))
            first_family, first_column = self.corner(f, args)
            with f.tasks(self.args.address(f, args, "restore_counter"), tasks) as task:
                n, row, own = task % columns, task // columns % all_rows, task // (columns * all_rows)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    at = own * vectors * pitch + (row * columns + n) * self.pair
                    f.call("to_line", f.offset(results, at, self.element), pitch, transform, work)
                    f.call("select_phase", args, state, row // rows)
                    where = (number % blocks * outputs, number // blocks, family, row % rows)
                    with f.when(self.is_marked(f, args, own, n, family, row)):
                        f.call("mend", args, state, work, *where)
                    f.call("finish", args, state, work, *where)
