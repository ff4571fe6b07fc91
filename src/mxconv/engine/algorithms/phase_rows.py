"""phase_rows: deconvolutions whose stride phases are rows of the register tile (jit/kernels/phase_rows.py).

A few result channels leave a tile's rows empty, and each load of a sample then serves few sums: phases fill them.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ... import config, geometry
from ...jit.kernels import staging
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.gemm import Tile
from ...jit.kernels.phase_rows import ARGS, PIECE, ROW, STATE, Spec, emit_phase_rows
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem, Ints
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import (
    Box,
    Roles,
    addresses_of,
    book_packing,
    common_values,
    compiled_words,
    halves,
    make_tables,
    measure_box,
    roles_of,
    share_groups,
    staged_state,
    with_row_axis,
)
from .costs import ALONG_ROWS, apart_seconds, packing_seconds, traffic_seconds, vector_seconds
from .direct import interleave_of

LAYOUT = Layout((*COMMON_ARGS, *staging.SECTIONS, *ARGS))

CHAIN = 256
"""Products in one chain of additions."""
ONE_CHUNK = 1 << 40
"""The packed weight lists its products channel by channel, each over all taps, as the offsets do."""
MOST_CHANNELS = 128
"""Source channels that are staged together: rows are long where channels are many, and taps few."""
MOST_STRIDE = 16
"""Phases of the last axis that are interleaved."""
MOST_ROWS = 256
"""Result channels of a group times phases: more channels fill tiles without phases."""
TILE_ROWS = {False: (1, 2, 3, 4), True: (1, 2, 3, 4, 6, 8, 9)}
"""Rows that a tile may have, with few registers and with many (32)."""
LATENCY = 4
"""Cycles from a multiply-add to the next on the same sum."""
STAGED_BYTES = 512 << 10
"""What the staged copy of a box may take: half of a common L2 cache."""
SUMS_BYTES = 256 << 10
"""What the sums of a run may take, before they are stored."""
MOST_STAGED_BYTES = 8 << 20
"""What the staged copy of the smallest box may take."""
FAR_BYTES = 8 << 20
"""Bytes of a source of which the next channels are asked for: a smaller one is often in a common L3 cache."""
LANE_TILES = (32, 16, 12, 8, 6, 5, 4, 3, 2, 1)
"""Widths of a box that are considered, in tiles, besides all of an image's."""
ADDING, STORING, STAGING, STAGING_ROWS, BOX = 1.5, 3.0, 3.5, 8.0, 800.0
"""Cycles to add a chain's vector to its sum, to store a vector of results, to stage a vector and a row, and to begin a
box."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A deconvolution with the phases of its last two axes as rows."""

    roles: Roles
    """`rows` are result channels times phases, an axis's phases the sets of taps that the same phases have."""
    phases: tuple[int, int]
    pieces: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """For each piece, which are sets of taps of both axes: the phases of each axis that have them."""
    results: int
    """Result channels of a group."""
    extents: tuple[int, int]
    """Of the destination, on these axes."""

    @property
    def joined(self) -> Ints:
        """All axes: one staged copy serves all phases."""
        return tuple(range(len(self.roles.axes)))

    def rows_of(self, piece: int) -> int:
        return self.results * math.prod(map(len, self.pieces[piece]))

    def taps_of(self, piece: int) -> int:
        """Taps of a piece in all phases of the axes further out, on average."""
        *outer, row, lane = self.roles.axes
        taps = [len(p.taps) * len(q.taps) for p, q in itertools.product(row.phases, lane.phases)]
        all_outer = math.prod(sum(len(phase.taps) for phase in axis.phases) / len(axis.phases) for axis in outer)
        return math.ceil(taps[piece] * all_outer)

    @property
    def outer_phases(self) -> int:
        """Phases of the axes further out, whose sums are their own."""
        return self.roles.phases // len(self.pieces)


