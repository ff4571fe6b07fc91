"""Fourier transforms of the rows and the columns of a tile, all lanes at once, and what happens between them.

A tile is `rows` x `columns` real numbers a lane. Rows are transformed as polynomials modulo t^columns + 1 (see
jit/fft.py): half as many complex values, nothing to untangle. Columns are plain cyclic transforms of those. A product
of two such spectra is a convolution that wraps around, with a change of sign along the rows; see engine/algorithms/
fft_2d.py for why that does no harm.

A line of n = a*b values is two passes of codelets, of a and of b values, in place. Of a column, the second pass, the
product with the weight's spectrum and the first pass back happen in registers: for the values that one codelet of b
makes are those that the first codelet back takes.

Layouts:  row       [column][lane] real         spectrum of a row     [value][re, im][lane], in the order of `divide`
          weight    [value of a row][k1 of a][k2 of b][re, im][lane]  for k1 + a*k2 of the column's spectrum;
                    without lanes where they share it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..fft import Complex, dft, divide, root_turns, roots, times, turn, unite
from ..ir import I64, PTR, Function, Module, Type, Value
from ..target import Target

RADICES = (2, 3, 4, 5, 6, 8, 9, 10, 12, 16)


def split(n: int) -> tuple[int, int]:
    """Two radices, as near to each other as can be, whose product is n.

    >>> split(72), split(32)
    ((8, 9), (4, 8))
    """
    return next((n // b, b) for b in RADICES if n % b == 0 and n // b <= b and n // b in RADICES)


@dataclass(frozen=True, slots=True)
class Lines:
    """Transforms of one length for one element type."""

    scalar: Type
    length: int
    """Real numbers of a row, or complex ones of a column."""
    of: str
    """What the lines are: rows; columns; shared, for columns whose lanes are multiplied by the same spectrum."""

    @property
    def name(self) -> str:
        return f"fft_2d_{self.of}_{self.scalar}_{self.length}"

    @property
    def radices(self) -> tuple[int, int]:
        return split(self.length // 2 if self.of == "rows" else self.length)

    def table(self) -> npt.NDArray[np.floating]:
        """The factors that the passes read."""
        dtype = np.float32 if self.scalar.itemsize == 4 else np.float64
        a, b = self.radices
        if self.of == "rows":
            return roots(root_turns(np.array([0.25]), a), b, dtype)
        turns = -np.outer(np.arange(b), np.arange(a)) % self.length / self.length
        return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], -1).astype(dtype)


def emit_lines(lines: Lines, target: Target) -> str:
    """The IR: exported `forward` and `inverse` for rows, `convolve` and `spectrum` for columns."""
    module = Module(target)
    emitter = _Emitter(module, lines, target.lanes(lines.scalar.itemsize))
    if lines.of == "rows":
        emitter.emit_forward()
        emitter.emit_inverse()
    else:
        emitter.emit_convolve()
        emitter.emit_spectrum()
    return module.text()


class _Emitter:
    def __init__(self, module: Module, lines: Lines, lanes: int) -> None:
        self.module, self.lines, self.lanes = module, lines, lanes
        self.scalar, self.vector = lines.scalar, lines.scalar.of(lanes)
        self.a, self.b = lines.radices

    # ---- complex vectors and scalars in memory

    def load(self, f: Function, pointer: Value, at: int = 0) -> Complex:
        """Complex vector number `at` from there."""
        re, im = (f.load(self.vector, pointer, (2 * at + p) * self.lanes, aligned=True) for p in range(2))
        return re, im

    def store(self, f: Function, value: Complex, pointer: Value, at: int = 0) -> None:
        for p in range(2):
            f.store(value[p], pointer, (2 * at + p) * self.lanes, aligned=True)

    def factor(self, f: Function, pointer: Value, at: int) -> Complex:
        """Complex scalar number `at` from there, in all lanes."""
        re, im = (f.splat(f.load(self.scalar, pointer, 2 * at + p), self.lanes) for p in range(2))
        return re, im

    def vectors(self, f: Function, pointer: Value, count: Value | int) -> Value:
        """The address so many complex vectors further."""
        return f.offset(pointer, f.constant(count, I64) * (2 * self.lanes), self.scalar)

    def factors(self, f: Function, pointer: Value, count: Value | int) -> Value:
        """The address so many complex scalars further."""
        return f.offset(pointer, f.constant(count, I64) * 2, self.scalar)

    # ---- rows: modulo t^h - i, then modulo t^b - c for each of the a roots c

    def emit_forward(self) -> None:
        """line[value] = transform of row[column]."""
        a, b = self.a, self.b
        with self.module.function("forward", exported=True, row=PTR, line=PTR, table=PTR) as f:
            powers = [turn(Fraction(j, 4 * a)) for j in range(1, a)]
            with f.loop(0, b) as j:
                re = f.offset(f.args["row"], j * self.lanes, self.scalar)
                im = f.offset(re, a * b * self.lanes, self.scalar)
                x = [self.real_pair(f, re, im, part * b) for part in range(a)]
                to = self.vectors(f, f.args["line"], j)
                for row, value in enumerate(divide(f, x, powers)):
                    self.store(f, value, to, row * b)
            with f.loop(0, a) as k:
                block = self.vectors(f, f.args["line"], k * b)
                own = self.factors(f, f.args["table"], k * (b - 1))
                x = [self.load(f, block, part) for part in range(b)]
                for m, value in enumerate(divide(f, x, [self.factor(f, own, p) for p in range(b - 1)])):
                    self.store(f, value, block, m)

    def real_pair(self, f: Function, re: Value, im: Value, at: int) -> Complex:
        """The complex number of two columns half a row apart."""
        return tuple(f.load(self.vector, p, at * self.lanes, aligned=True) for p in (re, im))  # type: ignore[return-value]

    def emit_inverse(self) -> None:
        """row[column] = transform back of line[value], times h; the line is overwritten."""
        a, b = self.a, self.b
        with self.module.function("inverse", exported=True, row=PTR, line=PTR, table=PTR) as f:
            powers = [turn(Fraction(j, 4 * a)) for j in range(1, a)]
            with f.loop(0, a) as k:
                block = self.vectors(f, f.args["line"], k * b)
                own = self.factors(f, f.args["table"], k * (b - 1))
                y = [self.load(f, block, m) for m in range(b)]
                for part, value in enumerate(unite(f, y, [self.factor(f, own, p) for p in range(b - 1)])):
                    self.store(f, value, block, part)
            with f.loop(0, b) as j:
                from_ = self.vectors(f, f.args["line"], j)
                y = [self.load(f, from_, k * b) for k in range(a)]
                re = f.offset(f.args["row"], j * self.lanes, self.scalar)
                im = f.offset(re, a * b * self.lanes, self.scalar)
                for part, value in enumerate(unite(f, y, powers)):
                    for place, number in zip((re, im), value, strict=True):
                        f.store(number, place, part * b * self.lanes, aligned=True)

    # ---- columns: y[k1 + a*k2] of x[j2 + b*j1], j1 < a, j2 < b

    def first_pass(self, f: Function, steps: Sequence[Value]) -> None:
        """work[k1][j2] = twiddled transforms over j1."""
        a, b = self.a, self.b
        with f.loop(0, b) as j2:
            column = f.offset(f.args["column"], j2 * f.args["pitch"], self.scalar)
            x = [self.load(f, f.offset(column, step, self.scalar)) for step in steps]
            to, own = self.vectors(f, f.args["work"], j2), self.factors(f, f.args["table"], j2 * a)
            for k1, value in enumerate(dft(f, x)):
                turned = times(f, value, self.factor(f, own, k1)) if k1 else value
                self.store(f, turned, to, k1 * b)

    def steps(self, f: Function) -> list[Value]:
        """Elements from the first of the values that a first pass takes to each of them."""
        return [f.args["pitch"] * (self.b * j1) for j1 in range(self.a)]

    def emit_convolve(self) -> None:
        """Transform a column, multiply it by a column of the weight's spectrum, and transform it back (times a*b)."""
        a, b = self.a, self.b
        is_shared = self.lines.of == "shared"
        read = self.factor if is_shared else self.load
        with self.module.function(
            "convolve", exported=True, column=PTR, pitch=I64, weight=PTR, table=PTR, work=PTR
        ) as f:
            steps = self.steps(f)
            self.first_pass(f, steps)
            with f.loop(0, a) as k1:
                place = self.vectors(f, f.args["work"], k1 * b)
                weight = (self.factors if is_shared else self.vectors)(f, f.args["weight"], k1 * b)
                own = self.factors(f, f.args["table"], k1)
                y = dft(f, [self.load(f, place, j2) for j2 in range(b)])
                products = [times(f, value, read(f, weight, k2)) for k2, value in enumerate(y)]
                for j, value in enumerate(dft(f, products, inverse=True)):
                    back = times(f, value, self.factor(f, own, j * a), conjugate=True) if j else value
                    self.store(f, back, place, j)
            with f.loop(0, b) as j2:
                from_ = self.vectors(f, f.args["work"], j2)
                x = dft(f, [self.load(f, from_, k1 * b) for k1 in range(a)], inverse=True)
                column = f.offset(f.args["column"], j2 * f.args["pitch"], self.scalar)
                for step, value in zip(steps, x, strict=True):
                    self.store(f, value, f.offset(column, step, self.scalar))

    def emit_spectrum(self) -> None:
        """out[k1][k2] = scale * transform of a column."""
        a, b = self.a, self.b
        with self.module.function(
            "spectrum", exported=True, column=PTR, pitch=I64, out=PTR, table=PTR, work=PTR, scale=self.scalar
        ) as f:
            scale = f.splat(f.args["scale"], self.lanes)
            self.first_pass(f, self.steps(f))
            with f.loop(0, a) as k1:
                place = self.vectors(f, f.args["work"], k1 * b)
                to = self.vectors(f, f.args["out"], k1 * b)
                y = dft(f, [self.load(f, place, j2) for j2 in range(b)])
                for k2, (re, im) in enumerate(y):
                    self.store(f, (re * scale, im * scale), to, k2)
