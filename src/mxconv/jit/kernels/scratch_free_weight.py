"""Weight gradient without scratch: dw[o, c, t] = sum over samples and pixels of dy[o, p] * x[c, p*stride + offset_t].

A task is one tap and a register tile of result channels o times source channels c; it goes through all samples and
the box of pixels at which the tap hits the image. Either pixels of the lane axis lie in lanes, and the lanes are added
at the end, or, where dy has its channels last, result channels do. Chains of at most `chain` products are added to a
second level on the stack, and 256 of those to a third. A task owns its results, so the bits do not depend on how many
threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir import I32, I64, PTR, Function, Operand, Value, Variable
from ..target import Target
from .correlation import AXIS, AXIS_STATE_NAMES, STATE_NAMES, Correlation
from .gemm import Tile, accumulate
from .in_place import LaneRange, LaneReader
from .scratch_free import MOST_RANK

ARGS = ("batch", "channel_groups", "src_lane", "dst_lane")
"""This algorithm's slots, after COMMON_ARGS."""

STATE = ("at_src", "at_dst", "lines")
AXIS_STATE = ("length",)
STATE_SLOTS = len(STATE_NAMES) + len(STATE) + MOST_RANK * (len(AXIS_STATE_NAMES) + len(AXIS_STATE))

SECOND_LEVEL = 256
"""Chains whose sums are added to one another before the third level takes them."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on.

    Lanes hold pixels, which lie `near` in x (see in_place) and then one after the other in dy; or result channels,
    which lie one after the other in dy, and the tile's `mr` counts vectors of them.
    """

    dtype: str
    tile: Tile
    near: int
    channel_lanes: bool

    @property
    def name(self) -> str:
        lanes = "channels" if self.channel_lanes else f"pixels_{self.near}"
        return f"scratch_free_weight_{self.dtype}_{self.tile.mr}x{self.tile.nv}_{lanes}"


