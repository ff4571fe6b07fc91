"""Discrete Fourier transforms of vectors of lanes: codelets of few operations, and the tables that passes read.

A complex number is a pair of Values, its real and its imaginary part, so that lanes are independent transforms. A
codelet takes and gives a list of them, in natural order and unscaled:

    y[k] = sum over j of x[j] * exp(-2 pi i j k / n)        dft(f, x);  +2 pi i with inverse=True

Even lengths are halved. Their butterflies e +- w*o take six operations where there is FMA: e + w*o by four of them, and
from it e - w*o = 2*e - (e + w*o) by two. Odd primes use that cosines are even and sines odd; what is left is split into
factors. Constants are rounded once.

Long transforms are passes of such codelets over memory. Two kinds of pass need no reordering, since spectra may stay
in whatever order the forward passes leave them, as long as the inverse ones undo it:

* decimation: after the codelet, row k is multiplied by exp(-2 pi i j k / n) at column j (`twiddles`); the inverse
  multiplies by the conjugates first;
* division (`divide`, `unite`, `root_turns`): a polynomial modulo t^n - c becomes its remainders modulo the r
  polynomials t^(n/r) - c', c' the r-th roots of c. A block has one c, so that its factors are scalars.

Real signals. With c = i, polynomials modulo t^n - i are real polynomials modulo t^(2n) + 1: put the first half of 2n
real samples in the real parts and the second half in the imaginary parts, and n complex spectral values are all there
is: nothing to untangle, and no value is real by symmetry. Products of such spectra are negacyclic convolutions; in what
does not wrap around they agree with the cyclic ones.

Source: C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992; D. Bernstein, "Multidigit
multiplication for mathematicians", 2001, sections 2 to 4, for the passes by division.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .ir import Function, Operand, Value

Complex: TypeAlias = tuple[Value, Value]
Factor: TypeAlias = tuple[Operand, Operand]
"""What a complex number is multiplied by: two Values, or two constants."""


def turn(turns: Fraction) -> tuple[float, float]:
    """exp(2 pi i turns), rounded once: exact at quarters, and symmetrical about the eighths.

    >>> turn(Fraction(1, 4)), turn(Fraction(-1, 2))
    ((0.0, 1.0), (-1.0, 0.0))
    """
    quarters, rest = divmod(turns * 4 % 4, 1)
    angle = math.pi / 2 * float(rest)
    other = math.pi / 2 * float(1 - rest)  # the sine of a small angle is the better one
    re, im = (math.cos(angle), math.sin(angle)) if rest <= Fraction(1, 2) else (math.sin(other), math.cos(other))
    return ((re, im), (-im, re), (-re, -im), (im, -re))[int(quarters)] if rest else _QUARTERS[int(quarters)]


_QUARTERS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def times(f: Function, x: Complex, factor: Factor, *, conjugate: bool = False) -> Complex:
    """x * factor, or x * conj(factor)."""
    re, im = x
    c, s = (f.constant(part, re.type) for part in factor)
    if conjugate:
        return f.multiply_add(im, s, re * c), f.multiply_add(-re, s, im * c)
    return f.multiply_add(-im, s, re * c), f.multiply_add(re, s, im * c)


def rotate(f: Function, x: Complex, turns: Fraction) -> Complex:
    """x * exp(2 pi i turns), for nothing at quarter turns but for signs."""
    re, im = x
    match turns % 1 * 4:
        case 0:
            return x
        case 1:
            return -im, re
        case 2:
            return -re, -im
        case 3:
            return im, -re
        case _:
            return times(f, x, turn(turns))


def plus(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def minus(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]


def butterfly(f: Function, e: Complex, o: Complex, turns: Fraction) -> tuple[Complex, Complex]:
    """e + w*o and e - w*o with w = exp(2 pi i turns)."""
    match turns % 1 * 4:
        case 0:
            return plus(e, o), minus(e, o)
        case 1:
            return (e[0] - o[1], e[1] + o[0]), (e[0] + o[1], e[1] - o[0])
        case 2:
            return minus(e, o), plus(e, o)
        case 3:
            return (e[0] + o[1], e[1] - o[0]), (e[0] - o[1], e[1] + o[0])
        case _:
            return butterfly_by(f, e, o, turn(turns))


def butterfly_by(f: Function, e: Complex, o: Complex, factor: Factor) -> tuple[Complex, Complex]:
    """e + factor*o and e - factor*o."""
    if not f.module.target.has_fma:
        product = times(f, o, factor)
        return plus(e, product), minus(e, product)
    c, s = (f.constant(part, e[0].type) for part in factor)
    re = f.multiply_add(-s, o[1], f.multiply_add(c, o[0], e[0]))
    im = f.multiply_add(s, o[0], f.multiply_add(c, o[1], e[1]))
    two = f.constant(2.0, re.type)
    return (re, im), (f.multiply_add(two, e[0], -re), f.multiply_add(two, e[1], -im))


def dft(f: Function, x: Sequence[Complex], *, inverse: bool = False) -> list[Complex]:
    """The discrete Fourier transform of complex vectors, in natural order, unscaled; see the module's docstring."""
    n = len(x)
    sign = 1 if inverse else -1
    if n == 1:
        return list(x)
    if n % 2 == 0:
        half = n // 2
        even, odd = dft(f, x[0::2], inverse=inverse), dft(f, x[1::2], inverse=inverse)
        pairs = [butterfly(f, even[k], odd[k], Fraction(sign * k, n)) for k in range(half)]
        return [first for first, _ in pairs] + [second for _, second in pairs]
    factor = next(p for p in range(3, n + 1, 2) if n % p == 0)
    if factor == n:
        return _dft_of_prime(f, x, sign)
    columns = [dft(f, x[j::factor], inverse=inverse) for j in range(factor)]
    out: list[Complex] = [x[0]] * n
    for k in range(n // factor):
        row = [rotate(f, columns[j][k], Fraction(sign * j * k, n)) for j in range(factor)]
        out[k :: n // factor] = dft(f, row, inverse=inverse)
    return out


def _dft_of_prime(f: Function, x: Sequence[Complex], sign: int) -> list[Complex]:
    """y[k], y[n-k] = (x[0] + sum of cos(jk) * (x[j] + x[n-j])) +- i * sign * sum of sin(jk) * (x[j] - x[n-j]), where
    j < n/2 and jk is short for 2 pi j k / n."""
    n, half = len(x), range(1, len(x) // 2 + 1)
    sums = [plus(x[j], x[n - j]) for j in half]
    differences = [minus(x[j], x[n - j]) for j in half]
    first = x[0]
    for term in sums:
        first = plus(first, term)
    out = [first] * n
    for k in half:
        angles = [turn(Fraction(j * k, n)) for j in half]
        even = x[0]
        odd: Complex | None = None
        for (c, s), term, difference in zip(angles, sums, differences, strict=True):
            cosine, sine = f.constant(c, even[0].type), f.constant(sign * s, even[0].type)
            even = f.multiply_add(term[0], cosine, even[0]), f.multiply_add(term[1], cosine, even[1])
            if odd is None:
                odd = difference[0] * sine, difference[1] * sine
            else:
                odd = f.multiply_add(difference[0], sine, odd[0]), f.multiply_add(difference[1], sine, odd[1])
        assert odd is not None
        out[k], out[n - k] = butterfly(f, even, odd, Fraction(1, 4))
    return out


# ---- passes by decimation


def twiddles(n: int, radix: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """What a pass of that radix over n values is multiplied by: [row 1 .. radix - 1][re, im][column of n // radix]."""
    turns = -np.outer(np.arange(1, radix), np.arange(n // radix)) % n
    table: npt.NDArray[Any] = _parts(turns / n).transpose(1, 0, 2).astype(dtype)
    return table


# ---- passes by division


def root_turns(turns: npt.NDArray[np.float64], radix: int) -> npt.NDArray[np.float64]:
    """The polynomials that a pass by division leaves, as the turns of their c: `radix` of them for each given, in the
    order of `divide`. A whole transform of real samples begins with turns = [1/4]."""
    return np.add.outer(turns, np.arange(radix)).reshape(-1) / radix


def roots(turns: npt.NDArray[np.float64], radix: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """What blocks with those c are multiplied by in a pass of that radix: [block][power 1 .. radix - 1][re, im].

    The powers are of the root that has the least turns."""
    table: npt.NDArray[Any] = _parts(np.outer(turns / radix, np.arange(1, radix))).transpose(1, 2, 0).astype(dtype)
    return table


def divide(f: Function, x: Sequence[Complex], powers: Sequence[Factor]) -> list[Complex]:
    """Remainders of a polynomial with coefficients x (each a column of one of `radix` parts, lowest first) modulo t - r
    for the roots r of c: y[k] = sum over j of x[j] * root^j * exp(2 pi i j k / radix)."""
    scaled = [x[0], *(times(f, value, power) for value, power in zip(x[1:], powers, strict=True))]
    return dft(f, scaled, inverse=True)


def unite(f: Function, y: Sequence[Complex], powers: Sequence[Factor]) -> list[Complex]:
    """Undo `divide`, but for a factor of `radix`."""
    x = dft(f, y)
    return [x[0], *(times(f, value, power, conjugate=True) for value, power in zip(x[1:], powers, strict=True))]


def _parts(turns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The real and the imaginary parts of exp(2 pi i turns), before all axes; turns that are exact lose nothing."""
    quarters = np.rint(4 * turns)
    angle = 2 * np.pi * (turns - quarters / 4)
    re, im = np.cos(angle), np.sin(angle)
    quarter = quarters.astype(np.int64) % 4
    return np.stack([np.choose(quarter, (re, -im, -re, im)), np.choose(quarter, (im, re, -im, -re))])
