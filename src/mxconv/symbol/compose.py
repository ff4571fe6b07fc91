"""Making graphs grow: a new node of an operator, and a graph whose variables are replaced by other graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import dtypes
from ..attribute import AttrScope, stored_key
from ..errors import ParamError
from ..name import NameManager
from ..ops.faces import all_inputs
from ..ops.grammar import Null, attr_text
from ..ops.refusal import refusal
from ..ops.registry import OpSpec
from .base import SymbolBase
from .graph import Entry, Node, replace_variables, topological

TAIL = ("name", "attr", "out")
"""What every function takes after the parameters; `out` means nothing for symbols."""


def create(spec: OpSpec, hint: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The outputs of a new node, from what a function of MXNet takes: inputs, parameters, name, attr, out.

    Inputs that are missing become variables `<name>_<input>`, which have all attributes of the node. `attr` and the
    AttrScope win over parameters; `out` means nothing.

    Raises: ParamError, for parameters or inputs that the operator does not have; AssertionError, where a Symbol is
    expected; TypeError, as any function.
    """
    leading = _positional_symbols(spec, arguments) if spec.variadic else []
    given = dict(keywords) if spec.variadic else _by_name(spec, arguments, keywords)
    name, attr, _ = (given.pop(key, None) for key in TAIL)
    given |= AttrScope.current.get(attr)
    symbols = {key: value for key, value in given.items() if isinstance(value, SymbolBase)}
    attrs: dict[str, str] = {}
    for key, value in given.items():
        if key not in symbols and value is not Null:
            attrs.setdefault(stored_key(key), _text(key, value))  # the first of two spellings wins, as in MXNet
    if spec.variadic:
        attrs.setdefault(spec.variadic, str(len(leading) + len(symbols)))
    node_name = NameManager.current.get(_checked_name(name), hint.lower())
    inputs = _match(spec, node_name, leading, symbols, attrs)
    node = Node(spec, node_name, attrs, inputs)
    stamp_initializers(node)
    return node.entries()


def compose(heads: Sequence[Entry], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Entry, ...]:
    """A copy of a graph in which the variables with these names are other graphs; `name` renames its head.

    Raises: TypeError or ParamError.
    """
    given = dict(keywords)
    name = _checked_name(given.pop("name", None))
    if arguments and given:
        raise TypeError("compose only accept input Symbols either as positional or keyword arguments, not both")
    for value in (*arguments, *given.values()):
        if not isinstance(value, SymbolBase):
            raise TypeError(f"Compose expect `Symbol` as arguments, got {type(value).__name__}")
    if arguments:
        why, fix = "General composition only support kwargs for now", "Pass net(variable=symbol) with their names."
        got = f"{len(arguments)} of them"
        raise refusal(ParamError, "positional arguments", got, "keywords", why, fix=fix, op="Compose", verb="are")
    variables = [node for node in topological(heads) if node.is_variable]
    names = [node.name for node in variables]
    for key, value in given.items():
        if key not in names:
            raise _unknown_input("Compose", key, names)
        _check_single("Compose", key, value)
    replacements = {node: given[node.name].entries[0] for node in variables if node.name in given}
    entries = replace_variables(heads, replacements)
    if name and heads[0].node not in replacements:
        entries[0].node.name = name
    return entries


def stamp_initializers(node: Node) -> None:
    """Give the variables among a node's inputs the initializers that its operator asks for, unless they have one."""
    if node.op is None or not node.op.initializers:
        return
    for input_name, entry in zip(node.input_names(), node.inputs, strict=False):
        if entry.node.is_variable and input_name in node.op.initializers:
            entry.node.replace_attrs({"__init__": node.op.initializers[input_name], **entry.node.attrs})


def missing_inputs(node_name: str, names: Sequence[str], attrs: Mapping[str, str]) -> list[Entry]:
    """New variables for inputs that were not given."""
    return [Entry(Node(None, f"{node_name}_{name}" if node_name else name, attrs), 0) for name in names]


