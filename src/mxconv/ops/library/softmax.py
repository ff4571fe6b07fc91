"""softmax, log_softmax, softmin and SoftmaxActivation: values along an axis turned into shares of 1.

    softmax           p = exp(x / temperature) / sum of these along axis
    log_softmax       log p
    softmin           softmax of -x
    SoftmaxActivation softmax along the last axis (mode="instance") or along axis 1 ("channel")

With use_length, softmax has a second input: how many values along the axis count; the others get 0.

Shapes:  data and result alike; length as data without the axis.
Dtypes:  as plain operators; the result's is `dtype` if given.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/softmax.cc and softmax_activation-inl.h. Beyond it: SoftmaxActivation in
         every type, and for two axes with mode="channel".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..axes import resolve_axis
from ..grammar import INT, OPTIONAL_BOOL, OPTIONAL_FLOAT, word
from ..merge import merge_shape, unify_shapes, unify_types
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .moments import like, wide
from .rules import define, rounded, working
from .terms import Term


def shares(x: Array, axis: int) -> Array:
    """exp(x), divided by its sum along the axis."""
    powers = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def log_shares(x: Array, axis: int) -> Array:
    """The logarithm of `shares`, exact for small ones."""
    x = x - x.max(axis, keepdims=True, initial=-np.inf)
    return np.asarray(x - np.log(np.exp(x).sum(axis, keepdims=True)))


def shares_gradient(d: Term, y: Term, axis: int) -> Term:
    """The gradient of x, with y = shares(x)."""
    return y * (d - (d * y).sum(axis=axis, keepdims=True))


# ---- softmax, log_softmax, softmin


def _inputs(param: Any) -> tuple[str, ...]:
    return ("data", "length") if param.use_length else ("data",)


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data = unify_shapes(("data", "output"), (ins[0], outs[0]))
    if data is None:
        return list(ins), [data]
    axis = resolve_axis(param.axis, len(data))
    if len(ins) == 1:
        return [data], [data]
    length = merge_shape("length", ins[1], (*data[:axis], *data[axis + 1 :]), "data's shape without the axis")
    return [data, length], [data]


def _infer_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    data = ins[0]
    if param.dtype is None:
        data = out = unify_types(("data", "output"), (data, outs[0]))
    else:
        out = unify_types(("dtype", "output"), (np.dtype(param.dtype), outs[0]))
    return [data, *(np.int32 if t is None else t for t in ins[1:])], [out]


def _forward(function: Callable[[Array, int], Array], sign: int) -> Callable[..., tuple[Array]]:
    def forward(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
        data, *lengths = inputs
        dtype = data.dtype if param.dtype is None else np.dtype(param.dtype)
        x = sign * working(data, real=True)
        if dtype == np.float64:
            x = x.astype(dtype)
        if param.temperature is not None:
            x = x / x.dtype.type(param.temperature)
        counts: Any = True
        for length in lengths:
            places = np.arange(x.shape[param.axis]).reshape(-1, *(1,) * (x.ndim - 1 - param.axis % x.ndim))
            counts = places < np.expand_dims(length, param.axis)
        result = function(np.where(counts, x, -np.inf), param.axis)
        return (rounded(np.where(counts, result, 0), dtype),)

    return forward


def _gradient(formula: Callable[[Term, Term, int], Term], sign: int) -> Callable[[Step[Any]], list[Any]]:
    def gradient(step: Step[Any]) -> list[Any]:
        param, data = step.param, step.inputs[0]
        result = formula(wide(Term(step, step.out_grads[0])), wide(Term(step, step.outputs[0])), param.axis)
        factor = sign / (param.temperature or 1)
        if factor != 1:
            result = result * factor
        return [like(result, data), *[None] * (len(step.inputs) - 1)]

    return gradient


def _log_gradient(d: Term, y: Term, axis: int) -> Term:
    return d - y.exp() * d.sum(axis=axis, keepdims=True)


_FIELDS = {
    "axis": Field(INT, "-1"),
    "temperature": Field(OPTIONAL_FLOAT, "None"),
    "dtype": Field(word(None, "float16", "float32", "float64"), "None"),
    "use_length": Field(OPTIONAL_BOOL, "False"),
}
define(
    "softmax",
    _forward(shares, 1),
    inputs=_inputs,
    fields=_FIELDS,
    infer_shape=_infer_shape,
    infer_type=_infer_type,
    gradient=_gradient(shares_gradient, 1),
    aliases=("_npx_softmax",),
    doc="exp(x) / sum of exp(x) along an axis.",
)
define(
    "log_softmax",
    _forward(log_shares, 1),
    fields=_FIELDS,
    infer_shape=_infer_shape,
    infer_type=_infer_type,
    gradient=_gradient(_log_gradient, 1),
    aliases=("_npx_log_softmax",),
    doc="The logarithm of softmax, exact for small shares.",
)
define(
    "softmin",
    _forward(shares, -1),
    fields=_FIELDS,
    infer_shape=_infer_shape,
    infer_type=_infer_type,
    gradient=_gradient(shares_gradient, -1),
    doc="softmax of -x.",
)


# ---- SoftmaxActivation


def _activation_axis(param: Any) -> int:
    return 1 if param.mode == "channel" else -1


def _activation_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    shape = unify_shapes(("data", "output"), (*ins, *outs))
    if shape is not None:
        resolve_axis(_activation_axis(param), len(shape), "mode")
    return [shape], [shape]


def _activation(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    return (rounded(shares(working(inputs[0], real=True), _activation_axis(param)), inputs[0].dtype),)


def _activation_gradient(step: Step[Any]) -> list[Any]:
    d, y = (wide(Term(step, v)) for v in (step.out_grads[0], step.outputs[0]))
    return [like(shares_gradient(d, y, _activation_axis(step.param)), step.inputs[0])]


define(
    "SoftmaxActivation",
    _activation,
    fields={"mode": Field(word("channel", "instance"), "instance")},
    infer_shape=_activation_shapes,
    gradient=_activation_gradient,
    doc="softmax along the last axis, or along axis 1 with mode='channel'.",
)
