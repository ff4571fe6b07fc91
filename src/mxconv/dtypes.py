"""The data types that the operators compute in: how each is stored, accumulated and returned.

| stored            | accumulated in       | result           |
|-------------------|----------------------|------------------|
| float32, float64  | itself               | itself           |
| float16, bfloat16 | float32              | itself, rounded once (to nearest even) |
| int8, uint8       | int32                | int32, exact     |
| int16             | int64                | int64, exact     |
| int32, int64      | int64                | int64, exact modulo 2**64 |
| complex64, complex128 | itself           | itself           |

MXNet saturates int8 and refuses the other integers; the exact results are an extension. An 8-bit reduction so long
that int32 could overflow is refused (`max_products`), never wrapped.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import ml_dtypes
import numpy as np

Kind = Literal["float", "int", "complex"]


class DType(NamedTuple):
    """One data type of arrays, by its name, with the types that computing with it uses."""

    name: str
    numpy: np.dtype[Any]
    kind: Kind
    accumulate: str
    result: str
    max_products: int | None = None
    """The longest exact sum of products of two such numbers plus one bias; None where no bound is needed."""

    @property
    def itemsize(self) -> int:
        return self.numpy.itemsize


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

DTYPES: dict[str, DType] = {
    t.name: t
    for t in (
        DType("float32", np.dtype(np.float32), "float", "float32", "float32"),
        DType("float64", np.dtype(np.float64), "float", "float64", "float64"),
        DType("float16", np.dtype(np.float16), "float", "float32", "float16"),
        DType("bfloat16", BFLOAT16, "float", "float32", "bfloat16"),
        DType("int8", np.dtype(np.int8), "int", "int32", "int32", (2**31 - 1 - 128) // (128 * 128)),
        DType("uint8", np.dtype(np.uint8), "int", "int32", "int32", (2**31 - 1 - 255) // (255 * 255)),
        DType("int16", np.dtype(np.int16), "int", "int64", "int64"),
        DType("int32", np.dtype(np.int32), "int", "int64", "int64"),
        DType("int64", np.dtype(np.int64), "int", "int64", "int64"),
        DType("complex64", np.dtype(np.complex64), "complex", "complex64", "complex64"),
        DType("complex128", np.dtype(np.complex128), "complex", "complex128", "complex128"),
    )
}
"""Every data type that the operators accept, by name."""

_BY_NUMPY = {t.numpy: t for t in DTYPES.values()}


def lookup(dtype: Any) -> DType | None:
    """The DType of anything that NumPy understands as one (or of the name "bfloat16"); None if there is none.

    >>> lookup("float16").accumulate
    'float32'
    >>> lookup(bool) is None
    True
    """
    if isinstance(dtype, np.dtype) and dtype in _BY_NUMPY:
        return _BY_NUMPY[dtype]
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    return _BY_NUMPY.get(np.dtype(dtype).newbyteorder("="))
