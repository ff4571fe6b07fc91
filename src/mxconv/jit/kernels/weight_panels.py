"""What a weight gradient reads and writes: dy in panels, what comes next fetched ahead, and dw from a task's sums.

Panels hold dy with result channels in lanes, [pixel][nr]; sums are [pair (c, t)][nr], a panel of result channels after
the other, for a *part* of the channels c. Both are made of whole boxes of pixels (see staging.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .gemm import Tile
from .staging import RUN_LIST, Staging

ARGS = (
    "parts", "part_channels", "panels_of_rows", "slices", "slice_sums", "at_segments", "at_places", "dst_lane",
)  # fmt: skip
"""The slots of this, after COMMON_ARGS and staging.SECTIONS."""

STATE = ("own_channels", "first_channel", "segments")

SEGMENT = Layout(("dst", "pixel", "pixels"))
"""Rows of a box that follow each other in dy without a gap: where they begin there and in a panel, and their pixels."""


class WeightPanels(Staging):
    """A weight gradient's staging; an algorithm's bundle adds the sums."""

    def __init__(self, dtype: str, tile: Tile, target: Target, args: Sequence[str]) -> None:
        super().__init__(dtype, tile, target, (*ARGS, *args), STATE, run_axes=1, packs_weight=False, by_channel=True)
        self.emit_list_segments()
        self.emit_list_places()
        self.emit_transpose_block()
        self.emit_pack_panel()
        self.emit_box_place()
        self.emit_ask()
        self.emit_store_square()
        self.emit_store_panel()

    def staged_channels(self, f: Function, args: Value, state: Value) -> Value:
        """Those of the task's part."""
        return self.state.read(f, state, "own_channels")[0]

    def select_part(self, f: Function, args: Value, state: Value, part: Value) -> Value:
        """Note a part's channels in the state; returns how many groups of `mr` pairs they make."""
        channels, most = self.args.read(f, args, "channels", "part_channels")
        first = part * most
        own = f.smaller(channels - first, most)
        f.store(first, state, self.state.index["first_channel"])
        f.store(own, state, self.state.index["own_channels"])
        (taps,) = self.state.read(f, state, "taps")
        return (own * taps + (self.tile.mr - 1)) // self.tile.mr

    # ---- lists

    def emit_list_segments(self) -> None:
        """Join the box's runs in dy; call it after list_runs."""
        with self.module.function("list_segments", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            rank, lane = self.args.read(f, args, "rank", "dst_lane")
            (runs,) = self.state.read(f, state, "runs")
            (columns,) = self.own(f, state, rank - 1, "length")
            run_list, segments = self.section(f, args, state, "at_runs"), self.section(f, args, state, "at_segments")
            count, following = f.variable(I64, 0), f.variable(I64, 0)
            with f.loop(0, runs) as r:
                (at,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "dst")
                with f.when(at.equals(following.get()) & (r > 0)) as apart:
                    last = f.offset(segments, (count.get() - 1) * len(SEGMENT), I64)
                    pixels = f.load(I64, last, SEGMENT.index["pixels"]) + columns
                    f.store(pixels, last, SEGMENT.index["pixels"])
                with apart:
                    new = f.offset(segments, count.get() * len(SEGMENT), I64)
                    for name, value in (("dst", at), ("pixel", r * columns), ("pixels", columns)):
                        f.store(value, new, SEGMENT.index[name])
                    count.set(count.get() + 1)
                following.set(at + columns * lane)
            f.store(count.get(), state, self.state.index["segments"])

    def emit_list_places(self) -> None:
        """Where the gradients of the part's pairs stand in a row of the weight; call it after select_part."""
        with self.module.function("list_places", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            taps, own, first = self.state.read(f, state, "taps", "own_channels", "first_channel")
            (w_channel,) = self.args.read(f, args, "w_channel")
            places, in_weight = self.section(f, args, state, "at_places"), f.variable(I64)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, in_weight.ref))
                with f.loop(0, own) as c:
                    f.store(in_weight.get() + (first + c) * w_channel, places, c * taps + t)

    # ---- dy in panels [panel of o][pixel][nr]

    def emit_transpose_block(self) -> None:
        """One vector of pixels of one vector of channels: to[pixel * nr + channel], zeros beyond `rows` channels."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("transpose_block", args=PTR, dy=PTR, to=PTR, pixels=I64, rows=I64) as f:
            dy, to, pixels, rows = (f.args[n] for n in ("dy", "to", "pixels", "rows"))
            channel, lane = self.args.read(f, f.args["args"], "dst_channel", "dst_lane")
            valid = f.lane_numbers(lanes) < f.splat(rows, lanes)
            with f.when(lane.equals(1)) as otherwise:
                mask = f.lane_numbers(lanes) < f.splat(pixels, lanes)
                read = []
                for i in range(lanes):
                    exists = f.splat(f.constant(i, I64) < rows, lanes)
                    read.append(f.masked_load(stored, f.offset(dy, channel * i, stored), mask & exists))
                for i, column in enumerate(f.transpose([numbers.widen(f, r) for r in read])):
                    with f.when(pixels > i):
                        f.store(column, to, i * self.nr, aligned=True)
            with otherwise, f.loop(0, pixels) as pixel:
                at = f.offset(dy, pixel * lane, stored)
                place = f.offset(to, pixel * self.nr, numbers.computed)
                with f.when(channel.equals(1)) as apart:
                    f.store(numbers.widen(f, f.masked_load(stored, at, valid)), place, aligned=True)
                with apart:
                    pointers = f.offset(at, f.lane_numbers(lanes) * f.splat(channel, lanes), stored)
                    f.store(numbers.widen(f, f.gather(stored, pointers, valid)), place, aligned=True)

    def emit_pack_panel(self) -> None:
        """dy of one sample's box, transposed, for one panel; `dy` is the panel's first element, `rows` are left."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("pack_panel", args=PTR, state=PTR, dy=PTR, to=PTR, rows=I64) as f:
            args, state = f.args["args"], f.args["state"]
            channel, lane = self.args.read(f, args, "dst_channel", "dst_lane")
            (segments,) = self.state.read(f, state, "segments")
            table = self.section(f, args, state, "at_segments")
            with f.loop(0, self.tile.nv) as v, f.loop(0, segments) as n:
                at, pixel, pixels = SEGMENT.read(f, f.offset(table, n * len(SEGMENT), I64), *SEGMENT.names)
                row = v * lanes
                dy = f.offset(f.args["dy"], row * channel + at, numbers.stored)
                to = f.offset(f.args["to"], pixel * self.nr + row, numbers.computed)
                with f.loop(0, pixels, lanes) as q:
                    f.call(
                        "transpose_block",
                        args,
                        f.offset(dy, q * lane, numbers.stored),
                        f.offset(to, q * self.nr, numbers.computed),
                        f.smaller(pixels - q, lanes),
                        f.args["rows"] - row,
                    )

    # ---- from one box to the next

    def emit_box_place(self) -> None:
        """Where a box of a sample begins in the source and in the destination: two elements from the group's first."""
        with self.module.function("box_place", args=PTR, sample=I64, block=I64, place=PTR) as f:
            args, sample = f.args["args"], f.args["sample"]
            tables = self.args.pointer(f, args, "tables")
            rank, src_batch, dst_batch = self.args.read(f, args, "rank", "src_batch", "dst_batch")
            rest = f.variable(I64, f.args["block"])
            in_src, in_dst = f.variable(I64, sample * src_batch), f.variable(I64, sample * dst_batch)
            with f.loop(0, rank) as i:
                names = ("block", "blocks", "src_step", "src_stride", "dst_step", "dst_stride")
                block, blocks, src_step, src_stride, dst_step, dst_stride = self.axis(f, tables, rank - 1 - i, *names)
                start = (rest.get() % blocks) * block
                rest.set(rest.get() // blocks)
                in_src.set(in_src.get() + start * src_step * src_stride)
                in_dst.set(in_dst.get() + start * dst_step * dst_stride)
            f.store(in_src.get(), f.args["place"])
            f.store(in_dst.get(), f.args["place"], 1)

    def box_distance(
        self, f: Function, args: Value, here: tuple[Value, Value], there: tuple[Value, Value]
    ) -> tuple[Value, Value]:
        """Elements from one box, a sample and a block, to another, in the source and in the destination."""
        place = f.stack(I64, 4)
        f.call("box_place", args, *here, place)
        f.call("box_place", args, *there, f.offset(place, 2, I64))
        return f.load(I64, place, 2) - f.load(I64, place, 0), f.load(I64, place, 3) - f.load(I64, place, 1)

    # ---- from sums to the weight

    def emit_store_square(self) -> None:
        """Add the slices' sums of one vector of result channels and some pairs, and store them.

        Result channels are in lanes, but in dw pairs are neighbours: squares of both are transposed on the way, unless
        it is the result channels that lie side by side there.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("store_square", args=PTR, sums=PTR, to=PTR, places=PTR, pairs=I64, rows=I64) as f:
            args, to, places, pairs, rows = (f.args[n] for n in ("args", "to", "places", "pairs", "rows"))
            slices, slice_sums, w_row = self.args.read(f, args, "slices", "slice_sums", "w_row")
            totals = [f.variable(self.vector, 0) for _ in range(lanes)]
            with f.loop(0, slices) as piece:
                sums = f.offset(f.args["sums"], piece * slice_sums, numbers.computed)
                for i, total in enumerate(totals):
                    total.set(total.get() + f.load(self.vector, sums, i * self.nr, aligned=True))
            values = [total.get() for total in totals]
            with f.when(w_row.equals(1)) as otherwise:
                exists = f.lane_numbers(lanes) < f.splat(rows, lanes)
                for i, value in enumerate(values):
                    with f.when(pairs > i):
                        place = f.offset(to, f.load(I64, places, i), numbers.result)
                        f.masked_store(numbers.narrow(f, value), place, exists)
            with otherwise:
                exists = f.lane_numbers(lanes) < f.splat(pairs, lanes)
                index = f.load(I64.of(lanes), places)
                first = f.load(I64, places)
                follows = f.compare("eq", index, f.lane_numbers(lanes) + f.splat(first, lanes))
                near = f.is_full(follows | (f.lane_numbers(lanes) >= f.splat(pairs, lanes)))
                for o, value in enumerate(f.transpose(values)):
                    with f.when(rows > o):
                        row = f.offset(to, w_row * o, numbers.result)
                        with f.when(near) as apart:
                            f.masked_store(numbers.narrow(f, value), f.offset(row, first, numbers.result), exists)
                        with apart:
                            f.scatter(numbers.narrow(f, value), f.offset(row, index, numbers.result), exists)

    def emit_store_panel(self) -> None:
        """All pairs of the part and one panel of result channels, whose sums stand at `sums`."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("store_panel", args=PTR, state=PTR, group=I64, panel=I64, sums=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            rows, w_group, w_row = self.args.read(f, args, "rows", "w_group", "w_row")
            taps, own = self.state.read(f, state, "taps", "own_channels")
            places, pairs = self.section(f, args, state, "at_places"), own * taps
            first = f.args["panel"] * self.nr
            to = f.offset(self.args.pointer(f, args, "w"), f.args["group"] * w_group + first * w_row, numbers.result)
            left = f.smaller(rows - first, self.nr)
            with f.loop(0, left, lanes) as row, f.loop(0, pairs, lanes) as i:
                f.call(
                    "store_square",
                    args,
                    f.offset(f.args["sums"], i * self.nr + row, numbers.computed),
                    f.offset(to, row * w_row, numbers.result),
                    f.offset(places, i, I64),
                    f.smaller(pairs - i, lanes),
                    left - row,
                )
