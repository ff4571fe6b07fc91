"""Shapes and types of everything in a graph, from those that are known: forwards and backwards until nothing changes.

An operator's rule runs again only when something that it looks at has changed, so a chain costs one run or two of each
node's rule.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import dtypes
from ..errors import DTypeError, FormatError, MXNetError, ParamError
from ..ndarray.params_file import TYPES
from ..ops.grammar import SHAPE
from ..ops.inference import read_shape, write_shape
from ..ops.merge import merge_shape, unify_types
from ..ops.refusal import refusal
from ..ops.registry import OpSpec, Shape
from ..util import is_np_shape
from .graph import Entry, Node, place, split_variables, topological

F = TypeVar("F")
Facts = dict[Entry, F]
Rule = Callable[[OpSpec, Any, Sequence[F], Sequence[F]], "tuple[Sequence[F], Sequence[F]]"]
Lists = tuple["list[Any] | None", "list[Any] | None", "list[Any] | None"]


# ---- through a graph: shapes and types in the registry's notation


def infer_shapes(entries: Sequence[Entry], known: Mapping[Node, Shape]) -> Facts[Shape]:
    """The shape of each output of each node, as far as it follows from what is known of variables.

    A variable's attribute `__shape__` fills in what `known` does not say.

    Raises: ShapeError or ParamError, naming the node and its neighbours.
    """

    def rule(op: OpSpec, param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Any:
        return op.infer_shape(param, ins, outs)

    return _complete(entries, known, _declared_shape, rule, _fill_shape, _merge_shapes)


def infer_types(entries: Sequence[Entry], known: Mapping[Node, Any]) -> Facts[Any]:
    """The NumPy type of each output of each node, likewise; the attribute is `__dtype__`.

    Raises: DTypeError or ParamError, naming the node and its neighbours.
    """

    def rule(op: OpSpec, param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> Any:
        return op.infer_type(param, ins, outs)

    return _complete(entries, known, _declared_type, rule, _fill_type, _merge_types)


def is_complete(shape: Shape) -> bool:
    """Whether nothing is unknown of a shape."""
    return shape is not None and None not in shape


def _complete(
    entries: Sequence[Entry],
    known: Mapping[Node, F],
    declared: Callable[[Node], F | None],
    rule: Rule[Any],
    fill: Callable[[Any, Any], Any],
    merge: Callable[[str, Any, Any], Any],
) -> Facts[Any]:
    order = topological(entries)
    facts: Facts[Any] = {}
    users: defaultdict[Entry, list[Node]] = defaultdict(list)
    for node in order:
        for entry in node.inputs:
            users[entry].append(node)
        for entry in node.entries():
            facts[entry] = None
        if node.is_variable:
            facts[Entry(node, 0)] = fill(known.get(node), declared(node))
    computed = [node for node in order if not node.is_variable]
    waiting = set(computed)
    while waiting:
        for node in computed:
            if node in waiting:
                waiting.discard(node)
                try:
                    waiting.update(_visit(node, facts, users, rule, merge))
                except MXNetError as error:
                    error.message = f"Error in operator {place(node, order)}: {error.message}"
                    raise
        computed.reverse()
    return facts


def _visit(
    node: Node,
    facts: Facts[Any],
    users: Mapping[Entry, Sequence[Node]],
    rule: Rule[Any],
    merge: Callable[[str, Any, Any], Any],
) -> set[Node]:
    """Apply one operator's rule; the nodes that must be looked at because of what was learnt."""
    assert node.op is not None
    outputs, names = node.entries(), node.input_names()
    if len(node.inputs) != len(names):
        got, expected = f"{len(node.inputs)} inputs", f"{len(names)}: {', '.join(names)}"
        fix = "Connect them, or mend the file that the graph comes from."
        raise refusal(ParamError, repr(node.name), got, expected, fix=fix, op=node.op.name, verb="has")
    try:
        found = rule(node.op, node.param, [facts[e] for e in node.inputs], [facts[e] for e in outputs])
    except MXNetError as error:
        error.with_context(op=node.op.name)
        raise
    changed: set[Node] = set()
    spelled = (*names, *node.op.output_names(node.param))
    for entry, name, new in zip((*node.inputs, *outputs), spelled, (*found[0], *found[1]), strict=True):
        old = facts[entry]
        if new is None or new == old:
            continue
        facts[entry] = merged = merge(name, old, new)
        if merged != old:
            changed.update(users.get(entry, ()))
            if not entry.node.is_variable:
                changed.add(entry.node)
    return changed


def _fill_shape(known: Shape, declared: Shape) -> Shape:
    if known is None or declared is None or len(known) != len(declared):
        return declared if known is None else known
    return tuple(d if k is None else k for k, d in zip(known, declared, strict=True))


def _fill_type(known: Any, declared: Any) -> Any:
    return declared if known is None else known


def _merge_shapes(name: str, old: Shape, new: tuple[int | None, ...]) -> Shape:
    return merge_shape(name, old, new)


def _merge_types(name: str, old: Any, new: Any) -> Any:
    return unify_types((name, name), (old, new))


def _declared_shape(node: Node) -> Shape:
    text = node.attrs.get("__shape__")
    if text is None:
        return None
    try:
        shape = SHAPE.read(text)
    except ValueError:
        fix = "Write a tuple such as (0, 3, 32, 32), with 0 where an extent is unknown."
        raise refusal(FormatError, "__shape__", repr(text), "a shape", fix=fix, op=f"Variable {node.name!r}") from None
    return read_shape(f"Variable {node.name!r}", "__shape__", shape)


