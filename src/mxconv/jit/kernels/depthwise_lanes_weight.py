"""Weight gradient of depthwise convolutions, channels in lanes: dw[t] = sum over pixels p of dy[p] * x[p*stride + t].

A task owns some vectors of channels. For each row tap the sums of all column taps stay in registers, some pixels'
apart, while a pass goes through a block of pixels whose number bounds the chains of additions; they are then added to a
second level in scratch. Arrays whose channels are neighbours are read where they lie; columns beside the image are
zeros. Images whose pixels are neighbours are transposed first, a sample at a time (see depthwise_transposed.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I64, PTR, Function, Type, Value, Variable
from ..target import Target
from .gemm import accumulate
from .planes import Planes
from .squares import call_transpose_in, emit_transpose_in

ARGS = ("batch", "taps", "tap_weights", "dst_lane", "at_sums", "at_dy", "first_column", "src_pixels", "dst_pixels")
"""This direction's slots, after PLANE_ARGS; strides of rows and columns are those of the copies, if there are any."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    pixels: int
    """Pixels whose products have sums of their own."""
    taps: int
    """Column taps, each a column further."""
    step: int
    """The column stride."""
    is_transposed: bool
    """Whether pixels are neighbours."""

    @property
    def name(self) -> str:
        kind = "transposed" if self.is_transposed else "lanes"
        return f"depthwise_lanes_weight_{kind}_{self.dtype}_{self.pixels}pixels_{self.taps}taps_{self.step}step"


