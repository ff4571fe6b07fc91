"""direct_weight: the weight gradient, one box of pixels after the other (jit/kernels/direct_weight.py).

Boxes are dealt to a fixed number of slices, whose sums are added at the end in a fixed order: so the bits do not
depend on how many threads share the slices.
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
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, common_values, make_tables, measure_box, roles_of, staged_state, with_row_axis
from .costs import traffic_seconds, vector_seconds

LAYOUT = Layout((*COMMON_ARGS, *staging.SECTIONS, *ARGS))

CHAIN = 256
"""Most pixels in a box: products in one chain of additions."""
SLICES = 8
"""Most slices, each with sums of its own."""
SLICE_PIXELS = 784
"""Least pixels in a slice, from the third on: its sums are written, and read again to be added, once each."""
PART_PAIRS = 192
"""Least (tap, channel) pairs for which a thread stages boxes that another one stages too."""
LEAST_PRODUCTS = 32
"""Products in a sum, from which on panels pay where x or dy has a single channel."""
MOST_STAGED_BYTES = 64 << 20
"""What the staged copy of the smallest box may take: far strides and dilations are left to scratch_free."""
PARTIAL_BYTES = 64 << 20
"""What the sums of all slices may take together; there is always one slice."""
TILE, TRANSPOSING, ADDING, TWICE = 1.2, 2.0, 4.0, 2.0
"""Estimate: slowness of the tile, transposing a vector of dy as multiply-adds; adding the slices' sums, and reading x
and dy, relative to copying them."""


def tile_for(target: Target, lanes: int, rows: int) -> Tile:
    """Accumulators that fill the registers, no wider than the result channels, and few enough source pointers."""
    widest = 4 if target.registers >= 32 else 2
    nv = max(1, min(widest, -(-rows // lanes)))
    return Tile(6 if nv == widest else 8, nv)


def box_of(roles: Roles, most: int) -> tuple[int, ...]:
    """As many grid positions as a chain may have: whole rows first, then rows, then planes."""
    block = []
    for axis in reversed(roles.axes):
        block.append(max(1, min(axis.positions, most)))
        most //= block[-1]
    return tuple(reversed(block))


def _fewer_rows(roles: Roles) -> Roles:
    """The same sums with x and dy exchanged where they are symmetric (1x1, stride 1, no pad) and x has fewer channels.

    The array in lanes is transposed, the other one only copied; so the smaller one belongs there.
    """
    is_symmetric = all(
        axis.src_step == 1 and axis.phases[0].taps == (geometry.Tap(0, 0),) and axis.phases[0].count == extent
        for axis, extent in zip(roles.axes, roles.src_spatial, strict=True)
    )
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
        roles = with_row_axis(_fewer_rows(roles_of(problem)))
        size = Numbers.of(problem.dtype).computed.itemsize
        lanes = target.lanes(size)
        tile = tile_for(target, lanes, roles.rows)
        block = box_of(roles, CHAIN)
        boxes = problem.batch * math.prod(-(-n // b) for n, b in zip(roles.grid, block, strict=True))
        pairs = -(-roles.channels * roles.most_taps // tile.mr) * tile.mr
        vectors = -(-roles.rows // (tile.nv * lanes)) * tile.nv
        slices = max(1, min(SLICES, boxes, max(2, boxes * math.prod(block) // SLICE_PIXELS)))
        work = problem.groups * boxes * math.prod(block) * vectors * (TILE * pairs + TRANSPOSING)
        sums = ADDING * slices * problem.groups * pairs * vectors * lanes * size
        seconds = vector_seconds(work, lanes, machine) / threads + sums / (machine.cache_bytes * threads)
        return 2 * machine.dispatch + seconds + TWICE * traffic_seconds(problem, machine, threads)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(_fewer_rows(roles_of(problem)))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        tile = tile_for(target, lanes, min(roles.rows, config.get("block_channels") or roles.rows))
        nr = tile.nv * lanes
        chain = min(CHAIN, config.get("block_reduction") or CHAIN, config.get("block_pixels") or CHAIN)
        block = box_of(roles, max(1, chain >> thrift))
        box = measure_box(roles, block, [1] * len(roles.axes), lanes)
        blocks = math.prod(-(-n // b) for n, b in zip(roles.grid, block, strict=True))
        pairs = roles.channels * roles.most_taps
        panels, pair_groups = -(-roles.rows // nr), -(-pairs // tile.mr)
        partial_size = panels * pair_groups * tile.mr * nr
        # A chain takes as many samples as it has room for, where one is a single box.
        box_samples = max(1, min(p.batch, (chain >> thrift) // math.prod(block))) if blocks == 1 else 1
        boxes = -(-p.batch // box_samples) * blocks
        affordable = PARTIAL_BYTES // max(1, partial_size * p.groups * size)
        worth = max(2, p.batch * blocks * math.prod(block) // SLICE_PIXELS)
        slices = max(1, min(SLICES >> thrift, boxes, worth, affordable))
        slice_boxes = -(-boxes // slices)
        slices = max(1, -(-boxes // max(1, slice_boxes)))
        # Threads that find no slice share the pairs of one: each then stages the boxes for itself.
        parts = max(1, min(-(-2 * threads // (slices * p.groups)), pairs // PART_PAIRS)) if threads > 1 else 1
        part_groups = -(-pair_groups // parts)
        parts = -(-pair_groups // max(1, part_groups))
        run_tasks = slices * p.groups * parts
        threads = max(1, min(threads, run_tasks))

        scratch = Ledger()
        scratch.book("state", staged_state(len(roles.axes)))
        runs = math.prod(block[:-1])
        for name, bytes_ in (
            ("at_rows", 8 * len(staging.ROW_LIST) * box.rows),
            ("at_runs", 8 * len(staging.RUN_LIST) * runs * box_samples),
            ("at_offsets", 8 * pair_groups * tile.mr),
            ("at_staged", (box.staged * roles.channels * box_samples + lanes) * size),
            ("at_panel", panels * box_samples * runs * block[-1] * nr * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("partial", slices * p.groups * partial_size * size)
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles, block)
        values = {
            **common_values(p, roles, 0),
            "blocks": blocks,
            "boxes": boxes,
            "slices": slices,
            "slice_boxes": slice_boxes,
            "batch": p.batch,
            "box_samples": box_samples,
            "parts": parts,
            "part_groups": part_groups,
            "run_tasks": run_tasks,
            "panels_of_rows": panels,
            "pair_groups": pair_groups,
            "partial_size": partial_size,
            "add_tasks": -(-pairs // lanes) * p.groups,
            "dst_lane": roles.dst_strides[-1],
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **{name: scratch.entries[name][0] for name in LAYOUT.names if name in scratch.entries},
        }
        module = kernels(emit_direct_weight, Spec(p.dtype, tile), target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": blocks, "channels": panels, "reduction": boxes},
            threads=threads,
            steps=(
                Step("run", job_at(module.address("run")), run_tasks),
                Step("add_slices", job_at(module.address("add_slices")), values["add_tasks"]),
            ),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": roles.src, "dst": roles.dst, "w": "w", "partial": "partial", "scratch": "scratch"},
            ledger=ledger,
            keep=(tables, module),
        )
