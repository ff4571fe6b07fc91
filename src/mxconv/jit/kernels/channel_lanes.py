"""Direct convolution with result channels in lanes: c[pixel][channel] += w[k][channel] * x[pixel + offset_k].

A box of the source is staged once, padded, in the source's own order (see staging.py); a source that no tap leaves is
read where it lies. The register tile holds `mr` pixels times `nv` vectors of result channels; a pixel is a pointer and
every product a scalar read at a plain offset from it. So pixels may lie anywhere: there are no halo columns, strides
and dilations cost nothing, and rows that are no multiple of a vector waste nothing. Finished tiles are transposed on
their way to a result whose pixels are neighbours, and stored as they are where channels are.

Taps that miss the image for all pixels of a tile are left out. The products of a sum are numbered tap by tap, so that
what is left of them are ranges, cut where chains end: leaving out zeros changes no bit. Panels with a weight that is
not finite leave out nothing. Where the grid is walked in bands, no tile has pixels that see different taps, so that
padding is never read and the source need not be staged.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..ir import I1, I8, I64, PTR, Function, Value, Variable
from ..target import Target
from .blocks import Layout
from .correlation import AXIS
from .epilogue import Epilogue, Place
from .gemm import Tile, accumulate, put_or_add
from .staging import RUN_LIST
from .tap_ranges import BAND, RANGE_ARGS, TAPS, TapRanges

ARGS = (
    "blocks", "block_panels", "row_blocks", "tile_chain", "pixel_block", "dst_lane", "in_place",
    "at_pixels", "at_near", "at_c", "group_block", "group_blocks",
    # whether taps that miss the image are left out
    "skips",
    *RANGE_ARGS,
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""

AHEAD = 64
"""Products by which samples are asked for in advance: a chain of the usual length."""

FEW = 8
"""Share of a vector, up to which results are scattered pixel by pixel: transposing a square costs more."""

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


class _Bundle(TapRanges):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS)
        self.epilogue = spec.epilogue
        self.emit_read_in_place()
        self.emit_list_pixels()
        self.emit_tile("tile", is_first=False)
        self.emit_tile("first_tile", is_first=True)
        if "add" not in self.epilogue:
            self.emit_last_tile()
        self.emit_finish_whole()
        self.emit_finish_square()
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
        """Every grid position of the box, band by band; the last of each box of bands is repeated to fill up a tile.
        Gives how many there are, but for what fills up the last tile.

        `at_near` says of each vector of pixels whether their results are neighbours. With `skips`, `at_tiles` receives
        the taps that any of a tile's pixels needs, after a row of all taps.
        """
        lanes, mr = self.lanes, self.tile.mr
        with self.module.function("list_pixels", args=PTR, state=PTR, skips=I64) as f:
            args, state, skips = (f.args[n] for n in ("args", "state", "skips"))
            tables = self.args.pointer(f, args, "tables")
            rank, longest, dst_lane = self.args.read(f, args, "rank", "longest", "dst_lane")
            (step,) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "src_step")
            (distance,) = self.own(f, state, rank - 1, "staged")
            sections = ("at_runs", "at_pixels", "at_near", "at_bands", "at_tiles")
            run_list, table, near, bands, tiles = (self.section(f, args, state, n) for n in sections)
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            with f.loop(0, rank) as a:
                self.put_taps(
                    f, self.tile_row(f, tiles, rank, a, 0), f.constant(0, I64), self.own(f, state, a, "taps")[0]
                )
            last, is_near = f.variable(I64, 0), f.variable(I64, 1)
            count, listed, rest, run, size = (f.variable(I64, 0) for _ in range(5))
            lane_band = self.band_row(f, bands, longest, rank - 1)

            def put(staged: Value, to: Value) -> None:
                n = listed.get()
                entry = f.offset(table, n * len(PIXEL), I64)
                f.store(staged, entry, PIXEL.index["staged"])
                f.store(to, entry, PIXEL.index["dst"])
                follows = (n % lanes > 0) & to.equals(last.get() + 1)
                begins = (n % lanes).equals(0)
                is_near.set(f.select(begins, f.constant(1, I64), is_near.get() & f.cast("zext", follows, I64)))
                f.store(is_near.get(), near, n // lanes)
                last.set(to)
                listed.set(n + 1)

            with f.loop(0, f.call_for(I64, "list_bands", args, state)) as box:
                rest.set(box)
                size.set(1)
                with f.loop(0, rank) as i:
                    row = self.band_row(f, bands, longest, rank - 1 - i)
                    (bands_of,) = BAND.read(f, row, "count")
                    own = f.offset(row, rest.get() % bands_of + len(BAND), I64)
                    rest.set(rest.get() // bands_of)
                    start, length = f.load(I64, own), f.load(I64, own, 1) - f.load(I64, own)
                    f.store(start, row, BAND.index["start"])
                    f.store(length, row, BAND.index["length"])
                    with f.when(i > 0):
                        size.set(size.get() * length)
                start, columns = BAND.read(f, lane_band, "start", "length")
                with f.loop(0, size.get()) as r:
                    rest.set(r)
                    run.set(0)
                    size_of = f.variable(I64, 1)
                    with f.loop(1, rank) as i:
                        a = rank - 1 - i
                        row = self.band_row(f, bands, longest, a)
                        begin, length = BAND.read(f, row, "start", "length")
                        at = begin + rest.get() % length
                        f.store(at, row, BAND.index["at"])
                        rest.set(rest.get() // length)
                        run.set(run.get() + at * size_of.get())
                        size_of.set(size_of.get() * self.own(f, state, a, "length")[0])
                    place = f.offset(run_list, run.get() * len(RUN_LIST), I64)
                    staged, dst = RUN_LIST.read(f, place, *RUN_LIST.names)
                    with f.loop(start, start + columns) as i:
                        with f.when(skips.equals(1)):
                            f.store(i, lane_band, BAND.index["at"])
                            f.call("widen_tile", args, state, listed.get())
                        put(staged + i * step * distance, dst + first_lane + i * dst_lane)
                count.set(listed.get())
                final = f.offset(table, (listed.get() - 1) * len(PIXEL), I64)
                staged, dst = PIXEL.read(f, final, *PIXEL.names)
                with f.loop(listed.get(), (listed.get() + (mr - 1)) // mr * mr):
                    put(staged, dst)
            f.give(count.get())

    # ---- the register tile

    def emit_tile(self, symbol: str, is_first: bool) -> None:
        """c[pixel][nr] (+)= sum over k of a[k][nr] * staged[pixel + offsets[k]]: one chain, what begins before
        `end` of its ranges. Gives where the next one stands.

        Meanwhile what comes next is asked for: a share of the next chain's weights, from `ahead` on, and, where the
        samples are read for the first time, the first pixel's of AHEAD products later.
        """
        lanes, tile = self.lanes, self.tile
        with self.module.function(
            symbol, ranges=PTR, end=I64, a=PTR, offsets=PTR, pixels=PTR, staged=PTR, c=PTR, first=I64, ahead=PTR
        ) as f:
            cells, ranges = self.sum_ranges(f, is_first=is_first)
            places = [i * self.nr + j * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["c"], places, [cell.get() for row in cells for cell in row])
            f.give(ranges)

    def sum_ranges(self, f: Function, *, is_first: bool) -> tuple[list[list[Variable]], Value]:
        """The sums of one chain, and where the next one stands."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
        sources = [
            f.offset(
                f.args["staged"],
                f.load(I64, f.args["pixels"], i * len(PIXEL) + PIXEL.index["staged"]),
                numbers.computed,
            )
            for i in range(tile.mr)
        ]
        ranges = f.variable(PTR, f.args["ranges"])
        head, body, done = (f.name(name) for name in ("next", "range", "done"))
        f.jump(head)
        f.label(head)
        first, end = TAPS.read(f, ranges.get(), *TAPS.names)
        f.jump_if(first < f.args["end"], body, done)
        f.label(body)
        with f.loop(first, end) as k:
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
        ranges.set(f.offset(ranges.get(), len(TAPS), I64))
        f.jump(head)
        f.label(done)
        return cells, ranges.get()

    def emit_last_tile(self) -> None:
        """The last chain of a tile whose result's channels are neighbours: added to those before it, finished in
        registers and stored as it is. Pixels that fill up the tile are others of it, and stored twice."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function(
            "last_tile", args=PTR, ranges=PTR, end=I64, a=PTR, offsets=PTR, pixels=PTR, staged=PTR, c=PTR, first=I64,
            ahead=PTR, result=PTR, channel=I64, rows=I64,
        ) as f:  # fmt: skip
            channel, rows, result = (f.args[name] for name in ("channel", "rows", "result"))
            cells, _ = self.sum_ranges(f, is_first=False)
            with f.when(f.args["first"].equals(0)):
                for i, j in itertools.product(range(tile.mr), range(tile.nv)):
                    before = f.load(self.vector, f.args["c"], i * self.nr + j * lanes, aligned=True)
                    cells[i][j].set(before + cells[i][j].get())
            to = [f.load(I64, f.args["pixels"], i * len(PIXEL) + PIXEL.index["dst"]) for i in range(tile.mr)]

            def store(masks: list[Value] | None) -> None:
                for j in range(tile.nv):
                    epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
                    exists = f.constant(1, I1.of(lanes)) if masks is None else masks[j]
                    epilogue.begin_lanes(channel + j * lanes, exists)
                    for i in range(tile.mr):
                        place = f.offset(result, to[i] + j * lanes, numbers.result)
                        epilogue.store([cells[i][j].get()], [Place(place, masks[j] if masks else None)])

            with f.when(rows >= self.nr) as partly:
                store(None)
            with partly:
                store([f.lane_numbers(lanes) < f.splat(rows - j * lanes, lanes) for j in range(tile.nv)])

    # ---- results

    def emit_finish_whole(self) -> None:
        """Finish a square of as many neighbouring pixels as channels, and store it transposed."""
        lanes = self.lanes
        with self.module.function("finish_whole", args=PTR, channel=I64, sums=PTR, to=PTR) as f:
            args, to = f.args["args"], f.args["to"]
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            epilogue, channel = Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue), f.args["channel"]
            totals = [f.load(self.vector, f.args["sums"], i * self.nr, aligned=True) for i in range(lanes)]
            if "add" in self.epilogue:
                # A residual lies as the result does.
                for i, row in enumerate(f.transpose(totals)):
                    epilogue.begin_row(channel + i)
                    epilogue.store([row], [Place(f.offset(to, dst_channel * i, self.numbers.result))])
            else:
                epilogue.begin_lanes(channel, f.constant(1, I1.of(lanes)))
                for i, row in enumerate(f.transpose([epilogue.finish([total])[0] for total in totals])):
                    f.store(self.numbers.narrow(f, row), f.offset(to, dst_channel * i, self.numbers.result))

    def emit_finish_square(self) -> None:
        """The same of any `pixels` and `rows` that a square may hold; whether they are neighbours `beside` says."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "finish_square", args=PTR, channel=I64, sums=PTR, result=PTR, rows=I64, table=PTR, pixels=I64, beside=I64
        ) as f:
            args, table, beside = (f.args[n] for n in ("args", "table", "beside"))
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            (start,) = PIXEL.read(f, table, "dst")
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            square, apart = f.stack(numbers.computed, lanes * lanes), f.variable(I64.of(lanes), 0)
            totals = [f.load(self.vector, f.args["sums"], i * self.nr, aligned=True) for i in range(lanes)]
            for n, row in enumerate(f.transpose(totals)):
                f.store(row, square, n * lanes, aligned=True)
            mask = f.lane_numbers(lanes) < f.splat(f.args["pixels"], lanes)
            with f.when(beside.equals(0)):
                index = f.lane_numbers(lanes) * len(PIXEL) + PIXEL.index["dst"]
                apart.set(f.gather(I64.of(lanes), f.offset(table, index, I64), mask))
            with f.loop(0, f.smaller(f.args["rows"], lanes)) as i:
                epilogue.begin_row(f.args["channel"] + i)
                total = f.load(self.vector, square, i * lanes, aligned=True)
                row = f.offset(f.args["result"], i * dst_channel, numbers.result)
                neighbours = f.offset(row, start, numbers.result)
                with f.when(beside.equals(1)) as scattered:
                    epilogue.store([total], [Place(neighbours, mask)])
                with scattered:
                    epilogue.store([total], [Place(f.offset(row, apart.get(), numbers.result), mask)])

    def emit_finish(self) -> None:
        """Finish the sums of a block of pixels (see epilogue.py) and store them.

        `first` is the block's first pixel, a multiple of the lanes, and `channel` the result channel of lane 0, of
        which there are `rows` in all.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "finish", args=PTR, state=PTR, result=PTR, channel=I64, rows=I64, first=I64, pixels=I64
        ) as f:
            args, state, rows = (f.args[n] for n in ("args", "state", "rows"))
            first, pixels = f.args["first"], f.args["pixels"]
            table, near, c = (self.section(f, args, state, n) for n in ("at_pixels", "at_near", "at_c"))
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            apart = f.lane_numbers(lanes) * f.splat(dst_channel, lanes)
            with f.loop(0, rows, lanes) as v:
                exists = f.lane_numbers(lanes) < f.splat(rows - v, lanes)
                channel, result = f.args["channel"] + v, f.offset(f.args["result"], v * dst_channel, numbers.result)
                epilogue.begin_lanes(channel, exists)
                with f.loop(0, pixels, lanes) as p:
                    left, sums = pixels - p, f.offset(c, p * self.nr + v, numbers.computed)
                    own = f.offset(table, (first + p) * len(PIXEL), I64)
                    is_few = dst_channel.equals(1) | (left <= max(1, lanes // FEW))
                    with f.when(is_few) as many, f.loop(0, f.smaller(left, lanes)) as i:
                        (at,) = PIXEL.read(f, f.offset(own, i * len(PIXEL), I64), "dst")
                        total = f.load(self.vector, f.offset(sums, i * self.nr, numbers.computed), aligned=True)
                        pixel = f.offset(result, at, numbers.result)
                        with f.when(dst_channel.equals(1)) as scattered:
                            epilogue.store([total], [Place(pixel, exists)])
                        with scattered:
                            epilogue.store([total], [Place(f.offset(pixel, apart, numbers.result), exists)])
                    with many:
                        beside = f.load(I64, near, (first + p) // lanes)
                        to = f.offset(result, PIXEL.read(f, own, "dst")[0], numbers.result)
                        is_whole = beside.equals(1) & (left >= lanes)
                        with f.when(is_whole & (rows - v >= lanes)) as partly:
                            f.call("finish_whole", args, channel, sums, to)
                        with partly:
                            f.call("finish_square", args, channel, sums, result, rows - v, own, left, beside)

    # ---- the driver

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "blocks", "phases", "row_blocks", "src_batch", "src_group")
            count, blocks, phases, row_blocks, src_batch, src_group = self.args.read(f, args, *names)
            groups, group_block, group_blocks = self.args.read(f, args, "groups", "group_block", "group_blocks")
            (in_place,) = self.args.read(f, args, "in_place")
            src, offsets = self.args.pointer(f, args, "src"), self.section(f, args, state, "at_offsets")
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                block, rest = task % blocks, task // blocks
                row_block, rest = rest % row_blocks, rest // row_blocks
                phase, rest = rest % phases, rest // phases
                first, sample = (rest % group_blocks) * group_block, rest // group_blocks
                f.call("select_phase", args, state, phase)
                f.call("select_block", args, state, block)
                (empty,) = self.state.read(f, state, "empty")
                with f.when(empty.equals(0)):
                    # What is listed holds for all groups.
                    with f.when(in_place.equals(1)) as otherwise:
                        f.call("read_in_place", args, state)
                    with otherwise:
                        f.call("list_rows", args, state)
                    f.call("list_runs", args, state)
                    f.call("list_offsets", args, state, offsets)
                    self.list_what_comes(f, args, state, offsets)
                    misses = f.variable(I64, 0)
                    with f.when(self.args.read(f, args, "skips")[0].equals(1)):
                        misses.set(f.call_for(I64, "list_hits", args, state))
                    pixels = f.call_for(I64, "list_pixels", args, state, misses.get())
                    sections = ("at_tiles", "at_ranges")
                    f.call("list_ranges", args, state, *(self.section(f, args, state, n) for n in sections))
                    staged = f.variable(PTR)
                    with f.loop(first, f.smaller(first + group_block, groups)) as group:
                        source = f.offset(src, sample * src_batch + group * src_group, self.numbers.stored)
                        staged.set(source)
                        with f.when(in_place.equals(0)):
                            staged.set(self.section(f, args, state, "at_staged"))
                            f.call("stage", args, state, source, staged.get())
                        where = (phase, sample, group, row_block)
                        f.call("run_panels", args, state, *where, staged.get(), pixels, misses.get())

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
            "run_panels", args=PTR, state=PTR, phase=I64, sample=I64, group=I64, row_block=I64, staged=PTR, pixels=I64,
            misses=I64,
        ) as f:  # fmt: skip
            args, state, sample, group = (f.args[n] for n in ("args", "state", "sample", "group"))
            names = ("rows", "channels", "all_taps", "panels_of_rows", "block_panels", "tile_chain", "pixel_block")
            rows, channels, all_taps, panels, block_panels, chain, pixel_block = self.args.read(f, args, *names)
            dst_batch, dst_group, dst_channel = self.args.read(f, args, "dst_batch", "dst_group", "dst_channel")
            phases, at_flags, banded = self.args.read(f, args, "phases", "at_flags", "banded")
            dst, weights = self.args.pointer(f, args, "dst"), self.args.pointer(f, args, "panels")
            taps, before = self.state.read(f, state, "taps", "taps_before")
            sections = ("at_offsets", "at_pixels", "at_c", "at_next")
            offsets, table, c, following = (self.section(f, args, state, n) for n in sections)
            (in_place,) = self.args.read(f, args, "in_place")
            are_beside = dst_channel.equals(1) if "add" not in self.epilogue else f.constant(0, I1)
            pixels, total = f.args["pixels"], taps * channels
            first, next_range = f.variable(I64), f.variable(PTR)
            begin = f.args["row_block"] * block_panels
            with (
                f.loop(begin, f.smaller(begin + block_panels, panels)) as n,
                f.loop(0, pixels, pixel_block) as p0,
            ):
                p1 = f.smaller(p0 + pixel_block, pixels)
                panel = group * panels + n
                a = f.offset(weights, (panel * all_taps + before) * channels * self.nr, numbers.computed)
                flag = f.load(I64, f.offset(weights, at_flags, I8), panel * phases + f.args["phase"])
                skips = f.args["misses"] & (banded | f.cast("zext", flag.equals(0), I64))
                f.call("begin_tiles", args, state, p0, p1, skips)
                row = n * self.nr
                result = f.offset(dst, sample * dst_batch + group * dst_group + row * dst_channel, numbers.result)
                channel, left = group * rows + row, f.smaller(rows - row, self.nr)
                first.set(1)
                tiles = (p1 - p0 + (tile.mr - 1)) // tile.mr
                with f.loop(0, f.larger(total, 1), chain) as k:
                    with f.loop(p0, p1, tile.mr) as p:
                        own_pixels = f.offset(table, p * len(PIXEL), I64)
                        own_c = f.offset(c, (p - p0) * self.nr, numbers.computed)
                        number = (p - p0) // tile.mr
                        # Of the next chain's weights, which lie behind this one's, each tile asks for a column.
                        ahead = f.offset(a, chain * self.nr + number * tile.nv // tiles * self.lanes, numbers.computed)
                        ranges = f.load(PTR, f.offset(following, number, I64))
                        what = (ranges, k + chain, a, offsets, own_pixels, f.args["staged"], own_c, first.get(), ahead)
                        with f.when(are_beside & (k + chain >= total)) as more:
                            if "add" not in self.epilogue:
                                f.call("last_tile", args, *what, result, channel, left)
                        with more:
                            with f.when(n.equals(begin) & in_place.equals(1)) as otherwise:
                                next_range.set(f.call_for(PTR, "first_tile", *what))
                            with otherwise:
                                next_range.set(f.call_for(PTR, "tile", *what))
                            f.store(next_range.get(), f.offset(following, number, I64))
                    first.set(0)
                with f.when(are_beside.equals(0)):
                    f.call("finish", args, state, result, channel, left, p0, p1 - p0)
