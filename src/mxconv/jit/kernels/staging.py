"""Boxes of a phase's grid and the staged copies of their sources: padded, split by stride phase, in scratch.

A box's source interval, halo and zeros included, is copied so that every tap of every grid position is a plain offset.
Along an axis with `split` q the copy holds every q-th sample together, in q phases, so that grid neighbours at step q
are neighbours in memory; with split 1 it keeps the source's order.

Staged layout, one plane a channel:   [phases of all axes][outer axes ...][row axis][lane axis]

Where a row both begins and ends with padding, the zeros at its end are those at the beginning of the next row.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..ir import I64, PTR, Function, Value
from ..target import Target
from .blocks import Layout
from .correlation import AXIS, Correlation
from .gemm import Tile, accumulate

STATE = ("empty", "plane", "rows", "runs")
AXIS_STATE = ("start", "length", "low", "span", "staged", "phase_staged")

ROW_LIST = Layout(("source", "staged", "inside"))
"""One staged row: where it comes from and goes to, and whether it lies in the image (else it is zeros)."""
RUN_LIST = Layout(("staged", "dst"))
"""One position on the leading axes of a box: where it begins in the staged copy and in dst."""

SECTIONS = ("at_rows", "at_runs", "at_offsets", "at_staged")
"""Slots of the scratch sections that staging uses."""

DEINTERLEAVED = (2, 3, 4, 5, 8)
"""Splits whose phases are taken apart by shuffles; those of others are gathered."""


class Staging(Correlation):
    """A correlation whose bundle works box by box on a staged copy.

    Runs are listed over the axes but the last `run_axes`: a run is a plane (2) or a row (1) of the box. Products
    are listed tap by tap, each over all channels, or the other way round (`by_channel`).
    """

    def __init__(
        self,
        dtype: str,
        tile: Tile,
        target: Target,
        args: Sequence[str],
        state: Sequence[str] = (),
        *,
        run_axes: int,
        packs_weight: bool = True,
        by_channel: bool = False,
    ) -> None:
        super().__init__(
            dtype, tile, target, (*SECTIONS, *args), (*STATE, *state), AXIS_STATE, packs_weight=packs_weight
        )
        self.run_axes, self.by_channel = run_axes, by_channel
        self.emit_select_block()
        self.emit_list_rows()
        self.emit_list_runs()
        self.emit_list_offsets()
        self.emit_stage_whole()
        for n in DEINTERLEAVED:
            self.emit_stage_split(n)
        self.emit_stage_apart()
        self.emit_stage()

    # ---- the box of a task

    def emit_select_block(self) -> None:
        """Decode a block number (last axis fastest) into the state: the box, its source interval, its staged layout."""
        with self.module.function("select_block", args=PTR, state=PTR, block=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rest = f.variable(I64, f.args["block"])
            size, empty, shared = f.variable(I64, 1), f.variable(I64, 0), f.variable(I64, 0)
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                block, blocks, step, split = self.axis(f, tables, a, "block", "blocks", "src_step", "split")
                mine = self.state_row(f, state, a)
                count, low, high = self.axis_state.read(f, mine, "count", "first_offset", "last_offset")
                start = (rest.get() % blocks) * block
                rest.set(rest.get() // blocks)
                length = f.smaller(block, count - start)
                empty.set(empty.get() | f.cast("zext", length <= 0, I64))
                span = (length - 1) * step + (high - low) + 1
                self.put(f, mine, start=start, length=length, low=start * step + low, span=span, staged=size.get())
                with f.when(i.equals(0) & split.equals(1)):
                    (extent,) = self.axis(f, tables, a, "extent")
                    before, after = 0 - (start * step + low), start * step + low + span - extent
                    shared.set(f.larger(f.smaller(f.smaller(before, after), high - low), 0))
                pitch = (span + split - 1) // split - f.select(i.equals(0), shared.get(), 0)
                size.set(size.get() * pitch)
            # A vector stored at the end of a phase may overhang; it must not reach into the next phase.
            size.set(size.get() + shared.get() + self.lanes)
            with f.loop(0, rank) as i:
                a = rank - 1 - i
                (split,) = self.axis(f, tables, a, "split")
                self.put(f, self.state_row(f, state, a), phase_staged=size.get())
                size.set(size.get() * split)
            f.store(size.get(), state, self.state.index["plane"])
            f.store(empty.get(), state, self.state.index["empty"])

    def axis(self, f: Function, tables: Value, a: Value, *names: str) -> list[Value]:
        return AXIS.read(f, self.axis_row(f, tables, a), *names)

    def own(self, f: Function, state: Value, a: Value, *names: str) -> list[Value]:
        return self.axis_state.read(f, self.state_row(f, state, a), *names)

    def put(self, f: Function, row: Value, **values: Value) -> None:
        for name, value in values.items():
            f.store(value, row, self.axis_state.index[name])

    def staged_channels(self, f: Function, args: Value, state: Value) -> Value:
        """How many channels are staged: all of a group, unless an algorithm says otherwise."""
        return self.args.read(f, args, "channels")[0]

    def staged_place(self, f: Function, position: Value, split: Value, staged: Value, phase_staged: Value) -> Value:
        """Where a position of an axis lies in the staged copy."""
        return (position % split) * phase_staged + (position // split) * staged

    # ---- lists made once a box

    def emit_list_rows(self) -> None:
        """Every staged row (all axes but the last), in ascending order of the source."""
        with self.module.function("list_rows", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            rows = self.section(f, args, state, "at_rows")
            planes = f.variable(I64, 1)
            with f.loop(0, rank - 2) as a:
                planes.set(planes.get() * self.own(f, state, a, "span")[0])
            rest, source, staged, inside, residue, quotient = (f.variable(I64) for _ in range(6))
            names = ("extent", "src_stride", "split")
            extent, src_stride, split = self.axis(f, tables, rank - 2, *names)
            low, span, own, by_phase = self.own(f, state, rank - 2, "low", "span", "staged", "phase_staged")
            with f.loop(0, planes.get()) as n:
                rest.set(n)
                source.set(low * src_stride)
                staged.set(0)
                inside.set(1)
                with f.loop(0, rank - 2) as i:
                    a = rank - 3 - i
                    outer_extent, stride, outer_split = self.axis(f, tables, a, *names)
                    begin, length, outer, outer_phase = self.own(f, state, a, "low", "span", "staged", "phase_staged")
                    at = rest.get() % length
                    rest.set(rest.get() // length)
                    source.set(source.get() + (begin + at) * stride)
                    staged.set(staged.get() + self.staged_place(f, at, outer_split, outer, outer_phase))
                    inside.set(inside.get() & f.cast("zext", (begin + at).below(outer_extent), I64))
                residue.set(0)  # of a row's number by the split: there are many rows, and divisions take long
                quotient.set(0)
                with f.loop(0, span) as at:
                    row = f.offset(rows, (n * span + at) * len(ROW_LIST), I64)
                    f.store(source.get() + at * src_stride, row, ROW_LIST.index["source"])
                    place = residue.get() * by_phase + quotient.get() * own
                    f.store(staged.get() + place, row, ROW_LIST.index["staged"])
                    exists = f.cast("zext", (low + at).below(extent), I64)
                    f.store(inside.get() & exists, row, ROW_LIST.index["inside"])
                    is_over = f.cast("zext", (residue.get() + 1).equals(split), I64)
                    residue.set((residue.get() + 1) * (1 - is_over))
                    quotient.set(quotient.get() + is_over)
            f.store(planes.get() * span, state, self.state.index["rows"])

    def emit_list_runs(self) -> None:
        """Every position on the leading axes."""
        with self.module.function("list_runs", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,) = self.args.read(f, args, "rank")
            runs = self.section(f, args, state, "at_runs")
            total = f.variable(I64, 1)
            with f.loop(0, rank - self.run_axes) as a:
                total.set(total.get() * self.own(f, state, a, "length")[0])
            rest, staged, dst = (f.variable(I64) for _ in range(3))
            with f.loop(0, total.get()) as n:
                rest.set(n)
                staged.set(0)
                dst.set(0)
                with f.loop(0, rank - self.run_axes) as i:
                    a = rank - (self.run_axes + 1) - i
                    length, own, by_phase = self.own(f, state, a, "length", "staged", "phase_staged")
                    step, split = self.axis(f, tables, a, "src_step", "split")
                    at = rest.get() % length
                    rest.set(rest.get() // length)
                    staged.set(staged.get() + self.staged_place(f, at * step, split, own, by_phase))
                    dst.set(dst.get() + self.destination(f, tables, state, a, at))
                row = f.offset(runs, n * len(RUN_LIST), I64)
                f.store(staged.get(), row, RUN_LIST.index["staged"])
                f.store(dst.get(), row, RUN_LIST.index["dst"])
            f.store(total.get(), state, self.state.index["runs"])

    def destination(self, f: Function, tables: Value, state: Value, a: Value, at: Value) -> Value:
        """The destination's offset of a position of the box on one axis."""
        stride, step = self.axis(f, tables, a, "dst_stride", "dst_step")
        origin, start = self.own(f, state, a, "origin", "start")
        return (origin + (start + at) * step) * stride

    def emit_list_offsets(self) -> None:
        """The staged offset of every tap of every channel: taps outermost, or channels."""
        with self.module.function("list_offsets", args=PTR, state=PTR, table=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            tables = self.args.pointer(f, args, "tables")
            (rank,), channels = self.args.read(f, args, "rank"), self.staged_channels(f, args, state)
            taps, plane = self.state.read(f, state, "taps", "plane")
            unused, place = f.variable(I64, 0), f.variable(I64)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, unused.ref))
                place.set(0)
                with f.loop(0, rank) as a:
                    step, split = self.axis(f, tables, a, "src_step", "split")
                    names = ("offset", "low", "start", "staged", "phase_staged")
                    offset, low, start, staged, by_phase = self.own(f, state, a, *names)
                    at = offset + start * step - low
                    place.set(place.get() + self.staged_place(f, at, split, staged, by_phase))
                with f.loop(0, channels) as c:
                    at = c * taps + t if self.by_channel else t * channels + c
                    f.store(place.get() + c * plane, f.args["table"], at)

    # ---- staging

    def emit_stage_split(self, n: int) -> None:
        """Copy all rows of all channels, widened, to their staged places: of each row n rows of every n-th sample."""
        lanes = self.lanes
        with self.module.function(f"stage_split_{n}", args=PTR, state=PTR, source=PTR, staged=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            extent, _, low, span, by_phase = self.of_rows(f, args, state)
            per_phase = (span + (n - 1)) // n
            with self.staged_rows(f, args, state) as (row, place, inside), f.loop(0, per_phase, lanes) as i:
                to = f.offset(place, i, self.numbers.computed)
                # A row outside the image has no samples: all zeros.
                self.stage_phases(f, row, low + i * n, extent * inside, to, by_phase, n)

    def emit_stage_apart(self) -> None:
        """The same of samples that are no neighbours, or of another split."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("stage_apart", args=PTR, state=PTR, source=PTR, staged=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            extent, stride, low, span, by_phase = self.of_rows(f, args, state)
            (rank,) = self.args.read(f, args, "rank")
            (split,) = self.axis(f, self.args.pointer(f, args, "tables"), rank - 1, "split")
            per_phase = (span + split - 1) // split
            with self.staged_rows(f, args, state) as (row, place, inside):
                width = extent * inside
                with f.when(stride.equals(2) & split.equals(1)) as otherwise, f.loop(0, span, lanes) as i:
                    end = f.larger(width * 2 - 1, 0)
                    pair = [self.samples(f, row, (low + i) * 2 + half * lanes, end) for half in range(2)]
                    f.store(numbers.widen(f, f.deinterleave(pair)[0]), place, i)
                with otherwise, f.loop(0, split) as phase, f.loop(0, per_phase, lanes) as i:
                    every = (f.lane_numbers(lanes) + f.splat(i, lanes)) * f.splat(split, lanes)
                    at = every + f.splat(low + phase, lanes)
                    pointers = f.offset(row, at * f.splat(stride, lanes), stored)
                    value = f.gather(stored, pointers, at.below(f.splat(width, lanes)))
                    f.store(numbers.widen(f, value), place, i + phase * by_phase)

    def stage_phases(
        self, f: Function, source: Value, at: Value, width: Value, to: Value, by_phase: Value, n: int
    ) -> None:
        """One vector of each of n phases, from the samples at coordinates at, at + 1, ... (see `samples`)."""
        lanes, stored = self.lanes, self.numbers.stored.of(self.lanes)

        def put(vectors: list[Value]) -> None:
            for phase, value in enumerate(f.deinterleave(vectors)):
                f.store(self.numbers.widen(f, value), to, by_phase * phase)

        with f.when((at >= 0) & (at + n * lanes <= width)) as partly:
            put([f.load(stored, source, at + j * lanes) for j in range(n)])
        with partly:
            put([self.samples(f, source, at + j * lanes, width) for j in range(n)])

    def samples(self, f: Function, source: Value, at: Value, width: Value) -> Value:
        """The stored samples at coordinates at, at + 1, ...; those outside [0, width) are 0 and are not read."""
        mask = (f.lane_numbers(self.lanes) + f.splat(at, self.lanes)).below(f.splat(width, self.lanes))
        return f.masked_load(self.numbers.stored.of(self.lanes), f.offset(source, at, self.numbers.stored), mask)

    def emit_stage(self) -> None:
        """Stage the box of all channels of a group, from the group's first sample to a place in scratch."""
        with self.module.function("stage", args=PTR, state=PTR, source=PTR, staged=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            where = (args, state, f.args["source"], f.args["staged"])
            (rank,) = self.args.read(f, args, "rank")
            stride, split = self.axis(f, self.args.pointer(f, args, "tables"), rank - 1, "src_stride", "split")
            is_apart = f.variable(I64, 1)
            for n in (1, *DEINTERLEAVED):
                with f.when(stride.equals(1) & split.equals(n)):
                    is_apart.set(0)
                    f.call(f"stage_split_{n}" if n > 1 else "stage_whole", *where)
            with f.when(is_apart.get().equals(1)):
                f.call("stage_apart", *where)

    def emit_stage_whole(self) -> None:
        """Copy all rows of all channels, widened, to their staged places."""
        numbers, lanes = self.numbers, self.lanes
        stored = numbers.stored.of(lanes)
        with self.module.function("stage_whole", args=PTR, state=PTR, source=PTR, staged=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            extent, _, low, span, _ = self.of_rows(f, args, state)
            (src_channel,) = self.args.read(f, args, "src_channel")
            # Of a row's vectors some may begin before the image and some end after it; those between are whole.
            begin = f.smaller((f.larger(0 - low, 0) + (lanes - 1)) // lanes * lanes, span)
            whole = f.larger(begin, f.smaller(f.larger(extent - low, 0), span) // lanes * lanes)
            with self.staged_rows(f, args, state) as (row, place, inside):
                # A row outside the image is one whose first part, up to its end, is masked: all of it is zeros.
                head = f.select(inside.equals(1), begin, span)
                width = extent * inside
                coming = f.offset(row, low + src_channel, numbers.stored)
                with f.loop(0, head, lanes) as i:
                    f.prefetch(f.offset(coming, i, numbers.stored), level=1)
                    f.store(numbers.widen(f, self.samples(f, row, low + i, width)), place, i)
                with f.loop(head, f.larger(head, whole), lanes) as i:
                    f.prefetch(f.offset(coming, i, numbers.stored), level=1)
                    f.store(numbers.widen(f, f.load(stored, row, low + i)), place, i)
                with f.loop(f.larger(head, whole), span, lanes) as i:
                    f.prefetch(f.offset(coming, i, numbers.stored), level=1)
                    f.store(numbers.widen(f, self.samples(f, row, low + i, width)), place, i)

    def of_rows(self, f: Function, args: Value, state: Value) -> list[Value]:
        """What staging asks of the last axis: extent, stride, and low, span and distance of the staged phases."""
        (rank,) = self.args.read(f, args, "rank")
        values = self.axis(f, self.args.pointer(f, args, "tables"), rank - 1, "extent", "src_stride")
        return values + self.own(f, state, rank - 1, "low", "span", "phase_staged")

    @contextmanager
    def staged_rows(self, f: Function, args: Value, state: Value) -> Iterator[tuple[Value, Value, Value]]:
        """For every row of every channel: the source, its staged place, and whether it lies in the image."""
        (src_channel,), channels = self.args.read(f, args, "src_channel"), self.staged_channels(f, args, state)
        plane, rows = self.state.read(f, state, "plane", "rows")
        row_list = self.section(f, args, state, "at_rows")
        with f.loop(0, channels) as channel:
            source = f.offset(f.args["source"], channel * src_channel, self.numbers.stored)
            staged = f.offset(f.args["staged"], channel * plane, self.numbers.computed)
            with f.loop(0, rows) as n:
                entry = f.offset(row_list, n * len(ROW_LIST), I64)
                from_, to, inside = ROW_LIST.read(f, entry, *ROW_LIST.names)
                row = f.offset(source, from_, self.numbers.stored)
                yield row, f.offset(staged, to, self.numbers.computed), inside

    # ---- what is needed next, fetched into cache while tiles are multiplied

    def emit_ask(self) -> None:
        """Ask for a share, part `part` of `parts`, of what another box reads: of some channels of some samples a few
        rows, each `length` elements from where an entry of the table, `spacing` numbers long, says that it begins.

        They need not exist: asking for a line that does not is no fault.
        """
        with self.module.function(
            "ask", start=PTR, samples=I64, batch=I64, channels=I64, channel=I64, table=PTR, rows=I64, spacing=I64,
            length=I64, part=I64, parts=I64,
        ) as f:  # fmt: skip
            a = f.args
            total = a["samples"] * a["channels"] * a["rows"]
            share = (total + (a["parts"] - 1)) // f.larger(a["parts"], 1)
            begin = a["part"] * share
            per_sample = f.larger(a["channels"] * a["rows"], 1)
            rest = begin % per_sample
            sample, channel = f.variable(I64, begin // per_sample), f.variable(I64, rest // f.larger(a["rows"], 1))
            row = f.variable(I64, rest % f.larger(a["rows"], 1))
            with f.loop(begin, f.smaller(begin + share, total)):
                at = sample.get() * a["batch"] + channel.get() * a["channel"]
                at = at + f.load(I64, a["table"], row.get() * a["spacing"])
                here = f.offset(a["start"], at, self.numbers.stored)
                with f.loop(0, a["length"], 64 // self.numbers.stored.itemsize) as i:
                    f.prefetch(f.offset(here, i, self.numbers.stored))
                row.set(row.get() + 1)
                for cell, end, following in ((row, a["rows"], channel), (channel, a["channels"], sample)):
                    is_over = f.cast("zext", cell.get().equals(end), I64)
                    following.set(following.get() + is_over)
                    cell.set(cell.get() * (1 - is_over))

    # ---- the register tile

    def sum_products(self, f: Function, staged: Value, width: int) -> list[list[Value]]:
        """The sums of a tile, `width` vectors of pixels, over k products of a function's arguments a and offsets."""
        numbers, lanes, mr = self.numbers, self.lanes, self.tile.mr
        cells = [[f.variable(self.vector) for _ in range(width)] for _ in range(mr)]
        for cell in itertools.chain.from_iterable(cells):
            cell.set(0)
        with f.loop(0, f.args["k"]) as k:
            row = f.offset(staged, f.load(I64, f.args["offsets"], k), numbers.computed)
            weights = f.offset(f.args["a"], k * mr, numbers.computed)
            columns = [f.load(self.vector, row, j * lanes) for j in range(width)]
            for i in range(mr):
                weight = f.splat(f.load(numbers.computed, weights, i), lanes)
                for j in range(width):
                    accumulate([cells[i][j]], [weight], [columns[j]])
        return [[cell.get() for cell in row] for row in cells]
