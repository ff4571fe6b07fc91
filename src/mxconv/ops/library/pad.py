"""Pad: a frame around arrays, of a constant, of the edge, or of the reflection.

Source: Apache MXNet 1.9.1, src/operator/pad*. Beyond it: any number of axes, and all of them may be padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ParamError, ShapeError
from ..axes import Extent
from ..casts import cast_scalar
from ..grammar import SCALAR, SHAPE, word
from ..merge import merge_shape
from ..refusal import refusal
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, working


def _pairs(param: Any, shape: Sequence[Extent]) -> list[tuple[int, int]]:
    """(before, after) for each axis."""
    widths = param.pad_width or ()
    if len(widths) != 2 * len(shape) or min(widths, default=0) < 0:
        expected = f"{2 * len(shape)} numbers of 0 and more for data with {len(shape)} axes"
        why = "Input shape vs padding spec mismatch"
        raise refusal(ParamError, "pad_width", widths, expected, why, fix="Give (before, after) of each axis in turn.")
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    for axis, (n, pair) in enumerate(zip(shape, pairs, strict=True)):
        if n is not None and max(pair) and (n == 0 if param.mode == "edge" else n <= max(pair)):
            if param.mode == "constant":
                continue
            expected = f"less than {n} on axis {axis}"
            why = "padding from inside needs samples to take: reflection padding only smaller than the input size"
            raise refusal(ShapeError, "pad_width", pair, expected, why, fix="Pad less, or with mode='constant'.")
    return pairs


def _infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, result = ins[0], outs[0]
    some = data if data is not None else result
    if some is None:
        return list(ins), list(outs)
    more = [sum(pair) for pair in _pairs(param, [None] * len(some) if data is None else data)]
    if result is not None:
        inner = tuple(None if n is None else n - extra for n, extra in zip(result, more, strict=False))
        data = merge_shape("data", data, inner)
    assert data is not None
    outer = tuple(None if n is None else n + extra for n, extra in zip(data, more, strict=True))
    return [data], [merge_shape("output", result, outer)]


def _pad(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data = arrays[0]
    options = {"constant_values": cast_scalar(param.constant_value, data.dtype)} if param.mode == "constant" else {}
    return (np.pad(data, _pairs(param, data.shape), mode=param.mode, **options),)


def _pad_back(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    """Each sample of the frame goes back to where it was taken from, one axis after the other."""
    total = working(arrays[0])
    for axis, (n, pair) in enumerate(zip(param.shape, _pairs(param, param.shape), strict=True)):
        if not any(pair):
            continue
        if param.mode == "constant":
            total = total.take(range(pair[0], pair[0] + n), axis)
            continue
        origin = np.pad(np.arange(n), pair, mode=param.mode)
        sums = np.zeros((*total.shape[:axis], n, *total.shape[axis + 1 :]), total.dtype)
        places: tuple[Any, ...] = (*[slice(None)] * axis, origin)
        np.add.at(sums, places, total)
        total = sums
    return (rounded(total, arrays[0].dtype),)


def _infer_back(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    _, framed = _infer(param, [param.shape], ins)
    return [*framed], [merge_shape("output", outs[0], param.shape)]


def _gradient(step: Step[Any]) -> list[Any]:
    given = {name: text for name, text in step.param.attrs if name != "constant_value"}
    return [step.call("_backward_Pad", step.out_grads[0], **given, shape=step.inputs[0].shape)]


def _back_gradient(step: Step[Any]) -> list[Any]:
    given = {name: text for name, text in step.param.attrs if name != "shape"}
    return [step.call("Pad", step.out_grads[0], **given)]


_FIELDS = {
    "mode": Field(word("constant", "edge", "reflect"), example="'constant'"),
    "pad_width": Field(SHAPE, example="(0, 0, 0, 0, 1, 1, 1, 1)"),
}
define(
    "Pad",
    _pad,
    infer_shape=_infer,
    gradient=_gradient,
    fields={**_FIELDS, "constant_value": Field(SCALAR, "0")},
    aliases=("pad",),
    doc="Data in a frame: pad_width has (before, after) of each axis in turn; mode says what it is filled with: "
    "constant_value ('constant'), the nearest sample ('edge'), or the mirror image ('reflect').",
)
define(
    "_backward_Pad",
    _pad_back,
    infer_shape=_infer_back,
    gradient=_back_gradient,
    fields={**_FIELDS, "shape": Field(SHAPE)},
    doc="The gradient of Pad.",
)
