"""implicit_gemm: every rank, layout, stride, dilation, group count and dtype, in both data directions.

Source values are packed chunk by chunk into panels that stay in cache; nothing of the size of the unrolled matrix is
ever in memory. The kernel (jit/kernels/implicit_gemm.py) sees a correlation of a source with the weight; here a
problem is turned into one:

    forward        source x, destination y, rows = output channels, reduction over input channels
    backward_data  source y, destination x, rows = input channels, reduction over output channels, stride phases
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import config, geometry
from ...jit import compiler
from ...jit.kernels.gemm import choose_tile
from ...jit.kernels.implicit_gemm import (
    ARGS,
    AXIS,
    AXIS_STATE,
    FLAGS,
    PHASE_ROW,
    SEGMENT_ROW,
    SEGMENTS,
    STATE,
    TAP_ROW,
    Spec,
    emit_implicit_gemm,
)
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..plan import Plan, Step
from ..problem import ConvProblem, Ints
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict

CHAIN = 256
"""Products in one chain of additions; the second level adds the chains' sums."""
PANELS = 2
"""Panels of pixels in a block: with CHAIN rows of 48 floats each 96 KB, which leaves room in L2 for the weights."""
ROWS = 256
"""Result channels in a block."""


@dataclass(frozen=True, slots=True)
class _Roles:
    """A problem as the kernel sees it: which array is read, which is written, and which weight axis is which."""

    src: str
    dst: str
    rows: int
    channels: int
    w_row: int
    w_channel: int
    w_group: int
    src_spatial: Ints
    axes: tuple[geometry.AxisPlan, ...]


def _roles(p: ConvProblem) -> _Roles:
    axes = range(p.rank)
    own_in, own_out = p.in_channels // p.groups, p.out_channels // p.groups
    by_out, by_in = p.w_strides[:2]
    if p.direction == "forward":
        plans = tuple(
            geometry.forward_axis(p.out_spatial[a], p.kernel[a], p.stride[a], p.dilation[a], p.pad_lo[a]) for a in axes
        )
        return _Roles("x", "y", own_out, own_in, by_out, by_in, own_out * by_out, p.in_spatial, plans)
    plans = tuple(
        geometry.backward_data_axis(p.in_spatial[a], p.kernel[a], p.stride[a], p.dilation[a], p.pad_lo[a]) for a in axes
    )
    return _Roles("y", "x", own_in, own_out, by_in, by_out, own_out * by_out, p.out_spatial, plans)


def _tables(p: ConvProblem, roles: _Roles) -> npt.NDArray[np.int64]:
    """The axis, phase and tap tables in one array; offsets count its elements."""
    head = len(AXIS) * p.rank
    rows: list[int] = []
    lists: list[int] = []
    src_strides, dst_strides = p.strides_of(roles.src), p.strides_of(roles.dst)
    for a, axis in enumerate(roles.axes):
        phase_at = head + len(lists)
        first = 0
        for phase in axis.phases:
            lists += (phase.origin, phase.count, first, len(phase.taps))
            first += len(phase.taps)
        tap_at = phase_at + PHASE_ROW * len(axis.phases)
        for phase in axis.phases:
            for tap in phase.taps:
                lists += (tap.tap, tap.offset)
        assert head + len(lists) == tap_at + TAP_ROW * first
        row = {
            "extent": roles.src_spatial[a],
            "src_stride": src_strides[2 + a],
            "src_step": axis.src_step,
            "dst_stride": dst_strides[2 + a],
            "dst_step": axis.dst_step,
            "w_stride": p.w_strides[2 + a],
            "phases": len(axis.phases),
            "taps": first,
            "phase_at": phase_at,
            "tap_at": tap_at,
        }
        rows += (row[name] for name in AXIS.names)
    return np.array(rows + lists, np.int64)


def _in_place_offset(p: ConvProblem, roles: _Roles) -> int | None:
    """The source offset of the first pixel, if all pixels lie there one after the other as the product needs them.

    So they do where a single tap reads every pixel inside the image (1x1, stride 1) and rows have no gaps between
    them: panels are then columns of the source itself, one row a channel.
    """
    strides = p.strides_of(roles.src)[2:]
    offset, run = 0, 1
    for axis, extent, stride in zip(reversed(roles.axes), reversed(roles.src_spatial), reversed(strides), strict=True):
        if len(axis.phases) != 1 or len(axis.phases[0].taps) != 1:
            return None
        count, first = axis.phases[0].count, axis.phases[0].taps[0].offset
        if first < 0 or first + (count - 1) * axis.src_step >= extent:
            return None
        if count > 1 and axis.src_step * stride != run:
            return None
        offset += first * stride
        run *= count
    return offset


