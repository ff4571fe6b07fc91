"""fft_flat: dense filters of several axes, by Fourier transforms of whole images as lines (jit/kernels/fft_flat.py).

Rows of an image that follow each other with zeros between them are one long line, planes of rows as well, and a filter
is a filter of that line: what overlap-save does along one axis, it does with any number of them. A complex product for
every two places of the line, zeros included, takes the place of a product for every tap.

Applies: several axes with taps, several source channels a group, stride 1 if forward; floating-point numbers. Dilation
         costs no more than the zeros that it makes necessary; taps that never reach a sample are left out.
Error:   see FftFlat.error; it is relative to the largest values of a block.
"""

from __future__ import annotations

import math

import numpy as np

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import AXIS_STATE_NAMES, COMMON_ARGS, STATE_NAMES
from ...jit.kernels.fft_flat import ARGS, Spec, emit_fft_flat
from ...jit.kernels.fft_passes import make_transform
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict, kernels
from .correlation import addresses_of, common_values, compiled_words, make_tables, roles_of
from .costs import traffic_seconds, vector_seconds
from .fft_blocks import LONGEST, MOST_PANEL_BYTES, cost, cut_pieces, lay_panels, transform_cost
from .flat_line import cut_line, flat_line

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

LEAST_TAPS = 16
"""Smaller filters are hopeless."""
CHAIN = 256
"""Products in one chain of additions."""
ROW, APART = 40, 3
"""Vector operations that a row of samples or results is worth beside what a transform's cost has for its line, and a
sample or a result that is not beside the one before."""
TAP = 8
"""The same of a tap that is put in its place."""
BUSY = 1.25
"""Time of all that, relative to what so many operations would take."""


