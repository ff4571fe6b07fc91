"""Initializers: what they fill arrays with, their texts; the texts themselves are compared in tests/golden."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.init import InitDesc, create

ALL = [
    mx.init.Zero(), mx.init.One(), mx.init.Constant(3), mx.init.Constant([1, 2]), mx.init.Uniform(0.1),
    mx.init.Normal(0.5), mx.init.Orthogonal(), mx.init.Xavier("gaussian", "in", 2.34), mx.init.MSRAPrelu(slope=0.1),
    mx.init.Bilinear(), mx.init.LSTMBias(2.0),
]  # fmt: skip


def filled(initializer: Any, shape: tuple[int, ...], name: str = "w_weight", **kwargs: Any) -> np.ndarray[Any, Any]:
    mx.random.seed(3)
    array = mx.nd.full(shape, 9)
    initializer(InitDesc(name, **kwargs), array)
    return array.asnumpy()


@pytest.mark.parametrize("initializer", ALL, ids=lambda one: one.dumps())
def test_texts_are_read_back(initializer: mx.init.Initializer) -> None:
    assert create(initializer.dumps()) == initializer
    assert create(initializer) is initializer


def test_texts() -> None:
    assert mx.init.Constant(mx.nd.array([1, 2])).dumps() == '["constant", {"value": [1.0, 2.0]}]'
    assert mx.init.MSRAPrelu().dumps() == '["msraprelu", {"factor_type": "avg", "slope": 0.25}]'
    assert create("ones").dumps() == create("One").dumps() == '["one", {}]'
    assert create("xavier", magnitude=2) == mx.init.Xavier(magnitude=2) != mx.init.Xavier()
    assert mx.init.Zero() != "zero"


@pytest.mark.parametrize(
    ("name", "value"),
    [("bias", 0), ("beta", 0), ("gamma", 1), ("moving_mean", 0), ("moving_var", 1), ("moving_avg", 0), ("q_max", 1)],
)
def test_the_ending_of_the_name_decides(name: str, value: float) -> None:
    assert (filled(mx.init.Uniform(), (3,), f"x_{name}") == value).all()


def test_the_variable_decides_above_all() -> None:
    array = filled(mx.init.Uniform(), (2,), "fc_bias", attrs={"__init__": '["constant", {"value": 4}]'})
    assert (array == 4).all()
    desc = InitDesc("w_weight", {"__init__": ""})
    mx.init.Zero()(desc, mx.nd.ones(2))
    assert desc.global_init == mx.init.Zero()


def test_distributions() -> None:
    uniform = filled(mx.init.Uniform(0.5), (100, 100))
    assert 0.49 < abs(uniform).max() <= 0.5
    assert abs(uniform.mean()) < 0.01
    assert abs(filled(mx.init.Normal(2), (100, 100)).std() - 2) < 0.05
    bound = math.sqrt(3 / ((16 + 8) * 9 / 2))
    assert 0.95 * bound < abs(filled(mx.init.Xavier(), (16, 8, 3, 3))).max() <= bound
    deviation = math.sqrt(2 / (1 + 0.25**2) / (64 * 9))
    assert abs(filled(mx.init.MSRAPrelu("in"), (64, 64, 3, 3)).std() / deviation - 1) < 0.05
    assert (filled(mx.init.Normal(), (5,)) == filled(mx.init.Normal(), (5,))).all()


@pytest.mark.parametrize("shape", [(4, 3, 2), (8, 2, 2)])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_orthogonal(shape: tuple[int, ...], kind: str) -> None:
    matrix = filled(mx.init.Orthogonal(2.0, kind), shape).reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_bilinear() -> None:
    side = np.array([1, 3, 3, 1]) / 4
    assert (filled(mx.init.Bilinear(), (2, 1, 4, 4)) == np.outer(side, side)).all()
    assert filled(mx.init.Bilinear(), (1, 1, 3, 5))[0, 0, :, 2].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    array = mx.nd.zeros((1, 1, 4, 4))
    mx.init.Zero()("upsampling0_weight", array)
    assert (array.asnumpy()[0, 0] == np.outer(side, side)).all()


def test_others() -> None:
    assert filled(mx.init.LSTMBias(2.0), (8,)).tolist() == [0, 0, 2, 2, 0, 0, 0, 0]
    assert filled(mx.init.Constant([1, 2]), (2,)).tolist() == [1, 2]
    mixed = mx.init.Mixed(["a", ".*"], [mx.init.One(), mx.init.Zero()])
    assert (filled(mixed, (2,), "a_weight") == 1).all()
    assert (filled(mixed, (2,), "b_weight") == 0).all()


@pytest.mark.parametrize(
    ("action", "error", "text"),
    [
        (lambda: filled(mx.init.Zero(), (2,), "what"), ValueError, "Unknown initialization pattern for what"),
        (lambda: filled(mx.init.Xavier(), (2,)), ValueError, "cannot be applied to vector w_weight"),
        (lambda: filled(mx.init.Xavier("x"), (2, 2)), ValueError, "Unknown random type 'x'"),
        (lambda: filled(mx.init.Xavier(factor_type="x"), (2, 2)), ValueError, "Incorrect factor type 'x'"),
        (lambda: filled(mx.init.Orthogonal(rand_type="x"), (2, 2)), ValueError, "rand_type is 'x'"),
        (lambda: filled(mx.init.Bilinear(), (2, 2)), ValueError, "expected 4 axes"),
        (lambda: filled(mx.init.Mixed(["a"], [mx.init.One()]), (2,)), ValueError, "did not match any pattern"),
        (lambda: filled(mx.init.Initializer(), (2,)), NotImplementedError, "Must override it"),
        (lambda: mx.init.Zero()("w_weight", np.ones(2)), TypeError, "arr must be NDArray"),
        (lambda: mx.init.Zero()(3, mx.nd.ones(2)), TypeError, "name must be string"),
        (lambda: create("foo"), AssertionError, "foo is not registered"),
        (lambda: create(mx.init.Zero(), 3), AssertionError, "already an instance"),
        (lambda: create('["normal"]'), ValueError, "expected a text such as"),
    ],
)
def test_refusals(action: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        action()


def test_own_initializers() -> None:
    @mx.init.register
    @mx.init.alias("myinit")
    class Tenth(mx.init.Initializer):
        def _init_weight(self, name: str, arr: mx.nd.NDArray) -> None:
            arr[:] = 0.1

        def _init_bias(self, name: str, arr: mx.nd.NDArray) -> None:
            arr[:] = 1

    for name in ("Tenth", "tenth", "myinit"):
        assert (filled(create(name), (2,)) == np.float32(0.1)).all()
    assert (filled(Tenth(), (2,), "b_bias") == 1).all()
