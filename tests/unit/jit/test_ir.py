"""The kernel language: what its arithmetic, control and memory mean, on every target."""

from __future__ import annotations

import itertools
import math
import threading

import numpy as np
import pytest

from conformance.guards import AVAILABLE, PAGE, READ_WRITE, bytes_at, protect, release, reserve
from mxconv.jit.ir import F32, F64, I1, I8, I16, I32, I64, PTR, Module, Type, Value

from .conftest import loaded

INTS = [(I8, np.int8), (I16, np.int16), (I32, np.int32), (I64, np.int64)]
FLOATS = [(F32, np.float32), (F64, np.float64)]
ids = [t.scalar for t, _ in INTS + FLOATS]


def edge_numbers(kind: type, count: int) -> np.ndarray:
    """Random numbers of an integer type, its extremes among them."""
    info = np.iinfo(kind)
    numbers = np.random.default_rng(5).integers(info.min, info.max, count, kind, endpoint=True)
    numbers[:5] = 0, 1, -1, info.min, info.max
    return numbers


# ---- arithmetic


@pytest.mark.parametrize("lanes", [0, 4, 16])
@pytest.mark.parametrize(("type_", "kind"), INTS, ids=ids[:4])
def test_integer_arithmetic_wraps(compiled, type_, kind, lanes):
    t, n = type_.of(lanes), max(1, lanes)
    ways = [
        (lambda a, b: a + b, np.add),
        (lambda a, b: a - b, np.subtract),
        (lambda a, b: a * b, np.multiply),
        (lambda a, b: a & b, np.bitwise_and),
        (lambda a, b: a | b, np.bitwise_or),
        (lambda a, b: a ^ b, np.bitwise_xor),
        (lambda a, b: -a, lambda a, b: np.negative(a)),
        (lambda a, b: a + 0, lambda a, b: a),
        (lambda a, b: 7 + a, lambda a, b: a + kind(7)),
        (lambda a, b: a - 3, lambda a, b: a - kind(3)),
        (lambda a, b: 5 - a, lambda a, b: kind(5) - a),
        (lambda a, b: a * 1, lambda a, b: a),
        (lambda a, b: a * 0, lambda a, b: np.zeros_like(a)),
        (lambda a, b: 3 * a, lambda a, b: a * kind(3)),
        (lambda a, b: a << 3, lambda a, b: a << kind(3)),
        (lambda a, b: a >> 3, lambda a, b: (a.view(f"u{a.itemsize}") >> np.uint8(3)).view(kind)),
        (lambda a, b: a.f.smaller(a, b), np.minimum),
        (lambda a, b: a.f.larger(a, 2), lambda a, b: np.maximum(a, kind(2))),
    ]

    def emit(f, a, b, out):
        x, y = f.load(t, a), f.load(t, b)
        for i, (way, _) in enumerate(ways):
            f.store(way(x, y), out, i * n)

    kernel = compiled(emit, a=PTR, b=PTR, out=PTR)
    numbers = edge_numbers(kind, 32)
    for a in numbers.reshape(-1, n) if n > 1 else numbers[:10].reshape(-1, 1):
        b, out = np.roll(numbers, 3)[:n].copy(), np.zeros((len(ways), n), kind)
        kernel(a, b, out)
        with np.errstate(over="ignore"):
            for row, (_, meaning) in zip(out, ways, strict=True):
                np.testing.assert_array_equal(row, meaning(a, b))