def emit_depthwise_lanes_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Planes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, ARGS)
        self.spec = spec
        self.sample = self.numbers.computed if spec.is_transposed else self.numbers.stored
        """What passes read; they widen it."""
        if spec.is_transposed:
            emit_transpose_in(self)
        self.emit_sum_block()
        self.emit_store()
        self.emit_run()

    def emit_sum_block(self) -> None:
        """Add the products of a block of grid rows and columns to the sums of all taps."""
        spec, lanes = self.spec, self.lanes
        with self.module.function(
            "sum_block", args=PTR, x=PTR, dy=PTR, sums=PTR, row=I64, end_row=I64, column=I64, end_column=I64,
            channel=I64,
        ) as f:  # fmt: skip
            args, column, end_column = f.args["args"], f.args["column"], f.args["end_column"]
            names = ("row_taps", "row_step", "row_dilation", "row_low", "row_extent", "src_row", "dst_row")
            row_taps, step, dilation, low, extent, src_row, dst_row = self.args.read(f, args, *names)
            cells = [[f.variable(self.vector) for _ in range(spec.pixels)] for _ in range(spec.taps)]
            whole = column + (end_column - column) // spec.pixels * spec.pixels
            with f.loop(0, row_taps) as i:
                for own in cells:
                    for cell in own:
                        cell.set(0)
                with f.loop(f.args["row"], f.args["end_row"]) as row:
                    at = row * step + i * dilation + low
                    with f.when(at.below(extent)):
                        x = f.offset(f.args["x"], at * src_row, self.sample)
                        dy = f.offset(f.args["dy"], row * dst_row, self.sample)
                        for begin, end, pixels in ((column, whole, spec.pixels), (whole, end_column, 1)):
                            with f.loop(begin, end, pixels) as c:
                                self.multiply(f, [own[:pixels] for own in cells], x, dy, c)
                for j, own in enumerate(cells):
                    total = own[0].get()
                    for cell in own[1:]:
                        total = total + cell.get()
                    place = (i * spec.taps + j) * lanes
                    so_far = f.load(self.vector, f.args["sums"], place, aligned=True)
                    f.store(so_far + total, f.args["sums"], place, aligned=True)

    def multiply(self, f: Function, cells: list[list[Variable]], x: Value, dy: Value, column: Value) -> None:
        """The products of some pixels of a row, from a column on."""
        spec, lanes = self.spec, self.lanes
        names = ("low", "extent", "src_lane", "dst_lane", "groups")
        low, extent, src_lane, dst_lane, groups = self.args.read(f, f.args["args"], *names)
        pixels, samples = len(cells[0]), self.sample.of(lanes)
        exists = f.lane_numbers(lanes) < f.splat(groups - f.args["channel"], lanes)

        def load(pointer: Value, index: Value) -> Value:
            at = f.offset(pointer, index, self.sample)
            if spec.is_transposed:
                return f.load(samples, at, aligned=True)
            return self.numbers.widen(f, f.masked_load(samples, at, exists))

        gradients = [load(dy, (column + q) * dst_lane) for q in range(pixels)]
        first = column * spec.step + low
        for k in range((pixels - 1) * spec.step + spec.taps):
            hits = [(q, k - q * spec.step) for q in range(pixels) if 0 <= k - q * spec.step < spec.taps]
            if not hits:
                continue
            place = first + k
            if spec.is_transposed:
                value = load(x, place * src_lane)
            else:  # a mask that names no lane reads nothing
                inside = exists & f.splat(place.below(extent), lanes)
                at = f.offset(x, place * src_lane, self.sample)
                value = self.numbers.widen(f, f.masked_load(samples, at, inside))
            for q, j in hits:
                accumulate([cells[j][q]], [gradients[q]], [value])

    def emit_store(self) -> None:
        """Store the gradients of a vector of channels, each tap's from its sum."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("store", args=PTR, sums=PTR, channel=I64) as f:
            args = f.args["args"]
            taps, groups, w_group = self.args.read(f, args, "taps", "groups", "w_group")
            w, weights = (self.args.pointer(f, args, n) for n in ("w", "tap_weights"))
            channel = f.lane_numbers(lanes) + f.splat(f.args["channel"], lanes)
            exists, places = channel < f.splat(groups, lanes), channel * f.splat(w_group, lanes)
            with f.loop(0, taps) as t:
                to = f.offset(w, f.load(I64, weights, t), numbers.result)
                total = f.load(self.vector, f.args["sums"], t * lanes, aligned=True)
                f.scatter(numbers.narrow(f, total), f.offset(to, places, numbers.result), exists)

    def emit_run(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "run_tasks", "groups", "batch", "taps", "plane", "at_staged", "at_sums", "at_dy",
                     "first_column", "src_pixels", "dst_pixels", "src_batch", "src_group", "dst_batch", "dst_group",
                     "grid_rows", "grid_columns", "row_block", "column_block", "extent", "pitch",
                     "group_block")  # fmt: skip
            (scratch_bytes, count, groups, batch, taps, plane, at_staged, at_sums, at_dy, first_column, src_pixels,
             dst_pixels, src_batch, src_group, dst_batch, dst_group, grid_rows, grid_columns, row_block, column_block,
             extent, pitch, group_block) = self.args.read(f, args, *names)  # fmt: skip
            src, dst = (self.args.pointer(f, args, n) for n in ("src", "dst"))
            scratch = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            staged, sums, staged_dy = (f.offset(scratch, at, Type("i8")) for at in (at_staged, at_sums, at_dy))
            if self.spec.is_transposed:
                self.clear(f, staged, plane)  # nothing else is ever put in the columns of zeros
            sums_size = taps * lanes
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                first = task * group_block
                end = f.smaller(first + group_block, groups)
                self.clear(f, sums, (end - first + (lanes - 1)) // lanes * sums_size)

                def sum_blocks(channel: Value, x: Value, dy: Value, row: Value) -> None:
                    own = f.offset(sums, (channel - first) * taps, numbers.computed)
                    end_row = f.smaller(row + row_block, grid_rows)
                    with f.loop(0, grid_columns, column_block) as column:
                        end_column = f.smaller(column + column_block, grid_columns)
                        f.call("sum_block", args, x, dy, own, row, end_row, column, end_column, channel)

                with f.loop(0, batch) as sample:
                    x = f.offset(src, sample * src_batch, numbers.stored)
                    dy = f.offset(dst, sample * dst_batch, numbers.stored)
                    if self.spec.is_transposed:
                        to = f.offset(staged, first_column * lanes, numbers.computed)
                        with f.loop(first, end, lanes) as channel:
                            own_x = f.offset(x, channel * src_group, numbers.stored)
                            own_dy = f.offset(dy, channel * dst_group, numbers.stored)
                            left = groups - channel
                            call_transpose_in(self, f, own_x, src_group, left, src_pixels, to, extent, pitch)
                            call_transpose_in(
                                self, f, own_dy, dst_group, left, dst_pixels, staged_dy, grid_columns,
                                grid_columns * lanes,
                            )  # fmt: skip
                            with f.loop(0, grid_rows, row_block) as row:
                                sum_blocks(channel, to, staged_dy, row)
                    else:
                        with f.loop(0, grid_rows, row_block) as row, f.loop(first, end, lanes) as channel:
                            own_x = f.offset(x, channel, numbers.stored)
                            sum_blocks(channel, own_x, f.offset(dy, channel, numbers.stored), row)
                with f.loop(first, end, lanes) as channel:
                    f.call("store", args, f.offset(sums, (channel - first) * taps, numbers.computed), channel)
