"""MXNet's recorded answers once more, through an executor of a graph that went through JSON; and LeNet's first losses.

`lenet_losses.json` holds the first 50 losses of examples/lenet.py under MXNet 1.9.1, for three seeds.
"""

from __future__ import annotations

import json
import runpy
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from golden.test_mxnet import ARRAYS, CASES, check, inputs_of, parameters

LENET = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "lenet.py"))
LOSSES = json.loads(Path(__file__).with_name("lenet_losses.json").read_text())["losses"]


def bound(case: dict[str, Any], grad_req: str = "write") -> Any:
    inputs = inputs_of(case)
    variables = {name: mx.sym.Variable(name) for name in inputs}
    net = getattr(mx.sym, case["op"])(**variables, **parameters(case), name="c")
    net = mx.sym.load_json(net.tojson())
    arrays = {name: mx.nd.array(a, dtype=a.dtype) for name, a in inputs.items()}
    grads = {name: mx.nd.full(a.shape, 1, dtype=a.dtype) for name, a in arrays.items()}
    return net.bind(mx.cpu(), arrays, grads, grad_req)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['family']}")
def test_output_and_gradients(case: dict[str, Any]) -> None:
    executor = bound(case)
    (output,) = executor.forward(is_train=True)
    check(case, output.asnumpy())
    head = ARRAYS[f"{case['id']}/out_grad"]
    executor.backward(mx.nd.array(head, dtype=head.dtype))
    for name, grad in executor.grad_dict.items():
        check(case, grad.asnumpy(), f"grad_{name}")


@pytest.mark.parametrize("case", [case for case in CASES if case["exact"]][::8], ids=lambda case: case["id"])
def test_gradients_are_added(case: dict[str, Any]) -> None:
    executor = bound(case, "add")
    head = mx.nd.array(ARRAYS[f"{case['id']}/out_grad"], dtype=case["dtype"])
    for _ in range(2):
        executor.forward(is_train=True)
        executor.backward(head)
    for name, grad in executor.grad_dict.items():
        np.testing.assert_array_equal(grad.asnumpy(), 2 * ARRAYS[f"{case['id']}/grad_{name}"] + 1)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_lenet_begins_as_under_mxnet(seed: int) -> None:
    losses = [loss for loss, _ in islice(LENET["train"](mx, seed), 50)]
    np.testing.assert_allclose(losses, LOSSES[str(seed)], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lenet_learns(seed: int) -> None:
    start = time.process_time()
    *_, (loss, measure) = islice(LENET["train"](mx, seed), LENET["STEPS"])
    assert time.process_time() - start < 60
    assert measure() >= 0.98
    assert loss < 0.2
