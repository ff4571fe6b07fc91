"""Overlap-save: a long filter along one axis by Fourier transforms of blocks of the line.

    dst[m, g] = sum over c, t of src[c, g*step + start + t*step] * w[m, c, t]

A block reads 2*half samples and has `outputs` results, the rest wraps around and is not stored. It is transformed as a
polynomial modulo t^(2*half) + 1 (see jit/fft.py and fft_passes.py), so that a block is `half` complex values and
nothing is untangled. Products with the conjugate of a filter's spectrum are correlations, and channels are summed
between the transforms. See fft_pieces.py for families, units and columns.

With one source channel a group, a task takes columns from end to end in its own scratch (`run`). Otherwise columns are
worked on in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import I8, I64, PTR
from ..target import Target
from .fft_columns import COLUMN
from .fft_lines_abreast import LinesAbreast
from .gemm import Tile


@dataclass(frozen=True, slots=True)
class Spec:
    """What the code is specialised on."""

    dtype: str
    tile: Tile | None
    """Result channels and blocks whose sums over channels are made at once; None: one source channel a group."""
    abreast: str = ""
    """What of lines whose samples are far apart are neighbours; see LinesAbreast."""
    epilogue: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        tile = f"{self.tile.mr}x{self.tile.nv}mixed" if self.tile else "1x1separate"
        return "_".join((f"fft_1d_{self.dtype}_{tile}{self.abreast}", *self.epilogue))


def emit_fft_1d(spec: Spec, target: Target) -> str:
    """The bundle's IR: exported functions `pack_weight(args, worker)` and `run`, or `begin`, `transform`, `mix` and
    `restore`."""
    return _Bundle(spec, target).module.text()


class _Bundle(LinesAbreast):
    def __init__(self, spec: Spec, target: Target) -> None:
        tile = spec.tile
        super().__init__(spec.dtype, target, spec.epilogue, tile.mr if tile else 1, separate=tile is None)
        if spec.abreast:
            self.emit_abreast(spec.abreast)
        if tile is None:
            if spec.abreast:
                self.emit_run_abreast(groups=spec.abreast == "groups")
            else:
                self.emit_run()
        else:
            self.emit_begin()
            self.emit_transform(abreast=bool(spec.abreast))
            self.emit_tile(tile)
            self.emit_mix(tile)
            self.emit_restore(abreast=bool(spec.abreast))

    # ---- one source channel a group

    def emit_run(self) -> None:
        with self.module.function("run", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, share, units, families, blocks, rows, at_spectrum, sets = self.args.read(
                f, args, "run_tasks", "share", "units", "families", "blocks", "rows", "at_spectrum", "sets"
            )
            spectrum = f.offset(work, at_spectrum, I8)
            transform = self.args.pointer(f, args, "transform")
            total = families * units * blocks
            outputs, low, high = (f.offset(column, COLUMN.index[name], I64) for name in ("outputs", "low", "high"))
            with (
                f.tasks(self.args.address(f, args, "run_counter"), tasks) as task,
                f.loop(task * share, f.smaller((task + 1) * share, total)) as n,
            ):
                block, unit, family = n % blocks, n // blocks % units, n // (blocks * units)
                f.call("locate", args, family, unit, block, column)
                with f.when(f.load(I64, outputs) > 0):
                    source, (lane, step) = (
                        self.source_of(f, args, column),
                        self.args.read(f, args, "src_lane", "tap_step"),
                    )
                    mark = f.call_for(
                        I64, "stage", args, source, lane * step, f.load(I64, low), f.load(I64, high), work
                    )
                    f.call("to_spectrum", work, transform, spectrum, self.pair)
                    with f.loop(0, rows) as row:
                        filter_ = self.panel(f, args, family, row, 0, 1)
                        f.call("to_line", spectrum, self.pair, filter_, transform, work)
                        bad = mark | f.load(I64, self.panel_mark(f, args, family, row, 0))
                        with f.when(bad > 0):
                            f.call("mend", args, column, family, row, work)
                        f.call("finish", args, column, work, row, family // sets * rows + row)

    # ---- several source channels a group

    def emit_transform(self, *, abreast: bool) -> None:
        with self.module.function("transform", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, columns, channels, vectors, blocks, pitch = self.args.read(
                f, args, "transform_tasks", "piece_columns", "channels", "vectors", "blocks", "columns_vector"
            )
            lane, step = self.args.read(f, args, "src_lane", "tap_step")
            spectra, transform = (self.args.pointer(f, args, name) for name in ("columns", "transform"))
            first_family, first_column = self.corner(f, args)
            share = self.lanes if abreast else 1
            bundles = (channels + (share - 1)) // share
            (between,) = self.args.read(f, args, "line_pitch")
            with f.tasks(self.args.address(f, args, "transform_counter"), tasks) as task:
                n, c, own = task % columns, task // columns % bundles * share, task // (columns * bundles)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    f.call("locate", args, family, number // blocks, number % blocks, column)
                    low, high = COLUMN.read(f, column, "low", "high")
                    source = self.source_of(f, args, column, c)
                    count = f.smaller(channels - c, share)
                    if abreast:
                        mark = f.call_for(I64, "stage_abreast", args, source, lane * step, low, high, count, work)
                    else:
                        mark = f.call_for(I64, "stage", args, source, lane * step, low, high, work)
                    with f.loop(0, count) as i:
                        f.store(mark, self.mark_of(f, args, own, n, c + i))
                        at = own * vectors * pitch + ((c + i) * columns + n) * self.pair
                        line = f.offset(work, i * between, self.element)
                        f.call("to_spectrum", line, transform, f.offset(spectra, at, self.element), pitch)

    def emit_restore(self, *, abreast: bool) -> None:
        with self.module.function("restore", exported=True, args=PTR, worker=I64) as f:
            args = f.args["args"]
            work = self.scratch(f, args)
            column = f.stack(I64, len(COLUMN))
            tasks, columns, rows, vectors, blocks, sets, pitch = self.args.read(
                f, args, "restore_tasks", "piece_columns", "rows", "vectors", "blocks", "sets", "results_vector"
            )
            results, transform = (self.args.pointer(f, args, name) for name in ("results", "transform"))
            first_family, first_column = self.corner(f, args)
            share = self.lanes if abreast else 1
            bundles = (rows + (share - 1)) // share
            (between,) = self.args.read(f, args, "line_pitch")
            with f.tasks(self.args.address(f, args, "restore_counter"), tasks) as task:
                n, first, own = task % columns, task // columns % bundles * share, task // (columns * bundles)
                family, number = first_family + own, first_column + n
                with f.when(self.exists(f, args, family, number)):
                    f.call("locate", args, family, number // blocks, number % blocks, column)
                    count = f.smaller(rows - first, share)
                    with f.loop(0, count) as i:
                        at = own * vectors * pitch + ((first + i) * columns + n) * self.pair
                        line = f.offset(work, i * between, self.element)
                        f.call("to_line", f.offset(results, at, self.element), pitch, transform, line)
                        with f.when(self.is_marked(f, args, own, n, family, first + i)):
                            f.call("mend", args, column, family, first + i, line)
                    channel = family // sets * rows + first
                    if abreast:
                        f.call("finish_abreast", args, column, work, first, channel, count)
                    else:
                        f.call("finish", args, column, work, first, channel)
