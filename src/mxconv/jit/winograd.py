"""Winograd's matrices of F(m, r), exact, and their emission on vectors of lanes.

F(m, r) computes m neighbouring results of a correlation with r taps from n = m + r - 1 samples by n products:

    y = A^T [(G w) * (B^T d)],     y[i] = sum over t of d[i + t] * w[t],     0 <= i < m, 0 <= t < r

From n - 1 distinct points p_j, and infinity as the last one (Toom and Cook's algorithm, transposed):

    A^T[i][j] = p_j^i                              the last column is 1 in the last row only
    G[j][t]   = p_j^t / product of (p_j - p_l)     over l != j; the last row is 1 for the last tap only
    B^T[j]    = coefficients of product of (x - p_l) over l != j; in the last row over all l

B^T depends on the points alone. So does the weight gradient of F(m, r), which is F(r, m) on the same samples:
dw[t] = sum over i of d[t + i] * dy[i].

Sources: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin & Gray, "Fast Algorithms for Convolutional
Neural Networks", 2015, whose points 0, 1, -1, 2, -2 cost three to five times the error of those below.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .ir import Function, Value

Matrix = tuple[tuple[Fraction, ...], ...]
Points = tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class Winograd:
    """The exact matrices of F(m, r) on some points."""

    m: int
    r: int
    points: Points
    """The finite points, n - 1 of them; infinity comes last."""
    output: Matrix
    """A^T, m rows of n."""
    kernel: Matrix
    """G, n rows of r."""
    data: Matrix
    """B^T, n rows of n."""

    @property
    def n(self) -> int:
        """Samples of a tile, and its products."""
        return self.m + self.r - 1


def _points(*numbers: str) -> Points:
    return tuple(Fraction(number) for number in numbers)


POINTS: dict[int, Points] = {
    0: (),
    1: _points("0"),
    2: _points("0", "1"),
    3: _points("0", "1", "-1"),
    4: _points("0", "3/4", "-3/4", "3/2"),
    5: _points("0", "3/4", "-3/4", "3/2", "-3/2"),
    6: _points("0", "1/2", "-1/2", "9/8", "-9/8", "5/2"),
    7: _points("0", "1/2", "-1/2", "1", "-1", "2", "-2"),
    8: _points("0", "3/4", "-3/4", "9/8", "-9/8", "5/2", "-5/2", "1/4"),
}
"""Points with little error on N(0, 1) data, by their number: as most rounding happens in the sums of products, with
small sums of (A^T[i][j] |G[j]| |B^T[j]|)^2 over j."""
_POINTS_OF: dict[tuple[int, int], Points] = {(4, 2): _points("0", "1/2", "-1", "3/2")}
"""Where other points are better than those of their number."""


def default_points(m: int, r: int) -> Points:
    """The finite points of F(m, r) that the engine uses.

    >>> [str(p) for p in default_points(4, 3)]
    ['0', '3/4', '-3/4', '3/2', '-3/2']
    """
    return _POINTS_OF.get((m, r)) or POINTS[m + r - 2]


def _product_of(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of the product of (x - root), constant first."""
    polynomial = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *polynomial]
        polynomial = [high - root * low for high, low in zip(shifted, [*polynomial, Fraction(0)], strict=True)]
    return polynomial


@functools.cache
def winograd(m: int, r: int, points: Points | None = None) -> Winograd:
    """The matrices of F(m, r), on default_points unless others are given.

    >>> f = winograd(2, 3)
    >>> [[str(x) for x in row] for row in f.output]
    [['1', '1', '1', '0'], ['0', '1', '-1', '1']]
    """
    points = default_points(m, r) if points is None else points
    n = m + r - 1
    if len(set(points)) != n - 1:
        raise ValueError(f"F({m}, {r}) takes {n - 1} different points, got {points}")
    zero, one = Fraction(0), Fraction(1)
    others = [[q for q in points if q != p] for p in points]
    norms = [math.prod((p - q for q in rest), start=one) for p, rest in zip(points, others, strict=True)]
    return Winograd(
        m,
        r,
        points,
        output=tuple((*(p**i for p in points), one if i == m - 1 else zero) for i in range(m)),
        kernel=(
            *(tuple(p**t / norm for t in range(r)) for p, norm in zip(points, norms, strict=True)),
            (zero,) * (r - 1) + (one,),
        ),
        data=(*((*_product_of(rest), zero) for rest in others), tuple(_product_of(points))),
    )


