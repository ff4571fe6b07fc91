"""Results recomputed one by one, by the plain sum, where a transform must not be trusted.

Winograd and FFT spread what is in one sample over a whole tile or block: a NaN, an infinity, or a number so large that
products overflow. Such values are noticed on the way into the transform, by `Huge`, and only the results that the
transform would have spoilt are computed again here. Slow and simple: result channels in lanes, one grid position at
a time, taps outside of the source left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import F32, I32, I64, PTR, Function, Type, Value, Variable
from .blocks import Layout
from .correlation import AXIS, Correlation
from .epilogue import Epilogue, Place

CHAIN = 256
"""Products in one chain of additions."""
BOX = Layout(("start", "length", "at"))
"""A row for each axis of a box of grid positions of a phase: the first, how many, and the one that is computed."""
LARGEST = {"float": 48, "double": 480}
"""Powers of 2 up to which numbers pass a transform, by computed type: the product of a sample and a weight of that
size, both transformed, and a sum of thousands of them, are finite."""


class Huge:
    """Notices numbers beyond LARGEST, infinities and NaNs among vectors of lanes: the largest magnitude, as bits."""

    def __init__(self, f: Function, vector: Type) -> None:
        self.f = f
        self.bits = (I32 if vector.scalar == F32.scalar else I64).of(vector.lanes)
        self._limit = limit_bits(vector)
        self._most: Variable = f.variable(self.bits, 0)

    def begin(self) -> None:
        """Forget what was seen."""
        self._most.set(0)

    def see(self, value: Value) -> None:
        """Look at a vector of computed numbers."""
        self._most.set(self.f.larger(self._most.get(), magnitude_bits(self.f, value)))

    def found(self) -> Value:
        """Whether there was one (i1)."""
        f, short = self.f, Type(f"i{self.bits.lanes}")
        beyond = self._most.get() > self._limit
        return f.emit(short, f"bitcast {beyond.type} {beyond.ref} to {short}").equals(0) ^ 1


def limit_bits(type_: Type) -> int:
    """The bits of the largest magnitude that may pass a transform, as a signed integer."""
    exponent = LARGEST[type_.scalar]
    return (127 + exponent) << 23 if type_.scalar == F32.scalar else (1023 + exponent) << 52


def magnitude_bits(f: Function, value: Value) -> Value:
    """The bits of |value|: as integers they are ordered as the magnitudes are, with infinity and NaN last."""
    wide = value.type.scalar != F32.scalar
    bits = f.cast("bitcast", value, I64 if wide else I32)
    return bits & (0x7FFFFFFFFFFFFFFF if wide else 0x7FFFFFFF)


def emit_direct_position(bundle: Correlation, words: Sequence[str]) -> None:
    """direct_position(args, state, box, sample, group, row, rows): the results of one grid position of the phase that
    `state` is in (`at` of the box's rows), for `rows` result channels of a group from `row` on.
    """
    numbers, lanes = bundle.numbers, bundle.lanes
    vector, stored = bundle.vector, numbers.stored.of(lanes)
    with bundle.module.function(
        "direct_position", args=PTR, state=PTR, box=PTR, sample=I64, group=I64, row=I64, rows=I64
    ) as f:
        args, state, box, sample, group = (f.args[n] for n in ("args", "state", "box", "sample", "group"))
        tables = bundle.args.pointer(f, args, "tables")
        src, dst, weight = (bundle.args.pointer(f, args, n) for n in ("src", "dst", "w"))
        rank, group_rows, channels = bundle.args.read(f, args, "rank", "rows", "channels")
        src_batch, src_group, src_channel = bundle.args.read(f, args, "src_batch", "src_group", "src_channel")
        dst_batch, dst_group, dst_channel = bundle.args.read(f, args, "dst_batch", "dst_group", "dst_channel")
        w_group, w_row, w_channel = bundle.args.read(f, args, "w_group", "w_row", "w_channel")
        source = f.offset(src, sample * src_batch + group * src_group, numbers.stored)
        (taps,) = bundle.state.read(f, state, "taps")
        w_offset, to, from_, inside = (f.variable(I64, 0) for _ in range(4))
        with f.loop(0, rank) as a:
            stride, step = AXIS.read(f, bundle.axis_row(f, tables, a), "dst_stride", "dst_step")
            (origin,) = bundle.axis_state.read(f, bundle.state_row(f, state, a), "origin")
            to.set(to.get() + (origin + at_of(f, box, a) * step) * stride)
        result = f.offset(dst, sample * dst_batch + group * dst_group + to.get(), numbers.result)
        epilogue = Epilogue(f, numbers, lanes, bundle.args, args, words)
        total, chain = f.variable(vector), f.variable(vector)
        end = f.args["row"] + f.args["rows"]
        with f.loop(f.args["row"], end, lanes) as v:
            exists = f.lane_numbers(lanes) < f.splat(end - v, lanes)
            rows = f.lane_numbers(lanes) + f.splat(v, lanes)
            own = f.offset(weight, f.splat(group * w_group, lanes) + rows * f.splat(w_row, lanes), numbers.stored)
            total.set(0)
            with f.loop(0, taps) as t:
                f.call("select_tap", args, state, t, Value(f, PTR, w_offset.ref))
                from_.set(0)
                inside.set(1)
                with f.loop(0, rank) as a:
                    row = bundle.axis_row(f, tables, a)
                    extent, stride, step = AXIS.read(f, row, "extent", "src_stride", "src_step")
                    (offset,) = bundle.axis_state.read(f, bundle.state_row(f, state, a), "offset")
                    at = at_of(f, box, a) * step + offset
                    from_.set(from_.get() + at * stride)
                    inside.set(inside.get() & f.cast("zext", at.below(extent), I64))
                with f.when(inside.get().equals(1)), f.loop(0, channels, CHAIN) as c0:
                    chain.set(0)
                    with f.loop(c0, f.smaller(c0 + CHAIN, channels)) as c:
                        x = numbers.widen(f, f.load(numbers.stored, source, from_.get() + c * src_channel))
                        there = f.offset(own, f.splat(w_offset.get() + c * w_channel, lanes), numbers.stored)
                        w = numbers.widen(f, f.gather(stored, there, exists))
                        chain.set(f.multiply_add(f.splat(x, lanes), w, chain.get()))
                    total.set(total.get() + chain.get())
            epilogue.begin_lanes(group * group_rows + v, exists)
            place = f.offset(result, rows * f.splat(dst_channel, lanes), numbers.result)
            epilogue.store([total.get()], [Place(place, exists)])


def at_of(f: Function, box: Value, a: Value) -> Value:
    """The position of a box that is computed, on one axis."""
    return f.load(I64, box, a * len(BOX) + BOX.index["at"])


def emit_direct_block(bundle: Correlation, words: Sequence[str]) -> None:
    """direct_block(args, state, box, sample, group, row, rows): the results of a box of grid positions, likewise.

    The box lies within the phase's grid; `at` of its rows is written. Emits direct_position as well.
    """
    emit_direct_position(bundle, words)
    with bundle.module.function(
        "direct_block", args=PTR, state=PTR, box=PTR, sample=I64, group=I64, row=I64, rows=I64
    ) as f:
        args, state, box = (f.args[n] for n in ("args", "state", "box"))
        (rank,) = bundle.args.read(f, args, "rank")
        count, rest = f.variable(I64, 1), f.variable(I64)
        with f.loop(0, rank) as a:
            count.set(count.get() * f.load(I64, box, a * len(BOX) + BOX.index["length"]))
        with f.loop(0, count.get()) as n:
            rest.set(n)
            with f.loop(0, rank) as i:
                row = f.offset(box, (rank - 1 - i) * len(BOX), I64)
                start, length = BOX.read(f, row, "start", "length")
                f.store(start + rest.get() % length, row, BOX.index["at"])
                rest.set(rest.get() // length)
            where = (f.args[n] for n in ("sample", "group", "row", "rows"))
            f.call("direct_position", args, state, box, *where)
