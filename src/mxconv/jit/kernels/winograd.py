"""Winograd's F(m, r) on the last two axes of a correlation, summed over all other axes, taps and channels.

    dst tile = A_r^T [ sum over outer taps, channels of (G_r w G_l^T) * (B_r^T d B_l) ] A_l        (see jit/winograd.py)

One task computes the tiles of a block of rows, columns and samples in a range of result channels:

    stage      a plane of the source, a vector of its channels at a time, as strip[row][column][channel lanes]
    forward    each tile of the strip to v[point][channels][tile][channel lanes]
    multiply   for each point a matrix product, result channels in lanes, scalars of v:
               m[point][result channels][tile][lanes] = sum of v * u[point][panel][channel][lanes]
    backward   each tile of m to a strip, whose columns are transposed on their way to neighbouring results

What is staged and where tiles begin is a matter of tables and counts, so the same code serves a dilation (the samples
of a tile lie `delta` apart; its neighbours are other tiles), the phases of a deconvolution (each an ordinary problem;
those of the last axis are computed together and interleave for nothing in the strip), a stride (each residue of the
source's coordinates is a set of channels of its own, with the taps that meet it), and further axes: a plane of the
source, transformed once, is kept in one of several slots for as long as the taps of the following planes need it.

Tiles that see a sample that is not finite, or so large that products might overflow, are computed again by the plain
sum, and so are the result channels of such weights (see pointwise.py).
"""

from __future__ import annotations

from ..ir import I8, I64, PTR, Function, Value, Variable
from ..target import Target
from .correlation import AXIS
from .gemm import accumulate, put_or_add
from .pointwise import BOX, emit_direct_position, limit_bits, magnitude_bits
from .winograd_result import Result
from .winograd_tiles import EMPTY, ENTRY, LANE_PHASE, SLOT, Spec


