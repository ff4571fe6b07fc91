"""Products of matrices: dot and batch_dot.

Source: Apache MXNet 1.9.1, src/operator/tensor/dot*. Beyond it: 16-bit floats (summed in float32) and integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import DTypeError, ShapeError
from ..axes import Extent
from ..grammar import BOOL, word
from ..merge import merge_shape
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, each, rounded, working

Known = tuple[Extent, ...]
PAIR = ("lhs", "rhs")
FIELDS = {
    "transpose_a": Field(BOOL, "0"),
    "transpose_b": Field(BOOL, "0"),
    "forward_stype": Field(word(None, "csr", "default", "row_sparse"), "None"),
}


def _misfit(name: str, got: Known, expected: str, why: str) -> ShapeError:
    fix = "Transpose or reshape one of them."
    return refusal(ShapeError, name, spell_shape(got), expected, why, fix=fix, verb="has shape")


def _sums(lhs: Array, rhs: Array) -> tuple[Array, Array]:
    if lhs.dtype == np.bool_:
        fix = "Convert them, for example with .astype('float32')."
        raise refusal(DTypeError, "lhs", "bool", "one number type", fix=fix, verb="has dtype")
    return working(lhs), working(rhs)


def _factors(step: Step[Any], op: str, a: Any, b: Any, d: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The gradients for a (m, n) and b (n, k) of their product: d b' and a' d, or where transposed b d' and d' a."""
    ta, tb = step.param.transpose_a, step.param.transpose_b

    def left() -> Any:
        if ta:
            return step.call(op, b, d, transpose_a=tb, transpose_b=True)
        return step.call(op, d, b, transpose_b=not tb)

    def right() -> Any:
        if tb:
            return step.call(op, d, a, transpose_a=True, transpose_b=ta)
        return step.call(op, a, d, transpose_a=not ta)

    return left, right


# ---- dot


def _dot_axes(param: Any, lhs: int, rhs: int) -> tuple[int, int]:
    """Which axis of each is summed over: lhs's last and rhs's first, the other way round if transposed."""
    return (0 if param.transpose_a else lhs - 1), (rhs - 1 if param.transpose_b else 0)


def _without(shape: Known, axis: int) -> Known:
    return (*shape[:axis], *shape[axis + 1 :])


def _infer_dot(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    lhs, rhs = ins
    if lhs is None or rhs is None:
        return list(ins), list(outs)
    for name, shape in zip(PAIR, (lhs, rhs), strict=True):
        if not shape:
            raise _misfit(name, shape, "at least one axis", "a scalar has no axis to sum over")
    a, b = _dot_axes(param, len(lhs), len(rhs))
    n = lhs[a] if rhs[b] is None else rhs[b]
    if lhs[a] not in (None, n):
        expected = f"{lhs[a]} on axis {b}, to fit lhs of shape {spell_shape(lhs)}"
        raise _misfit("rhs", rhs, expected, f"dot shape error: {spell_shape(lhs)} X {spell_shape(rhs)}")
    result = (*_without(lhs, a), *_without(rhs, b)) or (1,)
    completed = [(*lhs[:a], n, *lhs[a + 1 :]), (*rhs[:b], n, *rhs[b + 1 :])]
    return [*completed], [merge_shape("output", outs[0], result)]


def _dot(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    lhs, rhs = _sums(*arrays)
    result = np.tensordot(lhs, rhs, _dot_axes(param, lhs.ndim, rhs.ndim))
    return (rounded(result if result.ndim else result.reshape(1), arrays[0].dtype),)


def _dot_gradient(step: Step[Any]) -> list[Any]:
    """As of matrices: the axes that are not summed over count as one."""
    lhs, rhs = step.inputs
    ta, tb = step.param.transpose_a, step.param.transpose_b

    def as_matrix(x: Any, *, first: bool) -> Any:
        """x with its axes but the first, or but the last one, as one."""
        return step.call("Reshape", x, shape=(0, -1) if first else (-1, 0), reverse=not first)

    a, b = as_matrix(lhs, first=ta), as_matrix(rhs, first=not tb)
    shape = (a.shape[1 if ta else 0], b.shape[0 if tb else 1])
    if 0 in (*a.shape, *b.shape):
        return [step.call("zeros_like", x) for x in (lhs, rhs)]
    d = step.call("Reshape", step.out_grads[0], shape=shape)
    left, right = _factors(step, "dot", a, b, d)
    return each(step, lambda: step.call("reshape_like", left(), lhs), lambda: step.call("reshape_like", right(), rhs))


define(
    "dot",
    _dot,
    inputs=PAIR,
    infer_shape=_infer_dot,
    gradient=_dot_gradient,
    fields=FIELDS,
    doc="The sum of products over lhs's last axis (its first with transpose_a) and rhs's first (its last with "
    "transpose_b); of shape (1,) for two vectors.",
)


# ---- batch_dot


def _infer_batch_dot(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    lhs, rhs = ins
    for name, shape in zip(PAIR, ins, strict=True):
        if shape is not None and len(shape) < 3:
            raise _misfit(name, shape, "at least 3 axes", "batch_dot multiplies arrays of matrices")
    if lhs is None or rhs is None:
        return list(ins), list(outs)
    why = f"batch_dot shape error: {spell_shape(lhs)} X {spell_shape(rhs)}"
    if len(lhs) != len(rhs):
        raise _misfit("rhs", rhs, f"{len(lhs)} axes", why)
    m, n = (lhs[-1], lhs[-2]) if param.transpose_a else lhs[-2:]
    other, k = (rhs[-1], rhs[-2]) if param.transpose_b else rhs[-2:]
    batch = merge_shape("rhs", (*rhs[:-2], other), (*lhs[:-2], n), because=why)
    *batch_sizes, n = batch
    matrices = [(n, m) if param.transpose_a else (m, n), (k, n) if param.transpose_b else (n, k)]
    return [(*batch_sizes, *one) for one in matrices], [merge_shape("output", outs[0], (*batch_sizes, m, k))]


def _batch_dot(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
    lhs, rhs = _sums(*arrays)
    a = lhs.swapaxes(-1, -2) if param.transpose_a else lhs
    b = rhs.swapaxes(-1, -2) if param.transpose_b else rhs
    return (rounded(np.matmul(a, b), arrays[0].dtype),)


def _batch_dot_gradient(step: Step[Any]) -> list[Any]:
    lhs, rhs = step.inputs
    return each(step, *_factors(step, "batch_dot", lhs, rhs, step.out_grads[0]))


define(
    "batch_dot",
    _batch_dot,
    inputs=PAIR,
    infer_shape=_infer_batch_dot,
    gradient=_batch_dot_gradient,
    fields=FIELDS,
    doc="The products of matrices, one for each index of the leading axes.",
)