def _declared_type(node: Node) -> Any:
    text = node.attrs.get("__dtype__", "-1")
    if text == "-1":
        return None
    try:
        return TYPES[int(text)].type
    except (ValueError, KeyError):
        fix = "Make the variable with dtype=."
        expected = f"one of the codes {', '.join(map(str, TYPES))}"
        raise refusal(FormatError, "__dtype__", repr(text), expected, fix=fix, op=f"Variable {node.name!r}") from None


# ---- what is said of variables by name


def given_shapes(op: str, entries: Sequence[Entry], shapes: Mapping[str, Any]) -> dict[Node, Shape]:
    """Shapes in MXNet's notation, tuples or lists, by the variables' names.

    Raises: ParamError, for a name that no variable has; TypeError, ShapeError.
    """
    return _match(op, "shapes", entries, (), shapes, _shape_reader(op, tuple, list))


def given_types(op: str, entries: Sequence[Entry], types: Mapping[str, Any]) -> dict[Node, Any]:
    """Types, however they are spelled, likewise. Raises: ParamError, DTypeError, TypeError."""
    return _match(op, "types", entries, (), types, _type_reader(op))


# ---- as Symbol's methods give and take them


def shape_lists(entries: Sequence[Entry], args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool) -> Lists:
    """Shapes of arguments, outputs and auxiliary states in MXNet's notation; three times None, with a warning, if
    some are unknown and `partial` is not wanted.

    Raises: TypeError, ValueError, ParamError, ShapeError.
    """
    known = _match("infer_shape", "shapes", entries, args, kwargs, _shape_reader("infer_shape", tuple))
    facts = infer_shapes(entries, known)
    lists = _lists(entries, facts, write_shape)
    if partial or all(map(is_complete, facts.values())):
        return lists
    unknown = [
        f"{node.name}: {write_shape(facts[Entry(node, 0)])}"
        for node in split_variables(topological(entries))[0]
        if not is_complete(facts[Entry(node, 0)])
    ]
    mark = "-1s" if is_np_shape() else "0s"
    _warn(f"shape for the following arguments ({mark} in shape means unknown dimensions)", unknown)
    return None, None, None


def type_lists(entries: Sequence[Entry], args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool) -> Lists:
    """NumPy types of arguments, outputs and auxiliary states, likewise.

    Raises: TypeError, ValueError, ParamError, DTypeError.
    """
    known = _match("infer_type", "types", entries, args, kwargs, _type_reader("infer_type"))
    facts = infer_types(entries, known)
    lists = _lists(entries, facts, lambda fact: fact)
    if partial or None not in facts.values():
        return lists
    unknown = [
        f"{node.name}: None" for node in split_variables(topological(entries))[0] if facts[Entry(node, 0)] is None
    ]
    _warn("type for the following arguments", unknown)
    return None, None, None


def _match(
    op: str,
    what: str,
    entries: Sequence[Entry],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    read: Callable[[str, Any], Any],
) -> dict[Node, Any]:
    """What is said of each variable: by position in the order of list_arguments, or by name."""
    if args and kwargs:
        raise ValueError(f"Can only specify known argument {what} either by positional or kwargs way.")
    order = topological(entries)
    arguments = split_variables(order)[0]
    if len(args) > len(arguments):
        got, expected = f"{len(args)} of them", f"at most {len(arguments)}"
        fix = "Pass one for each name in list_arguments(), None where it is unknown."
        raise refusal(ParamError, "positional arguments", got, expected, fix=fix, op=op, verb="are")
    known = {node: read(node.name, v) for node, v in zip(arguments, args, strict=False) if v is not None}
    variables = [node for node in order if node.is_variable]
    names = {node.name for node in variables}
    for name in kwargs:
        if name not in names:
            some = ", ".join(node.name for node in variables[:10]) + (", ..." if len(variables) > 10 else "")
            why, fix = f"Keyword argument name {name} not found. Candidate arguments: {some}", "Check the name."
            raise refusal(ParamError, name, "no variable of the graph", "one of them", why, fix=fix, op=op)
    values = {name: read(name, value) for name, value in kwargs.items() if value is not None}
    return known | {node: values[node.name] for node in variables if node.name in values}


def _shape_reader(op: str, *kinds: type) -> Callable[[str, Any], Shape]:
    def read(name: str, value: Any) -> Shape:
        if not isinstance(value, kinds):
            raise TypeError(f"Arguments need to be shapes (tuple), but {name!r} is {type(value)}.")
        return read_shape(op, name, value)

    return read


def _type_reader(op: str) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        try:
            known = dtypes.lookup(value)
            got = str(np.dtype(value)) if known is None else known.name
        except TypeError:  # what NumPy does not know
            known, got = None, f"{value!r:.60}"
        if known is not None:
            return known.numpy.type
        if got == "bool":
            return np.bool_
        expected = f"one of {', '.join(dtypes.DTYPES)}, bool"
        raise refusal(DTypeError, name, got, expected, fix="Use one of these.", op=op, verb="has dtype")

    return read


def _lists(entries: Sequence[Entry], facts: Facts[Any], write: Callable[[Any], Any]) -> Lists:
    arguments, states = split_variables(topological(entries))
    return (
        [write(facts[Entry(node, 0)]) for node in arguments],
        [write(facts[entry]) for entry in entries],
        [write(facts[Entry(node, 0)]) for node in states],
    )


def _warn(what: str, unknown: Sequence[str]) -> None:
    listed = "\n\t".join([*unknown[:10], *(["..."] if len(unknown) > 10 else [])])
    warnings.warn(f"Cannot decide {what}. Consider providing them as input:\n\t{listed}", stacklevel=4)
