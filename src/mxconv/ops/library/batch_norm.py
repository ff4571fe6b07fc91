"""BatchNorm: each channel brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    y = (x - mean) / sqrt(var + eps) * gamma + beta          gamma is taken as 1 if fix_gamma

In training mean and var are those of the batch (var biased), unless use_global_stats; else moving_mean and moving_var.
The moving ones follow in the backward pass, as in MXNet: moving = momentum*moving + (1 - momentum)*batch. They do so
even where no gradient arrives, behind BlockGrad.
With output_mean_var, mean and 1 / sqrt(var + eps) are outputs as well; no gradient goes through these two.

Shapes:  data and result alike; gamma, beta, moving_mean, moving_var and the other outputs (C,), the extent of `axis`.
Dtypes:  float32 and float64; float16 and bfloat16 data with float32 for everything of shape (C,).
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/batch_norm.cc. Differs: gamma's array is not overwritten with ones; whether
         the gradient is that of training depends on the forward pass alone; contradicting shapes are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...dtypes import BFLOAT16
from ...errors import DTypeError, ShapeError
from ..axes import resolve_axis
from ..grammar import BOOL, FLOAT, INT, OPTIONAL_FLOAT
from ..merge import merge_shape, unify_shapes, unify_types
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .moments import beside, like, mean_and_variance, normalize, wide
from .rules import define, named, rounded, working
from .terms import Term

INPUTS = ("data", "gamma", "beta", "moving_mean", "moving_var")


def _outputs(param: Any) -> tuple[str, ...]:
    return ("output", "mean", "var") if param.output_mean_var else ("output",)


def _channel_axis(param: Any, rank: int) -> int:
    if rank < 2:
        raise refusal(ShapeError, "data", f"{rank} axes", "2 or more", fix="Reshape it to (batch, C).", verb="has")
    return resolve_axis(getattr(param, "axis", 1), rank)  # BatchNorm_v1 has none


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data = unify_shapes(("data", "output"), (ins[0], outs[0]))
    if data is None:
        return list(ins), list(outs)
    channels = (data[_channel_axis(param, len(data))],)
    because = f"data has shape {spell_shape(data)}"
    names = (*INPUTS[1:], *_outputs(param)[1:])
    known = [merge_shape(name, s, channels, because) for name, s in zip(names, (*ins[1:], *outs[1:]), strict=True)]
    return [data, *known[:4]], [data, *known[4:]]


def _infer_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    data = unify_types(("data", "output"), (ins[0], outs[0]))
    if data is None:
        return list(ins), list(outs)
    dtype = np.dtype(data)
    is_narrow = dtype in (np.float16, BFLOAT16)
    if dtype.kind != "f" and not is_narrow:
        fix = "Convert it, for example with .astype('float32')."
        raise refusal(DTypeError, "data", dtype.name, "a float type", fix=fix, verb="has dtype")
    own = np.float32 if is_narrow else data
    names = ("its parameters", *INPUTS[1:], *_outputs(param)[1:])
    unify_types(names, (own, *ins[1:], *outs[1:]))
    return [data, own, own, own, own], [data, *[own] * (len(outs) - 1)]


def _forward(param: Any, inputs: Sequence[Array], call: Call) -> list[Array]:
    """The result, mean and 1 / sqrt(var + eps); in training var as well, by which `_gradient` knows."""
    x, gamma, beta, mean, variance = map(working, inputs)
    axis = _channel_axis(param, x.ndim)
    is_trained = call.training and not param.use_global_stats
    if is_trained:
        mean, variance = mean_and_variance(x, [a for a in range(x.ndim) if a != axis])
    inverse = 1 / np.sqrt(variance + param.eps)
    own = gamma.dtype
    shape = beside(x.ndim, axis)
    factor = (inverse if param.fix_gamma else inverse * gamma).astype(own).reshape(shape)
    result = (x - mean.astype(own).reshape(shape)) * factor + beta.reshape(shape)
    extra = (mean, inverse, variance) if is_trained else (mean, inverse)
    return [rounded(result, inputs[0].dtype), *(one.astype(own) for one in extra)]


def _gradient(step: Step[Any]) -> list[Any]:
    param, data = step.param, step.inputs[0]
    d, x = (wide(Term(step, v)) for v in (step.out_grads[0], data))
    gamma, _, mean, variance = (Term(step, v) for v in step.inputs[1:])
    rank = len(data.shape)
    axis = _channel_axis(param, rank)
    shape, others = beside(rank, axis), tuple(a for a in range(rank) if a != axis)
    is_trained = len(step.outputs) == 4
    if is_trained:
        n, r = normalize(x, others, param.eps)
    else:
        r = (variance.Reshape(shape=shape) + param.eps).rsqrt()
        n = (x - mean.Reshape(shape=shape)) * r
    gradients: list[Any] = [None] * 5
    total, along = (one.sum(axis=others, keepdims=True) for one in (d, d * n))
    if step.wanted[0]:
        count = max(1, math.prod(data.shape[a] for a in others))
        centred = d - total / count - n * (along / count) if is_trained else d
        gradients[0] = like(centred * (r if param.fix_gamma else r * gamma.Reshape(shape=shape)), data)
    if step.wanted[1] and not param.fix_gamma:
        gradients[1] = along.Reshape(shape=(-1,)).value
    if step.wanted[2]:
        gradients[2] = total.Reshape(shape=(-1,)).value
    if is_trained:
        for moving, batch in zip(step.inputs[3:], (step.outputs[1], step.outputs[3]), strict=True):
            step.invoke("_follow", (moving, batch), {"momentum": param.momentum})
    return gradients


def _follow(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array, ...]:
    moving, batch = inputs
    moving[...] = param.momentum * moving + (1 - param.momentum) * batch
    return ()


define(
    "_follow",
    _follow,
    inputs=("moving", "batch"),
    output_names=named(),
    fields={"momentum": Field(FLOAT, "0.9")},
    mutates=(0,),
    doc="moving = momentum*moving + (1 - momentum)*batch, in place.",
)

_FIELDS = {
    "eps": Field(FLOAT, "0.0010000000474974513"),
    "momentum": Field(FLOAT, "0.9"),
    "fix_gamma": Field(BOOL, "True"),
    "use_global_stats": Field(BOOL, "False"),
    "output_mean_var": Field(BOOL, "False"),
}
_NEWER = {
    "axis": Field(INT, "1"),
    "cudnn_off": Field(BOOL, "False"),
    "min_calib_range": Field(OPTIONAL_FLOAT, "None"),
    "max_calib_range": Field(OPTIONAL_FLOAT, "None"),
}
for _name, _fields, _aliases in (("BatchNorm", _FIELDS | _NEWER, ("_npx_batch_norm",)), ("BatchNorm_v1", _FIELDS, ())):
    define(
        _name,
        _forward,
        inputs=INPUTS,
        output_names=_outputs,
        fields=_fields,
        infer_shape=_infer_shape,
        infer_type=_infer_type,
        gradient=_gradient,
        aux_names=INPUTS[3:],
        aliases=_aliases,
        initializers={"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'},
        counted_outputs=lambda param: 3,
        doc="Each channel brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.",
    )
