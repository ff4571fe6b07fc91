"""Receptive fields: which samples of a variable each value of a graph may depend on, one spatial axis at a time.

On an axis that goes on for ever, position o of an array sees the samples first(o) <= i < stop(o) of the variable. The
pattern repeats: `period` positions later it is the same, `step` samples further on. A convolution has period 1 and
step = stride, a deconvolution period = stride and step 1; what follows what, composes exactly. Borders are left out:
what a window sees there is padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from ..geometry import AxisPlan, backward_data_axis, forward_axis
from ..ops.axes import resolve_axis
from ..ops.library.reduce import reduced_axes
from ..ops.params import DeconvolutionParam
from ..ops.registry import Shape
from ..ops.shapes import axis_pads
from .graph import Entry, Node, topological

Span: TypeAlias = "tuple[float, float] | None"
"""(first, stop); None: no sample at all. The bounds are whole numbers or infinite."""

LONGEST_PERIOD, LARGEST_KERNEL = 512, 1 << 20
"""Longer patterns and larger windows are given up: no network has them."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What the positions of one axis see: `spans` has those of the first period.

    >>> IDENTITY.through(convolution_axis(3, 2, 1, 1)).through(convolution_axis(3, 1, 1, 1))
    Reach(step=2, spans=((-3, 4),))
    """

    step: int
    spans: tuple[Span, ...]

    @property
    def size(self) -> float:
        """The most samples that one position sees, first to last; infinite if it may be all."""
        return max((span[1] - span[0] for span in self.spans if span is not None), default=0)

    @property
    def jump(self) -> Fraction:
        """How far apart in the variable two neighbours are, on average."""
        return Fraction(self.step, len(self.spans))

    def span(self, position: int) -> Span:
        """What one position sees."""
        periods, place = divmod(position, len(self.spans))
        first = self.spans[place]
        return None if first is None else (first[0] + periods * self.step, first[1] + periods * self.step)

    def through(self, plan: AxisPlan | None) -> Reach | None:
        """What the results of a window see; `plan` has one phase for each of its dst_step positions."""
        if plan is None:
            return None
        if self == EVERYTHING:
            return EVERYTHING
        own = len(self.spans)
        repeats = own // math.gcd(plan.src_step, own)
        if repeats * plan.dst_step > LONGEST_PERIOD:
            return None
        # every own-th tap falls on the same place of the period, so that the outermost ones have the first and the last
        spans = tuple(
            hull(self.span(grid * plan.src_step + tap.offset) for tap in {*phase.taps[:own], *phase.taps[-own:]})
            for grid in range(repeats)
            for phase in plan.phases
        )
        return Reach(plan.src_step * repeats // own * self.step, spans)

    def joined(self, other: Reach) -> Reach | None:
        """What values see that are made of two at the same position; None, if they drift apart."""
        if EVERYTHING in (self, other):
            return EVERYTHING
        period = math.lcm(len(self.spans), len(other.spans))
        if self.jump != other.jump or period > LONGEST_PERIOD:
            return None
        return Reach(int(self.jump * period), tuple(hull((self.span(o), other.span(o))) for o in range(period)))


IDENTITY = Reach(1, ((0, 1),))
EVERYTHING = Reach(0, ((-math.inf, math.inf),))
"""All samples, or nearly: through the mean of a whole axis, say."""

Field: TypeAlias = tuple[Reach, ...]
"""One Reach for each spatial axis."""


def hull(spans: Iterable[Span]) -> Span:
    """From the first sample of any to the last.

    >>> hull([(0, 2), None, (5, 6)])
    (0, 6)
    """
    some = [span for span in spans if span is not None]
    return (min(first for first, _ in some), max(stop for _, stop in some)) if some else None


def convolution_axis(kernel: int, stride: int = 1, dilation: int = 1, pad_lo: int = 0) -> AxisPlan | None:
    """A window that slides over an axis: a convolution's, a pool's; None, if it is too large."""
    if kernel > LARGEST_KERNEL:
        return None
    return forward_axis(2, kernel, stride, dilation, pad_lo)  # of 2 positions, as 1 would need no stride


def deconvolution_axis(kernel: int, stride: int, dilation: int = 1, pad_lo: int = 0) -> AxisPlan | None:
    """A window that is spread over an axis; None, if it is too large."""
    if kernel > LARGEST_KERNEL or stride > LONGEST_PERIOD:
        return None
    return backward_data_axis(stride, kernel, stride, dilation, pad_lo)


def receptive_fields(
    entries: Sequence[Entry], shapes: Mapping[Entry, Shape], variable: Node
) -> dict[Entry, Field | None]:
    """The field in `variable` of every value that depends on it; None, where there is no such thing (after Flatten,
    FullyConnected and the like) or where it is not known for the operator. All shapes must be known.

    >>> from mxconv import sym
    >>> from mxconv.symbol.infer import infer_shapes
    >>> x = sym.Variable("x", shape=(1, 3, 32, 32))
    >>> net = sym.Pooling(sym.Convolution(x, kernel=(3, 5), num_filter=8), kernel=(2, 2), stride=(2, 2))
    >>> fields = receptive_fields(net.entries, infer_shapes(net.entries, {}), x.entries[0].node)
    >>> [(reach.size, reach.jump) for reach in fields[net.entries[0]]]
    [(4, Fraction(2, 1)), (6, Fraction(2, 1))]
    """
    order = topological(entries)
    start = Entry(variable, 0)
    rank = len(shapes[start] or ())
    spatial = _spatial_axes(order, rank)
    found: dict[Entry, Field | None] = {start: (IDENTITY,) * len(spatial) if spatial else None}
    for node in order:
        if not any(entry in found for entry in node.inputs):
            continue
        assert node.op is not None
        seen = [found[entry] for entry in node.inputs if entry in found]
        outputs = node.entries()
        sizes = [_extents(shapes[entry]) for entry in (*node.inputs, outputs[0])]
        field = None
        rule = RULES.get(node.op.name)
        if rule is not None and None not in seen and all(len(shapes[entry] or ()) == rank for entry in outputs):
            at = At(node.param, [found.get(entry) for entry in node.inputs], sizes[:-1], sizes[-1], spatial)
            field = rule(at)
        found.update(dict.fromkeys(outputs, field))
    return found


def _spatial_axes(order: Iterable[Node], rank: int) -> tuple[int, ...]:
    """Where the spatial axes of all arrays are; nowhere, if the layouts differ."""
    lasts = {str(node.param.layout).endswith("C") for node in order if getattr(node.param, "layout", None)}
    return () if len(lasts) > 1 else tuple(range(1, rank - 1)) if True in lasts else tuple(range(2, rank))


def _extents(shape: Shape) -> tuple[int, ...]:
    return tuple(n or 0 for n in shape or ())


# ---- rules of operators


class At(NamedTuple):
    """One operator, as its rule sees it: the fields of its inputs (None: does not depend), and all shapes."""

    param: Any
    fields: Sequence[Field | None]
    inputs: Sequence[tuple[int, ...]]
    output: tuple[int, ...]
    axes: Sequence[int]
    """The spatial ones."""

    def slide(self, plans: Iterable[AxisPlan | None], data: int = 0) -> Field | None:
        """The field of windows over one input, if no other depends on the variable."""
        field = self.fields[data]
        if field is None or any(other is not None for i, other in enumerate(self.fields) if i != data):
            return None
        return _complete(reach.through(plan) for reach, plan in zip(field, plans, strict=True))

    def sizes(self, shape: Sequence[int]) -> list[int]:
        """The spatial extents."""
        return [shape[axis] for axis in self.axes]


def _complete(reaches: Iterable[Reach | None]) -> Field | None:
    field = []
    for reach in reaches:
        if reach is None:
            return None
        field.append(reach)
    return tuple(field)


def _join(fields: Iterable[Field | None]) -> Field | None:
    joined: Field | None = None
    for field in fields:
        if field is None:
            return None
        pairs = zip(joined or field, field, strict=True)
        joined = _complete(one.joined(other) for one, other in pairs)
        if joined is None:
            return None
    return joined


def _pointwise(at: At) -> Field | None:
    """Each position from the same one of all inputs; one that has a single position on an axis sees to all of it."""

    def spread(field: Field, shape: Sequence[int]) -> Field:
        pairs = zip(field, at.sizes(shape), at.sizes(at.output), strict=True)
        return tuple(EVERYTHING if size == 1 < result else reach for reach, size, result in pairs)

    depending = [(field, shape) for field, shape in zip(at.fields, at.inputs, strict=True) if field is not None]
    if any(len(shape) != len(at.output) for _, shape in depending):
        return None
    return _join(spread(field, shape) for field, shape in depending)


def _across(name: str) -> Rule:
    """Pointwise if the axis that this parameter names is no spatial one."""

    def rule(at: At) -> Field | None:
        axis = resolve_axis(getattr(at.param, name), len(at.output))
        return None if axis in at.axes else _pointwise(at)

    return rule


def _convolution(at: At) -> Field | None:
    p = at.param
    pads = axis_pads(p, at.sizes(at.inputs[0]))
    of_axis = deconvolution_axis if isinstance(p, DeconvolutionParam) else convolution_axis
    windows = zip(p.kernel, p.stride, p.dilate, pads, strict=True)
    return at.slide(of_axis(k, s, d, lo) for k, s, d, (lo, _) in windows)


def _pooling(at: At) -> Field | None:
    p, sizes = at.param, at.sizes(at.inputs[0])
    if p.global_pool:
        return at.slide(convolution_axis(size) for size in sizes)
    strides, pads = p.stride or [1] * len(sizes), p.pad or [0] * len(sizes)
    return at.slide(convolution_axis(k, s, 1, lo) for k, s, lo in zip(p.kernel, strides, pads, strict=True))


def _reduction(at: At) -> Field | None:
    reduced = reduced_axes(at.param, len(at.inputs[0]))
    return at.slide(convolution_axis(at.inputs[0][axis] if axis in reduced else 1) for axis in at.axes)


def _upsampling(at: At) -> Field | None:
    if at.param.sample_type == "bilinear":
        s = at.param.scale
        return at.slide([deconvolution_axis(2 * s - s % 2, s, 1, s // 2)] * len(at.axes))
    parts = []
    for field, shape in zip(at.fields, at.inputs, strict=True):
        scales = [result // size for size, result in zip(at.sizes(shape), at.sizes(at.output), strict=True)]
        alone = at._replace(fields=[field])
        parts += [] if field is None else [alone.slide(deconvolution_axis(scale, scale) for scale in scales)]
    return _join(parts)


def _crop(at: At) -> Field | None:
    """Of the second input only the shape matters."""
    if at.fields[0] is None:
        return None
    starts: Sequence[int] = at.param.offset
    if at.param.center_crop:
        pairs = zip(at.sizes(at.inputs[0]), at.sizes(at.output), strict=True)
        starts = [(size - result) // 2 for size, result in pairs]
    return at._replace(fields=at.fields[:1]).slide(convolution_axis(1, 1, 1, -start) for start in starts)


def _slice_axis(at: At) -> Field | None:
    axis = resolve_axis(at.param.axis, len(at.output))
    begin = at.param.begin % at.inputs[0][axis] if at.inputs[0][axis] else 0
    return at.slide(convolution_axis(1, 1, 1, -begin if axis == one else 0) for one in at.axes)


def _pad(at: At) -> Field | None:
    return at.slide(convolution_axis(1, 1, 1, at.param.pad_width[2 * axis]) for axis in at.axes)


def _normalization(at: At) -> Field | None:
    if getattr(at.param, "mode", "instance") == "channel":
        return _pointwise(at)
    return None if at.slide([convolution_axis(1)] * len(at.axes)) is None else (EVERYTHING,) * len(at.axes)


def _softmax_activation(at: At) -> Field | None:
    return _pointwise(at) if at.param.mode == "channel" else None


def _softmax_output(at: At) -> Field | None:
    return at.slide([convolution_axis(1)] * len(at.axes)) if at.param.multi_output else None


Rule: TypeAlias = Callable[[At], "Field | None"]

_TWO = """mod power maximum minimum hypot equal not_equal greater greater_equal lesser lesser_equal logical_and
logical_or logical_xor"""
_SCALAR = "plus minus rminus mul div rdiv rmod rpower"
_ONE = """abs arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh degrees erf exp expm1 fix floor log log10
log1p log2 logical_not negative radians rcbrt reciprocal relu rint round rsqrt sigmoid sign sin sinh softsign sqrt
square tan tanh trunc clip smooth_l1 hard_sigmoid Activation LeakyReLU BatchNorm BatchNorm_v1 Dropout LRN Cast _copy
BlockGrad make_loss MakeLoss LinearRegressionOutput MAERegressionOutput LogisticRegressionOutput add_n where"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ONE.split(), _pointwise),
    **{f"elemwise_{name}": _pointwise for name in ("add", "sub", "mul", "div")},
    **{f"broadcast_{name}": _pointwise for name in ("add", "sub", "mul", "div", *_TWO.split())},
    **{f"_{name}": _pointwise for name in _TWO.split()},
    **{f"_{name}_scalar": _pointwise for name in (*_TWO.split(), *_SCALAR.split())},
    "Convolution": _convolution,
    "Convolution_v1": _convolution,
    "Deconvolution": _convolution,
    "Pooling": _pooling,
    "Pooling_v1": _pooling,
    **dict.fromkeys(["sum", "mean", "max", "min", "prod", "norm", "argmax", "argmin"], _reduction),
    "UpSampling": _upsampling,
    "Crop": _crop,
    "slice_axis": _slice_axis,
    "Pad": _pad,
    "Concat": _across("dim"),
    "SliceChannel": _across("axis"),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), _across("axis")),
    "SoftmaxActivation": _softmax_activation,
    "SoftmaxOutput": _softmax_output,
    "L2Normalization": _normalization,
    "InstanceNorm": _normalization,
}
"""How fields pass through operators; what is not here has none."""
