"""Correlation without scratch: source and weight are read where they lie, sums live in registers and on the stack.

A tile is `nv` vectors of pixels of one line (positions of the lane axis) times `mr` result channels. Its taps that hit
the image are listed in a small table on the stack, with the lanes that each may read; then the register tile runs over
channels and listed taps. Each chain of the sum is added to a second level on the stack.

Tiles and blocks of result channels that would overhang begin earlier instead and overlap their neighbours; each result
is stored once. Groups of a single result channel may stand for the channels of one group (`src_row` is then how far
apart their sources are), so that depthwise problems fill a tile as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I32, I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, AXIS_STATE_NAMES, STATE_NAMES, TAP_ROW, Correlation
from .epilogue import Epilogue, Place
from .gemm import Tile, accumulate
from .in_place import LaneRange, LaneReader

ARGS = ("tile_block", "tile_blocks", "unit_block", "unit_blocks", "tap_block", "src_lane", "dst_lane", "src_row")
"""This algorithm's slots, after COMMON_ARGS."""

MOST_RANK = 16
LISTED_TAPS = 64
ROWS_ADDRESSED = 8
"""Weight rows that are addressed from one pointer; more would not leave registers for their distances."""

STATE = ("begin", "skip", "lanes", "at_src", "at_dst", "listed", "whole")
AXIS_STATE = ("base",)
STATE_SLOTS = len(STATE_NAMES) + len(STATE) + MOST_RANK * (len(AXIS_STATE_NAMES) + len(AXIS_STATE))

TAP_LIST = Layout(("src", "w", "first", "count"))
"""One listed tap: its offsets in the source and in the weight, and the lanes that hit the image."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on: `near` is how lanes lie in the source (see in_place); with `own_sources` each
    result channel reads source channels of its own."""

    dtype: str
    tile: Tile
    near: int
    own_sources: bool
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        sources = ("own_sources",) if self.own_sources else ()
        tile = f"scratch_free_{self.dtype}_{self.tile.mr}x{self.tile.nv}_{self.near}"
        return "_".join((tile, *sources, *self.epilogue))


