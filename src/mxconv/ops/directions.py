"""The three directions of a convolution, and all gradients made of them.

A convolution is one trilinear form in its data x, its weight w and something of its result's shape, y:

    T(x, w, y) = sum over n, f, o, c, t of y[n, f, o] * x[n, c, o*stride + t*dilate - pad_lo] * w[f, c, t]

Each direction is T's derivative with respect to one of the three: `_conv_forward(x, w)` is y-shaped,
`_conv_backward_data(y, w)` x-shaped, `_conv_backward_weight(x, y)` w-shaped. So the gradient of any direction, given
the gradient of its result, consists of calls to the other two with the very same parameters. Convolution is
`_conv_forward`, Deconvolution `_conv_backward_data`, each plus a bias; with the three registered as operators, every
order of derivative of the two exists.

Shapes:  x (N, C, *size), w (F, C // num_group, *kernel), y (N, F, *out); channels last as in mxconv.ops.layouts.
Dtypes:  as Convolution. Integers are computed exactly, but have no gradient. Gradients of complex arrays are the
         complex derivatives: nothing is conjugated.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any, cast

from .. import geometry
from ..dtypes import DTYPES, DType, lookup
from ..engine.execute import convolve
from ..engine.policy import Policy
from ..engine.problem import ROLES, Direction
from ..errors import DTypeError, MXNetError, ParamError, ShapeError
from .grammar import BOOL, LAYOUT, PADS, SHAPE, UINT, ULONG, Pairs
from .layouts import resolve_layout
from .merge import merge_shape
from .operands import Array, input_names, result_array
from .params import TUNE, ConvParam
from .refusal import refusal
from .registry import Call, OpSpec, Shape, Step, register
from .shapes import axis_pads, check_shapes
from .signature import Field, Signature, given_texts
from .types import check_reduction, infer_type, uniform_dtype

# ---- Convolution and Deconvolution, which are one direction each and a bias


def compute_layer(direction: Direction, param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    """The output of a Convolution or Deconvolution; into `call.out` if given, which may overlap the inputs."""
    dtype = uniform_dtype(param.op, input_names(param), [a.dtype for a in inputs])
    shape = check_shapes(param, *[a.shape for a in inputs])
    return _compute(direction, param.op, param, _layer_pads(param, inputs[0].shape), dtype, shape, inputs, call)


@lru_cache(maxsize=1024)
def _layer_pads(param: ConvParam, data: tuple[int, ...]) -> Pairs:
    """The pads of a layer's axes, for data of that shape."""
    return axis_pads(param, resolve_layout(param.layout, param.kernel).to_logical(data)[2:])


def layer_gradient(direction: Direction, step: Step[Any]) -> list[Any]:
    """The gradients of a Convolution or Deconvolution for data, weight and bias: calls to the other directions.

    The bias gets the sum of the head gradient over all axes but the channels.
    """
    param, head = step.param, step.out_grads[0]
    layout = resolve_layout(param.layout, param.kernel)
    data = layout.to_logical(step.inputs[0].shape)[2:]
    size = data if direction == "forward" else layout.to_logical(head.shape)[2:]
    gradients = _gradients(direction, param.op, step, _attributes(param, data, size))
    if not param.no_bias:
        channels = layout.to_stored(range(param.rank + 2)).index(1)
        gradients.append(step.call("sum", head, axis=(channels,), exclude=True) if step.wanted[2] else None)
    return gradients


@lru_cache(maxsize=1024)
def _attributes(param: ConvParam, data: tuple[int, ...], size: tuple[int, ...]) -> Mapping[str, str]:
    """What the directions are told of a layer whose data has that spatial shape, and its x the shape `size`."""
    attributes = {
        "kernel": param.kernel,
        "size": size,
        "stride": param.stride,
        "dilate": param.dilate,
        "pad": axis_pads(param, data),
        "num_group": param.num_group,
        "workspace": param.workspace,
        "layout": param.layout,
    }
    attributes |= {name: getattr(param, name) for name in ("cudnn_tune", "cudnn_off") if getattr(param, name)}
    return dict(given_texts(attributes))


