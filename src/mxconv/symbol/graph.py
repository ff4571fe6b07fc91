"""Nodes and the edges between them: what a Symbol, an executor and a file share.

A graph is held from its ends: a tuple of entries, each one output of a node, whose inputs are entries again. Nothing
here recurses, so that depth is bounded by memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..ops.registry import OpSpec


class Node:
    """One operator at work, or a variable (`op` is None); compared by identity.

    `attrs` holds the texts of the parameters as they were given and the attributes in dunder spelling. A name may be
    shared by several nodes.
    """

    __slots__ = ("__weakref__", "_param", "attrs", "inputs", "name", "op")

    def __init__(
        self, op: OpSpec | None, name: str, attrs: dict[str, str] | None = None, inputs: Sequence[Entry] = ()
    ) -> None:
        self.op = op
        self.name = name
        self.attrs = {} if attrs is None else attrs
        self.inputs = tuple(inputs)
        self._param: Any = None

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

    def set_attrs(self, attrs: dict[str, str]) -> None:
        """Add attributes, or replace those of the same name."""
        self.attrs.update(attrs)
        self._param = None

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

    def entries(self) -> tuple[Entry, ...]:
        """Every visible output."""
        count = 1 if self.op is None else len(self.op.output_names(self.param))
        return tuple(Entry(self, index) for index in range(count))


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
        stack = [(head.node, iter(head.node.inputs))]
        while stack:
            node, rest = stack[-1]
            for entry in rest:
                if entry.node not in seen:
                    seen.add(entry.node)
                    stack.append((entry.node, iter(entry.node.inputs)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order


def auxiliary(order: Iterable[Node]) -> set[Node]:
    """The variables among `order` that some operator uses as an auxiliary state."""
    return {entry.node for node in order for entry in node.aux_inputs() if entry.node.is_variable}


def split_variables(order: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """The variables in their order: arguments, and auxiliary states."""
    states = auxiliary(order)
    variables = [node for node in order if node.is_variable]
    return [node for node in variables if node not in states], [node for node in variables if node in states]


def copy_graph(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The same graph made of new nodes."""
    return replace_variables(entries, {})


def replace_variables(entries: Sequence[Entry], replacements: dict[Node, Entry]) -> tuple[Entry, ...]:
    """A copy of the graph in which those variables are the given entries, which are not copied."""
    copies: dict[Node, Node] = {}

    def moved(entry: Entry) -> Entry:
        return replacements.get(entry.node) or Entry(copies[entry.node], entry.index)

    for node in topological(entries):
        if node not in replacements:
            copies[node] = Node(node.op, node.name, dict(node.attrs), [moved(entry) for entry in node.inputs])
    return tuple(moved(entry) for entry in entries)


def surroundings(node: Node, order: Iterable[Node]) -> str:
    """Where a node is, for messages.

    >>> x = Node(None, "x")
    >>> surroundings(x, [x])
    "variable 'x' (used by nothing)"
    """
    users = [other.name for other in order if any(entry.node is node for entry in other.inputs)]
    return spell_place("" if node.op is None else node.op.name, node.name, [e.node.name for e in node.inputs], users)


def spell_place(op: str, name: str, inputs: Sequence[str], users: Sequence[str]) -> str:
    """A node by its name, operator and neighbours; "" as `op` is a variable."""
    used = f"used by {_some(users)}" if users else "used by nothing"
    if not op:
        return f"variable {name!r} ({used})"
    return f"node {name!r} (inputs {_some(inputs)}; {used})" if inputs else f"node {name!r} (no inputs; {used})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
