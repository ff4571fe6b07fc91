"""`mxconv shape`: the shapes of one operator, forwards from data or backwards from the output, with the arithmetic.

The numbers come from the operator's own shape inference and from mxconv.geometry; this module only words them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from .. import geometry
from ..errors import ParamError, ShapeError
from ..ops.inference import infer_shapes
from ..ops.layouts import Layout, resolve_layout
from ..ops.params import ConvParam, DeconvolutionParam
from ..ops.refusal import refusal
from ..ops.registry import OpSpec
from ..util import np_shape
from .attributes import find_operator, parse_assignments, parse_shape

Shape = tuple[int, ...]
Sizes = tuple[int, int | None]
"""The smallest and the largest extent that will do; None where there is no largest."""

LEGEND = "i, o: size of data, of the output; k, s, d: kernel, stride, dilate; lo, hi: pad in front, behind"

_NAMES = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def run_shape(op: str, *, data: str | None, out: str | None, params: Sequence[str]) -> None:
    """Print the shapes and how they come about.

    Raises: ParamError or ShapeError, if the parameters or shapes are wrong, or no data gives that output.
    """
    spec = find_operator(op)
    if (data is None) == (out is None):
        got, fix = "given with" if data else "missing, as is", "Give --data to work out the output, or --out for data."
        raise refusal(ParamError, "--data", f"{got} --out", "one of the two", fix=fix, op=spec.name)
    attributes = parse_assignments(params)
    if data is not None:
        lines = describe_forwards(spec, spec.parse(attributes), parse_shape("--data", data))
    else:
        shape = parse_shape("--out", str(out))
        channel = -1 if attributes.get("layout", "").endswith("C") else 1
        if len(shape) >= 2:
            attributes.setdefault("num_filter", str(shape[channel]))
        lines = describe_backwards(spec, spec.parse(attributes), shape)
    given = " ".join(f"{name}={value}" for name, value in attributes.items())
    typer.echo("\n".join([f"{spec.name} {given}", "", *lines]))


def describe_forwards(spec: OpSpec, param: ConvParam, data: Shape) -> list[str]:
    """The lines of text for data of that shape."""
    shapes, output = _infer(spec, param, data)
    layout = resolve_layout(param.layout, param.kernel)
    lines = _table(param, layout, [_text(s) for s in (*shapes, output)])
    sizes, outs = layout.to_logical(data)[2:], layout.to_logical(output)[2:]
    work = []
    for axis, (size, result) in enumerate(zip(sizes, outs, strict=True)):
        rows = _deconvolve(param, axis, size) if isinstance(param, DeconvolutionParam) else _convolve(param, axis, size)
        work.append([f"{size} -> {result}", *rows])
    return [*lines, "", LEGEND, *_by_axis(param, work)]


def describe_backwards(spec: OpSpec, param: ConvParam, output: Shape) -> list[str]:
    """The lines of text for an output of that shape.

    Raises: ShapeError, if no data gives it.
    """
    layout = resolve_layout(param.layout, param.kernel)
    if len(output) != param.rank + 2:
        got, expected = f"{len(output)} axes", f"{param.rank + 2} for kernel={param.kernel}"
        fix = "Give batch, channels and one size for each entry of kernel."
        raise refusal(ShapeError, "--out", got, expected, fix=fix, op=param.op, verb="has")
    batch, filters, *outs = layout.to_logical(output)
    if filters != param.num_filter:
        got, expected = f"{filters} channels", f"{param.num_filter} as num_filter says"
        fix = f"Pass num_filter={filters}, or leave it out."
        raise refusal(ShapeError, "--out", got, expected, fix=fix, op=param.op, verb="has")
    _infer(spec, param, layout.to_stored((batch, -1, *[-1] * param.rank)))  # the parameters' own errors come first
    ranges: list[Sizes] = []
    work = []
    for axis, out in enumerate(outs):
        sizes, lines = _sizes(param, axis, out)
        ranges.append(sizes)
        work.append([f"{out} <- {_range_text(sizes)}", *lines])
    smallest = layout.to_stored((batch, param.num_group, *[low for low, _ in ranges]))
    shapes, check = _infer(spec, param, smallest)
    assert check == output, (check, output)
    names = layout.to_stored((str(batch), "C", *map(_range_text, ranges)))
    weight = list(map(str, layout.to_logical(shapes[1])))
    weight[0 if isinstance(param, DeconvolutionParam) else 1] = _channels_text(param)
    texts = [
        f"({', '.join(names)})",
        f"({', '.join(layout.to_stored(weight))})",
        *map(_text, shapes[2:]),
        _text(output),
    ]
    note = "any number" if param.num_group == 1 else f"any multiple of num_group={param.num_group}"
    return [*_table(param, layout, texts), "", f"C: {note}", LEGEND, *_by_axis(param, work)]


def _by_axis(param: ConvParam, work: Sequence[list[str]]) -> list[str]:
    """The lines of all axes, each under its axis's name; axes with the same arithmetic share them."""
    lines: list[str] = []
    for axis, (head, *rows) in enumerate(work):
        if [head, *rows] in work[:axis]:
            continue
        names = [_axis_name(param, a) for a in range(axis, len(work)) if work[a] == [head, *rows]]
        lines += ["", f"{', '.join(names)}: {head}", *rows]
    return lines


