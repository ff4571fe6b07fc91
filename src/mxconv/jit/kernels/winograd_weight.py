"""Winograd weight gradient: for each axis, with the matrices of F(taps, m),

    dw = A^T [ sum over tiles of (G dy) * (B^T x) ]

so that a tile of m positions takes n = m + taps - 1 products, not m*taps. At each point that is a matrix product whose
long axis are the tiles: the register tile multiplies vectors of dy channels by scalars of x channels. A chunk of tiles
is one chain of the sum; each is added to sums in memory.

There are three ways to share this out, after what is large:

run_slices   Sums fit in a cache. Chunks are dealt to slices with sums of their own, each worked off by one thread that
             keeps all it makes in its cache; how many slices there are does not depend on the threads.
transform,   Sums do not, but the panels of all chunks fit in the cache that threads share. They are all made first;
finish       then a task is a part of the channels, whose sums never leave the thread's cache.
run_shared   Neither does. All threads work on the same chunk: its panels are made by one task for each vector of
             channels, then multiplied by one task for each point (or more). While a chunk is multiplied the next one's
             panels are made, in a second place; a thread that finds nothing to do until the others are done waits a
             while and then leaves the rest to them.

The parts before and after: winograd_weight_tiles.py, winograd_weight_sums.py.
Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.1
(dw as F(taps x taps, m x m)).
"""

from __future__ import annotations

from ..concurrency import (
    Architecture,
    atomic_load,
    atomic_store,
    atomic_update,
    exchange_if,
    pause,
    repeat,
)
from ..ir import I64, PTR, Function, Value
from ..target import Target
from .gemm import accumulate, put_or_add
from .winograd_weight_sums import Sums
from .winograd_weight_tiles import ARGS, STATE, Spec

PATIENCE = 20_000
"""Looks for which a thread waits: some hundred microseconds, more than a task takes and less than a time slice."""


def emit_winograd_weight(spec: Spec, target: Target) -> str:
    """The bundle's IR, exported: `run_slices` or `run_shared`, and then `invert`; or `transform` and then `finish`."""
    # Every target that has a name is an x86-64; of the others none can be told from its target.
    return _Bundle(spec, target, "other" if target.name == "native" else "x86_64").module.text()


