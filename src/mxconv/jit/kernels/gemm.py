"""The register tile at the heart of every dense algorithm: C[mr, nr] += A[k, mr] * B[k, nr]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import I64, PTR, Function, Module, Operand, Value, Variable
from ..numbers import Numbers
from ..target import Target


@dataclass(frozen=True, slots=True)
class Tile:
    """mr rows (result channels) by nv vectors (pixels in lanes)."""

    mr: int
    nv: int

    @property
    def widths(self) -> tuple[int, ...]:
        """The vectors of the whole tile and of the narrower ones that finish a row of pixels, widest first."""
        return tuple(sorted({self.nv, -(-self.nv // 2), -(-self.nv // 4), 1}, reverse=True))


WIDE_TILES = ((8, 3), (6, 4), (5, 5), (4, 6), (10, 2), (14, 2), (3, 7), (2, 10), (1, 14), (1, 16))
TILES = ((4, 3), (5, 2), (3, 3), (2, 5), (1, 8))
"""Rows and vectors of the tiles of real numbers that are considered, for 32 registers and for 16: accumulators, the
vectors of B and a broadcast fill them. The first measured 97% of peak with AVX2."""
COMPLEX_TILES = {32: (4, 3), 16: (2, 2)}
"""A complex accumulator takes two registers."""
LATENCY = 4
"""Cycles from a multiply-add to the next on the same sum."""
LOOP = 0.25
"""Cycles to go on to the next product."""
NEAR_VECTORS, FAR = 400, 8 / 3
"""Vectors of B that stay in an L1 cache from one row of tiles to the next, and cycles to read one that does not."""
SECOND_BEST = 1.03
"""How much better than the first tile another one must be: what it wastes depends on the extents."""


def tile_cycles(tile: Tile, rows: int, vectors: int, products: int) -> float:
    """Cycles of one of so many products for so many rows and neighbouring vectors, two of a tile's operations in one:
    narrow tiles load more for each product, or wait for their sums, low ones read B again for the next rows."""
    groups, total = -(-rows // tile.mr), 0.0
    for width in tile.widths:
        count, vectors = divmod(vectors, width)
        read = FAR * width if groups > 1 and products * width > NEAR_VECTORS else 0.0
        total += count * (max(tile.mr * width / 2, (tile.mr + width) / 2, LATENCY, read) + LOOP)
    return groups * total


def choose_tile(
    target: Target, numbers: Numbers, rows: int, vectors: int, products: int, most_pixels: int | None = None
) -> Tile:
    """The tile that wastes the fewest registers, rows (result channels) and of so many vectors of pixels, and where
    `most_pixels` bounds it, has no more columns than that (but at least one vector)."""
    wide = target.registers >= 32
    if numbers.parts == 2:
        mr, nv = COMPLEX_TILES[32 if wide else 16]
        while mr > 1 and mr // 2 >= rows:
            mr //= 2
        tiles = [Tile(mr, nv)]
    else:
        tiles = [Tile(*shape) for shape in (WIDE_TILES if wide else TILES)]

    def cost(tile: Tile) -> float:
        return tile_cycles(tile, rows, vectors, products) * (1 if tile is tiles[0] else SECOND_BEST)

    tile = min(tiles, key=lambda tile: (cost(tile), tile.mr))
    if most_pixels is None:
        return tile
    return Tile(tile.mr, max(1, min(tile.nv, most_pixels // target.lanes(numbers.computed.itemsize))))


def emit_micro_kernel(module: Module, symbol: str, numbers: Numbers, tile: Tile, width: int) -> None:
    """symbol(k, a, b, b_row, c, first): one tile, over k products in one chain, added to c in memory (or put there).

    a[k][mr][parts] scalars; b has `b_row` elements from one k to the next and parts * nr of them in a row, at any
    alignment; c[mr][parts][nr] aligned vectors; all of the computed type. Of each row of nr elements the first `width`
    vectors are computed. c is the second level of the sum, which the first chain (first = 1) begins: callers keep k at
    256 or less, so that no chain of additions is long.
    """
    parts, nr = numbers.parts, tile.nv * module.target.lanes(numbers.computed.itemsize)
    with module.function(symbol, k=I64, a=PTR, b=PTR, b_row=I64, c=PTR, first=I64) as f:
        cells = sum_tile(f, numbers, tile, width)
        lanes = nr // tile.nv
        rows, vectors = range(tile.mr), range(width)
        places = [(i * parts + p) * nr + j * lanes for i in rows for p in range(parts) for j in vectors]
        sums = [cell.get() for row in cells for part in row for cell in part]
        put_or_add(f, f.args["first"], f.args["c"], places, sums)


def sum_tile(
    f: Function, numbers: Numbers, tile: Tile, width: int, *, asks: bool = False
) -> list[list[list[Variable]]]:
    """The sums over k products of a function's arguments a and b (see emit_micro_kernel), by row, part and vector.

    `asks`: what lies behind b's rows is asked for, as the next tile's may.
    """
    lanes = f.module.target.lanes(numbers.computed.itemsize)
    vector = numbers.computed.of(lanes)
    parts, mr, nr = numbers.parts, tile.mr, tile.nv * lanes
    cells = [[[f.variable(vector, 0) for _ in range(width)] for _ in range(parts)] for _ in range(mr)]
    with f.loop(0, f.args["k"]) as k:
        a_row = f.offset(f.args["a"], k * (mr * parts), numbers.computed)
        row = f.offset(f.args["b"], k * f.args["b_row"], numbers.computed)
        columns = [[f.load(vector, row, p * nr + j * lanes) for j in range(width)] for p in range(parts)]
        for at in range(nr, 2 * nr, max(1, 64 // numbers.computed.itemsize)) if asks else ():
            f.prefetch(f.offset(row, at, numbers.computed))
        for i in range(mr):
            scalars = [f.splat(f.load(numbers.computed, a_row, i * parts + p), lanes) for p in range(parts)]
            for j in range(width):
                accumulate([cells[i][p][j] for p in range(parts)], scalars, [columns[p][j] for p in range(parts)])
    return cells


def put_or_add(f: Function, first: Value, c: Value, places: Sequence[Operand], sums: Sequence[Value]) -> None:
    """Store a tile's vectors at their places in c (first = 1), or add them to what is there."""
    with f.when(first.equals(1)) as otherwise:
        for at, value in zip(places, sums, strict=True):
            f.store(value, c, at, aligned=True)
    with otherwise:
        for at, value in zip(places, sums, strict=True):
            f.store(f.load(value.type, c, at, aligned=True) + value, c, at, aligned=True)


def accumulate(cells: list[Variable], a: list[Value], b: list[Value]) -> None:
    """cell += a*b, for a real number (one part) or a complex one (re, im)."""
    f = a[0].f
    if len(cells) == 1:
        cells[0].set(f.multiply_add(a[0], b[0], cells[0].get()))
        return
    re, im = cells
    re.set(f.multiply_add(-a[1], b[1], f.multiply_add(a[0], b[0], re.get())))
    im.set(f.multiply_add(a[1], b[0], f.multiply_add(a[0], b[1], im.get())))
