"""Shapes of NDArrays: reshape with MXNet's codes, and the methods that move, add, drop or repeat axes.

`reshape` returns a view; the other methods return copies, as in MXNet.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError
from .base import Array, ArrayBase

if TYPE_CHECKING:
    from typing_extensions import Self

Shape = tuple[int, ...]


def resolve_shape(shape: Sequence[int], codes: Sequence[int], reverse: bool = False) -> Shape:
    """The shape that MXNet's reshape codes ask for, given the present shape.

    A positive code is a size. 0 copies the present axis, -1 is inferred (at most once), -2 copies all axes
    that are left, -3 merges the next two axes, and -4, a, b splits the next axis into a and b (one of which
    may be -1). With `reverse` the codes are matched from the right.

    >>> resolve_shape((2, 3, 4), (-3, 0))
    (6, 4)
    >>> resolve_shape((10, 5, 4), (-1, 0), reverse=True)
    (50, 4)

    Raises: ShapeError, if the codes do not fit the shape.
    """

    def refuse(why: str) -> ShapeError:
        return ShapeError(
            f"cannot reshape {tuple(shape)} into {tuple(codes)}: {why}",
            op="reshape", argument="shape", got=tuple(codes), expected=f"{math.prod(shape)} elements",
            fix="Codes: 0 copies an axis, -1 infers one, -2 copies the rest, -3 merges, -4 a b splits.",
        )  # fmt: skip

    groups: list[Shape] = []  # one code each, or (-4, a, b)
    rest = list(codes)
    while rest:
        taken = 3 if rest[0] == -4 else 1
        if len(rest) < taken:
            raise refuse("-4 must be followed by two sizes")
        groups.append(tuple(rest[:taken]))
        del rest[:taken]
    source = list(shape)
    if reverse:
        source.reverse()
        groups.reverse()

    result: list[int] = []
    inferred: int | None = None

    def take() -> int:
        if not source:
            raise refuse("it refers to more axes than there are")
        return source.pop(0)

    for code, *split in groups:
        if code == 0:
            result.append(take())
        elif code == -2:
            result += source
            source.clear()
        elif code == -3:
            result.append(take() * take())
        elif code == -4:
            result += _split(take(), split[::-1] if reverse else split, refuse)
        elif code < -4:
            raise refuse(f"{code} is not a code")
        else:
            if code == -1:
                if inferred is not None:
                    raise refuse("only one size can be inferred")
                inferred = len(result)
            result.append(1 if code == -1 else code)
            del source[:1]
    if inferred is not None:
        known, size = math.prod(result), math.prod(shape)
        if not known:  # no elements: infer from the sizes that are not 0
            known, size = math.prod(n or 1 for n in result), math.prod(n or 1 for n in shape)
        result[inferred] = size // known
    if reverse:
        result.reverse()
    if math.prod(result) != math.prod(shape):
        raise refuse(f"{math.prod(shape)} elements do not fill {tuple(result)}")
    return tuple(result)


def _split(size: int, parts: Sequence[int], refuse: Any) -> list[int]:
    a, b = parts
    if a == -1 and b > 0:
        a = size // b
    elif b == -1 and a > 0:
        b = size // a
    if a < 0 or b < 0 or a * b != size:
        raise refuse(f"the axis of {size} does not split into {tuple(parts)}")
    return [a, b]


def as_shape(shape: Any) -> Shape:
    """A shape from an int or a sequence of ints. Raises: TypeError; ShapeError, for negative sizes."""
    sizes = tuple(map(operator.index, shape)) if isinstance(shape, (tuple, list)) else (operator.index(shape),)
    if min(sizes, default=0) < 0:
        raise ShapeError(
            f"shape {sizes} has a negative size, expected sizes of 0 and more",
            argument="shape", got=sizes, expected="sizes >= 0", fix="Pass the sizes in full.",
        )  # fmt: skip
    return sizes


class ShapeMethods(ArrayBase):
    """The shape methods of NDArray."""

    __slots__ = ()

    def reshape(self, /, *shape: Any, reverse: bool = False, **keywords: Any) -> Self:
        """A view of another shape: `reshape(6, 4)`, `reshape((6, 4))` or `reshape(shape=(6, 4))`.

        The sizes may be codes; `resolve_shape` says what each means.

        Raises: ShapeError (also a ValueError), if the codes do not fit.
        """
        if not shape and set(keywords) == {"shape"}:
            shape = (keywords["shape"],)
        elif keywords or not shape:
            raise TypeError("reshape takes a shape (as tuple, as ints or as shape=...) and reverse=, nothing else")
        codes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        codes = tuple(operator.index(code) for code in codes)
        return self._view(self._array.reshape(resolve_shape(self._array.shape, codes, bool(reverse))))

    def reshape_like(self, other: ArrayBase) -> Self:
        """A copy in the shape of another array."""
        return self._copy_of(self._array.reshape(resolve_shape(self._array.shape, other._array.shape)))

    def flatten(self) -> Self:
        """A copy of shape (first size, product of the others)."""
        self._check_axes("flatten", 0)
        first, *others = self._array.shape
        return self._copy_of(self._array.reshape(first, math.prod(others)))

    def expand_dims(self, axis: int) -> Self:
        """A copy with a new axis of size 1 at `axis`."""
        self._check_axes("expand_dims", axis, ndim=self._array.ndim + 1)
        return self._copy_of(np.expand_dims(self._array, axis))

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Self:
        """A copy without the axes of size 1 (all, or those named); the last axis left always stays."""
        array = self._array
        axes = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self._check_axes("squeeze", *(axes or ()), size=1)
        result = np.squeeze(array, axes)
        return self._copy_of(result if result.ndim or not array.ndim else result.reshape(1))

    def transpose(self, *order: Any, axes: Sequence[int] | None = None) -> Self:
        """A copy with the axes in the given order (a tuple or single numbers), by default reversed."""
        single = order[0] if len(order) == 1 and isinstance(order[0], (tuple, list)) else order
        wanted = tuple(axes if axes is not None else single)
        self._check_axes("transpose", *wanted)
        if wanted and len({one % self._array.ndim for one in wanted}) != self._array.ndim:
            raise self._bad_axis("transpose", wanted)
        return self._copy_of(self._array.transpose(wanted or None))

    @property
    def T(self) -> Self:
        """A copy with the axes reversed."""
        return self.transpose()

    def swapaxes(self, dim1: int = 0, dim2: int = 0) -> Self:
        """A copy with two axes exchanged."""
        self._check_axes("swapaxes", dim1, dim2)
        return self._copy_of(self._array.swapaxes(dim1, dim2))

    def broadcast_to(self, shape: Any) -> Self:
        """A copy in which axes of size 1 are repeated to fill `shape`."""
        sizes = as_shape(shape)
        try:
            return self._copy_of(np.broadcast_to(self._array, sizes))
        except ValueError:
            raise ShapeError(
                f"shape {self._array.shape} cannot be broadcast to {sizes}",
                op="broadcast_to", argument="shape", got=sizes, expected=self._array.shape,
                fix="Only axes of size 1 can be repeated.",
            ) from None  # fmt: skip

    def broadcast_like(self, other: ArrayBase) -> Self:
        """A copy broadcast to the shape of another array."""
        return self.broadcast_to(other._array.shape)

    def tile(self, reps: Any) -> Self:
        """A copy repeated as a whole, `reps` times along each axis."""
        return self._result(np.tile(self._array, reps))

    def repeat(self, repeats: int, axis: int | None = None) -> Self:
        """A copy with each element repeated along the axis (flattened if None)."""
        self._check_axes("repeat", *(() if axis is None else (axis,)))
        return self._result(np.repeat(self._array, repeats, axis))

    def flip(self, axis: int) -> Self:
        """A copy with the order along the axis reversed."""
        self._check_axes("flip", axis)
        return self._copy_of(np.flip(self._array, axis))

    def slice_axis(self, axis: int, begin: int, end: int | None) -> Self:
        """A copy of the part [begin, end) of one axis."""
        self._check_axes("slice_axis", axis)
        key = [slice(None)] * self._array.ndim
        key[axis] = slice(begin, end)
        return self._copy_of(self._array[tuple(key)])

    def _copy_of(self, array: Array) -> Self:
        """A fresh NDArray with the values of a view of our memory."""
        return self._result(array.copy(order="C"))

    def _check_axes(self, op: str, *axes: int, ndim: int | None = None, size: int | None = None) -> None:
        """Raise ShapeError for an axis that does not exist, or not with that size."""
        ndim = self._array.ndim if ndim is None else ndim
        for axis in axes:
            if not -ndim <= axis < ndim or (size is not None and self._array.shape[axis] != size):
                raise self._bad_axis(op, axis)

    def _bad_axis(self, op: str, axis: Any) -> ShapeError:
        return ShapeError(
            f"axis {axis} does not fit an array of shape {self._array.shape}",
            op=op, argument="axis", got=axis, expected=f"axes of a {self._array.ndim}-dimensional array",
            fix="Count axes from 0, or from -1 at the end.",
        )  # fmt: skip
