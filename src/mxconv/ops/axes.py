"""Axes and extents, as parameters name them: negative axes count from the end, an extent may be unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ..errors import ShapeError
from .refusal import refusal

Extent: TypeAlias = "int | None"


def resolve_axis(axis: int, rank: int, name: str = "axis") -> int:
    """The axis counted from 0.

    >>> resolve_axis(-1, 4)
    3

    Raises: ShapeError, if an array of that rank does not have it.
    """
    if not -rank <= axis < rank:
        expected = f"an axis from {-rank} to {rank - 1}" if rank else "an array that has axes"
        why = f"axis {axis} exceeds the input dimension of {rank}"
        raise refusal(ShapeError, name, axis, expected, why, fix="Count axes from 0, or from -1 at the end.")
    return axis % rank


def resolve_axes(axes: Iterable[int], rank: int, name: str = "axis") -> tuple[int, ...]:
    """Different axes, counted from 0, in the order given.

    Raises: ShapeError.
    """
    given = tuple(axes)
    result = tuple(resolve_axis(axis, rank, name) for axis in given)
    if len(set(result)) < len(result):
        why = "axes have duplicates"
        raise refusal(ShapeError, name, given, "every axis once", why, fix="Name each axis once.")
    return result


def product(extents: Iterable[Extent]) -> Extent:
    """The product of extents, None if one of them is unknown."""
    result = 1
    for extent in extents:
        if extent is None:
            return None
        result *= extent
    return result
