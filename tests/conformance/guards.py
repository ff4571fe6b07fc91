"""Arrays that lie flush against a page which nobody may touch, so that one element too far is a fault.

A `Guarded` array has a mapping of its own: protected page, room, protected page. Its bytes end at the second
protected page (`side="after"`) or begin at the first (`side="before"`). Bytes of the room that are no
element's hold a canary, so that writes between the rows of a strided array are seen as well.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Literal

import numpy as np

Side = Literal["after", "before"]
CANARY = 0xA5
PAGE = mmap.PAGESIZE
MADV_NOHUGEPAGE = 15  # on Linux; elsewhere it means nothing and is refused
AVAILABLE = hasattr(mmap, "PROT_READ")
"""False on Windows, which has no mprotect."""

if AVAILABLE:
    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    _libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    _libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    _libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


def reserve(size: int, protection: int = 0, flags: int = 0) -> int:
    """The address of `size` fresh bytes of private anonymous memory; nothing is touched."""
    address = _libc.mmap(None, size, protection, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), f"mmap of {size} bytes failed")
    return address


def release(address: int, size: int) -> None:
    _libc.munmap(address, size)


def protect(address: int, size: int, protection: int) -> None:
    if _libc.mprotect(address, size, protection):
        raise OSError(ctypes.get_errno(), f"mprotect of {size} bytes failed")


def small_pages(address: int, size: int) -> None:
    """Ask that touching one byte makes one small page real, not one of 2 MB."""
    _libc.madvise(address, size, MADV_NOHUGEPAGE)


def bytes_at(address: int, size: int) -> np.ndarray:
    """The memory at an address as bytes; it must outlive the array."""
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)


def span(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """(lowest byte, one past the highest) of a strided array, from its first element on; (0, 0) if empty."""
    if 0 in shape:
        return 0, 0
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return sum(min(0, r) for r in reach), sum(max(0, r) for r in reach) + itemsize


class Guarded:
    """An array of given byte strides between two protected pages, `slack` bytes off the one it leans on."""

    def __init__(
        self, shape: Sequence[int], dtype: np.dtype, strides: Sequence[int], side: Side, *, slack: int = 0
    ) -> None:
        low, high = span(shape, strides, dtype.itemsize)
        self._room = -(-max(1, high - low + slack) // PAGE) * PAGE
        self._size = self._room + 2 * PAGE
        self._base = reserve(self._size)
        protect(self._base + PAGE, self._room, READ_WRITE)
        self._bytes = bytes_at(self._base + PAGE, self._room)
        self._bytes[:] = CANARY
        first = (slack if side == "before" else self._room - slack - (high - low)) - low
        self._first, self._strides = first, tuple(strides)
        buffer = (ctypes.c_ubyte * self._room).from_address(self._base + PAGE)
        if 0 in shape:  # nothing is read or written, but the address still leans on the page
            first = min(first, self._room)
        self.array = np.ndarray(tuple(shape), dtype, buffer, first, self._strides)

    def poison(self) -> None:
        """Fill the elements with NaN, or with a number that no sum of a test comes to."""
        self.array[...] = np.iinfo(self.array.dtype).min + 12345 if self.array.dtype.kind in "iu" else np.nan

    def lock(self) -> None:
        """From here on, writing to the array is a fault."""
        protect(self._base + PAGE, self._room, mmap.PROT_READ)

    def damage(self) -> int | None:
        """Where, relative to the first element, a byte that is no element's has changed; None if none has."""
        gaps = np.ones(self._room, bool)
        if self.array.size:
            shape, strides = (*self.array.shape, self.array.itemsize), (*self._strides, 1)
            np.ndarray(shape, bool, gaps, self._first, strides)[...] = False
        changed = np.flatnonzero(gaps & (self._bytes != CANARY))
        return int(changed[0]) - self._first if changed.size else None

    def free(self) -> None:
        """Unmap; the array must not be used any more."""
        if self._base:
            release(self._base, self._size)
            self._base = 0
