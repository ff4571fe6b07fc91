"""The built-in filters: their values against their formulas, and the weights and parameters made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mxconv.cli import filters
from mxconv.errors import DTypeError, ParamError


@pytest.mark.parametrize("sigma", [0.4, 1, 2.5])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gaussian(sigma: float, rank: int) -> None:
    taps = filters.make(f"gaussian:{sigma}", rank).taps
    radius = math.ceil(3 * sigma)
    assert taps.shape == (1, *[2 * radius + 1] * rank)
    assert taps.sum() == pytest.approx(1, abs=1e-12)
    centre = taps[(0, *[radius] * rank)]
    neighbour = taps[(0, radius + 1, *[radius] * (rank - 1))]
    assert neighbour / centre == pytest.approx(math.exp(-1 / (2 * sigma**2)))
    assert np.array_equal(taps, taps[(slice(None), *[slice(None, None, -1)] * rank)])


def test_box_is_the_mean() -> None:
    assert filters.make("box:5", 2).taps.tolist() == np.full((1, 5, 5), 1 / 25).tolist()


def test_sobel_is_the_slope_along_x_then_along_y() -> None:
    x, y = filters.make("sobel", 2).taps
    assert x.tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert y.tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert filters.make("sobel", 1).taps.tolist() == [[-1, 0, 1]]
    assert filters.make("sobel", 3).taps.shape == (3, 3, 3, 3)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_laplacian_of_squares_is_twice_the_rank(rank: int) -> None:
    squares = sum(np.meshgrid(*[np.arange(-1.0, 2) ** 2] * rank, indexing="ij"))
    assert np.sum(filters.make("laplacian", rank).taps[0] * squares) == 2 * rank


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_bilinear_is_mxnets(factor: int) -> None:
    """The formula of MXNet's init.Bilinear; every output's taps sum to 1."""
    taps = filters.make(f"bilinear:{factor}", 2).taps[0]
    size = 2 * factor - factor % 2
    f, c = math.ceil(size / 2), (2 * math.ceil(size / 2) - 1 - math.ceil(size / 2) % 2) / (2 * math.ceil(size / 2))
    line = [1 - abs(i / f - c) for i in range(size)]
    np.testing.assert_allclose(taps, np.outer(line, line), rtol=0, atol=1e-15)
    for phase in range(factor):
        assert sum(line[phase::factor]) == pytest.approx(1)


def test_weights_are_depthwise_for_both_operators() -> None:
    sobel = filters.make("sobel", 2)
    convolution = sobel.weight("Convolution", 3, "float64")
    assert convolution.shape == (6, 1, 3, 3)
    assert np.array_equal(convolution[4, 0], sobel.taps[0])
    deconvolution = sobel.weight("Deconvolution", 3, "float64")
    assert deconvolution.shape == (3, 2, 3, 3)
    assert np.array_equal(deconvolution[2, 1], sobel.taps[1])


def test_integer_weights_are_exact_or_refused() -> None:
    assert filters.make("laplacian", 1).weight("Convolution", 1, "int8").tolist() == [[[1, -2, 1]]]
    for name, dtype in (("gaussian:1", "int32"), ("laplacian", "uint8")):
        with pytest.raises(DTypeError, match=rf"dtype is {dtype}, expected a floating-point dtype: {name}.*astype"):
            filters.make(name, 2).weight("Convolution", 1, dtype)


@pytest.mark.parametrize(
    ("name", "given", "pad"),
    [
        ("gaussian:1", {}, "(3, 3)"),
        ("laplacian", {"dilate": "(2,3)"}, "(2, 3)"),
        ("box:4", {}, "((1, 2), (1, 2))"),
        ("box:4", {"pad": "(0,0)"}, "(0,0)"),
    ],
)
def test_the_size_is_kept_unless_pad_is_given(name: str, given: dict[str, str], pad: str) -> None:
    assert filters.make(name, 2).attributes("Convolution", 3, (9, 9), given)["pad"] == pad


def test_bilinear_implies_stride_and_target() -> None:
    chosen = filters.make("bilinear:3", 2)
    attributes = chosen.attributes("Deconvolution", 4, (5, 7), {})
    assert attributes == {
        "kernel": "(5, 5)",
        "num_filter": "4",
        "num_group": "4",
        "no_bias": "True",
        "stride": "(3, 3)",
        "target_shape": "(15, 21)",
    }
    assert "target_shape" not in chosen.attributes("Deconvolution", 4, (5, 7), {"pad": "(1,1)"})
    with pytest.raises(ParamError, match=r"bilinear:3.*expected.*gaussian.*Use Deconvolution"):
        chosen.attributes("Convolution", 4, (5, 7), {})


@pytest.mark.parametrize(
    "text", ["gaussian", "gaussian:0", "gaussian:-1", "gaussian:nan", "gaussian:x", "box:0", "box:1.5", "bilinear:1",
             "sobel:3", "laplacian:", "box:99999", "gaussian:1e9"],
)  # fmt: skip
def test_wrong_names_say_what_there_is(text: str) -> None:
    assert filters.is_filter(text)
    with pytest.raises(ParamError, match=r"weight is .*expected a file or one of gaussian:SIGMA.*For example"):
        filters.make(text, 2)


def test_files_are_not_filters() -> None:
    assert not any(map(filters.is_filter, ["box.npy", "my/sobel.npz:w", "w.npz:box", "gauss"]))
