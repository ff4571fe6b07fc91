"""The four slips of the note that the project started from (docs/geometry.md): what is true instead."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import mxconv as mx
from mxconv import geometry


def extent_of_the_note(x: int, k: int, p: int, s: int, d: int) -> int:
    return (x + 2 * p - (2 * (d - 1) + 1)) // s + 1


def test_the_formula_lacks_the_kernel() -> None:
    for x, k, p, s, d in product((9, 32, 224), (1, 2, 3, 5), (0, 1, 2), (1, 2, 3), (1, 2)):
        data, weight = mx.nd.zeros((1, 1, x)), mx.nd.zeros((1, 1, k))
        options = {"kernel": (k,), "stride": (s,), "dilate": (d,), "pad": (p,)}
        out = mx.nd.Convolution(data, weight, **options, num_filter=1, no_bias=True)
        assert out.shape == (1, 1, (x + 2 * p - d * (k - 1) - 1) // s + 1)
        assert out.shape[2] == geometry.conv_out(x, k, s, d, p, p)
        if s == 1:
            assert (out.shape[2] == extent_of_the_note(x, k, p, s, d)) == ((k, d) in {(1, 1), (2, 2)})
    assert extent_of_the_note(224, 3, 1, 1, 1) == 226


def test_height_comes_before_width() -> None:
    image = mx.nd.zeros((1, 1, 30, 50))  # 30 high, 50 wide
    out = mx.nd.Convolution(image, mx.nd.zeros((1, 1, 1, 5)), kernel=(1, 5), num_filter=1, no_bias=True)
    assert out.shape == (1, 1, 30, 46)
    out = mx.nd.Deconvolution(image, mx.nd.zeros((1, 1, 5, 1)), kernel=(5, 1), num_filter=1)
    assert out.shape == (1, 1, 34, 50)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_deconvolution_has_every_rank(rank: int) -> None:
    data, weight = np.ones((1, 1) + (2,) * rank), np.ones((1, 1) + (2,) * rank)
    out = mx.nd.Deconvolution(data, weight, kernel=(2,) * rank, num_filter=1)
    wanted = np.ones(())
    for _ in range(rank):
        wanted = np.multiply.outer(wanted, [1.0, 2.0, 1.0])
    np.testing.assert_array_equal(np.asarray(out)[0, 0], wanted)


@pytest.mark.parametrize("operator", ["Convolution", "Deconvolution"])
def test_ncw_is_a_layout(operator: str) -> None:
    data, weight = np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, 2.0]]])
    out = getattr(mx.nd, operator)(data, weight, kernel=(2,), num_filter=1, no_bias=True, layout="NCW")
    wanted = {"Convolution": [2, 5, 8, 11], "Deconvolution": [0, 1, 4, 7, 10, 8]}
    np.testing.assert_array_equal(np.asarray(out)[0, 0], wanted[operator])
