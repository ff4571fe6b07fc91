"""Graphs as JSON: written byte for byte as MXNet 1.9.1 does, read from every version since 0.8.

    {"nodes": [{"op": "null" or a name, "name", "attrs": {text: text}, "inputs": [[node, output, version], ...]}, ...],
     "arg_nodes": [variables], "node_row_ptr": [outputs counted up], "heads": [[node, output, version], ...],
     "attrs": {"mxnet_version": ["int", 10901]}}

Older files say `attr` or `param` instead of `attrs`, leave out the versions in edges, or the version of MXNet (then
it is 0.8.0); `upgrade` brings their graphs up to date. Beyond MXNet, any `\\u` escape is understood, and control
characters are written as such escapes. Nodes may only refer to nodes before them.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import FormatError, MXNetError
from ..files import PathName, reading, replacing
from ..ops.registry import OPERATORS, lookup
from ..util import is_np_shape
from .graph import Entry, Node, spell_place, topological
from .upgrade import VERSION, upgrade

Heads = tuple[Entry, ...]

OLDEST = 800
"""The version of files that do not say theirs."""
MOST_DIGITS = 18
DEEPEST = 16
"""Graphs have brackets five deep."""
COUNTS = ("num_args", "num_outputs")
MOST_COUNTED = 10_000
"""A larger number of inputs or outputs is taken for damage."""


# ---- writing


def tojson(entries: Sequence[Entry]) -> str:
    """The text of a graph, without a newline at its end.

    >>> tojson([Entry(Node(None, "x"), 0)]).splitlines()[-2:]
    ['  "attrs": {"mxnet_version": ["int", 10901]}', '}']
    """
    order = topological(entries)
    number = {node: n for n, node in enumerate(order)}
    outputs = [0]
    for node in order:
        outputs.append(outputs[-1] + _counted_outputs(node))
    attrs = {"is_np_shape": '["int", 1]'} if is_np_shape() else {}
    attrs["mxnet_version"] = f'["int", {VERSION}]'
    return _lines(
        "{}",
        [
            '"nodes": ' + _lines("[]", [_node_text(node, number) for node in order], "  "),
            '"arg_nodes": ' + _array([str(number[node]) for node in order if node.is_variable], "  "),
            '"node_row_ptr": ' + _array([str(n) for n in outputs], "  "),
            '"heads": ' + _array([f"[{number[node]}, {index}, {node.version}]" for node, index in entries], "  "),
            '"attrs": ' + _object(attrs, "  "),
        ],
        "",
    )


def save(fname: PathName, entries: Sequence[Entry]) -> None:
    """Write a graph to a file; what was there is replaced when the new one is complete, not before.

    Raises: MXNetError, if it cannot be written; TypeError, for what is no path.
    """
    with replacing(fname) as stream:
        stream.write(tojson(entries).encode())


def _counted_outputs(node: Node) -> int:
    """How many outputs MXNet counts, its hidden ones too."""
    if node.op is None:
        return 1
    return len(node.output_names()) if node.op.counted_outputs is None else node.op.counted_outputs(node.param)


def _node_text(node: Node, number: Mapping[Node, int]) -> str:
    edges = [
        f"[{number[entry.node]}, {entry.index}, {version}]"
        for entry, version in zip(node.inputs, node.versions, strict=True)
    ]
    fields = [
        f'"op": {_string("null" if node.op is None else node.op.name)}',
        f'"name": {_string(node.name)}',
        f'"inputs": {_array(edges, "      ")}',
    ]
    if node.attrs:
        attrs = {key: _string(value) for key, value in sorted(node.attrs.items(), key=lambda item: item[0].encode())}
        fields.insert(2, f'"attrs": {_object(attrs, "      ")}')
    return _lines("{}", fields, "    ")


def _lines(brackets: str, items: Sequence[str], indent: str) -> str:
    if not items:
        return brackets
    separator = f", \n{indent}  "
    return f"{brackets[0]}\n{indent}  {separator.join(items)}\n{indent}{brackets[1]}"


def _array(items: Sequence[str], indent: str) -> str:
    """Ten items are on one line, more on as many lines."""
    return _lines("[]", items, indent) if len(items) > 10 else f"[{', '.join(items)}]"


def _object(items: Mapping[str, str], indent: str) -> str:
    texts = [f"{_string(key)}: {value}" for key, value in items.items()]
    return _lines("{}", texts, indent) if len(texts) > 1 else f"{{{''.join(texts)}}}"


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _string(text: str) -> str:
    escaped = re.sub(r'[\\"\x00-\x1f\ud800-\udfff]', lambda m: _ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", text)
    return f'"{escaped}"'


# ---- reading


def load(fname: PathName) -> Heads:
    """The outputs of the graph in a file.

    Raises: FormatError, for a damaged one; MXNetError, if there is none; TypeError, for what is no path.
    """
    with reading(fname) as stream:
        content = stream.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _damaged(f"byte {error.start} is not UTF-8", "a symbol's JSON") from None
    return load_json(text)


def load_json(text: str) -> Heads:
    """The outputs of the graph in a text.

    Raises: FormatError, saying what is wrong where; TypeError, for what is no str.
    """
    if not isinstance(text, str):
        raise TypeError(f"json_str required to be a string, got {type(text).__name__}")
    graph = _fields("the graph", _parse(text), GRAPH_FIELDS)
    version = _version(graph["attrs"])
    nodes = _make_nodes(graph["nodes"])
    edges = _edges("heads", graph["heads"], len(nodes))
    for source, _, state in edges:
        nodes[source].version = state
    heads = tuple(Entry(nodes[source], index) for source, index, _ in edges)
    upgrade(heads, version, at_node)
    order = topological(heads)  # what leads to no head is dropped, as in MXNet
    for node in order:
        at_node(node, order, _check_node)
    last = {node: node.count_outputs() - 1 for node in order}
    for entry in (*heads, *(entry for node in last for entry in node.inputs)):
        if entry.index > last[entry.node]:
            found = f"output {entry.index} of node {entry.node.name!r:.60} is referred to"
            raise _damaged(found, f"0 to {last[entry.node]}")
    return heads


def _parse(text: str) -> Any:
    def digits(word: str) -> int:
        if len(word) > MOST_DIGITS:
            raise ValueError(f"a number of {len(word)} digits")
        return int(word)

    def constant(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    _check_depth(text)
    try:
        return json.loads(text, strict=False, parse_int=digits, parse_constant=constant)
    except ValueError as error:
        raise _damaged(f"the text is no JSON ({error})", "a complete symbol's JSON") from None


def _check_depth(text: str) -> None:
    """Refuse deep nesting, at which Python's parser would recurse; beyond a raised recursion limit it crashes."""
    outside_strings = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    brackets = re.sub(r"[^][{}]+", "", outside_strings)
    for _ in range(DEEPEST):
        brackets = brackets.replace("[]", "").replace("{}", "")
    if brackets.count("[") + brackets.count("{") > DEEPEST:
        raise _damaged("the text is nested too deeply", "a symbol's JSON")


