"""FullyConnected: every output is a weighted sum of all inputs of its sample.

    y = x @ weight.T + bias        x is data as a matrix: (N, everything else), or (everything else, last axis)

Shapes:  data (N, *any), weight (num_hidden, product of any), bias (num_hidden,), result (N, num_hidden);
         flatten=False: data (*any, C), weight (num_hidden, C), result (*any, num_hidden).
Dtypes:  as plain operators.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/fully_connected.cc. Beyond it, more follows from a known output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ShapeError
from ..axes import product
from ..grammar import BOOL, INT
from ..merge import merge_shape
from ..refusal import refusal
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, each, rounded, working


def _inputs(param: Any) -> tuple[str, ...]:
    return ("data", "weight") if param.no_bias else ("data", "weight", "bias")


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, weight, *bias = ins
    if data is None:
        return list(ins), list(outs)
    if not data:
        fix = "Reshape it to (1,) or more."
        raise refusal(
            ShapeError, "data", "no axes", "one axis at least", "Require data.ndim() >= 1", fix=fix, verb="has"
        )
    kept = 1 if param.flatten else len(data) - 1
    hidden = param.num_hidden
    output = merge_shape("output", outs[0], (*data[:kept], hidden), "(*batch, num_hidden)")
    data = (*output[:-1], *data[kept:])
    features = product(data[kept:])
    because = f"(num_hidden, inputs) because num_hidden={hidden} and data has shape {data}, flatten={param.flatten}"
    fix = "Pass a weight of that shape, or change num_hidden or flatten."
    weight = merge_shape("weight", weight, (hidden, features), because, fix)
    fix = "Pass one number for each hidden node, or change num_hidden."
    return [data, weight, *(merge_shape("bias", b, (hidden,), "(num_hidden,)", fix) for b in bias)], [output]


def _forward(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    data, weight, *bias = map(working, inputs)
    kept = 1 if param.flatten else data.ndim - 1
    result = data.reshape(math.prod(data.shape[:kept]), weight.shape[1]) @ weight.T
    for b in bias:
        result += b
    return (rounded(result.reshape(*data.shape[:kept], param.num_hidden), inputs[0].dtype),)


def _gradient(step: Step[Any]) -> list[Any]:
    data, weight = step.inputs[:2]
    out_grad = step.call("Reshape", step.out_grads[0], shape=(-1, weight.shape[0]))
    gradients = (
        lambda: step.call("reshape_like", step.call("dot", out_grad, weight), data),
        lambda: step.call("dot", out_grad, step.call("Reshape", data, shape=(-1, weight.shape[1])), transpose_a=True),
        lambda: step.call("sum", out_grad, axis=0),
    )
    return each(step, *gradients[: len(step.inputs)])


define(
    "FullyConnected",
    _forward,
    inputs=_inputs,
    fields={
        "num_hidden": Field(INT, least=1, example="10"),
        "no_bias": Field(BOOL, "False"),
        "flatten": Field(BOOL, "True"),
    },
    infer_shape=_infer_shape,
    gradient=_gradient,
    aliases=("_npx_fully_connected",),
    doc="data @ weight.T + bias, data flattened to (N, inputs), or taken along its last axis with flatten=False.",
)
