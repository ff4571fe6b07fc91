"""How F(m, r) fits a problem, and how its tiles are cut into blocks."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ... import config, geometry
from ...jit.kernels.gemm import Tile
from ...jit.numbers import Numbers
from ...jit.target import Target
from ...jit.winograd import winograd
from ..problem import ConvProblem
from .correlation import Roles, halves, roles_of, with_row_axis

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
JOINED = (2, 3, 4)
"""Strides of a deconvolution whose phases on the last axis are computed together."""


@dataclass(frozen=True, slots=True)
class Class:
    """Taps of a phase that meet one residue of the source's coordinates, evenly spaced."""

    first: int
    """The least offset."""
    taps: tuple[int, ...]


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
    """An axis whose taps are evenly spaced in every phase; None for others."""
    phases: list[tuple[Class, ...]] = []
    steps: set[int] = set()
    for phase in axis.phases:
        by_residue: dict[int, list[geometry.Tap]] = {}
        for tap in phase.taps:
            by_residue.setdefault(tap.offset % axis.src_step, []).append(tap)
        for taps in by_residue.values():
            steps |= {b.offset - a.offset for a, b in itertools.pairwise(taps)}
        classes = [Class(taps[0].offset, tuple(tap.tap for tap in taps)) for taps in by_residue.values()]
        phases.append(tuple(classes) or (Class(0, ()),))
    if len(steps) > 1 or len({len(classes) for classes in phases}) != 1:
        return None
    delta = steps.pop() // axis.src_step if steps else 1
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
            most = max(tap.tap for phase in axis.phases for tap in (*phase.taps, geometry.Tap(0, 0)))
            if most and step < 0:
                return 0
            total += most * step
        return total

    @property
    def reach(self) -> int:
        """How far the first columns of joined phases lie apart."""
        firsts = [classes[0].first for classes in self.lane.phases]
        return max(firsts) - min(firsts) if self.lane_phases > 1 else 0


@functools.lru_cache(maxsize=1024)
def form_of(p: ConvProblem, m: int, lanes: int) -> Form | str:
    """The problem in tiles of m, or why it cannot be."""
    roles = arrange(roles_of(p))
    axes = roles.axes[-2:]
    pair = [transformed(axis) for axis in axes]
    if pair[0] is None or pair[1] is None:
        return "taps of a phase are not evenly spaced"
    row, lane = pair[0], pair[1]
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
        offsets = [[tap.offset for tap in phase.taps] for phase in depth.phases]
        span = max((taps[-1] - taps[0] + 1 for taps in offsets if taps), default=1)
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


def tiles_for(target: Target) -> list[tuple[int, int]]:
    """Register tiles, tiles by vectors of result channels: accumulators, the vectors of a channel, and a broadcast."""
    if target.registers >= 32:
        return [
            (14, 2),
            (13, 2),
            (12, 2),
            (11, 2),
            (10, 2),
            (9, 2),
            (8, 2),
            (9, 3),
            (8, 3),
            (7, 3),
            (6, 4),
            (4, 6),
            (14, 1),
            (8, 1),
        ]
    return [(6, 2), (5, 2), (4, 2), (4, 3), (3, 3), (2, 4), (6, 1)]


