"""Direct convolution with result channels in lanes: c[pixel][channel] += w[k][channel] * x[pixel + offset_k].

A box of the source is staged once, padded, in the source's own order (see staging.py); a source that no tap leaves is
read where it lies. The register tile holds `mr` pixels times `nv` vectors of result channels; a pixel is a pointer and
every product a scalar read at a plain offset from it. So pixels may lie anywhere: there are no halo columns, strides
and dilations cost nothing, and rows that are no multiple of a vector waste nothing. Finished tiles are transposed on
their way to a result whose pixels are neighbours, and stored as they are where channels are.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .channel_panels import ChannelPanels
from .correlation import AXIS
from .epilogue import Epilogue, Place
from .gemm import Tile, accumulate, put_or_add
from .staging import RUN_LIST

ARGS = (
    "blocks", "block_panels", "row_blocks", "tile_chain", "pixel_block", "dst_lane",
    "at_pixels", "at_near", "at_c", "in_place",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""

AHEAD = 64
"""Products by which samples are asked for in advance: a chain of the usual length."""

PIXEL = Layout(("staged", "dst"))
"""One grid position of a box: where its window begins in the staged copy, and where its result goes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile
    """mr pixels by nv vectors of channels."""
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        return "_".join((f"channel_lanes_{self.dtype}_{self.tile.mr}x{self.tile.nv}", *self.epilogue))


