"""channel_lanes: result channels in lanes, pixels one by one (jit/kernels/channel_lanes.py).

The choice where a group has enough result channels to fill vectors: no pixel is computed in vain, whatever the image's
size, stride or dilation. What it costs is transposing the results, so sums must not be short.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

from ... import config
from ...geometry import AxisPlan
from ...jit.kernels import staging
from ...jit.kernels.blocks import Layout
from ...jit.kernels.channel_lanes import AHEAD, ARGS, PIXEL, Spec, emit_channel_lanes
from ...jit.kernels.channel_panels import MOST_SPAN, PANEL_ARGS
from ...jit.kernels.correlation import COMMON_ARGS
from ...jit.kernels.gemm import Tile
from ...jit.kernels.tap_ranges import BAND, TAPS
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
    merged,
    roles_of,
    share_groups,
    staged_state,
    with_row_axis,
)
from .costs import ACROSS_ROWS, apart_seconds, packing_seconds, traffic_seconds, vector_seconds
from .padding import banded, bands_of, needed, valid

LAYOUT = Layout((*COMMON_ARGS, *staging.SECTIONS, *PANEL_ARGS, *ARGS))

CHAIN = 64
"""Products in one chain of additions: the weights that a panel has for them stay in an L1 cache, pixels beside them."""
ONE_CHUNK = 1 << 40
"""The packed weight lists its products tap by tap, each over all channels, as the offsets do."""
PIXEL_BLOCK = 64
"""Tiles in a block of pixels, whose sums are finished together."""
STAGED_BYTES = 2 << 20
"""What the staged copy of a box may take: it is read once a panel, the weights are once a box."""
MOST_STAGED_BYTES = 1 << 20
"""What the staged copy of the smallest box may take: it is read again for every tile."""
MOST_PIXELS = 4096
"""Pixels in a box, which are listed."""
TASKS = 4
"""Tasks of a thread, above which a task takes several groups: pixels and offsets are listed once a task."""
LEAST_PRODUCTS = 64
"""Products in a sum, from which on transposing the results costs little."""
LEAST_PRODUCTS_OF_ROWS = 256
"""The same where implicit_gemm multiplies whole rows of pixels in place, whose lanes are full."""
LEAST_PRODUCTS_OF_PHASES = 2048
"""The same where the phases of a stride are stored apart, which direct interleaves."""
TRANSPOSING = 14.0
"""What transposing a vector of results costs more than storing it as direct does, as products of that vector."""
READ_BESIDE = 5
"""What a tile reads a product besides samples: weights, places, and what comes next. Two reads fit in a cycle."""
LEAST_PRODUCTS_OF_VECTOR = 1024
"""Products in a sum, from which on a tile of one vector of channels, that reads a sample for each multiply-add, pays
where direct computes little in vain."""
MOST_IDLE = 0.1
"""Share of lanes that may stand idle for want of result channels."""
LEAST_FILLED = 0.95
"""Share of the lanes that an image's pixels fill, from which on implicit_gemm wastes little."""
MANY_PRODUCTS = 2048
"""Products in a sum, from which on tiles of 16 registers read the staged copy too often."""
STAGING, STAGING_ROW, LISTING, STARTING, PASSING = 2.5, 18.0, 20.0, 0.5, 8.0
"""Cycles to stage a vector and a row, to list a pixel, that a tile takes for each product besides multiplying, and that
a vector of the weights takes on its way from the L3 cache, at each pass over them."""
MOST_NEEDED = 0.96
"""Share of the products that is left in tiles, up to which it pays to look for the others."""
STORING, STORED_AS_IS, WEIGHTS = 16.0, 6.0, 0.5
"""Estimate: storing a vector, as its multiply-adds, transposed or as it is, and reading the weight once a box, relative
to copying it."""
BESIDE = (3.0, 8.0)
"""Estimate: packing a weight whose rows or channels lie side by side, as costs.ACROSS_ROWS."""


WIDE_TILES = ((6, 4), (5, 4), (8, 3), (7, 3), (5, 5), (4, 6), (3, 7), (10, 2), (8, 2), (10, 1), (8, 1))
LOW_TILES = ((4, 4), (3, 4))
TILES = ((6, 2), (5, 2), (4, 3), (3, 3), (10, 1), (8, 1))
"""Pixels and vectors of channels of the tiles that are considered, for 32 registers and for 16. Low ones are taken for
phases, whose grids are small and end in few taps: 5 to 20 % faster there, slower elsewhere than estimated. Each pixel
has an address of its own: those of 12 do not stay in the general registers, and take twice the time of 10."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The register tile, and how it goes about padding."""

    tile: Tile
    skips: bool
    """Whether taps that miss the image for all pixels of a tile are left out."""
    banded: bool
    """Whether tiles lie within bands, so that no padding is read and nothing staged."""
    share: float
    """Products of all tiles, relative to those of all pixels."""


