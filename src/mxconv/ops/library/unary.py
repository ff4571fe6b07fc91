"""Functions of one array, element by element: y = f(x), same shape, same type.

Integers are computed in float64 where f is real, and cut towards zero. Gradients are written below in d, the gradient
of y, in x and in y; "flat" functions have a gradient of zero everywhere.

Source: Apache MXNet 1.9.1, src/operator/tensor/elemwise_unary_op*.cc. Differs: real functions of integers do not round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..casts import cast_limit
from ..grammar import FLOAT, SCALAR
from ..registry import Array, Gradient, Step
from ..signature import Field
from .rules import elementwise
from .terms import Term

Function: TypeAlias = Callable[[Array], Any]
Formula: TypeAlias = Callable[[Term, Term, Term], Term]
"""formula(d, x, y)"""


def flat(step: Step[Any]) -> list[None]:
    """The gradient that is zero everywhere."""
    return [None] * len(step.inputs)


def by_formula(formula: Formula) -> Gradient:
    """The gradient d -> formula(d, x, y)."""

    def gradient(step: Step[Any]) -> list[Any]:
        return [formula(*(Term(step, v) for v in (step.out_grads[0], step.inputs[0], step.outputs[0]))).value]

    return gradient


def round_away(x: Array) -> Array:
    """The nearest whole numbers, halves away from zero (NumPy goes to even)."""
    return np.asarray(np.where(np.abs(x - np.trunc(x)) == 0.5, np.trunc(x) + np.sign(x), np.rint(x)))


def _round_down(x: Array) -> Array:
    """The nearest whole numbers, halves to the lower one."""
    below = np.floor(x)
    return np.asarray(np.where(x - below > 0.5, np.ceil(x), below))


def _sigmoid(x: Array) -> Any:
    small = np.exp(-np.abs(x))  # which never overflows
    return np.where(x >= 0, 1, small) / (1 + small)


_erf = np.frompyfunc(math.erf, 1, 1)

REAL: dict[str, tuple[Function, Formula, str]] = {
    "sqrt": (np.sqrt, lambda d, x, y: 0.5 * d / y, "Square roots."),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda d, x, y: -0.5 * d * y**3, "One over the square root."),
    "cbrt": (np.cbrt, lambda d, x, y: d / (3 * y**2), "Cube roots."),
    "rcbrt": (lambda x: 1 / np.cbrt(x), lambda d, x, y: d * y**4 * (-1 / 3), "One over the cube root."),
    "reciprocal": (lambda x: 1 / x, lambda d, x, y: -d * y * y, "One over x."),
    "exp": (np.exp, lambda d, x, y: d * y, "Exponentials."),
    "expm1": (np.expm1, lambda d, x, y: d * (y + 1), "exp(x) - 1, exact for small x."),
    "log": (np.log, lambda d, x, y: d / x, "Natural logarithms."),
    "log2": (np.log2, lambda d, x, y: d / (x * math.log(2)), "Logarithms to base 2."),
    "log10": (np.log10, lambda d, x, y: d / (x * math.log(10)), "Logarithms to base 10."),
    "log1p": (np.log1p, lambda d, x, y: d / (x + 1), "log(1 + x), exact for small x."),
    "sin": (np.sin, lambda d, x, y: d * x.cos(), "Sines."),
    "cos": (np.cos, lambda d, x, y: -d * x.sin(), "Cosines."),
    "tan": (np.tan, lambda d, x, y: d * (y * y + 1), "Tangents."),
    "arcsin": (np.arcsin, lambda d, x, y: d * (1 - x * x).rsqrt(), "Inverse sines."),
    "arccos": (np.arccos, lambda d, x, y: -d * (1 - x * x).rsqrt(), "Inverse cosines."),
    "arctan": (np.arctan, lambda d, x, y: d / (x * x + 1), "Inverse tangents."),
    "sinh": (np.sinh, lambda d, x, y: d * x.cosh(), "Hyperbolic sines."),
    "cosh": (np.cosh, lambda d, x, y: d * x.sinh(), "Hyperbolic cosines."),
    "tanh": (np.tanh, lambda d, x, y: d * (1 - y * y), "Hyperbolic tangents."),
    "arcsinh": (np.arcsinh, lambda d, x, y: d * (x * x + 1).rsqrt(), "Inverse hyperbolic sines."),
    "arccosh": (np.arccosh, lambda d, x, y: d * (x * x - 1).rsqrt(), "Inverse hyperbolic cosines."),
    "arctanh": (np.arctanh, lambda d, x, y: d / (1 - x * x), "Inverse hyperbolic tangents."),
    "degrees": (np.degrees, lambda d, x, y: d * (180 / math.pi), "Radians as degrees."),
    "radians": (np.radians, lambda d, x, y: d * (math.pi / 180), "Degrees as radians."),
    "sigmoid": (_sigmoid, lambda d, x, y: d * y * (1 - y), "1 / (1 + exp(-x))."),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda d, x, y: d / (x.abs() + 1) ** 2, "x / (1 + abs(x))."),
    "erf": (
        lambda x: np.asarray(_erf(x), x.dtype),
        lambda d, x, y: d * (-x * x).exp() * (2 / math.sqrt(math.pi)),
        "The error function.",
    ),
}
EXACT: dict[str, tuple[Function, Formula, str]] = {
    "abs": (np.abs, lambda d, x, y: d * x.sign(), "Magnitudes."),
    "negative": (np.negative, lambda d, x, y: -d, "Minus x."),
    "square": (lambda x: x * x, lambda d, x, y: 2 * d * x, "Squares."),
    "relu": (lambda x: np.maximum(x, x.dtype.type(0)), lambda d, x, y: d * (y > 0), "max(x, 0)."),
}
FLAT: dict[str, tuple[Function, str]] = {
    "sign": (lambda x: np.where(x == x, np.sign(x), 0), "-1, 0 or 1; 0 for nan."),
    "round": (round_away, "The nearest whole numbers, halves away from zero."),
    "rint": (_round_down, "The nearest whole numbers, halves to the lower one."),
    "ceil": (np.ceil, "The next whole numbers above."),
    "floor": (np.floor, "The next whole numbers below."),
    "trunc": (np.trunc, "Whole numbers, cut towards zero."),
    "fix": (np.trunc, "Whole numbers, cut towards zero."),
}


def _plain(function: Function, *, is_whole: bool = False) -> Callable[[Any, Array], Any]:
    """function(param, x) of function(x); `is_whole`: integers stay what they are."""
    return lambda param, x: x if is_whole and x.dtype.kind in "biu" else function(x)


for _name, (_function, _formula, _doc) in REAL.items():
    elementwise(_name, _plain(_function), by_formula(_formula), real=True, doc=_doc)
for _name, (_function, _formula, _doc) in EXACT.items():
    elementwise(_name, _plain(_function), by_formula(_formula), doc=_doc)
for _name, (_function, _doc) in FLAT.items():
    elementwise(_name, _plain(_function, is_whole=_name != "sign"), flat, doc=_doc)
elementwise("logical_not", lambda param, x: x == 0, flat, doc="1 where x is 0, else 0.")
elementwise("zeros_like", lambda param, x: np.zeros_like(x), flat, doc="Zeros of the shape and type of data.")
elementwise("ones_like", lambda param, x: np.ones_like(x), flat, doc="Ones of the shape and type of data.")


# ---- functions with parameters


def _clip(param: Any, x: Array) -> Any:
    low, high = (cast_limit(limit, x.dtype) for limit in (param.a_min, param.a_max))
    return np.minimum(np.maximum(x, low), high)


def _clip_gradient(step: Step[Any]) -> list[Any]:
    d, x = Term(step, step.out_grads[0]), Term(step, step.inputs[0])
    return [(d * (x >= step.param.a_min) * (x <= step.param.a_max)).value]


elementwise(
    "clip",
    _clip,
    _clip_gradient,
    fields={"a_min": Field(FLOAT, example="0"), "a_max": Field(FLOAT, example="1")},
    doc="Values limited to [a_min, a_max]; the limits take data's type.",
)


def _smooth_l1(param: Any, x: Array) -> Any:
    squared = float(param.scalar) ** 2
    limit = 1 / squared if squared else math.inf
    return np.where(np.abs(x) > limit, np.abs(x) - 0.5 * limit, 0.5 * x * x * squared)


def _smooth_l1_gradient(step: Step[Any]) -> list[Any]:
    d, x = Term(step, step.out_grads[0]), Term(step, step.inputs[0])
    return [(d * (x * step.param.scalar**2).clip(a_min=-1, a_max=1)).value]


elementwise(
    "smooth_l1",
    _smooth_l1,
    _smooth_l1_gradient,
    real=True,
    fields={"scalar": Field(SCALAR, "1")},
    doc="abs(x) - 0.5/s² beyond 1/s², else 0.5 (s x)²; s is `scalar`.",
)


def _hard_sigmoid_gradient(step: Step[Any]) -> list[Any]:
    d, y = Term(step, step.out_grads[0]), Term(step, step.outputs[0])
    return [(d * step.param.alpha * (y > 0) * (y < 1)).value]


elementwise(
    "hard_sigmoid",
    lambda param, x: np.clip(param.alpha * x + param.beta, 0, 1),
    _hard_sigmoid_gradient,
    real=True,
    fields={"alpha": Field(FLOAT, "0.2"), "beta": Field(FLOAT, "0.5")},
    doc="alpha*x + beta, limited to [0, 1].",
)
