"""MXNet 1.9.1's bugs and refusals that concern computation, gradients, shapes and types: what mxconv does instead.

The numbers are those of the catalogue of quirks that was made by running MXNet 1.9.1; each test says what MXNet does.
The quirks of graphs and files belong to the tests of those parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.dtypes import lookup
from mxconv.errors import DTypeError, MXNetError, ParamError, ShapeError
from mxconv.ops.inference import infer_shapes
from mxconv.ops.registry import OPERATORS
from mxconv.testing import reference

Array = np.ndarray[Any, Any]


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Small integers, so that every sum is exact."""
    return rng.integers(-4, 5, shape).astype(dtype)


def oracle(op: str, x: Array, w: Array, stride: Any, dilate: Any, pad: Any, out: Any = None) -> Array:
    pads = {"pad_lo": [lo for lo, _ in pad], "pad_hi": [hi for _, hi in pad]}
    if op == "Convolution":
        return reference.convolution(x, w, stride=stride, dilation=dilate, **pads)
    return reference.deconvolution(x, w, stride=stride, dilation=dilate, **pads, out_spatial=out)


def deconvolve(x: list[float], w: list[float], dtype: str = "float32", **attrs: Any) -> list[float]:
    data, weight = np.array([[x]], dtype), np.array([[w]], dtype)
    out = mx.nd.Deconvolution(data, weight, kernel=len(w), num_filter=1, **attrs).asnumpy()
    assert out.dtype == dtype
    return out[0, 0].tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quirk_1_deconvolution_with_stride_and_dilation(dtype: str) -> None:
    """MXNet in float64: [1, 0, 1, 2, 2]."""
    assert deconvolve([1, 2], [1, 1], dtype, stride=2, dilate=2) == [1, 0, 3, 0, 2]
    rng = np.random.default_rng(1)
    for _ in range(20):
        rank = rng.integers(1, 3)
        stride, dilate, kernel = (tuple(rng.integers(2, 4, rank).tolist()) for _ in range(3))
        x = integers(rng, (2, 3, *rng.integers(2, 5, rank)), dtype)
        w = integers(rng, (3, 2, *kernel), dtype)
        out = mx.nd.Deconvolution(x, w, kernel=kernel, stride=stride, dilate=dilate, num_filter=2).asnumpy()
        pad = [(0, 0)] * rank
        np.testing.assert_array_equal(out, oracle("Deconvolution", x, w, stride, dilate, pad, out.shape[2:]))


QUIRK_2 = [
    ("Convolution", 16, 16, (3, 2, 2), (2, 1, 1), (1, 0, 0), (3, 4, 4)),
    ("Convolution", 3, 64, (3, 2, 2), (2, 1, 1), (1, 0, 0), (3, 4, 4)),
    ("Convolution", 32, 32, (3, 3, 3), (2, 2, 2), (1, 1, 1), (3, 5, 5)),
    ("Deconvolution", 16, 3, (3, 2, 2), (2, 1, 1), (1, 0, 0), (2, 3, 3)),
    ("Deconvolution", 16, 16, (3, 2, 2), (2, 1, 1), (1, 0, 0), (2, 3, 3)),
]


@pytest.mark.parametrize(("op", "channels", "filters", "kernel", "stride", "pad", "size"), QUIRK_2, ids=str)
def test_quirk_2_weight_gradient_in_3_d(
    op: str, channels: int, filters: int, kernel: Any, stride: Any, pad: Any, size: Any
) -> None:
    """MXNet in float32 with AVX-512: some depth taps are wrong, silently."""
    rng = np.random.default_rng(2)
    x = mx.nd.array(integers(rng, (2, channels, *size), "float32"))
    shape = (filters, channels) if op == "Convolution" else (channels, filters)
    w = mx.nd.array(integers(rng, shape + kernel, "float32"))
    w.attach_grad()
    with mx.autograd.record():
        y = getattr(mx.nd, op)(x, w, kernel=kernel, stride=stride, pad=pad, num_filter=filters, no_bias=True)
    head = mx.nd.array(integers(rng, y.shape, "float32"))
    y.backward(head)
    wide, narrow = (x, head) if op == "Convolution" else (head, x)
    exact = reference.convolution_weight_gradient(
        wide.asnumpy(), narrow.asnumpy(), stride=stride, dilation=(1, 1, 1), pad_lo=pad, pad_hi=pad, kernel=kernel
    )
    np.testing.assert_array_equal(w.grad.asnumpy(), exact)


