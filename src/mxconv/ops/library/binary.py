"""Functions of two numbers, in all their spellings: two arrays of one shape, two that broadcast, an array and a scalar.

    elemwise_add(x, y)    broadcast_add(x, y)    _plus_scalar(x, scalar=2)    _rminus_scalar(x, scalar=2) = 2 - x

Both arrays have one type, which is the result's; comparisons give 0 and 1. A scalar takes the array's type: for
integers its fraction is cut off and it wraps. Integer division cuts towards zero, x % 0 is 0, and a bool array counts
as int64 beside a scalar. Where MXNet casts a scalar before it compares it with integers, this is exact; where it
would kill the process (integer division by zero), this is a ZeroDivisionError.

Gradients are written below in d, the gradient of the result z, and in x and y, one of which may be a number.

Source: Apache MXNet 1.9.1, src/operator/tensor/elemwise_binary*_op*.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...errors import ShapeError
from ..casts import cast_scalar
from ..grammar import BOOL, SCALAR
from ..merge import merge_shape, unify_types
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Gradient, InferShape, Shape, Step
from ..signature import Field
from .rules import define, each, no_such_type, rounded, working
from .terms import Term

Operand: TypeAlias = "Term | float"
Formula: TypeAlias = Callable[[Term, Any, Any, Term], Term]
"""formula(d, x, y, z)"""


def _divide(x: Array, y: Array) -> Array:
    """x / y; integers are cut towards zero."""
    if x.dtype.kind not in "iu":
        return np.asarray(np.true_divide(x, y))
    if not np.all(y):
        raise ZeroDivisionError("division of an integer NDArray by zero")
    quotient = np.asarray(np.floor_divide(x, y))
    return np.asarray(quotient + (quotient < 0) * (quotient * y != x))  # from floor to truncation


def _modulo(x: Array, y: Array) -> Array:
    """x modulo y with the sign of y; 0 where y is 0."""
    zero = y == 0
    return np.where(zero, x.dtype.type(0), np.mod(x, np.where(zero, x.dtype.type(1), y)))


def _power(x: Array, y: Array) -> Array:
    """x to the power of y; for integers with y < 0 the real result cut towards zero (0 for x = 0)."""
    if x.dtype.kind != "i":
        return np.asarray(np.power(x, y))
    negative = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y & 1), 0))
    return np.where(y < 0, negative, np.power(x, np.maximum(y, 0)))


def _log(x: Operand) -> Operand:
    if isinstance(x, Term):
        return x.call("log")
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


class Binary(NamedTuple):
    """A function, its gradients for x and for y (None: zero everywhere) and its names.

    names: of the operators on two arrays of one shape, on two that broadcast, on an array and a scalar, and on a
    scalar and an array (empty if that is the same); each with MXNet's further names after it.
    """

    function: Callable[[Array, Array], Any]
    left: Formula | None
    right: Formula | None
    names: tuple[str, str, str, str]
    doc: str
    is_exact: bool = False
    """Whether it compares: integers with scalars exactly, and bool arrays too."""


ARITHMETIC = (
    Binary(
        np.add, lambda d, x, y, z: d, lambda d, x, y, z: d,
        ("elemwise_add _add _plus _Plus", "broadcast_add broadcast_plus", "_plus_scalar _PlusScalar", ""), "x + y",
    ),
    Binary(
        np.subtract, lambda d, x, y, z: d, lambda d, x, y, z: -d,
        ("elemwise_sub _sub _minus _Minus", "broadcast_sub broadcast_minus", "_minus_scalar _MinusScalar",
         "_rminus_scalar _RMinusScalar"), "x - y",
    ),
    Binary(
        np.multiply, lambda d, x, y, z: d * y, lambda d, x, y, z: d * x,
        ("elemwise_mul _mul _Mul", "broadcast_mul", "_mul_scalar _MulScalar", ""), "x * y",
    ),
    Binary(
        _divide, lambda d, x, y, z: d / y, lambda d, x, y, z: -d * z / y,
        ("elemwise_div _div _Div", "broadcast_div", "_div_scalar _DivScalar", "_rdiv_scalar _RDivScalar"), "x / y",
    ),
    Binary(
        _modulo, lambda d, x, y, z: d, lambda d, x, y, z: -d * (x / y).floor(),
        ("_mod _Mod", "broadcast_mod", "_mod_scalar _ModScalar", "_rmod_scalar _RModScalar"),
        "x modulo y, with the sign of y",
    ),
    Binary(
        _power, lambda d, x, y, z: d * (y * x ** (y - 1)), lambda d, x, y, z: d * z * _log(x),
        ("_power _Power", "broadcast_power", "_power_scalar _PowerScalar", "_rpower_scalar _RPowerScalar"),
        "x to the power of y",
    ),
    Binary(
        np.maximum, lambda d, x, y, z: d * (x >= y), lambda d, x, y, z: d * (x < y),
        ("_maximum _Maximum", "broadcast_maximum", "_maximum_scalar _MaximumScalar", ""), "the larger of x and y",
    ),
    Binary(
        np.minimum, lambda d, x, y, z: d * (x <= y), lambda d, x, y, z: d * (x > y),
        ("_minimum _Minimum", "broadcast_minimum", "_minimum_scalar _MinimumScalar", ""), "the smaller of x and y",
    ),
    Binary(
        np.hypot, lambda d, x, y, z: d * (x / z), lambda d, x, y, z: d * (y / z),
        ("_hypot _Hypot", "broadcast_hypot", "_hypot_scalar _HypotScalar", ""), "the root of x*x + y*y",
    ),
)  # fmt: skip
LOGIC = tuple(
    Binary(
        function, None, None,
        (f"_{name} _{title}", f"broadcast_{name}", f"_{name}_scalar _{title.replace('_', '')}Scalar", ""),
        f"1 where {doc}, else 0", is_exact=True,
    )
    for name, title, function, doc in (
        ("equal", "Equal", np.equal, "x = y"),
        ("not_equal", "Not_Equal", np.not_equal, "x is not y"),
        ("greater", "Greater", np.greater, "x > y"),
        ("greater_equal", "Greater_Equal", np.greater_equal, "x >= y"),
        ("lesser", "Lesser", np.less, "x < y"),
        ("lesser_equal", "Lesser_Equal", np.less_equal, "x <= y"),
        ("logical_and", "Logical_And", np.logical_and, "neither x nor y is 0"),
        ("logical_or", "Logical_Or", np.logical_or, "x or y is not 0"),
        ("logical_xor", "Logical_Xor", np.logical_xor, "one of x and y is 0 and the other is not"),
    )
)  # fmt: skip


# ---- two arrays


def infer_broadcast(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
    """The shape that two shapes broadcast to. Nothing follows for them from the output's."""
    left, right = ins
    if left is None or right is None:
        return list(ins), list(outs)
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    result: list[int | None] = []
    for x, y in pairs:
        if x is not None and y is not None and x != y and 1 not in (x, y):
            why = f"operands could not be broadcast together with shapes {spell_shape(left)} {spell_shape(right)}"
            expected = f"to broadcast with {spell_shape(left)}"
            fix = "Make the sizes equal, or 1, counted from the last axis."
            raise refusal(ShapeError, "rhs", spell_shape(right), expected, why, fix=fix, verb="has shape")
        sizes = {x, y} - {1} or {1}
        result.append(next(iter(sizes - {None}), None))
    return list(ins), [merge_shape("output", outs[0], tuple(result))]


