"""Weight gradient of depthwise convolutions: dw[t] = sum over pixels p of dy[p] * x[p*stride + offset_t], in lanes.

A task is a few groups; it owns their gradients, so the bits do not depend on how many threads there are. Box by box the
rows of x are copied to scratch, padded (see planes.py), and dy is read where it lies. A pass goes through the whole box
for a chunk of row taps times a few column taps, whose sums stay in registers, lanes being pixels: a tile of several
grid rows of dy is loaded once, and each vector of x serves every row tap that meets it. A box has at most as many
vectors as a chain may have products; the sums of a pass are added to a second level in scratch, whose lanes are added
up at the very end, a square of taps and lanes at a time.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..ir import I32, I64, PTR, Function, Type, Value, Variable
from ..target import Target
from .gemm import accumulate
from .planes import PLACE, Planes

ARGS = ("batch", "taps", "tap_weights", "at_sums")
"""This direction's slots, after PLANE_ARGS."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    rows: int
    """Grid rows of a tile; those that are left over come in tiles of 2 and 1."""
    taps: int
    """Row taps of a pass."""
    columns: int
    """Column taps of a pass."""
    rest: int = 0
    """Row taps of the last passes, if they are fewer."""
    columns_rest: int = 0
    """Column taps of the last passes, if they are fewer."""
    row_step: int = 1
    """Lattice rows from one grid row to the next: p."""

    @property
    def name(self) -> str:
        taps = f"{self.taps}x{self.columns}_{self.rest}x{self.columns_rest}taps"
        return f"depthwise_weight_{self.dtype}_{self.rows}_{taps}_{self.row_step}step"


