"""Damaged and harmlessly altered files, drawn at random from sound ones."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

HOSTILE = (0, 1, 2, 3, 31, 33, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Lengths, counts, axes and codes that nobody means."""
MAGICS = (0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA)


# --------------------------------------------------------------------------------------------------------- any file
def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def remove(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 4, 8, 40)) :]


def double(rng: random.Random, data: bytes) -> bytes:
    at, length = rng.randrange(len(data)), rng.choice((1, 4, 8, 40))
    return data[: at + length] + data[at:]


def noise(rng: random.Random, data: bytes) -> bytes:
    at, length = rng.randrange(len(data)), rng.choice((1, 8, 100))
    return data[:at] + rng.randbytes(length) + data[at + length :]


# ----------------------------------------------------------------------------------------------------------- .params
def hostile_number(rng: random.Random, data: bytes) -> bytes:
    """Another number in the place of 4 or 8 bytes, mostly near the head."""
    form, size = rng.choice((("<I", 4), ("<Q", 8)))
    number = rng.choice((*HOSTILE, *MAGICS)) % 256**size
    at = min(rng.choice((rng.randrange(80), rng.randrange(len(data)))), len(data) - size) & ~3
    return data[:at] + struct.pack(form, number) + data[at + size :]


PARAMS_DAMAGES = (cut, flip, remove, double, noise, hostile_number, hostile_number, hostile_number)


def damaged_params(rng: random.Random, data: bytes) -> bytes:
    """The file with one damage or two."""
    for _ in range(rng.choice((1, 1, 2))):
        data = rng.choice(PARAMS_DAMAGES)(rng, data) or b"\0"
    return data


# -------------------------------------------------------------------------------------------------------------- JSON
Path = list[Any]


def _places(value: Any, path: Path) -> list[Path]:
    """The paths to everything inside a JSON value."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [[*path, key] for key in keys]
    return found + [inner for place in found for inner in _places(value[place[-1]], place)]


def _replace(rng: random.Random, graph: Any, choose: Callable[[Any], Any], wanted: type | tuple[type, ...]) -> None:
    """Put something else in the place of one of the values of a type."""
    places = [place for place in _places(graph, []) if isinstance(_at(graph, place), wanted)]
    if places:
        place = rng.choice(places)
        _at(graph, place[:-1])[place[-1]] = choose(_at(graph, place))


def _at(graph: Any, path: Path) -> Any:
    for key in path:
        graph = graph[key]
    return graph


def _number(rng: random.Random, graph: Any) -> None:
    _replace(rng, graph, lambda old: rng.choice((old + 1, old - 1, -1, 1.5, 1e300, *HOSTILE)), int)


def _other_kind(rng: random.Random, graph: Any) -> None:
    others: tuple[Any, ...] = (None, True, 0, -1, "", "x", [], {}, [[]], {"x": {}}, [0, 0, 0], {"op": "null"})
    _replace(rng, graph, lambda old: rng.choice(others), (dict, list, str, int))


def _text(rng: random.Random, graph: Any) -> None:
    texts = (
        "",
        "()",
        "9999",
        "99999999",
        "(99999999, 2)",
        "(3, 3",
        "(0, 0)",
        "(-1, 9)",
        "99999999999999999999",
        "nan",
        "é\x00\u2028",
        "Convolution",
        "x" * 50,
    )
    _replace(rng, graph, lambda old: rng.choice(texts), str)


def _drop(rng: random.Random, graph: Any) -> None:
    place = rng.choice(_places(graph, []))
    del _at(graph, place[:-1])[place[-1]]


def _forward(rng: random.Random, graph: Any) -> None:
    """An edge from a later node, or from the node itself: a circle."""
    number = rng.choice([i for i, node in enumerate(graph["nodes"]) if node["inputs"]])
    edge = rng.choice(graph["nodes"][number]["inputs"])
    edge[0] = rng.randrange(number, len(graph["nodes"]) + 1)


def _shuffle(rng: random.Random, graph: Any) -> None:
    rng.shuffle(graph["nodes"])


def _deep(rng: random.Random, graph: Any) -> None:
    _replace(rng, graph, lambda old: "@DEEP@", (dict, list, str, int))


GRAPH_DAMAGES = (_number, _number, _other_kind, _text, _drop, _forward, _shuffle, _deep)
TEXT_DAMAGES = (cut, flip, remove, double, noise)


def damaged_json(rng: random.Random, text: str) -> str:
    """The text with a damage: to its characters, or to the graph that it says."""
    if rng.random() < 0.4:
        return rng.choice(TEXT_DAMAGES)(rng, text.encode()).decode(errors="replace")
    graph = json.loads(text)
    rng.choice(GRAPH_DAMAGES)(rng, graph)
    left, right = rng.choice((("[", "]"), ('{"a":', "}"), ("[", ""), ("[[0],", "]")))
    depth = rng.choice((10, 1000, 5000))
    return json.dumps(graph, ensure_ascii=False).replace('"@DEEP@"', left * depth + "0" + right * depth)


def varied_json(rng: random.Random, text: str) -> str:
    """The same graph in other words: blanks, order of keys, optional fields, two or three numbers an edge."""
    graph = json.loads(text)
    if rng.random() < 0.5:
        graph.pop("node_row_ptr", None)
    edges = [edge for node in graph["nodes"] for edge in node["inputs"]] + graph["heads"]
    for edge in edges:
        if edge[2:] in ([], [0]) and rng.random() < 0.5:
            edge[2:] = rng.choice(([], [0]))
    for node in graph["nodes"]:
        for name in ("attrs", "attr", "param"):
            if node.get(name) and rng.random() < 0.3:
                renamed = rng.choice(
                    [other for other in ("attrs", "attr", "param") if other == name or other not in node]
                )
                node[renamed] = node.pop(name)
        if rng.random() < 0.2:
            node.setdefault("control_deps", [])
        if rng.random() < 0.2:
            node["backward_source_id"] = -1
        if rng.random() < 0.2:
            node.setdefault("attr", {})
    return _spell(rng, graph)


def _spell(rng: random.Random, value: Any) -> str:
    def blank() -> str:
        return rng.choice(("", "", " ", "\n", "\t ", "\r\n  "))

    if isinstance(value, dict):
        items = [f"{blank()}{json.dumps(k, ensure_ascii=False)}{blank()}:{_spell(rng, v)}" for k, v in value.items()]
        rng.shuffle(items)
        return f"{blank()}{{{','.join(items)}{blank()}}}{blank()}"
    if isinstance(value, list):
        return f"{blank()}[{','.join(_spell(rng, item) for item in value)}{blank()}]"
    return f"{blank()}{json.dumps(value, ensure_ascii=False)}{blank()}"
