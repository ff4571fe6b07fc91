"""Winograd's F(m, r) on the last two axes of a correlation, summed over all other axes, taps and channels.

    dst tile = A_r^T [ sum over outer taps, channels of (G_r w G_l^T) * (B_r^T d B_l) ] A_l        (see jit/winograd.py)

One task computes the tiles of a block of rows, columns and samples in a range of result channels:

    stage      a plane of the source, a vector of its channels at a time, as strip[row][column][channel lanes]
    forward    each tile of the strip to v[point][channels][tile][channel lanes]
    multiply   for each point a matrix product, result channels in lanes, scalars of v:
               m[point][result channels][tile][lanes] = sum of v * u[point][panel][channel][lanes]
    backward   each tile of m to a strip, whose columns are transposed on their way to neighbouring results

What is staged and where tiles begin is a matter of tables and counts, so the same code serves a dilation (the samples
of a tile lie `delta` apart; its neighbours are other tiles), the phases of a deconvolution (each an ordinary problem;
those of the last axis are computed together and interleave for nothing in the strip), a stride (each residue of the
source's coordinates is a set of channels of its own, with the taps that meet it), and further axes: a plane of the
source, transformed once, is kept in one of several slots for as long as the taps of the following planes need it.

Tiles that see a sample that is not finite, or so large that products might overflow, are computed again by the plain
sum, and so are the result channels of such weights (see pointwise.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..ir import F64, I8, I32, I64, PTR, Function, Operand, Value, Variable
from ..target import Target
from ..winograd import Matrix, emit_product, winograd
from .blocks import Layout
from .correlation import AXIS, TAP_ROW, Correlation
from .epilogue import Epilogue, Place
from .gemm import Tile, accumulate, put_or_add
from .in_place import LaneRange, LaneReader
from .pointwise import BOX, Huge, emit_direct_position, limit_bits, magnitude_bits

ARGS = (
    # on the row axis and on the lane axis: tiles a residue, tiles in a block, blocks a residue, residues, distance of
    # a tile's samples, classes of taps, where the classes' table is
    *(f"{axis}_{name}" for axis in ("row", "lane") for name in (
        "tiles", "block", "blocks", "residues", "delta", "classes", "class_at",
    )),
    "sample_block", "sample_blocks", "samples", "lines", "depth_block", "depth_blocks", "depth_axis",
    "panels_of_rows", "block_panels", "panel_blocks", "chunk_panels", "outer_phases", "lane_phases", "outer_taps",
    "entries", "entry_blocks", "chain_blocks", "ring", "slots", "dst_lane", "columns",
    # distances in elements: from strip row to strip row (twice), tile vectors, points and planes of v and m, u's
    "in_pitch", "out_pitch", "tile_pitch", "v_point", "v_phase", "v_slot", "m_point", "m_phase", "u_point", "u_phase",
    "at_box", "at_lanes", "at_places", "at_entries", "at_slots", "at_strip", "at_v", "at_m", "at_flags",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

STATE = (
    "group", "sample", "samples", "phase", "lane_first", "lane_reach", "row_start", "row_tiles", "lane_start", "lane_tiles", "tiles",
    "tap_source", "tap_weight", "tap_inside", "tap_slot", "filled", "huge", "first_panel", "last_panel",
)  # fmt: skip
AXIS_STATE = ("position",)

LANE_PHASE = Layout(("origin", "first"))
"""A phase of the lane axis: its first result, and its least offset."""
ENTRY = Layout(("v", "u"))
"""A vector of channels of one outer tap: where it stands in a point's part of v and of a panel."""
SLOT = Layout(("source", "huge"))
"""Which plane of the source a slot of v holds, and whether it has huge values."""
CLASS = Layout(("first",))
"""A class of taps: its least offset; then the row goes on with (exists, offset in the weight) for each of r taps."""
EMPTY = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    row: tuple[int, int]
    """(m, r) of the axis before the last; (1, 1) leaves it as it is."""
    lane: tuple[int, int]
    """The same of the last axis."""
    tile: Tile
    """mr tiles by nv vectors of result channels."""
    strided: bool = False
    """Whether a transformed axis has a stride: lanes then have their own places in the source."""
    epilogue: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        axes = "_".join(f"{m}x{r}" for m, r in (self.row, self.lane))
        words = ("strided",) * self.strided + self.epilogue
        return "_".join((f"winograd_{self.dtype}_{axes}_{self.tile.mr}x{self.tile.nv}", *words))


def class_row(r: int) -> int:
    """Elements of a row of the table of classes."""
    return len(CLASS) + 2 * r