@functools.lru_cache(maxsize=64)
def rows_of(p: ConvProblem) -> Rows:
    """The phases of a data gradient without dilation on its last two axes as rows."""
    roles = with_row_axis(roles_of(p))
    axes, phases, extents = list(roles.axes), [1, 1], [1, 1]
    sets: list[list[tuple[int, ...]]] = [[(0,)], [(0,)]]
    for a in range(-min(p.rank, 2), 0):
        (kernel, stride, _, pad_lo, _), size = p.axis(a), p.in_spatial[a]
        axes[a] = geometry.phase_rows_axis(size, kernel, stride, pad_lo)
        phases[a], extents[a] = stride, size
        sets[a] = [tuple(range(n)) for n in (stride, kernel % stride)[: len(axes[a].phases)]]
    own = replace(roles, rows=roles.rows * math.prod(phases), axes=tuple(axes))
    pieces = tuple(itertools.product(sets[0], sets[1]))
    return Rows(own, (phases[0], phases[1]), pieces, roles.rows, (extents[0], extents[1]))


def tile_cycles(tile: Tile, width: int) -> float:
    """Cycles of one product for so many neighbouring vectors of a tile's rows; most loads of samples are unaligned, and
    take more than one."""
    return max(tile.mr * width / 2, (2.5 * width + tile.mr + 3) / 2, LATENCY) + 0.5


def cycles(tile: Tile, vectors: int) -> float:
    """The same for a row of any number of vectors."""
    total = 0.0
    for width in tile.widths:
        count, vectors = divmod(vectors, width)
        total += count * tile_cycles(tile, width)
    return total


