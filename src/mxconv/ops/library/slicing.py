"""Parts of arrays: slice, slice_axis, slice_like, Crop, and `_backward_slice`, which puts a part back among zeros.

Whatever takes a part has `_backward_slice` as its gradient, and that has `slice`.

Source: Apache MXNet 1.9.1, src/operator/tensor/matrix_op*, src/operator/crop*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...errors import ParamError, ShapeError
from ..axes import Extent, resolve_axes, resolve_axis
from ..grammar import BOOL, ENDS, INT, OPTIONAL_INT, SHAPE
from ..merge import merge_shape
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, InferShape, Shape, Step
from ..signature import Field
from .rules import Names, define, type_of_first

Known = tuple[Extent, ...]
Key: TypeAlias = tuple[slice, ...]
KeyOf: TypeAlias = Callable[..., Key]
"""key_of(param, *shapes of the inputs): what part of data is taken; called with shapes known in part, too."""


def _extent(part: slice, n: Extent) -> Extent:
    """How many of n are in the part."""
    return None if n is None else len(range(*part.indices(n)))


def _rule(key_of: KeyOf) -> InferShape:
    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        data, *others = ins
        if data is None or None in others:
            return list(ins), list(outs)
        key = key_of(param, data, *others)
        result = (*(_extent(part, n) for part, n in zip(key, data, strict=False)), *data[len(key) :])
        return list(ins), [merge_shape("output", outs[0], result)]

    return infer


def _gradient(key_of: KeyOf) -> Callable[[Step[Any]], list[Any]]:
    def gradient(step: Step[Any]) -> list[Any]:
        shapes = [x.shape for x in step.inputs]
        key = key_of(step.param, *shapes)
        attributes = {
            "begin": tuple(part.start for part in key),
            "end": tuple(part.stop for part in key),
            "step": tuple(part.step for part in key),
            "shape": shapes[0],
        }
        return [step.call("_backward_slice", step.out_grads[0], **attributes), *([None] * (len(shapes) - 1))]

    return gradient


def _define(name: str, key_of: KeyOf, inputs: Names | Sequence[str] = ("data",), **others: Any) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        return (arrays[0][key_of(param, *(x.shape for x in arrays))],)

    define(
        name,
        forward,
        inputs=inputs,
        infer_shape=_rule(key_of),
        infer_type=type_of_first,
        gradient=_gradient(key_of),
        **others,
    )


# ---- slice


def _slices(param: Any, shape: Known) -> Key:
    begin, end, step = param.begin or (), param.end or (), param.step or ()
    step = step or (None,) * len(begin)
    if not len(begin) == len(end) == len(step) <= len(shape):
        got = f"{len(begin)}, end {len(end)} and step {len(step)} entries"
        expected = f"as many for each, at most {len(shape)}"
        raise refusal(ParamError, "begin", got, expected, fix="Use None for an open end.", verb="has")
    if 0 in step:
        raise refusal(ParamError, "step", step, "entries that are not 0", fix="Leave step out for 1.")
    return tuple(map(slice, begin, end, step))


_SLICE = {"begin": Field(ENDS, example="(0, None)"), "end": Field(ENDS, example="(2, None)"), "step": Field(ENDS, "()")}

_define(
    "slice",
    _slices,
    fields=_SLICE,
    aliases=("crop",),
    doc="The part begin <= i < end of the first axes, in steps; None is an open end, as in Python.",
)


def _put_back(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    result = np.zeros(param.shape, arrays[0].dtype)
    result[_slices(param, param.shape)] = arrays[0]
    return (result,)


def _infer_put_back(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    _, part = _rule(_slices)(param, [param.shape], ins)
    return [*part], [merge_shape("output", outs[0], param.shape)]


def _put_back_gradient(step: Step[Any]) -> list[Any]:
    attributes = dict(step.param.attrs)
    del attributes["shape"]
    return [step.call("slice", step.out_grads[0], **attributes)]


define(
    "_backward_slice",
    _put_back,
    infer_shape=_infer_put_back,
    gradient=_put_back_gradient,
    fields={**_SLICE, "shape": Field(SHAPE)},
    doc="Zeros of the shape, with data in the place of the slice.",
)


# ---- slice_axis, slice_like


def _axis_part(param: Any, shape: Known) -> Key:
    axis = resolve_axis(param.axis, len(shape))
    n = shape[axis]
    if n is not None:
        begin = param.begin + n if param.begin < 0 else param.begin
        end = n if param.end is None else param.end + n if param.end < 0 else param.end
        if not 0 <= begin <= end <= n:
            got, expected = f"{param.begin}, end {param.end}", f"0 <= begin <= end <= {n}"
            why = f"Invalid begin, end, get begin={begin}, end={end} on an axis of size {n}"
            raise refusal(ShapeError, "begin", got, expected, why, fix="Use end=None for the rest of the axis.")
    return (*[slice(None)] * axis, slice(param.begin, param.end))


_define(
    "slice_axis",
    _axis_part,
    fields={"axis": Field(INT), "begin": Field(INT, example="0"), "end": Field(OPTIONAL_INT, example="None")},
    doc="The part begin <= i < end of one axis; negative ones count from the end, None is the end.",
)


def _like_part(param: Any, shape: Known, other: Known) -> Key:
    axes = resolve_axes(param.axes or (), len(shape), "axes")
    if not axes and len(shape) != len(other):
        expected, fix = f"{len(shape)} axes", "Name the axes to slice by axes=..."
        raise refusal(ShapeError, "shape_like", spell_shape(other), expected, fix=fix, verb="has shape")
    key = [slice(None)] * len(shape)
    for axis in axes or range(len(shape)):
        given = resolve_axis(axis, len(other), "axes")
        n, m = shape[axis], other[given]
        if n is not None and m is not None and m > n:
            why = f"Slice axis {axis} with size {m} exceeds limit of input with size {n}"
            got, expected = spell_shape(other), f"at most {n} on axis {axis}"
            raise refusal(ShapeError, "shape_like", got, expected, why, fix="Name other axes.", verb="has shape")
        key[axis] = slice(0, m)
    return tuple(key)


_define(
    "slice_like",
    _like_part,
    ("data", "shape_like"),
    fields={"axes": Field(SHAPE, "()")},
    doc="The first elements of data on each axis, or on `axes`, as many as shape_like has.",
)


# ---- Crop


def _crop_names(param: Any) -> tuple[str, ...]:
    return ("arg0", "arg1")[: param.num_args]


def _crop_part(param: Any, shape: Known, *others: Known) -> Key:
    target: Sequence[Extent] = param.h_w if not others else others[0][2:]
    for name, given in (("data", shape), *(("arg1", other) for other in others)):
        if len(given) != 4:
            why = "Input data should be 4D in batch-num_filter-y-x"
            raise refusal(ShapeError, name, spell_shape(given), "4 axes", why, fix="Reshape it.", verb="has shape")
    if param.offset is None or len(param.offset) != 2 or target is None or len(target) != 2:
        fix = "Pass h_w=(height, width) and offset=(y, x)."
        raise refusal(ParamError, "h_w", f"{target}, offset {param.offset}", "two entries each", fix=fix)
    key = [slice(None), slice(None)]
    for axis, (n, m, offset) in enumerate(zip(shape[2:], target, param.offset, strict=True)):
        if n is None or m is None:
            key.append(slice(None, m))
            continue
        start = (n - m) // 2 if param.center_crop else offset
        if m < 1 or start < 0 or start + m > n:
            word = ("height", "width")[axis]
            why = f"the crop {word} and its offset should be less than the input data's {word}"
            got, expected = f"{m} from {start} on", f"1 to {n} samples, within {n}"
            raise refusal(ShapeError, "h_w", got, expected, why, fix="Crop less, or from an earlier offset.")
        key.append(slice(start, start + m))
    return tuple(key)


_define(
    "Crop",
    _crop_part,
    _crop_names,
    fields={
        "num_args": Field(INT, least=1, example="2"),
        "offset": Field(SHAPE, "(0, 0)"),
        "h_w": Field(SHAPE, "(0, 0)"),
        "center_crop": Field(BOOL, "0"),
    },
    variadic="num_args",
    doc="The part of arg0 from `offset` on whose height and width are those of arg1, or h_w with num_args=1; with "
    "center_crop the part in the middle.",
)
