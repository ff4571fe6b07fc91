"""One source channel a group and a single tap inside the image: results are samples times a weight.

There is no sum: what counts is how fast samples come and results go. A task is a box of the grid for a few groups;
rows of it, which are whole planes where pixels are neighbours, go through registers some vectors at a time, once for
each result channel of the group.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I32, I64, PTR, Value
from ..target import Target
from .epilogue import OPERANDS, Epilogue, Place
from .in_place import LaneRange, LaneReader
from .planes import PLACE, Planes

ARGS = OPERANDS
"""This algorithm's slots, after PLANE_ARGS."""
AT_ONCE = 4
"""Vectors of one step."""
LONG = 16
"""Vectors of a row from which on its results are stored by whole lines of the cache."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on: `near` is how lanes lie in the source (see in_place)."""

    dtype: str
    near: int
    epilogue: tuple[str, ...] = ()
    """What else is done to the products than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        return "_".join((f"scaling_{self.dtype}_{self.near}", *self.epilogue))


def emit_scaling(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Planes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, ARGS)
        self.spec = spec
        self.emit_box()
        self.emit_run()

    def emit_box(self) -> None:
        """Compute rows of results of one channel from their first column on; `w` points to its weight."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "box", args=PTR, source=PTR, w=PTR, result=PTR, rows=I64, columns=I64, channel=I64
        ) as f:
            args, columns = f.args["args"], f.args["columns"]
            names = ("row_step", "src_row", "dst_row", "split", "src_lane")
            row_step, src_row, dst_row, split, src_lane = self.args.read(f, args, *names)
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.spec.epilogue)
            epilogue.begin_row(f.args["channel"])
            weight = self.weight(f, f.args["w"], f.constant(0, I64))
            distance = split * src_lane
            reader = LaneReader(f, numbers, lanes, self.spec.near, distance)
            vector_bytes = lanes * numbers.result.itemsize
            first_lanes = f.vector(I32, range(lanes))
            with f.loop(0, f.args["rows"]) as row:
                source = f.offset(f.args["source"], row * (row_step * src_row), numbers.stored)
                result = f.offset(f.args["result"], row * dst_row, numbers.result)

                def step(column: Value, count: int, lanes_left: Value | None = None) -> None:
                    from_ = f.offset(source, column * distance, numbers.stored)
                    to = f.offset(result, column, numbers.result)
                    within = mask = None
                    if lanes_left is not None:
                        some = f.splat(f.cast("trunc", lanes_left, I32), lanes)
                        within, mask = LaneRange(f.zero(some.type), some), first_lanes < some
                    values = [reader.read(f.offset(from_, reader.step * v, numbers.stored), 0, within)[0] * weight
                              for v in range(count)]  # fmt: skip
                    for v, value in enumerate(values):
                        epilogue.store([value], [Place(f.offset(to, v * lanes, numbers.result), mask)])

                # Long rows begin with some lanes, so that vectors of results are within a line of the cache.
                beyond = f.emit(I64, f"ptrtoint ptr {result.ref} to i64") & (vector_bytes - 1)
                head = ((vector_bytes - beyond) & (vector_bytes - 1)) // numbers.result.itemsize
                head = f.select(columns < LONG * lanes, f.constant(0, I64), head)
                with f.when(head > 0):
                    step(f.constant(0, I64), 1, head)
                rest = columns - head
                whole, end = columns - rest % (AT_ONCE * lanes), columns - rest % lanes
                with f.loop(head, whole, AT_ONCE * lanes) as column:
                    step(column, AT_ONCE)
                with f.loop(whole, end, lanes) as column:
                    step(column, 1)
                with f.when(end < columns):
                    step(end, 1, columns - end)

    def emit_run(self) -> None:
        numbers = self.numbers
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("run_tasks", "group_block", "group_blocks", "row_block", "row_blocks", "column_block",
                     "column_blocks", "positions", "groups", "rows", "grid_rows", "grid_columns")  # fmt: skip
            (count, group_block, group_blocks, row_block, row_blocks, column_block, column_blocks, positions, groups,
             rows, grid_rows, grid_columns) = self.args.read(f, args, *names)  # fmt: skip
            strides = ("src_batch", "src_group", "src_row", "src_lane", "dst_batch", "dst_group", "dst_channel",
                       "dst_row", "w_group", "w_row")  # fmt: skip
            (src_batch, src_group, src_row, src_lane, dst_batch, dst_group, dst_channel, dst_row, w_group,
             w_row) = self.args.read(f, args, *strides)  # fmt: skip
            row_step, row_low, split, low = self.args.read(f, args, "row_step", "row_low", "split", "low")
            src, dst, w = (self.args.pointer(f, args, n) for n in ("src", "dst", "w"))
            place = f.stack(I64, len(PLACE))
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                column, rest = (task % column_blocks) * column_block, task // column_blocks
                row, rest = (rest % row_blocks) * row_block, rest // row_blocks
                position, rest = rest % positions, rest // positions
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                f.call_for(I64, "locate", args, 0, position, place)  # which is always in the image
                from_, to = PLACE.read(f, place, "source", "result")
                from_ = from_ + sample * src_batch + (row * row_step + row_low) * src_row
                from_ = from_ + (column * split + low) * src_lane
                to = to + sample * dst_batch + row * dst_row + column
                box = f.smaller(row_block, grid_rows - row), f.smaller(column_block, grid_columns - column)
                with (
                    f.loop(first, f.smaller(first + group_block, groups)) as group,
                    f.loop(0, rows) as m,
                ):
                    f.call("box", args,
                           f.offset(src, from_ + group * src_group, numbers.stored),
                           f.offset(w, group * w_group + m * w_row, numbers.stored),
                           f.offset(dst, to + group * dst_group + m * dst_channel, numbers.result),
                           *box, group * rows + m)  # fmt: skip
