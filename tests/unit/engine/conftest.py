"""A problem's arrays, its answer by the oracle, a cache of kernels for this run, and a planner without a memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.engine import planner
from mxconv.engine.problem import ConvProblem
from mxconv.testing import reference


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


@pytest.fixture
def plans(monkeypatch):
    """The planner's memory, empty."""
    fresh = planner.PlanCache()
    monkeypatch.setattr(planner, "_plans", fresh)
    return fresh


def how(p: ConvProblem) -> dict[str, Any]:
    """A problem's geometry, as `convolve` and the oracle take it."""
    return {name: getattr(p, name) for name in ("stride", "dilation", "pad_lo", "pad_hi", "groups")}


def small_integers(p: ConvProblem) -> dict[str, np.ndarray]:
    """The inputs of a problem as `convolve` names them; small integers, so that every sum is exact in every dtype."""
    rng = np.random.default_rng(6)
    kind = p.storage.numpy
    low, high = (0, 3) if kind.kind == "u" else (-2, 3)
    shapes = {"first": p.shape_of(p.inputs[0]), "second": p.shape_of(p.inputs[1])}
    if p.direction != "backward_weight":
        shapes["bias"] = p.bias_shape
    arrays = {name: rng.integers(low, high, shape).astype(kind) for name, shape in shapes.items()}
    if kind.kind == "c":
        arrays["first"] = arrays["first"] * kind.type(1 + 2j)
    return arrays


def expected(p: ConvProblem, first: np.ndarray, second: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """The oracle's answer in the result's dtype."""
    if p.direction == "forward":
        exact = reference.convolution(first, second, bias, **how(p))
    elif p.direction == "backward_data":
        exact = reference.deconvolution(first, second, bias, **how(p), out_spatial=p.in_spatial)
    else:
        exact = reference.convolution_weight_gradient(first, second, **how(p), kernel=p.kernel)
    return exact.astype(p.result.numpy)
