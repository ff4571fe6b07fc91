"""The workspace ledger: scratch is booked by name at plan time and handed out as aligned addresses at run time."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64
SPARE_BYTES = 256 << 10
"""Of workspaces up to this size a thread keeps the largest for its next call: it stays in a cache, and its address says
that an argument block can be used again."""
_BYTE = np.dtype(np.uint8)

Workspace: TypeAlias = "tuple[npt.NDArray[np.uint8], int]"


def round_up(n: int, to: int = ALIGNMENT) -> int:
    """The smallest multiple of `to` that is not below n.

    >>> round_up(65), round_up(64)
    (128, 64)
    """
    return -(-n // to) * to


class Ledger:
    """All scratch that one run of a plan needs, over all of its threads.

    >>> ledger = Ledger()
    >>> ledger.book("panels", 100), ledger.book("scratch", 10)
    (0, 128)
    >>> ledger.total
    192
    """

    def __init__(self) -> None:
        self.entries: dict[str, tuple[int, int]] = {}
        self.total = 0

    def book(self, name: str, size: int) -> int:
        """Reserve `size` bytes; returns where they will stand, from the workspace's aligned start."""
        at = self.total
        self.entries[name] = (at, size)
        self.total += round_up(max(1, size))
        return at

    def places(self, names: Iterable[str]) -> dict[str, int]:
        """Where those of the names stand that are booked."""
        return {name: self.entries[name][0] for name in names if name in self.entries}

    def without(self, name: str) -> Ledger:
        """The same bookings but for one."""
        rest = Ledger()
        for other, (_, size) in self.entries.items():
            if other != name:
                rest.book(other, size)
        return rest

    def allocate(self) -> Workspace:
        """The workspace, uninitialised: the array that owns it, and its aligned address."""
        if self.total > SPARE_BYTES:
            return _fresh(self.total)
        spare, _spare.workspace = _spare.workspace, None  # a signal's handler may call while it is in use
        return _fresh(self.total) if spare is None or _room(spare) < self.total else spare

    def release(self, workspace: Workspace) -> None:
        """Keep a workspace that was allocated here for the thread's next call, if it is small."""
        if self.total <= SPARE_BYTES:
            other = _spare.workspace
            _spare.workspace = workspace if other is None or _room(other) < _room(workspace) else other


class _Spare(threading.local):
    """The workspace of this thread that is not in use."""

    workspace: Workspace | None = None


_spare = _Spare()


def _room(workspace: Workspace) -> int:
    return workspace[0].nbytes - ALIGNMENT


def _fresh(size: int) -> Workspace:
    owner = np.empty(size + ALIGNMENT, _BYTE)
    return owner, round_up(address_of(owner))


def _address_by_interface(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _address_by_field(array: npt.NDArray[Any]) -> int:
    # The data pointer is the first field of NumPy's array struct, which every extension module has compiled in. The
    # interface takes 1.5 microseconds to say the same, and a call asks five times.
    return _pointer_at(id(array) + _HEADER).value or 0


_HEADER = object.__basicsize__
_pointer_at = ctypes.c_void_p.from_address
_sample = np.zeros(3, np.uint8)[1:]
_is_field = sys.implementation.name == "cpython" and _address_by_field(_sample) == _address_by_interface(_sample)

address_of = _address_by_field if _is_field else _address_by_interface
"""The address of an array's first element; the array must be a NumPy array."""
