"""direct_weight: the weight gradient, one box of pixels after the other (jit/kernels/direct_weight.py).

Tasks are parts of the gradient. Where those are few, the boxes are dealt to a number of slices that does not depend on
the threads, whose sums are added at the end in a fixed order: so the bits do not depend on how many threads there are.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ... import config, geometry
from ...jit.kernels import staging
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.direct_weight import ARGS, Spec, emit_direct_weight
from ...jit.kernels.gemm import Tile
from ...jit.kernels.weight_panels import SEGMENT, STATE
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import (
    Roles,
    common_values,
    is_pointwise,
    make_tables,
    measure_box,
    merged,
    roles_of,
    staged_state,
    with_row_axis,
)
from .costs import traffic_seconds, vector_seconds

LAYOUT = Layout((*COMMON_ARGS, *staging.SECTIONS, *ARGS))

CHAIN = 256
"""Most pixels in one chain of additions."""
BOX = (128, 784)
"""Most pixels in a box, all of its samples together: the fewest and the most; between them, as many as make"""
STAGED_BYTES = 128 << 10
"""of staged samples, so that those and what is fetched meanwhile for the next box are in an L2 cache."""
PART_PAIRS = (192, 1024)
"""Pairs (tap, channel) of a part of the channels: as few as threads may share out, since each packs dy for itself, and
as many as make others worth while."""
SLICES = 8
"""Most slices, each with sums of its own."""
SLICE_PIXELS = 784
"""Least pixels in a slice: its sums are written, and read again to be added, once each."""
TASKS = 12
"""Tasks from which on there is no need for slices."""
LEAST_PRODUCTS = 32
"""Products in a sum, from which on panels pay where x or dy has a single channel."""
MOST_STAGED_BYTES = 64 << 20
"""What the staged copy of the smallest box may take: far strides and dilations are left to scratch_free."""
PARTIAL_BYTES = 64 << 20
"""What the sums of all slices may take together; there is always one slice."""
TILE, TRANSPOSING, STAGING = 1.1, 24.0, 10.0
"""Estimate: slowness of the tile; transposing a vector of dy, and copying one of x, as multiply-adds."""
STORING, ADDING, TWICE = 4.0, 4.0, 1.0
"""Estimate: storing the sums, adding those of the slices, and reading x and dy, relative to copying them."""


def slowness(tile: Tile) -> float:
    """How much longer a product takes where a tile loads more than it multiplies: a vector of dy for each column, a
    scalar of x for each row, and a place."""
    return max(1.0, (tile.nv + tile.mr + 1) / (tile.mr * tile.nv))


def tile_for(target: Target, lanes: int, rows: int) -> Tile:
    """The tile with the least work for so many result channels, of those whose accumulators fill the registers and
    whose source pointers are few enough."""
    shapes = ((6, 4), (8, 3), (10, 2), (10, 1)) if target.registers >= 32 else ((6, 2), (8, 1))
    tiles, vectors = [Tile(*shape) for shape in shapes], -(-rows // lanes)
    return min(tiles, key=lambda tile: -(-vectors // tile.nv) * tile.nv * slowness(tile))


def _evenly(count: int, most: int) -> int:
    """The size of the largest of equal parts, none larger than `most` (or 1)."""
    return -(-count // -(-count // max(1, most))) if count > 0 else 1


def box_of(roles: Roles, most: int) -> tuple[int, ...]:
    """So many grid positions at most: whole rows first, then planes."""
    block: list[int] = []
    for axis in reversed(roles.axes):
        block.append(_evenly(axis.positions, most))
        most //= block[-1]
    return tuple(reversed(block))


def _box_pixels(p: ConvProblem, roles: Roles, size: int) -> int:
    """Most pixels of a box; where it is the only one, nothing is fetched meanwhile."""
    fewest, most = BOX
    if p.batch * roles.pixels <= most:
        return most
    channels = min(roles.channels, -(-PART_PAIRS[1] // max(1, roles.most_taps)))
    per_pixel = channels * size * math.prod(axis.src_step for axis in roles.axes)
    return min(most, max(fewest, STAGED_BYTES // max(1, per_pixel)))


def _slices(p: ConvProblem, roles: Roles, panels: int, most: int) -> int:
    """Slices of the pixels, a power of 2: as many as threads need that find no other tasks."""
    tasks = p.groups * panels * max(1, roles.channels * roles.most_taps // PART_PAIRS[0])
    slices = max(1, min(most, SLICES, -(-TASKS // max(1, tasks))))
    return 1 << slices.bit_length() - 1


def _skipping(roles: Roles) -> Roles:
    """The same sums where planes and rows that no tap reaches are not there, nor samples of a row that alternate with
    those that it does: what 1x1 with strides leaves out.
    """
    axes, extents, strides = list(roles.axes), list(roles.src_spatial), list(roles.src_strides)
    for a, axis in enumerate(roles.axes):
        taps, count, step = axis.phases[0].taps, axis.positions, axis.src_step
        if a == len(axes) - 1 and strides[a] * step != 2:
            continue
        if step > 1 and [*taps[:2]] == [geometry.Tap(0, 0)] and (count - 1) * step < extents[a]:
            axes[a], extents[a], strides[a] = geometry.forward_axis(count, 1, 1, 1, 0), count, strides[a] * step
    return replace(roles, axes=tuple(axes), src_spatial=tuple(extents), src_strides=tuple(strides))


def _fewer_rows(roles: Roles) -> Roles:
    """The same sums with x and dy exchanged where they are symmetric (1x1, stride 1, no pad) and x has fewer channels.

    The array in lanes is transposed, the other one only copied; so the smaller one belongs there.
    """
    is_symmetric = all(map(is_pointwise, roles.axes, roles.src_spatial))
    if not is_symmetric or roles.rows <= roles.channels:
        return roles
    return replace(
        roles,
        src=roles.dst,
        dst=roles.src,
        rows=roles.channels,
        channels=roles.rows,
        w_row=roles.w_channel,
        w_channel=roles.w_row,
        src_strides=roles.dst_strides,
        dst_strides=roles.src_strides,
    )


class DirectWeight(Plain):
    """Panels of dy times scalars of x. See the module's docstring."""

    name = "direct_weight"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction != "backward_weight":
            return Verdict(False, f"direction {problem.direction}, needs backward_weight")
        if problem.storage.kind == "complex":
            return Verdict(False, f"dtype {problem.dtype}, needs real numbers")
        roles = with_row_axis(roles_of(problem))
        if roles.rows == roles.channels == 1:
            return Verdict(False, "one channel a group, needs more to fill the lanes")
        products = problem.batch * roles.pixels
        if min(roles.rows, roles.channels) == 1 and products < LEAST_PRODUCTS:
            return Verdict(False, f"one channel and sums of {products} products, pays from {LEAST_PRODUCTS} on")
        least = measure_box(roles, [1] * len(roles.axes), [1] * len(roles.axes), target.lanes(1)).staged
        staged = least * max(1, roles.channels) * Numbers.of(problem.dtype).computed.itemsize
        if staged > MOST_STAGED_BYTES:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, roles = problem, with_row_axis(_fewer_rows(roles_of(problem)))
        size = Numbers.of(p.dtype).computed.itemsize
        lanes = target.lanes(size)
        tile = tile_for(target, lanes, roles.rows)
        pixels, own = p.batch * roles.pixels, roles.channels * roles.most_taps
        pairs = -(-own // tile.mr) * tile.mr
        panels = -(-roles.rows // (tile.nv * lanes))
        vectors = panels * tile.nv
        # A tile's products, dy transposed for each part of the channels, and x staged once for them all.
        work = p.groups * pixels * vectors * (TILE * slowness(tile) * pairs + TRANSPOSING * -(-own // PART_PAIRS[1]))
        work += STAGING * p.groups * pixels * roles.channels * math.prod(axis.src_step for axis in roles.axes) / lanes
        slices = _slices(p, roles, panels, pixels // SLICE_PIXELS)
        sums = (ADDING * slices if slices > 1 else STORING) * p.groups * pairs * vectors * lanes * size
        seconds = vector_seconds(work, lanes, machine) / threads + sums / (machine.cache_bytes * threads)
        return (1 + (slices > 1)) * machine.dispatch + seconds + TWICE * traffic_seconds(p, machine, threads)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(merged(_skipping(_fewer_rows(roles_of(problem)))))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        few_channels, few_pixels = config.get("block_channels"), config.get("block_pixels") or BOX[1]
        tile = tile_for(target, lanes, min(roles.rows, few_channels or roles.rows))
        nr = tile.nv * lanes
        most = max(1, min(_box_pixels(p, roles, size) >> thrift, few_pixels))
        block = box_of(roles, most)
        box = measure_box(roles, block, [1] * len(roles.axes), lanes)
        blocks = math.prod(-(-n // b) for n, b in zip(roles.grid, block, strict=True))
        # A box takes as many samples as it has room for, where one is a single box.
        box_samples = _evenly(p.batch, most // math.prod(block)) if blocks == 1 else 1
        boxes = -(-p.batch // box_samples) * blocks
        runs = math.prod(block[:-1])
        pixels = box_samples * math.prod(block)
        chain = _evenly(pixels, min(CHAIN, config.get("block_reduction") or CHAIN))

        pairs = roles.channels * roles.most_taps
        panels = -(-roles.rows // nr)
        least, most_pairs = PART_PAIRS
        affordable = PARTIAL_BYTES // max(1, p.groups * panels * nr * (pairs + tile.mr) * size)
        worth = p.batch * blocks * math.prod(block) // min(SLICE_PIXELS, few_pixels)
        slices = _slices(p, roles, panels, min(SLICES >> thrift, boxes, worth, affordable))
        # Threads share parts of the channels, and panels: each then stages x, or packs dy, for itself.
        wanted = -(-(4 * threads if threads > 1 else 1) // max(1, slices * p.groups))
        most_pairs = max(1, min(most_pairs >> thrift, few_channels or most_pairs))
        parts = max(-(-pairs // most_pairs), min(wanted, pairs // least))
        parts = -(-parts // threads) * threads if parts > 1 else 1
        part_channels = -(-roles.channels // parts) or 1
        parts = -(-roles.channels // part_channels)
        part_sums = -(-part_channels * roles.most_taps // tile.mr) * tile.mr * nr
        part_panels = _evenly(panels, -(-panels * parts // wanted))
        row_parts = -(-panels // part_panels)
        run_tasks = slices * p.groups * parts * row_parts
        add_tasks = p.groups * parts * panels if slices > 1 else 0
        threads = max(1, min(threads, run_tasks))
        panel_sums = part_sums if boxes > 1 else 0
        slice_sums = p.groups * parts * panels * part_sums
        spare = lanes * nr  # the last square of a part's pairs may be read whole

        scratch = Ledger()
        scratch.book("state", staged_state(len(roles.axes)) + 8 * len(STATE))
        for name, bytes_ in (
            ("at_rows", 8 * len(staging.ROW_LIST) * box.rows),
            ("at_runs", 8 * len(staging.RUN_LIST) * runs),
            ("at_segments", 8 * len(SEGMENT) * runs),
            ("at_pixels", 8 * pixels),
            ("at_offsets", 8 * (part_channels * roles.most_taps + tile.mr)),
            ("at_places", 8 * (part_channels * roles.most_taps + lanes)),
            ("at_staged", (box.staged * part_channels * box_samples + lanes) * size),
            ("at_panel", pixels * nr * size),
            ("at_sums", (part_sums + (part_panels - 1) * panel_sums + spare) * size if slices == 1 else 0),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("partial", (slices * slice_sums + spare) * size if slices > 1 else 0)
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles, block)
        values = {
            **common_values(p, roles, 0),
            "blocks": blocks,
            "boxes": boxes,
            "slices": slices,
            "batch": p.batch,
            "box_samples": box_samples,
            "chain": chain,
            "parts": parts,
            "part_channels": part_channels,
            "row_parts": row_parts,
            "part_panels": part_panels,
            "run_tasks": run_tasks,
            "panels_of_rows": panels,
            "panel_sums": panel_sums,
            "slice_sums": slice_sums,
            "add_tasks": add_tasks,
            "dst_lane": roles.dst_strides[-1],
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        module = kernels(emit_direct_weight, Spec(p.dtype, tile), target)
        steps = [Step("run", job_at(module.address("run")), run_tasks)]
        if slices > 1:
            steps.append(Step("add_slices", job_at(module.address("add_slices")), add_tasks))
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": blocks, "channels": panels, "reduction": boxes * -(-pixels // chain)},
            threads=threads,
            steps=tuple(steps),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": roles.src, "dst": roles.dst, "w": "w", "partial": "partial", "scratch": "scratch"},
            ledger=ledger,
            keep=(tables, module),
        )
