"""Depthwise convolution with pixels in lanes: one source channel a group, several grid rows in registers.

A task is a box of one result plane for a few groups. The rows that it reads are copied to scratch (see planes.py). A
tile holds `rows` grid rows by `nv` vectors in registers: for each column tap the weights of a chunk of row taps are
broadcast once, and each vector of a staged row serves every grid row that one of the taps reaches it from. Finished
tiles are stored straight from registers. Further axes are looped over, tap by tap, around the tile.

Rows outside the image are zeros that are multiplied or, where there are many row taps, left out. The order in which a
result's products are added depends on the kernel's extent only.
"""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import dataclass, replace

from ..ir import I32, I64, PTR, Function, Type, Value, Variable
from ..target import Target
from .epilogue import OPERANDS, Epilogue, Place
from .gemm import accumulate
from .planes import PLACE, Planes

ARGS = (
    *OPERANDS,
    # the weight: from one row tap to the next, from one column tap to the next, the first one; most column taps in a
    # chain
    "w_tap_row", "w_tap_lane", "w_first", "chain_taps",
)  # fmt: skip
"""This direction's slots, after PLANE_ARGS."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    rows: int
    """Grid rows of a tile."""
    nv: int
    """Vectors of pixels of a tile."""
    taps: int
    """Row taps of a chunk, whose weights are in registers beside the sums."""
    is_chunked: bool = False
    """Whether there may be more such chunks than one."""
    rest: int = 0
    """Row taps of the last chunk, if it is smaller."""
    row_step: int = 1
    """Lattice rows from one grid row to the next: p."""
    skips: bool = False
    """Whether rows outside the image are left out; else they are zeros that are multiplied."""
    is_long: bool = False
    """Whether chains are added to a second level, chunk by chunk."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        taps = f"{self.taps}_{self.rest}taps" if self.rest else f"{self.taps}taps"
        kind = f"{self.rows}x{self.nv}_{taps}_{self.row_step}step"
        kind += "_chunks" * self.is_chunked + "_skips" * self.skips + "_long" * self.is_long
        return "_".join((f"depthwise_{self.dtype}_{kind}", *self.epilogue))


