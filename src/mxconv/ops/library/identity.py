"""Operators that hand their data on, and differ in what they do to gradients; Cast, which changes the type.

Source: Apache MXNet 1.9.1, src/operator/tensor/elemwise_unary_op_basic.cc, src/operator/make_loss.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..casts import cast_array
from ..grammar import FLOAT, dtype_word, word
from ..registry import Array, Call
from ..signature import Field
from .rules import define, named, working
from .unary import flat


def _identity(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    return (arrays[0],)


define(
    "_copy",
    _identity,
    gradient=lambda step: [step.out_grads[0]],
    aliases=("identity",),
    doc="The data.",
)
define(
    "BlockGrad",
    _identity,
    gradient=flat,
    aliases=("stop_gradient",),
    is_loss=True,
    doc="The data; its gradient is zero.",
)
define(
    "make_loss",
    _identity,
    gradient=lambda step: [step.call("ones_like", step.inputs[0])],
    output_names=named("loss"),
    is_loss=True,
    doc="The data, as a loss: its gradient is one, whatever the gradient of the output is.",
)


# ---- MakeLoss


def _loss_gradient(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data = working(arrays[0])
    scale = param.grad_scale
    if param.normalization == "batch":
        scale /= len(data)
    elif param.normalization == "valid":
        scale /= max(1, np.count_nonzero(data > param.valid_thresh))
    return (cast_array(np.full(data.shape, scale), arrays[0].dtype),)


_LOSS = {
    "grad_scale": Field(FLOAT, "1"),
    "valid_thresh": Field(FLOAT, "0"),
    "normalization": Field(word("batch", "null", "valid"), "null"),
}
define("_backward_MakeLoss", _loss_gradient, gradient=flat, fields=_LOSS, doc="The gradient of MakeLoss.")
define(
    "MakeLoss",
    _identity,
    gradient=lambda step: [step.call("_backward_MakeLoss", step.inputs[0], **dict(step.param.attrs))],
    fields=_LOSS,
    is_loss=True,
    doc="The data, as a loss: its gradient is grad_scale, divided by the batch size (normalization 'batch') or by the "
    "number of elements above valid_thresh ('valid'), whatever the gradient of the output is.",
)


# ---- Cast


def _infer_cast(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    return list(ins), [param.dtype.type]


def _cast(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    return (cast_array(arrays[0], param.dtype),)


define(
    "Cast",
    _cast,
    infer_type=_infer_cast,
    gradient=lambda step: [step.call("Cast", step.out_grads[0], dtype=step.inputs[0].dtype)],
    fields={"dtype": Field(dtype_word(), example="'float32'")},
    aliases=("cast",),
    doc="The data in another type, by C's rules: fractions are cut off, integers wrap.",
)
