"""Reductions over axes: sum, mean, prod, max, min, norm, argmax, argmin.

The result has data's type. Without axes everything is reduced; what is reduced to a single number has shape (1,), as
in MXNet. Sums of 16-bit floats are accumulated in float32 and rounded once. Integers are exact modulo 2**bits; their
means and norms are cut towards zero. Where several elements are the largest, each gets the whole gradient of `max`.

Source: Apache MXNet 1.9.1, src/operator/tensor/broadcast_reduce*_op*.cc. Differs: the gradient of a product is exact
where a factor is 0; a position that the type cannot hold is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...errors import DTypeError, ParamError, ShapeError
from ..axes import resolve_axes
from ..grammar import AXES, BOOL, INT, OPTIONAL_INT, dtype_word
from ..merge import merge_shape, unify_types
from ..refusal import refusal
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, sum_over, type_of_first, working
from .terms import Term
from .unary import flat

Function: TypeAlias = Callable[..., Any]
"""function(param, x, axis=axes, keepdims=...) -> array, otherwise as NumPy's reductions."""
Formula: TypeAlias = Callable[[Term, Term, Callable[[], Term], int, Any], Term]
"""formula(d, x, y, n, param), with d and y() spread over the n elements that were reduced to one."""


def reduced_axes(param: Any, rank: int) -> tuple[int, ...]:
    """The axes that the parameters name; all of them for axis=None and axis=()."""
    axis = (param.axis,) if isinstance(param.axis, int) else param.axis
    axes = resolve_axes(axis or (), rank)
    if getattr(param, "exclude", False):
        return tuple(one for one in range(rank) if one not in axes)
    return tuple(sorted(axes)) or tuple(range(rank))


def _infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    (data,) = ins
    if data is None:
        return [data], list(outs)
    axes = reduced_axes(param, len(data))
    if param.keepdims:
        result = tuple(1 if axis in axes else n for axis, n in enumerate(data))
    else:
        result = tuple(n for axis, n in enumerate(data) if axis not in axes) or (1,)
    return [data], [merge_shape("output", outs[0], result)]


def _reduced(param: Any, data: Array, function: Function, axes: Any) -> Array:
    try:
        result = np.asarray(function(param, data, axis=axes, keepdims=param.keepdims))
    except ValueError:  # NumPy's way to say that there is nothing to choose from
        expected, fix = "at least one element to reduce", "Check the array's size first."
        raise refusal(ShapeError, "data", data.shape, expected, fix=fix, verb="has shape") from None
    return result if result.ndim else result.reshape(1)


def _plain(function: Callable[..., Any]) -> Function:
    return lambda param, x, **options: function(x, **options)


def _spread(step: Step[Any], reduced: Any) -> Any:
    """Something of the result's shape, repeated over the elements that were reduced."""
    data = step.inputs[0]
    axes = reduced_axes(step.param, data.ndim)
    if not step.param.keepdims and len(axes) < data.ndim:
        for axis in axes:
            reduced = step.call("expand_dims", reduced, axis=axis)
    return step.call("broadcast_like", reduced, data)


def _define(name: str, function: Function, formula: Formula, *, real: bool = False, **others: Any) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        data = arrays[0]
        dtype = getattr(param, "out_dtype", None) or data.dtype
        result = _reduced(param, working(data, real=real), function, reduced_axes(param, data.ndim))
        return (rounded(result, dtype),)

    def gradient(step: Step[Any]) -> list[Any]:
        data, result = step.inputs[0], step.outputs[0]
        d, x = Term(step, _spread(step, step.out_grads[0])), Term(step, data)
        count = data.size // max(result.size, 1)
        return [formula(d, x, lambda: Term(step, _spread(step, result)), count, step.param).value]

    fields = {"axis": Field(AXES, "None"), "keepdims": Field(BOOL, "0"), "exclude": Field(BOOL, "0")}
    define(name, forward, gradient=gradient, **{"fields": fields, "infer_shape": _infer, **others})


_define("sum", _plain(sum_over), lambda d, x, y, n, param: d, aliases=("sum_axis",), doc="The sum over the axes.")


def _mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return sum_over(x, axis, keepdims) / np.prod([x.shape[one] for one in axis], dtype=x.dtype)


_define("mean", _plain(_mean), lambda d, x, y, n, param: d / n, real=True, doc="The mean over the axes.")
_define(
    "max",
    _plain(np.max),
    lambda d, x, y, n, param: d * x.broadcast_equal(y()),
    aliases=("max_axis",),
    doc="The largest element over the axes.",
)
_define(
    "min",
    _plain(np.min),
    lambda d, x, y, n, param: d * x.broadcast_equal(y()),
    aliases=("min_axis",),
    doc="The smallest element over the axes.",
)
_define(
    "prod",
    _plain(np.prod),
    lambda d, x, y, n, param: d * x.call("_other_factors", **dict(param.attrs)),
    doc="The product over the axes.",
)