def emit_depthwise(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Row taps whose products are added together."""

    taps: int
    w: Value
    """The first one's weight at the first column tap."""
    staged: Value
    """The first row that the first one reads."""
    above: Value
    """Which row of the staged copy that is."""
    lattice: Value
    """Elements from one lattice row to the next."""


class _Bundle(Planes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, target, ARGS)
        self.spec = spec
        self.emit_stage()
        for width in sorted({spec.nv, 1}):
            self.emit_strip(width)
        self.emit_sums()
        self.emit_run()

    # ---- the tile

    def emit_strip(self, width: int) -> None:
        """Sum, finish and store all tiles of one residue of a box's grid rows, `width` vectors wide, one below another.

        `staged` and `result` point to the strip's first column; `row` is its first grid row. The staged copy begins
        with source row `low_row` and has `staged_rows`. Of the columns `left` exist.
        """
        spec, numbers, lanes = self.spec, self.numbers, self.lanes
        with self.module.function(
            f"strip_{width}", args=PTR, planes=PTR, staged=PTR, w=PTR, result=PTR, row=I64, end_row=I64, left=I64,
            low_row=I64, staged_rows=I64, planes_count=I64, channel=I64,
        ) as f:  # fmt: skip
            args, end_row = f.args["args"], f.args["end_row"]
            names = ("row_step", "row_dilation", "row_apart", "row_low", "row_chunks", "pitch", "plane", "dst_row")
            step, dilation, apart, row_low, chunks, pitch, plane, dst_row = self.args.read(f, args, *names)
            cells = [[f.variable(self.vector) for _ in range(width)] for _ in range(spec.rows)]
            second = f.stack(numbers.computed, spec.rows * width * lanes) if spec.is_long else None
            lattice, next_row = pitch * dilation, apart * dst_row
            epilogue = Epilogue(f, numbers, lanes, self.args, args, spec.epilogue)
            epilogue.begin_row(f.args["channel"])
            left = f.splat(f.cast("trunc", f.args["left"], I32), lanes)
            masks = [f.vector(I32, range(v * lanes, (v + 1) * lanes)) < left for v in range(width)]
            with f.loop(f.args["row"], end_row, apart * spec.rows) as row:
                for place, cell in enumerate(itertools.chain(*cells)):
                    cell.set(0)
                    if second is not None:
                        f.store(f.zero(self.vector), second, place * lanes, aligned=True)
                above = row * step + row_low - f.args["low_row"]  # the first tap's row of the staged copy
                start = f.offset(f.args["staged"], above * pitch, numbers.computed)
                with f.loop(0, f.args["planes_count"]) as n:
                    (w_offset,) = PLACE.read(f, f.offset(f.args["planes"], n * len(PLACE), I64), "weight")
                    chunk = _Chunk(
                        spec.taps,
                        f.offset(f.args["w"], w_offset, numbers.stored),
                        f.offset(start, n * plane, numbers.computed),
                        above,
                        lattice,
                    )
                    if spec.is_chunked:
                        with f.loop(0, chunks) as number:
                            self.sum_chunk(f, cells, self.chunk_from(f, chunk, number * spec.taps), second)
                        if spec.rest:
                            last = replace(chunk, taps=spec.rest)
                            self.sum_chunk(f, cells, self.chunk_from(f, last, chunks * spec.taps), second)
                    else:
                        self.sum_chunk(f, cells, chunk, second)
                line = f.offset(f.args["result"], row * dst_row, numbers.result)
                for o, sums in enumerate(cells):
                    with f.when(row + apart * o < end_row):
                        for v, cell in enumerate(sums):
                            value = cell.get()
                            if second is not None:
                                value = f.load(self.vector, second, (o * width + v) * lanes, aligned=True)
                            epilogue.store([value], [Place(f.offset(line, v * lanes, numbers.result), masks[v])])
                    line = f.offset(line, next_row, numbers.result)

    def chunk_from(self, f: Function, chunk: _Chunk, first: Value) -> _Chunk:
        """The same chunk, but from another row tap on."""
        dilation, w_tap_row = self.args.read(f, f.args["args"], "row_dilation", "w_tap_row")
        return replace(
            chunk,
            w=f.offset(chunk.w, first * w_tap_row, self.numbers.stored),
            staged=f.offset(chunk.staged, first * chunk.lattice, self.numbers.computed),
            above=chunk.above + first * dilation,
        )

    def sum_chunk(self, f: Function, cells: list[list[Variable]], chunk: _Chunk, second: Value | None) -> None:
        """Add the products of a chunk of row taps with all column taps.

        Rows that the staged copy does not have, because they lie outside the image or only results outside the box
        would need them, are left out.
        """
        spec, numbers, lanes = self.spec, self.numbers, self.lanes
        names = ("lane_taps", "w_tap_row", "w_tap_lane", "chain_taps", "row_dilation")
        lane_taps, w_tap_row, w_tap_lane, chain_taps, dilation = self.args.read(f, f.args["args"], *names)
        columns = self.args.pointer(f, f.args["args"], "columns")
        uses = []
        for r in range((spec.rows - 1) * spec.row_step + chunk.taps):
            taps = [(o, r - o * spec.row_step) for o in range(spec.rows)]
            uses.append([(o, i) for o, i in taps if 0 <= i < chunk.taps])
        exist = [(chunk.above + dilation * r).below(f.args["staged_rows"]) for r in range(len(uses)) if spec.skips]

        def sum_taps(begin: Value | int, end: Value) -> None:
            with f.loop(begin, end) as j:
                line = f.offset(chunk.staged, f.load(I64, columns, j), numbers.computed)
                own = f.offset(chunk.w, w_tap_lane * j, numbers.stored)
                weights = [self.weight(f, own, w_tap_row * i) for i in range(chunk.taps)]
                for r, used in enumerate(uses):
                    with f.when(exist[r]) if used and spec.skips else nullcontext():
                        for v in range(len(cells[0]) if used else 0):
                            value = f.load(self.vector, line, v * lanes)
                            for o, i in used:
                                accumulate([cells[o][v]], [weights[i]], [value])
                    line = f.offset(line, chunk.lattice, numbers.computed)

        if second is None:
            sum_taps(0, lane_taps)
            return
        with f.loop(0, lane_taps, chain_taps) as j:
            sum_taps(j, f.smaller(j + chain_taps, lane_taps))
            for n, cell in enumerate(itertools.chain(*cells)):
                so_far = f.load(self.vector, second, n * lanes, aligned=True)
                f.store(so_far + cell.get(), second, n * lanes, aligned=True)
                cell.set(0)

    # ---- the driver

    def emit_sums(self) -> None:
        """All tiles of a box of one result plane."""
        with self.module.function(
            "sums", args=PTR, planes=PTR, staged=PTR, w=PTR, result=PTR, row=I64, end_row=I64, columns=I64,
            low_row=I64, staged_rows=I64, planes_count=I64, channel=I64,
        ) as f:  # fmt: skip
            args, planes, staged, w, result = (f.args[n] for n in ("args", "planes", "staged", "w", "result"))
            names = ("row", "end_row", "columns", "low_row", "staged_rows", "planes_count", "channel")
            first, end_row, columns, low_row, staged_rows, count, channel = (f.args[n] for n in names)
            (apart,) = self.args.read(f, args, "row_apart")
            whole = self.spec.nv * self.lanes

            def strips(width: int, begin: Value | int, end: Value) -> None:
                with (
                    f.loop(begin, end, width * self.lanes) as column,
                    f.loop(first, f.smaller(first + apart, end_row)) as row,
                ):
                    own = f.offset(staged, column, self.numbers.computed)
                    to = f.offset(result, column, self.numbers.result)
                    rest = (row, end_row, columns - column, low_row, staged_rows, count, channel)
                    f.call(f"strip_{width}", args, planes, own, w, to, *rest)

            if self.spec.nv == 1:
                strips(1, 0, columns)
            else:  # a single vector that is left over is not computed with empty ones beside it
                left = columns % whole
                narrow = f.select((left > 0) & (left <= self.lanes), left, 0)
                strips(self.spec.nv, 0, columns - narrow)
                strips(1, columns - narrow, columns)

    def emit_run(self) -> None:
        numbers = self.numbers
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "at_staged", "run_tasks", "group_block", "group_blocks", "row_block",
                     "row_blocks", "column_block", "column_blocks", "positions", "groups", "rows")  # fmt: skip
            (scratch_bytes, at_staged, count, group_block, group_blocks, row_block, row_blocks, column_block,
             column_blocks, positions, groups, rows) = self.args.read(f, args, *names)  # fmt: skip
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row", "w_first")
            (src_batch, src_group, dst_batch, dst_group, dst_channel, w_group, w_row, w_first) = self.args.read(
                f, args, *strides
            )
            axes = ("grid_rows", "row_extent", "row_step", "row_dilation", "row_low", "row_taps",
                     "grid_columns", "split", "low", "plane", "outer_taps")  # fmt: skip
            (grid_rows, row_extent, row_step, dilation, row_low, row_taps, grid_columns, split,
             low, plane, outer_taps) = self.args.read(f, args, *axes)  # fmt: skip
            src, dst, w = (self.args.pointer(f, args, n) for n in ("src", "dst", "w"))
            planes = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            staged = f.offset(planes, at_staged, Type("i8"))
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                column, rest = (task % column_blocks) * column_block, task // column_blocks
                row, rest = (rest % row_blocks) * row_block, rest // row_blocks
                position, rest = rest % positions, rest // positions
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                end_row, end_column = (
                    f.smaller(row + row_block, grid_rows),
                    f.smaller(column + column_block, grid_columns),
                )
                reach = dilation * (row_taps - 1)
                first_row, last_row = row * row_step + row_low, (end_row - 1) * row_step + row_low + reach
                low_row, high_row = first_row, last_row + 1
                if self.spec.skips:
                    low_row = f.smaller(f.larger(first_row, 0), high_row)
                    high_row = f.larger(f.smaller(high_row, row_extent), low_row)
                hits, at_result = f.variable(I64, 0), f.variable(I64, 0)
                with f.loop(0, outer_taps) as tap:  # the entries of taps that hit the image stay
                    entry = f.offset(planes, hits.get() * len(PLACE), I64)
                    hits.set(hits.get() + f.call_for(I64, "locate", args, tap, position, entry))
                    at_result.set(PLACE.read(f, entry, "result")[0])
                with f.loop(first, f.smaller(first + group_block, groups)) as group:
                    source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
                    with f.loop(0, hits.get()) as n:
                        (at,) = PLACE.read(f, f.offset(planes, n * len(PLACE), I64), "source")
                        f.call("stage", args, f.offset(source, at, numbers.stored),
                               f.offset(staged, n * plane, numbers.computed), low_row, high_row, column * split + low,
                               src_group)  # fmt: skip
                    staged_rows = high_row - low_row
                    with f.loop(0, rows) as m:
                        to = sample * dst_batch + group * dst_group + m * dst_channel + at_result.get()
                        f.call("sums", args, planes, staged,
                               f.offset(w, group * w_group + m * w_row + w_first, numbers.stored),
                               f.offset(dst, to + column, numbers.result), row, end_row,
                               end_column - column, low_row, staged_rows, hits.get(), group * rows + m)  # fmt: skip
