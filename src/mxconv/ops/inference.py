"""Shape inference in MXNet's notation of what is unknown, for the registry.

Legacy mode, the default: an unknown extent is 0 (or -1), an unknown rank `()`. Inside `mx.util.np_shape()`: an
unknown extent is -1, an unknown rank None, and 0 is a size. None is accepted for either in both modes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..util import is_np_shape
from .params import ConvParam
from .refusal import refusal
from .shapes import Dim, Shape, Shapes, solve


def infer_shape(param: ConvParam, in_shapes: Sequence[Any], out_shape: Any = None) -> tuple[list[Any], list[Any]]:
    """Shapes of the inputs and of the output, as far as they follow from those that are known.

    Raises: ShapeError or ParamError, if the shapes contradict each other or the parameters.

    >>> from mxconv.ops.params import ConvolutionParam
    >>> infer_shape(ConvolutionParam.parse({"kernel": 3, "num_filter": 8}), [(0, 4, 10)])
    ([(0, 4, 10), (8, 4, 3), (8,)], [(0, 8, 8)])
    """
    names = ("data", "weight") if param.no_bias else ("data", "weight", "bias")
    missing = [None] * (len(names) - len(in_shapes))
    known = {n: _read(param.op, n, s) for n, s in zip(names, [*in_shapes, *missing], strict=True)}
    output = _read(param.op, "output", out_shape)
    solved = solve(param, Shapes(known["data"], known["weight"], known.get("bias"), output))
    return [_write(getattr(solved, name)) for name in names], [_write(solved.output)]


def _read(op: str, name: str, shape: Any) -> Shape | None:
    np_mode = is_np_shape()
    if shape is None or (not np_mode and len(shape) == 0):
        return None
    dims: list[Dim] = []
    for entry in shape:
        n = -1 if entry is None else operator.index(entry)
        if n < -1:
            fix, why = "Replace the negative entry.", "shape dim size must be >= -1"
            expected = "extents, or -1 where unknown"
            raise refusal(ShapeError, name, tuple(shape), expected, why, fix=fix, op=op, verb="has shape")
        dims.append(None if n == -1 or (n == 0 and not np_mode) else n)
    return tuple(dims)


def _write(shape: Shape | None) -> Any:
    np_mode = is_np_shape()
    if shape is None:
        return None if np_mode else ()
    return tuple((-1 if np_mode else 0) if n is None else n for n in shape)
