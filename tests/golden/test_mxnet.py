"""Answers recorded from Apache MXNet 1.9.1 on the CPU: every output and every gradient.

`mxnet_1_9_1.npz` holds 150 cases: `meta` (JSON) says each one's operator, parameters (lists stand for tuples), dtype
and whether it is exact (integers in float arrays: compared bit for bit; else to 1e-5 of the largest value in float32,
1e-12 in float64).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from registry_gradients import gradients

with np.load(Path(__file__).with_name("mxnet_1_9_1.npz")) as recorded:
    ARRAYS = {name: recorded[name] for name in recorded.files}
CASES: list[dict[str, Any]] = json.loads(bytes(ARRAYS["meta"]))["cases"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def parameters(case: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in case["params"].items()}


def inputs_of(case: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Every input that the case has, by name."""
    arrays = {name: ARRAYS.get(f"{case['id']}/{name}") for name in ("data", "weight", "bias")}
    return {name: array for name, array in arrays.items() if array is not None}


def check(case: dict[str, Any], output: np.ndarray[Any, Any], name: str = "output") -> None:
    expected = ARRAYS[f"{case['id']}/{name}"]
    assert output.shape == expected.shape
    assert output.dtype == expected.dtype == case["dtype"]
    if case["exact"]:
        np.testing.assert_array_equal(output, expected)
    else:
        assert np.isfinite(output).all()
        error = np.abs(output - expected).max() / np.abs(expected).max()
        assert error <= TOLERANCE[case["dtype"]]


def test_the_file_is_whole() -> None:
    assert Counter(case["op"] for case in CASES) == {"Convolution": 71, "Deconvolution": 79}
    assert sum(case["exact"] for case in CASES) > 100
    assert {ARRAYS[f"{case['id']}/data"].ndim for case in CASES} == {3, 4, 5}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['family']}")
def test_output(case: dict[str, Any]) -> None:
    inputs = inputs_of(case)
    function = getattr(mx.nd, case["op"])
    attrs = parameters(case)
    check(case, function(*inputs.values(), **attrs).asnumpy())  # NumPy arrays, by position
    arrays = {name: mx.nd.array(a, dtype=a.dtype) for name, a in inputs.items()}
    out = mx.nd.full(ARRAYS[f"{case['id']}/output"].shape, np.nan, dtype=case["dtype"])
    assert function(**arrays, **{k: str(v) for k, v in attrs.items()}, out=out) is out  # NDArrays, texts, out=
    check(case, out.asnumpy())


def by_registry(case: dict[str, Any], inputs: dict[str, Any], head: Any) -> dict[str, Any]:
    found = gradients(case["op"], list(inputs.values()), head, parameters(case))
    return dict(zip(inputs, found, strict=True))


def by_autograd(case: dict[str, Any], inputs: dict[str, Any], head: Any) -> dict[str, Any]:
    arrays = {name: mx.nd.array(a, dtype=a.dtype) for name, a in inputs.items()}
    for array in arrays.values():
        array.attach_grad()
    with mx.autograd.record():
        output = getattr(mx.nd, case["op"])(**arrays, **parameters(case))
    output.backward(mx.nd.array(head, dtype=head.dtype))
    return {name: array.grad.asnumpy() for name, array in arrays.items()}


@pytest.mark.parametrize("gradients_of", [by_registry, by_autograd], ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['family']}")
def test_gradients(case: dict[str, Any], gradients_of: Any) -> None:
    inputs = inputs_of(case)
    found = gradients_of(case, inputs, ARRAYS[f"{case['id']}/out_grad"])
    assert list(found) == list(inputs)
    for name, gradient in found.items():
        check(case, gradient, f"grad_{name}")


def test_the_check_notices_a_wrong_number() -> None:
    for case in (next(c for c in CASES if c["exact"]), next(c for c in CASES if not c["exact"])):
        output = ARRAYS[f"{case['id']}/output"].copy()
        check(case, output)
        for wrong in (output.flat[-1] + np.abs(output).max() * 1e-4, np.nan):
            output.flat[-1] = wrong
            with pytest.raises(AssertionError):
                check(case, output)
