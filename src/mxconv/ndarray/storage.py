"""Storage: what all views of one piece of memory share, so that no packed copy outlives a change.

A cache that keeps something derived from an array's memory (a packed weight) asks three things: is the
storage tainted (then nothing may be kept: others can write without telling us), which version had it *before*
the memory was read, and has it that version still.
"""

from __future__ import annotations

from itertools import count

_ticks = count(1)  # next() on it is atomic, which `version += 1` is not


class Storage:
    """The state of one piece of memory.

    version: rises with every write through any view. Numbers come from one counter for all storages:
             no two states of any memory ever share one.
    tainted: True for ever once the memory has been within reach of writers that we do not see.
    """

    __slots__ = ("__weakref__", "tainted", "version")

    def __init__(self, *, tainted: bool = False) -> None:
        self.version = next(_ticks)
        self.tainted = tainted

    def touch(self) -> None:
        """Note a write, once it is over (or has failed half way).

        A reader in another thread that began before the write's end then finds its version outdated.
        """
        self.version = next(_ticks)

    def taint(self) -> None:
        """Note that the memory left our hands writable."""
        self.tainted = True