def emit_scratch_free_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR: the exported function `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Correlation):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec.dtype, spec.tile, target, ARGS, STATE, AXIS_STATE, packs_weight=False)
        self.near = spec.near
        self.channel_lanes = spec.channel_lanes
        self.tile_rows = spec.tile.mr * (self.lanes if spec.channel_lanes else 1)
        self.sums = spec.tile.mr * spec.tile.nv * self.numbers.parts
        """Vectors of one level of the sum."""
        self.emit_select_box()
        self.emit_fold()
        self.emit_sum_pairs()
        if spec.channel_lanes:
            self.emit_store_lanes()
        else:
            self.emit_store_sums()
        self.emit_run()

    # ---- the pixels of a tap

    def emit_select_box(self) -> None:
        """Decode a tap into the state: the box of grid positions at which it hits the image, on every axis."""
        with self.module.function("select_box", args=PTR, state=PTR, tap=I64, w_offset=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            f.call("select_phase", args, state, 0)
            f.call("select_tap", args, state, f.args["tap"], f.args["w_offset"])
            in_src, in_dst, lines = f.variable(I64, 0), f.variable(I64, 0), f.variable(I64, 1)
            with f.loop(0, rank) as a:
                mine = self.state_row(f, state, a)
                count, offset = self.axis_state.read(f, mine, "count", "offset")
                names = ("extent", "src_stride", "src_step", "dst_stride")
                extent, src_stride, step, dst_stride = AXIS.read(f, self.axis_row(f, tables, a), *names)
                begin, end = (
                    f.smaller((f.larger(to, 0) + (step - 1)) // step, count) for to in (0 - offset, extent - offset)
                )
                length = f.larger(end - begin, 0)
                f.store(length, mine, self.axis_state.index["length"])
                in_src.set(in_src.get() + (begin * step + offset) * src_stride)
                in_dst.set(in_dst.get() + begin * dst_stride)
                with f.when(a < rank - 2):
                    lines.set(lines.get() * length)
            for name, cell in (("at_src", in_src), ("at_dst", in_dst), ("lines", lines)):
                f.store(cell.get(), state, self.state.index[name])

    def locate_plane(self, f: Function, state: Value, number: Value) -> tuple[Value, Value]:
        """Offsets in x and dy of a plane, a position on all axes but the last two."""
        args = f.args["args"]
        tables = self.args.pointer(f, args, "tables")
        (rank,) = self.args.read(f, args, "rank")
        at_src, at_dst = self.state.read(f, state, "at_src", "at_dst")
        rest, in_src, in_dst = (f.variable(I64) for _ in range(3))
        rest.set(number)
        in_src.set(at_src)
        in_dst.set(at_dst)
        with f.loop(0, rank - 2) as i:
            a = rank - 3 - i
            (length,) = self.axis_state.read(f, self.state_row(f, state, a), "length")
            names = ("src_stride", "src_step", "dst_stride")
            src_stride, step, dst_stride = AXIS.read(f, self.axis_row(f, tables, a), *names)
            position = rest.get() % length
            rest.set(rest.get() // length)
            in_src.set(in_src.get() + position * step * src_stride)
            in_dst.set(in_dst.get() + position * dst_stride)
        return in_src.get(), in_dst.get()

    # ---- sums

    def emit_fold(self) -> None:
        """Add the second level of the sum to the third, and begin it anew."""
        with (
            self.module.function("fold", second=PTR, third=PTR) as f,
            f.loop(0, self.sums * self.lanes, self.lanes) as i,
        ):
            second, third = (f.load(self.vector, f.args[n], i, aligned=True) for n in ("second", "third"))
            f.store(third + second, f.args["third"], i, aligned=True)
            f.store(f.zero(self.vector), f.args["second"], i, aligned=True)

    def emit_sum_pairs(self) -> None:
        """sums[mr][nv][parts] vectors: the products of `mr` channels of dy with `nv` of x, for the selected tap."""
        numbers, lanes, parts, tile = self.numbers, self.lanes, self.numbers.parts, self.tile
        with self.module.function("sum_pairs", args=PTR, state=PTR, x=PTR, dy=PTR, sums=PTR) as f:
            args, state, sums = f.args["args"], f.args["state"], f.args["sums"]
            second = f.stack(numbers.computed, self.sums * lanes)
            with f.loop(0, self.sums * lanes, lanes) as i:
                f.store(f.zero(self.vector), second, i, aligned=True)
                f.store(f.zero(self.vector), sums, i, aligned=True)
            rank, batch, chain = self.args.read(f, args, "rank", "batch", "chain")
            src_batch, src_channel, src_lane = self.args.read(f, args, "src_batch", "src_channel", "src_lane")
            dst_batch, dst_channel, dst_lane = self.args.read(f, args, "dst_batch", "dst_channel", "dst_lane")
            tables = self.args.pointer(f, args, "tables")
            row_axis = self.axis_row(f, tables, rank - 2)
            src_stride, step, dst_row = AXIS.read(f, row_axis, "src_stride", "src_step", "dst_stride")
            src_row = src_stride * step
            (rows,) = self.axis_state.read(f, self.state_row(f, state, rank - 2), "length")
            (columns,) = self.axis_state.read(f, self.state_row(f, state, rank - 1), "length")
            (planes,) = self.state.read(f, state, "lines")

            cells = [[f.variable(self.vector, 0) for _ in range(parts)] for _ in range(tile.mr * tile.nv)]
            x_channels = [src_channel * (j * parts) for j in range(tile.nv)]
            width: int = 1
            x_step: Operand = src_lane * parts
            dy_step: Operand = dst_lane * parts
            if self.channel_lanes:
                of_dy = LaneReader(f, numbers, lanes, 1, dst_channel)
                dy_rows = [of_dy.step * i for i in range(tile.mr)]
            else:
                of_x = LaneReader(f, numbers, lanes, self.near, src_lane)
                of_dy = LaneReader(f, numbers, lanes, min(self.near, 1), dst_lane)
                dy_rows = [dst_channel * (i * parts) for i in range(tile.mr)]
                width, x_step, dy_step = lanes, of_x.step, of_dy.step

            def multiply(x: Value, dy: Value, within: LaneRange | None = None) -> None:
                at_x = [f.offset(x, c, numbers.stored) for c in x_channels]
                if self.channel_lanes:
                    sources = [self.splat_number(f, at) for at in at_x]
                else:
                    sources = [of_x.read(at, 0, within) for at in at_x]
                for i in range(tile.mr):
                    gradient = of_dy.read(f.offset(dy, dy_rows[i], numbers.stored), 0, within)
                    for j in range(tile.nv):
                        accumulate(cells[i * tile.nv + j], gradient, sources[j])

            length, chains = f.variable(I64, 0), f.variable(I64, 0)
            flush = self.flusher(f, cells, second, chains)
            with f.loop(0, batch) as sample, f.loop(0, planes) as plane:
                in_src, in_dst = self.locate_plane(f, state, plane)
                with f.loop(0, rows) as row, f.loop(0, columns, chain * width) as first:
                    x = f.offset(
                        f.args["x"],
                        (sample * src_batch + in_src + row * src_row + first * src_lane) * parts,
                        numbers.stored,
                    )
                    dy = f.offset(
                        f.args["dy"],
                        (sample * dst_batch + in_dst + row * dst_row + first * dst_lane) * parts,
                        numbers.stored,
                    )
                    pixels = f.smaller(columns - first, chain * width)
                    vectors = (pixels + (width - 1)) // width
                    with f.when(length.get() + vectors > chain):
                        flush()
                        length.set(0)
                    length.set(length.get() + vectors)
                    whole = pixels // width
                    with f.loop(0, whole) as v:
                        multiply(f.offset(x, v * x_step, numbers.stored), f.offset(dy, v * dy_step, numbers.stored))
                    if width > 1:
                        with f.when(whole < vectors):
                            rest = f.cast("trunc", pixels - whole * width, I32)
                            multiply(
                                f.offset(x, whole * x_step, numbers.stored),
                                f.offset(dy, whole * dy_step, numbers.stored),
                                LaneRange(f.zero(I32.of(lanes)), f.splat(rest, lanes)),
                            )
            flush()
            f.call("fold", second, sums)

    def splat_number(self, f: Function, at: Value) -> list[Value]:
        """The number at an address, widened, in every lane."""
        numbers = self.numbers
        return [f.splat(numbers.widen(f, f.load(numbers.stored, at, p)), self.lanes) for p in range(numbers.parts)]

    def flusher(self, f: Function, cells: list[list[Variable]], second: Value, chains: Variable) -> Callable[[], None]:
        """What ends a chain: its sums go to the second level, and that to the third when it is long."""

        def flush() -> None:
            for n, cell in enumerate(c for pair in cells for c in pair):
                so_far = f.load(self.vector, second, n * self.lanes, aligned=True)
                f.store(so_far + cell.get(), second, n * self.lanes, aligned=True)
                cell.set(0)
            chains.set(chains.get() + 1)
            with f.when(chains.get().equals(SECOND_LEVEL)):
                f.call("fold", second, f.args["sums"])
                chains.set(0)

        return flush

    def emit_store_sums(self) -> None:
        """Add the lanes of each sum, always in the same order, narrow them and store them; the first rows and
        channels of a tile that begins early are its neighbours'."""
        numbers, lanes, parts, tile = self.numbers, self.lanes, self.numbers.parts, self.tile
        with self.module.function("store_sums", args=PTR, w=PTR, first_row=I64, first_channel=I64, sums=PTR) as f:
            w_row, w_channel = self.args.read(f, f.args["args"], "w_row", "w_channel")
            with f.loop(f.args["first_row"], tile.mr) as i, f.loop(f.args["first_channel"], tile.nv) as j:
                to = f.offset(f.args["w"], (i * w_row + j * w_channel) * parts, numbers.result)
                at = f.offset(f.args["sums"], (i * tile.nv + j) * (parts * lanes), numbers.computed)
                for p in range(parts):
                    total = f.load(self.vector, at, p * lanes, aligned=True)
                    half = lanes // 2
                    while half:
                        total = f.shuffle(total, total, range(half)) + f.shuffle(total, total, range(half, 2 * half))
                        half //= 2
                    f.store(numbers.narrow(f, total), to, p)

    def emit_store_lanes(self) -> None:
        """Narrow the sums and store each lane at its result channel."""
        numbers, lanes, parts, tile = self.numbers, self.lanes, self.numbers.parts, self.tile
        with self.module.function("store_sums", args=PTR, w=PTR, first_row=I64, first_channel=I64, sums=PTR) as f:
            w_row, w_channel = self.args.read(f, f.args["args"], "w_row", "w_channel")
            with f.loop(0, tile.mr) as i, f.loop(f.args["first_channel"], tile.nv) as j:
                row = f.lane_numbers(lanes) + f.splat(i * lanes, lanes)
                mask = row >= f.splat(f.args["first_row"], lanes)
                to = f.offset(f.args["w"], j * (w_channel * parts), numbers.result)
                at = f.offset(f.args["sums"], (i * tile.nv + j) * (parts * lanes), numbers.computed)
                for p in range(parts):
                    value = numbers.narrow(f, f.load(self.vector, at, p * lanes, aligned=True))
                    pointers = f.offset(f.offset(to, p, value.type), row * f.splat(w_row * parts, lanes), value.type)
                    f.scatter(value, pointers, mask)

    def emit_run(self) -> None:
        numbers, parts, tile = self.numbers, self.numbers.parts, self.tile
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state, sums = f.stack(I64, STATE_SLOTS), f.stack(numbers.computed, self.sums * self.lanes)
            w_offset = f.variable(I64, 0)
            names = ("run_tasks", "all_taps", "row_groups", "channel_groups", "rows", "channels")
            count, taps, row_groups, channel_groups, rows, channels = self.args.read(f, args, *names)
            src_group, src_channel = self.args.read(f, args, "src_group", "src_channel")
            dst_group, dst_channel = self.args.read(f, args, "dst_group", "dst_channel")
            w_group, w_row, w_channel = self.args.read(f, args, "w_group", "w_row", "w_channel")
            src, dst, w = (self.args.pointer(f, args, n) for n in ("src", "dst", "w"))
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                tap, rest = task % taps, task // taps
                channel_group, rest = rest % channel_groups, rest // channel_groups
                row_group, group = rest % row_groups, rest // row_groups
                row = f.smaller(row_group * self.tile_rows, rows - self.tile_rows)
                channel = f.smaller(channel_group * tile.nv, channels - tile.nv)
                f.call("select_box", args, state, tap, Value(f, PTR, w_offset.ref))
                f.call(
                    "sum_pairs",
                    args,
                    state,
                    f.offset(src, (group * src_group + channel * src_channel) * parts, numbers.stored),
                    f.offset(dst, (group * dst_group + row * dst_channel) * parts, numbers.stored),
                    sums,
                )
                at_w = group * w_group + row * w_row + channel * w_channel + w_offset.get()
                f.call(
                    "store_sums",
                    args,
                    f.offset(w, at_w * parts, numbers.result),
                    row_group * self.tile_rows - row,
                    channel_group * tile.nv - channel,
                    sums,
                )