# ---- what was given


def _positional_symbols(spec: OpSpec, arguments: Sequence[Any]) -> Sequence[SymbolBase]:
    """The inputs of an operator that takes any number of them."""
    for value in arguments:
        if not isinstance(value, SymbolBase):
            raise AssertionError(f"{spec.name}: Positional arguments must be Symbol instances, but got {value!r:.60}")
    return arguments


def _by_name(spec: OpSpec, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of another operator by their names, without the inputs that are None."""
    inputs = _inputs(spec)
    places = (*inputs, *spec.signature.fields, *TAIL)
    if len(arguments) > len(places):
        raise TypeError(f"{spec.name} takes {len(places)} positional arguments at most, got {len(arguments)}")
    given = dict(zip(places, arguments, strict=False))
    for key in keywords:
        if key in given:
            raise TypeError(f"{spec.name} got two values for '{key}'")
    given |= keywords
    for key in inputs:
        value = given.get(key)
        if value is None:
            given.pop(key, None)
        elif not isinstance(value, SymbolBase):
            raise AssertionError(
                f"{spec.name}: Argument {key} must be Symbol instances, but got {value!r:.60}. Make it "
                "mx.sym.Variable(name) and bind the value."
            )
    return given


_inputs = cache(all_inputs)


# ---- texts and names


def _text(key: str, value: Any) -> str:
    """A parameter's text; a dtype's is its name, however it was given."""
    if key == "dtype" and value is not None:
        known = dtypes.lookup(value)
        return str(np.dtype(value).name) if known is None else known.name
    return attr_text(value)


def _checked_name(name: Any) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"Expect a string for `name`, got {name!r:.60}")
    return name


# ---- inputs


def _match(
    spec: OpSpec,
    node_name: str,
    leading: Sequence[SymbolBase],
    symbols: Mapping[str, SymbolBase],
    attrs: Mapping[str, str],
) -> list[Entry]:
    """One entry for each input, new variables where nothing was given."""
    names = spec.input_names(spec.parse(attrs))
    if leading and symbols:
        raise TypeError(
            f"{spec.name}: Operators with variable length input can only accept input Symbols either as positional or "
            "keyword arguments, not both"
        )
    if len(leading) > len(names):
        why = f"Incorrect number of arguments, requires {len(names)}, provided {len(leading)}"
        fix = f"Pass {', '.join(names)}."
        raise refusal(ParamError, "inputs", len(leading), len(names), why, fix=fix, op=spec.name, verb="are")
    placed = {**dict(zip(names, leading, strict=False)), **symbols}
    for name in symbols:
        if name not in names:
            raise _unknown_input(spec.name, name, names)
    entries = []
    for name in names:
        if name not in placed:
            entries += missing_inputs(node_name, [name], attrs)
            continue
        _check_single(spec.name, name, placed[name])
        (entry,) = placed[name].entries
        if name in spec.aux_names and not entry.node.is_variable:
            why, fix = "Mutation target can only be Variable", "Pass mx.sym.Variable(name)."
            raise refusal(ParamError, name, repr(placed[name]), "a variable", why, fix=fix, op=spec.name)
        entries.append(entry)
    return entries


def _check_single(op: str, name: str, symbol: SymbolBase) -> None:
    if len(symbol) != 1:
        why, fix = f"Argument {name} is a tuple, single value is required", f"Pick one output, such as {name}[0]."
        raise refusal(ParamError, name, f"{len(symbol)} outputs", "one", why, fix=fix, op=op, verb="has")


def _unknown_input(op: str, name: str, names: Sequence[str]) -> ParamError:
    candidates = " ".join(f"[{index}]{candidate}" for index, candidate in enumerate(names))
    why = f"Keyword argument name {name} not found. Candidate arguments: {candidates}"
    fix = f"Leave {name} out, or use one of these names."
    return refusal(ParamError, name, "no input", f"one of {', '.join(names)}", why, fix=fix, op=op)
