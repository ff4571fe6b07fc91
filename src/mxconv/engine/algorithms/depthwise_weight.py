"""depthwise_weight: the weight gradient of one source channel a group (jit/kernels/depthwise_weight.py).

Sums of taps stay in registers while a pass goes through the pixels of a padded copy of x; each thread owns groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise_weight import ARGS, Spec, emit_depthwise_weight
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, make_tables, roles_of, with_row_axis
from .planes import (
    MOST_STAGED_BYTES,
    Box,
    Plane,
    column_offsets,
    measure_box,
    plane_of,
    plane_values,
    refusal,
    tap_weights,
)

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions: vectors of a box."""
SUMS_BYTES = 128 << 10
"""What the sums of a task's channels may take."""
TASKS = 6
"""Tasks that each thread should find."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Taps whose sums stay in registers through a box, and the grid rows of a tile."""

    rows: int
    taps: int
    rest: int
    columns: int
    columns_rest: int


def choose_pass(target: Target, grid_rows: int, row_taps: int, lane_taps: int) -> Pass:
    """As many row taps as there are (or equal shares), so many column taps that additions need not wait for each
    other, and beside their sums a few grid rows of dy."""
    sums, most_taps, most_rows = (16, 11, 4) if target.registers >= 32 else (9, 7, 4)
    taps = -(-row_taps // -(-row_taps // most_taps))
    columns = -(-lane_taps // -(-lane_taps // max(1, sums // taps)))
    rows = next((n for n in (most_rows, 4, 2) if n <= grid_rows), 1)
    return Pass(rows, taps, row_taps % taps, columns, lane_taps % columns)


class DepthwiseWeight(Plain):
    """Tap sums in registers. See the module's docstring."""

    name = "depthwise_weight"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        roles = with_row_axis(roles_of(problem))
        reason = refusal(problem, roles, "backward_weight")
        if reason:
            return Verdict(False, reason)
        if roles.dst_strides[-1] != 1 and roles.grid[-1] > 1:
            return Verdict(False, "gradients of a row that are no neighbours, needs y's last axis contiguous")
        box = self._cut(problem, roles, target)[2]
        staged = box.staged * Numbers.of(problem.dtype).computed.itemsize
        if staged > MOST_STAGED_BYTES:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def _cut(self, p: ConvProblem, roles: Roles, target: Target) -> tuple[Plane, Pass, Box]:
        """The passes, and a box with no more vectors than a chain may have products."""
        plane = plane_of(roles)
        assert plane is not None
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        rows, columns = roles.grid[-2:]
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        limit = config.get("block_pixels") or max(rows, columns)
        passes = choose_pass(target, -(-rows // plane.apart), plane.taps[-2].taps, plane.taps[-1].taps)
        column_block = min(columns, limit, chain * lanes)
        most = chain // -(-column_block // lanes)
        whole = passes.rows * plane.apart
        row_block = min(rows, limit, most // whole * whole or most)
        return plane, passes, measure_box(roles, plane, row_block, column_block, lanes)

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles = with_row_axis(roles_of(problem))
        plane, passes, box = self._cut(problem, roles, target)
        numbers = Numbers.of(problem.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        rows, columns = roles.grid[-2:]
        boxes = -(-rows // box.rows) * -(-columns // box.columns)
        planes = problem.batch * problem.groups * roles.rows * math.prod(roles.grid[:-2]) * plane.outer_taps
        # By vector of dy: a multiply-add for each tap, and loads of x (unaligned ones take two turns).
        sums = passes.taps * passes.columns
        loads = ((passes.rows - 1) * plane.step + passes.taps) * passes.columns / passes.rows
        all_passes = roles.all_taps / plane.outer_taps / sums
        vectors = rows * -(-columns // lanes)
        work = vectors * all_passes * (max(sums / 2, loads) + 2)
        work += boxes * (3 * box.staged / lanes + all_passes * (40 + 2 * sums))
        bytes_ = numbers.dtype.itemsize * (math.prod(problem.x_shape) + math.prod(problem.y_shape))
        seconds = planes * work * 4 * lanes / machine.flops
        return machine.dispatch + max(
            seconds / threads, bytes_ / (machine.memory_bytes if bytes_ > machine.l3 else threads * machine.cache_bytes)
        )

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        plane, passes, box = self._cut(p, roles, target)
        channels = p.groups * roles.rows
        taps = plane.taps[-2].taps * plane.taps[-1].taps
        taps_bytes = round_up(taps, lanes) * lanes * size
        wanted = channels // (TASKS * threads if threads > 1 else 1)
        group_block = max(1, min(wanted, (SUMS_BYTES >> thrift) // taps_bytes))
        run_tasks = -(-channels // group_block)
        threads = max(1, min(threads, run_tasks))

        scratch = Ledger()
        at_staged = scratch.book("staged", (box.staged + lanes) * size)
        at_sums = scratch.book("sums", group_block * taps_bytes)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        columns, tables, weights = column_offsets(roles, plane, box), make_tables(roles), tap_weights(roles, plane)
        values = {
            **plane_values(p, roles, plane, box),
            "run_tasks": run_tasks,
            "group_block": group_block,
            "batch": p.batch,
            "taps": taps,
            "tap_weights": address_of(weights),
            "tables": address_of(tables),
            "columns": address_of(columns),
            "scratch_bytes": scratch.total,
            "at_staged": at_staged,
            "at_sums": at_sums,
        }
        spec = Spec(
            dtype=p.dtype,
            rows=passes.rows,
            taps=passes.taps,
            columns=passes.columns,
            rest=passes.rest,
            columns_rest=passes.columns_rest,
            row_step=plane.step,
        )
        module = kernels(emit_depthwise_weight, spec, target)
        pixels = values["row_blocks"] * values["column_blocks"]
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"channels": run_tasks, "reduction": p.batch * values["positions"] * pixels},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": "x", "dst": "y", "w": "w", "scratch": "scratch"},
            ledger=ledger,
            keep=(tables, columns, weights, module),
        )
