"""Bringing together what is known of a shape or a type from several sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from .refusal import refusal, spell_shape
from .registry import Shape


def merge_shape(
    name: str,
    given: Shape,
    inferred: tuple[int | None, ...],
    because: str = "what the others give",
    fix: str = "Pass shapes that belong together, or leave one of them unknown.",
) -> tuple[int | None, ...]:
    """The given shape with its unknown extents filled in.

    >>> merge_shape("weight", (8, None), (None, 4))
    (8, 4)

    Raises: ShapeError, unless it agrees with the inferred one wherever both are known.
    """
    if given is None:
        return inferred
    if len(given) == len(inferred):
        pairs = list(zip(given, inferred, strict=True))
        if all(g is None or i is None or g == i for g, i in pairs):
            return tuple(i if g is None else g for g, i in pairs)
    got, expected = spell_shape(given), spell_shape(inferred)
    why = (
        f"{because} (Shape inconsistent, Provided = [{got[1:-1].replace(' ', '').rstrip(',')}], "
        f"inferred shape={expected.replace(' ', '')})"
    )
    raise refusal(ShapeError, name, got, expected, why, fix=fix, verb="has shape")


def unify_shapes(names: Sequence[str], shapes: Sequence[Shape]) -> Shape:
    """The one shape of several arrays, as far as it is known of any.

    >>> unify_shapes(("lhs", "rhs", "output"), ((2, None), None, (None, 3)))
    (2, 3)

    Raises: ShapeError, if they differ.
    """
    result: Shape = None
    for place, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        if result is None:
            result = shape
        elif shape is not None:
            because = f"all have one shape, Incompatible attr in node at {place}-th place"
            result = merge_shape(name, shape, result, because, "Reshape one of them, or use a broadcast_ operator.")
    return result


def unify_types(names: Sequence[str], types: Sequence[Any]) -> Any:
    """The one type of several arrays, or None.

    >>> unify_types(("lhs", "rhs", "output"), (None, np.float32, None))
    <class 'numpy.float32'>

    Raises: DTypeError, if they differ.
    """
    result = None
    for place, (name, given) in enumerate(zip(names, types, strict=True)):
        if given is None:
            continue
        found = np.dtype(given)
        if result is not None and found != result:
            why = f"all have one type, Incompatible attr in node at {place}-th place"
            fix = f"Convert one of them, for example with .astype('{result.name}')."
            raise refusal(DTypeError, name, found.name, result.name, why, fix=fix, verb="has dtype")
        result = found
    return None if result is None else result.type
