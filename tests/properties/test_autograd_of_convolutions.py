"""The two operators through mx.autograd: grad_req in every mixture, what is computed, derivatives of any order."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.engine import pack_cache, planner
from mxconv.errors import DTypeError
from properties.gradient_problems import LAYOUTS, Problem, derivative, make_problem
from registry_gradients import gradients

Array = np.ndarray[Any, Any]
REQUESTS = ("write", "add", "null")
OPS = ("Convolution", "Deconvolution")
HIGHER = 40


@pytest.fixture(autouse=True)
def _own_kernels(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> mx.nd.NDArray:
    return mx.nd.array(rng.integers(-4, 5, shape), dtype=dtype)


def small(op: str, layout: str | None = None) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Shapes and attributes of a call with groups, strides, dilations and a bias."""
    attributes = {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 0), "num_filter": 6,
                  "num_group": 2, "no_bias": False, "layout": layout}  # fmt: skip
    shapes = {"data": (2, 4, 7, 6), "weight": (6, 2, 3, 2) if op == "Convolution" else (4, 3, 3, 2), "bias": (6,)}
    if layout == "NHWC":
        shapes = {k: (s[0], *s[2:], s[1]) if len(s) > 1 else s for k, s in shapes.items()}
    return shapes, attributes


@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("requests", list(product(REQUESTS, repeat=3)), ids="-".join)
def test_every_mixture_of_requests(op: str, requests: tuple[str, ...], layout: str | None) -> None:
    """Three passes: `write` has the last gradient, `add` all of them on top of what was there, `null` nothing."""
    rng = np.random.default_rng(5)
    shapes, attributes = small(op, layout)
    arrays = {name: integers(rng, shape) for name, shape in shapes.items()}
    expected = {}
    for (name, array), request in zip(arrays.items(), requests, strict=True):
        array.attach_grad(request)
        array.grad[:] = 100
        expected[name] = np.full(array.shape, 100.0)
    for _ in range(3):
        with mx.autograd.record():
            y = getattr(mx.nd, op)(*arrays.values(), **attributes)
        head = integers(rng, y.shape)
        with planner.recording() as plans:
            if set(requests) == {"null"}:
                with pytest.raises(mx.MXNetError, match="There are no inputs in computation graph that require grad"):
                    y.backward(head)
            else:
                y.backward(head)
        assert len(plans) == sum(request != "null" for request in requests[:2])
        found = gradients(op, [a.asnumpy() for a in arrays.values()], head.asnumpy(), attributes)
        for name, request, gradient in zip(arrays, requests, found, strict=True):
            if request != "null":
                expected[name] = gradient + (expected[name] if request == "add" else 0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array.grad.asnumpy(), expected[name])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ["data", "weight", "bias"])
def test_one_alone(op: str, name: str) -> None:
    """Only what has attach_grad at all gets a gradient, and only that is computed."""
    rng = np.random.default_rng(6)
    shapes, attributes = small(op)
    arrays = {key: integers(rng, shape) for key, shape in shapes.items()}
    arrays[name].attach_grad()
    with mx.autograd.record():
        y = getattr(mx.nd, op)(**arrays, **attributes)
    with planner.recording() as plans:
        y.backward()
    direction = {
        "bias": [],
        "weight": ["backward_weight"],
        "data": ["backward_data" if op == "Convolution" else "forward"],
    }
    assert [plan.problem.direction for plan in plans] == direction[name]
    found = gradients(op, [a.asnumpy() for a in arrays.values()], np.ones(y.shape, "f4"), attributes)
    np.testing.assert_array_equal(arrays[name].grad.asnumpy(), found[list(arrays).index(name)])


@pytest.mark.parametrize("op", OPS)
def test_one_array_for_data_and_weight(op: str) -> None:
    x = mx.nd.array(np.arange(8).reshape(2, 2, 2), dtype="float64")
    x.attach_grad()
    attributes = {"kernel": 2, "num_filter": 2, "pad": 1, "no_bias": True}
    with mx.autograd.record():
        y = getattr(mx.nd, op)(x, x, **attributes)
    y.backward()
    values = x.asnumpy()
    np.testing.assert_array_equal(x.grad.asnumpy(), sum(gradients(op, [values] * 2, np.ones(y.shape), attributes)))


