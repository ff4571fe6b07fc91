"""Deconvolution whose stride phases are rows of the register tile, beside the result channels.

On an axis of stride s, destination position q*s - pad + r sees tap r + j*s at source position q - j: whatever its phase
r, it reads the same samples. So each staged vector is read once for all phases of the last two axes, and a few result
channels fill a tile. Where the kernel is no multiple of the stride, the last taps belong to the first phases only: a
*piece* is a set of taps that the same phases have, and its products are added to their sums alone, so that no sample is
multiplied by a tap that does not exist. The first piece belongs to all rows, if perhaps with no taps.

As in `direct`, a task is a box of the grid of q, whose rows make one virtual row of pixels in lanes. It is staged once,
for the phases of all axes: those of axes further out have taps and planes of their own, and follow one another. Sums
stand in scratch, a row a channel and phase, until the phases of the last axis are interleaved on their way out. All
taps of a source channel come one after the other, as they read the same cache lines. While some channels of a
large source are multiplied, the next ones are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .correlation import PACKED_TOGETHER
from .epilogue import Epilogue, Place
from .gemm import Tile, put_or_add
from .staging import ROW_LIST, RUN_LIST, Staging

ARGS = (
    "group_block", "group_blocks", "blocks", "dst_lane", "at_c", "c_row", "c_run", "c_outer", "tile_chain",
    "at_pieces", "offsets_row", "pieces", "outer_phases", "channel_block", "asks", "row_table", "results",
    "row_phases", "dst_rows", "dst_columns",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""
STATE = ("staged_channels",)
"""What its workers keep besides: how many channels the block at hand has."""

PIECE = Layout(("taps", "taps_before"))
"""What a piece is to a box."""
ROW = Layout(("exists", "weight", "sums"))
"""A row of a piece's tiles: whether it does, and where its weights and its sums begin. The plan's table has, for each
piece, how many tiles of rows it has, and then the rows of each piece, those of the first piece's number of tiles."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile
    phases: int
    """Phases of the last axis, which lie side by side in the destination."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        tile = f"{self.tile.mr}x{self.tile.nv}"
        return "_".join((f"phase_rows_{self.dtype}_{tile}_{self.phases}phases", *self.epilogue))


def emit_phase_rows(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Staging):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, run_axes=2, by_channel=True)
        self.phases, self.epilogue = spec.phases, spec.epilogue
        self.emit_ask()
        for width in self.tile.widths:
            self.emit_tile(width)
            self.emit_sum(width)
        self.emit_store_rows()
        self.emit_list_pieces()
        self.emit_select_outer()
        self.emit_run_group()
        self.emit_run()

    def staged_channels(self, f: Function, args: Value, state: Value) -> Value:
        return self.state.read(f, state, "staged_channels")[0]

    # ---- pieces and their rows

    def piece_tiles(self, f: Function, args: Value, piece: Value) -> Value:
        """How many tiles the rows of a piece are."""
        return f.load(I64, self.args.pointer(f, args, "row_table"), piece)

    def tile_rows(self, f: Function, args: Value, piece: Value, tile: Value) -> Value:
        """The table of a tile's rows."""
        pieces, row_groups = self.args.read(f, args, "pieces", "row_groups")
        first = pieces + (piece * row_groups + tile) * (self.tile.mr * len(ROW))
        return f.offset(self.args.pointer(f, args, "row_table"), first, I64)

    def emit_list_pieces(self) -> None:
        """The taps of each piece of an outer phase, and their staged offsets."""
        with self.module.function("list_pieces", args=PTR, state=PTR, outer=I64) as f:
            args, state = f.args["args"], f.args["state"]
            pieces, offsets_row = self.args.read(f, args, "pieces", "offsets_row")
            table, offsets = (self.section(f, args, state, name) for name in ("at_pieces", "at_offsets"))
            with f.loop(0, pieces) as i:
                n = f.args["outer"] * pieces + i
                f.call("select_phase", args, state, n)
                f.call("list_offsets", args, state, f.offset(offsets, n * offsets_row, I64))
                for place, value in enumerate(self.state.read(f, state, *PIECE.names)):
                    f.store(value, f.offset(table, n * len(PIECE), I64), place)

    def emit_select_outer(self) -> None:
        """Select a phase of the axes further out, and list its runs, in a box that was selected for the first, which
        has the most positions."""
        with self.module.function("select_outer", args=PTR, state=PTR, outer=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, pieces = self.args.read(f, args, "rank", "pieces")
            f.call("select_phase", args, state, f.args["outer"] * pieces)
            with f.loop(0, rank - 2) as a:
                count, start = self.own(f, state, a, "count", "start")
                (block,) = self.axis(f, tables, a, "block")
                self.put(f, self.state_row(f, state, a), length=f.larger(f.smaller(block, count - start), 0))
            f.call("list_runs", args, state)

    # ---- weights: panels[group][tile of rows][phase and piece][channel][tap][mr]

    def emit_pack_weight(self) -> None:
        numbers, mr = self.numbers, self.tile.mr
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            w_offset = f.variable(I64, 0)
            names = ("pack_tasks", "phases", "row_groups", "all_taps", "channels", "w_group", "w_channel", "pieces")
            count, phases, row_groups, all_taps, channels, w_group, w_channel, pieces = self.args.read(f, args, *names)
            weight, panels = (self.args.pointer(f, args, name) for name in ("w", "panels"))
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                phase, block = task % phases, task // phases
                f.call("select_phase", args, state, phase)
                taps, before = self.state.read(f, state, "taps", "taps_before")
                rows = self.tile_rows(f, args, phase % pieces, block % row_groups)
                source = f.offset(weight, (block // row_groups) * w_group, numbers.stored)
                to = f.offset(panels, (block * all_taps + before) * channels * mr, numbers.computed)
                with f.loop(0, channels, PACKED_TOGETHER) as few, f.loop(0, taps) as t:
                    f.call("select_tap", args, state, t, Value(f, PTR, w_offset.ref))
                    with f.loop(few, f.smaller(few + PACKED_TOGETHER, channels)) as c:
                        at = f.offset(source, w_offset.get() + c * w_channel, numbers.stored)
                        place = f.offset(to, (c * taps + t) * mr, numbers.computed)
                        for i in range(mr):
                            exists, own = ROW.read(f, f.offset(rows, i * len(ROW), I64), "exists", "weight")
                            self.pack_row(f, at, own, exists.equals(1), place, i)

    # ---- sums

    def emit_tile(self, width: int) -> None:
        """sums[row i][pixel] (+)= sum over k of a[k][i] * staged[offsets[k] + pixel], `width` vectors of pixels."""
        with self.module.function(
            f"tile_{width}", k=I64, a=PTR, offsets=PTR, staged=PTR, c=PTR, rows=PTR, first=I64
        ) as f:
            sums = self.sum_products(f, f.args["staged"], width)
            places = []
            for i in range(self.tile.mr):
                (row,) = ROW.read(f, f.offset(f.args["rows"], i * len(ROW), I64), "sums")
                places += [row + j * self.lanes for j in range(width)]
            put_or_add(f, f.args["first"], f.args["c"], places, [total for row in sums for total in row])

    def emit_run_group(self) -> None:
        """A box of one group, block by block of its source channels: staged, and multiplied into the sums."""
        numbers = self.numbers
        with self.module.function("run_group", args=PTR, state=PTR, sample=I64, group=I64) as f:
            args, state, sample, group = (f.args[name] for name in ("args", "state", "sample", "group"))
            strides = ("src_batch", "src_group", "src_channel", "dst_batch", "dst_group")
            src_batch, src_group, src_channel, dst_batch, dst_group = self.args.read(f, args, *strides)
            names = ("rank", "results", "channels", "channel_block", "outer_phases", "c_outer", "c_run", "asks")
            rank, results, channels, channel_block, outers, c_outer, c_run, asks = self.args.read(f, args, *names)
            src = f.offset(self.args.pointer(f, args, "src"), sample * src_batch + group * src_group, numbers.stored)
            dst = f.offset(self.args.pointer(f, args, "dst"), sample * dst_batch + group * dst_group, numbers.result)
            run_list, staged, c = (self.section(f, args, state, name) for name in ("at_runs", "at_staged", "at_c"))
            grid_rows, pitch = self.own(f, state, rank - 2, "length", "staged")
            columns, low = self.own(f, state, rank - 1, "length", "low")
            (stride,) = self.axis(f, self.args.pointer(f, args, "tables"), rank - 1, "src_stride")
            vectors = ((grid_rows - 1) * pitch + columns + (self.lanes - 1)) // self.lanes
            tiles = (vectors + (self.tile.nv - 1)) // self.tile.nv
            begin = f.variable(I64)
            with f.loop(0, f.larger(channels, 1), channel_block) as channel:
                count = f.smaller(channels - channel, channel_block)
                f.store(count, state, self.state.index["staged_channels"])
                f.call("stage", args, state, f.offset(src, channel * src_channel, numbers.stored), staged)
                following = f.offset(src, (channel + count) * src_channel + low * stride, numbers.stored)
                left = f.smaller(channels - channel - count, channel_block) * asks
                with f.loop(0, outers) as outer:
                    f.call("select_outer", args, state, outer)
                    (runs,) = self.state.read(f, state, "runs")
                    with f.loop(0, runs) as r:
                        (at_staged,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "staged")
                        pixels = f.offset(staged, at_staged, numbers.computed)
                        sums = f.offset(c, outer * c_outer + r * c_run, numbers.computed)
                        begin.set(0)
                        for width in self.tile.widths:
                            # As many of the wide tiles as there are, then what is left in narrower ones.
                            with f.loop(begin.get(), vectors - (width - 1), width) as v:
                                here, own_c = (f.offset(at, v * self.lanes, numbers.computed) for at in (pixels, sums))
                                part = (outer * runs + r) * tiles + v // self.tile.nv
                                f.call(
                                    f"sum_{width}", args, state, group, outer, channel, count, here, own_c, following,
                                    left, part, outers * runs * tiles,
                                )  # fmt: skip
                                begin.set(v + width)
            with f.loop(0, outers) as outer:
                f.call("select_outer", args, state, outer)
                (runs,) = self.state.read(f, state, "runs")
                with f.loop(0, runs) as r:
                    (at_dst,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "dst")
                    result = f.offset(dst, at_dst, numbers.result)
                    sums = f.offset(c, outer * c_outer + r * c_run, numbers.computed)
                    f.call("store_rows", args, state, sums, result, group * results)

    def emit_sum(self, width: int) -> None:
        """The products of a block of channels with all rows, for `width` vectors of pixels; meanwhile part `part`
        of `parts` of the following channels is asked for."""
        numbers, mr = self.numbers, self.tile.mr
        with self.module.function(
            f"sum_{width}", args=PTR, state=PTR, group=I64, outer=I64, channel=I64, count=I64, pixels=PTR, c=PTR,
            following=PTR, left=I64, part=I64, parts=I64,
        ) as f:  # fmt: skip
            args, state, channel = f.args["args"], f.args["state"], f.args["channel"]
            names = ("rank", "channels", "row_groups", "all_taps", "tile_chain", "pieces", "offsets_row", "src_channel")
            rank, channels, row_groups, all_taps, chain, pieces, offsets_row, src_channel = self.args.read(
                f, args, *names
            )
            sections = ("at_offsets", "at_pieces", "at_rows")
            offsets, table, row_list = (self.section(f, args, state, name) for name in sections)
            panels = self.args.pointer(f, args, "panels")
            (rows,), (span,) = self.state.read(f, state, "rows"), self.own(f, state, rank - 1, "span")
            (stride,) = self.axis(f, self.args.pointer(f, args, "tables"), rank - 1, "src_stride")
            first = f.variable(I64)
            with f.loop(0, pieces) as n:
                piece = f.args["outer"] * pieces + n
                taps, before = PIECE.read(f, f.offset(table, piece * len(PIECE), I64), *PIECE.names)
                total = taps * f.args["count"]
                own_offsets = f.offset(offsets, piece * offsets_row, I64)
                # The first piece begins the sums of all rows; one without products gives zeros.
                begins = f.cast("zext", (n | channel).equals(0), I64)
                with f.loop(0, self.piece_tiles(f, args, n)) as g:
                    panel = ((f.args["group"] * row_groups + g) * all_taps + before) * channels + channel * taps
                    a = f.offset(panels, panel * mr, numbers.computed)
                    tile = self.tile_rows(f, args, n, g)
                    first.set(begins)
                    with f.loop(0, f.larger(total, begins), chain) as k:
                        with f.when((f.args["left"] > 0) & (n | g).equals(0)):
                            chains = (total + (chain - 1)) // chain
                            part, parts = f.args["part"] * chains + k // chain, f.args["parts"] * chains
                            f.call(
                                "ask", f.args["following"], 1, 0, f.args["left"], src_channel, row_list, rows,
                                len(ROW_LIST), span * stride, part, parts,
                            )  # fmt: skip
                        own_a, own_k = f.offset(a, k * mr, numbers.computed), f.offset(own_offsets, k, I64)
                        length = f.smaller(total - k, chain)
                        pixels, c = f.args["pixels"], f.args["c"]
                        f.call(f"tile_{width}", length, own_a, own_k, pixels, c, tile, first.get())
                        first.set(0)

    # ---- results

    def emit_store_rows(self) -> None:
        """Finish the sums of a run (see epilogue.py) and store its rows, phase by phase on the row axis and with those
        of the last axis interleaved; the first and the last grid position of an axis may lack some phases."""
        lanes, phases, result = self.lanes, self.phases, self.numbers.result
        with self.module.function("store_rows", args=PTR, state=PTR, c=PTR, result=PTR, channel=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            names = ("rank", "c_row", "results", "row_phases", "dst_rows", "dst_columns", "dst_channel", "dst_lane")
            rank, c_row, results, row_phases, dst_rows, dst_columns, dst_channel, dst_lane = self.args.read(
                f, args, *names
            )
            grid_rows, pitch, row_origin, row_start = self.own(
                f, state, rank - 2, "length", "staged", "origin", "start"
            )
            columns, lane_origin, lane_start = self.own(f, state, rank - 1, "length", "origin", "start")
            row_step, row_stride = self.axis(f, tables, rank - 2, "dst_step", "dst_stride")
            first = lane_origin + lane_start * phases
            # Of the box's destination columns those from low on, so many, exist.
            low = f.larger(0 - first, 0)
            exist = f.larger(f.smaller(columns * phases, dst_columns - first) - low, 0)
            epilogue = Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue)
            with f.loop(0, results) as m:
                epilogue.begin_row(f.args["channel"] + m)
                channel = f.offset(f.args["result"], m * dst_channel + first * dst_lane, result)
                with f.loop(0, row_phases) as y, f.loop(0, grid_rows) as r:
                    at = row_origin + (row_start + r) * row_step + y
                    with f.when(at.below(dst_rows)):
                        row = f.offset(channel, at * row_stride, result)
                        sums = f.offset(
                            f.args["c"], (m * row_phases + y) * phases * c_row + r * pitch, self.numbers.computed
                        )
                        with f.loop(0, columns, lanes) as i:
                            own = [f.load(self.vector, sums, i + c_row * n) for n in range(phases)]
                            begin = i * phases - low
                            whole = (begin >= 0) & (begin + phases * lanes <= exist)
                            with f.when(dst_lane.equals(1)) as apart:
                                together = [(n * lanes, total) for n, total in enumerate(f.interleave(own))]
                                with f.when(whole) as otherwise:
                                    for n, total in together:
                                        epilogue.store([total], [Place(f.offset(row, i * phases + n, result))])
                                with otherwise:
                                    for n, total in together:
                                        place = f.lane_numbers(lanes) + f.splat(begin + n, lanes)
                                        at_row = f.offset(row, i * phases + n, result)
                                        epilogue.store([total], [Place(at_row, place.below(f.splat(exist, lanes)))])
                            with apart:
                                for n, total in enumerate(own):
                                    place = f.lane_numbers(lanes) * f.splat(f.constant(phases, I64), lanes)
                                    place = place + f.splat(i * phases + n, lanes)
                                    mask = (place - f.splat(low, lanes)).below(f.splat(exist, lanes))
                                    each = f.offset(row, place * f.splat(dst_lane, lanes), result)
                                    epilogue.store([total], [Place(each, mask)])

    # ---- the driver

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "blocks", "groups", "group_block", "group_blocks", "outer_phases")
            count, blocks, groups, group_block, group_blocks, outers = self.args.read(f, args, *names)
            channels, channel_block = self.args.read(f, args, "channels", "channel_block")
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                block, rest = task % blocks, task // blocks
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                f.call("select_phase", args, state, 0)
                f.call("select_block", args, state, block)
                f.call("list_rows", args, state)
                f.store(f.smaller(channels, channel_block), state, self.state.index["staged_channels"])
                with f.loop(0, outers) as outer:
                    f.call("list_pieces", args, state, outer)
                with f.loop(first, f.smaller(first + group_block, groups)) as group:
                    f.call("run_group", args, state, sample, group)
