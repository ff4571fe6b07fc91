"""Axes in another order, and elements that come again: transpose, SwapAxis, reverse, tile,
repeat, depth_to_space, space_to_depth.

Source: Apache MXNet 1.9.1, src/operator/tensor/matrix_op*, src/operator/swapaxis*. Beyond it: negative axes everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ParamError, ShapeError
from ..axes import Extent, product, resolve_axes, resolve_axis
from ..grammar import INT, OPTIONAL_INT, SHAPE
from ..merge import merge_shape
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, InferShape, Shape, Step
from ..signature import Field
from .rules import define

Known = tuple[Extent, ...]


# ---- the order of axes


def _order(param: Any, rank: int) -> tuple[int, ...]:
    if not param.axes:
        return tuple(reversed(range(rank)))
    order = resolve_axes(param.axes, rank, "axes")
    if len(order) != rank:
        fix = "Name every axis once, or leave axes out to reverse them."
        raise refusal(ShapeError, "axes", param.axes, f"{rank} axes", fix=fix)
    return order


def _swapped(param: Any, rank: int) -> tuple[int, ...]:
    order = list(range(rank))
    a, b = resolve_axis(param.dim1, rank, "dim1"), resolve_axis(param.dim2, rank, "dim2")
    order[a], order[b] = b, a
    return tuple(order)


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _define_order(name: str, order_of: Callable[[Any, int], tuple[int, ...]], **others: Any) -> None:
    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        data, result = ins[0], outs[0]
        if result is not None:
            data = merge_shape("data", data, tuple(result[axis] for axis in _inverse(order_of(param, len(result)))))
        if data is not None:
            result = merge_shape("output", result, tuple(data[axis] for axis in order_of(param, len(data))))
        return [data], [result]

    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        return (arrays[0].transpose(order_of(param, arrays[0].ndim)),)

    def gradient(step: Step[Any]) -> list[Any]:
        rank = step.inputs[0].ndim
        axes = _inverse(order_of(step.param, rank)) if rank else ()
        return [step.call("transpose", step.out_grads[0], axes=axes)]

    define(name, forward, infer_shape=infer, gradient=gradient, **others)


_define_order(
    "transpose", _order, fields={"axes": Field(SHAPE, "()")}, doc="Data with its axes in the order `axes`, or reversed."
)
_define_order(
    "SwapAxis",
    _swapped,
    fields={"dim1": Field(INT, "0"), "dim2": Field(INT, "0")},
    aliases=("swapaxes",),
    doc="Data with two axes exchanged.",
)


# ---- the order along axes


def _reverse(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    return (np.flip(arrays[0], resolve_axes(param.axis or (), arrays[0].ndim)),)


define(
    "reverse",
    _reverse,
    gradient=lambda step: [step.call("reverse", step.out_grads[0], **dict(step.param.attrs))],
    fields={"axis": Field(SHAPE, example="0")},
    aliases=("flip",),
    doc="Data in reversed order along the axes.",
)


# ---- repetition


def _rule(shape_of: Callable[[Any, Known], Known]) -> InferShape:
    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        (data,) = ins
        return [data], list(outs) if data is None else [merge_shape("output", outs[0], shape_of(param, data))]

    return infer


def _times(n: Extent, count: int) -> Extent:
    return product((n, count))


def _tile_grid(param: Any, shape: Known) -> tuple[tuple[int, ...], Known]:
    """How often each axis is repeated, and the axes; the shorter one is filled up with ones in front."""
    reps = param.reps or ()
    if min(reps, default=0) < 0:
        raise refusal(ParamError, "reps", reps, "numbers of 0 and more", fix="Replace the negative entry.")
    spare = len(reps) - len(shape)
    return (1,) * -spare + reps, (1,) * spare + shape


def _tiled(param: Any, shape: Known) -> Known:
    return tuple(_times(n, count) for count, n in zip(*_tile_grid(param, shape), strict=True))


def _tile_gradient(step: Step[Any]) -> list[Any]:
    """The sum over the copies: each axis of the gradient is (copies, size)."""
    reps, shape = _tile_grid(step.param, step.inputs[0].shape)
    codes = [n for pair in zip(reps, shape, strict=True) for n in pair]
    return [_summed(step, codes, tuple(range(0, len(codes), 2)))]


def _summed(step: Step[Any], codes: Sequence[Any], axes: tuple[int, ...]) -> Any:
    if 0 in codes or not axes:
        return step.call("zeros_like", step.inputs[0]) if 0 in codes else step.out_grads[0]
    grid = step.call("Reshape", step.out_grads[0], shape=tuple(codes))
    return step.call("reshape_like", step.call("sum", grid, axis=axes), step.inputs[0])


define(
    "tile",
    lambda param, arrays, call: (np.tile(arrays[0], param.reps or ()),),
    infer_shape=_rule(_tiled),
    gradient=_tile_gradient,
    fields={"reps": Field(SHAPE, example="(2, 2)")},
    doc="Data repeated as a whole, `reps` times along each axis.",
)


def _repeated(param: Any, shape: Known) -> Known:
    if param.axis is None:
        return (_times(product(shape), param.repeats),)
    axis = resolve_axis(param.axis, len(shape))
    return (*shape[:axis], _times(shape[axis], param.repeats), *shape[axis + 1 :])


def _repeat_gradient(step: Step[Any]) -> list[Any]:
    """The sum over the copies: the axis of the gradient is (size, copies)."""
    shape, repeats = step.inputs[0].shape, step.param.repeats
    if step.param.axis is None:
        return [_summed(step, (step.inputs[0].size, repeats), (1,))]
    axis = resolve_axis(step.param.axis, len(shape))
    return [_summed(step, (*shape[: axis + 1], repeats, *shape[axis + 1 :]), (axis + 1,))]


define(
    "repeat",
    lambda param, arrays, call: (np.repeat(arrays[0], param.repeats, param.axis),),
    infer_shape=_rule(_repeated),
    gradient=_repeat_gradient,
    fields={"repeats": Field(INT, least=0, example="2"), "axis": Field(OPTIONAL_INT, "None")},
    doc="Each element of data repeated along the axis, or of data flattened.",
)


# ---- blocks of pixels as channels


def _blocks(shape: Known) -> tuple[Extent, Extent, Extent, Extent]:
    """(N, C, H, W). Raises: ShapeError, for another number of axes."""
    if len(shape) != 4:
        fix = "Reshape it to (batch, channels, height, width)."
        raise refusal(
            ShapeError,
            "data",
            spell_shape(shape),
            "4 axes",
            "Operation requires a 4D tensor",
            fix=fix,
            verb="has shape",
        )
    return shape[0], shape[1], shape[2], shape[3]


def _parted(param: Any, n: Extent, parts: int, what: str) -> Extent:
    """n / parts. Raises: ShapeError, if that is not whole."""
    if n is not None and n % parts:
        expected, fix = f"a multiple of {parts}", "Pass another block_size, or pad the data."
        why = f"block_size={param.block_size}"
        raise refusal(ShapeError, "data", f"{n} of {what}", expected, why, fix=fix, verb="has")
    return None if n is None else n // parts


def _spread_out(param: Any, shape: Known) -> Known:
    (n, c, h, w), b = _blocks(shape), param.block_size
    return (n, _parted(param, c, b * b, "channels"), _times(h, b), _times(w, b))


def _gathered(param: Any, shape: Known) -> Known:
    (n, c, h, w), b = _blocks(shape), param.block_size
    return (n, _times(c, b * b), _parted(param, h, b, "height"), _parted(param, w, b, "width"))


def _depth_to_space(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    (n, c, h, w), b = arrays[0].shape, param.block_size
    grid = arrays[0].reshape(n, b, b, c // (b * b), h, w)
    return (grid.transpose(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b),)


def _space_to_depth(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    (n, c, h, w), b = arrays[0].shape, param.block_size
    grid = arrays[0].reshape(n, c, h // b, b, w // b, b)
    return (grid.transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b),)


_BLOCK = {"block_size": Field(INT, least=1, example="2")}
define(
    "depth_to_space",
    _depth_to_space,
    infer_shape=_rule(_spread_out),
    gradient=lambda step: [step.call("space_to_depth", step.out_grads[0], block_size=step.param.block_size)],
    fields=_BLOCK,
    doc="Channels spread out as blocks of pixels: (N, C, H, W) becomes (N, C/b², H b, W b) with b = block_size.",
)
define(
    "space_to_depth",
    _space_to_depth,
    infer_shape=_rule(_gathered),
    gradient=lambda step: [step.call("depth_to_space", step.out_grads[0], block_size=step.param.block_size)],
    fields=_BLOCK,
    doc="Blocks of pixels gathered into channels: (N, C, H, W) becomes (N, C b², H/b, W/b) with b = block_size.",
)
