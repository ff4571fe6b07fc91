"""Vectors of tiles, one in each lane: which tiles they are, and their rows staged and transformed.

See fft_2d.py. A lane is one tile of one result channel: neighbouring channels of the same tile, or neighbouring tiles
of the same channel; the argument block says which (`channel_lane`, `position_lane`).
"""

from __future__ import annotations

from ..ir import I32, I64, PTR, Function, Type, Value, Variable
from ..target import Target
from .correlation import AXIS, Correlation
from .gemm import Tile
from .pointwise import magnitude_bits

TILE = ("tile_rows", "tile_columns", "one_row_tile", "one_column_tile")
ARGS = (
    # functions and tables of fft_lines
    "forward", "inverse", "convolve", "spectrum", "row_table", "column_table",
    # extents of a tile; elements from one staged row to the next; whether an axis is a single tile that wraps around
    *TILE, "pitch",
    # tasks: positions (sample, tile) of each channel; how many tasks of neighbouring positions follow each other, or of
    # channels; which channel and position the lanes of a vector are
    "positions", "inner", "channels_inner", "channel_step", "position_step", "channel_lane", "position_lane",
    "all_channels",
    # elements of one panel; whether the lanes are neighbours in memory; how many rows ahead memory is asked for
    "panel", "src_beside", "dst_beside", "rows_ahead",
    # sections of a worker's scratch
    "at_lanes", "at_limits", "at_row", "at_work", "at_spectrum", "at_tile", "at_largest",
)  # fmt: skip
"""This algorithm's slots, after COMMON_ARGS."""

LANE = (
    "first_column", "last_column", "columns", "first_row", "last_row", "rows", "first", "last", "some", "src", "dst",
    "channel",
)  # fmt: skip
"""Of each lane: which columns and rows of its tile lie in the image, how many columns and rows of results exist, the
same of a leading axis, where its tile begins in the source and its results in the destination (addresses), and its
result channel. A vector of 64-bit integers for each."""
PER_AXIS = 3
"""The first come by axis, the lane axis first; leading axes share the last three of them."""

STATE = ("begin_row", "end_row", "begin_column", "end_column", "rows", "columns", "first_channel")
"""Of all lanes together: the rows and columns that lie in the image in any of them, and the most results."""


