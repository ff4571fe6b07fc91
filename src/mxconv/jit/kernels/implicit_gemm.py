"""Implicit GEMM: any convolution as matrix products of packed panels, without ever building the matrix.

Rows of a product are result channels m, columns are positions g of a phase's grid, flattened, in lanes; the reduction
runs over source channels c and the taps t of the phase (see correlation.py).

A task is a block of pixels times a block of channels of one phase, group and sample. It walks the reduction in chunks
of at most `chain` products: packs the chunk's source values into panels (masked lanes outside the image are 0), runs
the register tile, and adds each chunk's sums to a second level in scratch. At the end the bias is added, and the
result is narrowed and stored. Everything but the tile and the dtype is a run-time number, so one bundle of functions
serves every rank, size, layout, stride and direction.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I1, I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, Correlation
from .epilogue import Epilogue, Place
from .gemm import Tile, emit_micro_kernel, sum_tile

ARGS = (
    # blocks
    "block_panels", "block_row_groups", "row_blocks", "pixel_blocks", "block_pixels",
    # the sections of a worker's scratch, in bytes
    "at_coords", "at_src", "at_dst", "at_flags", "at_segments", "at_b", "at_c",
    # how lanes lie in the source: elements from one lane to the next, and whether panels need no packing at all
    "lane_step", "in_place", "in_place_offset",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

# Flags of a vector of pixels: how many row segments it has in the source (0: gather), and whether its lanes are
# neighbours in the destination. A segment row is the offset of its (virtual) first lane and the mask of its lanes.
FLAGS = Layout(("segments", "dst_near"))
SEGMENTS = 4
SEGMENT_ROW = 2

STATE = ("plain",)
"""How many vectors, from the first on, are whole and have neighbouring lanes in the destination (0 for complex)."""
NOWHERE = 1 << 62
"""A coordinate that is outside every image: where lanes beyond the last pixel read."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile
    epilogue: tuple[str, ...] = ()
    """What else is done to the sums than adding a bias (see epilogue.py)."""

    @property
    def name(self) -> str:
        return "_".join((f"implicit_gemm_{self.dtype}_{self.tile.mr}x{self.tile.nv}", *self.epilogue))


