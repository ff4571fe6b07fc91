"""implicit_gemm: every rank, layout, stride, dilation, group count and dtype, in both data directions.

Source values are packed chunk by chunk into panels that stay in cache; nothing of the size of the unrolled matrix is
ever in memory. Where the source already lies as a panel (1x1, stride 1) it is multiplied in place.
"""

from __future__ import annotations

from ... import config
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import AXIS_STATE_NAMES, COMMON_ARGS, STATE_NAMES
from ...jit.kernels.gemm import Tile, choose_tile, tile_cycles
from ...jit.kernels.implicit_gemm import ARGS, FLAGS, SEGMENT_ROW, SEGMENTS, STATE, Spec, emit_implicit_gemm
from ...jit.numbers import Numbers
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of
from .base import ACCEPTED, Plain, Verdict, kernels
from .correlation import Roles, addresses_of, book_packing, common_values, compiled_words, make_tables, merged, roles_of
from .costs import ALONG_ROWS, apart_seconds, packing_seconds, traffic_seconds, vector_seconds

LAYOUT = Layout((*COMMON_ARGS, *ARGS))

CHAIN = 256
"""Products in one chain of additions; the second level adds the chains' sums."""
PANELS = 2
"""Panels of pixels in a block: with CHAIN rows of 48 floats each 96 KB, which leaves room in L2 for the weights."""
ROWS = 256
"""Result channels in a block."""
BLOCKS = ((PANELS, ROWS), *((1, ROWS >> n) for n in range(4)))
"""Panels and channels of a block that are considered."""
LONG_BLOCKS = ((4 * PANELS, ROWS), (2 * PANELS, ROWS), *BLOCKS)
"""The same where panels are not packed and sums are a single chain: nothing waits in a cache but what a tile reads."""
PACKING = 4
"""Cycles to pack one vector of one product; multiplying it takes half a cycle for each result channel of the block."""
STARTING = 600
"""Cycles to start a block: its pixels are located."""
PACKING_TIME, NEAR_WEIGHTS, FAR_WEIGHTS = 24.0, 0.3, 1.5
"""Estimate: packing a vector, as multiply-adds, and reading the weight once a block, relative to copying it: one that
stays in half of an L2 cache, and one that does not."""


