"""The workspace ledger: scratch is booked by name at plan time and handed out as aligned addresses at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64


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

    def without(self, name: str) -> Ledger:
        """The same bookings but for one."""
        rest = Ledger()
        for other, (_, size) in self.entries.items():
            if other != name:
                rest.book(other, size)
        return rest

    def allocate(self) -> tuple[npt.NDArray[np.uint8], int]:
        """The workspace, uninitialised: the array that owns it, and its aligned address."""
        owner = np.empty(self.total + ALIGNMENT, np.uint8)
        return owner, round_up(address_of(owner))


def address_of(array: npt.NDArray[Any]) -> int:
    """The address of an array's first element."""
    return int(array.__array_interface__["data"][0])
