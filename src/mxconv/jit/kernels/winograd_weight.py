"""Winograd weight gradient: for each axis, with the matrices of F(taps, m),

    dw = A^T [ sum over tiles of (G dy) * (B^T x) ]

so that a tile of m positions takes n = m + taps - 1 products, not m*taps. At each point that is a matrix product whose
long axis are the tiles: the register tile multiplies vectors of dy channels by scalars of x channels. A chunk of tiles
is one chain of the sum; each is added to sums in memory.

Where these sums are small, the chunks are dealt to slices with sums of their own, each worked off by one thread that
keeps all it makes in its cache; their number does not depend on the threads. Where they are large, all threads work on
the same chunk: its panels are made by one task for each vector of channels, then multiplied by one task for each point.
Tasks are numbered in the order in which they may run, so one that waits for those before it never waits in vain; two
sets of panels let threads go on with the next chunk while the last products of this one are made.

The parts before and after: winograd_weight_tiles.py, winograd_weight_sums.py.
Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1
(dw as F(taps x taps, m x m)).
"""

from __future__ import annotations

from ..concurrency import Architecture, atomic_load, atomic_update, host_architecture, pause, repeat
from ..ir import I64, PTR
from ..target import Target
from .gemm import accumulate, put_or_add
from .winograd_weight_sums import Sums
from .winograd_weight_tiles import ARGS, STATE, Spec


