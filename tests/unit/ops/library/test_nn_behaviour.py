"""What recorded answers do not show of neural-network operators: statistics, random numbers, narrow types, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx

Array = np.ndarray[Any, Any]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# ---- BatchNorm


def norm_inputs(dtype: str = "float32") -> tuple[Any, list[Any]]:
    own = "float32" if dtype in ("float16", "bfloat16") else dtype
    x = mx.nd.array(rng().normal(2, 3, (6, 4, 5)), dtype=dtype)
    return x, [mx.nd.array(v, dtype=own) for v in ([5, 6, 7, 8], [1, 2, 3, 4], [0] * 4, [1] * 4)]


def test_statistics_move_in_the_backward_pass_and_gamma_stays() -> None:
    x, (gamma, beta, mean, var) = norm_inputs()
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, gamma, beta, mean, var, momentum=0.75, fix_gamma=True)
    assert not mean.asnumpy().any()
    y.backward()
    values = x.asnumpy().astype(np.float64)
    np.testing.assert_allclose(mean.asnumpy(), 0.25 * values.mean((0, 2)), rtol=1e-6)
    np.testing.assert_allclose(var.asnumpy(), 0.75 + 0.25 * values.var((0, 2)), rtol=1e-6)
    assert gamma.asnumpy().tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(y.asnumpy().mean((0, 2)), beta.asnumpy(), rtol=1e-5)  # gamma counted as 1
    np.testing.assert_allclose(y.asnumpy().std((0, 2)), 1, rtol=1e-3)


@pytest.mark.parametrize(("train_mode", "use_global_stats"), [(False, False), (True, True)])
def test_statistics_stay_outside_of_training(train_mode: bool, use_global_stats: bool) -> None:
    x, params = norm_inputs()
    x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        y = mx.nd.BatchNorm(x, *params, use_global_stats=use_global_stats, fix_gamma=False, eps=0)
    y.backward()
    assert [p.asnumpy().tolist() for p in params[2:]] == [[0] * 4, [1] * 4]
    np.testing.assert_allclose(y.asnumpy(), x.asnumpy() * [[5], [6], [7], [8]] + [[1], [2], [3], [4]], rtol=1e-6)


def test_each_backward_pass_moves_the_statistics() -> None:
    x, params = norm_inputs()
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, *params, momentum=0.5)
    for _ in range(2):
        y.backward(retain_graph=True)
    np.testing.assert_allclose(params[2].asnumpy(), 0.75 * x.asnumpy().mean((0, 2)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_data_are_normalized_in_float32(dtype: str) -> None:
    x, params = norm_inputs(dtype)
    wide = [mx.nd.array(p) for p in params]
    results, grads = [], []
    for data, own in ((x, params), (x.astype("float32"), wide)):
        data.attach_grad()
        own[0].attach_grad()
        with mx.autograd.record():
            y = mx.nd.BatchNorm(data, *own, fix_gamma=False)
        y.backward(mx.nd.array(rng().integers(-3, 4, y.shape), dtype=y.dtype))
        results.append((y, data.grad, own[0].grad))
        grads.append(own[2].asnumpy())
    (y, dx, dg), (wide_y, wide_dx, wide_dg) = results
    assert (y.dtype, dx.dtype, dg.dtype) == (x.dtype, x.dtype, np.float32)
    np.testing.assert_array_equal(y.asnumpy(), wide_y.astype(dtype).asnumpy())
    np.testing.assert_array_equal(dx.asnumpy(), wide_dx.astype(dtype).asnumpy())
    np.testing.assert_array_equal(dg.asnumpy(), wide_dg.asnumpy())
    np.testing.assert_array_equal(grads[0], grads[1])


def test_a_large_mean_costs_no_accuracy() -> None:
    x = (rng().normal(size=(8, 2, 100)) + 1000).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean((0, 2), keepdims=True)) / np.sqrt(exact.var((0, 2), keepdims=True) + 1e-3)
    ones, zeros = mx.nd.ones((2,)), mx.nd.zeros((2,))
    with mx.autograd.train_mode():
        y = mx.nd.BatchNorm(mx.nd.array(x), ones, zeros, zeros.copy(), ones.copy())
    assert np.abs(y.asnumpy() - expected).max() < 1e-4


def test_a_constant_channel() -> None:
    x = mx.nd.full((4, 2), 3)
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.BatchNorm(x, *(mx.nd.ones((2,)) for _ in range(4)))
    y.backward()
    np.testing.assert_array_equal(y.asnumpy(), 1)
    np.testing.assert_array_equal(x.grad.asnumpy(), 0)


# ---- random operators


def test_dropout_keeps_scales_and_passes_back_the_same_values() -> None:
    x = mx.nd.ones((200, 100))
    x.attach_grad()
    mx.random.seed(3)
    with mx.autograd.record():
        y = mx.nd.Dropout(x, p=0.3)
    y.backward()
    values = y.asnumpy()
    np.testing.assert_array_equal(np.unique(values), np.array([0, 1 / 0.7], np.float32))
    assert abs((values == 0).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(x.grad.asnumpy(), values)
    with mx.autograd.train_mode():
        other = mx.nd.Dropout(x, p=0.3).asnumpy()
        mx.random.seed(3)
        again = mx.nd.Dropout(x, p=0.3).asnumpy()
    assert (other != values).any()
    np.testing.assert_array_equal(again, values)


def test_dropout_along_axes_and_always() -> None:
    y = mx.nd.Dropout(mx.nd.ones((50, 3, 4)), p=0.5, axes=(1, 2), mode="always").asnumpy()
    assert (y == y[:, :1, :1]).all()
    assert set(y[:, 0, 0]) == {0, 2}


def test_dropout_at_the_ends_and_outside_of_training() -> None:
    x = mx.nd.ones((3, 4))
    with mx.autograd.train_mode():
        assert mx.nd.Dropout(x, p=1).asnumpy().max() == 0
        kept = mx.nd.Dropout(x, p=0)
    np.testing.assert_array_equal(mx.nd.Dropout(x).asnumpy(), 1)
    kept[:] = 7
    assert x.asnumpy().max() == 1  # not a view


def test_rrelu_draws_slopes_in_training_alone() -> None:
    x = mx.nd.full((1000,), -1)
    y, mask = mx.nd.LeakyReLU(x, act_type="rrelu", lower_bound=0.25, upper_bound=0.75)
    np.testing.assert_array_equal(y.asnumpy(), -0.5)
    with mx.autograd.train_mode():
        y, mask = mx.nd.LeakyReLU(x, act_type="rrelu", lower_bound=0.25, upper_bound=0.75)
    slopes = mask.asnumpy()
    np.testing.assert_array_equal(y.asnumpy(), -slopes)
    assert slopes.min() >= 0.25
    assert slopes.max() < 0.75
    assert slopes.std() > 0.1


# ---- narrow and integer types, limits


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("op", "attrs", "shapes"),
    [
        ("FullyConnected", {"num_hidden": 3}, [(4, 300), (3, 300), (3,)]),
        ("Activation", {"act_type": "softrelu"}, [(4, 30)]),
        ("LeakyReLU", {"act_type": "prelu"}, [(4, 3, 5), (3,)]),
        ("LeakyReLU", {"act_type": "gelu"}, [(4, 30)]),
        ("Pooling", {"kernel": (40,), "pool_type": "avg"}, [(1, 2, 100)]),
        ("LRN", {"nsize": 5}, [(2, 9, 3)]),
        ("L2Normalization", {}, [(2, 300)]),
        ("InstanceNorm", {}, [(2, 3, 100), (3,), (3,)]),
        ("softmax", {}, [(2, 300)]),
        ("log_softmax", {}, [(2, 300)]),
        ("SoftmaxActivation", {}, [(2, 300)]),
        ("SoftmaxOutput", {}, [(2, 300), (2,)]),
        ("UpSampling", {"scale": 2, "sample_type": "nearest", "multi_input_mode": "sum"}, [(1, 2, 3), (1, 2, 6)]),
    ],
)
def test_narrow_floats_are_computed_in_float32_and_rounded_once(
    op: str, attrs: dict[str, Any], shapes: list[tuple[int, ...]], dtype: str
) -> None:
    inputs = [mx.nd.array(rng().uniform(-1, 2, shape), dtype=dtype) for shape in shapes]
    y = getattr(mx.nd, op)(*inputs, **attrs)
    wide = getattr(mx.nd, op)(*(x.astype("float32") for x in inputs), **attrs)
    assert y.dtype == inputs[0].dtype
    np.testing.assert_array_equal(y.asnumpy(), wide.astype(dtype).asnumpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("op", "attrs", "shapes"),
    [
        ("FullyConnected", {"num_hidden": 3}, [(40, 300), (3, 300), (3,)]),
        ("LeakyReLU", {"act_type": "prelu"}, [(4, 3, 50), (3,)]),
        ("Pooling", {"kernel": (5,), "pool_type": "sum"}, [(1, 2, 100)]),
        ("LRN", {"nsize": 5}, [(2, 9, 3)]),
        ("L2Normalization", {}, [(2, 300)]),
        ("InstanceNorm", {}, [(2, 3, 100), (3,), (3,)]),
    ],
)
def test_narrow_gradients_are_computed_in_float32_and_rounded_once(
    op: str, attrs: dict[str, Any], shapes: list[tuple[int, ...]], dtype: str
) -> None:
    narrow = [mx.nd.array(rng().uniform(-1, 1, shape), dtype=dtype) for shape in shapes]
    grads = []
    for inputs in (narrow, [x.astype("float32") for x in narrow]):
        for x in inputs:
            x.attach_grad()
        with mx.autograd.record():
            y = getattr(mx.nd, op)(*inputs, **attrs)
        y.backward(mx.nd.array(rng().integers(-3, 4, y.shape), dtype=y.dtype))
        grads.append([x.grad.astype(dtype).asnumpy() for x in inputs])
    for found, expected in zip(*grads, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_softmax_of_large_numbers_and_of_minus_infinity() -> None:
    x = mx.nd.array([[1000, 1000, -1000], [-np.inf, 0, 0]])
    np.testing.assert_allclose(mx.nd.softmax(x).asnumpy(), [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(mx.nd.log_softmax(x).asnumpy()[0], [np.log(0.5), np.log(0.5), -2000 + np.log(0.5)])


def test_softmax_with_lengths() -> None:
    x = mx.nd.array([[1, 1, 9], [2, 2, 2]])
    x.attach_grad()
    length = mx.nd.array([2, 3], dtype="int32")
    with mx.autograd.record():
        y = mx.nd.softmax(x, length, use_length=True)
    y.backward(mx.nd.array([[1, 0, 5], [1, 0, 0]]))
    np.testing.assert_allclose(y.asnumpy(), [[0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(x.grad.asnumpy(), [[0.25, -0.25, 0], [2 / 9, -1 / 9, -1 / 9]], rtol=1e-6)


def test_softmax_gradient_has_the_type_of_data() -> None:
    x = mx.nd.array([[1, 2]])
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.softmax(x, dtype="float64")
    y.backward(mx.nd.array([[1, 0]], dtype="float64"))
    assert (y.dtype, x.grad.dtype) == (np.float64, np.float32)
    p = y.asnumpy()
    np.testing.assert_allclose(x.grad.asnumpy(), [[p[0, 0] * p[0, 1], -p[0, 0] * p[0, 1]]], rtol=1e-6)


def test_fully_connected_of_integers_and_of_no_samples() -> None:
    x, w = mx.nd.array([[2**40, 1]], dtype="int64"), mx.nd.array([[2**20, -1]], dtype="int64")
    assert mx.nd.FullyConnected(x, w, num_hidden=1, no_bias=True).asnumpy().tolist() == [[2**60 - 1]]
    none = np.zeros((0, 2, 3), np.float32)
    w = np.ones((4, 6), np.float32)
    assert mx.nd.FullyConnected(none, w, num_hidden=4, no_bias=True).shape == (0, 4)


def test_fully_connected_without_inputs_is_its_bias() -> None:
    y = mx.nd.FullyConnected(np.zeros((2, 0)), np.zeros((3, 0)), np.array([1.0, 2, 3]), num_hidden=3)
    assert y.asnumpy().tolist() == [[1, 2, 3]] * 2
    y = mx.nd.FullyConnected(np.zeros((2, 4, 0)), np.zeros((3, 0)), num_hidden=3, no_bias=True)
    assert y.asnumpy().tolist() == [[0, 0, 0]] * 2


def test_nothing_is_written_to_inputs() -> None:
    bias, x = np.ones(3), np.ones((1, 2))
    mx.nd.FullyConnected(x, np.ones((3, 2)), bias, num_hidden=3)
    assert bias.tolist() == [1, 1, 1]
    data = mx.nd.ones((2, 3))
    same = mx.nd.LinearRegressionOutput(data, mx.nd.zeros((2, 3)))
    same[:] = 5
    assert data.asnumpy().max() == 1


# ---- UpSampling, losses


def test_bilinear_weights_interpolate() -> None:
    x = mx.nd.array(np.arange(8, dtype=float).reshape(1, 1, 2, 4))
    ramp = np.array([0.25, 0.75, 0.75, 0.25])
    weight = mx.nd.array((ramp[:, None] * ramp)[None, None])
    y = mx.nd.UpSampling(x, weight, scale=2, sample_type="bilinear", num_filter=1).asnumpy()
    assert y.shape == (1, 1, 4, 8)
    np.testing.assert_allclose(y[0, 0, 1, 1:7], 1 + np.arange(0.25, 3, 0.5))
    nearest = mx.nd.UpSampling(x, scale=2, sample_type="nearest").asnumpy()
    np.testing.assert_array_equal(nearest, np.kron(x.asnumpy(), np.ones((2, 2))))


@pytest.mark.parametrize("name", ["Linear", "Logistic", "MAE"])
def test_regressions_share_grad_scale_among_the_labels_of_a_sample(name: str) -> None:
    x = mx.nd.array([[0.5, -1], [2, 3]])
    label = mx.nd.array([[1, 0], [1, 1]])
    x.attach_grad()
    with mx.autograd.record():
        y = getattr(mx.nd, f"{name}RegressionOutput")(x, label, grad_scale=4)
    y.backward()
    error = y.asnumpy() - label.asnumpy()
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * (np.sign(error) if name == "MAE" else error), rtol=1e-6)


def test_ignored_labels() -> None:
    x, label = mx.nd.zeros((3, 2)), mx.nd.array([0, 9, 1])
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.SoftmaxOutput(x, label, use_ignore=True, ignore_label=9, normalization="valid")
    y.backward()
    assert x.grad.asnumpy().tolist() == [[-0.25, 0.25], [0, 0], [0.25, -0.25]]


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmaxes_go_along_the_last_axis_in_every_rank(rank: int, dtype: str) -> None:
    shape = (2, 3, 5, 4)[-rank:]
    x = mx.nd.array(rng().normal(size=shape), dtype=dtype)
    label = rng().integers(0, 4, shape[:-1])
    y = mx.nd.SoftmaxActivation(x)
    np.testing.assert_allclose(y.asnumpy().sum(-1), 1, rtol=1e-6)
    x.attach_grad()
    for train_mode in (False, True):
        with mx.autograd.record(train_mode=train_mode):
            p = mx.nd.SoftmaxOutput(x, mx.nd.array(label, dtype=dtype))
        p.backward()
        np.testing.assert_array_equal(p.asnumpy(), y.asnumpy())
        np.testing.assert_allclose(x.grad.asnumpy(), y.asnumpy() - np.eye(4)[label], atol=1e-6)


def test_convolution_v1_is_convolution() -> None:
    x, w = rng().normal(size=(1, 2, 5, 5)), rng().normal(size=(3, 2, 3, 3))
    attrs = {"kernel": (3, 3), "num_filter": 3, "no_bias": True}
    y = mx.nd.Convolution_v1(x, w, **attrs)
    np.testing.assert_array_equal(y.asnumpy(), mx.nd.Convolution(x, w, **attrs).asnumpy())
    with pytest.raises(mx.ParamError, match=r"^Convolution_v1: layout"):
        mx.nd.Convolution_v1(x, w, layout="NWC", **attrs)
    with pytest.raises(mx.ShapeError, match=r"^Convolution_v1: weight"):
        mx.nd.Convolution_v1(x, w[:2], **attrs)