class LaneTiles(Correlation):
    """A correlation whose bundle works on vectors of tiles."""

    def __init__(self, dtype: str, target: Target, src_step: int) -> None:
        super().__init__(dtype, Tile(1, 1), target, ARGS, STATE, packs_weight=False)
        self.src_step = src_step
        self.bits = (I32 if self.numbers.computed.itemsize == 4 else I64).of(self.lanes)
        self.emit_clear()
        self.emit_list_lanes()
        self.emit_stage_beside()
        self.emit_stage_blocks()
        self.emit_stage_apart()
        self.emit_transform_rows()

    # ---- small things

    def line(self, f: Function, to: Value, count: Value | int) -> Value:
        """The address so many vectors further."""
        return f.offset(to, f.constant(count, I64) * self.lanes, self.vector)

    def emit_clear(self) -> None:
        """Vectors of zeros."""
        with self.module.function("clear", to=PTR, first=I64, last=I64) as f:
            to = f.args["to"]
            with f.loop(f.args["first"], f.args["last"]) as i:
                f.store(f.zero(self.vector), self.line(f, to, i), aligned=True)

    def lane_vector(self, f: Function, table: Value, name: str) -> Value:
        """A field of all lanes."""
        return f.load(I64.of(self.lanes), table, LANE.index(name) * self.lanes, aligned=True)

    def prefetch_lanes(self, f: Function, table: Value, name: str, stored: Type, offset: Value, step: int) -> None:
        """Ask for a block of columns of each lane so far from where its tile begins, in the source or destination."""
        for i in range(self.lanes):
            start = f.offset(f.load(PTR, table, LANE.index(name) * self.lanes + i), offset, stored)
            for v in range(step):
                f.prefetch(f.offset(start, v * self.lanes, stored))

    def source_strides(self, f: Function, name: str = "src_stride") -> list[Value]:
        """Elements from one row of the source to the next, and from one column."""
        args = f.args["args"]
        tables, (rank,) = self.args.pointer(f, args, "tables"), self.args.read(f, args, "rank")
        return [AXIS.read(f, self.axis_row(f, tables, rank - n), name)[0] for n in (2, 1)]

    # ---- the lanes of a task

    def emit_list_lanes(self) -> None:
        """Describe each lane (see LANE) and all of them together (see STATE). Lanes that do not exist look at the last
        one that does, and have no results."""
        with self.module.function("list_lanes", args=PTR, state=PTR, channel=I64, position=I64) as f:
            args, state = f.args["args"], f.args["state"]
            tables, table = self.args.pointer(f, args, "tables"), self.section(f, args, state, "at_lanes")
            rank, rows, channels = self.args.read(f, args, "rank", "rows", "all_channels")
            positions, channel_lane, position_lane = self.args.read(
                f, args, "positions", "channel_lane", "position_lane"
            )
            src_batch, src_group = self.args.read(f, args, "src_batch", "src_group")
            dst_batch, dst_group, dst_channel = self.args.read(f, args, "dst_batch", "dst_group", "dst_channel")
            tile_rows, tile_columns, one_row, one_column = self.args.read(f, args, *TILE)
            rest, src, dst, inside, alive = (f.variable(I64) for _ in range(5))
            found = {name: f.variable(I64, 0) for name in STATE}
            found["begin_row"].set(1 << 62)
            found["begin_column"].set(1 << 62)
            sources, results = (self.args.pointer(f, args, name) for name in ("src", "dst"))
            fields: dict[str, Value] = {}
            with f.loop(0, self.lanes) as lane:
                wanted, position = f.args["channel"] + lane * channel_lane, f.args["position"] + lane * position_lane
                channel = f.smaller(wanted, channels - 1)
                rest.set(f.smaller(position, positions - 1))
                group, row = channel // rows, channel % rows
                src.set(group * src_group)
                dst.set(group * dst_group + row * dst_channel)
                inside.set(1)
                alive.set(f.cast("zext", (wanted < channels) & (position < positions), I64))
                own = f.offset(table, lane, I64)
                with f.loop(0, rank) as i:
                    a = rank - 1 - i
                    row_of = self.axis_row(f, tables, a)
                    block, blocks, extent, src_stride = AXIS.read(f, row_of, "block", "blocks", "extent", "src_stride")
                    dst_stride, dst_step = AXIS.read(f, row_of, "dst_stride", "dst_step")
                    mine = self.state_row(f, state, a)
                    count, origin, low = self.axis_state.read(f, mine, "count", "origin", "first_offset")
                    start = (rest.get() % blocks) * block
                    rest.set(rest.get() // blocks)
                    is_lane, is_row = i.equals(0), i.equals(1)
                    one = f.select(is_lane, one_column, f.select(is_row, one_row, 0))
                    size = f.select(is_lane, tile_columns, f.select(is_row, tile_rows, 1))
                    base = (start + low) * (1 - one)
                    src.set(src.get() + base * src_stride)
                    dst.set(dst.get() + (origin + start * dst_step) * dst_stride)
                    first = f.smaller(f.larger(0 - base, 0), size)
                    last = f.larger(f.smaller(extent - base, size), first)
                    most = f.larger(f.smaller(count - start, block), 0)
                    inside.set(inside.get() & f.cast("zext", first < last, I64))
                    alive.set(alive.get() & f.cast("zext", most > 0, I64))
                    for n, value in enumerate((first, last, most)):
                        f.store(value, own, (f.smaller(i, 2) * PER_AXIS + n) * self.lanes)
                for name in ("first_column", "last_column", "columns", "first_row", "last_row", "rows"):
                    fields[name] = f.load(I64, own, LANE.index(name) * self.lanes)
                for name, factor in (("first_row", inside), ("last_row", inside), ("rows", alive)):
                    fields[name] = fields[name] * factor.get()
                fields["channel"] = channel
                for name, field in fields.items():
                    f.store(field, own, LANE.index(name) * self.lanes)
                src.set(src.get() + rest.get() * src_batch)
                dst.set(dst.get() + rest.get() * dst_batch)
                f.store(f.offset(sources, src.get(), self.numbers.stored), own, LANE.index("src") * self.lanes)
                f.store(f.offset(results, dst.get(), self.numbers.result), own, LANE.index("dst") * self.lanes)
                for name in ("row", "column"):
                    least, field = found[f"begin_{name}"], fields[f"first_{name}"]
                    least.set(f.smaller(least.get(), field))
                    for largest, of in ((f"end_{name}", f"last_{name}"), (f"{name}s", f"{name}s")):
                        found[largest].set(f.larger(found[largest].get(), fields[of]))
            found["first_channel"].set(f.args["channel"])
            for name, cell in found.items():
                f.store(cell.get(), state, self.state.index[name])

    # ---- staging: row[column][lane], of one row of all lanes' tiles; the largest magnitudes are kept by lane

    def inside(self, f: Function, table: Value, row: Value) -> tuple[Value, Value, Value]:
        """Between which columns each lane's tile lies in the image, and whether that row of it does."""
        names = ("first_column", "last_column", "first_row", "last_row")
        left, right, top, bottom = (self.lane_vector(f, table, name) for name in names)
        return left, right, (f.splat(row, self.lanes) - top).below(bottom - top)

    def stage(self, f: Function, value: Value, to: Value, x: Value, largest: Variable) -> None:
        """Put one column of all lanes, widened, in its place."""
        largest.set(f.larger(largest.get(), magnitude_bits(f, value)))
        f.store(value, self.line(f, to, x), aligned=True)

    def emit_stage_beside(self) -> None:
        """Lanes that are neighbours in memory, all in the same tile."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage_beside", args=PTR, state=PTR, row=I64, to=PTR, largest=PTR) as f:
            args, state, to = f.args["args"], f.args["state"], f.args["to"]
            table = self.section(f, args, state, "at_lanes")
            low, high, channel = self.state.read(f, state, "begin_column", "end_column", "first_channel")
            columns, channels = self.args.read(f, args, "tile_columns", "all_channels")
            stride_y, stride_x = self.source_strides(f)
            start = f.offset(f.load(PTR, table, LANE.index("src") * lanes), f.args["row"] * stride_y, numbers.stored)
            exists = f.lane_numbers(lanes) < f.splat(channels - channel, lanes)
            f.call("clear", to, 0, low)
            f.call("clear", to, high, columns)
            largest = f.variable(self.bits, f.load(self.bits, f.args["largest"], aligned=True))
            with f.loop(low, high) as x:
                at = f.offset(start, x * stride_x, numbers.stored)
                value = numbers.widen(f, f.masked_load(numbers.stored.of(lanes), at, exists))
                self.stage(f, value, to, x, largest)
            f.store(largest.get(), f.args["largest"], aligned=True)

    def emit_stage_blocks(self) -> None:
        """Rows whose columns are neighbours, or `src_step` apart: squares of as many columns as lanes, transposed in
        registers. What lies between the columns of a row is read as well."""
        numbers, lanes, step = self.numbers, self.lanes, self.src_step
        stored = numbers.stored.of(lanes)
        with self.module.function("stage_blocks", args=PTR, state=PTR, row=I64, to=PTR, largest=PTR) as f:
            args, state, row, to = (f.args[n] for n in ("args", "state", "row", "to"))
            table = self.section(f, args, state, "at_lanes")
            low, high = self.state.read(f, state, "begin_column", "end_column")
            (columns,) = self.args.read(f, args, "tile_columns")
            stride_y, _ = self.source_strides(f)
            down = row * stride_y
            (ahead,) = self.args.read(f, args, "rows_ahead")
            left, right, has_row = self.inside(f, table, row)
            is_inside = has_row & (left < right)
            # Each lane's elements are those that lie, unsigned, less than `width` after `begin`; scalars in memory
            # spread to all lanes for nothing.
            begins = self.section(f, args, state, "at_limits")
            widths = f.offset(begins, lanes, I32)
            f.store(f.cast("trunc", left * step, I32), begins, aligned=True)
            width = f.cast("trunc", (right - left - 1) * step + 1, I32)
            f.store(f.select(is_inside, width, 0), widths, aligned=True)
            largest = f.variable(self.bits, f.load(self.bits, f.args["largest"], aligned=True))
            with f.loop(0, columns, lanes) as x:
                with f.when((x < high) & (low < x + lanes)) as outside:
                    first = f.splat(f.cast("trunc", x * step, I32), lanes)
                    with f.when(ahead > 0):
                        self.prefetch_lanes(f, table, "src", stored, down + ahead * stride_y + x * step, step)
                    rows = []
                    for i in range(lanes):
                        begin, width = (f.splat(f.load(I32, of, i), lanes) for of in (begins, widths))
                        source = f.load(PTR, table, LANE.index("src") * lanes + i)
                        there = f.offset(source, down + x * step, stored)
                        read = []
                        for v in range(step):
                            at = f.vector(I32, range(v * lanes, (v + 1) * lanes)) + first
                            mask = (at - begin).below(width)
                            read.append(f.masked_load(stored, f.offset(there, v * lanes, stored), mask))
                        rows.append(numbers.widen(f, self.every(f, read)))
                    for i, value in enumerate(f.transpose(rows)):
                        self.stage(f, value, to, x + i, largest)
                with outside:
                    f.call("clear", to, x, x + lanes)
            f.store(largest.get(), f.args["largest"], aligned=True)

    def every(self, f: Function, vectors: list[Value]) -> Value:
        """Every so manieth lane of neighbouring vectors, as many as there are vectors."""
        step, lanes = len(vectors), self.lanes
        found = vectors[0]
        for v in range(1, step):
            places = [divmod(j * step, lanes) for j in range(lanes)]
            kept = [lane if v == 1 else j for j, (_, lane) in enumerate(places)]
            found = f.shuffle(found, vectors[v], [lanes + p[1] if p[0] == v else kept[j] for j, p in enumerate(places)])
        return found

    def emit_stage_apart(self) -> None:
        """Any strides: each number for itself."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("stage_apart", args=PTR, state=PTR, row=I64, to=PTR, largest=PTR) as f:
            args, state, row, to = (f.args[n] for n in ("args", "state", "row", "to"))
            table = self.section(f, args, state, "at_lanes")
            low, high = self.state.read(f, state, "begin_column", "end_column")
            (columns,) = self.args.read(f, args, "tile_columns")
            stride_y, stride_x = self.source_strides(f)
            left, right, has_row = self.inside(f, table, row)
            sources = f.load(PTR.of(lanes), table, LANE.index("src") * lanes)
            f.call("clear", to, 0, low)
            f.call("clear", to, high, columns)
            largest = f.variable(self.bits, f.load(self.bits, f.args["largest"], aligned=True))
            with f.loop(low, high) as x:
                exists = (f.splat(x, lanes) - left).below(right - left) & has_row
                pointers = f.offset(sources, f.splat(row * stride_y + x * stride_x, lanes), numbers.stored)
                value = numbers.widen(f, f.gather(numbers.stored.of(lanes), pointers, exists))
                self.stage(f, value, to, x, largest)
            f.store(largest.get(), f.args["largest"], aligned=True)

    def emit_transform_rows(self) -> None:
        """Stage and transform every row of all lanes' tiles."""
        with self.module.function("transform_rows", args=PTR, state=PTR) as f:
            args, state = f.args["args"], f.args["state"]
            row, tile, largest = (self.section(f, args, state, n) for n in ("at_row", "at_tile", "at_largest"))
            names = ("tile_rows", "tile_columns", "pitch", "src_beside")
            rows, columns, pitch, beside = self.args.read(f, args, *names)
            forward, table = (self.args.pointer(f, args, n) for n in ("forward", "row_table"))
            first, last = self.state.read(f, state, "begin_row", "end_row")
            _, stride = self.source_strides(f)
            with f.loop(0, rows) as y:
                line = f.offset(tile, y * pitch, self.numbers.computed)
                with f.when((first <= y) & (y < last)) as outside:
                    with f.when(beside.equals(1)) as lanes_apart:
                        f.call("stage_beside", args, state, y, row, largest)
                    with lanes_apart:
                        with f.when(stride.equals(self.src_step)) as columns_apart:
                            f.call("stage_blocks", args, state, y, row, largest)
                        with columns_apart:
                            f.call("stage_apart", args, state, y, row, largest)
                    f.call_at(forward, row, line, table)
                with outside:
                    f.call("clear", line, 0, columns)
