"""fft_1d on random problems that it accepts; what a value that is not finite or huge reaches; its errors."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv.engine import trial
from mxconv.engine.algorithms.fft_1d import Fft1d
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target

from .compare import compare, compute, expect
from .parent import numbered, run_on_target
from .random_problems import FLOATS

VARIANTS = ("separate", "separategroups", "separatepositions", "mixed", "mixedchannels")


@pytest.mark.parametrize(("name", "count"), [("native", 250), ("avx2", 200), ("x86-64", 200)])
def test_random_problems(name: str, count: int, environment: dict[str, str]) -> None:
    cases = numbered("fft_1d_problems", 0, count)
    counts = run_on_target(name, cases, environment, count, algorithms="fft_1d").count()
    wanted = [("direction", direction) for direction in ("forward", "backward_data")]
    wanted += [("dtype", dtype) for dtype in FLOATS]
    wanted += [("lanes", distance) for distance in ("1", "other")]
    wanted += [("kernel", f"fft_1d {variant}") for variant in VARIANTS]
    wanted += [("epilogue", word) for word in ("scale", "bias", "add", "relu", "prelu")]
    assert counts["algorithm", "fft_1d"] == count
    few = {key: counts[key] for key in wanted if counts[key] < 3}
    assert not few, f"fewer than 3 problems each: {few} of {dict(counts)}"


LONG = [
    "forward float32 n1 g1 c1->1 i20000 k4095 p2047",
    "forward float32 n1 g1 c1->3 i3000 k255 p127 +bias",
    "backward_data float32 n2 g4 c4->4 i3000 k2048 p2047:0",
    "backward_data float32 n1 g1 c1->1 i9000 k700 s7 d3 p20",
    "forward float32 n1 g1 c20->10 i3000 k1000 p500",
    "forward float32 n1 g1 c300->4 i900 k100 p50",
    "forward float64 n1 g1 c1->1 i5000 k400 p200",
    "forward float64 n1 g1 c5->10 i3000 k100 p50",
]


@pytest.mark.parametrize("line", LONG)
def test_errors_are_as_promised(line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    exact = expect(p, arrays)
    unit = 1.0 if p.dtype == "float32" else 2 * 2**-29  # twice, as the oracle rounds just as often
    inner = exact[..., p.kernel[0] // 2 : -p.kernel[0] // 2] if exact.shape[-1] > 2 * p.kernel[0] else exact
    assert np.abs(compute("fft_1d", p, arrays) - exact).max() <= Fft1d().error(p) * unit * inner.std()


@pytest.mark.parametrize("huge", [np.nan, np.inf, 1e38, -3e38])
@pytest.mark.parametrize("name", ["x", "w"])
@pytest.mark.parametrize("line", [*LONG[1:3], "forward float32 n1 g2 c6->4 i3000 k300 p50"])
def test_a_huge_value_reaches_its_own_results_only(line: str, name: str, huge: float) -> None:
    p = ConvProblem.parse(line)
    name = p.inputs[0] if name == "x" else name
    arrays = trial.make_arrays(p)
    arrays[name][0, 0, 200] = huge
    with np.errstate(invalid="ignore", over="ignore"):
        exact = expect(p, arrays)
        allowed = 4e-6 * 50 + 1e-6 * np.where(np.isfinite(exact), np.abs(exact), 0)
        compare(compute("fft_1d", p, arrays), exact, p, line, allowed, finite=False)


def test_one_click_and_silence() -> None:
    """What is silent but for a block with a click in it stays so, but for rounding relative to the click."""
    p = ConvProblem.parse("forward float32 n1 g1 c1->1 i60000 k300 p150")
    arrays = trial.make_arrays(p)
    arrays["x"][...] = 0
    arrays["x"][0, 0, 30000] = 1
    out = compute("fft_1d", p, arrays)
    exact = expect(p, arrays)
    assert np.abs(out - exact).max() < 1e-6 * np.abs(arrays["w"]).max()
    assert np.count_nonzero(out[..., :10000]) == np.count_nonzero(out[..., 50000:]) == 0


def test_pieces_within_a_workspace() -> None:
    """Asked for thrift, several channels take their columns in more and smaller pieces, with the same bits."""
    p = ConvProblem.parse("forward float32 n3 g2 c10->8 i9000 k100 p20")
    arrays = trial.make_arrays(p)
    outs, sizes = [], []
    for thrift in (0, 6, 8):
        plan = Fft1d().make_plan(p, target.current(), 2, thrift)
        out = trial.make_result(p)
        plan.run({**arrays, "y": out})
        outs.append(out)
        sizes.append(plan.workspace_bytes)
    assert sizes[0] > sizes[1] > sizes[2]
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])


@pytest.mark.parametrize("line", ["forward float32 n5 g1 c1->1 i900 k50", "forward float32 n5 g1 c20->10 i900 k50"])
def test_a_samples_bits_do_not_depend_on_the_batch(line: str) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    alone = ConvProblem.parse(line.replace("n5", "n1"))
    out = compute("fft_1d", p, arrays)
    for n in range(p.batch):
        own = {"x": np.ascontiguousarray(arrays["x"][n : n + 1]), "w": arrays["w"]}
        np.testing.assert_array_equal(compute("fft_1d", alone, own)[0], out[n])