def emit_scratch_free(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Correlation):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, AXIS_STATE, packs_weight=False)
        self.near = spec.near
        self.own_sources, self.epilogue = spec.own_sources, spec.epilogue
        self.emit_locate_tile()
        self.emit_list_taps()
        self.emit_add_chain("add_chain", masked=False)
        self.emit_add_chain("add_masked_chain", masked=True)
        self.emit_finish()
        self.emit_run_unit()
        self.emit_run()

    def put(self, f: Function, state: Value, **values: Value) -> None:
        for name, value in values.items():
            f.store(value, state, self.state.index[name])

    # ---- where a tile lies

    def emit_locate_tile(self) -> None:
        """Decode a tile's number (tiles of a line fastest) into the state."""
        with self.module.function("locate_tile", args=PTR, state=PTR, number=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, src_lane, dst_lane = self.args.read(f, args, "rank", "src_lane", "dst_lane")
            count, origin = self.axis_state.read(f, self.state_row(f, state, rank - 1), "count", "origin")
            (dst_stride,) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "dst_stride")
            tiles = (count + (self.nr - 1)) // self.nr
            wanted = (f.args["number"] % tiles) * self.nr
            begin = f.larger(f.smaller(wanted, count - self.nr), 0)
            rest = f.variable(I64, f.args["number"] // tiles)
            in_src, in_dst = f.variable(I64, begin * src_lane), f.variable(I64, origin * dst_stride + begin * dst_lane)
            with f.loop(0, rank - 1) as i:
                a = rank - 2 - i
                mine = self.state_row(f, state, a)
                count_a, origin = self.axis_state.read(f, mine, "count", "origin")
                names = ("src_stride", "src_step", "dst_stride", "dst_step")
                src_stride, src_step, dst_stride, dst_step = AXIS.read(f, self.axis_row(f, tables, a), *names)
                position = rest.get() % count_a
                rest.set(rest.get() // count_a)
                base = position * src_step
                f.store(base, mine, self.axis_state.index["base"])
                in_src.set(in_src.get() + base * src_stride)
                in_dst.set(in_dst.get() + (origin + position * dst_step) * dst_stride)
            self.put(f, state, begin=begin, skip=wanted - begin, lanes=count - begin)
            self.put(f, state, at_src=in_src.get(), at_dst=in_dst.get())

    def emit_list_taps(self) -> None:
        """List those of the phase's taps [t0, t1) that hit the image from the located tile."""
        parts = self.numbers.parts
        with self.module.function("list_taps", args=PTR, state=PTR, table=PTR, t0=I64, t1=I64) as f:
            args, state, t0, t1 = (f.args[n] for n in ("args", "state", "t0", "t1"))
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            names = ("extent", "src_stride", "src_step", "w_stride")
            extent, src_stride, step, w_stride = AXIS.read(f, self.axis_row(f, tables, rank - 1), *names)
            tap_at, taps = self.axis_state.read(f, self.state_row(f, state, rank - 1), "tap_at", "taps")
            taps = f.larger(taps, 1)
            (begin,) = self.state.read(f, state, "begin")
            listed, whole = f.variable(I64, 0), f.variable(I64, 1)
            rest, in_src, in_w, inside = (f.variable(I64) for _ in range(4))
            with f.loop(t0 // taps, (t1 + (taps - 1)) // taps) as line:
                rest.set(line)
                in_src.set(0)
                in_w.set(0)
                inside.set(1)
                with f.loop(0, rank - 1) as i:
                    a = rank - 2 - i
                    row = self.axis_row(f, tables, a)
                    extent_a, stride_a, w_stride_a = AXIS.read(f, row, "extent", "src_stride", "w_stride")
                    tap_at_a, taps_a, base = self.axis_state.read(
                        f, self.state_row(f, state, a), "tap_at", "taps", "base"
                    )
                    at = f.offset(tables, tap_at_a + (rest.get() % taps_a) * TAP_ROW, I64)
                    rest.set(rest.get() // taps_a)
                    tap, offset = f.load(I64, at, 0), f.load(I64, at, 1)
                    in_src.set(in_src.get() + offset * stride_a)
                    in_w.set(in_w.get() + tap * w_stride_a)
                    inside.set(inside.get() & f.cast("zext", (base + offset).below(extent_a), I64))
                first = f.larger(t0 - line * taps, 0)
                last = f.smaller(t1 - line * taps, taps) * inside.get()
                with f.loop(first, last) as k:
                    at = f.offset(tables, tap_at + k * TAP_ROW, I64)
                    tap, offset = f.load(I64, at, 0), f.load(I64, at, 1)
                    start = begin * step + offset
                    low, high = (
                        f.smaller((f.larger(to, 0) + (step - 1)) // step, self.nr) for to in (0 - start, extent - start)
                    )
                    with f.when(low < high):
                        entry = f.offset(f.args["table"], listed.get() * len(TAP_LIST), I64)
                        for name, value in (
                            ("src", (in_src.get() + offset * src_stride) * parts),
                            ("w", (in_w.get() + tap * w_stride) * parts),
                            ("first", low),
                            ("count", high - low),
                        ):
                            f.store(value, entry, TAP_LIST.index[name])
                        listed.set(listed.get() + 1)
                        whole.set(whole.get() & f.cast("zext", (high - low).equals(self.nr), I64))
            self.put(f, state, listed=listed.get(), whole=whole.get())

    # ---- the register tile

    def emit_add_chain(self, symbol: str, *, masked: bool) -> None:
        """c[mr][parts][nr] += one chain: the sum over some channels and the listed taps."""
        numbers, lanes, parts, tile = self.numbers, self.lanes, self.numbers.parts, self.tile
        with self.module.function(
            symbol, args=PTR, table=PTR, taps=I64, source=PTR, weights=PTR, channels=I64, c=PTR
        ) as f:
            args, c = f.args["args"], f.args["c"]
            names = ("src_channel", "w_channel", "w_row", "src_lane", "src_row")
            src_channel, w_channel, w_row, src_lane, src_row = self.args.read(f, args, *names)
            reader = LaneReader(f, numbers, lanes, self.near, src_lane)
            cells = [
                [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(parts)] for _ in range(tile.mr)
            ]
            rows = [w_row * (i * parts) for i in range(min(tile.mr, ROWS_ADDRESSED))]
            more = w_row * (ROWS_ADDRESSED * parts)
            with f.loop(0, f.args["channels"]) as channel:
                source = f.offset(f.args["source"], channel * (src_channel * parts), numbers.stored)
                weights = f.offset(f.args["weights"], channel * (w_channel * parts), numbers.stored)
                with f.loop(0, f.args["taps"]) as t:
                    entry = f.offset(f.args["table"], t * len(TAP_LIST), I64)
                    in_src, in_w = TAP_LIST.read(f, entry, "src", "w")
                    within = None
                    if masked:
                        within = LaneRange(
                            *(
                                f.splat(f.cast("trunc", n, I32), lanes)
                                for n in TAP_LIST.read(f, entry, "first", "count")
                            )
                        )
                    at = f.offset(source, in_src, numbers.stored)
                    columns = self.read_columns(f, reader, at, within)
                    at_row = f.offset(weights, in_w, numbers.stored)
                    for i in range(tile.mr):
                        if i and i % ROWS_ADDRESSED == 0:
                            at_row = f.offset(at_row, more, numbers.stored)
                        if i and self.own_sources:
                            at = f.offset(at, src_row * parts, numbers.stored)
                            columns = self.read_columns(f, reader, at, within)
                        own = f.offset(at_row, rows[i % ROWS_ADDRESSED], numbers.stored)
                        weight = [
                            f.splat(numbers.widen(f, f.load(numbers.stored, own, p)), lanes) for p in range(parts)
                        ]
                        for j in range(tile.nv):
                            accumulate([cells[i][p][j] for p in range(parts)], weight, columns[j])
            for i in range(tile.mr):
                for p in range(parts):
                    for j in range(tile.nv):
                        place = (i * parts + p) * self.nr + j * lanes
                        so_far = f.load(self.vector, c, place, aligned=True)
                        f.store(so_far + cells[i][p][j].get(), c, place, aligned=True)

    def read_columns(self, f: Function, reader: LaneReader, at: Value, within: LaneRange | None) -> list[list[Value]]:
        """The vectors of a tile for one channel and tap."""
        return [
            reader.read(f.offset(at, reader.step * j, self.numbers.stored), j * self.lanes, within)
            for j in range(self.tile.nv)
        ]

    def emit_finish(self) -> None:
        """Finish a tile (see epilogue.py) and store it, but for the rows and lanes that are its neighbours'.

        `channel` is the result channel of row 0.
        """
        numbers, lanes, parts = self.numbers, self.lanes, self.numbers.parts
        with self.module.function("finish", args=PTR, state=PTR, result=PTR, channel=I64, first_row=I64, c=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            dst_channel, dst_lane = self.args.read(f, args, "dst_channel", "dst_lane")
            skip, last = self.state.read(f, state, "skip", "lanes")
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            with f.loop(f.args["first_row"], self.tile.mr) as i:
                epilogue.begin_row(f.args["channel"] + i)
                row = f.offset(f.args["result"], i * (dst_channel * parts), numbers.result)
                sums = f.offset(f.args["c"], i * (parts * self.nr), numbers.computed)
                with f.loop(0, f.smaller(last, self.nr), lanes) as lane:
                    number = f.lane_numbers(lanes) + f.splat(lane, lanes)
                    mask = (number >= f.splat(skip, lanes)) & (number < f.splat(last, lanes))
                    totals = [f.load(self.vector, sums, lane + p * self.nr, aligned=True) for p in range(parts)]
                    to = f.offset(row, lane * (dst_lane * parts), numbers.result)
                    index = f.lane_numbers(lanes) * f.splat(dst_lane * parts, lanes)
                    apart = [
                        Place(f.offset(f.offset(to, p, numbers.result), index, numbers.result), mask)
                        for p in range(parts)
                    ]
                    if parts == 2:
                        epilogue.store(totals, apart)
                    else:
                        with f.when(dst_lane.equals(1)) as otherwise:
                            epilogue.store(totals, [Place(to, mask)])
                        with otherwise:
                            epilogue.store(totals, apart)

    # ---- the driver

    def emit_run_unit(self) -> None:
        """All sums of the located tile for one unit: `mr` result channels of a group."""
        numbers, parts, mr = self.numbers, self.numbers.parts, self.tile.mr
        with self.module.function("run_unit", args=PTR, state=PTR, table=PTR, sample=I64, unit=I64, fresh=I64) as f:
            args, state, table, sample, unit = (f.args[n] for n in ("args", "state", "table", "sample", "unit"))
            size = mr * parts * self.nr
            c = f.stack(numbers.computed, size)
            with f.loop(0, size, self.lanes) as i:
                f.store(f.zero(self.vector), c, i, aligned=True)
            names = (
                "rows",
                "row_groups",
                "channels",
                "chain",
                "tap_block",
                "src_channel",
                "w_channel",
                "w_row",
                "w_group",
            )
            rows, row_groups, channels, chain, block, src_channel, w_channel, w_row, w_group = self.args.read(
                f, args, *names
            )
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel")
            src_batch, src_group, dst_batch, dst_group, dst_channel = self.args.read(f, args, *strides)
            src, dst, w = (self.args.pointer(f, args, n) for n in ("src", "dst", "w"))
            (src_row,) = self.args.read(f, args, "src_row")
            taps, at_src, at_dst = self.state.read(f, state, "taps", "at_src", "at_dst")
            group, wanted = unit // row_groups, (unit % row_groups) * mr
            row = f.smaller(wanted, rows - mr)
            in_src = sample * src_batch + group * src_group + row * src_row + at_src
            source = f.offset(src, in_src * parts, numbers.stored)
            weights = f.offset(w, (group * w_group + row * w_row) * parts, numbers.stored)
            again = f.cast("zext", taps > block, I64) | f.args["fresh"]
            with f.loop(0, f.larger(taps, 1), block) as t0:
                with f.when(again.equals(1)):
                    f.call("list_taps", args, state, table, t0, f.smaller(t0 + block, taps))
                listed, whole = self.state.read(f, state, "listed", "whole")
                per_chain = f.larger(chain // f.larger(listed, 1), 1)
                with f.when(listed > 0), f.loop(0, channels, per_chain) as c0:
                    own = (
                        args,
                        table,
                        listed,
                        f.offset(source, c0 * (src_channel * parts), numbers.stored),
                        f.offset(weights, c0 * (w_channel * parts), numbers.stored),
                        f.smaller(channels - c0, per_chain),
                        c,
                    )
                    with f.when(whole.equals(1)) as otherwise:
                        f.call("add_chain", *own)
                    with otherwise:
                        f.call("add_masked_chain", *own)
            to = f.offset(
                dst, (sample * dst_batch + group * dst_group + row * dst_channel + at_dst) * parts, numbers.result
            )
            f.call("finish", args, state, to, group * rows + row, wanted - row, c)

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state, table = f.stack(I64, STATE_SLOTS), f.stack(I64, LISTED_TAPS * len(TAP_LIST))
            names = (
                "run_tasks", "tile_block", "tile_blocks", "unit_block", "unit_blocks", "phases", "rank", "groups",
                "row_groups",
            )  # fmt: skip
            count, tile_block, tile_blocks, unit_block, unit_blocks, phases, rank, groups, row_groups = self.args.read(
                f, args, *names
            )
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                block, rest = task % tile_blocks, task // tile_blocks
                phase, rest = rest % phases, rest // phases
                first, sample = (rest % unit_blocks) * unit_block, rest // unit_blocks
                last = f.smaller(first + unit_block, groups * row_groups)
                f.call("select_phase", args, state, phase)
                (pixels,) = self.state.read(f, state, "pixels")
                (length,) = self.axis_state.read(f, self.state_row(f, state, rank - 1), "count")
                tiles = pixels // f.larger(length, 1) * ((length + (self.nr - 1)) // self.nr)
                with f.loop(block * tile_block, f.smaller((block + 1) * tile_block, tiles)) as tile:
                    f.call("locate_tile", args, state, tile)
                    with f.loop(first, last) as unit:
                        fresh = f.cast("zext", unit.equals(first), I64)
                        f.call("run_unit", args, state, table, sample, unit, fresh)