class ImplicitGemm:
    """Packed panels and a register tile. See the module's docstring."""

    name = "implicit_gemm"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        return ACCEPTED

    def make_plan(self, problem: ConvProblem, target: Target, threads: int) -> Plan:
        p, roles = problem, _roles(problem)
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        most_pixels, most_rows = config.get("block_pixels"), config.get("block_channels")
        tile = choose_tile(target, numbers, min(roles.rows, most_rows or ROWS), most_pixels)
        nr = tile.nv * lanes
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        block_panels = max(1, min(PANELS, (most_pixels or nr * PANELS) // nr))
        block_rows = max(1, min(ROWS, most_rows or ROWS) // tile.mr)

        pixels = math.prod(max((phase.count for phase in axis.phases), default=0) for axis in roles.axes)
        phases = math.prod(len(axis.phases) for axis in roles.axes)
        all_taps = math.prod(sum(len(phase.taps) for phase in axis.phases) for axis in roles.axes)
        most_taps = math.prod(max((len(phase.taps) for phase in axis.phases), default=0) for axis in roles.axes)
        row_groups = -(-roles.rows // tile.mr)
        row_blocks = -(-row_groups // block_rows)
        pixel_blocks = -(-pixels // (block_panels * nr))
        panels_in_use = min(block_panels, -(-pixels // nr))
        rows_in_use = min(block_rows, row_groups)
        longest = min(chain, max(1, roles.channels) * max(1, most_taps))
        channels_of_chunk = max(1, chain // max(1, most_taps))
        chunks = -(-roles.channels // channels_of_chunk) * -(-most_taps // chain)

        size = numbers.computed.itemsize * numbers.parts
        threads = threads if p.products >= config.get("parallel_threshold") else 1
        block_pixels = panels_in_use * nr
        section = {"at_coords": round_up(8 * (len(STATE) + p.rank * len(AXIS_STATE)))}
        section["at_src"] = section["at_coords"] + round_up(8 * p.rank * block_pixels)
        section["at_dst"] = section["at_src"] + round_up(8 * block_pixels)
        section["at_flags"] = section["at_dst"] + round_up(8 * block_pixels)
        section["at_segments"] = section["at_flags"] + round_up(8 * len(FLAGS) * (block_pixels // lanes))
        segments_bytes = round_up(8 * SEGMENTS * SEGMENT_ROW * (block_pixels // lanes))
        section["at_b"] = section["at_segments"] + segments_bytes
        section["at_c"] = section["at_b"] + round_up(longest * block_pixels * size)
        scratch_bytes = section["at_c"] + round_up(rows_in_use * tile.mr * block_pixels * size)
        ledger = Ledger()
        ledger.book("panels", p.groups * row_groups * tile.mr * all_taps * roles.channels * size)
        ledger.book("scratch", scratch_bytes * threads)

        tables = _tables(p, roles)
        in_place = _in_place_offset(p, roles) if numbers.stored == numbers.computed and numbers.parts == 1 else None
        src, dst = p.strides_of(roles.src), p.strides_of(roles.dst)
        values = {
            "src_batch": src[0],
            "src_group": src[1] * roles.channels,
            "src_channel": src[1],
            "dst_batch": dst[0],
            "dst_group": dst[1] * roles.rows,
            "dst_channel": dst[1],
            "w_group": roles.w_group,
            "w_row": roles.w_row,
            "w_channel": roles.w_channel,
            "rank": p.rank,
            "rows": roles.rows,
            "channels": roles.channels,
            "phases": phases,
            "all_taps": all_taps,
            "chain": chain,
            "block_panels": block_panels,
            "block_row_groups": block_rows,
            "row_groups": row_groups,
            "row_blocks": row_blocks,
            "pixel_blocks": pixel_blocks,
            "groups": p.groups,
            "pack_tasks": p.groups * row_groups * phases,
            "run_tasks": p.batch * p.groups * phases * row_blocks * pixel_blocks,
            "tables": address_of(tables),
            "scratch_bytes": scratch_bytes,
            "block_pixels": block_pixels,
            "lane_step": roles.axes[-1].src_step * src[-1],
            "in_place": int(in_place is not None),
            "in_place_offset": in_place or 0,
            **section,
        }
        arguments = np.zeros(len(ARGS), np.int64)
        for name, value in values.items():
            arguments[ARGS.index[name]] = value

        spec = Spec(p.dtype, tile)
        module = compiler.compile_module(emit_implicit_gemm(spec, target), target, f"{spec.name}_{target.name}")
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": pixel_blocks, "channels": row_blocks, "reduction": chunks},
            threads=threads,
            steps=(
                Step("pack_weight", job_at(module.address("pack_weight")), values["pack_tasks"]),
                Step("run", job_at(module.address("run")), values["run_tasks"]),
            ),
            layout=ARGS,
            arguments=arguments,
            addresses={
                "src": roles.src, "dst": roles.dst, "w": "w", "bias": "bias", "panels": "panels", "scratch": "scratch"
            },
            ledger=ledger,
            keep=(tables, module),
        )  # fmt: skip
