"""The oracle: convolution written as its formula, in float64, complex128 or integers modulo 2**64.

It shares no code with the rest of mxconv and needs only NumPy, so that anyone can check a result against it:

    y[n, f, o] = bias[f] + sum of x[n, c, o*stride + t*dilation - pad_lo] * w[f, c, t]
                           over the channels c in the group of f and the taps t,

with x = 0 outside its extents. All arrays are NumPy arrays with channels first, of any rank and data type:
x (batch, in_channels, *in_spatial), w (out_channels, in_channels // groups, *kernel), y (batch, out_channels,
*out_spatial). The loops run over taps and list, along each axis, the positions that the tap connects;
only the products over batch, channels and positions of one tap are left to NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = Sequence[int]
Index = tuple[Any, ...]


def convolution(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Ints,
    dilation: Ints,
    pad_lo: Ints,
    pad_hi: Ints,
    groups: int = 1,
) -> Array:
    """y of the formula above; o runs over every position whose window lies within x and its pads.

    Shapes:  x (batch, in_channels, *in_spatial); w (out_channels, in_channels // groups, *kernel); bias
             (out_channels,); returns (batch, out_channels, *out_spatial). Negative pads crop.
    Dtypes:  returns float64 for any float, complex128 for complex, int64 (modulo 2**64) for integers.
    Raises:  ValueError, if the shapes do not fit each other.

    >>> x, w = np.array([[[1, 2, 3, 4]]]), np.array([[[1, 0, -1]]])
    >>> convolution(x, w, stride=[1], dilation=[1], pad_lo=[1], pad_hi=[1])
    array([[[-2, -2, -2,  3]]])
    """
    wide = _wide(x, w)
    kernel, in_spatial = w.shape[2:], x.shape[2:]
    _check(kernel, in_spatial, stride, dilation, pad_lo, pad_hi)
    _check_channels(x.shape[1], w.shape[0], w.shape[1], groups)
    out_spatial = _windows(in_spatial, kernel, stride, dilation, pad_lo, pad_hi)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *out_spatial), wide)
    x, w = _split(x, 1, groups), _split(w, 0, groups)
    for t, i, o in _pairs(kernel, in_spatial, out_spatial, stride, dilation, pad_lo):
        y[o] += np.einsum("ngc...,gfc->ngf...", x[i].astype(wide), w[t].astype(wide))
    return _with_bias(_merge(y, 1), bias)


def deconvolution(
    d: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Ints,
    dilation: Ints,
    pad_lo: Ints,
    pad_hi: Ints,
    groups: int = 1,
    out_spatial: Ints,
) -> Array:
    """The scatter: every sample of d adds w, times itself, to the result at o*stride + t*dilation - pad_lo.

    It is the gradient of `convolution` with respect to x, d being the gradient of y. What falls outside
    `out_spatial` is dropped; what nothing falls on holds the bias only. (`pad_hi` acts only through it.)

    Shapes:  d (batch, in_channels, *in_spatial); w (in_channels, num_filter // groups, *kernel);
             bias (num_filter,); returns (batch, num_filter, *out_spatial).
    Dtypes, Raises:  as `convolution`.

    >>> d, w = np.array([[[1, 2]]]), np.array([[[1, 1]]])
    >>> deconvolution(d, w, stride=[2], dilation=[2], pad_lo=[0], pad_hi=[0], out_spatial=[5])
    array([[[1, 0, 3, 0, 2]]])
    """
    wide = _wide(d, w)
    kernel, in_spatial = w.shape[2:], d.shape[2:]
    _check(kernel, in_spatial, stride, dilation, pad_lo, pad_hi)
    _check_channels(w.shape[1] * groups, w.shape[0], w.shape[1], groups)
    if d.shape[1] != w.shape[0]:
        raise ValueError(f"d has {d.shape[1]} channels, expected {w.shape[0]} as w.shape[0]")
    result = np.zeros((d.shape[0], groups, w.shape[1], *out_spatial), wide)
    d, w = _split(d, 1, groups), _split(w, 0, groups)
    for t, to, o in _pairs(kernel, out_spatial, in_spatial, stride, dilation, pad_lo):
        result[to] += np.einsum("ngf...,gfc->ngc...", d[o].astype(wide), w[t].astype(wide))
    return _with_bias(_merge(result, 1), bias)


def convolution_weight_gradient(
    x: Array,
    dy: Array,
    *,
    stride: Ints,
    dilation: Ints,
    pad_lo: Ints,
    pad_hi: Ints,
    groups: int = 1,
    kernel: Ints,
) -> Array:
    """dw[f, c, t] = sum over n, o of x[n, c, o*stride + t*dilation - pad_lo] * dy[n, f, o].

    Shapes:  x (batch, in_channels, *in_spatial); dy (batch, out_channels, *out_spatial); returns
             (out_channels, in_channels // groups, *kernel).
    Dtypes, Raises:  as `convolution`.

    >>> x, dy = np.array([[[1, 2, 3]]]), np.array([[[1, 10]]])
    >>> convolution_weight_gradient(x, dy, stride=[1], dilation=[1], pad_lo=[0], pad_hi=[0], kernel=[2])
    array([[[21, 32]]])
    """
    wide = _wide(x, dy)
    in_spatial, out_spatial = x.shape[2:], dy.shape[2:]
    _check(kernel, in_spatial, stride, dilation, pad_lo, pad_hi)
    _check_channels(x.shape[1], dy.shape[1], x.shape[1] // groups, groups)
    shape = (groups, dy.shape[1] // groups, x.shape[1] // groups, *kernel)
    dw = np.zeros(shape, wide)
    x, dy = _split(x, 1, groups), _split(dy, 1, groups)
    letters = "abdehijk"[: len(kernel)]
    for t, i, o in _pairs(kernel, in_spatial, out_spatial, stride, dilation, pad_lo):
        dw[t] += np.einsum(f"ngc{letters},ngf{letters}->gfc", x[i].astype(wide), dy[o].astype(wide))
    return _merge(dw, 0)


def _pairs(
    kernel: Ints, in_spatial: Ints, out_spatial: Ints, stride: Ints, dilation: Ints, pad_lo: Ints
) -> Iterator[tuple[Index, Index, Index]]:
    """For each tap: all positions i in x and o in y with i = o*stride + t*dilation - pad_lo, both inside."""
    for tap in np.ndindex(*kernel):
        i_axes, o_axes = [], []
        for a, t in enumerate(tap):
            o = np.arange(out_spatial[a])
            i = o * stride[a] + t * dilation[a] - pad_lo[a]
            inside = (i >= 0) & (i < in_spatial[a])
            i_axes.append(i[inside])
            o_axes.append(o[inside])
        yield (..., *tap), (..., *np.ix_(*i_axes)), (..., *np.ix_(*o_axes))


def _windows(size: Ints, kernel: Ints, stride: Ints, dilation: Ints, pad_lo: Ints, pad_hi: Ints) -> list[int]:
    """How many windows fit on each axis, by counting them."""
    counts = []
    for a in range(len(kernel)):
        last_start = size[a] + pad_hi[a] - 1 - (kernel[a] - 1) * dilation[a]
        counts.append(len(range(-pad_lo[a], last_start + 1, stride[a])))
    return counts


def _wide(*arrays: Array) -> np.dtype[Any]:
    """The widest type of the arrays' kind; types that NumPy does not know (bfloat16) count as floats.

    Only the values of one tap are converted at a time, so that huge arrays that hardly exist can be checked.
    """
    kinds = {np.asarray(a).dtype.kind for a in arrays}
    return np.dtype(np.complex128 if "c" in kinds else np.int64 if kinds <= set("iub") else np.float64)


def _split(a: Array, axis: int, groups: int) -> Array:
    """Channels to (groups, channels of a group)."""
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def _merge(a: Array, axis: int) -> Array:
    """(groups, channels of a group) back to channels."""
    return a.reshape(*a.shape[:axis], a.shape[axis] * a.shape[axis + 1], *a.shape[axis + 2 :])


def _with_bias(y: Array, bias: Array | None) -> Array:
    if bias is not None:
        if np.shape(bias) != (y.shape[1],):
            raise ValueError(f"bias has shape {np.shape(bias)}, expected {(y.shape[1],)}")
        y += bias.astype(y.dtype).reshape(-1, *(1,) * (y.ndim - 2))
    return y


def _check(kernel: Ints, spatial: Ints, stride: Ints, dilation: Ints, pad_lo: Ints, pad_hi: Ints) -> None:
    lengths = [len(v) for v in (kernel, spatial, stride, dilation, pad_lo, pad_hi)]
    if len(set(lengths)) != 1:
        raise ValueError(f"kernel, data, stride, dilation, pad_lo, pad_hi have {lengths} spatial axes, not as many")


def _check_channels(in_channels: int, out_channels: int, group_channels: int, groups: int) -> None:
    if groups < 1 or out_channels % groups or in_channels != group_channels * groups:
        raise ValueError(
            f"{groups} groups of {group_channels} channels do not make {in_channels} input channels, "
            f"or do not divide {out_channels} output channels"
        )
