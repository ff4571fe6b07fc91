"""The order in which an executor computes a graph: what each step reads and writes, and when values are not needed
any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..ops.registry import OpSpec
from .graph import Entry, Node, topological


class Step(NamedTuple):
    """One operator at work. Values have numbers, each output of a node its own."""

    node: Node
    op: OpSpec
    param: Any
    names: tuple[str, ...]
    """What the operator calls its inputs."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    done: tuple[int, ...]
    """The values that nobody reads after this step."""


class Schedule(NamedTuple):
    """A whole graph: where the values of variables are, the steps in their order, and where the heads are then."""

    variables: dict[Node, int]
    steps: tuple[Step, ...]
    heads: tuple[int, ...]
    size: int
    """How many values there are."""


def make_schedule(entries: Sequence[Entry]) -> Schedule:
    """The schedule of a graph, in the order in which MXNet lists its nodes.

    Raises: ParamError, for an operator whose parameters are wrong.
    """
    order = topological(entries)
    places = {entry: place for place, entry in enumerate(entry for node in order for entry in node.entries())}
    heads = tuple(places[entry] for entry in entries)
    steps = []
    needed = set(heads)
    for node in reversed(order):
        if node.op is None:
            continue
        inputs = tuple(places[entry] for entry in node.inputs)
        outputs = tuple(places[entry] for entry in node.entries())
        done = tuple({*inputs, *outputs} - needed)
        needed.update(done)
        steps.append(Step(node, node.op, node.param, node.input_names(), inputs, outputs, done))
    variables = {node: places[Entry(node, 0)] for node in order if node.is_variable}
    return Schedule(variables, tuple(reversed(steps)), heads, len(places))


def differentiable(schedule: Schedule, variables: Collection[Node]) -> set[int]:
    """The values whose gradient counts for one of the variables: no loss stands between them."""
    found = {schedule.variables[node] for node in variables}
    for step in schedule.steps:
        if not step.op.is_loss and not found.isdisjoint(step.inputs):
            found.update(step.outputs)
    return found
