"""The arrays of an executor for other shapes, on the same memory where that is large enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ShapeError
from ..ndarray.creation import zeros
from ..ndarray.ndarray import NDArray
from ..ops.refusal import refusal
from ..ops.registry import Shape
from .graph import Entry, Node
from .infer import given_shapes, infer_shapes, is_complete


def resized_arrays(
    entries: Sequence[Entry],
    bound: Mapping[Node, NDArray],
    grads: Mapping[Node, NDArray | None],
    shapes: Mapping[str, Any],
    partial_shaping: bool,
    allow_up_sizing: bool,
) -> list[tuple[NDArray, NDArray | None]]:
    """For each variable in the order of `bound` its array, and that of its gradient, in the new shapes.

    What does not follow from the shapes that are given keeps its own.

    Raises: ShapeError, if the shapes do not fit, or what is needed is not allowed; ParamError, for an unknown name.
    """
    given = given_shapes("reshape", entries, shapes)
    facts = infer_shapes(entries, given)
    known: dict[Node, Shape] = {
        node: facts[Entry(node, 0)] if is_complete(facts[Entry(node, 0)]) else array.shape
        for node, array in bound.items()
    }
    facts = infer_shapes(entries, known)
    found = []
    for node, array in bound.items():
        shape = tuple(n for n in facts[Entry(node, 0)] or () if n is not None)
        if shape != array.shape:
            if node not in given and not partial_shaping:
                why = f"Shape of unspecifie arg: {node.name} changed, so the new executor would not share it"
                fix = f"Give its shape too ({node.name}={shape}), or pass partial_shaping=True."
                raise _refusal(node.name, shape, array.shape, why, fix)
            if math.prod(shape) > array.size and not allow_up_sizing:
                why = f"New shape of arg: {node.name} is larger than original"
                fix = "Make the executor with the largest shape first, or pass allow_up_sizing=True."
                raise _refusal(node.name, shape, array.shape, why, fix)
        grad = grads.get(node)
        found.append((resized(array, shape), None if grad is None else resized(grad, shape)))
    return found


def resized(array: NDArray, shape: tuple[int, ...]) -> NDArray:
    """The beginning of an array's memory in another shape, or new zeros if it is too small."""
    size = math.prod(shape)
    if size > array.size:
        return zeros(shape, array.context, array.dtype)
    return array._view(array._array.reshape(-1)[:size].reshape(shape))


def _refusal(name: str, got: Any, expected: Any, why: str, fix: str) -> ShapeError:
    return refusal(ShapeError, name, got, expected, why, fix=fix, op="reshape", verb="would have shape")
