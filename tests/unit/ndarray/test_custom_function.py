"""autograd.Function: gradients of the user's own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from mxconv import autograd, nd


class Sigmoid(autograd.Function):
    """MXNet's own example."""

    def forward(self, x: Any) -> Any:
        y = 1 / (1 + nd.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy: Any) -> Any:
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


class ProductAndSum(autograd.Function):
    def __init__(self, container: Any = tuple) -> None:
        super().__init__()
        self.container = container
        self.flags: list[tuple[bool, bool]] = []

    def forward(self, x: Any, y: Any) -> Any:
        self.flags.append((autograd.is_recording(), autograd.is_training()))
        self.save_for_backward(x, y)
        return self.container((x * y, x + y))

    def backward(self, dp: Any, ds: Any) -> Any:
        self.flags.append((autograd.is_recording(), autograd.is_training()))
        x, y = self.saved_tensors
        return dp * y + ds, dp * x + ds


def variable(*values: float) -> Any:
    x = nd.array(values)
    x.attach_grad()
    return x


def test_one_output() -> None:
    x = variable(0.5, -1)
    with autograd.record():
        y = Sigmoid()(x) * 2
    y.backward()
    s = 1 / (1 + np.exp(-x.asnumpy()))
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * s * (1 - s), rtol=1e-6)


@pytest.mark.parametrize("container", [tuple, list])
def test_several_inputs_and_outputs(container: Any) -> None:
    x, y = variable(1, 2), variable(3, 4)
    function = ProductAndSum(container)
    with autograd.record():
        outputs = function(x, y)
    assert type(outputs) is container
    outputs[0].backward(retain_graph=True)
    assert (x.grad.asnumpy().tolist(), y.grad.asnumpy().tolist()) == ([3, 4], [1, 2])
    autograd.backward(outputs)
    assert (x.grad.asnumpy().tolist(), y.grad.asnumpy().tolist()) == ([4, 5], [2, 3])
    assert function.flags == [(False, True)] * 3


def test_second_derivatives_see_saved_arrays() -> None:
    x = variable(0.5, -1, 3)
    with autograd.record():
        (dx,) = autograd.grad(Sigmoid()(x), [x], create_graph=True)
    dx.backward()
    s = 1 / (1 + np.exp(-x.asnumpy()))
    np.testing.assert_allclose(x.grad.asnumpy(), s * (1 - s) * (1 - 2 * s), rtol=1e-5)


def test_without_recording_it_only_computes() -> None:
    x = nd.array([0])
    y = Sigmoid()(x)
    assert y.asnumpy().tolist() == [0.5]
    with autograd.record():  # nothing here has a gradient
        y = Sigmoid()(x)
    assert y.asnumpy().tolist() == [0.5]


def test_an_object_serves_one_call() -> None:
    function = Sigmoid()
    function(nd.ones((1,)))
    with pytest.raises(AssertionError, match="Each Function instance can only be called once"):
        function(nd.ones((1,)))


def test_an_error_in_forward_leaves_the_flags() -> None:
    with autograd.record():
        with pytest.raises(NotImplementedError, match=r"Function does not define forward\(self, \*inputs\)"):
            autograd.Function()(nd.ones((1,)))
        assert autograd.is_recording()


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (lambda dy: (dy, dy), "exactly the same number of NDArrays"),
        (lambda dy: dy.asnumpy(), "must return NDArrays"),
        (lambda dy: nd.ones((3,)), "shape"),
    ],
)
def test_wrong_answers(answer: Any, phrase: str) -> None:
    class Wrong(autograd.Function):
        def forward(self, x: Any) -> Any:
            return x * 2

        def backward(self, dy: Any) -> Any:
            return answer(dy)

    x = variable(1, 2)
    with autograd.record():
        y = Wrong()(x)
    with pytest.raises(AssertionError, match=phrase):
        y.backward()


def test_no_answer_is_zero() -> None:
    class Stop(autograd.Function):
        def forward(self, x: Any) -> Any:
            return x

        def backward(self, dy: Any) -> Any:
            return None

    x = variable(1, 2)
    x.grad[:] = 3
    with autograd.record():
        y = Stop()(x)
    y.backward()
    assert x.grad.asnumpy().tolist() == [0, 0]


def test_saved_results_do_not_refer_in_a_circle() -> None:
    gc.collect()
    gc.disable()
    try:
        x = variable(1, 2)
        with autograd.record():
            y = Sigmoid()(x)
        node = weakref.ref(y._origin.node)
        autograd.grad(y, [x], create_graph=True)
        del y
        assert node() is None
    finally:
        gc.enable()
