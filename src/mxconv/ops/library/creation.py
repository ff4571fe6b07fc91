"""Arrays out of nothing, which symbols use: _zeros, _ones, _full, _arange.

Source: Apache MXNet 1.9.1, src/operator/tensor/init_op*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ParamError, ShapeError
from ..casts import cast_array, cast_scalar
from ..grammar import BOOL, FLOAT, INT, OPTIONAL_FLOAT, SCALAR, SHAPE, TEXT, dtype_word
from ..inference import read_shape
from ..merge import merge_shape, unify_types
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Shape
from ..signature import Field
from .rules import define, known

_COMMON = {"ctx": Field(TEXT, ""), "dtype": Field(dtype_word(), "float32")}


def _infer_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    return [], [unify_types(("dtype", "output"), (param.dtype, outs[0]))]


def _infer_shape(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    """What `shape` leaves open, as every shape may, is the output's."""
    given = read_shape("", "shape", param.shape)
    return [], [outs[0] if given is None else merge_shape("output", outs[0], given)]


def _define_constant(name: str, value_of: Callable[[Any], Any], doc: str, **fields: Field) -> None:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        shape = read_shape("", "shape", param.shape)
        if not known(shape):
            got = "()" if shape is None else spell_shape(shape)
            raise refusal(ShapeError, "shape", got, "sizes", fix="Pass every size.")
        return (np.full(shape, cast_scalar(value_of(param), param.dtype)),)

    define(
        name,
        forward,
        inputs=(),
        fields={"shape": Field(SHAPE, "()"), **_COMMON, **fields},
        infer_shape=_infer_shape,
        infer_type=_infer_type,
        gradient=lambda step: [],
        doc=doc,
    )


_define_constant("_zeros", lambda param: 0, "Zeros.")
_define_constant("_ones", lambda param: 1, "Ones.")
_define_constant("_full", lambda param: param.value, "The value everywhere.", value=Field(SCALAR, example="0"))


# ---- _arange


def _numbers(param: Any) -> Array:
    start, stop = (0.0, param.start) if param.stop is None else (param.start, param.stop)
    if param.step == 0 or (stop - start) / param.step < 0:
        why = f"the range ({start}, {stop}, {param.step}) is invalid"
        fix = "Change the sign of step, or exchange start and stop."
        raise refusal(ParamError, "step", param.step, "a step that leads from start to stop", why, fix=fix)
    return np.repeat(np.arange(start, stop, param.step), param.repeat)


def _infer_arange(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    return [], [merge_shape("output", outs[0], _numbers(param).shape)]


define(
    "_arange",
    lambda param, arrays, call: (cast_array(_numbers(param), param.dtype),),
    inputs=(),
    fields={
        "start": Field(FLOAT, example="0"),
        "stop": Field(OPTIONAL_FLOAT, "None"),
        "step": Field(FLOAT, "1"),
        "repeat": Field(INT, "1", least=1),
        "infer_range": Field(BOOL, "0"),
        **_COMMON,
    },
    infer_shape=_infer_arange,
    infer_type=_infer_type,
    gradient=lambda step: [],
    doc="start, start + step, ... below stop (from 0 to start without stop), each `repeat` times.",
)
