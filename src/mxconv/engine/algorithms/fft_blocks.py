"""How blocks of lines go through Fourier transforms and are summed over channels: counts, costs, panels, pieces.

See jit/kernels/fft_pieces.py for the words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ... import config
from ...jit.kernels.gemm import Tile

LONGEST = 1 << 22
"""Complex values of the longest transform."""
MOST_PANEL_BYTES = 1 << 31
"""Spectra of the weight that a plan may ask for."""
PIECE_BYTES = 32 << 20
"""What the spectra and the sums of a piece may take: weights are read once for all of its columns."""
NEAR_BYTES, FAR_BYTES = 1 << 20, 16 << 20
"""What a core keeps near, and what all keep in a common cache: more than that comes from memory."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """How lines are cut: everything that the bits of a result depend on, and counts."""

    rows: int
    channels: int
    half: int
    """Complex values of a block, which is twice as many samples."""
    outputs: int
    """Results of a block."""
    blocks: int
    """Blocks of a line."""
    families: int
    units: int
    """Lines of a family."""
    tile: Tile | None

    @property
    def columns(self) -> int:
        """Blocks of all lines of a family."""
        return self.units * self.blocks

    @property
    def padded_rows(self) -> int:
        return self.rows if self.tile is None else -(-self.rows // self.tile.mr) * self.tile.mr

    @property
    def transforms(self) -> int:
        return self.families * self.columns * (self.rows + self.channels)

    @property
    def filters(self) -> int:
        return self.families * self.padded_rows * self.channels


def transform_cost(half: int, lanes: int, size: int) -> float:
    """The vector operations that a transform there or back is worth, with its line's way to or from scratch."""
    bytes_ = 2 * half * size
    slower = 1.0 if bytes_ <= 32 << 10 else 1.2 if bytes_ <= 128 << 10 else 1.3 if bytes_ <= 512 << 10 else 1.6
    return half / lanes * (4.0 * math.log2(half) + 24) * slower


def cost(w: Blocks, lanes: int, size: int) -> float:
    """The vector operations that a run is worth, but for spectra of the weight that have to be made.

    Fitted on one core of a Zen 5 with AVX-512; bits depend on it, so that it must not depend on the machine."""
    total = w.transforms * transform_cost(w.half, lanes, size)
    vectors = w.half / lanes
    pair = 2 * lanes * size
    if w.tile is not None:
        total += w.families * w.columns * w.padded_rows * w.channels * vectors * 4.4
        if w.columns * (w.padded_rows + w.channels) * vectors * pair > NEAR_BYTES:
            total += w.transforms * vectors * 80
    panels = w.filters * vectors * pair
    return total + w.filters * vectors * (36 if panels > FAR_BYTES else 8 if panels > NEAR_BYTES else 1)


def lay_panels(w: Blocks, lanes: int) -> dict[str, int]:
    """The slots that say where spectra of the weight lie, in elements; a family's are w_family."""
    vectors, pair = w.half // lanes, 2 * lanes
    if w.tile is None:  # [family][row][vector]
        return {"w_family": w.rows * vectors * pair, "w_tile": vectors * pair, "w_vector": pair}
    # [family][tile][vector][channel][row of the tile], with a gap after each vector as in a piece
    mr = w.tile.mr
    of_vector = (w.channels * mr + 1) * pair
    return {
        "w_family": w.padded_rows // mr * vectors * of_vector,
        "w_tile": vectors * of_vector,
        "w_vector": of_vector,
        "w_column": mr * pair,
        "w_place": pair,
    }


def cut_pieces(w: Blocks, lanes: int, size: int, share: int, thrift: int) -> dict[str, int]:
    """The slots that say how columns are cut into pieces whose spectra and sums fit in PIECE_BYTES, and their tasks of
    `share` lines."""
    assert w.tile is not None
    step, vectors, pair = w.tile.nv, w.half // lanes, 2 * lanes
    line_bytes = vectors * pair * size
    most = PIECE_BYTES // (line_bytes * (w.channels + w.padded_rows)) >> thrift
    most = max(step, min(most, config.get("block_channels") or most))
    columns = -(-min(w.columns, most) // step) * step
    pieces = -(-w.columns // columns)
    columns = -(-w.columns // (pieces * step)) * step  # all about the same
    families = max(1, min(w.families, most // columns)) if pieces == 1 else 1
    return {
        # Vectors of one line that are a power of two apart would meet in a few sets of the caches.
        "columns_vector": (columns * w.channels + 1) * pair,
        "results_vector": (columns * w.padded_rows + 1) * pair,
        "piece": -1,
        "piece_families": families,
        "piece_columns": columns,
        "column_pieces": pieces,
        "transform_tasks": families * columns * -(-w.channels // share),
        "mix_tasks": families * vectors,
        "restore_tasks": families * columns * -(-w.rows // share),
    }
