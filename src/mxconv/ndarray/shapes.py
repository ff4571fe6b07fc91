"""The methods of NDArray that move, add, drop or repeat axes, or take parts: operators of the registry.

`reshape` returns a view; the other methods return copies, as in MXNet. What is computed is in `mxconv.ops.library`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..ops.reshape_codes import resolve_shape
from .base import ArrayBase
from .invoke import apply, invoke, note

if TYPE_CHECKING:
    from typing_extensions import Self

Shape = tuple[int, ...]


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

        The sizes may be codes; `mxconv.ops.reshape_codes.resolve_shape` says what each means.

        Raises: ShapeError (also a ValueError), if the codes do not fit.
        """
        if not shape and set(keywords) == {"shape"}:
            shape = (keywords["shape"],)
        elif keywords or not shape:
            raise TypeError("reshape takes a shape (as tuple, as ints or as shape=...) and reverse=, nothing else")
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        codes = tuple(operator.index(code) for code in given)
        try:
            sizes = resolve_shape(self._array.shape, codes, bool(reverse))
        except ShapeError as error:
            error.with_context(op="reshape")
            raise
        view = self._view(self._array.reshape([n or 0 for n in sizes]))
        return note("Reshape", {"shape": codes, "reverse": bool(reverse)}, self, view)

    def reshape_like(self, other: ArrayBase) -> Self:
        """A copy in the shape of another array."""
        return apply("reshape_like", self, other)

    def flatten(self) -> Self:
        """A copy of shape (first size, product of the others)."""
        return apply("Flatten", self)

    def expand_dims(self, axis: int) -> Self:
        """A copy with a new axis of size 1 at `axis`."""
        return apply("expand_dims", self, axis=axis)

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Self:
        """A copy without the axes of size 1 (all, or those named); the last axis left always stays."""
        return apply("squeeze", self, axis=axis)

    def transpose(self, *order: Any, axes: Sequence[int] | None = None) -> Self:
        """A copy with the axes in the given order (a tuple or single numbers), by default reversed."""
        single = order[0] if len(order) == 1 and isinstance(order[0], (tuple, list)) else order
        return apply("transpose", self, axes=tuple(single if axes is None else axes))

    @property
    def T(self) -> Self:
        """A copy with the axes reversed."""
        return self.transpose()

    def swapaxes(self, dim1: int = 0, dim2: int = 0) -> Self:
        """A copy with two axes exchanged."""
        return apply("SwapAxis", self, dim1=dim1, dim2=dim2)

    def broadcast_to(self, shape: Any) -> Self:
        """A copy in which axes of size 1 are repeated to fill `shape`; 0 keeps an axis as it is."""
        return apply("broadcast_to", self, shape=as_shape(shape))

    def broadcast_like(self, other: ArrayBase) -> Self:
        """A copy broadcast to the shape of another array."""
        return apply("broadcast_like", self, other)

    def tile(self, reps: Any) -> Self:
        """A copy repeated as a whole, `reps` times along each axis."""
        return apply("tile", self, reps=reps)

    def repeat(self, repeats: int, axis: int | None = None) -> Self:
        """A copy with each element repeated along the axis (flattened if None)."""
        return apply("repeat", self, repeats=repeats, axis=axis)

    def flip(self, axis: int | Sequence[int]) -> Self:
        """A copy with the order along the axis reversed."""
        return apply("reverse", self, axis=axis)

    def slice_axis(self, axis: int, begin: int, end: int | None) -> Self:
        """A copy of the part [begin, end) of one axis."""
        return apply("slice_axis", self, axis=axis, begin=begin, end=end)

    def slice(self, begin: Any, end: Any, step: Any = ()) -> Self:
        """A copy of the part [begin, end) of the first axes, in steps; None is an open end."""
        return apply("slice", self, begin=begin, end=end, step=step)

    def slice_like(self, shape_like: ArrayBase, axes: Any = ()) -> Self:
        """A copy of the first elements, as many on each axis (or on `axes`) as another array has."""
        return apply("slice_like", self, shape_like, axes=axes)

    def split(self, num_outputs: int, axis: int = 1, squeeze_axis: bool = False) -> Any:
        """Equal parts along the axis: a list, or one array if num_outputs is 1."""
        parts = invoke("SliceChannel", [self], {"num_outputs": num_outputs, "axis": axis, "squeeze_axis": squeeze_axis})
        return parts[0] if len(parts) == 1 else parts

    def take(self, indices: ArrayBase, axis: int = 0, mode: str = "clip") -> Self:
        """The elements at the indices along the axis."""
        return apply("take", self, indices, axis=axis, mode=mode)

    def pick(self, index: ArrayBase, axis: int | None = -1, keepdims: bool = False, mode: str = "clip") -> Self:
        """One element along the axis for each index."""
        return apply("pick", self, index, axis=axis, keepdims=keepdims, mode=mode)

    def one_hot(self, depth: int, on_value: float = 1, off_value: float = 0, dtype: Any = "float32") -> Self:
        """A new last axis of size depth, with on_value at our number and off_value elsewhere."""
        return apply("one_hot", self, depth=depth, on_value=on_value, off_value=off_value, dtype=dtype)

    def pad(self, mode: str, pad_width: Sequence[int], constant_value: float = 0) -> Self:
        """A copy in a frame: pad_width has (before, after) of each axis in turn."""
        return apply("Pad", self, mode=mode, pad_width=tuple(pad_width), constant_value=constant_value)
