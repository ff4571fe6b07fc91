"""depthwise_phases: data gradients of strided depthwise convolutions (jit/kernels/depthwise_phases.py).

What several phases of a result's rows read is staged once, and the phases of its columns are interleaved in registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import config, geometry
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise_phases import ARGS, LANE_PHASE, LANE_TAP, ROW_PHASE, Spec, emit_depthwise_phases
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import (
    Roles,
    addresses_of,
    common_values,
    compiled_words,
    offsets_of,
    roles_of,
    share_groups,
    with_row_axis,
)
from .costs import FROM_MEMORY
from .planes import channels_refusal

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions, which is all of a phase's."""
PHASES = (1, 2, 4)
"""Column phases that are interleaved."""
SUMS, FEW_SUMS = 16, 8
"""Vectors of sums in a tile, with many registers and with few."""
MOST_TAPS, FEW_TAPS = 11, 5
"""Row taps of a phase, whose weights stay in registers beside the sums."""
STAGED_BYTES = 32 << 10
"""What the staged copy of a box should take: most of a first-level cache."""
COLUMN_BLOCK = 256
"""Most grid columns of a box."""
TASKS = 6
"""Tasks that each thread should find."""
BOX, STRIP, STORE = 60, 40, 3
"""Cycles of a box and of a strip beside their vectors, and those of a vector that is stored."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How planes are cut into boxes of the phases' common grid, and what is staged of each."""

    tile_rows: int
    rows: int
    columns: int
    lowest: tuple[int, int]
    """What the first tap of any phase reads from grid position 0, on the row and the lane axis; likewise the last."""
    highest: tuple[int, int]
    pitch: int
    staged: int
    """Elements of the staged copy, whole tiles included."""


