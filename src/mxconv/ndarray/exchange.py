"""Exchange of memory with other libraries: `__array__`, `__dlpack__` and what NDArrays do with them.

Whatever can be written to by others behind our back is tainted from then on (see `storage`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Array, ArrayBase
from .dlpack import CPU_DEVICE, export_capsule


class ExchangeMethods(ArrayBase):
    """How NumPy and DLPack consumers get at an NDArray."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """A copy, as asnumpy. With copy=False our memory itself, which taints it."""
        target = self._array.dtype if dtype is None else np.dtype(dtype)
        if copy is not False:
            return self._array.astype(target)
        if target != self._array.dtype:
            raise ValueError(f"an NDArray of {self._array.dtype} cannot become {target} without a copy")
        return self._lend()[...]

    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule of our memory (or of a copy of it), versioned for those who can read that.

        Raises: BufferError, for another device or stream, or if a read-only array would need a versioned capsule.
        """
        if stream is not None or (dl_device is not None and tuple(dl_device) != CPU_DEVICE):
            raise BufferError(f"an NDArray is in host memory: no stream ({stream}) and no device {dl_device}")
        memory = self._array.copy() if copy else self._lend()
        return export_capsule(memory, versioned=max_version is not None and max_version[0] >= 1)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU_DEVICE

    def to_dlpack_for_read(self) -> Any:
        """A DLPack capsule of the old kind for one consumer that promises not to write.

        The capsule cannot hold it to that, so that the memory counts as writable elsewhere all the same.
        """
        return export_capsule(self._lend(), versioned=False)

    def to_dlpack_for_write(self) -> Any:
        """A DLPack capsule of the old kind for one consumer, which may write to our memory."""
        return export_capsule(self._lend(), versioned=False)

    def _lend(self) -> Array:
        self._storage.taint()
        return self._array
