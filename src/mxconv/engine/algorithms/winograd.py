"""winograd_4, winograd_3, winograd_2: F(m, r) on the last two axes, m = 4, 3 or 2 (jit/kernels/winograd.py).

The choice for dense kernels of 2 to 4 taps on an axis (7 where only one axis has more than one) with enough channels:
F(4, 3) on two axes multiplies four times less than the plain sum does. Sums are not those of the products themselves,
so errors are larger: see `error`.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import AXIS_STATE_NAMES, COMMON_ARGS, STATE_NAMES
from ...jit.kernels.pointwise import BOX
from ...jit.kernels.winograd import emit_winograd
from ...jit.kernels.winograd_filter import SPANS
from ...jit.kernels.winograd_tiles import ARGS, ENTRY, LANE_PHASE, SLOT, Spec, class_row
from ...jit.kernels.winograd_tiles import AXIS_STATE as KERNEL_AXIS_STATE
from ...jit.kernels.winograd_tiles import STATE as KERNEL_STATE
from ...jit.numbers import Numbers
from ...jit.target import Target, current
from ...jit.winograd import winograd
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict, kernels
from .correlation import addresses_of, common_values, compiled_words, make_tables, roles_of
from .winograd_form import MOST_BYTES, PRODUCT_BYTES, choose_cut, form_of

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

LEAST_SPREAD = 28.0
"""What takes the place of the length of short sums, whose errors are dominated by the transforms' own."""
ROUNDING = 1.35e-6
"""Largest error of N(0, 1) data, relative to the result's standard deviation, for sums of 64 products in one chain and
tiles that amplify nothing (measured, sums of 12 to 1024 products, all tiles, a hundred thousand results each)."""

STAGING, STAGING_APART, STAGING_AHEAD, GROUPED = 8.0, 45.0, 4.0, 1.2
"""Estimate: cycles to stage a vector beyond what cuts are chosen by, likewise where pixels lie apart, the same where
these have been asked for in advance, and slowness of groups (measured)."""
PACKING = (3.3, 16.0)
"""Cycles in which a vector of weights is transformed, by point and by tap."""


@functools.cache
def gain_of(m: int, r: int) -> float:
    """How much larger the errors of the sums become in the results of F(m, r): by the sizes of the transformed."""
    f = winograd(m, r)
    kernel, data, output = ([[float(x) ** 2 for x in row] for row in matrix] for matrix in (f.kernel, f.data, f.output))
    sizes = [sum(g) * sum(b) for g, b in zip(kernel, data, strict=True)]
    return math.sqrt(max(sum(a * size for a, size in zip(row, sizes, strict=True)) for row in output) / r)


def lanes_of(problem: ConvProblem, target: Target) -> int:
    """Computed numbers in one vector."""
    return target.lanes(Numbers.of(problem.dtype).computed.itemsize)


