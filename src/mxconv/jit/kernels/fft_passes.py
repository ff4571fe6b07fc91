"""Long Fourier transforms as passes over memory: real lines to spectra, and back.

A line of 2n real numbers is n complex ones (see jit/fft.py: the second half are the imaginary parts), in scratch as
vectors, the real parts of `lanes` neighbours and then their imaginary parts. Passes by division leave it as blocks of
`lanes` neighbours; as many of these are transposed in registers, so that each lane has one to itself, and divided a
last time. The spectrum is n / lanes such pairs of vectors, in the order of their making, each where the caller wants.

The way back undoes every step, but for a factor of n.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import fft
from ..fft import Complex, divide, times, unite
from ..ir import I64, PTR, Function, Module, Operand, Type, Value
from .blocks import Layout

RADICES = (8, 4, 2)
"""A transform is as many passes of the first, then of the second as its length allows."""
PASS = Layout(("radix", "stride", "blocks", "roots"))
"""One pass: `blocks` blocks of `radix` rows of `stride` complex numbers; where its roots begin in their table."""
ALIGNMENT = 64
QUARTER = np.array([0.25])


TRANSFORM = Layout(("passes", "pass_count", "table", "last_roots", "outer_passes", "parts", "part_chunks"))
"""All that transforms of one length need: their passes, the table of all roots and where those of the last division
begin; how many passes go over whole lines, what number of parts they leave, and the squares of vectors in a part."""
PART_BYTES = 16 << 10
"""The longest part."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A block of TRANSFORM and the tables that it points to."""

    block: npt.NDArray[np.int64]
    passes: npt.NDArray[np.int64]
    table: npt.NDArray[Any]


