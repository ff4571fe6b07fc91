"""fft_1d: long filters along one axis, by Fourier transforms of overlapping blocks (jit/kernels/fft_1d.py).

    y[b, o, i] = sum over c, t of x[b, c, i + t*dilation - pad_lo] * w[o, c, t]        (forward)

Applies: one axis with taps (16 or more, stride 1 if forward), floating-point numbers; the other axes may have anything
but taps. What it costs hardly depends on the filter's length: about 4 log2(N) operations a sample and transform for
blocks of 2N samples, and with several channels a group a complex product for every two samples of a block, source and
result channel. Error: see Fft1d.error; it is relative to the largest values of the block.
"""

from __future__ import annotations

import math

import numpy as np

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.fft_1d import Spec, emit_fft_1d
from ...jit.kernels.fft_columns import ARGS, OUTER, SET
from ...jit.kernels.fft_passes import make_transform
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict, kernels
from .correlation import SLOTS, compiled_words
from .costs import traffic_seconds, vector_seconds
from .fft_blocks import LONGEST, MOST_PANEL_BYTES, cost, cut_pieces, lay_panels, transform_cost
from .overlap_save import abreast_of, choose_work, long_axes

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

LEAST_TAPS, LEAST_MIXED_TAPS = 16, 5
"""Filters with fewer taps are hopeless: with one source channel a group, and with several."""
APART = 7
"""Vector operations that a sample or a result is worth that is not beside the one before."""
ABREAST = 1
"""The same where its neighbours in memory are copied together."""
CHAIN = 256
"""Products in one chain of additions."""
TASK = 4096
"""Complex values that a task transforms at least."""


