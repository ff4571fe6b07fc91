"""What any convolution must satisfy, through `mx.nd`, with integers so small that every sum is exact."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import assume, given, settings

import mxconv as mx
from mxconv.engine.problem import DIRECTIONS, ConvProblem

SMALL = {"min_value": -9, "max_value": 9}
checked = settings(max_examples=40, deadline=None)


@st.composite
def geometries(draw, *, channels=4, groups=True, unit_stride=False):
    """Keywords of a convolution that has at least one output, with shapes for its data and weight."""
    rank = draw(st.integers(1, 3))
    group = draw(st.integers(1, 3)) if groups else 1

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel = per_axis(1, 4)
    stride = (1,) * rank if unit_stride else per_axis(1, 3)
    dilate, pad = per_axis(1, 2), per_axis(0, 2)
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), d * (k - 1) + 7))
        for k, d, p in zip(kernel, dilate, pad, strict=True)
    )
    group_in, group_out = draw(st.integers(1, channels)), draw(st.integers(1, channels))
    batch = draw(st.integers(1, 2))
    how = {"kernel": kernel, "stride": stride, "dilate": dilate, "pad": pad, "num_group": group}
    return how, (batch, group * group_in, *size), (group * group_out, group_in, *kernel)


@st.composite
def problems(draw, **options):
    """(keywords, data, weight)."""
    how, x_shape, w_shape = draw(geometries(**options))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-9, 10, shape).astype("f4") for shape in (x_shape, w_shape))
    return how, x, w


def conv(x, w, how, **more):
    y = mx.nd.Convolution(mx.nd.array(x), mx.nd.array(w), num_filter=w.shape[0], no_bias=True, **{**how, **more})
    return y.asnumpy()


def adjustment(how, size, out):
    """The adj with which a deconvolution of `out` samples comes to `size`."""
    axes = zip(size, out, how["kernel"], how["stride"], how["dilate"], how["pad"], strict=True)
    return tuple(i - (s * (o - 1) + d * (k - 1) + 1 - 2 * p) for i, o, k, s, d, p in axes)


def deconv(y, w, how, adj):
    num_filter = w.shape[1] * how["num_group"]
    x = mx.nd.Deconvolution(mx.nd.array(y), mx.nd.array(w), num_filter=num_filter, adj=adj, **how)
    return x.asnumpy()


@checked
@given(problems(), st.integers(**SMALL), st.integers(**SMALL))
def test_linear_in_the_data(problem, a, b):
    how, x, w = problem
    other = np.flip(x).copy()
    together = conv(a * x + b * other, w, how)
    np.testing.assert_array_equal(together, a * conv(x, w, how) + b * conv(other, w, how))


@checked
@given(problems(), st.integers(**SMALL), st.integers(**SMALL))
def test_linear_in_the_weight(problem, a, b):
    how, x, w = problem
    other = np.flip(w).copy()
    together = conv(x, a * w + b * other, how)
    np.testing.assert_array_equal(together, a * conv(x, w, how) + b * conv(x, other, how))


@checked
@given(problems(groups=False, unit_stride=True), st.randoms(use_true_random=False))
def test_an_impulse_returns_the_flipped_kernel(problem, random):
    """With pads as wide as the dilated kernel, y[o] = w[(i + pad - o) / dilation] where that is a whole number."""
    how, x, w = problem
    how["pad"] = tuple(d * (k - 1) for k, d in zip(how["kernel"], how["dilate"], strict=True))
    at = tuple(random.randrange(n) for n in x.shape[2:])
    impulse = np.zeros_like(x[:1])
    impulse[(0, 0, *at)] = 1
    y = conv(impulse, w, how)
    expected = np.zeros_like(y)
    for tap in np.ndindex(*how["kernel"]):
        o = tuple(at[a] + how["pad"][a] - tap[a] * how["dilate"][a] for a in range(len(at)))
        expected[(0, slice(None), *o)] = w[(slice(None), 0, *tap)]
    np.testing.assert_array_equal(y, expected)


@checked
@given(problems(), st.integers(1, 3))
def test_shifting_the_data_shifts_the_result(problem, steps):
    """Data moved by steps*stride samples along the last axis: the result moves by `steps`."""
    how, x, w = problem
    how["pad"] = (*how["pad"][:-1], 0)
    assume(x.shape[-1] >= how["dilate"][-1] * (how["kernel"][-1] - 1) + 1)
    pad = [(0, 0)] * (x.ndim - 1) + [(steps * how["stride"][-1], 0)]
    np.testing.assert_array_equal(conv(np.pad(x, pad), w, how)[..., steps:], conv(x, w, how))


@checked
@given(problems())
def test_groups_are_split_and_concatenated(problem):
    how, x, w = problem
    parts = zip(np.split(x, how["num_group"], 1), np.split(w, how["num_group"], 0), strict=True)
    apart = [conv(xg, wg, how, num_group=1) for xg, wg in parts]
    np.testing.assert_array_equal(conv(x, w, how), np.concatenate(apart, 1))


@checked
@given(problems(), st.integers(0, 2**32 - 1))
def test_deconvolution_is_the_adjoint_of_convolution(problem, seed):
    """<conv x, y> = <x, deconv y> for every y, with the same weight array: every sample of x gets what it gave."""
    how, x, w = problem
    forward = conv(x, w, how)
    y = np.random.default_rng(seed).integers(-9, 10, forward.shape).astype("f4")
    adj = adjustment(how, x.shape[2:], forward.shape[2:])
    back = deconv(y, w, how, adj)
    assert back.shape == x.shape
    assert np.vdot(forward.astype("f8"), y) == np.vdot(x.astype("f8"), back)


@checked
@given(problems())
def test_layouts_are_transpositions(problem):
    how, x, w = problem
    layout = ("NWC", "NHWC", "NDHWC")[x.ndim - 3]
    last = conv(np.moveaxis(x, 1, -1), np.moveaxis(w, 1, -1), how, layout=layout)
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), conv(x, w, how))


@checked
@given(geometries(), st.sampled_from(DIRECTIONS), st.sampled_from(["float32", "int8", "complex128"]), st.booleans())
def test_the_text_of_a_problem_reads_back(geometry, direction, dtype, with_bias):
    how, x_shape, w_shape = geometry
    problem = ConvProblem.create(
        direction,
        dtype,
        kernel=how["kernel"],
        stride=how["stride"],
        dilation=how["dilate"],
        pad_lo=how["pad"],
        pad_hi=how["pad"][::-1],
        batch=x_shape[0],
        groups=how["num_group"],
        in_channels=x_shape[1],
        out_channels=w_shape[0],
        in_spatial=x_shape[2:],
        x_strides=range(1, len(x_shape) + 1),
        epilogue=("bias",) if with_bias and direction != "backward_weight" else (),
    )
    assert ConvProblem.parse(str(problem)) == problem
