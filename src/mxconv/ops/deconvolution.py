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
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/deconvolution-inl.h. Beyond it: four and more spatial axes, dilated
         3-D, channels last, the other dtypes, target_shape on some axes only and for odd trims at stride 1,
         unequal or negative pads. Where MXNet is wrong (stride and dilation together in float64, target_shape
         in float32) the formula above holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..engine.execute import convolve
from .operands import Array, Operands, input_names, prepare
from .params import DECONVOLUTION as SIGNATURE
from .params import DeconvolutionParam
from .registry import Call, OpSpec, register
from .shapes import axis_pads, infer_shape
from .types import check_reduction, infer_type

# ---- shape rule: mxconv.ops.shapes


# ---- dtype rule


def infer_types(
    param: DeconvolutionParam, in_types: Sequence[Any], out_types: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The types of the inputs and of the output; see mxconv.ops.types."""
    return infer_type(param.op, input_names(param), in_types, out_types[0])


def _longest_sum(param: DeconvolutionParam, o: Operands) -> int:
    """Products in the longest sum of one result: channels of a group times the taps of the fullest phase."""
    taps = 1
    for kernel, stride, dilate in zip(param.kernel, param.stride, param.dilate, strict=True):
        taps *= max(Counter(t * dilate % stride for t in range(kernel)).values())
    return int(o.data.shape[1]) // param.num_group * taps


# ---- computation


def forward(param: DeconvolutionParam, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    """Spread data through weight and add bias; into `call.out` if given, which may overlap the inputs."""
    o = prepare(param, inputs, call.out)
    if o.dtype.max_products is not None:
        check_reduction(param.op, o.dtype, _longest_sum(param, o))
    pads = axis_pads(param, o.data.shape[2:])
    convolve(
        "backward_data",
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
        name="Deconvolution",
        signature=SIGNATURE,
        parse=DeconvolutionParam.parse,
        input_names=input_names,
        infer_shape=infer_shape,
        infer_type=infer_types,
        forward=forward,
    )
)