class FftFlat:
    """Overlap-save along an image's line. See the module's docstring."""

    name = "fft_flat"
    is_plain = False

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if p.storage.kind != "float":
            return Verdict(False, f"dtype {p.dtype}, needs real floating-point numbers")
        axes = sum(kernel > 1 for kernel in p.kernel)
        if axes < 2:
            return Verdict(False, f"{axes} axes with more than one tap, needs two or more")
        roles = roles_of(p)
        if not p.batch or not p.groups or not roles.rows or not roles.pixels or not math.prod(roles.src_spatial):
            return Verdict(False, "no results or no samples, needs some")
        if roles.channels < 2:
            return Verdict(False, f"{roles.channels} source channels a group, needs two or more")
        stride = max(axis.src_step for axis in roles.axes)
        if stride > 1:
            return Verdict(False, f"stride {stride}, needs 1")
        if roles.most_taps < LEAST_TAPS:
            return Verdict(False, f"{roles.most_taps} taps, pays from {LEAST_TAPS} on")
        line = flat_line(roles)
        if line.taps > LONGEST:
            return Verdict(False, f"{line.taps} places from the first tap to the last, needs at most {LONGEST}")
        blocks = cut_line(p, target)
        panels = 2 * blocks.filters * blocks.half * Numbers.of(p.dtype).computed.itemsize
        if panels > MOST_PANEL_BYTES:
            return Verdict(False, f"spectra of the weight take {panels} bytes, needs at most {MOST_PANEL_BYTES}")
        return ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        return 4e-6

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, roles, blocks = problem, roles_of(problem), cut_line(problem, target)
        line = flat_line(roles)
        size = Numbers.of(p.dtype).computed.itemsize
        lanes = target.lanes(size)
        operations = cost(blocks, lanes, size)
        between = line.pitches[-2]
        images = blocks.families * blocks.columns
        for name, extent, lines, step in (
            (roles.src, roles.src_spatial[-1], roles.channels, 1),
            (roles.dst, roles.grid[-1], blocks.rows, roles.axes[-1].dst_step),
        ):
            rows = min(2 * blocks.half, line.samples) / between * lines * images
            operations += ROW * rows
            if p.strides_of(name)[-1] * step != 1:
                operations += APART * rows * extent
        spectra = 2 * blocks.filters * blocks.half * size
        packs_weight = packs_weight or spectra > config.get("pack_cache_mb") << 20  # never kept
        if packs_weight:
            filters = p.groups * roles.rows * roles.channels
            operations += blocks.filters * transform_cost(blocks.half, lanes, size) + filters * roles.all_taps * TAP
        seconds = BUSY * vector_seconds(operations, lanes, machine) / threads + traffic_seconds(p, machine, threads)
        if packs_weight:
            seconds += 4 * spectra / machine.memory_bytes
        return 4 * machine.dispatch + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles, blocks = problem, roles_of(problem), cut_line(problem, target)
        line, tile = flat_line(roles), blocks.tile
        assert tile is not None
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        element = "float32" if size == 4 else "float64"
        lanes = target.lanes(size)
        transform = make_transform(blocks.half, lanes, element, 8 if target.registers >= 32 else 4)
        vectors, pair = blocks.half // lanes, 2 * lanes
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        module = kernels(emit_fft_flat, Spec(p.dtype, tile, compiled_words(p)), target)
        axes = make_tables(roles)
        pitches = np.array([n for row in zip(line.pitches, line.folds, strict=True) for n in row], np.int64)
        tables = np.concatenate([axes, pitches])

        scratch = Ledger()
        scratch.book("state", 8 * (len(STATE_NAMES) + p.rank * len(AXIS_STATE_NAMES)))
        scratch.book("at_tap", 8)
        scratch.book("at_work", vectors * pair * size)
        piece = cut_pieces(blocks, lanes, size, 1, thrift)
        columns, families = piece["piece_columns"], piece["piece_families"]
        threads = max(1, min(threads, piece["transform_tasks"]))
        ledger = Ledger()
        for name in ("columns", "results"):
            ledger.book(name, families * vectors * piece[f"{name}_vector"] * size)
        ledger.book("marks", 8 * families * columns * blocks.channels)
        ledger.book("scratch", scratch.total * threads)
        panels = lay_panels(blocks, lanes)
        spectra_bytes = round_up(blocks.families * panels["w_family"] * size)
        ledger.book(PANELS, spectra_bytes + 8 * blocks.filters)
        pieces = piece["column_pieces"] * -(-blocks.families // families)
        names = {"begin": 1, **{name: piece[f"{name}_tasks"] for name in ("transform", "mix", "restore")}}
        steps = tuple(Step(name, job_at(module.address(name)), tasks) for name, tasks in names.items()) * pieces
        taps = [[(phase.taps.indices, phase.taps.offsets) for phase in axis.phases] for axis in roles.axes]
        key = (
            self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, blocks.half, tile, taps,
            line.pitches,
        )  # fmt: skip
        pack = Step("pack_weight", job_at(module.address("pack_weight")), blocks.filters)
        scale = np.array([1 / blocks.half, 0][: 8 // size], element).view(np.int64)
        values = {
            **common_values(p, roles, blocks.padded_rows // tile.mr),
            "pack_tasks": blocks.filters,
            "chain": chain,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            "pitches_at": len(axes),
            "first_tap": line.first,
            "line_results": line.results,
            "line_rows": -(-max(line.samples, line.results) // line.pitches[-2]),
            "all_rows": blocks.rows,
            "units": blocks.units,
            "families": blocks.families,
            "half": blocks.half,
            "outputs": blocks.outputs,
            "blocks": blocks.blocks,
            "vectors": vectors,
            "transform": address_of(transform.block),
            "normaliser": int(scale[0]),
            "marks_at": spectra_bytes,
            "padded_rows": blocks.padded_rows,
            **panels,
            **piece,
            **scratch.places(LAYOUT.names),
        }
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={
                "pixels": blocks.families * blocks.columns,
                "channels": blocks.padded_rows // tile.mr,
                "reduction": -(-blocks.channels // chain),
            },
            threads=threads,
            steps=steps,
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses={**addresses_of(roles, LAYOUT), **{name: name for name in ("columns", "results", "marks")}},
            ledger=ledger,
            packing=Packing(pack, ledger.entries[PANELS][1], repr(key)),
            keep=(tables, transform, module),
        )
