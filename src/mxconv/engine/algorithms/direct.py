"""direct: on a padded, phase-split copy of a box of the source (jit/kernels/direct.py).

No value is packed once per tap as in implicit_gemm, so it is the choice where few result channels share the packing:
grouped and depthwise convolutions, thin layers, and large kernels.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

from ... import config
from ...jit.kernels import staging
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.direct import ARGS, LANE_PHASE, RowTile, Spec, emit_direct
from ...jit.kernels.gemm import TILES, WIDE_TILES, Tile, tile_cycles
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem, Ints
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import (
    Box,
    Roles,
    addresses_of,
    book_packing,
    common_values,
    compiled_words,
    halo,
    halves,
    make_tables,
    measure_box,
    reach,
    roles_of,
    share_groups,
    staged_state,
    with_row_axis,
)
from .costs import ALONG_ROWS, BUSY, apart_seconds, packing_seconds, traffic_seconds, vector_seconds

LAYOUT = Layout((*COMMON_ARGS, *staging.SECTIONS, *ARGS))

CHAIN = 256
"""Products in one chain of additions."""
ONE_CHUNK = 1 << 40
"""The packed weight lists its products tap by tap, each over all channels, as the offsets do."""
FEW_ROWS = 16
"""Up to so many result channels in a group packing never pays: implicit_gemm packs each value once a tap."""
PACKING = 8.0
"""What implicit_gemm spends on packing, as multiply-adds of one vector for each value and tap."""
INTERLEAVED = (2, 4, 8)
"""Strides of a deconvolution whose phases are stored interleaved."""
STAGED_BYTES = 512 << 10
"""What the staged copy of a box may take: half of a common L2 cache."""
ROW_BLOCKS = (1, 2, 3, 4, 6, 8)
"""Blocks of result channels that are considered, where boxes are fewer than threads would like."""
SUMS_BYTES = 512 << 10
"""What the sums of a run may take, before they are stored."""
MOST_STAGED_BYTES = 8 << 20
"""What the staged copy of the smallest box may take: far strides and dilations are left to implicit_gemm."""
LANE_BLOCK = 1024
"""Most grid positions of a box on the lane axis."""
STAGING, STAGING_ROWS, STORING = 9.0, 9.0, 6.0
"""Estimate: to stage a vector and a row, and half of storing a vector, as multiply-adds of a vector."""
ROW_TILE, SINGLE_ROW = (1.35, 9.5, 200.0), (3.2, 0.0, 1600.0)
"""Estimate, of a row tile and of a plain tile with a single row: slowness, storing, and what each box costs."""
ROW_START = 65.0
"""Cycles to begin the rows of a tile that is finished in registers."""
DETOUR = 12.0
"""What sums cost that stand in scratch before they are stored, as products of that vector."""


def choose_row_tile(roles: Roles, target: Target, lanes: int, block: Ints) -> tuple[Tile, RowTile] | None:
    """The tile of several grid rows for a depthwise problem whose taps lie densely on the row axis, if it is one.

    Every phase must have as many taps there, each a grid row further than the one before; no other axis may have a
    phase without taps. Whether it is one does not depend on the cut, which depends on the threads: the row tile adds
    up in another order than the plain one, but in the same order for any number of grid rows.
    """
    if roles.rows != 1 or roles.channels != 1 or any(not phase.taps for axis in roles.axes for phase in axis.phases):
        return None
    axis = roles.axes[-2]
    counts = {len(phase.taps) for phase in axis.phases}
    taps = counts.pop() if len(counts) == 1 else 0
    dense = all(phase.taps.offsets.step == axis.src_step for phase in axis.phases)
    # The weights of a chunk of taps stay in registers beside the sums; more rows than image rows are waste.
    many = target.registers >= 32
    most = min(7 if many else 4, axis.positions)
    if not dense or taps < 2 or most < 2:
        return None
    chunks = -(-taps // (11 if many else 6))
    sizes = tuple(len(range(i, taps, chunks)) for i in range(chunks))
    grid_rows = min(most, block[-2])
    wide = target.registers - sizes[0] - 2 >= 2 * grid_rows and -(-block[-1] // lanes) % 2 == 0
    return Tile(1, 2 if wide else 1), RowTile(grid_rows, sizes)


@functools.lru_cache(maxsize=64)
def interleave_of(roles: Roles) -> int:
    """How many phases of the lane axis a task computes together: all of a stride of 2, 4 or 8 whose results lie side
    by side, so that whole rows are stored; else 1."""
    lane = roles.axes[-1]
    together = lane.dst_step in INTERLEAVED and len(lane.phases) == lane.dst_step and roles.dst_strides[-1] == 1
    return lane.dst_step if together else 1


def joined_axes(roles: Roles) -> tuple[int, ...]:
    """The axes on which one staged copy serves all phases: the lane axis where its phases are interleaved."""
    return (len(roles.axes) - 1,) if interleave_of(roles) > 1 else ()


@functools.lru_cache(maxsize=64)
def is_one_row(roles: Roles) -> bool:
    """Whether the rows of a box are one, staged without halo columns and stored one right after the other."""
    row, lane = roles.axes[-2:]
    beside = roles.dst_strides[-2] * row.dst_step == roles.dst_strides[-1] * lane.dst_step * lane.positions
    return beside and halo(roles) < lane.src_step


def rows_of_box(roles: Roles, block: Ints, lanes: int) -> tuple[int, int]:
    """How many rows of a box are finished one by one, and the vectors of pixels in one."""
    rows, columns = block[-2:]
    return (1, -(-rows * columns // lanes)) if is_one_row(roles) else (rows, -(-columns // lanes))


def vectors_read(roles: Roles, products: int, lanes: int) -> int:
    """The vectors that so many products read, of those in the staged copy that share none: neighbouring taps of the
    lane axis read nearly the same."""
    axis = roles.axes[-1]
    taps = max(1, max(len(phase.taps) for phase in axis.phases))
    return math.ceil(products * min(1.0, (axis.src_step + reach(axis) / lanes) / taps))


def choose_tile(roles: Roles, target: Target, lanes: int, most_rows: int, chain: int) -> tuple[Tile, bool]:
    """The register tile, and whether each grid row is summed by itself and finished in registers.

    So it may be where sums are a single chain and results lie side by side. Lanes at the end of a row then stand idle,
    otherwise there are halo columns and a detour through scratch. Tiles waste what rows (`most_rows` at a time) or
    vectors are no multiple of theirs.
    """
    lane, products = roles.axes[-1], roles.channels * roles.most_taps
    may_finish = (
        products <= chain
        and roles.dst_strides[-1] * lane.dst_step == 1
        and choose_row_tile(roles, target, lanes, roles.grid) is None
    )
    rows, vectors = rows_of_box(roles, roles.grid, lanes)
    halos = 1 + halo(roles) / lane.src_step / lane.positions
    best: list[tuple[float, bool, Tile]] = []
    for shape in WIDE_TILES if target.registers >= 32 else TILES:
        tile = Tile(*shape)
        channels = min(roles.rows, most_rows)
        groups = -(-channels // tile.mr)
        if may_finish:
            busy = tile_cycles(tile, channels, vectors, vectors_read(roles, products, lanes)) * products
            best.append(((busy + groups * ROW_START) * rows, False, tile))
        all_vectors = math.prod(roles.grid[-2:]) * halos / lanes
        read = vectors_read(roles, min(products, chain), lanes)
        busy = tile_cycles(tile, channels, tile.nv, read) / tile.nv * products
        best.append((all_vectors * (busy + groups * tile.mr / 2 * DETOUR), True, tile))
    _, has_detour, tile = min(best, key=lambda entry: entry[0])
    return tile, not has_detour


@dataclass(frozen=True, slots=True)
class Cut:
    """How the grid is cut into boxes and the result channels into blocks, and what the largest box needs."""

    block: Ints
    box: Box
    runs: int
    vectors: int
    """Vectors of virtual pixels in a run."""
    row_blocks: int = 1


def cut_into(roles: Roles, block: Ints, lanes: int) -> Cut:
    """What boxes of that size need."""
    box = measure_box(roles, block, [axis.src_step for axis in roles.axes], lanes, joined_axes(roles))
    vectors = -(-((block[-2] - 1) * box.pitch + block[-1]) // lanes)
    return Cut(block, box, math.prod(block[:-2]), vectors)


def choose_cut(
    roles: Roles, numbers: Numbers, lanes: int, tile: Tile, threads: int, samples: int, thrift: int, by_row: bool
) -> Cut:
    """The cut with the least estimated work: staging, tiles (halo columns included) and idle threads."""
    most, nv = roles.grid, tile.nv
    limit = config.get("block_pixels")
    staged_bytes, sums_bytes = STAGED_BYTES >> thrift, SUMS_BYTES >> thrift
    size = numbers.computed.itemsize * max(1, roles.channels)
    pixel_sums = 0 if by_row else numbers.computed.itemsize * max(1, roles.rows) * interleave_of(roles)
    # Lanes come in whole tiles, as many as the sums and the staged copy of one row leave room for.
    tile_sums, tile_staged = pixel_sums * nv * lanes, size * roles.axes[-1].src_step * nv * lanes
    tiles = min(sums_bytes // max(1, tile_sums), staged_bytes // tile_staged)
    lane_block = min(max(1, LANE_BLOCK >> thrift), max(1, tiles) * nv * lanes)
    lane = min(most[-1], lane_block, limit or lane_block)
    # A box has several positions on the row axis and perhaps on the one before it; one on any axis further out.
    planes = [n for n in (1, 2, 4, 8) if len(most) > 2 and n <= most[-3]] or [1]
    best: tuple[float, Cut, int] | None = None
    # By vector and source channel: its products, and a share of storing each result channel's sums.
    step = interleave_of(roles)
    tap_work = step * (roles.most_taps / 2 + (1 if by_row else 3) / max(1, roles.channels))
    row_groups = -(-roles.rows // tile.mr)
    all_row_blocks = [n for n in ROW_BLOCKS if n <= max(1, row_groups)]
    for plane, row in itertools.product(planes, halves(most[-2], limit)):
        sizes = (*(1,) * (len(most) - 3), plane, row)[-(len(most) - 1) :]
        cut = cut_into(roles, (*sizes, lane), lanes)
        is_large = cut.box.staged * size > staged_bytes or cut.vectors * lanes * pixel_sums > sums_bytes
        if is_large and any(n > 1 for n in sizes):
            continue
        boxes = samples * math.prod(-(-m // b) for m, b in zip(most, cut.block, strict=True)) * roles.phases // step
        runs, vectors = cut.runs, float(cut.vectors)
        if by_row:
            box_rows, vectors = rows_of_box(roles, cut.block, lanes)
            runs *= box_rows
        # A tile that is narrower than the others loads more for each product.
        vectors += 0.5 * (vectors % nv)
        for row_blocks in all_row_blocks:
            rows = -(-row_groups // row_blocks) * tile.mr
            work = 2.5 * cut.box.staged / lanes + runs * vectors * tap_work * rows + 100
            cost = work * -(-boxes * row_blocks // threads)
            if best is None or cost < best[0]:
                best = cost, cut, row_blocks
    assert best is not None
    return replace(best[1], row_blocks=best[2])


def _least_staged(roles: Roles, lanes: int) -> int:
    """Elements that the smallest box stages: one grid position on each axis but the lane axis."""
    block = (*(1,) * (len(roles.axes) - 1), min(roles.grid[-1], LANE_BLOCK))
    splits = [axis.src_step for axis in roles.axes]
    return measure_box(roles, block, splits, lanes, joined_axes(roles)).staged * max(1, roles.channels)


class Direct(Plain):
    """Staged copy and offsets. See the module's docstring."""

    name = "direct"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if problem.storage.kind == "complex":
            return Verdict(False, f"dtype {problem.dtype}, needs real numbers")
        roles = roles_of(problem)
        if not roles.pixels:
            return Verdict(False, "no results, needs some")
        if roles.rows > FEW_ROWS:
            # Halo columns are computed in vain here; there each value is packed once a tap. Both relative to the sums.
            lane = roles.axes[-1]
            waste = halo(roles, interleave_of(roles) > 1) / lane.src_step / lane.positions
            if waste > PACKING / roles.rows:
                packing = PACKING / roles.rows
                return Verdict(False, f"halo columns cost {waste:.0%}, packing costs implicit_gemm {packing:.0%}")
        if roles.most_taps == 1 and interleave_of(roles) == 1:
            return Verdict(False, "one tap a pixel, needs more to share the staged copy")
        staged = _least_staged(with_row_axis(roles), target.lanes(1)) * Numbers.of(problem.dtype).computed.itemsize
        if staged > MOST_STAGED_BYTES:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles, numbers = with_row_axis(roles_of(problem)), Numbers.of(problem.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        tile, by_row = choose_tile(roles, target, lanes, roles.rows, CHAIN)
        samples = problem.batch * problem.groups
        cut = choose_cut(roles, numbers, lanes, tile, threads, samples, 0, by_row)
        boxes = samples * roles.phases * math.prod(-(-n // b) for n, b in zip(roles.grid, cut.block, strict=True))
        copies = boxes / interleave_of(roles) * roles.channels * cut.row_blocks
        products = roles.channels * roles.all_taps / roles.phases
        rows = -(-roles.rows // tile.mr) * tile.mr
        vectors: float = cut.runs * (cut.vectors + 0.5 * (cut.vectors % tile.nv))
        busy, storing, starting = BUSY, STORING, 0.0
        if choose_row_tile(roles, target, lanes, cut.block) is not None:
            vectors = cut.runs * cut.block[-2] * -(-cut.block[-1] // lanes)
            busy, storing, starting = ROW_TILE
        elif by_row:
            box_rows, row_vectors = rows_of_box(roles, cut.block, lanes)
            cycles = tile_cycles(tile, roles.rows, row_vectors, vectors_read(roles, round(products), lanes))
            vectors = cut.runs * box_rows * cycles * 2 / max(1, rows)
            storing, starting = STORING / 3, 2 * ROW_START * cut.runs * box_rows * rows / tile.mr
        elif roles.rows == 1:
            busy, storing, starting = SINGLE_ROW
        # The last box on an axis may be a smaller one.
        filled = math.prod(n / (-(-n // b) * b) for n, b in zip(roles.grid, cut.block, strict=True))
        work = boxes * (filled * vectors * (busy * rows * products + 2 * storing * roles.rows) + starting)
        work += copies * (STAGING * cut.box.staged / lanes + STAGING_ROWS * cut.box.rows)
        seconds = vector_seconds(work, lanes, machine) / threads + traffic_seconds(problem, machine, threads)
        for name, strides, times in ((roles.src, roles.src_strides, cut.row_blocks), (roles.dst, roles.dst_strides, 1)):
            elements = times * math.prod(problem.shape_of(name))
            seconds += apart_seconds(elements, strides[-1], size, lanes, machine, stays=True) / threads
        if packs_weight:
            seconds += packing_seconds(problem, machine, threads, ALONG_ROWS)
        return machine.dispatch + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        size = numbers.computed.itemsize
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        tile, by_row = choose_tile(roles, target, lanes, config.get("block_channels") or roles.rows, chain)
        step = interleave_of(roles)
        cut = choose_cut(roles, numbers, lanes, tile, threads, p.batch * p.groups, thrift, by_row)
        blocks = math.prod(-(-n // b) for n, b in zip(roles.grid, cut.block, strict=True))
        others = p.batch * (roles.phases // step) * blocks
        group_block, group_blocks = share_groups(p, others, 6 * threads, 64)
        row_groups = -(-roles.rows // tile.mr)
        block_row_groups = max(1, -(-row_groups // cut.row_blocks))
        row_blocks = max(1, -(-row_groups // block_row_groups))
        run_tasks = others * group_blocks * row_blocks
        threads = max(1, min(threads, run_tasks))
        row_tile = choose_row_tile(roles, target, lanes, cut.block)
        overhang = (tile.nv + 1) * lanes
        sums = 0 if by_row else block_row_groups * tile.mr * cut.vectors * lanes + lanes
        if row_tile is not None:
            tile, shape = row_tile
            tile_rows = round_up(cut.block[-2], shape.grid_rows)
            sums = tile_rows * round_up(cut.block[-1], tile.nv * lanes) + lanes
            overhang += (tile_rows - cut.block[-2]) * cut.box.pitch
        products = max(1, roles.channels * roles.most_taps)
        c_phase = round_up(sums, lanes)

        scratch = Ledger()
        scratch.book("state", staged_state(len(roles.axes)))
        for name, bytes_ in (
            ("at_rows", 8 * len(staging.ROW_LIST) * cut.box.rows),
            ("at_runs", 8 * len(staging.RUN_LIST) * cut.runs),
            ("at_lane_phases", 8 * len(LANE_PHASE) * step),
            ("at_offsets", 8 * products * step),
            ("at_c", c_phase * step * size),
            # Tiles read whole vectors from the last pixel's place on, and staged rows are stored as whole vectors.
            ("at_staged", (cut.box.staged * roles.channels + overhang) * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles, cut.block, [axis.src_step for axis in roles.axes], joined_axes(roles))
        values = {
            **common_values(p, roles, row_groups),
            "chain": ONE_CHUNK,
            "tile_chain": chain,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "row_blocks": row_blocks,
            "block_row_groups": block_row_groups,
            "blocks": blocks,
            "run_tasks": run_tasks,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step // step,
            "c_row": cut.vectors * lanes,
            "c_phase": c_phase,
            "offsets_row": products,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        spec = Spec(p.dtype, tile, row_tile and row_tile[1], step, compiled_words(p), by_row)
        module = kernels(emit_direct, spec, target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": blocks, "channels": row_groups, "reduction": -(-products // chain)},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=book_packing(ledger, p, roles, self.name, tile.mr, ONE_CHUNK, module),
            keep=(tables, module),
        )
