"""A problem's arrays, its answer by the oracle, and a cache of kernels for this run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.engine.problem import ConvProblem
from mxconv.testing import reference


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


def how(p: ConvProblem) -> dict[str, Any]:
    """A problem's geometry, as `convolve` and the oracle take it."""
    return {name: getattr(p, name) for name in ("stride", "dilation", "pad_lo", "pad_hi", "groups")}


def small_integers(p: ConvProblem) -> dict[str, np.ndarray]:
    """data, weight and bias of a problem; small integers, so that every sum is exact in every dtype."""
    rng = np.random.default_rng(6)
    kind = p.storage.numpy
    low, high = (0, 3) if kind.kind == "u" else (-2, 3)
    shapes = {"data": p.shape_of(p.inputs[0]), "weight": p.shape_of(p.inputs[1]), "bias": p.bias_shape}
    arrays = {name: rng.integers(low, high, shape).astype(kind) for name, shape in shapes.items()}
    if kind.kind == "c":
        arrays["data"] = arrays["data"] * kind.type(1 + 2j)
    return arrays


def expected(p: ConvProblem, data: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """The oracle's answer in the result's dtype."""
    if p.direction == "forward":
        exact = reference.convolution(data, weight, bias, **how(p))
    else:
        exact = reference.deconvolution(data, weight, bias, **how(p), out_spatial=p.in_spatial)
    return exact.astype(p.result.numpy)
