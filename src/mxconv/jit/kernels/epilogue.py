"""What is done to finished sums before they are stored: scale, bias, a residual, an activation.

    scale   sum * scale[channel]                bias    sum + bias[channel]
    add     sum + residual[position]            relu    max(sum, 0)
    prelu   sum, and slope[channel] * sum where it is negative

in that order, except that `add` may also come after the activation. It is done in the computed type, and rounded once.
The residual has the result's own strides. NaN stays NaN. Kernels are specialised on the words but for bias, whose
pointer may be null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import I1, I8, Function, Type, Value
from ..numbers import Numbers
from .blocks import Layout

OPERANDS = ("bias", "scale", "slope", "residual")
"""The slots of an argument block that hold an epilogue's arrays."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one vector of the result goes: neighbours from an address on, or each lane to its own address; a mask
    says which lanes exist (None: all)."""

    pointer: Value
    mask: Value | None = None

    def load(self, f: Function, type_: Type) -> Value:
        """What stands there; lanes that do not exist are 0 and are not read."""
        if self.pointer.type.lanes:
            assert self.mask is not None
            return f.gather(type_, self.pointer, self.mask)
        return f.load(type_, self.pointer) if self.mask is None else f.masked_load(type_, self.pointer, self.mask)

    def store(self, f: Function, value: Value) -> None:
        if self.pointer.type.lanes:
            assert self.mask is not None
            f.scatter(value, self.pointer, self.mask)
        elif self.mask is None:
            f.store(value, self.pointer)
        else:
            f.masked_store(value, self.pointer, self.mask)


class Epilogue:
    """Emits the end of one function's rows of results: `begin_row` once a result channel (`begin_lanes` once a vector
    of them), `store` for each vector.

    The function has the argument block `args`, of that layout; `words` are the epilogue's but for bias.
    """

    def __init__(
        self, f: Function, numbers: Numbers, lanes: int, layout: Layout, args: Value, words: Sequence[str]
    ) -> None:
        self.f, self.numbers, self.lanes, self.words = f, numbers, lanes, tuple(words)
        used = ["bias", *(name for word, name in (("scale", "scale"), ("prelu", "slope")) if word in words)]
        self._pointers = {name: layout.pointer(f, args, name) for name in used}
        self._has_bias = f.emit(I1, f"icmp ne ptr {self._pointers['bias'].ref}, null")
        self._bias = [f.variable(numbers.computed) for _ in range(numbers.parts)]
        self._row: dict[str, list[Value]] = {}
        if "add" in words:
            self._to_residual = f.distance(layout.pointer(f, args, "dst"), layout.pointer(f, args, "residual"))

    def begin_row(self, channel: Value) -> None:
        """Read what belongs to a result channel, counted over all groups."""
        f = self.f
        with f.when(self._has_bias) as otherwise:
            for cell, number in zip(self._bias, self._read("bias", channel), strict=True):
                cell.set(number)
        with otherwise:
            for cell in self._bias:
                cell.set(0)
        numbers = {name: self._read(name, channel) for name in self._pointers if name != "bias"}
        numbers["bias"] = [cell.get() for cell in self._bias]
        self._row = {name: [f.splat(x, self.lanes) for x in values] for name, values in numbers.items()}

    def begin_lanes(self, channel: Value, exists: Value) -> None:
        """Read what belongs to result channels that lie in lanes, from a first on, or a vector of them; real numbers
        only."""
        f, numbers = self.f, self.numbers
        bias = f.variable(numbers.computed.of(self.lanes), 0)

        def read(name: str) -> Value:
            at = f.offset(self._pointers[name], channel, numbers.stored)
            read = f.gather if channel.type.lanes else f.masked_load
            return numbers.widen(f, read(numbers.stored.of(self.lanes), at, exists))

        with f.when(self._has_bias):
            bias.set(read("bias"))
        self._row = {name: [read(name)] for name in self._pointers if name != "bias"}
        self._row["bias"] = [bias.get()]

    def store(self, totals: Sequence[Value], places: Sequence[Place]) -> None:
        """Finish one vector of sums (its parts) of the row that has begun, and store it."""
        for value, place in zip(self.finish(totals, places), places, strict=True):
            place.store(self.f, self.numbers.narrow(self.f, value))

    def finish(self, totals: Sequence[Value], places: Sequence[Place] = ()) -> list[Value]:
        """One vector of finished sums, not yet narrowed; only `add` asks for its places."""
        values = list(totals)
        if "scale" in self.words:
            values = self._product(values, self._row["scale"])
        values = [value + shift for value, shift in zip(values, self._row["bias"], strict=True)]
        for word in self.words:
            if word == "add":
                values = [value + self._residual(place) for value, place in zip(values, places, strict=True)]
            elif word != "scale":
                values = [self._activate(word, value) for value in values]
        return values

    def _read(self, name: str, channel: Value) -> list[Value]:
        f, numbers = self.f, self.numbers
        parts = range(numbers.parts)
        at = f.offset(self._pointers[name], channel * numbers.parts, numbers.stored)
        return [numbers.widen(f, f.load(numbers.stored, at, p)) for p in parts]

    def _product(self, a: list[Value], b: list[Value]) -> list[Value]:
        if len(a) == 1:
            return [a[0] * b[0]]
        return [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]

    def _residual(self, place: Place) -> Value:
        f, numbers = self.f, self.numbers
        there = Place(f.offset(place.pointer, self._to_residual, I8), place.mask)
        value = there.load(f, numbers.result.of(self.lanes))
        return value if numbers.result == numbers.computed else numbers.widen(f, value)

    def _activate(self, word: str, value: Value) -> Value:
        f = self.f
        below = f.compare("olt" if value.type.is_float else "slt", value, 0)
        low = f.zero(value.type) if word == "relu" else value * self._row["slope"][0]
        return f.select(below, low, value)
