"""SymbolBase: the ends of a graph, upon which everything else about symbols is written as mixin classes."""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Entry


class SymbolBase:
    """What a Symbol holds: its outputs, each an output of some node."""

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)

    def __len__(self) -> int:
        return len(self.entries)
