"""Operators and their gradients as the registry has them, on NumPy arrays: no NDArray, no tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mxconv.ops import registry

Array = np.ndarray[Any, Any]
Invoke = Callable[[str, Sequence[Array], Mapping[str, Any]], Sequence[Array]]


def invoke(op: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Sequence[Array]:
    """The visible outputs of an operator."""
    spec = registry.lookup(op)
    assert spec is not None, op
    param = spec.parse(attributes)
    return registry.compute(spec, param, inputs)[: len(spec.output_names(param))]


def gradients(
    op: str,
    inputs: Sequence[Array],
    head: Array,
    attributes: Mapping[str, Any],
    wanted: Sequence[bool] | None = None,
    invoke: Invoke = invoke,
) -> Sequence[Array | None]:
    """The gradient for each input of an operator with one output, whose gradient is `head`."""
    spec = registry.lookup(op)
    assert spec is not None, op
    assert spec.gradient is not None, op
    param = spec.parse(attributes)
    wanted = (True,) * len(inputs) if wanted is None else wanted
    outputs = registry.compute(spec, param, inputs)
    return spec.gradient(registry.Step(param, inputs, outputs, [head], wanted, invoke))
