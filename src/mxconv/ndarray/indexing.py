"""Indexing of NDArrays: which selections are views, which are copies, and assignment.

A selection by numbers, slices, None and `...` whose elements lie side by side in memory is a view (`a[1]`,
`a[0:1]`, `a[1, 2:4]`); every other one is a copy (`a[:, 1]`, `a[::-1]`, lists and arrays as indices).
Selecting one element gives shape (1,), or () while `mx.util.np_shape` is on. Boolean masks are refused, as in
MXNet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError
from ..ops.casts import cast_array, cast_scalar, is_scalar
from ..util import is_np_shape
from .base import Array, ArrayBase
from .invoke import invoke
from .recording import check_not_in_place, depends, flags, record
from .selection import Selection, pick_gradient

if TYPE_CHECKING:
    from typing_extensions import Self


def _index_array(part: Any) -> Array:
    """The index array that a list, NumPy array or NDArray stands for; floats must be whole numbers."""
    array = part._array if isinstance(part, ArrayBase) else np.asarray(part)
    if array.dtype == np.bool_:
        raise ValueError("an NDArray cannot be indexed by a boolean mask; index by positions (np.flatnonzero)")
    if array.dtype.kind in "iu":
        return array
    if array.size == 0:
        return array.astype(np.intp)
    try:
        whole = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"an NDArray does not support indexing by {part!r}") from None
    if not np.all(np.isfinite(whole)) or np.any(whole != np.trunc(whole)):
        raise IndexError(f"an index array holds {array.flat[0]!r}..., expected whole numbers")
    return whole.astype(np.intp)


def numpy_key(key: Any) -> tuple[tuple[Any, ...], bool]:
    """The key in NumPy's terms, and whether it is basic (numbers, slices, None, `...`).

    Raises: ValueError, for masks and what cannot be an index.
    """
    parts: list[Any] = []
    basic = True
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, (list, tuple, range, np.ndarray, ArrayBase)):
            parts.append(_index_array(part))
            basic = False
        elif isinstance(part, (bool, np.bool_)):
            raise ValueError("an NDArray cannot be indexed by True or False")
        elif part is None or part is Ellipsis or isinstance(part, slice) or hasattr(part, "__index__"):
            parts.append(part)
        else:
            raise ValueError(f"an NDArray does not support indexing by {part!r} of {type(part)}")
    if basic and Ellipsis not in parts:
        parts.append(Ellipsis)  # so that NumPy gives an array, and a view, for a single element too
    return tuple(parts), basic


def _single(array: Array, key: tuple[Any, ...]) -> bool:
    """Whether a basic key chose one element by a number on every axis."""
    numbers = sum(part is not None and part is not Ellipsis and not isinstance(part, slice) for part in key)
    return array.ndim > 0 and numbers == array.ndim and None not in key


class IndexingMethods(ArrayBase):
    """Selection, assignment and iteration of NDArray."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Self:
        parts, basic = numpy_key(key)
        chosen = self._array[parts]
        if basic and _single(self._array, parts) and not is_np_shape():
            chosen = chosen.reshape(1)
        result = self._view(chosen) if basic and chosen.flags.c_contiguous else self._result(chosen)
        if flags.recording:
            selection = Selection(parts, basic, self._array.shape, chosen.shape)
            record("_pick", pick_gradient, selection, [self], [result])
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        parts, basic = numpy_key(key)
        if flags.recording and depends(value):
            self._assign_recorded(parts, value)
            return
        source = self._assignable(value)
        with self.writing() as memory:
            target = memory[parts]
            if not basic:
                memory[parts] = _fitted(source, target.shape)
            else:
                target[...] = _fitted(source, target.shape)

    def _assign_recorded(self, parts: tuple[Any, ...], value: Any) -> None:
        """Take over the values of an array of a graph, and become part of it; only as a whole, as in MXNet.

        Raises: MXNetError, for a part.
        """
        if any(part is not Ellipsis and not (isinstance(part, slice) and part == slice(None)) for part in parts):
            check_not_in_place("assignment", [value, self], [self])
        source = value.astype(self._array.dtype, copy=False)
        source = source.reshape(_trimmed(source._array, self._array.shape).shape)
        if source.shape != self._array.shape:
            source = source.broadcast_to(self._array.shape)
        invoke("_copy", [source], {}, out=self)

    def __len__(self) -> int:
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Self]:
        for index in range(len(self)):
            yield self[index]

    def _assignable(self, value: Any) -> Array:
        """The value to assign in our dtype. Raises TypeError for what is no number and no array."""
        dtype = self._array.dtype
        if is_scalar(value):
            return cast_scalar(value, dtype)
        if isinstance(value, ArrayBase):
            source = value._array
        elif isinstance(value, (list, tuple, np.ndarray)):
            source = np.asarray(value)
        else:
            source = np.asarray(None)
        if source.dtype.kind in "OSU":
            raise TypeError(f"an NDArray does not support the assignment of {value!r} of {type(value)}")
        return cast_array(source, dtype) if source.dtype != dtype else source


def _trimmed(source: Array, shape: tuple[int, ...]) -> Array:
    """The source without leading axes of 1 that the shape has no room for."""
    while source.ndim > len(shape) and source.shape[0] == 1:
        source = source[0]
    return source


def _fitted(source: Array, shape: tuple[int, ...]) -> Array:
    """The source, broadcast to the shape of its destination; spare leading axes of 1 are dropped."""
    source = _trimmed(source, shape)
    try:
        return np.broadcast_to(source, shape)
    except ValueError:
        raise ShapeError(
            f"the value has shape {source.shape}, expected one that can be broadcast to {shape}",
            op="assignment", argument="value", got=source.shape, expected=shape,
            fix="Reshape the value, or assign to a part of its shape.",
        ) from None  # fmt: skip
