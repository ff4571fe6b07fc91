"""From the caller's arrays to the engine's: dtypes and shapes checked, `out` at hand, views in logical order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..dtypes import DTYPES, DType
from ..errors import ParamError, ShapeError
from .layouts import resolve_layout
from .params import ConvParam
from .refusal import refusal
from .registry import OpSpec
from .shapes import check_shapes
from .types import check_output, uniform_dtype

Array = npt.NDArray[Any]


class Operands(NamedTuple):
    """What one call reads and writes, as (batch, channels, *spatial); `result` is in the caller's order."""

    dtype: DType
    data: Array
    weight: Array
    bias: Array | None
    out: Array
    result: Array


def input_names(param: ConvParam) -> tuple[str, ...]:
    """data, weight and, unless no_bias, bias."""
    return ("data", "weight") if param.no_bias else ("data", "weight", "bias")


def prepare(param: ConvParam, inputs: Sequence[Array], out: Array | None) -> Operands:
    """Check the inputs and `out` against each other and the parameters, and view them in logical order.

    Raises: ShapeError, DTypeError, ParamError.
    """
    names = input_names(param)
    arrays = dict(zip(names, inputs, strict=True))
    data, weight, bias = arrays["data"], arrays["weight"], arrays.get("bias")
    dtype = uniform_dtype(param.op, names, [a.dtype for a in arrays.values()])
    shape = check_shapes(param, data.shape, weight.shape, None if bias is None else bias.shape)
    result = DTYPES[dtype.result]
    if out is None:
        out = _allocate(param.op, shape, result)
    else:
        _check_out(param.op, out, shape, result)
    view = resolve_layout(param.layout, param.kernel).logical_view
    return Operands(dtype, view(data), view(weight), bias, view(out), out)


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
