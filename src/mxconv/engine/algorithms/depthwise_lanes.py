"""depthwise_lanes: one channel a group, channels in lanes, for arrays whose channels are neighbours
(jit/kernels/depthwise_lanes.py). Data are read where they lie; only the weight is packed.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise_lanes import ARGS, LINE, Spec, emit_depthwise_lanes
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import SLOTS, compiled_words, make_tables, roles_of, with_row_axis
from .planes import Box, plane_of, plane_values, refusal

LAYOUT = Layout((*PLANE_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions, which is all of them."""
PIXELS, MANY_PIXELS = 8, 14
"""Pixels of a tile, which share a weight and whose additions need not wait for each other: with few registers, and
with many where a row has that many."""
MOST_TAPS, MOST_STEP = 9, 2
"""Column taps whose weights stay in registers, and their stride."""
TASKS = 6
"""Tasks that each thread should find."""
BLOCK_VECTORS = 16
"""Most vectors of channels that a task takes together."""


def choose_pixels(columns: int, target: Target) -> int:
    """The tile that computes the fewest pixels in vain; the larger of equals."""
    sizes = (MANY_PIXELS, PIXELS) if target.registers >= 32 else (PIXELS,)
    return min(sizes, key=lambda n: -(-columns // n) * n)


class DepthwiseLanes(Plain):
    """Channels in lanes, nothing copied. See the module's docstring."""

    name = "depthwise_lanes"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        roles = with_row_axis(roles_of(p))
        reason = refusal(p, roles)
        if reason:
            return Verdict(False, reason)
        if roles.rows != 1:
            return Verdict(False, f"{roles.rows} result channels a group, needs 1")
        if p.strides_of(roles.src)[1] != 1 or p.strides_of(roles.dst)[1] != 1:
            return Verdict(False, "channels that are no neighbours, needs channels last")
        if roles.all_taps > CHAIN:
            return Verdict(False, f"{roles.all_taps} taps, adds up to {CHAIN} in a chain")
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        if 2 * p.groups < lanes:
            return Verdict(False, f"{p.groups} channels fill less than half of a vector of {lanes}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p = problem
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        roles = with_row_axis(roles_of(p))
        vectors = -(-p.groups // lanes)
        tiles = p.batch * math.prod(roles.grid[:-1]) * -(-roles.grid[-1] // PIXELS)
        hits = p.products / max(1, p.batch * p.groups * math.prod(roles.grid))
        # By tap: eight multiply-adds with samples from memory, some of them checked.
        cycles = vectors * tiles * (hits * 7 + 60)
        seconds = cycles * 4 * lanes / machine.flops + packs_weight * p.groups * roles.all_taps * 1e-9
        bytes_ = Numbers.of(p.dtype).dtype.itemsize * (math.prod(p.x_shape) + math.prod(p.y_shape))
        slowest = bytes_ / machine.memory_bytes if bytes_ > machine.l3 else bytes_ / (threads * machine.cache_bytes)
        return machine.dispatch + max(seconds / threads, slowest)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        plane = plane_of(roles)
        assert plane is not None
        rows, columns = roles.grid[-2:]
        vectors = -(-p.groups // lanes)
        group_block = lanes * max(1, min(vectors, BLOCK_VECTORS))
        group_blocks = -(-p.groups // group_block)
        others = p.batch * math.prod(roles.grid[:-2]) * group_blocks
        row_block = max(1, min(rows, rows * others // (TASKS * threads if threads > 1 else 1)))
        row_block = min(row_block, config.get("block_pixels") or row_block)
        values = plane_values(p, roles, plane, Box(row_block, columns, 0, 0))
        run_tasks = others * values["row_blocks"]
        threads = max(1, min(threads, run_tasks))

        scratch = Ledger()
        scratch.book("lines", 8 * len(LINE) * (plane.outer_taps * plane.taps[-2].taps + 1))
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        ledger.book(PANELS, vectors * lanes * roles.all_taps * numbers.computed.itemsize)
        taps = [np.array([tap.tap for tap in axis.phases[0].taps], np.int64) for axis in roles.axes]
        by_axis = (own * stride for own, stride in zip(taps, roles.w_strides, strict=True))
        tap_weights = functools.reduce(np.add.outer, by_axis).reshape(-1)
        tables = make_tables(roles)
        values |= {
            "run_tasks": run_tasks,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "pack_tasks": vectors,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step,
            "dilation": plane.taps[-1].dilation,
            "taps": roles.all_taps,
            "tap_weights": address_of(tap_weights),
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
        }
        by_lane, step = plane.taps[-1], roles.axes[-1].src_step
        is_dense = by_lane.dilation == 1 and step <= MOST_STEP and by_lane.taps <= MOST_TAPS
        kept = by_lane.taps if is_dense else 0
        spec = Spec(p.dtype, choose_pixels(columns, target), kept, step if kept else 1, compiled_words(p))
        module = kernels(emit_depthwise_lanes, spec, target)
        order = [own.tolist() for own in taps]
        key = (self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, order)
        packing = Step("pack_weight", job_at(module.address("pack_weight")), vectors)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": values["row_blocks"] * values["positions"], "channels": vectors, "reduction": 1},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={"src": roles.src, "dst": roles.dst, **SLOTS},
            ledger=ledger,
            packing=Packing(packing, ledger.entries[PANELS][1], repr(key)),
            keep=(tables, tap_weights, module),
        )
