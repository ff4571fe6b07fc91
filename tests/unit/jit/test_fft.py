"""Codelets of the discrete Fourier transform against numpy.fft, and the laws that passes of them keep."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mxconv.jit import fft
from mxconv.jit.ir import F32, F64, PTR

LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16]
FLOATS = [(F32, np.float32, 2e-7), (F64, np.float64, 4e-16)]


def _random(shape: tuple[int, ...], kind: type) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(kind)


def _transform(compiled, type_, n, way):
    """A kernel that loads n complex vectors, does something to them, and stores what comes."""

    def emit(f, x, out):
        lanes = f.module.target.lanes(type_.itemsize)
        vector = type_.of(lanes)
        values = [(f.load(vector, x, 2 * j * lanes), f.load(vector, x, (2 * j + 1) * lanes)) for j in range(n)]
        for k, parts in enumerate(way(f, values)):
            for p, part in enumerate(parts):
                f.store(part, out, (2 * k + p) * lanes)

    return compiled(emit, x=PTR, out=PTR)


def _run(kernel, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    kernel(x, out)
    return out


def _complex(parts: np.ndarray) -> np.ndarray:
    return parts[:, 0].astype(float) + 1j * parts[:, 1]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize(("type_", "kind", "error"), FLOATS, ids=["float32", "float64"])
def test_codelets(compiled, target, type_, kind, error, n, inverse):
    kernel = _transform(compiled, type_, n, lambda f, x: fft.dft(f, x, inverse=inverse))
    x = _random((n, 2, target.lanes(type_.itemsize)), kind)
    exact = np.fft.ifft(_complex(x), axis=0) * n if inverse else np.fft.fft(_complex(x), axis=0)
    assert abs(_complex(_run(kernel, x)) - exact).max() <= error * (1 + np.log2(n)) * np.sqrt(2 * n) * 2


@pytest.mark.parametrize("turns", [Fraction(n, 24) for n in range(-24, 25)], ids=str)
def test_turns(turns):
    re, im = fft.turn(turns)
    exact = np.exp(2j * np.pi * float(turns))
    assert abs(re - exact.real) < 1e-15
    assert abs(im - exact.imag) < 1e-15
    assert (re in (0, 1, -1)) == (turns.denominator in (1, 2, 4))
    if turns * 8 % 2 == 1:
        assert abs(re) == pytest.approx(abs(im), rel=3e-16)


@pytest.mark.parametrize("turns", [Fraction(n, 16) for n in range(16)], ids=str)
def test_butterflies_and_rotations(compiled, target, turns):
    x = _random((2, 2, target.lanes(4)), np.float32)
    e, o = _complex(x)
    w = np.exp(2j * np.pi * float(turns))
    for way, exact in (
        (lambda f, x: fft.butterfly(f, *x, turns), [e + w * o, e - w * o]),
        (lambda f, x: [fft.rotate(f, value, turns) for value in x], [w * e, w * o]),
        (lambda f, x: [fft.times(f, value, fft.turn(turns), conjugate=True) for value in x], [e / w, o / w]),
    ):
        got = _complex(_run(_transform(compiled, F32, 2, way), x))
        assert abs(got - np.stack(exact)).max() < 2e-6


def test_a_pass_by_decimation_splits_a_transform():
    """Transforms of the rows that a pass leaves are every radix-th value of the whole one."""
    n, radix = 24, 4
    x = _random((n,), float) + 1j * _random((n,), float)[::-1]
    table = fft.twiddles(n, radix, np.float64)
    rows = np.fft.fft(x.reshape(radix, -1), axis=0)
    rows[1:] *= table[:, 0] + 1j * table[:, 1]
    np.testing.assert_allclose(np.fft.fft(rows, axis=1), np.fft.fft(x).reshape(-1, radix).T, atol=1e-12)


def test_a_pass_by_division_leaves_remainders(compiled, target):
    """The columns of a polynomial modulo t^n - c, divided: each remainder's value at a root of its own c is the
    polynomial's."""
    radix, lanes = 4, target.lanes(8)
    turns = np.array([0.25])
    powers = [tuple(part) for part in fft.roots(turns, radix, np.float64)[0].tolist()]
    x = _random((radix, 2, lanes), np.float64)
    got = _complex(_run(_transform(compiled, F64, radix, lambda f, v: fft.divide(f, v, powers)), x))
    polynomial = _complex(x).reshape(-1)
    for remainder, c in zip(got, fft.root_turns(turns, radix), strict=True):
        at = np.exp(2j * np.pi * (c + np.arange(lanes)) / lanes)
        expected = np.polynomial.polynomial.polyval(at, polynomial)
        np.testing.assert_allclose(np.polynomial.polynomial.polyval(at, remainder), expected, atol=1e-13)

    def back(f, v):
        return fft.unite(f, fft.divide(f, v, powers), powers)

    np.testing.assert_allclose(_run(_transform(compiled, F64, radix, back), x), radix * x, atol=1e-14)