class Winograd:
    """F(m, r). See the module's docstring.

    Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; the points are others.
    """

    is_plain = False

    def __init__(self, m: int) -> None:
        self.m = m
        self.name = f"winograd_{m}"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if problem.storage.kind != "float":
            return Verdict(False, f"dtype {problem.dtype}, needs floating-point numbers")
        roles = roles_of(problem)
        if not (roles.pixels and roles.rows and roles.channels):
            return Verdict(False, "no results or no sums, needs some")
        form = form_of(problem, self.m, lanes_of(problem, target))
        if isinstance(form, str):
            return Verdict(False, form)
        if form.least_bytes > MOST_BYTES:
            return Verdict(False, f"the smallest block takes {form.least_bytes} bytes, pays up to {MOST_BYTES}")
        return ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        form = form_of(problem, self.m, lanes_of(problem, current()))
        assert not isinstance(form, str)
        products = form.entries * form.outer_taps
        length = min(products, form.chain)
        gain = gain_of(*form.row_size) * gain_of(*form.lane_size)
        return ROUNDING * gain * math.sqrt(max(LEAST_SPREAD, length + products / length + 2) / 64)

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        form = form_of(problem, self.m, lanes_of(problem, target))
        assert not isinstance(form, str)
        cut = choose_cut(problem, self.m, target, threads, 0)
        cycle = 4 * form.lanes / machine.flops
        (m_row, r_row), (m_lane, r_lane) = form.row_size, form.lane_size
        staged = (cut.rows * m_row + r_row - 1) * (cut.columns * m_lane + r_lane - 1) * form.lane_residues * cut.samples
        planes = cut.depth_block * (1 if form.ring else form.outer_taps)
        lane_step = form.roles.axes[-1].src_step * form.roles.src_strides[-1]
        first, later = STAGING_APART, STAGING_AHEAD if lane_step in (1, 2) else STAGING_APART
        own_staging = first + (form.blocks - 1) * later if form.strided else form.blocks * STAGING
        staging = cut.tasks * planes * staged * own_staging / threads
        slowness = GROUPED if problem.groups > 1 else 1.0
        seconds = machine.dispatch + (slowness * cut.cost + staging) * cycle
        moved = sum(math.prod(problem.shape_of(name)) for name in "xy") * problem.storage.numpy.itemsize
        if moved > machine.l3 / 2:
            seconds += moved / machine.memory_bytes
        if packs_weight:
            vectors = -(-form.roles.rows // form.lanes) * form.roles.phases * problem.groups
            vectors *= form.blocks * form.lanes * form.outer_taps
            work = vectors * cycle * (PACKING[0] * form.points + PACKING[1] * form.row.r * form.lane.r)
            size = vectors * form.points * form.lanes * form.size
            seconds += machine.dispatch + work / threads
            if size > machine.l3 / 4:  # lines are read before they are written, and written back
                seconds += 2 * size / machine.memory_bytes
        return seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p = problem
        form = form_of(p, self.m, lanes_of(p, target))
        assert not isinstance(form, str)
        roles, lanes, size = form.roles, form.lanes, form.size
        cut = choose_cut(p, self.m, target, threads, thrift)
        tile, nr = cut.tile, cut.tile.nv * lanes
        panels = -(-roles.rows // nr)
        block_panels = -(-panels // cut.panel_blocks)
        threads = max(1, min(threads, cut.tasks))
        tiles = cut.samples * cut.rows * cut.columns * form.lane_residues
        rounded = round_up(tiles, tile.mr)
        line = 64 // size
        chain = max(1, min(form.chain, config.get("block_reduction") or form.chain) // lanes)

        tile_pitch = rounded * lanes
        v_point = form.blocks * tile_pitch + line
        v_phase, m_vector = form.points * v_point, form.lane_phases * form.points * tile_pitch * size
        chunk = max(1, min(block_panels, (PRODUCT_BYTES >> thrift) // (m_vector * tile.nv)))
        m_point = chunk * tile.nv * tile_pitch + line
        (m_row, r_row), (m_lane, r_lane) = form.row_size, form.lane_size
        span = (cut.columns * m_lane + r_lane - 2) * form.lane.delta + form.lane_residues + form.reach
        in_pitch = round_up(span, lanes) * lanes + lanes
        out_pitch = round_up(cut.columns * m_lane * form.lane.delta * form.lane_phases, lanes) * lanes + lanes
        strip = max((cut.rows * m_row + r_row - 1) * in_pitch, m_row * out_pitch)

        scratch = Ledger()
        rank = len(roles.axes)
        scratch.book(
            "state",
            8 * (len(STATE_NAMES) + len(KERNEL_STATE) + rank * (len(AXIS_STATE_NAMES) + len(KERNEL_AXIS_STATE))),
        )
        for name, bytes_ in (
            ("at_box", 8 * len(BOX) * rank),
            ("at_lanes", 8 * len(LANE_PHASE) * form.lane_phases),
            ("at_places", 8 * 3 * form.blocks * lanes * form.strided),
            ("at_entries", 8 * len(ENTRY) * form.outer_taps * form.blocks),
            ("at_slots", 8 * len(SLOT) * form.slots),
            ("at_strip", strip * size),
            ("at_v", form.slots * form.lane_phases * v_phase * size),
            ("at_m", form.lane_phases * form.points * m_point * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        # Points lie a cache line further apart than a power of 2, or all would compete for the same lines.
        u_point = panels * form.outer_taps * form.blocks * lanes * nr + line
        u_phase = form.points * u_point
        flags_at = p.groups * roles.phases * u_phase * size
        pack_tasks = p.groups * roles.phases * panels * form.outer_taps * form.blocks
        ledger.book(PANELS, flags_at + 8 * pack_tasks)

        plain, classes, class_at = make_tables(roles), list[int](), dict[str, int]()
        for axis, name, stride in (
            (form.row, "row", roles.w_strides[-2]),
            (form.lane, "lane", roles.w_strides[-1]),
        ):
            class_at[name] = len(plain) + len(classes)
            for phase in axis.phases:
                for entry in phase:
                    classes.append(entry.first)
                    taps = [(1, tap * stride) for tap in entry.taps] + [(0, 0)] * (axis.r - len(entry.taps))
                    classes += [number for pair in taps for number in pair]
        assert len(classes) == sum(len(t.phases) * len(t.phases[0]) * class_row(t.r) for t in (form.row, form.lane))
        tables = np.concatenate([plain, np.array(classes, np.int64)])

        depths = roles.axes[-3].positions if rank > 2 else 1
        values = {
            **common_values(p, roles, panels),
            "row_tiles": form.row_tiles,
            "row_block": cut.rows,
            "row_blocks": -(-form.row_tiles // cut.rows),
            "row_residues": form.row_residues,
            "row_delta": form.row.delta,
            "row_classes": len(form.row.phases[0]),
            "row_class_at": class_at["row"],
            "lane_tiles": form.lane_tiles,
            "lane_block": cut.columns,
            "lane_blocks": -(-form.lane_tiles // cut.columns),
            "lane_residues": form.lane_residues,
            "lane_delta": form.lane.delta,
            "lane_classes": len(form.lane.phases[0]),
            "lane_class_at": class_at["lane"],
            "sample_block": cut.samples,
            "sample_blocks": -(-p.batch // cut.samples),
            "samples": p.batch,
            "lines": math.prod(axis.positions for axis in roles.axes[:-3]),
            "depth_block": cut.depth_block,
            "depth_blocks": -(-depths // cut.depth_block),
            "depth_axis": rank - 3,
            "panels_of_rows": panels,
            "block_panels": block_panels,
            "panel_blocks": cut.panel_blocks,
            "chunk_panels": chunk,
            "outer_phases": roles.phases // form.lane_phases,
            "lane_phases": form.lane_phases,
            "outer_taps": form.outer_taps,
            "entries": form.entries,
            "entry_blocks": form.blocks,
            "chain_blocks": chain,
            "ring": form.ring,
            "slots": form.slots,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step // form.lane_phases,
            "columns": sum(phase.count for phase in roles.axes[-1].phases),
            "in_pitch": in_pitch,
            "out_pitch": out_pitch,
            "tile_pitch": tile_pitch,
            "v_point": v_point,
            "v_phase": v_phase,
            "v_slot": form.lane_phases * v_phase,
            "m_point": m_point,
            "m_phase": form.points * m_point,
            "u_point": u_point,
            "u_phase": u_phase,
            "w_span": form.span if 0 < form.span <= SPANS * lanes else 0,
            "at_flags": flags_at,
            "pack_tasks": pack_tasks,
            "run_tasks": cut.tasks,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        module = kernels(
            emit_winograd, Spec(p.dtype, form.row_size, form.lane_size, tile, form.strided, compiled_words(p)), target
        )
        key = (
            self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, nr, form.row_size,
            form.lane_size, form.row.phases, form.lane.phases,
            [[phase.taps.indices for phase in axis.phases] for axis in roles.axes[:-2]],
        )  # fmt: skip
        packing = Packing(
            Step("pack_weight", job_at(module.address("pack_weight")), pack_tasks),
            ledger.entries[PANELS][1],
            repr(key),
        )
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={
                "pixels": cut.tasks // cut.panel_blocks,
                "channels": cut.panel_blocks,
                "reduction": -(-form.blocks // chain),
            },
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), cut.tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=packing,
            keep=(tables, module),
        )
