"""Convolution: MXNet's cross-correlation (the kernel is not flipped), for any number of spatial axes.

    y[n, f, o] = bias[f] + sum over c, t of x[n, c, o*stride + t*dilate - pad_lo] * w[f, c, t]    (x = 0 outside)

where group j of num_group computes filters j*F/g ... (j+1)*F/g - 1 from channels j*C/g ... (j+1)*C/g - 1.

Shapes:  data (N, C, *spatial), weight (F, C // g, *kernel), bias (F,), result (N, F, *out), F = num_filter,
         out = floor((i + pad_lo + pad_hi - dilate*(kernel - 1) - 1) / stride) + 1 on each axis;
         channels last: see mxconv.ops.layouts.
Dtypes:  all inputs as data; the result's as in mxconv.dtypes (8-bit integers give int32, the wider ones int64,
         the others themselves); float16 and bfloat16 are accumulated in float32 and rounded once.
Gradient: with g the gradient of the result, for
         data    sum over f, o, t with o*stride + t*dilate - pad_lo == i of g[n, f, o] * w[f, c, t]
         weight  sum over n, o of x[n, c, o*stride + t*dilate - pad_lo] * g[n, f, o]
         bias    sum over n, o of g[n, f, o];
         the first two are the directions backward_data and backward_weight: see mxconv.ops.directions.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/convolution.cc. Beyond it: four and more spatial axes, channels last, NWC,
         integers, float16, bfloat16 and complex on the CPU; pads that differ at both ends or crop; empty arrays.
"""

from __future__ import annotations

from functools import partial

from .directions import compute_layer, layer_gradient
from .operands import infer_types, input_names
from .params import CONVOLUTION, ConvolutionParam
from .registry import OpSpec, register
from .shapes import infer_shape

register(
    OpSpec(
        name="Convolution",
        signature=CONVOLUTION,
        parse=ConvolutionParam.parse,
        input_names=input_names,
        infer_shape=infer_shape,
        infer_type=infer_types,
        forward=partial(compute_layer, "forward"),
        gradient=partial(layer_gradient, "forward"),
        aliases=("_npx_convolution",),
    )
)
