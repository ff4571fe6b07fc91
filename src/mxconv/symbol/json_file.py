"""Graphs as JSON: written byte for byte as MXNet 1.9.1 does, read from every version since 0.8.

    {"nodes": [{"op": "null" or a name, "name", "attrs": {text: text}, "inputs": [[node, output, version], ...]}, ...],
     "arg_nodes": [variables], "node_row_ptr": [outputs counted up], "heads": [[node, output, version], ...],
     "attrs": {"mxnet_version": ["int", 10901]}}

Older files say `attr` or `param` instead of `attrs`, leave out the versions in edges, or the version of MXNet (then
it is 0.8.0); `upgrade` brings their graphs up to date. Beyond MXNet, any `\\u` escape is understood, and control
characters are written as such escapes. Nodes may only refer to nodes before them.
"""

from __future__ import annotations

import codecs
import difflib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from ..errors import FormatError, MXNetError
from ..files import PathName, reading, replacing
from ..ops.registry import OPERATORS, lookup
from ..util import is_np_shape
from .graph import Entry, Node, place, topological
from .json_reader import MOST_DIGITS, MOST_SHARED, SHORT, JsonReader, damaged, encoded
from .upgrade import VERSION, upgrade

Heads = tuple[Entry, ...]
V = TypeVar("V")

OLDEST = 800
"""The version of files that do not say theirs."""
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
        heads, version = _read(_utf8(stream.read()))
    return _completed(heads, version)


def load_json(text: str) -> Heads:
    """The outputs of the graph in a text.

    Raises: FormatError, saying what is wrong where; TypeError, for what is no str.
    """
    if not isinstance(text, str):
        raise TypeError(f"json_str required to be a string, got {type(text).__name__}")
    heads, version = _read(encoded(text))
    return _completed(heads, version)


