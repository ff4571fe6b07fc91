"""The two operators on arrays: `mx.nd.Convolution` and `mx.nd.Deconvolution`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from ..ops.grammar import Null
from ..ops.operands import check_inputs
from ..ops.registry import OPERATORS, OpSpec
from .invoke import run
from .ndarray import NDArray


def call(spec: OpSpec, inputs: Mapping[str, Any], out: Any, given: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    """An operator on named inputs (None: left out) and parameters: its output, or a list if there are several.

    With `out`, that itself, be it an array or a list.
    """
    arrays = {name: value for name, value in inputs.items() if value is not None}
    param = spec.parse({name: value for name, value in {**given, **extra}.items() if value is not Null})
    names = tuple(arrays)
    check_inputs(spec, param, names)
    return only(run(spec, param, names, tuple(arrays.values()), out), out)


def only(outputs: list[Any], out: Any) -> Any:
    """The outputs as users get them: a single one not in a list, unless they asked for one."""
    return outputs[0] if len(outputs) == 1 and not isinstance(out, (list, tuple)) else outputs


def Convolution(
    data: NDArray | npt.NDArray[Any] | None = None,
    weight: NDArray | npt.NDArray[Any] | None = None,
    bias: NDArray | npt.NDArray[Any] | None = None,
    kernel: Any = Null,
    stride: Any = Null,
    dilate: Any = Null,
    pad: Any = Null,
    num_filter: Any = Null,
    num_group: Any = Null,
    workspace: Any = Null,
    no_bias: Any = Null,
    cudnn_tune: Any = Null,
    cudnn_off: Any = Null,
    layout: Any = Null,
    out: Any = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Convolve data with num_filter kernels, over any number of spatial axes.

        result[n, f, o] = bias[f] + sum over c, t of data[n, c, o*stride + t*dilate - pad] * weight[f, c, t]

    (cross-correlation: the kernel is not flipped; samples outside data are 0). On each spatial axis the
    result has floor((size + 2*pad - dilate*(kernel - 1) - 1) / stride) + 1 samples.

    Every parameter may also be given as text, as in a symbol's JSON: kernel="(3, 3)", no_bias="True". Tuples,
    lists and texts of them have one entry for each spatial axis, in spatial order (depth, height, width) in
    every layout.

    Parameters
    ----------
    data : NDArray or numpy.ndarray
        (batch, channels, *spatial), or (batch, *spatial, channels) for a channels-last layout. Views with any
        strides are read as they are.
    weight : NDArray or numpy.ndarray
        (num_filter, channels // num_group, *kernel), channels last (num_filter, *kernel, channels //
        num_group).
    bias : NDArray or numpy.ndarray
        (num_filter,); required unless no_bias.
    kernel : tuple of int
        Required: the extent of the window. Its length is the number of spatial axes, so `kernel=3` is a 1-D
        kernel. Four and more entries are an extension to MXNet.
    stride : tuple of int, default 1 on every axis
        The step of the window.
    dilate : tuple of int, default 1 on every axis
        The distance of neighbouring taps; 1 is dense.
    pad : tuple of int or of pairs, default 0 on every axis
        Zeros added before and after. As an extension an entry may be a pair (lo, hi), and a negative one
        crops.
    num_filter : int
        Required: the number of channels of the result.
    num_group : int, default 1
        Channels and filters are split into that many independent groups; it must divide both.
    workspace : int, default 1024
        The scratch memory that the call may take over all threads, in MB; 0 takes none. A packed weight that is
        kept for later calls is not counted.
    no_bias : bool, default False
        Whether to go without bias.
    cudnn_tune : {None, 'off', 'limited_workspace', 'fastest'}, default None
        How an algorithm is chosen. Read and checked, but without effect on the CPU, as in MXNet.
    cudnn_off : bool, default False
        Whether to keep to plain algorithms. Read and checked, but without effect on the CPU, as in MXNet.
    layout : str or None, default None
        NCW, NCHW, NCDHW (the same as None), NWC, NHWC or NDHWC; for four and more spatial axes `NC` and a
        distinct capital letter for each axis, or `N`, those letters and `C`. The last three and more are
        extensions.
    out : NDArray, numpy.ndarray or list of one, optional
        Where to write the result, of exactly its shape and dtype; it may overlap the inputs.
    name : str, optional
        Ignored, as in MXNet. So are keywords that start and end with two underscores.

    Returns
    -------
    NDArray
        The result, (batch, num_filter, *out_spatial) or its channels-last order, with the dtype of data;
        integers give exact wider ones (int8, uint8: int32; int16 to int64: int64). `out` itself if given,
        [out] for a list.

    Gradient
    --------
    Of data, weight and bias, each computed only if asked for; it can be differentiated again, to any order. data
    gets the Deconvolution of the head gradient with the same weight, bias the head gradient's sum over all axes but
    the channels. Complex arrays have the complex derivative, nothing conjugated; integers have none (DTypeError).

    Raises
    ------
    ParamError
        For a parameter that is unknown, missing, malformed or out of bounds; for a wrong number of inputs.
    ShapeError
        If shapes do not fit each other or the parameters.
    DTypeError
        If dtypes are mixed or not supported.
    WorkspaceError
        If no algorithm fits in the workspace.
    AssertionError
        For an input that is no array.

    Examples
    --------
    >>> import mxconv as mx
    >>> x, w, b = mx.nd.ones((1, 3, 224, 224)), mx.nd.ones((8, 3, 3, 3)), mx.nd.zeros((8,))
    >>> mx.nd.Convolution(x, w, b, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=8).shape
    (1, 8, 112, 112)
    """
    given = {
        "kernel": kernel,
        "stride": stride,
        "dilate": dilate,
        "pad": pad,
        "num_filter": num_filter,
        "num_group": num_group,
        "workspace": workspace,
        "no_bias": no_bias,
        "cudnn_tune": cudnn_tune,
        "cudnn_off": cudnn_off,
        "layout": layout,
    }
    return call(OPERATORS["Convolution"], {"data": data, "weight": weight, "bias": bias}, out, given, kwargs)


