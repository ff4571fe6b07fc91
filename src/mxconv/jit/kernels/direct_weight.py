"""Direct weight gradient: dw[o, c, t] = sum over samples and pixels of dy[o, p] * x[c, p*stride + offset_t].

Result channels o lie in lanes. A box of pixels is one chain of the sum: dy is transposed to panels [pixel][o], x is
staged with its padding in the source's order, and the register tile multiplies a panel's vectors by scalars of x, one
for each of `mr` pairs (c, t), read at a plain offset; so strides and dilations cost nothing. Each chain is added to
sums in memory, of which every slice of the pixels has its own; a last job adds the slices, always in the same order.

Sums:   partial[slice][group][panel of o][mr-group of (c, t)][mr][nr]
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I64, PTR, Function, Value
from ..target import Target
from .correlation import AXIS
from .gemm import Tile, accumulate, put_or_add
from .staging import RUN_LIST, Staging

ARGS = (
    "blocks", "slices", "slice_boxes", "boxes", "panels_of_rows", "pair_groups", "at_panel", "partial", "partial_size",
    "add_counter", "add_tasks", "dst_lane", "parts", "part_groups", "batch",
    "box_samples",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS and staging.SECTIONS."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile

    @property
    def name(self) -> str:
        return f"direct_weight_{self.dtype}_{self.tile.mr}x{self.tile.nv}"


def emit_direct_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `run(args, worker)` and then `add_slices(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Staging):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, run_axes=1, packs_weight=False, by_channel=True)
        self.emit_transpose_block()
        self.emit_pack_panels()
        self.emit_prefetch_dy()
        self.emit_tile()
        self.emit_run_box()
        self.emit_run()
        self.emit_add_square()
        self.emit_add_slices()

    # ---- dy in panels [panel of o][pixel][nr]

    def emit_transpose_block(self) -> None:
        """One vector of pixels of one vector of channels: to[pixel * nr + channel], zeros beyond `rows` channels."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("transpose_block", args=PTR, dy=PTR, to=PTR, pixels=I64, rows=I64) as f:
            dy, to, pixels, rows = (f.args[n] for n in ("dy", "to", "pixels", "rows"))
            channel, lane = self.args.read(f, f.args["args"], "dst_channel", "dst_lane")
            valid = f.lane_numbers(lanes) < f.splat(rows, lanes)
            with f.when(lane.equals(1)) as otherwise:
                mask = f.lane_numbers(lanes) < f.splat(pixels, lanes)
                read = []
                for i in range(lanes):
                    exists = f.splat(f.constant(i, I64) < rows, lanes)
                    read.append(f.masked_load(stored, f.offset(dy, channel * i, stored), mask & exists))
                for i, column in enumerate(f.transpose([numbers.widen(f, r) for r in read])):
                    with f.when(pixels > i):
                        f.store(column, to, i * self.nr, aligned=True)
            with otherwise, f.loop(0, pixels) as pixel:
                at = f.offset(dy, pixel * lane, stored)
                place = f.offset(to, pixel * self.nr, numbers.computed)
                with f.when(channel.equals(1)) as apart:
                    f.store(numbers.widen(f, f.masked_load(stored, at, valid)), place, aligned=True)
                with apart:
                    pointers = f.offset(at, f.lane_numbers(lanes) * f.splat(channel, lanes), stored)
                    f.store(numbers.widen(f, f.gather(stored, pointers, valid)), place, aligned=True)

    def emit_pack_panels(self) -> None:
        """dy of one sample's box, transposed, to panels of `size` elements; `dy` is the group's first element."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("pack_panels", args=PTR, state=PTR, dy=PTR, to=PTR, size=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, rows, panels, channel, lane = self.args.read(
                f, args, "rank", "rows", "panels_of_rows", "dst_channel", "dst_lane"
            )
            tables = self.args.pointer(f, args, "tables")
            run_list, to, size = self.section(f, args, state, "at_runs"), f.args["to"], f.args["size"]
            (runs,) = self.state.read(f, state, "runs")
            (columns,) = self.own(f, state, rank - 1, "length")
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            with f.loop(0, panels * self.tile.nv) as v, f.loop(0, runs) as r, f.loop(0, columns, lanes) as q:
                (at_dst,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "dst")
                row = v * lanes
                at = row * channel + at_dst + first_lane + q * lane
                place = (v // self.tile.nv) * size + (r * columns + q) * self.nr + (v % self.tile.nv) * lanes
                f.call(
                    "transpose_block",
                    args,
                    f.offset(f.args["dy"], at, numbers.stored),
                    f.offset(to, place, numbers.computed),
                    f.smaller(columns - q, lanes),
                    rows - row,
                )

    def emit_prefetch_dy(self) -> None:
        """`prefetch` for dy: `dy` is where the next box's rows begin."""
        with self.module.function("prefetch_dy", args=PTR, state=PTR, dy=PTR, part=I64, parts=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, rows, channel = self.args.read(f, args, "rank", "rows", "dst_channel")
            (runs,) = self.state.read(f, state, "runs")
            (columns,) = self.own(f, state, rank - 1, "length")
            run_list = self.section(f, args, state, "at_runs")
            self.prefetch_rows(f, f.args["dy"], rows, channel, run_list, RUN_LIST, "dst", runs, columns)

    # ---- the register tile

    def emit_tile(self) -> None:
        """sums[mr][nr] (+)= over runs, columns of x[offsets[i] + run + column*step] * panel[pixel][nr]: one chain."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function(
            "tile",
            runs=I64,
            run_list=PTR,
            columns=I64,
            step=I64,
            offsets=PTR,
            staged=PTR,
            panel=PTR,
            sums=PTR,
            first=I64,
        ) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            sources = [
                f.offset(f.args["staged"], f.load(I64, f.args["offsets"], i), numbers.computed) for i in range(tile.mr)
            ]
            panel = f.variable(PTR, f.args["panel"])
            with f.loop(0, f.args["runs"]) as r:
                (begin,) = RUN_LIST.read(f, f.offset(f.args["run_list"], r * len(RUN_LIST), I64), "staged")
                at = f.variable(I64)
                at.set(begin)
                with f.loop(0, f.args["columns"]):
                    here = panel.get()
                    vectors = [f.load(self.vector, here, j * lanes, aligned=True) for j in range(tile.nv)]
                    for i in range(tile.mr):
                        sample = f.splat(f.load(numbers.computed, sources[i], at.get()), lanes)
                        for j in range(tile.nv):
                            accumulate([cells[i][j]], [sample], [vectors[j]])
                    panel.set(f.offset(here, self.nr, numbers.computed))
                    at.set(at.get() + f.args["step"])
            places = [i * self.nr + j * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["sums"], places, [cell.get() for row in cells for cell in row])

    # ---- drivers

    def emit_run_box(self) -> None:
        """Add one box of one group, in a few samples from one on, to the sums of a slice (or begin them: first = 1),
        for a share of the (tap, channel) pairs."""
        numbers, tile = self.numbers, self.tile
        with self.module.function(
            "run_box", args=PTR, state=PTR, sample=I64, group=I64, block=I64, sums=PTR, first=I64, part=I64
        ) as f:
            args, state, sample, group = (f.args[n] for n in ("args", "state", "sample", "group"))
            src_batch, src_group, dst_batch, dst_group = self.args.read(
                f, args, "src_batch", "src_group", "dst_batch", "dst_group"
            )
            rank, panels, pair_groups = self.args.read(f, args, "rank", "panels_of_rows", "pair_groups")
            f.call("select_block", args, state, f.args["block"])
            f.call("list_rows", args, state)
            f.call("list_runs", args, state)
            f.call("list_offsets", args, state, self.section(f, args, state, "at_offsets"))
            x, dy = self.args.pointer(f, args, "src"), self.args.pointer(f, args, "dst")
            tables = self.args.pointer(f, args, "tables")
            (step,) = AXIS.read(f, self.axis_row(f, tables, rank - 1), "src_step")
            (columns,) = self.own(f, state, rank - 1, "length")
            runs, plane = self.state.read(f, state, "runs", "plane")
            sections = ("at_runs", "at_offsets", "at_staged", "at_panel")
            run_list, offsets, staged, panel = (self.section(f, args, state, n) for n in sections)
            batch, box_samples, channels = self.args.read(f, args, "batch", "box_samples", "channels")
            samples = f.smaller(batch - sample, box_samples)
            size = runs * columns * self.nr
            with f.loop(0, samples) as s:
                own_x = f.offset(x, (sample + s) * src_batch + group * src_group, numbers.stored)
                own_dy = f.offset(dy, (sample + s) * dst_batch + group * dst_group, numbers.stored)
                at_sample = s * (channels * plane)
                f.call("stage", args, state, own_x, f.offset(staged, at_sample, numbers.computed))
                f.call("pack_panels", args, state, own_dy, f.offset(panel, s * size, numbers.computed), samples * size)
                with f.loop(0, runs) as r:
                    (begin,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "staged")
                    f.store(begin + at_sample, f.offset(run_list, (s * runs + r) * len(RUN_LIST), I64))
            self.fill_up_offsets(f, args, state)
            (blocks,) = self.args.read(f, args, "blocks")
            following = f.args["block"] + 1
            next_sample = sample + following // blocks * samples
            to_src, to_dst = self.box_distance(f, args, (sample, f.args["block"]), (next_sample, following % blocks))
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            next_x = f.offset(x, sample * src_batch + group * src_group + to_src, numbers.stored)
            next_dy = f.offset(dy, sample * dst_batch + group * dst_group + to_dst + first_lane, numbers.stored)
            (most,) = self.args.read(f, args, "part_groups")
            begin = f.args["part"] * most
            own = f.smaller(pair_groups - begin, most)
            with f.loop(0, panels) as n, f.loop(0, own) as i:
                g = begin + i
                part, parts = n * own + i, panels * own
                with f.loop(0, samples) as s:
                    f.call("prefetch", args, state, f.offset(next_x, s * src_batch, numbers.stored), part, parts)
                    f.call("prefetch_dy", args, state, f.offset(next_dy, s * dst_batch, numbers.stored), part, parts)
                f.call(
                    "tile",
                    samples * runs,
                    run_list,
                    columns,
                    step,
                    f.offset(offsets, g * tile.mr, I64),
                    staged,
                    f.offset(panel, n * samples * size, numbers.computed),
                    f.offset(f.args["sums"], (n * pair_groups + g) * (tile.mr * self.nr), numbers.computed),
                    f.args["first"],
                )

    def fill_up_offsets(self, f: Function, args: Value, state: Value) -> None:
        """The last group of pairs may be short: its other pairs repeat the first, and are not stored at the end."""
        channels, pair_groups = self.args.read(f, args, "channels", "pair_groups")
        (taps,) = self.state.read(f, state, "taps")
        offsets = self.section(f, args, state, "at_offsets")
        with f.loop(taps * channels, pair_groups * self.tile.mr) as n:
            f.store(f.load(I64, offsets), offsets, n)

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "groups", "slice_boxes", "boxes", "blocks", "partial_size", "parts", "box_samples")
            count, groups, slice_boxes, boxes, blocks, size, parts, box_samples = self.args.read(f, args, *names)
            partial = self.args.pointer(f, args, "partial")
            f.call("select_phase", args, state, 0)
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                part, rest = task % parts, task // parts
                group, piece = rest % groups, rest // groups
                sums = f.offset(partial, rest * size, self.numbers.computed)
                first = piece * slice_boxes
                with f.loop(first, f.smaller(first + slice_boxes, boxes)) as box:
                    begins = f.cast("zext", box.equals(first), I64)
                    sample = box // blocks * box_samples
                    f.call("run_box", args, state, sample, group, box % blocks, sums, begins, part)
                with f.when(boxes.equals(0)), f.loop(0, size, self.lanes) as i:
                    f.store(f.zero(self.vector), sums, i, aligned=True)

    def emit_add_slices(self) -> None:
        """dw = the sum of all slices, narrowed and stored; a task is one vector of (channel, tap) pairs of one group.

        Result channels are in lanes, but in dw pairs are neighbours: squares of both are transposed on the way.
        """
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("add_slices", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("add_tasks", "groups", "rows", "channels", "w_group", "w_row", "w_channel")
            count, groups, rows, channels, w_group, w_row, w_channel = self.args.read(f, args, *names)
            weight = self.args.pointer(f, args, "w")
            in_weight, near = f.variable(I64, 0), f.variable(I64)
            cell = Value(f, PTR, in_weight.ref)
            square, places = f.stack(numbers.computed, lanes * lanes), f.stack(I64, lanes)
            f.call("select_phase", args, state, 0)
            (taps,) = self.state.read(f, state, "taps")
            with f.tasks(self.args.address(f, args, "add_counter"), count) as task:
                group, first = task % groups, task // groups * lanes
                pairs = f.smaller(channels * taps - first, lanes)
                near.set(1)
                with f.loop(0, lanes) as i:
                    pair = first + f.smaller(i, pairs - 1)
                    f.call("select_tap", args, state, pair % taps, cell)
                    place = in_weight.get() + pair // taps * w_channel
                    f.store(place, places, i)
                    follows = place.equals(f.load(I64, places) + i) | (i >= pairs)
                    near.set(near.get() & f.cast("zext", follows, I64))
                exists = f.lane_numbers(lanes) < f.splat(pairs, lanes)
                with f.loop(0, rows, lanes) as row:
                    f.call("add_square", args, group, row // lanes, first, pairs, square)
                    with f.loop(0, f.smaller(rows - row, lanes)) as o:
                        value = numbers.narrow(f, f.load(self.vector, square, o * lanes, aligned=True))
                        to = f.offset(weight, group * w_group + (row + o) * w_row, numbers.result)
                        with f.when(near.get().equals(1)) as apart:
                            f.masked_store(value, f.offset(to, f.load(I64, places), numbers.result), exists)
                        with apart:
                            index = f.load(I64.of(lanes), places, aligned=True)
                            f.scatter(value, f.offset(to, index, numbers.result), exists)

    def emit_add_square(self) -> None:
        """square[channel][pair] = the sums of all slices for vector `v` of result channels and some pairs."""
        numbers, tile, lanes = self.numbers, self.tile, self.lanes
        with self.module.function("add_square", args=PTR, group=I64, v=I64, first=I64, pairs=I64, square=PTR) as f:
            args, v, square = f.args["args"], f.args["v"], f.args["square"]
            names = ("groups", "slices", "pair_groups", "partial_size")
            groups, slices, pair_groups, size = self.args.read(f, args, *names)
            partial = self.args.pointer(f, args, "partial")
            total = f.variable(self.vector)
            with f.loop(0, f.args["pairs"]) as i:
                pair = f.args["first"] + i
                tile_at = (v // tile.nv) * pair_groups + pair // tile.mr
                place = (tile_at * tile.mr + pair % tile.mr) * self.nr + (v % tile.nv) * lanes
                total.set(0)
                with f.loop(0, slices) as piece:
                    sums = f.offset(partial, (piece * groups + f.args["group"]) * size, numbers.computed)
                    total.set(total.get() + f.load(self.vector, sums, place, aligned=True))
                f.store(total.get(), square, i * lanes, aligned=True)
            rows = f.transpose([f.load(self.vector, square, n * lanes, aligned=True) for n in range(lanes)])
            for n, row in enumerate(rows):
                f.store(row, square, n * lanes, aligned=True)