class Fft1d:
    """Overlap-save along one axis. See the module's docstring."""

    name = "fft_1d"
    is_plain = False

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if p.storage.kind != "float":
            return Verdict(False, f"dtype {p.dtype}, needs real floating-point numbers")
        axes = long_axes(p)
        if len(axes) != 1:
            return Verdict(False, f"{len(axes)} axes with more than one tap, needs one")
        if not math.prod(p.shape_of(p.output)) or not math.prod(p.shape_of(p.inputs[0])):
            return Verdict(False, "no results or no samples, needs some")
        axis = axes[0]
        kernel, stride = p.kernel[axis], p.stride[axis]
        if p.direction == "forward" and stride > 1:
            return Verdict(False, f"stride {stride}, needs 1")
        taps = kernel if p.direction == "forward" else kernel // stride
        own = p.in_channels if p.direction == "forward" else p.out_channels
        least = LEAST_TAPS if own == p.groups else LEAST_MIXED_TAPS
        if taps < least:
            return Verdict(False, f"{taps} taps, pays from {least} on")
        if taps > LONGEST:
            return Verdict(False, f"{taps} taps, needs at most {LONGEST}")
        work = choose_work(p, target)
        panels = 2 * work.filters * work.half * Numbers.of(p.dtype).computed.itemsize
        if panels > MOST_PANEL_BYTES:
            return Verdict(False, f"spectra of the weight take {panels} bytes, needs at most {MOST_PANEL_BYTES}")
        return ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        return 3e-6

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, work = problem, choose_work(problem, target)
        size = Numbers.of(p.dtype).computed.itemsize
        lanes = target.lanes(size)
        operations = cost(work, lanes, size)
        if packs_weight:
            operations += work.filters * transform_cost(work.half, lanes, size)
        line = work.line
        columns = work.families * work.columns
        apart = ABREAST if abreast_of(p, work) else APART
        if p.strides_of(p.inputs[0])[2 + line.axis] * line.tap_step != 1:
            operations += apart * columns * work.channels * min(2 * work.half, line.results + line.taps)
        if p.strides_of(p.output)[2 + line.axis] * line.tap_step * line.dst_step != 1:
            operations += apart * columns * work.rows * work.outputs
        seconds = vector_seconds(operations, lanes, machine) / threads + traffic_seconds(p, machine, threads)
        if packs_weight:
            seconds += 2 * work.filters * 2 * work.half * size / machine.memory_bytes
        return machine.dispatch * (1 if work.tile is None else 4) + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, w = problem, choose_work(problem, target)
        line = w.line
        numbers = Numbers.of(p.dtype)
        element = "float32" if numbers.computed.itemsize == 4 else "float64"
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        transform = make_transform(w.half, lanes, element, 8 if target.registers >= 32 else 4)
        vectors, pair = w.half // lanes, 2 * lanes
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        abreast = abreast_of(p, w)
        module = kernels(emit_fft_1d, Spec(p.dtype, w.tile, abreast, compiled_words(p)), target)

        tables = np.array([n for row in (*line.sets, *line.outer) for n in row], np.int64)
        mr = 1 if w.tile is None else w.tile.mr
        row_tiles = w.padded_rows // mr
        panels = lay_panels(w, lanes)
        spectra_bytes = w.families * panels["w_family"] * size
        pack_tasks = w.filters

        ledger, scratch = Ledger(), Ledger()
        lines = lanes if abreast else 1
        pitch = (vectors + 1) * pair  # lines a power of two apart would meet in a few sets of the caches
        scratch.book("work", lines * pitch * size)
        if w.tile is None and w.rows > 1:
            scratch.book("at_spectrum", vectors * pair * size)
        share = max(1, TASK // w.half)
        blocks = w.families * w.columns
        run_tasks = -(-blocks // share)
        last = line.outer[-1][OUTER.index["count"]] if line.outer else 1
        bundles = -(-last // lanes)
        if abreast == "groups":
            run_tasks = -(-w.families // lanes) * w.columns
        elif abreast == "positions":
            run_tasks = blocks // last * bundles
        piece: dict[str, int] = {}
        steps: tuple[Step, ...]
        if w.tile is None:
            threads = max(1, min(threads, max(run_tasks, pack_tasks)))
            steps = (Step("run", job_at(module.address("run")), run_tasks),)
        else:
            piece = cut_pieces(w, lanes, size, lines, thrift)
            columns, families = piece["piece_columns"], piece["piece_families"]
            threads = max(1, min(threads, piece["transform_tasks"]))
            for name in ("columns", "results"):
                ledger.book(name, families * vectors * piece[f"{name}_vector"] * size)
            ledger.book("marks", 8 * families * columns * w.channels)
            pieces = piece["column_pieces"] * -(-w.families // families)
            names = {"begin": 1, **{name: piece[f"{name}_tasks"] for name in ("transform", "mix", "restore")}}
            steps = tuple(Step(name, job_at(module.address(name)), tasks) for name, tasks in names.items()) * pieces
        ledger.book("scratch", scratch.total * threads)
        ledger.book(PANELS, round_up(spectra_bytes) + 8 * w.filters)
        key = (
            self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, w.half, mr,
            [row[2:] for row in line.sets],
        )  # fmt: skip
        packing = Packing(
            Step("pack_weight", job_at(module.address("pack_weight")), pack_tasks), ledger.entries[PANELS][1], repr(key)
        )
        src, dst = p.strides_of(p.inputs[0]), p.strides_of(p.output)
        by_out, by_in = p.w_strides[:2]
        forward = p.direction == "forward"
        scale = np.array([1 / w.half, 0][: 8 // size], element).view(np.int64)
        values = {
            "src_batch": src[0],
            "src_group": src[1] * w.channels,
            "src_channel": src[1],
            "dst_batch": dst[0],
            "dst_group": dst[1] * w.rows,
            "dst_channel": dst[1],
            "w_group": p.out_channels // p.groups * by_out,
            "w_row": by_out if forward else by_in,
            "w_channel": by_in if forward else by_out,
            "rows": w.rows,
            "channels": w.channels,
            "groups": p.groups,
            "chain": chain,
            "pack_tasks": pack_tasks,
            "run_tasks": run_tasks,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            "src_lane": src[2 + line.axis],
            "dst_lane": dst[2 + line.axis],
            "w_lane": p.w_strides[2 + line.axis],
            "tap_step": line.tap_step,
            "dst_step": line.dst_step,
            "extent": (p.in_spatial if forward else p.out_spatial)[line.axis],
            "sets": len(line.sets),
            "outer_axes": len(line.outer),
            "positions": line.positions,
            "residues": line.tap_step,
            "units": w.units,
            "families": w.families,
            "half": w.half,
            "outputs": w.outputs,
            "blocks": w.blocks,
            "vectors": vectors,
            "share": share,
            "transform": address_of(transform.block),
            "normaliser": int(scale[0]),
            "set_at": 0,
            "outer_at": len(SET) * len(line.sets),
            "at_spectrum": scratch.entries.get("at_spectrum", (0, 0))[0],
            "marks_at": round_up(spectra_bytes),
            "padded_rows": w.padded_rows,
            "line_pitch": pitch,
            "bundles": bundles,
            "abreast": last,
            **panels,
            **piece,
        }
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": blocks, "channels": row_tiles, "reduction": -(-w.channels // chain)},
            threads=threads,
            steps=steps,
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={
                "src": p.inputs[0],
                "dst": p.output,
                **SLOTS,
                **{name: name for name in ("columns", "results", "marks")},
            },
            ledger=ledger,
            packing=packing,
            keep=(tables, transform, module),
        )
