"""MXNet's shape rules mapped onto mxconv.geometry: what fits, what follows, and what to do when it does not.

Per spatial axis, with K = dilate*(kernel - 1) + 1 and i the size of data:

    Convolution     o = floor((i + pad_lo + pad_hi - K) / stride) + 1         K <= i + pad_lo + pad_hi is required
    Deconvolution   o = stride*(i - 1) + K - pad_lo - pad_hi + adj            0 <= adj < stride
                    o = target_shape where set: stride*(i - 1) + K - o is trimmed, an odd sample in front

Everything here works with shapes that are known in part, None being an extent not known yet; a 0 is a size.
Nothing follows while the rank of data is unknown. A convolution's data gets its batch from a known output, and
its extent on the axes of stride 1; weight's channels are not copied into data; a deconvolution infers nothing
backwards (all as in MXNet). A target is known even while data's extent is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from .. import geometry
from ..errors import MXNetError, ParamError, ShapeError
from .grammar import Pairs
from .layouts import Layout, resolve_layout
from .merge import merge_shape
from .params import ConvParam, DeconvolutionParam
from .refusal import refusal, spell_shape

Dim = int | None
Shape = tuple[Dim, ...]
"""A shape in the array's own order; None is an extent that is not known yet."""

_AXES = {1: "x", 2: "y-x", 3: "depth-y-x"}
_LETTERS = {1: "x", 2: "yx", 3: "dyx"}


class Shapes(NamedTuple):
    """The shapes of one call; None is an unknown rank (or a bias that does not exist)."""

    data: Shape | None
    weight: Shape | None
    bias: Shape | None
    output: Shape | None


