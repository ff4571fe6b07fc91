"""Taps that miss the image, left out of the sums of a tile of pixels.

For every position of a box, axis by axis, the taps that hit the image are neighbours: `first` up to `end`. A tile
needs those that any of its pixels needs. Numbered tap by tap, each over all channels, its products are then a
few ranges, which are cut where chains of additions end.

A band is a range of an axis's positions that the same taps hit. In tiles whose pixels lie in one band on every axis no
product reads padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I64, PTR, Function, Operand, Value
from ..target import Target
from .blocks import Layout
from .channel_panels import ChannelPanels
from .correlation import TAP_ROW
from .gemm import Tile

TAPS = Layout(("first", "end"))
"""The taps of one axis that hit the image, from one position or from any of a tile; also a range of products."""
BAND = Layout(("count", "start", "length", "at"))
"""The bands of one axis, neighbouring positions that the same taps hit: how many, the one that is walked, and the
position in it. Where each begins follows, and the end of the last."""
NO_RANGE = 1 << 62
"""Where the ranges of a tile end."""

RANGE_ARGS = (
    # whether pixels are listed band by band; a box's positions on its longest axis; ranges of a tile, at most
    "banded", "longest", "most_ranges",
    "at_hits", "at_bands", "at_tiles", "at_ranges", "at_next",
)  # fmt: skip
"""The slots that this needs."""


class TapRanges(ChannelPanels):
    """Boxes of rows, and tiles of `mr` pixels that know their taps."""

    def __init__(self, dtype: str, tile: Tile, target: Target, args: Sequence[str]) -> None:
        super().__init__(dtype, tile, target, args)
        self.emit_list_hits()
        self.emit_list_bands()
        self.emit_widen_tile()
        self.emit_cut_range()
        self.emit_list_ranges()
        self.emit_begin_tiles()

    # ---- made once a box

    def emit_list_hits(self) -> None:
        """The taps that hit the image from every position of the box, axis by axis; gives 1 if one misses."""
        with self.module.function("list_hits", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables, hits = self.args.pointer(f, args, "tables"), self.section(f, args, state, "at_hits")
            rank, longest = self.args.read(f, args, "rank", "longest")
            first, end, misses = f.variable(I64), f.variable(I64), f.variable(I64, 0)
            with f.loop(0, rank) as a:
                extent, step = self.axis(f, tables, a, "extent", "src_step")
                start, length, tap_at, taps = self.own(f, state, a, "start", "length", "tap_at", "taps")
                with f.loop(0, length) as i:
                    first.set(0)
                    end.set(0)
                    with f.loop(0, taps) as t:
                        at = (start + i) * step + f.load(I64, f.offset(tables, tap_at + t * TAP_ROW, I64), 1)
                        first.set(first.get() + f.cast("zext", at < 0, I64))
                        end.set(end.get() + f.cast("zext", at < extent, I64))
                    self.put_taps(f, f.offset(hits, (a * longest + i) * len(TAPS), I64), first.get(), end.get())
                    misses.set(misses.get() | f.cast("zext", end.get() - first.get() < taps, I64))
            f.give(misses.get())

    def put_taps(self, f: Function, to: Value, first: Value, end: Value) -> None:
        f.store(first, to, TAPS.index["first"])
        f.store(end, to, TAPS.index["end"])

    def band_row(self, f: Function, bands: Value, longest: Value, a: Value) -> Value:
        """The row of an axis among the bands."""
        return f.offset(bands, a * (longest + (len(BAND) + 1)), I64)

    def emit_list_bands(self) -> None:
        """The bands of every axis of the box, or one band each; gives how many boxes of them there are."""
        with self.module.function("list_bands", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            hits, bands = (self.section(f, args, state, n) for n in ("at_hits", "at_bands"))
            rank, longest, banded = self.args.read(f, args, "rank", "longest", "banded")
            total, count = f.variable(I64, 1), f.variable(I64)
            with f.loop(0, rank) as a:
                (length,) = self.own(f, state, a, "length")
                row = self.band_row(f, bands, longest, a)
                f.store(f.constant(0, I64), row, len(BAND))
                count.set(1)
                with f.loop(1, f.select(banded.equals(1), length, 0)) as i:
                    here = f.offset(hits, (a * longest + i) * len(TAPS), I64)
                    (first, end), (own_first, own_end) = (
                        TAPS.read(f, f.offset(here, -n * len(TAPS), I64), *TAPS.names) for n in (1, 0)
                    )
                    with f.when((own_first.equals(first) & own_end.equals(end)) ^ 1):
                        f.store(i, row, count.get() + len(BAND))
                        count.set(count.get() + 1)
                f.store(length, row, count.get() + len(BAND))
                f.store(count.get(), row, BAND.index["count"])
                total.set(total.get() * count.get())
            f.give(total.get())

    def tile_row(self, f: Function, tiles: Value, rank: Value, a: Value, tile: Operand) -> Value:
        """The taps of one axis that a tile needs; number 0 are all."""
        return f.offset(tiles, (f.constant(tile, I64) * rank + a) * len(TAPS), I64)

    def emit_widen_tile(self) -> None:
        """Add the taps of pixel n, whose position is `at` of the bands, to those of its tile."""
        mr = self.tile.mr
        with self.module.function("widen_tile", args=PTR, state=PTR, n=I64) as f:
            args, state, n = (f.args[key] for key in ("args", "state", "n"))
            hits, bands, tiles = (self.section(f, args, state, key) for key in ("at_hits", "at_bands", "at_tiles"))
            rank, longest = self.args.read(f, args, "rank", "longest")
            begins = (n % mr).equals(0)
            with f.loop(0, rank) as a:
                (at,) = BAND.read(f, self.band_row(f, bands, longest, a), "at")
                first, end = TAPS.read(f, f.offset(hits, (a * longest + at) * len(TAPS), I64), *TAPS.names)
                row = self.tile_row(f, tiles, rank, a, n // mr + 1)
                others = TAPS.read(f, row, *TAPS.names)
                least, most = f.smaller(first, others[0]), f.larger(end, others[1])
                self.put_taps(f, row, f.select(begins, first, least), f.select(begins, end, most))

    # ---- what is left of a tile's products

    def emit_cut_range(self) -> None:
        """List a range of products cut at the ends of chains; gives where the next is listed."""
        with self.module.function("cut_range", args=PTR, to=PTR, first=I64, end=I64) as f:
            (chain,) = self.args.read(f, f.args["args"], "tile_chain")
            to, first, end = f.variable(PTR, f.args["to"]), f.args["first"], f.args["end"]
            with f.loop(first // chain * chain, end, chain) as k:
                self.put_taps(f, to.get(), f.larger(k, first), f.smaller(k + chain, end))
                to.set(f.offset(to.get(), len(TAPS), I64))
            f.give(to.get())

    def emit_list_ranges(self) -> None:
        """The ranges of the products with these taps, a row an axis, in ascending order."""
        with self.module.function("list_ranges", args=PTR, state=PTR, needed=PTR, to=PTR) as f:
            args, state, needed = (f.args[n] for n in ("args", "state", "needed"))
            rank, channels = self.args.read(f, args, "rank", "channels")
            (lane_taps,) = self.own(f, state, rank - 1, "taps")
            lane_first, lane_end = TAPS.read(f, f.offset(needed, (rank - 1) * len(TAPS), I64), *TAPS.names)
            count, rest, inside = f.variable(I64, 1), f.variable(I64), f.variable(I64)
            first, end, to = f.variable(I64, 0), f.variable(I64, 0), f.variable(PTR, f.args["to"])
            with f.loop(0, rank - 1) as a:
                count.set(count.get() * self.own(f, state, a, "taps")[0])
            with f.loop(0, count.get()) as t:
                rest.set(t)
                inside.set(f.cast("zext", lane_first < lane_end, I64))
                with f.loop(1, rank) as i:
                    a = rank - 1 - i
                    (taps,) = self.own(f, state, a, "taps")
                    own_first, own_end = TAPS.read(f, f.offset(needed, a * len(TAPS), I64), *TAPS.names)
                    own = rest.get() % taps
                    rest.set(rest.get() // taps)
                    inside.set(inside.get() & f.cast("zext", (own >= own_first) & (own < own_end), I64))
                with f.when(inside.get().equals(1)):
                    begin = (t * lane_taps + lane_first) * channels
                    with f.when(begin.equals(end.get()) ^ 1):
                        to.set(f.call_for(PTR, "cut_range", args, to.get(), first.get(), end.get()))
                        first.set(begin)
                    end.set((t * lane_taps + lane_end) * channels)
            to.set(f.call_for(PTR, "cut_range", args, to.get(), first.get(), end.get()))
            self.put_taps(f, to.get(), f.constant(NO_RANGE, I64), f.constant(NO_RANGE, I64))

    def emit_begin_tiles(self) -> None:
        """Point every tile of a block of pixels to its first range: of all products, or of those `skips` leaves."""
        with self.module.function("begin_tiles", args=PTR, state=PTR, first=I64, end=I64, skips=I64) as f:
            args, state, first_tile = f.args["args"], f.args["state"], f.args["first"] // self.tile.mr
            tiles, ranges, following = (self.section(f, args, state, n) for n in ("at_tiles", "at_ranges", "at_next"))
            rank, most = self.args.read(f, args, "rank", "most_ranges")
            own, is_full = f.variable(PTR), f.variable(I64)
            with f.loop(f.args["first"], f.args["end"], self.tile.mr) as p:
                tile = p // self.tile.mr
                own.set(ranges)
                with f.when(f.args["skips"].equals(1)):
                    is_full.set(1)
                    with f.loop(0, rank) as a:
                        rows = (self.tile_row(f, tiles, rank, a, n) for n in (0, tile + 1))
                        every, needed = (TAPS.read(f, row, *TAPS.names) for row in rows)
                        same = every[0].equals(needed[0]) & every[1].equals(needed[1])
                        is_full.set(is_full.get() & f.cast("zext", same, I64))
                    with f.when(is_full.get().equals(0)):
                        own.set(f.offset(ranges, (tile - first_tile + 1) * most * len(TAPS), I64))
                        needed_taps = self.tile_row(f, tiles, rank, f.constant(0, I64), tile + 1)
                        f.call("list_ranges", args, state, needed_taps, own.get())
                f.store(own.get(), following, tile - first_tile)
