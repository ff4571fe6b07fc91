"""Backward passes: what is computed, what is kept, what is freed, and how deep a graph may be."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import autograd, nd
from mxconv.ndarray import recording
from mxconv.ndarray.invoke import invoke
from mxconv.ndarray.tape import gradients
from mxconv.ops.registry import OPERATORS, OpSpec, Step, lookup
from mxconv.ops.signature import Signature


def variable(*values: float) -> Any:
    x = nd.array(values)
    x.attach_grad()
    return x


def apply(op: str, *inputs: Any, **attributes: Any) -> Any:
    (result,) = invoke(op, inputs, attributes)
    return result


@contextmanager
def counted() -> Iterator[list[str]]:
    """The names of the operators whose gradient is computed in the meantime."""
    seen: list[str] = []
    real = recording.Node.__init__

    def noting(self: Any, name: str, gradient: Any, *others: Any) -> None:
        def noted(step: Step[Any]) -> Any:
            seen.append(name)
            return gradient(step)

        real(self, name, gradient and noted, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording.Node, "__init__", noting)
        yield seen


def operator(name: str, **fields: Any) -> OpSpec:
    """An operator of one input, known to nobody else."""
    signature = Signature(name)

    def same(param: Any, ins: Any, outs: Any) -> tuple[Any, Any]:
        return ins, ins

    given = {"forward": lambda param, inputs, call: [inputs[0] * 2], "input_names": lambda param: ("data",), **fields}
    return OpSpec(name=name, signature=signature, parse=signature.parse, infer_shape=same, infer_type=same, **given)


def test_a_chain_and_a_fork() -> None:
    x = variable(1, 2, 3)
    with autograd.record():
        y = apply("elemwise_mul", x, x)
        z = apply("elemwise_add", apply("elemwise_mul", y, x), y)  # x^3 + x^2
    z.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [5, 16, 33])


def test_an_array_used_often_gets_the_whole_sum() -> None:
    x = variable(1, 2)
    with autograd.record():
        total = x
        for _ in range(30):
            total = apply("elemwise_add", total, x)
    total.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [31, 31])


def test_sums_of_halves_are_rounded_seldom() -> None:
    x = nd.array([1], dtype="float16")
    x.attach_grad()
    with autograd.record():
        parts = [apply("_mul_scalar", x, scalar=s) for s in (2048.0, 1.0, 1.0, 1.0)]
    autograd.backward(parts)
    assert x.grad.asscalar() == np.float16(2048 + 3)  # one by one in float16 it would be 2048


def test_only_what_leads_to_a_wanted_array_is_computed() -> None:
    x, w, constant = variable(1, 2), variable(3, 4), nd.array([5, 6])
    with counted() as seen:
        with autograd.record():
            side = apply("exp", w)
            y = apply("elemwise_mul", apply("square", x), constant)
            z = apply("elemwise_add", y, side)
        autograd.grad(z, [x], retain_graph=True)
        assert seen == ["elemwise_add", "elemwise_mul", "square"]
        seen.clear()
        autograd.grad(z, [w], retain_graph=True)
        assert seen == ["elemwise_add", "exp"]
        seen.clear()
        autograd.grad(z, [y])
        assert seen == ["elemwise_add"]


def test_wanted_says_which_inputs_need_a_gradient() -> None:
    asked = []

    def gradient(step: Step[Any]) -> list[Any]:
        asked.append(list(step.wanted))
        return [None, None, step.out_grads[0]]

    spec = operator("three", input_names=lambda param: ("a", "b", "c"), gradient=gradient)
    x, unused, constant = variable(1, 2), variable(1, 2), nd.ones((2,))
    with autograd.record():
        (y,) = invoke(spec, [unused, constant, x], {})
    autograd.grad(y, [x])
    assert asked == [[False, False, True]]
    assert unused.grad.asnumpy().tolist() == [0, 0]


def test_no_gradient_means_zeros() -> None:
    x = variable(1, 2)
    x.grad[:] = 7
    with autograd.record():
        y = invoke(operator("flat", gradient=lambda step: [None]), [apply("exp", x)], {})[0]
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [0, 0])


def test_without_gradient_function_an_operator_names_itself() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = invoke(operator("opaque"), [x], {})[0]
    with pytest.raises(mx.MXNetError, match="Operator opaque is non-differentiable") as caught:
        y.backward()
    assert caught.value.op == "opaque"
    assert caught.value.fix


def test_a_loss_needs_no_head_gradient() -> None:
    def gradient(step: Step[Any]) -> list[Any]:
        return [step.call("_mul_scalar", step.inputs[0], scalar=3.0)]

    x = variable(1, 2)
    with autograd.record():
        loss = invoke(operator("loss", gradient=gradient, is_loss=True), [x], {})[0]
        blocked = invoke(operator("wall", gradient=lambda step: [None]), [loss], {})[0]
    blocked.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [3, 6])


def test_outputs_without_gradient_get_zeros_and_saved_ones_are_there() -> None:
    steps = []

    def gradient(step: Step[Any]) -> list[Any]:
        steps.append(step)
        return [step.call("elemwise_mul", step.out_grads[1], step.outputs[2])]

    spec = operator(
        "halves",
        forward=lambda param, inputs, call: [inputs[0][:1].copy(), inputs[0] * 2, inputs[0] + 10],
        output_names=lambda param: ("output0", "output1"),
        gradient=gradient,
    )
    x = variable(1, 2)
    with autograd.record():
        outputs = invoke(spec, [x], {})
    assert len(outputs) == 2
    outputs[1].backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [11, 12])
    (step,) = steps
    assert [one.shape for one in step.out_grads] == [(1,), (2,)]
    assert step.out_grads[0].asnumpy().tolist() == [0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_results_share_memory_with_nobody(create_graph: bool) -> None:
    x, w = variable(1, 2), variable(3, 4)
    head_grad = nd.array([5, 6])
    spec = operator("lazy", input_names=lambda param: ("a", "b"), gradient=lambda step: [step.inputs[1]] * 2)
    with autograd.record():
        y = apply("elemwise_add", x, w)
        (z,) = invoke(spec, [x, w], {})
    first = gradients([y], [head_grad], [x, w, x], create_graph=create_graph)
    second = gradients([z], [head_grad], [x, w], create_graph=create_graph)
    arrays = [x, w, head_grad, *first, *second]
    assert len({id(one.storage) for one in arrays}) == len(arrays)
    before = [one.asnumpy() for one in arrays]
    for place, one in enumerate(arrays):
        one[:] = 99
        for other, value in list(zip(arrays, before, strict=True))[place + 1 :]:
            np.testing.assert_array_equal(other.asnumpy(), value)


# ---- what is kept, and what is freed


def test_a_second_backward_needs_retain_graph() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = apply("square", x)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [2, 4])
    with pytest.raises(mx.MXNetError, match="Cannot differentiate node because it is not in a computational graph"):
        y.backward()


def test_a_graph_that_was_freed_in_part_is_refused() -> None:
    x = variable(1, 2)
    with autograd.record():
        middle = apply("square", x)
        y, z = apply("exp", middle), apply("elemwise_mul", middle, x)
    y.backward()
    with pytest.raises(mx.MXNetError, match="Cannot differentiate node"):
        z.backward()


def test_what_a_freed_graph_computed_is_a_constant() -> None:
    x = variable(1, 2)
    with autograd.record():
        h = apply("_mul_scalar", x, scalar=2.0)
    h.backward()
    with autograd.record():
        z = apply("elemwise_mul", h, x)
    z.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [2, 4])


def test_no_snapshot_is_kept() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = apply("square", x)
    x[:] = 10
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [20, 20])


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("how", ["dropped", "backward", "second order", "failed"])
def test_memory_goes_without_the_collector(how: str) -> None:
    x = variable(1, 2)
    with autograd.record():
        y = apply("elemwise_mul", apply("exp", x), x)
        z = apply("elemwise_mul", y, x)
    alive = [weakref.ref(one) for one in (y.storage, z.storage, y._origin.node, z._origin.node)]
    if how == "backward":
        z.backward()
    elif how == "second order":
        (g,) = autograd.grad(z, [x], create_graph=True)
        alive += [weakref.ref(g.storage), weakref.ref(g._origin.node)]
        g.backward(retain_graph=True)
        del g
    elif how == "failed":
        with pytest.raises(mx.ShapeError):
            z.backward(nd.ones((3,)))
    del y, z
    assert [one() for one in alive] == [None] * len(alive)


@pytest.mark.usefixtures("no_collector")
def test_backward_frees_activations_while_the_head_lives() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = apply("exp", x)
        z = apply("elemwise_mul", y, x)
    middle = weakref.ref(y.storage)
    del y
    assert middle() is not None
    z.backward()
    assert middle() is None


@pytest.mark.usefixtures("no_collector")
def test_memory_goes_as_backward_goes() -> None:
    """Each node is freed before the one below it is differentiated."""
    alive: list[list[bool]] = []
    refs: list[weakref.ref[Any]] = []

    def gradient(step: Step[Any]) -> list[Any]:
        alive.append([ref() is not None for ref in refs])
        return list(step.out_grads)

    x = variable(1, 2)
    with autograd.record():
        y = x
        for _ in range(3):
            (y,) = invoke(operator("look", gradient=gradient), [y], {})
            refs.append(weakref.ref(y.storage))
        head = apply("_copy", y)
        del y
    head.backward()
    assert alive == [[True, True, True], [True, True, False], [True, False, False]]


@pytest.mark.usefixtures("no_collector")
def test_deep_graphs() -> None:
    lookup("exp")
    x = variable(1, 2)

    def chain(length: int) -> Any:
        y = x
        with autograd.record():
            for _ in range(length):
                y = apply("_copy", y)
        return y

    y = chain(10_000)
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [1, 1])
    y = chain(10_000)
    (g,) = autograd.grad(y, [x], create_graph=True)
    np.testing.assert_array_equal(g.asnumpy(), [1, 1])
    node = weakref.ref(y._origin.node)
    del y, g  # no recursion here either
    assert node() is None


def test_threads_record_on_their_own() -> None:
    seen = {}

    def look() -> None:
        seen["flags"] = autograd.is_recording(), autograd.is_training()
        x = variable(1, 2)
        y = apply("square", x)
        seen["recorded"] = recording.depends(y)

    with autograd.record():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == {"flags": (False, False), "recorded": False}


def test_train_mode_reaches_the_gradients() -> None:
    seen = []

    def gradient(step: Step[Any]) -> list[Any]:
        seen.append((autograd.is_recording(), autograd.is_training()))
        return list(step.out_grads)

    x = variable(1, 2)
    spec = operator("look", gradient=gradient)
    for create_graph, train_mode in ((False, True), (True, False)):
        with autograd.record():
            (y,) = invoke(spec, [x], {})
        autograd.grad(y, [x], create_graph=create_graph, train_mode=train_mode)
    assert seen == [(False, True), (True, False)]
    assert "look" not in OPERATORS
