"""Overlap-save: a long filter along one axis by Fourier transforms of blocks of the line.

    dst[m, g] = sum over c, t of src[c, g*step + start + t*step] * w[m, c, t]

A block reads 2*half samples and has `outputs` results, the rest wraps around and is not stored. It is transformed as a
polynomial modulo t^(2*half) + 1 (see jit/fft.py and fft_passes.py), so that a block is `half` complex values and
nothing is untangled. Products with the conjugate of a filter's spectrum are correlations, and channels are summed
between the transforms. See fft_columns.py for families, units and columns.

With one source channel a group, a task takes columns from end to end in its own scratch (`run`). Otherwise columns are
worked on in pieces: `begin`, then all their spectra (`transform`), the sums over channels for each vector of spectral
values (`mix`), and the way back (`restore`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I8, I64, PTR, Function, Value
from ..target import Target
from .fft_columns import COLUMN
from .fft_lines_abreast import LinesAbreast
from .gemm import Tile, put_or_add


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile | None
    """Result channels and blocks whose sums over channels are made at once; None: one source channel a group."""
    abreast: str = ""
    """What of lines whose samples are far apart are neighbours; see LinesAbreast."""
    epilogue: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        tile = f"{self.tile.mr}x{self.tile.nv}mixed" if self.tile else "1x1separate"
        return "_".join((f"fft_1d_{self.dtype}_{tile}{self.abreast}", *self.epilogue))


def emit_fft_1d(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run`, or `begin`, `transform`, `mix` and
    `restore`."""
    return _Bundle(spec, target).module.text()