def test_division_of_numbers_that_are_not_negative(compiled):
    def emit(f, a, b, out):
        f.store(a // b, out, 0)
        f.store(a % b, out, 1)
        f.store(a // 7, out, 2)
        f.store(a % 8, out, 3)

    kernel = compiled(emit, a=I64, b=I64, out=PTR)
    out = np.zeros(4, np.int64)
    for a, b in [(0, 1), (1, 2), (100, 7), (2**62, 3), (2**63 - 1, 2**63 - 1), (5, 2**40)]:
        kernel(a, b, out)
        assert out.tolist() == [a // b, a % b, a // 7, a % 8]


@pytest.mark.parametrize("lanes", [0, 4, 16])
def test_comparisons(compiled, lanes):
    t, n = I64.of(lanes), max(1, lanes)
    ways = [
        (lambda a, b: a < b, np.less),
        (lambda a, b: a <= b, np.less_equal),
        (lambda a, b: a > b, np.greater),
        (lambda a, b: a >= b, np.greater_equal),
        (lambda a, b: a.equals(b), np.equal),
        (lambda a, b: a.below(b), lambda a, b: a.view(np.uint64) < b.view(np.uint64)),
        (lambda a, b: a < 1, lambda a, b: a < 1),
        (lambda a, b: a.below(5), lambda a, b: (a >= 0) & (a < 5)),
    ]

    def emit(f, a, b, out):
        for i, (way, _) in enumerate(ways):
            f.store(f.cast("zext", way(f.load(t, a), f.load(t, b)), I64), out, i * n)

    kernel = compiled(emit, a=PTR, b=PTR, out=PTR)
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), 4, 5, 6]
    pairs = np.array(list(itertools.product(numbers, numbers)))
    for chunk in pairs.reshape(-1, n, 2):
        a, b = (np.ascontiguousarray(chunk[:, i]) for i in (0, 1))
        out = np.zeros((len(ways), n), np.int64)
        kernel(a, b, out)
        for row, (_, meaning) in zip(out, ways, strict=True):
            np.testing.assert_array_equal(row, meaning(a, b))


@pytest.mark.parametrize("lanes", [0, 4, 16])
@pytest.mark.parametrize(("type_", "kind"), FLOATS, ids=ids[4:])
def test_float_arithmetic_is_that_of_ieee(compiled, type_, kind, lanes):
    t, n = type_.of(lanes), max(1, lanes)
    ways = [
        (lambda a, b: a + b, np.add),
        (lambda a, b: a - b, np.subtract),
        (lambda a, b: a * b, np.multiply),
        (lambda a, b: -a, lambda a, b: -a),
        (lambda a, b: a * 0.1, lambda a, b: a * kind(0.1)),
        (lambda a, b: 1.5 - a, lambda a, b: kind(1.5) - a),
        (lambda a, b: a * 0, lambda a, b: a * kind(0)),
    ]

    def emit(f, a, b, out):
        for i, (way, _) in enumerate(ways):
            f.store(way(f.load(t, a), f.load(t, b)), out, i * n)

    kernel = compiled(emit, a=PTR, b=PTR, out=PTR)
    tiny = np.finfo(kind).smallest_subnormal
    numbers = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, tiny, -3 * tiny, 0.1, 1 / 3, 1e30], kind)
    numbers = np.concatenate([numbers, np.random.default_rng(1).standard_normal(20).astype(kind)])
    for shift in range(8):
        a, b, out = numbers[shift : shift + n].copy(), np.roll(numbers, 5 * shift)[:n].copy(), np.zeros((7, n), kind)
        kernel(a, b, out)
        with np.errstate(all="ignore"):
            for row, (_, meaning) in zip(out, ways, strict=True):
                expected = meaning(a, b)
                np.testing.assert_array_equal(row, expected)
                np.testing.assert_array_equal(np.signbit(row[row == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize("lanes", [0, 4, 16])
@pytest.mark.parametrize(("type_", "kind", "half_digits"), [(F32, np.float32, 12), (F64, np.float64, 27)])
def test_multiply_add_rounds_once_where_the_cpu_fuses(compiled, target, type_, kind, half_digits, lanes):
    t, n = type_.of(lanes), max(1, lanes)
    kernel = compiled(lambda f, x, c, out: f.store(f.multiply_add(f.load(t, x), f.load(t, x), f.load(t, c)), out),
                      x=PTR, c=PTR, out=PTR)  # fmt: skip
    x = np.full(n, 1 + 2.0**-half_digits, kind)  # its square loses 2**-2h when it is rounded
    out = np.zeros(n, kind)
    kernel(x, np.full(n, -1 - 2.0 ** (1 - half_digits), kind), out)
    assert (out == (2.0 ** (-2 * half_digits) if target.has_fma else 0)).all()


def test_multiply_add_of_integers(compiled):
    t = I32.of(8)
    kernel = compiled(lambda f, a, out: f.store(f.multiply_add(f.load(t, a), f.load(t, a), f.load(t, a)), out),
                      a=PTR, out=PTR)  # fmt: skip
    a, out = np.arange(-4, 4, dtype=np.int32) * 20_000, np.zeros(8, np.int32)
    kernel(a, out)
    np.testing.assert_array_equal(out, a * a + a)


# ---- constants, conversions, lanes

LITERALS = [0, 1, -1, 0.1, 1 / 3, -0.0, math.inf, -math.inf, math.nan, 1e-45, 1e-40, 2.0**-126, 3.4028234e38, 16777217]


@pytest.mark.parametrize("lanes", [0, 4])
@pytest.mark.parametrize(("type_", "kind"), FLOATS, ids=ids[4:])
def test_float_literals_are_exact(compiled, type_, kind, lanes):
    numbers = [*LITERALS, *([5e-324, 1.7976931348623157e308] if kind is np.float64 else [])]
    t, n = type_.of(lanes), max(1, lanes)

    def emit(f, out):
        for i, number in enumerate(numbers):
            f.store(f.constant(number, t), out, i * n)

    out = np.zeros((len(numbers), n), kind)
    compiled(emit, out=PTR)(out)
    expected = np.array(numbers, kind)
    np.testing.assert_array_equal(out, np.broadcast_to(expected[:, None], out.shape))
    np.testing.assert_array_equal(np.signbit(out[:, 0]), np.signbit(expected))


@pytest.mark.parametrize("lanes", [0, 4])
@pytest.mark.parametrize(("type_", "kind"), INTS, ids=ids[:4])
def test_integer_literals(compiled, type_, kind, lanes):
    numbers = [0, 1, -1, 77, np.iinfo(kind).min, np.iinfo(kind).max]
    t, n = type_.of(lanes), max(1, lanes)

    def emit(f, out):
        for i, number in enumerate(numbers):
            f.store(f.constant(number, t), out, i * n)

    out = np.zeros((len(numbers), n), kind)
    compiled(emit, out=PTR)(out)
    np.testing.assert_array_equal(out, np.broadcast_to(np.array(numbers, kind)[:, None], out.shape))


def test_a_literal_that_is_no_integer_is_refused(target):
    with Module(target).function("kernel", a=I64) as f, pytest.raises(ValueError, match=r"0\.5 is no i64"):
        f.args["a"] + 0.5


def test_conversions(compiled):
    t = I8.of(16)

    def emit(f, a, out):
        x = f.load(t, a)
        f.store(f.cast("sext", x, I32), out, 0)
        f.store(f.cast("zext", x, I32), out, 16)
        f.store(f.cast("bitcast", f.cast("bitcast", f.cast("sext", x, I32), F32), I32), out, 32)
        assert f.cast("bitcast", x, I8) is x

    a, out = np.arange(-8, 8, dtype=np.int8), np.zeros((3, 16), np.int32)
    compiled(emit, a=PTR, out=PTR)(a, out)
    np.testing.assert_array_equal(out, [a, a.view(np.uint8), a])


@pytest.mark.parametrize("lanes", [2, 8, 16])
def test_splat_and_lane_numbers(compiled, lanes):
    def emit(f, x, out):
        f.store(f.splat(x, lanes) * 10 + f.lane_numbers(lanes), out)

    out = np.zeros(lanes, np.int64)
    compiled(emit, x=I64, out=PTR)(7, out)
    assert out.tolist() == [70 + i for i in range(lanes)]


def test_shuffles_pick_from_two_vectors(compiled):
    t, picks = I16.of(8), [0, 8, 15, 7, 7, 9, 1, 3]

    def emit(f, a, b, out):
        f.store(f.shuffle(f.load(t, a), f.load(t, b), picks), out)

    a, out = np.arange(16, dtype=np.int16) * 3, np.zeros(8, np.int16)
    compiled(emit, a=PTR, b=PTR, out=PTR)(a, a[8:], out)
    np.testing.assert_array_equal(out, a[picks])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("type_", "kind"), [(F32, np.float32), (I64, np.int64)], ids=["float", "i64"])
def test_registers_are_transposed(compiled, type_, kind, lanes):
    t = type_.of(lanes)

    def emit(f, a, out):
        for i, row in enumerate(f.transpose([f.load(t, a, i * lanes) for i in range(lanes)])):
            f.store(row, out, i * lanes)

    a, out = np.arange(lanes * lanes).astype(kind).reshape(lanes, lanes), np.zeros((lanes, lanes), kind)
    compiled(emit, a=PTR, out=PTR)(a, out)
    np.testing.assert_array_equal(out, a.T)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16, 32, 64])
