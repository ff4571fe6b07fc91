"""Deconvolution: the transposed convolution, for any number of spatial axes.

    y[n, f, q] = bias[f] + sum over c, pos, t with pos*stride + t*dilate - pad_lo == q
                           of x[n, c, pos] * w[c, f, t]

It is exactly the data gradient of the Convolution with the same weight array (whose filters are these
channels), and is computed as such: direction `backward_data`, no kernels of its own, no zeros inserted. `adj`
is pad_hi taken away; positions that no tap reaches hold the bias alone.

Shapes:  data (N, C, *spatial), weight (C, F // g, *kernel), bias (F,), result (N, F, *out), F = num_filter,
         out = stride*(i - 1) + dilate*(kernel - 1) + 1 - pad_lo - pad_hi + adj, or target_shape on the axes where
         it is set: pad and adj are ignored there, and half of what is too much is trimmed at each end, an odd
         sample in front. Channels last: see mxconv.ops.layouts.
Dtypes:  as Convolution.
Gradient: with g the gradient of the result, for
         data    sum over f, t of g[n, f, pos*stride + t*dilate - pad_lo] * w[c, f, t]
         weight  sum over n, pos of x[n, c, pos] * g[n, f, pos*stride + t*dilate - pad_lo]
         bias    sum over n, q of g[n, f, q];
         the first two are the directions forward and backward_weight: see mxconv.ops.directions.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/deconvolution-inl.h. Beyond it: four and more spatial axes, dilated
         3-D, channels last, the other dtypes, target_shape on some axes only and for odd trims at stride 1,
         unequal or negative pads. Where MXNet is wrong (stride and dilation together in float64, target_shape
         in float32) the formula above holds.
"""

from __future__ import annotations

from functools import partial

from .directions import compute_layer, layer_gradient
from .operands import infer_types, input_names
from .params import DECONVOLUTION, DeconvolutionParam
from .registry import OpSpec, register
from .shapes import infer_shape

register(
    OpSpec(
        name="Deconvolution",
        signature=DECONVOLUTION,
        parse=DeconvolutionParam.parse,
        input_names=input_names,
        infer_shape=infer_shape,
        infer_type=infer_types,
        forward=partial(compute_layer, "backward_data"),
        gradient=partial(layer_gradient, "backward_data"),
        aliases=("_npx_deconvolution",),
    )
)