# What a field must be, and what stands for it where it is missing; Ellipsis: it must not be.
GRAPH_FIELDS = {
    "nodes": (list, ...),
    "arg_nodes": (list, ...),
    "heads": (list, ...),
    "node_row_ptr": (list, ()),
    "attrs": (dict, {}),
}
NODE_FIELDS = {
    "op": (str, ...),
    "name": (str, ...),
    "inputs": (list, ...),
    "attrs": (dict, {}),
    "attr": (dict, {}),
    "param": (dict, {}),
    "control_deps": (list, ()),
    "subgraphs": (list, ()),
    "backward_source_id": (int, -1),
}


def _fields(where: str, value: Any, fields: Mapping[str, tuple[type, Any]]) -> dict[str, Any]:
    """The fields of a JSON object, each of its type."""
    if not isinstance(value, dict):
        raise _damaged(f"{where} is {value!r:.60}", "an object {...}")
    for name in value:
        if name not in fields:
            raise _damaged(f"Unknown field {name!r:.60} in {where}", f"one of {', '.join(fields)}")
    found = {}
    for name, (kind, default) in fields.items():
        found[name] = value.get(name, default)
        if found[name] is ...:
            raise _damaged(f'Missing field "{name}" in {where}', "it to be there")
        if name in value and type(value[name]) is not kind:
            raise _damaged(f"{name} in {where} is {value[name]!r:.60}", f"a JSON {kind.__name__}")
    return found


def _version(attrs: Mapping[str, Any]) -> int:
    if "mxnet_version" not in attrs:
        return OLDEST
    match attrs["mxnet_version"]:
        case ["int", int(version)] if 0 <= version < 10**9:
            pass
        case other:
            raise _damaged(f"mxnet_version is {other!r:.60}", f'["int", {VERSION}]')
    if version > VERSION:
        logging.getLogger(__name__).warning(
            "loading a symbol saved by MXNet %d.%d.%d, newer than 1.9.1, whose operators are known here",
            version // 10000, version // 100 % 100, version % 100,
        )  # fmt: skip
    return int(version)