# ---- the three as operators


def _infer_shape(
    direction: Direction, param: Any, in_shapes: Sequence[Shape], out_shapes: Sequence[Shape]
) -> tuple[list[Shape], list[Shape]]:
    roles = ROLES[direction]
    try:
        found = _complete(param, **dict(zip(roles, (*in_shapes, *out_shapes), strict=True)))
    except MXNetError as error:
        error.with_context(op=_name(direction))
        raise
    return [found[name] for name in roles[:2]], [found[roles[2]]]


def _infer_type(
    direction: Direction, param: Any, in_types: Sequence[Any], out_types: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    return infer_type(_name(direction), ROLES[direction][:2], in_types, out_types[0])


def _forward(direction: Direction, param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    op = _name(direction)
    dtype = uniform_dtype(op, ROLES[direction][:2], [a.dtype for a in inputs])
    _, (shape,) = _infer_shape(direction, param, [a.shape for a in inputs], [None])
    return _compute(direction, op, param, param.pad, dtype, cast("tuple[int, ...]", shape), inputs, call)


def _gradient(direction: Direction, step: Step[Any]) -> list[Any]:
    return _gradients(direction, _name(direction), step, dict(step.param.attrs))


@lru_cache(maxsize=1024)
def _complete(param: Any, x: Shape, w: Shape, y: Shape) -> dict[str, Shape]:
    """The shapes of x, w and y, as far as they follow from those that are known.

    Raises: ShapeError, if they contradict each other or the parameters; ParamError, if those contradict themselves.
    """
    _check(param)
    layout = resolve_layout(param.layout, param.kernel)
    axes = zip(param.size, param.kernel, param.stride, param.dilate, param.pad, strict=True)
    out = tuple(max(0, geometry.conv_out(size, k, s, d, lo, hi)) for size, k, s, d, (lo, hi) in axes)
    spatial = {"x": param.size, "w": param.kernel, "y": out}
    leading = {"x": ("batch", "channels"), "w": ("filters", "group channels"), "y": ("batch", "filters")}
    shapes = {"x": x, "w": w, "y": y}
    extents: dict[str, int | None] = dict.fromkeys(("batch", "channels", "filters", "group channels"))
    for name in "xwyxwy":  # what the last one says, the first ones learn in the second round
        inferred = layout.to_stored((*(extents[key] for key in leading[name]), *spatial[name]))
        merged = shapes[name] = merge_shape(name, shapes[name], inferred)
        extents.update(zip(leading[name], layout.to_logical(merged), strict=False))
        if name == "x" and extents["channels"] is not None:
            extents["group channels"] = extents["channels"] // param.num_group
        elif name == "w" and extents["group channels"] is not None:
            extents["channels"] = extents["group channels"] * param.num_group
    if (extents["filters"] or 0) % param.num_group:
        got, fix = f"{extents['filters']} channels", f"Pass a num_group that divides {extents['filters']}."
        raise refusal(ShapeError, "y", got, f"a multiple of num_group={param.num_group}", fix=fix, verb="has")
    return shapes


def _check(param: Any) -> None:
    rank = len(param.kernel or ())
    for name, least in (("kernel", 1), ("size", 0), ("stride", 1), ("dilate", 1), ("pad", None)):
        entries = getattr(param, name)
        if entries is None or len(entries) != max(rank, 1) or (least is not None and min(entries) < least):
            expected = f"{rank} entries" if rank else "an entry for each spatial axis"
            expected += "" if least is None else f" of at least {least}"
            raise refusal(ParamError, name, entries, expected, fix=f"Give {name} one entry for each spatial axis.")


def _name(direction: Direction) -> str:
    return f"_conv_{direction}"


def _register(direction: Direction, doc: str) -> OpSpec:
    signature = Signature(
        _name(direction),
        kernel=Field(SHAPE),
        size=Field(SHAPE),
        stride=Field(SHAPE),
        dilate=Field(SHAPE),
        pad=Field(PADS),
        num_group=Field(UINT, "1", least=1),
        workspace=Field(ULONG, "1024"),
        cudnn_tune=TUNE,
        cudnn_off=Field(BOOL, "False"),
        layout=Field(LAYOUT, "None"),
    )
    return register(
        OpSpec(
            name=signature.op,
            signature=signature,
            parse=signature.parse,
            input_names=lambda param: ROLES[direction][:2],
            infer_shape=partial(_infer_shape, direction),
            infer_type=partial(_infer_type, direction),
            forward=partial(_forward, direction),
            gradient=partial(_gradient, direction),
            doc=doc,
        )
    )


_register("forward", "The result y of the convolution of x, whose spatial shape is `size`, with the weight w.")
_register("backward_data", "The gradient of a convolution with respect to its data x, of spatial shape `size`.")
_register("backward_weight", "The gradient of a convolution with respect to its weight w, of spatial shape `kernel`.")


# ---- what all of them share


def _gradients(direction: Direction, op: str, step: Step[Any], attributes: Mapping[str, Any]) -> list[Any]:
    """The gradients for what a direction is given first and second: one call each, to the direction that computes it.

    Raises: DTypeError, for integers.
    """
    first, second, result = ROLES[direction]
    arrays = {first: step.inputs[0], second: step.inputs[1], result: step.out_grads[0]}
    dtype = lookup(step.inputs[0].dtype)
    if dtype is None or dtype.kind == "int":
        got, fix = str(dtype and dtype.name), "Cast the inputs with .astype('float32') before the call."
        why = "integers have no derivative"
        raise refusal(DTypeError, "data", got, "a float or complex one", why, fix=fix, op=op, verb="has dtype")
    computing = {names[2]: (_name(one), names) for one, names in ROLES.items()}
    gradients = []
    for name, is_wanted in zip((first, second), step.wanted, strict=False):
        other, (a, b, _) = computing[name]
        gradients.append(step.call(other, arrays[a], arrays[b], **attributes) if is_wanted else None)
    return gradients


def _compute(
    direction: Direction,
    op: str,
    param: Any,
    pads: Pairs,
    dtype: DType,
    shape: tuple[int, ...],
    inputs: Sequence[Array],
    call: Call,
) -> tuple[Array]:
    """Run the engine on checked arrays in their own order; the third one is a bias."""
    view = resolve_layout(param.layout, param.kernel).logical_view
    first, second = view(inputs[0]), view(inputs[1])
    bias = inputs[2] if len(inputs) > 2 else None
    if dtype.max_products is not None:
        check_reduction(op, dtype, _longest_sum(direction, param, first, second))
    result = result_array(op, shape, DTYPES[dtype.result], call.out)
    pad_lo, pad_hi = zip(*pads, strict=True)
    convolve(
        direction,
        first,
        second,
        view(result),
        bias,
        stride=param.stride,
        dilation=param.dilate,
        pad_lo=pad_lo,
        pad_hi=pad_hi,
        groups=param.num_group,
        weight=call.identities[1] if call.identities and direction != "backward_weight" else None,
        workspace=param.workspace << 20,
        policy=_policy(param.cudnn_off, param.cudnn_tune),
    )
    return (result,)


_policy = cache(Policy)
"""One policy for each pair of words, since calls are many."""


def _longest_sum(direction: Direction, param: Any, first: Array, second: Array) -> int:
    """Products in the longest sum of one result: of backward_data, on the taps of the fullest phase."""
    if direction == "forward":
        return math.prod(second.shape[1:])
    if direction == "backward_weight":
        return math.prod((second.shape[0], *second.shape[2:]))
    taps = 1
    for kernel, stride, dilate in zip(param.kernel, param.stride, param.dilate, strict=True):
        taps *= max(Counter(t * dilate % stride for t in range(kernel)).values())
    return int(first.shape[1] // param.num_group * taps)
