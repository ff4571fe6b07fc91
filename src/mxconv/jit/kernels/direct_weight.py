"""Direct weight gradient: dw[o, c, t] = sum over samples and pixels of dy[o, p] * x[c, p*stride + offset_t].

Result channels o lie in lanes. Of a box of pixels, in one or more samples, x is staged with its padding in the source's
order and dy is transposed to panels [pixel][o]; the register tile multiplies a panel's vectors by scalars of x, one for
each of `mr` pairs (c, t), each read at its pair's offset from where the pixel's window begins; so strides and dilations
cost nothing, nor do short rows. Some of the box's pixels are a chain of the sum; a tile's chains are added one after
the other, while its sums are in the cache.

A task has some of the channels c (a *part*) and some panels of o. Where it has all pixels too, it stores dw when its
last box is done, from sums in scratch. Else every slice of the pixels has sums of its own, and a last job adds the
slices, always in the same order.

Sums:   [slice][group][part][panel of o][pair (c, t)][nr]
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I64, PTR, Function, Value
from ..target import Target
from . import weight_panels
from .correlation import AXIS
from .gemm import Tile, accumulate, put_or_add
from .staging import ROW_LIST, RUN_LIST
from .weight_panels import SEGMENT, WeightPanels

_OWN_ARGS = (
    "blocks", "boxes", "batch", "box_samples", "row_parts", "part_panels", "at_pixels", "at_panel", "at_sums",
    "partial", "panel_sums", "add_counter", "add_tasks",
)  # fmt: skip
ARGS = (*weight_panels.ARGS, *_OWN_ARGS)
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


class _Bundle(WeightPanels):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, _OWN_ARGS)
        self.emit_tile()
        self.emit_run_panel()
        self.emit_run_box()
        self.emit_run()
        self.emit_add_slices()

    # ---- the register tile

    def emit_tile(self) -> None:
        """sums[mr][nr] (+)= over k pixels of staged[offsets[i] + places[pixel]] * panel[pixel][nr]: one chain."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function(
            "tile", k=I64, places=PTR, offsets=PTR, staged=PTR, panel=PTR, sums=PTR, first=I64
        ) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            sources = [
                f.offset(f.args["staged"], f.load(I64, f.args["offsets"], i), numbers.computed) for i in range(tile.mr)
            ]
            for i in range(0, tile.mr * self.nr, 64 // numbers.computed.itemsize):
                f.prefetch(f.offset(f.args["sums"], i, numbers.computed), 1)
            with f.loop(0, f.args["k"]) as pixel:
                at = f.load(I64, f.args["places"], pixel)
                here = f.offset(f.args["panel"], pixel * self.nr, numbers.computed)
                vectors = [f.load(self.vector, here, j * lanes, aligned=True) for j in range(tile.nv)]
                for i in range(tile.mr):
                    sample = f.splat(f.load(numbers.computed, sources[i], at), lanes)
                    for j in range(tile.nv):
                        accumulate([cells[i][j]], [sample], [vectors[j]])
            places = [i * self.nr + j * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["sums"], places, [cell.get() for row in cells for cell in row])

    # ---- drivers

    def emit_run_panel(self) -> None:
        """Add a box to the sums of one panel, or begin them (first = 1)."""
        numbers, tile = self.numbers, self.tile
        with self.module.function(
            "run_panel", args=PTR, state=PTR, samples=I64, pair_groups=I64, sums=PTR, first=I64,
            x=PTR, x_part=I64, x_parts=I64, dy=PTR, dy_rows=I64,
        ) as f:  # fmt: skip
            args, state, samples, pair_groups = (f.args[n] for n in ("args", "state", "samples", "pair_groups"))
            rank, chain = self.args.read(f, args, "rank", "chain")
            (stride,) = AXIS.read(f, self.axis_row(f, self.args.pointer(f, args, "tables"), rank - 1), "src_stride")
            columns, span = self.own(f, state, rank - 1, "length", "span")
            names = ("own_channels", "rows", "runs", "segments")
            channels, rows, runs, segments = self.state.read(f, state, *names)
            sections = ("at_rows", "at_pixels", "at_segments", "at_offsets", "at_staged", "at_panel")
            row_list, pixels, table, offsets, staged, panel = (self.section(f, args, state, n) for n in sections)
            names = ("src_batch", "src_channel", "dst_batch", "dst_channel")
            src_batch, src_channel, dst_batch, dst_channel = self.args.read(f, args, *names)
            (dy_length,) = SEGMENT.read(f, table, "pixels")
            count = samples * runs * columns
            with f.loop(0, pair_groups) as g:
                x_parts, dy_rows = f.args["x_parts"], f.args["dy_rows"]
                with f.when(x_parts > 0):
                    own, all_ = f.args["x_part"] * pair_groups + g, x_parts * pair_groups
                    f.call(
                        "ask", f.args["x"], samples, src_batch, channels, src_channel, row_list, rows, len(ROW_LIST),
                        span * stride, own, all_,
                    )  # fmt: skip
                with f.when(dy_rows > 0):
                    f.call(
                        "ask", f.args["dy"], samples, dst_batch, dy_rows, dst_channel, table, segments, len(SEGMENT),
                        dy_length, g, pair_groups,
                    )  # fmt: skip
                at = f.offset(f.args["sums"], g * (tile.mr * self.nr), numbers.computed)
                with f.loop(0, count, chain) as k:
                    f.call(
                        "tile",
                        f.smaller(count - k, chain),
                        f.offset(pixels, k, I64),
                        f.offset(offsets, g * tile.mr, I64),
                        staged,
                        f.offset(panel, k * self.nr, numbers.computed),
                        at,
                        f.args["first"] & f.cast("zext", k.equals(0), I64),
                    )

    def emit_run_box(self) -> None:
        """Add one box of one group, in a few samples, to a task's sums, or begin them (first = 1); store them if it is
        the last of all."""
        numbers = self.numbers
        with self.module.function(
            "run_box", args=PTR, state=PTR, box=I64, end=I64, group=I64, row_part=I64, pair_groups=I64, sums=PTR,
            first=I64,
        ) as f:  # fmt: skip
            args, state, box, end, group = (f.args[n] for n in ("args", "state", "box", "end", "group"))
            names = ("blocks", "batch", "box_samples", "rank", "rows", "slices", "boxes")
            blocks, batch, box_samples, rank, rows, slices, boxes = self.args.read(f, args, *names)
            names = ("src_batch", "src_group", "src_channel", "dst_batch", "dst_group", "dst_channel", "dst_lane")
            src_batch, src_group, src_channel, dst_batch, dst_group, dst_channel, lane = self.args.read(f, args, *names)
            sample, block = box // blocks * box_samples, box % blocks
            # Samples that are one box each have the same lists.
            with f.when(f.args["first"].equals(1) | (blocks > 1)):
                f.call("select_block", args, state, block)
                f.call("list_rows", args, state)
                f.call("list_runs", args, state)
                f.call("list_segments", args, state)
                f.call("list_offsets", args, state, self.section(f, args, state, "at_offsets"))
                self.fill_up_offsets(f, args, state, f.args["pair_groups"])
            own, first_channel = self.state.read(f, state, "own_channels", "first_channel")
            plane, runs = self.state.read(f, state, "plane", "runs")
            (columns,) = self.own(f, state, rank - 1, "length")
            sections = ("at_runs", "at_pixels", "at_staged", "at_panel")
            run_list, pixels, staged, panel = (self.section(f, args, state, n) for n in sections)
            samples = f.smaller(batch - sample, box_samples)
            in_x = sample * src_batch + group * src_group + first_channel * src_channel
            x = f.offset(self.args.pointer(f, args, "src"), in_x, numbers.stored)
            tables = self.args.pointer(f, args, "tables")
            step, stride = self.axis(f, tables, rank - 1, "src_step", "src_stride")
            first_lane = self.destination(f, tables, state, rank - 1, f.constant(0, I64))
            in_dy = sample * dst_batch + group * dst_group + first_lane
            dy = f.offset(self.args.pointer(f, args, "dst"), in_dy, numbers.stored)
            with f.loop(0, samples) as s:
                at_sample = s * (own * plane)
                own_x = f.offset(x, s * src_batch, numbers.stored)
                f.call("stage", args, state, own_x, f.offset(staged, at_sample, numbers.computed))
                with f.loop(0, runs) as r, f.loop(0, columns) as q:
                    (begin,) = RUN_LIST.read(f, f.offset(run_list, r * len(RUN_LIST), I64), "staged")
                    f.store(begin + at_sample + q * step, pixels, (s * runs + r) * columns + q)
            following = box + 1
            there = (following // blocks * box_samples, following % blocks)
            to_src, to_dst = self.box_distance(f, args, (sample, block), there)
            low = self.own(f, state, rank - 1, "low")[0]
            next_x = f.offset(x, to_src + low, numbers.stored)
            goes_on = f.cast("zext", following < end, I64)
            asks_x, asks_dy = f.cast("zext", stride <= 2, I64) * goes_on, f.cast("zext", lane.equals(1), I64)
            panels, most, panel_sums = self.args.read(f, args, "panels_of_rows", "part_panels", "panel_sums")
            begin = f.args["row_part"] * most
            end_panel = f.smaller(begin + most, panels)
            size = runs * columns * self.nr
            stores = f.cast("zext", slices.equals(1) & following.equals(boxes), I64)
            with f.loop(begin, end_panel) as n:
                row = n * self.nr
                with f.loop(0, samples) as s:
                    own_dy = f.offset(dy, s * dst_batch + row * dst_channel, numbers.stored)
                    f.call("pack_panel", args, state, own_dy, f.offset(panel, s * size, numbers.computed), rows - row)
                # Next comes the next panel of this box, or the first one of the next.
                stays = (n + 1) < end_panel
                next_row = f.select(stays, n + 1, begin) * self.nr
                next_dy = f.offset(
                    dy, next_row * dst_channel + f.select(stays, f.constant(0, I64), to_dst), numbers.stored
                )
                wanted = f.smaller(rows - next_row, self.nr) * asks_dy * f.select(stays, f.constant(1, I64), goes_on)
                sums = f.offset(f.args["sums"], (n - begin) * panel_sums, numbers.computed)
                f.call(
                    "run_panel", args, state, samples, f.args["pair_groups"], sums, f.args["first"],
                    next_x, n - begin, (end_panel - begin) * asks_x, next_dy, wanted,
                )  # fmt: skip
                with f.when(stores.equals(1)):
                    f.call("store_panel", args, state, group, n, sums)

    def fill_up_offsets(self, f: Function, args: Value, state: Value, pair_groups: Value) -> None:
        """The last group of pairs may be short: its other pairs repeat the first, and are not stored at the end."""
        taps, own = self.state.read(f, state, "taps", "own_channels")
        offsets = self.section(f, args, state, "at_offsets")
        with f.loop(taps * own, pair_groups * self.tile.mr) as n:
            f.store(f.load(I64, offsets), offsets, n)

    def emit_run(self) -> None:
        """A task is one part of the channels and of the panels, in one slice of one group."""
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "groups", "slices", "boxes", "parts", "row_parts", "part_panels", "panels_of_rows")
            count, groups, slices, boxes, parts, row_parts, part_panels, panels = self.args.read(f, args, *names)
            panel_sums, slice_sums = self.args.read(f, args, "panel_sums", "slice_sums")
            partial, in_scratch = self.args.pointer(f, args, "partial"), self.section(f, args, state, "at_sums")
            f.call("select_phase", args, state, 0)
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                part, rest = task % parts, task // parts
                row_part, rest = rest % row_parts, rest // row_parts
                group, piece = rest % groups, rest // groups
                pair_groups = self.select_part(f, args, state, part)
                f.call("list_places", args, state)
                at = piece * slice_sums + ((group * parts + part) * panels + row_part * part_panels) * panel_sums
                sums = f.select(slices.equals(1), in_scratch, f.offset(partial, at, self.numbers.computed))
                first, end = piece * boxes // slices, (piece + 1) * boxes // slices
                with f.loop(first, end) as box:
                    begins = f.cast("zext", box.equals(first), I64)
                    f.call("run_box", args, state, box, end, group, row_part, pair_groups, sums, begins)
                with f.when(boxes.equals(0)):
                    with f.loop(0, pair_groups * (self.tile.mr * self.nr), self.lanes) as i:
                        f.store(f.zero(self.vector), sums, i, aligned=True)
                    begin = row_part * part_panels
                    with f.loop(begin, f.smaller(begin + part_panels, panels)) as n:
                        f.call("store_panel", args, state, group, n, sums)

    def emit_add_slices(self) -> None:
        """dw = the sum of all slices, narrowed and stored; a task is one panel of a part of the channels of a group."""
        with self.module.function("add_slices", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("add_tasks", "parts", "panels_of_rows", "panel_sums")
            count, parts, panels, panel_sums = self.args.read(f, args, *names)
            partial = self.args.pointer(f, args, "partial")
            f.call("select_phase", args, state, 0)
            with f.tasks(self.args.address(f, args, "add_counter"), count) as task:
                panel, rest = task % panels, task // panels
                self.select_part(f, args, state, rest % parts)
                f.call("list_places", args, state)
                sums = f.offset(partial, task * panel_sums, self.numbers.computed)
                f.call("store_panel", args, state, rest // parts, panel, sums)