def _edges(where: str, edges: Sequence[Any], limit: int) -> list[tuple[int, int, int]]:
    """Edges as (node, output, version); they refer to one of `limit` nodes."""
    found = []
    for edge in edges:
        if type(edge) is not list or len(edge) not in (2, 3) or any(type(n) is not int or n < 0 for n in edge):
            raise _damaged(f"{where}: invalid json format, an edge is {edge!r:.60}", "[node, output, version]")
        if edge[0] >= limit:
            raise _damaged(f"{where}: an edge comes from node {edge[0]}", f"one of the {limit} before")
        found.append((edge[0], edge[1], edge[2] if len(edge) == 3 else 0))
    return found


def _make_nodes(descriptions: Sequence[Any]) -> list[Node]:
    fields = [_fields(f"node {n}", value, NODE_FIELDS) for n, value in enumerate(descriptions)]
    names = [one["name"] for one in fields]
    nodes: list[Node] = []
    for n, one in enumerate(fields):
        edges = _edges(f"inputs of node {n}, {names[n]!r:.60}", one["inputs"], n)
        if one["subgraphs"]:
            raise _damaged(f"node {n}, {names[n]!r:.60}, contains subgraphs", "none: such operators are not there")
        op = None
        if one["op"] != "null":
            op = lookup(one["op"])
            if op is None:
                users = [names[user] for user, other in enumerate(fields) if _uses(other, n)]
                where = spell_place(names[n], [names[source] for source, _, _ in edges], users)
                raise _unknown_operator(one["op"], where)
        elif edges:
            raise _damaged(f"variable {names[n]!r:.60} has {len(edges)} inputs", "none")
        inputs = [Entry(nodes[source], index) for source, index, _ in edges]
        nodes.append(Node(op, names[n], _attributes(n, one), inputs, [version for _, _, version in edges]))
    return nodes


def _attributes(n: int, fields: Mapping[str, Any]) -> dict[str, str]:
    merged: dict[str, str] = fields["param"] | fields["attrs"] | fields["attr"]
    for key, value in merged.items():
        if type(value) is not str:
            raise _damaged(f"attribute {key!r:.60} of node {n} is {value!r:.60}", "a string")
        if key in COUNTS and len(value.strip().lstrip("+0")) >= len(str(MOST_COUNTED)):
            raise _damaged(f"{key} of node {n} is {value!r:.60}", f"less than {MOST_COUNTED}")
    return merged


def _uses(fields: Mapping[str, Any], n: int) -> bool:
    return any(isinstance(edge, list) and edge[:1] == [n] for edge in fields["inputs"])


def at_node(node: Node, order: Iterable[Node], action: Callable[[Node], None]) -> None:
    """Do something to a node; what goes wrong names the node and its neighbours."""
    try:
        action(node)
    except MXNetError as error:
        users = [other.name for other in order if any(entry.node is node for entry in other.inputs)]
        where = spell_place(node.name, [entry.node.name for entry in node.inputs], users)
        raise FormatError(
            f"node {where}: {error.message}", op="" if node.op is None else node.op.name,
            argument=error.argument, got=error.got, expected=error.expected, fix=error.fix,
        ) from error  # fmt: skip


def _check_node(node: Node) -> None:
    """Its parameters can be read, it has not more inputs than its operator takes, and its states are variables."""
    wanted = node.input_names()
    if len(node.inputs) > len(wanted):
        raise _damaged(f"it has {len(node.inputs)} inputs", f"{len(wanted)}: {', '.join(wanted)}")
    for state, _ in node.aux_inputs():
        if not state.is_variable:
            raise _damaged(f"it writes to {state.name!r:.60}", "a variable there: it is an auxiliary state")


def _damaged(found: str, expected: str) -> FormatError:
    return FormatError(
        f"{found}, expected {expected}", op="load_json", argument="json", got=found, expected=expected,
        fix="Take an undamaged copy of the file.",
    )  # fmt: skip


def _unknown_operator(op: str, where: str) -> FormatError:
    close = difflib.get_close_matches(op[:40], OPERATORS, n=1)
    return FormatError(
        f"Unknown operator {op:.60} in node {where}: Operator {op:.60} is not registered, expected one that mx.sym has",
        op="load_json", argument="op", got=op, expected="a registered operator",
        fix=f"Was it meant to be {close[0]}?" if close else "Leave the part of the network out that needs it.",
    )  # fmt: skip
