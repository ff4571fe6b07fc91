"""Activation: one of five functions, element by element; their formulas are those of the operators of these names.

Source: Apache MXNet 1.9.1, src/operator/nn/activation.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..grammar import word
from ..registry import Step
from ..signature import Field
from .rules import elementwise
from .unary import EXACT, REAL, by_formula

FUNCTIONS = {
    "relu": EXACT["relu"],
    "sigmoid": REAL["sigmoid"],
    "softrelu": (lambda x: np.logaddexp(x, 0), lambda d, x, y: d * x.sigmoid(), "log(1 + exp(x))."),
    "softsign": REAL["softsign"],
    "tanh": REAL["tanh"],
}


def _gradient(step: Step[Any]) -> list[Any]:
    return list(by_formula(FUNCTIONS[step.param.act_type][1])(step))


elementwise(
    "Activation",
    lambda param, x: FUNCTIONS[param.act_type][0](x),
    _gradient,
    real=True,
    fields={"act_type": Field(word(*FUNCTIONS), example="'relu'")},
    aliases=("_npx_activation",),
    doc="max(x, 0), 1 / (1 + exp(-x)), log(1 + exp(x)), x / (1 + abs(x)) or tanh(x), as act_type says.",
)
