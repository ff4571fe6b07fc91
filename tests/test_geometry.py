"""mxconv.geometry against counting: every extent, tap and phase found by trying all positions.

What the note that the project started from got wrong about extents is in test_four_slips.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxconv import geometry

Axis = tuple[int, int, int, int, int]
"""kernel, stride, dilation, pad_lo, pad_hi"""

AXES: list[Axis] = list(product((1, 2, 3, 5), (1, 2, 3), (1, 2, 3), (-2, 0, 1, 4), (-1, 0, 3)))
SIZES = range(12)


def windows(size: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int) -> list[list[int]]:
    """The samples that each window reads, window by window, while the last tap lies within data and pads."""
    found: list[list[int]] = []
    while True:
        start = len(found) * stride - pad_lo
        reads = [start + t * dilation for t in range(kernel)]
        if reads[-1] >= size + pad_hi:
            return found
        found.append(reads)


def axes_and_sizes() -> Iterator[tuple[int, Axis]]:
    return product(SIZES, AXES)  # type: ignore[return-value]


def test_dilated_kernel() -> None:
    for kernel, dilation in product(range(1, 9), range(1, 5)):
        assert geometry.dilated_kernel(kernel, dilation) == max(t * dilation for t in range(kernel)) + 1


def test_conv_out_counts_windows() -> None:
    for size, axis in axes_and_sizes():
        assert max(0, geometry.conv_out(size, *axis)) == len(windows(size, *axis))


def test_conv_in_range_holds_every_size_and_no_other() -> None:
    for out, axis in product((1, 2, 3), AXES):
        fitting = [size for size in range(-30, 60) if geometry.conv_out(size, *axis) == out]
        low, high = geometry.conv_in_range(out, *axis)
        assert fitting == list(range(low, high + 1))
        assert (low == high) == (axis[1] == 1)


def test_deconv_out_is_as_far_as_the_last_sample_reaches() -> None:
    for size, (kernel, stride, dilation, lo, hi) in axes_and_sizes():
        if size == 0:
            continue
        last = max(o * stride + t * dilation for o in range(size) for t in range(kernel))
        for adj in range(stride):
            assert geometry.deconv_out(size, kernel, stride, dilation, lo, hi, adj) == last + 1 - lo - hi + adj


def test_deconvolution_undoes_the_extent_of_a_convolution() -> None:
    for size, axis in axes_and_sizes():
        out = geometry.conv_out(size, *axis)
        adj = size - geometry.deconv_out(out, *axis)
        assert 0 <= adj < axis[1]
        assert geometry.deconv_out(out, *axis, adj) == size
        assert geometry.deconv_in(size, *axis, adj) == out


def test_deconv_in_is_none_where_no_size_fits() -> None:
    for out, axis in axes_and_sizes():
        sizes = [size for size in range(-40, 40) if geometry.deconv_out(size, *axis) == out]
        assert geometry.deconv_in(out, *axis) == (sizes[0] if sizes else None)


def test_targets_are_reached_and_odd_trims_start_in_front() -> None:
    for size, (kernel, stride, dilation, _, _) in axes_and_sizes():
        full = geometry.deconv_out(size, kernel, stride, dilation, 0, 0)
        for target in range(1, full + 1):
            trim = geometry.target_trim(size, kernel, stride, dilation, target)
            lo, hi = geometry.target_pads(trim)
            assert lo - hi in (0, 1)
            assert geometry.deconv_out(size, kernel, stride, dilation, lo, hi) == target
            mxnet_pad, mxnet_adj = (trim + 1) // 2, trim % 2
            assert (lo, hi) == (mxnet_pad, mxnet_pad - mxnet_adj)
        assert geometry.target_trim(size, kernel, stride, dilation, full + 1) == -1


def test_weights_and_biases() -> None:
    assert geometry.conv_weight_shape(8, 6, 2, (3, 5)) == (8, 3, 3, 5)
    assert geometry.deconv_weight_shape(8, 6, 2, (3, 5)) == (6, 4, 3, 5)
    assert geometry.conv_weight_shape(8, 8, 8, (7,)) == (8, 1, 7)
    assert geometry.bias_shape(8) == (8,)


def products_of(plan: geometry.AxisPlan) -> list[tuple[int, int, int]]:
    """(destination, source, tap) of every product of an axis, phase by phase."""
    return [
        (phase.origin + g * plan.dst_step, g * plan.src_step + tap.offset, tap.tap)
        for phase in plan.phases
        for g in range(phase.count)
        for tap in phase.taps
    ]


def test_forward_axis_has_every_product_once() -> None:
    for out, (kernel, stride, dilation, lo, _) in axes_and_sizes():
        plan = geometry.forward_axis(out, kernel, stride, dilation, lo)
        wanted = [(o, o * stride + t * dilation - lo, t) for o in range(out) for t in range(kernel)]
        assert products_of(plan) == wanted


def test_backward_data_axis_has_every_product_once() -> None:
    for size, (kernel, stride, dilation, lo, _) in axes_and_sizes():
        plan = geometry.backward_data_axis(size, kernel, stride, dilation, lo)
        wanted = [
            (i, o, t)
            for i in range(size)
            for o in range(-40, 60)
            for t in range(kernel)
            if i == o * stride + t * dilation - lo
        ]
        assert sorted(products_of(plan)) == sorted(wanted)
        assert len(plan.phases) == min(stride, size)
        assert sum(phase.count for phase in plan.phases) == size
        for phase in plan.phases:
            offsets = [tap.offset for tap in phase.taps]
            assert offsets == sorted(set(offsets))


def test_input_halo_spans_what_is_read() -> None:
    for size, axis in axes_and_sizes():
        reads = windows(size, *axis)
        for start, stop in ((0, len(reads)), (1, len(reads) - 1), (len(reads) // 2, len(reads))):
            read = [i for window in reads[start:stop] for i in window]
            wanted = (min(read), max(read) + 1) if read else (0, 0)
            assert geometry.input_halo(start, stop, *axis[:4]) == wanted


def test_valid_products_leaves_padding_out() -> None:
    for size, axis in axes_and_sizes():
        reads = windows(size, *axis)
        wanted = sum(0 <= i < size for window in reads for i in window)
        assert geometry.valid_products(size, len(reads), *axis[:4]) == wanted


def test_taps_are_a_sequence_that_is_never_written_down() -> None:
    taps = geometry.forward_axis(1, 2**60, 1, 3, 5).phases[0].taps
    assert len(taps) == 2**60
    assert taps[0] == (0, -5)
    assert taps[-1] == (2**60 - 1, 3 * (2**60 - 1) - 5)
    assert list(taps[10:12]) == [geometry.Tap(10, 25), geometry.Tap(11, 28)]
    backward = geometry.backward_data_axis(4, 2**60, 4, 6, 1)
    assert [list(phase.taps[:1]) for phase in backward.phases] == [
        [],
        [(2**60 - 1, -3 * 2**59 + 2)],
        [],
        [(2**60 - 2, -3 * 2**59 + 4)],
    ]


@settings(deadline=None)
@given(*[st.integers(1, 60)] * 2, *[st.integers(1, 12)] * 2, st.integers(-70, 70), st.integers(0, 60))
def test_valid_products_of_any_axis(size: int, kernel: int, stride: int, dilation: int, lo: int, out: int) -> None:
    wanted = sum(0 <= o * stride + t * dilation - lo < size for o in range(out) for t in range(kernel))
    assert geometry.valid_products(size, out, kernel, stride, dilation, lo) == wanted


extents = st.integers(1, 2**40)


@settings(deadline=None)
@given(extents, extents, extents, extents, st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40))
def test_no_size_is_too_large(size: int, kernel: int, stride: int, dilation: int, lo: int, hi: int) -> None:
    out = geometry.conv_out(size, kernel, stride, dilation, lo, hi)
    low, high = geometry.conv_in_range(out, kernel, stride, dilation, lo, hi)
    assert low <= size <= high
    end = (out - 1) * stride + (kernel - 1) * dilation - lo  # the last sample of the last window
    assert end < size + hi <= end + stride


@pytest.mark.parametrize(("size", "wanted"), [(224, 224), (112, 112)])
def test_a_known_layer(size: int, wanted: int) -> None:
    assert geometry.conv_out(size, 3, 1, 1, 1, 1) == wanted
    assert geometry.conv_out(2 * size, 7, 2, 1, 3, 3) == wanted
    assert geometry.deconv_out(size, 4, 2, 1, 1, 1) == 2 * wanted
