"""Numbers of every dtype: stored to computed and back, bit for bit as NumPy and ml_dtypes do it, on every target."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from mxconv.dtypes import DTYPES
from mxconv.jit.ir import I64, PTR
from mxconv.jit.numbers import Numbers

SIXTEEN_BITS = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80}
COMPUTED = {"float": np.float32, "double": np.float64, "i32": np.int32, "i64": np.int64}

every_form = pytest.mark.parametrize("scalar", [False, True], ids=["vector", "scalar"])


@pytest.fixture
def convert(compiled, target):
    """convert(dtype, way, array): the array through Numbers.widen or Numbers.narrow, by vectors or one by one."""

    def run(dtype: str, way: str, given: np.ndarray, result: np.dtype, scalar: bool) -> np.ndarray:
        numbers = Numbers.of(dtype)
        lanes = 0 if scalar else target.lanes(numbers.computed.itemsize)
        source = (numbers.stored if way == "widen" else numbers.computed).of(lanes)

        def emit(f, source_at, out, count):
            with f.loop(0, count, max(1, lanes)) as i:
                f.store(getattr(numbers, way)(f, f.load(source, source_at, i)), out, i)

        count = -(-given.size // 64) * 64
        padded = np.resize(given, count)
        out = np.zeros(count, result)
        compiled(emit, source_at=PTR, out=PTR, count=I64)(padded, out, count)
        return out[: given.size]

    return run


def assert_same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    """The same bits, but that any NaN (of the same sign) will do for a NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), nan)
    bits = f"u{got.itemsize}"
    wrong = np.flatnonzero((got.view(bits) != expected.view(bits)) & ~nan)
    assert not wrong.size, f"{wrong.size} differ, first {got[wrong[0]]!r} for {expected[wrong[0]]!r}"
    np.testing.assert_array_equal(np.signbit(got[nan]), np.signbit(expected[nan]))


@every_form
@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
def test_all_16_bit_floats_widen_exactly(convert, dtype, scalar):
    every = np.arange(65536).astype(np.uint16).view(SIXTEEN_BITS[dtype])
    with np.errstate(invalid="ignore"):
        expected = every.astype(np.float32)
    assert_same_bits(convert(dtype, "widen", every, np.dtype(np.float32), scalar), expected)


def hard_cases(dtype: str) -> np.ndarray:
    """float32 numbers where rounding to 16 bits decides: all results, the ties between them, and their neighbours."""
    up_to = np.arange(INFINITY[dtype] + 1).astype(np.uint16).view(SIXTEEN_BITS[dtype]).astype(np.float64)
    up_to[-1] = 2 * up_to[-2] - up_to[-3]  # the number that would come next, were there no infinity
    ties = (up_to[:-1] + up_to[1:]) / 2
    with np.errstate(over="ignore"):
        exact = np.concatenate([up_to, ties]).astype(np.float32)
    around = [exact, np.nextafter(exact, np.float32(0)), np.nextafter(exact, np.float32(np.inf))]
    rng = np.random.default_rng(8)
    bits = rng.integers(0, 2**31, 200_000, np.uint32)
    nans = np.array([0x7F800001, 0x7F801FFF, 0x7F80FFFF, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF], np.uint32)
    tiny = np.arange(1000, dtype=np.uint32)
    special = np.concatenate([bits, nans, tiny, np.array([0x7F800000, 0x7F7FFFFF], np.uint32)]).view(np.float32)
    positive = np.concatenate([*around, special, rng.standard_normal(50_000).astype(np.float32)])
    return np.concatenate([positive, -positive])


@every_form
@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
def test_narrowing_rounds_to_nearest_even(convert, dtype, scalar):
    given = hard_cases(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = given.astype(SIXTEEN_BITS[dtype])
    got = convert(dtype, "narrow", given, SIXTEEN_BITS[dtype], scalar)
    nan = np.isnan(given)
    # NumPy and ml_dtypes have their own signs of NaN; ours are the argument's.
    np.testing.assert_array_equal(np.isnan(got.astype(np.float32)), nan)
    np.testing.assert_array_equal(np.signbit(got[nan].astype(np.float32)), np.signbit(given[nan]))
    wrong = np.flatnonzero((got.view(np.uint16) != expected.view(np.uint16)) & ~nan)
    assert not wrong.size, f"{wrong.size} differ, first {given[wrong[0]]!r}: {got[wrong[0]]!r}, {expected[wrong[0]]!r}"


@every_form
@pytest.mark.parametrize("dtype", [d for d, t in DTYPES.items() if t.kind == "int"])
def test_integers_widen_by_sign_or_zeros(convert, dtype, scalar):
    kind = DTYPES[dtype].numpy
    info = np.iinfo(kind)
    if kind.itemsize <= 2:
        every = np.arange(info.min, info.max + 1).astype(kind)
    else:
        every = np.random.default_rng(9).integers(info.min, info.max, 5000, kind, endpoint=True)
        every[:4] = info.min, info.max, 0, -1
    computed = np.dtype(COMPUTED[Numbers.of(dtype).computed.scalar])
    assert computed == DTYPES[dtype].accumulate
    np.testing.assert_array_equal(convert(dtype, "widen", every, computed, scalar), every.astype(computed))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int64"])
def test_what_is_computed_as_it_is_stored_stays_as_it_is(compiled, dtype):
    numbers = Numbers.of(dtype)

    def emit(f, a):
        x = f.load(numbers.stored, a)
        assert numbers.widen(f, x) is x
        assert numbers.narrow(f, x) is x

    compiled(emit, a=PTR)


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_agree_with_the_table_of_dtypes(dtype):
    numbers, d = Numbers.of(dtype), DTYPES[dtype]
    assert numbers.stored.itemsize * numbers.parts == d.itemsize
    assert numbers.computed.itemsize * numbers.parts == np.dtype(d.accumulate).itemsize
    assert numbers.result.itemsize * numbers.parts == DTYPES[d.result].itemsize
    assert numbers.parts == (2 if d.kind == "complex" else 1)
    assert numbers.computed.is_float == (d.kind != "int")
