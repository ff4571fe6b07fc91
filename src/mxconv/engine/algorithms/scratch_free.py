"""scratch_free: the algorithm of last resort, every problem in every direction without any workspace.

Both inputs are read where they lie (jit/kernels/scratch_free.py, scratch_free_weight.py), so it is slow where lanes are
far apart; what it keeps is a few kilobytes of each worker's stack.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ... import config, geometry
from ...jit.kernels import scratch_free as kernel
from ...jit.kernels import scratch_free_weight as weight_kernel
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.gemm import Tile
from ...jit.kernels.in_place import near_distance
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, addresses_of, common_values, compiled_words, make_tables, roles_of, with_row_axis
from .costs import traffic_seconds

LAYOUT = Layout((*COMMON_ARGS, *kernel.ARGS))
WEIGHT_LAYOUT = Layout((*COMMON_ARGS, *weight_kernel.ARGS))

CHAIN = 128
"""Products in one chain of additions."""
UNIT_BYTES = 256 << 10
"""Weights that a task goes through for each of its tiles: they stay in a common L2 cache."""
ALIAS_BYTES, ALIAS_ROWS = 4096, 12
"""Weight rows so far apart share one set of an L1 cache, which has room for this many."""
GATHER = 16
"""What a gathered vector costs, in loads."""
SLOWNESS = 12.0
"""Estimate: time relative to the multiply-adds' peak, in the middle between what lies well and what does not."""
APART = 8.0
"""What it grows by where the samples of a vector, or its results, are no neighbours."""


def pixel_tiles(target: Target, parts: int) -> tuple[Tile, ...]:
    """Register tiles of result channels times vectors of pixels; a complex number takes two registers."""
    if target.registers >= 32:
        return _tiles((24, 1), (12, 2), (8, 2), (4, 4), (1, 8)) if parts == 1 else _tiles((12, 1), (4, 2), (1, 4))
    return _tiles((12, 1), (4, 2), (1, 6)) if parts == 1 else _tiles((4, 1), (1, 3))


def weight_tiles(target: Target, parts: int) -> tuple[Tile, ...]:
    """Register tiles of result channels (or vectors of them) times source channels of the weight gradient."""
    if target.registers >= 32:
        return _tiles((6, 4), (8, 3), (8, 1), (1, 8), (1, 1)) if parts == 1 else _tiles((3, 3), (4, 1), (1, 4), (1, 1))
    return _tiles((4, 2), (6, 1), (1, 6), (1, 1)) if parts == 1 else _tiles((2, 2), (1, 1))


def _tiles(*shapes: tuple[int, int]) -> tuple[Tile, ...]:
    return tuple(Tile(*shape) for shape in shapes)


