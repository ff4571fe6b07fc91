"""Partial shape inference in both notations of the unknown (mxnet: 0, np_shape: -1), as MXNet 1.9.1 has it."""

from __future__ import annotations

from typing import Any

import pytest

from mxconv.errors import ShapeError
from mxconv.ops.inference import infer_shapes
from mxconv.ops.registry import OPERATORS
from mxconv.util import np_shape

CONV, DECONV = OPERATORS["Convolution"], OPERATORS["Deconvolution"]


def infer(spec: Any, attrs: dict[str, Any], *known: Any, out: Any = None) -> Any:
    param = spec.parse({"num_filter": 8, **attrs})
    shapes, outs = infer_shapes(spec, param, list(known), [out])
    assert len(shapes) == len(spec.input_names(param))
    assert len(outs) == 1
    return (*shapes, outs[0])


K = {"kernel": (3, 3)}


def test_nothing_follows_from_an_unknown_rank() -> None:
    assert infer(CONV, K, None) == ((), (), (), ())
    assert infer(CONV, K, (), (8, 4, 3, 3), None, out=(2, 8, 5, 5)) == ((), (8, 4, 3, 3), (), (2, 8, 5, 5))
    assert infer(DECONV, K) == ((), (), ())


def test_forward_with_unknown_extents() -> None:
    assert infer(CONV, K, (2, 4, 9, 9)) == ((2, 4, 9, 9), (8, 4, 3, 3), (8,), (2, 8, 7, 7))
    assert infer(CONV, K, (0, 4, 0, 9)) == ((0, 4, 0, 9), (8, 4, 3, 3), (8,), (0, 8, 0, 7))
    assert infer(CONV, K, (0, 0, 9, 9)) == ((0, 0, 9, 9), (8, 0, 3, 3), (8,), (0, 8, 7, 7))
    assert infer(CONV, K, (-1, 4, 9, 9))[0] == (0, 4, 9, 9)
    assert infer(DECONV, K, (0, 4, 0, 9)) == ((0, 4, 0, 9), (4, 8, 3, 3), (0, 8, 0, 11))
    assert infer(DECONV, K, (2, 0, 9, 9)) == ((2, 0, 9, 9), (0, 8, 3, 3), (2, 8, 11, 11))
    assert infer(CONV, {**K, "layout": "NHWC"}, (0, 9, 9, 4))[1:] == ((8, 3, 3, 4), (8,), (0, 7, 7, 8))


def test_given_shapes_are_completed_and_checked() -> None:
    assert infer(CONV, K, (2, 4, 9, 9), (8, 0, 3, 0), (0,))[1:3] == ((8, 4, 3, 3), (8,))
    assert infer(CONV, K, (2, 0, 9, 9), (8, 4, 3, 3))[:2] == ((2, 0, 9, 9), (8, 4, 3, 3))  # not copied into data
    assert infer(DECONV, K, (2, 0, 9, 9), (4, 8, 3, 3))[:2] == ((2, 0, 9, 9), (4, 8, 3, 3))
    with pytest.raises(ShapeError, match=r"Shape inconsistent, Provided = \[8,5,3,3\], inferred shape=\(8,4,3,3\)"):
        infer(CONV, K, (2, 4, 9, 9), (8, 5, 3, 3))
    with pytest.raises(ShapeError, match=r"Shape inconsistent, Provided = \[8,4,3\], inferred shape=\(8,4,3,3\)"):
        infer(CONV, K, (2, 4, 9, 9), (8, 4, 3))
    with pytest.raises(ShapeError, match="output has shape"):
        infer(CONV, K, (2, 4, 9, 9), out=(2, 8, 7, 8))


def test_a_convolution_infers_backwards() -> None:
    assert infer(CONV, K, (0, 4, 0, 0), out=(2, 8, 7, 5))[0] == (2, 4, 9, 7)
    assert infer(CONV, {**K, "dilate": (2, 1), "pad": ((1, 0), 2)}, (0, 4, 0, 0), out=(2, 8, 7, 5))[0] == (2, 4, 10, 3)
    assert infer(CONV, {**K, "stride": (2, 1)}, (0, 4, 0, 0), out=(2, 8, 7, 5))[0] == (2, 4, 0, 7)  # only at stride 1
    assert infer(CONV, {**K, "layout": "NHWC"}, (0, 0, 9, 4), out=(2, 7, 7, 8))[0] == (2, 9, 9, 4)
    with pytest.raises(ShapeError, match="Shape inconsistent"):
        infer(CONV, K, (3, 4, 0, 0), out=(2, 8, 7, 5))
    with pytest.raises(ShapeError, match="output has shape"):
        infer(CONV, K, (0, 4, 0, 0), out=(2, 9, 7, 5))
    with pytest.raises(ShapeError, match="output has 1 samples on spatial axis 0, expected at least 2"):
        infer(CONV, {**K, "pad": (2, 2)}, (0, 4, 0, 0), out=(2, 8, 1, 5))


def test_a_deconvolution_does_not() -> None:
    assert infer(DECONV, K, (0, 4, 0, 0), out=(2, 8, 7, 5)) == ((0, 4, 0, 0), (4, 8, 3, 3), (2, 8, 7, 5))
    with pytest.raises(ShapeError, match="output has shape"):
        infer(DECONV, K, (2, 4, 5, 5), out=(2, 8, 7, 8))


def test_a_target_is_known_without_data() -> None:
    attrs = {**K, "stride": (2, 2), "target_shape": (10, None)}
    assert infer(DECONV, attrs, (0, 4, 0, 0))[-1] == (0, 8, 10, 0)
    assert infer(DECONV, attrs, (0, 4, 5, 5))[-1] == (0, 8, 10, 11)


def test_inside_np_shape_zero_is_a_size() -> None:
    with np_shape(True):
        assert infer(CONV, K, None) == (None, None, None, None)
        assert infer(CONV, K, (0, 4, -1, 9)) == ((0, 4, -1, 9), (8, 4, 3, 3), (8,), (0, 8, -1, 7))
        assert infer(CONV, K, (None, 4, 9, 9)) == ((-1, 4, 9, 9), (8, 4, 3, 3), (8,), (-1, 8, 7, 7))
        assert infer(CONV, K, (2, 0, 9, 9))[1] == (8, 0, 3, 3)
        assert infer(CONV, K, (2, -1, 9, 9))[1] == (8, -1, 3, 3)
        with pytest.raises(ShapeError, match="kernel size exceed input"):
            infer(CONV, K, (2, 4, 0, 9))
        with pytest.raises(ShapeError, match="Input data should be 4D"):
            infer(CONV, K, ())
        with pytest.raises(ShapeError, match="weight has shape"):
            infer(CONV, K, (2, 4, 9, 9), (8, 0, 3, 3))
    assert infer(CONV, K, (0, 4, 0, 9))[-1] == (0, 8, 0, 7)


@pytest.mark.parametrize("mode", [False, True])
def test_extents_below_minus_one_are_refused(mode: bool) -> None:
    with np_shape(mode), pytest.raises(ShapeError, match="shape dim size must be >= -1"):
        infer(CONV, K, (2, 4, -2, 9))