def emit_winograd(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Correlation):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, AXIS_STATE, packs_weight=False)
        self.spec, self.epilogue = spec, spec.epilogue
        self.row, self.lane = winograd(*spec.row), winograd(*spec.lane)
        self.points = self.row.n * self.lane.n
        self.adds = "add" in spec.epilogue
        self.emit_select_outer()
        self.emit_transform_weight()
        self.emit_pack()
        emit_direct_position(self, self.epilogue)
        if spec.strided:
            self.emit_list_places()
        self.emit_stage()
        self.emit_tiles_in()
        self.emit_transform_plane()
        self.emit_list_entries()
        self.emit_gemm()
        self.emit_multiply()
        self.emit_tiles_out()
        self.emit_store_row()
        self.emit_finish()
        self.emit_is_huge()
        self.emit_repair()
        self.emit_run_position()
        self.emit_run()

    # ---- small helpers

    def get(self, f: Function, *names: str) -> list[Value]:
        """The named slots of the argument block."""
        return self.args.read(f, f.args["args"], *names)

    def now(self, f: Function, *names: str) -> list[Value]:
        """The named slots of the worker's state."""
        return self.state.read(f, f.args["state"], *names)

    def note(self, f: Function, **values: Value) -> None:
        """Write slots of the worker's state."""
        for name, value in values.items():
            f.store(value, f.args["state"], self.state.index[name])

    def at(self, f: Function, name: str) -> Value:
        """A section of the worker's scratch."""
        return self.section(f, f.args["args"], f.args["state"], name)

    def table(self, f: Function, name: str, a: Value) -> Value:
        """A slot of an axis's row of the tables."""
        (value,) = AXIS.read(f, self.axis_row(f, self.args.pointer(f, f.args["args"], "tables"), a), name)
        return value

    def own(self, f: Function, a: Value, *names: str) -> list[Value]:
        """The named slots of the worker's state of an axis."""
        return self.axis_state.read(f, self.state_row(f, f.args["state"], a), *names)

    def class_of(self, f: Function, axis: str, number: Value) -> Value:
        """The row of a class of taps on the row or the lane axis, in the phase that the state is in.

        An axis numbers its phases by their origins.
        """
        rank, classes, place = self.get(f, "rank", f"{axis}_classes", f"{axis}_class_at")
        (origin,) = self.own(f, rank - (2 if axis == "row" else 1), "origin")
        row = class_row((self.row if axis == "row" else self.lane).r)
        return f.offset(self.args.pointer(f, f.args["args"], "tables"), place + (origin * classes + number) * row, I64)

    @contextmanager
    def each_tile(self, f: Function) -> Iterator[tuple[Value, Value, Value, Value]]:
        """(number, row tile, residue, column tile) of the tiles of one sample of the block, in their order."""
        row_tiles, lane_tiles = self.now(f, "row_tiles", "lane_tiles")
        (residues,) = self.get(f, "lane_residues")
        with f.loop(0, row_tiles) as i, f.loop(0, residues) as residue, f.loop(0, lane_tiles) as j:
            yield (i * residues + residue) * lane_tiles + j, i, residue, j

    # ---- outer taps

    def emit_select_outer(self) -> None:
        """Decode a tap number over the axes but the last two: its place in the weight and, for the current position
        on these axes, its plane of the source and that plane's slot."""
        with self.module.function("select_outer", args=PTR, state=PTR, tap=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, ring, depth = self.get(f, "rank", "ring", "depth_axis")
            rest, combination = f.variable(I64, f.args["tap"]), f.variable(I64, 0)
            source, weight, inside, slot = (f.variable(I64, n) for n in (0, 0, 1, 0))
            scale = f.variable(I64, 1)
            with f.loop(0, rank - 2) as i:
                a = rank - 3 - i
                tap_at, taps, position = self.axis_state.read(
                    f, self.state_row(f, state, a), "tap_at", "taps", "position"
                )
                number = rest.get() % taps
                at = f.offset(tables, tap_at + number * TAP_ROW, I64)
                rest.set(rest.get() // taps)
                tap, offset = f.load(I64, at, 0), f.load(I64, at, 1)
                row = self.axis_row(f, tables, a)
                extent, stride, step, w_stride = AXIS.read(f, row, "extent", "src_stride", "src_step", "w_stride")
                coordinate = position * step + offset
                source.set(source.get() + coordinate * stride)
                weight.set(weight.get() + tap * w_stride)
                inside.set(inside.get() & f.cast("zext", coordinate.below(extent), I64))
                with f.when(a.equals(depth) & (ring > 0)) as otherwise:
                    slot.set(coordinate % f.larger(ring, 1))
                with otherwise:
                    combination.set(combination.get() + number * scale.get())
                    scale.set(scale.get() * taps)
            slots = slot.get() + combination.get() * f.larger(ring, 1)
            self.note(f, tap_source=source.get(), tap_weight=weight.get(), tap_inside=inside.get(), tap_slot=slots)

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
        names = ("group", "phase", "panel", "tap", "block")
        with self.module.function("transform_weight", args=PTR, state=PTR, **dict.fromkeys(names, I64)) as f:
            group, phase, panel, tap, block = (f.args[n] for n in names)
            phases, outer, blocks, rows, channels = self.get(
                f, "phases", "outer_taps", "entry_blocks", "rows", "channels"
            )
            w_group, w_row, w_channel = self.get(f, "w_group", "w_row", "w_channel")
            entries, lane_classes, u_point, u_phase = self.get(f, "entries", "lane_classes", "u_point", "u_phase")
            (tap_weight,) = self.now(f, "tap_weight")
            first = panel * self.nr
            source = f.offset(
                self.args.pointer(f, f.args["args"], "w"), group * w_group + first * w_row + tap_weight, numbers.stored
            )
            place = (group * phases + phase) * u_phase + ((panel * outer + tap) * blocks + block) * (lanes * self.nr)
            own = f.offset(self.args.pointer(f, f.args["args"], "panels"), place, numbers.computed)
            huge = [Huge(f, self.vector) for _ in range(self.tile.nv)]
            with f.loop(0, lanes) as i:
                entry = block * lanes + i
                part = entry // channels
                at = f.offset(source, (entry % channels) * w_channel, numbers.stored)
                classes = (
                    self.class_of(f, "row", part // lane_classes),
                    self.class_of(f, "lane", part % lane_classes),
                )
                to = f.offset(own, i * self.nr, numbers.computed)
                exists = f.select(entry < entries, rows - first, 0)
                for v in range(self.tile.nv):
                    row = f.lane_numbers(lanes) + f.constant(v * lanes, I64.of(lanes))
                    there = f.offset(at, row * f.splat(w_row, lanes), numbers.stored)
                    taps = self.read_taps(f, there, row < f.splat(exists, lanes), *classes)
                    for line in taps:
                        for value in line:
                            huge[v].see(value)
                    self.put_transformed(f, taps, to, v * lanes, u_point)
            bits = f.constant(0, I64)
            for v in range(self.tile.nv):
                bits = bits | (f.cast("zext", huge[v].found(), I64) << v)
            f.give(bits)

    def read_taps(
        self, f: Function, at: Value, exists: Value, row_class: Value, lane_class: Value
    ) -> list[list[Value]]:
        """The weights of r by r taps, result channels in lanes; those that a class has not are 0."""
        numbers, lanes = self.numbers, self.lanes
        out = []
        for s in range(self.row.r):
            line = []
            for t in range(self.lane.r):
                has_s, at_s = (f.load(I64, row_class, len(CLASS) + 2 * s + n) for n in range(2))
                has_t, at_t = (f.load(I64, lane_class, len(CLASS) + 2 * t + n) for n in range(2))
                mask = f.select((has_s & has_t).equals(1), exists, 0)
                there = f.offset(at, f.splat(at_s + at_t, lanes), numbers.stored)
                line.append(numbers.widen(f, f.gather(numbers.stored.of(lanes), there, mask)))
            out.append(line)
        return out

    def put_transformed(self, f: Function, taps: list[list[Value]], to: Value, lane: int, u_point: Value) -> None:
        """G_r w G_l^T in float64, rounded once, each point to its place."""
        computed = self.numbers.computed
        wide = [[f.cast("fpext", x, F64) if computed != F64 else x for x in line] for line in taps]
        columns = [emit_product(f, self.row.kernel, column) for column in zip(*wide, strict=True)]
        for s, line in enumerate(zip(*columns, strict=True)):
            for t, value in enumerate(emit_product(f, self.lane.kernel, line)):
                rounded = f.cast("fptrunc", value, computed) if computed != F64 else value
                there = f.offset(to, u_point * (s * self.lane.n + t), computed)
                f.store(rounded, there, lane, aligned=True)

    # ---- the source, forward: strip[row][column][channel lanes], v[slot][phase][point][channels][tile][lanes]

    def emit_stage(self) -> None:
        """A block's samples of a vector of channels, of one plane of one sample; gives whether there are huge ones.

        `source` is the plane's first sample in the group's first channel, `block` numbers the vectors of channels.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage", args=PTR, state=PTR, source=PTR, block=I64) as f:
            rank, entries, pitch = self.get(f, "rank", "entries", "in_pitch")
            row_start, row_tiles, lane_start, lane_tiles = self.now(
                f, "row_start", "row_tiles", "lane_start", "lane_tiles"
            )
            row_delta, lane_delta, residues = self.get(f, "row_delta", "lane_delta", "lane_residues")
            strip = self.at(f, "at_strip")
            lane_first, lane_reach = self.now(f, "lane_first", "lane_reach")
            span = (lane_tiles * self.lane.m + (self.lane.r - 2)) * lane_delta + residues + lane_reach
            huge = Huge(f, self.vector)
            left = entries - f.args["block"] * lanes
            with f.loop(0, row_tiles * self.row.m + (self.row.r - 1)) as i:
                to = f.offset(strip, i * pitch, numbers.computed)
                row = row_start + i * row_delta
                if self.spec.strided:
                    self.stage_strided(f, to, row, lane_start, span, huge)
                else:
                    (row_first,) = self.own(f, rank - 2, "first_offset")
                    self.stage_row(f, to, row + row_first, lane_start + lane_first, span, left, huge)
            f.give(f.cast("zext", huge.found(), I64))

    def stage_row(
        self, f: Function, to: Value, row: Value, column: Value, span: Value, left: Value, huge: Huge
    ) -> None:
        """One row of the strip: `left` channels of the source's row, from a column on."""
        numbers, lanes = self.numbers, self.lanes
        stored, computed = numbers.stored, numbers.computed
        (rank, channel) = self.get(f, "rank", "src_channel")
        extent, stride = self.table(f, "extent", rank - 1), self.table(f, "src_stride", rank - 1)
        width = f.select(row.below(self.table(f, "extent", rank - 2)), extent, 0)
        place = f.args["block"] * lanes * channel + row * self.table(f, "src_stride", rank - 2)
        source = f.offset(f.args["source"], place, stored)
        numbered = f.lane_numbers(lanes)
        with f.when(stride.equals(1) & (channel.equals(1) ^ 1)) as otherwise, f.loop(0, span, lanes) as i:
            at = column + i
            cells = [f.variable(stored.of(lanes)) for _ in range(lanes)]
            start = f.offset(source, at, stored)
            pointers = [f.offset(start, channel * c, stored) for c in range(lanes)]
            with f.when((at >= 0) & (at + lanes <= width) & (left >= lanes)) as partly:
                for cell, pointer in zip(cells, pointers, strict=True):
                    cell.set(f.load(stored.of(lanes), pointer))
            with partly:
                mask = (numbered + f.splat(at, lanes)).below(f.splat(width, lanes))
                for c, (cell, pointer) in enumerate(zip(cells, pointers, strict=True)):
                    cell.set(f.masked_load(stored.of(lanes), pointer, f.select(left > c, mask, 0)))
            values = [numbers.widen(f, cell.get()) for cell in cells]
            for value in values:
                huge.see(value)
            own = f.offset(to, i * lanes, computed)
            for c, value in enumerate(f.transpose(values)):
                f.store(value, own, c * lanes, aligned=True)
        with otherwise, f.loop(0, span) as i:
            at = column + i
            exists = numbered < f.splat(f.select(at.below(width), left, 0), lanes)
            start = f.offset(source, at * stride, stored)
            cell = f.variable(stored.of(lanes))
            with f.when(channel.equals(1)) as apart:
                cell.set(f.masked_load(stored.of(lanes), start, exists))
            with apart:
                cell.set(
                    f.gather(stored.of(lanes), f.offset(start, numbered * f.splat(channel, lanes), stored), exists)
                )
            value = numbers.widen(f, cell.get())
            huge.see(value)
            f.store(value, to, i * lanes, aligned=True)

    def emit_list_places(self) -> None:
        """Where the lanes of a strided source begin: three rows of numbers, of their channel, row and column."""
        with self.module.function("list_places", args=PTR, state=PTR) as f:
            entries, blocks, channels, channel, lane_classes = self.get(
                f, "entries", "entry_blocks", "channels", "src_channel", "lane_classes"
            )
            places = self.at(f, "at_places")
            padded = blocks * self.lanes
            with f.loop(0, padded) as e:
                part = f.smaller(e, entries - 1) // channels
                row = f.load(I64, self.class_of(f, "row", part // lane_classes), CLASS.index["first"])
                column = f.load(I64, self.class_of(f, "lane", part % lane_classes), CLASS.index["first"])
                f.store((e % channels) * channel, places, e)
                f.store(f.select(e < entries, row, EMPTY), places, e + padded)
                f.store(column, places, e + padded * 2)

    def stage_strided(self, f: Function, to: Value, row: Value, column: Value, span: Value, huge: Huge) -> None:
        """One row of the strip where samples lie a stride apart: row and column count positions of the grid."""
        numbers, lanes = self.numbers, self.lanes
        stored, computed = numbers.stored, numbers.computed
        (rank, blocks) = self.get(f, "rank", "entry_blocks")
        row_step, row_stride, rows = (self.table(f, n, rank - 2) for n in ("src_step", "src_stride", "extent"))
        step, stride, extent = (self.table(f, n, rank - 1) for n in ("src_step", "src_stride", "extent"))
        places = self.at(f, "at_places")
        padded, first = blocks * lanes, f.args["block"] * lanes
        readers = [LaneReader(f, numbers, lanes, near, step * stride) for near in (1, 2)]
        done = f.variable(I64, 0)
        for near, reader in enumerate(readers, 1):
            with f.when((step * stride).equals(near)), f.loop(0, span, lanes) as i:
                done.set(1)
                values = []
                for c in range(lanes):
                    in_channel, at_row, at_column = (f.load(I64, places, first + padded * n + c) for n in range(3))
                    own = row * row_step + at_row
                    start = (column + i) * step + at_column
                    width = f.select(own.below(rows), extent, 0)
                    low = f.smaller(f.larger((step - 1 - start) // step, 0), lanes)
                    high = f.smaller(f.larger((width - start + (step - 1)) // step, low), lanes)
                    within = LaneRange(*(f.splat(f.cast("trunc", n, I32), lanes) for n in (low, high - low)))
                    pointer = f.offset(f.args["source"], in_channel + own * row_stride + start * stride, stored)
                    values += reader.read(pointer, 0, within)
                for value in values:
                    huge.see(value)
                for c, value in enumerate(f.transpose(values)):
                    f.store(value, f.offset(to, i * lanes, computed), c * lanes, aligned=True)
        with f.when(done.get().equals(0)), f.loop(0, span) as i:
            wide = I64.of(lanes)
            in_channel, at_row, at_column = (f.load(wide, places, first + padded * n) for n in range(3))
            own = at_row + f.splat(row * row_step, lanes)
            at = at_column + f.splat((column + i) * step, lanes)
            exists = own.below(f.splat(rows, lanes)) & at.below(f.splat(extent, lanes))
            offsets = in_channel + own * f.splat(row_stride, lanes) + at * f.splat(stride, lanes)
            value = numbers.widen(f, f.gather(stored.of(lanes), f.offset(f.args["source"], offsets, stored), exists))
            huge.see(value)
            f.store(value, to, i * lanes, aligned=True)

    def emit_tiles_in(self) -> None:
        """B_r^T d B_l of every tile of the strip, to a vector of channels of v; `shift` is the first tile's column."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("tiles_in", args=PTR, state=PTR, v=PTR, shift=I64) as f:
            pitch, delta, v_point = self.get(f, "in_pitch", "lane_delta", "v_point")
            strip = self.at(f, "at_strip")
            with self.each_tile(f) as (number, i, residue, j):
                column = j * self.lane.m * delta + residue + f.args["shift"]
                tile = f.offset(strip, i * self.row.m * pitch + column * lanes, numbers.computed)
                to = f.offset(f.args["v"], number * lanes, numbers.computed)
                self.both_ways(
                    f,
                    self.row.data,
                    self.lane.data,
                    lambda s, t: f.load(self.vector, tile, s * pitch + t * (delta * lanes), aligned=True),
                    lambda s, t, x: f.store(x, to, v_point * (s * self.lane.n + t), aligned=True),
                )

    def both_ways(
        self,
        f: Function,
        left: Matrix,
        right: Matrix,
        load: Callable[[Operand, Operand], Value],
        store: Callable[[Operand, Operand, Value], None],
    ) -> None:
        """left X right^T of a tile of vectors: first down each column, then along each row."""
        n, rows = len(right[0]), len(left)
        if n == 1:
            for s, value in enumerate(emit_product(f, left, [load(s, 0) for s in range(len(left[0]))])):
                store(s, 0, value)
            return
        if rows == 1:
            for t, value in enumerate(emit_product(f, right, [load(0, t) for t in range(n)])):
                store(0, t, value)
            return
        between = f.stack(self.numbers.computed, rows * n * self.lanes)
        with f.loop(0, n) as t:
            for s, value in enumerate(emit_product(f, left, [load(s, t) for s in range(len(left[0]))])):
                f.store(value, between, (t + s * n) * self.lanes, aligned=True)
        with f.loop(0, rows) as s:
            row = f.offset(between, s * (n * self.lanes), self.numbers.computed)
            values = [f.load(self.vector, row, t * self.lanes, aligned=True) for t in range(n)]
            for t, value in enumerate(emit_product(f, right, values)):
                store(s, t, value)

    def emit_transform_plane(self) -> None:
        """A plane of the source, for all samples of the block, into a slot of v."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("transform_plane", args=PTR, state=PTR, plane=I64, slot=I64) as f:
            args, state = f.args["args"], f.args["state"]
            blocks, phases, batch, in_group, pitch = self.get(
                f, "entry_blocks", "lane_phases", "src_batch", "src_group", "tile_pitch"
            )
            v_phase, v_slot = self.get(f, "v_phase", "v_slot")
            group, sample, samples, row_tiles, lane_tiles = self.now(
                f, "group", "sample", "samples", "row_tiles", "lane_tiles"
            )
            (residues,) = self.get(f, "lane_residues")
            own_tiles = row_tiles * residues * lane_tiles
            at_lanes, slots = self.at(f, "at_lanes"), self.at(f, "at_slots")
            source = f.offset(
                self.args.pointer(f, args, "src"), f.args["plane"] + sample * batch + group * in_group, numbers.stored
            )
            v = f.offset(self.at(f, "at_v"), f.args["slot"] * v_slot, numbers.computed)
            (lane_first,) = self.now(f, "lane_first")
            huge = f.variable(I64, 0)
            with f.loop(0, blocks) as block, f.loop(0, samples) as n:
                own = f.offset(source, n * batch, numbers.stored)
                huge.set(huge.get() | f.call_for(I64, "stage", args, state, own, block))
                with f.loop(0, phases) as phase:
                    offset = f.load(I64, at_lanes, phase * len(LANE_PHASE) + LANE_PHASE.index["first"])
                    place = phase * v_phase + (block * pitch + n * own_tiles * lanes)
                    f.call("tiles_in", args, state, f.offset(v, place, numbers.computed), offset - lane_first)
            row = f.offset(slots, f.args["slot"] * len(SLOT), I64)
            f.store(f.args["plane"], row, SLOT.index["source"])
            f.store(huge.get(), row, SLOT.index["huge"])

    def emit_list_entries(self) -> None:
        """What the sums of the current position on the outer axes are made of; planes that no slot has are
        transformed. Planes outside of the source take no part."""
        with self.module.function("list_entries", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            rank, blocks, v_slot, pitch = self.get(f, "rank", "entry_blocks", "v_slot", "tile_pitch")
            slots, entries = self.at(f, "at_slots"), self.at(f, "at_entries")
            taps, filled, huge = f.variable(I64, 1), f.variable(I64, 0), f.variable(I64, 0)
            with f.loop(0, rank - 2) as a:
                taps.set(taps.get() * self.own(f, a, "taps")[0])
            with f.loop(0, taps.get()) as tap:
                f.call("select_outer", args, state, tap)
                source, inside, slot = self.now(f, "tap_source", "tap_inside", "tap_slot")
                with f.when(inside.equals(1)):
                    row = f.offset(slots, slot * len(SLOT), I64)
                    with f.when(f.load(I64, row, SLOT.index["source"]).equals(source) ^ 1):
                        f.call("transform_plane", args, state, source, slot)
                    huge.set(huge.get() | f.load(I64, row, SLOT.index["huge"]))
                    with f.loop(0, blocks) as block:
                        entry = f.offset(entries, (filled.get() + block) * len(ENTRY), I64)
                        f.store(slot * v_slot + block * pitch, entry, ENTRY.index["v"])
                        f.store((tap * blocks + block) * (self.lanes * self.nr), entry, ENTRY.index["u"])
                    filled.set(filled.get() + blocks)
            self.note(f, filled=filled.get(), huge=huge.get())

    # ---- one matrix product a point: m[phase][point][vector of result channels][tile][lanes]

    def emit_gemm(self) -> None:
        """m[nv][mr tiles] (+)= sum over the entries' channels of v[tile] * u[channel][nr]: one chain."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function("gemm", entries=PTR, count=I64, v=PTR, u=PTR, m=PTR, m_pitch=I64, first=I64) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            with f.loop(0, f.args["count"]) as n:
                at_v, at_u = ENTRY.read(f, f.offset(f.args["entries"], n * len(ENTRY), I64), *ENTRY.names)
                v = f.offset(f.args["v"], at_v, numbers.computed)
                u = f.offset(f.args["u"], at_u, numbers.computed)
                with f.loop(0, lanes) as c:
                    row, column = f.offset(u, c * self.nr, numbers.computed), f.offset(v, c, numbers.computed)
                    vectors = [f.load(self.vector, row, j * lanes, aligned=True) for j in range(tile.nv)]
                    for i in range(tile.mr):
                        sample = f.splat(f.load(numbers.computed, column, i * lanes), lanes)
                        for j in range(tile.nv):
                            accumulate([cells[i][j]], [sample], [vectors[j]])
            starts = [f.args["m_pitch"] * j for j in range(tile.nv)]
            places = [starts[j] + i * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["m"], places, [cell.get() for row in cells for cell in row])

    def emit_multiply(self) -> None:
        """All points of all lane phases, for a chunk of panels."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function("multiply", args=PTR, state=PTR, panel=I64, count=I64) as f:
            phases, lane_phases, panels, outer, blocks, chain = self.get(
                f, "phases", "lane_phases", "panels_of_rows", "outer_taps", "entry_blocks", "chain_blocks"
            )
            u_point, u_phase, v_point, v_phase, m_point, m_phase, pitch = self.get(
                f, "u_point", "u_phase", "v_point", "v_phase", "m_point", "m_phase", "tile_pitch"
            )
            group, phase, filled, tiles = self.now(f, "group", "phase", "filled", "tiles")
            entries, v, m = (self.at(f, name) for name in ("at_entries", "at_v", "at_m"))
            u = f.offset(
                self.args.pointer(f, f.args["args"], "panels"), (group * phases + phase) * u_phase, numbers.computed
            )
            u_panel = outer * blocks * (lanes * self.nr)
            with f.loop(0, lane_phases) as b, f.loop(0, self.points) as point, f.loop(0, f.args["count"]) as k:
                own_u = f.offset(u, b * u_phase + point * u_point + (f.args["panel"] + k) * u_panel, numbers.computed)
                own_v = f.offset(v, b * v_phase + point * v_point, numbers.computed)
                own_m = f.offset(m, b * m_phase + point * m_point + k * pitch * tile.nv, numbers.computed)
                with f.loop(0, f.larger(filled, 1), chain) as e, f.loop(0, tiles, tile.mr) as i:
                    f.call(
                        "gemm",
                        f.offset(entries, e * len(ENTRY), I64),
                        f.smaller(filled - e, chain),
                        f.offset(own_v, i * lanes, numbers.computed),
                        own_u,
                        f.offset(own_m, i * lanes, numbers.computed),
                        pitch,
                        f.cast("zext", e.equals(0), I64),
                    )

    # ---- results: out[row][column][channel lanes] of a row of tiles

    def emit_tiles_out(self) -> None:
        """A^T_r M A_l of a row of tiles, `first` its first, to the strip of its results; finished unless a residual is
        to be added, which has to know where they go. `channel` is that of lane 0, counted over all groups."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("tiles_out", args=PTR, state=PTR, m=PTR, first=I64, channel=I64, rows=I64) as f:
            (lane_tiles,) = self.now(f, "lane_tiles")
            residues, phases, delta, m_point, m_phase, pitch = self.get(
                f, "lane_residues", "lane_phases", "lane_delta", "m_point", "m_phase", "out_pitch"
            )
            strip, at_lanes = self.at(f, "at_strip"), self.at(f, "at_lanes")
            epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
            if not self.adds:
                epilogue.begin_lanes(f.args["channel"], f.lane_numbers(lanes) < f.splat(f.args["rows"], lanes))
            origin = f.load(I64, at_lanes, LANE_PHASE.index["origin"])
            with f.loop(0, phases) as b, f.loop(0, residues) as residue, f.loop(0, lane_tiles) as j:
                shift = f.load(I64, at_lanes, b * len(LANE_PHASE) + LANE_PHASE.index["origin"]) - origin
                number = f.args["first"] + residue * lane_tiles + j
                tile = f.offset(f.args["m"], b * m_phase + number * lanes, numbers.computed)
                column = (j * self.lane.m * delta + residue) * phases + shift
                to, step = f.offset(strip, column * lanes, numbers.computed), delta * phases * lanes

                def store(s: Operand, t: Operand, x: Value, to: Value = to, step: Value = step) -> None:
                    (value,) = (x,) if self.adds else epilogue.finish([x])
                    f.store(value, to, s * pitch + t * step, aligned=True)

                self.both_ways(
                    f,
                    self.row.output,
                    self.lane.output,
                    lambda s, t, tile=tile: f.load(self.vector, tile, m_point * (t + s * self.lane.n), aligned=True),
                    store,
                )

    def emit_store_row(self) -> None:
        """Store the first `width` columns of a row of the strip, of so many (`rows`) result channels, from `to` on."""
        numbers, lanes = self.numbers, self.lanes
        names = {"strip": PTR, "to": PTR, "channel": I64, "rows": I64, "width": I64}
        with self.module.function("store_row", args=PTR, state=PTR, **names) as f:
            strip, to, channel, rows, width = (f.args[n] for n in names)
            dst_lane, dst_channel = self.get(f, "dst_lane", "dst_channel")
            epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
            numbered = f.lane_numbers(lanes)
            exist = numbered < f.splat(rows, lanes)

            def put(value: Value, place: Place) -> None:
                if self.adds:
                    epilogue.store([value], [place])
                else:
                    place.store(f, numbers.narrow(f, value))

            with f.when(dst_lane.equals(1) & (dst_channel.equals(1) ^ 1)) as otherwise, f.loop(0, width, lanes) as i:
                own = f.offset(strip, i * lanes, numbers.computed)
                vectors = f.transpose([f.load(self.vector, own, c * lanes, aligned=True) for c in range(lanes)])
                start = f.offset(to, i, numbers.result)
                places = [f.offset(start, dst_channel * c, numbers.result) for c in range(lanes)]
                with f.when((width - i >= lanes) & (rows >= lanes)) as partly:
                    for c, (value, place) in enumerate(zip(vectors, places, strict=True)):
                        if self.adds:
                            epilogue.begin_row(channel + c)
                        put(value, Place(place))
                with partly:
                    mask = numbered < f.splat(width - i, lanes)
                    for c, (value, place) in enumerate(zip(vectors, places, strict=True)):
                        with f.when(rows > c):
                            if self.adds:
                                epilogue.begin_row(channel + c)
                            put(value, Place(place, mask))
            with otherwise:
                if self.adds:
                    epilogue.begin_lanes(channel, exist)
                with f.loop(0, width) as i:
                    value = f.load(self.vector, strip, i * lanes, aligned=True)
                    start = f.offset(to, i * dst_lane, numbers.result)
                    with f.when(dst_channel.equals(1)) as apart:
                        put(value, Place(start, exist))
                    with apart:
                        pointers = f.offset(start, numbered * f.splat(dst_channel, lanes), numbers.result)
                        put(value, Place(pointers, exist))

    def emit_finish(self) -> None:
        """All results of a chunk of panels at the current position on the outer axes."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("finish", args=PTR, state=PTR, panel=I64, count=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, rows, pitch, out_pitch, residues = self.get(
                f, "rank", "rows", "tile_pitch", "out_pitch", "lane_residues"
            )
            dst_batch, dst_group, dst_channel, dst_lane = self.get(
                f, "dst_batch", "dst_group", "dst_channel", "dst_lane"
            )
            row_delta, columns, lane_phases = self.get(f, "row_delta", "columns", "lane_phases")
            group, sample, samples, row_start, row_tiles, lane_start, lane_tiles = self.now(
                f, "group", "sample", "samples", "row_start", "row_tiles", "lane_start", "lane_tiles"
            )
            m, strip, at_lanes = self.at(f, "at_m"), self.at(f, "at_strip"), self.at(f, "at_lanes")
            to = f.variable(I64, group * dst_group + sample * dst_batch)
            with f.loop(0, rank - 2) as a:
                position, origin = self.own(f, a, "position", "origin")
                to.set(to.get() + (origin + position * self.table(f, "dst_step", a)) * self.table(f, "dst_stride", a))
            row_step, row_stride = self.table(f, "dst_step", rank - 2), self.table(f, "dst_stride", rank - 2)
            lane_step, lane_stride = self.table(f, "dst_step", rank - 1), self.table(f, "dst_stride", rank - 1)
            row_count, row_origin = self.own(f, rank - 2, "count", "origin")
            lane_origin = f.load(I64, at_lanes, LANE_PHASE.index["origin"])
            start = to.get() + (lane_origin + lane_start * lane_step) * lane_stride
            (lane_count,) = self.own(f, rank - 1, "count")
            limit = f.select(lane_phases > 1, columns, lane_count)
            (delta,) = self.get(f, "lane_delta")
            most = lane_tiles * (self.lane.m) * delta * lane_phases
            width = f.smaller(limit - lane_start * lane_phases, most)
            dst = f.offset(self.args.pointer(f, args, "dst"), start, numbers.result)
            first = f.args["panel"] * self.nr
            with (
                f.loop(0, f.smaller(f.args["count"] * self.nr, rows - first), lanes) as v,
                f.loop(0, samples) as n,
                f.loop(0, row_tiles) as i,
            ):
                own_m = f.offset(m, (v // lanes) * pitch, numbers.computed)
                channel, left = group * rows + first + v, rows - first - v
                number = (n * row_tiles + i) * residues * lane_tiles
                f.call("tiles_out", args, state, own_m, number, channel, left)
                row = row_start + i * self.row.m * row_delta
                with f.loop(0, self.row.m) as s:
                    at = row + s * row_delta
                    with f.when(at < row_count):
                        place = n * dst_batch + (first + v) * dst_channel + (row_origin + at * row_step) * row_stride
                        f.call(
                            "store_row",
                            args,
                            state,
                            f.offset(strip, s * out_pitch, numbers.computed),
                            f.offset(dst, place, numbers.result),
                            channel,
                            left,
                            width,
                        )

    # ---- what a transform would have spoilt

    def emit_is_huge(self) -> None:
        """Whether a tile of a sample, its first position at (row, column) of the grid, sees a huge value."""
        numbers = self.numbers
        limit = limit_bits(numbers.computed)
        with self.module.function("is_huge", args=PTR, state=PTR, sample=I64, row=I64, column=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, channels, batch, in_group, channel = self.get(
                f, "rank", "channels", "src_batch", "src_group", "src_channel"
            )
            row_classes, lane_classes, row_delta, lane_delta = self.get(
                f, "row_classes", "lane_classes", "row_delta", "lane_delta"
            )
            (group,) = self.now(f, "group")
            src = f.offset(
                self.args.pointer(f, args, "src"), f.args["sample"] * batch + group * in_group, numbers.stored
            )
            row_step, row_stride, rows = (self.table(f, n, rank - 2) for n in ("src_step", "src_stride", "extent"))
            lane_step, lane_stride, lanes = (self.table(f, n, rank - 1) for n in ("src_step", "src_stride", "extent"))
            taps, found = f.variable(I64, 1), f.variable(I64, 0)
            with f.loop(0, rank - 2) as a:
                taps.set(taps.get() * self.own(f, a, "taps")[0])
            with f.loop(0, taps.get()) as tap:
                f.call("select_outer", args, state, tap)
                plane, inside = self.now(f, "tap_source", "tap_inside")
                with (
                    f.when(inside.equals(1)),
                    f.loop(0, row_classes) as p,
                    f.loop(0, lane_classes) as q,
                    f.loop(0, self.row.n) as i,
                    f.loop(0, self.lane.n) as j,
                ):
                    first = (f.load(I64, self.class_of(f, *which), 0) for which in (("row", p), ("lane", q)))
                    row = (f.args["row"] + i * row_delta) * row_step + next(first)
                    column = (f.args["column"] + j * lane_delta) * lane_step + next(first)
                    with f.when(row.below(rows) & column.below(lanes)), f.loop(0, channels) as c:
                        place = plane + c * channel + row * row_stride + column * lane_stride
                        value = numbers.widen(f, f.load(numbers.stored, src, place))
                        beyond = magnitude_bits(f, value) > limit
                        found.set(found.get() | f.cast("zext", beyond, I64))
            f.give(found.get())

    def emit_repair(self) -> None:
        """Compute again what huge samples (`huge`) or huge weights spoil, at the current position on the outer axes."""
        lanes, nv = self.lanes, self.tile.nv
        with self.module.function("repair", args=PTR, state=PTR, huge=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, phases, panels, outer, blocks, rows, lane_phases = self.get(
                f, "rank", "phases", "panels_of_rows", "outer_taps", "entry_blocks", "rows", "lane_phases"
            )
            row_delta, lane_delta, at_flags = self.get(f, "row_delta", "lane_delta", "at_flags")
            group, phase, sample, samples, row_start, lane_start, first_panel, last_panel = self.now(
                f, "group", "phase", "sample", "samples", "row_start", "lane_start", "first_panel", "last_panel"
            )
            box = self.at(f, "at_box")
            flags = f.offset(self.args.pointer(f, args, "panels"), at_flags, I8)
            spoilt, vectors = f.variable(I64), f.variable(I64)
            with f.loop(0, lane_phases) as b:
                f.call("select_phase", args, state, phase + b)
                row_count, lane_count = (self.own(f, rank - n, "count")[0] for n in (2, 1))
                with f.loop(0, samples) as n, self.each_tile(f) as (_, i, residue, j):
                    row = row_start + i * self.row.m * row_delta
                    column = lane_start + j * self.lane.m * lane_delta + residue
                    spoilt.set(0)
                    with f.when(f.args["huge"].equals(1)):
                        spoilt.set(f.call_for(I64, "is_huge", args, state, sample + n, row, column))
                    with f.loop(first_panel, last_panel) as panel:
                        vectors.set(0)
                        own = f.offset(flags, ((group * phases + phase + b) * panels + panel) * outer * blocks, I64)
                        with f.loop(0, outer * blocks) as e:
                            vectors.set(vectors.get() | f.load(I64, own, e))
                        for v in range(nv):
                            first = panel * self.nr + v * lanes
                            bad = spoilt.get() | ((vectors.get() >> v) & 1)
                            with (
                                f.when(bad.equals(1) & (first < rows)),
                                f.loop(0, self.row.m) as s,
                                f.loop(0, self.lane.m) as t,
                            ):
                                at_row, at_lane = row + s * row_delta, column + t * lane_delta
                                with f.when((at_row < row_count) & (at_lane < lane_count)):
                                    for a, at in ((rank - 2, at_row), (rank - 1, at_lane)):
                                        f.store(at, f.offset(box, a * len(BOX), I64), BOX.index["at"])
                                    width = f.smaller(rows - first, lanes)
                                    f.call("direct_position", args, state, box, sample + n, group, first, width)
            f.call("select_phase", args, state, phase)

    # ---- the driver

    def emit_run_position(self) -> None:
        """All results of the block at the current position on the outer axes."""
        with self.module.function("run_position", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            f.call("list_entries", args, state)
            (chunk,) = self.get(f, "chunk_panels")
            first, last, huge, group, phase = self.now(f, "first_panel", "last_panel", "huge", "group", "phase")
            with f.loop(first, last, chunk) as panel:
                count = f.smaller(chunk, last - panel)
                f.call("multiply", args, state, panel, count)
                f.call("finish", args, state, panel, count)
            phases, panels, outer, blocks, lane_phases, at_flags = self.get(
                f, "phases", "panels_of_rows", "outer_taps", "entry_blocks", "lane_phases", "at_flags"
            )
            flags = f.offset(self.args.pointer(f, args, "panels"), at_flags, I8)
            spoilt = f.variable(I64, huge)
            with f.loop(0, lane_phases) as b:
                own = f.offset(flags, (group * phases + phase + b) * panels * outer * blocks, I64)
                with f.loop(first * outer * blocks, last * outer * blocks) as e:
                    spoilt.set(spoilt.get() | f.load(I64, own, e))
            with f.when(spoilt.get().equals(0) ^ 1):
                f.call("repair", args, state, huge)

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            (count,) = self.get(f, "run_tasks")
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                f.call("run_task", args, state, task)
        with self.module.function("run_task", args=PTR, state=PTR, task=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rest = f.variable(I64, f.args["task"])

            def digit(name: str) -> Value:
                (count,) = self.get(f, name)
                number = rest.get() % count
                rest.set(rest.get() // count)
                return number

            # The fastest first: threads that share a block of tiles share what it reads.
            panel_block, lane_block, row_block, residue = (
                digit(n) for n in ("panel_blocks", "lane_blocks", "row_blocks", "row_residues")
            )
            depth_block, line, sample_block = (digit(n) for n in ("depth_blocks", "lines", "sample_blocks"))
            outer_phase, group = digit("outer_phases"), rest.get()
            rank, panels, block_panels, samples, sample_block_size, lane_phases = self.get(
                f, "rank", "panels_of_rows", "block_panels", "samples", "sample_block", "lane_phases"
            )
            row_tiles, row_size, row_delta, lane_tiles, lane_size, lane_delta = self.get(
                f, "row_tiles", "row_block", "row_delta", "lane_tiles", "lane_block", "lane_delta"
            )
            phase = outer_phase * lane_phases
            at_lanes, slots = self.at(f, "at_lanes"), self.at(f, "at_slots")
            least, most = f.variable(I64, -EMPTY), f.variable(I64, EMPTY)
            with f.loop(0, lane_phases) as i:
                b = lane_phases - 1 - i  # the state ends up with the first of them
                f.call("select_phase", args, state, phase + b)
                origin, first = self.own(f, rank - 1, "origin", "first_offset")
                row = f.offset(at_lanes, b * len(LANE_PHASE), I64)
                f.store(origin, row, LANE_PHASE.index["origin"])
                f.store(first, row, LANE_PHASE.index["first"])
                least.set(f.smaller(least.get(), first))
                most.set(f.larger(most.get(), first))
            with f.loop(0, self.get(f, "slots")[0]) as i:
                f.store(f.constant(EMPTY, I64), slots, i * len(SLOT) + SLOT.index["source"])
            own_rows = f.smaller(row_size, row_tiles - row_block * row_size)
            own_lanes = f.smaller(lane_size, lane_tiles - lane_block * lane_size)
            own_samples = f.smaller(sample_block_size, samples - sample_block * sample_block_size)
            row_start = residue + row_block * row_size * self.row.m * row_delta
            lane_start = lane_block * lane_size * self.lane.m * lane_delta
            (residues,) = self.get(f, "lane_residues")
            self.note(
                f,
                group=group,
                phase=phase,
                lane_first=least.get(),
                lane_reach=most.get() - least.get(),
                sample=sample_block * sample_block_size,
                samples=own_samples,
                row_start=row_start,
                row_tiles=own_rows,
                lane_start=lane_start,
                lane_tiles=own_lanes,
                tiles=own_samples * own_rows * residues * own_lanes,
                first_panel=panel_block * block_panels,
                last_panel=f.smaller((panel_block + 1) * block_panels, panels),
            )
            if self.spec.strided:
                f.call("list_places", args, state)
            (row_count,) = self.own(f, rank - 2, "count")
            (lane_count,) = self.own(f, rank - 1, "count")  # of the first phase, which has the most
            inside = f.variable(I64, f.cast("zext", (row_start < row_count) & (lane_start < lane_count), I64))
            depth, depth_size = self.get(f, "depth_axis", "depth_block")
            rest.set(line)
            with f.loop(0, rank - 2) as i:
                a = rank - 3 - i
                with f.when(a.equals(depth) ^ 1):
                    (positions,) = AXIS.read(f, self.axis_row(f, self.args.pointer(f, args, "tables"), a), "blocks")
                    position = rest.get() % positions
                    rest.set(rest.get() // positions)
                    self.put_position(f, a, position, inside)
            with f.when(inside.get().equals(1)):
                with f.when(rank.equals(2)) as deep:
                    f.call("run_position", args, state)
                with deep:
                    (depth_count,) = self.own(f, depth, "count")
                    start = depth_block * depth_size
                    with f.loop(start, f.smaller(start + depth_size, depth_count)) as position:
                        self.put_position(f, depth, position, inside)
                        f.call("run_position", args, state)

    def put_position(self, f: Function, a: Value, position: Value, inside: Variable) -> None:
        """Set the current position on an outer axis; `inside` stays 1 while positions are the phase's."""
        f.store(position, self.state_row(f, f.args["state"], a), self.axis_state.index["position"])
        f.store(position, f.offset(self.at(f, "at_box"), a * len(BOX), I64), BOX.index["at"])
        inside.set(inside.get() & f.cast("zext", position < self.own(f, a, "count")[0], I64))
