"""One way to call any operator: inputs of any kind, `out`, what is written to, what is kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.engine import pack_cache
from mxconv.ndarray.invoke import invoke, run
from mxconv.ops.registry import Call, OpSpec, lookup
from mxconv.ops.signature import Signature


def operator(forward: Any, *inputs: str, outputs: Sequence[str] = ("output",), **fields: Any) -> OpSpec:
    """An operator known to nobody else."""
    signature = Signature("local")

    def unknown(param: Any, ins: Any, outs: Any) -> tuple[Any, Any]:
        return ins, outs

    return OpSpec(
        name="local",
        signature=signature,
        parse=signature.parse,
        input_names=lambda param: inputs,
        output_names=lambda param: tuple(outputs),
        infer_shape=unknown,
        infer_type=unknown,
        forward=forward,
        **fields,
    )


def test_by_name_and_by_spec() -> None:
    x, y = nd.array([1, 2]), nd.array([3, 5])
    for op in ("elemwise_add", "_plus", lookup("elemwise_add")):
        (z,) = invoke(op, [x, y], {})
        assert isinstance(z, nd.NDArray)
        assert z.asnumpy().tolist() == [4, 7]
    with pytest.raises(mx.MXNetError, match="Operator elemwise_ad is not registered") as caught:
        invoke("elemwise_ad", [x, y], {})
    assert caught.value.fix == "Did you mean 'elemwise_add'?"


def test_numpy_inputs_and_views() -> None:
    x = np.arange(6, dtype="f4").reshape(2, 3).T
    (y,) = invoke("elemwise_add", [x, nd.array(x)], {})
    np.testing.assert_array_equal(y.asnumpy(), 2 * x)
    (y,) = invoke("elemwise_add", [x, x], {})
    assert isinstance(y, nd.NDArray)
    assert y.context == mx.cpu()
    big = x.astype(">f4")
    assert invoke("exp", [big], {})[0].dtype is np.float32


def test_the_context_is_the_first_arrays() -> None:
    x = nd.ones((2,), ctx=mx.cpu(3))
    assert invoke("elemwise_add", [np.ones(2, "f4"), x], {})[0].context == mx.cpu(3)


@pytest.mark.parametrize(
    ("inputs", "error", "phrase"),
    [
        ([nd.ones((2,))], mx.ParamError, "Operator elemwise_add expects 2 inputs, but got 1 instead"),
        ([nd.ones((2,))] * 3, mx.ParamError, "Operator elemwise_add expects 2 inputs, but got 3 instead"),
        ([nd.ones((2,)), [1, 2]], AssertionError, "Argument rhs must have NDArray type"),
        ([nd.ones((2,)), nd.ones((3,))], mx.ShapeError, "elemwise_add: "),
        ([nd.ones((2,)), nd.ones((2,), dtype="float64")], mx.DTypeError, "elemwise_add: "),
    ],
)
def test_wrong_inputs(inputs: Any, error: type[Exception], phrase: str) -> None:
    with pytest.raises(error, match=phrase):
        invoke("elemwise_add", inputs, {})


def test_any_number_of_inputs_is_counted() -> None:
    arrays = [nd.full((2, 1), value) for value in (1, 2, 3)]
    assert invoke("Concat", arrays, {"dim": 1})[0].asnumpy().tolist() == [[1, 2, 3]] * 2
    assert invoke("Concat", arrays, {"dim": 0, "num_args": 3})[0].shape == (6, 1)
    with pytest.raises(mx.ParamError, match="expects 2 inputs, but got 3 instead"):
        invoke("Concat", arrays, {"num_args": 2})


# ---- results


def test_results_never_share_the_inputs_memory() -> None:
    """What an operator hands through, whole or in part, becomes an array of its own."""
    spec = operator(
        lambda param, inputs, call: [inputs[0], inputs[0][1:], inputs[1][::-1]], "a", "b", outputs=("x", "y", "z")
    )
    a, b = nd.array([1, 2, 3]), np.array([4, 5, 6], "f4")
    outputs = invoke(spec, [a, b], {})
    a[:] = 0
    b[:] = 0
    assert [one.asnumpy().tolist() for one in outputs] == [[1, 2, 3], [2, 3], [6, 5, 4]]
    outputs[0][:] = 7
    assert outputs[1].asnumpy().tolist() == [2, 3]


def test_inputs_are_read_only_to_operators() -> None:
    def write(param: Any, inputs: Any, call: Call) -> Any:
        inputs[0][0] = 5
        return [inputs[0]]

    array = np.ones(2, "f4")
    for one in (nd.ones((2,)), array):
        with pytest.raises(ValueError, match="read-only"):
            invoke(operator(write, "data"), [one], {})
    array[0] = 3  # the caller's own array stays as it was


def test_saved_outputs_are_not_returned() -> None:
    spec = operator(lambda param, inputs, call: [inputs[0] + 1, inputs[0] > 1], "data")
    assert len(invoke(spec, [nd.array([1, 2])], {})) == 1


def test_states_are_written_in_place() -> None:
    def count(param: Any, inputs: Any, call: Call) -> Any:
        inputs[1] += inputs[0].sum()
        return [inputs[0] * 2]

    spec = operator(count, "data", "moving", mutates=(1,), aux_names=("moving",))
    state = nd.array([10])
    version = state.storage.version
    assert invoke(spec, [nd.array([1, 2]), state], {})[0].asnumpy().tolist() == [2, 4]
    assert state.asnumpy().tolist() == [13]
    assert state.storage.version > version
    plain = np.array([1], "f4")
    out = nd.zeros((2,))
    assert invoke(spec, [nd.array([1, 2]), plain], {}, out)[0] is out
    assert (plain.tolist(), out.asnumpy().tolist()) == ([4], [2, 4])
    x = nd.array([1, 2])
    x.attach_grad()
    with mx.autograd.record():
        invoke("broadcast_mul", [x, state], {})
        invoke(spec, [x, state], {})  # an array of the graph by now, which operators may write to all the same
    assert state.asnumpy().tolist() == [16]


def test_training_and_identities_are_passed_on() -> None:
    calls = []

    def look(param: Any, inputs: Any, call: Call) -> Any:
        calls.append(call)
        return [inputs[0]]

    x = nd.ones((2,))
    for training in (False, True):
        with mx.autograd.pause(training):
            invoke(operator(look, "data", "other"), [x, np.ones(2)], {})
    assert [call.training for call in calls] == [False, True]
    identity, none = calls[0].identities
    assert none is None
    assert identity == pack_cache.WeightIdentity(x.storage, x.storage.version, x._array.ctypes.data)


def test_parsed_parameters_need_no_parsing() -> None:
    spec = lookup("_plus_scalar")
    assert spec is not None
    (y,) = run(spec, spec.parse({"scalar": 3}), ("data",), [nd.ones((2,))])
    assert y.asnumpy().tolist() == [4, 4]


# ---- out


def test_out_is_filled_and_returned() -> None:
    x, y = nd.array([1, 2]), nd.array([3, 5])
    out = nd.zeros((2,))
    version = out.storage.version
    (same,) = invoke("elemwise_add", [x, y], {}, out)
    assert same is out
    assert out.storage.version > version
    plain = np.zeros(4, "f4")[::2]
    assert invoke("elemwise_add", [x, y], {}, [plain])[0] is plain
    assert (out.asnumpy().tolist(), plain.tolist()) == ([4, 7], [4, 7])


@pytest.mark.parametrize("op", ["transpose", "_copy", "square"])
def test_out_may_overlap_the_input(op: str) -> None:
    x = nd.array([[1, 2], [3, 4]])
    (wanted,) = invoke(op, [x], {})
    assert invoke(op, [x], {}, x)[0] is x
    np.testing.assert_array_equal(x.asnumpy(), wanted.asnumpy())
    memory = nd.arange(6)
    (wanted,) = invoke(op, [memory[0:4].reshape((2, 2))], {})
    invoke(op, [memory[0:4].reshape((2, 2))], {}, memory[2:6].reshape((2, 2)))
    np.testing.assert_array_equal(memory[2:6].asnumpy(), wanted.asnumpy().ravel())


def test_several_outs_may_overlap_the_input() -> None:
    spec = operator(lambda param, inputs, call: [inputs[0][2:], inputs[0][:2]], "data", outputs=("a", "b"))
    x = nd.array([1, 2, 3, 4])
    assert len(invoke(spec, [x], {}, [x[0:2], x[2:4]])) == 2
    assert x.asnumpy().tolist() == [3, 4, 1, 2]


@pytest.mark.parametrize(
    ("out", "error", "phrase"),
    [
        (nd.ones((3,)), mx.ShapeError, r"elemwise_add: out has shape \(3,\), expected \(2,\): 0-th output has invalid"),
        (nd.ones((2,), dtype="float64"), mx.DTypeError, "elemwise_add: out has dtype float64, expected float32"),
        ([nd.ones((2,))] * 2, mx.ParamError, "out has 2 arrays, expected 1 array"),
        ([1, 2], mx.ParamError, "out has 2 arrays"),
        (7, AssertionError, "Argument out must have NDArray type"),
    ],
)
def test_wrong_outs(out: Any, error: type[Exception], phrase: str) -> None:
    x = nd.ones((2,))
    with pytest.raises(error, match=phrase):
        invoke("elemwise_add", [x, x], {}, out)


def test_a_read_only_out_is_refused() -> None:
    frozen = np.ones(2, "f4")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        invoke("exp", [nd.ones((2,))], {}, nd.from_numpy(frozen))
    with pytest.raises(ValueError, match="read-only"):
        invoke("exp", [nd.ones((2,))], {}, frozen)
