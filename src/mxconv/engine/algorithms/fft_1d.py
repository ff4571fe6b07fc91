"""fft_1d: long filters along one axis, by Fourier transforms of overlapping blocks (jit/kernels/fft_1d.py).

The choice from about a hundred taps on, where all other axes have a kernel of extent 1. What it costs hardly depends
on the filter's length: a few operations a sample and factor of two of the block; with several source channels a group,
the sums over them, a complex product for every two samples of a block.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ... import config
from ...jit import compiler
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.fft_1d import ARGS, OUTER, SET, Spec, emit_fft_1d
from ...jit.kernels.fft_passes import make_transform
from ...jit.kernels.gemm import Tile
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem, Ints
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict
from .correlation import SLOTS, compiled_words

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

LEAST_TAPS = 16
"""Filters with fewer taps are hopeless."""
LONGEST = 1 << 22
"""Complex values of the longest transform."""
MOST_PANEL_BYTES = 1 << 31
"""Spectra of the weight that a plan may ask for."""
PIECE_BYTES = 32 << 20
"""What the spectra and the sums of a piece may take: weights are read once for all of its columns."""
NEAR_BYTES, FAR_BYTES = 1 << 20, 16 << 20
"""What a core keeps near, and what all keep in a common cache: more than that comes from memory."""
CHAIN = 256
"""Products in one chain of additions."""
TASK = 4096
"""Complex values that a task transforms at least."""


@dataclass(frozen=True, slots=True)
class Line:
    """The long axis of a problem, as lines of neighbours `tap_step` apart; see SET and OUTER of the kernel."""

    axis: int
    sets: tuple[Ints, ...]
    tap_step: int
    dst_step: int
    outer: tuple[Ints, ...]

    @property
    def taps(self) -> int:
        """The taps of the longest filter of a set."""
        return max(row[SET.index["taps"]] for row in self.sets)

    @property
    def results(self) -> int:
        """The results of the longest line."""
        return max(-(-row[SET.index["count"]] // self.tap_step) for row in self.sets)

    @property
    def positions(self) -> int:
        return math.prod(row[OUTER.index["count"]] for row in self.outer)


def line_of(p: ConvProblem, axis: int) -> Line:
    """The lines of a problem along an axis; forward, its stride must be 1.

    A data gradient's position r + s*g sees the taps t with t*d = r + pad modulo s, s / gcd(s, d) apart, and from one to
    the one before the source advances by d / gcd(s, d): see geometry.backward_data_axis.
    """
    kernel, stride, dilation, pad, _ = p.axis(axis)
    if p.direction == "forward":
        sets: tuple[Ints, ...] = ((-pad, p.out_spatial[axis], 0, 1, kernel),)
        tap_step, dst_step = dilation, 1
    else:
        common = math.gcd(stride, dilation)
        tap_step, dst_step, apart = dilation // common, stride, stride // common
        rows = []
        for r in range(min(stride, p.in_spatial[axis])):
            last = next((t for t in range(kernel)[: -apart - 1 : -1] if (r + pad - t * dilation) % stride == 0), None)
            count = -(-(p.in_spatial[axis] - r) // stride)
            if last is None:
                rows.append((0, count, 0, 0, 0))
            else:
                rows.append(((r + pad - last * dilation) // stride, count, last, -apart, last // apart + 1))
        sets = tuple(rows)
    src, dst = p.strides_of(p.inputs[0])[2:], p.strides_of(p.output)[2:]
    outer = []
    for a in range(p.rank):
        if a != axis:
            _, stride, _, pad, _ = p.axis(a)
            if p.direction == "forward":
                own = (p.out_spatial[a], stride, -pad, 1, p.in_spatial[a])
            else:
                own = (p.in_spatial[a], 1, pad, stride, p.out_spatial[a])
            outer.append((*own, src[a], dst[a]))
    return Line(axis, sets, tap_step, dst_step, tuple(outer))


@dataclass(frozen=True, slots=True)
class Work:
    """How a problem is cut: everything that its bits depend on, and counts."""

    line: Line
    rows: int
    channels: int
    half: int
    """Complex values of a block, which is twice as many samples."""
    outputs: int
    """Results of a block."""
    blocks: int
    """Blocks of a line."""
    families: int
    units: int
    """Lines of a family."""
    tile: Tile | None

    @property
    def columns(self) -> int:
        """Blocks of all lines of a family."""
        return self.units * self.blocks

    @property
    def padded_rows(self) -> int:
        return self.rows if self.tile is None else -(-self.rows // self.tile.mr) * self.tile.mr

    @property
    def transforms(self) -> int:
        return self.families * self.columns * (self.rows + self.channels)

    @property
    def filters(self) -> int:
        return self.families * self.padded_rows * self.channels


def transform_cost(half: int, lanes: int, size: int) -> float:
    """The vector operations that a transform there or back is worth, with its line's way to or from scratch."""
    bytes_ = 2 * half * size
    slower = 1.0 if bytes_ <= 32 << 10 else 1.2 if bytes_ <= 128 << 10 else 1.3 if bytes_ <= 512 << 10 else 1.6
    return half / lanes * (4.0 * math.log2(half) + 24) * slower


def cost(w: Work, lanes: int, size: int) -> float:
    """The vector operations that a run is worth, but for spectra of the weight that have to be made.

    Fitted on one core of a Zen 5 with AVX-512; bits depend on it, so that it must not depend on the machine."""
    total = w.transforms * transform_cost(w.half, lanes, size)
    vectors = w.half / lanes
    pair = 2 * lanes * size
    if w.tile is not None:
        total += w.families * w.columns * w.padded_rows * w.channels * vectors * 4.4
        if w.columns * (w.padded_rows + w.channels) * vectors * pair > NEAR_BYTES:
            total += w.transforms * vectors * 80
    panels = w.filters * vectors * pair
    return total + w.filters * vectors * (36 if panels > FAR_BYTES else 8 if panels > NEAR_BYTES else 1)


