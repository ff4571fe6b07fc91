"""Arrays beyond 2**31 elements and bytes, as views over memory that is reserved but hardly ever touched.

A page of a lazily mapped reservation costs nothing before it is touched; the few pages that a view's elements lie on
are all that exists.
"""

from __future__ import annotations

import mmap
import resource
from contextlib import ExitStack

import numpy as np
import pytest

from mxconv.dtypes import lookup
from mxconv.engine.execute import convolve
from mxconv.testing import reference

from .guards import READ_WRITE, bytes_at, release, reserve, small_pages, span

MAP_NORESERVE = 0x4000
BILLION = 10**9
MOST_KILOBYTES = 200_000


@pytest.fixture
def sparse():
    """Makes a zeroed array of the given shape, dtype and element strides, however far these reach."""
    with ExitStack() as stack:

        def make(shape, dtype, strides):
            dtype = np.dtype(dtype)
            strides = [s * dtype.itemsize for s in strides]
            low, high = span(shape, strides, dtype.itemsize)
            size = -(-(high - low) // mmap.PAGESIZE) * mmap.PAGESIZE
            try:
                address = reserve(size, READ_WRITE, MAP_NORESERVE)
            except OSError as refused:
                pytest.skip(f"this machine does not reserve {size} bytes: {refused}")
            small_pages(address, size)
            stack.callback(release, address, size)
            return np.ndarray(shape, dtype, bytes_at(address, size), -low, strides)

        yield make


def _fill(array, seed):
    rng = np.random.default_rng(seed)
    array[...] = rng.integers(-9, 10, array.shape)
    return array


def _check(direction, data, weight, out, **how):
    full = {"groups": 1, **how}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    convolve(direction, data, weight, out, **full)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MOST_KILOBYTES, f"the call made the process grow by {grown} kB"
    if direction == "backward_weight":
        expected = reference.convolution_weight_gradient(data, weight, **full, kernel=out.shape[2:])
    elif direction == "forward":
        expected = reference.convolution(data, weight, **full)
    else:
        expected = reference.deconvolution(data, weight, **full, out_spatial=out.shape[2:])
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kernel", [3, 1])
@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weight"])
@pytest.mark.parametrize("far", ["batch", "channel", "row", "pixel", "backwards"])
def test_strides_beyond_2_to_the_31(direction, kernel, dtype, far, sparse):
    """Each axis in turn has a stride of three thousand million elements (the inner ones less, as they have more)."""
    contiguous = (2 * 6 * 5, 6 * 5, 5, 1)
    axis = {"batch": 0, "channel": 1, "row": 2, "pixel": 3, "backwards": 1}[far]
    distance = {0: 3 * BILLION, 1: 3 * BILLION, 2: BILLION, 3: BILLION}[axis] + 7
    strides = list(contiguous)
    strides[axis] = -distance if far == "backwards" else distance
    data = _fill(sparse((2, 2, 6, 5), dtype, strides), 1)
    how = {"stride": (1, 1), "dilation": (1, 1), "pad_lo": (kernel // 2,) * 2, "pad_hi": (kernel // 2,) * 2}
    weight_shape = (2, 2, kernel, kernel)
    if direction == "backward_weight":
        other = _fill(sparse((2, 2, 6, 5), dtype, strides), 2)
        out = np.empty(weight_shape, lookup(dtype).result)
    else:
        other = _fill(np.empty(weight_shape, dtype), 2)
        out = sparse((2, 2, 6, 5), lookup(dtype).result, strides)
    _check(direction, data, other, out, **how)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_axis_of_more_than_2_to_the_31_samples(dtype, sparse):
    """Windows that are far apart, with taps that are far apart, in one long row."""
    size, stride, dilation = 2**31 + 17, 2**29 + 3, 2**28 + 1
    x = sparse((1, 2, size), dtype, (2 * size, size, 1))
    how = {"stride": (stride,), "dilation": (dilation,), "pad_lo": (5,), "pad_hi": (dilation,)}
    for o in range(4):
        for t in range(3):
            i = o * stride + t * dilation - 5
            if 0 <= i < size:
                x[0, :, i] = (o + 1, t - 4)
    weight = _fill(np.empty((3, 2, 3), dtype), 3)
    out = np.empty((1, 3, (size + 5 + dilation - 2 * dilation - 1) // stride + 1), lookup(dtype).result)
    _check("forward", x, weight, out, **how)
    assert np.count_nonzero(out) > 6


def test_a_result_at_offsets_beyond_2_to_the_33_bytes(sparse):
    data = _fill(np.empty((1, 2, 4, 5), "f4"), 4)
    weight = _fill(np.empty((2, 3, 3, 3), "f4"), 5)
    out = sparse((1, 3, 8, 10), "f4", (1, 1_100_000_000, 100_000_003, 1))
    how = {"stride": (2, 2), "dilation": (1, 1), "pad_lo": (1, 1), "pad_hi": (0, 0)}
    _check("backward_data", data, weight, out, **how)


def test_a_weight_with_far_apart_filters(sparse):
    weight = _fill(sparse((3, 2, 3), "f4", (3 * BILLION, BILLION, 1)), 6)
    data = _fill(np.empty((1, 2, 20), "f4"), 7)
    how = {"stride": (1,), "dilation": (1,), "pad_lo": (0,), "pad_hi": (0,)}
    _check("forward", data, weight, np.empty((1, 3, 18), "f4"), **how)