def emit_depthwise_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Planes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, ARGS)
        self.spec = spec
        self.emit_stage()
        for taps in filter(None, (spec.taps, spec.rest)):
            for columns in filter(None, (spec.columns, spec.columns_rest)):
                self.emit_pass(taps, columns)
        self.emit_sum_box()
        self.emit_store()
        self.emit_run()

    # ---- a pass

    def emit_pass(self, taps: int, columns: int) -> None:
        """sums[i][j] += the products of a box's dy with x, for `taps` row taps i and `columns` column taps j.

        `staged` points to the row that the first row tap reads from the box's first grid row, `offsets` lists where
        the column taps lie in it.
        """
        spec, numbers, lanes = self.spec, self.numbers, self.lanes
        with self.module.function(
            f"pass_{taps}x{columns}", args=PTR, staged=PTR, dy=PTR, offsets=PTR, sums=PTR, rows=I64, length=I64,
            ahead=I64,
        ) as f:  # fmt: skip
            args, rows, length = (f.args[n] for n in ("args", "rows", "length"))
            names = ("row_step", "row_apart", "pitch", "dst_row", "lane_taps")
            step, apart, pitch, dst_row, lane_taps = self.args.read(f, args, *names)
            cells = [[f.variable(self.vector, 0) for _ in range(columns)] for _ in range(taps)]
            row_pitch = pitch * step
            whole = length // lanes * lanes
            tail = f.vector(I32, range(lanes)) < f.splat(f.cast("trunc", length - whole, I32), lanes)
            begin = f.variable(I64)

            def sum_column(c: Value, residue: Value, mask: Value | None) -> None:
                begin.set(residue)
                for height in sorted({spec.rows, min(spec.rows, 2), 1}, reverse=True):
                    with f.loop(begin.get(), rows - apart * (height - 1), apart * height) as row:
                        dy = f.offset(f.args["dy"], row * dst_row + c, numbers.stored)
                        x = f.offset(f.args["staged"], row * row_pitch + c, numbers.computed)
                        self.multiply(f, cells, height, dy, x, mask)
                        begin.set(row + apart * height)

            with f.loop(0, f.smaller(apart, rows)) as residue:
                with f.loop(0, whole, lanes) as c:
                    sum_column(c, residue, None)
                with f.when(whole < length):
                    sum_column(whole, residue, tail)
            for i in range(taps):
                for j in range(columns):
                    at = (lane_taps * i + j) * lanes
                    so_far = f.load(self.vector, f.args["sums"], at, aligned=True)
                    f.store(so_far + cells[i][j].get(), f.args["sums"], at, aligned=True)

    def multiply(
        self, f: Function, cells: list[list[Variable]], height: int, dy: Value, x: Value, mask: Value | None
    ) -> None:
        """The products of one vector of each of `height` grid rows; what the mask does not name of x is not used."""
        numbers, lanes, p = self.numbers, self.lanes, self.spec.row_step
        stored = numbers.stored.of(lanes)
        # Distances are read again each time: LLVM would turn what it knows not to change into a pointer for each load.
        names = ("row_dilation", "row_apart", "pitch", "dst_row")
        dilation, apart, pitch, dst_row = self.args.read(f, f.args["args"], *names)
        lattice, next_row = pitch * dilation, dst_row * apart
        offsets = [f.load(I64, f.args["offsets"], j) for j in range(len(cells[0]))]
        gradients = []
        for _ in range(height):
            f.prefetch(f.offset(dy, f.args["ahead"], numbers.stored), 1)
            value = f.load(stored, dy) if mask is None else f.masked_load(stored, dy, mask)
            gradients.append(numbers.widen(f, value))
            dy = f.offset(dy, next_row, numbers.stored)
        for r in range((height - 1) * p + len(cells)):
            used = [(o, r - o * p) for o in range(height) if 0 <= r - o * p < len(cells)]
            for j, offset in enumerate(offsets if used else ()):
                at = f.offset(x, offset, numbers.computed)
                value = f.load(self.vector, at) if mask is None else f.masked_load(self.vector, at, mask)
                for o, i in used:
                    accumulate([cells[i][j]], [gradients[o]], [value])
            x = f.offset(x, lattice, numbers.computed)

    def emit_sum_box(self) -> None:
        """All passes over a staged box."""
        spec, lanes = self.spec, self.lanes
        with self.module.function(
            "sum_box", args=PTR, staged=PTR, dy=PTR, sums=PTR, rows=I64, length=I64, ahead=I64
        ) as f:
            args, staged, dy, sums = (f.args[n] for n in ("args", "staged", "dy", "sums"))
            names = ("row_taps", "lane_taps", "pitch", "row_dilation")
            row_taps, lane_taps, pitch, dilation = self.args.read(f, args, *names)
            offsets = self.args.pointer(f, args, "columns")
            whole_row, whole_lane = row_taps - spec.rest, lane_taps - spec.columns_rest
            by_row = ((spec.taps, f.constant(0, I64), whole_row), (spec.rest, whole_row, row_taps))
            by_lane = ((spec.columns, f.constant(0, I64), whole_lane), (spec.columns_rest, whole_lane, lane_taps))
            for (taps, row, end_row), (columns, lane, end_lane) in itertools.product(by_row, by_lane):
                if taps and columns:
                    with f.loop(row, end_row, taps) as i, f.loop(lane, end_lane, columns) as j:
                        f.call(
                            f"pass_{taps}x{columns}", args,
                            f.offset(staged, i * pitch * dilation, self.numbers.computed), dy,
                            f.offset(offsets, j, I64),
                            f.offset(sums, (i * lane_taps + j) * lanes, self.numbers.computed),
                            f.args["rows"], f.args["length"], f.args["ahead"],
                        )  # fmt: skip

    # ---- results

    def emit_store(self) -> None:
        """Add the lanes of each tap's sum and store it: a square of taps and lanes is transposed, and its rows added
        in pairs."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("store", args=PTR, sums=PTR, to=PTR) as f:
            (taps,) = self.args.read(f, f.args["args"], "taps")
            weights = self.args.pointer(f, f.args["args"], "tap_weights")
            with f.loop(0, taps, lanes) as t:
                own = f.offset(f.args["sums"], t * lanes, numbers.computed)
                rows = f.transpose([f.load(self.vector, own, i * lanes, aligned=True) for i in range(lanes)])
                while len(rows) > 1:
                    rows = [a + b for a, b in zip(rows[0::2], rows[1::2], strict=True)]
                exists = f.lane_numbers(lanes) < f.splat(taps - t, lanes)
                places = f.masked_load(I64.of(lanes), f.offset(weights, t, I64), exists)
                value = numbers.narrow(f, rows[0])
                f.scatter(value, f.offset(f.args["to"], places, numbers.result), exists)

    # ---- the driver

    def emit_run(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "at_staged", "at_sums", "run_tasks", "batch", "taps", "group_block", "groups",
                     "rows", "outer_taps", "positions", "row_block", "column_block", "grid_rows",
                     "grid_columns")  # fmt: skip
            (scratch_bytes, at_staged, at_sums, count, batch, taps, group_block, groups, rows, outer_taps, positions,
             row_block, column_block, grid_rows, grid_columns) = self.args.read(f, args, *names)  # fmt: skip
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row", "dst_row",
                     "row_step", "row_low", "row_dilation", "row_taps", "split", "low")  # fmt: skip
            (src_batch, src_group, dst_batch, dst_group, dst_channel, w_group, w_row, dst_row, row_step, row_low,
             dilation, row_taps, split, low) = self.args.read(f, args, *strides)  # fmt: skip
            src, dst, w = (self.args.pointer(f, args, n) for n in ("src", "dst", "w"))
            scratch = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            staged, sums = (f.offset(scratch, at, Type("i8")) for at in (at_staged, at_sums))
            place = f.stack(I64, len(PLACE))
            taps_area = (taps + (lanes - 1)) // lanes * lanes * lanes  # the sums of a channel: whole squares
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                first = task * group_block
                end = f.smaller(first + group_block, groups * rows)
                with f.loop(0, outer_taps) as tap:
                    self.clear(f, sums, (end - first) * taps_area)
                    # Channels follow each other in memory, samples do not.
                    with f.loop(0, batch) as sample, f.loop(0, positions) as position:
                        hits = f.call_for(I64, "locate", args, tap, position, place)
                        at_x, at_dy = PLACE.read(f, place, "source", "result")
                        with f.when(hits.equals(1)), f.loop(first, end) as channel:
                            group, m = channel // rows, channel % rows
                            x = f.offset(src, sample * src_batch + group * src_group + at_x, numbers.stored)
                            to_dy = sample * dst_batch + group * dst_group + m * dst_channel + at_dy
                            own = f.offset(sums, (channel - first) * taps_area, numbers.computed)
                            with (
                                f.loop(0, grid_rows, row_block) as row,
                                f.loop(0, grid_columns, column_block) as column,
                            ):
                                end_row = f.smaller(row + row_block, grid_rows)
                                first_row = row * row_step + row_low
                                last_row = (end_row - 1) * row_step + row_low + dilation * (row_taps - 1)
                                f.call("stage", args, x, staged, first_row, last_row + 1, column * split + low,
                                       src_group)  # fmt: skip
                                f.call("sum_box", args, staged,
                                       f.offset(dst, to_dy + row * dst_row + column, numbers.stored), own,
                                       end_row - row, f.smaller(column_block, grid_columns - column),
                                       dst_group)  # fmt: skip
                    f.call_for(I64, "locate", args, tap, f.constant(0, I64), place)
                    (at_w,) = PLACE.read(f, place, "weight")
                    with f.loop(first, end) as channel:
                        group, m = channel // rows, channel % rows
                        f.call("store", args, f.offset(sums, (channel - first) * taps_area, numbers.computed),
                               f.offset(w, group * w_group + m * w_row + at_w, numbers.result))  # fmt: skip
