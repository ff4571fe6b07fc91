"""The engine's front door: NumPy arrays in, a problem made of them, its plan run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import lookup
from . import pack_cache, planner
from .pack_cache import WeightIdentity
from .problem import ConvProblem, Direction

Array = npt.NDArray[Any]


_ROLES: dict[Direction, tuple[str, str, str]] = {
    "forward": ("x", "w", "y"),
    "backward_data": ("y", "w", "x"),
    "backward_weight": ("x", "y", "w"),
}
"""Which array of the forward convolution is given first, which second, and which is computed."""


def convolve(
    direction: Direction,
    first: Array,
    second: Array,
    out: Array,
    bias: Array | None = None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    pad_lo: Sequence[int],
    pad_hi: Sequence[int],
    groups: int,
    weight: WeightIdentity | None = None,
    workspace: int | None = None,
) -> None:
    """Compute a convolution, or its gradient with respect to its data or its weight, into `out`.

    With x (batch, in_channels, *in_spatial), w (out_channels, in_channels // groups, *kernel) and y (batch,
    out_channels, *out_spatial) of the forward convolution: `forward` takes x and w and computes y, `backward_data`
    takes y and w and computes x, `backward_weight` takes x and y and computes w. bias, in the first two directions,
    has one entry for each channel of `out`.
    Dtypes: all inputs share one of mxconv.dtypes; out has its result dtype.

    `weight` says which memory `second` is, in `forward` and `backward_data`: its packed form is then kept for the next
    call. It must have been taken before this call; without it nothing is kept.

    `workspace` bounds the bytes of scratch memory, over all threads. Panels that are kept do not count, nor do copies
    of arrays that cannot be used as they are.

    Any strides will do, negative and zero ones included, and `out` may overlap the inputs. Inputs that are unaligned,
    byte-swapped or have strides that are no whole number of elements are copied first.

    Raises: WorkspaceError, if no algorithm fits in the workspace.
    """
    dtype = lookup(first.dtype)
    assert dtype is not None
    inputs = [_readable(a) for a in (first, second)]
    if bias is not None:
        inputs.append(np.ascontiguousarray(_readable(bias)))
    result = out
    if not _is_plain(out) or 0 in out.strides or any(np.may_share_memory(out, a) for a in inputs):
        result = np.empty(out.shape, out.dtype.newbyteorder("="))
    arrays = dict(zip(_ROLES[direction], (*inputs[:2], result), strict=True))
    x, w, y = arrays["x"], arrays["w"], arrays["y"]
    if bias is not None:
        arrays["bias"] = inputs[2]
    problem = ConvProblem(
        direction=direction,
        dtype=dtype.name,
        batch=x.shape[0],
        groups=groups,
        in_channels=x.shape[1],
        out_channels=y.shape[1],
        in_spatial=x.shape[2:],
        out_spatial=y.shape[2:],
        kernel=w.shape[2:],
        stride=tuple(stride),
        dilation=tuple(dilation),
        pad_lo=tuple(pad_lo),
        pad_hi=tuple(pad_hi),
        x_strides=_element_strides(x),
        w_strides=_element_strides(w),
        y_strides=_element_strides(y),
        epilogue=() if bias is None else ("bias",),
    )
    plan = planner.make_plan(problem, workspace, weight)
    planner.record(plan)
    if out.size:
        panels = None
        if weight is not None and plan.packing is not None:
            panels = pack_cache.find(weight, plan.packing.key, plan.packing.size)
        plan.run(arrays, panels)
        if result is not out:
            np.copyto(out, result)


def _is_plain(array: Array) -> bool:
    """Whether kernels can address the array: native byte order, aligned, strides of whole elements."""
    return bool(array.dtype.isnative and array.flags.aligned and not any(s % array.itemsize for s in array.strides))


def _readable(array: Array) -> Array:
    return array if _is_plain(array) else np.array(array, dtype=array.dtype.newbyteorder("="))


def _element_strides(array: Array) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)
