"""The engine's front door: NumPy arrays in, a problem made of them, its plan run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..dtypes import lookup
from . import planner
from .problem import ConvProblem

Array = npt.NDArray[Any]


def convolve(
    direction: Literal["forward", "backward_data"],
    data: Array,
    weight: Array,
    out: Array,
    bias: Array | None = None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    pad_lo: Sequence[int],
    pad_hi: Sequence[int],
    groups: int,
) -> None:
    """Compute a convolution (or its data gradient) into `out`.

    Shapes: `forward`: data is x (batch, in_channels, *in_spatial), out is y (batch, out_channels, *out_spatial);
    `backward_data`: data is y and out is x. weight (out_channels, in_channels // groups, *kernel) in both; bias has
    one entry for each channel of `out`.
    Dtypes: data, weight and bias share one of mxconv.dtypes; out has its result dtype.

    Any strides will do, negative and zero ones included, and `out` may overlap the inputs. Inputs that are unaligned,
    byte-swapped or have strides that are no whole number of elements are copied first.
    """
    dtype = lookup(data.dtype)
    assert dtype is not None
    x_shape, y_shape = (data.shape, out.shape) if direction == "forward" else (out.shape, data.shape)
    data, weight = _readable(data), _readable(weight)
    arrays = {"w": weight}
    if bias is not None:
        arrays["bias"] = np.ascontiguousarray(_readable(bias))
    result = out
    if not _is_plain(out) or 0 in out.strides or any(np.may_share_memory(out, a) for a in (data, *arrays.values())):
        result = np.empty(out.shape, out.dtype.newbyteorder("="))
    x, y = (data, result) if direction == "forward" else (result, data)
    arrays |= {"x": x, "y": y}
    problem = ConvProblem(
        direction=direction,
        dtype=dtype.name,
        batch=x_shape[0],
        groups=groups,
        in_channels=x_shape[1],
        out_channels=y_shape[1],
        in_spatial=x_shape[2:],
        out_spatial=y_shape[2:],
        kernel=weight.shape[2:],
        stride=tuple(stride),
        dilation=tuple(dilation),
        pad_lo=tuple(pad_lo),
        pad_hi=tuple(pad_hi),
        x_strides=_element_strides(x),
        w_strides=_element_strides(weight),
        y_strides=_element_strides(y),
        epilogue=() if bias is None else ("bias",),
    )
    plan = planner.make_plan(problem)
    planner.record(plan)
    if out.size:
        plan.run(arrays)
        if result is not out:
            np.copyto(out, result)


def _is_plain(array: Array) -> bool:
    """Whether kernels can address the array: native byte order, aligned, strides of whole elements."""
    return bool(array.dtype.isnative and array.flags.aligned and not any(s % array.itemsize for s in array.strides))


def _readable(array: Array) -> Array:
    return array if _is_plain(array) else np.array(array, dtype=array.dtype.newbyteorder("="))


def _element_strides(array: Array) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)
