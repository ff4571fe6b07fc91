"""depthwise_lanes_weight: the weight gradient of one channel a group, channels in lanes
(jit/kernels/depthwise_lanes_weight.py). Arrays whose channels are neighbours are read where they lie, small images
whose pixels are neighbours are transposed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise_lanes_weight import ARGS, Spec, emit_depthwise_lanes_weight
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, roles_of, with_row_axis
from .costs import traffic_seconds
from .depthwise_lanes import FULL_ROWS, SQUARE_IN, Copy, has_last_channels, kept_taps, lanes_refusal
from .planes import Box, plane_of, plane_values, refusal, tap_weights

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions."""
BLOCK_BYTES = 24 << 10
"""What a block of rows reads of both arrays: half of a first-level cache."""
BLOCK_VECTORS = 16
"""Most vectors of channels that a task takes together."""
TASKS = 2
"""Tasks that each thread should find."""
MOST_SUMS, FEW_SUMS = 24, 10
"""Vectors of sums in registers, with many registers and with few."""
PIXEL, ROW = 4, 20
"""Cycles of a pixel by itself, whose additions wait for each other, and of a row beside its multiply-adds."""


def choose_pixels(columns: int, taps: int, target: Target) -> int:
    """Pixels of a tile, which take the least time for a row: those that are left over are taken one by one."""
    most = max(1, (MOST_SUMS if target.registers >= 32 else FEW_SUMS) // taps)
    return min(range(min(most, 8), 0, -1), key=lambda n: row_cycles(columns, taps, n))


def row_cycles(columns: int, taps: int, pixels: int) -> float:
    """Estimated cycles of a row of one vector of channels and one row tap."""
    whole, left = divmod(columns, pixels)
    return whole * max(pixels * taps / 2, pixels + taps / 2, PIXEL) + left * max(taps / 2, PIXEL)


class DepthwiseLanesWeight(Plain):
    """Channels in lanes. See the module's docstring."""

    name = "depthwise_lanes_weight"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p, roles = problem, with_row_axis(roles_of(problem))
        reason = refusal(p, roles, "backward_weight") or lanes_refusal(p, roles, target, FULL_ROWS)
        if reason:
            return Verdict(False, reason)
        if len(roles.axes) > 2:
            return Verdict(False, f"{p.rank} axes, needs 1 or 2")
        if not kept_taps(roles):
            return Verdict(False, "column taps that are too many, or apart, to keep their sums in registers")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, roles = problem, with_row_axis(roles_of(problem))
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        rows, columns = roles.grid
        taps = kept_taps(roles)
        row = ROW + 1.2 * row_cycles(columns, taps, choose_pixels(columns, taps, target))
        cycles = len(roles.axes[0].phases[0].taps) * rows * row
        if not has_last_channels(p, roles):
            cycles += SQUARE_IN * (-(-math.prod(roles.src_spatial) // lanes) + -(-rows * columns // lanes))
        vectors = -(-p.groups // lanes)
        seconds = vectors * p.batch * cycles * 4 * lanes / machine.flops / min(threads, vectors)
        return machine.dispatch + max(seconds, traffic_seconds(p, machine, threads))

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        is_transposed = not has_last_channels(p, roles)
        taps = kept_taps(roles)
        rows, columns = roles.grid
        pixels = choose_pixels(columns, taps, target)
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        limit = config.get("block_pixels") or max(rows, columns)
        column_block = min(columns, limit, max(1, chain - pixels) * pixels)
        # Those that are left over of a row are all added to the first pixel's sums.
        products = column_block // pixels + column_block % pixels
        step = roles.axes[-1].src_step
        row_bytes = column_block * (1 + step) * lanes * size
        row_block = max(1, min(rows, limit, chain // products, (BLOCK_BYTES >> thrift) // row_bytes))
        vectors = -(-p.groups // lanes)
        block = max(1, min(vectors // (TASKS * threads) if threads > 1 else vectors, BLOCK_VECTORS))
        run_tasks = -(-vectors // block)
        scratch = Ledger()
        values = {"at_sums": scratch.book("sums", block * roles.all_taps * lanes * size)}
        own: Roles = roles
        copied: dict[str, int] = {}
        if is_transposed:
            copy = Copy.of(roles, lanes, target)
            own = replace(copy.roles, dst_strides=(columns * lanes, lanes))
            copied = {
                "plane": copy.elements,
                "pitch": copy.pitch * lanes,
                "first_column": copy.first_column,
                "at_staged": scratch.book("staged", copy.elements * size),
                "at_dy": scratch.book("dy", (rows * columns + lanes) * lanes * size),
            }
        plane = plane_of(own)
        assert plane is not None
        threads = max(1, min(threads, run_tasks))
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        weights = tap_weights(own, plane)
        values |= {
            **plane_values(p, own, plane, Box(row_block, column_block, 0, 0)),
            "run_tasks": run_tasks,
            "group_block": block * lanes,
            "batch": p.batch,
            "taps": own.all_taps,
            "tap_weights": address_of(weights),
            "dst_lane": own.dst_strides[-1],
            "src_pixels": math.prod(own.src_spatial),
            "dst_pixels": rows * columns,
            "scratch_bytes": scratch.total,
            **copied,
        }
        spec = Spec(p.dtype, pixels, taps, step, is_transposed)
        module = kernels(emit_depthwise_lanes_weight, spec, target)
        blocks = -(-rows // row_block) * -(-columns // column_block)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"channels": vectors, "reduction": p.batch * blocks},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": "x", "dst": "y", "w": "w", "scratch": "scratch"},
            ledger=ledger,
            keep=(weights, module),
        )