def Deconvolution(
    data: NDArray | npt.NDArray[Any] | None = None,
    weight: NDArray | npt.NDArray[Any] | None = None,
    bias: NDArray | npt.NDArray[Any] | None = None,
    kernel: Any = Null,
    stride: Any = Null,
    dilate: Any = Null,
    pad: Any = Null,
    adj: Any = Null,
    target_shape: Any = Null,
    num_filter: Any = Null,
    num_group: Any = Null,
    workspace: Any = Null,
    no_bias: Any = Null,
    cudnn_tune: Any = Null,
    cudnn_off: Any = Null,
    layout: Any = Null,
    out: Any = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Transposed convolution: spread each sample of data through its kernels, over any number of spatial axes.

        result[n, f, q] = bias[f] + sum over c, pos, t with pos*stride + t*dilate - pad == q
                                    of data[n, c, pos] * weight[c, f, t]

    It is the data gradient of the Convolution with the same weight array. On each spatial axis the result has
    stride*(size - 1) + dilate*(kernel - 1) + 1 - 2*pad + adj samples, or target_shape where that is set.

    Every parameter may also be given as text, as in a symbol's JSON: kernel="(4, 4)", no_bias="True". Tuples,
    lists and texts of them have one entry for each spatial axis, in spatial order (depth, height, width) in
    every layout.

    Parameters
    ----------
    data : NDArray or numpy.ndarray
        (batch, channels, *spatial), or (batch, *spatial, channels) for a channels-last layout. Views with any
        strides are read as they are.
    weight : NDArray or numpy.ndarray
        (channels, num_filter // num_group, *kernel), channels last (channels, *kernel, num_filter //
        num_group).
    bias : NDArray or numpy.ndarray
        (num_filter,); only with no_bias=False.
    kernel : tuple of int
        Required: the extent of the window. Its length is the number of spatial axes, so `kernel=3` is a 1-D
        kernel. Four and more entries are an extension to MXNet.
    stride : tuple of int, default 1 on every axis
        The distance in the result of neighbouring samples of data.
    dilate : tuple of int, default 1 on every axis
        The distance of neighbouring taps; 1 is dense. In 3-D an extension to MXNet's CPU.
    pad : tuple of int or of pairs, default 0 on every axis
        Samples cropped from the start and the end of the result. As an extension an entry may be a pair (lo,
        hi), and a negative one adds samples, which hold the bias alone. Ignored on axes with a target.
    adj : tuple of int, default 0 on every axis
        Samples added at the end of the result, from 0 to stride - 1. Ignored on axes with a target.
    target_shape : tuple of int or None, default unset
        The spatial shape of the result. What is too much is trimmed, half at each end and an odd sample in
        front, as MXNet documents it. 0 or None leaves one axis to pad and adj: an extension, as are odd trims
        at stride 1.
    num_filter : int
        Required: the number of channels of the result.
    num_group : int, default 1
        Channels and filters are split into that many independent groups; it must divide both.
    workspace : int, default 512
        The scratch memory that the call may take over all threads, in MB; 0 takes none. A packed weight that is
        kept for later calls is not counted.
    no_bias : bool, default True
        Whether to go without bias.
    cudnn_tune : {None, 'off', 'limited_workspace', 'fastest'}, default None
        How an algorithm is chosen. Read and checked, but without effect on the CPU, as in MXNet.
    cudnn_off : bool, default False
        Whether to keep to plain algorithms. Read and checked, but without effect on the CPU, as in MXNet.
    layout : str or None, default None
        NCW, NCHW, NCDHW (the same as None), NWC, NHWC or NDHWC; for four and more spatial axes `NC` and a
        distinct capital letter for each axis, or `N`, those letters and `C`. The last three and more are
        extensions.
    out : NDArray, numpy.ndarray or list of one, optional
        Where to write the result, of exactly its shape and dtype; it may overlap the inputs.
    name : str, optional
        Ignored, as in MXNet. So are keywords that start and end with two underscores.

    Returns
    -------
    NDArray
        The result, (batch, num_filter, *out_spatial) or its channels-last order, with the dtype of data;
        integers give exact wider ones (int8, uint8: int32; int16 to int64: int64). `out` itself if given,
        [out] for a list.

    Gradient
    --------
    Of data, weight and bias, each computed only if asked for; it can be differentiated again, to any order. data
    gets the Convolution of the head gradient with the same weight, bias the head gradient's sum over all axes but
    the channels. Complex arrays have the complex derivative, nothing conjugated; integers have none (DTypeError).

    Raises
    ------
    ParamError
        For a parameter that is unknown, missing, malformed or out of bounds; for a wrong number of inputs.
    ShapeError
        If shapes do not fit each other or the parameters.
    DTypeError
        If dtypes are mixed or not supported.
    WorkspaceError
        If no algorithm fits in the workspace.
    AssertionError
        For an input that is no array.

    Examples
    --------
    >>> import mxconv as mx
    >>> x, w = mx.nd.ones((1, 8, 16, 16)), mx.nd.ones((8, 3, 4, 4))
    >>> mx.nd.Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=3).shape
    (1, 3, 32, 32)
    >>> mx.nd.Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), target_shape=(31, None), num_filter=3).shape
    (1, 3, 31, 34)
    """
    given = {
        "kernel": kernel,
        "stride": stride,
        "dilate": dilate,
        "pad": pad,
        "adj": adj,
        "target_shape": target_shape,
        "num_filter": num_filter,
        "num_group": num_group,
        "workspace": workspace,
        "no_bias": no_bias,
        "cudnn_tune": cudnn_tune,
        "cudnn_off": cudnn_off,
        "layout": layout,
    }
    return call(OPERATORS["Deconvolution"], {"data": data, "weight": weight, "bias": bias}, out, given, kwargs)
