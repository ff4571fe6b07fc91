"""winograd_4, winograd_3, winograd_2: F(m, r) on the last two axes, m = 4, 3 or 2 (jit/kernels/winograd.py).

The choice for dense kernels of 2 to 4 taps on an axis (7 where only one axis has more than one) with enough channels:
F(4, 3) on two axes multiplies four times less than the plain sum does. Sums are not those of the products themselves,
so errors are larger: see `error`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ... import config, geometry
from ...jit import compiler
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.gemm import Tile
from ...jit.kernels.pointwise import BOX
from ...jit.kernels.winograd import ARGS, CLASS, ENTRY, LANE_PHASE, SLOT, Spec, class_row, emit_winograd
from ...jit.kernels.winograd import AXIS_STATE as KERNEL_AXIS_STATE
from ...jit.kernels.winograd import STATE as KERNEL_STATE
from ...jit.kernels.correlation import AXIS_STATE_NAMES, STATE_NAMES
from ...jit.numbers import Numbers
from ...jit.target import Target
from ...jit.winograd import winograd
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict
from .correlation import SLOTS, Roles, common_values, compiled_words, halves, make_tables, roles_of, with_row_axis

import numpy as np

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions."""
CACHED_BYTES = 768 << 10
"""What the tiles of a block may take, transformed, with their products: most of a common L2 cache."""
PRODUCT_BYTES = 256 << 10
"""What of this the products of a chunk of panels may take."""
MOST_POINTS = {1: 9, 2: 36}
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

    def pick(values: Sequence) -> tuple:
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
    def strided(self) -> bool:
        return any(axis.src_step > 1 for axis in self.roles.axes[-2:])

    @property
    def reach(self) -> int:
        """How far the first columns of joined phases lie apart."""
        firsts = [classes[0].first for classes in self.lane.phases]
        return max(firsts) - min(firsts) if self.lane_phases > 1 else 0


