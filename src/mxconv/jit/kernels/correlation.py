"""What every dense algorithm's kernels share: a problem as a correlation, its tables, phases, taps and packed weight.

A problem is a correlation  dst[m, origin + g*dst_step] = sum over c, t of src[c, g*src_step + offset_t] * w[m, c, t],
split into phases (see geometry.AxisPlan). m counts rows, the result channels of one group; c counts the source
channels of one group, t the taps of a phase, g the positions of a phase's grid.

Tables are 64-bit integers, made once a plan (see engine/algorithms/correlation.py):

    axis row    see AXIS
    phase row   origin, count, first tap, taps, least and greatest offset
    tap row     tap, offset
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I64, PTR, Function, Module, Type, Value
from ..numbers import Numbers
from ..target import Target
from .blocks import Layout
from .epilogue import OPERANDS
from .gemm import Tile

COMMON_ARGS = (
    # set for each call
    "src", "dst", "w", *OPERANDS, "panels", "scratch", "pack_counter", "run_counter",
    # element strides
    "src_batch", "src_group", "src_channel", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row", "w_channel",
    # extents: rows and channels of one group, taps of all phases; most products in a chunk of the reduction
    "rank", "rows", "channels", "groups", "phases", "all_taps", "chain", "row_groups", "pack_tasks", "run_tasks",
    # tables, and one worker's scratch in bytes
    "tables", "scratch_bytes",
)  # fmt: skip
"""The slots that every correlation's argument block has."""

AXIS = Layout(
    (
        "extent", "src_stride", "src_step", "dst_stride", "dst_step", "w_stride", "phases", "taps",
        "phase_at", "tap_at", "block", "blocks", "split",
    )
)  # fmt: skip
PHASE_ROW = 6
TAP_ROW = 2

PACKED_TOGETHER = 16
"""Channels whose weights are packed for all taps before the next ones' are."""

# A worker's state at the head of its scratch: what the current phase is, then a row an axis.
STATE_NAMES = ("pixels", "taps", "taps_before", "tap_offset")
AXIS_STATE_NAMES = ("count", "origin", "tap_at", "taps", "first_offset", "last_offset", "offset")


