"""Images whose pixels are neighbours, transposed into scratch a square of channels and pixels at a time."""

from __future__ import annotations

from ..ir import I64, PTR, Function, Value
from .planes import Planes


def emit_transpose_in(bundle: Planes) -> None:
    """Functions that put `count` pixels of a vector of channels in scratch, as many as there are lanes or fewer; the
    channels lie `distance` apart, and a row of `extent` pixels begins `pitch` elements after the one before.

    `column` is the first pixel's. Pixels that do not exist are zeros beyond the last one. They give the column that
    follows and, in `to`, its place.
    """
    numbers, lanes = bundle.numbers, bundle.lanes
    stored = numbers.stored.of(lanes)
    for is_whole in (True, False):
        with bundle.module.function(
            f"transpose_in_{int(is_whole)}", source=PTR, distance=I64, channels=I64, count=I64, to=PTR, extent=I64,
            pitch=I64, column=I64,
        ) as f:  # fmt: skip
            extent, pitch = f.args["extent"], f.args["pitch"]
            mask = f.lane_numbers(lanes) < f.splat(f.args["count"], lanes)
            rows, at = [], f.args["source"]
            for i in range(lanes):
                value = f.load(stored, at) if is_whole else f.masked_load(stored, at, mask)
                rows.append(numbers.widen(f, value))
                # Channels that do not exist are copies of the last one.
                at = f.offset(at, f.select(f.args["channels"] > i + 1, f.args["distance"], 0), numbers.stored)
            column, to = f.args["column"], f.load(PTR, f.args["to"])
            for value in f.transpose(rows):
                f.store(value, to, aligned=True)
                column = column + 1
                ends = column.equals(extent)
                to = f.offset(to, f.select(ends, pitch - (extent - 1) * lanes, lanes), numbers.computed)
                column = f.select(ends, f.constant(0, I64), column)
            f.store(to, f.args["to"])
            f.give(column)


def call_transpose_in(
    bundle: Planes,
    f: Function,
    source: Value,
    distance: Value,
    channels: Value,
    pixels: Value,
    to: Value,
    extent: Value,
    pitch: Value,
) -> None:
    """Put all pixels of a vector of channels, of which `channels` exist, in scratch."""
    lanes = bundle.lanes
    place, column = f.stack(PTR, 1), f.variable(I64, 0)
    f.store(to, place)
    with f.loop(0, pixels, lanes) as p:
        left = pixels - p
        arguments = (f.offset(source, p, bundle.numbers.stored), distance, channels, left, place, extent, pitch)
        with f.when(left >= lanes) as partly:
            column.set(f.call_for(I64, "transpose_in_1", *arguments, column.get()))
        with partly:
            column.set(f.call_for(I64, "transpose_in_0", *arguments, column.get()))