def emit_winograd_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `run(args, worker)` and then `invert(args, worker)`."""
    return _Bundle(spec, target, host_architecture()).module.text()


class _Bundle(Sums):
    def __init__(self, spec: Spec, target: Target, architecture: Architecture) -> None:
        super().__init__(spec, target)
        self.architecture = architecture
        for width in range(1, self.tile.nv + 1):
            self.emit_tile(width)
        self.emit_multiply()
        self.emit_begin()
        if spec.is_shared:
            self.emit_await()
            self.emit_run_shared()
        else:
            self.emit_run_slices()
        self.emit_sums()

    # ---- products

    def emit_tile(self, width: int) -> None:
        """sums[mr][nr] (+)= over tiles of x[tile][i] * dy[tile][nr], the first `width` vectors: one chain."""
        lanes, tile, nr = self.lanes, self.tile, self.nr
        with self.module.function(f"tile_{width}", tiles=I64, x=PTR, y=PTR, sums=PTR, first=I64) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(width)] for _ in range(tile.mr)]
            places = [i * nr + j * lanes for i in range(tile.mr) for j in range(width)]
            with f.loop(0, f.args["tiles"] * lanes, lanes) as at:
                x = f.offset(f.args["x"], at, self.numbers.computed)
                y = f.offset(f.args["y"], at * tile.nv, self.numbers.computed)
                vectors = [f.load(self.vector, y, j * lanes, aligned=True) for j in range(width)]
                for i in range(tile.mr):
                    scalar = f.splat(f.load(self.numbers.computed, x, i), lanes)
                    for j in range(width):
                        accumulate([cells[i][j]], [scalar], [vectors[j]])
            put_or_add(f, f.args["first"], f.args["sums"], places, [cell.get() for row in cells for cell in row])

    def emit_multiply(self) -> None:
        """Multiply a chunk's panels at one point, for some panels of dy channels, at every tap of the plain axes."""
        lanes, tile, nr = self.lanes, self.tile, self.nr
        with self.module.function(
            "multiply", args=PTR, state=PTR, panels=PTR, sums=PTR, point=I64, begin=I64, end=I64, first=I64
        ) as f:
            args, state, point = (f.args[name] for name in ("args", "state", "point"))
            x_point, y_point, at_y = ARGS.read(f, args, "x_point", "y_point", "at_y")
            x_pitch, y_pitch, y_vectors = ARGS.read(f, args, "x_pitch", "y_pitch", "y_vectors")
            point_sums, tap_sums, channel_tiles = ARGS.read(f, args, "point_sums", "tap_sums", "channel_tiles")
            taps_z, other_taps, dilation_z = ARGS.read(f, args, "taps_z", "other_taps", "dilation_z")
            samples, span, tiles, length = STATE.read(f, state, "samples", "span", "tiles", "length")
            x = f.offset(f.args["panels"], point * x_point, self.vector)
            y = f.offset(f.args["panels"], at_y + point * y_point, self.vector)
            sums = f.offset(f.args["sums"], point * point_sums, self.vector)
            with f.loop(0, other_taps * taps_z) as tap:
                plane = tap // taps_z * samples * span + tap % taps_z * dilation_z
                own_x = f.offset(x, plane * tiles * lanes, self.vector)
                own_sums = f.offset(sums, tap * tap_sums, self.vector)
                with f.loop(f.args["begin"], f.args["end"]) as panel:
                    own_y = f.offset(y, panel * (y_pitch * nr), self.vector)
                    width = f.smaller(y_vectors - panel * tile.nv, tile.nv)
                    with f.loop(0, channel_tiles) as channel_tile:
                        channel = channel_tile * tile.mr
                        from_ = f.offset(own_x, channel // lanes * (x_pitch * lanes) + channel % lanes, self.vector)
                        to = (panel * channel_tiles + channel_tile) * (tile.mr * nr)
                        given = (length, from_, own_y, f.offset(own_sums, to, self.vector), f.args["first"])
                        for own_width in range(1, tile.nv + 1):
                            with f.when(width.equals(own_width)):
                                f.call(f"tile_{own_width}", *given)

    def emit_begin(self) -> None:
        """Begin the sums of some points (from one to another), with zeros, for some panels, at every tap."""
        with self.module.function("begin", args=PTR, sums=PTR, point=I64, last=I64, begin=I64, end=I64) as f:
            args, begin, end = f.args["args"], f.args["begin"], f.args["end"]
            names = ("point_sums", "tap_sums", "taps_z", "other_taps", "channel_tiles")
            point_sums, tap_sums, taps_z, other_taps, channel_tiles = ARGS.read(f, args, *names)
            panel = channel_tiles * (self.tile.mr * self.nr)
            with f.loop(0, other_taps * taps_z) as tap, f.loop(f.args["point"], f.args["last"]) as point:
                to = f.offset(f.args["sums"], tap * tap_sums + point * point_sums, self.vector)
                with f.loop(begin * panel, end * panel, self.lanes) as i:
                    f.store(f.zero(self.vector), to, i, aligned=True)

    # ---- drivers

    def emit_run_slices(self) -> None:
        """A task is a slice of the chunks of one group."""
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            panels = self.section(f, args, state, "at_panels")
            names = ("run_tasks", "slices", "slice_chunks", "chunks", "all_sums", "x_vectors", "y_vectors", "y_panels")
            count, slices, slice_chunks, chunks, size, x_vectors, y_vectors, y_panels = ARGS.read(f, args, *names)
            flags, all_sums = ARGS.pointer(f, args, "flags"), ARGS.pointer(f, args, "sums")
            at_y = f.offset(panels, ARGS.read(f, args, "at_y")[0], self.vector)
            with f.tasks(ARGS.address(f, args, "run_counter"), count) as task:
                group, first = task // slices, task % slices * slice_chunks
                sums = f.offset(all_sums, task * size, self.vector)
                with f.loop(first, f.smaller(first + slice_chunks, chunks)) as chunk:
                    f.call("select_chunk", args, state, chunk)
                    left_out = f.variable(I64, 0)
                    for name, vectors, to in (("x", x_vectors, panels), ("y", y_vectors, at_y)):
                        with f.loop(0, vectors) as vector:
                            bad = f.call_for(I64, f"transform_{name}", args, state, to, group, vector)
                            left_out.set(left_out.get() | bad)
                    f.store(left_out.get(), flags, group * chunks + chunk)
                    begins = f.cast("zext", chunk.equals(first), I64)
                    with f.when(left_out.get().equals(0)) as left, f.loop(0, self.spec.points) as point:
                        f.call("multiply", args, state, panels, sums, point, 0, y_panels, begins)
                    with left, f.when(begins.equals(1)):
                        f.call("begin", args, sums, 0, self.spec.points, 0, y_panels)

    def emit_await(self) -> None:
        """Wait until a counter is at `count` at least."""
        with self.module.function("await", counter=PTR, count=I64) as f, repeat(f) as turns:
            turns.leave_when(atomic_load(f, I64, f.args["counter"]) >= f.args["count"])
            pause(f, self.architecture)

    def emit_run_shared(self) -> None:
        """Stage by stage, each a chunk of a group: its transforms, then its products.

        The panels of a stage are those of the last but one, which must be multiplied; sums of a chunk follow those of
        the one before it.
        """
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "chunks", "all_sums", "x_vectors", "y_vectors", "y_panels", "panels_size", "at_y")
            count, chunks, size, x_vectors, y_vectors, y_panels, panels_size, at_y = ARGS.read(f, args, *names)
            (parts,) = ARGS.read(f, args, "panel_parts")
            flags, all_sums, shared = (ARGS.pointer(f, args, name) for name in ("flags", "sums", "shared"))
            transformed, multiplied = (ARGS.address(f, args, name) for name in ("transformed", "multiplied"))
            transforms, products = x_vectors + y_vectors, parts * self.spec.points
            one = f.constant(1, I64)
            with f.tasks(ARGS.address(f, args, "run_counter"), count) as task:
                stage, number = task // (transforms + products), task % (transforms + products)
                group, chunk = stage // chunks, stage % chunks
                f.call("select_chunk", args, state, chunk)
                panels = f.offset(shared, stage % 2 * panels_size, self.vector)
                own_flags = f.offset(flags, stage * transforms, I64)
                with f.when(number < transforms) as products_next:
                    f.call("await", transformed, stage * transforms)
                    f.call("await", multiplied, (stage - 1) * products)
                    bad = f.variable(I64)
                    with f.when(number < x_vectors) as of_y:
                        bad.set(f.call_for(I64, "transform_x", args, state, panels, group, number))
                    with of_y:
                        to = f.offset(panels, at_y, self.vector)
                        bad.set(f.call_for(I64, "transform_y", args, state, to, group, number - x_vectors))
                    f.store(bad.get(), own_flags, number)
                    atomic_update(f, "add", transformed, one, "release")
                with products_next:
                    f.call("await", transformed, (stage + 1) * transforms)
                    f.call("await", multiplied, stage * products)
                    point, part = (number - transforms) // parts, (number - transforms) % parts
                    begin, end = part * y_panels // parts, (part + 1) * y_panels // parts
                    sums = f.offset(all_sums, group * size, self.vector)
                    begins = f.cast("zext", chunk.equals(0), I64)
                    with f.when(self.is_left_out(f, flags, stage, transforms)) as taken, f.when(begins.equals(1)):
                        f.call("begin", args, sums, point, point + 1, begin, end)
                    with taken:
                        f.call("multiply", args, state, panels, sums, point, begin, end, begins)
                    atomic_update(f, "add", multiplied, one, "release")
