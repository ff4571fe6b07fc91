"""Depthwise convolution with channels in lanes, for arrays whose channels are neighbours: nothing is copied.

A tile is a few pixels of a result row times one vector of channels. For each tap its weights are one vector, and each
pixel's samples another, read where they lie. Rows outside the image are left out; where columns may lie outside, a
pixel that does reads zeros instead.

Where pixels are neighbours instead, depthwise_transposed.py does the same with copies of a few channels.

Packed weight:   panels[vector of channels][tap][lanes]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import I1, I64, PTR, Function, Type, Value
from ..target import Target
from .blocks import Layout
from .epilogue import OPERANDS, Epilogue, Place
from .gemm import accumulate
from .planes import PLACE, Planes

ARGS = (*OPERANDS, "panels", "pack_counter", "pack_tasks", "dst_lane", "dilation", "taps", "tap_weights")
"""This algorithm's slots, after PLANE_ARGS."""

FEW_PIXELS, FEW_TAPS = 10, 3
"""Tiles of so many pixels have sums enough to keep the multipliers busy, and so few taps have soon been added."""

LINE = Layout(("source", "tap"))
"""A row that a result row reads: its offset, and the number of its first tap."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    pixels: int
    """Pixels of a tile."""
    taps: int = 0
    """Column taps, each a column further, whose weights stay in registers: then a sample is read once for all pixels
    of the tile. 0: any taps, one by one."""
    step: int = 1
    """The column stride that goes with `taps`."""
    is_transposed: bool = False
    """Whether pixels are neighbours and transposed on their way (depthwise_transposed.py)."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        taps = f"_{self.taps}taps_{self.step}step" if self.taps else ""
        kind = "transposed" if self.is_transposed else "lanes"
        return "_".join((f"depthwise_{kind}_{self.dtype}_{self.pixels}pixels{taps}", *self.epilogue))