def test_masks_are_made_of_bits(compiled, lanes):
    def emit(f, bits, out):
        f.store(f.cast("zext", f.mask_of_bits(bits, lanes), I8), out)

    kernel, out = compiled(emit, bits=I64, out=PTR), np.zeros(lanes, np.int8)
    for bits in (0, 1, -1, 0b1011, 1 << (lanes - 1), 0x5555_5555_5555_5555, -(2**63)):
        kernel(bits, out)
        assert out.tolist() == [bits >> lane & 1 for lane in range(lanes)]


@pytest.mark.parametrize(("type_", "text"), [(F32, "f32"), (F64.of(8), "v8f64"), (PTR.of(4), "v4p0"), (I16, "i16"),
                                             (Type("half", 2), "v2f16")])  # fmt: skip
def test_mangled_names(type_, text):
    assert type_.mangled == text


# ---- control

RANGES = [
    (0, 0, 1),
    (0, 5, 1),
    (3, 3, 1),
    (5, 2, 1),
    (-4, 3, 1),
    (0, 10, 3),
    (0, 9, 3),
    (0, 1, 7),
    (2**31 - 1, 2**31 + 1, 1),
]


def test_loops_are_ranges(compiled):
    def emit(f, start, stop, step, out):
        count, total = f.variable(I64, 0), f.variable(I64, 0)
        with f.loop(start, stop, step) as i:
            count.set(count.get() + 1)
            total.set(total.get() + i)
        f.store(count.get(), out, 0)
        f.store(total.get(), out, 1)

    kernel, out = compiled(emit, start=I64, stop=I64, step=I64, out=PTR), np.zeros(2, np.int64)
    for bounds in RANGES:
        kernel(*bounds, out)
        assert out.tolist() == [len(range(*bounds)), sum(range(*bounds))]


