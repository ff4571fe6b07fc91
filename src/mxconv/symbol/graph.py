"""Nodes and the edges between them: what a Symbol, an executor and a file share.

A graph is held from its ends: a tuple of entries, each one output of a node, whose inputs are entries again. Nothing
here recurses, so that depth is bounded by memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..ops.registry import OpSpec


class Node:
    """One operator at work, or a variable (`op` is None); compared by identity.

    `attrs` holds the texts of the parameters as they were given and the attributes in dunder spelling; nodes share it,
    so that it is never changed but replaced. A name may belong to several nodes.

    A variable's `version` counts the operators that were made to write to it; `versions` says for each input in which
    state its variable was then. Only files hold these numbers.
    """

    __slots__ = ("__weakref__", "_param", "attrs", "inputs", "name", "op", "version", "versions")

    def __init__(
        self,
        op: OpSpec | None,
        name: str,
        attrs: Mapping[str, str] | None = None,
        inputs: Sequence[Entry] = (),
        versions: Sequence[int] | None = None,
    ) -> None:
        self.op = op
        self.name = name
        self.attrs: Mapping[str, str] = {} if attrs is None else attrs
        self.inputs = tuple(inputs)
        self._param: Any = None
        self.version = 0
        self.versions = self._count_writes() if versions is None else tuple(versions)

    def __repr__(self) -> str:
        return f"<{'Variable' if self.op is None else self.op.name} {self.name}>"

    @property
    def is_variable(self) -> bool:
        """Whether a value comes from outside."""
        return self.op is None

    @property
    def param(self) -> Any:
        """The parameters of an operator, read from the attributes once. Raises: ParamError."""
        if self._param is None and self.op is not None:
            self._param = self.op.parse(self.attrs)
        return self._param

    def replace_attrs(self, attrs: Mapping[str, str]) -> None:
        """Have these attributes and no others."""
        self.attrs = attrs
        self._param = None

    def _count_writes(self) -> tuple[int, ...]:
        for entry in self.aux_inputs():
            entry.node.version += 1
        return tuple(entry.node.version for entry in self.inputs)

    def input_names(self) -> tuple[str, ...]:
        """What the operator calls its inputs, the auxiliary states last."""
        return () if self.op is None else self.op.input_names(self.param)

    def aux_inputs(self) -> tuple[Entry, ...]:
        """Those inputs that are auxiliary states."""
        if self.op is None or not self.op.aux_names:
            return ()
        named = zip(self.input_names(), self.inputs, strict=False)
        return tuple(entry for name, entry in named if name in self.op.aux_names)

    def output_names(self) -> tuple[str, ...]:
        """The visible outputs' names in lists: a variable's is its own."""
        if self.op is None:
            return (self.name,)
        return tuple(f"{self.name}_{name}" for name in self.op.output_names(self.param))

    def count_outputs(self) -> int:
        """How many outputs are visible."""
        return 1 if self.op is None else len(self.op.output_names(self.param))

    def entries(self) -> tuple[Entry, ...]:
        """Every visible output."""
        return tuple(Entry(self, index) for index in range(self.count_outputs()))


class Entry(NamedTuple):
    """One output of a node: what an edge of the graph carries."""

    node: Node
    index: int  # type: ignore[assignment]  # tuples have a method of that name, which nobody calls on an edge


def topological(entries: Iterable[Entry]) -> list[Node]:
    """Every node that the entries depend on, inputs before those who use them: depth first, as MXNet lists them."""
    order: list[Node] = []
    seen: set[Node] = set()
    for head in entries:
        if head.node in seen:
            continue
        seen.add(head.node)
        path, rest = [head.node], [iter(head.node.inputs)]
        while path:
            for entry in rest[-1]:
                if entry.node not in seen:
                    seen.add(entry.node)
                    path.append(entry.node)
                    rest.append(iter(entry.node.inputs))
                    break
            else:
                order.append(path.pop())
                rest.pop()
    return order


def auxiliary(order: Iterable[Node]) -> set[Node]:
    """The variables among `order` that some operator uses as an auxiliary state."""
    return {entry.node for node in order for entry in node.aux_inputs() if entry.node.is_variable}


def split_variables(order: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """The variables in their order: arguments, and auxiliary states."""
    states = auxiliary(order)
    variables = [node for node in order if node.is_variable]
    return [node for node in variables if node not in states], [node for node in variables if node in states]


def replace_variables(entries: Sequence[Entry], replacements: Mapping[Node, Entry]) -> tuple[Entry, ...]:
    """A copy of the graph in which those variables are the given entries, which are not copied.

    >>> x, y = Node(None, "x"), Node(None, "y")
    >>> replace_variables([Entry(x, 0)], {x: Entry(y, 0)})
    (Entry(node=<Variable y>, index=0),)
    """
    copies: dict[Node, Node] = {}

    def moved(entry: Entry) -> Entry:
        return replacements.get(entry.node) or Entry(copies[entry.node], entry.index)

    for node in topological(entries):
        if node in replacements:
            continue
        changed = any(entry.node in replacements for entry in node.inputs)
        versions = None if changed else node.versions
        copy = Node(node.op, node.name, node.attrs, [moved(entry) for entry in node.inputs], versions)
        copy.version = node.version
        copies[node] = copy
    return tuple(moved(entry) for entry in entries)


def place(node: Node, order: Iterable[Node]) -> str:
    """Where a node is, for messages.

    >>> x = Node(None, "x")
    >>> place(x, [x])
    "'x' (no inputs; used by nothing)"
    """
    users = [other.name for other in order if any(entry.node is node for entry in other.inputs)]
    inputs = [entry.node.name for entry in node.inputs]
    return f"{node.name!r} ({_some('input', inputs) or 'no inputs'}; used by {_some('', users) or 'nothing'})"


def _some(word: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    word = word and f"{word}{'s' if len(names) > 1 else ''} "
    return word + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
