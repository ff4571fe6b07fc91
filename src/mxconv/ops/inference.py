"""Shape inference in MXNet's notation of what is unknown.

Legacy mode, the default: an unknown extent is 0 (or -1), an unknown rank `()`. Inside `mx.util.np_shape()`: an
unknown extent is -1, an unknown rank None, and 0 is a size. None is accepted for either in both modes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..util import is_np_shape
from .refusal import refusal
from .registry import OpSpec, Shape


def infer_shapes(
    spec: OpSpec, param: Any, in_shapes: Sequence[Any], out_shapes: Sequence[Any] = ()
) -> tuple[list[Any], list[Any]]:
    """Shapes of the inputs and of the outputs, as far as they follow from those that are known; both may be short.

    Raises: ShapeError or ParamError, if the shapes contradict each other or the parameters.

    >>> from mxconv.ops import OPERATORS
    >>> conv = OPERATORS["Convolution"]
    >>> infer_shapes(conv, conv.parse({"kernel": 3, "num_filter": 8}), [(0, 4, 10)])
    ([(0, 4, 10), (8, 4, 3), (8,)], [(0, 8, 8)])
    """
    known = []
    for names, shapes in ((spec.input_names(param), in_shapes), (spec.output_names(param), out_shapes)):
        full = [*shapes, *([None] * (len(names) - len(shapes)))]
        known.append([read_shape(spec.name, name, shape) for name, shape in zip(names, full, strict=True)])
    ins, outs = spec.infer_shape(param, *known)
    return [write_shape(shape) for shape in ins], [write_shape(shape) for shape in outs]


def read_shape(op: str, name: str, shape: Any) -> Shape:
    """A shape in MXNet's notation as the registry has it.

    Raises: ShapeError, for an extent below -1.
    """
    np_mode = is_np_shape()
    if shape is None or (not np_mode and len(shape) == 0):
        return None
    dims: list[int | None] = []
    for entry in shape:
        n = -1 if entry is None else operator.index(entry)
        if n < -1:
            fix, why = "Replace the negative entry.", "shape dim size must be >= -1"
            expected = "extents, or -1 where unknown"
            raise refusal(ShapeError, name, tuple(shape), expected, why, fix=fix, op=op, verb="has shape")
        dims.append(None if n == -1 or (n == 0 and not np_mode) else n)
    return tuple(dims)


def write_shape(shape: Shape) -> Any:
    """A shape of the registry's in MXNet's notation."""
    np_mode = is_np_shape()
    if shape is None:
        return None if np_mode else ()
    return tuple((-1 if np_mode else 0) if n is None else n for n in shape)