def _computed(binary: Binary, x: Any, y: Any, dtype: np.dtype[Any]) -> tuple[Array]:
    result = np.asarray(binary.function(x, y))
    return (rounded(result, dtype),)


def _of_arrays(binary: Binary) -> Callable[[Any, Sequence[Array], Call], tuple[Array]]:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        dtype = arrays[0].dtype
        if dtype == np.bool_ and not binary.is_exact:
            raise no_such_type("lhs", dtype)
        return _computed(binary, working(arrays[0]), working(arrays[1]), dtype)

    return forward


def _array_gradient(binary: Binary) -> Gradient:
    def gradient(step: Step[Any]) -> list[Any]:
        d, x, y, z = (Term(step, v) for v in (step.out_grads[0], *step.inputs, step.outputs[0]))

        def of(formula: Formula | None, operand: Any) -> Any:
            if formula is None:
                return None
            value = formula(d, x, y, z).value
            return value if value.shape == operand.shape else step.call("_sum_like", value, operand)

        return each(step, lambda: of(binary.left, step.inputs[0]), lambda: of(binary.right, step.inputs[1]))

    return gradient


# ---- an array and a scalar


def _infer_scalar_type(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Data's type; but int64 for bool, and float64 for integers and bool if not is_int."""
    given = ins[0] or outs[0]
    if given is None:
        return [None], [None]
    result = given
    if np.dtype(given) == np.bool_:
        result = np.int64
    if np.dtype(given).kind in "biu" and not param.is_int:
        result = np.float64
    return [given], [unify_types(("data", "output"), (result, outs[0]))]


def _of_scalar(binary: Binary, is_reversed: bool) -> Callable[[Any, Sequence[Array], Call], tuple[Array]]:
    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        _, (result,) = _infer_scalar_type(param, [arrays[0].dtype], [None])
        dtype = np.dtype(result)
        x = working(arrays[0].astype(dtype, copy=False))
        number = param.scalar
        if not (binary.is_exact and dtype.kind in "iu" and isinstance(number, (int, float))):
            number = working(cast_scalar(number, dtype))  # while NumPy compares integers with Python numbers exactly
        return _computed(binary, number, x, dtype) if is_reversed else _computed(binary, x, number, dtype)

    return forward


def _scalar_gradient(binary: Binary, is_reversed: bool) -> Gradient:
    formula = binary.right if is_reversed else binary.left

    def gradient(step: Step[Any]) -> list[Any]:
        if formula is None:
            return [None]
        d, x, z = (Term(step, v) for v in (step.out_grads[0], step.inputs[0], step.outputs[0]))
        number = step.param.scalar
        return [(formula(d, number, x, z) if is_reversed else formula(d, x, number, z)).value]

    return gradient


# ---- all of them as operators

SCALAR_FIELDS = {"scalar": Field(SCALAR, "1"), "is_int": Field(BOOL, "1")}


def _define_on_arrays(binary: Binary, names: str, infer_shape: InferShape | None, doc: str) -> None:
    name, *aliases = names.split()
    define(
        name,
        _of_arrays(binary),
        inputs=("lhs", "rhs"),
        infer_shape=infer_shape,
        gradient=_array_gradient(binary),
        aliases=tuple(aliases),
        doc=binary.doc + doc,
    )


def _define_with_scalar(binary: Binary, names: str, is_reversed: bool) -> None:
    if not names:
        return
    name, *aliases = names.split()
    define(
        name,
        _of_scalar(binary, is_reversed),
        infer_type=_infer_scalar_type,
        gradient=_scalar_gradient(binary, is_reversed),
        fields=SCALAR_FIELDS,
        aliases=tuple(aliases),
        doc=f"{binary.doc}; data is {'y' if is_reversed else 'x'}, `scalar` the other.",
    )


for _binary in (*ARITHMETIC, *LOGIC):
    _alike, _broadcasting, _scalar, _reversed = _binary.names
    _define_on_arrays(_binary, _alike, None, ", for two arrays of one shape.")
    _define_on_arrays(_binary, _broadcasting, infer_broadcast, ", for two arrays that broadcast as in NumPy.")
    _define_with_scalar(_binary, _scalar, False)
    _define_with_scalar(_binary, _reversed, True)