def emit_winograd(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run(args, worker)`."""
    return _Bundle(spec, target).module.text()


class _Bundle(Result):
    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target)
        emit_direct_position(self, self.epilogue)
        self.emit_gemm()
        self.emit_multiply()
        self.emit_is_huge()
        self.emit_repair()
        self.emit_run_position()
        self.emit_run()

    # ---- one matrix product a point: m[phase][point][vector of result channels][tile][lanes]

    def emit_gemm(self) -> None:
        """m[nv][mr tiles] (+)= sum over the entries' channels of v[tile] * u[channel][nr]: one chain."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function("gemm", entries=PTR, count=I64, v=PTR, u=PTR, m=PTR, m_pitch=I64, first=I64) as f:
            cells = [[f.variable(self.vector, 0) for _ in range(tile.nv)] for _ in range(tile.mr)]
            with f.loop(0, f.args["count"]) as n:
                at_v, at_u = ENTRY.read(f, f.offset(f.args["entries"], n * len(ENTRY), I64), *ENTRY.names)
                v = f.offset(f.args["v"], at_v, numbers.computed)
                u = f.offset(f.args["u"], at_u, numbers.computed)
                with f.loop(0, lanes) as c:
                    row, column = f.offset(u, c * self.nr, numbers.computed), f.offset(v, c, numbers.computed)
                    vectors = [f.load(self.vector, row, j * lanes, aligned=True) for j in range(tile.nv)]
                    for i in range(tile.mr):
                        sample = f.splat(f.load(numbers.computed, column, i * lanes), lanes)
                        for j in range(tile.nv):
                            accumulate([cells[i][j]], [sample], [vectors[j]])
            starts = [f.args["m_pitch"] * j for j in range(tile.nv)]
            places = [starts[j] + i * lanes for i in range(tile.mr) for j in range(tile.nv)]
            put_or_add(f, f.args["first"], f.args["m"], places, [cell.get() for row in cells for cell in row])

    def emit_multiply(self) -> None:
        """All points of all lane phases, for a chunk of panels."""
        numbers, lanes, tile = self.numbers, self.lanes, self.tile
        with self.module.function("multiply", args=PTR, state=PTR, panel=I64, count=I64) as f:
            phases, lane_phases, outer, blocks, chain = self.get(
                f, "phases", "lane_phases", "outer_taps", "entry_blocks", "chain_blocks"
            )
            u_point, u_phase, v_point, v_phase, m_point, m_phase, pitch = self.get(
                f, "u_point", "u_phase", "v_point", "v_phase", "m_point", "m_phase", "tile_pitch"
            )
            group, phase, filled, tiles = self.now(f, "group", "phase", "filled", "tiles")
            entries, v, m = (self.at(f, name) for name in ("at_entries", "at_v", "at_m"))
            u = f.offset(
                self.args.pointer(f, f.args["args"], "panels"), (group * phases + phase) * u_phase, numbers.computed
            )
            u_panel = outer * blocks * (lanes * self.nr)
            with f.loop(0, lane_phases) as b, f.loop(0, self.points) as point, f.loop(0, f.args["count"]) as k:
                own_u = f.offset(u, b * u_phase + point * u_point + (f.args["panel"] + k) * u_panel, numbers.computed)
                own_v = f.offset(v, b * v_phase + point * v_point, numbers.computed)
                own_m = f.offset(m, b * m_phase + point * m_point + k * pitch * tile.nv, numbers.computed)
                with f.loop(0, f.larger(filled, 1), chain) as e, f.loop(0, tiles, tile.mr) as i:
                    f.call(
                        "gemm",
                        f.offset(entries, e * len(ENTRY), I64),
                        f.smaller(filled - e, chain),
                        f.offset(own_v, i * lanes, numbers.computed),
                        own_u,
                        f.offset(own_m, i * lanes, numbers.computed),
                        pitch,
                        f.cast("zext", e.equals(0), I64),
                    )

    # ---- what a transform would have spoilt

    def emit_is_huge(self) -> None:
        """Whether a tile of a sample, its first position at (row, column) of the grid, sees a huge value."""
        numbers = self.numbers
        limit = limit_bits(numbers.computed)
        with self.module.function("is_huge", args=PTR, state=PTR, sample=I64, row=I64, column=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, channels, batch, in_group, channel = self.get(
                f, "rank", "channels", "src_batch", "src_group", "src_channel"
            )
            row_classes, lane_classes, row_delta, lane_delta = self.get(
                f, "row_classes", "lane_classes", "row_delta", "lane_delta"
            )
            (group,) = self.now(f, "group")
            src = f.offset(
                self.args.pointer(f, args, "src"), f.args["sample"] * batch + group * in_group, numbers.stored
            )
            row_step, row_stride, rows = (self.table(f, n, rank - 2) for n in ("src_step", "src_stride", "extent"))
            lane_step, lane_stride, lanes = (self.table(f, n, rank - 1) for n in ("src_step", "src_stride", "extent"))
            taps, found = f.variable(I64, 1), f.variable(I64, 0)
            with f.loop(0, rank - 2) as a:
                taps.set(taps.get() * self.own(f, a, "taps")[0])
            with f.loop(0, taps.get()) as tap:
                f.call("select_outer", args, state, tap)
                plane, inside = self.now(f, "tap_source", "tap_inside")
                with (
                    f.when(inside.equals(1)),
                    f.loop(0, row_classes) as p,
                    f.loop(0, lane_classes) as q,
                    f.loop(0, self.row.n) as i,
                    f.loop(0, self.lane.n) as j,
                ):
                    first = (f.load(I64, self.class_of(f, *which), 0) for which in (("row", p), ("lane", q)))
                    row = (f.args["row"] + i * row_delta) * row_step + next(first)
                    column = (f.args["column"] + j * lane_delta) * lane_step + next(first)
                    with f.when(row.below(rows) & column.below(lanes)), f.loop(0, channels) as c:
                        place = plane + c * channel + row * row_stride + column * lane_stride
                        value = numbers.widen(f, f.load(numbers.stored, src, place))
                        beyond = magnitude_bits(f, value) > limit
                        found.set(found.get() | f.cast("zext", beyond, I64))
            f.give(found.get())

    def emit_repair(self) -> None:
        """Compute again what huge samples (`huge`) or huge weights spoil, at the current position on the outer axes."""
        lanes, nv = self.lanes, self.tile.nv
        with self.module.function("repair", args=PTR, state=PTR, huge=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, phases, panels, outer, blocks, rows, lane_phases = self.get(
                f, "rank", "phases", "panels_of_rows", "outer_taps", "entry_blocks", "rows", "lane_phases"
            )
            row_delta, lane_delta, at_flags = self.get(f, "row_delta", "lane_delta", "at_flags")
            group, phase, sample, samples, row_start, lane_start, first_panel, last_panel = self.now(
                f, "group", "phase", "sample", "samples", "row_start", "lane_start", "first_panel", "last_panel"
            )
            box = self.at(f, "at_box")
            flags = f.offset(self.args.pointer(f, args, "panels"), at_flags, I8)
            spoilt, vectors = f.variable(I64), f.variable(I64)
            with f.loop(0, lane_phases) as b:
                f.call("select_phase", args, state, phase + b)
                row_count, lane_count = (self.own(f, rank - n, "count")[0] for n in (2, 1))
                with f.loop(0, samples) as n, self.each_tile(f) as (_, i, residue, j):
                    row = row_start + i * self.row.m * row_delta
                    column = lane_start + j * self.lane.m * lane_delta + residue
                    spoilt.set(0)
                    with f.when(f.args["huge"].equals(1)):
                        spoilt.set(f.call_for(I64, "is_huge", args, state, sample + n, row, column))
                    with f.loop(first_panel, last_panel) as panel:
                        vectors.set(0)
                        own = f.offset(flags, ((group * phases + phase + b) * panels + panel) * outer * blocks, I64)
                        with f.loop(0, outer * blocks) as e:
                            vectors.set(vectors.get() | f.load(I64, own, e))
                        for v in range(nv):
                            first = panel * self.nr + v * lanes
                            bad = spoilt.get() | ((vectors.get() >> v) & 1)
                            with (
                                f.when(bad.equals(1) & (first < rows)),
                                f.loop(0, self.row.m) as s,
                                f.loop(0, self.lane.m) as t,
                            ):
                                at_row, at_lane = row + s * row_delta, column + t * lane_delta
                                with f.when((at_row < row_count) & (at_lane < lane_count)):
                                    for a, at in ((rank - 2, at_row), (rank - 1, at_lane)):
                                        f.store(at, f.offset(box, a * len(BOX), I64), BOX.index["at"])
                                    width = f.smaller(rows - first, lanes)
                                    f.call("direct_position", args, state, box, sample + n, group, first, width)
            f.call("select_phase", args, state, phase)

    # ---- the driver

    def emit_run_position(self) -> None:
        """All results of the block at the current position on the outer axes."""
        with self.module.function("run_position", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            f.call("list_entries", args, state)
            (chunk,) = self.get(f, "chunk_panels")
            first, last, huge, group, phase = self.now(f, "first_panel", "last_panel", "huge", "group", "phase")
            with f.loop(first, last, chunk) as panel:
                count = f.smaller(chunk, last - panel)
                f.call("multiply", args, state, panel, count)
                f.call("finish", args, state, panel, count)
            phases, panels, outer, blocks, lane_phases, at_flags = self.get(
                f, "phases", "panels_of_rows", "outer_taps", "entry_blocks", "lane_phases", "at_flags"
            )
            flags = f.offset(self.args.pointer(f, args, "panels"), at_flags, I8)
            spoilt = f.variable(I64, huge)
            with f.loop(0, lane_phases) as b:
                own = f.offset(flags, (group * phases + phase + b) * panels * outer * blocks, I64)
                with f.loop(first * outer * blocks, last * outer * blocks) as e:
                    spoilt.set(spoilt.get() | f.load(I64, own, e))
            with f.when(spoilt.get().equals(0) ^ 1):
                f.call("repair", args, state, huge)

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            state = self.scratch(f, args)
            (count,) = self.get(f, "run_tasks")
            with f.tasks(self.args.address(f, args, "run_counter"), count) as task:
                f.call("run_task", args, state, task)
        with self.module.function("run_task", args=PTR, state=PTR, task=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rest = f.variable(I64, f.args["task"])

            def digit(name: str) -> Value:
                (count,) = self.get(f, name)
                number = rest.get() % count
                rest.set(rest.get() // count)
                return number

            # The fastest first: threads that share a block of tiles share what it reads.
            panel_block, lane_block, row_block, residue = (
                digit(n) for n in ("panel_blocks", "lane_blocks", "row_blocks", "row_residues")
            )
            depth_block, line, sample_block = (digit(n) for n in ("depth_blocks", "lines", "sample_blocks"))
            outer_phase, group = digit("outer_phases"), rest.get()
            rank, panels, block_panels, samples, sample_block_size, lane_phases = self.get(
                f, "rank", "panels_of_rows", "block_panels", "samples", "sample_block", "lane_phases"
            )
            row_tiles, row_size, row_delta, lane_tiles, lane_size, lane_delta = self.get(
                f, "row_tiles", "row_block", "row_delta", "lane_tiles", "lane_block", "lane_delta"
            )
            phase = outer_phase * lane_phases
            at_lanes, slots = self.at(f, "at_lanes"), self.at(f, "at_slots")
            least, most = f.variable(I64, -EMPTY), f.variable(I64, EMPTY)
            with f.loop(0, lane_phases) as i:
                b = lane_phases - 1 - i  # the state ends up with the first of them
                f.call("select_phase", args, state, phase + b)
                origin, first = self.own(f, rank - 1, "origin", "first_offset")
                row = f.offset(at_lanes, b * len(LANE_PHASE), I64)
                f.store(origin, row, LANE_PHASE.index["origin"])
                f.store(first, row, LANE_PHASE.index["first"])
                least.set(f.smaller(least.get(), first))
                most.set(f.larger(most.get(), first))
            with f.loop(0, self.get(f, "slots")[0]) as i:
                f.store(f.constant(EMPTY, I64), slots, i * len(SLOT) + SLOT.index["source"])
            own_rows = f.smaller(row_size, row_tiles - row_block * row_size)
            own_lanes = f.smaller(lane_size, lane_tiles - lane_block * lane_size)
            own_samples = f.smaller(sample_block_size, samples - sample_block * sample_block_size)
            row_start = residue + row_block * row_size * self.row.m * row_delta
            lane_start = lane_block * lane_size * self.lane.m * lane_delta
            (residues,) = self.get(f, "lane_residues")
            self.note(
                f,
                group=group,
                phase=phase,
                lane_first=least.get(),
                lane_reach=most.get() - least.get(),
                sample=sample_block * sample_block_size,
                samples=own_samples,
                row_start=row_start,
                row_tiles=own_rows,
                lane_start=lane_start,
                lane_tiles=own_lanes,
                tiles=own_samples * own_rows * residues * own_lanes,
                first_panel=panel_block * block_panels,
                last_panel=f.smaller((panel_block + 1) * block_panels, panels),
            )
            if self.spec.strided:
                f.call("list_places", args, state)
            (row_count,) = self.own(f, rank - 2, "count")
            (lane_count,) = self.own(f, rank - 1, "count")  # of the first phase, which has the most
            inside = f.variable(I64, f.cast("zext", (row_start < row_count) & (lane_start < lane_count), I64))
            depth, depth_size = self.get(f, "depth_axis", "depth_block")
            rest.set(line)
            with f.loop(0, rank - 2) as i:
                a = rank - 3 - i
                with f.when(a.equals(depth) ^ 1):
                    (positions,) = AXIS.read(f, self.axis_row(f, self.args.pointer(f, args, "tables"), a), "blocks")
                    position = rest.get() % positions
                    rest.set(rest.get() // positions)
                    self.put_position(f, a, position, inside)
            with f.when(inside.get().equals(1)):
                with f.when(rank.equals(2)) as deep:
                    f.call("run_position", args, state)
                with deep:
                    (depth_count,) = self.own(f, depth, "count")
                    start = depth_block * depth_size
                    with f.loop(start, f.smaller(start + depth_size, depth_count)) as position:
                        self.put_position(f, depth, position, inside)
                        f.call("run_position", args, state)

    def put_position(self, f: Function, a: Value, position: Value, inside: Variable) -> None:
        """Set the current position on an outer axis; `inside` stays 1 while positions are the phase's."""
        f.store(position, self.state_row(f, f.args["state"], a), self.axis_state.index["position"])
        f.store(position, f.offset(self.at(f, "at_box"), a * len(BOX), I64), BOX.index["at"])
        inside.set(inside.get() & f.cast("zext", position < self.own(f, a, "count")[0], I64))
