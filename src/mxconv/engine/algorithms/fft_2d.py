"""fft_2d: depthwise convolution by two-dimensional Fourier transforms (jit/kernels/fft_2d.py).

    y = F^-1( F(x) * F(w) )      per tile and channel, for kernels from about 7x7 up

Tiles of rows x columns samples overlap by the kernel less one (overlap-save): of the product, which wraps around, the
results that no wrapped sample reaches are kept. An axis may be a single tile whatever its pads, if it is long enough:
where the first result looks at position -p of a tile of n samples it finds sample n - p, and that is a zero as well.

Applies:  one source channel a group; stride 1, or the phases of a strided backward_data; dilation 1. Only the last two
          axes may have a kernel; the others are independent planes.
Cost:     per tile of n x n samples about 10 * n^2 * log2(n) operations, whatever the kernel's size.
Source:   Mathieu, Henaff & LeCun, "Fast Training of Convolutional Networks through FFTs", 2013, for the idea; rows are
          real-to-complex by polynomials modulo t^n + 1 (jit/fft.py), not by symmetry.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import config, geometry
from ...jit import compiler
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import AXIS_STATE_NAMES, COMMON_ARGS, STATE_NAMES
from ...jit.kernels.fft_2d import Spec, emit_fft_2d
from ...jit.kernels.fft_lines import Lines, emit_lines, split
from ...jit.kernels.fft_tiles import ARGS, LANE, STATE
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import PANELS, Packing, Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Verdict, kernels
from .correlation import Roles, addresses_of, common_values, compiled_words, make_tables, roles_of
from .costs import traffic_seconds, vector_seconds

LAYOUT = Layout((*COMMON_ARGS, *ARGS))
SIZES = (16, 24, 32, 36, 48, 60, 64, 72, 96, 128, 192, 256)
"""Extents that tiles may have: products of two small radices, and half of them as well."""
LEAST_TAPS = 8
"""Shorter sums never pay."""
PASS_CYCLES = {2: 4.0, 3: 3.4, 4: 2.9, 5: 3.7, 6: 4.1, 8: 3.5, 9: 4.9, 10: 4.5, 12: 5.2, 16: 6.5}
"""Cycles of a codelet for each of its values, by radix; of a Zen 5 with AVX-512, as all of these."""
STAGING, STORING = 6.0, 3.5
"""Cycles to put a vector of samples in its place in a row, and to take a vector of results out."""
ROWS_AHEAD, AHEAD_FROM = 4, 12 << 20
"""Rows that are asked for ahead of time where data take so many bytes: those of 16 tiles are too many streams for the
hardware (a blur of 1080p takes 5 ms instead of 10)."""
SPECTRA_BYTES = 512 << 10
"""Spectra of all channels take up to so many bytes where neighbouring tasks use different ones."""
NEAR, FAR = (1, 2, 3, 4), 12
"""Distances from one column to the next at which whole vectors are read and written, which takes that many times as
long; what it takes at other distances."""
LANE_CYCLES = 190.0
"""Cycles to find the tile of one lane."""
BUSY = 1.1
"""Time of all that, relative to what these cycles would take."""
CALL = 6e-6
"""Seconds to begin a call."""
IN_THE_WAY, AT_LEAST = 0.3, 0.5
"""What remains of the time to bring arrays through the caches where rows are asked for ahead: beside the arithmetic,
and where there is nothing but waiting."""
PACKING = 28.0
"""Cycles to put a vector of weights in its place."""
TILE_L2, FROM_L3 = 768 << 10, 4.0
"""Bytes of a tile that stay in L2; cycles to move a complex vector beyond it."""
TILE_BYTES = 8 << 20
"""A tile of all lanes takes no more, except that it must hold the kernel; thrift halves it."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How an axis is cut into tiles."""

    size: int
    """Samples of a tile."""
    results: int
    """Results of a tile."""
    tiles: int
    is_one: bool
    """Whether a single tile wraps around the whole axis."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """How an image is cut into tiles."""

    rows: Tiling
    columns: Tiling

    @property
    def count(self) -> int:
        return self.rows.tiles * self.columns.tiles


def tilings(axis: geometry.AxisPlan, extent: int) -> Iterator[Tiling]:
    """The ways to cut an axis, by size of a tile."""
    taps = max(len(phase.taps) for phase in axis.phases)
    wrap = 0
    for phase in axis.phases:
        low, high = phase.taps[0].offset, phase.taps[-1].offset
        wrap = max(wrap, extent - min(low, 0), phase.count + max(high, 0))
    for size in SIZES:
        if size >= wrap:
            yield Tiling(size, axis.positions, 1, True)
        elif size >= taps:
            results = min(size - taps + 1, axis.positions)
            yield Tiling(size, results, -(-axis.positions // results), False)


@functools.cache
def line_cycles(n: int) -> float:
    """Cycles to transform a line of n complex vectors there and back."""
    return 2 * n * sum(PASS_CYCLES[radix] for radix in split(n))


def tile_cycles(
    by_row: Tiling, by_column: Tiling, roles: Roles, lanes: int, itemsize: int, src_step: int = 1, dst_step: int = 1
) -> float:
    """Cycles that one vector of tiles takes on one core, if columns lie so far apart."""
    height, width = by_row.size, by_column.size
    given, wanted = min(height, roles.src_spatial[-2]), by_row.results
    rows = (given + wanted) / 2 * line_cycles(width // 2) + (height - given) * width
    columns = width / 2 * line_cycles(height)
    slow, slower = src_step if src_step in NEAR else FAR, dst_step if dst_step in NEAR else FAR
    moved = slow * STAGING * given * min(width, roles.src_spatial[-1])
    moved += slower * STORING * wanted * by_column.results
    # A tile that does not stay in L2 is written, read and written, and read again.
    values = height * width / 2
    beyond = max(0.0, 1 - TILE_L2 / (2 * values * lanes * itemsize))
    return LANE_CYCLES * lanes + rows + columns + moved + 4 * FROM_L3 * values * beyond


def packing_cycles(tiles: Tiles, roles: Roles, lanes: int) -> float:
    """Cycles to make the spectra of one vector of kernels."""
    height, width = tiles.rows.size, tiles.columns.size
    taps = max(len(phase.taps) for phase in roles.axes[-2].phases)
    lines = min(taps, height) * line_cycles(width // 2) + width / 2 * line_cycles(height)
    return LANE_CYCLES / 2 * lanes + lines / 2 + height * width + PACKING * roles.most_taps


def choose_tiles(roles: Roles, lanes: int, itemsize: int, thrift: int = 0) -> Tiles:
    """The tiles that are estimated to take the least time; not by threads or batch, since results depend on them."""
    return _choose_tiles(roles, lanes, itemsize, TILE_BYTES >> thrift, config.get("block_pixels"))


@functools.lru_cache(maxsize=64)
def _choose_tiles(roles: Roles, lanes: int, itemsize: int, most_bytes: int, limit: int | None) -> Tiles:
    """The same within so many bytes and results of a tile: an estimate asks, and then the plan."""
    both = [list(tilings(axis, extent)) for axis, extent in zip(roles.axes[-2:], roles.src_spatial[-2:], strict=True)]
    found = list(itertools.product(*both))
    small = [
        (rows, columns)
        for rows, columns in found
        if rows.size * columns.size * lanes * itemsize <= most_bytes
        and (limit is None or rows.results * columns.results <= limit)
    ]
    if not small:
        least = min(rows.size * columns.size for rows, columns in found)
        small = [(rows, columns) for rows, columns in found if rows.size * columns.size == least]
    cycles = [
        rows.tiles * columns.tiles * tile_cycles(rows, columns, roles, lanes, itemsize) for rows, columns in small
    ]
    return Tiles(*small[cycles.index(min(cycles))])


def count_positions(p: ConvProblem, roles: Roles, tiles: Tiles) -> int:
    """Tiles of one channel, over all samples and planes."""
    return p.batch * math.prod(axis.positions for axis in roles.axes[:-2]) * tiles.count


def column_steps(p: ConvProblem, roles: Roles) -> tuple[int, int]:
    """Elements from one column of a tile to the next, in the source and in the destination."""
    return p.strides_of(roles.src)[-1], p.strides_of(roles.dst)[-1] * roles.axes[-1].dst_step


def vectors_by_tile(roles: Roles, p: ConvProblem, lanes: int, positions: int) -> bool:
    """Whether lanes are neighbouring tiles of a channel rather than neighbouring channels: whichever fills them."""
    channels = p.groups * roles.rows
    return channels * -(-positions // lanes) < -(-channels // lanes) * positions


@functools.cache
def _lines(lines: Lines, target: Target) -> tuple[compiler.CompiledModule, npt.NDArray[np.floating]]:
    """The transforms of one length and the table that they read."""
    name = f"{lines.name}_{target.name}"
    return compiler.compile_module(emit_lines(lines, target), target, name), np.ascontiguousarray(lines.table())


class Fft2d:
    """Spectra of tiles times spectra of kernels. See the module's docstring."""

    name = "fft_2d"
    is_plain = False

    def error(self, problem: ConvProblem) -> float:
        return 4e-6

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles = roles_of(problem)
        size = Numbers.of(problem.dtype).computed.itemsize
        lanes = target.lanes(size)
        tiles = choose_tiles(roles, lanes, size)
        positions = count_positions(problem, roles, tiles)
        channels = problem.groups * roles.rows
        vectors = -(-channels // lanes)
        tasks = channels * -(-positions // lanes)
        steps = column_steps(problem, roles)
        if not vectors_by_tile(roles, problem, lanes, positions):
            tasks = vectors * positions
            are_beside = (problem.strides_of(name)[1] == 1 for name in (roles.src, roles.dst))
            beside_src, beside_dst = are_beside
            steps = (1 if beside_src else steps[0], 1 if beside_dst else steps[1])
        cycles = tile_cycles(tiles.rows, tiles.columns, roles, lanes, size, *steps)
        # The last of a thread's tasks may be one that the others do not have.
        work = cycles * -(-tasks * roles.phases // threads)
        if packs_weight:
            work += packing_cycles(tiles, roles, lanes) * -(-vectors * roles.phases // threads)
        traffic = traffic_seconds(problem, machine, threads)
        busy = BUSY * vector_seconds(2 * work, lanes, machine)
        return machine.dispatch + CALL + max(busy + IN_THE_WAY * traffic, AT_LEAST * traffic)

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if p.storage.kind != "float":
            return Verdict(False, f"dtype {p.dtype}, needs floating point")
        if p.rank < 2:
            return Verdict(False, "1 axis, needs 2 or more")
        roles = roles_of(p)
        if not p.batch or not roles.pixels or not roles.rows or not p.groups:
            return Verdict(False, "no results, needs some")
        if roles.channels != 1:
            return Verdict(False, f"{roles.channels} source channels a group, needs 1")
        for a in range(p.rank):
            kernel, stride, dilation = p.kernel[a], p.stride[a], p.dilation[a]
            if a < p.rank - 2 and (kernel > 1 or stride > 1):
                return Verdict(False, f"kernel {kernel} and stride {stride} on axis {a}, needs 1 but on the last two")
            if kernel > 1 and dilation > 1:
                return Verdict(False, f"dilation {dilation}, needs 1")
            if roles.axes[a].src_step > 1:
                return Verdict(False, f"stride {stride}, needs 1")
            if not all(phase.taps for phase in roles.axes[a].phases):
                return Verdict(False, f"stride {stride} of kernel {kernel}, needs a tap in each phase")
        if roles.most_taps < LEAST_TAPS:
            return Verdict(False, f"sums of {roles.most_taps} products, pays from {LEAST_TAPS} on")
        for axis, extent in zip(roles.axes[-2:], roles.src_spatial[-2:], strict=True):
            if next(tilings(axis, extent), None) is None:
                return Verdict(False, f"tiles of {SIZES[-1]} samples do not hold the kernel")
        return ACCEPTED

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, roles_of(problem)
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        tiles = choose_tiles(roles, lanes, size, thrift)
        height, width = tiles.rows.size, tiles.columns.size
        positions = count_positions(p, roles, tiles)
        by_tile = vectors_by_tile(roles, p, lanes, positions)
        channels = p.groups * roles.rows
        vectors = -(-channels // lanes)
        channel_tasks, position_tasks = (channels, -(-positions // lanes)) if by_tile else (vectors, positions)
        run_tasks = channel_tasks * position_tasks * roles.phases
        threads = max(1, min(threads, run_tasks))
        pitch = (width + 2) * lanes
        panel = (width * height + 1) * (1 if by_tile else lanes)
        panels = (channels if by_tile else vectors) * roles.phases * panel * size
        # Channels that lie side by side are read and written while their lines are in cache, spectra if they fit there.
        channels_inner = by_tile and panels <= SPECTRA_BYTES
        src, dst = p.strides_of(roles.src), p.strides_of(roles.dst)
        data = p.storage.numpy.itemsize * (math.prod(p.x_shape) + math.prod(p.y_shape))

        scratch = Ledger()
        scratch.book("state", 8 * (len(STATE_NAMES) + len(STATE) + p.rank * len(AXIS_STATE_NAMES)))
        whole = -(-width // lanes) * lanes
        for name, bytes_ in (
            ("at_lanes", 8 * len(LANE) * lanes),
            ("at_limits", 2 * 4 * lanes),
            ("at_largest", size * lanes),
            ("at_row", whole * lanes * size),
            ("at_work", 2 * height * lanes * size),
            ("at_spectrum", 2 * height * lanes * size if by_tile else 0),
            ("at_tile", height * pitch * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)
        ledger.book(PANELS, panels)

        src_step, dst_step = (step if step in NEAR else 1 for step in column_steps(p, roles))
        module = kernels(emit_fft_2d, Spec(p.dtype, src_step, dst_step, compiled_words(p)), target)
        rows, row_table = _lines(Lines(numbers.computed, width, "rows"), target)
        kind = "shared" if by_tile else "columns"
        columns, column_table = _lines(Lines(numbers.computed, height, kind), target)
        blocks = (*(1,) * (p.rank - 2), tiles.rows.results, tiles.columns.results)
        tables = make_tables(roles, blocks)
        values = {
            **common_values(p, roles, vectors),
            "pack_tasks": vectors * roles.phases,
            "run_tasks": run_tasks,
            "forward": rows.address("forward"),
            "inverse": rows.address("inverse"),
            "convolve": columns.address("convolve"),
            "spectrum": columns.address("spectrum"),
            "row_table": address_of(row_table),
            "column_table": address_of(column_table),
            "tile_rows": height,
            "tile_columns": width,
            "pitch": pitch,
            "one_row_tile": int(tiles.rows.is_one),
            "one_column_tile": int(tiles.columns.is_one),
            "positions": positions,
            "inner": channel_tasks if channels_inner else position_tasks,
            "channels_inner": int(channels_inner),
            "channel_step": 1 if by_tile else lanes,
            "position_step": lanes if by_tile else 1,
            "channel_lane": int(not by_tile),
            "position_lane": int(by_tile),
            "all_channels": channels,
            "panel": panel,
            "rows_ahead": ROWS_AHEAD if data >= AHEAD_FROM else 0,
            "src_beside": int(not by_tile and src[1] == 1 and roles.rows == 1),
            "dst_beside": int(not by_tile and dst[1] == 1),
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        taps = [[(phase.taps[0].offset, phase.taps.indices) for phase in axis.phases] for axis in roles.axes]
        key = (self.name, target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, tiles, by_tile, taps)
        pack = Step("pack_weight", job_at(module.address("pack_weight")), vectors * roles.phases)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": tiles.count, "channels": channels if by_tile else vectors},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=Packing(pack, panels, repr(key)),
            keep=(tables, row_table, column_table, module, rows, columns),
        )