def test_loops_with_constant_bounds(compiled):
    def emit(f, out):
        for row, bounds in enumerate(RANGES):
            total = f.variable(I64, 0)
            with f.loop(*bounds) as i:
                total.set(total.get() + i * i)
            f.store(total.get(), out, row)

    out = np.zeros(len(RANGES), np.int64)
    compiled(emit, out=PTR)(out)
    assert out.tolist() == [sum(i * i for i in range(*b)) for b in RANGES]


def test_nested_loops_in_which_the_inner_one_may_be_empty(compiled):
    def emit(f, n, out):
        total = f.variable(I64, 0)
        with f.loop(0, n) as i, f.loop(i, 4) as j:
            fresh = f.variable(I64, 0)  # one cell for all rounds, set anew in each
            with f.loop(0, j) as k:
                fresh.set(fresh.get() + k)
            total.set(total.get() * 3 + fresh.get())
        f.store(total.get(), out)

    def twin(n: int) -> int:
        total = 0
        for i in range(n):
            for j in range(i, 4):
                total = total * 3 + sum(range(j))
        return total

    kernel, out = compiled(emit, n=I64, out=PTR), np.zeros(1, np.int64)
    for n in range(8):
        kernel(n, out)
        assert out[0] == twin(n)


def test_branches_nest(compiled):
    def emit(f, x, y, out):
        result = f.variable(I64, -1)
        with f.when(x < 0) as negative:
            with f.when(y < 0) as otherwise:
                result.set(0)
            with otherwise, f.when(y > 10):
                result.set(1)
        with negative:
            with f.when(x > 10):
                result.set(2)
                with f.when(y.equals(0)) as otherwise:
                    result.set(3)
                with otherwise, f.loop(0, y) as i, f.when((i % 2).equals(0)):
                    result.set(result.get() + 10)
            result.set(result.get() + 100)
        f.store(result.get(), out)

    def twin(x: int, y: int) -> int:
        if x < 0:
            return 0 if y < 0 else 1 if y > 10 else -1
        if x > 10:
            return (3 if y == 0 else 2 + 10 * len(range(0, y, 2))) + 100
        return 99

    kernel, out = compiled(emit, x=I64, y=I64, out=PTR), np.zeros(1, np.int64)
    for x, y in itertools.product((-5, 0, 10, 11), (-3, 0, 1, 6, 10, 11)):
        kernel(x, y, out)
        assert out[0] == twin(x, y), (x, y)


