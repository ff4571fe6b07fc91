"""Backward passes through random graphs, against complex steps and differences of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mxconv import autograd, nd
from mxconv.ndarray.invoke import invoke

Array = np.ndarray[Any, Any]
SHAPE = (2, 3)
KEYS = (slice(None, None, -1), (slice(None), [2, 0, 0]), ([1, 1],), (slice(None), slice(None)))


def plain(op: str, *inputs: Array, **attributes: Any) -> Array:
    """What an operator computes, for complex numbers too."""
    functions: dict[str, Callable[..., Array]] = {
        "elemwise_add": np.add,
        "elemwise_mul": np.multiply,
        "add_n": lambda *xs: np.sum(xs, axis=0),
        "sin": np.sin,
        "_mul_scalar": lambda x, scalar: x * scalar,
        "Concat": lambda *xs, dim: np.concatenate(xs, dim),
        "slice_axis": lambda x, axis, begin, end: x[:, begin:end],
    }
    return functions[op](*inputs, **attributes)


def recorded(op: str, *inputs: Any, **attributes: Any) -> Any:
    (result,) = invoke(op, inputs, attributes)
    return result


def evaluate(seed: int, leaves: list[Any], call: Callable[..., Any]) -> list[Any]:
    """The two heads of the random program with that number, whose steps use what is there already, often twice."""
    rng = np.random.default_rng(seed)
    known = list(leaves)
    for _ in range(int(rng.integers(1, 14))):
        a, b, c = (known[i] for i in rng.integers(len(known), size=3))
        kind = rng.integers(7)
        if kind == 0:
            known.append(call("elemwise_add", a, b))
        elif kind == 1:
            known.append(call("elemwise_mul", a, b))
        elif kind == 2:
            known.append(call("sin", a))
        elif kind == 3:
            known.append(call("_mul_scalar", a, scalar=float(rng.integers(-2, 3))))
        elif kind == 4:
            known.append(call("add_n", a, b, c, a))
        elif kind == 5:
            joined = call("Concat", a, b, dim=1)
            begin = int(rng.integers(4))
            known.append(call("slice_axis", joined, axis=1, begin=begin, end=begin + 3))
        else:
            known.append(a[KEYS[rng.integers(len(KEYS))]])
    return [call("add_n", known[-1], *leaves), known[int(rng.integers(len(leaves), len(known)))]]


def complex_step(function: Callable[[list[Array]], Any], values: list[Array]) -> list[Array]:
    """The gradient of a number with respect to each value, exact to rounding."""
    gradients = [np.empty(SHAPE) for _ in values]
    for place, gradient in enumerate(gradients):
        for index in np.ndindex(*SHAPE):
            points = [value.astype(complex) for value in values]
            points[place][index] += 1e-30j
            gradient[index] = function(points).imag / 1e-30
    return gradients


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_gradients_of_random_graphs(start: int) -> None:
    for seed in range(start, start + 20):
        rng = np.random.default_rng(1000 + seed)
        values = [rng.normal(size=SHAPE) for _ in range(3)]
        weights = [rng.normal(size=SHAPE) for _ in range(2)]
        reqs = [str(req) for req in rng.permutation(["write", "add", "null", "write"])[:3]]

        def total(points: list[Array], seed: int = seed, weights: list[Array] = weights) -> Any:
            return sum((h * w).sum() for h, w in zip(evaluate(seed, points, plain), weights, strict=True))

        gradients = complex_step(total, values)
        leaves = [nd.array(value, dtype="float64") for value in values]
        for leaf, req in zip(leaves, reqs, strict=True):
            leaf.attach_grad(req)
            leaf.grad[:] = 7
        with autograd.record():
            heads = evaluate(seed, leaves, recorded)
        head_grads = [nd.array(weight, dtype="float64") for weight in weights]
        wanted = [place for place in range(3) if reqs[place] != "null"]
        found = autograd.grad(heads, [leaves[place] for place in wanted], head_grads, retain_graph=True)
        autograd.backward(heads, head_grads)
        for place, grad in zip(wanted, found, strict=True):
            np.testing.assert_allclose(grad.asnumpy(), gradients[place], rtol=1e-9, atol=1e-9)
        for leaf, req, gradient in zip(leaves, reqs, gradients, strict=True):
            result = {"write": gradient, "add": 7 + gradient, "null": np.full(SHAPE, 7.0)}[req]
            np.testing.assert_allclose(leaf.grad.asnumpy(), result, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("start", range(0, 40, 20))
def test_second_derivatives_of_random_graphs(start: int) -> None:
    for seed in range(start, start + 20):
        rng = np.random.default_rng(2000 + seed)
        value, direction = (nd.array(rng.normal(size=SHAPE), dtype="float64") for _ in range(2))

        def gradient(x: Any, create_graph: bool, seed: int = seed) -> Any:
            x.attach_grad()
            with autograd.record():
                heads = evaluate(seed, [x], recorded)
                return autograd.grad(heads, x, create_graph=create_graph)[0]

        numbers, along = value.asnumpy(), direction.asnumpy()
        step = 1e-4
        high, low = (
            gradient(nd.array(numbers + sign * step * along, dtype="float64"), False).asnumpy() for sign in (1, -1)
        )
        wanted = (high - low) / (2 * step)
        first = gradient(value, True)
        with autograd.record():
            product = recorded("elemwise_mul", first, direction)
        if np.any(wanted):  # the gradient of a linear program depends on nothing
            product.backward()
        np.testing.assert_allclose(value.grad.asnumpy(), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
