"""depthwise: one source channel a group, several grid rows in registers (jit/kernels/depthwise.py).

A channel's plane is copied once, padded and split by the stride of the lane axis, and each staged vector serves all
grid rows of a tile that its taps reach. The weight is read where it lies.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from ... import config, geometry
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise import ARGS, Spec, emit_depthwise
from ...jit.kernels.planes import PLACE, PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import addresses_of, compiled_words, make_tables, roles_of, share_groups, with_row_axis
from .planes import MOST_STAGED_BYTES, Box, Plane, column_offsets, measure_box, plane_of, plane_values, refusal

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions."""
STAGED_BYTES, MOST_STAGED = 16 << 10, 32 << 10
"""What the staged copy of a box should take, and at most: half of a first-level cache, beside its source and results,
and most of one."""
SMALL_HALO, MOST_HALO = 16, 6
"""A box whose rows are fewer than so many times its halo is not cut any further: to what it should take, at most."""
SKIPPED_TAPS = 5
"""Row taps from which rows outside the image are left out: with fewer of them asking costs more."""
COLUMN_BLOCK = 256
"""Most grid columns of a box."""
TASKS = 6
"""Tasks that each thread should find."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A tile of grid rows times vectors, and the row taps of a chunk."""

    rows: int
    nv: int
    taps: int