def test_an_else_branch_must_follow_at_once(target):
    with Module(target).function("kernel", a=I64) as f:
        with f.when(f.args["a"] < 0) as otherwise:
            pass
        f.variable(I64, 1)
        with pytest.raises(AssertionError, match="at once"), otherwise:
            pass


def test_a_function_whose_body_fails_is_not_kept(target):
    module = Module(target)
    with pytest.raises(ZeroDivisionError), module.function("kernel", a=I64):
        raise ZeroDivisionError
    assert "kernel" not in module.text()


@pytest.mark.parametrize("lanes", [0, 16])
def test_select(compiled, lanes):
    t, n = F32.of(lanes), max(1, lanes)

    def emit(f, a, b, out):
        x, y = f.load(t, a), f.load(t, b)
        f.store(f.select(f.compare("olt", x, y), x, y), out, 0)
        f.store(f.select(f.compare("olt", x, 0), x, 2.5), out, n)
        f.store(f.select(f.compare("uno", x, x), f.constant(-1, t), x), out, 2 * n)
        f.store(f.select(f.load(I64, a).equals(0), x, y), out, 3 * n)  # one condition for all lanes

    a, b = np.random.default_rng(2).standard_normal((2, n)).astype(np.float32)
    a[n // 2] = np.nan
    out = np.zeros((4, n), np.float32)
    kernel = compiled(emit, a=PTR, b=PTR, out=PTR)
    kernel(np.append(a, [0, 0]).astype(np.float32), b, out)
    with np.errstate(invalid="ignore"):
        expected = [np.where(a < b, a, b), np.where(a < 0, a, np.float32(2.5)), np.where(np.isnan(a), -1, a), b]
    np.testing.assert_array_equal(out, np.array(expected, np.float32))


def test_functions_of_a_module_call_each_other(target):
    module = Module(target)
    with module.function("helper", to=PTR, a=I64, b=I64) as f:
        f.store(f.args["a"] * 10 + f.args["b"], f.args["to"])
    with module.function("kernel", exported=True, out=PTR, x=I64) as f:
        f.call("helper", f.args["out"], f.args["x"], 4)
        f.call("helper", f.offset(f.args["out"], 1, I64), 2, f.args["x"])
    out = np.zeros(2, np.int64)
    loaded(module, [PTR, I64])(out, 7)
    assert out.tolist() == [74, 27]
    assert "define internal void @helper" in module.text()


@pytest.mark.parametrize("count", [0, 1, 3, 20_000])
def test_every_task_is_claimed_once_by_any_number_of_threads(compiled, count):
    def emit(f, counter, count, out, worker):
        with f.tasks(counter, count) as task:
            f.store(f.load(I64, out, task) + worker, out, task)

    kernel = compiled(emit, counter=PTR, count=I64, out=PTR, worker=I64)
    counter, out = np.zeros(1, np.int64), np.zeros(count + 1, np.int64)
    threads = [threading.Thread(target=kernel, args=(counter, count, out, 100 + w)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert out[count] == 0
    assert set(out[:count].tolist()) <= {100, 101, 102, 103}, "a task ran twice or never"
    upwards, downwards = counter[0] & 0xFFFFFFFF, counter[0] >> 32
    assert upwards + downwards == count + 4  # each worker found the end once


def test_workers_with_even_numbers_begin_at_the_first_task_the_others_at_the_last(compiled):
    def emit(f, counter, order, worker):
        place = f.variable(I64, 0)
        with f.tasks(counter, f.constant(5, I64)) as task:
            f.store(task, order, place.get())
            place.set(place.get() + 1)

    kernel = compiled(emit, counter=PTR, order=PTR, worker=I64)
    for worker, expected in ((0, [0, 1, 2, 3, 4]), (1, [4, 3, 2, 1, 0]), (2, [0, 1, 2, 3, 4])):
        order = np.full(6, -1)
        kernel(np.zeros(1, np.int64), order, worker)
        assert order.tolist() == [*expected, -1]


# ---- memory

MASKED = [(I8, np.int8), (I16, np.int16), (I32, np.int32), (I64, np.int64), (F32, np.float32), (F64, np.float64)]


def patterns(lanes: int) -> list[np.ndarray]:
    """All prefixes and suffixes, none, all, every other, single lanes, and a few at random."""
    i = np.arange(lanes)
    chosen = [i < n for n in range(lanes + 1)] + [i >= n for n in range(1, lanes)] + [i % 2 == 0, i % 2 == 1]
    chosen += list(np.eye(lanes, dtype=bool)) + list(np.random.default_rng(3).random((8, lanes)) < 0.5)
    return [mask.astype(np.int8) for mask in chosen]


def mask_at(f, pointer: Value, lanes: int) -> Value:
    return f.compare("ne", f.load(I8.of(lanes), pointer), 0)


@pytest.fixture
def pages():
    """Three pages of which only the middle one may be touched: its bytes, all set to 0x5A."""
    if not AVAILABLE:
        pytest.skip("this system has no mprotect")
    at = reserve(3 * PAGE)
    protect(at + PAGE, PAGE, READ_WRITE)
    room = bytes_at(at + PAGE, PAGE)
    room[:] = 0x5A
    yield room
    release(at, 3 * PAGE)


def lean(room: np.ndarray, mask: np.ndarray, kind: type) -> tuple[int, np.ndarray]:
    """Where a vector must start so that its masked-off ends hang over a protected page: its address, its bytes there.

    The lanes before the first named one hang below the page, those after the last above it; a mask with both ends
    named is laid at the page's end.
    """
    item, lanes = np.dtype(kind).itemsize, mask.size
    named = np.flatnonzero(mask)
    first, last = (named[0], named[-1]) if named.size else (0, -1)
    start = -first * item if first and last == lanes - 1 else PAGE - (last + 1) * item
    return room.__array_interface__["data"][0] + int(start), int(start) + np.arange(lanes) * item


@pytest.mark.parametrize("wide", [False, True], ids=["one register", "two registers"])
@pytest.mark.parametrize(("type_", "kind"), MASKED, ids=[t.scalar for t, _ in MASKED])
def test_masked_lanes_are_neither_read_nor_written(target, compiled, pages, type_, kind, wide):
    lanes = target.lanes(type_.itemsize) * (2 if wide else 1)
    t = type_.of(lanes)

    def emit(f, memory, mask, values, out):
        named = mask_at(f, mask, lanes)
        f.store(f.masked_load(t, memory, named), out)
        f.masked_store(f.load(t, values), memory, named)

    kernel = compiled(emit, memory=PTR, mask=PTR, values=PTR, out=PTR)
    values = np.arange(1, lanes + 1).astype(kind)
    for mask in patterns(lanes):
        pages[:] = 0x5A
        address, at = lean(pages, mask, kind)
        expected, out = pages.copy(), np.ones(lanes, kind)
        old = np.full(np.dtype(kind).itemsize, 0x5A, np.uint8).view(kind)[0]
        for lane in np.flatnonzero(mask):
            expected[at[lane] : at[lane] + values.itemsize] = values[lane : lane + 1].view(np.uint8)
        kernel(address, mask, values, out)
        np.testing.assert_array_equal(out, np.where(mask, old, 0).astype(kind), err_msg=str(mask))
        np.testing.assert_array_equal(pages, expected, err_msg=str(mask))


@pytest.mark.parametrize("wide", [False, True], ids=["one register", "two registers"])
@pytest.mark.parametrize(("type_", "kind"), MASKED, ids=[t.scalar for t, _ in MASKED])
def test_gather_and_scatter_touch_the_named_addresses_only(target, compiled, type_, kind, wide):
    lanes = target.lanes(type_.itemsize) * (2 if wide else 1)
    t = type_.of(lanes)

    def emit(f, memory, mask, index, values, out):
        named, places = mask_at(f, mask, lanes), f.offset(memory, f.load(I64.of(lanes), index), t)
        f.store(f.gather(t, places, named), out)
        f.scatter(f.load(t, values), places, named)

    kernel = compiled(emit, memory=PTR, mask=PTR, index=PTR, values=PTR, out=PTR)
    values = np.arange(1, lanes + 1).astype(kind)
    rng = np.random.default_rng(4)
    for mask in patterns(lanes):
        memory = rng.integers(0, 100, 3 * lanes).astype(kind)
        index = rng.permutation(3 * lanes)[:lanes]
        expected, out = memory.copy(), np.ones(lanes, kind)
        expected[index[mask > 0]] = values[mask > 0]
        read = np.where(mask, memory[index], 0).astype(kind)
        nowhere = np.where(mask, index, (1 << 44) + index)  # addresses that no process has
        kernel(memory, mask, nowhere, values, out)
        np.testing.assert_array_equal(out, read, err_msg=str(mask))
        np.testing.assert_array_equal(memory, expected, err_msg=str(mask))


@pytest.mark.parametrize(("type_", "kind"), MASKED, ids=[t.scalar for t, _ in MASKED])
def test_plain_loads_and_stores_need_the_alignment_of_one_element(target, compiled, type_, kind):
    t = type_.of(target.lanes(type_.itemsize))
    kernel = compiled(lambda f, a, out: f.store(f.load(t, a, 1), out, 1), a=PTR, out=PTR)
    a = np.arange(3 * t.lanes).astype(kind)
    for shift in range(t.lanes):
        out = np.zeros(3 * t.lanes, kind)
        kernel(a[shift:], out[shift:])
        expected = np.zeros_like(out)
        expected[shift + 1 : shift + 1 + t.lanes] = a[shift + 1 : shift + 1 + t.lanes]
        np.testing.assert_array_equal(out, expected)


def test_offsets_count_elements_either_way(compiled):
    def emit(f, a, at, out):
        f.store(f.load(I16, f.offset(a, at, I16)), out, 0)
        f.store(f.load(I16, a, at), out, 1)
        assert f.offset(a, 0, I16) is a

    kernel, out = compiled(emit, a=PTR, at=I64, out=PTR), np.zeros(2, np.int16)
    a = np.arange(20, dtype=np.int16)
    for at in (-7, 0, 5):
        kernel(a[7:], at, out)
        assert out.tolist() == [7 + at, 7 + at]


def test_masks_are_variables_too(compiled, target):
    lanes = target.lanes(4)

    def emit(f, limits, count, out):
        inside = f.variable(I1.of(lanes), -1)
        with f.loop(0, count) as i:
            inside.set(inside.get() & (f.lane_numbers(lanes) < f.splat(f.load(I64, limits, i), lanes)))
        f.store(f.cast("zext", inside.get(), I8), out)

    kernel = compiled(emit, limits=PTR, count=I64, out=PTR)
    for limits in ([], [3], [lanes, 2], [1, 5, 0]):
        out = np.zeros(lanes, np.int8)
        kernel(np.array(limits, np.int64), len(limits), out)
        assert out.sum() == min([lanes, *limits])


def test_the_text_of_a_module_is_always_the_same(target):
    def text() -> str:
        module = Module(target)
        with module.function("kernel", a=PTR, mask=PTR) as f:
            mask = mask_at(f, f.args["mask"], 4)
            for t in (F32.of(4), I32.of(4), F64.of(4)):
                f.masked_store(f.masked_load(t, f.args["a"], mask), f.args["a"], mask)
        return module.text()

    assert text() == text()
