"""What depthwise kernels share: planes of the source, by taps of the outer axes, and their padded copies.

A plane is the last two axes of one channel. The rows that a box of the grid reads are copied to scratch, padded on the
lane axis and split by its stride, so that column tap j of a row is a plain offset (the argument `columns` points to
these). Rows and taps meet on a lattice. With stride s and dilation d, grid rows that lie q = d/gcd(s, d) apart read

    source row = low + row*s + d*(o*p + i),    p = s/gcd(s, d),    o = 0, 1, ... below `row`, i the row tap

so that one kernel for each p serves every dilation. Taps of an axis must be evenly spaced.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I64, PTR, Function, Module, Value
from ..numbers import Numbers
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, TAP_ROW

PLANE_ARGS = (
    # set for each call
    "src", "dst", "w", "scratch", "run_counter",
    # element strides
    "src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row",
    # extents: result channels of a group; blocks of groups, of rows and of columns; positions on the outer axes
    "rows", "groups", "run_tasks", "group_block", "group_blocks", "row_block", "row_blocks", "column_block",
    "column_blocks", "positions",
    # row axis: grid rows, and see the module's docstring: s, d, q; where the first tap reads; taps in whole chunks
    "grid_rows", "row_extent", "src_row", "row_step", "row_dilation", "row_apart", "row_low", "dst_row", "row_taps",
    "row_chunks",
    # lane axis
    "grid_columns", "extent", "src_lane", "split", "low", "lane_taps",
    # outer axes (see correlation.AXIS) and their taps; the offset of each column tap in a staged row
    "outer_axes", "outer_taps", "tables", "columns",
    # the staged copy: elements of a row, of a phase of a row, of a plane
    "pitch", "phase_pitch", "plane", "scratch_bytes", "at_staged",
)  # fmt: skip
"""The slots that every depthwise argument block has; what is not staged leaves those of the copy at 0."""

PLACE = Layout(("source", "weight", "result"))
"""A tap and a position on the outer axes: offsets of the plane that is read, of its weights and of its results."""


class Planes:
    """The functions of a bundle that do not depend on the algorithm; its own bundle adds others, and `stage` if it
    needs it."""

    def __init__(self, dtype: str, target: Target, args: Sequence[str]) -> None:
        self.numbers = Numbers.of(dtype)
        self.lanes = target.lanes(self.numbers.computed.itemsize)
        self.vector = self.numbers.computed.of(self.lanes)
        self.args = Layout((*PLANE_ARGS, *args))
        self.module = Module(target)
        self.emit_locate()

    # ---- parts of functions

    def weight(self, f: Function, w: Value, at: Value) -> Value:
        """A weight, widened, in every lane."""
        return f.splat(self.numbers.widen(f, f.load(self.numbers.stored, w, at)), self.lanes)

    def clear(self, f: Function, to: Value, count: Value) -> None:
        """Put zeros, whole vectors of them, at an aligned place in scratch."""
        with f.loop(0, count, self.lanes) as i:
            f.store(f.zero(self.vector), to, i, aligned=True)

    # ---- the outer axes

    def emit_locate(self) -> None:
        """Where a tap of the outer axes reads from a position on them; gives whether that is in the image (1 or 0)."""
        with self.module.function("locate", args=PTR, tap=I64, position=I64, place=PTR) as f:
            args = f.args["args"]
            (axes,) = self.args.read(f, args, "outer_axes")
            tables = self.args.pointer(f, args, "tables")
            rest, grid = f.variable(I64, f.args["tap"]), f.variable(I64, f.args["position"])
            source, weight, result, hits = (f.variable(I64, n) for n in (0, 0, 0, 1))
            with f.loop(0, axes) as i:
                names = ("extent", "src_stride", "src_step", "dst_stride", "dst_step", "w_stride", "taps", "phase_at",
                         "tap_at")  # fmt: skip
                row = f.offset(tables, (axes - 1 - i) * len(AXIS), I64)
                extent, src, step, dst, dst_step, w, taps, phase_at, tap_at = AXIS.read(f, row, *names)
                length = f.load(I64, tables, phase_at + 1)
                at = f.offset(tables, tap_at + (rest.get() % taps) * TAP_ROW, I64)
                coordinate = (grid.get() % length) * step + f.load(I64, at, 1)
                hits.set(hits.get() & f.cast("zext", coordinate.below(extent), I64))
                source.set(source.get() + coordinate * src)
                weight.set(weight.get() + f.load(I64, at, 0) * w)
                result.set(result.get() + (grid.get() % length) * dst_step * dst)
                rest.set(rest.get() // taps)
                grid.set(grid.get() // length)
            for name, cell in (("source", source), ("weight", weight), ("result", result)):
                f.store(cell.get(), f.args["place"], PLACE.index[name])
            f.give(hits.get())

    # ---- staging

    def emit_stage(self) -> None:
        """Copy rows [first, end) of a plane, widened, from column `low` on; outside the image all is zeros.

        Vectors of a row are taken one after the other, each through all rows: its mask is made once. The rows of the
        plane that is staged next, `ahead` elements further, are asked for meanwhile.
        """
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("stage", args=PTR, source=PTR, to=PTR, first=I64, end=I64, low=I64, ahead=I64) as f:
            args, low, first, end = (f.args[n] for n in ("args", "low", "first", "end"))
            names = ("row_extent", "src_row", "src_lane", "extent", "split", "pitch", "phase_pitch")
            row_extent, src_row, src_lane, extent, split, pitch, phase_pitch = self.args.read(f, args, *names)
            begin_row = f.smaller(f.larger(first, 0), end)
            end_row = f.larger(f.smaller(end, row_extent), begin_row)
            count = end_row - begin_row
            source = f.offset(f.args["source"], begin_row * src_row, numbers.stored)
            copy = f.offset(f.args["to"], (begin_row - first) * pitch, numbers.computed)
            for begin, zeros in (
                (f.args["to"], begin_row - first),
                (f.offset(copy, count * pitch, numbers.computed), end - end_row),
            ):
                self.clear(f, begin, zeros * pitch)
            near = src_lane.equals(1)
            from_, to = f.variable(PTR), f.variable(PTR)

            def inside(at: Value) -> Value:
                return (f.lane_numbers(lanes) + f.splat(at, lanes)).below(f.splat(extent, lanes))

            def begin_column(first: Value, i: Value) -> None:
                from_.set(first)
                to.set(f.offset(copy, i, numbers.computed))

            def advance() -> None:
                from_.set(f.offset(from_.get(), src_row, numbers.stored))
                to.set(f.offset(to.get(), pitch, numbers.computed))

            with f.when(near & split.equals(1)) as otherwise, f.loop(0, phase_pitch, lanes) as i:
                begin_column(f.offset(source, low + i, numbers.stored), i)
                mask = inside(low + i)
                with f.loop(0, count):
                    value = f.masked_load(stored, from_.get(), mask)
                    f.prefetch(f.offset(from_.get(), f.args["ahead"], numbers.stored), 1)
                    f.store(numbers.widen(f, value), to.get(), aligned=True)
                    advance()
            with otherwise:
                with f.when(near & split.equals(2)) as gathered, f.loop(0, phase_pitch, lanes) as i:
                    at = low + i * 2
                    begin_column(f.offset(source, at, numbers.stored), i)
                    masks = [inside(at), inside(at + lanes)]
                    with f.loop(0, count):
                        pair = []
                        for half, mask in enumerate(masks):
                            here = f.offset(from_.get(), half * lanes, numbers.stored)
                            pair.append(f.masked_load(stored, here, mask))
                            f.prefetch(f.offset(here, f.args["ahead"], numbers.stored), 1)
                        for odd in range(2):
                            value = f.shuffle(pair[0], pair[1], range(odd, 2 * lanes, 2))
                            f.store(numbers.widen(f, value), to.get(), phase_pitch * odd, aligned=True)
                        advance()
                with gathered, f.loop(0, split) as phase, f.loop(0, phase_pitch, lanes) as i:
                    column = (f.lane_numbers(lanes) + f.splat(i, lanes)) * f.splat(split, lanes)
                    column = column + f.splat(low + phase, lanes)
                    mask, places = column.below(f.splat(extent, lanes)), column * f.splat(src_lane, lanes)
                    begin_column(source, phase * phase_pitch + i)
                    with f.loop(0, count):
                        value = f.gather(stored, f.offset(from_.get(), places, numbers.stored), mask)
                        f.store(numbers.widen(f, value), to.get(), aligned=True)
                        advance()
