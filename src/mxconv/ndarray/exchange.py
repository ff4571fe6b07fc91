"""Exchange of memory with other libraries: `__array__` and DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, ArrayBase


class ExchangeMethods(ArrayBase):
    """How NumPy and DLPack consumers read an NDArray."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """A copy, as asnumpy. With copy=False our memory itself, which taints it."""
        target = self._array.dtype if dtype is None else np.dtype(dtype)
        if copy is not False:
            return self._array.astype(target)
        if target != self._array.dtype:
            raise ValueError(f"an NDArray of {self._array.dtype} cannot become {target} without a copy")
        self._storage.taint()
        return self._array[...]
