"""Pooling: the maximum, mean, sum or p-norm of windows that slide over the spatial axes, however many there are.

On an axis of i samples, with pad p on both ends, a window begins at o*stride - p for each o below
    valid   floor((i + 2p - kernel) / stride) + 1
    full    ceil((i + 2p - kernel) / stride) + 1             the last window may hang over the end
    same    ceil((i + 2p) / stride)
and ends kernel samples later, at i + p at the latest. Samples of the pads never count, but avg divides by the extent
of the window within data and pads, unless count_include_pad is False. A window without any sample gives 0; there is
no maximum then, and max is refused. `lp` is (sum of x**p)**(1/p), which is the norm for x >= 0. global_pool takes all.

Pooling_v1 differs: its pads are samples, zeros, for max as well; avg divides by the whole kernel; and the gradient of
max goes to every sample that equals it, where Pooling's goes to the first.

Shapes:  data (N, C, *spatial), result (N, C, *out); layouts as in mxconv.ops.layouts.
Dtypes:  as plain operators; means and norms of integers are cut towards zero.
Raises:  ParamError, ShapeError.
Source:  Apache MXNet 1.9.1, src/operator/nn/pooling.cc and pooling_v1-inl.h. Beyond it: four and more spatial axes,
         pads as large as the kernel, integers, `same` for every rank, batch and channels of a known output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ParamError, ShapeError
from ..grammar import BOOL, LAYOUT, OPTIONAL_BOOL, OPTIONAL_INT, SHAPE, word
from ..layouts import resolve_layout
from ..merge import merge_shape
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, rounded, working
from .terms import Term
from .windows import Windows, fold, pick, spread, spread_to_maxima

Shapes = tuple[list[Shape], list[Shape]]


# ---- shape rule


def _per_axis(param: Any, name: str, usual: int, least: int) -> tuple[int, ...]:
    """One entry of a parameter for each entry of the kernel."""
    entries: tuple[int, ...] = getattr(param, name) or (usual,) * len(param.kernel)
    if len(entries) != len(param.kernel):
        why = f"{name} and kernel should have the same length, and kernel is {param.kernel}"
        fix = f"Give one entry for each spatial axis, or leave {name} out."
        raise refusal(ParamError, name, entries, f"{len(param.kernel)} entries", why, fix=fix)
    if min(entries) < least:
        why = f"value {entries} for Parameter {name} is invalid, must be nonzero in all dimensions"
        raise refusal(ParamError, name, entries, f"{least} or more on every axis", why, fix="Replace that entry.")
    return entries


def _check_parameters(param: Any) -> None:
    if param.pool_type == "lp" and param.p_value is None:
        raise refusal(ParamError, "p_value", None, "a number", "lp needs one", fix="Pass p_value=2.")
    if param.global_pool:
        return
    if not param.kernel:
        got, why = param.kernel, "0D pooling not supported"
        fix = "Pass kernel=(2, 2) for 2-D data, or global_pool=True."
        raise refusal(ParamError, "kernel", got, "one entry for each spatial axis", why, fix=fix)
    for name, usual, least in (("kernel", 1, 1), ("stride", 1, 1), ("pad", 0, 0)):
        _per_axis(param, name, usual, least)


def _windows(param: Any, place: int, axis: int, size: int, is_old: bool) -> Windows:
    """The windows on a spatial axis of that size."""
    if param.global_pool:
        return Windows(axis, size, 1, 0, 1)
    kernel = param.kernel[place]
    stride, pad = _per_axis(param, "stride", 1, 1)[place], _per_axis(param, "pad", 0, 0)[place]
    padded = size + 2 * pad
    if kernel > padded:
        why = f"kernel size ({kernel}) exceeds input ({size} padded to {padded}) on spatial axis {place}"
        fix = "Use a smaller kernel, more pad, or larger data."
        raise refusal(ShapeError, "kernel", param.kernel, f"{padded} at most", why, fix=fix)
    count = (padded - kernel) // stride + 1
    if param.pooling_convention == "full":
        count = -((kernel - padded) // stride) + 1
    elif param.pooling_convention == "same":
        count = -(-padded // stride)
    windows = Windows(axis, kernel, stride, pad, count)
    first, last = (kernel, (count - 1) * stride) if is_old else (kernel - pad, (count - 1) * stride - pad)
    if param.pool_type == "max" and (first <= 0 or last >= (padded if is_old else size)):
        got, expected = f"a window without samples on spatial axis {place}", "one sample at least in each"
        why = f"there is no maximum: {size} samples, kernel {kernel}, stride {stride}, pad {pad}"
        fix = "Use a pad smaller than the kernel, a stride no larger than the kernel, or pooling_convention='valid'."
        raise refusal(ShapeError, "pad", got, expected, why, fix=fix, verb="gives")
    return windows


def _spatial_axes(param: Any, rank: int) -> Sequence[int]:
    """Which axes of data are spatial, in order."""
    layout = resolve_layout(getattr(param, "layout", None), (1,) * (rank - 2))
    return layout.to_logical(range(rank))[2:]


@dataclass(frozen=True, slots=True)
class Pool:
    """One of the two operators; `is_old`: Pooling_v1."""

    name: str
    is_old: bool

    def infer_shape(self, param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
        _check_parameters(param)
        (data,), (output,) = ins, outs
        if data is None:
            return [None], [output]
        rank = len(data)
        if rank < 3 or (not param.global_pool and rank != len(param.kernel) + 2):
            fix = "Reshape data, or give kernel one entry for each of its spatial axes."
            axes = "3 axes or more" if param.global_pool else f"{len(param.kernel) + 2} axes"
            why = f"Input data should be (batch, channel, *spatial) for kernel={param.kernel}"
            raise refusal(ShapeError, "data", spell_shape(data), axes, why, fix=fix, verb="has shape")
        pooled: list[int | None] = list(data)
        spatial = _spatial_axes(param, rank)
        for place, axis in enumerate(spatial):
            size = data[axis]
            if size is not None:
                pooled[axis] = _windows(param, place, axis, size, self.is_old).places
            elif param.global_pool:
                pooled[axis] = 1
        output = merge_shape("output", output, tuple(pooled), f"data has shape {spell_shape(data)}")
        known = tuple(n if axis in spatial else output[axis] for axis, n in enumerate(data))
        return [known], [output]

    def infer_backward_shape(self, param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
        """Of `backward`, which takes the pooled shape and data's to data's."""
        data = ins[1] if outs[0] is None else merge_shape("data", ins[1], outs[0])
        known, pooled = self.infer_shape(param, [data], [ins[0]])
        return [*pooled, *known], known

    def infer_pick_shape(self, param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
        """Of `pick`, which takes data's shape twice to the pooled one."""
        data = ins[1] if ins[0] is None else merge_shape("data", ins[1], ins[0])
        known, pooled = self.infer_shape(param, [data], outs)
        return [*known, *known], pooled

    # ---- computation

    def _axes(self, param: Any, x: Array) -> list[tuple[Windows, int]]:
        """The windows of each spatial axis, last axis first, and its size."""
        pairs = []
        for place, axis in enumerate(_spatial_axes(param, x.ndim)):
            size = x.shape[axis]
            windows = _windows(param, place, axis, size, self.is_old)
            pairs.append((windows, size))
        return pairs[::-1]

    def _padded(self, x: Array, axes: list[tuple[Windows, int]]) -> tuple[Array, list[tuple[Windows, int]]]:
        """The pads of Pooling_v1 made samples."""
        if not self.is_old:
            return x, axes
        pads = [(0, 0)] * x.ndim
        for windows, _ in axes:
            pads[windows.axis] = (windows.pad, windows.pad)
        return np.pad(x, pads), [(w._replace(pad=0), size + 2 * w.pad) for w, size in axes]

    def _divisor(self, param: Any, axes: list[tuple[Windows, int]], rank: int) -> Array:
        """What avg divides the sum of each window by."""
        result = np.ones(())
        for windows, size in axes:
            extents = np.array(windows.extent)
            if not self.is_old:
                starts = windows.starts()
                ends = starts + windows.extent
                if param.count_include_pad is False:
                    extents = np.minimum(ends, size) - np.maximum(starts, 0)
                else:
                    extents = np.minimum(ends, size + windows.pad) - starts
                extents = np.maximum(extents, 1).reshape(-1, *(1,) * (rank - 1 - windows.axis))
            result = result * extents
        return result

    def _maxima(self, x: Array, axes: list[tuple[Windows, int]]) -> list[Array]:
        """x, then what is left of it after each axis."""
        lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        stages = [x]
        for windows, _ in axes:
            stages.append(fold(stages[-1], windows, np.maximum, lowest))
        return stages

    def forward(self, param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
        kind = param.pool_type
        x = working(inputs[0], real=kind in ("avg", "lp"))
        axes = self._axes(param, x)
        if kind == "max":
            result = self._maxima(*self._padded(x, axes))[-1]
        else:
            result = x if kind != "lp" else x**param.p_value
            for windows, _ in axes:
                result = fold(result, windows, np.add, 0)
            if kind == "avg":
                result = result / self._divisor(param, axes, x.ndim).astype(result.dtype)
            elif kind == "lp":
                result = result ** (1 / param.p_value)
        return (rounded(result, inputs[0].dtype),)

    def backward(self, param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
        """The gradient of data, for that of the result; of avg, sum and max."""
        grad, x = map(working, inputs)
        axes = self._axes(param, x)
        if param.pool_type == "max":
            padded, inner = self._padded(x, axes)
            stages = self._maxima(padded, inner)
            for place in reversed(range(len(inner))):
                grad = spread_to_maxima(grad, stages[place], stages[place + 1], inner[place][0], self.is_old)
            if self.is_old:
                for windows, size in axes:
                    grad = grad.take(range(windows.pad, windows.pad + size), windows.axis)
        else:
            if param.pool_type == "avg":
                grad = grad / self._divisor(param, axes, x.ndim).astype(grad.dtype)
            for windows, size in axes:
                grad = spread(grad, windows, size)
        return (rounded(grad, inputs[0].dtype),)

    def pick(self, param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
        """The values of the first input where the second has the maxima of its windows."""
        values, x = map(working, inputs)
        axes = self._axes(param, x)
        padded, inner = self._padded(x, axes)
        values, _ = self._padded(values, axes)
        stages = self._maxima(padded, inner)
        for (windows, _), before, after in zip(inner, stages, stages[1:], strict=False):
            values = pick(values, before, after, windows, self.is_old)
        return (rounded(values, inputs[0].dtype),)

    # ---- gradients

    def gradient(self, step: Step[Any]) -> list[Any]:
        param, attrs = step.param, dict(step.param.attrs)
        d, x, y = (Term(step, v) for v in (step.out_grads[0], step.inputs[0], step.outputs[0]))
        if param.pool_type != "lp":
            return [d.call(f"_backward_{self.name}", x, **attrs).value]
        p = param.p_value
        each = y.call("_not_equal_scalar", scalar=0).where(d * y ** (1 - p), d.zeros_like())
        return [(each.call(f"_backward_{self.name}", x, **attrs | {"pool_type": "sum"}) * x ** (p - 1)).value]

    def backward_gradient(self, step: Step[Any]) -> list[Any]:
        """`backward` is linear in the gradient that it is given, and constant in data almost everywhere."""
        attrs = dict(step.param.attrs)
        if step.param.pool_type == "max":
            return [step.call(f"_pick_{self.name}", step.out_grads[0], step.inputs[1], **attrs), None]
        return [step.call(self.name, step.out_grads[0], **attrs), None]

    def pick_gradient(self, step: Step[Any]) -> list[Any]:
        attrs = dict(step.param.attrs)
        return [step.call(f"_backward_{self.name}", step.out_grads[0], step.inputs[1], **attrs), None]

    def register(self, fields: Mapping[str, Field], doc: str, **others: Any) -> None:
        """Register the operator, its gradient and the gradient of that."""
        define(
            self.name,
            self.forward,
            fields=fields,
            infer_shape=self.infer_shape,
            gradient=self.gradient,
            doc=doc,
            **others,
        )
        define(
            f"_backward_{self.name}",
            self.backward,
            inputs=("out_grad", "data"),
            fields=fields,
            infer_shape=self.infer_backward_shape,
            gradient=self.backward_gradient,
        )
        define(
            f"_pick_{self.name}",
            self.pick,
            inputs=("values", "data"),
            fields=fields,
            infer_shape=self.infer_pick_shape,
            gradient=self.pick_gradient,
        )


def _counted(param: Any) -> int:
    """MXNet's maximum pooling keeps its places as a second output, where oneDNN computes it."""
    is_usual = 1 <= len(param.kernel) <= 3 and (param.layout or "NC").startswith("NC")
    return 2 if param.pool_type == "max" and is_usual else 1


_EMPTY = Field(SHAPE, "()")

Pool("Pooling", is_old=False).register(
    {
        "kernel": _EMPTY,
        "pool_type": Field(word("avg", "lp", "max", "sum"), "max"),
        "global_pool": Field(BOOL, "False"),
        "cudnn_off": Field(BOOL, "False"),
        "pooling_convention": Field(word("full", "same", "valid"), "valid"),
        "stride": _EMPTY,
        "pad": _EMPTY,
        "p_value": Field(OPTIONAL_INT, "None", least=1),
        "count_include_pad": Field(OPTIONAL_BOOL, "None"),
        "layout": Field(LAYOUT, "None"),
    },
    "The maximum, mean, sum or p-norm of windows that slide over the spatial axes.",
    aliases=("_npx_pooling",),
    counted_outputs=_counted,
)
Pool("Pooling_v1", is_old=True).register(
    {
        "kernel": _EMPTY,
        "pool_type": Field(word("avg", "max", "sum"), "max"),
        "global_pool": Field(BOOL, "False"),
        "pooling_convention": Field(word("full", "valid"), "valid"),
        "stride": _EMPTY,
        "pad": _EMPTY,
    },
    "Pooling as MXNet had it before 0.10: pads are zeros that count.",
)