def choose_pixel_tile(
    tiles: tuple[Tile, ...], rows: int, vectors: int, products: int, load: int, own_sources: bool
) -> Tile:
    """The tile with the least estimated work; none has more rows than there are (one has a single row)."""

    def work(tile: Tile) -> int:
        rounds = -(-rows // tile.mr) * -(-vectors // tile.nv)
        loads = tile.mr + load * tile.nv * (tile.mr if own_sources else 1)
        return rounds * (products * max(4 * tile.mr * tile.nv, 5 * loads) // 4 + 4 * tile.mr * tile.nv + 100)

    return min((tile for tile in tiles if tile.mr <= max(1, rows)), key=work)


def choose_weight_tile(tiles: tuple[Tile, ...], rows: int, channels: int) -> Tile:
    """The tile with the least estimated work; none has more rows (or vectors of them) or channels than there are."""

    def work(tile: Tile) -> int:
        rounds = -(-rows // tile.mr) * -(-channels // tile.nv)
        return rounds * (max(tile.mr * tile.nv, tile.mr + tile.nv) + 2)

    return min((t for t in tiles if t.mr <= max(1, rows) and t.nv <= max(1, channels)), key=work)


def with_merged_axes(roles: Roles) -> Roles:
    """The same correlation with fewer axes, where one follows the other in both arrays and has no taps but its own
    position: the pixels of a 1x1 convolution become a single long line."""
    merged: list[int] = []
    extents, src, dst = list(roles.src_spatial), list(roles.src_strides), list(roles.dst_strides)
    for a in reversed(range(len(extents))):
        if (
            merged
            and _is_plain(roles.axes[a], extents[a])
            and _is_plain(roles.axes[merged[0]], roles.src_spatial[merged[0]])
        ):
            inner = merged[0]
            if src[a] == extents[inner] * src[inner] and dst[a] == extents[inner] * dst[inner]:
                extents[inner] *= extents[a]
                continue
        merged.insert(0, a)
    axes = tuple(
        roles.axes[a] if extents[a] == roles.src_spatial[a] else geometry.forward_axis(extents[a], 1, 1, 1, 0)
        for a in merged
    )
    return replace(
        roles,
        axes=axes,
        src_spatial=tuple(extents[a] for a in merged),
        src_strides=tuple(src[a] for a in merged),
        dst_strides=tuple(dst[a] for a in merged),
        w_strides=tuple(roles.w_strides[a] for a in merged),
    )


def _is_plain(axis: geometry.AxisPlan, extent: int) -> bool:
    """Whether each position reads the source at itself, and only there."""
    return axis == geometry.forward_axis(extent, 1, 1, 1, 0)


def choose_lane_axis(roles: Roles, lanes: int, parts: int) -> int:
    """The axis whose pixels make the fewest vectors, one that is gathered counting several; the last of equals."""

    def cost(a: int) -> tuple[float, int]:
        axis = roles.axes[a]
        count = axis.positions or 1
        gathers = not near_distance(parts, axis.src_step * roles.src_strides[a])
        return -(-count // lanes) / count * (4 if gathers else 1), -a

    return min(range(len(roles.axes)), key=cost)


def with_lane_axis(roles: Roles, lane: int) -> Roles:
    """The same correlation with that axis last."""
    order = (*(a for a in range(len(roles.axes)) if a != lane), lane)
    return replace(
        roles,
        axes=tuple(roles.axes[a] for a in order),
        src_spatial=tuple(roles.src_spatial[a] for a in order),
        src_strides=tuple(roles.src_strides[a] for a in order),
        dst_strides=tuple(roles.dst_strides[a] for a in order),
        w_strides=tuple(roles.w_strides[a] for a in order),
    )


class ScratchFree(Plain):
    """Everything in place. See the module's docstring."""

    name = "scratch_free"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.rank > kernel.MOST_RANK:
            return Verdict(False, f"{problem.rank} spatial axes, needs at most {kernel.MOST_RANK}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles = roles_of(problem)
        axis = roles.axes[-1]
        distances = axis.src_step * roles.src_strides[-1], axis.dst_step * roles.dst_strides[-1]
        slowness = SLOWNESS * (1.0 if distances == (1, 1) else APART)
        multiplying = slowness * problem.flops / (machine.flops * threads)
        return machine.dispatch + multiplying + traffic_seconds(problem, machine, threads)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        numbers = Numbers.of(problem.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        roles = with_row_axis(with_merged_axes(roles_of(problem)))
        roles = with_lane_axis(roles, choose_lane_axis(roles, lanes, numbers.parts))
        make = self._plan_weight if problem.direction == "backward_weight" else self._plan_data
        return make(problem, roles, numbers, target, threads)

    def _plan_data(self, p: ConvProblem, roles: Roles, numbers: Numbers, target: Target, threads: int) -> Plan:
        lanes = target.lanes(numbers.computed.itemsize)
        counts = roles.grid
        src_lane = roles.axes[-1].src_step * roles.src_strides[-1]
        near = near_distance(numbers.parts, src_lane)
        vectors = -(-min(counts[-1], config.get("block_pixels") or counts[-1]) // lanes)
        common = dict(common_values(p, roles, 0))
        rows, groups = roles.rows, p.groups
        own_sources = rows == 1 and groups > 1
        if own_sources:
            rows, groups = groups, 1
            common |= {"w_row": common["w_group"], "dst_channel": common["dst_group"], "src_row": common["src_group"]}
        tiles = pixel_tiles(target, numbers.parts)
        if common["w_row"] * numbers.dtype.itemsize % ALIAS_BYTES == 0:
            tiles = tuple(tile for tile in tiles if tile.mr <= ALIAS_ROWS)
        tile = choose_pixel_tile(
            tiles,
            min(rows, config.get("block_channels") or rows),
            max(1, vectors),
            roles.channels * roles.most_taps,
            1 if near else GATHER,
            own_sources,
        )
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)

        row_groups = -(-rows // tile.mr)
        units = groups * row_groups
        tile_count = math.prod(counts[:-1]) * -(-counts[-1] // (tile.nv * lanes))
        size = tile.mr * roles.channels * roles.most_taps * numbers.dtype.itemsize
        unit_block = max(1, min(units, UNIT_BYTES // max(1, size), config.get("block_channels") or units))
        others = p.batch * roles.phases
        wanted = 8 * threads if threads > 1 else 1
        tile_block = max(1, tile_count * others * -(-units // unit_block) // wanted)
        tile_block = max(1, min(tile_block, tile_count, config.get("block_pixels") or tile_count))
        tile_blocks = -(-tile_count // tile_block)
        if tile_blocks * others < wanted:
            unit_block = max(1, min(unit_block, units * tile_blocks * others // wanted))
        unit_blocks = -(-units // unit_block)

        tables = make_tables(roles)
        values = {
            **common,
            "rows": rows,
            "groups": groups,
            "row_groups": row_groups,
            "chain": chain,
            "tap_block": min(kernel.LISTED_TAPS, chain),
            "tile_block": tile_block,
            "tile_blocks": tile_blocks,
            "unit_block": unit_block,
            "unit_blocks": unit_blocks,
            "run_tasks": others * tile_blocks * unit_blocks,
            "src_lane": src_lane,
            "dst_lane": roles.axes[-1].dst_step * roles.dst_strides[-1],
            "tables": address_of(tables),
        }
        module = kernels(
            kernel.emit_scratch_free, kernel.Spec(p.dtype, tile, near, own_sources, compiled_words(p)), target
        )
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={
                "pixels": tile_count,
                "channels": row_groups,
                "reduction": -(-roles.channels * roles.most_taps // chain),
            },
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), values["run_tasks"]),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=Ledger(),
            keep=(tables, module),
        )

    def _plan_weight(self, p: ConvProblem, roles: Roles, numbers: Numbers, target: Target, threads: int) -> Plan:
        src_lane = roles.axes[-1].src_step * roles.src_strides[-1]
        dst_lane = roles.dst_strides[-1]
        near = near_distance(numbers.parts, src_lane) if dst_lane == 1 else 0
        lanes = target.lanes(numbers.computed.itemsize)
        channel_lanes = not near and p.y_strides[1] == 1 and roles.rows >= lanes
        width = lanes if channel_lanes else 1
        most_rows = min(roles.rows // width, config.get("block_channels") or roles.rows)
        tile = choose_weight_tile(weight_tiles(target, numbers.parts), most_rows, roles.channels)
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        row_groups, channel_groups = -(-roles.rows // (tile.mr * width)), -(-roles.channels // tile.nv)

        tables = make_tables(roles)
        values = {
            **common_values(p, roles, row_groups),
            "chain": chain,
            "batch": p.batch,
            "channel_groups": channel_groups,
            "run_tasks": p.groups * row_groups * channel_groups * roles.all_taps,
            "src_lane": src_lane,
            "dst_lane": dst_lane,
            "tables": address_of(tables),
        }
        module = kernels(
            weight_kernel.emit_scratch_free_weight, weight_kernel.Spec(p.dtype, tile, near, channel_lanes), target
        )
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"channels": row_groups * channel_groups, "reduction": -(-p.batch * roles.pixels // chain)},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), values["run_tasks"]),),
            layout=WEIGHT_LAYOUT,
            arguments=WEIGHT_LAYOUT.fill(values),
            addresses={"src": "x", "dst": "y", "w": "w"},
            ledger=Ledger(),
            keep=(tables, module),
        )
