"""How the numbers of each dtype look to kernels: stored elements, computed elements, and the way between them.

A complex number is two parts, re and im, each a vector of its own while computing. Conversions happen while packing
and storing, never in inner loops.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import DTYPES, DType
from .ir import F32, F64, I8, I16, I32, I64, Function, Type, Value

_STORED = {
    "float32": F32, "float64": F64, "float16": I16, "bfloat16": I16, "complex64": F32, "complex128": F64,
    "int8": I8, "uint8": I8, "int16": I16, "int32": I32, "int64": I64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Numbers:
    """The element types of one dtype."""

    stored: Type
    """One part of a number as the inputs hold it."""
    computed: Type
    """One part of a number as accumulators hold it."""
    result: Type
    """One part of a number as the output holds it."""
    parts: int
    """2 for complex numbers, else 1."""
    dtype: DType

    @classmethod
    def of(cls, dtype: str) -> Numbers:
        d = DTYPES[dtype]
        return cls(_STORED[d.name], _STORED[d.accumulate], _STORED[d.result], 2 if d.kind == "complex" else 1, d)

    def widen(self, f: Function, x: Value) -> Value:
        """A stored element (or vector of them) as a computed one."""
        name = self.dtype.name
        if name == "bfloat16":
            return f.cast("bitcast", f.cast("zext", x, I32) << 16, F32)
        if name == "float16":
            return half_to_float(f, x)
        if self.dtype.kind == "int":
            return f.cast("zext" if name.startswith("u") else "sext", x, self.computed)
        return x

    def narrow(self, f: Function, x: Value) -> Value:
        """A computed element as the result stores it; 16-bit floats are rounded here, once, to nearest even."""
        if self.dtype.name == "bfloat16":
            return float_to_bfloat(f, x)
        if self.dtype.name == "float16":
            return float_to_half(f, x)
        return x


def half_to_float(f: Function, x: Value) -> Value:
    """The float32 of the float16 bits in an i16."""
    if f.module.target.has_half:
        return f.cast("fpext", f.cast("bitcast", x, Type("half")), F32)
    bits = f.cast("zext", x, I32)
    shifted = (bits & 0x7FFF) << 13
    exponent = shifted & 0x0F800000
    normal = shifted + 0x38000000
    special = normal + 0x38000000  # infinity and NaN
    tiny = f.cast("bitcast", normal + 0x00800000, F32) - 2.0**-14  # subnormal: let the subtraction normalise
    magnitude = f.select(exponent.equals(0x0F800000), special, normal)
    magnitude = f.select(exponent.equals(0), f.cast("bitcast", tiny, I32), magnitude)
    return f.cast("bitcast", magnitude | ((bits & 0x8000) << 16), F32)


def float_to_half(f: Function, x: Value) -> Value:
    """The float16 bits, as an i16, of a float32, rounded to nearest even."""
    if f.module.target.has_half:
        return f.cast("bitcast", f.cast("fptrunc", x, Type("half")), I16)
    bits = f.cast("bitcast", x, I32)
    magnitude = bits & 0x7FFFFFFF
    normal = (magnitude + ((magnitude >> 13) & 1) + (0xFFF - (112 << 23))) >> 13
    # Below 2**-14 the sum with 0.5 has an ulp of 2**-24, the spacing of subnormal float16: the addition rounds.
    tiny = f.cast("bitcast", f.cast("bitcast", magnitude, F32) + 0.5, I32) - 0x3F000000
    infinite = f.select(magnitude > 0x7F800000, f.constant(0x7E00, magnitude.type), 0x7C00)
    out = f.select(magnitude < 0x38800000, tiny, normal)
    out = f.select(magnitude >= 0x47800000, infinite, out)
    return f.cast("trunc", out | ((bits >> 16) & 0x8000), I16)


def float_to_bfloat(f: Function, x: Value) -> Value:
    """The bfloat16 bits, as an i16, of a float32, rounded to nearest even.

    Always by integer operations: the AVX-512 instruction for it flushes subnormal numbers to zero.
    """
    bits = f.cast("bitcast", x, I32)
    rounded = (bits + ((bits >> 16) & 1) + 0x7FFF) >> 16
    quiet = (bits >> 16) | 0x40
    return f.cast("trunc", f.select(f.compare("uno", x, x), quiet, rounded), I16)
