"""Weights as panels with result channels in lanes: panels[group][panel][phase][tap][channel][nr].

Behind them stands flags[group][panel][phase]: whether a weight is not finite, or huge.

Where a weight lies as it does by default, its rows far apart and a row's channels and taps side by side, squares of one
vector each way are transposed in registers, so that each of its cache lines is read once. (Rows that lie a multiple of
4096 bytes apart share one set of an L1 cache, which forgets them before the next channel asks.) Otherwise lanes are
gathered.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I8, I64, PTR, Function, Value
from ..target import Target
from .gemm import Tile
from .pointwise import Huge
from .staging import Staging

PANEL_ARGS = ("panels_of_rows", "at_flags", "row_span", "row_used")
"""Slots: the panels of a group; where the flags begin; how far a row's channels lie apart if their taps lie between
them (else 0), and how many elements they take there."""
MOST_SPAN = 32
"""The largest `row_span`; as many squares wait in a cache for being taken apart by taps."""
AHEAD = 4
"""Squares by which rows are asked for in advance."""


class ChannelPanels(Staging):
    """A correlation whose weights are packed for vectors of result channels."""

    def __init__(self, dtype: str, tile: Tile, target: Target, args: Sequence[str]) -> None:
        super().__init__(dtype, tile, target, (*PANEL_ARGS, *args), run_axes=1, packs_weight=False)
        self.emit_transpose_rows()
        self.emit_pack_rows()
        self.emit_gather_rows()
        self.emit_pack_channels()

    def emit_pack_channels(self) -> None:
        numbers = self.numbers
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("pack_tasks", "phases", "panels_of_rows", "rows", "channels", "all_taps", "w_group", "w_row")
            count, phases, panels, rows, channels, all_taps, w_group, w_row = self.args.read(f, args, *names)
            span, at_flags = self.args.read(f, args, "row_span", "at_flags")
            weight, to = self.args.pointer(f, args, "w"), self.args.pointer(f, args, "panels")
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                phase, block = task % phases, task // phases
                first = (block % panels) * self.nr
                f.call("select_phase", args, state, phase)
                (before,) = self.state.read(f, state, "taps_before")
                source = f.offset(weight, (block // panels) * w_group + first * w_row, numbers.stored)
                own = f.offset(to, (block * all_taps + before) * channels * self.nr, numbers.computed)
                flag = f.variable(I64)
                with f.when(span > 0) as otherwise:
                    flag.set(f.call_for(I64, "pack_rows", args, state, source, rows - first, own))
                with otherwise:
                    flag.set(f.call_for(I64, "gather_rows", args, state, source, rows - first, own))
                f.store(flag.get(), f.offset(to, at_flags, I8), task)

    def huge(self, f: Function) -> Huge | None:
        """What notices weights that are not finite, where there can be any."""
        if not self.numbers.computed.is_float:
            return None
        huge = Huge(f, self.vector)
        huge.begin()
        return huge

    def give_flag(self, f: Function, huge: Huge | None) -> None:
        f.give(f.cast("zext", huge.found(), I64) if huge else f.constant(0, I64))

    def emit_gather_rows(self) -> None:
        """A panel of one phase: lanes that lie anywhere, or side by side."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("gather_rows", args=PTR, state=PTR, source=PTR, rows=I64, to=PTR) as f:
            args, state, source, rows = (f.args[n] for n in ("args", "state", "source", "rows"))
            channels, w_row, w_channel = self.args.read(f, args, "channels", "w_row", "w_channel")
            (taps,) = self.state.read(f, state, "taps")
            w_offset, value, huge = f.variable(I64, 0), f.variable(stored), self.huge(f)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, w_offset.ref))
                with f.loop(0, channels) as c, f.loop(0, self.nr, lanes) as v:
                    at = f.offset(source, w_offset.get() + c * w_channel + v * w_row, numbers.stored)
                    row = f.lane_numbers(lanes)
                    exists = row < f.splat(rows - v, lanes)
                    with f.when(w_row.equals(1)) as otherwise:
                        value.set(f.masked_load(stored, at, exists))
                    with otherwise:
                        pointers = f.offset(at, row * f.splat(w_row, lanes), numbers.stored)
                        value.set(f.gather(stored, pointers, exists))
                    place = f.offset(f.args["to"], (t * channels + c) * self.nr + v, numbers.computed)
                    wide = numbers.widen(f, value.get())
                    if huge:
                        huge.see(wide)
                    f.store(wide, place, aligned=True)
            self.give_flag(f, huge)

    def emit_pack_rows(self) -> None:
        """A panel of one phase whose rows are runs of channels with their taps: a vector of channels at a time is
        transposed and taken apart by taps."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("pack_rows", args=PTR, state=PTR, source=PTR, rows=I64, to=PTR) as f:
            args, state, source, rows = (f.args[n] for n in ("args", "state", "source", "rows"))
            channels, w_row, span, used = self.args.read(f, args, "channels", "w_row", "row_span", "row_used")
            (taps,) = self.state.read(f, state, "taps")
            squares = f.stack(numbers.computed, MOST_SPAN * lanes * lanes)
            w_offsets, w_offset, huge = f.stack(I64, MOST_SPAN), f.variable(I64, 0), self.huge(f)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, w_offset.ref))
                f.store(w_offset.get(), w_offsets, t)
            with f.loop(0, self.nr, lanes) as v, f.loop(0, channels, lanes) as c0:
                few = f.smaller(channels - c0, lanes)
                columns = (few - 1) * span + used
                at = f.offset(source, v * w_row + c0 * span, numbers.stored)
                with f.loop(0, columns, lanes) as j:
                    square = f.offset(squares, j * lanes, numbers.computed)
                    f.call("transpose_rows", args, f.offset(at, j, numbers.stored), rows - v, columns - j, square)
                with f.loop(0, taps) as t:
                    own = f.offset(squares, f.load(I64, w_offsets, t) * lanes, numbers.computed)
                    place = f.offset(f.args["to"], (t * channels + c0) * self.nr + v, numbers.computed)
                    with f.loop(0, few) as c:
                        value = f.load(self.vector, f.offset(own, c * span * lanes, numbers.computed), aligned=True)
                        if huge:
                            huge.see(value)
                        f.store(value, f.offset(place, c * self.nr, numbers.computed), aligned=True)
            self.give_flag(f, huge)

    def emit_transpose_rows(self) -> None:
        """square[column][row] = source[row][column]: one vector each way, of which so many rows and columns exist."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("transpose_rows", args=PTR, source=PTR, rows=I64, columns=I64, square=PTR) as f:
            (w_row,) = self.args.read(f, f.args["args"], "w_row")
            rows, columns = f.args["rows"], f.args["columns"]
            places = [f.offset(f.args["source"], w_row * i, numbers.stored) for i in range(lanes)]
            values = [f.variable(stored) for _ in places]
            with f.when((rows >= lanes) & (columns >= lanes)) as otherwise:
                for place, value in zip(places, values, strict=True):
                    f.prefetch(f.offset(place, AHEAD * lanes, numbers.stored))
                    value.set(f.load(stored, place))
            with otherwise:
                for i, (place, value) in enumerate(zip(places, values, strict=True)):
                    width = f.select(rows > i, columns, 0)
                    value.set(f.masked_load(stored, place, f.lane_numbers(lanes) < f.splat(width, lanes)))
            for i, row in enumerate(f.transpose([numbers.widen(f, value.get()) for value in values])):
                f.store(row, f.args["square"], i * lanes, aligned=True)
