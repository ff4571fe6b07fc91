"""Operator name -> OpSpec: everything that arrays and graphs need to know of an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from ..engine.pack_cache import WeightIdentity

Array = npt.NDArray[Any]


class Forward(Protocol):
    """Computes an operator on NumPy arrays; `weight` says which memory its weight is, and in which state."""

    def __call__(
        self,
        param: Any,
        inputs: Sequence[Array],
        out: Array | None = None,
        *,
        weight: WeightIdentity | None = None,
    ) -> Array: ...


class InferShape(Protocol):
    """Completes what is known of the shapes of the inputs and of the output."""

    def __call__(self, param: Any, in_shapes: Sequence[Any], out_shape: Any = None) -> tuple[list[Any], list[Any]]: ...


class InferType(Protocol):
    """Completes what is known of the types of the inputs and of the output."""

    def __call__(self, param: Any, in_types: Sequence[Any], out_type: Any = None) -> tuple[list[Any], list[Any]]: ...


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operator.

    `parse` reads attributes of any spelling into a frozen parameter object; `input_names` says which inputs
    that object asks for, in order; `infer_shape` and `infer_type` complete what is known, in both directions;
    `forward` computes on NumPy arrays in the order of `input_names`, into `out` if given (exact shape and
    dtype), and returns the result. With `weight`, taken before the call, what is derived from the weight is kept.
    """

    name: str
    parse: Callable[[Mapping[str, Any]], Any]
    input_names: Callable[[Any], tuple[str, ...]]
    infer_shape: InferShape
    infer_type: InferType
    forward: Forward


OPERATORS: dict[str, OpSpec] = {}
"""Every operator, by name; filled by the modules of mxconv.ops when the package is imported."""


def register(spec: OpSpec) -> OpSpec:
    """Make an operator known under its name."""
    OPERATORS[spec.name] = spec
    return spec
