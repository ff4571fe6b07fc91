"""The dtype rule of both operators: all inputs have data's dtype, the result has what mxconv.dtypes says.

float32, float64, float16, bfloat16, complex64 and complex128 give themselves; int8 and uint8 give int32;
int16, int32 and int64 give int64. MXNet gives saturated int8 for int8 and refuses the other integers: exact
results are an extension. Nothing is cast silently: mixed or unsupported dtypes get a DTypeError that names
the cast to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DTYPES, DType, lookup
from ..errors import DTypeError
from .refusal import refusal

_CASTS = {"bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float128": "float64",
          "longdouble": "float64", "complex256": "complex128", "int4": "int8", "uint4": "uint8"}  # fmt: skip


def uniform_dtype(op: str, names: Sequence[str], dtypes: Sequence[Any]) -> DType:
    """The one DType of all the inputs.

    Raises: DTypeError, if data's dtype is not supported or another input has a different one.
    """
    wanted = _supported(op, names[0], dtypes[0])
    for name, dtype in zip(names[1:], dtypes[1:], strict=True):
        if dtype is not dtypes[0] and _found(dtype) is not wanted:
            got = _spell(dtype)
            why = (
                "all inputs have the dtype of data, This layer requires uniform type. "
                f"Expected '{wanted.name}' v.s. given '{got}' at '{name}'"
            )
            fix = f"Cast it with {name}.astype('{wanted.name}')."
            raise refusal(DTypeError, name, got, wanted.name, why, fix=fix, op=op, verb="has dtype")
    return wanted


def check_reduction(op: str, dtype: DType, products: int) -> None:
    """Refuse an 8-bit sum so long that its int32 result could overflow.

    Raises: DTypeError, naming the longest exact sum and the wider dtype to use.
    """
    if dtype.max_products is not None and products > dtype.max_products:
        got, expected = f"{products} products in each sum of {dtype.name}", f"at most {dtype.max_products}"
        why = "an int32 result could overflow beyond that"
        fix = "Cast the inputs with .astype('int16'): the result is then an exact int64."
        raise refusal(DTypeError, "data", got, expected, why, fix=fix, op=op, verb="gives")


def infer_type(
    op: str, names: Sequence[str], in_types: Sequence[Any], out_type: Any = None
) -> tuple[list[Any], list[Any]]:
    """NumPy types of the inputs and of the output, as far as they follow from those that are not None.

    All inputs share data's dtype. Data's follows from the output's where only one dtype gives that result
    (int32 and int64 come from several); weight's alone is not enough, as in MXNet.

    Raises: DTypeError, if they are mixed or not supported.
    """
    given = [*in_types, *([None] * (len(names) - len(in_types)))]
    if given[0] is None and out_type is not None:
        result = _supported(op, "output", out_type)
        sources = [t for t in DTYPES.values() if t.result == result.name]
        if len(sources) == 1:
            given[0] = sources[0].numpy
    if given[0] is None:
        types = [_known_type(op, name, t) for name, t in zip((*names, "output"), (*given, out_type), strict=True)]
        return types[:-1], types[-1:]
    known = [(name, t) for name, t in zip(names, given, strict=True) if t is not None]
    dtype = uniform_dtype(op, [name for name, _ in known], [t for _, t in known])
    result = DTYPES[dtype.result]
    if out_type is not None:
        check_output(op, "output", result, out_type)
    return [dtype.numpy.type] * len(names), [result.numpy.type]


def check_output(op: str, name: str, result: DType, dtype: Any) -> None:
    """Refuse an output whose dtype is not the result's.

    Raises: DTypeError.
    """
    if _found(dtype) is not result:
        got = _spell(dtype)
        fix = f"Pass an array of dtype {result.name}."
        raise refusal(DTypeError, name, got, result.name, "the result's dtype", fix=fix, op=op, verb="has dtype")


def _known_type(op: str, name: str, dtype: Any) -> Any:
    return None if dtype is None else _supported(op, name, dtype).numpy.type


def _found(dtype: Any) -> DType | None:
    try:
        return lookup(dtype)
    except TypeError:  # NumPy does not know such a dtype
        return None


def _spell(dtype: Any) -> str:
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype)


def _supported(op: str, name: str, dtype: Any) -> DType:
    found = _found(dtype)
    if found is None:
        got = _spell(dtype)
        expected = f"one of {', '.join(DTYPES)}"
        fix = f"Cast it with {name}.astype('{_CASTS.get(got, 'float32')}')."
        raise refusal(DTypeError, name, got, expected, "not supported", fix=fix, op=op, verb="has dtype")
    return found
