"""MXNet's recorded answers once more, through an executor of a graph that went through JSON; and LeNet's first losses.

`executors.npz` holds random graphs and what MXNet 1.9.1 made of them: see make_executors.py. `lenet_losses.json` holds
the first 50 losses of examples/lenet.py under MXNet 1.9.1, for three seeds.
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
from golden.make_executors import train
from golden.test_mxnet import ARRAYS, CASES, check, inputs_of, parameters

LENET = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "lenet.py"))
LOSSES = json.loads(Path(__file__).with_name("lenet_losses.json").read_text())["losses"]

with np.load(Path(__file__).with_name("executors.npz")) as recorded:
    TRAINED = {name: recorded[name] for name in recorded.files}
GRAPHS: list[dict[str, Any]] = json.loads(bytes(TRAINED["meta"]))


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


@pytest.mark.parametrize("seed", range(len(GRAPHS)))
def test_a_random_graph_is_trained(seed: int) -> None:
    graph = GRAPHS[seed]
    found = train(mx, mx.sym.load_json(graph["json"]), graph["grad_req"], seed)
    expected = {name.partition("/")[2]: a for name, a in TRAINED.items() if name.startswith(f"{seed}/")}
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5 * max(1, np.abs(array).max()), err_msg=name)


def test_the_random_graphs_hold_something_of_everything() -> None:
    ops = {node["op"] for graph in GRAPHS for node in json.loads(graph["json"])["nodes"]}
    assert {"Convolution", "Deconvolution", "BatchNorm", "SoftmaxOutput", "MakeLoss", "BlockGrad"} < ops
    assert {word for graph in GRAPHS for word in graph["grad_req"].values()} == {"write", "add", "null"}
    assert {len(json.loads(graph["json"])["heads"]) for graph in GRAPHS} == {1, 2, 3}


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