class _Bundle(LinesAbreast):
    def __init__(self, spec: Spec, target: Target) -> None:
        tile = spec.tile
        super().__init__(spec.dtype, target, spec.epilogue, tile.mr if tile else 1, separate=tile is None)
        if spec.abreast:
            self.emit_abreast(spec.abreast)
        if tile is None:
            if spec.abreast:
                self.emit_run_abreast(groups=spec.abreast == "groups")
            else:
                self.emit_run()
        else:
            self.emit_begin()
            self.emit_transform(abreast=bool(spec.abreast))
            self.emit_tile(tile)
            self.emit_mix(tile)
            self.emit_restore(abreast=bool(spec.abreast))

    # ---- one source channel a group

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, share, units, families, blocks, rows, at_spectrum, sets = self.args.read(
                f, args, "run_tasks", "share", "units", "families", "blocks", "rows", "at_spectrum", "sets"
            )
            spectrum = f.offset(work, at_spectrum, I8)
            transform = self.args.pointer(f, args, "transform")
            total = families * units * blocks
            outputs, low, high = (f.offset(column, COLUMN.index[name], I64) for name in ("outputs", "low", "high"))
            with (
                f.tasks(self.args.address(f, args, "run_counter"), tasks) as task,
                f.loop(task * share, f.smaller((task + 1) * share, total)) as n,
            ):
                block, unit, family = n % blocks, n // blocks % units, n // (blocks * units)
                f.call("locate", args, family, unit, block, column)
                with f.when(f.load(I64, outputs) > 0):
                    source, (lane, step) = (
                        self.source_of(f, args, column),
                        self.args.read(f, args, "src_lane", "tap_step"),
                    )
                    mark = f.call_for(
                        I64, "stage", args, source, lane * step, f.load(I64, low), f.load(I64, high), work
                    )
                    f.call("to_spectrum", work, transform, spectrum, self.pair)
                    with f.loop(0, rows) as row:
                        filter_ = self.panel(f, args, family, row, 0, 1)
                        f.call("to_line", spectrum, self.pair, filter_, transform, work)
                        bad = mark | f.load(I64, self.panel_mark(f, args, family, row, 0))
                        with f.when(bad > 0):
                            f.call("mend", args, column, family, row, work)
                        f.call("finish", args, column, work, row, family // sets * rows + row)

    # ---- several source channels a group
    # columns[family][vector][channel][column], results[family][vector][row][column]

    def emit_begin(self) -> None:
        """Go on to the next piece."""
        with self.module.function("begin", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            (piece,) = self.args.read(f, args, "piece")
            f.store(piece + 1, self.args.address(f, args, "piece"))
            for name in ("transform_counter", "mix_counter", "restore_counter"):
                f.store(f.zero(I64), self.args.address(f, args, name))

    def corner(self, f: Function, args: Value) -> tuple[Value, Value]:
        """The first family and the first column of the current piece."""
        piece, pieces, families, columns = self.args.read(
            f, args, "piece", "column_pieces", "piece_families", "piece_columns"
        )
        return piece // pieces * families, piece % pieces * columns

    def exists(self, f: Function, args: Value, family: Value, column: Value) -> Value:
        families, units, blocks = self.args.read(f, args, "families", "units", "blocks")
        return (family < families) & (column < units * blocks)

    def mark_of(self, f: Function, args: Value, family: Value, column: Value, channel: Value) -> Value:
        """Where it says whether a channel of a column of the piece has samples that are left out."""
        columns, channels = self.args.read(f, args, "piece_columns", "channels")
        return f.offset(self.args.pointer(f, args, "marks"), (family * columns + column) * channels + channel, I64)

    def emit_transform(self, *, abreast: bool) -> None:
        with self.module.function("transform", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, columns, channels, vectors, blocks, pitch = self.args.read(
                f, args, "transform_tasks", "piece_columns", "channels", "vectors", "blocks", "columns_vector"
            )
            lane, step = self.args.read(f, args, "src_lane", "tap_step")
            spectra, transform = (self.args.pointer(f, args, name) for name in ("columns", "transform"))
            first_family, first_column = self.corner(f, args)
            share = self.lanes if abreast else 1
            bundles = (channels + (share - 1)) // share
            (between,) = self.args.read(f, args, "line_pitch")
            with f.tasks(self.args.address(f, args, "transform_counter"), tasks) as task:
                n, c, own = task % columns, task // columns % bundles * share, task // (columns * bundles)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    f.call("locate", args, family, number // blocks, number % blocks, column)
                    low, high = COLUMN.read(f, column, "low", "high")
                    source = self.source_of(f, args, column, c)
                    count = f.smaller(channels - c, share)
                    if abreast:
                        mark = f.call_for(I64, "stage_abreast", args, source, lane * step, low, high, count, work)
                    else:
                        mark = f.call_for(I64, "stage", args, source, lane * step, low, high, work)
                    with f.loop(0, count) as i:
                        f.store(mark, self.mark_of(f, args, own, n, c + i))
                        at = own * vectors * pitch + ((c + i) * columns + n) * self.pair
                        line = f.offset(work, i * between, self.element)
                        f.call("to_spectrum", line, transform, f.offset(spectra, at, self.element), pitch)

    def emit_tile(self, tile: Tile) -> None:
        """tile(channels, w, x, pitch, y, first): sums over channels of x[column] * conj(w[row]) for a tile of rows and
        columns, one vector of spectral values each; put into y, or added to it. `pitch`: from channel to channel of x
        and from row to row of y."""
        rows, columns = range(tile.mr), range(tile.nv)
        with self.module.function("tile", channels=I64, w=PTR, x=PTR, pitch=I64, y=PTR, first=I64) as f:
            pitch = f.args["pitch"]
            cells = [[[f.variable(self.vector, 0) for _ in range(2)] for _ in columns] for _ in rows]
            with f.loop(0, f.args["channels"]) as c:
                own_w = f.offset(f.args["w"], c * (tile.mr * self.pair), self.element)
                own_x = f.offset(f.args["x"], c * pitch, self.element)
                x = [self.passes.load(f, own_x, j * self.pair) for j in columns]
                for i in rows:
                    w = self.passes.load(f, own_w, i * self.pair)
                    for j in columns:
                        re, im = cells[i][j]
                        re.set(f.multiply_add(w[0], x[j][0], re.get()))
                        im.set(f.multiply_add(w[0], x[j][1], im.get()))
                    for j in columns:
                        re, im = cells[i][j]
                        re.set(f.multiply_add(w[1], x[j][1], re.get()))
                        im.set(f.multiply_add(-w[1], x[j][0], im.get()))
            places = [pitch * i + (2 * j + p) * self.lanes for i in rows for j in columns for p in range(2)]
            sums = [part.get() for row in cells for cell in row for part in cell]
            put_or_add(f, f.args["first"], f.args["y"], places, sums)

    def emit_mix(self, tile: Tile) -> None:
        with self.module.function("mix", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            tasks, channels, vectors, padded, columns, chain = self.args.read(
                f, args, "mix_tasks", "channels", "vectors", "padded_rows", "piece_columns", "chain"
            )
            families, units, blocks, w_family, w_vector, w_tile, x_vector, y_vector = self.args.read(
                f, args, "families", "units", "blocks", "w_family", "w_vector", "w_tile", "columns_vector",
                "results_vector",
            )  # fmt: skip
            spectra, results, panels = (self.args.pointer(f, args, n) for n in ("columns", "results", "panels"))
            first_family, first_column = self.corner(f, args)
            count = f.smaller(columns, units * blocks - first_column)
            pitch = columns * self.pair
            with f.tasks(self.args.address(f, args, "mix_counter"), tasks) as task:
                own, v = task // vectors, task % vectors
                family = first_family + own
                with f.when(family < families):
                    w = f.offset(panels, family * w_family + v * w_vector, self.element)
                    x = f.offset(spectra, task * x_vector, self.element)
                    y = f.offset(results, task * y_vector, self.element)
                    with (
                        f.loop(0, padded, tile.mr) as row,
                        f.loop(0, count, tile.nv) as n,
                        f.loop(0, channels, chain) as c,
                    ):
                        own_w = f.offset(w, row // tile.mr * w_tile + c * (tile.mr * self.pair), self.element)
                        own_x = f.offset(x, c * pitch + n * self.pair, self.element)
                        own_y = f.offset(y, row * pitch + n * self.pair, self.element)
                        first = f.cast("zext", c.equals(0), I64)
                        f.call("tile", f.smaller(channels - c, chain), own_w, own_x, pitch, own_y, first)

    def emit_restore(self, *, abreast: bool) -> None:
        with self.module.function("restore", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, columns, channels, rows, vectors, blocks, sets, pitch = self.args.read(
                f, args, "restore_tasks", "piece_columns", "channels", "rows", "vectors", "blocks", "sets",
                "results_vector",
            )  # fmt: skip
            results, transform = (self.args.pointer(f, args, name) for name in ("results", "transform"))
            first_family, first_column = self.corner(f, args)
            bad = f.variable(I64)
            share = self.lanes if abreast else 1
            bundles = (rows + (share - 1)) // share
            (between,) = self.args.read(f, args, "line_pitch")
            with f.tasks(self.args.address(f, args, "restore_counter"), tasks) as task:
                n, first, own = task % columns, task // columns % bundles * share, task // (columns * bundles)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    f.call("locate", args, family, number // blocks, number % blocks, column)
                    count = f.smaller(rows - first, share)
                    with f.loop(0, count) as i:
                        at = own * vectors * pitch + ((first + i) * columns + n) * self.pair
                        line = f.offset(work, i * between, self.element)
                        f.call("to_line", f.offset(results, at, self.element), pitch, transform, line)
                        bad.set(0)
                        with f.loop(0, channels) as c:
                            mark = f.load(I64, self.panel_mark(f, args, family, first + i, c))
                            bad.set(bad.get() | mark | f.load(I64, self.mark_of(f, args, own, n, c)))
                        with f.when(bad.get() > 0):
                            f.call("mend", args, column, family, first + i, line)
                    channel = family // sets * rows + first
                    if abreast:
                        f.call("finish_abreast", args, column, work, first, channel, count)
                    else:
                        f.call("finish", args, column, work, first, channel)