class _Bundle(Sums):
    def __init__(self, spec: Spec, target: Target, architecture: Architecture) -> None:
        super().__init__(spec, target)
        self.architecture = architecture
        for width in range(1, self.tile.nv + 1):
            self.emit_tile(width)
        self.emit_multiply()
        self.emit_begin()
        self.emit_sums()
        self.emit_run_slices()
        self.emit_run_shared()
        self.emit_invert()
        self.emit_transform_all()
        self.emit_finish()

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
        """Multiply a chunk's panels at one point and one plain tap, for some panels of dy and tiles of x channels, into
        sums that begin with the first of both."""
        lanes, tile, nr = self.lanes, self.tile, self.nr
        shape = dict.fromkeys(("tap", "point", "panel", "panel_end", "tile", "tile_end", "first"), I64)
        with self.module.function("multiply", exported=False, args=PTR, state=PTR, panels=PTR, sums=PTR, **shape) as f:
            args, state, tap, point = (f.args[name] for name in ("args", "state", "tap", "point"))
            x_point, y_point, at_y = ARGS.read(f, args, "x_point", "y_point", "at_y")
            x_pitch, y_pitch, y_vectors = ARGS.read(f, args, "x_pitch", "y_pitch", "y_vectors")
            taps_z, dilation_z, part_tiles = ARGS.read(f, args, "taps_z", "dilation_z", "part_tiles")
            samples, span, tiles, length = STATE.read(f, state, "samples", "span", "tiles", "length")
            plane = tap // taps_z * samples * span + tap % taps_z * dilation_z
            x = f.offset(f.args["panels"], point * x_point + plane * tiles * lanes, self.vector)
            y = f.offset(f.args["panels"], at_y + point * y_point, self.vector)
            to = f.variable(PTR, f.args["sums"])
            with f.loop(f.args["panel"], f.args["panel_end"]) as panel:
                own_y = f.offset(y, panel * (y_pitch * nr), self.vector)
                width = f.smaller(y_vectors - panel * tile.nv, tile.nv)
                here = f.variable(PTR, to.get())
                with f.loop(f.args["tile"], f.args["tile_end"]) as channel_tile:
                    channel = channel_tile * tile.mr
                    from_ = f.offset(x, channel // lanes * (x_pitch * lanes) + channel % lanes, self.vector)
                    for own_width in range(1, tile.nv + 1):
                        with f.when(width.equals(own_width)):
                            f.call(f"tile_{own_width}", length, from_, own_y, here.get(), f.args["first"])
                    here.set(f.offset(here.get(), tile.mr * nr, self.vector))
                to.set(f.offset(to.get(), part_tiles * (tile.mr * nr), self.vector))

    def emit_begin(self) -> None:
        """Begin sums with zeros, of some panels at one point and one plain tap."""
        with self.module.function("begin", args=PTR, sums=PTR, panels=I64) as f:
            (tiles,) = ARGS.read(f, f.args["args"], "part_tiles")
            with f.loop(0, f.args["panels"] * tiles * (self.tile.mr * self.nr), self.lanes) as i:
                f.store(f.zero(self.vector), f.args["sums"], i, aligned=True)

    def plain_taps(self, f: Function, args: Value) -> Value:
        """Taps of the axes that are not transformed."""
        other_taps, taps_z = ARGS.read(f, args, "other_taps", "taps_z")
        return other_taps * taps_z

    # ---- drivers

    def emit_run_slices(self) -> None:
        """A task is a slice of the chunks of one group."""
        with self.module.function("run_slices", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            panels = self.section(f, args, state, "at_panels")
            count, slices, slice_chunks, chunks = ARGS.read(f, args, "run_tasks", "slices", "slice_chunks", "chunks")
            x_vectors, y_vectors, y_panels, tiles = ARGS.read(
                f, args, "x_vectors", "y_vectors", "y_panels", "channel_tiles"
            )
            at_y, point_sums, tap_sums, size = ARGS.read(f, args, "at_y", "point_sums", "tap_sums", "all_sums")
            flags, all_sums = ARGS.pointer(f, args, "flags"), ARGS.pointer(f, args, "sums")
            taps, left_out = self.plain_taps(f, args), f.variable(I64)
            with f.tasks(ARGS.address(f, args, "run_counter"), count) as task:
                group, first = task // slices, task % slices * slice_chunks
                sums = f.offset(all_sums, task * size, self.vector)
                with f.loop(first, f.smaller(first + slice_chunks, chunks)) as chunk:
                    f.call("select_chunk", args, state, chunk)
                    left_out.set(0)
                    for name, vectors, at in (("x", x_vectors, 0), ("y", y_vectors, at_y)):
                        with f.loop(0, vectors) as vector:
                            to = f.offset(panels, at, self.vector)
                            bad = f.call_for(I64, f"transform_{name}", args, state, to, group, vector)
                            left_out.set(left_out.get() | bad)
                    f.store(left_out.get(), flags, group * chunks + chunk)
                    begins = f.cast("zext", chunk.equals(first), I64)
                    with f.loop(0, self.spec.points) as point, f.loop(0, taps) as tap:
                        own = f.offset(sums, tap * tap_sums + point * point_sums, self.vector)
                        with f.when(left_out.get().equals(0)) as otherwise:
                            f.call("multiply", args, state, panels, own, tap, point, 0, y_panels, 0, tiles, begins)
                        with otherwise, f.when(begins.equals(1)):
                            f.call("begin", args, own, y_panels)

    def emit_run_shared(self) -> None:
        """Phase after phase: the products of a chunk of a group, and the panels of the next one; before the first, its
        panels. A phase is open when `ready` is its end, which the thread that ends the one before it sets."""
        with self.module.function("run_shared", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            count, parts, x_vectors, y_vectors = ARGS.read(
                f, args, "run_tasks", "panel_parts", "x_vectors", "y_vectors"
            )
            counter, ready, done = (ARGS.address(f, args, name) for name in ("run_counter", "ready", "done"))
            transforms, products = x_vectors + y_vectors, parts * self.spec.points
            waited = f.variable(I64, 0)
            with repeat(f) as turns:
                task = atomic_load(f, I64, counter)
                turns.leave_when(task >= count)
                # No phase is open yet at first: `ready` counts from the end of the first one.
                end = atomic_load(f, I64, ready) + transforms
                with f.when(task < end) as otherwise, f.when(exchange_if(f, counter, task, task + 1)):
                    waited.set(0)
                    self.run_task(f, args, state, task, transforms, products)
                    was_done = atomic_update(f, "add", done, f.constant(1, I64), "acq_rel")
                    with f.when((was_done + 1).equals(end)):
                        atomic_store(f, end + products, ready)
                with otherwise:
                    pause(f, self.architecture)
                    waited.set(waited.get() + 1)
                turns.leave_when(waited.get() > PATIENCE)

    def run_task(self, f: Function, args: Value, state: Value, task: Value, transforms: Value, products: Value) -> None:
        """A task of the shared way, by its number: the first chunk's transforms; then a chunk's products and the next
        one's transforms, chunk after chunk."""
        chunks, parts, y_panels, tiles = ARGS.read(f, args, "chunks", "panel_parts", "y_panels", "channel_tiles")
        point_sums, tap_sums, size, panels_size = ARGS.read(
            f, args, "point_sums", "tap_sums", "all_sums", "panels_size"
        )
        flags, all_sums, shared = (ARGS.pointer(f, args, name) for name in ("flags", "sums", "shared"))
        later = f.larger(task - transforms, 0)
        number = later % (products + transforms)
        is_product = (task >= transforms) & (number < products)
        stage = later // (products + transforms)
        stage = f.select((task >= transforms) & (number >= products), stage + 1, stage)
        f.call("select_chunk", args, state, stage % chunks)
        panels = f.offset(shared, stage % 2 * panels_size, self.vector)
        with f.when(is_product) as otherwise:
            point, part = number // parts, number % parts
            begin, end = part * y_panels // parts, (part + 1) * y_panels // parts
            at = stage // chunks * size + point * point_sums + begin * tiles * (self.tile.mr * self.nr)
            begins = f.cast("zext", (stage % chunks).equals(0), I64)
            left_out = self.is_left_out(f, flags, stage, transforms)
            with f.loop(0, self.plain_taps(f, args)) as tap:
                own = f.offset(all_sums, at + tap * tap_sums, self.vector)
                with f.when(left_out ^ 1) as instead:
                    f.call("multiply", args, state, panels, own, tap, point, begin, end, 0, tiles, begins)
                with instead, f.when(begins.equals(1)):
                    f.call("begin", args, own, end - begin)
        with otherwise:
            vector = f.select(task < transforms, task, number - products)
            self.transform_vector(f, args, state, panels, stage, stage // chunks, vector)

    def transform_vector(
        self, f: Function, args: Value, state: Value, panels: Value, chunk: Value, group: Value, number: Value
    ) -> None:
        """Make the panel of one vector of channels, those of x first, and note whether it has what must not be
        transformed; `chunk` counts through the groups."""
        x_vectors, y_vectors, at_y = ARGS.read(f, args, "x_vectors", "y_vectors", "at_y")
        bad = f.variable(I64)
        with f.when(number < x_vectors) as of_y:
            bad.set(f.call_for(I64, "transform_x", args, state, panels, group, number))
        with of_y:
            to = f.offset(panels, at_y, self.vector)
            bad.set(f.call_for(I64, "transform_y", args, state, to, group, number - x_vectors))
        f.store(bad.get(), ARGS.pointer(f, args, "flags"), chunk * (x_vectors + y_vectors) + number)

    def emit_invert(self) -> None:
        """After `run_slices` or `run_shared`: a task is a square of channels of one group at one plain tap."""
        with self.module.function("invert", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("finish_tasks", "x_vectors", "y_vectors", "slices", "tap_sums", "all_sums")
            count, x_vectors, y_vectors, slices, tap_sums, size = ARGS.read(f, args, *names)
            taps, sums = self.plain_taps(f, args), ARGS.pointer(f, args, "sums")
            with f.tasks(ARGS.address(f, args, "finish_counter"), count) as task:
                x, rest = task % x_vectors, task // x_vectors
                y, rest = rest % y_vectors, rest // y_vectors
                tap, group = rest % taps, rest // taps
                own = f.offset(sums, group * slices * size + tap * tap_sums, self.vector)
                f.call("finish_square", args, state, self.square_sums(f, args, own, y, x), group, tap, y, x, slices)

    def emit_transform_all(self) -> None:
        """A task is a vector of channels of one chunk of a group."""
        with self.module.function("transform", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            names = ("run_tasks", "chunks", "x_vectors", "y_vectors", "panels_size")
            count, chunks, x_vectors, y_vectors, panels_size = ARGS.read(f, args, *names)
            shared = ARGS.pointer(f, args, "shared")
            with f.tasks(ARGS.address(f, args, "run_counter"), count) as task:
                number, stage = task % (x_vectors + y_vectors), task // (x_vectors + y_vectors)
                f.call("select_chunk", args, state, stage % chunks)
                panels = f.offset(shared, stage * panels_size, self.vector)
                self.transform_vector(f, args, state, panels, stage, stage // chunks, number)

    def emit_finish(self) -> None:
        """After `transform`: a task is a part of the channels of one group, tap after tap."""
        lanes, tile = self.lanes, self.tile
        with self.module.function("finish", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            count, chunks, flag_count = ARGS.read(f, args, "finish_tasks", "chunks", "chunk_flags")
            x_parts, y_parts, part_panels, part_tiles = ARGS.read(
                f, args, "x_parts", "y_parts", "part_panels", "part_tiles"
            )
            x_vectors, y_vectors, y_panels, tiles = ARGS.read(
                f, args, "x_vectors", "y_vectors", "y_panels", "channel_tiles"
            )
            point_sums, panels_size = ARGS.read(f, args, "point_sums", "panels_size")
            shared, flags = ARGS.pointer(f, args, "shared"), ARGS.pointer(f, args, "flags")
            sums = self.section(f, args, state, "at_sums")
            first = f.variable(I64)
            with f.tasks(ARGS.address(f, args, "finish_counter"), count) as task:
                x_part, rest = task % x_parts, task // x_parts
                y_part, group = rest % y_parts, rest // y_parts
                panel, tile_0 = y_part * part_panels, x_part * part_tiles
                panel_end, tile_end = f.smaller(panel + part_panels, y_panels), f.smaller(tile_0 + part_tiles, tiles)
                with f.loop(0, self.plain_taps(f, args)) as tap:
                    with f.loop(0, self.spec.points) as point:
                        own = f.offset(sums, point * point_sums, self.vector)
                        first.set(1)
                        with f.loop(0, chunks) as chunk:
                            stage = group * chunks + chunk
                            with f.when(self.is_left_out(f, flags, stage, flag_count) ^ 1):
                                f.call("select_chunk", args, state, chunk)
                                panels = f.offset(shared, stage * panels_size, self.vector)
                                given = (tap, point, panel, panel_end, tile_0, tile_end, first.get())
                                f.call("multiply", args, state, panels, own, *given)
                                first.set(0)
                        with f.when(first.get().equals(1)):
                            f.call("begin", args, own, panel_end - panel)
                    y_0, x_0 = panel * tile.nv, tile_0 * tile.mr // lanes
                    y_end = f.smaller(panel_end * tile.nv, y_vectors)
                    x_end = f.smaller((tile_end * tile.mr + (lanes - 1)) // lanes, x_vectors)
                    with f.loop(y_0, y_end) as y, f.loop(x_0, x_end) as x:
                        own = self.square_sums(f, args, sums, y - y_0, x - x_0)
                        f.call("finish_square", args, state, own, group, tap, y, x, 1)
