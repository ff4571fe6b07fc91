"""Elements chosen by other arrays: take, Embedding, pick, one_hot, where.

Indices may be of any real type, fractions are cut off. Beyond the ends 'clip' takes the last element, 'wrap' counts
on from the other end, and 'raise' is an IndexError.

Source: Apache MXNet 1.9.1, src/operator/tensor/indexing_op*, src/operator/tensor/control_flow_op*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..axes import resolve_axis
from ..casts import cast_array, cast_scalar
from ..grammar import BOOL, INT, OPTIONAL_INT, SCALAR, SHAPE, dtype_word, word
from ..merge import merge_shape, unify_shapes, unify_types
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Forward, Shape, Step
from ..signature import Field
from .rules import define, each, type_of_first, working


def _positions(indices: Array, size: int, mode: str) -> Array:
    """Whole numbers from 0 to size - 1."""
    whole = cast_array(indices, np.dtype(np.int64))
    if whole.size and not size:
        raise IndexError("there is nothing to take from an axis of size 0, expected one element at least")
    if mode == "wrap":
        return whole % size
    if mode == "raise" and np.any((whole < 0) | (whole >= size)):
        raise IndexError(f"take operator contains indices out of bound, expected 0 to {size - 1}; or pass mode='clip'")
    return np.clip(whole, 0, size - 1)


# ---- take


def _taken(param: Any, shape: tuple[int | None, ...], indices: tuple[int | None, ...]) -> tuple[int | None, ...]:
    axis = resolve_axis(param.axis, len(shape))
    return (*shape[:axis], *indices, *shape[axis + 1 :])


def _infer_take(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, indices = ins
    if data is None or indices is None:
        return list(ins), list(outs)
    return list(ins), [merge_shape("output", outs[0], _taken(param, data, indices))]


def _take(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data, indices = arrays
    axis = resolve_axis(param.axis, data.ndim)
    return (np.take(data, _positions(indices, data.shape[axis], param.mode), axis),)


def _take_back(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    grad, indices = arrays
    axis = resolve_axis(param.axis, len(param.shape))
    result = np.zeros(param.shape, working(grad).dtype)
    places: tuple[Any, ...] = (*[slice(None)] * axis, _positions(indices, param.shape[axis], param.mode))
    np.add.at(result, places, working(grad))
    return (cast_array(result, grad.dtype),)


def _infer_back(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    return list(ins), [merge_shape("output", outs[0], param.shape)]


def _define_pair(
    op: str,
    choose: Forward,
    put: Forward,
    *,
    inputs: tuple[str, str],
    fields: Mapping[str, Field],
    **others: Any,
) -> None:
    """Register op and `_backward_op`, its gradient for data, told its shape, whose own gradient is op."""

    def gradient(step: Step[Any]) -> list[Any]:
        attributes = {**dict(step.param.attrs), "shape": step.inputs[0].shape}
        return [step.call(f"_backward_{op}", step.out_grads[0], step.inputs[1], **attributes), None]

    def back_gradient(step: Step[Any]) -> list[Any]:
        attributes = {name: text for name, text in step.param.attrs if name != "shape"}
        return [step.call(op, step.out_grads[0], step.inputs[1], **attributes), None]

    define(op, choose, inputs=inputs, infer_type=type_of_first, gradient=gradient, fields=fields, **others)
    define(
        f"_backward_{op}",
        put,
        inputs=("grad", inputs[1]),
        infer_shape=_infer_back,
        infer_type=type_of_first,
        gradient=back_gradient,
        fields={**fields, "shape": Field(SHAPE)},
        doc="Zeros of the shape, with grad added at the indices.",
    )


_define_pair(
    "take",
    _take,
    _take_back,
    inputs=("a", "indices"),
    infer_shape=_infer_take,
    fields={"axis": Field(INT, "0"), "mode": Field(word("clip", "raise", "wrap"), "clip")},
    doc="The elements of a at the indices along the axis, which the axes of the indices replace.",
)


# ---- Embedding


def _infer_embedding(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, weight = ins
    weight = merge_shape("weight", weight, (param.input_dim, param.output_dim), "(input_dim, output_dim)")
    if data is None:
        return [data, weight], list(outs)
    return [data, weight], [merge_shape("output", outs[0], (*data, param.output_dim))]


def _infer_embedding_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    dtype = unify_types(("weight", "output"), (ins[1], outs[0])) or param.dtype.type
    return [ins[0], dtype], [dtype]


def _embedding_gradient(step: Step[Any]) -> list[Any]:
    data, weight = step.inputs
    return each(step, lambda: None, lambda: step.call("_backward_take", step.out_grads[0], data, shape=weight.shape))


define(
    "Embedding",
    lambda param, arrays, call: (arrays[1][_positions(arrays[0], param.input_dim, "clip")],),
    inputs=("data", "weight"),
    infer_shape=_infer_embedding,
    infer_type=_infer_embedding_type,
    gradient=_embedding_gradient,
    fields={
        "input_dim": Field(INT, least=1, example="100"),
        "output_dim": Field(INT, least=1, example="16"),
        "dtype": Field(dtype_word(), "float32"),
        "sparse_grad": Field(BOOL, "0"),
    },
    doc="For each number in data that row of weight, which has input_dim rows of output_dim.",
)


# ---- pick


def _infer_pick(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    data, index = ins
    if data is None:
        return list(ins), list(outs)
    axis = None if param.axis is None else resolve_axis(param.axis, len(data))
    kept = tuple(1 if axis in (None, place) else n for place, n in enumerate(data))
    short = tuple(n for place, n in enumerate(data) if axis not in (None, place)) or (1,)
    if index is None or len(index) != len(kept):
        index = merge_shape("index", index, short)
    else:
        index = merge_shape("index", index, kept)
    return [data, index], [merge_shape("output", outs[0], kept if param.keepdims else short)]


def _picked(param: Any, data: Array, index: Array) -> tuple[Array, Array, int]:
    """Data, positions with as many axes and size 1 along the axis, and the axis."""
    axis = 0 if param.axis is None else resolve_axis(param.axis, data.ndim)
    if param.axis is None:
        data = data.reshape(-1)
    places = _positions(index, data.shape[axis], param.mode)
    return data, places.reshape(*data.shape[:axis], 1, *data.shape[axis + 1 :]), axis


def _pick(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data, places, axis = _picked(param, *arrays)
    _, (shape,) = _infer_pick(param, [x.shape for x in arrays], [None])
    return (np.take_along_axis(data, places, axis).reshape([n or 0 for n in shape or ()]),)


def _pick_back(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    result = np.zeros(param.shape, arrays[0].dtype)
    view, places, axis = _picked(param, result, arrays[1])
    np.put_along_axis(view, places, arrays[0].reshape(places.shape), axis)
    return (result,)


_define_pair(
    "pick",
    _pick,
    _pick_back,
    inputs=("data", "index"),
    infer_shape=_infer_pick,
    fields={
        "axis": Field(OPTIONAL_INT, "-1"),
        "keepdims": Field(BOOL, "0"),
        "mode": Field(word("clip", "wrap"), "clip"),
    },
    aliases=("choose_element_0index",),
    doc="One element of data along the axis for each index.",
)


# ---- one_hot


def _infer_one_hot(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    (indices,) = ins
    return [indices], list(outs) if indices is None else [merge_shape("output", outs[0], (*indices, param.depth))]


def _one_hot(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    on, off = (cast_scalar(value, param.dtype) for value in (param.on_value, param.off_value))
    places = cast_array(arrays[0], np.dtype(np.int64))[..., None]
    return (np.where(places == np.arange(param.depth), on, off),)


define(
    "one_hot",
    _one_hot,
    inputs=("indices",),
    infer_shape=_infer_one_hot,
    infer_type=lambda param, ins, outs: (ins, [unify_types(("dtype", "output"), (param.dtype, outs[0]))]),
    gradient=lambda step: [None],
    fields={
        "depth": Field(INT, least=1, example="10"),
        "on_value": Field(SCALAR, "1"),
        "off_value": Field(SCALAR, "0"),
        "dtype": Field(dtype_word(), "float32"),
    },
    doc="A new last axis of size depth, with on_value at the index and off_value elsewhere.",
)


# ---- where


def _infer_where(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    condition = ins[0]
    shape = unify_shapes(("x", "y", "output"), (*ins[1:], *outs))
    if condition is not None and len(condition) != 1 and shape is None:
        shape = condition
    if condition is not None and shape is not None:
        if len(condition) == len(shape):
            condition = shape = merge_shape("condition", condition, shape)
        elif len(condition) != 1 or condition[0] not in (None, *shape[:1]):
            expected, fix = f"{spell_shape(shape)} or {spell_shape(shape[:1])}", "Reshape the condition."
            raise refusal(ShapeError, "condition", spell_shape(condition), expected, fix=fix, verb="has shape")
    return [condition, shape, shape], [shape]


def _infer_where_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    dtype = unify_types(("x", "y", "output"), (*ins[1:], *outs))
    return [ins[0], dtype, dtype], [dtype]


def _where(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    condition, x, y = arrays
    return (np.where(condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim)), x, y),)


def _where_gradient(step: Step[Any]) -> list[Any]:
    condition, d = step.inputs[0], step.out_grads[0]
    nothing = step.call("zeros_like", d)
    return each(
        step,
        lambda: None,
        lambda: step.call("where", condition, d, nothing),
        lambda: step.call("where", condition, nothing, d),
    )


define(
    "where",
    _where,
    inputs=("condition", "x", "y"),
    infer_shape=_infer_where,
    infer_type=_infer_where_type,
    gradient=_where_gradient,
    doc="x where the condition is not 0, else y; a condition with one axis chooses along the first axis.",
)
