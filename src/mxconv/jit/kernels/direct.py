"""Direct convolution on a staged copy: padded, split by stride phase, and read where it lies, tap by tap.

A task is a box of a phase's grid, of one sample and a few groups. In the staged copy (see staging.py) the box's rows
follow each other at a fixed pitch, and the register tile runs over this *virtual* row of pixels, halo columns
included, in lanes; what falls on a halo column is not stored.

For each tile the sum runs over channels and taps through a table of offsets. No value is copied once per tap, so this
pays where few result channels share a source value: grouped and depthwise convolutions above all.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I1, I64, PTR, Function, Value, Variable
from ..target import Target
from .gemm import Tile, accumulate
from .staging import RUN_LIST, Staging

ARGS = ("group_block", "group_blocks", "blocks", "dst_lane", "at_segments", "at_tile", "vectors_max", "tile_chain")
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""

STATE = ("vectors",)
SEGMENT = 2


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile

    @property
    def name(self) -> str:
        return f"direct_{self.dtype}_{self.tile.mr}x{self.tile.nv}"


def segment_row(lanes: int) -> int:
    """Slots of a vector of virtual pixels: how many segments of real ones it has, then their offsets and masks."""
    return 1 + SEGMENT * (lanes + 1)


def emit_direct(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Staging):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, run_axes=2)
        self.emit_list_segments()
        self.emit_tile()
        self.emit_store_tile()
        self.emit_run()

    # ---- which virtual pixels are real

    def emit_list_segments(self) -> None:
        """For each vector of a run: its segments of real pixels, one for each grid row that it meets."""
        lanes = self.lanes
        with self.module.function("list_segments", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, dst_lane, vectors_max = self.args.read(f, args, "rank", "dst_lane", "vectors_max")
            table = self.section(f, args, state, "at_segments")
            grid_rows, pitch = self.own(f, state, rank - 2, "length", "staged")
            (columns,) = self.own(f, state, rank - 1, "length")
            vectors = ((grid_rows - 1) * pitch + columns + (lanes - 1)) // lanes
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            count = f.variable(I64)
            with f.loop(0, vectors_max) as v:
                own = f.offset(table, v * segment_row(lanes), I64)
                count.set(0)
                begin = v * lanes
                with f.loop(begin // pitch, f.smaller((begin + (lanes - 1)) // pitch + 1, grid_rows)) as r:
                    low, high = f.larger(begin, r * pitch), f.smaller(begin + lanes, r * pitch + columns)
                    with f.when(low < high):
                        slot = f.offset(own, count.get() * SEGMENT + 1, I64)
                        by_row = self.destination(f, tables, state, rank - 2, r)
                        f.store(by_row + first_lane + (begin - r * pitch) * dst_lane, slot)
                        ones = (f.constant(1, I64) << (high - low)) - 1
                        f.store(ones << (low - begin), slot, 1)
                        count.set(count.get() + 1)
                f.store(count.get(), own)
            f.store(vectors, state, self.state.index["vectors"])

    # ---- the register tile

    def emit_tile(self) -> None:
        """c[mr][nr] (+)= sum over k of a[k][mr] * staged[offsets[k] + pixel]: one chain of the sum."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function("tile", k=I64, a=PTR, offsets=PTR, staged=PTR, c=PTR, first=I64) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            with f.loop(0, f.args["k"]) as k:
                row = f.offset(f.args["staged"], f.load(I64, f.args["offsets"], k), numbers.computed)
                weights = f.offset(f.args["a"], k * tile.mr, numbers.computed)
                columns = [f.load(self.vector, row, j * lanes) for j in range(tile.nv)]
                for i in range(tile.mr):
                    weight = f.splat(f.load(numbers.computed, weights, i), lanes)
                    for j in range(tile.nv):
                        accumulate([cells[i][j]], [weight], [columns[j]])
            begins = f.args["first"].equals(1)
            for i in range(tile.mr):
                for j in range(tile.nv):
                    at = i * self.nr + j * lanes
                    so_far = f.select(begins, f.zero(self.vector), f.load(self.vector, f.args["c"], at, aligned=True))
                    f.store(so_far + cells[i][j].get(), f.args["c"], at, aligned=True)

    def emit_store_tile(self) -> None:
        """Add the bias to a finished tile, narrow it and store its real pixels, segment by segment."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("store_tile", args=PTR, c=PTR, result=PTR, bias=PTR, rows=I64, segments=PTR) as f:
            dst_channel, dst_lane = self.args.read(f, f.args["args"], "dst_channel", "dst_lane")
            shift = f.variable(numbers.computed)
            has_bias = f.emit(I1, f"icmp ne ptr {f.args['bias'].ref}, null")
            with f.loop(0, f.args["rows"]) as i:
                shift.set(0)
                with f.when(has_bias):
                    shift.set(numbers.widen(f, f.load(numbers.stored, f.args["bias"], i)))
                channel = f.offset(f.args["result"], i * dst_channel, numbers.result)
                with f.loop(0, self.tile.nv) as j:
                    total = f.load(self.vector, f.args["c"], i * self.nr + j * lanes, aligned=True)
                    value = numbers.narrow(f, total + f.splat(shift.get(), lanes))
                    own = f.offset(f.args["segments"], j * segment_row(lanes), I64)
                    with f.loop(0, f.load(I64, own)) as n:
                        segment = f.offset(own, n * SEGMENT + 1, I64)
                        mask = f.mask_of_bits(f.load(I64, segment, 1), lanes)
                        to = f.offset(channel, f.load(I64, segment), value.type)
                        with f.when(dst_lane.equals(1)) as apart:
                            f.masked_store(value, to, mask)
                        with apart:
                            index = f.lane_numbers(lanes) * f.splat(dst_lane, lanes)
                            f.scatter(value, f.offset(to, index, value.type), mask)

    # ---- the driver

    def emit_run(self) -> None:
        numbers, tile = self.numbers, self.tile
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            count, blocks, phases, groups, group_block, group_blocks = self.args.read(
                f, args, "run_tasks", "blocks", "phases", "groups", "group_block", "group_blocks"
            )
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                block, rest = task % blocks, task // blocks
                phase, rest = rest % phases, rest // phases
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                f.call("select_phase", args, state, phase)
                f.call("select_block", args, state, block)
                (empty,) = self.state.read(f, state, "empty")
                with f.when(empty.equals(0)):
                    for name in ("list_rows", "list_runs", "list_segments", "list_offsets"):
                        f.call(name, args, state)
                    with f.loop(first, f.smaller(first + group_block, groups)) as group:
                        f.call("run_group", args, state, sample, group)
        with self.module.function("run_group", args=PTR, state=PTR, sample=I64, group=I64) as f:
            args, state, sample, group = (f.args[n] for n in ("args", "state", "sample", "group"))
            names = ("rows", "channels", "row_groups", "all_taps", "tile_chain")
            rows, channels, row_groups, all_taps, chain = self.args.read(f, args, *names)
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel")
            src_batch, src_group, dst_batch, dst_group, dst_channel = self.args.read(f, args, *strides)
            src, dst, bias, panels = (self.args.pointer(f, args, n) for n in ("src", "dst", "bias", "panels"))
            taps, before, runs, vectors = self.state.read(f, state, "taps", "taps_before", "runs", "vectors")
            sections = ("at_runs", "at_offsets", "at_segments", "at_staged", "at_tile")
            run_list, offsets, segments, staged, c = (self.section(f, args, state, n) for n in sections)
            source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
            f.call("stage", args, state, source)
            total = taps * channels
            has_bias = f.emit(I1, f"icmp ne ptr {bias.ref}, null")
            panel_rows = all_taps * channels
            own_panels = f.offset(
                panels, (group * row_groups * panel_rows + before * channels) * tile.mr, numbers.computed
            )
            with f.loop(0, runs) as r:
                entry = f.offset(run_list, r * len(RUN_LIST), I64)
                at_staged, at_dst = RUN_LIST.read(f, entry, "staged", "dst")
                result = f.offset(dst, sample * dst_batch + group * dst_group + at_dst, numbers.result)
                with f.loop(0, vectors, tile.nv) as v, f.loop(0, row_groups) as g:
                    pixels = f.offset(staged, at_staged + v * self.lanes, numbers.computed)
                    a = f.offset(own_panels, g * panel_rows * tile.mr, numbers.computed)
                    self.sum_chains(f, total, chain, a, offsets, pixels, c)
                    row_0 = g * tile.mr
                    f.call(
                        "store_tile",
                        args,
                        c,
                        f.offset(result, row_0 * dst_channel, numbers.result),
                        f.select(has_bias, f.offset(bias, group * rows + row_0, numbers.stored), bias),
                        f.smaller(rows - row_0, tile.mr),
                        f.offset(segments, v * segment_row(self.lanes), I64),
                    )

    def sum_chains(
        self, f: Function, total: Value, chain: Value, a: Value, offsets: Value, pixels: Value, c: Value
    ) -> None:
        """One tile of the whole reduction, chain by chain; an empty one gives zeros."""
        first: Variable = f.variable(I64)
        first.set(1)
        with f.loop(0, f.larger(total, 1), chain) as k:
            length = f.smaller(total - k, chain)
            own_a = f.offset(a, k * self.tile.mr, self.numbers.computed)
            f.call("tile", length, own_a, f.offset(offsets, k, I64), pixels, c, first.get())
            first.set(0)
