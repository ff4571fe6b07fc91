"""Depthwise correlation by two-dimensional Fourier transforms, tile by tile, with one transform in each lane.

A lane is one tile of one result channel: neighbouring channels of the same tile, or neighbouring tiles of the same
channel (which then share a spectrum). Lanes do not mix, so that what a lane holds depends on its own tile only.

A task is one vector of lanes: rows are staged, transposed to lanes in registers and transformed at once; then each
column is transformed, multiplied and transformed back in one go (see fft_lines.py, whose functions are called by
address: this module's code does not depend on the extents of tiles); then rows are transformed back and stored.

Numbers that are not finite, or so large that a transform might overflow, are noticed while they are staged (or packed,
for weights). The results of their lanes are then computed once more, as plain sums.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I1, I32, I64, PTR, Function, Value, Variable
from ..target import Target
from .correlation import AXIS, TAP_ROW
from .epilogue import Epilogue, Place
from .fft_tiles import LANE, TILE, LaneTiles
from .pointwise import limit_bits, magnitude_bits

_NONE = 1 << 30
"""A column that no tile has."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    src_step: int = 1
    """Elements from one column of the source to the next, where that many vectors are read for one; likewise dst."""
    dst_step: int = 1
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        return "_".join((f"fft_2d_{self.dtype}_{self.src_step}to{self.dst_step}", *self.epilogue))


