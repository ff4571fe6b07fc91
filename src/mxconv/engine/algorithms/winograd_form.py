"""How F(m, r) fits a problem, and how its tiles are cut into blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ... import config, geometry
from ...jit.kernels.gemm import Tile
from ...jit.numbers import Numbers
from ...jit.target import Target
from ...jit.winograd import winograd
from ..problem import ConvProblem, Ints
from .correlation import Roles, halves, reach, roles_of, with_row_axis

_T = TypeVar("_T")

CHAIN, SHORT_CHAIN = 64, 32
"""Products in one chain of additions, and in tiles of more than 6 samples an axis: short, as most of the error is made
here, and a second level costs nothing that could be measured."""
CACHED_BYTES = 768 << 10
"""What the tiles of a block may take, transformed, with their products: most of a common L2 cache."""
PRODUCT_BYTES = 256 << 10
"""What of this the products of a chunk of panels may take."""
MOST_BYTES = 8 << 20
"""What both may take where many tiles share a large weight."""
KEPT_BYTES = 20 << 20
"""A weight of that size, transformed, is read from the L3 cache; larger ones from memory as well."""
STREAM = (90, 13)
"""Bytes of the weight a cycle that come from the L3 cache, and from memory, on top of what multiplying takes."""
AGAIN = 25
"""The same of tiles that do not fit in the L2 cache, and are read again for each chunk of panels."""
MOST_POINTS = {1: 9, 2: 49}
"""Products of a tile, at most, with one and with two transformed axes."""
RANGES = (1, 2, 3, 4, 8, 16)
"""Ranges of result channels that are considered, besides one for each panel."""
JOINED = (2, 3, 4)
"""Strides of a deconvolution whose phases on the last axis are computed together."""


@dataclass(frozen=True, slots=True)
class Class:
    """Taps of a phase that meet one residue of the source's coordinates, evenly spaced."""

    first: int
    """The least offset."""
    taps: range


@dataclass(frozen=True, slots=True)
class Transformed:
    """An axis as tiles see it."""

    phases: tuple[tuple[Class, ...], ...]
    """Classes of taps by phase, as many for each."""
    delta: int
    """Grid positions between neighbouring samples of a tile."""
    r: int
    """Most taps of a class."""


def transformed(axis: geometry.AxisPlan) -> Transformed | None:
    """An axis whose phases have as many classes of taps each; None for others."""
    phases: list[tuple[Class, ...]] = []
    delta = 1
    for phase in axis.phases:
        taps = phase.taps
        apart = axis.src_step // math.gcd(axis.src_step, taps.offsets.step)  # from one tap of a class to the next
        classes = [taps[i::apart] for i in range(min(apart, len(taps)))]
        if len(taps) > apart:
            delta = apart * taps.offsets.step // axis.src_step
        phases.append(tuple(Class(own.offsets[0], own.indices) for own in classes) or (Class(0, range(0)),))
    if len({len(classes) for classes in phases}) != 1:
        return None
    return Transformed(tuple(phases), delta, max(1, *(len(c.taps) for classes in phases for c in classes)))


def arrange(roles: Roles) -> Roles:
    """The same correlation with at least two axes, and the longest kernel axis of the others in the row's place, where
    the row axis itself has but one tap."""
    roles = with_row_axis(roles)
    taps = [max((len(phase.taps) for phase in axis.phases), default=0) for axis in roles.axes]
    best = max(range(len(taps) - 1), key=lambda a: (taps[a], a))
    if taps[-2] > 1 or best == len(taps) - 2:
        return roles
    order = [a for a in range(len(taps) - 1) if a != best] + [best, len(taps) - 1]

    def pick(values: Sequence[_T]) -> tuple[_T, ...]:
        return tuple(values[a] for a in order)

    return replace(
        roles,
        src_spatial=pick(roles.src_spatial),
        axes=pick(roles.axes),
        src_strides=pick(roles.src_strides),
        dst_strides=pick(roles.dst_strides),
        w_strides=pick(roles.w_strides),
    )


