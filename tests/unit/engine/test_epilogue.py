"""What is done to sums before they are stored: the front door's list of steps, their operands and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem
from mxconv.errors import DTypeError, ShapeError
from mxconv.testing import reference

HOW: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "pad_lo": (1, 1), "pad_hi": (1, 1), "groups": 1}
RNG = np.random.default_rng(0)
X, W = RNG.integers(-5, 6, (2, 3, 9, 20)).astype("f4"), RNG.integers(-5, 6, (5, 3, 3, 3)).astype("f4")
SCALE, BIAS = RNG.integers(-3, 4, 5).astype("f4"), RNG.integers(-9, 9, 5).astype("f4")
SUMS = reference.convolution(X, W, **HOW)
RESIDUAL = RNG.integers(-50, 50, SUMS.shape).astype("f4")


def column(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1, 1, 1)


def run(epilogue: Any, bias: Any = None, out: np.ndarray | None = None) -> np.ndarray:
    out = np.full(SUMS.shape, np.nan, "f4") if out is None else out
    convolve("forward", X, W, out, bias, epilogue, **HOW)
    return out


def test_steps_in_order() -> None:
    scaled = SUMS * column(SCALE) + column(BIAS)
    got = run([("scale", SCALE), ("add", RESIDUAL), ("relu", None)], BIAS)
    np.testing.assert_array_equal(got, np.maximum(scaled + RESIDUAL, 0))
    got = run([("scale", SCALE), ("leaky", 0.25), ("add", RESIDUAL)], BIAS)
    np.testing.assert_array_equal(got, np.where(scaled > 0, scaled, scaled / 4) + RESIDUAL)
    got = run([("prelu", SCALE)])
    np.testing.assert_array_equal(got, np.where(SUMS > 0, SUMS, SUMS * column(SCALE)))


def test_a_residual_of_any_strides_and_the_result_itself() -> None:
    expected = SUMS + RESIDUAL
    np.testing.assert_array_equal(run([("add", np.asfortranarray(RESIDUAL))]), expected)
    last = np.empty((2, 9, 20, 5), "f4").transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(run([("add", RESIDUAL)], out=last), expected)
    out = RESIDUAL.copy()
    np.testing.assert_array_equal(run([("add", out)], out=out), expected)
    shifted = np.zeros(RESIDUAL.size + 3, "f4")  # the result overlaps what is added, three elements later
    shifted[:-3] = RESIDUAL.ravel()
    residual, out = (shifted[n : n + RESIDUAL.size].reshape(RESIDUAL.shape) for n in (0, 3))
    np.testing.assert_array_equal(run([("add", residual)], out=out), expected)


def test_nan_stays_and_minus_infinity_is_cut_off() -> None:
    x = X.copy()
    x[0, 0, 4, 4], x[1, 0, 4, 4] = np.nan, -np.inf
    out = np.empty(SUMS.shape, "f4")
    convolve("forward", x, np.ones_like(W), out, None, [("relu", None)], **HOW)
    assert np.isnan(out[0, :, 3:6, 3:6]).all()
    assert (out[1, :, 3:6, 3:6] == 0).all()


@pytest.mark.parametrize(
    ("epilogue", "error", "text"),
    [
        ([("gelu", None)], ShapeError, r"'gelu' without an operand, expected some of leaky, scale"),
        ([("relu", SCALE)], ShapeError, r"'relu' with one, expected"),
        ([("add", None)], ShapeError, r"'add' without an operand"),
        ([("scale", SCALE[:4])], ShapeError, r"scale has shape \(4,\), expected \(5,\)"),
        ([("add", RESIDUAL[:1])], ShapeError, r"add has shape"),
        ([("add", RESIDUAL.astype("f8"))], DTypeError, r"add is float64, expected float32"),
        ([("relu", None), ("scale", SCALE), ("relu", None)], ShapeError, r"'relu' twice"),
        ([("add", RESIDUAL), ("relu", None), ("leaky", 0.1)], ShapeError, r"one activation"),
        ([("relu", None), ("prelu", SCALE)], ShapeError, r"one activation"),
    ],
)
def test_what_does_not_fit_is_refused(epilogue: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        run(epilogue)


def test_problems_name_it() -> None:
    line = "forward float32 n1 g1 c3->8 i9x9 k3x3 +scale +bias +relu +add"
    assert str(ConvProblem.parse(line)) == line
    assert list(ConvProblem.parse(line).operands) == ["scale", "bias", "residual"]
    for words in ("+bias +scale", "+relu +bias", "+add +relu +add"):
        with pytest.raises(ShapeError, match="in this order"):
            ConvProblem.parse(f"forward float32 n1 g1 c3->8 i9x9 k3x3 {words}")
    with pytest.raises(ShapeError, match="nothing for a weight gradient"):
        ConvProblem.parse("backward_weight float32 n1 g1 c3->8 i9x9 k3x3 +relu")
    with pytest.raises(ShapeError, match="expected some of scale, bias, add in this order"):
        ConvProblem.parse("forward complex64 n1 g1 c3->8 i9x9 k3x3 +relu")
