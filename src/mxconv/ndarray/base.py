"""ArrayBase: memory, storage and context of an NDArray, and the few ways in and out of them.

Everything else about arrays (indexing, arithmetic, shapes, ...) is written as mixin classes upon these, one
file each. The memory of an NDArray is always C-contiguous, aligned and in native byte order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..context import Context, host_context
from ..dtypes import lookup
from ..engine.pack_cache import WeightIdentity
from ..engine.workspace import address_of
from ..errors import DTypeError
from .recording import Origin, check_writable
from .storage import Storage

if TYPE_CHECKING:
    from typing_extensions import Self

Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[Any]]"
BOOL = np.dtype(np.bool_)


def array_dtype(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype of arrays for anything that names one; None is float32.

    Raises: DTypeError, for one that arrays cannot have; TypeError, for what is no dtype.
    """
    if dtype is None:
        return np.dtype(np.float32)
    known = lookup(dtype)
    if known is not None:
        return known.numpy
    if np.dtype(dtype) == BOOL:
        return BOOL
    raise DTypeError(
        f"dtype {np.dtype(dtype)} is not supported, expected bool or a type that the operators compute in",
        argument="dtype",
        got=np.dtype(dtype),
        expected="bool, a float, complex, signed integer or uint8 type",
        fix="Convert the values first, for example with .astype('float32').",
    )


class ArrayBase:
    """The memory of an NDArray and what is known about it."""

    __slots__ = ("__weakref__", "_array", "_context", "_origin", "_storage")

    _array: Array
    _storage: Storage
    _context: Context
    _origin: Origin | None
    """What we are in the recorded graph, if anything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("an NDArray is made by nd.array, nd.zeros, nd.from_numpy and their like")

    @classmethod
    def _adopt(cls, array: Array, ctx: Context | None = None) -> Self:
        """Wrap a NumPy array that nobody else will hold; copies only what is not in an NDArray's form."""
        dtype = array_dtype(array.dtype)
        if type(array) is not np.ndarray or array.dtype is not dtype or not array.flags.carray:
            array = np.require(np.asarray(array), dtype, ("C", "A", "W"))
        return cls._wrap(array, Storage(), host_context(ctx))

    @classmethod
    def _wrap(cls, array: Array, storage: Storage, context: Context) -> Self:
        self = object.__new__(cls)
        self._array, self._storage, self._context, self._origin = array, storage, context, None
        return self

    def _view(self, array: Array) -> Self:
        """A view of our memory, which shares our storage but not our part in a graph."""
        return self._wrap(array, self._storage, self._context)

    def _result(self, array: Array) -> Self:
        """A fresh array in our context."""
        return self._adopt(np.asarray(array), self._context)

    @property
    def storage(self) -> Storage:
        """The state of our memory, shared by all views of it."""
        return self._storage

    def _identity(self) -> WeightIdentity:
        """Which memory we are, and in which state. Take it before the memory is read."""
        return WeightIdentity(self._storage, self._storage.version, address_of(self._array))

    def numpy_view(self) -> Array:
        """Our memory as a read-only NumPy array, for use by mxconv itself while the call lasts."""
        view: Array = self._array.view()
        view.flags.writeable = False
        return view

    def writing(self) -> AbstractContextManager[Array]:
        """Our memory as a NumPy array to write to within a `with` block, not after it; the version rises at its end.

        Raises: ValueError, if the array is read-only; MXNetError, if recording is on and it is part of a graph.
        """
        check_writable(self)
        return self._writing()

    @contextmanager
    def _writing(self) -> Iterator[Array]:
        """As `writing`, also for an array of a graph: for states that operators change, and gradients."""
        if not self._array.flags.writeable:
            raise ValueError("the NDArray is read-only: its memory was lent to us read-only. Write to a .copy().")
        memory: Array = self._array.view()
        try:
            yield memory
        finally:
            memory.flags.writeable = False
            self._storage.touch()
