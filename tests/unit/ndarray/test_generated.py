"""Functions of mx.nd that come from the registry."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.ops.faces import all_inputs
from mxconv.ops.registry import OPERATORS, lookup


def test_every_public_operator_is_a_documented_function() -> None:
    lookup("")
    public = [name for name in OPERATORS if not name.startswith("_")]
    assert len(public) > 100
    for name in public:
        function = getattr(nd.op, name)
        assert function.__name__ == name
        assert callable(getattr(nd, name))
        assert inspect.getdoc(function)
        assert {"out", "name"} <= set(inspect.signature(function).parameters)
    assert set(public) <= set(dir(nd.op))
    assert set(public) <= set(dir(nd))
    assert nd.op.Activation is nd.op.Activation


def test_internal_names_live_apart() -> None:
    assert nd._internal._plus_scalar(nd.ones((2,)), 3).asnumpy().tolist() == [4, 4]
    assert "_plus_scalar" in dir(nd._internal)
    assert "_plus_scalar" not in dir(nd)
    for module, name in ((nd, "_plus_scalar"), (nd._internal, "exp"), (nd.op, "_plus_scalar"), (nd, "__wrapped__")):
        with pytest.raises(AttributeError, match=name):
            getattr(module, name)


def test_unknown_names_have_a_close_match() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Activatoin'") as caught:
        nd.Activatoin  # noqa: B018
    assert "Did you mean 'Activation'?" in str(caught.value)


def test_importing_does_not_load_the_operators() -> None:
    code = """if True:
        import sys
        import mxconv as mx
        hasattr(mx.nd, "__wrapped__"), hasattr(mx.nd, "_repr_html_"), mx.nd.zeros, mx.nd.Convolution
        assert "mxconv.ops.library" not in sys.modules
        mx.nd.Activation
        assert "mxconv.ops.library" in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("FullyConnected", ["data", "weight", "bias"]),
        ("LeakyReLU", ["data", "gamma"]),
        ("BatchNorm", ["data", "gamma", "beta", "moving_mean", "moving_var"]),
        ("elemwise_add", ["lhs", "rhs"]),
        ("Convolution", ["data", "weight", "bias"]),
        ("Deconvolution", ["data", "weight", "bias"]),
    ],
)
def test_all_inputs(name: str, inputs: list[str]) -> None:
    spec = lookup(name)
    assert spec is not None
    assert list(all_inputs(spec)) == inputs
    parameters = list(inspect.signature(getattr(nd.op, name)).parameters)
    assert parameters[: len(inputs)] == inputs
    assert set(spec.signature.fields) < set(parameters)


def test_positions_and_keywords() -> None:
    x = nd.array([[-1, 2, 3]])
    w, b = nd.array([[1, 1, 1], [0, 1, 0]]), nd.array([10, 20])
    for out in (
        nd.FullyConnected(x, w, b, 2),
        nd.FullyConnected(x, w, bias=b, num_hidden=2),
        nd.FullyConnected(data=x, weight=w, bias=b, num_hidden="2", name="fc1", __note__="x"),
        nd.FullyConnected(x.asnumpy(), w, b, num_hidden=2),
    ):
        assert out.asnumpy().tolist() == [[14, 22]]
    assert nd.FullyConnected(x, w, None, 2, True).asnumpy().tolist() == [[4, 2]]
    out = nd.zeros((1, 2))
    assert nd.FullyConnected(x, w, b, num_hidden=2, out=out) is out
    (same,) = nd.FullyConnected(x, w, b, num_hidden=2, out=[out])
    assert same is out
    assert nd.Cast(x, dtype=np.float64).dtype is np.float64
    assert nd.Cast(x, "int32").dtype is np.int32


def test_any_number_of_arrays() -> None:
    parts = [nd.ones((2, 1)), nd.zeros((2, 2))]
    assert nd.Concat(*parts, dim=1).shape == (2, 3)
    assert nd.Concat(*parts, dim=1, num_args=2, name="c").shape == (2, 3)
    assert nd.add_n(parts[0], parts[0], parts[0]).asnumpy().tolist() == [[3], [3]]
    out = nd.zeros((2, 3))
    assert nd.Concat(*parts, out=out) is out
    with pytest.raises(AssertionError, match="must have NDArray type"):
        nd.Concat(parts)


def test_several_outputs_are_a_list_and_hidden_ones_are_not_returned() -> None:
    x = nd.array([[1, 2], [3, 4]])
    left, right = nd.SliceChannel(x, num_outputs=2)
    assert (left.asnumpy().tolist(), right.asnumpy().tolist()) == ([[1], [3]], [[2], [4]])
    outs = [nd.zeros((2, 1)), nd.zeros((2, 1))]
    same = nd.SliceChannel(x, num_outputs=2, out=outs)
    assert [a is b for a, b in zip(same, outs, strict=True)] == [True, True]
    ones, zeros = nd.ones((2,)), nd.zeros((2,))
    assert isinstance(nd.BatchNorm(x, ones, zeros, zeros, ones), nd.NDArray)


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda x: nd.Activation(x, "relu", 1, 2), TypeError, r"Activation\(\) takes from 0 to 2 positional arguments"),
        (lambda x: nd.Activation(x, data=x), TypeError, r"Activation\(\) got multiple values for argument 'data'"),
        (lambda x: nd.Activation(x, act_type="relu", foo=3), mx.ParamError, "Cannot find argument 'foo'"),
        (lambda x: nd.Activation(x), mx.ParamError, "Required parameter act_type"),
        (lambda x: nd.Activation(act_type="relu"), mx.ParamError, "expects 1 inputs, but got 0 instead"),
        (lambda x: nd.Activation([1], act_type="relu"), AssertionError, "Argument data must have NDArray type"),
        (lambda x: nd.FullyConnected(x, x, num_hidden=2), mx.ParamError, "expects 3 inputs, but got 2 instead"),
        (
            lambda x: nd.FullyConnected(x, x, x, num_hidden=2, no_bias=True),
            mx.ParamError,
            "expects 2 inputs, but got 3",
        ),
    ],
)
def test_wrong_calls(call: object, error: type[Exception], phrase: str) -> None:
    assert callable(call)
    with pytest.raises(error, match=phrase):
        call(nd.ones((2, 2)))
