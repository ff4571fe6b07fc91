"""First and second derivatives of the neural-network operators against central differences, in float64."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import mxconv as mx

STEP = 1e-5
Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """An operator on inputs of these shapes, of which the first `wanted` are differentiated."""

    op: str
    attrs: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    wanted: int = 1
    is_training: bool = True

    def __str__(self) -> str:
        words = [f"{k}={v}" for k, v in self.attrs.items()]
        return "-".join([self.op, *words, *map(str, self.shapes)]).replace(" ", "")


CHANNELS = ((3, 4, 2, 3), (4,), (4,), (4,), (4,))
CASES = [
    Case("FullyConnected", {"num_hidden": 3}, ((4, 2, 3), (3, 6), (3,)), 3),
    Case("FullyConnected", {"num_hidden": 3, "flatten": False}, ((4, 2, 3), (3, 3), (3,)), 3),
    Case("FullyConnected", {"num_hidden": 3, "no_bias": True}, ((4, 5), (3, 5)), 2),
    *(Case("Activation", {"act_type": t}, ((3, 4),)) for t in ("relu", "sigmoid", "softrelu", "softsign", "tanh")),
    *(Case("LeakyReLU", {"act_type": t}, ((3, 4),)) for t in ("leaky", "elu", "selu", "gelu", "rrelu")),
    Case("LeakyReLU", {"act_type": "prelu"}, ((2, 3, 2, 2), (3,)), 2),
    Case("LeakyReLU", {"act_type": "prelu"}, ((2, 3), (1,)), 2),
    Case("LeakyReLU", {"act_type": "rrelu"}, ((3, 4),), 1, False),
    *(
        Case("Pooling", {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 0), "pool_type": t, **more}, ((2, 2, 5, 4),))
        for t in ("max", "avg", "sum")
        for more in ({}, {"pooling_convention": "full"}, {"layout": "NHWC"}, {"global_pool": True})
    ),
    Case("Pooling", {"kernel": (2,), "pool_type": "avg", "count_include_pad": False, "pad": (1,)}, ((2, 2, 5),)),
    Case("Pooling", {"kernel": (2, 1, 2, 2), "stride": (2,) * 4}, ((1, 2, 4, 1, 2, 4),)),
    *(
        Case("Pooling_v1", {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 1), "pool_type": t}, ((2, 2, 5, 4),))
        for t in ("max", "avg", "sum")
    ),
    *(
        Case("BatchNorm", {"fix_gamma": fixed, "use_global_stats": fast}, CHANNELS, 1 if fixed else 3, training)
        for fixed in (False, True)
        for fast, training in ((False, True), (True, True), (False, False))
    ),
    Case("BatchNorm", {"fix_gamma": False, "axis": -1}, ((3, 2, 4), (4,), (4,), (4,), (4,)), 3),
    Case("BatchNorm_v1", {"fix_gamma": False}, CHANNELS, 3),
    Case("Dropout", {"p": 0.4}, ((4, 5),)),
    Case("Dropout", {"p": 0.4, "axes": (1,), "mode": "always"}, ((4, 5),), 1, False),
    Case("Dropout", {}, ((4, 5),), 1, False),
    *(Case("LRN", {"nsize": n, "alpha": 0.5, "beta": 0.6}, ((2, 5, 2, 2),)) for n in (1, 3, 4)),
    Case("LRN", {"nsize": 3, "alpha": 0.5}, ((2, 5),)),
    *(Case("L2Normalization", {"mode": m, "eps": 0.1}, ((2, 3, 2, 2),)) for m in ("instance", "channel", "spatial")),
    Case("L2Normalization", {"eps": 0.1}, ((5,),)),
    Case("InstanceNorm", {}, ((2, 3, 4), (3,), (3,)), 3),
    Case("UpSampling", {"scale": 2, "sample_type": "nearest"}, ((2, 2, 3, 2),)),
    Case("UpSampling", {"scale": 4, "sample_type": "nearest"}, ((2, 2, 1, 2), (2, 1, 2, 8)), 2),
    Case("UpSampling", {"scale": 2, "sample_type": "nearest", "multi_input_mode": "sum"}, ((1, 2, 2), (1, 2, 4)), 2),
    Case("UpSampling", {"scale": 3, "sample_type": "bilinear"}, ((2, 2, 3, 2), (2, 1, 5, 5)), 2),
    Case("Convolution_v1", {"kernel": (2, 2), "num_filter": 3}, ((2, 2, 3, 4), (3, 2, 2, 2), (3,)), 3),
    Case("SoftmaxActivation", {}, ((2, 3, 4),)),
    Case("SoftmaxActivation", {"mode": "channel"}, ((2, 3, 4),)),
    *(Case(op, {"axis": 1, "temperature": 1.5}, ((2, 3, 2),)) for op in ("softmax", "log_softmax", "softmin")),
    Case("softmax_cross_entropy", {}, ((4, 3), (4,))),
]


def draw(case: Case) -> list[Array]:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    arrays = [rng.normal(size=shape) for shape in case.shapes]
    if case.op.startswith("BatchNorm"):
        arrays[4] = rng.uniform(0.5, 2, case.shapes[4])
    if case.op == "softmax_cross_entropy":
        arrays[1] = rng.integers(0, 3, case.shapes[1]).astype(float)
    return arrays


def run(case: Case, arrays: list[Any]) -> Any:
    """The first output; the same random numbers each time."""
    mx.random.seed(5)
    result = getattr(mx.nd, case.op)(*arrays, **case.attrs)
    return result[0] if isinstance(result, list) else result


def wrapped(arrays: list[Array]) -> list[Any]:
    return [mx.nd.array(x, dtype="float64") for x in arrays]


def differences(function: Callable[[list[Array]], float], arrays: list[Array], wanted: int) -> list[Array]:
    """The derivative of a number with respect to each element of the first arrays."""
    results = []
    for place in range(wanted):
        result = np.zeros_like(arrays[place])
        for index in np.ndindex(result.shape):
            ends = []
            for sign in (1, -1):
                moved = [x.copy() for x in arrays]
                moved[place][index] += sign * STEP
                ends.append(function(moved))
            result[index] = (ends[0] - ends[1]) / (2 * STEP)
        results.append(result)
    return results


def close(found: list[Any], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.asnumpy(), other, rtol=1e-6, atol=3e-8 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_first_derivatives(case: Case) -> None:
    arrays = draw(case)
    with mx.autograd.record(train_mode=case.is_training):
        head = np.random.default_rng(1).normal(size=run(case, wrapped(arrays)).shape)

    def total(inputs: list[Array]) -> float:
        with mx.autograd.record(train_mode=case.is_training):
            return float((run(case, wrapped(inputs)).asnumpy() * head).sum())

    inputs = wrapped(arrays)
    for x in inputs[: case.wanted]:
        x.attach_grad()
    with mx.autograd.record(train_mode=case.is_training):
        y = run(case, inputs)
    y.backward(mx.nd.array(head, dtype="float64"))
    expected = differences(total, arrays, case.wanted)
    close([x.grad for x in inputs[: case.wanted]], expected)


@pytest.mark.parametrize("case", [case for case in CASES if case.op != "softmax_cross_entropy"], ids=str)
def test_second_derivatives(case: Case) -> None:
    rng = np.random.default_rng(2)
    arrays = draw(case)
    head = rng.normal(size=run(case, wrapped(arrays)).shape)
    weights = [rng.normal(size=x.shape) for x in arrays[: case.wanted]]

    def gradients(inputs: list[Any], head: Any, create_graph: bool) -> list[Any]:
        for x in (*inputs[: case.wanted], head):
            x.attach_grad()
        with mx.autograd.record(train_mode=case.is_training):
            y = run(case, inputs)
            result = mx.autograd.grad([y], inputs[: case.wanted], [head], create_graph=create_graph)
        return list(result)

    def total(moved: list[Array]) -> float:
        """The sum of weights * gradients, a function of the wanted inputs and of the head."""
        inputs = wrapped([*moved[:-1], *arrays[case.wanted :]])
        found = gradients(inputs, mx.nd.array(moved[-1], dtype="float64"), False)
        return float(sum((g.asnumpy() * w).sum() for g, w in zip(found, weights, strict=True)))

    inputs, variable = wrapped(arrays), mx.nd.array(head, dtype="float64")
    mx.autograd.backward(gradients(inputs, variable, True), wrapped(weights), train_mode=case.is_training)
    moved = [*arrays[: case.wanted], head]
    close([*(x.grad for x in inputs[: case.wanted]), variable.grad], differences(total, moved, len(moved)))


def test_batch_norm_gives_no_gradient_to_a_fixed_gamma() -> None:
    x, gamma, beta, mean, var = wrapped(draw(Case("BatchNorm", {}, CHANNELS)))
    gamma.attach_grad()
    beta.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, gamma, beta, mean, var)
    y.backward()
    assert not gamma.grad.asnumpy().any()
    np.testing.assert_allclose(beta.grad.asnumpy(), 3 * 2 * 3)


@pytest.mark.parametrize("multi", [False, True])
def test_softmax_output_multiplies_with_the_gradient_of_its_output(multi: bool) -> None:
    rng = np.random.default_rng(3)
    shape, label_shape = ((2, 4, 3), (2, 3)) if multi else ((5, 4), (5,))
    x = mx.nd.array(rng.normal(size=shape), dtype="float64")
    label = mx.nd.array(rng.integers(0, 4, label_shape), dtype="float64")
    head = mx.nd.array(rng.normal(size=shape), dtype="float64")
    found = []
    for out_grad in (False, True):
        x.attach_grad()
        with mx.autograd.record():
            y = mx.nd.SoftmaxOutput(x, label, out_grad=out_grad, multi_output=multi, grad_scale=3)
        y.backward(head)
        found.append(x.grad.asnumpy())
    np.testing.assert_allclose(found[1], found[0] * head.asnumpy(), rtol=1e-12)


def test_an_ignored_loss_head() -> None:
    x, label = mx.nd.array([[1.0, 2.0]]), mx.nd.array([1.0])
    x.attach_grad()
    for head in (None, mx.nd.array([[7.0, -5.0]])):
        with mx.autograd.record():
            p = mx.nd.SoftmaxOutput(x, label)
        p.backward(head)
        np.testing.assert_allclose(x.grad.asnumpy(), p.asnumpy() - [[0, 1]], rtol=1e-6)
