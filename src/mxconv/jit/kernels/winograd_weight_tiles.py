"""Winograd weight gradient, first part: chunks of tiles, staged and transformed with channels in lanes.

The last two spatial axes (r, c) are transformed, the one before them (z) and all others are plain. A tile is m
positions of dy on each transformed axis, `dilation` apart, and the n = m + taps - 1 samples of x that all taps of the
kernel reach from them. On an axis, `dilation` tiles that begin at neighbouring positions make a group, which covers
m*dilation positions without a gap; so nothing but the step inside a tile depends on the dilation.

A chunk of work is a box: some samples, one position on the other axes, some on z, some groups of tiles on r and c.
All its tiles are transformed before they are multiplied, those of x once for all taps of z:

    x panels    [point][vector of channels][other taps][sample][z of x][tile][lanes]
    dy panels   [point][panel of nv vectors of channels][sample][z of x][tile][nv * lanes]

Panels of dy have tiles of zeros where x has more positions on z, so that a chunk is one run of tiles for every tap.
Whether a chunk has a number that is not finite, or so large that a transform of it might not be, is noted on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I32, I64, PTR, Function, Module, Operand, Type, Value, Variable
from ..numbers import Numbers
from ..target import Target
from ..winograd import Matrix, Winograd, emit_product, winograd
from .blocks import Layout
from .gemm import Tile

_STRIDES = ("batch", "group", "channel", "z", "r", "c")
ARGS = Layout(
    (
        # set for each call
        "x", "y", "w", "sums", "shared", "scratch", "flags",
        "run_counter", "finish_counter", "ready", "done",
        # element strides
        *(f"{array}_{of}" for array in "xy" for of in _STRIDES),
        "w_group", "w_row", "w_channel", "w_z", "w_r", "w_c",
        # the axes z, r, c, and how many others there are, in tables
        *(f"{of}_{axis}" for axis in "zrc" for of in ("in", "out", "pad", "dilation", "size", "blocks", "groups")),
        "taps_z", "others", "tables", "positions", "other_taps",
        # channels of one group, and the vectors and tiles that they take
        "batch", "groups", "rows", "channels", "x_vectors", "y_vectors", "y_panels", "channel_tiles",
        # chunks, each with so many samples, and what is done with them
        "samples", "chunks", "slices", "slice_chunks", "chunk_flags", "run_tasks", "finish_tasks", "panel_parts",
        # what is summed at once: panels of dy by tiles of x channels, and how many such parts there are
        "part_panels", "part_tiles", "y_parts", "x_parts",
        # elements: panels of a vector, of a point, and where those of dy begin; sums of a point, of a tap, of a slice
        "x_pitch", "y_pitch", "x_point", "y_point", "at_y", "panels_size", "point_sums", "tap_sums", "all_sums",
        # one worker's scratch in bytes, and its sections; elements of a staged row
        "scratch_bytes", "at_staged", "at_panels", "at_sums", "at_block", "at_square", "at_chain", "staged_pitch",
    )
)  # fmt: skip
"""The argument block. An axis has `size` groups of tiles (z: positions) in each but the last of its `blocks`, of
`groups` in all."""
OTHER = Layout(("in", "out", "taps", "pad", "dilation", "x", "y", "w"))
"""What is known of one of the other axes: extents, and element strides of the three arrays."""
STATE = Layout(
    (
        "first_sample", "samples", "position", "low_z", "count_z", "span", "low_r", "groups_r", "low_c", "groups_c",
        "tiles", "length", "other_x", "other_y", "other_w", "other_inside",
    )
)  # fmt: skip
"""A worker's chunk: where it begins on each axis, in positions of dy; its tiles in a plane and in its run."""

