"""Answers recorded from Apache MXNet 1.9.1 on the CPU for the neural-network operators: outputs, gradients, statistics.

`nn.npz` is written by make_nn.py, and read here: `meta` (JSON) lists the cases and where each array lies in `block`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mxconv as mx

with np.load(Path(__file__).with_name("nn.npz")) as recorded:
    META: dict[str, Any] = json.loads(bytes(recorded["meta"]))
    BLOCK = bytes(recorded["block"])
CASES: list[dict[str, Any]] = META["cases"]
TOLERANCE = {"float32": 3e-6, "float64": 1e-11, "float16": 4e-3}
# In float64, where MXNet holds parameters or results in float32:
ROUNDED = {"LeakyReLU": 3e-7, "BatchNorm": 5e-8, "Pooling_v1": 5e-8, "L2Normalization": 1e-8}


def stored(name: str) -> np.ndarray[Any, Any]:
    dtype, shape, offset = META["arrays"][name]
    count = int(np.prod(shape))
    return np.frombuffer(BLOCK, dtype, count, offset).reshape(shape)


def check(case: dict[str, Any], name: str, found: Any) -> None:
    expected = stored(f"{case['id']}/{name}")
    result = found.asnumpy()
    assert result.shape == expected.shape, name
    assert result.dtype == expected.dtype, name
    assert np.isfinite(result).all(), name
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    tolerance = max(TOLERANCE[case["dtype"]], ROUNDED.get(case["op"], 0))
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * scale, err_msg=name)


def test_the_file_is_whole() -> None:
    ops = Counter(case["op"] for case in CASES)
    assert len(CASES) == 207
    assert len(ops) == 22
    assert min(ops["Pooling"], ops["BatchNorm"], ops["SoftmaxOutput"]) > 15


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['op']}")
def test_as_mxnet(case: dict[str, Any]) -> None:
    key = case["id"]
    arrays = [mx.nd.array(x, dtype=x.dtype) for x in (stored(f"{key}/in{i}") for i in range(case["inputs"]))]
    grads = [i for i in range(case["inputs"]) if f"{key}/grad{i}" in META["arrays"]]
    states = [i for i in range(case["inputs"]) if f"{key}/aux{i}" in META["arrays"]]
    for i in grads:
        arrays[i].attach_grad()
    with mx.autograd.record(train_mode=case["train"]):
        result = getattr(mx.nd, case["op"])(*arrays, **case["attrs"])
    outputs = result if isinstance(result, list) else [result]
    assert len(outputs) == case["outputs"]
    for i, output in enumerate(outputs):
        check(case, f"out{i}", output)
    if not grads:
        return
    heads = [stored(f"{key}/head{i}") for i in range(len(outputs))]
    mx.autograd.backward(outputs, [mx.nd.array(x, dtype=x.dtype) for x in heads], train_mode=case["train"])
    for i in grads:
        check(case, f"grad{i}", arrays[i].grad)
    for i in states:
        check(case, f"aux{i}", arrays[i])
