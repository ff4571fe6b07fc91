"""phase_rows on random problems that it accepts, on every target; threads and thrift; values that are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv.engine import trial
from mxconv.engine.algorithms.phase_rows import PhaseRows
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target

from .compare import compute, compute_by_threads, expect
from .parent import numbered, run_on_target
from .phase_rows_problems import KERNELS


@pytest.mark.parametrize(("name", "count"), [("native", 120), ("avx2", 40), ("x86-64", 40)])
def test_random_problems(name: str, count: int, environment: dict[str, str]) -> None:
    cases = numbered("phase_rows_problems", 0, count)
    outcome = run_on_target(name, cases, environment, count, algorithms="phase_rows")
    counts = outcome.count()
    wanted = [("dtype", dtype) for dtype, _ in KERNELS]
    wanted += [("epilogue", word) for word in ("scale", "bias", "add", "relu", "prelu")]
    assert counts["algorithm", "phase_rows"] == count
    few = {key: counts[key] for key in wanted if counts[key] < 2}
    assert not few, f"fewer than 2 problems each: {few} of {dict(counts)}"
    assert outcome.share_of_blocked() >= 0.3


LINES = [
    "backward_data float32 n1 g1 c1->300 i4000 k16 s8",
    "backward_data float32 n2 g1 c3->40 i90x70 k9x9 s3x2 p4x4 +bias",
    "backward_data float64 n1 g2 c4->280 i9x20x22 k3x4x4 s2x2x2 p1x1x1",
]


@pytest.mark.parametrize("line", LINES)
def test_bits_depend_neither_on_threads_nor_on_thrift_and_errors_are_small(line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    results = compute_by_threads("phase_rows", p, arrays)
    for thrift in (2, 9):
        results.append(trial.make_result(p))
        PhaseRows().make_plan(p, target.current(), 2, thrift).run({**arrays, "x": results[-1]})
    assert len({result.tobytes() for result in results}) == 1
    exact = expect(p, arrays)
    unit = 1.0 if p.dtype == "float32" else 2**-29
    assert np.abs(results[0] - exact).max() <= PhaseRows().error(p) * unit * exact.std()


def test_a_value_that_is_not_finite_reaches_its_own_results_only() -> None:
    """Where the kernel is no multiple of the stride, phases differ in their taps."""
    p = ConvProblem.parse("backward_data float32 n1 g1 c1->4 i40x50 k7x8 s3x3 p2x2")
    arrays = trial.make_arrays(p)
    arrays["y"][0, 2, 5, 6] = np.nan
    out = compute("phase_rows", p, arrays)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expect(p, arrays)))
