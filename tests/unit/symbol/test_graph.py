"""Nodes, edges and their order, without recursion."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator

import pytest

import mxconv as mx
from mxconv.symbol.graph import Entry, Node, place, replace_variables, split_variables, topological

S = mx.sym


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in nodes]


def test_order_is_depth_first_inputs_before_users() -> None:
    a, b, c = (S.Variable(name) for name in "abc")
    net = S.Group([S.elemwise_add(S.relu(b, name="r"), a, name="p"), S.elemwise_mul(c, a, name="m")])
    assert names(topological(net.entries)) == ["b", "r", "a", "p", "c", "m"]


def test_variables_used_as_states_are_no_arguments() -> None:
    net = S.BatchNorm(S.Variable("x"), name="bn")
    arguments, states = split_variables(topological(net.entries))
    assert names(arguments) == ["x", "bn_gamma", "bn_beta"]
    assert names(states) == ["bn_moving_mean", "bn_moving_var"]


def test_replacing_copies_all_but_the_replacements() -> None:
    x, y = Node(None, "x"), Node(None, "y")
    relu = S.relu(S.Variable("x")).entries[0].node
    (head,) = replace_variables([Entry(Node(relu.op, "r", {"__k__": "v"}, [Entry(x, 0)]), 0)], {x: Entry(y, 0)})
    assert head.node.inputs == (Entry(y, 0),)
    assert head.node.attrs == {"__k__": "v"}


def test_writes_to_states_are_counted() -> None:
    m = S.Variable("m")
    first = S.BatchNorm(moving_mean=m, name="a").entries[0].node
    reader = S.relu(m).entries[0].node
    second = S.BatchNorm(moving_mean=m, name="b").entries[0].node
    assert (first.versions, reader.versions, second.versions) == ((0, 0, 0, 1, 1), (1,), (0, 0, 0, 2, 1))


def test_place_names_the_neighbours() -> None:
    x = S.Variable("x")
    net = S.Group([S.relu(S.elemwise_add(x, S.Variable("y"), name="p"), name=f"r{i}") for i in range(7)])
    order = topological(net.entries)
    assert place(order[2], order) == "'p' (inputs x, y; used by r0)"
    assert place(order[0], order) == "'x' (no inputs; used by p, p, p, p, p and 2 more)"
    assert place(order[-1], order) == "'r6' (input p; used by nothing)"


@pytest.fixture
def shallow_stack() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("shallow_stack")
def test_ten_thousand_nodes_in_a_chain() -> None:
    net = S.Variable("x")
    for _ in range(10_000):
        net = net + 1
    text = net.tojson()
    assert S.load_json(text).tojson() == text
    assert copy.deepcopy(net).tojson() == pickle.loads(pickle.dumps(net)).tojson() == text
    assert len(net.get_internals()) == 10_001
    assert net.infer_shape(x=(2, 3))[1] == [(2, 3)]
    assert net.infer_type(x="float16")[1] == [mx.nd.zeros(1, dtype="float16").dtype]
    assert net(x=S.Variable("y")).list_arguments() == ["y"]
    assert net.debug_str().count("Op:") == len(net.attr_dict()) == 10_000
