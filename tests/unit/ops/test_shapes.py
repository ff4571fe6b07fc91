"""The shape rules, all shapes known: weights, biases and outputs for every rank and layout; pads of a deconvolution."""

from __future__ import annotations

from typing import Any

import pytest

from mxconv.errors import ShapeError
from mxconv.ops.params import ConvolutionParam, DeconvolutionParam
from mxconv.ops.shapes import axis_pads, check_shapes


def conv(**attrs: Any) -> ConvolutionParam:
    return ConvolutionParam.parse({"num_filter": 8, "no_bias": True, **attrs})


def deconv(**attrs: Any) -> DeconvolutionParam:
    return DeconvolutionParam.parse({"num_filter": 8, **attrs})


@pytest.mark.parametrize(
    ("attrs", "data", "weight", "out"),
    [
        ({"kernel": 3}, (2, 4, 10), (8, 4, 3), (2, 8, 8)),
        ({"kernel": (3, 5)}, (2, 4, 10, 20), (8, 4, 3, 5), (2, 8, 8, 16)),
        ({"kernel": (3, 5), "num_group": 4}, (2, 4, 10, 20), (8, 1, 3, 5), (2, 8, 8, 16)),
        ({"kernel": (7, 7), "stride": (2, 2), "pad": (3, 3)}, (1, 3, 224, 224), (8, 3, 7, 7), (1, 8, 112, 112)),
        ({"kernel": (3, 3), "dilate": (2, 3), "stride": (2, 1)}, (1, 3, 9, 9), (8, 3, 3, 3), (1, 8, 3, 3)),
        ({"kernel": (3, 3), "pad": ((0, 1), (-1, 2))}, (1, 3, 9, 9), (8, 3, 3, 3), (1, 8, 8, 8)),
        ({"kernel": (3, 3), "layout": "NHWC"}, (1, 9, 7, 3), (8, 3, 3, 3), (1, 7, 5, 8)),
        ({"kernel": (2, 3), "layout": "NHWC", "num_group": 2}, (1, 9, 7, 6), (8, 2, 3, 3), (1, 8, 5, 8)),
        ({"kernel": 2, "layout": "NWC"}, (1, 9, 3), (8, 2, 3), (1, 8, 8)),
        ({"kernel": (1, 2, 3), "layout": "NDHWC"}, (1, 4, 5, 6, 3), (8, 1, 2, 3, 3), (1, 4, 4, 4, 8)),
        ({"kernel": (1, 2, 3, 2)}, (1, 3, 4, 5, 6, 7), (8, 3, 1, 2, 3, 2), (1, 8, 4, 4, 4, 6)),
        ({"kernel": (3, 3)}, (0, 4, 9, 9), (8, 4, 3, 3), (0, 8, 7, 7)),
        ({"kernel": (3, 3)}, (1, 0, 9, 9), (8, 0, 3, 3), (1, 8, 7, 7)),
        ({"kernel": (3, 3), "pad": (2, 2)}, (1, 4, 0, 9), (8, 4, 3, 3), (1, 8, 2, 11)),
    ],
)
def test_convolution(attrs: dict[str, Any], data: Any, weight: Any, out: Any) -> None:
    assert check_shapes(conv(**attrs), data, weight) == out
    with_bias = conv(**attrs, no_bias=False) if "no_bias" not in attrs else conv(**attrs)
    assert check_shapes(with_bias, data, weight, (8,)) == out
    with pytest.raises(ShapeError, match="weight has shape"):
        check_shapes(conv(**attrs), data, (*weight[:-1], weight[-1] + 1))
    with pytest.raises(ShapeError, match=r"bias has shape \(7,\), expected \(8,\)"):
        check_shapes(with_bias, data, weight, (7,))


@pytest.mark.parametrize(
    ("attrs", "data", "weight", "out"),
    [
        ({"kernel": 3}, (2, 4, 10), (4, 8, 3), (2, 8, 12)),
        ({"kernel": (4, 4), "stride": (2, 2), "pad": (1, 1)}, (2, 4, 5, 7), (4, 8, 4, 4), (2, 8, 10, 14)),
        ({"kernel": (4, 4), "stride": (2, 3), "adj": (1, 2)}, (2, 4, 5, 7), (4, 8, 4, 4), (2, 8, 13, 24)),
        ({"kernel": (3, 3), "num_group": 4}, (2, 4, 5, 7), (4, 2, 3, 3), (2, 8, 7, 9)),
        ({"kernel": (3, 3, 3), "dilate": (2, 1, 3)}, (1, 4, 2, 3, 4), (4, 8, 3, 3, 3), (1, 8, 6, 5, 10)),
        ({"kernel": (4, 4), "stride": (2, 2), "target_shape": (9, 10)}, (1, 4, 5, 5), (4, 8, 4, 4), (1, 8, 9, 10)),
        ({"kernel": (4, 4), "stride": (2, 2), "target_shape": (9, None), "pad": (9, 1), "adj": (9, 1)},
         (1, 4, 5, 5), (4, 8, 4, 4), (1, 8, 9, 11)),
        ({"kernel": (3, 3), "target_shape": (6, 0)}, (1, 4, 5, 5), (4, 8, 3, 3), (1, 8, 6, 7)),
        ({"kernel": (3, 3), "pad": ((2, 1), (-1, 0))}, (1, 4, 5, 5), (4, 8, 3, 3), (1, 8, 4, 8)),
        ({"kernel": (3, 2), "layout": "NHWC", "num_group": 2}, (1, 5, 6, 4), (4, 3, 2, 4), (1, 7, 7, 8)),
        ({"kernel": 3, "layout": "NWC"}, (1, 5, 4), (4, 3, 8), (1, 7, 8)),
        ({"kernel": (3, 3)}, (0, 4, 5, 5), (4, 8, 3, 3), (0, 8, 7, 7)),
        ({"kernel": (3, 3)}, (1, 0, 5, 5), (0, 8, 3, 3), (1, 8, 7, 7)),
    ],
)  # fmt: skip
def test_deconvolution(attrs: dict[str, Any], data: Any, weight: Any, out: Any) -> None:
    assert check_shapes(deconv(**attrs), data, weight) == out
    with pytest.raises(ShapeError, match="weight has shape"):
        check_shapes(deconv(**attrs), data, (weight[0] + 1, *weight[1:]))


def test_pads_of_a_deconvolution() -> None:
    assert axis_pads(deconv(kernel=(3, 3), pad=(1, (2, 0)), stride=(2, 2), adj=(1, 0)), (5, 5)) == ((1, 0), (2, 0))
    # 2*(5 - 1) + 4 = 12 samples; 3 too many: two are trimmed in front, one at the end
    param = deconv(kernel=(4, 4), stride=(2, 2), target_shape=(9, None), pad=(7, 1), adj=(7, 1))
    assert axis_pads(param, (5, 5)) == ((2, 1), (1, 0))
    assert axis_pads(conv(kernel=(3, 3), pad=(1, (2, 0))), (5, 5)) == ((1, 1), (2, 0))


def test_the_fix_names_the_channels_that_would_fit() -> None:
    with pytest.raises(ShapeError, match=r"expected \(8, 2, 3, 3\).*data with 6 channels"):
        check_shapes(conv(kernel=(3, 3), num_group=2), (1, 4, 9, 9), (8, 3, 3, 3))
    with pytest.raises(ShapeError, match=r"expected \(4, 3, 3, 8\) .*|data with 5 channels"):
        check_shapes(deconv(kernel=(3, 3), layout="NHWC"), (1, 9, 9, 4), (5, 3, 3, 8))