def shapes(target: Target, row_taps: int) -> list[Shape]:
    """Tiles whose sums, weights and one row of vectors stay in registers."""
    many = target.registers >= 32
    chunks = -(-row_taps // (11 if many else 5))
    sizes: tuple[tuple[int, int], ...] = ((14, 1), (7, 1), (4, 1), (2, 1), (8, 2), (7, 2), (4, 2), (2, 2), (1, 8))
    if not many:
        sizes = ((8, 1), (4, 1), (2, 1), (4, 2), (2, 2), (1, 6))
    return [Shape(rows, nv, -(-row_taps // chunks)) for rows, nv in sizes]


def cycles(shape: Shape, step: int, grid_rows: int, columns: int, row_taps: int, lane_taps: int, lanes: int) -> float:
    """Estimated cycles of one result plane: multiply-adds, loads (an unaligned vector takes two turns) and latency."""
    wide, left = divmod(-(-columns // lanes), shape.nv)
    narrow = left == 1 and shape.nv > 1
    total = 0.0
    for nv, count in ((shape.nv, wide + (left > 0 and not narrow)), (1, int(narrow))):
        lines = (shape.rows - 1) * step + shape.taps
        work = max(shape.rows * shape.taps * nv / 2, lines * nv + shape.taps / 2, 4 * shape.taps)
        total += count * (row_taps / shape.taps * lane_taps * (work + 4) + 30 + 3 * shape.rows * nv)
    return total * -(-grid_rows // shape.rows)


@dataclass(frozen=True, slots=True)
class Cut:
    """How planes are cut into boxes and tiles."""

    plane: Plane
    shape: Shape
    cycles: float
    """Of one result plane and one tap of the outer axes, as estimated."""
    skips: bool
    """Whether rows outside the image are left out."""
    box: Box


def choose_cut(p: ConvProblem, target: Target, thrift: int = 0) -> Cut:
    """The tile with the least estimated cycles, and boxes whose staged copy stays in cache."""
    return _choose_cut(p, target, thrift, config.get("block_pixels"))


@functools.lru_cache(maxsize=64)
def _choose_cut(p: ConvProblem, target: Target, thrift: int, limit: int | None) -> Cut:
    """The same within so many pixels of a block: whether it applies is asked, then an estimate, and then the plan."""
    roles = with_row_axis(roles_of(p))
    plane = plane_of(roles)
    assert plane is not None
    size = Numbers.of(p.dtype).computed.itemsize
    lanes = target.lanes(size)
    rows, columns = roles.grid[-2:]
    by_row, by_lane = plane.taps[-2:]
    costs = {
        shape: cycles(shape, plane.step, -(-rows // plane.apart), columns, by_row.taps, by_lane.taps, lanes)
        for shape in shapes(target, by_row.taps)
    }
    shape = min(costs, key=costs.__getitem__)
    skips = by_row.taps >= SKIPPED_TAPS
    column_block = min(columns, limit or columns, max(lanes * shape.nv, COLUMN_BLOCK >> thrift))

    def box_of(block: int) -> Box:
        # Where nothing is left out a tile reads the rows of all its grid rows, even of those beyond the box.
        whole = block if skips else round_up(block, shape.rows * plane.apart)
        reads = (whole - 1) * roles.axes[-2].src_step + by_row.reach + 1
        own = min(reads, roles.src_spatial[-2]) if skips else reads
        return measure_box(roles, plane, block, column_block, lanes, max(1, own))

    # Halved until it fits, but not so far that much of what is staged is halo.
    least = min(rows, shape.rows * plane.apart)
    box = box_of(min(rows, limit or rows))
    while box.rows > least and plane.outer_taps * box.staged * size > STAGED_BYTES >> thrift:
        is_large = plane.outer_taps * box.staged * size > MOST_STAGED
        least_rows = (MOST_HALO if is_large else SMALL_HALO) * by_row.reach
        if box.rows * roles.axes[-2].src_step < least_rows and not thrift:
            break
        box = box_of(max(least, round_up(-(-box.rows // 2), shape.rows * plane.apart)))
    return Cut(plane, shape, costs[shape], skips, box)


class Depthwise(Plain):
    """Rows of a padded plane in registers. See the module's docstring."""

    name = "depthwise"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        roles = with_row_axis(roles_of(problem))
        reason = refusal(problem, roles, "forward", "backward_data")
        if reason:
            return Verdict(False, reason)
        if roles.grid[-2] == 1:
            return Verdict(False, "a single grid row, needs several that share what is staged")
        if roles.dst_strides[-1] * roles.axes[-1].dst_step != 1 and roles.grid[-1] > 1:
            return Verdict(False, "results of a row that are no neighbours, needs the last axis contiguous")
        staged = choose_cut(problem, target).box.staged * Numbers.of(problem.dtype).computed.itemsize
        if staged > MOST_STAGED_BYTES:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles = with_row_axis(roles_of(problem))
        cut = choose_cut(problem, target)
        numbers = Numbers.of(problem.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        planes = problem.batch * problem.groups * math.prod(roles.grid[:-2])
        boxes = -(-roles.grid[-2] // cut.box.rows) * -(-roles.grid[-1] // cut.box.columns)
        sums = cut.plane.outer_taps * roles.rows * cut.cycles
        if cut.skips:
            by_row = cut.plane.taps[-2]
            step = roles.axes[-2].src_step
            hits = geometry.valid_products(
                roles.src_spatial[-2], roles.grid[-2], by_row.taps, step, by_row.dilation, -by_row.low
            )
            sums *= hits / (roles.grid[-2] * by_row.taps)
        staging = cut.plane.outer_taps * boxes * 2 * cut.box.staged / lanes
        # Two multiply-adds of whole vectors in a cycle; half of a cycle's issue goes to other instructions.
        work = planes * (1.05 * sums + staging + 15 * boxes) * 4 * lanes / machine.flops
        bytes_ = numbers.dtype.itemsize * (math.prod(problem.x_shape) + math.prod(problem.y_shape))
        moving = bytes_ / machine.memory_bytes if 2 * bytes_ > machine.l3 else 0.0
        return machine.dispatch + work / threads + moving

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        cut = choose_cut(p, target, thrift)
        plane, shape = cut.plane, cut.shape
        by_row, by_lane = plane.taps[-2:]
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        values = plane_values(p, roles, plane, cut.box)
        pixel_blocks = values["row_blocks"] * values["column_blocks"]
        others = p.batch * values["positions"] * pixel_blocks
        group_block, group_blocks = share_groups(p, others, TASKS * threads if threads > 1 else 1)
        run_tasks = others * group_blocks
        threads = max(1, min(threads, run_tasks))
        chunks, rest = divmod(by_row.taps, shape.taps)

        scratch = Ledger()
        scratch.book("planes", 8 * len(PLACE) * (plane.outer_taps + 1))
        # Tiles read whole vectors from the last pixel's place on.
        at_staged = scratch.book("staged", (cut.box.staged * plane.outer_taps + (shape.nv + 1) * lanes) * size)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        columns, tables = column_offsets(roles, plane, cut.box), make_tables(roles)
        values |= {
            "run_tasks": run_tasks,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "row_chunks": chunks,
            "w_tap_row": roles.w_strides[-2] * by_row.tap_step,
            "w_tap_lane": roles.w_strides[-1] * by_lane.tap_step,
            "w_first": by_row.first_tap * roles.w_strides[-2] + by_lane.first_tap * roles.w_strides[-1],
            "chain_taps": max(1, chain // shape.taps),
            "tables": address_of(tables),
            "columns": address_of(columns),
            "scratch_bytes": scratch.total,
            "at_staged": at_staged,
        }
        spec = Spec(
            dtype=p.dtype,
            rows=shape.rows,
            nv=shape.nv,
            taps=shape.taps,
            is_chunked=by_row.taps > shape.taps,
            rest=rest,
            row_step=plane.step,
            skips=cut.skips,
            is_long=roles.all_taps > chain,
            epilogue=compiled_words(p),
        )
        module = kernels(emit_depthwise, spec, target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": pixel_blocks, "channels": roles.rows, "reduction": -(-roles.all_taps // chain)},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            keep=(tables, columns, module),
        )
