"""`mxconv apply`: one operator on files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..dtypes import DTYPES
from ..engine.planner import recording
from ..errors import ShapeError
from ..ops.operands import check_inputs
from ..ops.refusal import refusal
from ..ops.registry import compute
from . import filters
from .attributes import find_operator, parse_assignments
from .files import check_output, is_picture, read_array, write_array
from .filters import Filter

Array = NDArray[Any]


def run_apply(op: str, *, data: str, weight: str, bias: str | None, params: Sequence[str], out: str) -> None:
    """Read, compute, write, and say what was done in one line.

    Raises: FormatError, ParamError, ShapeError, DTypeError; the output file is then as it was.
    """
    spec = find_operator(op)
    given = parse_assignments(params)
    path = check_output(out)
    channels_last = given.get("layout", "").strip().endswith("C")
    alpha = not (filters.is_filter(weight) and filters.make(weight, rank=2).is_derivative)
    x = read_array("--data", data, alpha=alpha)
    if is_picture(data) and channels_last:
        x = np.moveaxis(x, 1, -1)
    channels, spatial = _split(spec.name, x, channels_last)

    chosen = filters.make(weight, len(spatial)) if filters.is_filter(weight) else None
    if chosen is None:
        w = read_array("--weight", weight)
        if is_picture(data) and DTYPES[w.dtype.name].kind == "float":
            x = x.astype(w.dtype)  # a picture has no floating-point type of its own
        attributes = attributes_of_weight(spec.name, w.shape, channels, channels_last, given)
    else:
        w = chosen.weight(spec.name, channels, x.dtype)
        w = np.moveaxis(w, 1, -1) if channels_last else w
        attributes = chosen.attributes(spec.name, channels, spatial, given)
    inputs = [x, w] if bias is None else [x, w, read_array("--bias", bias)]
    param = spec.parse({"no_bias": str(bias is None), **attributes})
    check_inputs(spec, param, ("data", "weight", "bias")[: len(inputs)])

    with recording() as plans:
        start = perf_counter()
        (y,) = compute(spec, param, inputs)
        seconds = perf_counter() - start
    clipped = write_array(path, as_picture(y, chosen, channels, channels_last) if is_picture(out) else y)
    how = ", ".join(dict.fromkeys(plan.algorithm for plan in plans)) or "nothing to compute"
    typer.echo(f"{spec.name} {x.shape} {x.dtype} -> {y.shape} {y.dtype} in {seconds * 1e3:.1f} ms ({how}): {path}")
    if clipped:
        typer.echo(f"{clipped:.1%} of the values were outside 0..1 and were clipped in the picture.")


def _split(op: str, x: Array, channels_last: bool) -> tuple[int, tuple[int, ...]]:
    """The channels and the spatial extents of data."""
    if x.ndim < 3:
        expected, fix = "at least 3 axes (batch, channels, spatial)", "Add the missing axes, as in data[None, None]."
        raise refusal(ShapeError, "data", x.shape, expected, fix=fix, op=op, verb="has shape")
    return (x.shape[-1], x.shape[1:-1]) if channels_last else (x.shape[1], x.shape[2:])


def attributes_of_weight(
    op: str, weight: Sequence[int], channels: int, channels_last: bool, given: Mapping[str, str]
) -> dict[str, str]:
    """`given` completed by what follows from a weight's shape: kernel, num_group and num_filter.

    >>> attributes_of_weight("Convolution", (8, 2, 3, 3), 4, False, {})
    {'kernel': '(3, 3)', 'num_group': '2', 'num_filter': '8'}
    """
    if len(weight) < 3:
        return dict(given)  # the operator says what is missing
    first, *kernel = weight
    second = kernel.pop() if channels_last else kernel.pop(0)
    implied = {"kernel": str(tuple(kernel)), "num_group": "1", "num_filter": str(first)}
    if op == "Convolution" and second and channels and channels % second == 0:
        implied["num_group"] = str(channels // second)
    if op == "Deconvolution":
        groups = given.get("num_group", "1").strip()
        implied["num_filter"] = str(second * (int(groups) if groups.isdecimal() else 1))
    return {**implied, **given}


def as_picture(y: Array, chosen: Filter | None, channels: int, channels_last: bool) -> Array:
    """A result as (1, channels, height, width); of a filter with several responses to a channel, their length."""
    logical = np.moveaxis(y, -1, 1) if channels_last else y
    if chosen is None or chosen.picture == "values":
        return logical
    responses = logical.reshape(logical.shape[0], channels, -1, *logical.shape[2:])
    length: Array = np.sqrt(np.square(responses.astype(np.float64)).sum(axis=2))
    return length
