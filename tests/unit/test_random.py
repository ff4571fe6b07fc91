"""mx.random and mx.nd.random: distributions, shapes, dtypes, seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd

COUNT = 20_000


@pytest.fixture(autouse=True)
def _seeded() -> None:
    mx.random.seed(11)


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda shape: nd.random.uniform(-1, 3, shape), 1, 4 / 12**0.5),
        (lambda shape: nd.random.normal(2, 0.5, shape), 2, 0.5),
        (lambda shape: nd.random.randn(*shape, loc=2, scale=0.5), 2, 0.5),
        (lambda shape: nd.random.exponential(3, shape), 3, 3),
        (lambda shape: nd.random.gamma(4, 0.5, shape), 2, 1),
        (lambda shape: nd.random.poisson(4, shape), 4, 2),
        (lambda shape: nd.random.randint(-2, 3, shape, dtype="float32"), 0, 2**0.5),
    ],
)
def test_distributions(draw: Any, mean: float, deviation: float) -> None:
    x = draw((COUNT // 10, 10))
    assert (x.shape, x.dtype) == ((COUNT // 10, 10), np.float32)
    values = x.asnumpy().astype("f8")
    assert abs(values.mean() - mean) < 5 * deviation / COUNT**0.5
    assert abs(values.std() - deviation) < 0.05 * deviation


def test_seeds() -> None:
    first, second = (nd.random.uniform(shape=(5,)).asnumpy() for _ in range(2))
    assert not (first == second).any()
    mx.random.seed(11, ctx=mx.cpu())
    np.testing.assert_array_equal(mx.random.uniform(shape=(5,)).asnumpy(), first)
    for wrong in ("a", 1.5):
        with pytest.raises(ValueError, match="seed_state must be int"):
            mx.random.seed(wrong)  # type: ignore[arg-type]


def test_shapes_dtypes_contexts_and_out() -> None:
    assert nd.random.uniform().shape == (1,)
    assert nd.random.uniform(0, 1, 3).shape == (3,)
    assert nd.random.normal(0, 1, (2, 3), dtype="float64").dtype is np.float64
    assert nd.random.normal(0, 1, (2, 3), ctx=mx.cpu(2)).context == mx.cpu(2)
    x = nd.random.randint(0, 10, (50,))
    assert x.dtype is np.int32
    assert set(x.asnumpy().tolist()) <= set(range(10))
    out = nd.full((4,), -1)
    assert nd.random.uniform(2, 3, out=out) is out
    assert (out.asnumpy() >= 2).all()
    with pytest.raises(mx.ParamError, match="shape"):
        nd.random.uniform(2, 3, shape=(3,), out=out)


def test_arrays_as_parameters() -> None:
    low, high = nd.array([0, 10], dtype="float64"), nd.array([1, 11], dtype="float64")
    x = nd.random.uniform(low, high, shape=3)
    assert (x.shape, x.dtype) == ((2, 3), np.float64)
    assert (np.floor(x.asnumpy()) == [[0] * 3, [10] * 3]).all()
    assert nd.random.uniform(low, high).shape == (2,)
    with pytest.raises(AssertionError, match="same type"):
        nd.random.uniform(low, 2)
    with pytest.raises(ValueError, match="either NDArray or numbers"):
        nd.random.uniform("a", 2)


def test_shuffle() -> None:
    x = nd.arange(20).reshape((10, 2))
    y = nd.random.shuffle(x)
    assert y.shape == x.shape
    assert not (y.asnumpy() == x.asnumpy()).all()
    np.testing.assert_array_equal(np.sort(y.asnumpy(), axis=0), x.asnumpy())
    np.testing.assert_array_equal(y.asnumpy()[:, 1] - y.asnumpy()[:, 0], np.ones(10))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: nd.random.uniform(1, 0), "low"),
        (lambda: nd.random.normal(0, -1), "scale"),
        (lambda: nd.random.exponential(-1), "scale"),
        (lambda: nd.random.gamma(1, -1), "beta"),
        (lambda: nd.random.poisson(-1), "lam"),
        (lambda: nd.random.randint(3, 3), "low"),
        (lambda: nd.random.randint(0.5, 3), "low"),
    ],
)
def test_wrong_parameters(call: Any, argument: str) -> None:
    with pytest.raises(mx.ParamError, match=f"{argument} is") as caught:
        call()
    assert caught.value.argument == argument
    assert caught.value.fix
