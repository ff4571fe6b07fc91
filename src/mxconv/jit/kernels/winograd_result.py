"""The results of a Winograd kernel: tiles transformed back, finished by the epilogue, and stored."""

from __future__ import annotations

from ..ir import I64, PTR, Operand, Value
from ..target import Target
from .epilogue import Epilogue, Place
from .winograd_source import Source
from .winograd_tiles import LANE_PHASE, Spec


class Result(Source):
    """Adds `finish(args, state, panel, count)`."""

    def __init__(self, spec: Spec, target: Target) -> None:
        super().__init__(spec, target)
        self.adds = "add" in spec.epilogue
        self.emit_tiles_out()
        self.emit_store_row()
        self.emit_finish()

    # ---- results: out[row][column][channel lanes] of a row of tiles

    def emit_tiles_out(self) -> None:
        """A^T_r M A_l of a row of tiles, `first` its first, to the strip of its results; finished unless a residual is
        to be added, which has to know where they go. `channel` is that of lane 0, counted over all groups."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("tiles_out", args=PTR, state=PTR, m=PTR, first=I64, channel=I64, rows=I64) as f:
            (lane_tiles,) = self.now(f, "lane_tiles")
            residues, phases, delta, m_point, m_phase, pitch = self.get(
                f, "lane_residues", "lane_phases", "lane_delta", "m_point", "m_phase", "out_pitch"
            )
            strip, at_lanes = self.at(f, "at_strip"), self.at(f, "at_lanes")
            epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
            if not self.adds:
                epilogue.begin_lanes(f.args["channel"], f.lane_numbers(lanes) < f.splat(f.args["rows"], lanes))
            origin = f.load(I64, at_lanes, LANE_PHASE.index["origin"])
            with f.loop(0, phases) as b, f.loop(0, residues) as residue, f.loop(0, lane_tiles) as j:
                shift = f.load(I64, at_lanes, b * len(LANE_PHASE) + LANE_PHASE.index["origin"]) - origin
                number = f.args["first"] + residue * lane_tiles + j
                tile = f.offset(f.args["m"], b * m_phase + number * lanes, numbers.computed)
                column = (j * self.lane.m * delta + residue) * phases + shift
                to, step = f.offset(strip, column * lanes, numbers.computed), delta * phases * lanes

                def load(s: Operand, t: Operand, tile: Value = tile) -> Value:
                    return f.load(self.vector, tile, m_point * (t + s * self.lane.n), aligned=True)

                def store(s: Operand, t: Operand, x: Value, to: Value = to, step: Value = step) -> None:
                    (value,) = (x,) if self.adds else epilogue.finish([x])
                    f.store(value, to, s * pitch + t * step, aligned=True)

                self.both_ways(f, self.row.output, self.lane.output, load, store)

    def emit_store_row(self) -> None:
        """Store the first `width` columns of a row of the strip, of so many (`rows`) result channels, from `to` on."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function(
            "store_row", args=PTR, state=PTR, strip=PTR, to=PTR, channel=I64, rows=I64, width=I64
        ) as f:
            strip, to, channel, rows, width = (f.args[n] for n in ("strip", "to", "channel", "rows", "width"))
            dst_lane, dst_channel = self.get(f, "dst_lane", "dst_channel")
            epilogue = Epilogue(f, numbers, lanes, self.args, f.args["args"], self.epilogue)
            numbered = f.lane_numbers(lanes)
            exist = numbered < f.splat(rows, lanes)

            def put(value: Value, place: Place) -> None:
                if self.adds:
                    epilogue.store([value], [place])
                else:
                    place.store(f, numbers.narrow(f, value))

            with f.when(dst_lane.equals(1) & (dst_channel.equals(1) ^ 1)) as otherwise, f.loop(0, width, lanes) as i:
                own = f.offset(strip, i * lanes, numbers.computed)
                vectors = f.transpose([f.load(self.vector, own, c * lanes, aligned=True) for c in range(lanes)])
                start = f.offset(to, i, numbers.result)
                places = [f.offset(start, dst_channel * c, numbers.result) for c in range(lanes)]
                with f.when((width - i >= lanes) & (rows >= lanes)) as partly:
                    for c, (value, place) in enumerate(zip(vectors, places, strict=True)):
                        if self.adds:
                            epilogue.begin_row(channel + c)
                        put(value, Place(place))
                with partly:
                    mask = numbered < f.splat(width - i, lanes)
                    for c, (value, place) in enumerate(zip(vectors, places, strict=True)):
                        with f.when(rows > c):
                            if self.adds:
                                epilogue.begin_row(channel + c)
                            put(value, Place(place, mask))
            with otherwise:
                if self.adds:
                    epilogue.begin_lanes(channel, exist)
                with f.loop(0, width) as i:
                    value = f.load(self.vector, strip, i * lanes, aligned=True)
                    start = f.offset(to, i * dst_lane, numbers.result)
                    with f.when(dst_channel.equals(1)) as apart:
                        put(value, Place(start, exist))
                    with apart:
                        pointers = f.offset(start, numbered * f.splat(dst_channel, lanes), numbers.result)
                        put(value, Place(pointers, exist))

    def emit_finish(self) -> None:
        """All results of a chunk of panels at the current position on the outer axes."""
        numbers, lanes = self.numbers, self.lanes
        with self.module.function("finish", args=PTR, state=PTR, panel=I64, count=I64) as f:
            args, state = f.args["args"], f.args["state"]
            rank, rows, pitch, out_pitch, residues = self.get(
                f, "rank", "rows", "tile_pitch", "out_pitch", "lane_residues"
            )
            dst_batch, dst_group, dst_channel = self.get(f, "dst_batch", "dst_group", "dst_channel")
            row_delta, columns, lane_phases = self.get(f, "row_delta", "columns", "lane_phases")
            group, sample, samples, row_start, row_tiles, lane_start, lane_tiles = self.now(
                f, "group", "sample", "samples", "row_start", "row_tiles", "lane_start", "lane_tiles"
            )
            m, strip, at_lanes = self.at(f, "at_m"), self.at(f, "at_strip"), self.at(f, "at_lanes")
            to = f.variable(I64, group * dst_group + sample * dst_batch)
            with f.loop(0, rank - 2) as a:
                position, origin = self.own(f, a, "position", "origin")
                to.set(to.get() + (origin + position * self.table(f, "dst_step", a)) * self.table(f, "dst_stride", a))
            row_step, row_stride = self.table(f, "dst_step", rank - 2), self.table(f, "dst_stride", rank - 2)
            lane_step, lane_stride = self.table(f, "dst_step", rank - 1), self.table(f, "dst_stride", rank - 1)
            row_count, row_origin = self.own(f, rank - 2, "count", "origin")
            lane_origin = f.load(I64, at_lanes, LANE_PHASE.index["origin"])
            start = to.get() + (lane_origin + lane_start * lane_step) * lane_stride
            (lane_count,) = self.own(f, rank - 1, "count")
            limit = f.select(lane_phases > 1, columns, lane_count)
            (delta,) = self.get(f, "lane_delta")
            most = lane_tiles * (self.lane.m) * delta * lane_phases
            width = f.smaller(limit - lane_start * lane_phases, most)
            dst = f.offset(self.args.pointer(f, args, "dst"), start, numbers.result)
            first = f.args["panel"] * self.nr
            with (
                f.loop(0, f.smaller(f.args["count"] * self.nr, rows - first), lanes) as v,
                f.loop(0, samples) as n,
                f.loop(0, row_tiles) as i,
            ):
                own_m = f.offset(m, (v // lanes) * pitch, numbers.computed)
                channel, left = group * rows + first + v, rows - first - v
                number = (n * row_tiles + i) * residues * lane_tiles
                f.call("tiles_out", args, state, own_m, number, channel, left)
                row = row_start + i * self.row.m * row_delta
                with f.loop(0, self.row.m) as s:
                    at = row + s * row_delta
                    with f.when(at < row_count):
                        place = n * dst_batch + (first + v) * dst_channel + (row_origin + at * row_step) * row_stride
                        f.call(
                            "store_row",
                            args,
                            state,
                            f.offset(strip, s * out_pitch, numbers.computed),
                            f.offset(dst, place, numbers.result),
                            channel,
                            left,
                            width,
                        )