def emit_channel_lanes(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(ChannelPanels):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS)
        self.epilogue = spec.epilogue
        self.emit_read_in_place()
        self.emit_list_pixels()
        self.emit_tile("tile", is_first=False)
        self.emit_tile("first_tile", is_first=True)
        self.emit_transpose()
        self.emit_finish()
        self.emit_run_panels()
        self.emit_run()

    # ---- the pixels of a box

    def emit_read_in_place(self) -> None:
        """Describe the source itself as if it were the staged copy of the box."""
        with self.module.function("read_in_place", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, channel = self.args.read(f, args, "rank", "src_channel")
            with f.loop(0, rank) as a:
                (stride,) = self.axis(f, tables, a, "src_stride")
                self.put(f, self.state_row(f, state, a), low=f.constant(0, I64), staged=stride)
            f.store(channel, state, self.state.index["plane"])

    def emit_list_pixels(self) -> None:
        """Every grid position of the box; the last is repeated to fill up a tile. `at_near` says of each vector of
        pixels whether their results are neighbours."""
        lanes = self.lanes
        with self.module.function("list_pixels", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            (dst_lane,) = self.args.read(f, args, "dst_lane")
            (step,) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "src_step")
            (distance,) = self.own(f, state, rank - 1, "staged")
            sections = ("at_runs", "at_pixels", "at_near")
            run_list, table, near = (self.section(f, args, state, n) for n in sections)
            (runs,) = self.state.read(f, state, "runs")
            (columns,) = self.own(f, state, rank - 1, "length")
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            last, is_near = f.variable(I64, 0), f.variable(I64, 1)
            with f.loop(0, runs) as r:
                staged, dst = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), *RUN_LIST.names)
                with f.loop(0, columns) as i:
                    n = r * columns + i
                    to = dst + first_lane + i * dst_lane
                    self.put_pixel(f, table, n, staged + i * step * distance, to)
                    follows = (n % lanes > 0) & to.equals(last.get() + 1)
                    begins = (n % lanes).equals(0)
                    is_near.set(f.select(begins, f.constant(1, I64), is_near.get() & f.cast("zext", follows, I64)))
                    f.store(is_near.get(), near, n // lanes)
                    last.set(to)
            count = runs * columns
            entry = f.offset(table, (count - 1) * len(PIXEL), I64)
            staged, dst = PIXEL.read(f, entry, *PIXEL.names)
            with f.loop(count, count + (self.tile.mr - 1)) as n:
                self.put_pixel(f, table, n, staged, dst)

    def put_pixel(self, f: Function, table: Value, n: Value, staged: Value, dst: Value) -> None:
        entry = f.offset(table, n * len(PIXEL), I64)
        f.store(staged, entry, PIXEL.index["staged"])
        f.store(dst, entry, PIXEL.index["dst"])

    # ---- the register tile

    def emit_tile(self, symbol: str, is_first: bool) -> None:
        """c[pixel][nr] (+)= sum over k of a[k][nr] * staged[pixel + offsets[k]]: one chain.

        Meanwhile what comes next is asked for: a share of the next chain's weights, from `ahead` on, and, where the
        samples are read for the first time, the first pixel's of AHEAD products later.
        """
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function(
            symbol, k=I64, a=PTR, offsets=PTR, pixels=PTR, staged=PTR, c=PTR, first=I64, ahead=PTR
        ) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            sources = [
                f.offset(
                    f.args["staged"],
                    f.load(I64, f.args["pixels"], i * len(PIXEL) + PIXEL.index["staged"]),
                    numbers.computed,
                )
                for i in range(tile.mr)
            ]
            with f.loop(0, f.args["k"]) as k:
                f.prefetch(f.offset(f.args["ahead"], k * self.nr, numbers.computed), level=1)
                if is_first:
                    coming = f.load(I64, f.args["offsets"], k + AHEAD)
                    f.prefetch(f.offset(sources[0], coming, numbers.computed))
                offset = f.load(I64, f.args["offsets"], k)
                row = f.offset(f.args["a"], k * self.nr, numbers.computed)
                vectors = [f.load(self.vector, row, j * lanes, aligned=True) for j in range(tile.nv)]
                for i in range(tile.mr):
                    sample = f.splat(f.load(numbers.computed, sources[i], offset), lanes)
                    for j in range(tile.nv):
                        accumulate([cells[i][j]], [sample], [vectors[j]])
            places = [i * self.nr + j * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["c"], places, [cell.get() for row in cells for cell in row])

    # ---- results

    def emit_transpose(self) -> None:
        """to[channel][pixel] = c[pixel][channel], a square of one vector each way."""
        lanes = self.lanes
        with self.module.function("transpose", c=PTR, to=PTR) as f:
            rows = [f.load(self.vector, f.args["c"], i * self.nr, aligned=True) for i in range(lanes)]
            for i, row in enumerate(f.transpose(rows)):
                f.store(row, f.args["to"], i * lanes, aligned=True)

    def emit_finish(self) -> None:
        """Finish the sums of a block of pixels (see epilogue.py) and store them.

        `first` is the block's first pixel, a multiple of the lanes, and `channel` the result channel of lane 0, of
        which there are `rows` in all.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "finish", args=PTR, state=PTR, result=PTR, channel=I64, rows=I64, first=I64, pixels=I64
        ) as f:
            args, state, result, rows = (f.args[n] for n in ("args", "state", "result", "rows"))
            first, pixels = f.args["first"], f.args["pixels"]
            table, near, c = (self.section(f, args, state, n) for n in ("at_pixels", "at_near", "at_c"))
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            square, apart = f.stack(numbers.computed, lanes * lanes), f.variable(I64.of(lanes), 0)
            pixel_table = f.offset(table, first * len(PIXEL), I64)
            with f.loop(0, rows, lanes) as v:
                exists = f.lane_numbers(lanes) < f.splat(rows - v, lanes)
                with f.when(dst_channel.equals(1)) as otherwise:
                    epilogue.begin_lanes(f.args["channel"] + v, exists)
                    with f.loop(0, pixels) as p:
                        (at,) = PIXEL.read(f, f.offset(pixel_table, p * len(PIXEL), I64), "dst")
                        total = f.load(self.vector, f.offset(c, p * self.nr + v, numbers.computed), aligned=True)
                        epilogue.store([total], [Place(f.offset(result, at + v, numbers.result), exists)])
                with otherwise, f.loop(0, pixels, lanes) as p:
                    f.call("transpose", f.offset(c, p * self.nr + v, numbers.computed), square)
                    own = f.offset(pixel_table, p * len(PIXEL), I64)
                    (start,) = PIXEL.read(f, own, "dst")
                    beside = f.load(I64, near, (first + p) // lanes).equals(1)
                    is_whole = beside & (pixels - p >= lanes)
                    mask = f.lane_numbers(lanes) < f.splat(pixels - p, lanes)
                    with f.when(beside ^ 1):
                        index = f.lane_numbers(lanes) * len(PIXEL) + PIXEL.index["dst"]
                        apart.set(f.gather(I64.of(lanes), f.offset(own, index, I64), mask))
                    with f.loop(0, f.smaller(rows - v, lanes)) as i:
                        epilogue.begin_row(f.args["channel"] + v + i)
                        total = f.load(self.vector, square, i * lanes, aligned=True)
                        row = f.offset(result, (v + i) * dst_channel, numbers.result)
                        neighbours = f.offset(row, start, numbers.result)
                        with f.when(is_whole) as partly:
                            epilogue.store([total], [Place(neighbours)])
                        with partly:
                            with f.when(beside) as scattered:
                                epilogue.store([total], [Place(neighbours, mask)])
                            with scattered:
                                epilogue.store([total], [Place(f.offset(row, apart.get(), numbers.result), mask)])

    # ---- the driver

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "blocks", "phases", "row_blocks", "groups", "src_batch", "src_group")
            count, blocks, phases, row_blocks, groups, src_batch, src_group = self.args.read(f, args, *names)
            (in_place,) = self.args.read(f, args, "in_place")
            src, offsets = self.args.pointer(f, args, "src"), self.section(f, args, state, "at_offsets")
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                block, rest = task % blocks, task // blocks
                row_block, rest = rest % row_blocks, rest // row_blocks
                phase, rest = rest % phases, rest // phases
                group, sample = rest % groups, rest // groups
                f.call("select_phase", args, state, phase)
                f.call("select_block", args, state, block)
                (empty,) = self.state.read(f, state, "empty")
                with f.when(empty.equals(0)):
                    source = f.offset(src, sample * src_batch + group * src_group, self.numbers.stored)
                    staged = f.variable(PTR, self.section(f, args, state, "at_staged"))
                    with f.when(in_place.equals(1)) as otherwise:
                        f.call("read_in_place", args, state)
                        staged.set(source)
                    with otherwise:
                        f.call("list_rows", args, state)
                        f.call("stage", args, state, source, staged.get())
                    f.call("list_runs", args, state)
                    f.call("list_offsets", args, state, offsets)
                    self.list_what_comes(f, args, state, offsets)
                    f.call("list_pixels", args, state)
                    f.call("run_panels", args, state, sample, group, row_block, staged.get())

    def list_what_comes(self, f: Function, args: Value, state: Value, offsets: Value) -> None:
        """Behind the last offset the first ones again: after the last chain comes the next panel's first."""
        (channels,) = self.args.read(f, args, "channels")
        (taps,) = self.state.read(f, state, "taps")
        total = taps * channels
        with f.loop(0, AHEAD) as k:
            f.store(f.load(I64, offsets, k % f.larger(total, 1)), offsets, total + k)

    def emit_run_panels(self) -> None:
        """All results of the staged box in one block of result channels."""
        numbers, tile = self.numbers, self.tile
        with self.module.function(
            "run_panels", args=PTR, state=PTR, sample=I64, group=I64, row_block=I64, staged=PTR
        ) as f:
            args, state, sample, group = (f.args[n] for n in ("args", "state", "sample", "group"))
            names = ("rows", "channels", "all_taps", "panels_of_rows", "block_panels", "tile_chain", "pixel_block")
            rows, channels, all_taps, panels, block_panels, chain, pixel_block = self.args.read(f, args, *names)
            dst_batch, dst_group, dst_channel = self.args.read(f, args, "dst_batch", "dst_group", "dst_channel")
            dst, weights = self.args.pointer(f, args, "dst"), self.args.pointer(f, args, "panels")
            rank, in_place = self.args.read(f, args, "rank", "in_place")
            taps, before, runs = self.state.read(f, state, "taps", "taps_before", "runs")
            sections = ("at_offsets", "at_pixels", "at_c")
            offsets, table, c = (self.section(f, args, state, n) for n in sections)
            staged = f.args["staged"]
            (columns,) = self.own(f, state, rank - 1, "length")
            pixels, total = runs * columns, taps * channels
            first = f.variable(I64)
            begin = f.args["row_block"] * block_panels
            with (
                f.loop(begin, f.smaller(begin + block_panels, panels)) as n,
                f.loop(0, pixels, pixel_block) as p0,
            ):
                p1 = f.smaller(p0 + pixel_block, pixels)
                a = f.offset(
                    weights, (((group * panels + n) * all_taps) + before) * channels * self.nr, numbers.computed
                )
                first.set(1)
                tiles = (p1 - p0 + (tile.mr - 1)) // tile.mr
                with f.loop(0, f.larger(total, 1), chain) as k:
                    length = f.smaller(total - k, chain)
                    own_a, own_offsets = f.offset(a, k * self.nr, numbers.computed), f.offset(offsets, k, I64)
                    with f.loop(p0, p1, tile.mr) as p:
                        own_pixels = f.offset(table, p * len(PIXEL), I64)
                        own_c = f.offset(c, (p - p0) * self.nr, numbers.computed)
                        # Of the next chain's weights, which lie behind this one's, each tile asks for a column.
                        column = (p - p0) // tile.mr * tile.nv // tiles
                        ahead = f.offset(own_a, chain * self.nr + column * self.lanes, numbers.computed)
                        what = (length, own_a, own_offsets, own_pixels, staged, own_c, first.get(), ahead)
                        with f.when(n.equals(begin) & in_place.equals(1)) as otherwise:
                            f.call("first_tile", *what)
                        with otherwise:
                            f.call("tile", *what)
                    first.set(0)
                row = n * self.nr
                result = f.offset(dst, sample * dst_batch + group * dst_group + row * dst_channel, numbers.result)
                f.call("finish", args, state, result, group * rows + row, f.smaller(rows - row, self.nr), p0, p1 - p0)
