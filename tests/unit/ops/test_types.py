"""The dtype rule: inference in both directions, mixed and unsupported dtypes, long 8-bit sums."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from mxconv.dtypes import DTYPES
from mxconv.errors import DTypeError
from mxconv.ops.registry import OPERATORS


def infer(op: str, *known: Any, out: Any = None) -> Any:
    spec = OPERATORS[op]
    param = spec.parse({"kernel": 3, "num_filter": 8, "no_bias": False})
    types, outs = spec.infer_type(param, list(known), [out])
    return (*types, outs[0])


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_inference(op: str) -> None:
    f4, i4 = np.float32, np.int32
    assert infer(op, "float32") == (f4, f4, f4, f4)
    assert infer(op, np.dtype(">f4"), f4) == (f4, f4, f4, f4)
    assert infer(op, np.int8) == (np.int8, np.int8, np.int8, i4)
    assert infer(op, "bfloat16")[3] is ml_dtypes.bfloat16
    assert infer(op) == (None, None, None, None)
    assert infer(op, None, f4) == (None, f4, None, None)  # weight's type is not enough
    assert infer(op, None, None, None, out="float16") == (np.float16,) * 4
    assert infer(op, out=np.int64) == (None, None, None, np.int64)  # int16, int32 and int64 all give it
    for result in DTYPES.values():
        types = infer(op, result.numpy)
        assert types[:3] == (result.numpy.type,) * 3
        assert types[3] is DTYPES[result.result].numpy.type


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_contradictions_and_unsupported_types(op: str) -> None:
    with pytest.raises(
        DTypeError, match=r"Expected 'float32' v.s. given 'float64' at 'weight'.*weight.astype\('float32'\)"
    ):
        infer(op, "float32", "float64")
    with pytest.raises(DTypeError, match="at 'bias'"):
        infer(op, "float32", None, "int8")
    with pytest.raises(DTypeError, match="output has dtype int8, expected int32"):
        infer(op, "int8", out="int8")
    with pytest.raises(DTypeError, match="not supported"):
        infer(op, "uint16")
    with pytest.raises(DTypeError, match="data has dtype nonsense"):
        infer(op, "nonsense")
    with pytest.raises(DTypeError, match="weight has dtype bool"):
        infer(op, None, "bool")


@pytest.mark.parametrize(
    ("dtype", "cast"),
    [("bool", "uint8"), ("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64"), ("longdouble", "float64"),
     ("object", "float32"), ("U3", "float32"), ("M8[s]", "float32"), (ml_dtypes.float8_e4m3fn, "float32")],
)  # fmt: skip
@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_unsupported_arrays_name_the_cast(op: str, dtype: Any, cast: str) -> None:
    data, weight = np.zeros((1, 1, 4), dtype), np.zeros((1, 1, 2), dtype)
    with pytest.raises(DTypeError, match=rf"data has dtype .*expected one of float32, .*data\.astype\('{cast}'\)"):
        getattr(mx.nd, op)(data, weight, kernel=2, num_filter=1, no_bias=True)


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_mixed_arrays_name_the_cast(op: str) -> None:
    data, weight, bias = np.zeros((1, 1, 4), "f4"), np.zeros((1, 1, 2)), np.zeros(1, "f4")
    with pytest.raises(DTypeError, match=r"weight has dtype float64, expected float32.*weight\.astype\('float32'\)"):
        getattr(mx.nd, op)(data, weight, kernel=2, num_filter=1, no_bias=True)
    with pytest.raises(DTypeError, match=r"bias has dtype float32, expected float64.*bias\.astype\('float64'\)"):
        getattr(mx.nd, op)(data.astype("f8"), weight, bias, kernel=2, num_filter=1, no_bias=False)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("taps", [1, 2])
@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_long_sums_of_bytes(op: str, dtype: str, taps: int) -> None:
    """The longest sum that is allowed is exact with the most extreme numbers; one product more is refused."""
    most = DTYPES[dtype].max_products
    assert most is not None
    worst = -128 if dtype == "int8" else 255
    call = getattr(mx.nd, op)
    # a deconvolution of stride 2 and kernel 3 sums at most two taps, one of kernel 2 a single one
    kernel = taps if op == "Convolution" else taps + 1
    options = {"kernel": kernel, "no_bias": False} | ({"stride": 2} if op == "Deconvolution" else {})
    bias = np.full(1, 127 if dtype == "int8" else 255, dtype)
    for channels in (most // taps, most // taps + 1):
        data = np.full((1, channels, 2), worst, dtype)
        weight = np.full((1, channels, kernel) if op == "Convolution" else (channels, 1, kernel), worst, dtype)
        if taps * channels <= most:
            out = call(data, weight, bias, **options, num_filter=1).asnumpy()
            assert out.dtype == np.int32
            assert out.max() == taps * channels * worst * worst + int(bias[0])
        else:
            with pytest.raises(DTypeError, match=rf"{taps * channels} products .*at most {most}.*astype\('int16'\)"):
                call(data, weight, bias, **options, num_filter=1)