def _infer(spec: OpSpec, param: ConvParam, data: Shape) -> tuple[list[Shape], Shape]:
    """The shapes of all inputs and of the output; -1 is unknown, 0 is a size."""
    with np_shape(True):
        in_shapes, out_shapes = infer_shapes(spec, param, [data])
    return in_shapes, out_shapes[0]


def _table(param: ConvParam, layout: Layout, texts: Sequence[str]) -> list[str]:
    """One line for each array: name, shape, and where its entries come from."""
    spatial = ("*spatial",)
    second = ("num_filter/num_group",) if isinstance(param, DeconvolutionParam) else ("channels/num_group",)
    first = ("channels",) if isinstance(param, DeconvolutionParam) else ("num_filter",)
    rows = [
        ("data", layout.to_stored(("batch", "channels", *spatial))),
        ("weight", layout.to_stored((*first, *second, "*kernel"))),
        *([] if param.no_bias else [("bias", ("num_filter,",))]),
        ("output", layout.to_stored(("batch", "num_filter", *spatial))),
    ]
    width = max(map(len, texts))
    return [
        f"{name:8}{text:{width}}   ({', '.join(entries)})" for (name, entries), text in zip(rows, texts, strict=True)
    ]


def _convolve(p: ConvParam, axis: int, size: int) -> list[str]:
    k, s, d, (lo, hi) = p.kernel[axis], p.stride[axis], p.dilate[axis], p.pad[axis]
    span, out = geometry.dilated_kernel(k, d), geometry.conv_out(size, k, s, d, lo, hi)
    return [
        _line("dilated kernel", "K = d*(k - 1) + 1", f"{d}*({k} - 1) + 1", span),
        _line(
            "output",
            "floor((i + lo + hi - K)/s) + 1",
            f"floor(({_sum(size, ('+', lo), ('+', hi), ('-', span))})/{s}) + 1",
            out,
        ),
    ]


def _deconvolve(p: DeconvolutionParam, axis: int, size: int) -> list[str]:
    k, s, d, (lo, hi), adj = p.kernel[axis], p.stride[axis], p.dilate[axis], p.pad[axis], p.adj[axis]
    span, target = geometry.dilated_kernel(k, d), p.target_shape[axis]
    lines = [_line("dilated kernel", "K = d*(k - 1) + 1", f"{d}*({k} - 1) + 1", span)]
    if target is None:
        out = geometry.deconv_out(size, k, s, d, lo, hi, adj)
        formula, numbers = (
            "s*(i - 1) + K - lo - hi + adj",
            f"{s}*({size} - 1) + {_sum(span, ('-', lo), ('-', hi), ('+', adj))}",
        )
        return [*lines, _line("output", formula, numbers, out)]
    full, trim = geometry.deconv_out(size, k, s, d, 0, 0), geometry.target_trim(size, k, s, d, target)
    lo, hi = geometry.target_pads(trim)
    return [
        *lines,
        _line("full extent", "F = s*(i - 1) + K", f"{s}*({size} - 1) + {span}", full),
        _line("trim", "T = F - target", f"{full} - {target}", trim),
        _line("pad in front", "lo = ceil(T/2)", f"ceil({trim}/2)", lo),
        _line("pad behind", "hi = floor(T/2)", f"floor({trim}/2)", hi),
        _line("output", "F - lo - hi", f"{full} - {lo} - {hi}", full - lo - hi),
    ]