@pytest.mark.parametrize(("group_channels", "groups"), [(16, 1), (32, 1), (64, 1), (8, 2), (24, 3), (16, 4)])
@pytest.mark.parametrize("alone", [True, False])
def test_quirk_3_deconvolution_to_one_filter_a_group_trains(group_channels: int, groups: int, alone: bool) -> None:
    """MXNet in float32: "could not create a primitive descriptor for a reorder primitive", even for data alone."""
    rng = np.random.default_rng(3)
    x = mx.nd.array(integers(rng, (2, groups * group_channels, 5, 4), "float32"))
    w = mx.nd.array(integers(rng, (groups * group_channels, 1, 3, 3), "float32"))
    x.attach_grad()
    if not alone:
        w.attach_grad()
    with mx.autograd.record():
        y = mx.nd.Deconvolution(x, w, kernel=(3, 3), stride=(2, 2), num_filter=groups, num_group=groups)
    head = mx.nd.array(integers(rng, y.shape, "float32"))
    y.backward(head)
    how = {"stride": (2, 2), "dilation": (1, 1), "pad_lo": (0, 0), "pad_hi": (0, 0), "groups": groups}
    g, d = head.asnumpy(), x.asnumpy()
    np.testing.assert_array_equal(x.grad.asnumpy(), reference.convolution(g, w.asnumpy(), **how))
    if not alone:
        exact = reference.convolution_weight_gradient(g, d, **how, kernel=(3, 3))
        np.testing.assert_array_equal(w.grad.asnumpy(), exact)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "complex64"])
def test_quirk_4_target_shape_derives_its_own_pads(dtype: str) -> None:
    """MXNet in float32 uses `pad` instead: [2, 3, 4, 2, ..., 0], or "could not create a descriptor"."""
    data, weight = np.array([[[1, 2, 3]]], dtype), np.array([[[1, 2, 3, 4]]], dtype)
    wanted = [1, 2, 3, 4, 2, 4, 6, 8, 3, 6, 9, 12]
    for pad in (0, 1):
        out = mx.nd.Deconvolution(data, weight, kernel=4, stride=4, target_shape=12, pad=pad, num_filter=1)
        np.testing.assert_array_equal(out.asnumpy()[0, 0], wanted)
    out = mx.nd.Deconvolution(data, weight, kernel=4, stride=4, target_shape=9, num_filter=1)
    np.testing.assert_array_equal(out.asnumpy()[0, 0], wanted[2:-1])  # 3 too many: two off the front, one off the end


def test_quirk_5_target_shape_with_an_unknown_size() -> None:
    """MXNet reads uninitialised memory; here the output is the target."""
    spec = OPERATORS["Deconvolution"]
    param = spec.parse({"kernel": (4, 4), "stride": (2, 2), "target_shape": (9, 9), "num_filter": 3})
    assert infer_shapes(spec, param, [(2, 5, 0, 0)]) == ([(2, 5, 0, 0), (5, 3, 4, 4)], [(2, 3, 9, 9)])


def test_quirk_6_target_shape_of_another_form() -> None:
    """MXNet: a zero beside a number means size 0, negative gives size 0, surplus entries are ignored."""
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    attrs = {"kernel": (3, 3), "num_filter": 1}
    for target in ((5, 0), (5, None), "(5, None)", "[5,0]"):
        assert mx.nd.Deconvolution(x, w, **attrs, target_shape=target).shape == (1, 1, 5, 6)
    for target in ((-5, 5), (5,), (5, 5, 5), (1, 1, 5, 5)):
        with pytest.raises(ParamError, match="target_shape"):
            mx.nd.Deconvolution(x, w, **attrs, target_shape=target)


def test_quirk_7_odd_trim_at_stride_1() -> None:
    """MXNet: "adj(x) must be samller than stride[0]"."""
    assert deconvolve([1, 2, 3], [1, 1, 1]) == [1, 3, 6, 5, 3]
    assert deconvolve([1, 2, 3], [1, 1, 1], target_shape=4) == [3, 6, 5, 3]
    assert deconvolve([1, 2, 3], [1, 1, 1], target_shape=2) == [6, 5]


