"""Direct convolution on a staged copy: padded, split by stride phase, and read where it lies, tap by tap.

A task is a box of a phase's grid, of one sample and a few groups. It copies the source box with its halo to scratch,
zeros included, so that taps are plain offsets; positions along an axis with step q are stored as q phases, so that
neighbours of the grid are neighbours in memory. Grid rows then follow each other at a fixed pitch, and the register
tile runs over this *virtual* row of pixels, halo columns included, in lanes; what falls on a halo column is not stored.

For each tile the sum runs over channels and taps through a table of offsets. No value is copied once per tap, so this
pays where few result channels share a source value: grouped and depthwise convolutions above all.

Staged layout, one plane a channel:   [phases of all axes][outer axes ...][row axis][lane axis]
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I1, I64, PTR, Function, Value, Variable
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, Correlation
from .gemm import Tile, accumulate

ARGS = (
    "group_block", "group_blocks", "blocks", "dst_lane", "at_rows", "at_runs", "at_offsets", "at_segments",
    "at_staged", "at_tile", "vectors_max", "tile_chain",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

STATE = ("empty", "plane", "rows", "runs", "vectors")
AXIS_STATE = ("start", "length", "low", "span", "staged", "phase_staged")

ROW_LIST = Layout(("source", "staged", "inside"))
"""One staged row: where it comes from and goes to, and whether it lies in the image (else it is zeros)."""
RUN_LIST = Layout(("staged", "dst"))
"""One run of virtual pixels (all rows of a position on the outer axes): where it begins, in the copy and in dst."""
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


class _Bundle(Correlation):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, AXIS_STATE)
        self.emit_select_block()
        self.emit_list_rows()
        self.emit_list_runs()
        self.emit_list_segments()
        self.emit_list_offsets()
        self.emit_stage_row()
        self.emit_tile()
        self.emit_store_tile()
        self.emit_run()

    # ---- the box of a task

    def emit_select_block(self) -> None:
        """Decode a block number (last axis fastest) into the state: the box, its source interval, its staged layout."""
        with self.module.function("select_block", args=PTR, state=PTR, block=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rest = f.variable(I64, f.args["block"])
            size, empty = f.variable(I64, 1), f.variable(I64, 0)
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                block, blocks, step = self.axis(f, tables, a, "block", "blocks", "src_step")
                mine = self.state_row(f, state, a)
                count, tap_at, taps = self.axis_state.read(f, mine, "count", "tap_at", "taps")
                start = (rest.get() % blocks) * block
                rest.set(rest.get() // blocks)
                length = f.smaller(block, count - start)
                empty.set(empty.get() | f.cast("zext", length <= 0, I64))
                # Taps are listed by rising offset, so the first and the last bound what is read.
                last = f.larger(taps - 1, 0)
                low = f.load(I64, f.offset(tables, tap_at, I64), 1)
                high = f.load(I64, f.offset(tables, tap_at + last * 2, I64), 1)
                span = (length - 1) * step + (high - low) + 1
                self.put(f, mine, start=start, length=length, low=start * step + low, span=span, staged=size.get())
                size.set(size.get() * ((span + step - 1) // step))
            # A vector stored at the end of a phase may overhang; it must not reach into the next phase.
            size.set(size.get() + self.lanes)
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                (step,) = self.axis(f, tables, a, "src_step")
                self.put(f, self.state_row(f, state, a), phase_staged=size.get())
                size.set(size.get() * step)
            f.store(size.get(), state, self.state.index["plane"])
            f.store(empty.get(), state, self.state.index["empty"])

    def axis(self, f: Function, tables: Value, a: Value, *names: str) -> list[Value]:
        return AXIS.read(f, self.axis_row(f, tables, a), *names)

    def own(self, f: Function, state: Value, a: Value, *names: str) -> list[Value]:
        return self.axis_state.read(f, self.state_row(f, state, a), *names)

    def put(self, f: Function, row: Value, **values: Value) -> None:
        for name, value in values.items():
            f.store(value, row, self.axis_state.index[name])

    def staged_place(self, f: Function, position: Value, step: Value, staged: Value, phase_staged: Value) -> Value:
        """Where a position of an axis lies in the staged copy."""
        return (position % step) * phase_staged + (position // step) * staged

    # ---- lists made once a box

    def emit_list_rows(self) -> None:
        """Every staged row (all axes but the last), in ascending order of the source."""
        with self.module.function("list_rows", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rows = self.section(f, args, state, "at_rows")
            total = f.variable(I64, 1)
            with f.loop(0, rank - 1) as a:
                total.set(total.get() * self.own(f, state, a, "span")[0])
            rest, source, staged, inside = (f.variable(I64) for _ in range(4))
            with f.loop(0, total.get()) as n:
                rest.set(n)
                source.set(0)
                staged.set(0)
                inside.set(1)
                with f.loop(0, rank - 1) as i:
                    a = rank - 2 - i
                    extent, src_stride, step = self.axis(f, tables, a, "extent", "src_stride", "src_step")
                    low, span, own, by_phase = self.own(f, state, a, "low", "span", "staged", "phase_staged")
                    at = rest.get() % span
                    rest.set(rest.get() // span)
                    source.set(source.get() + (low + at) * src_stride)
                    staged.set(staged.get() + self.staged_place(f, at, step, own, by_phase))
                    inside.set(inside.get() & f.cast("zext", (low + at).below(extent), I64))
                row = f.offset(rows, n * len(ROW_LIST), I64)
                for name, cell in (("source", source), ("staged", staged), ("inside", inside)):
                    f.store(cell.get(), row, ROW_LIST.index[name])
            f.store(total.get(), state, self.state.index["rows"])

    def emit_list_runs(self) -> None:
        """Every position on the outer axes (all but row and lane)."""
        with self.module.function("list_runs", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            runs = self.section(f, args, state, "at_runs")
            total = f.variable(I64, 1)
            with f.loop(0, rank - 2) as a:
                total.set(total.get() * self.own(f, state, a, "length")[0])
            rest, staged, dst = (f.variable(I64) for _ in range(3))
            with f.loop(0, total.get()) as n:
                rest.set(n)
                staged.set(0)
                dst.set(0)
                with f.loop(0, rank - 2) as i:
                    a = rank - 3 - i
                    length, own = self.own(f, state, a, "length", "staged")
                    at = rest.get() % length
                    rest.set(rest.get() // length)
                    staged.set(staged.get() + at * own)
                    dst.set(dst.get() + self.destination(f, tables, state, a, at))
                row = f.offset(runs, n * len(RUN_LIST), I64)
                f.store(staged.get(), row, RUN_LIST.index["staged"])
                f.store(dst.get(), row, RUN_LIST.index["dst"])
            f.store(total.get(), state, self.state.index["runs"])

    def destination(self, f: Function, tables: Value, state: Value, a: Value, at: Value) -> Value:
        """The destination's offset of a position of the box on one axis."""
        stride, step = self.axis(f, tables, a, "dst_stride", "dst_step")
        origin, start = self.own(f, state, a, "origin", "start")
        return (origin + (start + at) * step) * stride

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

    def emit_list_offsets(self) -> None:
        """The staged offset of every product of a tile, taps outermost, as the packed weight has them."""
        with self.module.function("list_offsets", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, channels = self.args.read(f, args, "rank", "channels")
            taps, plane = self.state.read(f, state, "taps", "plane")
            table = self.section(f, args, state, "at_offsets")
            unused, place = f.variable(I64, 0), f.variable(I64)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, unused.ref))
                place.set(0)
                with f.loop(0, rank) as a:
                    (step,) = self.axis(f, tables, a, "src_step")
                    names = ("offset", "low", "start", "staged", "phase_staged")
                    offset, low, start, staged, by_phase = self.own(f, state, a, *names)
                    at = offset + start * step - low
                    place.set(place.get() + self.staged_place(f, at, step, staged, by_phase))
                with f.loop(0, channels) as c:
                    f.store(place.get() + c * plane, table, t * channels + c)

    # ---- staging

    def emit_stage_row(self) -> None:
        """Copy one row of one channel, widened, to its staged place: with q phases, q rows of every q-th sample."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("stage_row", args=PTR, state=PTR, source=PTR, to=PTR, inside=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            extent, stride, step = self.axis(f, tables, rank - 1, "extent", "src_stride", "src_step")
            low, span, by_phase = self.own(f, state, rank - 1, "low", "span", "phase_staged")
            width = extent * f.args["inside"]  # a row outside the image has no samples: all zeros
            per_phase = (span + step - 1) // step

            def masked(at: Value) -> Value:
                """The vector of samples from coordinate `at` on; outside the image they are 0."""
                number = f.lane_numbers(lanes) + f.splat(at, lanes)
                mask = number.below(f.splat(width, lanes))
                return f.masked_load(stored, f.offset(f.args["source"], at, stored), mask)

            def put(value: Value, i: Value) -> None:
                f.store(numbers.widen(f, value), f.args["to"], i)

            near = stride.equals(1)
            with f.when(near & step.equals(1)) as otherwise:
                begin = f.smaller((f.larger(0 - low, 0) + (lanes - 1)) // lanes * lanes, span)
                whole = f.larger(begin, f.smaller(f.larger(width - low, 0), span) // lanes * lanes)
                with f.loop(0, begin, lanes) as i:
                    put(masked(low + i), i)
                with f.loop(begin, whole, lanes) as i:
                    put(f.load(stored, f.args["source"], low + i), i)
                with f.loop(whole, span, lanes) as i:
                    put(masked(low + i), i)
            with otherwise:
                with f.when(near & step.equals(2)) as gathered, f.loop(0, per_phase, lanes) as i:
                    pair = [masked(low + i * 2 + half * lanes) for half in range(2)]
                    for phase in range(2):
                        put(f.shuffle(pair[0], pair[1], range(phase, 2 * lanes, 2)), i + by_phase * phase)
                with gathered, f.loop(0, step) as phase, f.loop(0, per_phase, lanes) as i:
                    every = (f.lane_numbers(lanes) + f.splat(i, lanes)) * f.splat(step, lanes)
                    at = every + f.splat(low + phase, lanes)
                    pointers = f.offset(f.args["source"], at * f.splat(stride, lanes), stored)
                    put(f.gather(stored, pointers, at.below(f.splat(width, lanes))), i + phase * by_phase)

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
            strides = ("src_batch", "src_group", "src_channel", "dst_batch", "dst_group", "dst_channel")
            src_batch, src_group, src_channel, dst_batch, dst_group, dst_channel = self.args.read(f, args, *strides)
            src, dst, bias, panels = (self.args.pointer(f, args, n) for n in ("src", "dst", "bias", "panels"))
            taps, before, plane, staged_rows, runs, vectors = self.state.read(
                f, state, "taps", "taps_before", "plane", "rows", "runs", "vectors"
            )
            sections = ("at_rows", "at_runs", "at_offsets", "at_segments", "at_staged", "at_tile")
            row_list, run_list, offsets, segments, staged, c = (self.section(f, args, state, n) for n in sections)
            source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
            with f.when(taps > 0), f.loop(0, channels) as channel, f.loop(0, staged_rows) as n:
                entry = f.offset(row_list, n * len(ROW_LIST), I64)
                from_, to, inside = ROW_LIST.read(f, entry, "source", "staged", "inside")
                row = f.offset(source, channel * src_channel + from_, numbers.stored)
                f.call("stage_row", args, state, row, f.offset(staged, channel * plane + to, numbers.computed), inside)
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
