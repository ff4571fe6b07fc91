"""Selection, views and assignment, against the answers of MXNet 1.9.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd


def fresh() -> dict[str, Any]:
    return {
        "a": nd.array([[1, 2, 3], [4, 5, 6]]),
        "z": nd.arange(24).reshape(2, 3, 4),
        "i": nd.array([[1, 2], [3, 4]], dtype="int32"),
        "nd": nd,
        "np": np,
    }


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a[1]", [4, 5, 6]),
        ("a[-1]", [4, 5, 6]),
        ("a[np.int64(1)]", [4, 5, 6]),
        ("a[0, 1]", [2]),
        ("a[1, 2]", [6]),
        ("a[:, 1]", [2, 5]),
        ("a[0:1]", [[1, 2, 3]]),
        ("a[5:7]", []),
        ("a[::2]", [[1, 2, 3]]),
        ("a[::-1]", [[4, 5, 6], [1, 2, 3]]),
        ("a[:, ::-1]", [[3, 2, 1], [6, 5, 4]]),
        ("a[...]", [[1, 2, 3], [4, 5, 6]]),
        ("a[()]", [[1, 2, 3], [4, 5, 6]]),
        ("a[..., 1]", [2, 5]),
        ("a[None]", [[[1, 2, 3], [4, 5, 6]]]),
        ("a[:, None]", [[[1, 2, 3]], [[4, 5, 6]]]),
        ("a[0, 1, None]", [2]),
        ("a[[0, 1]]", [[1, 2, 3], [4, 5, 6]]),
        ("a[[-1]]", [[4, 5, 6]]),
        ("a[[1, 0], [2, 1]]", [6, 2]),
        ("a[np.array([0, 1])]", [[1, 2, 3], [4, 5, 6]]),
        ("a[nd.array([1, 0])]", [[4, 5, 6], [1, 2, 3]]),
        ("a[nd.array([1], dtype='int32')]", [[4, 5, 6]]),
        ("a[:, nd.array([1, 0])]", [[2, 1], [5, 4]]),
        ("a[nd.array([1]), :]", [[4, 5, 6]]),
        ("a[[]]", []),
        ("z[1, 2, 3]", [23]),
        ("z[1, 2]", [20, 21, 22, 23]),
        ("z[1, :, 0:2]", [[12, 13], [16, 17], [20, 21]]),
        ("z[1, 1:2]", [[16, 17, 18, 19]]),
        ("z[:, [0, 1], [1, 2]]", [[1, 6], [13, 18]]),
        ("z[[0, 1], :, [1, 2]]", [[1, 5, 9], [14, 18, 22]]),
        ("z[0:1, 0:1, 0:2]", [[[0, 1]]]),
        ("list(a)[1]", [4, 5, 6]),
        ("nd.array([1, 2])[0]", [1]),
    ],
)
def test_selection(expression: str, values: Any) -> None:
    assert eval(expression, fresh()).asnumpy().tolist() == values


def test_one_element_has_shape_1_and_under_np_shape_none() -> None:
    a = nd.array([[1, 2]])
    assert a[0, 1].shape == (1,)
    with mx.util.np_shape(True):
        assert a[0, 1].shape == ()
    assert nd.array(3)[()].shape == nd.array(3)[...].shape == ()


@pytest.mark.parametrize("expression", ["a[2]", "a[-3]", "a[0, 3]", "a[0, 0, 0]", "a[[5]]",
                                        "a[nd.array([5])]", "a[nd.array([0.5])]", "a[[float('nan')]]"])  # fmt: skip
def test_index_errors(expression: str) -> None:
    with pytest.raises(IndexError):
        eval(expression, fresh())
    with pytest.raises(IndexError):
        exec(f"{expression} = 1", fresh())


@pytest.mark.parametrize("expression", ["a[True]", "a[np.array([True, False])]", "a[[True, False]]",
                                        "a[1.0]", "a['x']", "a[nd.array([True, False], dtype='bool')]",
                                        "a[['x']]"])  # fmt: skip
def test_masks_and_nonsense_are_a_value_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"an NDArray (cannot be indexed|does not support indexing)"):
        eval(expression, fresh())


VIEWS = ["a[0]", "a[-1]", "a[0:1]", "a[1, 2]", "a[1, 1:3]", "a[0:1, 0:2]", "a[...]", "a[()]", "a[:]",
         "a[None]", "a[::2]", "a.reshape(3, 2)", "a.reshape(-1)", "a.reshape((0, -1))", "a.detach()",
         "next(iter(a))", "a[1:][0][1:]", "a.astype('float32', copy=False)",
         "a.as_in_context(a.context)"]  # fmt: skip
COPIES = ["a[:, 1]", "a[:, 0:1]", "a[::-1]", "a[[0, 1]]", "a[np.array([0])]", "a.T", "a.transpose()",
          "a.flatten()", "a.expand_dims(0)", "a.squeeze()", "a.reshape_like(nd.zeros((3, 2)))",
          "a.broadcast_to((2, 3))", "a.copy()", "a.astype('float32')",
          "a.slice_axis(axis=0, begin=0, end=1)", "a.tile(1)", "a.repeat(1, axis=0)",
          "a.swapaxes(0, 0)", "a.flip(0)", "a.copyto(a.context)", "a.abs()", "a.round()",
          "a.clip(-9, 9)", "a.max(axis=0)", "a.sum(axis=(0, 1), exclude=True)", "nd.array(a)",
          "nd.array(a.asnumpy())", "a + 0"]  # fmt: skip


@pytest.mark.parametrize("expression", VIEWS + COPIES)
def test_views_share_memory_and_storage_and_copies_neither(expression: str) -> None:
    names = fresh()
    a, before = names["a"], names["a"].asnumpy()
    part = eval(expression, names)
    version = a.storage.version
    part[...] = 9
    is_view = expression in VIEWS
    assert (part.storage is a.storage) == is_view
    assert (a.storage.version > version) == is_view
    assert (a.asnumpy().tolist() != before.tolist()) == is_view


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("a[:] = 1", [[1, 1, 1], [1, 1, 1]]),
        ("a[:] = np.arange(3)", [[0, 1, 2], [0, 1, 2]]),
        ("a[:] = [1, 2, 3]", [[1, 2, 3], [1, 2, 3]]),
        ("a[:] = [[1], [2]]", [[1, 1, 1], [2, 2, 2]]),
        ("a[:] = nd.array([1, 2, 3])", [[1, 2, 3], [1, 2, 3]]),
        ("a[:] = nd.array([1, 2, 3], dtype='int32')", [[1, 2, 3], [1, 2, 3]]),
        ("a[:] = np.zeros((1, 1, 3))", [[0, 0, 0], [0, 0, 0]]),
        ("a[0] = 7", [[7, 7, 7], [4, 5, 6]]),
        ("a[0, 1] = 7", [[1, 7, 3], [4, 5, 6]]),
        ("a[:, 1] = [8, 9]", [[1, 8, 3], [4, 9, 6]]),
        ("a[-1, -1] = nd.array([9])", [[1, 2, 3], [4, 5, 9]]),
        ("a[-1, -1] = np.array([5.5])", [[1, 2, 3], [4, 5, 5.5]]),
        ("a[[0, 1], [1, 2]] = 0", [[1, 0, 3], [4, 5, 0]]),
        ("a[[1, 0]] = [[1, 1, 1], [2, 2, 2]]", [[2, 2, 2], [1, 1, 1]]),
        ("a[nd.array([1])] = 9", [[1, 2, 3], [9, 9, 9]]),
        ("a[0:0] = 1", [[1, 2, 3], [4, 5, 6]]),
        ("a[1:] = nd.array([[1, 2, 3]])", [[1, 2, 3], [1, 2, 3]]),
        ("a[..., 0] = 3", [[3, 2, 3], [3, 5, 6]]),
        ("a[::-1] = np.array([[1, 1, 1], [2, 2, 2]])", [[2, 2, 2], [1, 1, 1]]),
        ("a[None] = 1", [[1, 1, 1], [1, 1, 1]]),
        ("a[()] = 4", [[4, 4, 4], [4, 4, 4]]),
        ("a[0:1, 1:2] = [[4]]", [[1, 4, 3], [4, 5, 6]]),
        ("a[0] = a[1]", [[4, 5, 6], [4, 5, 6]]),
        ("a[:] = a[::-1]", [[4, 5, 6], [1, 2, 3]]),
        ("a[:, 1:] = a[:, :2]", [[1, 1, 2], [4, 4, 5]]),
        ("a[:] = True", [[1, 1, 1], [1, 1, 1]]),
        ("a[0] += 1", [[2, 3, 4], [4, 5, 6]]),
        ("a[:, 0] += 1", [[2, 2, 3], [5, 5, 6]]),
    ],
)
def test_assignment(statement: str, values: Any) -> None:
    names = fresh()
    exec(statement, names)
    assert names["a"].asnumpy().tolist() == values


def test_assignment_casts_to_the_dtype() -> None:
    i = nd.array([1, 2], dtype="uint8")
    i[0] = 2.7
    i[1] = 300
    assert i.asnumpy().tolist() == [2, 44]
    i[:] = np.array([1.9, -1.0])
    assert i.asnumpy().tolist() == [1, 255]


def test_assignment_refuses() -> None:
    a = nd.array([[1, 2, 3], [4, 5, 6]])
    for value in (None, "x", object(), ["x"], [[1], [2, 3]]):
        with pytest.raises((TypeError, ValueError)):
            a[:] = value
    with pytest.raises(TypeError):
        a[:] = 1j
    for wrong in (np.zeros((3, 3)), nd.zeros((3, 3)), [1, 2]):
        with pytest.raises(mx.ShapeError, match=r"assignment: the value has shape .*broadcast to \(2, 3\)"):
            a[:] = wrong
    assert a.asnumpy().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_len_and_iteration() -> None:
    a = nd.array([[1, 2, 3], [4, 5, 6]])
    assert len(a) == 2
    assert [row.shape for row in a] == [(3,), (3,)]
    with pytest.raises(IndexError):
        len(nd.array(3))
