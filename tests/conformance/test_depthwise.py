"""The depthwise algorithms on random problems that they accept, on every target; what they refuse, and why."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner, trial
from mxconv.engine.algorithms.depthwise import Depthwise
from mxconv.engine.algorithms.depthwise_lanes import DepthwiseLanes
from mxconv.engine.algorithms.depthwise_lanes_weight import DepthwiseLanesWeight
from mxconv.engine.algorithms.depthwise_phases import DepthwisePhases
from mxconv.engine.algorithms.depthwise_weight import DepthwiseWeight
from mxconv.engine.problem import DIRECTIONS, ConvProblem
from mxconv.jit import target

from .compare import compare, expect
from .depthwise_problems import REAL
from .parent import Outcome, numbered, run_on_target

NAMES = "depthwise,depthwise_lanes,depthwise_phases,depthwise_lanes_weight,depthwise_weight"


def _run(name: str, first: int, count: int, environment: dict[str, str]) -> Outcome:
    return run_on_target(name, numbered("depthwise_problems", first, count), environment, count, algorithms=NAMES)


@pytest.mark.parametrize("name", ["native", "avx2", "x86-64"])
def test_random_problems(name: str, environment: dict[str, str]) -> None:
    outcome = _run(name, 0, 204, environment)
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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("native", 3000), ("avx2", 1000), ("x86-64", 1000)])
def test_more_random_problems(name: str, count: int, environment: dict[str, str]) -> None:
    _run(name, 10**6, count, environment)


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
]


@pytest.mark.parametrize("line", PLAIN)
def test_bits_do_not_depend_on_threads_and_errors_are_small(line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    results = []
    for threads in (1, 2, 5):
        with config.override(algorithms=NAMES, num_threads=threads, parallel_threshold=0):
            results.append(trial.compute(p, arrays, trial.make_result(p)))
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


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("forward float32 n1 g2 c2->2 i90 k9", "a single grid row"),
        ("forward complex64 n1 g2 c2->2 i9x9 k3x3", "dtype complex64"),
        ("forward float32 n1 g2 c2->2 i2x9 k3x3", "no pixels"),
        ("forward float32 n1 g2 c4->4 i9x9 k3x3", "2 source channels a group"),
        ("forward float32 n1 g2 c2->32 i9x9 k3x3", "16 result channels a group"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x2", "several phases"),
        ("forward float32 n1 g2 c2->2 i90x9 k3x3 s5x1", "rows 5 dilations apart"),
        ("forward float32 n1 g2 c2->2 i9x9 k3x3 y_strides(98,1,14,2)", "results of a row"),
        ("forward float32 n1 g2 c2->2 i90000x2000 k3x900 d9000x1", "the smallest box stages"),
    ],
)
def test_refusals_say_why(line: str, reason: str) -> None:
    verdict = Depthwise().applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert reason in verdict.reason


LAST = "x_strides(972,1,108,12) y_strides(588,1,84,12)"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3", "direction backward_weight"),
        ("forward float32 n1 g12 c12->12 i9x9 k3x3 y_strides(588,49,7,2)", "neither channels nor pixels"),
        ("forward float32 n1 g12 c12->12 i9x16 k3x1 p1x0", "rows of 16 pixels"),
        ("forward float32 n1 g12 c12->12 i5000x7 k3x3 p1x1", "a transposed image"),
        ("forward float32 n1 g12 c12->24 i9x9 k3x3", "2 result channels a group"),
        (f"forward float32 n1 g12 c12->12 i9x9 k17x17 p7x7 {LAST}", "289 taps"),
        ("forward float32 n1 g2 c2->2 i9x9 k3x3 x_strides(162,1,18,2) y_strides(98,1,14,2)", "2 channels fill less"),
    ],
)
def test_refusals_of_channels_in_lanes_say_why(line: str, reason: str) -> None:
    verdict = DepthwiseLanes().applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("forward float32 n1 g2 c2->2 i9x9 k3x3 s2x2", "direction forward"),
        ("backward_data complex64 n1 g2 c2->2 i9x9 k3x3 s2x2", "dtype complex64"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3", "a single phase"),
        ("backward_data float32 n1 g2 c2->4 i9x9 k3x3 s2x2", "2 source channels a group"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x3", "3 phases of the last axis"),
        ("backward_data float32 n1 g2 c2->2 i5x9x9 k1x3x3 s1x2x2", "3 axes"),
        ("backward_data float32 n1 g2 c2->2 i19x9 k5x3 s2x2 d3x1", "rows that taps leave out"),
        ("backward_data float32 n1 g2 c2->2 i90x9 k40x3 s2x2", "20 row taps"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x2 x_strides(324,162,18,2)", "results of a row"),
    ],
)
def test_refusals_of_phases_say_why(line: str, reason: str) -> None:
    verdict = DepthwisePhases().applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("forward float32 n1 g12 c12->12 i9x9 k3x3", "direction forward"),
        ("backward_weight float32 n1 g12 c12->24 i9x9 k3x3", "2 result channels a group"),
        ("backward_weight float32 n1 g12 c12->12 i3x9x9 k3x3x3 p1x1x1", "3 axes"),
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3 d1x2", "column taps"),
        ("backward_weight float32 n1 g2 c2->2 i9x9 k3x3", "2 channels fill less"),
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3 y_strides(588,49,7,2)", "neither channels nor pixels"),
        ("backward_weight float32 n1 g12 c12->12 i9x16 k3x1 p1x0", "rows of 16 pixels"),
        ("backward_weight float32 n1 g12 c12->12 i5000x7 k3x3 p1x1", "a transposed image"),
    ],
)
def test_refusals_of_weight_gradients_in_lanes_say_why(line: str, reason: str) -> None:
    verdict = DepthwiseLanesWeight().applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert reason in verdict.reason


def test_the_weight_gradient_refuses_channels_last() -> None:
    p = ConvProblem.parse("backward_weight float32 n1 g2 c2->2 i9x9 k3x3 y_strides(98,1,14,2)")
    assert "gradients of a row" in DepthwiseWeight().applicable(p, target.current()).reason
