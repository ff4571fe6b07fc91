"""Selections and assignments while recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import autograd, nd


def variable(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    x = nd.array(np.arange(1, 1 + np.prod(shape)).reshape(shape), dtype=dtype)
    x.attach_grad()
    return x


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        (0, 1),
        (1, 2, 3),
        slice(1, 2),
        slice(None, None, -1),
        (slice(None), 1),
        (slice(None), slice(0, 3, 2), ...),
        ...,
        None,
        (0, None, 1),
        [0, 0, 1],
        ([0, 1, 0], [2, 2, 2]),
        (slice(None), [0, 1], [1, 2]),
        (1, np.array([[0, 0], [1, 2]])),
        slice(2, 2),
    ],
    ids=str,
)
def test_gradients_go_back_to_where_values_came_from(key: Any, dtype: str) -> None:
    x = variable((2, 3, 4), dtype)
    with autograd.record():
        y = x[key]
        z = y * y
    z.backward()
    wanted = np.zeros(x.shape)
    plain = x.asnumpy().astype("f8")
    np.add.at(wanted, key, 2 * plain[key])
    np.testing.assert_array_equal(x.grad.asnumpy(), wanted)
    assert x.grad.dtype == np.dtype(dtype)


def test_index_arrays_and_iteration() -> None:
    x = variable((2, 2))
    with autograd.record():
        rows = [row * scale for scale, row in enumerate(x, 1)]
        picked = x[nd.array([1, 1, 0])]
    autograd.backward(rows)
    assert x.grad.asnumpy().tolist() == [[1, 1], [2, 2]]
    picked.backward()
    assert x.grad.asnumpy().tolist() == [[1, 1], [2, 2]]


def test_selections_are_views_as_ever() -> None:
    x = variable((3,))
    with autograd.record():
        view = x[1:3]
    assert view.storage is x.storage
    with autograd.record():
        y = nd.square(view)
    x[:] = 10
    y.backward()
    assert x.grad.asnumpy().tolist() == [0, 20, 20]


def test_second_derivatives() -> None:
    x = variable((2, 3))
    with autograd.record():
        y = x[:, 1] * x[[1, 0], [2, 0]]
        (dx,) = autograd.grad(y, x, create_graph=True)
        z = nd.square(dx)
    z.backward()
    # y = b f + e a, so that dx = (e, f, 0; 0, a, b) and the sum of its squares has the gradient 2 (a, b, 0; 0, e, f)
    assert x.grad.asnumpy().tolist() == [[2, 4, 0], [0, 10, 12]]


def test_a_view_from_outside_the_record_is_a_constant() -> None:
    x = variable((3,))
    view = x[1:3]
    with autograd.record():
        y = nd.square(x)
        view[:] = 5
    y.backward()
    assert x.grad.asnumpy().tolist() == [2, 10, 10]


@pytest.mark.parametrize("key", [slice(None), ..., (slice(None), ...)], ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (1,), (1, 1, 2, 3)], ids=str)
def test_an_array_may_take_over_recorded_values(key: Any, shape: tuple[int, ...]) -> None:
    x, target = variable(shape), nd.zeros((2, 3))
    with autograd.record():
        target[key] = x * 3
        y = target * 2
    y.backward()
    np.testing.assert_array_equal(target.asnumpy(), np.broadcast_to(3 * x.asnumpy(), (1, 1, 2, 3))[0, 0])
    np.testing.assert_array_equal(x.grad.asnumpy(), np.full(shape, 6 * 6 / x.size))


def test_a_part_cannot_take_over_recorded_values() -> None:
    x, target = variable((2,)), nd.zeros((3,))
    with autograd.record():
        for key in (slice(0, 2), [0, 1]):
            with pytest.raises(mx.MXNetError, match="Inplace operations"):
                target[key] = x * 3
        target[0:2] = x.detach()
        with pytest.raises(mx.ShapeError):
            target[:] = x
    assert target.asnumpy().tolist() == [1, 2, 0]