class Correlation:
    """The functions of a bundle that do not depend on the algorithm; an algorithm's bundle adds its own.

    Exported functions take (args, worker) and claim tasks from a counter in the argument block until none is left, so
    any number of threads may call them.
    """

    def __init__(
        self,
        dtype: str,
        tile: Tile,
        target: Target,
        args: Sequence[str],
        state: Sequence[str] = (),
        axis_state: Sequence[str] = (),
        *,
        packs_weight: bool = True,
    ) -> None:
        self.numbers = Numbers.of(dtype)
        self.tile = tile
        self.lanes = target.lanes(self.numbers.computed.itemsize)
        self.vector = self.numbers.computed.of(self.lanes)
        self.nr = tile.nv * self.lanes
        self.args = Layout((*COMMON_ARGS, *args))
        self.state = Layout((*STATE_NAMES, *state))
        self.axis_state = Layout((*AXIS_STATE_NAMES, *axis_state))
        self.module = Module(target)
        self.emit_select_phase()
        self.emit_select_tap()
        if packs_weight:
            self.emit_pack_weight()

    # ---- addresses

    def axis_row(self, f: Function, tables: Value, a: Value) -> Value:
        """The table row of an axis."""
        return f.offset(tables, a * len(AXIS), I64)

    def state_row(self, f: Function, state: Value, a: Value) -> Value:
        """The worker's state of an axis."""
        return f.offset(state, a * len(self.axis_state) + len(self.state), I64)

    def scratch(self, f: Function, args: Value) -> Value:
        """This worker's scratch; its state stands at the head."""
        (size,) = self.args.read(f, args, "scratch_bytes")
        return f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * size, Type("i8"))

    def section(self, f: Function, args: Value, state: Value, name: str) -> Value:
        """A section of the worker's scratch, by the slot that holds its place."""
        (at,) = self.args.read(f, args, name)
        return f.offset(state, at, Type("i8"))

    # ---- phases and taps

    def emit_select_phase(self) -> None:
        """Decode a phase number (last axis fastest) into the worker's state."""
        with self.module.function("select_phase", args=PTR, state=PTR, phase=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rest = f.variable(I64, f.args["phase"])
            pixels, taps, before, inner = (f.variable(I64, n) for n in (1, 1, 0, 1))
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                row = self.axis_row(f, tables, a)
                phases, all_taps, phase_at, tap_at = AXIS.read(f, row, "phases", "taps", "phase_at", "tap_at")
                number = rest.get() % phases
                rest.set(rest.get() // phases)
                at = f.offset(tables, phase_at + number * PHASE_ROW, I64)
                origin, count, first, own, low, high = (f.load(I64, at, n) for n in range(PHASE_ROW))
                mine = self.state_row(f, state, a)
                for name, value in (
                    ("count", count),
                    ("origin", origin),
                    ("tap_at", tap_at + first * TAP_ROW),
                    ("taps", own),
                    ("first_offset", low),
                    ("last_offset", high),
                ):
                    f.store(value, mine, self.axis_state.index[name])
                pixels.set(pixels.get() * count)
                # Taps of the phases before this one, in the order of phase numbers: those with a smaller number on
                # axis a, times all taps of the inner axes, times our own taps of the outer axes.
                before.set(before.get() * own + first * inner.get())
                inner.set(inner.get() * all_taps)
                taps.set(taps.get() * own)
            for name, cell in (("pixels", pixels), ("taps", taps), ("taps_before", before)):
                f.store(cell.get(), state, self.state.index[name])

    def emit_select_tap(self) -> None:
        """Decode a tap number of the current phase: offsets by axis and in the source, and its place in the weight."""
        with self.module.function("select_tap", args=PTR, state=PTR, tap=I64, w_offset=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rest = f.variable(I64, f.args["tap"])
            in_source, in_weight = f.variable(I64, 0), f.variable(I64, 0)
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                mine = self.state_row(f, state, a)
                tap_at, taps = self.axis_state.read(f, mine, "tap_at", "taps")
                at = f.offset(tables, tap_at + (rest.get() % taps) * TAP_ROW, I64)
                rest.set(rest.get() // taps)
                tap, offset = f.load(I64, at, 0), f.load(I64, at, 1)
                f.store(offset, mine, self.axis_state.index["offset"])
                src_stride, w_stride = AXIS.read(f, self.axis_row(f, tables, a), "src_stride", "w_stride")
                in_source.set(in_source.get() + offset * src_stride)
                in_weight.set(in_weight.get() + tap * w_stride)
            f.store(in_source.get(), state, self.state.index["tap_offset"])
            f.store(in_weight.get(), f.args["w_offset"])

    def chunks(self, f: Function, args: Value, state: Value) -> tuple[Value, Value, Value, Value]:
        """(channels, channels of a chunk, taps, taps of a chunk): a chunk has at most `chain` products."""
        channels, chain = self.args.read(f, args, "channels", "chain")
        (taps,) = self.state.read(f, state, "taps")
        return channels, f.larger(chain // f.larger(taps, 1), 1), taps, f.smaller(f.larger(taps, 1), chain)

    # ---- weights: panels[group][row group][phase][chunk][tap][channel][mr][parts]

    def emit_pack_weight(self) -> None:
        numbers, mr, parts = self.numbers, self.tile.mr, self.numbers.parts
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            w_offset = f.variable(I64, 0)
            w_cell = Value(f, PTR, w_offset.ref)
            names = (
                "pack_tasks",
                "phases",
                "row_groups",
                "rows",
                "all_taps",
                "w_group",
                "w_row",
                "w_channel",
            )
            count, phases, row_groups, rows, all_taps, w_group, w_row, w_channel = self.args.read(f, args, *names)
            weight = self.args.pointer(f, args, "w")
            panels = self.args.pointer(f, args, "panels")
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                phase, block = task % phases, task // phases
                first = (block % row_groups) * mr
                f.call("select_phase", args, state, phase)
                channels, chunk_c, taps, chunk_t = self.chunks(f, args, state)
                (before,) = self.state.read(f, state, "taps_before")
                source = f.offset(weight, ((block // row_groups) * w_group + first * w_row) * parts, numbers.stored)
                to = f.variable(PTR, f.offset(
                    panels, (block * all_taps + before) * channels * (mr * parts), numbers.computed
                ))  # fmt: skip
                with f.loop(0, channels, chunk_c) as c0, f.loop(0, taps, chunk_t) as t0:
                    c1, t1 = f.smaller(c0 + chunk_c, channels), f.smaller(t0 + chunk_t, taps)
                    # All taps of a few channels, and then of the next: their weights are neighbours in memory.
                    with f.loop(c0, c1, PACKED_TOGETHER) as few, f.loop(t0, t1) as t:
                        f.call("select_tap", args, state, t, w_cell)
                        at_tap = f.offset(source, w_offset.get() * parts, numbers.stored)
                        row = f.offset(to.get(), ((t - t0) * (c1 - c0) - c0) * (mr * parts), numbers.computed)
                        with f.loop(few, f.smaller(few + PACKED_TOGETHER, c1)) as c:
                            at = f.offset(at_tap, c * (w_channel * parts), numbers.stored)
                            place = f.offset(row, c * (mr * parts), numbers.computed)
                            for i in range(mr):
                                self.pack_row(f, at, w_row * (i * parts), rows - first > i, place, i)
                    to.set(f.offset(to.get(), (t1 - t0) * (c1 - c0) * (mr * parts), numbers.computed))

    def pack_row(self, f: Function, at: Value, offset: Value, exists: Value, to: Value, i: int) -> None:
        """One weight, or 0 in the rows that fill up the last panel."""
        numbers = self.numbers
        for p in range(numbers.parts):
            with f.when(exists) as otherwise:
                value = numbers.widen(f, f.load(numbers.stored, at, offset + p))
                f.store(value, to, i * numbers.parts + p)
            with otherwise:
                f.store(f.zero(numbers.computed), to, i * numbers.parts + p)
