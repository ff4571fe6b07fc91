"""Winograd's matrices: exact for any F(m, r), and what is emitted computes the product with them."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from mxconv.jit.ir import F32, F64, PTR, Module
from mxconv.jit.winograd import POINTS, Matrix, default_points, emit_product, winograd

SIZES = [(m, r) for m in range(1, 9) for r in range(1, 9) if m + r - 2 in POINTS]


def times(matrix: Matrix, column: list[Fraction]) -> list[Fraction]:
    return [sum(a * b for a, b in zip(row, column, strict=True)) for row in matrix]


def random_fractions(rng: random.Random, count: int) -> list[Fraction]:
    return [Fraction(rng.randint(-50, 50), rng.randint(1, 50)) for _ in range(count)]


def is_exact(rng: random.Random, m: int, r: int, points: tuple[Fraction, ...]) -> bool:
    matrices = winograd(m, r, points)
    data, weight = random_fractions(rng, m + r - 1), random_fractions(rng, r)
    products = [a * b for a, b in zip(times(matrices.kernel, weight), times(matrices.data, data), strict=True)]
    direct = [sum(data[i + t] * weight[t] for t in range(r)) for i in range(m)]
    return times(matrices.output, products) == direct


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_every_size_is_exact_on_any_points(m, r):
    rng = random.Random(m * 10 + r)
    assert is_exact(rng, m, r, default_points(m, r))
    for _ in range(3):
        points: set[Fraction] = set()
        while len(points) < m + r - 2:
            points.add(Fraction(rng.randint(-9, 9), rng.randint(1, 5)))
        assert is_exact(rng, m, r, tuple(points))


def test_the_data_matrix_depends_on_the_points_alone():
    assert winograd(4, 3).data == winograd(3, 4, default_points(4, 3)).data


def test_points_must_differ():
    with pytest.raises(ValueError, match="takes 3 different points"):
        winograd(2, 3, (Fraction(0), Fraction(1), Fraction(1)))


@pytest.mark.parametrize(("type_", "kind"), [(F32, np.float32), (F64, np.float64)], ids=["float32", "float64"])
@pytest.mark.parametrize(("m", "r"), [(4, 3), (2, 3), (3, 3), (4, 2), (3, 7), (1, 1), (1, 3), (4, 1)])
@pytest.mark.parametrize("name", ["output", "kernel", "data"])
def test_emitted_products(compiled, target, m, r, name, type_, kind):
    matrix = getattr(winograd(m, r), name)
    lanes = target.lanes(type_.itemsize)
    vector = type_.of(lanes)

    def emit(f, x, y):
        vectors = [f.load(vector, x, i * lanes) for i in range(len(matrix[0]))]
        for i, value in enumerate(emit_product(f, matrix, vectors)):
            f.store(value, y, i * lanes)

    x = np.random.default_rng(1).standard_normal((len(matrix[0]), lanes)).astype(kind)
    y = np.full((len(matrix), lanes), np.nan, kind)
    compiled(emit, x=PTR, y=PTR)(x, y)
    exact = np.array(matrix, float) @ x.astype(float)
    bound = 8 * np.finfo(kind).eps * (np.abs(np.array(matrix, float)) @ np.abs(x).astype(float))
    assert (np.abs(y - exact) <= bound).all()


def test_opposite_points_share_their_work(target):
    module = Module(target)
    matrices = winograd(4, 3)
    with module.function("count") as f:
        vector = F32.of(target.lanes(4))
        before = len(f.body)
        emit_product(f, matrices.data, [f.zero(vector)] * 6)
        operations = len(f.body) - before
    assert operations <= (12 if target.has_fma else 24)
