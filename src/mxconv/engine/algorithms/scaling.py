"""scaling: one source channel a group and a single tap, so that a result is a sample times a weight.

Nothing is staged: rows, which are whole planes where pixels are neighbours, go from source to result as fast as memory
lets them (jit/kernels/scaling.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.in_place import near_distance
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.kernels.scaling import ARGS, AT_ONCE, Spec, emit_scaling
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, addresses_of, compiled_words, make_tables, merged, roles_of, share_groups, with_row_axis
from .depthwise_lanes import has_last_channels
from .planes import Box, plane_of, plane_values

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

BOX_PIXELS = 16 << 10
"""Most pixels of a box: its samples stay in an L2 cache for the group's other result channels."""
TASK_PIXELS = 1 << 10
"""Pixels that a task has at least, if there are so many."""
TASKS = 6
"""Tasks that each thread should find."""
ROW, VECTOR, GATHERED = 25, 1.5, 16
"""Estimate: cycles of a row, of a vector, and of one whose samples are gathered."""


def lane_distance(roles: Roles) -> int:
    """Elements from one sample of a row to the next."""
    return roles.axes[-1].src_step * roles.src_strides[-1]


def leaves_image(roles: Roles) -> bool:
    """Whether some grid position's only tap lies outside the source."""
    for axis, extent in zip(roles.axes, roles.src_spatial, strict=True):
        first = axis.phases[0].taps[0].offset
        if first < 0 or first + (axis.positions - 1) * axis.src_step >= extent:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Cut:
    """What a task has: grid rows and columns, and groups."""

    rows: int
    columns: int
    groups: int


def choose_cut(p: ConvProblem, roles: Roles, lanes: int, threads: int) -> Cut:
    """Long rows for few tasks, but enough of them."""
    tasks = TASKS * threads if threads > 1 else 1
    rows, columns = roles.grid[-2:]
    limit = config.get("block_pixels") or BOX_PIXELS
    others = p.batch * p.groups * math.prod(roles.grid[:-2])
    box = min(limit, max(TASK_PIXELS, rows * columns * others // tasks))
    column_block = min(columns, round_up(box, AT_ONCE * lanes))
    row_block = max(1, min(rows, box // columns))
    boxes = -(-rows // row_block) * -(-columns // column_block)
    pixels = max(1, limit // (row_block * column_block))
    group_block, _ = share_groups(p, others // p.groups * boxes, tasks)
    return Cut(row_block, column_block, max(1, min(group_block, pixels)))


class Scaling(Plain):
    """Samples times a weight. See the module's docstring."""

    name = "scaling"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        roles = with_row_axis(merged(roles_of(problem)))
        reason = ""
        if problem.direction == "backward_weight":
            reason = f"direction {problem.direction}, needs forward or backward_data"
        elif problem.storage.kind == "complex":
            reason = f"dtype {problem.dtype}, needs real numbers"
        elif not roles.pixels:
            reason = "no pixels, needs some"
        elif roles.channels != 1:
            reason = f"{roles.channels} source channels a group, needs 1"
        elif math.prod(problem.kernel) != 1 or roles.phases != 1:
            reason = f"{math.prod(problem.kernel)} taps in {roles.phases} phases, needs 1 in 1"
        elif leaves_image(roles):
            reason = "padding, needs none"
        elif roles.rows == 1 and has_last_channels(problem, roles):
            reason = "channels that are neighbours, which fill the lanes better"
        elif roles.dst_strides[-1] != 1 and roles.grid[-1] > 1:
            reason = "results of a row that are no neighbours, needs the last axis contiguous"
        return Verdict(False, reason) if reason else ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, roles = problem, with_row_axis(merged(roles_of(problem)))
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        rows = p.batch * p.groups * roles.rows * math.prod(roles.grid[:-1])
        vector = VECTOR if near_distance(numbers.parts, lane_distance(roles)) else GATHERED
        cycles = rows * (ROW + vector * -(-roles.grid[-1] // lanes))
        seconds = cycles * 4 * lanes / (machine.flops * threads)
        bytes_ = numbers.dtype.itemsize * (math.prod(p.x_shape) + math.prod(p.y_shape))
        slowest = bytes_ / machine.memory_bytes if bytes_ > machine.l3 else bytes_ / (threads * machine.cache_bytes)
        return machine.dispatch + max(seconds, slowest)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(merged(roles_of(problem)))
        numbers = Numbers.of(p.dtype)
        cut = choose_cut(p, roles, target.lanes(numbers.computed.itemsize), threads)
        plane = plane_of(roles)
        assert plane is not None
        values = plane_values(p, roles, plane, Box(cut.rows, cut.columns, 0, 0))
        group_blocks = -(-p.groups // cut.groups)
        pixel_blocks = values["row_blocks"] * values["column_blocks"]
        run_tasks = p.batch * values["positions"] * pixel_blocks * group_blocks
        tables = make_tables(roles)
        values |= {
            "run_tasks": run_tasks,
            "group_block": cut.groups,
            "group_blocks": group_blocks,
            "tables": address_of(tables),
        }
        near = near_distance(numbers.parts, lane_distance(roles))
        module = kernels(emit_scaling, Spec(p.dtype, near, compiled_words(p)), target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": pixel_blocks, "channels": roles.rows, "reduction": 1},
            threads=max(1, min(threads, run_tasks)),
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=Ledger(),
            keep=(tables, module),
        )
