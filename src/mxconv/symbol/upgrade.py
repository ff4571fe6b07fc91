"""Graphs that older versions of MXNet saved, brought up to date as MXNet 1.9.1 does.

before 1.9.1   `lr_mult` and the other hidden keys become `__lr_mult__`; `weight_lr_mult` of an operator becomes
               its weight's
before 0.9.0   inputs that are missing at the end (auxiliary states, or weights) are made, with the node's attributes;
               not those that a parameter counts
before 0.9.4   variables get the initializers that their operators ask for
before 0.9.5   `axis=-1` of argmax and argmin meant all axes: it is dropped
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..attribute import HIDDEN_KEYS
from .compose import missing_inputs, stamp_initializers
from .graph import Entry, Node, topological
from .json_reader import damaged

VERSION = 10901
"""The version of MXNet whose files we write: 1.9.1."""

Step = Callable[[Node], None]


def upgrade(heads: Sequence[Entry], version: int, at_node: Callable[[Node, Iterable[Node], Step], None]) -> None:
    """Bring a graph up to date, in place; `at_node` applies a step to a node."""
    for before, step in STEPS:
        if version < before:
            order = topological(heads)
            for node in order:
                at_node(node, order, step)


def _name_hidden_keys(node: Node) -> None:
    hidden = {key: text for key, text in node.attrs.items() if _hidden_key(key)}
    if not hidden:
        return
    node.replace_attrs({key: text for key, text in node.attrs.items() if key not in hidden})
    names = node.input_names()
    kept = {}
    for key, text in hidden.items():
        found = _hidden_key(key)
        owner = key[: -len(found) - 1]
        target = node.inputs[names.index(owner)].node if owner in names[: len(node.inputs)] else None
        if key == found:
            kept[f"__{key}__"] = text
        elif target is not None and target.is_variable:
            target.replace_attrs({**target.attrs, f"__{found}__": text})
        else:
            kept[key] = text
    node.replace_attrs({**node.attrs, **kept})


def _hidden_key(key: str) -> str:
    """The hidden key that a key is, or begins or ends with; "" if there is none."""
    return next((hidden for hidden in HIDDEN_KEYS if key.startswith(hidden) or key.endswith(hidden)), "")


def _add_missing_inputs(node: Node) -> None:
    names = node.input_names()[len(node.inputs) :]
    if names and node.op is not None and node.op.variadic:  # a few characters would make thousands of variables
        raise damaged(f"it has {len(node.inputs)} inputs", f"as many as {node.op.variadic} says")
    node.inputs += tuple(missing_inputs(node.name, names, node.attrs))
    node.versions += (0,) * len(names)


def _drop_axis(node: Node) -> None:
    if node.op is not None and node.op.name in ("argmax", "argmin") and node.attrs.get("axis") == "-1":
        node.replace_attrs({key: text for key, text in node.attrs.items() if key != "axis"})


STEPS: tuple[tuple[int, Step], ...] = (
    (VERSION, _name_hidden_keys),
    (900, _add_missing_inputs),
    (904, stamp_initializers),
    (905, _drop_axis),
)
