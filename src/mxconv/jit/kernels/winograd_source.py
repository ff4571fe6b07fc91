"""The source of a Winograd kernel: staged a vector of channels at a time, and transformed tile by tile."""

from __future__ import annotations

from ..ir import I32, I64, PTR, Function, Value
from ..target import Target
from .in_place import LaneRange, LaneReader
from .pointwise import Huge
from .winograd_filter import Filter
from .winograd_tiles import CLASS, EMPTY, ENTRY, LANE_PHASE, SLOT, Spec


class Source(Filter):
    """Adds `list_entries`, which sees to it that all planes of the source that a position needs are transformed."""

    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target)
        if spec.strided:
            self.emit_list_places()
        self.emit_stage()
        self.emit_tiles_in()
        self.emit_transform_plane()
        self.emit_list_entries()

    # ---- the source, forward: strip[row][column][channel lanes], v[slot][phase][point][channels][tile][lanes]

    def emit_stage(self) -> None:
        """A block's samples of a vector of channels, of one plane of one sample; gives whether there are huge ones.

        `source` is the plane's first sample in the group's first channel, `block` numbers the vectors of channels.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage", args=PTR, state=PTR, source=PTR, block=I64) as f:
            rank, entries, pitch = self.get(f, "rank", "entries", "in_pitch")
            row_start, row_tiles, lane_start, lane_tiles = self.now(
                f, "row_start", "row_tiles", "lane_start", "lane_tiles"
            )
            row_delta, lane_delta, residues = self.get(f, "row_delta", "lane_delta", "lane_residues")
            strip = self.at(f, "at_strip")
            lane_first, lane_reach = self.now(f, "lane_first", "lane_reach")
            span = (lane_tiles * self.lane.m + (self.lane.r - 2)) * lane_delta + residues + lane_reach
            huge = Huge(f, self.vector)
            left = entries - f.args["block"] * lanes
            with f.loop(0, row_tiles * self.row.m + (self.row.r - 1)) as i:
                to = f.offset(strip, i * pitch, numbers.computed)
                row = row_start + i * row_delta
                if self.spec.strided:
                    self.stage_strided(f, to, row, lane_start, span, huge)
                else:
                    (row_first,) = self.own(f, rank - 2, "first_offset")
                    self.stage_row(f, to, row + row_first, lane_start + lane_first, span, left, huge)
            f.give(f.cast("zext", huge.found(), I64))

    def stage_row(
        self, f: Function, to: Value, row: Value, column: Value, span: Value, left: Value, huge: Huge
    ) -> None:
        """One row of the strip: `left` channels of the source's row, from a column on."""
        numbers, lanes = self.numbers, self.lanes
        stored, computed = numbers.stored, numbers.computed
        (rank, channel) = self.get(f, "rank", "src_channel")
        extent, stride = self.table(f, "extent", rank - 1), self.table(f, "src_stride", rank - 1)
        width = f.select(row.below(self.table(f, "extent", rank - 2)), extent, 0)
        place = f.args["block"] * lanes * channel + row * self.table(f, "src_stride", rank - 2)
        source = f.offset(f.args["source"], place, stored)
        numbered = f.lane_numbers(lanes)
        with f.when(stride.equals(1) & (channel.equals(1) ^ 1)) as otherwise, f.loop(0, span, lanes) as i:
            at = column + i
            cells = [f.variable(stored.of(lanes)) for _ in range(lanes)]
            start = f.offset(source, at, stored)
            pointers = [f.offset(start, channel * c, stored) for c in range(lanes)]
            with f.when((at >= 0) & (at + lanes <= width) & (left >= lanes)) as partly:
                for cell, pointer in zip(cells, pointers, strict=True):
                    cell.set(f.load(stored.of(lanes), pointer))
            with partly:
                mask = (numbered + f.splat(at, lanes)).below(f.splat(width, lanes))
                for c, (cell, pointer) in enumerate(zip(cells, pointers, strict=True)):
                    cell.set(f.masked_load(stored.of(lanes), pointer, f.select(left > c, mask, 0)))
            values = [numbers.widen(f, cell.get()) for cell in cells]
            for value in values:
                huge.see(value)
            own = f.offset(to, i * lanes, computed)
            for c, value in enumerate(f.transpose(values)):
                f.store(value, own, c * lanes, aligned=True)
        with otherwise, f.loop(0, span) as i:
            at = column + i
            exists = numbered < f.splat(f.select(at.below(width), left, 0), lanes)
            start = f.offset(source, at * stride, stored)
            cell = f.variable(stored.of(lanes))
            with f.when(channel.equals(1)) as apart:
                cell.set(f.masked_load(stored.of(lanes), start, exists))
            with apart:
                cell.set(
                    f.gather(stored.of(lanes), f.offset(start, numbered * f.splat(channel, lanes), stored), exists)
                )
            value = numbers.widen(f, cell.get())
            huge.see(value)
            f.store(value, to, i * lanes, aligned=True)

    def emit_list_places(self) -> None:
        """Where the lanes of a strided source begin: three rows of numbers, of their channel, row and column.

        A channel's classes of taps follow each other, since they read the same lines of the source.
        """
        with self.module.function("list_places", args=PTR, state=PTR) as f:
            entries, blocks, channel, row_classes, lane_classes = self.get(
                f, "entries", "entry_blocks", "src_channel", "row_classes", "lane_classes"
            )
            places = self.at(f, "at_places")
            padded, parts = blocks * self.lanes, row_classes * lane_classes
            with f.loop(0, padded) as e:
                part = e % parts
                row = f.load(I64, self.class_of(f, "row", part // lane_classes), CLASS.index["first"])
                column = f.load(I64, self.class_of(f, "lane", part % lane_classes), CLASS.index["first"])
                f.store((e // parts) * channel, places, e)
                f.store(f.select(e < entries, row, EMPTY), places, e + padded)
                f.store(column, places, e + padded * 2)

    def stage_strided(self, f: Function, to: Value, row: Value, column: Value, span: Value, huge: Huge) -> None:
        """One row of the strip where samples lie a stride apart: row and column count positions of the grid.

        Two lanes that need every other one of the same samples are taken apart by shuffles. Meanwhile the next channels
        are asked for: a row of them is too short for the hardware to see it coming.
        """
        numbers, lanes = self.numbers, self.lanes
        stored, computed = numbers.stored, numbers.computed
        (rank, blocks) = self.get(f, "rank", "entry_blocks")
        row_step, row_stride, rows = (self.table(f, n, rank - 2) for n in ("src_step", "src_stride", "extent"))
        step, stride, extent = (self.table(f, n, rank - 1) for n in ("src_step", "src_stride", "extent"))
        places = self.at(f, "at_places")
        padded, first = blocks * lanes, f.args["block"] * lanes
        readers = [LaneReader(f, numbers, lanes, near, step * stride) for near in (1, 2)]
        numbered = f.lane_numbers(lanes)
        done = f.variable(I64, 0)
        square = f.stack(computed, lanes * lanes)

        def place_of(c: Value) -> list[Value]:
            return [f.load(I64, places, first + c + padded * n) for n in range(3)]

        def pointer_to(in_channel: Value, own: Value, start: Value) -> Value:
            return f.offset(f.args["source"], in_channel + own * row_stride + start * stride, stored)

        def put(value: Value, c: Value) -> None:
            huge.see(value)
            f.store(value, square, c * lanes, aligned=True)

        def put_pair(c: Value, pointer: Value, start: Value, width: Value) -> None:
            halves = [f.variable(stored.of(lanes)) for _ in range(2)]
            with f.when((start >= 0) & (start + 2 * lanes <= width)) as partly:
                for n, half in enumerate(halves):
                    half.set(f.load(stored.of(lanes), pointer, n * lanes))
            with partly:
                for n, half in enumerate(halves):
                    mask = (numbered + f.splat(start + n * lanes, lanes)).below(f.splat(width, lanes))
                    half.set(f.masked_load(stored.of(lanes), f.offset(pointer, n * lanes, stored), mask))
            for n, value in enumerate(f.deinterleave([half.get() for half in halves])):
                put(numbers.widen(f, value), c + n)

        for near, reader in enumerate(readers, 1):
            with f.when((step * stride).equals(near)), f.loop(0, span, lanes) as i:
                done.set(1)
                with f.loop(0, lanes, 2) as pair:
                    here, other = place_of(pair), place_of(pair + 1)
                    own, start = row * row_step + here[1], (column + i) * step + here[2]
                    width = f.select(own.below(rows), extent, 0)
                    coming = f.load(I64, places, f.smaller(first + lanes, padded - lanes) + pair)
                    for n in range(near):
                        f.prefetch(f.offset(pointer_to(coming, own, start), n * lanes, stored))
                    is_pair = step.equals(2) & stride.equals(1)
                    for mine, its, distance in zip(here, other, (0, 0, 1), strict=True):
                        is_pair = is_pair & its.equals(mine + distance)
                    with f.when(is_pair) as apart:
                        put_pair(pair, pointer_to(here[0], own, start), start, width)
                    with apart, f.loop(pair, pair + 2) as c:
                        in_channel, at_row, at_column = place_of(c)
                        own, start = row * row_step + at_row, (column + i) * step + at_column
                        width = f.select(own.below(rows), extent, 0)
                        low = f.smaller(f.larger((step - 1 - start) // step, 0), lanes)
                        high = f.smaller(f.larger((width - start + (step - 1)) // step, low), lanes)
                        within = LaneRange(*(f.splat(f.cast("trunc", n, I32), lanes) for n in (low, high - low)))
                        (value,) = reader.read(pointer_to(in_channel, own, start), 0, within)
                        put(value, c)
                values = f.transpose([f.load(self.vector, square, c * lanes, aligned=True) for c in range(lanes)])
                for n, value in enumerate(values):
                    f.store(value, f.offset(to, i * lanes, computed), n * lanes, aligned=True)
        with f.when(done.get().equals(0)), f.loop(0, span) as i:
            wide = I64.of(lanes)
            in_channel, at_row, at_column = (f.load(wide, places, first + padded * n) for n in range(3))
            own = at_row + f.splat(row * row_step, lanes)
            at = at_column + f.splat((column + i) * step, lanes)
            exists = own.below(f.splat(rows, lanes)) & at.below(f.splat(extent, lanes))
            offsets = in_channel + own * f.splat(row_stride, lanes) + at * f.splat(stride, lanes)
            value = numbers.widen(f, f.gather(stored.of(lanes), f.offset(f.args["source"], offsets, stored), exists))
            huge.see(value)
            f.store(value, to, i * lanes, aligned=True)

    def emit_tiles_in(self) -> None:
        """B_r^T d B_l of every tile of the strip, to a vector of channels of v; `shift` is the first tile's column."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("tiles_in", args=PTR, state=PTR, v=PTR, shift=I64) as f:
            pitch, delta, v_point = self.get(f, "in_pitch", "lane_delta", "v_point")
            strip = self.at(f, "at_strip")
            with self.each_tile(f) as (number, i, residue, j):
                column = j * self.lane.m * delta + residue + f.args["shift"]
                tile = f.offset(strip, i * self.row.m * pitch + column * lanes, numbers.computed)
                to = f.offset(f.args["v"], number * lanes, numbers.computed)
                self.both_ways(
                    f,
                    self.row.data,
                    self.lane.data,
                    lambda s, t: f.load(self.vector, tile, s * pitch + t * (delta * lanes), aligned=True),
                    lambda s, t, x: f.store(x, to, v_point * (s * self.lane.n + t), aligned=True),
                )

    def emit_transform_plane(self) -> None:
        """A plane of the source, for all samples of the block, into a slot of v."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("transform_plane", args=PTR, state=PTR, plane=I64, slot=I64) as f:
            args, state = f.args["args"], f.args["state"]
            blocks, phases, batch, in_group, pitch = self.get(
                f, "entry_blocks", "lane_phases", "src_batch", "src_group", "tile_pitch"
            )
            v_phase, v_slot = self.get(f, "v_phase", "v_slot")
            group, sample, samples, row_tiles, lane_tiles = self.now(
                f, "group", "sample", "samples", "row_tiles", "lane_tiles"
            )
            (residues,) = self.get(f, "lane_residues")
            own_tiles = row_tiles * residues * lane_tiles
            at_lanes, slots = self.at(f, "at_lanes"), self.at(f, "at_slots")
            source = f.offset(
                self.args.pointer(f, args, "src"), f.args["plane"] + sample * batch + group * in_group, numbers.stored
            )
            v = f.offset(self.at(f, "at_v"), f.args["slot"] * v_slot, numbers.computed)
            (lane_first,) = self.now(f, "lane_first")
            huge = f.variable(I64, 0)
            with f.loop(0, blocks) as block, f.loop(0, samples) as n:
                own = f.offset(source, n * batch, numbers.stored)
                huge.set(huge.get() | f.call_for(I64, "stage", args, state, own, block))
                with f.loop(0, phases) as phase:
                    offset = f.load(I64, at_lanes, phase * len(LANE_PHASE) + LANE_PHASE.index["first"])
                    place = phase * v_phase + (block * pitch + n * own_tiles * lanes)
                    f.call("tiles_in", args, state, f.offset(v, place, numbers.computed), offset - lane_first)
            row = f.offset(slots, f.args["slot"] * len(SLOT), I64)
            f.store(f.args["plane"], row, SLOT.index["source"])
            f.store(huge.get(), row, SLOT.index["huge"])

    def emit_list_entries(self) -> None:
        """What the sums of the current position on the outer axes are made of; planes that no slot has are
        transformed. Planes outside of the source take no part."""
        with self.module.function("list_entries", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            rank, blocks, v_slot, pitch = self.get(f, "rank", "entry_blocks", "v_slot", "tile_pitch")
            slots, entries = self.at(f, "at_slots"), self.at(f, "at_entries")
            taps, filled, huge = f.variable(I64, 1), f.variable(I64, 0), f.variable(I64, 0)
            with f.loop(0, rank - 2) as a:
                taps.set(taps.get() * self.own(f, a, "taps")[0])
            with f.loop(0, taps.get()) as tap:
                f.call("select_outer", args, state, tap)
                source, inside, slot = self.now(f, "tap_source", "tap_inside", "tap_slot")
                with f.when(inside.equals(1)):
                    row = f.offset(slots, slot * len(SLOT), I64)
                    with f.when(f.load(I64, row, SLOT.index["source"]).equals(source) ^ 1):
                        f.call("transform_plane", args, state, source, slot)
                    huge.set(huge.get() | f.load(I64, row, SLOT.index["huge"]))
                    with f.loop(0, blocks) as block:
                        entry = f.offset(entries, (filled.get() + block) * len(ENTRY), I64)
                        f.store(slot * v_slot + block * pitch, entry, ENTRY.index["v"])
                        f.store((tap * blocks + block) * (self.lanes * self.nr), entry, ENTRY.index["u"])
                    filled.set(filled.get() + blocks)
            self.note(f, filled=filled.get(), huge=huge.get())
