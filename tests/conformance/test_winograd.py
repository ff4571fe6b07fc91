"""Winograd on random problems that it accepts; what a value that is not finite or huge reaches; its errors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mxconv.engine import trial
from mxconv.engine.algorithms.winograd import Winograd
from mxconv.engine.problem import ConvProblem

from .compare import compare, compute, expect
from .parent import Outcome, numbered, run_on_target

TILES = (4, 3, 2)


def _run(name: str, m: int, first: int, count: int, environment: dict[str, str]) -> Outcome:
    cases = numbered("winograd_problems", m * 10**6 + first, count)
    return run_on_target(name, cases, environment, count, algorithms=f"winograd_{m}", rtol="1")


@pytest.mark.parametrize("name", ["native", "avx2", "x86-64"])
def test_random_problems(name: str, environment: dict[str, str]) -> None:
    outcomes = [_run(name, m, 0, 75, environment) for m in TILES]
    counts = sum((outcome.count() for outcome in outcomes), Counter())
    wanted = [("direction", direction) for direction in ("forward", "backward_data")]
    wanted += [("dtype", dtype) for dtype in ("float32", "float64", "float16", "bfloat16")]
    wanted += [("lanes", distance) for distance in ("1", "2", "other")]
    wanted += [("epilogue", word) for word in ("scale", "bias", "add", "relu", "prelu")]
    wanted += [("algorithm", f"winograd_{m}") for m in TILES]
    wanted += [("kernel", f"winograd_{m} strided") for m in (4, 2)]
    few = {key: counts[key] for key in wanted if counts[key] < 10}
    assert not few, f"fewer than 10 problems each: {few} of {dict(counts)}"
    assert {case.problem.rank for outcome in outcomes for case in outcome.cases} >= {1, 2, 3, 4}
    blocks = [record["blocks"] for outcome in outcomes for record in outcome.records]
    several = {name: sum(block[name] > 1 for block in blocks) for name in ("pixels", "channels", "reduction")}
    assert min(several.values()) >= 25, several


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("native", 400), ("avx2", 150), ("x86-64", 150)])
@pytest.mark.parametrize("m", TILES)
def test_more_random_problems(name: str, count: int, m: int, environment: dict[str, str]) -> None:
    _run(name, m, 10**5, count, environment)


ERRORS = [
    (4, "forward float32 n1 g1 c64->32 i40x40 k3x3 p1x1"),
    (4, "forward float32 n2 g1 c300->32 i20x20 k3x3 p1x1"),
    (3, "forward float32 n1 g1 c64->32 i33x33 k3x3 d12x12 p12x12"),
    (2, "forward float32 n1 g1 c64->32 i40x40 k3x3 p1x1"),
    (4, "forward float32 n1 g1 c12->32 i80x80 k7x7 s2x2 p3x3"),
    (3, "forward float32 n1 g1 c128->32 i40x40 k1x7 p0x3"),
    (2, "forward float32 n1 g1 c128->32 i40x40 k7x1 p3x0"),
    (4, "backward_data float32 n4 g1 c32->128 o16x16 k4x4 s2x2 p1x1"),
    (4, "forward float32 n1 g1 c32->16 i6x20x20 k3x3x3 p1x1x1"),
    (4, "forward float64 n1 g1 c64->32 i40x40 k3x3 p1x1"),
    (3, "forward float64 n1 g1 c64->32 i40x40 k4x4"),
]


@pytest.mark.parametrize(("m", "line"), ERRORS)
def test_errors_are_as_promised(m: int, line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    exact = expect(p, arrays)
    unit = 1.0 if p.dtype == "float32" else 2 * 2**-29  # twice, as the oracle rounds just as often
    error = np.abs(compute(f"winograd_{m}", p, arrays, rtol=1.0) - exact).max() / exact.std()
    promised = Winograd(m).error(p) * unit
    assert promised / 6 < error < 1.3 * promised


HUGE = [
    "forward float32 n3 g1 c20->33 i11x13 k3x3 p1x1 +bias",
    "forward float32 n1 g2 c8->40 i30x9 k3x3 d2x3 p2x2",
    "forward float32 n2 g1 c5->7 i20x21 k3x4 s2x3 p1x1",
    "backward_data float32 n2 g1 c20->9 i20x22 k4x3 s2x2 p1x1",
    "forward float32 n1 g1 c17->16 i4x9x9 k3x3x2 p1x1x1 +bias",
    "forward float64 n1 g1 c17->16 i19x9 k3x3 p1x1",
]


@pytest.mark.parametrize("line", HUGE)
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e38, 1e300])
@pytest.mark.parametrize("which", ["data", "weight"])
def test_one_value_stays_in_its_support(line: str, value: float, which: str) -> None:
    p = ConvProblem.parse(line)
    if np.isfinite(value) and (abs(value) > 1e100) != (p.dtype == "float64"):
        pytest.skip("not a number of that type, or not a large one")
    arrays = trial.make_arrays(p)
    array = arrays[p.inputs[which == "weight"]]
    array[tuple(n // 2 for n in array.shape)] = value
    with np.errstate(over="ignore"):
        exact = expect(p, arrays)
    with np.errstate(invalid="ignore"):
        clean = expect(p, {**arrays, p.inputs[which == "weight"]: np.where(np.abs(array) < 1e30, array, 0)})
        reached = ~(np.abs(exact - clean) <= 1e-30)
    got = {m: compute(f"winograd_{m}", p, arrays, rtol=1.0) for m in TILES}
    for m, result in got.items():
        allowed = 6 * Winograd(m).error(p) * clean.std() * (1 if p.dtype == "float32" else 2**-28)
        with np.errstate(invalid="ignore", over="ignore"):
            ample = np.where(reached, np.abs(exact) * 1e-6, 0) + allowed
            compare(result, exact, p, line, np.nan_to_num(ample, nan=allowed, posinf=1e300), finite=False)
