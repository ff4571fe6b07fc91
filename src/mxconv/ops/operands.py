"""Which arrays a call is given, and the one that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import DType
from ..errors import ParamError, ShapeError
from .params import ConvParam
from .refusal import refusal
from .registry import OpSpec
from .types import check_output, infer_type

Array = npt.NDArray[Any]


def input_names(param: ConvParam) -> tuple[str, ...]:
    """data, weight and, unless no_bias, bias."""
    return ("data", "weight") if param.no_bias else ("data", "weight", "bias")


def infer_types(param: ConvParam, in_types: Sequence[Any], out_types: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The types of the inputs and of the output; see mxconv.ops.types."""
    return infer_type(param.op, input_names(param), in_types, out_types[0])


def result_array(op: str, shape: tuple[int, ...], result: DType, out: Array | None) -> Array:
    """`out`, checked, or a fresh array.

    Raises: ShapeError, DTypeError, ParamError.
    """
    if out is None:
        return _allocate(op, shape, result)
    _check_out(op, out, shape, result)
    return out


def check_inputs(spec: OpSpec, param: Any, given: Sequence[str]) -> None:
    """Refuse a call whose inputs are not the ones that the parameters ask for.

    Raises: ParamError, with MXNet's count and the names.
    """
    wanted = spec.input_names(param)
    if tuple(given) == wanted:
        return
    missing = [name for name in wanted if name not in given]
    got = ", ".join(given) or "no inputs"
    verb = "is missing, got" if missing else "is not asked for, got"
    expected = ", ".join(wanted)
    why = f"Operator {spec.name} expects {len(wanted)} inputs, but got {len(given)} instead"
    has_bias = "no_bias" in spec.signature.fields
    if has_bias:
        why += f", with no_bias={param.no_bias}"
    fix = f"Pass {expected}."
    if missing:
        fix = f"Pass {' and '.join(missing)}" + (", or no_bias=True." if missing == ["bias"] else ".")
    elif has_bias and "bias" in given:
        fix = "Leave bias out, or pass no_bias=False."
    argument = missing[0] if missing else next((name for name in given if name not in wanted), given[-1])
    raise refusal(ParamError, argument, got, expected, why, fix=fix, op=spec.name, verb=verb)


def _allocate(op: str, shape: tuple[int, ...], result: DType) -> Array:
    try:
        return np.empty(shape, result.numpy)
    except ValueError:  # more than an index can count; NumPy's MemoryError says the rest well enough
        why = "the kernel, stride, pad and target make the result that large"
        fix = "Use smaller ones."
        raise refusal(
            ShapeError, "output", shape, "what memory can hold", why, fix=fix, op=op, verb="has shape"
        ) from None


def _check_out(op: str, out: Array, shape: tuple[int, ...], result: DType) -> None:
    if out.shape != shape:
        why = "0-th output has invalid shape, Shape inconsistent with what the inputs give"
        fix = "Pass an array of exactly that shape, or let the operator make one."
        raise refusal(ShapeError, "out", out.shape, shape, why, fix=fix, op=op, verb="has shape")
    check_output(op, "out", result, out.dtype)
    if not out.flags.writeable:
        fix = "Pass a writable array, or let the operator make one."
        raise refusal(ParamError, "out", "read-only", "an array that can be written", fix=fix, op=op)
