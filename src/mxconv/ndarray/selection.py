"""Selections as operators, so that they can be differentiated: what an index picks, and where it puts that back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import BFLOAT16
from ..ops.registry import Array, Call, OpSpec, Shape, Step
from ..ops.signature import Signature
from .invoke import invoke


class Selection(NamedTuple):
    """A key in NumPy's terms, the shape of the array that it selects from, and the shape of the result."""

    key: tuple[Any, ...]
    is_basic: bool
    source: tuple[int, ...]
    result: tuple[int, ...]


def _pick(selection: Selection, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    return (inputs[0][selection.key].reshape(selection.result),)


def _put(selection: Selection, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    """Zeros, but for what was picked; what was picked several times is added up."""
    (values,) = inputs
    is_half = values.dtype in (np.float16, BFLOAT16)
    result = np.zeros(selection.source, np.float32 if is_half else values.dtype)
    shape = result[selection.key].shape
    if selection.is_basic:
        result[selection.key] = values.reshape(shape)
    else:
        np.add.at(result, selection.key, values.reshape(shape))
    return (result.astype(values.dtype, copy=False),)


def _parse(attributes: Mapping[str, Any]) -> Selection:
    selection: Selection = attributes["selection"]
    return selection


def _data(selection: Selection) -> tuple[str]:
    return ("data",)


def _same_type(selection: Selection, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    known = next((one for one in (*ins, *outs) if one is not None), None)
    return [known], [known]


def _pick_shapes(selection: Selection, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    return [selection.source], [selection.result]


def _put_shapes(selection: Selection, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    return [selection.result], [selection.source]


def pick_gradient(step: Step[Any]) -> list[Any]:
    """The gradient of picking: putting it back."""
    return invoke(PUT, step.out_grads, {"selection": step.param})


def _put_gradient(step: Step[Any]) -> list[Any]:
    return invoke(PICK, step.out_grads, {"selection": step.param})


def _operator(name: str, **fields: Any) -> OpSpec:
    signature = Signature(name)
    return OpSpec(name=name, signature=signature, parse=_parse, input_names=_data, infer_type=_same_type, **fields)


PICK = _operator("_pick", infer_shape=_pick_shapes, forward=_pick, gradient=pick_gradient)
PUT = _operator("_put", infer_shape=_put_shapes, forward=_put, gradient=_put_gradient)
