"""Winograd weight gradient, last part: from sums over tiles to the gradient.

Sums:   [group][slice][other taps, taps of z][point][panel of dy channels][tile of x channels][mr][nr]

(or, of one part of the channels and one tap at a time, [point][panel][tile][mr][nr]).

A square of channels, one vector of each side, is transformed back at all taps of r and c. Chunks with numbers that no
transform may see took no part in the sums: their products are added here as they are.
"""

from __future__ import annotations

from ..ir import I64, PTR, Function, Value
from ..winograd import emit_product
from .winograd_weight_tiles import ARGS, STATE, Transforms


class Sums(Transforms):
    """The functions of a bundle that turn sums into the gradient."""

    @property
    def near_taps(self) -> int:
        """Taps on r and c together."""
        return self.spec.taps[0] * self.spec.taps[1]

    def emit_sums(self) -> None:
        self.emit_invert_square()
        self.emit_add_row()
        self.emit_add_chunk()
        self.emit_store_square()
        self.emit_finish_square()

    def emit_finish_square(self) -> None:
        """The gradient of a square of channels at one tap of the axes that are not transformed, from its first sums in
        each of some `pieces`."""
        shape = dict.fromkeys(("group", "tap", "y", "x", "pieces"), I64)
        with self.module.function("finish_square", exported=False, args=PTR, state=PTR, sums=PTR, **shape) as f:
            args, state, group, tap, y, x = (f.args[name] for name in ("args", "state", "group", "tap", "y", "x"))
            chunks, count = ARGS.read(f, args, "chunks", "chunk_flags")
            flags = ARGS.pointer(f, args, "flags")
            f.call("invert_square", args, state, f.args["sums"], x, f.args["pieces"])
            with f.loop(0, chunks) as chunk, f.when(self.is_left_out(f, flags, group * chunks + chunk, count)):
                f.call("add_chunk", args, state, group, chunk, tap, y, x)
            f.call("store_square", args, state, group, tap, y, x)

    def is_left_out(self, f: Function, flags: Value, chunk: Value, count: Value) -> Value:
        """Whether one of the chunk's flags is set."""
        found = f.variable(I64, 0)
        with f.loop(0, count) as i:
            found.set(found.get() | f.load(I64, flags, chunk * count + i))
        return f.compare("ne", found.get(), 0)

    def square_sums(self, f: Function, args: Value, sums: Value, y: Value, x: Value) -> Value:
        """Where the sums of a square begin, by its vectors, in those of a part."""
        (tiles,) = ARGS.read(f, args, "part_tiles")
        tile_size, nv = self.tile.mr * self.nr, self.tile.nv
        row = (y // nv) * tiles * tile_size + x * (self.lanes * self.nr) + (y % nv) * self.lanes
        return f.offset(sums, row, self.vector)

    def emit_invert_square(self) -> None:
        """square[x channel][tap][lanes of dy channels], from the sums of all pieces."""
        lanes = self.lanes
        r, c = self.spec.transforms
        with self.module.function("invert_square", args=PTR, state=PTR, sums=PTR, x=I64, pieces=I64) as f:
            args, state = f.args["args"], f.args["state"]
            channels, point, by_piece = ARGS.read(f, args, "channels", "point_sums", "all_sums")
            block = f.stack(self.numbers.computed, r.m * c.n * lanes)
            square = self.section(f, args, state, "at_square")
            with f.loop(0, f.smaller(channels - f.args["x"] * lanes, lanes)) as i:
                for j in range(c.n):
                    cells = [f.variable(self.vector, 0) for _ in range(r.n)]
                    with f.loop(0, f.args["pieces"]) as piece:
                        place = f.offset(f.args["sums"], i * self.nr + piece * by_piece + point * j, self.vector)
                        for cell in cells:
                            cell.set(cell.get() + f.load(self.vector, place, aligned=True))
                            place = f.offset(place, point * c.n, self.vector)
                    for k, value in enumerate(emit_product(f, r.output, [cell.get() for cell in cells])):
                        f.store(value, block, (k * c.n + j) * lanes, aligned=True)
                to = f.offset(square, i * (self.near_taps * lanes), self.vector)
                for k in range(r.m):
                    row = [f.load(self.vector, block, (k * c.n + j) * lanes, aligned=True) for j in range(c.n)]
                    for j, value in enumerate(emit_product(f, c.output, row)):
                        f.store(value, to, (k * c.m + j) * lanes, aligned=True)

    # ---- chunks that were left out

    def emit_add_chunk(self) -> None:
        """Add the products of a chunk to the square, row by row of dy: each is a chain of its own."""
        lanes, count = self.lanes, self.near_taps
        with self.module.function("add_chunk", args=PTR, state=PTR, group=I64, chunk=I64, tap=I64, y=I64, x=I64) as f:
            args, state, group = (f.args[name] for name in ("args", "state", "group"))
            f.call("select_chunk", args, state, f.args["chunk"])
            names = ("first_sample", "samples", "position", "low_z", "count_z", "low_r", "groups_r")
            first, samples, position, low_z, count_z, low_r, groups_r = STATE.read(f, state, *names)
            names = ("taps_z", "in_z", "pad_z", "dilation_z", "dilation_r", "out_r", "channels")
            taps_z, in_z, pad_z, dilation_z, dilation_r, out_r, channels = ARGS.read(f, args, *names)
            f.call("select_other", args, state, position, f.args["tap"] // taps_z)
            other_x, other_y, inside = STATE.read(f, state, "other_x", "other_y", "other_inside")
            high_r = f.smaller(low_r + groups_r * (self.spec.transforms[0].r * dilation_r), out_r)
            square, chain = (self.section(f, args, state, name) for name in ("at_square", "at_chain"))
            used = f.smaller(channels - f.args["x"] * lanes, lanes) * (count * lanes)
            origin = {}
            for array, other in (("x", other_x), ("y", other_y)):
                by_group, by_channel = ARGS.read(f, args, f"{array}_group", f"{array}_channel")
                at = other + group * by_group + f.args[array] * (by_channel * lanes)
                origin[array] = f.offset(ARGS.pointer(f, args, array), at, self.numbers.stored)
            steps = {array: ARGS.read(f, args, *(f"{array}_{of}" for of in ("batch", "z", "r"))) for array in "xy"}
            with f.loop(first, first + samples) as sample, f.loop(low_z, low_z + count_z) as z:
                at = z + (f.args["tap"] % taps_z) * dilation_z - pad_z
                with f.when(at.below(in_z * inside)), f.loop(low_r, high_r) as row:
                    places = [sample * steps["x"][0] + at * steps["x"][1]]
                    places.append(sample * steps["y"][0] + z * steps["y"][1] + row * steps["y"][2])
                    x, y = (
                        f.offset(origin[array], place, self.numbers.stored)
                        for array, place in zip("xy", places, strict=True)
                    )
                    with f.loop(0, used, lanes) as i:
                        f.store(f.zero(self.vector), chain, i, aligned=True)
                    f.call("add_row", args, state, x, y, row, f.args["y"], f.args["x"])
                    with f.loop(0, used, lanes) as i:
                        total = f.load(self.vector, square, i, aligned=True) + f.load(
                            self.vector, chain, i, aligned=True
                        )
                        f.store(total, square, i, aligned=True)

    def emit_add_row(self) -> None:
        """Add the products of a row of dy to the chain, at the taps that x has for it; `x` is its plane's first."""
        lanes, stored = self.lanes, self.numbers.stored
        shape = {"x": PTR, "y": PTR, "row": I64, "vector_y": I64, "vector_x": I64}
        with self.module.function("add_row", exported=False, args=PTR, state=PTR, **shape) as f:
            args, state = f.args["args"], f.args["state"]
            low, groups = STATE.read(f, state, "low_c", "groups_c")
            names = ("dilation_r", "dilation_c", "pad_r", "pad_c", "in_r", "in_c", "out_c", "rows", "channels")
            dilation_r, dilation_c, pad_r, pad_c, in_r, in_c, out_c, rows, channels = ARGS.read(f, args, *names)
            strides = ("x_channel", "x_r", "x_c", "y_channel", "y_c")
            x_channel, x_r, x_c, y_channel, y_c = ARGS.read(f, args, *strides)
            high = f.smaller(low + groups * (self.spec.transforms[1].r * dilation_c), out_c)
            chain = self.section(f, args, state, "at_chain")
            exists = f.lane_numbers(lanes) < f.splat(rows - f.args["vector_y"] * lanes, lanes)
            by_channel = f.lane_numbers(lanes) * f.splat(y_channel, lanes)
            own = f.smaller(channels - f.args["vector_x"] * lanes, lanes)
            with f.loop(low, high) as column:
                here = f.offset(f.offset(f.args["y"], column * y_c, stored), by_channel, stored)
                dy = self.numbers.widen(f, f.gather(stored.of(lanes), here, exists))
                with f.loop(0, self.spec.taps[0]) as tap_r, f.loop(0, self.spec.taps[1]) as tap_c:
                    at_r = f.args["row"] + tap_r * dilation_r - pad_r
                    at_c = column + tap_c * dilation_c - pad_c
                    with f.when(at_r.below(in_r) & at_c.below(in_c)), f.loop(0, own) as i:
                        at = at_r * x_r + at_c * x_c + i * x_channel
                        sample = f.splat(self.numbers.widen(f, f.load(stored, f.args["x"], at)), lanes)
                        place = (i * self.near_taps + tap_r * self.spec.taps[1] + tap_c) * lanes
                        total = f.load(self.vector, chain, place, aligned=True)
                        f.store(f.multiply_add(sample, dy, total), chain, place, aligned=True)

    # ---- into the weight

    def emit_store_square(self) -> None:
        """Narrow and store the square. Channels of dy are in lanes, but in dw (channel of x, tap) pairs are neighbours:
        vectors of both are transposed on the way."""
        lanes, numbers, taps_c = self.lanes, self.numbers, self.spec.taps[1]
        with self.module.function("store_square", args=PTR, state=PTR, group=I64, tap=I64, y=I64, x=I64) as f:
            args, state, x, y = (f.args[name] for name in ("args", "state", "x", "y"))
            square = self.section(f, args, state, "at_square")
            names = ("w_group", "w_row", "w_channel", "w_z", "w_r", "w_c", "rows", "channels", "taps_z")
            w_group, w_row, w_channel, w_z, w_r, w_c, rows, channels, taps_z = ARGS.read(f, args, *names)
            f.call("select_other", args, state, 0, f.args["tap"] // taps_z)
            (other,) = STATE.read(f, state, "other_w")
            at = other + f.args["group"] * w_group + (f.args["tap"] % taps_z) * w_z + x * (w_channel * lanes)
            weight = f.offset(ARGS.pointer(f, args, "w"), at + y * (w_row * lanes), numbers.result)
            pairs = f.smaller(channels - x * lanes, lanes) * self.near_taps
            places, near = f.stack(I64, lanes), f.variable(I64)
            with f.loop(0, pairs, lanes) as first:
                near.set(1)
                with f.loop(0, lanes) as i:
                    pair = first + i
                    tap = pair % self.near_taps
                    place = pair // self.near_taps * w_channel + tap // taps_c * w_r + tap % taps_c * w_c
                    f.store(place, places, i)
                    follows = place.equals(f.load(I64, places) + i) | (pair >= pairs)
                    near.set(near.get() & f.cast("zext", follows, I64))
                exists = f.lane_numbers(lanes) < f.splat(pairs - first, lanes)
                here = f.offset(square, first * lanes, self.vector)
                columns = f.transpose([f.load(self.vector, here, i * lanes, aligned=True) for i in range(lanes)])
                for row, column in enumerate(columns):
                    f.store(column, here, row * lanes, aligned=True)
                with f.loop(0, f.smaller(rows - y * lanes, lanes)) as i:
                    value = numbers.narrow(f, f.load(self.vector, here, i * lanes, aligned=True))
                    to = f.offset(weight, i * w_row, numbers.result)
                    with f.when(near.get().equals(1)) as apart:
                        f.masked_store(value, f.offset(to, f.load(I64, places), numbers.result), exists)
                    with apart:
                        index = f.load(I64.of(lanes), places, aligned=True)
                        f.scatter(value, f.offset(to, index, numbers.result), exists)
