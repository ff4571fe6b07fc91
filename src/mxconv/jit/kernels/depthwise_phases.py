"""Data gradients of strided depthwise convolutions: all phases of a box from one staged copy of its source.

A phase's result rows lie a stride apart, and so do its columns. Row phases are taken one after the other; a tile holds
some grid rows of one of them and all column phases, one vector each, which are interleaved on their way to a result
row: so whole vectors of neighbours are stored. See planes.py for the copy; the stride of this correlation is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I32, I64, PTR, Type
from ..target import Target
from .blocks import Layout
from .epilogue import OPERANDS, Epilogue, Place
from .gemm import accumulate
from .planes import Planes

ARGS = (*OPERANDS, "row_phases", "row_phase_table", "lane_phase_table", "highest", "results", "w_tap_row")
"""This algorithm's slots, after PLANE_ARGS: besides tables, where the last tap of any row phase reads, and how many
columns the result has."""

ROW_PHASE = Layout(("low", "weight", "taps", "rows", "result"))
"""A row phase: what its first row tap reads, the offset of its weights, its row taps and grid rows, where it begins."""
LANE_PHASE = Layout(("begin", "end"))
"""A column phase: its column taps in the list that follows all phases."""
LANE_TAP = Layout(("staged", "weight"))
"""A column tap: where it lies in a staged row, and the offset of its weight."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    rows: int
    """Grid rows of a tile."""
    phases: int
    """Column phases, a power of 2."""
    taps: tuple[int, ...]
    """How many row taps a row phase may have."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        taps = "_".join(map(str, self.taps))
        return "_".join((f"depthwise_phases_{self.dtype}_{self.rows}x{self.phases}_{taps}taps", *self.epilogue))


def emit_depthwise_phases(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Planes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, ARGS)
        self.spec = spec
        self.emit_stage()
        for taps in spec.taps:
            self.emit_strip(taps)
        self.emit_run()

    def emit_strip(self, taps: int) -> None:
        """Sum, finish and store the tiles of grid rows [row, end_row) of a row phase with so many row taps, one below
        another.

        `staged` points to the row that the first row tap reads from `row`, at the strip's first column, and `result`
        to where that grid row's results begin; of the result's columns `left` exist.
        """
        spec, numbers, lanes = self.spec, self.numbers, self.lanes
        with self.module.function(
            f"strip_{taps}", args=PTR, staged=PTR, w=PTR, result=PTR, row=I64, end_row=I64, left=I64, channel=I64
        ) as f:
            args, end_row = f.args["args"], f.args["end_row"]
            pitch, dst_row, w_tap_row = self.args.read(f, args, "pitch", "dst_row", "w_tap_row")
            table = self.args.pointer(f, args, "lane_phase_table")
            lane_taps = f.offset(table, spec.phases * len(LANE_PHASE), I64)
            epilogue = Epilogue(f, numbers, lanes, self.args, args, spec.epilogue)
            epilogue.begin_row(f.args["channel"])
            left = f.args["left"]
            count = f.splat(f.cast("trunc", left, I32), lanes)
            masks = [f.vector(I32, range(v * lanes, (v + 1) * lanes)) < count for v in range(spec.phases)]
            cells = [[f.variable(self.vector) for _ in range(spec.phases)] for _ in range(spec.rows)]
            with f.loop(f.args["row"], end_row, spec.rows) as row:
                begin = f.offset(f.args["staged"], (row - f.args["row"]) * pitch, numbers.computed)
                for v in range(spec.phases):
                    for sums in cells:
                        sums[v].set(0)
                    first, end = LANE_PHASE.read(f, f.offset(table, v * len(LANE_PHASE), I64), *LANE_PHASE.names)
                    with f.loop(first, end if taps else first) as j:
                        at, own = LANE_TAP.read(f, f.offset(lane_taps, j * len(LANE_TAP), I64), *LANE_TAP.names)
                        line, w = f.offset(begin, at, numbers.computed), f.offset(f.args["w"], own, numbers.stored)
                        weights = [self.weight(f, w, w_tap_row * i) for i in range(taps)]
                        for r in range(spec.rows + taps - 1):
                            value = f.load(self.vector, line)
                            for o in range(max(0, r - taps + 1), min(spec.rows, r + 1)):
                                accumulate([cells[o][v]], [weights[r - o]], [value])
                            line = f.offset(line, pitch, numbers.computed)
                line = f.offset(f.args["result"], (row - f.args["row"]) * dst_row, numbers.result)
                for o, sums in enumerate(cells):
                    with f.when(row + o < end_row):
                        for v, value in enumerate(f.interleave([cell.get() for cell in sums])):
                            with f.when(left > v * lanes):
                                place = Place(f.offset(line, v * lanes, numbers.result), masks[v])
                                epilogue.store([value], [place])
                    line = f.offset(line, dst_row, numbers.result)

    def emit_run(self) -> None:
        numbers, spec = self.numbers, self.spec
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "run_tasks", "group_block", "group_blocks", "row_block", "row_blocks",
                     "column_block", "column_blocks", "groups", "rows", "pitch")  # fmt: skip
            (scratch_bytes, count, group_block, group_blocks, row_block, row_blocks, column_block, column_blocks,
             groups, rows, pitch) = self.args.read(f, args, *names)  # fmt: skip
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "dst_row", "w_group", "w_row")
            (src_batch, src_group, dst_batch, dst_group, dst_channel, dst_row, w_group, w_row) = self.args.read(
                f, args, *strides
            )
            axes = ("grid_rows", "row_low", "highest", "grid_columns", "low", "row_phases", "results")
            grid_rows, lowest, highest, grid_columns, low, phases, results = self.args.read(f, args, *axes)
            src, dst, w, table = (self.args.pointer(f, args, n) for n in ("src", "dst", "w", "row_phase_table"))
            staged = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                column, rest = (task % column_blocks) * column_block, task // column_blocks
                row, rest = (rest % row_blocks) * row_block, rest // row_blocks
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                end_row = f.smaller(row + row_block, grid_rows)
                end_column = f.smaller(column + column_block, grid_columns)
                end_result = f.smaller(end_column * spec.phases, results)
                low_row = row + lowest
                with f.loop(first, f.smaller(first + group_block, groups)) as group:
                    source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
                    f.call("stage", args, source, staged, low_row, end_row + highest, column + low, src_group)
                    with f.loop(0, rows) as m, f.loop(0, phases) as number:
                        phase = f.offset(table, number * len(ROW_PHASE), I64)
                        own_low, weight, taps, own_rows, at = ROW_PHASE.read(f, phase, *ROW_PHASE.names)
                        to = sample * dst_batch + group * dst_group + m * dst_channel + at + row * dst_row
                        own_w = f.offset(w, group * w_group + m * w_row + weight, numbers.stored)
                        begin = f.offset(staged, (own_low - lowest) * pitch, numbers.computed)
                        own_end = f.smaller(end_row, own_rows)
                        for number_of_taps in spec.taps:
                            with f.when(taps.equals(number_of_taps)), f.loop(column, end_column, self.lanes) as c:
                                f.call(
                                    f"strip_{number_of_taps}", args, f.offset(begin, c - column, numbers.computed),
                                    own_w, f.offset(dst, to + c * spec.phases, numbers.result), row, own_end,
                                    end_result - c * spec.phases, group * rows + m,
                                )  # fmt: skip
