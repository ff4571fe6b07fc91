"""Repeating axes of size 1 (broadcast_to, broadcast_axis, broadcast_like), and summing what was repeated (_sum_like).

Each is the other's gradient. Source: Apache MXNet 1.9.1, src/operator/tensor/broadcast_reduce_op_value.cc. Beyond it:
shapes may have fewer axes than those that they are broadcast to, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ParamError, ShapeError
from ...util import is_np_shape
from ..axes import resolve_axes
from ..grammar import AXES, SHAPE
from ..merge import merge_shape, unify_shapes
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, InferShape, Shape, Step
from ..signature import Field
from .rules import define, sum_over, type_of_first, working


def _spread(source: tuple[int | None, ...], target: Sequence[int | None], name: str) -> tuple[int | None, ...]:
    """The target's shape, if the source can be repeated to fill it; what it leaves open is the source's.

    Raises: ShapeError.
    """
    spare = len(target) - len(source)
    pairs = zip((1,) * spare + source, target, strict=False)
    if spare < 0 or any(n not in (None, 1, m) and m is not None for n, m in pairs):
        got, expected = spell_shape(tuple(target)), f"a shape that {spell_shape(source)} can be broadcast to"
        why = f"Array cannot be broadcasted from {spell_shape(source)} to {spell_shape(tuple(target))}"
        raise refusal(ShapeError, name, got, expected, why, fix="Only axes of size 1 can be repeated.")
    return tuple(n if m is None else m for n, m in zip((1,) * spare + source, target, strict=True))


def _to(param: Any, source: tuple[int | None, ...]) -> tuple[int | None, ...]:
    keep = -1 if is_np_shape() else 0
    return _spread(source, [None if n == keep else n for n in param.shape or ()], "shape")


def _along(param: Any, source: tuple[int | None, ...]) -> tuple[int | None, ...]:
    axes, sizes = resolve_axes(param.axis or (), len(source)), param.size or ()
    if len(axes) != len(sizes):
        expected = f"{len(axes)} sizes for axis={param.axis}"
        raise refusal(ParamError, "size", sizes, expected, fix="Give one size for each axis.")
    target = list(source)
    for axis, size in zip(axes, sizes, strict=True):
        if source[axis] not in (None, 1):
            got, why = f"{source[axis]} on axis {axis}", "Broadcasting axis must have size 1"
            raise refusal(ShapeError, "data", got, "size 1", why, fix="Name other axes.", verb="has size")
        target[axis] = size
    return tuple(target)


def _like(param: Any, source: tuple[int | None, ...], other: tuple[int | None, ...]) -> tuple[int | None, ...]:
    if param.lhs_axes is None and param.rhs_axes is None:
        return _spread(source, other, "rhs")
    mine = resolve_axes(param.lhs_axes or (), len(source), "lhs_axes")
    theirs = resolve_axes(param.rhs_axes or (), len(other), "rhs_axes")
    if len(mine) != len(theirs):
        expected = f"{len(mine)} axes for lhs_axes={param.lhs_axes}"
        raise refusal(ParamError, "rhs_axes", param.rhs_axes, expected, fix="Give an axis of rhs for each of lhs.")
    target = list(source)
    for a, b in zip(mine, theirs, strict=True):
        target[a] = other[b]
    return _spread(source, target, "rhs")


def _rule(shape_of: Any) -> InferShape:
    """The output's shape is shape_of(param, *shapes of the inputs), once these are known."""

    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        if any(shape is None for shape in ins):
            return list(ins), list(outs)
        return list(ins), [merge_shape("output", outs[0], shape_of(param, *ins))]

    return infer


def _define(name: str, shape_of: Any, inputs: Sequence[str], fields: dict[str, Field], **others: Any) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        shape = shape_of(param, *(x.shape for x in arrays))
        data = arrays[0]
        return (np.array(np.broadcast_to(data, shape)),)

    def gradient(step: Step[Any]) -> list[Any]:
        return [step.call("_sum_like", step.out_grads[0], step.inputs[0]), *([None] * (len(inputs) - 1))]

    define(
        name,
        forward,
        inputs=inputs,
        fields=fields,
        infer_shape=_rule(shape_of),
        infer_type=type_of_first,
        gradient=gradient,
        **others,
    )


_define(
    "broadcast_to",
    _to,
    ("data",),
    {"shape": Field(SHAPE, "()")},
    doc="Data with axes of size 1 repeated to fill `shape`, where 0 keeps an axis as it is.",
)
_define(
    "broadcast_axis",
    _along,
    ("data",),
    {"axis": Field(SHAPE, "()"), "size": Field(SHAPE, "()")},
    aliases=("broadcast_axes",),
    doc="Data with each of the axes, whose size is 1, repeated `size` times.",
)
_define(
    "broadcast_like",
    _like,
    ("lhs", "rhs"),
    {"lhs_axes": Field(AXES, "None"), "rhs_axes": Field(AXES, "None")},
    doc="lhs with axes of size 1 repeated to fill the shape of rhs, or lhs_axes to fill rhs_axes.",
)


# ---- the other way


def _infer_sum_like(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, like = ins[0], unify_shapes(("like", "output"), (ins[1], outs[0]))
    if data is not None and like is not None:
        _spread(like, data, "data")
    return [data, like], [like]


def _sum_like(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data, shape = arrays[0], arrays[1].shape
    spare = data.ndim - len(shape)
    axes = tuple(axis for axis, n in enumerate((1,) * spare + shape) if n != data.shape[axis])
    total = sum_over(working(data), axes, keepdims=True)
    return (total.reshape(shape).astype(data.dtype, copy=False),)


define(
    "_sum_like",
    _sum_like,
    inputs=("data", "like"),
    infer_shape=_infer_sum_like,
    infer_type=type_of_first,
    gradient=lambda step: [step.call("broadcast_like", step.out_grads[0], step.inputs[0]), None],
    doc="The sum over those axes that `like` was repeated along to give data's shape.",
)