def choose_blocks(
    roles: Roles,
    tile: Tile,
    lanes: int,
    threads: int,
    samples: int,
    packs: bool,
    thrift: int,
    most_pixels: int | None,
    most_rows: int | None,
) -> tuple[int, int]:
    """Panels and row groups of a block: the ones with which the threads are estimated to be done first.

    Large blocks pack less often (if the source must be packed at all), small ones leave fewer threads idle at the end.
    Blocks are no part of how a result is summed up, so they may depend on the threads.
    """
    all_vectors, products = -(-roles.pixels // lanes), max(1, roles.channels * roles.most_taps)
    best: tuple[float, int, int] | None = None
    for panels, rows in BLOCKS if packs or products > CHAIN else LONG_BLOCKS:
        panels = max(1, min(panels >> thrift, (most_pixels or panels * tile.nv * lanes) // (tile.nv * lanes)))
        row_groups = max(1, min(rows >> thrift, most_rows or ROWS) // tile.mr)
        own_rows = min(row_groups * tile.mr, roles.rows)
        vectors = min(panels * tile.nv, all_vectors)
        block = vectors * products * (own_rows / 2 + packs * PACKING) + STARTING
        count = samples * roles.phases * all_vectors / max(1, vectors) * (roles.rows / max(1, own_rows))
        cost = (block * count + (threads - 1) * block) / threads  # some thread is done last
        if best is None or cost < best[0]:
            best = cost, panels, row_groups
    assert best is not None
    return best[1:]


def _in_place_offset(roles: Roles, numbers: Numbers) -> int | None:
    """The source offset of the first pixel, if all pixels lie there one after the other as the product needs them.

    So they do where a single tap reads every pixel inside the image (1x1, stride 1) and rows have no gaps between
    them: panels are then columns of the source itself, one row a channel.
    """
    if numbers.stored != numbers.computed or numbers.parts == 2:
        return None
    offset, run = 0, 1
    for axis, extent, stride in zip(
        reversed(roles.axes), reversed(roles.src_spatial), reversed(roles.src_strides), strict=True
    ):
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


class ImplicitGemm(Plain):
    """Packed panels and a register tile. See the module's docstring."""

    name = "implicit_gemm"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        if problem.direction == "backward_weight":
            return Verdict(False, "direction backward_weight, needs forward or backward_data")
        return ACCEPTED

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        roles, numbers = merged(roles_of(problem)), Numbers.of(problem.dtype)
        size = numbers.computed.itemsize
        lanes = target.lanes(size)
        samples, parts = problem.batch * problem.groups, numbers.parts
        all_vectors, longest = -(-roles.pixels // lanes), min(CHAIN, roles.channels * roles.most_taps)
        tile = choose_tile(target, numbers, min(roles.rows, ROWS), all_vectors, longest)
        is_packed = _in_place_offset(roles, numbers) is None
        panels, row_groups = choose_blocks(roles, tile, lanes, threads, samples, is_packed, 0, None, None)
        rows = -(-roles.rows // tile.mr) * tile.mr
        row_blocks = -(-rows // (row_groups * tile.mr))
        grids = samples * roles.phases
        blocks = grids * -(-all_vectors // (panels * tile.nv))
        products = roles.channels * roles.all_taps / max(1, roles.phases)
        multiplying = 2 * tile_cycles(tile, roles.rows, all_vectors, longest) * parts**2
        packing = is_packed * PACKING_TIME * all_vectors * row_blocks * parts
        work = products * grids * (multiplying + packing) + 2 * STARTING * blocks * row_blocks
        share = 1 / threads + (threads - 1) / (threads * max(1, blocks * row_blocks))  # of the thread that is done last
        seconds = vector_seconds(work, lanes, machine) * min(1.0, share) + traffic_seconds(problem, machine, threads)
        pixels = samples * roles.pixels * roles.phases
        apart = apart_seconds(pixels * roles.rows, roles.dst_strides[-1], size, lanes, machine)
        if is_packed:
            apart += row_blocks * apart_seconds(pixels * products, roles.src_strides[-1], size, lanes, machine)
        seconds += apart / threads
        weight = rows * products * size * parts
        reading = NEAR_WEIGHTS if weight <= machine.l2 / 2 else FAR_WEIGHTS
        seconds += reading * blocks * weight / (machine.cache_bytes * threads)
        if packs_weight:
            seconds += packing_seconds(problem, machine, threads, ALONG_ROWS)
        return machine.dispatch + seconds

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, roles = problem, merged(roles_of(problem))
        numbers = Numbers.of(p.dtype)
        lanes = target.lanes(numbers.computed.itemsize)
        most_pixels, most_rows = config.get("block_pixels"), config.get("block_channels")
        chain = min(CHAIN, config.get("block_reduction") or CHAIN)
        all_vectors, longest = -(-roles.pixels // lanes), min(chain, roles.channels * roles.most_taps)
        tile = choose_tile(target, numbers, min(roles.rows, most_rows or ROWS), all_vectors, longest, most_pixels)
        in_place = _in_place_offset(roles, numbers)
        nr = tile.nv * lanes
        row_groups = -(-roles.rows // tile.mr)
        block_panels, block_rows = choose_blocks(
            roles, tile, lanes, threads, p.batch * p.groups, in_place is None, thrift, most_pixels, most_rows
        )
        row_blocks = -(-row_groups // block_rows)
        pixel_blocks = -(-roles.pixels // (block_panels * nr))
        run_tasks = p.batch * p.groups * roles.phases * row_blocks * pixel_blocks
        threads = max(1, min(threads, run_tasks))
        panels_in_use = min(block_panels, -(-roles.pixels // nr))
        rows_in_use = min(block_rows, row_groups)
        channels_of_chunk = max(1, chain // max(1, roles.most_taps))
        chunks = -(-roles.channels // channels_of_chunk) * -(-roles.most_taps // chain)

        size = numbers.computed.itemsize * numbers.parts
        block_pixels = panels_in_use * nr
        vectors = block_pixels // lanes
        scratch = Ledger()
        scratch.book("state", 8 * (len(STATE_NAMES) + len(STATE) + len(roles.axes) * len(AXIS_STATE_NAMES)))
        for name, bytes_ in (
            ("at_coords", 8 * len(roles.axes) * block_pixels),
            ("at_src", 8 * block_pixels),
            ("at_dst", 8 * block_pixels),
            ("at_flags", 8 * len(FLAGS) * vectors),
            ("at_segments", 8 * SEGMENTS * SEGMENT_ROW * vectors),
            ("at_b", max(1, longest) * block_pixels * size),
            ("at_c", rows_in_use * tile.mr * block_pixels * size),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("scratch", scratch.total * threads)

        tables = make_tables(roles)
        values = {
            **common_values(p, roles, row_groups),
            "chain": chain,
            "block_panels": block_panels,
            "block_row_groups": block_rows,
            "row_blocks": row_blocks,
            "pixel_blocks": pixel_blocks,
            "run_tasks": run_tasks,
            "tables": address_of(tables),
            "scratch_bytes": scratch.total,
            "block_pixels": block_pixels,
            "lane_step": roles.axes[-1].src_step * roles.src_strides[-1],
            "in_place": int(in_place is not None),
            "in_place_offset": in_place or 0,
            **{name: scratch.entries[name][0] for name in ARGS if name in scratch.entries},
        }
        module = kernels(emit_implicit_gemm, Spec(p.dtype, tile, compiled_words(p)), target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": pixel_blocks, "channels": row_blocks, "reduction": chunks},
            threads=threads,
            steps=(Step("run", job_at(module.address("run")), run_tasks),),
            layout=LAYOUT,
            arguments=LAYOUT.fill(values),
            addresses=addresses_of(roles, LAYOUT),
            ledger=ledger,
            packing=book_packing(ledger, p, roles, self.name, tile.mr, chain, module),
            keep=(tables, module),
        )  # fmt: skip
