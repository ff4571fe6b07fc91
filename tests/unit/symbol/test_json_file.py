"""Reading and writing graphs: what is tolerated, what is refused and how; what MXNet writes is in tests/golden."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import mxconv as mx

S = mx.sym
NET = S.relu(S.Convolution(S.Variable("x"), kernel=(3, 3), num_filter=2, name="c"), name="r")
TEXT = NET.tojson()
Graph = dict[str, Any]


def changed(change: Callable[[Graph], Any]) -> str:
    """The graph with a change to its JSON."""
    graph = json.loads(TEXT)
    change(graph)
    return json.dumps(graph)


# ---- what is tolerated


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(TEXT)),
        json.dumps(json.loads(TEXT), separators=(",", ":"), sort_keys=True),
        "\n\t " + TEXT.replace("\n", " \r\n\t") + "\r\n",
        changed(lambda g: g.pop("node_row_ptr")),
        changed(lambda g: g.update(node_row_ptr=[7], arg_nodes=[])),
        changed(lambda g: [node.update(control_deps=[], subgraphs=[], backward_source_id=-1) for node in g["nodes"]]),
        changed(lambda g: [node.update(inputs=[edge[:2] for edge in node["inputs"]]) for node in g["nodes"]]),
        changed(lambda g: g.update(heads=[[4, 0]])),
        changed(lambda g: g["attrs"].update(another=["str", "x"])),
        changed(lambda g: g["nodes"][3].update(param=g["nodes"][3]["attrs"] | {"kernel": "(9, 9)"})),
        changed(lambda g: g["nodes"].append({"op": "null", "name": "unused", "inputs": []})),
    ],
)
def test_other_forms_of_the_same_graph(text: str) -> None:
    assert S.load_json(text).tojson() == TEXT


def test_attributes_of_all_three_fields_are_brought_together() -> None:
    def split(graph: Graph) -> None:
        node = graph["nodes"][3]
        node["param"], node["attr"] = {"kernel": "(3, 3)"}, {"__k__": "v"}
        node["attrs"].pop("kernel")

    assert S.load_json(changed(split)).get_internals()["c_output"].list_attr() == {
        "kernel": "(3, 3)", "num_filter": "2", "__k__": "v"
    }  # fmt: skip


def test_aliases_become_the_operator() -> None:
    for name in ("_PlusScalar", "_plus_scalar"):
        net = S.load_json((S.Variable("x") + 1).tojson().replace('"_plus_scalar"', f'"{name}"'))
        assert '"op": "_plus_scalar"' in net.tojson()


def test_escapes_and_control_characters() -> None:
    name = 'é中\u2028"\\\n\t\r\b\x01\ud800/'
    text = S.Variable(name).tojson()
    assert json.loads(text)["nodes"][0]["name"] == name
    assert '"é中\u2028\\"\\\\\\n\\t\\r\\u0008\\u0001\\ud800/"' in text
    assert S.load_json(text).name == name
    assert S.load_json(TEXT.replace('"x"', '"\\u00e9\x01\\/"')).list_arguments()[0] == "é\x01/"


def test_np_shape_is_noted() -> None:
    with mx.util.np_shape(True):
        text = NET.tojson()
    assert text.endswith('"attrs": {\n    "is_np_shape": ["int", 1], \n    "mxnet_version": ["int", 10901]\n  }\n}')
    assert S.load_json(text).tojson() == TEXT


def test_newer_versions_are_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    assert S.load_json(TEXT.replace("10901", "20103")).tojson() == TEXT
    assert "saved by MXNet 2.1.3" in caplog.text


# ---- what is refused


def edit(place: str, value: Any) -> str:
    """The graph with another value at a place such as "nodes.3.op"."""

    def change(graph: Graph) -> None:
        *path, last = [int(key) if key.isdigit() else key for key in place.split(".")]
        target: Any = graph
        for key in path:
            target = target[key]
        target[last] = value

    return changed(change)


REFUSED = {
    "truncated": (TEXT[:200], "no JSON .*expected a complete symbol's JSON"),
    "empty": ("", "no JSON"),
    "garbage after": (TEXT + "x", "no JSON"),
    "a list": ("[]", r"the graph is \[\], expected an object"),
    "not a number": (edit("heads", "@").replace('"@"', "NaN"), "NaN is no JSON"),
    "long number": (edit("heads.0.0", 10**400), "a number of 401 digits"),
    "nesting": ("[" * 100_000, "nested too deeply"),
    "nesting with strings": ('["\\\\", "[", "\\"]", ' * 30, "nested too deeply"),
    "nesting inside": (edit("heads", "@").replace('"@"', '{"a":' * 50_000), "nested too deeply"),
    "unknown field": (changed(lambda g: g.update(foo=1)), "Unknown field 'foo' in the graph"),
    "unknown node field": (edit("nodes.1.foo", 1), "Unknown field 'foo' in node 1"),
    "no nodes": (changed(lambda g: g.pop("nodes")), 'Missing field "nodes" in the graph'),
    "no heads": (changed(lambda g: g.pop("heads")), 'Missing field "heads"'),
    "no arg_nodes": (changed(lambda g: g.pop("arg_nodes")), 'Missing field "arg_nodes"'),
    "no name": (changed(lambda g: g["nodes"][1].pop("name")), 'Missing field "name" in node 1'),
    "nodes null": (edit("nodes", None), "nodes in the graph is None, expected a JSON list"),
    "node null": (edit("nodes.2", None), "node 2 is None, expected an object"),
    "name number": (edit("nodes.0.name", 3), "name in node 0 is 3, expected a JSON str"),
    "attribute number": (edit("nodes.3.attrs.kernel", 3), "attribute 'kernel' of node 3 is 3, expected a string"),
    "edge of one": (edit("heads", [[4]]), "heads: invalid json format, an edge is"),
    "edge of four": (edit("heads", [[4, 0, 0, 0]]), "invalid json format"),
    "edge of text": (edit("heads", [["4", 0, 0]]), "invalid json format"),
    "edge of floats": (edit("heads", [[4.0, 0, 0]]), "invalid json format"),
    "edge of truth": (edit("heads", [[True, 0, 0]]), "invalid json format"),
    "negative edge": (edit("heads", [[-1, 0, 0]]), "invalid json format"),
    "head beyond": (edit("heads", [[5, 0, 0]]), "heads: an edge comes from node 5, expected one of the 5 before"),
    "output beyond": (edit("heads", [[4, 1, 0]]), "output 1 of node 'r' is referred to, expected 0 to 0"),
    "forward reference": (edit("nodes.3.inputs.0", [4, 0, 0]), "inputs of node 3, 'c': an edge comes from node 4"),
    "reference to itself": (edit("nodes.3.inputs.0", [3, 0, 0]), "an edge comes from node 3, expected one of the 3"),
    "variable with inputs": (edit("nodes.1.inputs", [[0, 0, 0]]), "variable 'c_weight' has 1 inputs"),
    "too many inputs": (edit("nodes.4.inputs", [[3, 0, 0]] * 2), r"node 'r' .*it has 2 inputs, expected 1: data"),
    "subgraphs": (edit("nodes.4.subgraphs", [{}]), "node 4, 'r', contains subgraphs"),
    "version": (edit("attrs.mxnet_version", 10901), "mxnet_version is 10901"),
    "parameter": (
        edit("nodes.3.attrs.kernel", "(3, x)"),
        r"Convolution: node 'c' \(inputs x, c_weight, c_bias; used by r\): .*Invalid Parameter format for kernel",
    ),
    "unknown parameter": (edit("nodes.3.attrs.foo", "1"), "Cannot find argument 'foo'"),
    "unknown operator": (
        edit("nodes.3.op", "Convolutio"),
        r"Unknown operator Convolutio in node 'c' \(inputs x, c_weight, c_bias; used by r\): "
        r"Operator Convolutio is not registered.*meant to be Convolution\?",
    ),
    "a state that is computed": (
        S.BatchNorm(S.relu(S.Variable("x"), name="r"), name="b").tojson().replace("[4, 0, 1]", "[1, 0, 1]"),
        r"node 'b' .*it writes to 'r', expected a variable there",
    ),
    "hostile count": (
        S.SliceChannel(S.Variable("x"), num_outputs=3).tojson().replace('"3"', '"4294967295"'),
        "num_outputs of node 1 is '4294967295', expected less than 10000",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_damage_is_explained(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(mx.FormatError, match=re.compile(message, re.DOTALL)) as caught:
        S.load_json(text)
    assert caught.value.fix


def test_deep_nesting_does_not_crash_where_recursion_is_not_limited() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**8)
    try:
        for text in ("[" * 10**6, '{"attrs":{"":' * 10**6, '[1,{"]":' * 10**6):
            with pytest.raises(mx.FormatError, match="nested too deeply"):
                S.load_json(text)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_strings_are_none() -> None:
    name = '[{"\\' * 100
    assert S.load_json(S.Variable(name).tojson()).name == name


def test_many_outputs_are_named_once() -> None:
    net = S.SliceChannel(S.Variable("x"), num_outputs=9999, name="s")
    begin = time.process_time()
    assert S.load_json(S.Group([net, net]).tojson()).list_outputs()[-1] == "s_output9998"
    assert time.process_time() - begin < 5


def test_other_graphs_survive_or_are_refused() -> None:
    """A taste of the large test of damaged files."""
    rng = random.Random(1)
    begin = time.process_time()
    loaded = 0
    for _ in range(1000):
        data = bytearray(TEXT.encode())
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
        try:
            S.load_json(data.decode("utf-8", "surrogateescape")).tojson()
            loaded += 1
        except mx.FormatError:
            pass
    assert 0 < loaded < 1000  # a name may change
    assert time.process_time() - begin < 20
