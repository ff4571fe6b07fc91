"""Direct convolution on a staged copy: padded, split by stride phase, and read where it lies, tap by tap.

A task is a box of a phase's grid, of one sample and a few groups. In the staged copy (see staging.py) the box's rows
follow each other at a fixed pitch, and the register tile runs over this *virtual* row of pixels, halo columns
included, in lanes. Its sums stand in scratch in the same order; storing them leaves the halo columns out.

For each tile the sum runs over channels and taps through a table of offsets. No value is copied once per tap, so this
pays where few result channels share a source value: grouped and depthwise convolutions above all.
"""

from __future__ import annotations

import functools
import itertools
import operator
from dataclasses import dataclass

from ..ir import I64, PTR, Function, Value, Variable
from ..target import Target
from .blocks import Layout
from .epilogue import Epilogue, Place
from .gemm import Tile, accumulate, put_or_add
from .staging import RUN_LIST, Staging

ARGS = (
    "group_block", "group_blocks", "blocks", "dst_lane", "at_c", "c_row", "c_phase", "tile_chain", "at_lane_phases",
    "offsets_row", "row_blocks", "block_row_groups",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""


LANE_PHASE = Layout(("taps", "taps_before", "lane_taps", "length"))
"""What a phase of the lane axis is to a box: its taps, in all and on that axis, and its positions in the box."""


@dataclass(frozen=True, slots=True)
class RowTile:
    """A tile of several grid rows: a staged row is read once for all of the tile's rows that its taps reach."""

    grid_rows: int
    taps: tuple[int, ...]
    """Taps on the row axis, in chunks whose weights fit in registers beside the sums."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile
    row_tile: RowTile | None = None
    """For one result channel a group whose taps lie densely on the row axis."""
    interleave: int = 1
    """Phases of the lane axis (a power of 2) that a task computes together, to store whole rows of the result."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""
    by_row: bool = False
    """For sums of a single chain whose results lie side by side: tiles of one grid row, finished in registers."""

    @property
    def name(self) -> str:
        rows = f"_{self.row_tile.grid_rows}rows_{'_'.join(map(str, self.row_tile.taps))}taps" if self.row_tile else ""
        phases = f"_{self.interleave}phases" if self.interleave > 1 else ""
        rows += "_1row" if self.by_row else ""
        return "_".join((f"direct_{self.dtype}_{self.tile.mr}x{self.tile.nv}{rows}{phases}", *self.epilogue))


def emit_direct(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Staging):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, run_axes=2)
        self.row_tile, self.interleave, self.epilogue = spec.row_tile, spec.interleave, spec.epilogue
        self.by_row = spec.by_row
        if spec.row_tile:
            for taps in sorted(set(spec.row_tile.taps)):
                self.emit_row_tile(spec.row_tile.grid_rows, taps)
        elif spec.by_row:
            self.emit_finish_row()
        else:
            for width in self.tile.widths:
                self.emit_tile(width)
        if not spec.by_row:
            self.emit_store_rows()
        self.emit_run()

    def emit_tile(self, width: int) -> None:
        """c[i][pixel] (+)= sum over k of a[k][i] * staged[offsets[k] + pixel], `width` vectors of pixels: one chain."""
        lanes, tile = self.lanes, self.tile
        with self.module.function(
            f"tile_{width}", k=I64, a=PTR, offsets=PTR, staged=PTR, c=PTR, c_row=I64, first=I64
        ) as f:
            sums = self.sum_products(f, f.args["staged"], width)
            places = [f.args["c_row"] * i + j * lanes for i in range(tile.mr) for j in range(width)]
            put_or_add(f, f.args["first"], f.args["c"], places, [total for row in sums for total in row])

    def emit_finish_row(self) -> None:
        """One grid row of a tile's result channels, of which `rows` exist: summed and stored, tile after tile."""
        lanes, tile, result = self.lanes, self.tile, self.numbers.result
        with self.module.function(
            "finish_row", args=PTR, k=I64, a=PTR, offsets=PTR, staged=PTR, columns=I64, to=PTR, channel=I64, rows=I64
        ) as f:
            args, columns, rows = f.args["args"], f.args["columns"], f.args["rows"]
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            epilogues = [Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue) for _ in range(tile.mr)]
            for i, epilogue in enumerate(epilogues):
                epilogue.begin_row(f.args["channel"] + f.smaller(rows - 1, i))
            begin = f.variable(I64, 0)
            vectors = (columns + (lanes - 1)) // lanes
            for width in tile.widths:
                # As many of the wide tiles as there are, then what is left in narrower ones.
                with f.loop(begin.get(), vectors - (width - 1), width) as v:
                    at = v * lanes
                    sums = self.sum_products(f, f.offset(f.args["staged"], at, self.numbers.computed), width)
                    whole = (at + width * lanes <= columns) & (rows >= tile.mr)
                    with f.when(whole) as otherwise:
                        for i, epilogue in enumerate(epilogues):
                            to = f.offset(f.args["to"], dst_channel * i + at, result)
                            for j in range(width):
                                epilogue.store([sums[i][j]], [Place(f.offset(to, j * lanes, result))])
                    with otherwise:
                        for i, epilogue in enumerate(epilogues):
                            # A channel that does not exist is stored nowhere, at the last one's address: a masked
                            # store is slow where the page does not exist.
                            to = f.offset(f.args["to"], dst_channel * f.smaller(rows - 1, i) + at, result)
                            left = f.select(rows > i, columns - at, 0)
                            for j in range(width):
                                mask = f.lane_numbers(lanes) < f.splat(left - j * lanes, lanes)
                                epilogue.store([sums[i][j]], [Place(f.offset(to, j * lanes, result), mask)])
                    begin.set(v + width)

    def emit_row_tile(self, grid_rows: int, taps: int) -> None:
        """c[r][pixel] (+)= sum over row taps i and lane taps k of
        a[i*a_row + k] * staged[offsets[k] + (r+i)*pitch + pixel], for a tile's grid rows r.

        Each staged vector serves every r that one of its taps i reaches.
        """
        numbers, lanes, nv = self.numbers, self.lanes, self.tile.nv
        with self.module.function(
            f"row_tile_{taps}", k=I64, a=PTR, a_row=I64, offsets=PTR, staged=PTR, pitch=I64, c=PTR, c_row=I64, first=I64
        ) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(nv)] for _ in range(grid_rows)]
            with f.loop(0, f.args["k"]) as k:
                start = f.offset(f.args["staged"], f.load(I64, f.args["offsets"], k), numbers.computed)
                own = f.offset(f.args["a"], k, numbers.computed)
                weights = [f.splat(f.load(numbers.computed, own, f.args["a_row"] * i), lanes) for i in range(taps)]
                for source in range(grid_rows + taps - 1):
                    row = f.offset(start, f.args["pitch"] * source, numbers.computed)
                    for j in range(nv):
                        value = f.load(self.vector, row, j * lanes)
                        for i in range(taps):
                            if 0 <= source - i < grid_rows:
                                accumulate([cells[source - i][j]], [weights[i]], [value])
            places = [f.args["c_row"] * r + j * lanes for r in range(grid_rows) for j in range(nv)]
            put_or_add(f, f.args["first"], f.args["c"], places, [cell.get() for row in cells for cell in row])

    def emit_store_rows(self) -> None:
        """Finish the sums of a run (see epilogue.py) and store its grid rows, without halo columns."""
        lanes, step = self.lanes, self.interleave
        with self.module.function("store_rows", args=PTR, state=PTR, result=PTR, channel=I64, rows=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, c_row, c_phase = self.args.read(f, args, "rank", "c_row", "c_phase")
            dst_channel, dst_lane = self.args.read(f, args, "dst_channel", "dst_lane")
            c = self.section(f, args, state, "at_c")
            (grid_rows,) = self.own(f, state, rank - 2, "length")
            pitch = self.c_pitch(f, state, rank)
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            first_row = self.destination(f, tables, state, rank - 2, f.constant(0, I64))
            next_row = self.destination(f, tables, state, rank - 2, f.constant(1, I64)) - first_row
            lengths = [self.lane_phase(f, args, state, f.constant(n, I64), "length")[0] for n in range(step)]
            columns = functools.reduce(operator.add, lengths)
            whole = columns // (lanes * step) * lanes
            epilogue = Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue)
            result = self.numbers.result
            with f.loop(0, f.args["rows"]) as m:
                epilogue.begin_row(f.args["channel"] + m)
                channel = f.offset(f.args["result"], m * dst_channel + (first_row + first_lane), result)
                with f.loop(0, grid_rows) as r:
                    sums = f.offset(c, m * c_row + r * pitch, self.numbers.computed)
                    row = f.offset(channel, r * next_row, result)

                    def totals(at: Value, sums: Value = sums) -> list[Value]:
                        """The sums of `lanes` grid columns from `at` on, in the order of the destination."""
                        return f.interleave([f.load(self.vector, sums, at + c_phase * n) for n in range(step)])

                    with f.when(dst_lane.equals(1)) as otherwise:
                        with f.loop(0, whole, lanes) as i:
                            for n, total in enumerate(totals(i)):
                                epilogue.store([total], [Place(f.offset(row, i * step + n * lanes, result))])
                        with f.when(whole * step < columns):
                            for n, total in enumerate(totals(whole)):
                                at = whole * step + n * lanes
                                mask = f.lane_numbers(lanes) < f.splat(columns - at, lanes)
                                epilogue.store([total], [Place(f.offset(row, at, result), mask)])
                    if step == 1:
                        with otherwise, f.loop(0, columns, lanes) as i:
                            mask = f.lane_numbers(lanes) < f.splat(columns - i, lanes)
                            apart = (f.lane_numbers(lanes) + f.splat(i, lanes)) * f.splat(dst_lane, lanes)
                            epilogue.store(totals(i), [Place(f.offset(row, apart, result), mask)])

    def lane_phase(self, f: Function, args: Value, state: Value, n: Value, *names: str) -> list[Value]:
        """What phase n of the lane axis is to the box."""
        table = self.section(f, args, state, "at_lane_phases")
        return LANE_PHASE.read(f, f.offset(table, n * len(LANE_PHASE), I64), *names)

    def c_pitch(self, f: Function, state: Value, rank: Value) -> Value:
        """Elements from one grid row's sums to the next: as staged, or whole row tiles."""
        if self.row_tile is None:
            return self.own(f, state, rank - 2, "staged")[0]
        (columns,) = self.own(f, state, rank - 1, "length")
        return (columns + (self.nr - 1)) // self.nr * self.nr

    # ---- the driver

    def emit_run(self) -> None:
        numbers, tile = self.numbers, self.tile
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            count, blocks, phases, groups, group_block, group_blocks = self.args.read(
                f, args, "run_tasks", "blocks", "phases", "groups", "group_block", "group_blocks"
            )
            row_blocks, block_row_groups = self.args.read(f, args, "row_blocks", "block_row_groups")
            phases = phases // self.interleave
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                row_block, rest = task % row_blocks, task // row_blocks
                block, rest = rest % blocks, rest // blocks
                phase, rest = rest % phases, rest // phases
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                f.call("select_phase", args, state, phase * self.interleave)
                f.call("select_block", args, state, block)
                (empty,) = self.state.read(f, state, "empty")
                with f.when(empty.equals(0)):
                    f.call("list_rows", args, state)
                    f.call("list_runs", args, state)
                    f.call("list_lane_phases", args, state, phase * self.interleave)
                    with f.loop(first, f.smaller(first + group_block, groups)) as group:
                        f.call("run_group", args, state, sample, group, row_block * block_row_groups)
        with self.module.function("list_lane_phases", args=PTR, state=PTR, phase=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, offsets_row = self.args.read(f, args, "rank", "offsets_row")
            table = self.section(f, args, state, "at_lane_phases")
            offsets = self.section(f, args, state, "at_offsets")
            # Downwards, so that the state is left as the first phase's.
            with f.loop(0, self.interleave) as i:
                n = (self.interleave - 1) - i
                f.call("select_phase", args, state, f.args["phase"] + n)
                f.call("list_offsets", args, state, f.offset(offsets, n * offsets_row, I64))
                taps, before = self.state.read(f, state, "taps", "taps_before")
                count, start, most, lane_taps = self.own(f, state, rank - 1, "count", "start", "length", "taps")
                length = f.larger(f.smaller(count - start, most), 0)
                row = f.offset(table, n * len(LANE_PHASE), I64)
                for name, value in zip(LANE_PHASE.names, (taps, before, lane_taps, length), strict=True):
                    f.store(value, row, LANE_PHASE.index[name])
        with self.module.function("run_group", args=PTR, state=PTR, sample=I64, group=I64, row_group=I64) as f:
            args, state, sample, group, row_group = (
                f.args[n] for n in ("args", "state", "sample", "group", "row_group")
            )
            names = ("rows", "channels", "row_groups", "all_taps", "tile_chain")
            rows, channels, row_groups, all_taps, chain = self.args.read(f, args, *names)
            (block_row_groups,) = self.args.read(f, args, "block_row_groups")
            first_row = row_group * tile.mr
            own_row_groups = f.smaller(row_groups - row_group, block_row_groups)
            own_rows = f.smaller(rows - first_row, block_row_groups * tile.mr)
            strides = ("src_batch", "src_group", "dst_batch", "dst_group")
            src_batch, src_group, dst_batch, dst_group = self.args.read(f, args, *strides)
            src, dst, panels = (self.args.pointer(f, args, n) for n in ("src", "dst", "panels"))
            rank, c_row, dst_channel = self.args.read(f, args, "rank", "c_row", "dst_channel")
            c_phase, offsets_row = self.args.read(f, args, "c_phase", "offsets_row")
            (runs,) = self.state.read(f, state, "runs")
            sections = ("at_runs", "at_offsets", "at_staged", "at_c")
            run_list, offsets, staged, c = (self.section(f, args, state, n) for n in sections)
            grid_rows, pitch = self.own(f, state, rank - 2, "length", "staged")
            (columns,) = self.own(f, state, rank - 1, "length")
            vectors = ((grid_rows - 1) * pitch + columns + (self.lanes - 1)) // self.lanes
            source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
            f.call("stage", args, state, source, staged)
            panel_rows = all_taps * channels
            with f.loop(0, runs) as r:
                entry = f.offset(run_list, r * len(RUN_LIST), I64)
                at_staged, at_dst = RUN_LIST.read(f, entry, "staged", "dst")
                at_result = sample * dst_batch + group * dst_group + first_row * dst_channel + at_dst
                result = f.offset(dst, at_result, numbers.result)
                pixels = f.offset(staged, at_staged, numbers.computed)
                with f.loop(0, self.interleave) as n:
                    taps, before, lane_taps = self.lane_phase(f, args, state, n, "taps", "taps_before", "lane_taps")
                    total = taps * channels
                    own_panels = f.offset(
                        panels,
                        ((group * row_groups + row_group) * panel_rows + before * channels) * tile.mr,
                        numbers.computed,
                    )
                    own_offsets = f.offset(offsets, n * offsets_row, I64)
                    sums = f.offset(c, n * c_phase, numbers.computed)
                    if self.row_tile:
                        self.sum_row_tiles(
                            f, args, state, self.row_tile, taps, lane_taps, own_panels, own_offsets, pixels, sums
                        )
                    elif self.by_row:
                        tables = self.args.pointer(f, args, "tables")
                        first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
                        at_rows = [self.destination(f, tables, state, rank - 2, f.constant(y, I64)) for y in range(2)]
                        # Rows between which nothing lies, neither here nor there, are a single one.
                        is_one = pitch.equals(columns) & (at_rows[1] - at_rows[0]).equals(columns)
                        rows_left = f.select(is_one, f.constant(1, I64), grid_rows)
                        columns = f.select(is_one, columns * grid_rows, columns)
                        with f.loop(0, rows_left) as y, f.loop(0, own_row_groups) as g:
                            row = self.destination(f, tables, state, rank - 2, y) + first_lane
                            to = f.offset(result, row + g * tile.mr * dst_channel, numbers.result)
                            a = f.offset(own_panels, g * panel_rows * tile.mr, numbers.computed)
                            here = f.offset(pixels, y * pitch, numbers.computed)
                            channel = group * rows + first_row + g * tile.mr
                            left = own_rows - g * tile.mr
                            f.call("finish_row", args, total, a, own_offsets, here, columns, to, channel, left)
                    else:
                        begin = f.variable(I64)
                        begin.set(0)
                        for width in tile.widths:
                            # As many of the wide tiles as there are, then what is left in narrower ones.
                            with f.loop(begin.get(), vectors - (width - 1), width) as v:
                                with f.loop(0, own_row_groups) as g:
                                    here = f.offset(pixels, v * self.lanes, numbers.computed)
                                    a = f.offset(own_panels, g * panel_rows * tile.mr, numbers.computed)
                                    own_c = f.offset(sums, g * tile.mr * c_row + v * self.lanes, numbers.computed)
                                    self.sum_chains(f, width, total, chain, a, own_offsets, here, own_c, c_row)
                                begin.set(v + width)
                if not self.by_row:
                    f.call("store_rows", args, state, result, group * rows + first_row, own_rows)

    def sum_chains(
        self,
        f: Function,
        width: int,
        total: Value,
        chain: Value,
        a: Value,
        offsets: Value,
        pixels: Value,
        c: Value,
        c_row: Value,
    ) -> None:
        """One tile of the whole reduction, chain by chain; an empty one gives zeros."""
        first: Variable = f.variable(I64)
        first.set(1)
        with f.loop(0, f.larger(total, 1), chain) as k:
            length = f.smaller(total - k, chain)
            own_a = f.offset(a, k * self.tile.mr, self.numbers.computed)
            f.call(f"tile_{width}", length, own_a, f.offset(offsets, k, I64), pixels, c, c_row, first.get())
            first.set(0)

    def sum_row_tiles(
        self,
        f: Function,
        args: Value,
        state: Value,
        shape: RowTile,
        taps: Value,
        lane_taps: Value,
        a: Value,
        offsets: Value,
        pixels: Value,
        c: Value,
    ) -> None:
        """All row tiles of a run: for each, the taps of the outer axes, and those of the lane axis chain by chain."""
        rank, chain = self.args.read(f, args, "rank", "tile_chain")
        grid_rows, pitch = self.own(f, state, rank - 2, "length", "staged")
        (columns,) = self.own(f, state, rank - 1, "length")
        c_row = self.c_pitch(f, state, rank)
        most = f.larger(chain // max(shape.taps), 1)
        first: Variable = f.variable(I64)
        with f.loop(0, grid_rows, shape.grid_rows) as r, f.loop(0, columns, self.nr) as v:
            here = f.offset(pixels, r * pitch + v, self.numbers.computed)
            own_c = f.offset(c, r * c_row + v, self.numbers.computed)
            first.set(1)
            with f.loop(0, taps, lane_taps * sum(shape.taps)) as outer, f.loop(0, lane_taps, most) as k:
                own_offsets = f.offset(offsets, outer + k, I64)
                length = f.smaller(lane_taps - k, most)
                for chunk, taps_0 in zip(shape.taps, itertools.accumulate((0, *shape.taps)), strict=False):
                    own_a = f.offset(a, outer + k + lane_taps * taps_0, self.numbers.computed)
                    rows = f.offset(here, pitch * taps_0, self.numbers.computed)
                    name = f"row_tile_{chunk}"
                    f.call(name, length, own_a, lane_taps, own_offsets, rows, pitch, own_c, c_row, first.get())
                    first.set(0)