def _sizes(p: ConvParam, axis: int, out: int) -> tuple[Sizes, list[str]]:
    """Which data extents give `out`, and why.

    Raises: ShapeError, if there are none.
    """
    k, s, d, (lo, hi) = p.kernel[axis], p.stride[axis], p.dilate[axis], p.pad[axis]
    span = geometry.dilated_kernel(k, d)
    first = _line("dilated kernel", "K = d*(k - 1) + 1", f"{d}*({k} - 1) + 1", span)
    if not isinstance(p, DeconvolutionParam):
        low, high = geometry.conv_in_range(out, k, s, d, lo, hi)
        if out < 1 or high < 0:
            least = max(1, geometry.conv_out(0, k, s, d, lo, hi))
            why = f"it takes {high} = s*(o - 1) + K - lo - hi + s - 1" if out >= 1 else "the kernel must fit once"
            raise _no_data(p, axis, out, why, f"at least {least}")
        lines = [
            _line("smallest", "s*(o - 1) + K - lo - hi", f"{s}*({out} - 1) + {_sum(span, ('-', lo), ('-', hi))}", low),
            _line("largest", "smallest + s - 1", f"{low} + {s} - 1", high),
        ]
        return (max(0, low), high), [first, *lines]
    target, adj = p.target_shape[axis], p.adj[axis]
    if target is not None:
        if target != out:
            raise _no_data(p, axis, out, f"target_shape makes it {target}", str(target))
        low = max(1, geometry.conv_out(target, k, s, d, 0, s - 1))
        rule = _line("smallest", "ceil((target - K)/s) + 1", f"ceil(({target} - {span})/{s}) + 1", low)
        return (low, None), [first, rule, "  larger data are trimmed to the target"]
    numbers = f"({_sum(out, ('-', span), ('+', lo), ('+', hi), ('-', adj))})/{s} + 1"
    size = geometry.deconv_in(out, k, s, d, lo, hi, adj)
    if size is None or size < 1:
        near = max(1, (out - span + lo + hi - adj) // s + 1)
        outs = " or ".join(str(geometry.deconv_out(n, k, s, d, lo, hi, adj)) for n in (near, near + 1))
        problem = "is not a whole number" if size is None else f"is {size}"
        raise _no_data(p, axis, out, f"(o - K + lo + hi - adj)/s + 1 = {numbers} {problem}", outs)
    return (size, size), [first, _line("data", "(o - K + lo + hi - adj)/s + 1", numbers, size)]


def _no_data(p: ConvParam, axis: int, out: int, why: str, expected: str) -> ShapeError:
    where, fix = f"--out ({_axis_name(p, axis)})", "Change --out, or the parameters."
    return refusal(ShapeError, where, out, f"{expected}: no data gives {out}", why, fix=fix, op=p.op)


def _axis_name(p: ConvParam, axis: int) -> str:
    return _NAMES[p.rank][axis] if p.rank in _NAMES else f"spatial axis {axis}"


def _channels_text(p: ConvParam) -> str:
    return "C" if isinstance(p, DeconvolutionParam) or p.num_group == 1 else f"C/{p.num_group}"


def _line(name: str, formula: str, numbers: str, result: Any) -> str:
    return f"  {name:16}{formula} = {numbers} = {result}"


def _sum(first: int, *terms: tuple[str, int]) -> str:
    """first + a - b in numbers; a negative number turns its sign over."""
    return " ".join([str(first), *(f"{sign if n >= 0 else '+-'[sign == '+']} {abs(n)}" for sign, n in terms)])


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _range_text(sizes: Sizes) -> str:
    low, high = sizes
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low}..{high}"