def emit_fft_2d(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(LaneTiles):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, spec.src_step)
        self.epilogue = spec.epilogue
        # A residual is read as the result is written: whole vectors, or each number for itself.
        self.dst_step = 1 if "add" in spec.epilogue else spec.dst_step
        self.emit_pack_lines()
        self.emit_finish_rows()
        self.emit_recompute()
        self.emit_run()

    def tap(self, f: Function, tables: Value, tap_at: Value, number: Value) -> tuple[Value, Value]:
        """(tap, offset) of a tap of the current phase on one axis."""
        at = f.offset(tables, tap_at + number * TAP_ROW, I64)
        return f.load(I64, at, 0), f.load(I64, at, 1)

    # ---- weights: panels[vector of channels][phase], each as fft_lines lays it out, then the largest magnitudes;
    # where lanes share a spectrum, panels[channel][phase]

    def emit_pack_lines(self) -> None:
        """Transform vectors of kernels as if they were tiles: the tap at offset t stands at -t, where a product of
        polynomials (modulo t^columns + 1 along rows, t^rows - 1 along columns) is the correlation."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            tables, weight, panels = (self.args.pointer(f, args, n) for n in ("tables", "w", "panels"))
            count, phases, rank, rows, channels = self.args.read(
                f, args, "pack_tasks", "phases", "rank", "rows", "all_channels"
            )
            w_group, w_row, panel, pitch = self.args.read(f, args, "w_group", "w_row", "panel", "pitch")
            tile_rows, tile_columns, one_row, one_column = self.args.read(f, args, *TILE)
            (channel_lane,) = self.args.read(f, args, "channel_lane")
            forward, spectrum = (self.args.pointer(f, args, n) for n in ("forward", "spectrum"))
            row_table, column_table = (self.args.pointer(f, args, n) for n in ("row_table", "column_table"))
            names = ("at_lanes", "at_row", "at_work", "at_spectrum", "at_tile")
            places, row, work, column, tile = (self.section(f, args, state, name) for name in names)
            half = tile_columns // 2
            size = f.cast("sitofp", half * tile_rows, numbers.computed)
            scale = f.binary("", "fdiv", f.constant(1.0, numbers.computed), size)
            largest = f.variable(self.bits)
            first, place = f.variable(I64), f.variable(I64)
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                f.call("select_phase", args, state, task % phases)
                channel = (task // phases) * lanes
                with f.loop(0, lanes) as i:
                    own = f.smaller(channel + i, channels - 1)
                    f.store((own // rows) * w_group + (own % rows) * w_row, places, i)
                at_lanes = f.load(I64.of(lanes), places)
                exists = f.lane_numbers(lanes) < f.splat(channels - channel, lanes)
                (own_y, own_x) = (self.state_row(f, state, rank - n) for n in (2, 1))
                low_y, taps_y, at_y = self.axis_state.read(f, own_y, "first_offset", "taps", "tap_at")
                low_x, taps_x, at_x = self.axis_state.read(f, own_x, "first_offset", "taps", "tap_at")
                (w_y,) = AXIS.read(f, self.axis_row(f, tables, rank - 2), "w_stride")
                (w_x,) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "w_stride")
                largest.set(0)
                with f.loop(0, tile_rows) as n:
                    self.wrap(f, first, 0 - n - low_y * one_row, tile_rows)
                    line = f.offset(tile, n * pitch, numbers.computed)
                    with f.when(first.get() < taps_y) as empty:
                        f.call("clear", row, 0, tile_columns)
                        with f.loop(first.get(), taps_y, tile_rows) as j, f.loop(0, taps_x) as i:
                            tap_y, tap_x = self.tap(f, tables, at_y, j)[0], self.tap(f, tables, at_x, i)[0]
                            wanted = 0 - i - low_x * one_column
                            self.wrap(f, place, wanted, tile_columns)
                            start = f.offset(weight, tap_y * w_y + tap_x * w_x, numbers.stored)
                            pointers = f.offset(start, at_lanes, numbers.stored)
                            value = numbers.widen(f, f.gather(numbers.stored.of(lanes), pointers, exists))
                            largest.set(f.larger(largest.get(), magnitude_bits(f, value)))
                            turns = (wanted - place.get()) // tile_columns
                            signed = f.select((turns & 1).equals(0), value, -value)
                            to = self.line(f, row, place.get())
                            f.store(f.load(self.vector, to, aligned=True) + signed, to, aligned=True)
                        f.call_at(forward, row, line, row_table)
                    with empty:
                        f.call("clear", line, 0, tile_columns)
                with f.when(channel_lane.equals(1)) as shared:
                    to = f.offset(panels, task * panel, numbers.computed)
                    with f.loop(0, half) as k:
                        own = self.line(f, to, k * tile_rows * 2)
                        f.call_at(spectrum, self.line(f, tile, k * 2), pitch, own, column_table, work, scale)
                    f.store(largest.get(), self.line(f, to, half * tile_rows * 2), aligned=True)
                with shared:
                    # Lanes that do not exist are masked, but addresses that nobody has would make that slow.
                    number = f.smaller(f.lane_numbers(lanes) + f.splat(channel, lanes), f.splat(channels - 1, lanes))
                    start = (number * f.splat(phases, lanes) + f.splat(task % phases, lanes)) * f.splat(panel, lanes)
                    own = f.offset(panels, start, numbers.computed)
                    with f.loop(0, half) as k:
                        f.call_at(spectrum, self.line(f, tile, k * 2), pitch, column, column_table, work, scale)
                        with f.loop(0, tile_rows * 2) as n:
                            value = f.load(self.vector, self.line(f, column, n), aligned=True)
                            place_of = f.splat(k * tile_rows * 2 + n, lanes)
                            f.scatter(value, f.offset(own, place_of, numbers.computed), exists)
                    place_of = f.splat(half * tile_rows * 2, lanes)
                    f.scatter(largest.get(), f.offset(own, place_of, numbers.computed), exists)

    def wrap(self, f: Function, cell: Variable, number: Value, modulus: Value) -> None:
        """cell = number modulo modulus, not negative."""
        rest = number % modulus
        cell.set(f.select(rest < 0, rest + modulus, rest))

    # ---- results

    def destination(self, f: Function) -> list[Value]:
        """Elements from one row of results to the next, and from one column."""
        strides, steps = self.source_strides(f, "dst_stride"), self.source_strides(f, "dst_step")
        return [stride * step for stride, step in zip(strides, steps, strict=True)]

    def emit_finish_rows(self) -> None:
        """Transform the rows back, finish and store all lanes' results."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("finish_rows", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            table, values, tile = (self.section(f, args, state, n) for n in ("at_lanes", "at_row", "at_tile"))
            rows, columns, channel = self.state.read(f, state, "rows", "columns", "first_channel")
            beside, channels, pitch, ahead = self.args.read(
                f, args, "dst_beside", "all_channels", "pitch", "rows_ahead"
            )
            inverse, row_table = (self.args.pointer(f, args, n) for n in ("inverse", "row_table"))
            down, along = self.destination(f)
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            limits = self.section(f, args, state, "at_limits")
            of_column, of_row, of_channel = (self.lane_vector(f, table, n) for n in ("columns", "rows", "channel"))
            epilogue.begin_lanes(of_channel, f.constant(-1, I1.of(lanes)))
            exists = f.lane_numbers(lanes) < f.splat(channels - channel, lanes)
            with f.loop(0, rows) as y:
                f.call_at(inverse, values, f.offset(tile, y * pitch, numbers.computed), row_table)
                own = f.select(f.splat(y, lanes) < of_row, f.cast("trunc", of_column, I32), 0)
                f.store(own, limits, aligned=True)
                with f.when(beside.equals(1)) as apart, f.loop(0, columns) as x:
                    start = f.offset(
                        f.load(PTR, table, LANE.index("dst") * lanes), y * down + x * along, numbers.result
                    )
                    value = f.load(self.vector, self.line(f, values, x), aligned=True)
                    epilogue.store([value], [Place(start, exists)])
                with apart, f.loop(0, columns, lanes) as x:
                    sums = [f.load(self.vector, self.line(f, values, x + i), aligned=True) for i in range(lanes)]
                    if "add" not in self.epilogue:
                        sums = [epilogue.finish([total])[0] for total in sums]
                    sums = f.transpose(sums)
                    with f.when(along.equals(self.dst_step)) as far:
                        with f.when(ahead > 0):
                            next_ = (y + ahead) * down + x * self.dst_step
                            self.prefetch_lanes(f, table, "dst", numbers.result, next_, self.dst_step)
                        self.store_lanes(f, sums, table, limits, x, y * down, None, epilogue)
                    with far:
                        self.store_lanes(f, sums, table, limits, x, y * down, along, epilogue)

    def store_lanes(
        self,
        f: Function,
        sums: list[Value],
        table: Value,
        limits: Value,
        x: Value,
        down: Value,
        along: Value | None,
        epilogue: Epilogue,
    ) -> None:
        """Store a block of columns of each lane: `dst_step` apart, or `along`."""
        numbers, lanes, step = self.numbers, self.lanes, self.dst_step
        first = f.splat(f.cast("trunc", x, I32), lanes)
        for i, total in enumerate(sums):
            limit = f.splat(f.load(I32, limits, i), lanes)
            start = f.load(PTR, table, LANE.index("dst") * lanes + i)
            mask = (f.vector(I32, range(lanes)) + first) < limit
            places = [Place(f.offset(start, down + x * step, numbers.result), mask)]
            values = [total]
            if along is not None:
                index = (f.lane_numbers(lanes) + f.splat(x, lanes)) * f.splat(along, lanes) + f.splat(down, lanes)
                places = [Place(f.offset(start, index, numbers.result), mask)]
            elif step > 1:
                values, places = [], []
                for v in range(step):
                    # Element v*lanes + j is column (v*lanes + j) / step, if that is whole.
                    columns = [divmod(v * lanes + j, step) for j in range(lanes)]
                    numbers_of = f.vector(I32, [_NONE if rest else column for column, rest in columns])
                    at = f.offset(start, down + x * step + v * lanes, numbers.result)
                    places.append(Place(at, numbers_of + first < limit))
                    values.append(f.shuffle(total, total, [column for column, _ in columns]))
            if "add" in self.epilogue:
                epilogue.begin_row(f.load(I64, table, LANE.index("channel") * lanes + i))
                epilogue.store(values, places)
            else:
                for value, place in zip(values, places, strict=True):
                    place.store(f, numbers.narrow(f, value))

    def emit_recompute(self) -> None:
        """All results of one lane, as plain sums: a chain for each row of taps."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("recompute", args=PTR, state=PTR, lane=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables, weight = (self.args.pointer(f, args, n) for n in ("tables", "w"))
            own = f.offset(self.section(f, args, state, "at_lanes"), f.args["lane"], I64)
            rank, own_rows, w_group, w_row = self.args.read(f, args, "rank", "rows", "w_group", "w_row")
            _, _, one_row, one_column = self.args.read(f, args, *TILE)
            fields = {name: f.load(I64, own, LANE.index(name) * lanes) for name in LANE}
            channel, rows, columns = fields["channel"], fields["rows"], fields["columns"]
            top, bottom = fields["first_row"], fields["last_row"]
            left, width = fields["first_column"], fields["last_column"] - fields["first_column"]
            source, result = (f.load(PTR, own, LANE.index(name) * lanes) for name in ("src", "dst"))
            kernel = f.offset(weight, (channel // own_rows) * w_group + (channel % own_rows) * w_row, numbers.stored)
            (src_y, src_x), (w_y, w_x) = self.source_strides(f), self.source_strides(f, "w_stride")
            (low_y, taps_y, at_y), (low_x, taps_x, at_x) = (
                self.axis_state.read(f, self.state_row(f, state, rank - n), "first_offset", "taps", "tap_at")
                for n in (2, 1)
            )
            low_y, low_x = low_y * (1 - one_row), low_x * (1 - one_column)
            down, along = self.destination(f)
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            epilogue.begin_row(channel)
            total, chain = f.variable(self.vector), f.variable(self.vector)
            with f.loop(0, rows) as row, f.loop(0, columns, lanes) as column:
                number = f.lane_numbers(lanes) + f.splat(column, lanes)
                exists = number < f.splat(columns, lanes)
                total.set(0)
                with f.loop(0, taps_y) as j:
                    tap_y, offset_y = self.tap(f, tables, at_y, j)
                    y = row + offset_y - low_y
                    chain.set(0)
                    with f.when((top <= y) & (y < bottom)), f.loop(0, taps_x) as i:
                        tap_x, offset_x = self.tap(f, tables, at_x, i)
                        x = number + f.splat(offset_x - low_x, lanes)
                        is_inside = exists & (x - f.splat(left, lanes)).below(f.splat(width, lanes))
                        there = f.offset(source, x * f.splat(src_x, lanes) + f.splat(y * src_y, lanes), numbers.stored)
                        a = numbers.widen(f, f.gather(numbers.stored.of(lanes), there, is_inside))
                        b = numbers.widen(f, f.load(numbers.stored, kernel, tap_y * w_y + tap_x * w_x))
                        chain.set(f.multiply_add(a, f.splat(b, lanes), chain.get()))
                    total.set(total.get() + chain.get())
                index = number * f.splat(along, lanes) + f.splat(row * down, lanes)
                epilogue.store([total.get()], [Place(f.offset(result, index, numbers.result), exists)])

    # ---- the driver

    def emit_run(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            count, phases, inner, panel = self.args.read(f, args, "run_tasks", "phases", "inner", "panel")
            channel_step, position_step, channel_lane = self.args.read(
                f, args, "channel_step", "position_step", "channel_lane"
            )
            rows, columns, pitch = self.args.read(f, args, "tile_rows", "tile_columns", "pitch")
            convolve, table, panels = (self.args.pointer(f, args, n) for n in ("convolve", "column_table", "panels"))
            work, tile, largest = (self.section(f, args, state, n) for n in ("at_work", "at_tile", "at_largest"))
            half = columns // 2
            is_shared = channel_lane.equals(0)
            channels_inner = self.args.read(f, args, "channels_inner")[0].equals(1)
            apart = f.select(is_shared, f.constant(1, I64), lanes)
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                phase, rest = task % phases, task // phases
                outer, inner_most = rest // inner, rest % inner
                channel = f.select(channels_inner, inner_most, outer) * channel_step
                position = f.select(channels_inner, outer, inner_most) * position_step
                f.call("select_phase", args, state, phase)
                f.call("list_lanes", args, state, channel, position)
                number = f.select(is_shared, channel, channel // lanes)
                spectrum = f.offset(panels, (number * phases + phase) * panel, numbers.computed)
                end = f.offset(spectrum, half * rows * 2 * apart, numbers.computed)
                with f.when(is_shared) as by_lane:
                    f.store(f.splat(f.load(self.bits.element, end), lanes), largest, aligned=True)
                with by_lane:
                    f.store(f.load(self.bits, end, aligned=True), largest, aligned=True)
                f.call("transform_rows", args, state)
                with f.loop(0, half) as k:
                    own = f.offset(spectrum, k * rows * 2 * apart, numbers.computed)
                    f.call_at(convolve, self.line(f, tile, k * 2), pitch, own, table, work)
                f.call("finish_rows", args, state)
                with f.loop(0, lanes) as i:
                    is_huge = f.load(self.bits.element, largest, i) > limit_bits(numbers.computed)
                    with f.when(is_huge):
                        f.call("recompute", args, state, i)