HUGE_EXPONENT = {4: 50, 8: 500}
"""Numbers from 2 to this on are not transformed, by the bytes of the computed type: transforms and products of those
below stay finite."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    m: int
    """Positions of dy in a tile, on each axis with more than one tap."""
    taps: tuple[int, int]
    """Taps on r and c."""
    tile: Tile
    is_dilated: bool
    """Whether neighbours in a tile may lie apart on c."""

    @property
    def transforms(self) -> tuple[Winograd, Winograd]:
        """By axis. F(taps, m): the taps are what is computed, and dy stands where a kernel would."""
        r, c = (winograd(taps, self.m if taps > 1 else 1) for taps in self.taps)
        return r, c

    @property
    def points(self) -> int:
        """Products of a tile."""
        r, c = self.transforms
        return r.n * c.n

    @property
    def name(self) -> str:
        taps = "x".join(map(str, self.taps))
        words = ["dilated"] * self.is_dilated
        return "_".join((f"winograd_weight_{self.m}", self.dtype, taps, f"{self.tile.mr}x{self.tile.nv}", *words))


class Transforms:
    """The functions of a bundle that make panels."""

    def __init__(self, spec: Spec, target: Target) -> None:
        self.spec, self.tile = spec, spec.tile
        self.numbers = Numbers.of(spec.dtype)
        self.lanes = target.lanes(self.numbers.computed.itemsize)
        self.vector = self.numbers.computed.of(self.lanes)
        self.nr = spec.tile.nv * self.lanes
        self.module = Module(target)
        self.emit_select_other()
        self.emit_select_chunk()
        self.emit_stage()
        r, c = spec.transforms
        self.emit_transform("x", (r.data, c.data))
        self.emit_transform("y", (r.kernel, c.kernel))
        self.emit_transform_x()
        self.emit_transform_y()

    # ---- addresses

    def scratch(self, f: Function, args: Value) -> Value:
        """This worker's scratch; its state stands at the head."""
        (size,) = ARGS.read(f, args, "scratch_bytes")
        return f.offset(ARGS.pointer(f, args, "scratch"), f.args["worker"] * size, Type("i8"))

    def section(self, f: Function, args: Value, state: Value, name: str) -> Value:
        (at,) = ARGS.read(f, args, name)
        return f.offset(state, at, Type("i8"))

    def put(self, f: Function, state: Value, **values: Operand) -> None:
        for name, value in values.items():
            f.store(f.constant(value, I64), state, STATE.index[name])

    # ---- where a chunk lies

    def emit_select_other(self) -> None:
        """Decode a position and a tap on the other axes: offsets in the arrays, and whether x has it."""
        with self.module.function("select_other", args=PTR, state=PTR, position=I64, tap=I64) as f:
            args, state = f.args["args"], f.args["state"]
            (others,) = ARGS.read(f, args, "others")
            tables = ARGS.pointer(f, args, "tables")
            position, tap = f.variable(I64, f.args["position"]), f.variable(I64, f.args["tap"])
            in_x, in_y, in_w, inside = (f.variable(I64, n) for n in (0, 0, 0, 1))
            with f.loop(0, others) as i:
                row = f.offset(tables, (others - 1 - i) * len(OTHER), I64)
                extent, out, taps, pad, dilation, x, y, w = OTHER.read(f, row, *OTHER.names)
                own, own_tap = position.get() % out, tap.get() % taps
                position.set(position.get() // out)
                tap.set(tap.get() // taps)
                at = own + own_tap * dilation - pad
                in_x.set(in_x.get() + at * x)
                in_y.set(in_y.get() + own * y)
                in_w.set(in_w.get() + own_tap * w)
                inside.set(inside.get() & f.cast("zext", at.below(extent), I64))
            self.put(f, state, other_x=in_x.get(), other_y=in_y.get(), other_w=in_w.get(), other_inside=inside.get())

    def emit_select_chunk(self) -> None:
        """Decode a chunk's number (c fastest, samples last) into the state."""
        with self.module.function("select_chunk", args=PTR, state=PTR, chunk=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rest = f.variable(I64, f.args["chunk"])
            tiles = f.variable(I64, 1)
            for axis, transform in zip("rc"[::-1], self.spec.transforms[::-1], strict=True):
                own_names = (f"{of}_{axis}" for of in ("size", "blocks", "groups", "dilation"))
                size, blocks, groups, dilation = ARGS.read(f, args, *own_names)
                first = (rest.get() % blocks) * size
                rest.set(rest.get() // blocks)
                own = f.smaller(size, groups - first)
                tiles.set(tiles.get() * own * dilation)
                self.put(f, state, **{f"low_{axis}": first * dilation * transform.r, f"groups_{axis}": own})
            names = ("size_z", "blocks_z", "groups_z", "dilation_z", "taps_z", "positions", "samples", "batch")
            size, blocks, groups, dilation, taps, positions, samples, batch = ARGS.read(f, args, *names)
            first = (rest.get() % blocks) * size
            rest.set(rest.get() // blocks)
            count = f.smaller(size, groups - first)
            span = count + (taps - 1) * dilation
            position, first_sample = rest.get() % positions, rest.get() // positions * samples
            own_samples = f.smaller(samples, batch - first_sample)
            length = ((own_samples - 1) * span + count) * tiles.get()
            self.put(f, state, low_z=first, count_z=count, span=span, position=position, first_sample=first_sample)
            self.put(f, state, samples=own_samples, tiles=tiles.get(), length=length)

    # ---- one plane of one vector of channels

    def emit_stage(self) -> None:
        """to[row][pitch][lanes] = the box of an image from (low_r, low_c) on, zeros outside of it; gives 1 if there is
        a number that must not be transformed."""
        extents = ("rows", "columns", "low_r", "low_c", "extent_r", "extent_c")
        strides = ("stride_r", "stride_c", "stride", "channels", "pitch")
        shape = dict.fromkeys((*extents, *strides), I64)
        with self.module.function("stage", exported=False, source=PTR, to=PTR, **shape) as f:
            a = f.args
            lanes, stored = self.lanes, self.numbers.stored
            worst = f.variable(self.bits, 0)
            exists = f.lane_numbers(lanes) < f.splat(a["channels"], lanes)
            by_channel = f.lane_numbers(lanes) * f.splat(a["stride"], lanes)
            with f.loop(0, a["rows"]) as i:
                at_r, row = a["low_r"] + i, f.offset(a["to"], i * (a["pitch"] * lanes), self.vector)
                source = f.offset(a["source"], at_r * a["stride_r"], stored)
                with f.when(at_r.below(a["extent_r"])) as outside:
                    with f.when(a["stride_c"].equals(1)) as apart, f.loop(0, a["columns"], lanes) as q:
                        self.stage_square(f, worst, source, a["low_c"] + q, f.offset(row, q * lanes, self.vector))
                    with apart, f.loop(0, a["columns"]) as q:
                        at = a["low_c"] + q
                        mask = exists & f.splat(at.below(a["extent_c"]), lanes)
                        here = f.offset(source, at * a["stride_c"], stored)
                        read = f.variable(stored.of(lanes))
                        with f.when(a["stride"].equals(1)) as gathered:
                            read.set(f.masked_load(read.type, here, mask))
                        with gathered:
                            read.set(f.gather(read.type, f.offset(here, by_channel, stored), mask))
                        f.store(self.checked(f, worst, read.get()), row, q * lanes, aligned=True)
                with outside, f.loop(0, a["columns"]) as q:
                    f.store(f.zero(self.vector), row, q * lanes, aligned=True)
            above = worst.get() >= self.least_huge
            found = f.cast("zext", f.emit(self.short, f"bitcast {above.type} {above.ref} to {self.short}"), I64)
            f.give(f.cast("zext", f.compare("ne", found, 0), I64))

    @property
    def bits(self) -> Type:
        """Integers as wide as computed numbers, and as many."""
        return (I32 if self.numbers.computed.itemsize == 4 else I64).of(self.lanes)

    @property
    def short(self) -> Type:
        """The integer with a bit a lane."""
        return Type(f"i{self.lanes}")

    @property
    def least_huge(self) -> int:
        """The bits of the least number that is not transformed; those of infinities and NaNs are above."""
        size = self.numbers.computed.itemsize
        fraction, bias = (23, 127) if size == 4 else (52, 1023)
        return (HUGE_EXPONENT[size] + bias) << fraction

    def checked(self, f: Function, worst: Variable, value: Value) -> Value:
        """A stored vector, widened; its absolute values, as integers, go into `worst`."""
        wide = self.numbers.widen(f, value)
        bits = self.bits
        plain = f.cast("bitcast", wide, bits.element) & ((1 << (bits.itemsize * 8 - 1)) - 1)
        worst.set(f.larger(worst.get(), plain))
        return wide

    def stage_square(self, f: Function, worst: Variable, source: Value, at: Value, to: Value) -> None:
        """A vector of columns of each channel, transposed."""
        a, lanes, stored = f.args, self.lanes, self.numbers.stored
        mask = (f.lane_numbers(lanes) + f.splat(at, lanes)).below(f.splat(a["extent_c"], lanes))
        rows = [f.variable(stored.of(lanes)) for _ in range(lanes)]
        first = f.offset(source, at, stored)
        places = [f.offset(first, a["stride"] * i, stored) for i in range(lanes)]
        for place in places:  # of the next channels, while these are transposed; they need not exist
            f.prefetch(f.offset(place, a["stride"] * lanes, stored))
        with f.when(a["channels"] >= lanes) as part:
            for row, place in zip(rows, places, strict=True):
                row.set(f.masked_load(row.type, place, mask))
        with part:
            for i, (row, place) in enumerate(zip(rows, places, strict=True)):
                row.set(f.masked_load(row.type, place, mask & f.splat(a["channels"] > i, lanes)))
        for i, column in enumerate(f.transpose([self.checked(f, worst, row.get()) for row in rows])):
            f.store(column, to, i * lanes, aligned=True)

    def emit_transform(self, array: str, matrices: tuple[Matrix, Matrix]) -> None:
        """Stage a plane and put its tiles, transformed, at `to`, one point `pitch` elements after the other.

        `source` is the plane's first element of the vector's first channel; with inside = 0 the plane is all zeros.
        """
        shape = {"source": PTR, "to": PTR, "channels": I64, "inside": I64}
        with self.module.function(f"transform_{array}_plane", exported=False, args=PTR, state=PTR, **shape) as f:
            args, state = f.args["args"], f.args["state"]
            lanes, computed = self.lanes, self.numbers.computed
            staged, block = (self.section(f, args, state, name) for name in ("at_staged", "at_block"))
            tile, point = (lanes, "x_point") if array == "x" else (self.nr, "y_point")
            names = ("staged_pitch", point, *(f"{array}_{of}" for of in ("r", "c", "channel")))
            pitch, by_point, stride_r, stride_c, stride = ARGS.read(f, args, *names)
            kind, sizes, steps, groups, lows, extents = "in" if array == "x" else "out", [], [], [], [], []
            for axis, matrix, transform in zip("rc", matrices, self.spec.transforms, strict=True):
                dilation, extent, pad = ARGS.read(f, args, f"dilation_{axis}", f"{kind}_{axis}", f"pad_{axis}")
                low, own = STATE.read(f, state, f"low_{axis}", f"groups_{axis}")
                lows.append(low - pad if array == "x" else low)
                extents.append(extent * f.args["inside"])
                sizes.append((own * transform.r + (len(matrix[0]) - transform.r)) * dilation)
                steps.append(dilation)
                groups.append(own)
            given = (*sizes, *lows, *extents, stride_r, stride_c, stride, f.args["channels"], pitch)
            f.give(f.call_for(I64, "stage", f.args["source"], staged, *given))
            row_step = pitch * lanes
            by_c: Operand = steps[1] * lanes if self.spec.is_dilated else lanes
            to = f.variable(PTR, f.args["to"])
            own_m = [transform.r for transform in self.spec.transforms]
            with f.loop(0, groups[0]) as group_r, f.loop(0, steps[0]) as phase_r:
                row = f.offset(staged, (group_r * (steps[0] * own_m[0]) + phase_r) * row_step, computed)
                with f.loop(0, groups[1]) as group_c, f.loop(0, steps[1]) as phase_c:
                    corner = f.offset(row, (group_c * (steps[1] * own_m[1]) + phase_c) * lanes, computed)
                    self.transform_tile(f, corner, row_step * steps[0], by_c, block, matrices, to.get(), by_point)
                    to.set(f.offset(to.get(), tile, computed))

    def transform_tile(
        self,
        f: Function,
        corner: Value,
        by_r: Value,
        by_c: Operand,
        block: Value,
        matrices: tuple[Matrix, Matrix],
        to: Value,
        by_point: Value,
    ) -> None:
        """All points of one tile: by columns into `block`, which holds them in between, then by its rows."""
        over_r, over_c = matrices
        lanes, width = self.lanes, len(over_c[0])
        rows = [corner]
        for _ in over_r[0][1:]:
            rows.append(f.offset(rows[-1], by_r, self.vector))
        columns: list[Operand] = [0]
        for _ in over_c[0][1:]:
            columns.append(columns[-1] + by_c)
        for j, column in enumerate(columns):
            read = [f.load(self.vector, row, column, aligned=True) for row in rows]
            for i, value in enumerate(emit_product(f, over_r, read)):
                f.store(value, block, (i * width + j) * lanes, aligned=True)
        place = to
        for i in range(len(over_r)):
            read = [f.load(self.vector, block, (i * width + j) * lanes, aligned=True) for j in range(width)]
            for value in emit_product(f, over_c, read):
                f.store(value, place, aligned=True)
                place = f.offset(place, by_point, self.vector)

    # ---- a chunk

    def emit_transform_x(self) -> None:
        """The chunk's tiles of a vector of x channels; `panels` are the chunk's. Gives 1 as `stage` does."""
        with self.module.function("transform_x", args=PTR, state=PTR, panels=PTR, group=I64, vector=I64) as f:
            args, state, vector = f.args["args"], f.args["state"], f.args["vector"]
            strides = ARGS.read(f, args, *(f"x_{of}" for of in _STRIDES[:4]))
            by_sample, by_group, by_channel, by_z = strides
            channels, taps, in_z, pad, pitch = ARGS.read(f, args, "channels", "other_taps", "in_z", "pad_z", "x_pitch")
            names = ("first_sample", "samples", "low_z", "span", "tiles", "position")
            first, samples, low, span, tiles, position = STATE.read(f, state, *names)
            source = f.offset(
                ARGS.pointer(f, args, "x"),
                f.args["group"] * by_group + vector * (by_channel * self.lanes),
                self.numbers.stored,
            )
            to = f.variable(PTR, f.offset(f.args["panels"], vector * (pitch * self.lanes), self.vector))
            left = f.smaller(channels - vector * self.lanes, self.lanes)
            found = f.variable(I64, 0)
            with f.loop(0, taps) as tap:
                f.call("select_other", args, state, position, tap)
                other, other_inside = STATE.read(f, state, "other_x", "other_inside")
                with f.loop(first, first + samples) as sample, f.loop(0, span) as z:
                    at = low + z - pad
                    plane = f.offset(source, other + sample * by_sample + at * by_z, self.numbers.stored)
                    inside = other_inside & f.cast("zext", at.below(in_z), I64)
                    bad = f.call_for(I64, "transform_x_plane", args, state, plane, to.get(), left, inside)
                    found.set(found.get() | bad)
                    to.set(f.offset(to.get(), tiles * self.lanes, self.vector))
            f.give(found.get())

    def emit_transform_y(self) -> None:
        """The chunk's tiles of a vector of dy channels, with tiles of zeros between two samples; gives as before."""
        with self.module.function("transform_y", args=PTR, state=PTR, panels=PTR, group=I64, vector=I64) as f:
            args, state, vector = f.args["args"], f.args["state"], f.args["vector"]
            strides = ARGS.read(f, args, *(f"y_{of}" for of in _STRIDES[:4]))
            by_sample, by_group, by_channel, by_z = strides
            channels, pitch = ARGS.read(f, args, "rows", "y_pitch")
            names = ("first_sample", "samples", "low_z", "count_z", "span", "tiles", "position")
            first, samples, low, count, span, tiles, position = STATE.read(f, state, *names)
            f.call("select_other", args, state, position, 0)
            (other,) = STATE.read(f, state, "other_y")
            source = f.offset(
                ARGS.pointer(f, args, "y"),
                other + f.args["group"] * by_group + vector * (by_channel * self.lanes),
                self.numbers.stored,
            )
            panel, within = vector // self.tile.nv, vector % self.tile.nv
            place = panel * (pitch * self.nr) + within * self.lanes
            to = f.variable(PTR, f.offset(f.args["panels"], place, self.vector))
            left = f.smaller(channels - vector * self.lanes, self.lanes)
            found = f.variable(I64, 0)
            with f.loop(0, samples) as sample:
                planes = f.select(sample.equals(samples - 1), count, span)
                with f.loop(0, planes) as z:
                    plane = f.offset(source, (first + sample) * by_sample + (low + z) * by_z, self.numbers.stored)
                    inside = f.cast("zext", z < count, I64)
                    bad = f.call_for(I64, "transform_y_plane", args, state, plane, to.get(), left, inside)
                    found.set(found.get() | bad)
                    to.set(f.offset(to.get(), tiles * self.nr, self.vector))
            f.give(found.get())
