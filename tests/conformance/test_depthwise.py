"""The depthwise algorithms on random problems that they accept, on every target; threads; values not finite."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner, trial
from mxconv.engine.algorithms.depthwise import Depthwise
from mxconv.engine.problem import DIRECTIONS, ConvProblem

from .compare import compare, compute_by_threads, expect
from .depthwise_problems import REAL
from .faults import DEPTHWISE
from .parent import numbered, run_on_target

NAMES, PROBLEMS = DEPTHWISE


@pytest.mark.parametrize("name", ["native", "avx2", "x86-64"])
def test_random_problems(name: str, environment: dict[str, str]) -> None:
    outcome = run_on_target(name, numbered(PROBLEMS, 0, 204), environment, 204, algorithms=NAMES)
    counts = outcome.count()
    wanted = [("direction", direction) for direction in DIRECTIONS]
    wanted += [("dtype", dtype) for dtype in REAL]
    wanted += [("algorithm", algorithm) for algorithm in NAMES.split(",")]
    wanted += [("epilogue", word) for word in ("bias", "relu", "prelu")]
    kernels = [kernel for record in outcome.records for kernel in record["kernels"]]
    for word in ("transposed", "skips", "chunks", "long", "_2step"):
        counts["kernel", word] = sum(word in kernel for kernel in kernels)
        wanted.append(("kernel", word))
    few = {key: counts[key] for key in wanted if counts[key] < 4}
    assert not few, f"fewer than 4 problems each: {few} of {dict(counts)}"


PLAIN = [
    "forward float32 n2 g40 c40->40 i20x20 k5x5 p2x2 x_strides(16000,1,800,40) y_strides(16000,1,800,40) +bias",
    "forward float32 n1 g20 c20->20 i56x56 k3x3 p1x1 +bias",
    "forward float32 n1 g20 c20->20 i56x56 k3x3 s2x2 p1x1",
    "forward float32 n2 g5 c5->5 i28x28 k7x7 p3x3 +relu",
    "forward float32 n1 g3 c3->3 i14x14 k27x27 p13x13",
    "forward float64 n1 g4 c4->4 i31x40 k5x5 d3x3 p6x6",
    "backward_data float32 n1 g6 c6->6 i30x30 k5x5 p2x2",
    "forward float32 n1 g4 c4->4 i9x20x20 k3x3x3 p1x1x1",
    "forward float32 n2 g20 c20->20 i9x11 k5x3 s2x1 p2x1 +bias",
    "backward_data float32 n2 g20 c20->20 i29x30 k3x3 s2x2 p1x1 +bias",
    "backward_weight float32 n3 g20 c20->20 i9x10 k5x3 s2x1 p2x1",
    "backward_weight float32 n3 g40 c40->40 i20x20 k3x3 p1x1 x_strides(16000,1,800,40) y_strides(16000,1,800,40)",
    "backward_weight float32 n3 g20 c20->20 i56x56 k3x3 p1x1",
    "backward_weight float32 n2 g9 c9->9 i28x28 k7x7 p3x3",
    "backward_weight float64 n2 g4 c4->4 i30x30 k5x5 s2x2 p2x2",
    "forward float32 n2 g5 c5->10 i56x57 k1x1 +bias",
]


@pytest.mark.parametrize("line", PLAIN)
def test_bits_do_not_depend_on_threads_and_errors_are_small(line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    results = compute_by_threads(NAMES, p, arrays)
    assert len({result.tobytes() for result in results}) == 1
    exact = expect(p, arrays)
    unit = 1.0 if p.dtype == "float32" else 2**-29
    assert np.abs(results[0] - exact).max() <= Depthwise().error(p) * unit * exact.std()


@pytest.mark.parametrize("line", [*PLAIN[:5], *PLAIN[8:13:2]])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_a_value_that_is_not_finite_reaches_its_own_results_only(line: str, value: float) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    arrays["x"][0, 2, 5, 6] = value
    with np.errstate(invalid="ignore", over="ignore"):
        exact = expect(p, arrays)
        allowed = 1e-4 + 1e-5 * np.where(np.isfinite(exact), np.abs(exact), 0)
        with config.override(algorithms=NAMES):
            out = trial.compute(p, arrays, trial.make_result(p))
        compare(out, exact, p, line, allowed, finite=False)


def test_image_sizes_compile_few_kernels() -> None:
    kernels = set()
    with config.override(algorithms=NAMES), planner.recording() as plans:
        for height in range(2, 61, 4):
            for width in range(3, 90, 7):
                p = ConvProblem.parse(f"forward float32 n1 g2 c2->2 i{height}x{width} k3x3 p1x1")
                trial.compute(p, trial.make_arrays(p), trial.make_result(p))
                kernels.add(plans[-1].keep[-1])
    assert len(kernels) <= 12
