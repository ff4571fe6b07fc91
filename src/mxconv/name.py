"""`mx.name`: how the nodes of a graph get their names.

>>> import mxconv as mx
>>> with mx.name.NameManager():
...     mx.sym.Flatten(mx.sym.Variable("data")).name
'flatten0'
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class _Current(type):
    """Gives the class of name managers its property `current`."""

    @property
    def current(cls) -> NameManager:
        """The manager in use in this thread."""
        return _managers.stack[-1]


class NameManager(metaclass=_Current):
    """Names nodes that got no name: a hint (the function's name in lower case) and a number that counts up.

    Inside `with NameManager():` the numbers begin at 0; afterwards the previous manager goes on. A subclass may
    override `get`. Each thread has managers of its own.
    """

    def __init__(self) -> None:
        self._counter: dict[str, int] = {}

    def get(self, name: str | None, hint: str) -> str:
        """The name that was given, or one made from the hint; a name that is given counts nothing up."""
        if name:
            return name
        number = self._counter.get(hint, 0)
        self._counter[hint] = number + 1
        return f"{hint}{number}"

    def __enter__(self) -> Self:
        _managers.stack.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _managers.stack.pop()


class Prefix(NameManager):
    """Puts a prefix before every name of a node, given or made; variables that the user makes keep theirs.

    >>> import mxconv as mx
    >>> data = mx.sym.Variable("data")
    >>> with mx.name.Prefix("net_"):
    ...     mx.sym.FullyConnected(data, num_hidden=10, name="fc").list_arguments()
    ['data', 'net_fc_weight', 'net_fc_bias']
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def get(self, name: str | None, hint: str) -> str:
        """The prefix and what NameManager gives."""
        return self._prefix + super().get(name, hint)


class _Managers(threading.local):
    def __init__(self) -> None:
        self.stack = [NameManager()]


_managers = _Managers()