@pytest.mark.parametrize("pad", [3, 4, (3, 2), (0, 7)])
def test_quirk_8_no_output_is_an_error(pad: Any) -> None:
    """MXNet takes the sizes 0 and -1 for unknown."""
    lo, hi = pad if isinstance(pad, tuple) else (pad, pad)
    left = 5 - lo - hi
    attrs = {"kernel": 3, "num_filter": 1, "pad": ((lo, hi),)}
    spec = OPERATORS["Deconvolution"]
    with pytest.raises(ShapeError, match=f"= {left} on spatial axis 0"):
        infer_shapes(spec, spec.parse(attrs), [(1, 1, 3)])
    with pytest.raises(ShapeError, match=f"= {left} on spatial axis 0"):
        deconvolve([1, 2, 3], [1, 1, 1], pad=((lo, hi),))


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_quirk_9_unsigned_parameters(op: str) -> None:
    """MXNet: num_group=0 kills the process; -1 wraps to 4294967295."""
    for name, value in (("num_group", 0), ("num_group", -1), ("num_filter", -1), ("workspace", -1)):
        with pytest.raises(ParamError, match=name):
            OPERATORS[op].parse({"kernel": 3, "num_filter": 2, name: value})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quirk_10_negative_pad_crops(dtype: str) -> None:
    """MXNet infers the cropped shape, refuses to compute it in float32 and fails in float64 deconvolution."""
    rng = np.random.default_rng(10)
    x, w = integers(rng, (2, 3, 9, 8), dtype), integers(rng, (4, 3, 3, 2), dtype)
    for pad in (((-1, -1), (-1, -1)), ((-2, 1), (3, -2))):
        out = mx.nd.Convolution(x, w, kernel=(3, 2), pad=pad, num_filter=4, no_bias=True)
        np.testing.assert_array_equal(out.asnumpy(), oracle("Convolution", x, w, (1, 1), (1, 1), pad))
    cropped = mx.nd.Convolution(x, w, kernel=(3, 2), pad=(-1, -1), num_filter=4, no_bias=True)
    plain = mx.nd.Convolution(x[:, :, 1:-1, 1:-1], w, kernel=(3, 2), num_filter=4, no_bias=True)
    np.testing.assert_array_equal(cropped.asnumpy(), plain.asnumpy())
    out = mx.nd.Deconvolution(x, np.ones((3, 1, 3, 2), dtype), np.full(1, 7, dtype), kernel=(3, 2), pad=(-1, -1),
                              num_filter=1, no_bias=False).asnumpy()  # fmt: skip
    assert out.shape == (2, 1, 13, 11)
    assert (out[:, :, [0, -1]] == 7).all()  # the samples added hold the bias
    assert (out[..., [0, -1]] == 7).all()


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quirk_11_gradients_add_up_for_a_1x1_kernel(op: str, dtype: str) -> None:
    """MXNet in float64: the gradient of Convolution's data is 1 after three passes, not 3."""
    x, w, b = (mx.nd.ones(shape, dtype=dtype) for shape in ((1, 1, 2, 2), (1, 1, 1, 1), (1,)))
    for array in (x, w, b):
        array.attach_grad("add")
    for _ in range(3):
        with mx.autograd.record():
            y = getattr(mx.nd, op)(x, w, b, kernel=(1, 1), num_filter=1, no_bias=False)
        y.backward()
    assert (x.grad.asnumpy() == 3).all()
    assert w.grad.asnumpy().ravel().tolist() == [12]
    assert b.grad.asnumpy().tolist() == [12]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_quirk_12_integers_are_exact(op: str, dtype: str) -> None:
    """MXNet: int8 Convolution saturates 100*100*36 to 127; every other integer is refused."""
    data, weight = np.full((1, 4, 3, 3), 100, dtype), np.full((4, 4, 3, 3), 100, dtype)
    bias = np.array([1, 2, 3, 4], dtype)
    centre = (1, 1) if op == "Convolution" else (0, 0)
    out = getattr(mx.nd, op)(data, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=False).asnumpy()
    assert out.dtype == ("int32" if dtype in ("int8", "uint8") else "int64")
    assert out.shape == (1, 4, 3, 3)
    assert out[0, :, 1, 1].tolist() == [360001, 360002, 360003, 360004]
    assert out[(0, 0, *centre)] == (360001 if op == "Convolution" else 160001)


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("layout", ["NWC", "NHWC", "NDHWC", "NTDHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_quirk_13_channels_last_computes(op: str, layout: str, dtype: str) -> None:
    """MXNet infers NHWC and NDHWC but cannot compute them on the CPU, and refuses NWC."""
    rng = np.random.default_rng(13)
    rank = len(layout) - 2
    kernel, stride = (3, 2, 1, 2)[:rank], (1, 2, 1, 2)[:rank]
    data = integers(rng, (2, 6, *(5, 4, 3, 3)[:rank]), dtype)
    weight = integers(rng, ((4, 3) if op == "Convolution" else (6, 2)) + kernel, dtype)
    bias = integers(rng, (4,), dtype)
    attrs = {"kernel": kernel, "stride": stride, "num_filter": 4, "num_group": 2, "no_bias": False}
    function = getattr(mx.nd, op)
    first = function(data, weight, bias, **attrs).asnumpy()
    for copy in (np.asarray, np.ascontiguousarray):
        stored = [copy(np.moveaxis(a, 1, -1)) for a in (data, weight)]
        last = function(*stored, bias, **attrs, layout=layout)
        np.testing.assert_array_equal(np.moveaxis(last.asnumpy(), -1, 1), first)
    out = np.empty(last.shape, first.dtype)
    assert function(*stored, bias, **attrs, layout=layout, out=out) is out
    np.testing.assert_array_equal(np.moveaxis(out, -1, 1), first)


def test_quirk_15_types_that_cannot_be_computed_are_named() -> None:
    """MXNet drops dtypes that it does not know from inference, silently."""
    spec = OPERATORS["Convolution"]
    with pytest.raises(DTypeError, match="uint16"):
        spec.infer_type(spec.parse({"kernel": 3, "num_filter": 1}), ["uint16", None, None], [None])


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_quirk_21_errors_come_at_once(op: str) -> None:
    """MXNet's call returns, the first asnumpy raises, and a second one returns garbage."""
    data, weight = np.ones((1, 1, 4), "bool"), np.ones((1, 1, 2), "bool")
    out = mx.nd.full((1, 1, 3) if op == "Convolution" else (1, 1, 5), 5)
    with pytest.raises(MXNetError):
        getattr(mx.nd, op)(data, weight, kernel=2, num_filter=1, no_bias=True, out=out)
    assert (out.asnumpy() == 5).all()


def test_quirk_28_unknown_channels_in_groups_stay_unknown() -> None:
    """MXNet's Deconvolution raises "must divide"; its Convolution does not."""
    attrs = {"kernel": 3, "num_filter": 4, "num_group": 2, "no_bias": True}
    for op, weight in (("Convolution", (4, 0, 3)), ("Deconvolution", (0, 2, 3))):
        spec = OPERATORS[op]
        size = 7 if op == "Convolution" else 11
        known = infer_shapes(spec, spec.parse(attrs), [(2, 0, 9)])
        assert known == ([(2, 0, 9), weight], [(2, 4, size)])


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_quirk_29_every_refusal_names_its_operator(op: str) -> None:
    """MXNet's Deconvolution leaves it out."""
    with pytest.raises(ParamError, match=f"^{op}: kernel is '3,3'"):
        OPERATORS[op].parse({"kernel": "3,3", "num_filter": 1})


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_quirk_30_half_precision_rounds_once(op: str, dtype: str) -> None:
    """MXNet: "FP16 gemm on cpu not implemented!". Rounding on the way would lose most of 4096 ones."""
    half = lookup(dtype)
    assert half is not None
    data = np.ones((1, 4096, 1)).astype(half.numpy)
    weight = np.ones((1, 4096, 1) if op == "Convolution" else (4096, 1, 1)).astype(half.numpy)
    out = getattr(mx.nd, op)(data, weight, kernel=1, num_filter=1, no_bias=True).asnumpy()
    assert out.dtype == half.numpy
    assert float(out[0, 0, 0]) == 4096
    rng = np.random.default_rng(30)
    x = rng.standard_normal((2, 5, 6, 7)).astype(half.numpy)
    w = rng.standard_normal((5, 5, 3, 2)).astype(half.numpy)
    out = getattr(mx.nd, op)(x, w, kernel=(3, 2), num_filter=5, no_bias=True).asnumpy()
    exact = oracle(op, x.astype("f8"), w.astype("f8"), (1, 1), (1, 1), [(0, 0)] * 2, out.shape[2:])
    ulp = 2.0 ** -(11 if dtype == "float16" else 8)
    sums = oracle(op, abs(x.astype("f8")), abs(w.astype("f8")), (1, 1), (1, 1), [(0, 0)] * 2, out.shape[2:])
    assert (abs(out.astype("f8") - exact) <= ulp * abs(exact) + 1e-5 * sums).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dilate", [(1, 1, 1), (2, 1, 3)])
def test_quirk_30_deconvolution_in_3_d(dtype: str, dilate: tuple[int, ...]) -> None:
    """MXNet: "Only 1D or 2D Deconvolution is natively supported", "Dilate is not supported in 3d deconvolution"."""
    rng = np.random.default_rng(31)
    x, w = integers(rng, (2, 3, 3, 4, 2), dtype), integers(rng, (3, 2, 2, 3, 2), dtype)
    stride = (1, 2, 2)
    out = mx.nd.Deconvolution(
        x, w, kernel=(2, 3, 2), stride=stride, dilate=dilate, pad=(0, 1, 0), num_filter=2
    ).asnumpy()
    wanted = oracle("Deconvolution", x, w, stride, dilate, [(0, 0), (1, 1), (0, 0)], out.shape[2:])
    np.testing.assert_array_equal(out, wanted)
