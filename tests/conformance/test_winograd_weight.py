"""The weight gradient by Winograd's transforms alone: random problems on every target, and its twin in NumPy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mxconv.engine import trial
from mxconv.engine.algorithms.winograd_weight import Way, WinogradWeight, cut
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target
from mxconv.jit.winograd import winograd

from .compare import compute, expect
from .parent import listed, run_on_target, usable
from .random_problems import Case
from .winograd_weight_problems import make_case

TILES = (4, 3, 2)


FEW = (
    ("float32", (3, 3), False),
    ("float32", (3, 3), True),
    ("float32", (1, 3), False),
    ("float64", (4, 2), False),
    ("float16", (3, 1), False),
    ("bfloat16", (2, 3), True),
)
"""Type, taps and whether tiles lie apart: what kernels are compiled for. These in every run, others in slow ones."""


def kind_of(case: Case) -> tuple[str, tuple[int, ...], bool]:
    p = case.problem
    return p.dtype, (1, *p.kernel)[-2:], p.kernel[-1] > 1 and p.dilation[-1] > 1


def accepted(first: int, count: int, m: int, name: str, few: bool) -> list[str]:
    """The lines of so many cases that the algorithm applies to."""
    lines: list[str] = []
    algorithm, current = WinogradWeight(m), usable(name)
    number = first
    while len(lines) < count:
        case = make_case(number)
        number += 1
        is_wanted = not few or kind_of(case) == FEW[len(lines) % len(FEW)]
        if is_wanted and algorithm.applicable(case.problem, current).accepted:
            lines.append(str(case))
    return lines


def run(environment: dict[str, str], tmp_path: Path, name: str, m: int, first: int, count: int, few: bool) -> Counter:
    cases = listed(tmp_path, accepted(first, count, m, name, few))
    # rtol: also those whose error the default does not admit
    outcome = run_on_target(name, cases, environment, count, algorithms=f"winograd_weight_{m}", rtol="1")
    counts = outcome.count()
    assert counts["algorithm", f"winograd_weight_{m}"] == count
    counts["dilated"] = sum("dilated" in kernel for record in outcome.records for kernel in record["kernels"])
    for record in outcome.records:
        counts.update(("way", word) for word in record["blocks"])
    for case in outcome.cases:
        counts["rank", case.problem.rank] += 1
        counts["data", case.data] += 1
    return counts


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("name", ["native", "avx2", "x86-64"])
def test_random_problems(name: str, m: int, environment: dict[str, str], tmp_path: Path) -> None:
    counts = run(environment, tmp_path, name, m, 10_000 * m, 70, few=True)
    wanted = [("dtype", dtype) for dtype in ("float32", "float64", "float16", "bfloat16")]
    wanted += [("data", data) for data in ("normal", "integers", "holes")]
    wanted += [*(("way", way) for way in get_args(Way)), "dilated"]
    too_few = {key: counts[key] for key in wanted if counts[key] < 5}
    assert not too_few
    assert min(counts["rank", rank] for rank in (1, 2, 3)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("name", ["native", "avx2", "x86-64"])
def test_more_random_problems(name: str, m: int, environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, tmp_path, name, m, 100_000 * m, 600, few=False)


# ---- the twin


def twin(p: ConvProblem, m: int, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The formula of two transformed axes, tile by tile, in float64."""
    (rows, columns), padded = (winograd(taps, m) for taps in p.kernel), [(0, 0), (0, 0)]
    for out, extent, lo, transform in zip(p.out_spatial, p.in_spatial, p.pad_lo, (rows, columns), strict=True):
        tiles = -(-out // m)
        padded.append((lo, max(0, tiles * m + transform.m - 1 - lo - extent)))
    x = np.pad(x, padded)
    dy = np.pad(dy, [(0, 0), (0, 0), *((0, -out % m) for out in p.out_spatial)])
    as_floats = {t: [np.array(a, float) for a in (t.data, t.kernel, t.output)] for t in (rows, columns)}
    sums = np.zeros((p.out_channels, p.in_channels, rows.n, columns.n))
    for i in range(0, dy.shape[2], m):
        for j in range(0, dy.shape[3], m):
            own_x, own_y = x[:, :, i : i + rows.n, j : j + columns.n], dy[:, :, i : i + m, j : j + m]
            v = as_floats[rows][0] @ own_x @ as_floats[columns][0].T
            d = as_floats[rows][1] @ own_y @ as_floats[columns][1].T
            sums += np.einsum("nkij,ncij->kcij", d, v)
    return as_floats[rows][2] @ sums @ as_floats[columns][2].T


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("taps", ["3x3", "2x4", "5x2"])
def test_the_twin_and_the_kernel_agree(taps: str, m: int) -> None:
    p = ConvProblem.parse(f"backward_weight float64 n2 c6->5 i11x14 k{taps} p1x2")
    arrays = trial.make_arrays(p)
    exact = expect(p, arrays)
    np.testing.assert_allclose(twin(p, m, arrays["x"], arrays["y"]), exact, rtol=0, atol=1e-11)
    ours = compute(f"winograd_weight_{m}", p, arrays, rtol=1.0)
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-11)


# ---- what it says of itself


@pytest.mark.parametrize("m", TILES)
@pytest.mark.parametrize("taps", [2, 3, 4, 5])
def test_errors_are_as_promised(taps: int, m: int) -> None:
    algorithm = WinogradWeight(m)
    for line in (f"n2 c32->32 i1500 k{taps}", f"n2 c32->32 i40x40 k{taps}x{taps}"):
        p = ConvProblem.parse(f"backward_weight float32 {line}")
        arrays = trial.make_arrays(p)
        exact = expect(p, arrays)
        error = np.abs(compute(algorithm.name, p, arrays, rtol=1.0) - exact).max() / exact.std()
        assert algorithm.error(p) / 20 < error < algorithm.error(p)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("forward float32 c8->8 i9x9 k3x3", "direction forward, needs backward_weight"),
        ("backward_weight complex64 c8->8 i9x9 k3x3", "dtype complex64, needs real floats"),
        ("backward_weight int8 c8->8 i9x9 k3x3", "dtype int8, needs real floats"),
        ("backward_weight float32 c8->8 i9x9 k3x3 s1x2", "stride (1, 2), needs 1"),
        ("backward_weight float32 c8->8 i9x9x9 k3x1x1", "kernel (3, 1, 1), needs 2 to 6 taps on the last axes"),
        ("backward_weight float32 c8->8 i29x29 k3x9", "kernel (3, 9), needs 2 to 6 taps on the last axes"),
        ("backward_weight float32 n0 c8->8 i9x9 k3x3", "no products to sum"),
        ("backward_weight float32 g8 c8->8 i9x9 k3x3", "1 channels a group, pays from"),
        ("backward_weight float32 c64->64 i9999x9999 k3x3 d999x999", "the smallest chunk takes"),
    ],
)
def test_refusals(line: str, reason: str) -> None:
    verdict = WinogradWeight(4).applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert verdict.reason.startswith(reason)


def test_thrift_makes_plans_smaller() -> None:
    p = ConvProblem.parse("backward_weight float32 n8 c64->64 i56x56 k3x3 p1x1")
    sizes = [WinogradWeight(4).make_plan(p, target.current(), 1, thrift).workspace_bytes for thrift in range(4)]
    assert sizes == sorted(set(sizes), reverse=True)


def test_samples_share_a_chunk_where_images_are_small() -> None:
    p = ConvProblem.parse("backward_weight float32 n32 c64->64 i7x7 k3x3 p1x1")
    samples, *_ = cut(p, target.current(), 4).chunk
    assert samples > 1
