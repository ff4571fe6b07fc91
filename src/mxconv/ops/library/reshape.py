"""The same elements in another shape: Reshape, Flatten, reshape_like, expand_dims, squeeze.

Source: Apache MXNet 1.9.1, src/operator/tensor/matrix_op*. Differs: Reshape checks that the sizes fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import ShapeError
from ..axes import Extent, product, resolve_axes, resolve_axis
from ..grammar import AXES, BOOL, INT, OPTIONAL_INT, SHAPE
from ..merge import merge_shape
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, InferShape, Shape, Step
from ..reshape_codes import resolve_shape
from ..signature import Field
from .rules import define, known, type_of_first

Known = tuple[Extent, ...]


def _with_target(shape: Sequence[Extent], target: Sequence[int], keep_highest: bool) -> Known:
    """The legacy way: `target_shape`, in which one 0 is inferred; keep_highest copies the first axis."""
    if keep_highest:
        return (*shape[:1], *resolve_shape(shape[1:], [n or -1 for n in target[1:]]))
    return resolve_shape(shape, [n or -1 for n in target])


def fill_in(shape: Known, size: Extent) -> Known:
    """The shape with its only unknown extent filled in, if the number of elements is known."""
    if shape.count(None) != 1 or not size:
        return shape
    others = math.prod(n for n in shape if n is not None)
    return tuple(size // others if n is None and others else n for n in shape)


def _rule(shape_of: Callable[..., Known], back: Callable[..., Known] | None = None) -> InferShape:
    """The output's shape is shape_of(param, *shapes of the inputs); data's is back(param, output's), or none.

    One unknown extent of data follows from the number of elements.
    """

    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        data, *others = ins
        (result,) = outs
        if back is not None and result is not None:
            data = merge_shape("data", data, back(param, result))
        if data is not None and None not in others:
            result = merge_shape("output", result, shape_of(param, data, *others))
            if known(result):
                data = fill_in(data, math.prod(result))
                result = merge_shape("output", result, shape_of(param, data, *others))
        return [data, *others], [result]

    return infer


def _define(
    name: str,
    shape_of: Callable[..., Known],
    fields: dict[str, Field],
    inputs: Sequence[str] = ("data",),
    rule: InferShape | None = None,
    **others: Any,
) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        return (arrays[0].reshape([n or 0 for n in shape_of(param, *(x.shape for x in arrays))]),)

    def gradient(step: Step[Any]) -> list[Any]:
        return [step.call("reshape_like", step.out_grads[0], step.inputs[0]), *([None] * (len(inputs) - 1))]

    define(
        name,
        forward,
        inputs=inputs,
        fields=fields,
        infer_shape=rule or _rule(shape_of),
        infer_type=type_of_first,
        gradient=gradient,
        **others,
    )


def _reshape(param: Any, shape: Known) -> Known:
    if not param.shape and param.target_shape:
        return _with_target(shape, param.target_shape, param.keep_highest)
    return resolve_shape(shape, param.shape or (), param.reverse)


_define(
    "Reshape",
    _reshape,
    {
        "shape": Field(SHAPE, "()"),
        "reverse": Field(BOOL, "0"),
        "target_shape": Field(SHAPE, "()"),
        "keep_highest": Field(BOOL, "0"),
    },
    aliases=("reshape",),
    doc="Data in another shape. In `shape` a positive number is a size, 0 copies the present axis, -1 is inferred, -2 "
    "copies all axes that are left, -3 merges the next two, and -4, a, b splits the next one into a and b; with "
    "`reverse` all is matched from the right. `target_shape`, with a 0 to be inferred, is the old way.",
)


def _flatten(param: Any, shape: Known) -> Known:
    if not shape:
        fix = "Reshape it to (1,) first."
        raise refusal(ShapeError, "data", "()", "at least one axis", fix=fix, verb="has shape")
    return (shape[0], product(shape[1:]))


_define("Flatten", _flatten, {}, aliases=("flatten",), doc="Data as a matrix: the first axis, and all others as one.")


def _reshape_like(param: Any, shape: Known, other: Known) -> Known:
    begin, end = _range(param, "lhs", len(shape))
    start, stop = _range(param, "rhs", len(other))
    result = (*shape[:begin], *other[start:stop], *shape[end:])
    if None not in shape and None not in result and product(shape) != product(result):
        got, expected = spell_shape(result), f"{product(shape)} elements"
        why = f"Cannot reshape lhs with shape {spell_shape(shape)} to new shape {got}: different size"
        raise refusal(ShapeError, "rhs", got, expected, why, fix="Pass a rhs of as many elements.", verb="gives shape")
    return result


def _range(param: Any, name: str, rank: int) -> tuple[int, int]:
    given = getattr(param, f"{name}_begin"), getattr(param, f"{name}_end")
    begin, end, _ = slice(*given).indices(rank)
    if any(n is not None and not -rank <= n <= rank for n in given) or begin > end:
        why = f"Invalid begin, end, get {name}_begin={given[0]}, {name}_end={given[1]}"
        expected, fix = f"a range of the {rank} axes", "Count axes from 0, or from -1 at the end."
        raise refusal(ShapeError, f"{name}_begin", given[0], expected, why, fix=fix)
    return begin, end


_define(
    "reshape_like",
    _reshape_like,
    {name: Field(OPTIONAL_INT, "None") for name in ("lhs_begin", "lhs_end", "rhs_begin", "rhs_end")},
    ("lhs", "rhs"),
    doc="lhs in the shape of rhs; or with its axes lhs_begin to lhs_end replaced by rhs_begin to rhs_end of rhs.",
)


def _expand_dims(param: Any, shape: Known) -> Known:
    axis = resolve_axis(param.axis, len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _expanded_from(param: Any, result: Known) -> Known:
    axis = resolve_axis(param.axis, len(result))
    return (*result[:axis], *result[axis + 1 :])


_define(
    "expand_dims",
    _expand_dims,
    {"axis": Field(INT, example="0")},
    rule=_rule(_expand_dims, _expanded_from),
    doc="Data with a new axis of size 1 at `axis`.",
)


def _squeeze(param: Any, shape: Known) -> Known:
    if param.axis is None:
        axes = tuple(axis for axis, n in enumerate(shape) if n == 1)
    else:
        axes = resolve_axes(param.axis, len(shape))
    for axis in axes:
        if shape[axis] not in (None, 1):
            why = f"cannot select an axis to squeeze out which has size={shape[axis]} not equal to one"
            raise refusal(ShapeError, "axis", axis, "an axis of size 1", why, fix="Name other axes.")
    result = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    return result if result or not shape else (1,)


def _infer_squeeze(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[Sequence[Shape], Sequence[Shape]]:
    (data,) = ins
    if data is None or (param.axis is None and None in data):  # how many axes go is not known yet
        return ins, outs
    return _rule(_squeeze)(param, ins, outs)


_define(
    "squeeze",
    _squeeze,
    {"axis": Field(AXES, "None")},
    rule=_infer_squeeze,
    doc="Data without the axes of size 1: all, or those named. The last axis that is left always stays.",
)