def emit_depthwise_lanes(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class Lanes(Planes):
    """What both bundles share: the packed weight, the rows that a result row reads, and tiles."""

    def __init__(self, spec: Spec, target: Target, args: Sequence[str]) -> None:
        super().__init__(spec.dtype, target, args)
        self.spec = spec
        self.sample = self.numbers.stored
        """What tiles read; they widen it."""
        self.emit_pack_weight()
        self.emit_list_lines()

    def emit_pack_weight(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("pack_weight", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            count, groups, taps, w_group = self.args.read(f, args, "pack_tasks", "groups", "taps", "w_group")
            w, panels, weights = (self.args.pointer(f, args, n) for n in ("w", "panels", "tap_weights"))
            with f.tasks(self.args.address(f, args, "pack_counter"), count) as task:
                channel = f.lane_numbers(lanes) + f.splat(task * lanes, lanes)
                exists, places = channel < f.splat(groups, lanes), channel * f.splat(w_group, lanes)
                with f.loop(0, taps) as t:
                    own = f.offset(w, f.load(I64, weights, t), numbers.stored)
                    value = f.gather(numbers.stored.of(lanes), f.offset(own, places, numbers.stored), exists)
                    f.store(numbers.widen(f, value), panels, (task * taps + t) * lanes, aligned=True)

    def emit_list_lines(self) -> None:
        """List the rows that a result row reads, of all taps of the outer axes, and where the results of its position
        begin; gives how many there are."""
        with self.module.function("list_lines", args=PTR, position=I64, row=I64, lines=PTR, result=PTR) as f:
            args = f.args["args"]
            names = (
                "outer_taps",
                "row_taps",
                "row_step",
                "row_low",
                "row_dilation",
                "row_extent",
                "src_row",
                "lane_taps",
            )
            outer_taps, row_taps, step, low, dilation, extent, src_row, lane_taps = self.args.read(f, args, *names)
            place, count = f.stack(I64, len(PLACE)), f.variable(I64, 0)
            with f.loop(0, outer_taps) as tap:
                hits = f.call_for(I64, "locate", args, tap, f.args["position"], place)
                source, result = PLACE.read(f, place, "source", "result")
                f.store(result, f.args["result"])
                with f.loop(0, row_taps * hits) as i:
                    row = f.args["row"] * step + low + i * dilation
                    with f.when(row.below(extent)):
                        line = f.offset(f.args["lines"], count.get() * len(LINE), I64)
                        f.store(source + row * src_row, line, LINE.index["source"])
                        f.store((tap * row_taps + i) * lane_taps, line, LINE.index["tap"])
                        count.set(count.get() + 1)
            f.give(count.get())

    def emit_tile(self, is_inside: bool, is_whole: bool) -> None:
        """Sum, finish and store some pixels of a row, of one vector of channels from `channel` on.

        Every column that they read `is_inside` the image, or some are not; all channels of the vector exist, or not.
        """
        spec, numbers, lanes = self.spec, self.numbers, self.lanes
        element, samples = self.sample, self.sample.of(lanes)
        with self.module.function(
            f"tile_{int(is_inside)}{int(is_whole)}", args=PTR, lines=PTR, count=I64, x=PTR, panels=PTR, result=PTR,
            channel=I64, column=I64,
        ) as f:  # fmt: skip
            args, column = f.args["args"], f.args["column"]
            names = ("split", "low", "extent", "dilation", "lane_taps", "groups")
            step, low, extent, dilation, lane_taps, groups = self.args.read(f, args, *names)
            exists = f.lane_numbers(lanes) < f.splat(groups - f.args["channel"], lanes)
            zeros = f.stack(element, lanes)
            f.store(f.zero(samples), zeros, aligned=True)
            # With few pixels the products of each go into two sums, so that additions need not wait for each other.
            registers = self.module.target.registers
            chains = 2 if spec.pixels < FEW_PIXELS and spec.taps > FEW_TAPS and registers >= 32 else 1
            cells = [[f.variable(self.vector, 0) for _ in range(chains)] for _ in range(spec.pixels)]
            first = column * step + low

            with f.loop(0, f.args["count"]) as n:
                source, tap = LINE.read(f, f.offset(f.args["lines"], n * len(LINE), I64), *LINE.names)
                row = f.offset(f.args["x"], source, element)
                weights = f.offset(f.args["panels"], tap * lanes, numbers.computed)
                # Read again for each row: LLVM would turn what it knows not to change into a pointer for each load.
                (src_lane,) = self.args.read(f, args, "src_lane")

                def sample(at: Value, place: Value) -> Value:
                    here = at if is_inside else f.select(place.below(extent), at, zeros)
                    value = f.load(samples, here) if is_whole else f.masked_load(samples, here, exists)
                    return value if element == numbers.computed else numbers.widen(f, value)

                if spec.taps:
                    own = [f.load(self.vector, weights, j * lanes, aligned=True) for j in range(spec.taps)]
                    place, at = first, f.offset(row, first * src_lane, element)
                    for k in range((spec.pixels - 1) * spec.step + spec.taps):
                        hit = [(q, k - q * spec.step) for q in range(spec.pixels) if 0 <= k - q * spec.step < spec.taps]
                        x = sample(at, place) if hit else None
                        for q, t in hit:
                            assert x is not None
                            accumulate([cells[q][t % chains]], [own[t]], [x])
                        place, at = place + 1, f.offset(at, src_lane, element)
                else:
                    with f.loop(0, lane_taps) as j:
                        weight = f.load(self.vector, weights, j * lanes, aligned=True)
                        place = first + j * dilation
                        at = f.offset(row, place * src_lane, element)
                        for cell in cells:
                            accumulate(cell, [weight], [sample(at, place)])
                            place, at = place + step, f.offset(at, step * src_lane, element)
            sums = [cell[0].get() + cell[1].get() if chains == 2 else cell[0].get() for cell in cells]
            self.emit_store_tile(f, sums, is_whole, exists)

    def emit_store_tile(self, f: Function, sums: list[Value], is_whole: bool, exists: Value) -> None:
        """Finish and store a tile's pixels that exist."""
        args, numbers = f.args["args"], self.numbers
        dst_lane, columns = self.args.read(f, args, "dst_lane", "grid_columns")
        epilogue = Epilogue(f, numbers, self.lanes, self.args, args, self.spec.epilogue)
        epilogue.begin_lanes(f.args["channel"], f.constant(-1, I1.of(self.lanes)) if is_whole else exists)
        to = f.args["result"]
        for q, total in enumerate(sums):
            with f.when(f.args["column"] + q < columns):
                epilogue.store([total], [Place(to, None if is_whole else exists)])
            to = f.offset(to, dst_lane, numbers.result)


class _Bundle(Lanes):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target, ARGS)
        for is_inside in (True, False):
            for is_whole in (True, False):
                self.emit_tile(is_inside, is_whole)
        self.emit_sum_row()
        self.emit_run()

    def emit_sum_row(self) -> None:
        """All tiles of one result row and one vector of channels."""
        with self.module.function(
            "sum_row", args=PTR, lines=PTR, count=I64, x=PTR, panels=PTR, result=PTR, channel=I64
        ) as f:
            args, channel = f.args["args"], f.args["channel"]
            names = ("split", "low", "extent", "dilation", "lane_taps", "dst_lane", "grid_columns", "groups")
            step, low, extent, dilation, lane_taps, dst_lane, columns, groups = self.args.read(f, args, *names)
            pixels = self.spec.pixels
            with f.loop(0, columns, pixels) as column:
                last = (column + (pixels - 1)) * step + low + dilation * (lane_taps - 1)
                is_inside = (column * step + low >= 0) & (last < extent)
                is_whole = groups - channel >= self.lanes
                to = f.offset(f.args["result"], column * dst_lane, self.numbers.result)
                rest = (args, f.args["lines"], f.args["count"], f.args["x"], f.args["panels"], to, channel, column)
                with f.when(is_inside) as outside:
                    self.call_either(f, is_whole, "tile_1", rest)
                with outside:
                    self.call_either(f, is_whole, "tile_0", rest)

    def call_either(self, f: Function, is_whole: Value, name: str, arguments: tuple[Value, ...]) -> None:
        with f.when(is_whole) as partly:
            f.call(f"{name}1", *arguments)
        with partly:
            f.call(f"{name}0", *arguments)

    def emit_run(self) -> None:
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            names = ("scratch_bytes", "run_tasks", "group_block", "group_blocks", "groups", "row_block", "row_blocks",
                     "positions", "grid_rows", "src_batch", "dst_batch", "dst_row", "taps")  # fmt: skip
            (scratch_bytes, count, group_block, group_blocks, groups, row_block, row_blocks, positions, grid_rows,
             src_batch, dst_batch, dst_row, taps) = self.args.read(f, args, *names)  # fmt: skip
            src, dst, panels = (self.args.pointer(f, args, n) for n in ("src", "dst", "panels"))
            lines = f.offset(self.args.pointer(f, args, "scratch"), f.args["worker"] * scratch_bytes, Type("i8"))
            at_result = f.variable(I64, 0)
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                first, rest = (task % group_blocks) * group_block, task // group_blocks
                begin, rest = (rest % row_blocks) * row_block, rest // row_blocks
                position, sample = rest % positions, rest // positions
                with f.loop(begin, f.smaller(begin + row_block, grid_rows)) as row:
                    found = f.call_for(I64, "list_lines", args, position, row, lines, Value(f, PTR, at_result.ref))
                    to = sample * dst_batch + at_result.get() + row * dst_row
                    with f.loop(first, f.smaller(first + group_block, groups), lanes) as channel:
                        f.call("sum_row", args, lines, found,
                               f.offset(src, sample * src_batch + channel, numbers.stored),
                               f.offset(panels, channel * taps, numbers.computed),
                               f.offset(dst, to + channel, numbers.result), channel)  # fmt: skip
