"""What the nodes of a graph cost: which inputs are parameters, and how many multiply-adds they take.

Multiply-adds are counted as everybody does who compares networks: every tap of a window counts, those on padding too;
only convolutions and products of matrices do, the rest is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..ops.registry import Shape
from .graph import Entry, Node

PARAMETERS = frozenset({"weight", "bias", "gamma", "beta"})
"""What operators call the inputs that are learnt."""


def parameters(node: Node) -> tuple[Entry, ...]:
    """The variables that a node learns.

    >>> from mxconv import sym
    >>> net = sym.Deconvolution(sym.Variable("x"), kernel=(2, 2), num_filter=3, no_bias=0, name="up")
    >>> [entry.node.name for entry in parameters(net.entries[0].node)]
    ['up_weight', 'up_bias']
    """
    named = zip(node.input_names(), node.inputs, strict=False)
    return tuple(entry for name, entry in named if name in PARAMETERS and entry.node.is_variable)


def multiply_adds(node: Node, shapes: Mapping[Entry, Shape]) -> int:
    """How many multiplications with an addition each the node takes for arrays of these shapes, all known.

    >>> from mxconv import sym
    >>> from mxconv.symbol.infer import infer_shapes
    >>> x = sym.Variable("x", shape=(2, 3, 32, 32))
    >>> net = sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=8)
    >>> multiply_adds(net.entries[0].node, infer_shapes(net.entries, {})) == 2 * 8 * 32 * 32 * 3 * 3 * 3
    True
    """
    rule = None if node.op is None else RULES.get(node.op.name)
    if rule is None:
        return 0
    inputs = [tuple(n or 0 for n in shapes[entry] or ()) for entry in node.inputs]
    return rule(node.param, inputs, math.prod(n or 0 for n in shapes[Entry(node, 0)] or ()))


Extents: TypeAlias = "list[tuple[int, ...]]"
Rule: TypeAlias = Callable[[Any, Extents, int], int]
"""rule(param, shapes of the inputs, elements of the output)"""


def _gather(param: Any, inputs: Extents, size: int) -> int:
    """Each output is a sum over one row of the weight."""
    return size * math.prod(inputs[1][1:])


def _scatter(param: Any, inputs: Extents, size: int) -> int:
    """Each element of data is multiplied with one row of the weight."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _upsampling(param: Any, inputs: Extents, size: int) -> int:
    return _scatter(param, inputs, size) if param.sample_type == "bilinear" else 0


def _dot(param: Any, inputs: Extents, size: int) -> int:
    return size * inputs[0][0 if param.transpose_a else -1]


def _batch_dot(param: Any, inputs: Extents, size: int) -> int:
    return size * inputs[0][-2 if param.transpose_a else -1]


RULES: dict[str, Rule] = {
    "Convolution": _gather,
    "Convolution_v1": _gather,
    "FullyConnected": _gather,
    "Deconvolution": _scatter,
    "UpSampling": _upsampling,
    "dot": _dot,
    "batch_dot": _batch_dot,
}
"""Operators that multiply and add."""
