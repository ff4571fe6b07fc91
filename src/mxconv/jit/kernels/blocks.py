"""Argument blocks: named 64-bit slots through which Python hands a whole job to compiled code in one pointer."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import I64, PTR, Function, Type, Value


class Layout:
    """The slots of one argument block, by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.index = {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def read(self, f: Function, block: Value, *names: str, type_: Type = I64) -> list[Value]:
        """Emit loads of the named slots."""
        return [f.load(type_, block, self.index[name]) for name in names]

    def pointer(self, f: Function, block: Value, name: str) -> Value:
        """Emit the load of a slot that holds an address."""
        return f.load(PTR, f.offset(block, self.index[name], I64))

    def address(self, f: Function, block: Value, name: str) -> Value:
        """The address of the slot itself (of a counter, say)."""
        return f.offset(block, self.index[name], I64)
