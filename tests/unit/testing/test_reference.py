"""The oracle against loops that do one multiplication at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mxconv.testing import reference

PROBLEMS = [
    # batch, groups, channels of a group in and out, in_spatial, kernel, stride, dilation, pad_lo, pad_hi
    (1, 1, 1, 1, (5,), (3,), (1,), (1,), (0,), (0,)),
    (2, 1, 2, 3, (7,), (2,), (3,), (2,), (1,), (2,)),
    (1, 2, 1, 2, (4, 5), (3, 2), (2, 1), (1, 2), (1, -1), (0, 2)),
    (2, 3, 1, 1, (3, 4), (2, 3), (1, 2), (2, 1), (2, 1), (-1, 3)),
    (1, 2, 2, 1, (3, 2, 4), (2, 1, 3), (1, 2, 2), (1, 1, 1), (0, 1, 2), (1, 0, 0)),
    (1, 1, 1, 2, (2, 3, 2, 2), (1, 2, 2, 1), (1, 1, 1, 2), (1, 2, 1, 1), (1, 0, 1, 0), (0, 1, 0, 0)),
    (0, 1, 2, 2, (4,), (3,), (1,), (1,), (1,), (1,)),
    (2, 2, 0, 1, (4,), (3,), (1,), (1,), (1,), (1,)),
    (1, 1, 1, 1, (2,), (5,), (1,), (1,), (0,), (0,)),
    (1, 1, 1, 1, (0,), (2,), (1,), (1,), (2,), (1,)),
]


def _scalar(p, rng, complex_data):
    """Arrays of a problem, and y, dx, dw by one scalar product after the other."""
    batch, groups, cg, fg, size, kernel, stride, dilation, lo, hi = p
    out = []
    for i, k, s, d, low, high in zip(size, kernel, stride, dilation, lo, hi, strict=True):
        out.append(sum(1 for o in range(50) if o * s + (k - 1) * d <= i + low + high - 1))

    def draw(shape):
        return rng.integers(-9, 10, shape) + (1j * rng.integers(-9, 10, shape) if complex_data else 0)

    x, w = draw((batch, groups * cg, *size)), draw((groups * fg, cg, *kernel))
    dy, by, bx = draw((batch, groups * fg, *out)), draw((groups * fg,)), draw((groups * cg,))
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    y += by.reshape(-1, *(1,) * len(size))
    dx += bx.reshape(-1, *(1,) * len(size))
    for n, f, c in itertools.product(range(batch), range(groups * fg), range(cg)):
        channel = f // fg * cg + c
        for o in itertools.product(*map(range, out)):
            for t in itertools.product(*map(range, kernel)):
                i = tuple(o[a] * stride[a] + t[a] * dilation[a] - lo[a] for a in range(len(size)))
                if all(0 <= i[a] < size[a] for a in range(len(size))):
                    y[(n, f, *o)] += x[(n, channel, *i)] * w[(f, c, *t)]
                    dx[(n, channel, *i)] += dy[(n, f, *o)] * w[(f, c, *t)]
                    dw[(f, c, *t)] += dy[(n, f, *o)] * x[(n, channel, *i)]
    return x, w, dy, by, bx, y, dx, dw


@pytest.mark.parametrize("complex_data", [False, True], ids=["int", "complex"])
@pytest.mark.parametrize("p", PROBLEMS, ids=str)
def test_agrees_with_scalar_loops(p, complex_data):
    x, w, dy, by, bx, y, dx, dw = _scalar(p, np.random.default_rng(3), complex_data)
    how = dict(zip(("stride", "dilation", "pad_lo", "pad_hi"), p[6:], strict=True), groups=p[1])
    np.testing.assert_array_equal(reference.convolution(x, w, by, **how), y, strict=True)
    np.testing.assert_array_equal(reference.deconvolution(dy, w, bx, **how, out_spatial=p[4]), dx, strict=True)
    np.testing.assert_array_equal(reference.convolution_weight_gradient(x, dy, **how, kernel=p[5]), dw, strict=True)


def test_integers_wrap_modulo_two_to_the_64():
    x, w = np.array([[[2**62, 5]]]), np.array([[[4, 1]]])
    plain = {"stride": [1], "dilation": [1], "pad_lo": [0], "pad_hi": [0]}
    assert reference.convolution(x, w, **plain).tolist() == [[[5]]]


@pytest.mark.parametrize(("dtype", "wide"), [("float16", "float64"), ("uint8", "int64"), ("complex64", "complex128")])
def test_computes_in_the_widest_type_of_its_kind(dtype, wide):
    plain = {"stride": [1], "dilation": [1], "pad_lo": [0], "pad_hi": [0]}
    assert reference.convolution(np.ones((1, 1, 3), dtype), np.ones((1, 1, 2), dtype), **plain).dtype == wide


def test_shapes_that_do_not_fit_are_refused():
    plain = {"stride": [1], "dilation": [1], "pad_lo": [0], "pad_hi": [0]}
    with pytest.raises(ValueError, match="groups of 3 channels"):
        reference.convolution(np.ones((1, 2, 4)), np.ones((1, 3, 2)), **plain)
    with pytest.raises(ValueError, match="spatial axes"):
        reference.convolution(np.ones((1, 2, 4)), np.ones((1, 2, 2)), **(plain | {"stride": [1, 1]}))
    with pytest.raises(ValueError, match="bias has shape"):
        reference.convolution(np.ones((1, 2, 4)), np.ones((1, 2, 2)), np.ones(3), **plain)
    with pytest.raises(ValueError, match="d has 2 channels"):
        reference.deconvolution(np.ones((1, 2, 4)), np.ones((1, 3, 2)), **plain, out_spatial=[5])
