"""mx.nd.Convolution and mx.nd.Deconvolution as Python functions: signatures, inputs of any kind, `out`, empty."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.testing import reference

Array = np.ndarray[Any, Any]
OPS = pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
ATTRS = {"kernel": (3, 2), "num_filter": 4, "no_bias": False}


def operands(op: str, dtype: str = "float32") -> list[Array]:
    rng = np.random.default_rng(7)
    weight = (4, 3, 3, 2) if op == "Convolution" else (3, 4, 3, 2)
    return [rng.integers(-4, 5, shape).astype(dtype) for shape in ((2, 3, 6, 5), weight, (4,))]


def expected(op: str, x: Array, w: Array, b: Array, dtype: str = "float32") -> Array:
    plain: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "pad_lo": (0, 0), "pad_hi": (0, 0)}
    if op == "Convolution":
        return reference.convolution(x, w, b, **plain).astype(dtype)
    size = [n + k - 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    return reference.deconvolution(x, w, b, **plain, out_spatial=size).astype(dtype)


def test_signatures_are_mxnets() -> None:
    shared = [
        "num_filter",
        "num_group",
        "workspace",
        "no_bias",
        "cudnn_tune",
        "cudnn_off",
        "layout",
        "out",
        "name",
        "kwargs",
    ]
    first = ["data", "weight", "bias", "kernel", "stride", "dilate", "pad"]
    assert list(inspect.signature(mx.nd.Convolution).parameters) == first + shared
    assert list(inspect.signature(mx.nd.Deconvolution).parameters) == [*first, "adj", "target_shape", *shared]


@OPS
def test_positions_keywords_arrays_and_texts_agree(op: str) -> None:
    x, w, b = operands(op)
    function = getattr(mx.nd, op)
    wanted = expected(op, x, w, b)
    tail = (4, 1, 512, False) if op == "Convolution" else ((0, 0), None, 4, 1, 512, False)
    calls = [
        function(x, w, b, (3, 2), (1, 1), (1, 1), (0, 0), *tail, "off", True, "NCHW"),
        function(data=x, weight=w, bias=b, **ATTRS),
        function(mx.nd.array(x), w, mx.nd.array(b), **ATTRS, name="layer", __note__="kept by symbols"),
        function(x, w, bias=b, **{name: str(value) for name, value in ATTRS.items()}),
    ]
    for out in calls:
        assert isinstance(out, mx.nd.NDArray)
        assert out.dtype is np.float32
        np.testing.assert_array_equal(out.asnumpy(), wanted)


@OPS
def test_engine_settings_change_nothing(op: str) -> None:
    x, w, b = operands(op)
    for settings in ({"workspace": 0}, {"cudnn_tune": "fastest"}, {"cudnn_off": True}, {"cudnn_tune": None}):
        out = getattr(mx.nd, op)(x, w, b, **ATTRS, **settings)
        np.testing.assert_array_equal(out.asnumpy(), expected(op, x, w, b))


@OPS
def test_out_is_written_and_returned(op: str) -> None:
    x, w, b = operands(op)
    function, wanted = getattr(mx.nd, op), expected(op, x, w, b)
    out = mx.nd.full(wanted.shape, np.nan)
    version = out.storage.version
    assert function(x, w, b, **ATTRS, out=out) is out
    assert out.storage.version > version
    np.testing.assert_array_equal(out.asnumpy(), wanted)
    out = mx.nd.full(wanted.shape, np.nan)
    (same,) = function(x, w, b, **ATTRS, out=[out])
    assert same is out
    plain = np.full((*wanted.shape, 2), np.nan, "float32")[..., 0]  # strided
    assert function(x, w, b, **ATTRS, out=plain) is plain
    np.testing.assert_array_equal(plain, wanted)


@OPS
def test_out_may_be_an_input(op: str) -> None:
    x = np.arange(2 * 3 * 5 * 5, dtype="float32").reshape(2, 3, 5, 5)
    w = np.ones((3, 3, 3, 3), "float32")
    attrs: dict[str, Any] = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 3, "no_bias": True}
    wanted = getattr(mx.nd, op)(x, w, **attrs).asnumpy()
    data = mx.nd.array(x)
    assert getattr(mx.nd, op)(data, w, **attrs, out=data) is data
    np.testing.assert_array_equal(data.asnumpy(), wanted)
    memory = np.zeros(x.size + 7, "float32")  # overlapping by all but seven numbers
    memory[: x.size] = x.ravel()
    out = memory[7:].reshape(x.shape)
    getattr(mx.nd, op)(memory[: x.size].reshape(x.shape), w, **attrs, out=out)
    np.testing.assert_array_equal(out, wanted)


def unaligned(a: Array) -> Array:
    memory = np.zeros(a.nbytes + 1, "u1")[1:].view(a.dtype).reshape(a.shape)
    memory[...] = a
    assert not memory.flags.aligned
    return memory


def read_only(a: Array) -> Array:
    view = a.view()
    view.flags.writeable = False
    return view


@OPS
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T.copy().T,
        lambda a: np.flip(np.flip(a).copy()),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        unaligned,
        read_only,
        lambda a: a.astype(a.dtype.newbyteorder()),
        np.asfortranarray,
    ],
    ids=["transposed", "reversed", "step", "unaligned", "read-only", "byte-swapped", "fortran"],
)
def test_views_of_any_kind(op: str, view: Any) -> None:
    x, w, b = operands(op)
    out = getattr(mx.nd, op)(view(x), view(w), view(b), **ATTRS)
    assert out.dtype is np.float32
    np.testing.assert_array_equal(out.asnumpy(), expected(op, x, w, b))


@OPS
def test_broadcast_views(op: str) -> None:
    x = np.broadcast_to(np.float32([[[[1], [2]]]]), (2, 3, 2, 5))
    w = np.broadcast_to(np.float32(3), (4, 3, 2, 2) if op == "Convolution" else (3, 4, 2, 2))
    b = np.broadcast_to(np.float32(1), (4,))
    out = getattr(mx.nd, op)(x, w, b, kernel=(2, 2), num_filter=4, no_bias=False).asnumpy()
    np.testing.assert_array_equal(out, expected(op, x, w, b))


@OPS
def test_zero_is_a_size(op: str) -> None:
    function = getattr(mx.nd, op)
    x, w, b = operands(op)
    none = function(x[:0], w, b, **ATTRS)
    assert none.shape == (0, *expected(op, x, w, b).shape[1:])
    weight = w[:, :0] if op == "Convolution" else w[:0]
    out = function(x[:, :0], weight, b, **ATTRS).asnumpy()
    np.testing.assert_array_equal(out, np.broadcast_to(b[:, None, None], expected(op, x, w, b).shape))
    out = function(x[:, :0], weight, kernel=(3, 2), num_filter=4, no_bias=True).asnumpy()
    assert not out.any()
    if op == "Convolution":
        out = function(x[:, :, :0], w, b, **ATTRS, pad=(2, 0)).asnumpy()
        np.testing.assert_array_equal(out, np.broadcast_to(b[:, None, None], (2, 4, 2, 4)))


def test_a_failed_call_leaves_out_alone() -> None:
    x, w, b = operands("Convolution")
    out = np.full((2, 4, 4, 4), 5, "float32")
    for wrong in ({"weight": w[:2]}, {"kernel": (9, 9)}, {"bias": b[:1]}):
        call: dict[str, Any] = {"data": x, "weight": w, "bias": b, **ATTRS, **wrong}
        with pytest.raises(mx.MXNetError):
            mx.nd.Convolution(**call, out=out)
    assert (out == 5).all()
