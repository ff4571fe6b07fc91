"""Argument blocks: named 64-bit slots through which Python hands a whole job to compiled code in one pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..ir import I64, PTR, Function, Type, Value


class Layout:
    """The slots of one argument block, by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.index = {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def fill(self, values: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """An argument block with these values; the slots that are not named are 0."""
        block = np.zeros(len(self), np.int64)
        for name, value in values.items():
            block[self.index[name]] = value
        return block

    def read(self, f: Function, block: Value, *names: str, type_: Type = I64) -> list[Value]:
        """Emit loads of the named slots."""
        return [f.load(type_, block, self.index[name]) for name in names]

    def pointer(self, f: Function, block: Value, name: str) -> Value:
        """Emit the load of a slot that holds an address."""
        return f.load(PTR, f.offset(block, self.index[name], I64))

    def address(self, f: Function, block: Value, name: str) -> Value:
        """The address of the slot itself (of a counter, say)."""
        return f.offset(block, self.index[name], I64)