@functools.lru_cache(maxsize=16)
def make_transform(length: int, lanes: int, dtype: str, widest: int) -> Transform:
    """Transforms of so many complex numbers. No pass has a greater radix than `widest`."""
    rows: list[tuple[int, int, int, int]] = []
    parts: list[npt.NDArray[Any]] = []
    turns, blocks, at = QUARTER, 1, 0
    while length > blocks * lanes:
        rest = length // (blocks * lanes)
        radix = next(r for r in RADICES if r <= widest and rest % r == 0 and rest // r != 2)
        part = fft.roots(turns, radix, dtype)
        rows.append((radix, length // (blocks * radix), blocks, at))
        parts.append(part.reshape(-1))
        turns, blocks, at = fft.root_turns(turns, radix), blocks * radix, at + part.size
    last_roots = -(-at // lanes) * lanes
    last = fft.roots(turns, lanes, dtype).reshape(-1, lanes, lanes - 1, 2).transpose(0, 2, 3, 1)
    table = _aligned_zeros(last_roots + last.size, np.dtype(dtype))
    table[:at] = np.concatenate(parts)
    table[last_roots:] = last.reshape(-1)
    passes = np.array(rows, np.int64)
    most = max(lanes * lanes, PART_BYTES // (2 * table.itemsize))
    outer = sum(length // blocks > most for _, _, blocks, _ in rows)
    number = rows[outer][2]
    block = np.array(
        (_address(passes), len(rows), _address(table), last_roots, outer, number, length // (number * lanes * lanes)),
        np.int64,
    )
    return Transform(block, passes, table)


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _aligned_zeros(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """So many zeros that vectors of any target can be loaded from."""
    memory = np.zeros(count * dtype.itemsize + ALIGNMENT, np.uint8)
    first = -_address(memory) % ALIGNMENT
    return memory[first : first + count * dtype.itemsize].view(dtype)


class Passes:
    """The functions of a module that transform lines.

    `to_spectrum(work, transform, out, pitch)` and `to_line(spectrum, pitch, transform, work)`: `transform` is a block
    of TRANSFORM, `pitch` the elements from one pair of vectors of a spectrum to the next. Both change `work`, in which
    a spectrum may stand as well. With `filtered`, `to_line` also takes a filter's spectrum (after `pitch`), whose pairs
    are neighbours, and multiplies with its conjugate on the way.

    The first passes go over all of a line; what they leave is so short that it stays in the nearest cache while the
    others are done.
    """

    def __init__(self, module: Module, element: Type, *, filtered: bool) -> None:
        self.module, self.element, self.filtered = module, element, filtered
        self.lanes = module.target.lanes(element.itemsize)
        self.pair = 2 * self.lanes
        self.vector = element.of(self.lanes)
        for radix in RADICES:
            self._emit_pass(f"divide_{radix}", radix, divide)
            self._emit_pass(f"unite_{radix}", radix, unite)
        self._emit_run_passes("divide")
        self._emit_run_passes("unite")
        self._emit_last_division()
        self._emit_first_union()
        self._emit_to_spectrum()
        self._emit_to_line()

    def load(self, f: Function, at: Value, index: Operand = 0) -> Complex:
        """A pair of vectors of scratch, from so many elements on."""
        place = f.offset(at, index, self.element)
        return f.load(self.vector, place, aligned=True), f.load(self.vector, place, self.lanes, aligned=True)

    def store(self, f: Function, value: Complex, at: Value, index: Operand = 0) -> None:
        place = f.offset(at, index, self.element)
        f.store(value[0], place, aligned=True)
        f.store(value[1], place, self.lanes, aligned=True)

    def _emit_pass(self, symbol: str, radix: int, step: Any) -> None:
        """symbol(work, roots, stride, blocks): one pass, in place."""
        with self.module.function(symbol, work=PTR, roots=PTR, stride=I64, blocks=I64) as f:
            stride = f.args["stride"] * 2
            with f.loop(0, f.args["blocks"]) as block:
                base = f.offset(f.args["work"], block * (stride * radix), self.element)
                rows = [f.offset(base, stride * k, self.element) for k in range(radix)]
                powers = self._powers(f, f.offset(f.args["roots"], block * (2 * (radix - 1)), self.element), radix)
                with f.loop(0, stride, 2 * self.lanes) as column:
                    values = step(f, [self.load(f, row, column) for row in rows], powers)
                    for value, row in zip(values, rows, strict=True):
                        self.store(f, value, row, column)

    def _powers(self, f: Function, at: Value, radix: int) -> Sequence[Complex]:
        """A root's powers, the same in all lanes."""
        scalars = [f.load(self.element, at, i) for i in range(2 * (radix - 1))]
        splats = [f.splat(x, self.lanes) for x in scalars]
        return list(zip(splats[0::2], splats[1::2], strict=True))

    def _last_powers(self, f: Function, roots: Value, chunk: Value) -> Sequence[Complex]:
        """The powers of the roots of the blocks in a square's lanes."""
        pair = self.pair
        at = f.offset(roots, chunk * (pair * (self.lanes - 1)), self.element)
        return [self.load(f, at, pair * k) for k in range(self.lanes - 1)]

    def _transposed(self, f: Function, values: Sequence[Complex]) -> list[Complex]:
        re, im = (f.transpose([value[p] for value in values]) for p in range(2))
        return list(zip(re, im, strict=True))

    def _emit_last_division(self) -> None:
        pair = self.pair
        with (
            self.module.function("divide_last", work=PTR, roots=PTR, chunks=I64, out=PTR, pitch=I64) as f,
            f.loop(0, f.args["chunks"]) as chunk,
        ):
            square = f.offset(f.args["work"], chunk * (pair * self.lanes), self.element)
            columns = self._transposed(f, [self.load(f, square, pair * i) for i in range(self.lanes)])
            if not self.filtered:
                place = f.offset(f.args["out"], chunk * f.args["pitch"] * self.lanes, self.element)
                self._prefetch(f, place)
            values = divide(f, columns, self._last_powers(f, f.args["roots"], chunk))
            place = f.offset(f.args["out"], chunk * f.args["pitch"] * self.lanes, self.element)
            for k, value in enumerate(values):
                self.store(f, value, place, f.args["pitch"] * k)

    def _prefetch(self, f: Function, place: Value) -> None:
        """Ask for the pairs of the next square, which are far apart."""
        for k in range(self.lanes, 2 * self.lanes):
            at = f.offset(place, f.args["pitch"] * k, self.element)
            for line in range(0, self.pair, 64 // self.element.itemsize):
                f.prefetch(f.offset(at, line, self.element), 1)

    def _emit_first_union(self) -> None:
        pair = self.pair
        own = {"filter": PTR} if self.filtered else {}
        with (
            self.module.function(
                "unite_first", exported=False, spectrum=PTR, pitch=I64, **own, roots=PTR, chunks=I64, work=PTR
            ) as f,
            f.loop(0, f.args["chunks"]) as chunk,
        ):
            place = f.offset(f.args["spectrum"], chunk * f.args["pitch"] * self.lanes, self.element)
            values = [self.load(f, place, f.args["pitch"] * k) for k in range(self.lanes)]
            if not self.filtered:
                self._prefetch(f, place)
            if self.filtered:
                at = f.offset(f.args["filter"], chunk * (pair * self.lanes), self.element)
                factors = [self.load(f, at, pair * k) for k in range(self.lanes)]
                values = [times(f, x, w, conjugate=True) for x, w in zip(values, factors, strict=True)]
            columns = unite(f, values, self._last_powers(f, f.args["roots"], chunk))
            square = f.offset(f.args["work"], chunk * (pair * self.lanes), self.element)
            for i, value in enumerate(self._transposed(f, columns)):
                self.store(f, value, square, pair * i)

    def _emit_run_passes(self, name: str) -> None:
        """divide(part, number, parts, transform, first, last): the passes [first, last) of one of `parts` equal parts
        of a line; unite: backwards."""
        with self.module.function(name, part=PTR, number=I64, parts=I64, transform=PTR, first=I64, last=I64) as f:
            transform, first, last = (f.args[key] for key in ("transform", "first", "last"))
            passes, table = (TRANSFORM.pointer(f, transform, key) for key in ("passes", "table"))
            with f.loop(first, last) as n:
                row = f.offset(passes, (n if name == "divide" else first + last - 1 - n) * len(PASS), I64)
                radix, stride, blocks, at = PASS.read(f, row, *PASS.names)
                own = blocks // f.args["parts"]
                roots = f.offset(table, at + f.args["number"] * own * (radix - 1) * 2, self.element)
                for candidate in RADICES:
                    with f.when(radix.equals(candidate)):
                        f.call(f"{name}_{candidate}", f.args["part"], roots, stride, own)

    def _parts(self, f: Function, work: Value, number: Value) -> tuple[Value, Value, Value]:
        """A part of a line, its last roots, and its squares."""
        transform = f.args["transform"]
        chunks, last_roots = TRANSFORM.read(f, transform, "part_chunks", "last_roots")
        square = self.pair * self.lanes
        table = TRANSFORM.pointer(f, transform, "table")
        roots = f.offset(table, last_roots + number * chunks * (square - self.pair), self.element)
        return f.offset(work, number * chunks * square, self.element), roots, chunks

    def _emit_to_spectrum(self) -> None:
        with self.module.function("to_spectrum", work=PTR, transform=PTR, out=PTR, pitch=I64) as f:
            work, transform, pitch = (f.args[name] for name in ("work", "transform", "pitch"))
            outer, count, parts = TRANSFORM.read(f, transform, "outer_passes", "pass_count", "parts")
            f.call("divide", work, 0, 1, transform, 0, outer)
            with f.loop(0, parts) as number:
                part, roots, chunks = self._parts(f, work, number)
                f.call("divide", part, number, parts, transform, outer, count)
                out = f.offset(f.args["out"], number * chunks * pitch * self.lanes, self.element)
                f.call("divide_last", part, roots, chunks, out, pitch)

    def _emit_to_line(self) -> None:
        own = {"filter": PTR} if self.filtered else {}
        with self.module.function(
            "to_line", exported=False, spectrum=PTR, pitch=I64, **own, transform=PTR, work=PTR
        ) as f:
            work, transform, pitch = (f.args[name] for name in ("work", "transform", "pitch"))
            outer, count, parts = TRANSFORM.read(f, transform, "outer_passes", "pass_count", "parts")
            with f.loop(0, parts) as number:
                part, roots, chunks = self._parts(f, work, number)
                spectrum = f.offset(f.args["spectrum"], number * chunks * pitch * self.lanes, self.element)
                factors = [
                    f.offset(f.args[name], number * chunks * self.pair * self.lanes, self.element) for name in own
                ]
                f.call("unite_first", spectrum, pitch, *factors, roots, chunks, part)
                f.call("unite", part, number, parts, transform, outer, count)
            f.call("unite", work, 0, 1, transform, 0, outer)
