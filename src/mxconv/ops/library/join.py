"""Several arrays as one, and one as several: Concat, stack, SliceChannel (split), add_n.

Source: Apache MXNet 1.9.1, src/operator/nn/concat.cc, src/operator/slice_channel*, src/operator/tensor/matrix_op*.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..axes import Extent, resolve_axis
from ..grammar import BOOL, INT
from ..merge import merge_shape, unify_shapes
from ..refusal import refusal
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, working

COUNT = Field(INT, least=1, example="2")


def counted(param: Any) -> tuple[str, ...]:
    """arg0, arg1, ...: num_args of them."""
    return tuple(f"arg{i}" for i in range(param.num_args))


# ---- Concat


def _infer_concat(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    """The other axes are those of all; of the sizes along `dim`, the last one that is unknown follows."""
    shapes = [*ins, *outs]
    some = next((shape for shape in shapes if shape is not None), None)
    if some is None:
        return list(ins), list(outs)
    axis = resolve_axis(param.dim, len(some), "dim")
    names = (*counted(param), "output")
    others = unify_shapes(names, [_without(shape, axis) for shape in shapes]) or ()
    rest: list[Extent] = [None if shape is None else shape[axis] for shape in shapes]
    *parts, total = rest
    known = sum(n for n in parts if n is not None)
    if None not in parts:
        (merged,) = merge_shape("output", (total,), (known,), because="the sizes along dim add up to that")
        rest = [*parts, merged]
    elif parts.count(None) == 1 and total is not None and total >= known:
        rest = [total - known if n is None else n for n in rest]
    completed = [(*others[:axis], n, *others[axis:]) for n in rest]
    return [*completed[:-1]], [completed[-1]]


def _without(shape: Shape, axis: int) -> Shape:
    return None if shape is None else (*shape[:axis], *shape[axis + 1 :])


def _concat(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    return (np.concatenate(arrays, axis=resolve_axis(param.dim, arrays[0].ndim, "dim")),)


def _concat_gradient(step: Step[Any]) -> list[Any]:
    axis = resolve_axis(step.param.dim, step.inputs[0].ndim, "dim")
    gradients, begin = [], 0
    for one, wanted in zip(step.inputs, step.wanted, strict=True):
        end = begin + one.shape[axis]
        part = {"axis": axis, "begin": begin, "end": end}
        gradients.append(step.call("slice_axis", step.out_grads[0], **part) if wanted else None)
        begin = end
    return gradients


define(
    "Concat",
    _concat,
    inputs=counted,
    infer_shape=_infer_concat,
    gradient=_concat_gradient,
    fields={"num_args": COUNT, "dim": Field(INT, "1")},
    aliases=("concat",),
    variadic="num_args",
    doc="The arrays joined along the existing axis `dim`.",
)


# ---- stack


def _infer_stack(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    (result,) = outs
    part: Shape = None
    if result is not None:
        part = _without(result, resolve_axis(param.axis, len(result)))
    part = unify_shapes((*counted(param), "output"), (*ins, part))
    if part is None:
        return list(ins), list(outs)
    axis = resolve_axis(param.axis, len(part) + 1)
    return [part] * len(ins), [merge_shape("output", result, (*part[:axis], len(ins), *part[axis:]))]


def _stack_gradient(step: Step[Any]) -> list[Any]:
    attributes = {"num_outputs": step.param.num_args, "axis": step.param.axis, "squeeze_axis": True}
    return [*step.invoke("SliceChannel", [step.out_grads[0]], attributes)]


define(
    "stack",
    lambda param, arrays, call: (np.stack(arrays, param.axis),),
    inputs=counted,
    infer_shape=_infer_stack,
    gradient=_stack_gradient,
    fields={"axis": Field(INT, "0"), "num_args": COUNT},
    variadic="num_args",
    doc="The arrays joined along a new axis.",
)


# ---- SliceChannel


def _parts(param: Any) -> tuple[str, ...]:
    return tuple(f"output{i}" for i in range(param.num_outputs))


def _infer_split(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    (data,), count = ins, param.num_outputs
    part = unify_shapes(_parts(param), outs)
    if part is not None:
        axis = resolve_axis(param.axis, len(part) + param.squeeze_axis)
        extent = count if param.squeeze_axis else None if part[axis] is None else part[axis] * count
        rest = part[axis:] if param.squeeze_axis else part[axis + 1 :]
        data = merge_shape("data", data, (*part[:axis], extent, *rest))
    if data is None:
        return [data], list(outs)
    axis = resolve_axis(param.axis, len(data))
    n = data[axis]
    if n is not None and (n != count if param.squeeze_axis else n % count):
        expected = f"{count} on axis {axis}" if param.squeeze_axis else f"a multiple of num_outputs={count}"
        why = f"You are trying to split axis {axis}, of size {n}, into num_outputs={count} evenly sized chunks"
        if param.squeeze_axis:
            why = "If squeeze axis is True, the size of the sliced axis must be the same as num_outputs"
        fix = f"Pass a num_outputs that {'is' if param.squeeze_axis else 'divides'} {n}."
        raise refusal(ShapeError, "data", f"{n} on axis {axis}", expected, why, fix=fix, verb="has size")
    sizes: tuple[Extent, ...] = () if param.squeeze_axis else (None if n is None else n // count,)
    result = (*data[:axis], *sizes, *data[axis + 1 :])
    return [data], [merge_shape(name, part, result) for name in _parts(param)]


def _split(param: Any, arrays: Sequence[Array], call: Call) -> list[Array]:
    parts = np.split(arrays[0], param.num_outputs, param.axis)
    return [part.squeeze(param.axis) for part in parts] if param.squeeze_axis else parts


def _split_gradient(step: Step[Any]) -> list[Any]:
    if step.param.squeeze_axis:
        return [step.call("stack", *step.out_grads, num_args=step.param.num_outputs, axis=step.param.axis)]
    return [step.call("Concat", *step.out_grads, num_args=step.param.num_outputs, dim=step.param.axis)]


define(
    "SliceChannel",
    _split,
    output_names=_parts,
    infer_shape=_infer_split,
    gradient=_split_gradient,
    fields={
        "num_outputs": Field(INT, least=1, example="2"),
        "axis": Field(INT, "1"),
        "squeeze_axis": Field(BOOL, "0"),
    },
    aliases=("split",),
    doc="num_outputs equal parts of data along the axis; with squeeze_axis they lose it, and it must have that size.",
)


# ---- add_n


def _add_n(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    total = reduce(np.add, [working(x) for x in arrays])
    return (rounded(total, arrays[0].dtype),)


define(
    "add_n",
    _add_n,
    inputs=counted,
    gradient=lambda step: [step.out_grads[0] if wanted else None for wanted in step.wanted],
    fields={"num_args": COUNT},
    aliases=("ElementWiseSum",),
    variadic="num_args",
    doc="The sum of the arrays, which have one shape.",
)
