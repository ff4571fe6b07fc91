"""Convolution: MXNet's cross-correlation (the kernel is not flipped), for any number of spatial axes.

    y[n, f, o] = bias[f] + sum over c, t of x[n, c, o*stride + t*dilate - pad_lo] * w[f, c, t]    (x = 0 outside)

where group j of num_group computes filters j*F/g ... (j+1)*F/g - 1 from channels j*C/g ... (j+1)*C/g - 1.

Shapes:  data (N, C, *spatial), weight (F, C // g, *kernel), bias (F,), result (N, F, *out), F = num_filter,
         out = floor((i + pad_lo + pad_hi - dilate*(kernel - 1) - 1) / stride) + 1 on each axis;
         channels last: see mxconv.ops.layouts.
Dtypes:  all inputs as data; the result's as in mxconv.dtypes (8-bit integers give int32, the wider ones int64,
         the others themselves); float16 and bfloat16 are accumulated in float32 and rounded once.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/convolution.cc. Beyond it: four and more spatial axes, channels last, NWC,
         integers, float16, bfloat16 and complex on the CPU; pads that differ at both ends or crop; empty arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..engine.execute import convolve
from .operands import Array, input_names, prepare
from .params import CONVOLUTION as SIGNATURE
from .params import ConvolutionParam
from .registry import Call, OpSpec, register
from .shapes import infer_shape
from .types import check_reduction, infer_type

# ---- shape rule: mxconv.ops.shapes


# ---- dtype rule


def infer_types(
    param: ConvolutionParam, in_types: Sequence[Any], out_types: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The types of the inputs and of the output; see mxconv.ops.types."""
    return infer_type(param.op, input_names(param), in_types, out_types[0])


# ---- computation


def forward(param: ConvolutionParam, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    """Convolve data with weight and add bias; into `call.out` if given, which may overlap the inputs."""
    o = prepare(param, inputs, call.out)
    check_reduction(param.op, o.dtype, math.prod(o.weight.shape[1:]))
    pads = param.pad
    convolve(
        "forward",
        o.data,
        o.weight,
        o.out,
        o.bias,
        stride=param.stride,
        dilation=param.dilate,
        pad_lo=tuple(lo for lo, _ in pads),
        pad_hi=tuple(hi for _, hi in pads),
        groups=param.num_group,
        weight=call.identities[1] if call.identities else None,
        workspace=param.workspace << 20,
    )
    return (o.result,)


register(
    OpSpec(
        name="Convolution",
        signature=SIGNATURE,
        parse=ConvolutionParam.parse,
        input_names=input_names,
        infer_shape=infer_shape,
        infer_type=infer_types,
        forward=forward,
    )
)