@functools.lru_cache(maxsize=4096)
def choose_tile(target: Target, rows: int, tiles: int, lanes: int) -> tuple[Tile, float]:
    """The register tile with which a block of so many tiles takes the least time, and its cycles for one channel of
    the reduction and one point."""

    def cost(shape: tuple[int, int]) -> float:
        mr, nv = shape
        products = max(mr * nv / 2, (mr + nv) / 2 + 0.5)
        return -(-rows // (nv * lanes)) * -(-tiles // mr) * (products * 1.03 + 0.15 * nv)

    best = min(tiles_for(target), key=cost)
    return Tile(*best), cost(best)


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


def choose_cut(form: Form, target: Target, batch: int, groups: int, threads: int, thrift: int) -> Cut:
    """The cut with which the threads are estimated to be done first."""
    limits = config.get("block_pixels"), config.get("block_channels")
    return _choose_cut(form, target, batch, groups, threads, thrift, *limits)


@functools.lru_cache(maxsize=1024)
def _choose_cut(
    form: Form,
    target: Target,
    batch: int,
    groups: int,
    threads: int,
    thrift: int,
    limit: int | None,
    channel_limit: int | None,
) -> Cut:
    roles, lanes, points = form.roles, form.lanes, form.points * form.lane_phases
    m_row, m_lane = form.row_size[0], form.lane_size[0]
    limits = [None if limit is None else max(1, limit // m) for m in (m_row, m_lane)]
    depths = roles.axes[-3].positions if len(roles.axes) > 2 else 1
    lines = math.prod(axis.positions for axis in roles.axes[:-3])
    phases = roles.phases // form.lane_phases
    forward, back = (_transform_cycles(form.row_size, form.lane_size, name) for name in ("data", "output"))
    vectors = -(-roles.rows // lanes)
    channels = form.blocks * lanes * form.outer_taps
    weight = form.points * form.lane_phases * channels * roles.rows * form.size
    new_planes = 1 if form.ring else form.outer_taps
    depth_blocks = {1} if depths == 1 else {1, 2, 4} if limit is None else {2}
    choices: list[tuple[int, int, int]] = [
        (rows, columns, 1)
        for rows in _halved(form.row_tiles, limits[0])
        for columns in _halved(form.lane_tiles, limits[1])
        if rows == 1 or columns == form.lane_tiles or limit is not None
    ]
    if limit is None:
        choices += [(form.row_tiles, form.lane_tiles, n) for n in _halved(batch, None) if n > 1]
    best: Cut | None = None
    for rows, columns, samples in choices:
        own = rows * columns * form.lane_residues
        tiles = samples * own
        tile, product = choose_tile(target, min(roles.rows, channel_limit or roles.rows), tiles, lanes)
        panels = -(-roles.rows // (tile.nv * lanes))
        rounded = -(-tiles // tile.mr) * tile.mr
        v_bytes = form.slots * points * form.blocks * rounded * lanes * form.size
        m_bytes = points * tile.nv * lanes * rounded * form.size
        staged = (rows * m_row + form.row_size[1] - 1) * (columns * m_lane + form.lane_size[1] - 1) * form.lane_residues
        inward = form.blocks * (staged * samples * 5 + tiles * form.lane_phases * forward)
        outward = vectors * tiles * form.lane_phases * (back + m_row * m_lane * 5)
        multiply = points * (channels * product + panels * rounded * tile.nv * 1.5 * -(-channels // CHAIN))
        resident = weight + v_bytes + m_bytes <= CACHED_BYTES
        stream = 0.0 if resident else weight / STREAM[0] if weight <= KEPT_BYTES else weight / STREAM[1]
        chunks = max(1, panels // max(1, PRODUCT_BYTES // m_bytes))
        again = v_bytes * chunks / AGAIN if v_bytes + m_bytes > CACHED_BYTES else 0.0
        roomy = 0.04 * max(0.0, math.log2((v_bytes + m_bytes) / CACHED_BYTES))
        excess = max(0.0, (v_bytes + m_bytes) / (MOST_BYTES >> 2 * thrift) - 1)
        blocks = -(-form.row_tiles // rows) * form.row_residues * -(-form.lane_tiles // columns) * -(-batch // samples)
        most_ranges = min(panels, -(-roles.rows // channel_limit)) if channel_limit else panels
        for ranges, depth_blocks_ in itertools.product({1, 2, 3, 4, 8, 16, most_ranges}, depth_blocks):
            if (
                ranges > panels
                or min(depth_blocks) < depth_blocks_ > depths
                or (channel_limit and ranges < most_ranges)
            ):
                continue
            share = -(-panels // ranges) / panels
            depth = -(-depths // depth_blocks_)
            ranges_ = -(-panels // -(-panels // ranges))
            tasks = blocks * groups * phases * lines * -(-depths // depth) * ranges_
            work = depth * share * (multiply + stream + again + outward)
            work += (depth * new_planes + (form.outer_taps - 1 if form.ring else 0)) * inward + 500
            cost = work * -(-tasks // threads) * (1 + roomy + 1e3 * excess)
            if best is None or cost < best.cost:
                best = Cut(tile, rows, columns, samples, ranges_, depth, tasks, cost)
    assert best is not None
    return best