def check_shapes(
    param: ConvParam, data: Sequence[int], weight: Sequence[int], bias: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The output's shape, for inputs whose shapes are all known.

    Raises: ShapeError, if the shapes do not fit each other or the parameters.
    """
    return _output(param, tuple(data), tuple(weight), None if bias is None else tuple(bias))


@lru_cache(maxsize=1024)
def _output(param: ConvParam, data: Shape, weight: Shape, bias: Shape | None) -> tuple[int, ...]:
    return cast("tuple[int, ...]", solve(param, Shapes(data, weight, bias, None)).output)


def infer_shape(
    param: ConvParam, in_shapes: Sequence[Shape | None], out_shapes: Sequence[Shape | None]
) -> tuple[list[Shape | None], list[Shape | None]]:
    """`solve` for the registry.

    Raises: ShapeError or ParamError.
    """
    bias = None if param.no_bias else in_shapes[2]
    solved = solve(param, Shapes(in_shapes[0], in_shapes[1], bias, out_shapes[0]))
    return [solved.data, solved.weight, *([] if param.no_bias else [solved.bias])], [solved.output]


def solve(param: ConvParam, given: Shapes) -> Shapes:
    """Fill in what follows from the shapes that are known; the one place where shapes are checked.

    Raises: ShapeError, if they contradict each other or the parameters; ParamError, for parameters out of
        bounds.
    """
    try:
        return _solve(param, given)
    except MXNetError as error:
        error.with_context(op=param.op)
        raise


def _solve(param: ConvParam, given: Shapes) -> Shapes:
    _check_extents(param)
    if given.data is None:
        return given
    layout = resolve_layout(param.layout, param.kernel)
    _check_rank(param, given.data)
    batch, channels, *sizes = layout.to_logical(given.data)
    _check_groups(param, channels)
    weight = _weight_shape(param, layout, channels, given.weight)
    bias = None
    if not param.no_bias:
        fix = "Pass a bias with one number for each filter, or change num_filter."
        bias = merge_shape("bias", given.bias, geometry.bias_shape(param.num_filter), "(num_filter,)", fix)
    outs = [_out_extent(param, axis, size) for axis, size in enumerate(sizes)]
    inferred = layout.to_stored((batch, param.num_filter, *outs))
    fix = "Pass shapes that belong together, or leave one of them unknown."
    because = f"the data has shape {spell_shape(given.data)}"
    output = merge_shape("output", given.output, inferred, because, fix)
    data = given.data
    if not isinstance(param, DeconvolutionParam):
        batch, _, *outs = layout.to_logical(output)
        sizes = [_in_extent(param, axis, out) for axis, out in enumerate(outs)]
        because = f"the output has shape {spell_shape(output)}"
        data = merge_shape("data", data, layout.to_stored((batch, channels, *sizes)), because, fix)
    return Shapes(data, weight, bias, output)


def axis_pads(param: ConvParam, sizes: Sequence[int]) -> Pairs:
    """(pad_lo, pad_hi) of each axis as mxconv.geometry means them, for data of that spatial shape.

    A deconvolution's `adj` is pad_hi taken away, and `target_shape` decides both.
    """
    if not isinstance(param, DeconvolutionParam):
        return param.pad
    pads = []
    for a, size in enumerate(sizes):
        target = param.target_shape[a]
        lo, hi = param.pad[a]
        if target is None:
            pads.append((lo, hi - param.adj[a]))
        else:
            trim = geometry.target_trim(size, param.kernel[a], param.stride[a], param.dilate[a], target)
            pads.append(geometry.target_pads(trim))
    return tuple(pads)


# ---- the rules, one function each


def _check_extents(param: ConvParam) -> None:
    for name in ("kernel", "stride", "dilate"):
        entries = getattr(param, name)
        least = min(entries)
        if least >= 1:
            continue
        why = "shape dim size must be >= -1"
        if least == 0:
            why = f"incorrect {name} size: [{','.join(map(str, entries))}]"
        elif least == -1:
            why = "Shape dim size cannot be a negative value"
        fix = "Replace the entry that is not positive."
        raise refusal(ParamError, name, entries, "every entry to be at least 1", why, fix=fix)
    if not isinstance(param, DeconvolutionParam):
        return
    for a, (adj, stride) in enumerate(zip(param.adj, param.stride, strict=True)):
        if param.target_shape[a] is None and not 0 <= adj < stride:
            axis = _LETTERS[param.rank][a] if param.rank in _LETTERS else str(a)
            why = f"adj({axis}) must be smaller than stride[{a}], but {adj} is not in 0..{stride - 1}"
            fix = "Use an adj from 0 to stride - 1, or say the output's size by target_shape."
            raise refusal(ParamError, "adj", param.adj, "0 <= adj < stride on every axis", why, fix=fix)


def _check_rank(param: ConvParam, data: Shape) -> None:
    axes = param.rank + 2
    if len(data) == axes:
        return
    order = f"batch-num_filter-{_AXES.get(param.rank, f'and {param.rank} spatial axes')}"
    why = f"Input data should be {axes}D in {order} for kernel={param.kernel}"
    fix = "Add the missing axes with reshape, or give kernel one entry for each spatial axis of data."
    if len(data) > axes and param.rank == 1:
        same = param.kernel * (len(data) - 2)
        fix = f"kernel={param.kernel[0]} is a 1-D kernel; write kernel={same} for data of this shape."
    raise refusal(ShapeError, "data", spell_shape(data), f"{axes} axes", why, fix=fix, verb="has shape")


def _check_groups(param: ConvParam, channels: Dim) -> None:
    groups = param.num_group
    expected = f"a multiple of num_group={groups}"
    if channels is not None and channels % groups:
        more = -(-channels // groups) * groups
        why = "input num_filter must divide group size (the channels of data are split into groups)"
        fix = f"Pass data with {more} channels, or a num_group that divides {channels}."
        raise refusal(ShapeError, "data", f"{channels} channels", expected, why, fix=fix, verb="has")
    if param.num_filter % groups:
        more = -(-param.num_filter // groups) * groups
        why = "output num_filter must divide group size (the filters are split into groups)"
        fix = f"Pass num_filter={more}, or a num_group that divides {param.num_filter}."
        raise refusal(ShapeError, "num_filter", param.num_filter, expected, why, fix=fix)


def _weight_shape(param: ConvParam, layout: Layout, channels: Dim, given: Shape | None) -> Shape:
    """The weight's shape as far as it follows from the channels of data, merged with what is given."""
    transposed = isinstance(param, DeconvolutionParam)
    shape_of = geometry.deconv_weight_shape if transposed else geometry.conv_weight_shape
    logical: Shape = shape_of(param.num_filter, channels or 0, param.num_group, param.kernel)
    place = 0 if transposed else 1  # of what comes from the channels of data
    if channels is None:
        logical = (*logical[:place], None, *logical[place + 1 :])
    inferred = layout.to_stored(logical)
    names = ("num_filter", "channels // num_group", "*kernel")
    if transposed:
        names = ("channels", "num_filter // num_group", "*kernel")
    because = (
        f"({', '.join(layout.to_stored(names))}) because data has {'?' if channels is None else channels} "
        f"channels, num_filter={param.num_filter} and num_group={param.num_group}"
    )
    fix = "Pass a weight of that shape, or change num_filter, num_group, kernel or layout."
    if given is not None and len(given) == len(inferred):
        theirs = layout.to_logical(given)
        needs = (theirs[place] or 0) * (1 if transposed else param.num_group)
        if needs and (*theirs[:place], *theirs[place + 1 :]) == (*logical[:place], *logical[place + 1 :]):
            fix = f"Pass a weight of that shape, or data with {needs} channels."
    return merge_shape("weight", given, inferred, because, fix)


def _out_extent(param: ConvParam, axis: int, size: Dim) -> Dim:
    if isinstance(param, DeconvolutionParam):
        return _deconv_out_extent(param, axis, size)
    if size is None:
        return None
    lo, hi = param.pad[axis]
    span = geometry.dilated_kernel(param.kernel[axis], param.dilate[axis])
    if span > size + lo + hi:
        expected = f"to span at most {size + lo + hi} samples"
        why = (
            f"kernel size exceed input, {span} = dilate*(kernel - 1) + 1 samples against {size + lo + hi} = "
            f"{size} of data + pads {lo} and {hi} on spatial axis {axis}, with dilate={param.dilate}"
        )
        fix = "Use a smaller kernel or dilate, more pad, or larger data."
        raise refusal(ShapeError, "kernel", param.kernel, expected, why, fix=fix)
    return geometry.conv_out(size, param.kernel[axis], param.stride[axis], param.dilate[axis], lo, hi)


def _deconv_out_extent(param: DeconvolutionParam, axis: int, size: Dim) -> Dim:
    kernel, stride, dilate = param.kernel[axis], param.stride[axis], param.dilate[axis]
    target, adj = param.target_shape[axis], param.adj[axis]
    if size is None:
        return target
    if target is not None:
        trim = geometry.target_trim(size, kernel, stride, dilate, target)
        if trim < 0:
            why = (
                f"too big target shape, stride*(size - 1) + dilate*(kernel - 1) + 1 = {target + trim} on spatial "
                f"axis {axis}, where data has {size} samples"
            )
            got, expected = spell_shape(param.target_shape), f"at most {target + trim}"
            fix = "Use a smaller target_shape, or a larger kernel, dilate or stride."
            raise refusal(ShapeError, "target_shape", got, expected, why, fix=fix)
        return target
    lo, hi = param.pad[axis]
    out = geometry.deconv_out(size, kernel, stride, dilate, lo, hi, adj)
    if out < 1:
        why = (
            f"shape dim size must be >= -1, and it is stride*(size - 1) + dilate*(kernel - 1) + 1 - pads + adj = "
            f"{stride}*({size} - 1) + {dilate}*({kernel} - 1) + 1 - {lo + hi} + {adj} = {out} on spatial axis {axis}"
        )
        fix = "Use less pad, a larger kernel, or larger data."
        raise refusal(ShapeError, "pad", param.text("pad"), "an output of at least 1 sample", why, fix=fix)
    return out


def _in_extent(param: ConvParam, axis: int, out: Dim) -> Dim:
    """What a convolution's output says of its data: the extent at stride 1, else nothing."""
    if out is None or param.stride[axis] != 1:
        return None
    size, _ = geometry.conv_in_range(out, param.kernel[axis], 1, param.dilate[axis], *param.pad[axis])
    least = max(1, out - size)
    if out < least:
        why = f"data would need {size} samples with kernel={param.kernel} and pad={param.text('pad')}"
        got, expected = f"{out} samples on spatial axis {axis}", f"at least {least}"
        raise refusal(ShapeError, "output", got, expected, why, fix="Use less pad, or more output.", verb="has")
    return size