@dataclass(frozen=True, slots=True)
class Form:
    """A problem as F(m, r) computes it, before it is cut into blocks."""

    roles: Roles
    row: Transformed
    lane: Transformed
    row_size: tuple[int, int]
    lane_size: tuple[int, int]
    lane_phases: int
    """Phases of the lane axis that a task computes together."""
    row_tiles: int
    """Tiles of a residue, at most."""
    lane_tiles: int
    row_residues: int
    lane_residues: int
    outer_taps: int
    entries: int
    """Channels that a sum runs over, one for each class, for one outer tap."""
    lanes: int
    size: int
    """Bytes of a computed number."""
    ring: int
    slots: int

    @property
    def points(self) -> int:
        return (sum(self.row_size) - 1) * (sum(self.lane_size) - 1)

    @property
    def blocks(self) -> int:
        """Vectors of channels of an outer tap."""
        return -(-self.entries // self.lanes)

    @property
    def chain(self) -> int:
        """Products in one chain of additions."""
        return SHORT_CHAIN if max(sum(self.row_size), sum(self.lane_size)) > 7 else CHAIN

    @property
    def strided(self) -> bool:
        return any(axis.src_step > 1 for axis in self.roles.axes[-2:])

    @property
    def least_bytes(self) -> int:
        """What the smallest block takes: a tile of each residue of the lane axis, staged and transformed."""
        (m_row, r_row), (m_lane, r_lane) = self.row_size, self.lane_size
        columns = (m_lane + r_lane - 2) * self.lane.delta + self.lane_residues + self.reach
        staged = max(m_row + r_row - 1, m_row * self.lane_phases) * columns
        return (staged + self.slots * self.lane_phases * self.points * self.blocks * self.lane_residues) * (
            self.lanes * self.size
        )

    @property
    def span(self) -> int:
        """Elements over which the taps of one channel on the last two axes lie in the weight; 0: not upwards."""
        total = 1
        for axis, step in zip(self.roles.axes[-2:], self.roles.w_strides[-2:], strict=True):
            most = max([0, *(max(p.taps.indices[0], p.taps.indices[-1]) for p in axis.phases if p.taps)])
            if most and step < 0:
                return 0
            total += most * step
        return total

    @property
    def reach(self) -> int:
        """How far the first columns of joined phases lie apart."""
        firsts = [classes[0].first for classes in self.lane.phases]
        return max(firsts) - min(firsts) if self.lane_phases > 1 else 0


@functools.lru_cache(maxsize=256)
def form_of(p: ConvProblem, m: int, lanes: int) -> Form | str:
    """The problem in tiles of m, or why it cannot be."""
    roles, row, lane = _axes_of(p)
    axes = roles.axes[-2:]
    if row is None or lane is None:
        return "phases of an axis have different classes of taps"
    sizes = [(1, 1) if axis.r == 1 else (m, axis.r) for axis in (row, lane)]
    many = [size for size in sizes if size[1] > 1]
    if not many:
        return "one tap on each axis, needs 2 or more"
    for taps in (size[1] for size in many):
        if m + taps - 1 > MOST_POINTS[1]:
            return f"{taps} taps on an axis, needs up to {MOST_POINTS[1] + 1 - m}"
    if math.prod(sum(size) - 1 for size in sizes) > MOST_POINTS[len(many)]:
        return f"{row.r}x{lane.r} taps take too many points"
    joined = axes[1].dst_step
    is_joined = joined in JOINED and len(axes[1].phases) == joined and roles.dst_strides[-1] == 1
    residues = [max(1, min(t.delta, axis.positions)) for t, axis in zip((row, lane), axes, strict=True)]
    tiles = [
        -(-axis.positions // (residue * size[0])) for axis, residue, size in zip(axes, residues, sizes, strict=True)
    ]
    outer = [max((len(phase.taps) for phase in axis.phases), default=0) for axis in roles.axes[:-2]]
    ring, slots = 0, max(1, math.prod(outer))
    if outer:
        depth = roles.axes[-3]
        span = reach(depth) + 1
        if span <= 2 * outer[-1] and depth.positions > 1:
            ring, slots = span, max(1, math.prod(outer[:-1]) * span)
    size = Numbers.of(p.dtype).computed.itemsize
    return Form(
        roles=roles,
        row=row,
        lane=lane,
        row_size=sizes[0],
        lane_size=sizes[1],
        lane_phases=joined if is_joined else 1,
        row_tiles=tiles[0],
        lane_tiles=tiles[1],
        row_residues=residues[0],
        lane_residues=residues[1],
        outer_taps=max(1, math.prod(outer)),
        entries=roles.channels * len(row.phases[0]) * len(lane.phases[0]),
        lanes=lanes,
        size=size,
        ring=ring,
        slots=slots,
    )


@functools.lru_cache(maxsize=64)
def _axes_of(p: ConvProblem) -> tuple[Roles, Transformed | None, Transformed | None]:
    """The problem as tiles of any size see it."""
    roles = arrange(roles_of(p))
    return roles, transformed(roles.axes[-2]), transformed(roles.axes[-1])


# ---- blocks


@dataclass(frozen=True, slots=True)
class Cut:
    """How the tiles are cut into blocks and the result channels into ranges."""

    tile: Tile
    rows: int
    """Tiles of a block on each axis, and its samples."""
    columns: int
    samples: int
    panel_blocks: int
    depth_block: int
    tasks: int
    cost: float
    """Cycles until the last thread is done, roughly."""


WIDE_TILES = {
    4: [(14, 2), (13, 2), (10, 2), (9, 2), (8, 2), (9, 3), (8, 3), (7, 3), (6, 4), (4, 6), (14, 1), (8, 1)],
    3: [(13, 2), (11, 2), (9, 2), (8, 3), (6, 4), (14, 1)],
    2: [(13, 2), (9, 2), (8, 3), (14, 1)],
}


def tiles_for(target: Target, m: int) -> list[tuple[int, int]]:
    """Register tiles, tiles by vectors of result channels: accumulators, the vectors of a channel, and a broadcast.

    Each is a kernel of its own, and images of all sizes should share a few of them: most for F(4, r), which most images
    take. By estimate over random sizes of 3x3 layers these take 0.3 % longer than all of 8 to 14 rows would, and over
    the benchmarks' suites 0.1 %.
    """
    if target.registers >= 32:
        return WIDE_TILES[m]
    return [(6, 2), (5, 2), (4, 2), (4, 3), (3, 3), (2, 4), (6, 1)]


@functools.lru_cache(maxsize=4096)
def choose_tile(target: Target, m: int, rows: int, tiles: int, lanes: int) -> tuple[Tile, float]:
    """The register tile with which a block of so many tiles takes the least time, and its cycles for one channel of
    the reduction and one point."""

    cycles = [(each * -(-tiles // tile.mr), i) for i, (tile, each) in enumerate(_tiles_of(target, m, rows, lanes))]
    least, i = min(cycles)
    return _tiles_of(target, m, rows, lanes)[i][0], least


@functools.lru_cache(maxsize=256)
def _tiles_of(target: Target, m: int, rows: int, lanes: int) -> list[tuple[Tile, float]]:
    """Register tiles, each with the cycles that it takes for one channel of the reduction, one point, and all rows."""
    found = []
    for mr, nv in tiles_for(target, m):
        products = max(mr * nv / 2, (mr + nv) / 2 + 0.5)
        found.append((Tile(mr, nv), -(-rows // (nv * lanes)) * (products * 1.03 + 0.15 * nv)))
    return found


def _halved(most: int, limit: int | None) -> list[int]:
    return sorted({-(-most // n) for n in range(1, 9)} | set(halves(most))) if limit is None else [min(most, limit)]


@functools.cache
def _transform_cycles(row: tuple[int, int], lane: tuple[int, int], name: str) -> float:
    """Cycles that transforming a tile of one vector of channels takes, forward (`data`) or back (`output`)."""
    matrices = [getattr(winograd(*size), name) for size in (row, lane)]
    (rows, n_rows), (lanes, n_lanes) = ((len(a), len(a[0])) for a in matrices)
    terms = [sum(bool(x) for row in a for x in row) for a in matrices]
    work = terms[0] * n_lanes * (n_rows > 1) + terms[1] * rows * (n_lanes > 1)
    return 0.25 * work + n_rows * n_lanes + rows * lanes


def choose_cut(p: ConvProblem, m: int, target: Target, threads: int, thrift: int) -> Cut:
    """The cut of a problem in tiles of m with which the threads are estimated to be done first."""
    return _choose_cut(p, m, target, threads, thrift, config.get("block_pixels"), config.get("block_channels"))


@functools.lru_cache(maxsize=256)
def _choose_cut(
    p: ConvProblem, m: int, target: Target, threads: int, thrift: int, limit: int | None, channel_limit: int | None
) -> Cut:
    """The same within so many pixels and channels of a block: an estimate asks, and then the plan."""
    form = form_of(p, m, target.lanes(Numbers.of(p.dtype).computed.itemsize))
    assert not isinstance(form, str)
    roles, lanes, size, own_blocks, residues = form.roles, form.lanes, form.size, form.blocks, form.lane_residues
    (m_row, r_row), (m_lane, r_lane), lane_phases = form.row_size, form.lane_size, form.lane_phases
    row_tiles, lane_tiles, points = form.row_tiles, form.lane_tiles, form.points * form.lane_phases
    limits = [None if limit is None else max(1, limit // m) for m in (m_row, m_lane)]
    depths = roles.axes[-3].positions if len(roles.axes) > 2 else 1
    lines = math.prod(axis.positions for axis in roles.axes[:-3])
    places = p.groups * (roles.phases // lane_phases) * lines * form.row_residues
    forward, back = (_transform_cycles(form.row_size, form.lane_size, name) for name in ("data", "output"))
    vectors, most_rows = -(-roles.rows // lanes), min(roles.rows, channel_limit or roles.rows)
    channels = own_blocks * lanes * form.outer_taps
    chains = -(-channels // CHAIN)
    weight = points * channels * roles.rows * size
    all_weights = weight * (roles.phases // lane_phases)  # threads come to different phases at a time
    new_planes = 1 if form.ring else form.outer_taps
    first_planes = form.outer_taps - 1 if form.ring else 0
    v_tile, m_tile = form.slots * points * own_blocks * lanes * size, points * lanes * size
    back_tile, forward_tile = vectors * lane_phases * (back + m_row * m_lane * 5), lane_phases * forward
    most_bytes = MOST_BYTES >> 2 * thrift
    by_depth = (1,) if depths == 1 else (1, 2, 4) if limit is None else (2,)
    depth_cuts = [-(-depths // n) for n in reversed(by_depth) if n <= max(depths, by_depth[0])]

    # The least that a tile costs in any block, what it shares with others apart.
    least_tile = (
        points * channels * min(each / tile.mr for tile, each in _tiles_of(target, m, most_rows, lanes)) + back_tile
    )
    best: tuple[Tile, int, int, int, int, int, int] | None = None
    least_cost = math.inf
    for rows, columns, samples in _blocks_of(row_tiles, lane_tiles, p.batch, limits):
        tiles = samples * rows * columns * residues
        staged = (rows * m_row + r_row - 1) * (columns * m_lane + r_lane - 1) * residues * samples
        inward = own_blocks * (staged * 5 + tiles * forward_tile)
        boxes = -(-row_tiles // rows) * -(-lane_tiles // columns) * -(-p.batch // samples) * places
        if boxes * depths * (tiles * least_tile + new_planes * inward) > least_cost * threads:
            continue  # were all threads busy to the end, it would still take longer
        tile, product = choose_tile(target, m, most_rows, tiles, lanes)
        panels = -(-roles.rows // (tile.nv * lanes))
        rounded = -(-tiles // tile.mr) * tile.mr
        v_bytes, m_bytes = v_tile * rounded, m_tile * tile.nv * rounded
        taken = v_bytes + m_bytes
        work = points * (channels * product + panels * rounded * tile.nv * 1.5 * chains) + tiles * back_tile
        if weight + taken > CACHED_BYTES:
            work += weight / (STREAM[0] if all_weights <= KEPT_BYTES else STREAM[1])
        slowness = 1.0
        if taken > CACHED_BYTES:
            work += v_bytes * max(1, panels // max(1, PRODUCT_BYTES // m_bytes)) / AGAIN
            slowness += 0.04 * math.log2(taken / CACHED_BYTES)
            if taken > most_bytes:
                slowness += 1e3 * (taken / most_bytes - 1)
        least = min(panels, -(-roles.rows // channel_limit)) if channel_limit else 1
        most = least if channel_limit else panels
        if boxes * depths * (work + new_planes * inward) * slowness > least_cost * threads:
            continue
        for ranges, share in _ranges_of(panels, least, most):
            for depth in depth_cuts:
                tasks = boxes * -(-depths // depth) * ranges
                own = depth * share * work + (depth * new_planes + first_planes) * inward + 500
                cost = own * -(-tasks // threads) * slowness
                if cost <= least_cost:
                    least_cost, best = cost, (tile, rows, columns, samples, ranges, depth, tasks)
    assert best is not None
    return Cut(*best, least_cost)


def _blocks_of(row_tiles: int, lane_tiles: int, batch: int, limits: Sequence[int | None]) -> Iterator[Ints]:
    """Tiles of a block by row and by column, and its samples: whole samples, whole rows, or parts of a row; the large
    ones first, among which the best one mostly is."""
    is_limited = limits[0] is not None
    if not is_limited:
        for samples in reversed(_halved(batch, None)):
            if samples > 1:
                yield row_tiles, lane_tiles, samples
    all_columns = _halved(lane_tiles, limits[1])[::-1]
    for rows in reversed(_halved(row_tiles, limits[0])):
        for columns in all_columns:
            if rows == 1 or columns == lane_tiles or is_limited:
                yield rows, columns, 1


@functools.lru_cache(maxsize=256)
def _ranges_of(panels: int, least: int, most: int) -> tuple[tuple[int, float], ...]:
    """Into how many ranges the panels of result channels may be cut, and the share of the longest."""
    longest = {-(-panels // n) for n in (*RANGES, most) if least <= n <= panels}
    return tuple((-(-panels // own), own / panels) for own in sorted(longest))
