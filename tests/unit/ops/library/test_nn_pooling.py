"""Pooling against plain loops: forward and gradient of random problems, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import mxconv as mx

Array = np.ndarray[Any, Any]


def out_extent(convention: str, size: int, kernel: int, stride: int, pad: int) -> int:
    room = size + 2 * pad
    if convention == "same":
        return -(-room // stride)
    rest = room - kernel
    return (rest // stride if convention == "valid" else -(-rest // stride)) + 1


def boxes(shape: tuple[int, ...], p: dict[str, Any]) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], int]]:
    """Each place of the result, the samples of its window and what avg divides by."""
    axes = range(len(shape))
    outs = [out_extent(p["pooling_convention"], shape[a], p["kernel"][a], p["stride"][a], p["pad"][a]) for a in axes]
    for place in itertools.product(*map(range, outs)):
        ranges, divisor = [], 1
        for a in axes:
            start = place[a] * p["stride"][a] - p["pad"][a]
            stop = min(start + p["kernel"][a], shape[a] + p["pad"][a])
            ranges.append([i for i in range(start, stop) if 0 <= i < shape[a]])
            divisor *= max(1, stop - start if p["count_include_pad"] is not False else len(ranges[-1]))
        yield place, list(itertools.product(*ranges)), divisor


def reference(x: Array, head: Array, p: dict[str, Any]) -> tuple[Array, Array]:
    """The result and the gradient of x (N, C, *spatial), element by element."""
    result, grad = np.zeros(head.shape), np.zeros(x.shape)
    for n, c in np.ndindex(*x.shape[:2]):
        for place, samples, divisor in boxes(x.shape[2:], p):
            values = [float(x[n, c][i]) for i in samples]
            d = head[n, c][place]
            if p["pool_type"] == "max":
                result[n, c][place] = max(values)
                grad[n, c][samples[values.index(max(values))]] += d
                continue
            if p["pool_type"] == "sum":
                divisor = 1
            result[n, c][place] = sum(values) / divisor
            for i in samples:
                grad[n, c][i] += d / divisor
    return result, grad


def draw(seed: int) -> tuple[Array, dict[str, Any], bool]:
    """Data in small integers (so that there are ties), parameters, and whether a window is empty."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.integers(1, 7 if rank < 3 else 4, rank))
    pad = tuple(int(n) for n in rng.integers(0, 3, rank))
    kernel = tuple(int(rng.integers(1, min(4, n + 2 * p) + 1)) for n, p in zip(shape, pad, strict=True))
    attrs: dict[str, Any] = {
        "kernel": kernel,
        "stride": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "pad": pad,
        "pool_type": str(rng.choice(["max", "avg", "sum"])),
        "pooling_convention": str(rng.choice(["valid", "full", "same"])),
        "count_include_pad": [None, True, False][rng.integers(3)],
    }
    x = rng.integers(-3, 4, (2, 2, *shape)).astype(float)
    return x, attrs, any(not samples for _, samples, _ in boxes(shape, attrs))


@pytest.mark.parametrize("seed", range(120))
def test_as_plain_loops(seed: int) -> None:
    x, attrs, has_empty_window = draw(seed)
    if has_empty_window and attrs["pool_type"] == "max":
        with pytest.raises(mx.ShapeError, match="window without samples"):
            mx.nd.Pooling(mx.nd.array(x), **attrs)
        return
    outs = (
        out_extent(attrs["pooling_convention"], *axis)
        for axis in zip(x.shape[2:], attrs["kernel"], attrs["stride"], attrs["pad"], strict=True)
    )
    head = np.random.default_rng(seed).integers(-3, 4, (2, 2, *outs)).astype(float)
    result, grad = reference(x, head, attrs)
    is_last = seed % 2 and x.ndim < 6
    if is_last:
        attrs["layout"] = {3: "NWC", 4: "NHWC", 5: "NDHWC"}[x.ndim]
        x, head, result, grad = (np.moveaxis(one, 1, -1) for one in (x, head, result, grad))
    data = mx.nd.array(x, dtype="float64")
    data.attach_grad()
    with mx.autograd.record():
        y = mx.nd.Pooling(data, **attrs)
    y.backward(mx.nd.array(head, dtype="float64"))
    np.testing.assert_allclose(y.asnumpy(), result, rtol=1e-13)
    np.testing.assert_allclose(data.grad.asnumpy(), grad, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "int64"])
def test_types(dtype: str) -> None:
    x = mx.nd.array(np.arange(24).reshape(1, 2, 3, 4) % 7, dtype=dtype)
    exact = x.astype("float64")
    for kind in ("max", "sum", "avg"):
        attrs = {"kernel": (2, 3), "pool_type": kind}
        y = mx.nd.Pooling(x, **attrs)
        assert y.dtype == x.dtype
        expected = mx.nd.Pooling(exact, **attrs).astype(dtype)
        np.testing.assert_array_equal(y.asnumpy(), expected.asnumpy())