@pytest.mark.parametrize("op", OPS)
def test_the_pack_of_the_weight_is_kept_for_later_gradients(op: str) -> None:
    x, w = mx.nd.ones((1, 32, 64)), mx.nd.ones((32, 32, 3))
    x.attach_grad()
    hits = []
    for _ in range(3):
        with mx.autograd.record():
            y = getattr(mx.nd, op)(x, w, kernel=3, pad=1, num_filter=32, no_bias=True)
        before = pack_cache.counts().hits
        y.backward()
        hits.append(pack_cache.counts().hits - before)
    assert hits == [0, 1, 1]
    w[:] = 2
    with mx.autograd.record():
        y = getattr(mx.nd, op)(x, w, kernel=3, pad=1, num_filter=32, no_bias=True)
    y.backward()
    assert x.grad[0, 0, 1].asscalar() == 2 * 3 * 32


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_bias_gradient_is_a_sum_of_short_sums(layout: str, dtype: str) -> None:
    rng = np.random.default_rng(8)
    shape = (8, 3, 100, 100) if layout == "NCHW" else (8, 100, 100, 3)
    head = mx.nd.array(rng.uniform(0, 1, shape), dtype=dtype)
    found = gradients(
        "Convolution",
        [
            head.asnumpy(),
            np.ones((3, 3, 1, 1) if layout == "NCHW" else (3, 1, 1, 3), head.dtype),
            np.ones(3, head.dtype),
        ],
        head.asnumpy(),
        {"kernel": (1, 1), "num_filter": 3, "layout": layout},
        [False, False, True],
    )[2]
    assert found is not None
    exact = head.asnumpy().astype("f8").sum((0, 2, 3) if layout == "NCHW" else (0, 1, 2))
    ulp = {"float32": 2**-23, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    np.testing.assert_allclose(found.astype("f8"), exact, rtol=2 * ulp)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_integers_are_refused(op: str, dtype: str) -> None:
    x, w = mx.nd.ones((1, 2, 5), dtype=dtype), mx.nd.ones((2, 2, 3), dtype=dtype)
    w.attach_grad()
    with mx.autograd.record():
        y = getattr(mx.nd, op)(x, w, kernel=3, num_filter=2, no_bias=True)
    with pytest.raises(DTypeError, match=f"{op}: data has dtype {dtype}, expected a float or complex one"):
        y.backward()


# ---- higher orders


def higher_problems(first: int) -> list[Problem]:
    """Problems of the two operators without a bias, which second derivatives do not know."""
    found = []
    while len(found) < HIGHER:
        problem = make_problem(first)
        first += 1
        if problem.op in OPS and not problem.has_bias and problem.dtype != "float16":
            found.append(problem)
    return found


def drawn(problem: Problem, rng: np.random.Generator) -> dict[str, Array]:
    """Integers for x, w and y of the problem, channels first."""
    imaginary = 1j if problem.dtype.startswith("complex") else 0
    return {
        name: rng.integers(-2, 3, shape) + imaginary * rng.integers(-2, 3, shape)
        for name, shape in problem.shapes.items()
    }


@pytest.mark.parametrize("first", [10_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_derivatives_of_derivatives(first: int) -> None:
    """y = op(a, b) has the gradients a'(b, h), b'(a, h) for the head h: they, and theirs, have the oracle's gradients.

    With T the trilinear form of the problem, T(a, b, h) = <op(a, b), h>: the second derivative for (a, b) in the
    directions (u, v) is T(u, v, h), and the third, in the direction g of h, T(u, v, g).
    """
    for problem in higher_problems(first):
        rng = np.random.default_rng(problem.number)
        roles = problem.roles
        values, other = drawn(problem, rng), drawn(problem, rng)

        def stored(array: Array, problem: Problem = problem) -> mx.nd.NDArray:
            return mx.nd.array(problem.stored(array), dtype=problem.dtype)

        def check(found: mx.nd.NDArray, name: str, arrays: dict[str, Array], problem: Problem = problem) -> None:
            expected = problem.stored(derivative(problem, name, arrays))
            got = found.asnumpy()
            assert str(got.dtype) == problem.dtype, problem
            np.testing.assert_array_equal(got, expected.astype(got.dtype), err_msg=str(problem))

        a, b, h = (stored(values[name]) for name in roles)
        u, v, g = (stored(other[name]) for name in roles)
        for array in (a, b, h, u, v, g):
            array.attach_grad()
        with mx.autograd.record():
            y = getattr(mx.nd, problem.op)(a, b, **problem.attributes)
            da, db = mx.autograd.grad(y, [a, b], h, create_graph=True)
            dab, dah = mx.autograd.grad(da, [b, h], u, create_graph=True)  # of T(u, b, h)
            dba, dbh = mx.autograd.grad(db, [a, h], v, create_graph=True)  # of T(a, v, h)
            (dabh,) = mx.autograd.grad(dab, [h], v, create_graph=True)  # of T(u, v, h)
        first_of, second_of, third_of = roles
        check(da, first_of, values)
        check(db, second_of, values)
        check(dab, second_of, {**values, first_of: other[first_of]})
        check(dah, third_of, {**values, first_of: other[first_of]})
        check(dba, first_of, {**values, second_of: other[second_of]})
        check(dbh, third_of, {**values, second_of: other[second_of]})
        check(dabh, third_of, other)
        dabh.backward(g)
        check(u.grad, first_of, {**other})
        check(v.grad, second_of, {**other})
        assert not a.grad.asnumpy().any()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("rank", LAYOUTS)
def test_a_network_against_differences(op: str, rank: int) -> None:
    """Two layers with a square between: its gradient, and the gradient of that, against differences in float64."""
    rng = np.random.default_rng(rank)
    size, kernel = (5, 4, 3, 3)[:rank], (3, 2, 2, 2)[:rank]
    layer = getattr(mx.nd, op)
    x = mx.nd.array(rng.standard_normal((2, 3, *size)), dtype="float64")
    weights = [mx.nd.array(rng.standard_normal((3, 3, *kernel)), dtype="float64") for _ in range(2)]
    biases = [mx.nd.array(rng.standard_normal(3), dtype="float64") for _ in range(2)]
    leaves = [x, *weights, *biases]
    steps = [mx.nd.array(rng.standard_normal(a.shape), dtype="float64") for a in leaves]
    how = {"kernel": kernel, "pad": (1,) * rank, "num_filter": 3, "no_bias": False}

    def loss(*arrays: Any) -> Any:
        x, w0, w1, b0, b1 = arrays
        hidden = layer(x, w0, b0, **how)
        return (layer(hidden * hidden, w1, b1, **how) ** 2).sum()

    def moved(far: float) -> list[Any]:
        return [a + far * step for a, step in zip(leaves, steps, strict=True)]

    def along(arrays: list[Any]) -> Any:
        """The derivative of the loss along the steps, and its graph."""
        for a in arrays:
            a.attach_grad()
        total = mx.nd.zeros(1, dtype="float64")
        with mx.autograd.record():
            found = mx.autograd.grad(loss(*arrays), arrays, create_graph=True)
            for gradient, step in zip(found, steps, strict=True):
                total = total + (gradient * step).sum()
        return total

    far = 1e-5
    slope = along(leaves)
    difference = (loss(*moved(far)) - loss(*moved(-far))) / (2 * far)
    np.testing.assert_allclose(slope.asscalar(), difference.asscalar(), rtol=1e-7)
    slope.backward()
    curvature = sum(float((a.grad * step).sum().asscalar()) for a, step in zip(leaves, steps, strict=True))
    difference = (along(moved(far)) - along(moved(-far))) / (2 * far)
    np.testing.assert_allclose(curvature, difference.asscalar(), rtol=1e-6)
