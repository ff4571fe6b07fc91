"""What convolutions by Fourier transforms of blocks of lines have in common: numbers that are left out, where spectra
of the weight lie, and sums over channels between the transforms.

A *family* shares spectra of the weight, a *unit* is one of its lines, and a *column* one block of one unit. Columns
are worked on in pieces: `begin`, then all their spectra (`transform`), the sums over channels for each vector of
spectral values (`mix`), and the way back (`restore`). In a piece lie

    columns[family][vector][channel][column]        results[family][vector][row][column]

and a mark for each family, column and channel, which says whether numbers of it are left out.
"""

from __future__ import annotations

from ..ir import I8, I64, PTR, Function, Module, Operand, Type, Value
from ..numbers import Numbers
from .blocks import Layout
from .fft_passes import Passes
from .gemm import Tile, put_or_add
from .pointwise import limit_bits, magnitude_bits

PIECE_ARGS = (
    # lines of a family, families; blocks: complex values, results, blocks of a line, vectors of a spectrum
    "units", "families", "half", "outputs", "blocks", "vectors",
    # transforms
    "transform", "normaliser",
    # panels: where marks begin; elements from one family, tile of rows, channel, row of a tile, and vector to the next
    "marks_at", "w_family", "w_tile", "w_column", "w_place", "w_vector", "padded_rows",
    # pieces of columns
    "columns", "results", "marks", "piece", "transform_counter", "mix_counter", "restore_counter",
    "piece_families", "piece_columns", "column_pieces", "columns_vector", "results_vector",
    "transform_tasks", "mix_tasks", "restore_tasks",
)  # fmt: skip
"""Slots of such an algorithm, besides COMMON_ARGS and its own."""


class Pieces:
    """The functions of a bundle that work on spectra, and those that both ends of the way share."""

    module: Module
    passes: Passes
    args: Layout
    numbers: Numbers
    element: Type
    vector: Type
    lanes: int
    pair: int

    # ---- numbers that are left out of the transforms

    def between(self, f: Function, x: Value, most: Value) -> Value:
        return f.smaller(f.larger(x, 0), most)

    def leave_out(self, f: Function, work: Value, vectors: Value) -> None:
        """Zeros in the place of numbers of a line that may not take part in a transform."""
        with f.loop(0, vectors * self.pair, self.lanes) as i:
            at = f.offset(work, i, self.element)
            value = f.load(self.vector, at, aligned=True)
            f.store(f.select(self.passes_transform(f, value), value, 0), at, aligned=True)

    def passes_transform(self, f: Function, value: Value) -> Value:
        """Whether a number (or each of a vector) may take part in a transform."""
        return magnitude_bits(f, value) <= limit_bits(value.type)

    def spot(self, f: Function, number: Value, half: Value) -> Value:
        """Elements from the beginning of a block in scratch to its sample or result of that number."""
        is_second = number >= half
        own = f.select(is_second, number - half, number)
        part = f.select(is_second, f.constant(self.lanes, I64), 0)
        return own // self.lanes * self.pair + own % self.lanes + part

    def emit_add_product(self) -> None:
        """Add a product to one result of a block in scratch."""
        with self.module.function("add_product", args=PTR, work=PTR, result=I64, product=self.element) as f:
            (half,) = self.args.read(f, f.args["args"], "half")
            at = f.offset(f.args["work"], self.spot(f, f.args["result"], half), self.element)
            f.store(f.load(self.element, at) + f.args["product"], at)

    # ---- spectra of the weight

    def panel(self, f: Function, args: Value, family: Value, row: Value, channel: Operand, mr: int) -> Value:
        """Where the spectrum of a filter begins."""
        w_family, w_tile, w_column, w_place = self.args.read(f, args, "w_family", "w_tile", "w_column", "w_place")
        at = family * w_family + row // mr * w_tile + w_column * channel + row % mr * w_place
        return f.offset(self.args.pointer(f, args, "panels"), at, self.element)

    def panel_mark(self, f: Function, args: Value, family: Value, row: Value, channel: Operand) -> Value:
        """Where it says whether a filter has weights that are left out."""
        marks_at, rows, channels = self.args.read(f, args, "marks_at", "padded_rows", "channels")
        marks = f.offset(self.args.pointer(f, args, "panels"), marks_at, I8)
        return f.offset(marks, (family * rows + row) * channels + channel, I64)

    # ---- pieces

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

    def is_marked(self, f: Function, args: Value, own: Value, column: Value, family: Value, row: Value) -> Value:
        """Whether any channel of a column of the piece, or of a row's weights, has numbers that are left out."""
        (channels,) = self.args.read(f, args, "channels")
        found = f.variable(I64, 0)
        with f.loop(0, channels) as c:
            mark = f.load(I64, self.panel_mark(f, args, family, row, c))
            found.set(found.get() | mark | f.load(I64, self.mark_of(f, args, own, column, c)))
        return found.get() > 0

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