# ---- emission


def emit_product(f: Function, matrix: Matrix, vectors: Sequence[Value]) -> list[Value]:
    """A small constant matrix times a column of lane vectors, in few operations.

    Points p and -p make two columns that differ in signs only (A^T) or two rows p and -p whose sum and difference
    have the even and the odd columns each (B^T, G): these are added up once for both. Factors of 1 and -1 cost no
    multiplication. The order of additions is fixed by the matrix.
    """
    matrix, vectors = _join_columns(matrix, vectors)
    out: dict[int, Value] = {}
    for i, row in enumerate(matrix):
        if i in out:
            continue
        j = next((j for j in range(i + 1, len(matrix)) if j not in out and _is_mirrored(row, matrix[j])), None)
        if j is None:
            out[i] = _sum(f, row, vectors)
            continue
        even = [a if a == b else Fraction(0) for a, b in zip(row, matrix[j], strict=True)]
        odd = [a if a != b else Fraction(0) for a, b in zip(row, matrix[j], strict=True)]
        lead = next(c for c in reversed(odd) if c)
        kept, turned = _sum(f, even, vectors), _sum(f, [c / lead for c in odd], vectors)
        out[i], out[j] = _add(f, kept, lead, turned), _add(f, kept, -lead, turned)
    return [out[i] for i in range(len(matrix))]


def _is_mirrored(a: Sequence[Fraction], b: Sequence[Fraction]) -> bool:
    """Whether two rows agree in some columns and differ in sign in the others, and both share work."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x or y]
    kept, turned = sum(x == y for x, y in pairs), sum(x == -y for x, y in pairs)
    return kept + turned == len(pairs) and kept > 0 and turned > 0 and len(pairs) > 2


def _join_columns(matrix: Matrix, vectors: Sequence[Value]) -> tuple[Matrix, list[Value]]:
    """Replace pairs of vectors whose columns differ in signs only by their sum and difference."""
    columns, joined = [list(column) for column in zip(*matrix, strict=True)], list(vectors)
    done: set[int] = set()
    for i in range(len(columns)):
        for j in range(i + 1, len(columns)):
            if not done & {i, j} and _is_mirrored(columns[i], columns[j]):
                a, b = columns[i], columns[j]
                columns[i] = [x if x == y else Fraction(0) for x, y in zip(a, b, strict=True)]
                columns[j] = [x if x != y else Fraction(0) for x, y in zip(a, b, strict=True)]
                joined[i], joined[j] = joined[i] + joined[j], joined[i] - joined[j]
                done |= {i, j}
    return tuple(zip(*columns, strict=True)), joined


def _sum(f: Function, row: Sequence[Fraction], vectors: Sequence[Value]) -> Value:
    """The sum of factors times vectors, begun with a factor that costs nothing if there is one."""
    terms = [(factor, vector) for factor, vector in zip(row, vectors, strict=True) if factor]
    terms.sort(key=lambda term: (term[0] != 1, term[0] != -1))
    if not terms:
        return f.zero(vectors[0].type)
    factor, vector = terms[0]
    total = vector if factor == 1 else -vector if factor == -1 else vector * f.constant(float(factor), vector.type)
    for factor, vector in terms[1:]:
        total = _add(f, total, factor, vector)
    return total


def _add(f: Function, total: Value, factor: Fraction, vector: Value) -> Value:
    if factor in (1, -1):
        return total + vector if factor == 1 else total - vector
    return f.multiply_add(vector, f.constant(float(factor), vector.type), total)
