"""Executors at work: forward, backward, monitors, memory; answers as MXNet 1.9.1 gives them unless a name says more."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd, sym
from mxconv.engine import pack_cache


def ones(*shape: int, value: float = 1) -> Any:
    return nd.full(shape, value)


def values(array: Any) -> list[float]:
    return array.asnumpy().ravel().tolist()


def conv(**attributes: Any) -> Any:
    return sym.Convolution(sym.Variable("data"), kernel=(1, 1), num_filter=2, name="c", **attributes)


def conv_arrays() -> dict[str, Any]:
    return {"data": ones(1, 3, 2, 2), "c_weight": ones(2, 3, 1, 1), "c_bias": ones(2)}


def bind_scalar(net: Any, grad_req: Any = "write", **numbers: float) -> Any:
    """Bind a graph of scalars, each an array of one element; gradients begin with 10."""
    args = {name: nd.array([number]) for name, number in numbers.items()}
    return net.bind(mx.cpu(), args, {name: nd.array([10]) for name in numbers}, grad_req)


def gradients(executor: Any) -> dict[str, float]:
    return {name: grad.asscalar() for name, grad in executor.grad_dict.items()}


# ---- arrays


def test_arrays_are_bound_by_reference() -> None:
    arrays = conv_arrays()
    executor = conv().bind(mx.cpu(), arrays)
    assert all(executor.arg_dict[name] is array for name, array in arrays.items())
    assert executor.arg_arrays == list(executor.arg_dict.values())
    assert values(executor.forward()[0]) == [4.0] * 8
    arrays["c_bias"][:] = 2
    assert values(executor.forward()[0]) == [5.0] * 8


def test_quirk_27_outputs_are_there_before_forward_and_are_written_again_by_each() -> None:
    executor = conv().bind(mx.cpu(), conv_arrays())
    before, by_name = executor.outputs[0], executor.output_dict["c_output"]
    assert before.shape == (1, 2, 2, 2)
    (first,) = executor.forward()
    executor.arg_dict["c_bias"][:] = 6
    (second,) = executor.forward()
    assert values(before) == values(first) == values(second) == values(by_name) == [9.0] * 8
    assert executor.output_dict is executor.output_dict


def test_an_output_that_is_a_variable_is_its_array() -> None:
    x = sym.Variable("x")
    executor = bind_scalar(sym.Group([x, 2 * x, x]), x=3)
    assert [one.asscalar() for one in executor.forward(is_train=True)] == [3, 6, 3]
    executor.outputs[0][:] = 5
    assert executor.arg_dict["x"].asscalar() == 5
    executor.backward([nd.array([1]), nd.array([10]), nd.array([100])])
    assert gradients(executor) == {"x": 121}


def test_an_output_that_other_operators_read() -> None:
    net = conv()
    group = sym.Group([net, sym.square(net), net])
    executor = group.simple_bind(mx.cpu(), data=(1, 3, 2, 2))
    executor.copy_params_from({name: array for name, array in conv_arrays().items() if name != "data"})
    first, second, third = executor.forward(is_train=True, data=ones(1, 3, 2, 2))
    assert (values(first), values(second), values(third)) == ([4.0] * 8, [16.0] * 8, [4.0] * 8)
    executor.backward([ones(1, 2, 2, 2, value=head) for head in (1, 10, 100)])
    assert values(executor.grad_dict["c_bias"]) == [4 * (101 + 10 * 8)] * 2
    with pytest.raises(ValueError, match="Duplicate names detected"):
        executor.output_dict  # noqa: B018


def test_forward_copies_what_it_is_given_and_keeps_the_dtype() -> None:
    executor = conv().bind(mx.cpu(), conv_arrays())
    data = np.full((1, 3, 2, 2), 2.0)
    (output,) = executor.forward(data=data, c_bias=nd.zeros(2, dtype="float64"))
    assert (output.dtype, values(output)) == (np.float32, [6.0] * 8)
    data[:] = 7
    assert values(executor.forward()[0]) == [6.0] * 8


def test_forward_refuses_other_arguments() -> None:
    executor = conv().bind(mx.cpu(), conv_arrays())
    with pytest.raises(ValueError, match="only accept keyword argument of NDArrays"):
        executor.forward(data=[1, 2])
    with pytest.raises(TypeError, match="Unknown argument foo"):
        executor.forward(foo=ones(1))
    with pytest.raises(ValueError, match="Shape not match! Argument data"):
        executor.forward(data=ones(3))
    batch_norm = sym.BatchNorm(name="b").simple_bind(mx.cpu(), b_data=(1, 2))
    with pytest.raises(TypeError, match="Unknown argument b_moving_mean"):
        batch_norm.forward(b_moving_mean=ones(2))


def test_eval() -> None:
    a, b = sym.Variable("a"), sym.Variable("b")
    (result,) = (a * b).eval(a=ones(2, value=3), b=ones(2, value=4))
    assert values(result) == [12, 12]
    net = sym.BatchNorm(a, name="n", eps=0, fix_gamma=False)
    given = {"n_gamma": ones(1), "n_beta": ones(1), "n_moving_mean": ones(1), "n_moving_var": ones(1, value=4)}
    (result,) = net.eval(mx.cpu(), a=ones(3, 1, value=5), **given)
    assert values(result) == [3, 3, 3]
    with pytest.raises(ValueError, match="key `b` is missing in `args`"):
        (a * b).eval(a=ones(2))


# ---- gradients


def test_a_symbol_used_twice_has_the_sum_of_its_gradients() -> None:
    x, y = sym.Variable("x"), sym.Variable("y")
    executor = bind_scalar(x * x * y + x, x=3, y=5)
    assert executor.forward(is_train=True)[0].asscalar() == 48
    executor.backward(nd.array([2]))
    assert gradients(executor) == {"x": 62, "y": 18}


def test_one_array_may_serve_two_arguments() -> None:
    shared, grad = nd.array([3]), nd.array([1])
    net = sym.Variable("x") * sym.Variable("x2") * 2
    executor = net.bind(mx.cpu(), [shared, shared], [grad, grad], "add")
    assert executor.forward(is_train=True)[0].asscalar() == 18
    executor.backward(nd.array([1]))
    assert grad.asscalar() == 1 + 6 + 6
    separate = net.bind(mx.cpu(), [shared, shared], [nd.zeros(1), nd.zeros(1)])
    separate.forward(is_train=True)
    separate.backward(nd.array([1]))
    assert gradients(separate) == {"x": 6, "x2": 6}


@pytest.mark.parametrize(
    ("grad_req", "expected"),
    [
        ("write", {"x": 5, "y": 3}),
        ("add", {"x": 15, "y": 13}),
        ("null", {"x": 10, "y": 10}),
        (["add", "null"], {"x": 15, "y": 10}),
        (("null", "write"), {"x": 10, "y": 3}),
        ({"y": "add", "nobody": "write"}, {"x": 10, "y": 13}),
        ({}, {"x": 10, "y": 10}),
    ],
)
def test_grad_req(grad_req: Any, expected: dict[str, float]) -> None:
    executor = bind_scalar(sym.Variable("x") * sym.Variable("y"), grad_req, x=3, y=5)
    executor.forward(is_train=True)
    executor.backward(nd.array([1]))
    assert gradients(executor) == expected


def test_arguments_without_an_array_for_their_gradient() -> None:
    net = sym.Variable("x") * sym.Variable("y")
    args = [nd.array([3]), nd.array([5])]
    for grads in ([None, nd.zeros(1)], {"y": nd.zeros(1)}):
        executor = net.bind(mx.cpu(), args, grads)
        executor.forward(is_train=True)
        executor.backward(nd.array([1]))
        assert executor.grad_dict["x"] is None
        assert executor.grad_arrays[1].asscalar() == 3
    executor = net.bind(mx.cpu(), args)
    executor.forward(is_train=True)
    assert (executor.grad_arrays, executor.grad_dict) == (None, {"x": None, "y": None})
    executor.backward()  # nothing is asked for


def test_backward_after_any_forward_or_none() -> None:
    def fresh() -> Any:
        return bind_scalar(sym.exp(sym.Variable("x")) * 3, x=1)

    expected = np.float32(3 * np.e)
    head = nd.array([1])
    for modes in ([True], [False], [], [True, False], [False, True]):
        executor = fresh()
        for mode in modes:
            executor.forward(is_train=mode)
        for _ in range(2):
            executor.backward(head)
            assert executor.grad_dict["x"].asscalar() == pytest.approx(expected)
        assert executor.outputs[0].asscalar() == pytest.approx(expected)


def test_quirk_27_what_is_overwritten_before_backward_changes_the_gradient() -> None:
    """As in MXNet: no snapshot of inputs is kept."""
    executor = bind_scalar(sym.Variable("x") * sym.Variable("y"), x=3, y=5)
    executor.forward(is_train=True)
    executor.arg_dict["y"][:] = 7
    executor.backward(nd.array([1]))
    assert gradients(executor) == {"x": 7, "y": 3}


def test_head_gradients_in_all_forms() -> None:
    x = sym.Variable("x")
    executor = bind_scalar(sym.Group([2 * x, 3 * x]), x=1)
    first, second = executor.output_dict
    one, ten = nd.array([1]), nd.array([10], dtype="float64")
    for heads in ([one, ten], (one, ten), [one, ten, one], {second: ten, first: one}):
        executor.forward(is_train=True)
        executor.backward(heads)
        assert gradients(executor) == {"x": 32}
    for heads in (None, one, [one]):
        with pytest.raises(mx.MXNetError, match="head_gradient is required when calling backward") as caught:
            executor.backward(heads)
        assert caught.value.argument == "out_grads"
    for heads in ([np.ones(1), one], [one, None], [1.0, 2.0]):
        with pytest.raises(TypeError, match="inputs must be NDArray"):
            executor.backward(heads)
    with pytest.raises(KeyError, match=second):
        executor.backward({first: one})
    with pytest.raises(mx.ShapeError, match="operands shape mismatch"):
        executor.backward([one, nd.zeros(2)])


def test_losses_need_no_head_gradient() -> None:
    data, label = sym.Variable("data"), sym.Variable("label")
    loss = sym.SoftmaxOutput(data, label, name="loss")
    for net in (loss, sym.Group([loss, sym.BlockGrad(data * 3)]), sym.Group([loss, label])):
        executor = net.simple_bind(mx.cpu(), {"data": "write"}, data=(1, 4))
        executor.forward(is_train=True)
        executor.backward()
        np.testing.assert_allclose(values(executor.grad_dict["data"]), [-0.75, 0.25, 0.25, 0.25])
    executor = sym.Group([loss, data * 3]).simple_bind(mx.cpu(), {"data": "write"}, data=(1, 4))
    with pytest.raises(mx.MXNetError, match="head_gradient is required"):
        executor.backward()
    executor.backward([ones(1, 4), ones(1, 4)])
    np.testing.assert_allclose(values(executor.grad_dict["data"]), [2.25, 3.25, 3.25, 3.25])


def test_the_gradient_of_a_label_is_written_too() -> None:
    loss = sym.SoftmaxOutput(sym.Variable("data"), sym.Variable("label"))
    executor = loss.bind(
        mx.cpu(), {"data": ones(1, 4), "label": ones(1)}, {"data": ones(1, 4), "label": ones(1, value=9)}
    )
    executor.forward(is_train=True)
    executor.backward()
    assert values(executor.grad_dict["label"]) == [0]


def test_a_loss_may_use_a_head_gradient() -> None:
    loss = sym.SoftmaxOutput(sym.Variable("data"), sym.Variable("label"), out_grad=True)
    executor = loss.simple_bind(mx.cpu(), {"data": "write"}, data=(1, 2))
    executor.forward(is_train=True)
    for head, wanted in ((None, [-0.5, 0.5]), (mx.nd.array([[2, 6]]), [-1, 3]), (mx.nd.ones((7,)), [-0.5, 0.5])):
        executor.backward(head)
        assert executor.grad_dict["data"].asnumpy().tolist() == [wanted]


def test_a_loss_within_the_graph() -> None:
    x = sym.Variable("x")
    executor = bind_scalar(sym.MakeLoss(x * x, grad_scale=5) * 100, x=3)
    executor.forward(is_train=True)
    executor.backward()
    assert gradients(executor) == {"x": 30}


def test_some_outputs_of_an_operator() -> None:
    data = sym.Variable("data")
    parts = sym.SliceChannel(data, num_outputs=3, name="s")
    executor = sym.Group([parts[2], parts[0] * parts[0]]).simple_bind(mx.cpu(), data=(1, 3))
    first, second = executor.forward(is_train=True, data=nd.array([[5, 6, 7]]))
    assert (values(first), values(second)) == ([7], [25])
    executor.backward([nd.array([[1]]), nd.array([[1]])])
    assert values(executor.grad_dict["data"]) == [10, 0, 1]
    executor.forward(data=nd.array([[1, 2, 3]]))
    assert (values(first), values(second)) == ([3], [1])
    whole = parts.simple_bind(mx.cpu(), data=(1, 3))
    assert [values(one) for one in whole.forward(data=nd.array([[5, 6, 7]]))] == [[5], [6], [7]]


def test_batch_norm_moves_its_statistics_in_backward() -> None:
    net = sym.BatchNorm(sym.Variable("data"), name="b", momentum=0.5, eps=1e-5)
    data = nd.array([[1, 10], [3, 30]])
    args = {"data": data, "b_gamma": ones(2), "b_beta": nd.zeros(2)}
    states = {"b_moving_mean": nd.zeros(2), "b_moving_var": ones(2)}
    executor = net.bind(mx.cpu(), args, {"data": nd.zeros((2, 2))}, aux_states=states)
    assert executor.aux_dict["b_moving_mean"] is states["b_moving_mean"]
    executor.forward(is_train=True)
    executor.forward(is_train=False)
    np.testing.assert_allclose(executor.outputs[0].asnumpy(), data.asnumpy(), rtol=1e-4)
    assert values(states["b_moving_mean"]) == [0, 0]
    executor.forward(is_train=True)
    executor.backward(ones(2, 2))
    assert values(states["b_moving_mean"]) == [1, 10]
    assert values(states["b_moving_var"]) == [1, 50.5]
    executor.forward(is_train=False)
    executor.backward(ones(2, 2))
    assert values(states["b_moving_mean"]) == [1, 10]


@pytest.mark.parametrize("is_joined", [False, True])
def test_batch_norm_behind_block_grad_moves_its_statistics_and_has_no_gradient(is_joined: bool) -> None:
    """As MXNet does, whose backward pass hands zeros on."""
    x = sym.Variable("x")
    net = sym.BlockGrad(sym.BatchNorm(x, name="b", momentum=0.5))
    executor = (net + x if is_joined else net).simple_bind(mx.cpu(), x=(2, 2))
    executor.forward(is_train=True, x=nd.array([[1, 10], [3, 30]]))
    executor.backward(ones(2, 2))
    assert values(executor.aux_dict["b_moving_mean"]) == [1, 10]
    assert values(executor.grad_dict["x"]) == [is_joined] * 4
    assert values(executor.grad_dict["b_beta"]) == [0, 0]


def test_dropout_backward_has_the_mask_of_forward() -> None:
    executor = sym.Dropout(sym.Variable("x"), p=0.5).simple_bind(mx.cpu(), x=(1000,))
    executor.forward(is_train=True, x=ones(1000))
    for _ in range(2):
        executor.backward(ones(1000))
        assert values(executor.grad_dict["x"]) == values(executor.outputs[0])
    assert 300 < np.count_nonzero(values(executor.outputs[0])) < 700
    executor.forward(is_train=False)
    assert values(executor.outputs[0]) == [1] * 1000
    executor.backward(ones(1000))
    assert values(executor.grad_dict["x"]) == [1] * 1000


def test_an_operator_without_a_gradient_is_named() -> None:
    net = sym._backward_SoftmaxOutput(sym.Variable("probabilities"), sym.Variable("label"))
    executor = net.simple_bind(mx.cpu(), probabilities=(2, 3), label=(2,))
    executor.forward(is_train=True)
    with pytest.raises(mx.MXNetError, match=r"_backward_SoftmaxOutput.*non-differentiable"):
        executor.backward(ones(2, 3))


def test_an_error_at_work_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = sym.exp(conv(), name="e").simple_bind(mx.cpu(), data=(1, 3, 2, 2))

    def fail(spec: Any, *rest: Any) -> None:
        raise mx.WorkspaceError("no memory", op=spec.name)

    monkeypatch.setattr("mxconv.symbol.executor.run", fail)
    with pytest.raises(mx.WorkspaceError, match=r"Convolution: Error in operator 'c' .*used by e.*: no memory"):
        executor.forward()


def test_autograd_around_an_executor_is_not_disturbed() -> None:
    x = nd.array([3])
    x.attach_grad()
    net = sym.Variable("x") * sym.Variable("x2")
    with mx.autograd.record():
        y = x * x
        executor = net.bind(mx.cpu(), [x, y], [nd.zeros(1), nd.zeros(1)])
        (output,) = executor.forward(is_train=True)
        executor.backward(nd.array([1]))
        assert mx.autograd.is_recording()
        z = y * output
    assert (output.asscalar(), gradients(executor)) == (27, {"x": 9, "x2": 3})
    z.backward()
    assert x.grad.asscalar() == 6 * 27  # the executor's output is a constant there


# ---- memory and speed


def test_the_packed_weight_is_kept_between_forwards_and_no_longer() -> None:
    net = sym.Convolution(sym.Variable("data"), kernel=(3, 3), num_filter=32, no_bias=True, name="c")
    executor = net.simple_bind(mx.cpu(), data=(1, 32, 24, 24))
    executor.arg_dict["c_weight"][:] = 1
    executor.forward(data=ones(1, 32, 24, 24))
    executor.forward()
    before = pack_cache.counts()
    assert before.size > 0
    for is_train in (False, True, False):
        executor.forward(is_train=is_train)
        executor.backward(ones(1, 32, 22, 22))
        executor.reshape(data=(1, 32, 20, 20)).forward()
    after = pack_cache.counts()
    assert after.hits >= before.hits + 6
    executor.arg_dict["c_weight"][:] = 2
    assert values(executor.forward()[0])[0] == pytest.approx(2 * 9 * 32, rel=1e-5)


def chain(length: int) -> Any:
    net = sym.Variable("x")
    for _ in range(length):
        net = net + 1
    return net


@pytest.mark.parametrize(("grad_req", "is_train"), [("write", False), ("null", True)])
def test_values_go_when_nobody_needs_them(grad_req: str, is_train: bool) -> None:
    executor = chain(30).simple_bind(mx.cpu(), grad_req, x=(4,))
    storages: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def count(name: str, array: Any) -> None:
        storages.append(weakref.ref(array.storage))
        alive.append(sum(ref() is not None for ref in storages))

    executor.set_monitor_callback(count)
    executor.forward(is_train=is_train)
    assert len(alive) == 30
    assert max(alive) <= 3


def test_what_was_recorded_goes_before_it_is_recorded_again() -> None:
    executor = chain(30).simple_bind(mx.cpu(), x=(4,))
    storages: list[weakref.ref[Any]] = []
    executor.set_monitor_callback(lambda name, array: storages.append(weakref.ref(array.storage)))
    executor.forward(is_train=True)
    assert sum(ref() is not None for ref in storages) == 30
    old = storages[:-1]  # the last is the output, which stays
    executor.set_monitor_callback(lambda name, array: storages.append(any(ref() is not None for ref in old)))
    executor.forward(is_train=True)
    assert storages[30:] == [False] * 30


def test_an_executor_goes_with_its_last_reference() -> None:
    executor = conv().simple_bind(mx.cpu(), data=(1, 3, 4, 4))
    executor.forward(is_train=True)
    executor.backward(ones(1, 2, 4, 4))
    refs = [weakref.ref(executor), weakref.ref(executor.outputs[0].storage)]
    gc.disable()
    try:
        del executor
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


def test_a_graph_of_10000_nodes() -> None:
    net = sym.Variable("x")
    for index in range(10_000):
        net = net + 1 if index % 2 else net * 1
    executor = net.simple_bind(mx.cpu(), x=(1,))
    assert executor.forward(is_train=True, x=nd.array([1]))[0].asscalar() == 5001
    executor.backward(nd.array([7]))
    assert executor.grad_dict["x"].asscalar() == 7


# ---- looking inside


def test_the_monitor_sees_every_output() -> None:
    net = sym.BatchNorm(conv(), name="b")
    parts = sym.SliceChannel(net, num_outputs=2, name="s")
    executor = sym.Group([parts[0] * parts[1], parts[1]]).simple_bind(mx.cpu(), data=(2, 3, 4, 4))
    seen: dict[str, tuple[int, ...]] = {}
    executor.set_monitor_callback(lambda name, array: seen.update({name: array.shape}))
    executor.forward()
    product = executor._symbol.list_outputs()[0]
    assert seen == {
        "c_output": (2, 2, 4, 4), "b_output": (2, 2, 4, 4), "s_output0": (2, 1, 4, 4), "s_output1": (2, 1, 4, 4),
        product: (2, 1, 4, 4),
    }  # fmt: skip
    assert list(seen) == ["c_output", "b_output", "s_output0", "s_output1", product]
    seen.clear()
    executor.backward([ones(2, 1, 4, 4), ones(2, 1, 4, 4)])
    assert seen == {}
    executor.reshape(data=(1, 3, 4, 4)).forward()
    assert seen["c_output"] == (1, 2, 4, 4)


def test_the_monitor_may_see_inputs() -> None:
    names: list[str] = []
    executor = sym.exp(conv(), name="e").simple_bind(mx.cpu(), data=(1, 3, 1, 1))
    executor.set_monitor_callback(lambda name, array: names.append(name), monitor_all=True)
    executor.forward(is_train=True)
    assert names == [
        "data", "c_data", "c_weight", "c_weight", "c_bias", "c_bias", "c_output", "e_data", "e_output",
    ]  # fmt: skip


def test_debug_str() -> None:
    net = conv()
    executor = net.simple_bind(mx.cpu(), data=(1, 3, 512, 512))
    text = executor.debug_str()
    assert text.startswith(net.debug_str())
    assert text.endswith("Total 8 MB allocated\n")  # data and its gradient 3 MB each, the output 2 MB
    assert executor.get_optimized_symbol().tojson() == net.tojson()
