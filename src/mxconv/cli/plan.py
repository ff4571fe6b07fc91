"""`mxconv plan`: which algorithm would compute a problem here, what each of the others says, and what it would take."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from ..dtypes import DTYPES
from ..engine import planner, threads
from ..engine.choice import in_megabytes, in_milliseconds
from ..engine.measure import time_each
from ..engine.pack_cache import WeightIdentity
from ..engine.problem import DIRECTIONS, ConvProblem, contiguous_strides
from ..errors import DTypeError, ParamError
from ..jit import target
from ..ops.inference import infer_shapes
from ..ops.layouts import resolve_layout
from ..ops.params import ConvParam, DeconvolutionParam
from ..ops.refusal import refusal
from ..ops.registry import OpSpec
from ..ops.shapes import axis_pads
from ..util import np_shape
from .attributes import find_operator, parse_assignments, parse_shape
from .console import console, table


def run_plan(
    op: str, *, data: str | None, dtype: str, params: Sequence[str], measure: bool = False, new_weight: bool = False
) -> None:
    """Print the verdict of every algorithm on one problem: an operator's, or one in the engine's own notation.

    Raises: ParamError, ShapeError, DTypeError or FormatError, if the problem cannot be read.
    """
    if op.split()[:1] and op.split()[0] in DIRECTIONS:
        if data is not None or params:
            fix = "Leave them out, or name an operator."
            raise refusal(ParamError, "--data", "given with a whole problem", "nothing beside it", fix=fix)
        problem, limit = ConvProblem.parse(op), None
    else:
        spec = find_operator(op)
        param = spec.parse(parse_assignments(params))
        if data is None:
            fix = "For example: --data 1,64,56,56"
            raise refusal(ParamError, "--data", "missing", "data's shape", fix=fix, op=spec.name)
        problem, limit = problem_of(spec, param, parse_shape("--data", data), dtype), param.workspace << 20
    allowed = "" if limit is None else f", workspace up to {in_megabytes(limit)}"
    typer.echo(f"{problem}\non {target.current().name}, up to {threads.available()} threads{allowed}\n")
    rows = planner.explain(problem, limit, None if new_weight else _CONSTANT)
    timings = {}
    if measure:
        with console(stderr=True).status("measuring"):
            applying = [row.algorithm for row in rows if row.verdict.accepted]
            timings = time_each(problem, applying, packs_weight=new_weight)
    headers = ("estimate", *(("measured",) if measure else ()), "error", "workspace", "threads")
    shown = table("", "algorithm", "verdict", *headers)
    for row in rows:
        reason = row.verdict.reason or ("takes it" if row.is_chosen else "would take it")
        times = (in_milliseconds(timings[row.algorithm].median),) if row.algorithm in timings else ("",) * measure
        shown.add_row("*" if row.is_chosen else "", row.algorithm, reason, *_cells(row, times))
    console().print(shown)


class _Nothing:
    """What a weight that never changes is kept under, as far as plans are concerned."""

    version, tainted = 0, False


_NOTHING = _Nothing()
_CONSTANT = WeightIdentity(_NOTHING, 0, 0)


def _cells(row: planner.Explanation, times: tuple[str, ...]) -> tuple[str, ...]:
    if not row.verdict.accepted or row.estimate is None or row.workspace is None:
        return ()
    return in_milliseconds(row.estimate), *times, f"{row.error:.2g}", in_megabytes(row.workspace), str(row.threads)


def problem_of(spec: OpSpec, param: ConvParam, data: tuple[int, ...], dtype: str) -> ConvProblem:
    """What the operator asks of the engine for contiguous data of that shape.

    Raises: ShapeError, if data does not fit the parameters; DTypeError, for a dtype that operators do not compute in.
    """
    if dtype not in DTYPES:
        fix = "Name one of them."
        raise refusal(DTypeError, "--dtype", dtype, f"one of {', '.join(DTYPES)}", fix=fix, op=spec.name)
    with np_shape(True):
        in_shapes, (out,) = infer_shapes(spec, param, [data])
    layout = resolve_layout(param.layout, param.kernel)
    arrays = {"data": data, "weight": in_shapes[1], "out": out}
    shapes = {name: layout.to_logical(shape) for name, shape in arrays.items()}
    strides = {name: layout.to_logical(contiguous_strides(shape)) for name, shape in arrays.items()}
    pads = axis_pads(param, shapes["data"][2:])
    x, y = ("out", "data") if isinstance(param, DeconvolutionParam) else ("data", "out")
    return ConvProblem(
        direction="backward_data" if isinstance(param, DeconvolutionParam) else "forward",
        dtype=dtype,
        batch=shapes[x][0],
        groups=param.num_group,
        in_channels=shapes[x][1],
        out_channels=shapes[y][1],
        in_spatial=shapes[x][2:],
        out_spatial=shapes[y][2:],
        kernel=param.kernel,
        stride=param.stride,
        dilation=param.dilate,
        pad_lo=tuple(lo for lo, _ in pads),
        pad_hi=tuple(hi for _, hi in pads),
        x_strides=strides[x],
        w_strides=strides["weight"],
        y_strides=strides[y],
        epilogue=() if param.no_bias else ("bias",),
    )