def test_large_integers_are_exact() -> None:
    x = mx.nd.array(np.array([[[2**53, 2**53 + 1, -(2**62)]]]), dtype="int64")
    assert mx.nd.Pooling(x, kernel=(2,)).asnumpy().tolist() == [[[2**53 + 1, 2**53 + 1]]]
    assert mx.nd.Pooling(x, kernel=(2,), pool_type="sum").asnumpy()[0, 0, 0] == 2**54 + 1


def test_global_pooling_of_long_axes_sums_in_few_roundings() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1, (1, 1, 100_000)).astype(np.float32)
    y = mx.nd.Pooling(mx.nd.array(x), global_pool=True, pool_type="sum").asnumpy()
    assert abs(y.item() / x.sum(dtype=np.float64) - 1) < 1e-6


def test_nan_and_infinity() -> None:
    x = mx.nd.array([[[1, np.nan, 2, np.inf, 3, -np.inf, -np.inf]]])
    y = mx.nd.Pooling(x, kernel=(2,)).asnumpy().ravel()
    np.testing.assert_array_equal(y, [np.nan, np.nan, np.inf, np.inf, 3, -np.inf])


def test_pooling_v1_takes_its_pads_as_zeros() -> None:
    x = -mx.nd.ones((1, 1, 2, 2))
    attrs = {"kernel": (2, 2), "pad": (1, 1)}
    assert mx.nd.Pooling_v1(x, **attrs).asnumpy().ravel().tolist() == [0, 0, 0, 0, -1, 0, 0, 0, 0]
    assert mx.nd.Pooling(x, **attrs).asnumpy().max() == -1
    averages = mx.nd.Pooling_v1(x, pool_type="avg", **attrs).asnumpy().ravel()
    assert averages.tolist() == [-0.25, -0.5, -0.25, -0.5, -1, -0.5, -0.25, -0.5, -0.25]


def test_pooling_v1_shares_out_among_equal_maxima() -> None:
    for op, expected in (("Pooling", [1, 0]), ("Pooling_v1", [1, 1])):
        x = mx.nd.zeros((1, 1, 1, 2))
        x.attach_grad()
        with mx.autograd.record():
            y = getattr(mx.nd, op)(x, kernel=(1, 2))
        y.backward()
        assert x.grad.asnumpy().ravel().tolist() == expected


@pytest.mark.parametrize(
    ("attrs", "shape", "error", "text"),
    [
        ({}, (1, 1, 4, 4), mx.ParamError, "0D pooling not supported"),
        ({"kernel": (2,)}, (1, 1, 4, 4), mx.ShapeError, "Input data should be"),
        ({"kernel": (2, 2), "stride": (1,)}, (1, 1, 4, 4), mx.ParamError, "should have the same length"),
        ({"kernel": (2, 2), "pad": (1,)}, (1, 1, 4, 4), mx.ParamError, "pad and kernel should have"),
        ({"kernel": (0, 2)}, (1, 1, 4, 4), mx.ParamError, "must be nonzero"),
        ({"kernel": (2, 2), "stride": (0, 1)}, (1, 1, 4, 4), mx.ParamError, "must be nonzero"),
        ({"kernel": (2, 2), "pad": (-1, 0)}, (1, 1, 4, 4), mx.ParamError, "0 or more"),
        ({"kernel": (5, 2)}, (1, 1, 4, 4), mx.ShapeError, r"kernel size \(5\) exceeds input \(4 padded to 4\)"),
        ({"kernel": (2, 2), "pad": (2, 0)}, (1, 1, 4, 4), mx.ShapeError, "Use a pad smaller than the kernel"),
        ({"kernel": (1, 1), "stride": (3, 3), "pooling_convention": "full"}, (1, 1, 3, 3), mx.ShapeError, "no maximum"),
        ({"kernel": (2, 2), "pool_type": "lp"}, (1, 1, 4, 4), mx.ParamError, "Pass p_value=2"),
        ({"kernel": (2, 2), "layout": "NCW"}, (1, 1, 4, 4), mx.ShapeError, "Invalid layout for 4d shape"),
        ({"kernel": (2, 2), "pool_type": "median"}, (1, 1, 4, 4), mx.ParamError, "valid values are"),
        ({"global_pool": True}, (1, 1), mx.ShapeError, "3 axes or more"),
    ],
)  # fmt: skip
def test_refusals(attrs: dict[str, Any], shape: tuple[int, ...], error: type[mx.MXNetError], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        mx.nd.Pooling(mx.nd.ones(shape), **attrs)
    assert str(caught.value).startswith("Pooling: ")
    assert caught.value.fix in str(caught.value)
