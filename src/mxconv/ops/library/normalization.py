"""LRN, L2Normalization and InstanceNorm.

    LRN               y = x * (knorm + alpha/nsize * sum of x² over the neighbouring channels) ** -beta
                      channel c's are c - h to c + h, h = (nsize - 1) // 2, as far as they exist
    L2Normalization   y = x / sqrt(sum of x² + eps)        over all axes but the first (instance), the
                      channels (channel) or the axes behind them (spatial)
    InstanceNorm      y = (x - mean) / sqrt(var + eps) * gamma + beta      of each channel of each sample, var biased

Shapes:  data (N, C, *any) and result alike; gamma, beta (C,).
Dtypes:  as plain operators.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/lrn.cc, l2_normalization-inl.h, instance_norm-inl.h. Beyond it: LRN of data
         that are not 4-D, float64 and 16-bit floats everywhere, more that follows from a known output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..grammar import FLOAT, UINT, word
from ..merge import merge_shape, unify_shapes
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, InferShape, Shape, Step
from ..signature import Field
from .moments import beside, like, mean_and_variance, normalize, normalize_gradient, wide
from .rules import define, elementwise, rounded, working
from .terms import Term
from .windows import Windows, fold

Shapes = tuple[list[Shape], list[Shape]]


def _same_with_axes(least: int, reason: str) -> InferShape:
    """The rule that data and result have one shape, with so many axes."""

    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
        shape = unify_shapes(("data", "output"), (ins[0], outs[0]))
        if shape is not None and len(shape) < least:
            fix = "Reshape data to (batch, channels, ...)."
            raise refusal(
                ShapeError, "data", spell_shape(shape), f"{least} axes or more", reason, fix=fix, verb="has shape"
            )
        return [shape, *ins[1:]], [shape]

    return infer


# ---- LRN


def _lrn(param: Any, x: Array) -> Any:
    half = (param.nsize - 1) // 2
    squares = fold(x * x, Windows(1, 2 * half + 1, 1, half, x.shape[1]), np.add, 0)
    return x * (param.knorm + param.alpha / param.nsize * squares) ** -param.beta


def _lrn_gradient(step: Step[Any]) -> list[Any]:
    param, data = step.param, step.inputs[0]
    d, x = (wide(Term(step, v)) for v in (step.out_grads[0], data))
    half, flat = (param.nsize - 1) // 2, (0,) * (len(data.shape) - 2)

    def over_channels(term: Term) -> Term:
        """Sums over neighbouring channels: pooling, with the channels as a spatial axis."""
        kernel, pad = (2 * half + 1, *(1 for _ in flat)), (half, *flat)
        sums = term.expand_dims(axis=1).Pooling(kernel=kernel, pad=pad, pool_type="sum")
        return sums.reshape_like(term)

    factor = param.alpha / param.nsize
    base = over_channels(x * x) * factor + param.knorm
    spread = over_channels(d * x * base ** (-param.beta - 1))
    return [like(d * base**-param.beta - x * spread * (2 * factor * param.beta), data)]


elementwise(
    "LRN",
    _lrn,
    _lrn_gradient,
    real=True,
    fields={
        "alpha": Field(FLOAT, "0.0001"),
        "beta": Field(FLOAT, "0.75"),
        "knorm": Field(FLOAT, "2"),
        "nsize": Field(UINT, least=1, example="5"),
    },
    infer_shape=_same_with_axes(2, "there must be channels"),
    counted_outputs=lambda param: 2,
    doc="x * (knorm + alpha/nsize * sum of x² over neighbouring channels) ** -beta.",
)


# ---- L2Normalization


def _axes(param: Any, rank: int) -> tuple[int, ...]:
    """The axes of each norm."""
    return {"instance": tuple(range(1, rank)), "channel": (1,), "spatial": tuple(range(2, rank))}[param.mode]


def _l2_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    least = 1 if param.mode == "instance" else 3
    infer = _same_with_axes(least, f"At least {least} dimensions required in {param.mode} mode")
    known, out = infer(param, ins, outs)
    return list(known), list(out)


def _l2(param: Any, x: Array) -> Any:
    return x / np.sqrt(np.square(x).sum(_axes(param, x.ndim), keepdims=True) + param.eps)


def _l2_gradient(step: Step[Any]) -> list[Any]:
    data = step.inputs[0]
    axes = _axes(step.param, len(data.shape))
    d, x = (wide(Term(step, v)) for v in (step.out_grads[0], data))

    def total(term: Term) -> Term:
        return term.sum(axis=axes, keepdims=True) if axes else term

    r = (total(x * x) + step.param.eps).rsqrt()
    n = x * r
    return [like((d - n * total(d * n)) * r, data)]


elementwise(
    "L2Normalization",
    _l2,
    _l2_gradient,
    real=True,
    fields={"eps": Field(FLOAT, "1e-10"), "mode": Field(word("channel", "instance", "spatial"), "instance")},
    infer_shape=_l2_shapes,
    counted_outputs=lambda param: 2,
    doc="x / sqrt(sum of x² + eps), summed over what mode says.",
)


# ---- InstanceNorm


def _instance_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    (data, *params), out = _same_with_axes(3, "InstanceNorm only supports input tensors of rank >= 3")(param, ins, outs)
    if data is None:
        return [data, *params], list(out)
    because, channels = f"data has shape {spell_shape(data)}", (data[1],)
    params = [merge_shape(n, s, channels, because) for n, s in zip(("gamma", "beta"), params, strict=True)]
    return [data, *params], list(out)


def _instance_norm(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    x, gamma, beta = (working(one, real=True) for one in inputs)
    mean, variance = mean_and_variance(x, range(2, x.ndim), keepdims=True)
    shape = beside(x.ndim, 1)
    factor = gamma.reshape(shape) / np.sqrt(variance + param.eps)
    result = (x - mean.astype(x.dtype)) * factor.astype(x.dtype) + beta.reshape(shape)
    return (rounded(result, inputs[0].dtype),)


def _instance_gradient(step: Step[Any]) -> list[Any]:
    data, gamma, beta = step.inputs
    rank = len(data.shape)
    d, x, scale = (wide(Term(step, v)) for v in (step.out_grads[0], data, gamma))
    axes, others = tuple(range(2, rank)), (0, *range(2, rank))
    n, r = normalize(x, axes, step.param.eps)
    gradients: list[Any] = [None] * 3
    if step.wanted[0]:
        gradients[0] = like(normalize_gradient(d * scale.Reshape(shape=beside(rank, 1)), n, r, axes), data)
    if step.wanted[1]:
        gradients[1] = like((d * n).sum(axis=others), gamma)
    if step.wanted[2]:
        gradients[2] = like(d.sum(axis=others), beta)
    return gradients


define(
    "InstanceNorm",
    _instance_norm,
    inputs=("data", "gamma", "beta"),
    fields={"eps": Field(FLOAT, "0.001")},
    infer_shape=_instance_shapes,
    gradient=_instance_gradient,
    counted_outputs=lambda param: 3,
    doc="Each channel of each sample brought to mean 0 and variance 1, then scaled by gamma and shifted by beta.",
)
