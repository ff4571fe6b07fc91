"""Depthwise convolution with channels in lanes, for arrays whose pixels are neighbours: small images.

A task is a few vectors of channels of one sample. All pixels of a vector's channels are transposed into scratch, a
square of channels and pixels at a time, between columns of zeros; so tiles (see depthwise_lanes.py) find arrays there
whose channels are neighbours and whose columns all exist. Their sums, in scratch as well, are transposed back on their
way to the result. Which rows a result row reads is listed once for all tasks.
"""

from __future__ import annotations

from ..ir import I64, PTR, Function, Type, Value
from ..target import Target
from .depthwise_lanes import ARGS as LANES_ARGS
from .depthwise_lanes import Lanes, Spec
from .epilogue import Epilogue, Place
from .squares import call_transpose_in, emit_transpose_in

ARGS = (*LANES_ARGS, "first_column", "src_pixels", "dst_pixels", "list_bytes", "at_lists", "at_sums")
"""This algorithm's slots, after PLANE_ARGS; strides of rows and columns are those of the copies in scratch."""


def emit_depthwise_transposed(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Lanes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target, ARGS)
        self.sample = self.numbers.computed
        self.finishes_rows = "add" in spec.epilogue
        """Whether sums are finished on their way out, beside the residual, which is not transposed."""
        self.emit_tile(is_inside=True, is_whole=True)
        emit_transpose_in(self)
        for is_whole in (True, False):
            self.emit_transpose_out(is_whole)
        self.emit_list_rows()
        self.emit_sum_rows()
        self.emit_run()

    def emit_store_tile(self, f: Function, sums: list[Value], is_whole: bool, exists: Value) -> None:
        """Put a tile's sums that exist in scratch."""
        args, numbers, lanes = f.args["args"], self.numbers, self.lanes
        (columns,) = self.args.read(f, args, "grid_columns")
        if not self.finishes_rows:
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.spec.epilogue)
            epilogue.begin_lanes(f.args["channel"], exists)
            sums = [epilogue.finish([total])[0] for total in sums]
        for q, total in enumerate(sums):
            with f.when(f.args["column"] + q < columns):
                f.store(total, f.args["result"], q * lanes, aligned=True)

    def emit_transpose_out(self, is_whole: bool) -> None:
        """Store `count` pixels of a vector of channels, as many as there are lanes or fewer, finished."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            f"transpose_out_{int(is_whole)}", args=PTR, sums=PTR, channel=I64, count=I64, result=PTR
        ) as f:
            args, channel = f.args["args"], f.args["channel"]
            groups, distance = self.args.read(f, args, "groups", "dst_group")
            mask = None if is_whole else f.lane_numbers(lanes) < f.splat(f.args["count"], lanes)
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.spec.epilogue)
            result = f.args["result"]
            sums = [f.load(self.vector, f.args["sums"], i * lanes, aligned=True) for i in range(lanes)]
            for i, total in enumerate(f.transpose(sums)):
                with f.when(channel + i < groups):
                    place = Place(result, mask)
                    if self.finishes_rows:
                        epilogue.begin_row(channel + i)
                        epilogue.store([total], [place])
                    else:
                        place.store(f, numbers.narrow(f, total))
                result = f.offset(result, distance, numbers.result)

    def emit_list_rows(self) -> None:
        """For each result row how many rows it reads, where its results go, and the list of those rows."""
        with self.module.function("list_rows", args=PTR, lists=PTR) as f:
            args = f.args["args"]
            positions, rows, dst_row, size = self.args.read(f, args, "positions", "grid_rows", "dst_row", "list_bytes")
            at_result = f.stack(I64, 1)
            with f.loop(0, positions) as position, f.loop(0, rows) as row:
                own = f.offset(f.args["lists"], (position * rows + row) * size, Type("i8"))
                lines = f.offset(own, 2, I64)
                count = f.call_for(I64, "list_lines", args, position, row, lines, at_result)
                f.store(count, own)
                f.store(f.load(I64, at_result) + row * dst_row, own, 1)

    def emit_sum_rows(self) -> None:
        """All result rows of one vector of channels, from the copy of its pixels."""
        with self.module.function("sum_rows", args=PTR, lists=PTR, x=PTR, panels=PTR, sums=PTR, channel=I64) as f:
            args, pixels = f.args["args"], self.spec.pixels
            names = ("positions", "grid_rows", "grid_columns", "list_bytes")
            positions, rows, columns, size = self.args.read(f, args, *names)
            with f.loop(0, positions * rows) as row:
                own = f.offset(f.args["lists"], row * size, Type("i8"))
                row_sums = f.offset(f.args["sums"], f.load(I64, own, 1), self.numbers.computed)
                lines = f.offset(own, 2, I64)
                with f.loop(0, columns, pixels) as column:
                    to = f.offset(row_sums, column * self.lanes, self.numbers.computed)
                    f.call("tile_11", args, lines, f.load(I64, own), f.args["x"], f.args["panels"], to,
                           f.args["channel"], column)  # fmt: skip

    def emit_run(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "run_tasks", "group_block", "group_blocks", "groups", "src_batch", "dst_batch",
                     "src_group", "dst_group", "taps", "plane", "first_column", "src_pixels", "dst_pixels", "at_staged",
                     "at_lists", "at_sums", "extent", "pitch")  # fmt: skip
            (scratch_bytes, count, group_block, group_blocks, groups, src_batch, dst_batch, src_group, dst_group, taps,
             plane, first_column, src_pixels, dst_pixels, at_staged, at_lists, at_sums, extent, pitch) = self.args.read(
                f, args, *names
            )  # fmt: skip
            src, dst, panels = (self.args.pointer(f, args, n) for n in ("src", "dst", "panels"))
            scratch = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            staged, lists, sums = (f.offset(scratch, at, Type("i8")) for at in (at_staged, at_lists, at_sums))
            x = f.offset(staged, first_column * lanes, numbers.computed)
            f.call("list_rows", args, lists)
            self.clear(f, staged, plane)  # nothing else is ever put in the columns of zeros
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                first, sample = (task % group_blocks) * group_block, task // group_blocks
                with f.loop(first, f.smaller(first + group_block, groups), lanes) as channel:
                    source = f.offset(src, sample * src_batch + channel * src_group, numbers.stored)
                    result = f.offset(dst, sample * dst_batch + channel * dst_group, numbers.result)
                    call_transpose_in(self, f, source, src_group, groups - channel, src_pixels, x, extent, pitch)
                    f.call(
                        "sum_rows", args, lists, x, f.offset(panels, channel * taps, numbers.computed), sums, channel
                    )
                    with f.loop(0, dst_pixels, lanes) as p:
                        at, left = f.offset(result, p, numbers.result), dst_pixels - p
                        own = f.offset(sums, p * lanes, numbers.computed)
                        with f.when(left >= lanes) as partly:
                            f.call("transpose_out_1", args, own, channel, left, at)
                        with partly:
                            f.call("transpose_out_0", args, own, channel, left, at)
