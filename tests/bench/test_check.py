"""The harness's judge against the oracle, and what it must not let pass."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.compare import expect
from harness.check import SAMPLES, Judge, exact_output, sample_outputs
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import make_arrays
from mxconv.testing import reference

PROBLEMS = [
    "float32 n2 g1 c3->4 i7 k3 s2 d2 p1:2",
    "float64 n1 g2 c4->6 i6x5 k3x2 s2x1 d1x2 p1x0:1",
    "int16 n2 g3 c3->3 i3x4 k2x3 s1x2 d2x1 p2:-1x1:3",
    "complex64 n1 g1 c2->2 i3x4x3 k2x2x1 s2x1x2 p1x0x0",
    "float32 n1 g1 c1->1 i4 k3 s5 p4",
]


@pytest.mark.parametrize("text", PROBLEMS)
@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weight"])
def test_outputs_are_the_oracles(direction: str, text: str) -> None:
    p = ConvProblem.parse(f"{direction} {text}" + (" +bias" if direction != "backward_weight" else ""))
    arrays = make_arrays(p)
    if direction == "backward_weight":
        axes = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
        expected = reference.convolution_weight_gradient(arrays["x"], arrays["y"], **axes, kernel=p.kernel)
    else:
        expected = expect(p, arrays)
    got = np.array([exact_output(p, arrays, index) for index in np.ndindex(expected.shape)]).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert Judge.of(p, arrays).complaint(expected.astype(p.result.numpy), None)[0] == ""


def test_samples_hold_the_corners() -> None:
    where = sample_outputs((2, 3, 50, 60))
    assert len(set(where)) == len(where) > SAMPLES
    assert {(0, 0, 0, 0), (1, 2, 49, 59), (1, 0, 0, 59)} <= set(where)
    assert sample_outputs((2, 0, 5)) == []


@pytest.fixture(scope="module")
def case() -> tuple[Judge, np.ndarray]:
    p = ConvProblem.parse("forward float32 n2 g1 c8->6 i30x30 k3x3 p1x1")
    arrays = make_arrays(p)
    return Judge.of(p, arrays), expect(p, arrays).astype(np.float32)


def test_float32_rounding_passes_and_fewer_bits_do_not(case: tuple[Judge, np.ndarray]) -> None:
    judge, right = case
    complaint, error = judge.complaint(right, right)
    assert complaint == ""
    assert 0 < error < 1e-6
    few_bits = (right.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)  # 10 bits of fraction, as TF32 has
    assert "wrong by" in judge.complaint(few_bits, right)[0]


def test_one_wrong_output_anywhere_is_found(case: tuple[Judge, np.ndarray]) -> None:
    judge, right = case
    unseen = next(i for i in np.ndindex(right.shape) if i not in set(judge.where))
    for index in (judge.where[5], unseen):
        wrong = right.copy()
        wrong[index] += 0.01 * judge.scale
        assert "wrong by 1.0e-02" in judge.complaint(wrong, right)[0]


def test_shape_dtype_and_nan_are_found(case: tuple[Judge, np.ndarray]) -> None:
    judge, right = case
    bad = right.copy()
    bad[1, 5, 29, 28] = np.inf
    assert "not finite" in judge.complaint(bad, right)[0]
    assert "answered float64" in judge.complaint(right.astype(np.float64), right)[0]
    assert "(2, 6, 30, 29)" in judge.complaint(right[..., 1:], right)[0]
