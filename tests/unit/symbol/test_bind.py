"""bind, simple_bind, reshape and copy_params_from: what they accept, make and refuse.

Among it rows 15 and 16 of the catalogue of MXNet's quirks: what MXNet ignores (unknown names, arrays that do not fit
until backward) or stumbles over (grad_req as a tuple, None or a short list, grad_dict without gradients).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd, sym

CPU = mx.cpu()
SHAPES = {"data": (1, 3, 4, 4), "c_weight": (2, 3, 1, 1), "c_bias": (2,)}


def conv() -> Any:
    return sym.Convolution(sym.Variable("data"), kernel=(1, 1), num_filter=2, name="c")


def batch_norm() -> Any:
    return sym.BatchNorm(sym.Variable("data"), name="b")


def arrays(**other: Any) -> dict[str, Any]:
    return {**{name: nd.ones(shape) for name, shape in SHAPES.items()}, **other}


def zeros(**other: Any) -> dict[str, Any]:
    return {**{name: nd.zeros(shape) for name, shape in SHAPES.items()}, **other}


def shapes(named: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in named.items()}


# ---- bind


def test_lists_and_dicts() -> None:
    given = arrays(unused=nd.ones(7))
    for args in (given, [given[name] for name in SHAPES]):
        executor = conv().bind(CPU, args, aux_states={"unused": nd.ones(1)})
        assert executor.arg_dict == {name: given[name] for name in SHAPES}
        assert executor.forward()[0].asnumpy().ravel().tolist() == [4] * 32
    assert (executor.aux_arrays, executor.aux_dict) == ([], {})


def test_auxiliary_states_are_bound() -> None:
    args, states = [nd.ones((1, 2)), nd.ones(2), nd.ones(2)], [nd.zeros(2), nd.ones(2)]
    executor = batch_norm().bind(CPU, args, aux_states=states)
    assert executor.aux_arrays == states
    assert list(executor.aux_dict) == ["b_moving_mean", "b_moving_var"]


def test_contexts_are_all_host_memory() -> None:
    executor = conv().bind(mx.cpu(1), arrays(), group2ctx={"stage": mx.cpu(2)}, shared_exec=conv().bind(CPU, arrays()))
    assert executor.outputs[0].context == mx.cpu(1)
    with pytest.raises(mx.MXNetError, match="GPU is not enabled"):
        conv().bind(mx.gpu(), arrays())
    with pytest.raises(mx.MXNetError, match="GPU is not enabled"):
        conv().simple_bind(CPU, group2ctx={"stage": mx.gpu()}, data=SHAPES["data"])


def test_empty_arrays_may_be_bound() -> None:
    executor = conv().bind(CPU, arrays(data=nd.zeros((0, 3, 4, 4))), zeros(data=nd.zeros((0, 3, 4, 4))))
    assert executor.forward(is_train=True)[0].shape == (0, 2, 4, 4)
    executor.backward(nd.ones((0, 2, 4, 4)))
    assert executor.grad_dict["c_bias"].asnumpy().tolist() == [0, 0]


def twice() -> Any:
    return sym.Variable("a") + sym.Variable("a")


BAD_BINDINGS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "context": (lambda: conv().bind("cpu", arrays()), TypeError, "Context type error"),
    "tuple": (lambda: conv().bind(CPU, tuple(arrays().values())), TypeError, "Only accept list of NDArrays or dict"),
    "one array": (lambda: conv().bind(CPU, nd.ones(2)), TypeError, "Only accept list of NDArrays or dict"),
    "NumPy": (lambda: conv().bind(CPU, [np.ones(2)] * 3), TypeError, "Only accept list of NDArrays or dict"),
    "None": (lambda: conv().bind(CPU, [None] * 3), TypeError, "Only accept list of NDArrays or dict"),
    "too few": (lambda: conv().bind(CPU, [nd.ones(2)]), ValueError, "Length of args does not match the number"),
    "missing": (lambda: conv().bind(CPU, {"data": nd.ones(2)}), ValueError, "key `c_weight` is missing in `args`"),
    "no states": (lambda: batch_norm().bind(CPU, [nd.ones(2)] * 3), ValueError, "Length of aux_states does not match"),
    "state missing": (
        lambda: batch_norm().bind(CPU, [nd.ones(2)] * 3, aux_states={"b_moving_mean": nd.ones(2)}),
        ValueError,
        "key `b_moving_var` is missing in `aux_states`",
    ),
    "state shape": (
        lambda: batch_norm().bind(CPU, [nd.ones((1, 2)), *[nd.ones(2)] * 2], aux_states=[nd.ones(3)] * 2),
        mx.ShapeError,
        r"moving_mean.*\(3,\).*\(2,\)",
    ),
    "shape": (
        lambda: conv().bind(CPU, arrays(c_weight=nd.ones((2, 4, 1, 1)))),
        mx.ShapeError,
        r"'c'.*Shape inconsistent, Provided = \[2,4,1,1\], inferred shape=\(2,3,1,1\)",
    ),
    "dtype": (
        lambda: conv().bind(CPU, arrays(c_weight=nd.ones(SHAPES["c_weight"], dtype="float64"))),
        mx.DTypeError,
        "'c'.*float64.*float32",
    ),
    "few gradients": (lambda: conv().bind(CPU, arrays(), [nd.ones(2)]), ValueError, "Length of args_grad does not"),
    "gradients in a tuple": (lambda: conv().bind(CPU, arrays(), (None,) * 3), TypeError, "Only accept list"),
    "gradient shape": (
        lambda: conv().bind(CPU, arrays(), zeros(c_bias=nd.zeros(3))),
        mx.ShapeError,
        r"args_grad\['c_bias'\] has shape \(3,\), expected \(2,\)",
    ),
    "gradient dtype": (
        lambda: conv().bind(CPU, arrays(), zeros(c_bias=nd.zeros(2, dtype="float64"))),
        mx.DTypeError,
        r"args_grad\['c_bias'\] has dtype float64, expected float32",
    ),
    "word": (lambda: conv().bind(CPU, arrays(), zeros(), "foo"), ValueError, "grad_req must be in"),
    "word in a list": (lambda: conv().bind(CPU, arrays(), zeros(), ["foo", "add", "add"]), KeyError, "foo"),
    "word in a dict": (lambda: conv().bind(CPU, arrays(), zeros(), {"data": "foo"}), KeyError, "foo"),
    "short list": (lambda: conv().bind(CPU, arrays(), zeros(), ["write"]), ValueError, "length of grad_req list"),
    "grad_req": (lambda: conv().bind(CPU, arrays(), zeros(), 1), TypeError, "grad_req is a int"),
    "no grad_req": (lambda: conv().bind(CPU, arrays(), zeros(), None), TypeError, "grad_req is a NoneType, expected a"),
    "names": (lambda: twice().bind(CPU, [nd.ones(2)] * 2), mx.MXNetError, "list_arguments.*a more than once"),
}


@pytest.mark.parametrize("case", BAD_BINDINGS)
def test_bind_refuses(case: str) -> None:
    call, error, text = BAD_BINDINGS[case]
    with pytest.raises(error, match=text):
        call()


# ---- simple_bind


def test_everything_is_inferred_and_zero() -> None:
    net = sym.BatchNorm(conv(), name="b")
    executor = net.simple_bind(CPU, data=(1, 3, 4, 4))
    assert shapes(executor.arg_dict) == {**SHAPES, "b_gamma": (2,), "b_beta": (2,)}
    assert shapes(executor.grad_dict) == shapes(executor.arg_dict)
    assert shapes(executor.aux_dict) == {"b_moving_mean": (2,), "b_moving_var": (2,)}
    for array in (*executor.arg_arrays, *executor.grad_arrays, *executor.aux_arrays):
        assert array.dtype == np.float32
        assert not array.asnumpy().any()
    assert len({id(array.storage) for array in (*executor.arg_arrays, *executor.grad_arrays)}) == 10


def test_shapes_may_be_lists_and_of_any_variable() -> None:
    assert shapes(conv().simple_bind(CPU, data=[1, 3, 4, 4]).arg_dict) == SHAPES
    declared = sym.Convolution(sym.Variable("data", shape=SHAPES["data"]), kernel=(1, 1), num_filter=2, name="c")
    assert shapes(declared.simple_bind(CPU).arg_dict) == SHAPES
    product = sym.Variable("symbol") * sym.Variable("shapes")
    assert shapes(product.simple_bind(CPU, symbol=(2,)).arg_dict) == {"symbol": (2,), "shapes": (2,)}
    product = sym.Variable("x") * sym.Variable("y")
    assert shapes(product.simple_bind(CPU, y=(2, 3)).arg_dict) == {"x": (2, 3), "y": (2, 3)}


@pytest.mark.parametrize(
    ("grad_req", "with_gradient"),
    [
        ("add", ["data", "c_weight", "c_bias"]),
        ("null", []),
        (None, []),
        (["null", "write", "add"], ["c_weight", "c_bias"]),
        ({"c_bias": "add", "nobody": "write"}, ["c_bias"]),
    ],
)
def test_gradients_only_where_they_are_wanted(grad_req: Any, with_gradient: list[str]) -> None:
    executor = conv().simple_bind(CPU, grad_req, data=SHAPES["data"])
    assert [name for name, grad in executor.grad_dict.items() if grad is not None] == with_gradient


def test_types_spread() -> None:
    executor = conv().simple_bind(CPU, type_dict={"data": "float64"}, data=SHAPES["data"])
    found = (*executor.arg_arrays, *executor.grad_arrays, *executor.outputs)
    assert {array.dtype for array in found} == {np.float64}
    executor = batch_norm().simple_bind(CPU, type_dict={"data": np.float16}, data=(2, 3))
    assert [array.dtype for array in executor.arg_arrays] == [np.float16, np.float32, np.float32]
    assert executor.outputs[0].dtype == np.float16
    mixed = sym.Group([sym.Variable("x") * 2, sym.Cast(sym.Variable("y"), dtype="float64")])
    executor = mixed.simple_bind(CPU, type_dict={"x": "int32"}, x=(2,), y=(2,))
    assert [array.dtype for array in executor.arg_arrays] == [np.int32, np.float32]
    assert [array.dtype for array in executor.outputs] == [np.int32, np.float64]


def test_a_shared_executor_shares_through_a_buffer_only() -> None:
    names = ["c_weight", "c_bias"]
    buffer: dict[str, Any] = {}
    first = conv().simple_bind(CPU, shared_arg_names=names, shared_buffer=buffer, data=(1, 3, 4, 4))
    assert shapes(buffer) == {"data": (1, 3, 4, 4), "grad of data": (1, 3, 4, 4)}
    how = {"shared_arg_names": names, "shared_exec": first}
    smaller = conv().simple_bind(CPU, shared_buffer=buffer, data=(1, 3, 2, 2), **how)
    larger = conv().simple_bind(CPU, shared_buffer=buffer, data=(2, 3, 4, 4), **how)
    alone = conv().simple_bind(CPU, data=(1, 3, 2, 2), **how)
    assert shapes(buffer) == {"data": (2, 3, 4, 4), "grad of data": (2, 3, 4, 4)}
    first.arg_dict["c_weight"][:] = 3
    first.arg_dict["data"][:] = 5
    first.grad_dict["c_bias"][:] = 7
    for executor, expected in ((smaller, (3, 5, 7)), (larger, (3, 0, 7)), (alone, (0, 0, 0))):
        found = (executor.arg_dict["c_weight"], executor.arg_dict["data"], executor.grad_dict["c_bias"])
        assert tuple(array.asnumpy().flat[0] for array in found) == expected
    states = batch_norm().simple_bind(CPU, shared_buffer={}, data=(2, 3))
    shared = batch_norm().simple_bind(CPU, shared_buffer={}, shared_exec=states, data=(4, 3))
    assert shared.aux_arrays == states.aux_arrays


def shared(**data: Any) -> Any:
    first = conv().simple_bind(CPU, shared_buffer={}, data=SHAPES["data"])
    how = {"shared_arg_names": ["c_weight"], "shared_exec": first, "shared_buffer": {}, **data}
    return conv().simple_bind(CPU, **{"data": SHAPES["data"], **how})


BAD_SIMPLE_BINDINGS: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (
        lambda: conv().simple_bind(CPU),
        "InferShape pass cannot decide shapes for the following arguments.*data: .*c_weight: ",
    ),
    "unknown batch": (lambda: conv().simple_bind(CPU, data=(0, 3, 4, 4)), r"following arguments.*data: \(0, 3, 4, 4\)"),
    "rank": (lambda: conv().simple_bind(CPU, data=(3, 4, 4)), "Input data should be 4D in batch-num_filter-y-x"),
    "name": (lambda: conv().simple_bind(CPU, data=SHAPES["data"], foo=(1,)), "Keyword argument name foo not found"),
    "word": (lambda: conv().simple_bind(CPU, "foo", data=SHAPES["data"]), "'foo'"),
    "word in a list": (lambda: conv().simple_bind(CPU, ["foo"] * 3, data=SHAPES["data"]), "'foo'"),
    "short list": (lambda: conv().simple_bind(CPU, [], data=SHAPES["data"]), "The length of grad_req list does not"),
    "names": (lambda: twice().simple_bind(CPU, a=(2,)), "Duplicate names detected"),
    "type": (lambda: conv().simple_bind(CPU, type_dict={"data": "uint16"}, data=SHAPES["data"]), "uint16"),
    "type's name": (lambda: conv().simple_bind(CPU, type_dict={"foo": "float64"}, data=SHAPES["data"]), "name foo not"),
    "types": (
        lambda: conv().simple_bind(CPU, type_dict={"data": "float64", "c_bias": "float32"}, data=SHAPES["data"]),
        "'c'.*float32.*float64",
    ),
    "sparse": (
        lambda: conv().simple_bind(CPU, stype_dict={"data": "csr"}, data=SHAPES["data"]),
        "data is stored as csr",
    ),
    "shared shape": (lambda: shared(data=(1, 4, 4, 4)), r"c_weight of shared_exec has shape \(2, 3, 1, 1\)"),
    "shared dtype": (
        lambda: shared(shared_buffer={"data": nd.zeros(100, dtype="float64")}),
        r"shared_buffer\['data'\] has dtype float64",
    ),
}


@pytest.mark.parametrize("case", BAD_SIMPLE_BINDINGS)
def test_simple_bind_refuses(case: str) -> None:
    call, text = BAD_SIMPLE_BINDINGS[case]
    with pytest.raises(RuntimeError, match=rf"(?s)simple_bind error. Arguments:\n.*{text}") as caught:
        call()
    assert str(caught.value).startswith("simple_bind error. Arguments:\n")


def test_simple_bind_refuses_as_other_errors() -> None:
    with pytest.raises(TypeError, match="Context type error"):
        conv().simple_bind("cpu", data=SHAPES["data"])
    with pytest.raises(TypeError, match=r"Arguments need to be shapes \(tuple\)"):
        conv().simple_bind(CPU, data=3)
    with pytest.raises(ValueError, match="shared_arg_names in simple_bind must be a list"):
        conv().simple_bind(CPU, shared_arg_names=("c_weight",), data=SHAPES["data"])
    with pytest.raises(ValueError, match="shared_buffer in simple_bind must be dict"):
        conv().simple_bind(CPU, shared_buffer=[], data=SHAPES["data"])
    with pytest.raises(mx.ShapeError) as caught:
        conv().simple_bind(CPU, data=(3, 4, 4))
    assert (caught.value.argument, caught.value.got) == ("data", "(3, 4, 4)")


# ---- reshape


def test_reshape_shares_memory_both_ways() -> None:
    executor = conv().simple_bind(CPU, data=(1, 3, 4, 4))
    executor.arg_dict["data"][:] = np.arange(48).reshape(1, 3, 4, 4)
    smaller = executor.reshape(data=(1, 3, 2, 2))
    assert smaller.arg_dict["data"].asnumpy().ravel().tolist() == list(range(12))
    assert smaller.grad_dict["data"].shape == (1, 3, 2, 2)
    assert smaller.outputs[0].shape == (1, 2, 2, 2)
    smaller.arg_dict["c_weight"][:] = 7
    executor.grad_dict["c_bias"][:] = 8
    assert executor.arg_dict["c_weight"] is not smaller.arg_dict["c_weight"]
    assert executor.arg_dict["c_weight"].asnumpy().ravel().tolist() == [7] * 6
    assert smaller.grad_dict["c_bias"].asnumpy().tolist() == [8, 8]
    smaller.forward(is_train=True)
    smaller.backward(nd.ones((1, 2, 2, 2)))
    assert executor.grad_dict["c_bias"].asnumpy().tolist() == [4, 4]
    assert shapes(executor.reshape(data=[1, 3, 4, 4]).arg_dict) == shapes(executor.reshape().arg_dict) == SHAPES


def test_reshape_with_new_arrays() -> None:
    executor = conv().simple_bind(CPU, {"c_weight": "add"}, data=(1, 3, 4, 4))
    larger = executor.reshape(allow_up_sizing=True, data=(2, 3, 4, 4))
    assert larger.outputs[0].shape == (2, 2, 4, 4)
    assert larger.arg_dict["c_weight"].storage is executor.arg_dict["c_weight"].storage
    assert larger.arg_dict["data"].storage is not executor.arg_dict["data"].storage
    assert larger.grad_dict["data"] is None
    other = executor.reshape(partial_shaping=True, data=(1, 2, 4, 4))
    assert (other.arg_dict["c_weight"].shape, other.grad_dict["c_weight"].shape) == ((2, 2, 1, 1),) * 2
    named = executor.reshape(data=(1, 2, 4, 4), c_weight=(2, 2, 1, 1))
    assert shapes(named.arg_dict) == shapes(other.arg_dict)
    for _ in range(2):
        other.forward(is_train=True, data=nd.ones((1, 2, 4, 4)))
        other.backward(nd.ones((1, 2, 4, 4)))
    assert other.grad_dict["c_weight"].asnumpy().ravel().tolist() == [32] * 4  # still added
    without = conv().bind(CPU, arrays()).reshape(data=(1, 3, 2, 2))
    assert without.grad_arrays is None


def test_reshape_refuses() -> None:
    executor = conv().simple_bind(CPU, data=(1, 3, 4, 4))
    for given, error, text in (
        ({"data": (2, 3, 4, 4)}, mx.ShapeError, "New shape of arg: data is larger than original.*allow_up_sizing=True"),
        ({"data": (1, 2, 4, 4)}, mx.ShapeError, "Shape of unspecifie arg: c_weight changed.*partial_shaping=True"),
        ({"data": (3, 2, 2)}, mx.ShapeError, "Input data should be 4D"),
        ({"data": (1, 3, 4, 4), "c_bias": (3,)}, mx.ShapeError, "Shape inconsistent"),
        ({"foo": (1,)}, mx.ParamError, "Keyword argument name foo not found"),
        ({"data": 3}, TypeError, "Arguments need to be shapes"),
    ):
        with pytest.raises(error, match=text):
            executor.reshape(**given)


# ---- parameters


def test_copy_params_from() -> None:
    executor = sym.BatchNorm(conv(), name="b").simple_bind(CPU, data=(1, 3, 4, 4))
    executor.copy_params_from(
        {"c_bias": nd.array([1.5, 2.5], dtype="float64"), "foo": nd.ones(1)},
        {"b_moving_var": nd.array([3, 4]), "bar": nd.ones(1)},
        allow_extra_params=True,
    )
    assert executor.arg_dict["c_bias"].asnumpy().tolist() == [1.5, 2.5]
    assert executor.arg_dict["c_bias"].dtype == np.float32
    assert executor.aux_dict["b_moving_var"].asnumpy().tolist() == [3, 4]
    with pytest.raises(ValueError, match='Find name "foo" that is not in the arguments'):
        executor.copy_params_from({"foo": nd.ones(1)})
    with pytest.raises(ValueError, match='Find name "bar" that is not in the auxiliary states'):
        executor.copy_params_from({}, {"bar": nd.ones(1)})
    with pytest.raises(mx.ShapeError, match=r"c_bias has shape.*Incompatible attr in node"):
        executor.copy_params_from({"c_bias": nd.ones(3)})


def test_the_class_has_a_name_of_its_own() -> None:
    executor = conv().simple_bind(CPU, data=(1, 3, 4, 4))
    assert isinstance(executor, mx.executor.Executor)