def form_of(p: ConvProblem, m: int, target: Target) -> Form | str:
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
    for size in many:
        if sum(size) - 1 > MOST_POINTS[1]:
            return f"{size[1]} taps on an axis, needs up to {MOST_POINTS[1] + 1 - m}"
    if math.prod(sum(size) - 1 for size in sizes) > MOST_POINTS[len(many)]:
        return f"{row.r}x{lane.r} taps take too many points"
    joined = axes[1].dst_step
    is_joined = joined in JOINED and len(axes[1].phases) == joined and roles.dst_strides[-1] == 1
    residues = [max(1, min(t.delta, axis.positions)) for t, axis in zip((row, lane), axes, strict=True)]
    tiles = [
        -(-(-(-axis.positions // residue)) // size[0])
        for axis, residue, size in zip(axes, residues, sizes, strict=True)
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
        lanes=target.lanes(size),
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


def _transform_cycles(form: Form, name: str) -> float:
    """Cycles that transforming a tile of one vector of channels takes, forward (`data`) or back (`output`)."""
    matrices = [getattr(winograd(*size), name) for size in (form.row_size, form.lane_size)]
    (rows, n_rows), (lanes, n_lanes) = ((len(a), len(a[0])) for a in matrices)
    terms = [sum(bool(x) for row in a for x in row) for a in matrices]
    work = terms[0] * n_lanes * (n_rows > 1) + terms[1] * rows * (n_lanes > 1)
    return 0.5 * work + 1.5 * (n_rows * n_lanes + rows * lanes)


@functools.lru_cache(maxsize=1024)
def choose_cut(form: Form, target: Target, batch: int, groups: int, threads: int, thrift: int) -> Cut:
    """The cut with which the threads are estimated to be done first."""
    roles, lanes, points = form.roles, form.lanes, form.points * form.lane_phases
    limit, channel_limit = config.get("block_pixels"), config.get("block_channels")
    m_row, m_lane = form.row_size[0], form.lane_size[0]
    limits = [None if limit is None else max(1, limit // m) for m in (m_row, m_lane)]
    depths = roles.axes[-3].positions if len(roles.axes) > 2 else 1
    lines = math.prod(axis.positions for axis in roles.axes[:-3])
    phases = roles.phases // form.lane_phases
    forward, back = _transform_cycles(form, "data"), _transform_cycles(form, "output")
    vectors = -(-roles.rows // lanes)
    channels = form.blocks * lanes * form.outer_taps
    weight = form.points * form.lane_phases * channels * roles.rows * form.size
    new_planes = 1 if form.ring else form.outer_taps
    depth_blocks = {1} if depths == 1 else {1, 2, 4} if limit is None else {depths}
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
        inward = form.blocks * (staged * samples * 7 + tiles * form.lane_phases * forward)
        outward = vectors * tiles * form.lane_phases * (back + m_row * m_lane * 7)
        multiply = points * (channels * product + panels * rounded * tile.nv * 1.5 * -(-channels // CHAIN))
        stream = weight / (48 if weight + v_bytes + m_bytes < CACHED_BYTES else 20)
        over = max(0.0, (v_bytes + m_bytes) / (CACHED_BYTES >> thrift) - 1)
        blocks = -(-form.row_tiles // rows) * form.row_residues * -(-form.lane_tiles // columns) * -(-batch // samples)
        most_ranges = -(-roles.rows // channel_limit) if channel_limit else panels
        for ranges, depth_blocks_ in itertools.product({1, 2, 3, 4, 8, 16, most_ranges}, depth_blocks):
            if ranges > panels or depth_blocks_ > depths or (channel_limit and ranges < min(panels, most_ranges)):
                continue
            share = -(-panels // ranges) / panels
            depth = -(-depths // depth_blocks_)
            ranges_ = -(-panels // -(-panels // ranges))
            tasks = blocks * groups * phases * lines * -(-depths // depth) * ranges_
            gemm = max(multiply, stream) * share + 0.1 * min(multiply, stream) * share
            work = depth * (gemm * (1 + 0.05 * min(over, 8)) + outward * share)
            work += (depth * new_planes + (form.outer_taps - 1 if form.ring else 0)) * inward + 500
            cost = work * -(-tasks // threads) + over * (1e3 if thrift == 0 else 1e6)
            if best is None or cost < best.cost:
                best = Cut(tile, rows, columns, samples, ranges_, depth, tasks, cost)
    assert best is not None
    return best


@functools.cache
def _kernels(spec: Spec, target: Target) -> compiler.CompiledModule:
    return compiler.compile_module(emit_winograd(spec, target), target, f"{spec.name}_{target.name}")


class Winograd:
    """F(m, r). See the module's docstring.

    Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; the points are others.
    """

    is_plain = False

    def __init__(self, m: int) -> None:
        self.m = m
        self.name = f"winograd_{m}"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if problem.storage.kind != "float":
            return Verdict(False, f"dtype {problem.dtype}, needs floating-point numbers")
        roles = roles_of(problem)
        if not (roles.pixels and roles.rows and roles.channels):
            return Verdict(False, "no results or no sums, needs some")
        form = form_of(problem, self.m, target)
        return Verdict(False, form) if isinstance(form, str) else ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        return 1.4e-5

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        form = form_of(problem, self.m, target)
        assert not isinstance(form, str)
        cut = choose_cut(form, target, problem.batch, problem.groups, threads, 0)
        cycle = 4 * form.lanes / machine.flops
        return machine.dispatch + cut.cost * cycle

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p = problem
        form = form_of(p, self.m, target)
        assert not isinstance(form, str)
        roles, lanes, size = form.roles, form.lanes, form.size
        cut = choose_cut(form, target, p.batch, p.groups, threads, thrift)
        tile, nr = cut.tile, cut.tile.nv * lanes
        panels = -(-roles.rows // nr)
        block_panels = -(-panels // cut.panel_blocks)
        threads = max(1, min(threads, cut.tasks))
        tiles = cut.samples * cut.rows * cut.columns * form.lane_residues
        rounded = round_up(tiles, tile.mr)
        line = 64 // size
        chain = max(1, min(CHAIN, config.get("block_reduction") or CHAIN) // lanes)

        tile_pitch = rounded * lanes
        v_point = form.blocks * tile_pitch + line
        v_phase, m_vector = form.points * v_point, form.lane_phases * form.points * tile_pitch * size
        chunk = max(1, min(block_panels, (PRODUCT_BYTES >> thrift) // (m_vector * tile.nv)))
        m_point = chunk * tile.nv * tile_pitch + line
        (m_row, r_row), (m_lane, r_lane) = form.row_size, form.lane_size
        span = (cut.columns * m_lane + r_lane - 2) * form.lane.delta + form.lane_residues + form.reach
        in_pitch = round_up(span, lanes) * lanes + lanes
        out_pitch = round_up(cut.columns * m_lane * form.lane.delta * form.lane_phases, lanes) * lanes + lanes
        strip = max((cut.rows * m_row + r_row - 1) * in_pitch, m_row * out_pitch)

        scratch = Ledger()
        rank = len(roles.axes)
        scratch.book(
            "state",
            8 * (len(STATE_NAMES) + len(KERNEL_STATE) + rank * (len(AXIS_STATE_NAMES) + len(KERNEL_AXIS_STATE))),
        )
        for name, bytes_ in (
            ("at_box", 8 * len(BOX) * rank),
            ("at_lanes", 8 * len(LANE_PHASE) * form.lane_phases),
            ("at_places", 8 * 3 * form.blocks * lanes * form.strided),
            ("at_entries", 8 * len(ENTRY) * form.outer_taps * form.blocks),
            ("at_slots", 8 * len(SLOT) * form.slots),
            ("at_strip", strip * size),
            ("at_v", form.slots * form.lane_phases * v_phase * size),
            ("at_m", form.lane_phases * form.points * m_point * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        u_point = panels * form.outer_taps * form.blocks * lanes * nr
        u_phase = form.points * u_point
        flags_at = p.groups * roles.phases * u_phase * size
        pack_tasks = p.groups * roles.phases * panels * form.outer_taps * form.blocks
        ledger.book(PANELS, flags_at + 8 * pack_tasks)

        plain, classes = make_tables(roles), []
        class_at = {}
        for axis, name, stride in (
            (form.row, "row", roles.w_strides[-2]),
            (form.lane, "lane", roles.w_strides[-1]),
        ):
            class_at[name] = len(plain) + len(classes)
            for phase in axis.phases:
                for entry in phase:
                    classes.append(entry.first)
                    taps = [(1, tap * stride) for tap in entry.taps] + [(0, 0)] * (axis.r - len(entry.taps))
                    classes += [number for pair in taps for number in pair]
        assert len(classes) == sum(len(t.phases) * len(t.phases[0]) * class_row(t.r) for t in (form.row, form.lane))
        tables = np.concatenate([plain, np.array(classes, np.int64)])

        depths = roles.axes[-3].positions if rank > 2 else 1
        values = {
            **common_values(p, roles, panels),
            "row_tiles": form.row_tiles,
            "row_block": cut.rows,
            "row_blocks": -(-form.row_tiles // cut.rows),
            "row_residues": form.row_residues,
            "row_delta": form.row.delta,
            "row_classes": len(form.row.phases[0]),
            "row_class_at": class_at["row"],
            "lane_tiles": form.lane_tiles,
            "lane_block": cut.columns,
            "lane_blocks": -(-form.lane_tiles // cut.columns),
            "lane_residues": form.lane_residues,
            "lane_delta": form.lane.delta,
            "lane_classes": len(form.lane.phases[0]),
            "lane_class_at": class_at["lane"],
            "sample_block": cut.samples,
            "sample_blocks": -(-p.batch // cut.samples),
            "samples": p.batch,
            "lines": math.prod(axis.positions for axis in roles.axes[:-3]),
            "depth_block": cut.depth_block,
            "depth_blocks": -(-depths // cut.depth_block),
            "depth_axis": rank - 3,
            "panels_of_rows": panels,
            "block_panels": block_panels,
            "panel_blocks": cut.panel_blocks,
            "chunk_panels": chunk,
            "outer_phases": roles.phases // form.lane_phases,
            "lane_phases": form.lane_phases,
            "outer_taps": form.outer_taps,
            "entries": form.entries,
            "entry_blocks": form.blocks,
            "chain_blocks": chain,
            "ring": form.ring,
            "slots": form.slots,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step // form.lane_phases,
            "columns": sum(phase.count for phase in roles.axes[-1].phases),
            "in_pitch": in_pitch,
            "out_pitch": out_pitch,
            "tile_pitch": tile_pitch,
            "v_point": v_point,
            "v_phase": v_phase,
            "v_slot": form.lane_phases * v_phase,
            "m_point": m_point,
            "m_phase": form.points * m_point,
            "u_point": u_point,
            "u_phase": u_phase,
            "at_flags": flags_at,
            "pack_tasks": pack_tasks,
            "run_tasks": cut.tasks,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **{name: scratch.entries[name][0] for name in LAYOUT.names if name in scratch.entries},
        }
        module = _kernels(Spec(p.dtype, form.row_size, form.lane_size, tile, form.strided, compiled_words(p)), target)
        key = (
            self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, nr, form.row_size,
            form.lane_size, form.row.phases, form.lane.phases,
            [[[tap.tap for tap in phase.taps] for phase in axis.phases] for axis in roles.axes[:-2]],
        )  # fmt: skip
        packing = Packing(
            Step("pack_weight", job_at(module.address("pack_weight")), pack_tasks),
            ledger.entries[PANELS][1],
            repr(key),
        )
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={
                "pixels": cut.tasks // cut.panel_blocks,
                "channels": cut.panel_blocks,
                "reduction": -(-form.blocks // chain),
            },
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), cut.tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": roles.src, "dst": roles.dst, **SLOTS},
            ledger=ledger,
            packing=packing,
            keep=(tables, module),
        )