def choose_cut(roles: Roles, target: Target, size: int, thrift: int) -> Cut:
    """Tiles that compute the fewest rows in vain, and boxes whose staged copy stays in cache."""
    lanes = target.lanes(size)
    ends = [offsets_of(axis, axis.phases[0], True) for axis in roles.axes[-2:]]
    (first_row, last_row), (first_column, last_column) = ends
    rows, columns = roles.grid[-2:]
    most = max(1, (SUMS if target.registers >= 32 else FEW_SUMS) // len(roles.axes[-1].phases))
    sizes = sorted({most, max(1, most - 1), max(1, most // 2), max(1, most // 4)}, reverse=True)
    tile_rows = min(sizes, key=lambda n: -(-rows // n) * (n + 2))
    limit = config.get("block_pixels") or max(rows, columns)
    column_block = min(columns, limit, max(lanes, COLUMN_BLOCK >> thrift))
    pitch = round_up(column_block + last_column - first_column, lanes)

    def staged(block: int) -> int:
        return (round_up(block, tile_rows) + last_row - first_row) * pitch + 2 * lanes

    block = min(rows, limit)
    while block > tile_rows and staged(block) * size > STAGED_BYTES >> thrift:
        block = round_up(-(-block // 2), tile_rows)
    return Cut(
        tile_rows,
        block,
        column_block,
        (first_row, first_column),
        (last_row, last_column),
        pitch,
        staged(block),
    )


def phase_tables(roles: Roles, cut: Cut) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The row phases, and the column phases with the list of their taps."""
    by_row, by_lane = roles.axes[-2:]
    rows: list[int] = []
    for phase in by_row.phases:
        first = phase.taps[0] if phase.taps else None
        row = {
            "low": first.offset if first else cut.lowest[0],
            "weight": first.tap * roles.w_strides[-2] if first else 0,
            "taps": len(phase.taps),
            "rows": phase.count,
            "result": phase.origin * roles.dst_strides[-2],
        }
        rows += (row[name] for name in ROW_PHASE.names)
    phases: list[int] = []
    taps: list[int] = []
    for phase in by_lane.phases:
        begin = len(taps) // len(LANE_TAP)
        for tap in phase.taps:
            taps += (tap.offset - cut.lowest[1], tap.tap * roles.w_strides[-1])
        phases += (begin, len(taps) // len(LANE_TAP))
    assert len(phases) == len(by_lane.phases) * len(LANE_PHASE)
    return np.array(rows, np.int64), np.array(phases + taps, np.int64)


def tap_step(axis: geometry.AxisPlan) -> int:
    """From one tap of a phase to the next one, which is the same in all phases."""
    return next((phase.taps.indices.step for phase in axis.phases if len(phase.taps) > 1), 0)


class DepthwisePhases(Plain):
    """All phases from one staged copy. See the module's docstring."""

    name = "depthwise_phases"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p, roles = problem, with_row_axis(roles_of(problem))
        reason = channels_refusal(p, roles, "backward_data")
        if reason:
            return Verdict(False, reason)
        if len(roles.axes) > 2:
            return Verdict(False, f"{p.rank} axes, needs 1 or 2")
        if roles.phases == 1:
            return Verdict(False, "a single phase, needs several")
        by_row, by_lane = roles.axes
        if len(by_lane.phases) not in PHASES:
            return Verdict(False, f"{len(by_lane.phases)} phases of the last axis, interleaves 2 or 4")
        if roles.dst_strides[-1] != 1:
            return Verdict(False, "results of a row that are no neighbours, needs the last axis contiguous")
        if any(len(phase.taps) > 1 and phase.taps[1].offset != phase.taps[0].offset + 1 for phase in by_row.phases):
            return Verdict(False, "rows that taps leave out, needs all of them")
        taps, most = max(len(phase.taps) for phase in by_row.phases), MOST_TAPS if target.registers >= 32 else FEW_TAPS
        if taps > most:
            return Verdict(False, f"phases of {taps} row taps, keeps up to {most}")
        if roles.most_taps > CHAIN:
            return Verdict(False, f"phases of {roles.most_taps} taps, adds up to {CHAIN} in a chain")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        cut = choose_cut(roles, target, size, 0)
        rows, columns = roles.grid
        by_row, by_lane = roles.axes
        boxes = -(-rows // cut.rows) * -(-columns // cut.columns)
        strips = -(-columns // lanes) * -(-rows // cut.tile_rows)
        lane_taps = sum(len(phase.taps) for phase in by_lane.phases)
        cycles = boxes * (BOX + 3 * cut.staged / lanes)
        for phase in by_row.phases:
            taps = len(phase.taps)
            sums = lane_taps * max(cut.tile_rows * taps / 2, cut.tile_rows + taps, 4 * taps)
            cycles += roles.rows * strips * (STRIP + sums + STORE * cut.tile_rows * len(by_lane.phases))
        seconds = p.batch * p.groups * cycles * 4 * lanes / machine.flops / threads
        bytes_ = numbers.dtype.itemsize * (math.prod(p.x_shape) + math.prod(p.y_shape))
        moving = FROM_MEMORY * bytes_ / machine.memory_bytes if 2 * bytes_ > machine.l3 else 0.0
        return machine.dispatch + max(seconds, moving)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        cut = choose_cut(roles, target, size, thrift)
        rows, columns = roles.grid
        by_row, by_lane = roles.axes
        row_blocks, column_blocks = -(-rows // cut.rows), -(-columns // cut.columns)
        others = p.batch * row_blocks * column_blocks
        group_block, group_blocks = share_groups(p, others, TASKS * threads if threads > 1 else 1)
        run_tasks = others * group_blocks
        threads = max(1, min(threads, run_tasks))
        scratch, ledger = Ledger(), Ledger()
        scratch.book("staged", cut.staged * size)
        ledger.book("scratch", scratch.total * threads)
        row_table, lane_table = phase_tables(roles, cut)
        common = common_values(p, roles, 0)
        names = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row", "groups")
        values = {
            **{name: common[name] for name in names},
            "rows": roles.rows,
            "run_tasks": run_tasks,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "row_block": cut.rows,
            "row_blocks": row_blocks,
            "column_block": cut.columns,
            "column_blocks": column_blocks,
            "grid_rows": rows,
            "grid_columns": columns,
            "row_extent": roles.src_spatial[-2],
            "extent": roles.src_spatial[-1],
            "src_row": roles.src_strides[-2],
            "src_lane": roles.src_strides[-1],
            "dst_row": roles.dst_strides[-2] * by_row.dst_step,
            "row_low": cut.lowest[0],
            "highest": cut.highest[0],
            "low": cut.lowest[1],
            "split": 1,
            "pitch": cut.pitch,
            "phase_pitch": cut.pitch,
            "results": sum(phase.count for phase in by_lane.phases),
            "w_tap_row": roles.w_strides[-2] * tap_step(by_row),
            "row_phases": len(by_row.phases),
            "row_phase_table": address_of(row_table),
            "lane_phase_table": address_of(lane_table),
            "scratch_bytes": scratch.total,
        }
        taps = tuple(sorted({len(phase.taps) for phase in by_row.phases}))
        spec = Spec(p.dtype, cut.tile_rows, len(by_lane.phases), taps, compiled_words(p))
        module = kernels(emit_depthwise_phases, spec, target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": row_blocks * column_blocks, "channels": roles.rows, "reduction": 1},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            keep=(row_table, lane_table, module),
        )
