"""depthwise_lanes: one channel a group, channels in lanes.

Arrays whose channels are neighbours are read and written where they lie (jit/kernels/depthwise_lanes.py). Small images
whose pixels are neighbours are transposed on their way in and out (jit/kernels/depthwise_transposed.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ... import config, geometry
from ...jit.kernels.blocks import Layout
from ...jit.kernels.depthwise_lanes import ARGS, LINE, Spec, emit_depthwise_lanes
from ...jit.kernels.depthwise_transposed import ARGS as TRANSPOSED_ARGS
from ...jit.kernels.depthwise_transposed import emit_depthwise_transposed
from ...jit.kernels.planes import PLANE_ARGS
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem, Ints, contiguous_strides
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, addresses_of, compiled_words, make_tables, roles_of, with_row_axis
from .planes import Box, plane_of, plane_values, refusal

LAYOUT = Layout((*PLANE_ARGS, *ARGS))
TRANSPOSED_LAYOUT = Layout((*PLANE_ARGS, *TRANSPOSED_ARGS))

CHAIN = 256
"""Products in one chain of additions, which is all of them."""
PIXELS, MANY_PIXELS = (8, 7), (14, 8, 7)
"""Pixels of a tile, which share a weight and whose additions need not wait for each other: with few registers, and
with many."""
MOST_TAPS, MOST_STEP = 9, 2
"""Column taps whose weights stay in registers, and their stride."""
TASKS = 6
"""Tasks that each thread should find."""
BLOCK_VECTORS = 16
"""Most vectors of channels that a task takes together."""
FULL_ROWS, FULL_VECTOR, MANY_TAPS = 0.75, 0.9, 5
"""Rows of neighbouring pixels that fill more of their vectors are better not transposed; and those of a single vector
with so many column taps or more, whose samples stay in registers."""
MOST_COPY_BYTES = 1 << 20
"""What a transposed image may take."""
PACKED = 0.3e-9
"""Seconds to pack a weight."""
SQUARE_IN, SQUARE_OUT, TILE = 85, 65, 40
"""Cycles to transpose a square of pixels and channels, and those of a tile beside its multiply-adds."""


def choose_pixels(columns: int, target: Target) -> int:
    """The tile that computes the fewest pixels in vain; the larger of equals."""
    sizes = MANY_PIXELS if target.registers >= 32 else PIXELS
    return min(sizes, key=lambda n: -(-columns // n) * n)


def has_last_channels(p: ConvProblem, roles: Roles) -> bool:
    """Whether channels are neighbours in the source and in the destination."""
    return p.strides_of(roles.src)[1] == 1 and p.strides_of(roles.dst)[1] == 1


def has_dense_pixels(roles: Roles) -> bool:
    """Whether pixels are neighbours in the source and in the destination, in their order and without gaps."""
    return is_dense(roles.src_spatial, roles.src_strides) and is_dense(roles.grid, roles.dst_strides)


def is_dense(extents: Ints, strides: Ints) -> bool:
    wanted = contiguous_strides(extents)
    return all(own == want for extent, own, want in zip(extents, strides, wanted, strict=True) if extent > 1)


def transposed_cycles(roles: Roles, lanes: int, target: Target) -> float:
    """Estimated cycles of one sample's vector of channels whose pixels are transposed."""
    columns = roles.grid[-1]
    pixels = choose_pixels(columns, target)
    tiles = -(-columns // pixels)
    lines = 1
    for axis, extent in zip(roles.axes[:-1], roles.src_spatial, strict=False):
        taps = axis.phases[0].taps
        dilation = taps[1].offset - taps[0].offset if len(taps) > 1 else 1
        lines *= geometry.valid_products(extent, axis.positions, len(taps), axis.src_step, dilation, -taps[0].offset)
    squares = SQUARE_IN * -(-math.prod(roles.src_spatial) // lanes) + SQUARE_OUT * -(-math.prod(roles.grid) // lanes)
    products = lines * tiles * pixels * len(roles.axes[-1].phases[0].taps)
    return 60 + squares + TILE * tiles * math.prod(roles.grid[:-1]) + 1.15 * products / 2


def kept_taps(roles: Roles) -> int:
    """The column taps, if tiles keep their weights in registers, else 0."""
    axis = roles.axes[-1]
    taps = axis.phases[0].taps
    is_dense = len(taps) == 1 or taps[1].offset == taps[0].offset + 1
    return len(taps) if is_dense and axis.src_step <= MOST_STEP and len(taps) <= MOST_TAPS else 0


@dataclass(frozen=True, slots=True)
class Copy:
    """How the pixels of a vector of channels lie in scratch: between columns of zeros, so that all taps exist."""

    roles: Roles
    """The correlation from that copy to sums that lie in scratch as well, without gaps."""
    pitch: int
    """Columns from one row to the next."""
    first_column: int
    """Columns of zeros before the first."""
    elements: int

    @classmethod
    def of(cls, roles: Roles, lanes: int, target: Target) -> Copy:
        axis, extents = roles.axes[-1], roles.src_spatial
        offsets = [tap.offset for tap in axis.phases[0].taps]
        before = max(0, -min(offsets))
        pitch = before + max(extents[-1], (axis.positions - 1) * axis.src_step + max(offsets) + 1)
        rows = math.prod(extents[:-1])
        # Whole squares of pixels are put there, and tiles read for pixels beyond the last one.
        wraps = 1 + lanes // max(1, extents[-1])
        beyond = max(lanes + pitch * wraps, choose_pixels(axis.positions, target) * axis.src_step)
        src = tuple(lanes * stride for stride in contiguous_strides((*extents[:-1], pitch)))
        dst = tuple(lanes * stride for stride in contiguous_strides(roles.grid))
        own = replace(roles, src_strides=src, dst_strides=dst)
        return cls(own, pitch, before, (rows * pitch + beyond) * lanes)


def lanes_refusal(p: ConvProblem, roles: Roles, target: Target, full: float) -> str:
    """Why channels are not put in lanes, whatever the direction; empty if they are. Rows of neighbouring pixels that
    fill more than a share `full` of their vectors are not transposed."""
    size = Numbers.of(p.dtype).computed.itemsize
    lanes = target.lanes(size)
    if roles.rows != 1:
        return f"{roles.rows} result channels a group, needs 1"
    if 2 * p.groups < lanes:
        return f"{p.groups} channels fill less than half of a vector of {lanes}"
    if has_last_channels(p, roles):
        return ""
    if not has_dense_pixels(roles):
        return "neither channels nor pixels that are all neighbours"
    columns = roles.grid[-1]
    if columns > full * lanes * -(-columns // lanes):
        return f"rows of {columns} pixels, which fill their vectors without being transposed"
    copied = Copy.of(roles, lanes, target).elements * size
    if copied > MOST_COPY_BYTES:
        return f"a transposed image of {copied} bytes, pays up to {MOST_COPY_BYTES}"
    return ""


class DepthwiseLanes(Plain):
    """Channels in lanes. See the module's docstring."""

    name = "depthwise_lanes"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p, roles = problem, with_row_axis(roles_of(problem))
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        reason = refusal(p, roles, "forward", "backward_data")
        if not reason:
            is_single = roles.grid[-1] <= lanes and kept_taps(roles) >= MANY_TAPS
            reason = lanes_refusal(p, roles, target, FULL_VECTOR if is_single else FULL_ROWS)
        if reason:
            return Verdict(False, reason)
        if roles.all_taps > CHAIN:
            return Verdict(False, f"{roles.all_taps} taps, adds up to {CHAIN} in a chain")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p = problem
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
        roles = with_row_axis(roles_of(p))
        vectors = -(-p.groups // lanes)
        if has_last_channels(p, roles):
            tiles = p.batch * math.prod(roles.grid[:-1]) * -(-roles.grid[-1] // PIXELS[0])
            hits = p.products / max(1, p.batch * p.groups * math.prod(roles.grid))
            # By tap: eight multiply-adds with samples from memory, some of them checked.
            cycles = vectors * tiles * (hits * 7 + 60)
        else:
            cycles = vectors * p.batch * transposed_cycles(roles, lanes, target)
        seconds = cycles * 4 * lanes / machine.flops + packs_weight * p.groups * roles.all_taps * PACKED
        bytes_ = Numbers.of(p.dtype).dtype.itemsize * (math.prod(p.x_shape) + math.prod(p.y_shape))
        slowest = bytes_ / machine.memory_bytes if bytes_ > machine.l3 else bytes_ / (threads * machine.cache_bytes)
        return machine.dispatch + max(seconds / threads, slowest)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        roles = with_row_axis(roles_of(problem))
        if has_last_channels(problem, roles):
            return self._plan_in_place(problem, roles, target, threads)
        return self._plan_transposed(problem, roles, target, threads)

    def _plan_in_place(self, p: ConvProblem, roles: Roles, target: Target, threads: int) -> Plan:
        lanes = target.lanes(Numbers.of(p.dtype).computed.itemsize)
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
        scratch = Ledger()
        scratch.book("lines", 8 * len(LINE) * (plane.outer_taps * plane.taps[-2].taps + 1))
        values |= {
            "run_tasks": others * values["row_blocks"],
            "group_block": group_block,
            "group_blocks": group_blocks,
        }
        return self._plan(p, roles, target, threads, False, scratch, values)

    def _plan_transposed(self, p: ConvProblem, roles: Roles, target: Target, threads: int) -> Plan:
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        copy = Copy.of(roles, lanes, target)
        own = copy.roles
        plane = plane_of(own)
        assert plane is not None
        rows, columns = own.grid[-2:]
        vectors = -(-p.groups // lanes)
        wanted = vectors * p.batch // (TASKS * threads if threads > 1 else 1)
        group_block = lanes * max(1, min(vectors, wanted))
        group_blocks = -(-p.groups // group_block)
        list_bytes = 8 * (2 + len(LINE) * (plane.outer_taps * plane.taps[-2].taps + 1))
        src_pixels, dst_pixels = math.prod(own.src_spatial), math.prod(own.grid)
        scratch = Ledger()
        values = {
            **plane_values(p, own, plane, Box(rows, columns, 0, copy.elements)),
            "run_tasks": p.batch * group_blocks,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "pitch": copy.pitch * lanes,
            "first_column": copy.first_column,
            "src_pixels": src_pixels,
            "dst_pixels": dst_pixels,
            "list_bytes": list_bytes,
            "at_lists": scratch.book("lists", list_bytes * math.prod(own.grid[:-1])),
            "at_staged": scratch.book("staged", copy.elements * size),
            "at_sums": scratch.book("sums", (dst_pixels + lanes) * lanes * size),
        }
        return self._plan(p, own, target, threads, True, scratch, values)

    def _plan(
        self,
        p: ConvProblem,
        roles: Roles,
        target: Target,
        threads: int,
        is_transposed: bool,
        scratch: Ledger,
        own_values: Mapping[str, int],
    ) -> Plan:
        """The plan of either bundle, with the values that both have in common."""
        layout, emit = LAYOUT, emit_depthwise_lanes
        if is_transposed:
            layout, emit = TRANSPOSED_LAYOUT, emit_depthwise_transposed
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        plane = plane_of(roles)
        assert plane is not None
        vectors = -(-p.groups // lanes)
        run_tasks = own_values["run_tasks"]
        threads = max(1, min(threads, run_tasks))
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        ledger.book(PANELS, vectors * lanes * roles.all_taps * numbers.computed.itemsize)
        taps = [np.array(axis.phases[0].taps.indices, np.int64) for axis in roles.axes]
        by_axis = (own * stride for own, stride in zip(taps, roles.w_strides, strict=True))
        tap_weights = functools.reduce(np.add.outer, by_axis).reshape(-1)
        tables = make_tables(roles)
        by_lane, step = plane.taps[-1], roles.axes[-1].src_step
        values = {
            **own_values,
            "pack_tasks": vectors,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step,
            "dilation": by_lane.dilation,
            "taps": roles.all_taps,
            "tap_weights": address_of(tap_weights),
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
        }
        kept = kept_taps(roles)
        pixels = choose_pixels(roles.grid[-1], target)
        spec = Spec(p.dtype, pixels, kept, step if kept else 1, is_transposed, compiled_words(p))
        module = kernels(emit, spec, target)
        order = [own.tolist() for own in taps]
        key = (self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, order)
        packing = Step("pack_weight", job_at(module.address("pack_weight")), vectors)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": run_tasks, "channels": vectors, "reduction": 1},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=layout,
            arguments=layout.fill(values),
            addresses=addresses_of(roles, layout),
            ledger=ledger,
            packing=Packing(packing, ledger.entries[PANELS][1], repr(key)),
            keep=(tables, tap_weights, module),
        )