def tile_cycles(tile: Tile) -> float:
    """Cycles of one product of a tile: two multiply-adds of vectors fit in one."""
    return max(tile.mr * tile.nv, tile.mr + READ_BESIDE) / 2 + STARTING


@functools.lru_cache(maxsize=64)
def choose_shape(
    roles: Roles, numbers: Numbers, target: Target, rows: int, samples: int, threads: int, may_band: bool
) -> Shape:
    """The tile with which the threads are estimated to be done first: the one that wastes the fewest lanes, pixels and
    products with padding, and whose panels, or rows of tiles, can be shared out evenly.

    Whether it goes by bands does not depend on the threads: padding that is never read meets no infinite weight.
    """
    lanes, pixels = target.lanes(numbers.computed.itemsize), roles.pixels
    shapes = _shapes(roles, numbers, target, may_band)

    def cost(shape: Shape, threads: int) -> float:
        tile = shape.tile
        panels, tiles = max(1, samples) * -(-rows // (tile.nv * lanes)), -(-pixels // tile.mr)
        busiest = min(-(-panels // threads) / panels, -(-tiles // threads) / tiles)
        return panels * shape.share * pixels / tile.mr * tile_cycles(tile) * busiest

    by_bands = min(shapes, key=lambda shape: cost(shape, 1)).banded
    return min((shape for shape in shapes if shape.banded == by_bands), key=lambda shape: cost(shape, threads))


@functools.lru_cache(maxsize=64)
def _shapes(roles: Roles, numbers: Numbers, target: Target, may_band: bool) -> list[Shape]:
    """The shapes that are considered: of each tile one without bands and one with, where these may and can be."""
    lanes, pixels = target.lanes(numbers.computed.itemsize), roles.pixels
    padded = valid(roles) <= MOST_NEEDED
    may_band = may_band and padded and numbers.stored == numbers.computed
    must_band = may_band and staged_bytes(roles, numbers, lanes) > MOST_STAGED_BYTES
    shapes, bands = [], []
    tiles = WIDE_TILES + LOW_TILES * (roles.phases > 1) if target.registers >= 32 else TILES
    for tile in (Tile(*shape) for shape in tiles):
        full = -(-pixels // tile.mr) * tile.mr / pixels
        share = needed(roles, tile.mr, roles.grid) if padded else 1.0
        skips = share <= MOST_NEEDED
        shapes.append(Shape(tile, skips, False, full * share if skips else full))
        in_bands = banded(roles, tile.mr, roles.grid) if may_band else None
        if in_bands is not None:
            bands.append(Shape(tile, True, True, in_bands))
    return bands if must_band and bands else shapes + bands


def are_channels_beside(problem: ConvProblem, roles: Roles) -> bool:
    """Whether the result's channels are neighbours, so that vectors of them are stored as they are."""
    return problem.strides_of(roles.dst)[1] == 1 and roles.rows > 1 and roles.dst_strides[-1] != 1


def may_band(problem: ConvProblem) -> bool:
    """Whether a pixel may fill up a tile and be stored twice: not where it is added to a residual in its place."""
    return "add" not in problem.epilogue


def most_bands(roles: Roles, block: Ints) -> int:
    """The boxes of bands of a box, at most."""
    return math.prod(
        min(size, max(len(bands) for bands in bands_of(axis, extent)))
        for axis, extent, size in zip(roles.axes, roles.src_spatial, block, strict=True)
    )


def most_taps_of(axis: AxisPlan) -> int:
    """Taps of the phase that has the most."""
    return max(len(phase.taps) for phase in axis.phases)


def staged_bytes(roles: Roles, numbers: Numbers, lanes: int) -> int:
    """What the staged copy of the smallest box takes."""
    block = (*(1,) * (len(roles.axes) - 1), min(roles.axes[-1].positions, MOST_PIXELS))
    elements = measure_box(roles, block, [1] * len(roles.axes), lanes).staged
    return elements * roles.channels * numbers.computed.itemsize


@dataclass(frozen=True, slots=True)
class Cut:
    """How the grid is cut into boxes and the channels into blocks of panels."""

    block: Ints
    box: Box
    block_panels: int


def is_in_place(roles: Roles, numbers: Numbers) -> bool:
    """Whether the source can be read where it lies: as it is computed in, and no tap ever leaves it."""
    return numbers.stored == numbers.computed and all(
        tap.offset >= 0 and tap.offset + (phase.count - 1) * axis.src_step < extent
        for axis, extent in zip(roles.axes, roles.src_spatial, strict=True)
        for phase in axis.phases
        for tap in (*phase.taps[:1], *phase.taps[-1:])
    )


def span_of_rows(roles: Roles) -> dict[str, int]:
    """How the weight's rows lie, if a channel's taps lie between it and the next: see jit/kernels/channel_panels.py."""
    used = 1
    for axis, stride in zip(roles.axes, roles.w_strides, strict=True):
        most = max((tap.tap for phase in axis.phases for tap in (*phase.taps[:1], *phase.taps[-1:])), default=0)
        used += most * stride if stride >= 0 else MOST_SPAN
    is_run = used <= roles.w_channel <= MOST_SPAN
    return {"row_span": roles.w_channel if is_run else 0, "row_used": used}


def choose_cut(
    roles: Roles, numbers: Numbers, shape: Shape, lanes: int, threads: int, samples: int, thrift: int
) -> Cut:
    """The cut with which the threads are estimated to be done first: boxes that fit in cache, staged once for as many
    panels as possible."""
    size, tile = numbers.computed.itemsize * max(1, roles.channels), shape.tile
    limit = config.get("block_pixels") or MOST_PIXELS
    panels = -(-roles.rows // (tile.nv * lanes))
    most_rows = config.get("block_channels")
    most_panels = max(1, most_rows // (tile.nv * lanes)) if most_rows else panels
    lane = min(roles.grid[-1], max(1, limit >> thrift))
    # A row is cut only where there is no other for the next thread.
    lane_sizes = halves(lane) if math.prod(roles.grid[:-1]) == 1 else [lane]
    in_place = shape.banded or is_in_place(roles, numbers)
    products = roles.channels * roles.all_taps / roles.phases
    best: tuple[float, Cut] | None = None
    for sizes in itertools.product(*map(halves, roles.grid[-3:-1]), lane_sizes):
        block = (*(1,) * (len(roles.axes) - len(sizes)), *sizes)
        pixels = math.prod(block)
        box = Box(0, 0, 0) if in_place else measure_box(roles, block, [1] * len(roles.axes), lanes)
        if (pixels > limit or box.staged * size > STAGED_BYTES >> thrift) and math.prod(sizes) > lane_sizes[-1]:
            continue
        boxes = samples * roles.phases * math.prod(-(-m // b) for m, b in zip(roles.grid, block, strict=True))
        passes = -(-pixels // (PIXEL_BLOCK * tile.mr))
        cycles = tile_pixels(roles, shape, block) / tile.mr * tile_cycles(tile) + passes * PASSING * tile.nv
        staging = staging_cycles(roles, box, lanes)
        for blocks in (1, 2, 3, 4, panels):
            block_panels = min(-(-panels // blocks), most_panels) if thrift == 0 else 1
            tasks = boxes * -(-panels // block_panels)
            work = staging + LISTING * pixels + cycles * block_panels * products
            # Phases have tasks of different lengths: a thread waits for half of one.
            cost = work * (-(-tasks // threads) if roles.phases == 1 else tasks / threads + (threads - 1) / threads)
            if best is None or cost < best[0]:
                best = cost, Cut(block, box, block_panels)
    assert best is not None
    return best[1]


def staging_cycles(roles: Roles, box: Box, lanes: int) -> float:
    """Cycles to stage a box, roughly; one that is read in place is empty."""
    return (STAGING * box.staged / lanes + STAGING_ROW * box.rows) * roles.channels


def tile_pixels(roles: Roles, shape: Shape, block: Ints) -> float:
    """Pixels of all tiles of a box, the last one whole; each counts as the share of its taps that is left."""
    mr, pixels = shape.tile.mr, math.prod(block)
    if shape.banded:
        return pixels * (banded(roles, mr, block) or 1.0)
    return -(-pixels // mr) * mr * (needed(roles, mr, block) if shape.skips else 1.0)


class ChannelLanes(Plain):
    """Vectors of result channels times scalar pixels. See the module's docstring."""

    name = "channel_lanes"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        if problem.storage.kind == "complex":
            return Verdict(False, f"dtype {problem.dtype}, needs real numbers")
        roles = with_row_axis(merged(roles_of(problem)))
        products = roles.channels * roles.most_taps
        if not roles.pixels or not roles.rows:
            return Verdict(False, "no results, needs some")
        is_stored_as_is = are_channels_beside(problem, roles)
        least = LEAST_PRODUCTS if roles.phases == 1 else LEAST_PRODUCTS_OF_PHASES
        least = 1 if is_stored_as_is else least
        if products < least:
            return Verdict(False, f"sums of {products} products, pays from {least} on")
        numbers = Numbers.of(problem.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        shape = choose_shape(roles, numbers, target, roles.rows, 1, 1, may_band(problem))
        nr = shape.tile.nv * lanes
        idle = 1 - roles.rows / (-(-roles.rows // nr) * nr)
        if idle > MOST_IDLE and not (shape.skips or is_stored_as_is):
            return Verdict(False, f"{roles.rows} result channels a group leave {idle:.0%} of the lanes idle")
        is_narrow = shape.tile.nv == 1
        filled = roles.pixels / (-(-roles.pixels // lanes) * lanes)
        in_place = shape.banded or is_in_place(roles, numbers)
        if filled >= LEAST_FILLED and not is_stored_as_is:
            if roles.most_taps == 1 and is_narrow:
                return Verdict(False, f"{roles.rows} result channels a group, pays from {lanes + 1} on here")
            if roles.most_taps == 1 and not in_place:
                return Verdict(False, "one tap a pixel, needs more to share the staged copy")
            if roles.most_taps == 1 and roles.axes[-1].src_step == 1 and products < LEAST_PRODUCTS_OF_ROWS:
                return Verdict(False, f"sums of {products} products, pays from {LEAST_PRODUCTS_OF_ROWS} on here")
            if target.registers < 32 and products >= MANY_PRODUCTS:
                return Verdict(False, f"sums of {products} products, pays below {MANY_PRODUCTS} with 16 registers")
        lane = roles.axes[-1]
        # What direct computes in vain: halo columns between the rows of an image, and the last vector's idle lanes.
        rows, columns = roles.grid[-2:]
        row = columns + halo(roles) / lane.src_step
        waste = -(-((rows - 1) * row + columns) // lanes) * lanes / (rows * columns) - 1
        cost = TRANSPOSING / products
        is_excused = is_stored_as_is or shape.banded
        if is_narrow and not is_excused and products < LEAST_PRODUCTS_OF_VECTOR:
            least = LEAST_PRODUCTS_OF_VECTOR
            return Verdict(False, f"sums of {products} products, pays from {least} on for {roles.rows} result channels")
        if waste <= cost and roles.most_taps > 1 and not is_stored_as_is:
            return Verdict(False, f"direct computes {waste:.1%} in vain, transposing costs {cost:.1%}")
        staged = staged_bytes(roles, numbers, lanes)
        if staged > MOST_STAGED_BYTES and not in_place:
            return Verdict(False, f"the smallest box stages {staged} bytes, pays up to {MOST_STAGED_BYTES}")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles, numbers = with_row_axis(merged(roles_of(problem))), Numbers.of(problem.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        samples = problem.batch * problem.groups
        shape = choose_shape(roles, numbers, target, roles.rows, samples * roles.phases, threads, may_band(problem))
        tile = shape.tile
        cut = choose_cut(roles, numbers, shape, lanes, threads, samples, 0)
        boxes = samples * roles.phases * math.prod(-(-n // b) for n, b in zip(roles.grid, cut.block, strict=True))
        panels, pixels = -(-roles.rows // (tile.nv * lanes)), math.prod(cut.block)
        vectors = panels * tile.nv
        products = roles.channels * roles.all_taps / roles.phases
        multiplying = 2 * tile_cycles(tile) * tile_pixels(roles, shape, cut.block) / tile.mr * panels * products
        tasks = boxes * -(-panels // cut.block_panels)
        storing = STORED_AS_IS if are_channels_beside(problem, roles) else STORING
        work = boxes * (multiplying + storing * pixels * vectors) + 2 * tasks * staging_cycles(roles, cut.box, lanes)
        share = -(-tasks // threads) / max(1, tasks)  # of the thread that is done last
        seconds = vector_seconds(work, lanes, machine) * share + traffic_seconds(problem, machine, threads)
        seconds += WEIGHTS * boxes * vectors * lanes * products * size / (machine.cache_bytes * threads)
        if cut.box.staged:
            elements = tasks / max(1, boxes) * math.prod(problem.shape_of(roles.src))
            seconds += apart_seconds(elements, roles.src_strides[-1], size, lanes, machine, stays=True) / threads
        if packs_weight:
            is_near = roles.w_row == 1 or span_of_rows(roles)["row_span"] > 0
            seconds += packing_seconds(problem, machine, threads, BESIDE if is_near else ACROSS_ROWS)
        return machine.dispatch + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, with_row_axis(merged(roles_of(problem)))
        numbers = Numbers.of(p.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        samples, most_rows = p.batch * p.groups, min(roles.rows, config.get("block_channels") or roles.rows)
        shape = choose_shape(roles, numbers, target, most_rows, samples * roles.phases, threads, may_band(p))
        tile, nr = shape.tile, shape.tile.nv * lanes
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        panels = -(-roles.rows // nr)
        cut = choose_cut(roles, numbers, shape, lanes, threads, samples, thrift)
        blocks = math.prod(-(-n // b) for n, b in zip(roles.grid, cut.block, strict=True))
        row_blocks = -(-panels // cut.block_panels)
        others = p.batch * roles.phases * row_blocks * blocks
        group_block, group_blocks = share_groups(p, others, TASKS * threads)
        run_tasks = others * group_blocks
        threads = max(1, min(threads, run_tasks))
        pixels, runs = math.prod(cut.block), math.prod(cut.block[:-1])
        pixel_block = math.lcm(tile.mr, lanes)
        pixel_block *= max(1, (PIXEL_BLOCK >> thrift) * tile.mr // pixel_block)
        products = max(1, roles.channels * roles.most_taps)
        # Tiles that lie within bands are filled up one by one.
        listed = min(pixels * tile.mr, pixels + most_bands(roles, cut.block) * tile.mr if shape.banded else pixels)
        most_pixels = min(pixel_block, round_up(listed, tile.mr))
        chains = -(-products // chain)
        most_ranges = chains + math.prod(most_taps_of(axis) for axis in roles.axes[:-1]) + 1
        skipping = most_pixels // tile.mr if shape.skips else 0
        rank, longest = len(roles.axes), max(cut.block)

        scratch = Ledger()
        scratch.book("state", staged_state(len(roles.axes)))
        for name, bytes_ in (
            ("at_rows", 8 * len(staging.ROW_LIST) * cut.box.rows),
            ("at_runs", 8 * len(staging.RUN_LIST) * runs),
            ("at_pixels", 8 * len(PIXEL) * (listed + tile.mr)),
            ("at_near", 8 * -(-(listed + tile.mr) // lanes)),
            ("at_offsets", 8 * (products + AHEAD)),
            # A block's sums; the last tile may overhang, and squares of pixels are transposed whole.
            ("at_c", min(pixel_block, round_up(listed, lanes) + tile.mr) * nr * size),
            ("at_hits", 8 * len(TAPS) * rank * longest),
            ("at_bands", 8 * rank * (len(BAND) + longest + 1)),
            # A row for all taps, and one for each tile.
            ("at_tiles", 8 * len(TAPS) * rank * (1 + (-(-listed // tile.mr) if shape.skips else 0))),
            ("at_ranges", 8 * len(TAPS) * (1 + skipping) * most_ranges),
            ("at_next", 8 * (most_pixels // tile.mr)),
            ("at_staged", (cut.box.staged * roles.channels + lanes) * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles, cut.block)
        values = {
            **common_values(p, roles, panels),
            "blocks": blocks,
            "panels_of_rows": panels,
            **span_of_rows(roles),
            "block_panels": cut.block_panels,
            "row_blocks": row_blocks,
            "group_block": group_block,
            "group_blocks": group_blocks,
            "tile_chain": chain,
            "pixel_block": pixel_block,
            "in_place": int(shape.banded or is_in_place(roles, numbers)),
            "skips": int(shape.skips),
            "banded": int(shape.banded),
            "longest": longest,
            "most_ranges": most_ranges,
            "at_flags": p.groups * panels * nr * roles.all_taps * roles.channels * size,
            "dst_lane": roles.dst_strides[-1] * roles.axes[-1].dst_step,
            "run_tasks": run_tasks,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            **scratch.places(LAYOUT.names),
        }
        module = kernels(emit_channel_lanes, Spec(p.dtype, tile, compiled_words(p)), target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": blocks, "channels": row_blocks, "reduction": -(-products // chain)},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=book_packing(ledger, p, roles, self.name, nr, ONE_CHUNK, module, flagged=True),
            keep=(tables, module),
        )