def _utf8(content: bytes) -> bytes:
    """What is UTF-8; decoded in pieces, because as a whole it may take four times as much."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 2**16
    for begin in range(0, len(content), step):
        left_over = len(decoder.getstate()[0])
        try:
            decoder.decode(content[begin : begin + step], final=begin + step >= len(content))
        except UnicodeDecodeError as error:
            raise damaged(f"byte {begin - left_over + error.start} is not UTF-8", "a symbol's JSON") from None
    return content


# What a field must be, and whether it must be there.
GRAPH_FIELDS = {
    "nodes": (list, True),
    "arg_nodes": (list, True),
    "heads": (list, True),
    "node_row_ptr": (list, False),
    "attrs": (dict, False),
}
NODE_FIELDS = {
    "op": (str, True),
    "name": (str, True),
    "inputs": (list, True),
    "attrs": (dict, False),
    "attr": (dict, False),
    "param": (dict, False),
    "control_deps": (list, False),
    "subgraphs": (list, False),
    "backward_source_id": (int, False),
}
ATTRIBUTE_FIELDS = ("param", "attrs", "attr")
"""Of two that have the same key, the later field wins."""


def _pattern(form: str) -> re.Pattern[bytes]:
    """Numbers of MOST_DIGITS at most stand for N, and any blanks for a blank."""
    number = f"(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})"
    return re.compile(form.replace("N", number).replace(" ", "[ \\t\\n\\r]*").encode())


_EDGE = _pattern(r"\[ N , N (?:, N )?\]")
_VERSION = _pattern(r'\[ "int" , N \]')


def _read(content: bytes) -> tuple[Heads, int]:
    """The graph as it is written, and the version of MXNet that wrote it."""
    reader = JsonReader(content)
    version = OLDEST
    for name in _fields(reader, "the graph", GRAPH_FIELDS):
        if name == "nodes":
            firsts = _read_nodes(reader)
        elif name == "attrs":
            version = _read_version(reader)
        else:
            if name == "heads":
                heads_at = reader.at
            reader.skip()
    reader.finish()
    reader.at = heads_at
    found = []
    for source, index, state in _edges(reader, "heads", len(firsts)):
        firsts[source].node.version = state
        found.append(_entry(firsts, source, index))
    return tuple(found), version  # what leads to no head is dropped, as in MXNet


def _completed(heads: Heads, version: int) -> Heads:
    """The graph brought up to date and checked."""
    upgrade(heads, version, at_node)
    order = topological(heads)
    several: dict[Node, int] = {}
    for node in order:
        at_node(node, order, _check_node)
        count = node.count_outputs()
        if count != 1:
            several[node] = count
    for entry in chain(heads, (entry for node in order for entry in node.inputs)):
        last = several.get(entry.node, 1) - 1
        if entry.index > last:
            found = f"output {entry.index} of node {entry.node.name!r:.60} is referred to"
            raise damaged(found, f"0 to {last}")
    return heads


def _fields(reader: JsonReader, where: str, fields: Mapping[str, tuple[type, bool]]) -> Iterator[str]:
    """The fields of an object, each of its type; the caller takes each value before it asks for the next."""
    if reader.kind() is not dict:
        raise damaged(f"{where} is {reader.shown():.60}", "an object {...}")
    missing = [name for name, (_, is_needed) in fields.items() if is_needed]
    for name in reader.members():
        if name not in fields:
            raise damaged(f"Unknown field {name!r:.60} in {where}", f"one of {', '.join(fields)}")
        kind, _ = fields[name]
        if reader.kind() is not kind:
            raise damaged(f"{name} in {where} is {reader.shown():.60}", f"a JSON {kind.__name__}")
        if name in missing:
            missing.remove(name)
        yield name
    if missing:
        raise damaged(f'Missing field "{missing[0]}" in {where}', "it to be there")


def _read_version(reader: JsonReader) -> int:
    version = OLDEST
    for name in reader.members():
        if name != "mxnet_version":
            reader.skip()
            continue
        begin = reader.at
        found = reader.match(_VERSION)
        if found is None or int(found[1]) >= 10**9:
            reader.at = begin
            raise damaged(f"mxnet_version is {reader.shown():.60}", f'["int", {VERSION}]')
        version = int(found[1])
    if version > VERSION:
        logging.getLogger(__name__).warning(
            "loading a symbol saved by MXNet %d.%d.%d, newer than 1.9.1, whose operators are known here",
            version // 10000, version // 100 % 100, version % 100,
        )  # fmt: skip
    return version


def _edges(reader: JsonReader, where: str, limit: int) -> Iterator[tuple[int, int, int]]:
    """Edges as (node, output, version); they refer to one of `limit` nodes."""
    for _ in reader.elements():
        edge = reader.match(_EDGE)
        if edge is None:
            raise damaged(f"{where}: invalid json format, an edge is {reader.shown():.60}", "[node, output, version]")
        source = int(edge[1])
        if source >= limit:
            raise damaged(f"{where}: an edge comes from node {source}", f"one of the {limit} before")
        yield source, int(edge[2]), int(edge[3] or 0)


def _entry(firsts: Sequence[Entry], source: int, index: int) -> Entry:
    return firsts[source] if index == 0 else Entry(firsts[source].node, index)


def _read_nodes(reader: JsonReader) -> list[Entry]:
    """The first output of each node, which all its users share."""
    firsts: list[Entry] = []
    equal_attrs: dict[Any, Mapping[str, str]] = {}
    equal_versions: dict[Any, tuple[int, ...]] = {}
    unknown = None
    for n, _ in enumerate(reader.elements()):
        op_name, node = _read_node(reader, n, firsts)
        if len(node.attrs) <= SHORT:
            node.attrs = _share(equal_attrs, tuple(node.attrs.items()), node.attrs)
        node.versions = _share(equal_versions, node.versions, node.versions)
        if node.op is None and op_name != "null" and unknown is None:
            unknown = op_name, node
        firsts.append(Entry(node, 0))
    if unknown:
        op_name, node = unknown
        raise _unknown_operator(op_name, place(node, [first.node for first in firsts]))
    return firsts


def _share(known: dict[Any, V], key: tuple[Any, ...], value: V) -> V:
    """What is known of that key, or the value: short ones that are equal become one object."""
    if len(known) < MOST_SHARED and len(key) <= SHORT:
        return known.setdefault(key, value)
    return known.get(key, value)


def _read_node(reader: JsonReader, n: int, firsts: Sequence[Entry]) -> tuple[str, Node]:
    """A node and its operator's name; one whose operator is not known has none."""
    attrs: dict[str, dict[str, str]] = {}
    has_subgraphs = False
    for field in _fields(reader, f"node {n}", NODE_FIELDS):
        if field == "op":
            op_name = reader.string(share=True)
        elif field == "name":
            name = reader.string()
        elif field in ATTRIBUTE_FIELDS:
            attrs[field] = _read_attributes(reader, n)
        elif field == "subgraphs":
            for _ in reader.elements():
                has_subgraphs = True
                reader.skip()
        else:
            if field == "inputs":
                inputs_at = reader.at
            reader.skip()
    end, reader.at = reader.at, inputs_at
    inputs, versions = _read_inputs(reader, f"inputs of node {n}, {name!r:.60}", firsts)
    reader.at = end
    if has_subgraphs:
        raise damaged(f"node {n}, {name!r:.60}, contains subgraphs", "none: such operators are not there")
    if op_name == "null" and inputs:
        raise damaged(f"variable {name!r:.60} has {len(inputs)} inputs", "none")
    op = None if op_name == "null" else lookup(op_name)
    given = [attrs[field] for field in ATTRIBUTE_FIELDS if field in attrs]
    merged = given[0] if len(given) == 1 else {key: text for one in given for key, text in one.items()}
    return op_name, Node(op, name, merged, inputs, versions)


