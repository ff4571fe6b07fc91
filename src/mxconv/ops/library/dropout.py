"""Dropout: in training each value is dropped with probability p, and the others are divided by 1 - p.

One decision serves all positions along the axes in `axes`. mode="always" drops outside of training as well.

Shapes:  data and result alike.
Dtypes:  as plain operators.
Raises:  ParamError, ShapeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/dropout.cc. The random numbers are not MXNet's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ParamError
from ..axes import resolve_axes
from ..grammar import FLOAT, OPTIONAL_BOOL, SHAPE, word
from ..merge import unify_shapes
from ..randomness import generator
from ..refusal import refusal
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, working


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    shape = unify_shapes(("data", "output"), (*ins, *outs))
    if param.p > 1:
        raise refusal(ParamError, "p", param.p, "a probability, from 0 to 1", fix="Pass p=0.5, for example.")
    if shape is not None:
        resolve_axes(param.axes or (), len(shape), "axes")
    return [shape], [shape]


def _forward(param: Any, inputs: Sequence[Array], call: Call) -> list[Array]:
    """The result; and, if anything may be dropped, what data was multiplied with."""
    (data,) = inputs
    if param.p == 0 or not (call.training or param.mode == "always"):
        return [data]
    shape = list(data.shape)
    for axis in param.axes or ():
        shape[axis] = 1
    x = working(data, real=True)
    is_kept = generator().random(shape, np.float32) >= param.p
    factor = (is_kept / (1 - param.p) if param.p < 1 else np.zeros(shape)).astype(x.dtype)
    return [rounded(x * factor, data.dtype), rounded(factor, data.dtype)]


def _gradient(step: Step[Any]) -> list[Any]:
    d = step.out_grads[0]
    return [d if len(step.outputs) == 1 else step.call("broadcast_mul", d, step.outputs[1])]


define(
    "Dropout",
    _forward,
    fields={
        "p": Field(FLOAT, "0.5", least=0),
        "mode": Field(word("always", "training"), "training"),
        "axes": Field(SHAPE, "()"),
        "cudnn_off": Field(OPTIONAL_BOOL, "False"),
    },
    infer_shape=_infer_shape,
    gradient=_gradient,
    aliases=("_npx_dropout",),
    counted_outputs=lambda param: 2,
    doc="In training, drops each value with probability p and divides the others by 1 - p.",
)
