"""What the parts of a Winograd kernel share: its slots and tables, the tiles of a block, and planes of other axes.

See winograd.py for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..ir import I64, PTR, Function, Operand, Value
from ..target import Target
from ..winograd import Matrix, emit_product, winograd
from .blocks import Layout
from .correlation import AXIS, TAP_ROW, Correlation
from .gemm import Tile

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
    "in_pitch", "out_pitch", "tile_pitch", "v_point", "v_phase", "v_slot", "m_point", "m_phase",
    "u_point", "u_phase", "w_span",
    "at_box", "at_lanes", "at_places", "at_entries", "at_slots", "at_strip", "at_v", "at_m", "at_flags",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

STATE = (
    "group", "sample", "samples", "phase", "lane_first", "lane_reach",
    "row_start", "row_tiles", "lane_start", "lane_tiles", "tiles",
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
        words = ("strided" * self.strided, f"_{self.tile.mr}x{self.tile.nv}", *(f"_{word}" for word in self.epilogue))
        return f"winograd_{max(self.row[0], self.lane[0])}_{self.dtype}_{axes}" + "".join(words)


def class_row(r: int) -> int:
    """Elements of a row of the table of classes."""
    return len(CLASS) + 2 * r


class Tiles(Correlation):
    """A correlation whose last two axes are cut into tiles."""

    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, AXIS_STATE, packs_weight=False)
        self.spec, self.epilogue = spec, spec.epilogue
        self.row, self.lane = winograd(*spec.row), winograd(*spec.lane)
        self.points = self.row.n * self.lane.n
        self.emit_select_outer()

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

    # ---- a tile

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
        with f.loop(0, n) as column:
            for s, value in enumerate(emit_product(f, left, [load(s, column) for s in range(len(left[0]))])):
                f.store(value, between, (column + s * n) * self.lanes, aligned=True)
        with f.loop(0, rows) as line:
            row = f.offset(between, line * (n * self.lanes), self.numbers.computed)
            values = [f.load(self.vector, row, t * self.lanes, aligned=True) for t in range(n)]
            for t, value in enumerate(emit_product(f, right, values)):
                store(line, t, value)
