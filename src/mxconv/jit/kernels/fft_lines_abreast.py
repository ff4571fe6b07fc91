"""Lines whose samples are far apart but that are neighbours themselves, as channels last are, or columns of an image.

As many as there are lanes are copied together, a vector across them for each sample, and transposed in registers; the
same on the way out. Between, each is a line like any other.
"""

from __future__ import annotations

from ..ir import I64, PTR
from .epilogue import Epilogue, Place
from .fft_columns import COLUMN, Columns
from .pointwise import Huge


class LinesAbreast(Columns):
    """What is added to the functions of Columns for lines that are neighbours: "groups", "positions" (of the last other
    axis) or "channels" (of a group)."""

    def emit_abreast(self, neighbours: str) -> None:
        self.emit_stage_abreast()
        self.emit_finish_abreast(channels=neighbours != "positions")

    def emit_stage_abreast(self) -> None:
        """As `stage`, for `count` lines that are neighbours, sample by sample; gives whether any had a huge value."""
        lanes = self.lanes
        with self.module.function(
            "stage_abreast", args=PTR, origin=PTR, distance=I64, low=I64, high=I64, count=I64, work=PTR
        ) as f:
            distance, count, work = (f.args[name] for name in ("distance", "count", "work"))
            half, pitch = self.args.read(f, f.args["args"], "half", "line_pitch")
            exist = f.lane_numbers(lanes) < f.splat(count, lanes)
            huge = Huge(f, self.vector)
            with f.loop(0, 2) as part:
                low, high = (self.between(f, f.args[name] - part * half, half) for name in ("low", "high"))
                to = f.offset(work, part * lanes, self.element)
                origin = f.offset(f.args["origin"], part * half * distance, self.numbers.stored)
                with f.loop(0, half, lanes) as first:
                    samples = []
                    for i in range(lanes):
                        j = first + i
                        at = f.offset(origin, j * distance, self.numbers.stored)
                        mask = f.select((j >= low) & (j < high), exist, 0)
                        samples.append(self.numbers.widen(f, f.masked_load(self.stored, at, mask)))
                    for i, value in enumerate(f.transpose(samples)):
                        huge.see(value)
                        f.store(value, f.offset(to, pitch * i + first * 2, self.element), aligned=True)
            found = huge.found()
            with f.when(found), f.loop(0, count) as n:
                self.leave_out(f, f.offset(work, n * pitch, self.element), half // lanes)
            f.give(f.cast("zext", found, I64))

    def emit_finish_abreast(self, *, channels: bool) -> None:
        """As `finish`, for `count` neighbouring lines: of result channels from `channel` on, or of positions of one."""
        lanes, result = self.lanes, self.numbers.result
        with self.module.function(
            "finish_abreast", args=PTR, column=PTR, work=PTR, row=I64, channel=I64, count=I64
        ) as f:
            args = f.args["args"]
            half, pitch, dst_channel, dst_lane, dst_step, tap_step = self.args.read(
                f, args, "half", "line_pitch", "dst_channel", "dst_lane", "dst_step", "tap_step"
            )
            at, outputs = COLUMN.read(f, f.args["column"], "dst", "outputs")
            distance = dst_lane * dst_step * tap_step
            dst = f.offset(self.args.pointer(f, args, "dst"), at + f.args["row"] * dst_channel, result)
            exist = f.lane_numbers(lanes) < f.splat(f.args["count"], lanes)
            epilogue = Epilogue(f, self.numbers, lanes, self.args, args, self.epilogue)
            if channels:
                epilogue.begin_lanes(f.args["channel"], exist)
            else:
                epilogue.begin_row(f.args["channel"])
            with f.loop(0, 2) as part:
                count = self.between(f, outputs - part * half, half)
                own = f.offset(f.args["work"], part * lanes, self.element)
                to = f.offset(dst, part * half * distance, result)
                with f.loop(0, count, lanes) as first:
                    places = (f.offset(own, pitch * i + first * 2, self.element) for i in range(lanes))
                    lines = [f.load(self.vector, place, aligned=True) for place in places]
                    for i, value in enumerate(f.transpose(lines)):
                        mask = f.select(first + i < count, exist, 0)
                        epilogue.store([value], [Place(f.offset(to, (first + i) * distance, result), mask)])

    def emit_run_abreast(self, *, groups: bool) -> None:
        """As `run`, one row a group, for bundles of neighbouring groups or positions, as many as there are lanes."""
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, units, families, blocks, sets, pitch, bundles, abreast = self.args.read(
                f, args, "run_tasks", "units", "families", "blocks", "sets", "line_pitch", "bundles", "abreast"
            )
            lane, step = self.args.read(f, args, "src_lane", "tap_step")
            transform = self.args.pointer(f, args, "transform")
            outputs, low, high = (f.offset(column, COLUMN.index[name], I64) for name in ("outputs", "low", "high"))
            with f.tasks(self.args.address(f, args, "run_counter"), tasks) as task:
                block, n = task % blocks, task // blocks
                if groups:
                    unit, family = n % units, n // units * self.lanes
                    count = f.smaller(families - family, self.lanes)
                else:
                    rows = units // abreast
                    first = n % bundles * self.lanes
                    unit, family = n // bundles % rows * abreast + first, n // (bundles * rows)
                    count = f.smaller(abreast - first, self.lanes)
                f.call("locate", args, family, unit, block, column)
                with f.when(f.load(I64, outputs) > 0):
                    source = self.source_of(f, args, column)
                    mark = f.call_for(
                        I64,
                        "stage_abreast",
                        args,
                        source,
                        lane * step,
                        f.load(I64, low),
                        f.load(I64, high),
                        count,
                        work,
                    )
                    with f.loop(0, count) as i:
                        own = f.offset(work, i * pitch, self.element)
                        own_family, own_unit = (family + i, unit) if groups else (family, unit + i)
                        f.call("to_spectrum", own, transform, own, self.pair)
                        filter_ = self.panel(f, args, own_family, f.zero(I64), 0, 1)
                        f.call("to_line", own, self.pair, filter_, transform, own)
                        bad = mark | f.load(I64, self.panel_mark(f, args, own_family, f.zero(I64), 0))
                        with f.when(bad > 0):
                            f.call("locate", args, own_family, own_unit, block, column)
                            f.call("mend", args, column, own_family, 0, own)
                    f.call("locate", args, family, unit, block, column)
                    f.call("finish_abreast", args, column, work, 0, family // sets, count)
