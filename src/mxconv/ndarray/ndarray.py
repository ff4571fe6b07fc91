"""NDArray: MXNet's array in host memory.

>>> from mxconv.ndarray.creation import array
>>> x = array([[1, 2], [3, 4]])
>>> (x[1] * 2).asnumpy()
array([6., 8.], dtype=float32)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..context import Context, host_context
from ..errors import ShapeError
from ..ops.casts import cast_array
from .arithmetic import ArithmeticMethods
from .base import Array, array_dtype
from .differentiation import GradientMethods
from .exchange import ExchangeMethods
from .indexing import IndexingMethods
from .invoke import note
from .reductions import ReductionMethods
from .shapes import ShapeMethods

if TYPE_CHECKING:
    from typing_extensions import Self


class NDArray(IndexingMethods, ArithmeticMethods, ShapeMethods, ReductionMethods, GradientMethods, ExchangeMethods):
    """An n-dimensional array, made by nd.array, nd.zeros, nd.from_numpy and their like.

    It behaves as MXNet's: contiguous slices and reshapes are views, other selections copies; arithmetic keeps
    the dtype; == gives an array, so that hashing goes by identity. Beyond MXNet, sizes of 0, scalars of shape
    () and more dtypes (bfloat16, int16, complex) work, and `np.asarray`, `float` and `int` understand it.
    """

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self._array.shape

    @property
    def dtype(self) -> type:
        """The NumPy type of the elements, for example `numpy.float32`."""
        return self._array.dtype.type

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def context(self) -> Context:
        """Where the array lives."""
        return self._context

    ctx = context

    @property
    def stype(self) -> str:
        """The storage type: always "default" (dense)."""
        return "default"

    def __repr__(self) -> str:
        sizes = "x".join(map(str, self.shape))
        return f"\n{self._array}\n<{type(self).__name__} {sizes} @{self._context}>"

    def __bool__(self) -> bool:
        if self.size > 1:
            raise ValueError("The truth value of an NDArray with multiple elements is ambiguous.")
        return bool(self._array.any())

    def __float__(self) -> float:
        return float(self.asscalar())

    def __int__(self) -> int:
        return int(self.asscalar())

    def __complex__(self) -> complex:
        return complex(self.asscalar())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iu":
            raise TypeError(f"an NDArray of dtype {self._array.dtype} cannot be an index; use int(x)")
        return int(self.asscalar())

    def asscalar(self) -> Any:
        """The only element, as a NumPy scalar. Raises: ValueError, if there is not exactly one."""
        if self.size != 1:
            raise ValueError(f"The current array is not a scalar: it has shape {self.shape}")
        return self._array.reshape(1)[0]

    def asnumpy(self) -> Array:
        """A copy as a NumPy array."""
        return np.array(self._array)

    def astype(self, dtype: Any, copy: bool = True) -> Self:
        """The values in another dtype; with copy=False this array itself if it has that dtype already."""
        target = array_dtype(dtype)
        if not copy and target == self._array.dtype:
            return self
        return note("Cast", {"dtype": target.name}, self, self._result(cast_array(self._array, target)))

    def copy(self) -> Self:
        """A copy in the same context."""
        return note("_copy", {}, self, self._result(self._array.copy()))

    def copyto(self, other: Any) -> Any:
        """Copy the values into another array of our shape (in its dtype), or into a new one in a context.

        Raises: ShapeError, if the shapes differ; MXNetError, for a GPU; TypeError, for anything else.
        """
        if isinstance(other, Context):
            return note("_copy", {}, self, self._adopt(self._array.copy(), other))
        if not isinstance(other, NDArray):
            raise TypeError(f"copyto does not support type {type(other)}, expected an NDArray or a Context")
        if other.shape != self.shape:
            raise ShapeError(
                f"the destination has shape {other.shape}, expected {self.shape}",
                op="copyto", argument="other", got=other.shape, expected=self.shape,
                fix="Pass an array of the same shape, or assign with other[...] = x to broadcast.",
            )  # fmt: skip
        other[...] = self
        return other

    def as_in_context(self, context: Context) -> Self:
        """This array if it is in that context already, else a copy there."""
        return self if host_context(context) == self._context else self.copyto(context)

    as_in_ctx = as_in_context

    def wait_to_read(self) -> None:
        """Return when the values are there; they always are."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only, or pickle's out-of-band buffers would let others write to our memory unseen.
        return _rebuild, (type(self), self.numpy_view(), self._context.device_type, self._context.device_id)


def _rebuild(cls: type[NDArray], array: Array, device_type: str, device_id: int) -> NDArray:
    return cls._adopt(np.array(array), Context(device_type, device_id))


def waitall() -> None:
    """Return when all computations are done; they always are."""