def choose_tile(rows: Rows, target: Target, most: int | None = None) -> Tile:
    """The tile that takes the least time for the rows of all pieces, which each fill it up by themselves."""
    many = target.registers >= 32
    tiles = [Tile(mr, (target.registers - 1) // (mr + 1)) for mr in TILE_ROWS[many] if mr <= (most or mr)]

    def time(tile: Tile) -> tuple[float, int]:
        tiles = (-(-rows.rows_of(n) // tile.mr) * rows.taps_of(n) for n in range(len(rows.pieces)))
        return sum(tiles) * tile_cycles(tile, tile.nv) / tile.nv, -tile.mr

    return min(tiles, key=time)


@dataclass(frozen=True, slots=True)
class Cut:
    """How the grid is cut into boxes, what the largest needs, and the cycles that all of them take one thread."""

    tile: Tile
    chain: int
    block: Ints
    box: Box
    runs: int
    """Runs of all outer phases together."""
    vectors: int
    """Vectors of virtual pixels in a run."""
    cycles: float


def channel_block(rows: Rows) -> int:
    """Source channels that are staged together: it fixes the order of additions, so that a plan's cut does not."""
    channels, most = rows.roles.channels, min(MOST_CHANNELS, config.get("block_reduction") or MOST_CHANNELS)
    return -(-channels // -(-channels // most)) if channels else 1


def least_staged(p: ConvProblem, target: Target) -> int:
    """Bytes that the smallest box stages: a tile wide."""
    rows, size = rows_of(p), Numbers.of(p.dtype).computed.itemsize
    roles, lanes = rows.roles, target.lanes(size)
    width = min(roles.grid[-1], choose_tile(rows, target).nv * lanes)
    block = (*(1,) * (len(roles.grid) - 1), width)
    box = measure_box(roles, block, [axis.src_step for axis in roles.axes], lanes, rows.joined)
    return box.staged * channel_block(rows) * size


def choose_cut(p: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Cut:
    """The cut with the least estimated work, halo columns and idle threads included."""
    limits = (config.get("block_pixels"), config.get("block_channels"), config.get("block_reduction"))
    return _choose_cut(p, target, threads, thrift, *limits)


@functools.lru_cache(maxsize=64)
def _choose_cut(
    p: ConvProblem, target: Target, threads: int, thrift: int, limit: int | None, most: int | None, terms: int | None
) -> Cut:
    """The same within so many pixels, channels and terms: an estimate is asked, and then the plan."""
    rows = rows_of(p)
    roles = rows.roles
    *_, most_rows, most_lanes = grid = roles.grid
    size = Numbers.of(p.dtype).computed.itemsize
    lanes, tile, chain = target.lanes(size), choose_tile(rows, target, most), min(CHAIN, terms or CHAIN)
    together = channel_block(rows)
    counts = [(-(-rows.rows_of(n) // tile.mr), rows.taps_of(n)) for n in range(len(rows.pieces))]
    products = sum(groups * taps for groups, taps in counts) * roles.channels
    chains = sum(groups * -(-taps * together // chain) for groups, taps in counts) * tile.mr
    chains *= -(-roles.channels // together)
    widths = {min(most_lanes, n * tile.nv * lanes) for n in LANE_TILES} | {most_lanes}
    widths = {min(n, limit or n) for n in widths}
    planes = {min(n, grid[-3]) for n in (1, 2, 4, 8)} if len(grid) > 2 else {1}
    splits = [axis.src_step for axis in roles.axes]
    best: tuple[bool, float, Cut] | None = None
    for plane, row, lane in itertools.product(planes, halves(most_rows, limit), widths):
        block = (*(1,) * (len(grid) - 3), *(plane,) * (len(grid) > 2), row, lane)
        box = measure_box(roles, block, splits, lanes, rows.joined)
        runs, vectors = rows.outer_phases * math.prod(block[:-2]), -(-((row - 1) * box.pitch + lane) // lanes)
        staged, sums = box.staged * together * size, runs * (roles.rows + 1) * vectors * lanes * size
        is_large = staged > STAGED_BYTES >> thrift or sums > SUMS_BYTES >> thrift
        boxes = p.batch * p.groups * math.prod(-(-m // b) for m, b in zip(grid, block, strict=True))
        work = runs * (cycles(tile, vectors) * products + ADDING * vectors * chains)
        work += STORING * runs * row * -(-lane // lanes) * roles.rows
        work += roles.channels * (STAGING * box.staged / lanes + STAGING_ROWS * box.rows) + BOX
        # Too large a box is taken only where even the smallest is, or what is as large.
        key = is_large, (staged + sums if is_large else work * -(-boxes // threads))
        if best is None or key < best[:2]:
            best = *key, Cut(tile, chain, block, box, runs, vectors, work * boxes)
    assert best is not None
    return best[2]


def row_table(roles: Roles, rows: Rows, tile: Tile, c_row: int) -> npt.NDArray[np.int64]:
    """The rows of each piece's tiles (see ROW); sums that belong to no row are dropped in one beyond the last."""
    row_groups = -(-roles.rows // tile.mr)
    by_axis = roles.w_strides[-2:]
    tiles, lists = [], []
    for piece in rows.pieces:
        own = []
        for m, y, x in itertools.product(range(rows.results), *piece):
            weight = m * roles.w_row + y * by_axis[0] + x * by_axis[1]
            own.append({"exists": 1, "weight": weight, "sums": ((m * rows.phases[0] + y) * rows.phases[1] + x) * c_row})
        tiles.append(-(-len(own) // tile.mr))
        own += [{"exists": 0, "weight": 0, "sums": roles.rows * c_row}] * (row_groups * tile.mr - len(own))
        lists += [row[name] for row in own for name in ROW.names]
    return np.array(tiles + lists, np.int64)


def is_scattered(roles: Roles) -> bool:
    """Whether other algorithms would compute one product of a pixel, and store the results one by one in their rows."""
    return roles.most_taps == 1 and roles.dst_strides[-1] == 1 and interleave_of(roles) == 1


class PhaseRows(Plain):
    """Phases beside result channels. See the module's docstring."""

    name = "phase_rows"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction != "backward_data":
            return Verdict(False, f"direction {p.direction}, needs backward_data")
        if p.storage.kind == "complex":
            return Verdict(False, f"dtype {p.dtype}, needs real numbers")
        if not roles_of(p).pixels:
            return Verdict(False, "no results, needs some")
        if math.prod(p.stride[-2:]) == 1:
            return Verdict(False, "stride 1 on the last two axes, needs phases there")
        if any(d > 1 and k > 1 for k, d in zip(p.kernel[-2:], p.dilation[-2:], strict=True)):
            return Verdict(False, "dilation, needs none on the last two axes")
        if p.stride[-1] > MOST_STRIDE:
            return Verdict(False, f"stride {p.stride[-1]} on the last axis, interleaves up to {MOST_STRIDE}")
        if rows_of(p).roles.rows > MOST_ROWS and not is_scattered(roles_of(p)):
            return Verdict(False, f"{rows_of(p).roles.rows} channels times phases, pays up to {MOST_ROWS}")
        staged = least_staged(p, target)
        if staged > MOST_STAGED_BYTES:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        size = Numbers.of(problem.dtype).computed.itemsize
        lanes = target.lanes(size)
        cut = choose_cut(problem, target, threads)
        seconds = vector_seconds(2 * cut.cycles, lanes, machine) / threads + traffic_seconds(problem, machine, threads)
        roles = roles_of(problem)
        for name, strides in ((roles.src, roles.src_strides), (roles.dst, roles.dst_strides)):
            elements = math.prod(problem.shape_of(name))
            seconds += apart_seconds(elements, strides[-1], size, lanes, machine, stays=True) / threads
        if packs_weight:
            seconds += packing_seconds(problem, machine, threads, ALONG_ROWS)
        return machine.dispatch + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, rows = problem, rows_of(problem)
        roles, numbers = rows.roles, Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        cut = choose_cut(p, target, threads, thrift)
        tile, chain = cut.tile, cut.chain
        blocks = math.prod(-(-n // b) for n, b in zip(roles.grid, cut.block, strict=True))
        others = p.batch * blocks
        group_block, group_blocks = share_groups(p, others, 6 * threads, 64)
        run_tasks = others * group_blocks
        threads = max(1, min(threads, run_tasks))
        row_groups = -(-roles.rows // tile.mr)
        together, pieces = channel_block(rows), len(rows.pieces)
        offsets_row, c_row = max(1, together * roles.most_taps), cut.vectors * lanes
        c_run = (roles.rows + 1) * c_row

        scratch = Ledger()
        scratch.book("state", staged_state(len(roles.axes)) + 8 * len(STATE))
        for name, bytes_ in (
            ("at_rows", 8 * len(staging.ROW_LIST) * cut.box.rows),
            ("at_runs", 8 * len(staging.RUN_LIST) * cut.runs),
            ("at_pieces", 8 * len(PIECE) * roles.phases),
            ("at_offsets", 8 * offsets_row * roles.phases),
            # Storing reads whole vectors, of the row beyond the last at most.
            ("at_c", cut.runs * c_run * size),
            # Tiles read whole vectors from the last pixel's place on, and staged rows are stored as whole vectors.
            ("at_staged", (cut.box.staged * together + (tile.nv + 1) * lanes) * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles, cut.block, [axis.src_step for axis in roles.axes], rows.joined)
        table = row_table(roles, rows, tile, c_row)
        values = {
            **common_values(p, roles, row_groups),
            "dst_group": p.strides_of(roles.dst)[1] * rows.results,
            "chain": ONE_CHUNK,
            "tile_chain": chain,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "blocks": blocks,
            "run_tasks": run_tasks,
            "dst_lane": roles.dst_strides[-1],
            "c_row": c_row,
            "c_run": c_run,
            "c_outer": c_run * cut.runs // rows.outer_phases,
            "outer_phases": rows.outer_phases,
            "asks": int(math.prod(p.shape_of(roles.src)) * numbers.dtype.itemsize >= FAR_BYTES),
            "channel_block": together,
            "offsets_row": offsets_row,
            "pieces": pieces,
            "row_table": address_of(table),
            "results": rows.results,
            "row_phases": rows.phases[0],
            "dst_rows": rows.extents[0],
            "dst_columns": rows.extents[1],
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        module = kernels(emit_phase_rows, Spec(p.dtype, tile, rows.phases[1], compiled_words(p)), target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={
                "pixels": blocks,
                "channels": row_groups,
                "reduction": -(-roles.channels * roles.most_taps // chain),
            },
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=book_packing(ledger, p, roles, f"{self.name} {rows.phases}", tile.mr, ONE_CHUNK, module),
            keep=(tables, table, module),
        )