def _read_inputs(reader: JsonReader, where: str, firsts: Sequence[Entry]) -> tuple[list[Entry], list[int]]:
    inputs: list[Entry] = []
    versions = []
    for source, index, version in _edges(reader, where, len(firsts)):
        if len(inputs) == MOST_COUNTED:
            raise damaged(f"{where}: there are more than {MOST_COUNTED}", "fewer")
        inputs.append(_entry(firsts, source, index))
        versions.append(version)
    return inputs, versions


def _read_attributes(reader: JsonReader, n: int) -> dict[str, str]:
    attrs = {}
    for key in reader.members():
        if reader.kind() is not str:
            raise damaged(f"attribute {key!r:.60} of node {n} is {reader.shown():.60}", "a string")
        text = attrs[key] = reader.string(share=True)
        if key in COUNTS and len(text.strip().lstrip("+0")) >= len(str(MOST_COUNTED)):
            raise damaged(f"{key} of node {n} is {text!r:.60}", f"less than {MOST_COUNTED}")
    return attrs


def at_node(node: Node, order: Iterable[Node], action: Callable[[Node], None]) -> None:
    """Do something to a node; what goes wrong names the node and its neighbours."""
    try:
        action(node)
    except MXNetError as error:
        raise FormatError(
            f"node {place(node, order)}: {error.message}", op="" if node.op is None else node.op.name,
            argument=error.argument, got=error.got, expected=error.expected, fix=error.fix,
        ) from error  # fmt: skip


def _check_node(node: Node) -> None:
    """Its parameters can be read, it has not more inputs than its operator takes, and its states are variables."""
    wanted = node.input_names()
    if len(node.inputs) > len(wanted):
        raise damaged(f"it has {len(node.inputs)} inputs", f"{len(wanted)}: {', '.join(wanted)}")
    for state, _ in node.aux_inputs():
        if not state.is_variable:
            raise damaged(f"it writes to {state.name!r:.60}", "a variable there: it is an auxiliary state")


def _unknown_operator(op: str, where: str) -> FormatError:
    close = difflib.get_close_matches(op[:40], OPERATORS, n=1)
    return FormatError(
        f"Unknown operator {op:.60} in node {where}: Operator {op:.60} is not registered, expected one that mx.sym has",
        op="load_json", argument="op", got=op, expected="a registered operator",
        fix=f"Was it meant to be {close[0]}?" if close else "Leave the part of the network out that needs it.",
    )  # fmt: skip
