"""Arithmetic and comparisons, against the answers of MXNet 1.9.1."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import nd
from mxconv.dtypes import DTYPES


def arrays() -> dict[str, nd.NDArray]:
    return {
        "a": nd.array([[1, 2, 3], [4, 5, 6]]),
        "b": nd.array([7, 8, 9]),
        "i": nd.array([[1, 2], [3, 4]], dtype="int32"),
        "m": nd.array([-7, 7], dtype="int32"),
        "u": nd.array([1, 2, 255], dtype="uint8"),
        "h": nd.array([1, 2], dtype="float16"),
        "t": nd.array([True, False], dtype="bool"),
        "s": nd.array(2.5),
    }


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a + b", [[8, 10, 12], [11, 13, 15]]),
        ("a + 1", [[2, 3, 4], [5, 6, 7]]),
        ("1 - a", [[0, -1, -2], [-3, -4, -5]]),
        ("2 / b[0:1]", [np.float32(2) / np.float32(7)]),
        ("i / 2", [[0, 1], [1, 2]]),
        ("m / 2", [-3, 3]),
        ("m / m", [1, 1]),
        ("i * 2.5", [[2, 4], [6, 8]]),
        ("i + 1.7", [[2, 3], [4, 5]]),
        ("7 / i", [[7, 3], [2, 1]]),
        ("i % 2", [[1, 0], [1, 0]]),
        ("5 % i", [[0, 1], [2, 1]]),
        ("m % 3", [2, 1]),
        ("a[0] % -2", [-1, 0, -1]),
        ("-5.5 % a[0]", [0.5, 0.5, 0.5]),
        ("a[0] % 0", [0, 0, 0]),
        ("i % 0", [[0, 0], [0, 0]]),
        ("i ** 2", [[1, 4], [9, 16]]),
        ("i ** -1", [[1, 0], [0, 0]]),
        ("m ** 3", [-343, 343]),
        ("(m / 7) ** -3", [-1, 1]),
        ("i ** 0.5", [[1, 1], [1, 1]]),
        ("2.7 ** i", [[2, 4], [8, 16]]),
        ("2 ** a[0]", [2, 4, 8]),
        ("a[0] ** a[0]", [1, 4, 27]),
        ("a / 0 > 1e30", [[1, 1, 1], [1, 1, 1]]),
        ("a == b", [[0, 0, 0], [0, 0, 0]]),
        ("a == 2", [[0, 1, 0], [0, 0, 0]]),
        ("a != 2", [[1, 0, 1], [1, 1, 1]]),
        ("a >= 2", [[0, 1, 1], [1, 1, 1]]),
        ("2 < a", [[0, 0, 1], [1, 1, 1]]),
        ("a < b", [[1, 1, 1], [1, 1, 1]]),
        ("a <= 1", [[1, 0, 0], [0, 0, 0]]),
        ("i == 2", [[0, 1], [0, 0]]),
        ("i > 1.5", [[0, 1], [1, 1]]),
        ("i == 1.5", [[0, 0], [0, 0]]),  # MXNet cuts 1.5 to 1 first
        ("u > -1", [1, 1, 1]),  # MXNet wraps -1 to 255 first
        ("u == 511", [0, 0, 0]),
        ("-a", [[-1, -2, -3], [-4, -5, -6]]),
        ("-u", [255, 254, 1]),
        ("abs(-a)", [[1, 2, 3], [4, 5, 6]]),
        ("u + 1", [2, 3, 0]),
        ("u - 2", [255, 0, 253]),
        ("u + 300", [45, 46, 43]),
        ("u * -1", [255, 254, 1]),
        ("u + u", [2, 4, 254]),
        ("i + 2**40", [[1, 2], [3, 4]]),
        ("h + 1.1", [2.099609375, 3.099609375]),
        ("h * h", [1, 4]),
        ("np.float64(2) * a", [[2, 4, 6], [8, 10, 12]]),
        ("a + np.float64(2)", [[3, 4, 5], [6, 7, 8]]),
        ("a + True", [[2, 3, 4], [5, 6, 7]]),
        ("s + 1", 3.5),
        ("sum(b)", [24]),
    ],
)
def test_values_and_dtype(expression: str, values: Any) -> None:
    names = arrays()
    result = eval(expression, {"np": np, **names})
    operand = names[re.findall(r"\b[abimuhts]\b", expression)[0]]
    assert result.dtype is operand.dtype
    assert result.asnumpy().tolist() == values


def test_bool_beside_a_scalar_counts_as_int64() -> None:
    t = nd.array([True, False], dtype="bool")
    for result, values in ((t + 1.5, [2, 1]), (t == 1, [1, 0]), (t > 0, [1, 0])):
        assert (result.dtype, result.asnumpy().tolist()) == (np.int64, values)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.imod, operator.ipow]


@pytest.mark.parametrize("dtype", [name for name, known in DTYPES.items() if known.kind != "complex"])
@pytest.mark.parametrize("operate", OPERATORS + COMPARISONS)
def test_every_dtype_against_float64(dtype: str, operate: Callable[[Any, Any], Any]) -> None:
    x, y = np.array([[0, 1, 2, 5]]), np.array([[1], [2], [3]])
    result = operate(nd.array(x, dtype=dtype), nd.array(y, dtype=dtype))
    expected = nd.array(np.asarray(operate(x.astype(np.float64), y)), dtype=dtype)
    assert result.dtype is nd.zeros((1,), dtype=dtype).dtype
    np.testing.assert_allclose(*(np.asarray(r.asnumpy(), np.float64) for r in (result, expected)), rtol=2e-2)
    scalar = operate(nd.array(x, dtype=dtype), 3)
    np.testing.assert_array_equal(scalar.asnumpy(), result.asnumpy()[2:3])


@pytest.mark.parametrize("operate", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_complex(operate: Callable[[Any, Any], Any]) -> None:
    x = np.array([1 + 2j, 3 - 1j], np.complex64)
    result = operate(nd.array(x, dtype="complex64"), 2j)
    assert result.dtype is np.complex64
    np.testing.assert_allclose(result.asnumpy(), operate(x, 2j), rtol=1e-6)


@pytest.mark.parametrize("operate", OPERATORS + COMPARISONS)
@pytest.mark.parametrize("other", [np.ones(3), np.array(1.0), None, "x", [1, 2, 3]])
def test_other_types_are_a_type_error(operate: Callable[[Any, Any], Any], other: Any) -> None:
    a = nd.array([1, 2, 3])
    with pytest.raises(TypeError, match="is not supported beside an NDArray"):
        operate(a, other)
    if not isinstance(other, str):  # "x" % a formats
        with pytest.raises(TypeError, match="is not supported beside an NDArray"):
            operate(other, a)


@pytest.mark.parametrize("operate", OPERATORS + COMPARISONS + IN_PLACE)
def test_mixed_dtypes_and_shapes(operate: Callable[[Any, Any], Any]) -> None:
    a = nd.array([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(
        mx.DTypeError, match=r"float64, expected float32.*Incompatible attr.*astype\('float32'\)"
    ) as caught:
        operate(a, nd.zeros((2, 3), dtype="float64"))
    assert isinstance(caught.value, mx.MXNetError)
    assert caught.value.op
    with pytest.raises(mx.ShapeError, match=r"broadcast_.*shapes \(2, 3\) \(2,\)"):
        operate(a, nd.zeros((2,)))


@pytest.mark.parametrize("operator_", ["+", "//", "@", "<<", "&"])
def test_operators_that_arrays_lack(operator_: str) -> None:
    names = arrays()
    expression = f"{operator_}a" if operator_ == "+" else f"a {operator_} a"
    with pytest.raises(TypeError):
        eval(expression, names)


def test_in_place() -> None:
    a = nd.array([[1, 2, 3], [4, 5, 6]])
    same, view = a, a[1]
    a += nd.array([1, 1, 1])
    a *= 2
    a -= 1
    a /= 1
    a %= 100
    a **= 1
    assert a is same
    assert view.asnumpy().tolist() == [9, 11, 13]
    a[1:] += a[:1]
    assert view.asnumpy().tolist() == [12, 16, 20]
    i = nd.array([3, 5], dtype="int32")
    i /= 2
    i += 1.5
    assert i.asnumpy().tolist() == [2, 3]


def test_in_place_refuses_a_larger_result() -> None:
    b = nd.array([7, 8, 9])
    with pytest.raises(mx.ShapeError, match=r"\+=: out has shape \(3,\), expected \(2, 3\).*Write x = x \+ y"):
        b += nd.zeros((2, 3))
    t = nd.array([True], dtype="bool")
    with pytest.raises(mx.DTypeError, match="int64"):
        t += 1
    with pytest.raises(mx.DTypeError, match="elemwise_add: lhs has dtype bool, expected a number type"):
        t += t
    with pytest.raises(TypeError, match="ndarray"):
        b -= np.ones(3)


def test_numbers_that_do_not_fit_the_dtype() -> None:
    i = nd.array([1, 0], dtype="int32")
    with pytest.raises(ZeroDivisionError):
        i / 0
    with pytest.raises(ZeroDivisionError):
        i / i
    with pytest.raises(ValueError, match="nan has no integer value"):
        i + float("nan")
    with pytest.raises(mx.DTypeError, match="complex"):
        nd.array([1]) + 1j


def test_numpy_functions_read_arrays() -> None:
    a = nd.array([1, 4])
    assert np.sqrt(a).tolist() == [1, 2]
    assert np.stack([a, a]).shape == (2, 2)


def test_hash_and_truth() -> None:
    a = nd.array([1, 2])
    assert len({a, a, nd.array([1, 2])}) == 2
    with pytest.raises(ValueError, match="ambiguous"):
        bool(a)
    assert not nd.array([0])
    assert nd.array([3])
    assert not nd.array([])
    assert max(nd.array([7, 9, 8])).asnumpy().tolist() == [9]