def emit_implicit_gemm(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Correlation):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE)
        self.epilogue = spec.epilogue
        self.emit_locate_pixels()
        self.emit_pack_source()
        for width in self.tile.widths:
            emit_micro_kernel(self.module, f"micro_kernel_{width}", self.numbers, self.tile, width)
        self.emit_whole_tile()
        self.emit_finish()
        self.emit_run()

    # ---- pixels

    def emit_locate_pixels(self) -> None:
        """For each pixel of a block: source coordinates by axis, and offsets in source and destination; for each
        vector of pixels its flags and segments: runs of lanes at the regular distance, as rows of an image give."""
        with self.module.function("locate_pixels", args=PTR, state=PTR, first=I64, vectors=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, block, lane_step = self.args.read(f, args, "rank", "block_pixels", "lane_step")
            (pixels,) = self.state.read(f, state, "pixels")
            coords = self.section(f, args, state, "at_coords")
            src, dst, flags = (self.section(f, args, state, n) for n in ("at_src", "at_dst", "at_flags"))
            all_segments = self.section(f, args, state, "at_segments")
            last_src, last_dst, count, dst_near, bits, plain = (f.variable(I64, 0) for _ in range(6))
            with f.loop(0, f.args["vectors"]) as v:
                segments = f.offset(all_segments, v * (SEGMENTS * SEGMENT_ROW), I64)
                number = f.args["first"] + v * self.lanes
                row_count = self.axis_state.read(f, self.state_row(f, state, rank - 1), "count")[0]
                in_row = (number % row_count + self.lanes <= row_count) & (number + self.lanes <= pixels)
                with f.when(in_row) as otherwise:
                    # Neighbours on the last axis: one position is divided out, the others follow.
                    start = self.locate_pixel(f, rank, tables, state, number, coords, block, v * self.lanes)
                    self.follow_row(f, rank, tables, (coords, src, dst), start, block, v * self.lanes)
                    last_src.set(start[0])
                    last_dst.set(start[1])
                    f.store(start[0], segments)
                    f.store(f.constant((1 << self.lanes) - 1, I64), segments, 1)
                    count.set(1)
                    (dst_stride, dst_step) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "dst_stride", "dst_step")
                    dst_near.set(f.cast("zext", (dst_stride * dst_step).equals(1), I64))
                with otherwise:
                    count.set(0)
                    dst_near.set(1)
                    bits.set(0)
                    with f.loop(0, self.lanes) as lane:
                        at = v * self.lanes + lane
                        number = f.args["first"] + at
                        with f.when(number < pixels) as otherwise:
                            in_src, in_dst = self.locate_pixel(f, rank, tables, state, number, coords, block, at)
                            follows = lane > 0
                            new = (follows & in_src.equals(last_src.get() + lane_step)) ^ 1
                            with f.when(new):
                                slot = f.offset(segments, f.smaller(count.get(), SEGMENTS - 1) * SEGMENT_ROW, I64)
                                f.store(in_src - lane * lane_step, slot)
                                bits.set(0)
                                count.set(count.get() + 1)
                            near = f.cast("zext", in_dst.equals(last_dst.get() + 1), I64)
                            dst_near.set(f.select(follows, dst_near.get() & near, f.constant(1, I64)))
                            bits.set(bits.get() | (f.constant(1, I64) << lane))
                            slot = f.offset(segments, (f.smaller(count.get(), SEGMENTS) - 1) * SEGMENT_ROW, I64)
                            f.store(bits.get(), slot, 1)
                            last_src.set(in_src)
                            last_dst.set(in_dst)
                        with otherwise, f.loop(0, rank) as a:  # beyond the last pixel: such a lane reads nowhere
                            f.store(f.constant(NOWHERE, I64), coords, a * block + at)
                        f.store(last_src.get(), src, at)
                        f.store(last_dst.get(), dst, at)
                few = (count.get() <= SEGMENTS) & (lane_step > 0) & (lane_step <= self.most_lane_step)
                row = f.offset(flags, v * len(FLAGS), I64)
                f.store(f.select(few, count.get(), 0), row, FLAGS.index["segments"])
                f.store(dst_near.get(), row, FLAGS.index["dst_near"])
                whole = f.args["first"] + (v + 1) * self.lanes <= pixels
                with f.when(plain.get().equals(v) & dst_near.get().equals(1) & whole):
                    plain.set(v + 1)
            f.store(plain.get() if self.numbers.parts == 1 else f.constant(0, I64), state, self.state.index["plain"])

    @property
    def most_lane_step(self) -> int:
        """Lanes at this distance or less are read by whole vectors; complex numbers are always gathered."""
        return 4 if self.numbers.parts == 1 else 0

    def locate_pixel(
        self,
        f: Function,
        rank: Value,
        tables: Value,
        state: Value,
        number: Value,
        coords: Value,
        block: Value,
        at: Value,
    ) -> tuple[Value, Value]:
        """Store one pixel's source coordinates; returns its offsets in the source and in the destination."""
        rest, in_src, in_dst = f.variable(I64), f.variable(I64), f.variable(I64)
        rest.set(number)
        in_src.set(0)
        in_dst.set(0)
        with f.loop(0, rank) as i:
            a = rank - 1 - i
            count, origin = self.axis_state.read(f, self.state_row(f, state, a), "count", "origin")
            names = ("src_stride", "src_step", "dst_stride", "dst_step")
            src_stride, src_step, dst_stride, dst_step = AXIS.read(f, self.axis_row(f, tables, a), *names)
            grid = rest.get() % count
            rest.set(rest.get() // count)
            f.store(grid * src_step, coords, a * block + at)
            in_src.set(in_src.get() + grid * src_step * src_stride)
            in_dst.set(in_dst.get() + (origin + grid * dst_step) * dst_stride)
        return in_src.get(), in_dst.get()

    def follow_row(
        self,
        f: Function,
        rank: Value,
        tables: Value,
        sections: tuple[Value, Value, Value],
        start: tuple[Value, Value],
        block: Value,
        at: Value,
    ) -> None:
        """A vector of pixels that are neighbours on the last axis, the first of which has been located."""
        lanes, numbers = self.lanes, f.lane_numbers(self.lanes)
        coords, src, dst = sections
        names = ("src_stride", "src_step", "dst_stride", "dst_step")
        src_stride, src_step, dst_stride, dst_step = AXIS.read(f, self.axis_row(f, tables, rank - 1), *names)
        with f.loop(0, rank) as a:
            row = a * block + at
            step = f.select(a.equals(rank - 1), src_step, 0)
            first = f.splat(f.load(I64, coords, row), lanes)
            f.store(first + numbers * f.splat(step, lanes), coords, row)
        for section, first, step in ((src, start[0], src_stride * src_step), (dst, start[1], dst_stride * dst_step)):
            f.store(f.splat(first, lanes) + numbers * f.splat(step, lanes), section, at)

    def emit_pack_source(self) -> None:
        """b[panel][tap][channel][parts][nr] of one chunk, widened; lanes outside the image are 0."""
        numbers, lanes, parts, nv = self.numbers, self.lanes, self.numbers.parts, self.tile.nv
        indices, stored = I64.of(lanes), numbers.stored.of(lanes)
        with self.module.function(
            "pack_source", args=PTR, state=PTR, source=PTR, c0=I64, c1=I64, t0=I64, t1=I64, panel_0=I64, vectors=I64
        ) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            rank, block, src_channel, lane_step = self.args.read(
                f, args, "rank", "block_pixels", "src_channel", "lane_step"
            )
            sections = ("at_coords", "at_src", "at_flags", "at_segments", "at_b")
            coords, offsets, flags, all_segments, b = (self.section(f, args, state, n) for n in sections)
            c0, c1, t0, t1 = (f.args[n] for n in ("c0", "c1", "t0", "t1"))
            unused = f.variable(I64, 0)
            row_size = parts * self.nr
            panel_size = (c1 - c0) * (t1 - t0) * row_size
            with f.loop(t0, t1) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, unused.ref))
                (tap_offset,) = self.state.read(f, state, "tap_offset")
                first_row = (t - t0) * (c1 - c0)
                with f.loop(f.args["panel_0"] * nv, f.args["vectors"]) as v:
                    inside = self.lanes_inside(f, rank, tables, state, coords, block, v)
                    to = f.offset(b, (v // nv) * panel_size + first_row * row_size + (v % nv) * lanes, numbers.computed)
                    (segments,) = FLAGS.read(f, f.offset(flags, v * len(FLAGS), I64), "segments")
                    with f.when(segments.equals(0)) as otherwise:
                        index = f.load(indices, offsets, v * lanes, aligned=True) + f.splat(tap_offset, lanes)
                        with f.loop(c0, c1) as c:
                            channel = f.offset(f.args["source"], c * (src_channel * parts), numbers.stored)
                            row = f.offset(to, (c - c0) * row_size, numbers.computed)
                            for p in range(parts):
                                value = f.gather(stored, f.offset(channel, index * parts + p, stored), inside)
                                f.store(numbers.widen(f, value), row, p * self.nr, aligned=True)
                    if self.most_lane_step:
                        with otherwise:
                            source = f.offset(f.args["source"], c0 * src_channel + tap_offset, numbers.stored)
                            own = f.offset(all_segments, v * (SEGMENTS * SEGMENT_ROW), I64)
                            self.pack_segments(f, own, segments, inside, source, src_channel, lane_step, to, c1 - c0)

    def pack_segments(
        self,
        f: Function,
        rows: Value,
        count: Value,
        inside: Value,
        source: Value,
        src_channel: Value,
        lane_step: Value,
        to: Value,
        channels: Value,
    ) -> None:
        """One vector of pixels for each channel, read segment by segment with whole, masked vectors."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)

        with f.loop(0, count) as n:
            row = f.offset(rows, n * SEGMENT_ROW, I64)
            start = f.offset(source, f.load(I64, row), numbers.stored)
            mask = inside & f.mask_of_bits(f.load(I64, row, 1), lanes)
            # The first segment also clears the other lanes; later ones leave them alone.
            fills = f.select(n.equals(0), f.constant(-1, mask.type), mask)
            with f.when(lane_step.equals(1)) as apart:
                with f.when(f.is_full(mask)) as partly, f.loop(0, channels) as c:
                    value = f.load(stored, start, c * src_channel)
                    f.store(numbers.widen(f, value), to, c * self.nr, aligned=True)
                with partly, f.loop(0, channels) as c:
                    value = f.masked_load(stored, f.offset(start, c * src_channel, numbers.stored), mask)
                    f.masked_store(numbers.widen(f, value), f.offset(to, c * self.nr, numbers.computed), fills)
            with apart:
                for step in range(2, self.most_lane_step + 1):
                    masks = self.spread(f, mask, step)
                    with f.when(lane_step.equals(step)), f.loop(0, channels) as c:
                        at = f.offset(start, c * src_channel, numbers.stored)
                        vectors = [
                            f.masked_load(stored, f.offset(at, j * lanes, numbers.stored), masks[j])
                            for j in range(step)
                        ]
                        value = numbers.widen(f, f.every_nth(vectors, 0))
                        f.masked_store(value, f.offset(to, c * self.nr, numbers.computed), fills)

    def lanes_inside(
        self, f: Function, rank: Value, tables: Value, state: Value, coords: Value, block: Value, v: Value
    ) -> Value:
        """The mask of a vector's lanes whose source position, for the selected tap, lies in the image."""
        lanes = self.lanes
        inside = f.variable(I1.of(lanes))
        inside.set(-1)
        with f.loop(0, rank) as a:
            (offset,) = self.axis_state.read(f, self.state_row(f, state, a), "offset")
            (extent,) = AXIS.read(f, self.axis_row(f, tables, a), "extent")
            coord = f.load(I64.of(lanes), coords, a * block + v * lanes, aligned=True)
            inside.set(inside.get() & (coord + f.splat(offset, lanes)).below(f.splat(extent, lanes)))
        return inside.get()

    def spread(self, f: Function, mask: Value, step: int) -> list[Value]:
        """Masks of the `step` vectors of which every `step`-th element is a lane of a segment."""
        lanes, none = self.lanes, f.zero(mask.type)
        places = [range(j * lanes, (j + 1) * lanes) for j in range(step)]
        return [f.shuffle(mask, none, [lanes if place % step else place // step for place in own]) for own in places]

    # ---- results

    def emit_whole_tile(self) -> None:
        """A tile whose reduction is a single chain and whose pixels are plain: summed up, finished and stored at once.

        As `micro_kernel`, but row i of vector j goes to to[i*dst_channel + offsets[j*lanes]].
        """
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        if numbers.parts == 2:
            return
        with self.module.function(
            "whole_tile", args=PTR, k=I64, a=PTR, b=PTR, b_row=I64, to=PTR, offsets=PTR, channel=I64
        ) as f:
            (dst_channel,) = self.args.read(f, f.args["args"], "dst_channel")
            epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
            cells = sum_tile(f, numbers, tile, tile.nv, asks=True)
            starts = [f.load(I64, f.args["offsets"], j * lanes) for j in range(tile.nv)]
            for i in range(tile.mr):
                epilogue.begin_row(f.args["channel"] + i)
                row = f.offset(f.args["to"], dst_channel * i, numbers.result)
                for j in range(tile.nv):
                    epilogue.store([cells[i][0][j].get()], [Place(f.offset(row, starts[j], numbers.result))])

    def emit_finish(self) -> None:
        """Finish sums (see epilogue.py) and store them: rows from row_0 and vectors from vector_0 on, up to `vectors`.

        `channel` is the result channel of row 0.
        """
        numbers, lanes, parts, nv, mr = self.numbers, self.lanes, self.numbers.parts, self.tile.nv, self.tile.mr
        with self.module.function(
            "finish", args=PTR, state=PTR, result=PTR, channel=I64, first=I64, row_0=I64, rows=I64, vector_0=I64,
            panels=I64, vectors=I64,
        ) as f:  # fmt: skip
            args, state, panels, vectors = (f.args[n] for n in ("args", "state", "panels", "vectors"))
            pixels, plain = self.state.read(f, state, "pixels", "plain")
            (dst_channel,) = self.args.read(f, args, "dst_channel")
            offsets, flags, c = (self.section(f, args, state, n) for n in ("at_dst", "at_flags", "at_c"))
            epilogue = Epilogue(f, numbers, lanes, self.args, args, self.epilogue)
            rest = f.larger(plain, f.args["vector_0"])
            with f.when(f.args["vector_0"] < vectors), f.loop(f.args["row_0"], f.args["rows"]) as m:
                epilogue.begin_row(f.args["channel"] + m)
                row = f.offset(f.args["result"], m * (dst_channel * parts), numbers.result)
                tiles = f.offset(c, ((m // mr) * panels * mr + m % mr) * (parts * self.nr), numbers.computed)

                def totals(v: Value, tiles: Value = tiles) -> list[Value]:
                    """Vector v of row m."""
                    at = f.offset(tiles, (v // nv) * (mr * parts * self.nr) + (v % nv) * lanes, numbers.computed)
                    return [f.load(self.vector, at, p * self.nr, aligned=True) for p in range(parts)]

                if parts == 1:
                    with f.loop(f.args["vector_0"], plain) as v:
                        start = f.load(I64, offsets, v * lanes)
                        epilogue.store(totals(v), [Place(f.offset(row, start, numbers.result))])
                with f.loop(rest, vectors) as v:
                    mask = f.lane_numbers(lanes) < f.splat(pixels - f.args["first"] - v * lanes, lanes)
                    index = f.load(I64.of(lanes), offsets, v * lanes, aligned=True)
                    apart = [Place(f.offset(row, index * parts + p, numbers.result), mask) for p in range(parts)]
                    if parts == 1:
                        (dst_near,) = FLAGS.read(f, f.offset(flags, v * len(FLAGS), I64), "dst_near")
                        with f.when(dst_near.equals(1)) as otherwise:
                            start = f.load(I64, offsets, v * lanes)
                            epilogue.store(totals(v), [Place(f.offset(row, start, numbers.result), mask)])
                        with otherwise:
                            epilogue.store(totals(v), apart)
                    else:
                        epilogue.store(totals(v), apart)

    def emit_run(self) -> None:
        numbers, parts, mr = self.numbers, self.numbers.parts, self.tile.mr
        tile_size = mr * parts * self.nr
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            b, c = self.section(f, args, state, "at_b"), self.section(f, args, state, "at_c")
            names = (
                "run_tasks", "pixel_blocks", "row_blocks", "phases", "groups", "block_panels", "block_row_groups",
                "row_groups", "rows", "all_taps",
            )  # fmt: skip
            (
                count,
                pixel_blocks,
                row_blocks,
                phases,
                groups,
                most_panels,
                most_row_groups,
                row_groups,
                rows,
                all_taps,
            ) = self.args.read(f, args, *names)
            strides = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel")
            src_batch, src_group, dst_batch, dst_group, dst_channel = self.args.read(f, args, *strides)
            src, dst, panels_of_w = (self.args.pointer(f, args, n) for n in ("src", "dst", "panels"))
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                first = (task % pixel_blocks) * (most_panels * self.nr)
                rest = task // pixel_blocks
                row_block, rest = rest % row_blocks, rest // row_blocks
                phase, rest = rest % phases, rest // phases
                group, sample = rest % groups, rest // groups
                f.call("select_phase", args, state, phase)
                pixels, before = self.state.read(f, state, "pixels", "taps_before")
                with f.when(first < pixels):
                    panels = f.smaller((pixels - first + (self.nr - 1)) // self.nr, most_panels)
                    # Vectors without a pixel, which fill up the last panel, are neither located nor packed nor stored.
                    vectors = f.smaller((pixels - first + (self.lanes - 1)) // self.lanes, panels * self.tile.nv)
                    f.call("locate_pixels", args, state, first, vectors)
                    group_0 = row_block * most_row_groups
                    own_groups = f.smaller(row_groups - group_0, most_row_groups)
                    source = f.offset(src, (sample * src_batch + group * src_group) * parts, numbers.stored)
                    channels, chunk_c, taps, chunk_t = self.chunks(f, args, state)
                    panel_rows = all_taps * channels
                    a = f.variable(PTR, f.offset(
                        panels_of_w,
                        ((group * row_groups + group_0) * panel_rows + before * channels) * (mr * parts),
                        numbers.computed,
                    ))  # fmt: skip
                    # Whole panels of a problem that reads the image as it lies are multiplied in place.
                    in_place, in_place_offset, src_channel = self.args.read(
                        f, args, "in_place", "in_place_offset", "src_channel"
                    )
                    packed_from = f.smaller((pixels - first) // self.nr * in_place, panels)
                    row_0 = group_0 * mr
                    result = f.offset(
                        dst,
                        (sample * dst_batch + group * dst_group + row_0 * dst_channel) * parts,
                        numbers.result,
                    )
                    channel_0 = group * rows + row_0
                    own_rows = f.smaller(rows - row_0, own_groups * mr)
                    # A reduction of one chain is stored straight from registers, where tiles are whole.
                    (plain,) = self.state.read(f, state, "plain")
                    single = (channels * taps > 0) & (chunk_c >= channels) & (chunk_t >= taps)
                    whole_panels = f.select(single, plain // self.tile.nv, 0)
                    whole_groups = own_rows // mr
                    first_chunk = f.variable(I64, 1)
                    with f.loop(0, channels, chunk_c) as c0, f.loop(0, taps, chunk_t) as t0:
                        c1, t1 = f.smaller(c0 + chunk_c, channels), f.smaller(t0 + chunk_t, taps)
                        k = (c1 - c0) * (t1 - t0)
                        f.call("pack_source", args, state, source, c0, c1, t0, t1, packed_from, vectors)
                        with f.loop(0, panels) as q:
                            is_packed = q >= packed_from
                            as_it_lies = f.offset(
                                source, c0 * src_channel + (in_place_offset + first + q * self.nr), numbers.stored
                            )
                            packed = f.offset(b, q * k * (parts * self.nr), numbers.computed)
                            columns = f.select(is_packed, packed, as_it_lies)
                            b_row = f.select(is_packed, f.constant(parts * self.nr, I64), src_channel)
                            tiles_from = f.variable(I64)
                            tiles_from.set(0)
                            if parts == 1:
                                with f.when(q < whole_panels), f.loop(0, whole_groups) as g:
                                    tile_a = f.offset(a.get(), g * panel_rows * mr, numbers.computed)
                                    to = f.offset(result, g * mr * dst_channel, numbers.result)
                                    places = f.offset(self.section(f, args, state, "at_dst"), q * self.nr, I64)
                                    channel = channel_0 + g * mr
                                    f.call("whole_tile", args, k, tile_a, columns, b_row, to, places, channel)
                                    tiles_from.set(whole_groups)
                            left = vectors - q * self.tile.nv
                            done = f.variable(I64)
                            done.set(0)
                            for width in reversed(self.tile.widths):
                                # The narrowest tile that has a vector for each pixel left.
                                fits = (left <= width) if width < self.tile.nv else (left > 0)
                                with f.when(fits & done.get().equals(0)), f.loop(tiles_from.get(), own_groups) as g:
                                    done.set(1)
                                    tile_a = f.offset(a.get(), g * panel_rows * (mr * parts), numbers.computed)
                                    tile_c = f.offset(c, (g * panels + q) * tile_size, numbers.computed)
                                    name = f"micro_kernel_{width}"
                                    f.call(name, k, tile_a, columns, b_row, tile_c, first_chunk.get())
                        a.set(f.offset(a.get(), k * (mr * parts), numbers.computed))
                        first_chunk.set(0)
                    with (
                        f.when(first_chunk.get().equals(1)),
                        f.loop(0, own_groups * panels * tile_size, self.lanes) as i,
                    ):
                        f.store(f.zero(self.vector), c, i, aligned=True)  # an empty sum: no tap hits this phase
                    whole_rows = f.select(whole_panels > 0, whole_groups * mr, 0)
                    stored = whole_panels * self.tile.nv
                    f.call("finish", args, state, result, channel_0, first, 0, whole_rows, stored, panels, vectors)
                    f.call("finish", args, state, result, channel_0, first, whole_rows, own_rows, 0, panels, vectors)