def choose_work(p: ConvProblem, target: Target) -> Work:
    """The cut with the least cost: blocks of two to eight times the filter's length, mostly."""
    line = line_of(p, long_axes(p)[0])
    own_in, own_out = p.in_channels // p.groups, p.out_channels // p.groups
    rows, channels = (own_out, own_in) if p.direction == "forward" else (own_in, own_out)
    size = Numbers.of(p.dtype).computed.itemsize
    lanes = target.lanes(size)
    tile = None if channels == 1 else Tile(4, 2) if target.registers >= 32 else Tile(2, 2)
    families, units = p.groups * len(line.sets), p.batch * line.positions * line.tap_step
    best: tuple[float, Work] | None = None
    half = lanes * lanes
    while half <= LONGEST:
        outputs = min(2 * half - line.taps + 1, line.results, config.get("block_pixels") or line.results)
        if outputs > 0:
            blocks = -(-line.results // outputs)
            work = Work(line, rows, channels, half, outputs, blocks, families, units, tile)
            estimate = cost(work, lanes, size)
            if best is None or estimate < best[0]:
                best = estimate, work
            if blocks == 1:
                break
        half *= 2
    assert best is not None
    return best[1]


def long_axes(p: ConvProblem) -> list[int]:
    """The axes with more than one tap."""
    return [a for a in range(p.rank) if p.kernel[a] > 1]


@functools.cache
def _kernels(spec: Spec, target: Target) -> compiler.CompiledModule:
    return compiler.compile_module(emit_fft_1d(spec, target), target, f"{spec.name}_{target.name}")


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
        if taps < LEAST_TAPS:
            return Verdict(False, f"{taps} taps, pays from {LEAST_TAPS} on")
        if taps > LONGEST:
            return Verdict(False, f"{taps} taps, needs at most {LONGEST}")
        work = choose_work(p, target)
        panels = 2 * work.filters * work.half * Numbers.of(p.dtype).computed.itemsize
        if panels > MOST_PANEL_BYTES:
            return Verdict(False, f"spectra of the weight take {panels} bytes, needs at most {MOST_PANEL_BYTES}")
        return ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        return 4e-6

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        size = Numbers.of(problem.dtype).computed.itemsize
        lanes = target.lanes(size)
        work = choose_work(problem, target)
        operations = cost(work, lanes, size)
        if packs_weight:
            operations += work.filters * transform_cost(work.half, lanes, size)
        return machine.dispatch + operations * 2 * lanes / (machine.flops * threads)

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
        module = _kernels(Spec(p.dtype, w.tile, compiled_words(p)), target)

        tables = np.array([n for row in (*line.sets, *line.outer) for n in row], np.int64)
        mr = 1 if w.tile is None else w.tile.mr
        row_tiles = w.padded_rows // mr
        if w.tile is None:
            panels = {"w_family": w.rows * vectors * pair, "w_tile": vectors * pair, "w_vector": pair}
        else:
            of_vector = (w.channels * mr + 1) * pair
            panels = {
                "w_family": row_tiles * vectors * of_vector,
                "w_tile": vectors * of_vector,
                "w_vector": of_vector,
                "w_column": mr * pair,
                "w_place": pair,
            }
        spectra_bytes = w.families * panels["w_family"] * size
        pack_tasks = w.filters

        ledger, scratch = Ledger(), Ledger()
        scratch.book("work", vectors * pair * size)
        if w.tile is None and w.rows > 1:
            scratch.book("at_spectrum", vectors * pair * size)
        share = max(1, TASK // w.half)
        blocks = w.families * w.columns
        run_tasks = -(-blocks // share)
        piece: dict[str, int] = {}
        steps: tuple[Step, ...]
        if w.tile is None:
            threads = max(1, min(threads, max(run_tasks, pack_tasks)))
            steps = (Step("run", job_at(module.address("run")), run_tasks),)
        else:
            piece = cut_pieces(w, vectors, vectors * pair * size, thrift)
            columns, families = piece["piece_columns"], piece["piece_families"]
            threads = max(1, min(threads, piece["transform_tasks"]))
            # Vectors of one line that are a power of two apart would meet in a few sets of the caches.
            for name, lines in (("columns", w.channels), ("results", w.padded_rows)):
                piece[f"{name}_vector"] = (columns * lines + 1) * pair
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


def cut_pieces(w: Work, vectors: int, line_bytes: int, thrift: int) -> dict[str, int]:
    """The slots that say how columns are cut into pieces whose spectra and sums fit in PIECE_BYTES."""
    assert w.tile is not None
    step = w.tile.nv
    most = PIECE_BYTES // (line_bytes * (w.channels + w.padded_rows)) >> thrift
    most = max(step, min(most, config.get("block_channels") or most))
    columns = -(-min(w.columns, most) // step) * step
    pieces = -(-w.columns // columns)
    columns = -(-w.columns // (pieces * step)) * step  # all about the same
    families = max(1, min(w.families, most // columns)) if pieces == 1 else 1
    return {
        "piece": -1,
        "piece_families": families,
        "piece_columns": columns,
        "column_pieces": pieces,
        "transform_tasks": families * columns * w.channels,
        "mix_tasks": families * vectors,
        "restore_tasks": families * columns * w.rows,
    }
