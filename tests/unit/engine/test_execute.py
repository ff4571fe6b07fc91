"""convolve: any arrays that NumPy can make give the result that plain ones give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mxconv.dtypes import DTYPES
from mxconv.engine import execute, planner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.execute import convolve
from mxconv.engine.problem import DIRECTIONS, ConvProblem
from mxconv.jit.target import current

from .conftest import expected, how, small_integers

Array = np.ndarray
FORWARD = "n2 g2 c6->4 i9x8 k3x2 s2x1 d1x2 p1x0:1"
every_direction = pytest.mark.parametrize("line", [f"{d} {{}} {FORWARD}" for d in DIRECTIONS], ids=DIRECTIONS)
every_input = pytest.mark.parametrize(
    ("line", "name"),
    [(f"{d} {{}} {FORWARD}", n) for d in DIRECTIONS for n in ("first", "second", "bias")][:-1],  # no bias in the last
    ids=lambda text: text.split()[0],
)


def unaligned(a: Array) -> Array:
    room = np.empty(a.nbytes + 1, np.uint8)
    view = room[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert a.dtype.itemsize == 1 or not view.flags.aligned
    return view


def byte_swapped(a: Array) -> Array:
    return a.astype(a.dtype.newbyteorder())


def reversed_axes(a: Array) -> Array:
    return np.ascontiguousarray(a[tuple(slice(None, None, -1) for _ in a.shape)])[
        tuple(slice(None, None, -1) for _ in a.shape)
    ]


def channels_last(a: Array) -> Array:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 1 else a


def fortran(a: Array) -> Array:
    return np.asfortranarray(a)


def every_third(a: Array) -> Array:
    room = np.zeros((*a.shape, 3), a.dtype)
    room[..., 1] = a
    return room[..., 1]


def read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


def packed_records(a: Array) -> Array:
    """A field of records that are packed: neither aligned nor whole elements apart."""
    records = np.zeros(a.shape, np.dtype([("tag", np.uint8), ("x", a.dtype)]))
    records["x"] = a
    return records["x"]


def aligned_records(a: Array) -> Array:
    """A field of records that are aligned: complex numbers are then one and a half elements apart."""
    records = np.zeros(a.shape, np.dtype([("tag", f"u{a.dtype.alignment}"), ("x", a.dtype)]))
    records["x"] = a
    return records["x"]


COPIED = [unaligned, byte_swapped, packed_records]
VIEWS = [*COPIED, aligned_records, reversed_axes, channels_last, fortran, every_third, read_only]


def run(p: ConvProblem, first: Array, second: Array, bias: Array | None = None, *, out: Array) -> Array:
    for algorithm in ALGORITHMS:
        if algorithm.applicable(p, current()).accepted:
            convolve(p.direction, first, second, out, bias, **how(p))
            return out
    pytest.skip(f"no algorithm computes {p}")


def poisoned(p: ConvProblem) -> Array:
    return np.full(p.shape_of(p.output), 77 if p.result.kind == "int" else np.nan, p.result.numpy)


@every_direction
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int16", "complex64"])
def test_inputs_and_output_may_lie_anyhow(line, dtype, view):
    p = ConvProblem.parse(line.format(dtype))
    given = small_integers(p)
    answer = expected(p, **given)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), answer)
    views = {name: view(a) for name, a in given.items()}
    np.testing.assert_array_equal(run(p, **views, out=poisoned(p)), answer)
    out = poisoned(p) if view is read_only else view(poisoned(p))
    np.testing.assert_array_equal(run(p, **given, out=out), answer)
    np.testing.assert_array_equal(run(p, **views, out=out), answer)
    for name, a in given.items():
        np.testing.assert_array_equal(views[name], a, err_msg=f"{name} was written to")


@every_direction
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_with_and_without_bias(line, dtype):
    p = ConvProblem.parse(line.format(dtype))
    given = small_integers(p)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))
    given.pop("bias", None)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))


@every_input
def test_inputs_may_repeat_one_number_by_stride_0(line, name):
    p = ConvProblem.parse(line.format("float32"))
    given = small_integers(p)
    given[name] = np.broadcast_to(np.float32(3), given[name].shape)
    assert not any(given[name].strides)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))


def test_inputs_may_share_memory():
    p = ConvProblem.parse("forward float32 n1 g1 c3->3 i3 k3")
    a = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    weight = np.broadcast_to(a, (3, 3, 3))
    out = run(p, a, weight, a[0, 0], out=poisoned(p))
    np.testing.assert_array_equal(out, expected(p, a, weight, a[0, 0]))


# ---- out


def overlapping(size: int, dtype: np.dtype, shapes: list[tuple[int, ...]], starts: tuple[int, ...]) -> list[Array]:
    """Arrays of these shapes in one memory, each from its own element on."""
    room = np.zeros(size, dtype)
    return [
        room[start : start + int(np.prod(shape))].reshape(shape) for shape, start in zip(shapes, starts, strict=True)
    ]


@every_input
@pytest.mark.parametrize("start", [0, 1, 3, -3, -40])
@pytest.mark.parametrize("backwards", [False, True])
def test_out_may_overlap_an_input(line, name, start, backwards):
    p = ConvProblem.parse(line.format("float64"))
    given = small_integers(p)
    answer = expected(p, **given)
    middle = 1000
    lent, out = overlapping(3000, p.result.numpy, [given[name].shape, answer.shape], (middle, middle + start))
    if backwards:
        out = out[..., ::-1]
    lent[...] = given[name]
    run(p, **(given | {name: lent}), out=out)
    np.testing.assert_array_equal(out, answer)


@pytest.mark.parametrize("dtype", [name for name, t in DTYPES.items() if t.result == name])
def test_out_may_be_the_input(dtype):
    p = ConvProblem.parse(f"forward {dtype} n2 g1 c3->3 i20 k3 p1")
    given = small_integers(p)
    answer = expected(p, **given)
    run(p, **given, out=given["first"])
    np.testing.assert_array_equal(given["first"], answer)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int16", "complex64"])
def test_kernels_see_only_what_they_can_address(dtype, view):
    a = view(np.zeros((3, 4), DTYPES[dtype].numpy))
    fractional = view is aligned_records and dtype == "complex64"
    assert execute._is_plain(a) is not (view in COPIED or fractional)


@every_direction
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_an_out_that_repeats_is_what_numpy_assigns_to_it(line, kept):
    """Of the numbers for one place the last one stays, as in `out[...] = result`."""
    p = ConvProblem.parse(line.format("float32"))
    given = small_integers(p)
    answer = expected(p, **given)
    room, twin = np.full((2, answer.size), 7, np.float32)
    strides = [s * (axis >= answer.ndim - kept) for axis, s in enumerate(answer.astype(np.float32).strides)]
    np.ndarray(answer.shape, np.float32, twin, 0, strides)[...] = answer
    run(p, **given, out=np.ndarray(answer.shape, np.float32, room, 0, strides))
    np.testing.assert_array_equal(room, twin)


@every_direction
def test_only_elements_of_out_are_written(line):
    p = ConvProblem.parse(line.format("float32"))
    given = small_integers(p)
    answer = expected(p, **given)
    room = np.full([3 * n for n in answer.shape], 7.0, np.float32)
    inner = tuple(slice(n, 2 * n) for n in answer.shape)
    run(p, **given, out=room[inner])
    np.testing.assert_array_equal(room[inner], answer)
    room[inner] = 7
    assert (room == 7).all()


# ---- nothing to do


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "line",
    [
        "n0 g1 c3->4 i9 k3",  # no sample
        "n2 g1 c0->4 i9 k3",  # a reduction over no channel (forward), no result (backward)
        "n2 g1 c3->0 i9 k3",  # and the other way about
        "n2 g1 c0->0 i9 k3",
        "n2 g1 c3->4 i2 k3",  # no window fits
        "n2 g1 c3->4 i0 k3",
        "n2 g1 c3->4 i0 k3 p2",  # all padding
        "n2 g1 c3->4 i9 k3 p-3",  # nearly all cropped away
        "n2 g1 c3->4 i0x5 k1x3",
        "n2 g2 c4->4 i9 k2 s5",  # positions that no window covers
        "n1 g1 c1->1 i1 k1",
    ],
)
def test_empty_and_nearly_empty_problems(direction, line):
    p = ConvProblem.parse(f"{direction} float32 {line}")
    given = small_integers(p)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))
    given.pop("bias", None)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_many_axes(direction):
    p = ConvProblem.parse(f"{direction} float64 n1 g1 c2->3 i3x4x3x4x3x4 k2x2x1x2x1x2 s1x2x1x1x2x1 p0x1x0x0x1x0")
    given = small_integers(p)
    np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given))


def test_the_smallest_geometries_exhaustively():
    """Every combination of kernel, stride, dilation and pads up to 3 on a short axis, both directions."""
    for k, s, d, lo, hi in itertools.product((1, 2, 3), (1, 2, 3), (1, 2), (-1, 0, 2), (-1, 0, 1)):
        for direction in DIRECTIONS:
            p = ConvProblem.create(
                direction, "int32", kernel=(k,), stride=(s,), dilation=(d,), pad_lo=(lo,), pad_hi=(hi,),
                in_channels=1, out_channels=2, in_spatial=(6,),
            )  # fmt: skip
            given = small_integers(p)
            np.testing.assert_array_equal(run(p, **given, out=poisoned(p)), expected(p, **given), err_msg=str(p))


def test_values_that_are_not_finite_stay_where_the_kernel_reaches():
    p = ConvProblem.parse("forward float32 n1 g1 c2->2 i40 k3 p1")
    given = small_integers(p)
    given["second"] = np.ones_like(given["second"])
    given["first"][0, 1, 20] = np.nan
    out = run(p, **given, out=poisoned(p))
    assert np.isnan(out[0, :, 19:22]).all()
    assert np.isfinite(np.delete(out, (19, 20, 21), axis=2)).all()


# ---- what the planner is told


@every_direction
def test_the_problem_is_told_as_it_is(line):
    p = ConvProblem.parse(line.format("float32"))
    given = small_integers(p)
    with planner.recording() as plans:
        run(p, **given, out=poisoned(p))
        run(p, given["first"], given["second"], out=poisoned(p))
        run(p, channels_last(given["first"]), given["second"], out=poisoned(p))
    as_given, plain, other = (plan.problem for plan in plans)
    assert as_given == (ConvProblem.parse(f"{p} +bias") if "bias" in given else p)
    assert plain == p
    assert other.strides_of(p.inputs[0]) != p.strides_of(p.inputs[0])
