"""The weights of a Winograd kernel, transformed: u = G_r w G_l^T of every result channel and channel."""

from __future__ import annotations

from collections.abc import Iterator

from ..ir import F64, I8, I64, PTR, Function, Value
from ..target import Target
from ..winograd import emit_product
from .pointwise import Huge
from .winograd_tiles import CLASS, Spec, Tiles

SPANS = 4
"""Vectors over which the taps of one channel may be spread to be read by rows."""


class Filter(Tiles):
    """Adds the exported function `pack_weight(args, worker)`."""

    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target)
        self.emit_turn_taps()
        self.emit_transform_weight()
        self.emit_pack()

    # ---- weights: u[group][phase][point][panel][outer tap][channel][nr], then flags[group][phase][panel][tap][block]

    def emit_pack(self) -> None:
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            (count,) = self.get(f, "pack_tasks")
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                f.call("pack_block", args, state, task)
        with self.module.function("pack_block", args=PTR, state=PTR, task=I64) as f:
            args, state, task = f.args["args"], f.args["state"], f.args["task"]
            phases, panels, outer, blocks = self.get(f, "phases", "panels_of_rows", "outer_taps", "entry_blocks")
            block, rest = task % blocks, task // blocks
            tap, rest = rest % outer, rest // outer
            panel, rest = rest % panels, rest // panels
            phase, group = rest % phases, rest // phases
            f.call("select_phase", args, state, phase)
            rank, at_flags = self.get(f, "rank", "at_flags")
            taps = f.variable(I64, 1)
            with f.loop(0, rank - 2) as a:
                taps.set(taps.get() * self.own(f, a, "taps")[0])
            u, flags = self.args.pointer(f, args, "panels"), f.variable(I64, 0)
            with f.when(tap < taps.get()):
                f.call("select_outer", args, state, tap)
                flags.set(f.call_for(I64, "transform_weight", args, state, group, phase, panel, tap, block))
            f.store(flags.get(), f.offset(u, at_flags, I8), task)

    def emit_transform_weight(self) -> None:
        """A vector of channels of one outer tap, for all result channels of a panel; gives the vectors of these, as
        bits, that have huge weights."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "transform_weight", args=PTR, state=PTR, group=I64, phase=I64, panel=I64, tap=I64, block=I64
        ) as f:
            group, phase, panel, tap, block = (f.args[n] for n in ("group", "phase", "panel", "tap", "block"))
            phases, outer, blocks, rows = self.get(f, "phases", "outer_taps", "entry_blocks", "rows")
            w_group, w_row, w_channel = self.get(f, "w_group", "w_row", "w_channel")
            entries, row_classes, lane_classes = self.get(f, "entries", "row_classes", "lane_classes")
            u_point, u_phase = self.get(f, "u_point", "u_phase")
            parts = row_classes * lane_classes
            (tap_weight,) = self.now(f, "tap_weight")
            first = panel * self.nr
            source = f.offset(
                self.args.pointer(f, f.args["args"], "w"), group * w_group + first * w_row + tap_weight, numbers.stored
            )
            place = (group * phases + phase) * u_phase + ((panel * outer + tap) * blocks + block) * (lanes * self.nr)
            own = f.offset(self.args.pointer(f, f.args["args"], "panels"), place, numbers.computed)
            bits, (span,) = f.variable(I64, 0), self.get(f, "w_span")
            lines = f.stack(numbers.computed, lanes * lanes * SPANS)
            with f.loop(0, self.tile.nv) as v:
                huge = Huge(f, self.vector)
                huge.begin()
                row = f.lane_numbers(lanes) + f.splat(v * lanes, lanes)
                rows_at, left = row * f.splat(w_row, lanes), rows - first - v * lanes
                with f.loop(0, lanes) as i:
                    entry = f.smaller(block * lanes + i, entries - 1)
                    part = entry % parts
                    at = f.offset(source, (entry // parts) * w_channel, numbers.stored)
                    classes = (
                        self.class_of(f, "row", part // lane_classes),
                        self.class_of(f, "lane", part % lane_classes),
                    )
                    exist = f.select(block * lanes + i < entries, left, 0)
                    cells = [[f.variable(self.vector) for _ in range(self.lane.r)] for _ in range(self.row.r)]
                    with f.when(span > 0) as apart:
                        own_row = f.offset(at, v * lanes * w_row, numbers.stored)
                        f.call("turn_taps", own_row, w_row, exist, span, lines)
                        for s, t, has, place in self.each_tap(f, *classes):
                            value = f.load(self.vector, lines, f.select(has, place, 0) * lanes, aligned=True)
                            cells[s][t].set(f.select(has, value, 0))
                    with apart:
                        pointers = f.offset(at, rows_at, numbers.stored)
                        mask = row < f.splat(exist + v * lanes, lanes)
                        for s, t, has, place in self.each_tap(f, *classes):
                            there = f.offset(pointers, f.splat(place, lanes), numbers.stored)
                            value = f.gather(numbers.stored.of(lanes), there, f.select(has, mask, 0))
                            cells[s][t].set(numbers.widen(f, value))
                    taps = [[cell.get() for cell in line] for line in cells]
                    for line in taps:
                        for value in line:
                            huge.see(value)
                    self.put_transformed(f, taps, f.offset(own, i * self.nr + v * lanes, numbers.computed), u_point)
                bits.set(bits.get() | (f.cast("zext", huge.found(), I64) << v))
            f.give(bits.get())

    def each_tap(self, f: Function, row_class: Value, lane_class: Value) -> Iterator[tuple[int, int, Value, Value]]:
        """(row tap, lane tap, whether the classes have it, its place in the weight)."""
        for s in range(self.row.r):
            for t in range(self.lane.r):
                has_s, at_s = (f.load(I64, row_class, len(CLASS) + 2 * s + n) for n in range(2))
                has_t, at_t = (f.load(I64, lane_class, len(CLASS) + 2 * t + n) for n in range(2))
                yield s, t, (has_s & has_t).equals(1), at_s + at_t

    def emit_turn_taps(self) -> None:
        """The weights of one channel that lie within `span` elements, for a vector of result channels `row` apart, of
        which so many exist: lines[place][result channel]. Gathering them takes several times as long."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with (
            self.module.function("turn_taps", at=PTR, row=I64, exist=I64, span=I64, lines=PTR) as f,
            f.loop(0, f.args["span"], lanes) as i,
        ):
            mask = f.lane_numbers(lanes) < f.splat(f.args["span"] - i, lanes)
            rows = []
            for c in range(lanes):
                start = f.offset(f.args["at"], f.args["row"] * c + i, numbers.stored)
                rows.append(numbers.widen(f, f.masked_load(stored, start, f.select(f.args["exist"] > c, mask, 0))))
            for c, value in enumerate(f.transpose(rows)):
                f.store(value, f.args["lines"], (i + c) * lanes, aligned=True)

    def put_transformed(self, f: Function, taps: list[list[Value]], to: Value, u_point: Value) -> None:
        """G_r w G_l^T in float64, rounded once, each point to its place."""
        computed = self.numbers.computed
        wide = [[f.cast("fpext", x, F64) if computed != F64 else x for x in line] for line in taps]
        columns = [emit_product(f, self.row.kernel, column) for column in zip(*wide, strict=True)]
        for s, line in enumerate(zip(*columns, strict=True)):
            for t, value in enumerate(emit_product(f, self.lane.kernel, line)):
                rounded = f.cast("fptrunc", value, computed) if computed != F64 else value
                there = f.offset(to, u_point * (s * self.lane.n + t), computed)
                f.store(rounded, there, aligned=True)
