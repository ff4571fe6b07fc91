"""UpSampling: every spatial axis becomes `scale` times as long.

    nearest   each sample is repeated; further inputs are brought to the size of the first one's result, and all are
              concatenated along the channels (multi_input_mode="concat") or added up ("sum")
    bilinear  a Deconvolution of each channel by weight, with stride scale, kernel 2*scale - scale % 2 and
              pad ceil((scale - 1) / 2); for interpolation weight holds what the initializer `bilinear` makes

Shapes:  data (N, C, *spatial), result (N, sum of C, *scaled); weight (C, 1, kernel, kernel).
Dtypes:  as plain operators; bilinear as Deconvolution.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/upsampling-inl.h. Beyond it: any number of spatial axes, scales that differ
         between the axes of further inputs, num_filter left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..grammar import INT, ULONG, word
from ..merge import merge_shape, unify_types
from ..refusal import refusal, spell_shape
from ..registry import OPERATORS, Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, working

Shapes = tuple[list[Shape], list[Shape]]


def _inputs(param: Any) -> tuple[str, ...]:
    return ("data", "weight") if param.sample_type == "bilinear" else tuple(f"arg{i}" for i in range(param.num_args))


def _deconvolution(param: Any, channels: int) -> Any:
    """The parameters of the Deconvolution that bilinear upsampling is, for two spatial axes."""
    s = param.scale
    given = {
        "kernel": (2 * s - s % 2,) * 2,
        "stride": (s, s),
        "pad": (s // 2,) * 2,  # ceil((s - 1) / 2)
        "num_filter": channels,
        "num_group": channels,
        "workspace": param.workspace,
    }
    return OPERATORS["Deconvolution"].parse(given)


# ---- shape rule


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    first = ins[0]
    if first is None:
        return list(ins), list(outs)
    if param.sample_type == "bilinear":
        channels = first[1] if len(first) == 4 else param.num_filter
        if not channels:
            return list(ins), list(outs)
        inner = _deconvolution(param, channels)
        fix = "Pass a weight of that shape, or change scale."
        weight = merge_shape("weight", ins[1], (channels, 1, *inner.kernel), "(channels, 1, *kernel)", fix)
        known, out = OPERATORS["Deconvolution"].infer_shape(inner, [first, weight], outs)
        return list(known), list(out)
    rank = len(first)
    if rank < 3:
        why = "Input data should be (batch, channel, *spatial)"
        fix = "Reshape it."
        raise refusal(ShapeError, "arg0", spell_shape(first), "3 axes or more", why, fix=fix, verb="has shape")
    target = tuple(None if n is None else n * param.scale for n in first[2:])
    is_sum = param.multi_input_mode == "sum"
    batch = outs[0][0] if outs[0] else None
    for i, shape in enumerate(ins):
        if shape is None:
            continue
        name = f"arg{i}"
        given = (batch, first[1] if is_sum else None, *(None,) * (rank - 2))
        batch = merge_shape(name, shape, given, "the inputs belong together")[0]
        for size, wanted in zip(shape[2:], target, strict=True):
            if size is not None and wanted is not None and (size == 0 or wanted % size):
                why = f"input of {size} does not divide output of {wanted} = scale*{wanted // param.scale}"
                fix = "Pass inputs whose sizes divide that of the first one's result."
                raise refusal(ShapeError, name, spell_shape(shape), f"divisors of {target}", why, fix=fix, verb="has")
    channels = [None if shape is None else shape[1] for shape in ins]
    depth = channels[0] if is_sum else None if None in channels else sum(n or 0 for n in channels)
    output = merge_shape("output", outs[0], (batch, depth, *target), "what the inputs give")
    return [None if shape is None else (output[0], *shape[1:]) for shape in ins], [output]


def _infer_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    if param.sample_type == "bilinear":
        known, out = OPERATORS["Deconvolution"].infer_type(_deconvolution(param, 1), ins, outs)
        return list(known), list(out)
    dtype = unify_types((*_inputs(param), "output"), (*ins, *outs))
    return [dtype] * len(ins), [dtype]


# ---- computation and gradient


def _scales(param: Any, first: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """How often each sample of an input of that shape is repeated, on each spatial axis."""
    return tuple(n * param.scale // size for n, size in zip(first.shape[2:], shape[2:], strict=True))


def _forward(param: Any, inputs: Sequence[Array], call: Call) -> Sequence[Array]:
    if param.sample_type == "bilinear":
        return OPERATORS["Deconvolution"].forward(_deconvolution(param, inputs[0].shape[1]), inputs, call)
    parts = []
    for x in map(working, inputs):
        for axis, scale in enumerate(_scales(param, inputs[0], x.shape), 2):
            x = x.repeat(scale, axis)
        parts.append(x)
    result = sum(parts[1:], parts[0]) if param.multi_input_mode == "sum" else np.concatenate(parts, 1)
    return (rounded(result, inputs[0].dtype),)


def _gradient(step: Step[Any]) -> Sequence[Any]:
    param = step.param
    if param.sample_type == "bilinear":
        gradient = OPERATORS["Deconvolution"].gradient
        assert gradient is not None
        return gradient(replace(step, param=_deconvolution(param, step.inputs[0].shape[1])))
    gradients: list[Any] = []
    first = 0
    for x, is_wanted in zip(step.inputs, step.wanted, strict=True):
        part = step.out_grads[0]
        last = first + x.shape[1]
        if not is_wanted:
            gradients.append(None)
        else:
            if len(step.inputs) > 1 and param.multi_input_mode == "concat":
                part = step.call("slice_axis", part, axis=1, begin=first, end=last)
            scales = _scales(param, step.inputs[0], x.shape)
            gradients.append(step.call("Pooling", part, kernel=scales, stride=scales, pool_type="sum"))
        first = last
    return gradients


define(
    "UpSampling",
    _forward,
    inputs=_inputs,
    fields={
        "scale": Field(INT, least=1, example="2"),
        "num_filter": Field(INT, "0", least=0),
        "sample_type": Field(word("bilinear", "nearest"), example="'nearest'"),
        "multi_input_mode": Field(word("concat", "sum"), "concat"),
        "num_args": Field(INT, "1", least=1),
        "workspace": Field(ULONG, "512"),
    },
    infer_shape=_infer_shape,
    infer_type=_infer_type,
    gradient=_gradient,
    variadic="num_args",
    initializers={"weight": '["bilinear", {}]', "arg1": '["bilinear", {}]'},
    doc="Every spatial axis made `scale` times as long, by repetition or by a Deconvolution.",
)