def _other_factors(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    data = arrays[0]
    axes = reduced_axes(param, data.ndim)
    kept = [axis for axis in range(data.ndim) if axis not in axes]
    moved = working(data).transpose(*kept, *axes)
    rows = moved.reshape(*(data.shape[axis] for axis in kept), -1) if data.size else moved
    ones = np.ones_like(rows[..., :1])
    before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), -1, dtype=rows.dtype)
    after = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], -1), -1, dtype=rows.dtype)[..., ::-1]
    others = (before * after).reshape(moved.shape).transpose(np.argsort((*kept, *axes)))
    return (others.astype(data.dtype),)


def _other_factors_gradient(step: Step[Any]) -> list[Any]:
    """The derivative for x_j of the product of all but x_i is that of all but x_i and x_j: n*n of them for each row."""
    data = step.inputs[0]
    axes = reduced_axes(step.param, data.ndim)
    order = (*(axis for axis in range(data.ndim) if axis not in axes), *axes)
    n = math.prod(data.shape[axis] for axis in axes)
    if not data.size:
        return [None]

    def rows(x: Any) -> Term:
        return Term(step, x).transpose(axes=order).Reshape(shape=(-1, n))

    (numbers,) = step.invoke("_arange", [], {"start": n})
    same = Term(step, numbers).one_hot(depth=n, dtype=data.dtype)
    factors = rows(data).expand_dims(axis=1) * (1 - same) + same  # row i has 1 in the place of x_i
    products = factors.call("_other_factors", axis=-1) * (1 - same)
    moved = (products * rows(step.out_grads[0]).expand_dims(axis=2)).sum(axis=1)
    back = moved.Reshape(shape=tuple(data.shape[axis] for axis in order))
    return [back.transpose(axes=tuple(order.index(axis) for axis in range(data.ndim))).value]


define(
    "_other_factors",
    _other_factors,
    gradient=_other_factors_gradient,
    fields={"axis": Field(AXES, "None"), "keepdims": Field(BOOL, "0"), "exclude": Field(BOOL, "0")},
    doc="For each element the product of those that are reduced with it: the derivative of prod.",
)


# ---- norm


def _norm(param: Any, x: Array, **options: Any) -> Any:
    size = np.abs(x)
    return size.sum(**options) if param.ord == 1 else np.sqrt((size * size).sum(**options))


def _infer_norm(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    if param.ord not in (1, 2):
        why, fix = "norm only supports ord=1 and ord=2", "Compute it with NumPy: np.linalg.norm(x.asnumpy(), ...)."
        raise refusal(ParamError, "ord", param.ord, "1 or 2", why, fix=fix)
    return _infer(param, ins, outs)


def _infer_norm_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    if param.out_dtype is None:
        return type_of_first(param, ins, outs)
    return list(ins), [unify_types(("out_dtype", "output"), (param.out_dtype, outs[0]))]


_define(
    "norm",
    _norm,
    lambda d, x, y, n, param: d * x.sign() if param.ord == 1 else d * x / y(),
    real=True,
    fields={
        "ord": Field(INT, "2"),
        "axis": Field(AXES, "None"),
        "out_dtype": Field(dtype_word(None), "None"),
        "keepdims": Field(BOOL, "0"),
    },
    infer_shape=_infer_norm,
    infer_type=_infer_norm_type,
    doc="The 2-norm (or with ord=1 the sum of magnitudes) over the axes, taken as one vector.",
)


# ---- positions


def _define_position(name: str, function: Callable[..., Any], doc: str) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        data = arrays[0]
        axes = reduced_axes(param, data.ndim)
        position = _reduced(param, working(data), _plain(function), None if param.axis is None else axes[0])
        result = position.astype(data.dtype)
        if np.any(result.astype(np.complex128) != position):
            expected, fix = "a type that holds the position exactly", "Convert first, such as with .astype('float64')."
            why = f"a position is too large for {data.dtype}, in which {name} answers"
            raise refusal(DTypeError, "data", data.dtype, expected, why, fix=fix, verb="has dtype")
        return (result,)

    fields = {"axis": Field(OPTIONAL_INT, "None"), "keepdims": Field(BOOL, "0")}
    define(name, forward, infer_shape=_infer, gradient=flat, fields=fields, doc=doc)


_define_position("argmax", np.argmax, "The position of the first largest element along the axis, in data's type.")
_define_position("argmin", np.argmin, "The position of the first smallest element along the axis, in data's type.")
