"""Making nodes: inputs and parameters by position or keyword, new variables, attributes; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx

S = mx.sym
X = S.Variable("x")
CONV = {"kernel": (3, 3), "num_filter": 2}


def test_positions_are_inputs_then_parameters_then_name_and_attr() -> None:
    net = S.Convolution(X, None, None, (3, 3), (1, 1), (1, 1), (0, 0), 4)
    assert net.list_attr() == {
        "kernel": "(3, 3)", "stride": "(1, 1)", "dilate": "(1, 1)", "pad": "(0, 0)", "num_filter": "4"
    }  # fmt: skip
    assert S.relu(X, "named", {"__k__": "v"}).debug_str().splitlines()[-1] == "\t__k__=v"
    assert S.relu(X, "named").name == "named"


def test_inputs_by_keyword_and_none() -> None:
    net = S.Convolution(data=X, weight=S.Variable("w"), bias=None, name="c", out=3, **CONV)
    assert net.list_arguments() == ["x", "w", "c_bias"]
    assert S.Deconvolution(X, bias=None, name="d", **CONV).list_arguments() == ["x", "d_weight"]


def test_new_variables_have_the_attributes_of_the_node() -> None:
    attributes = S.Convolution(X, name="c", lr_mult=2, __k__=3, **CONV).attr_dict()
    assert attributes["c_weight"] == attributes["c_bias"] == attributes["c"]
    assert attributes["c"] == {
        "kernel": "(3, 3)", "num_filter": "2", "__k__": "3", "__lr_mult__": "2", "lr_mult": "2"
    }  # fmt: skip
    assert "x" not in attributes


def test_attr_and_the_scope_win_over_keywords() -> None:
    assert S.relu(X, lr_mult=1, attr={"lr_mult": 2}).attr("lr_mult") == "2"
    with mx.AttrScope(lr_mult="4"):
        assert S.relu(X, lr_mult=1).attr("lr_mult") == "4"
        assert S.relu(X, attr={"lr_mult": 2}).attr("lr_mult") == "2"
        assert S.relu(X, __lr_mult__=5).attr("lr_mult") == "5"  # the first of two spellings, as in MXNet
    assert S.Convolution(X, attr={"kernel": "(1, 1)"}, **CONV).attr("kernel") == "(1, 1)"


def test_texts_are_kept_as_they_were_given() -> None:
    net = S.Convolution(X, kernel=[3, 3], stride="(2,2)", num_filter="8", pad=(np.int64(1), 1), no_bias=1)
    assert net.list_attr() == {
        "kernel": "[3, 3]", "stride": "(2,2)", "num_filter": "8", "pad": "(1, 1)", "no_bias": "1"
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16")])
def test_a_dtype_is_kept_by_its_name(dtype: Any) -> None:
    assert S.Cast(X, dtype=dtype).list_attr() == {"dtype": "float16"}


def test_initializers_are_stamped_on_variables_that_have_none() -> None:
    own = S.Variable("own", init='["one", {}]')
    g = S.Variable("g")
    S.BatchNorm(X, moving_mean=own)
    S.LeakyReLU(X, g, act_type="prelu")
    assert own.attr("__init__") == '["one", {}]'
    assert g.attr("__init__") == '["Constant", {"value": 0.25}]'


def test_any_number_of_inputs() -> None:
    assert S.Concat(X, X, X).attr("num_args") == "3"
    assert S.Concat(arg1=S.Variable("b"), arg0=S.Variable("a")).list_arguments() == ["a", "b"]
    assert S.Concat(X, num_args=3, name="c").list_arguments() == ["x", "c_arg1", "c_arg2"]
    assert S.UpSampling(X, scale=2, sample_type="bilinear", num_filter=1, name="u").list_arguments() == [
        "x",
        "u_weight",
    ]


MULTI = S.SliceChannel(X, num_outputs=2, name="sl")
REFUSED = [
    (lambda: S.Convolution(3, **CONV), AssertionError, "Argument data must be Symbol instances"),
    (lambda: S.Convolution(data=mx.nd.ones(3), **CONV), AssertionError, "Argument data must be Symbol instances"),
    (lambda: S.Concat(X, None), AssertionError, "Positional arguments must be Symbol instances, but got None"),
    (lambda: S.Concat(X, arg1=X), TypeError, "either as positional or keyword arguments, not both"),
    (lambda: S.Concat(X, X, num_args=1), mx.ParamError, "Incorrect number of arguments, requires 1, provided 2"),
    (lambda: S.Convolution(X, data=X, **CONV), TypeError, "two values for 'data'"),
    (lambda: S.relu(X, "n", {}, None, 5), TypeError, "at most"),
    (lambda: S.relu(X, name=3), TypeError, "Expect a string for `name`"),
    (lambda: S.relu(MULTI), mx.ParamError, "Argument data is a tuple, single value is required"),
    (
        lambda: S.Deconvolution(X, bias=X, **CONV),
        mx.ParamError,
        r"Keyword argument name bias not found. Candidate arguments: \[0\]data \[1\]weight",
    ),
    (lambda: S.Convolution(X, kernel=(3, 3)), mx.ParamError, "num_filter of int .* is not presented"),
    (lambda: S.Convolution(X, foo=1, **CONV), mx.ParamError, "Cannot find argument 'foo'"),
    (lambda: S.Convolution(X, foo=X, **CONV), mx.ParamError, "Keyword argument name foo not found"),
    (lambda: S.Convolution(X, attr={"mood": "x"}, **CONV), mx.ParamError, "Cannot find argument 'mood'"),
    (lambda: S.Convolution(X, weight_lr_mult=1, **CONV), mx.ParamError, "weight_lr_mult is deprecated.*weight=weight"),
    (lambda: S.BatchNorm(X, moving_mean=S.relu(X)), mx.ParamError, "Mutation target can only be Variable"),
    (lambda: S.no_such_thing, AttributeError, "no operator of that name"),
]


@pytest.mark.parametrize(("action", "error", "text"), REFUSED)
def test_refusals(action: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        action()


def test_functions_are_documented_and_listed() -> None:
    assert "Convolution" in dir(S)
    assert S.Activation.__doc__
    assert S.Activation.__name__ == "Activation"
    assert S.Activation is S.op.Activation
