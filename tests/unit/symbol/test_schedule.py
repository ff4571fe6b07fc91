"""Schedules: every value is forgotten once, after its last reader; what losses cut off has no gradient."""

from __future__ import annotations

from typing import Any

import pytest

from mxconv import sym
from mxconv.symbol.schedule import Schedule, differentiable, make_schedule


def network() -> Any:
    x = sym.Variable("x")
    parts = sym.SliceChannel(x * x, num_outputs=3, name="parts")
    return sym.Group([sym.exp(parts[0], name="e") + parts[1], x, sym.BlockGrad(parts[0], name="blocked")])


def names(schedule: Schedule, values: Any) -> set[str]:
    found = {value: node.name for node, value in schedule.variables.items()}
    for step in schedule.steps:
        found.update(zip(step.outputs, step.node.output_names(), strict=True))
    return {found[value] for value in values}


@pytest.mark.parametrize("make", [network, lambda: sym.Variable("x"), lambda: sym.Group([network(), network()])])
def test_values_are_there_while_they_are_read_and_no_longer(make: Any) -> None:
    schedule = make_schedule(make().entries)
    alive = set(schedule.variables.values())
    forgotten: set[int] = set()
    for step in schedule.steps:
        assert alive.issuperset(step.inputs)
        assert not {*alive, *forgotten} & set(step.outputs)
        alive.update(step.outputs)
        assert alive.issuperset(step.done)
        alive.difference_update(step.done)
        forgotten.update(step.done)
    assert alive == set(schedule.heads)
    assert alive | forgotten == set(range(schedule.size))


def test_an_output_that_nobody_reads_is_forgotten_at_once() -> None:
    schedule = make_schedule(network().entries)
    (step,) = (step for step in schedule.steps if step.node.name == "parts")
    assert step.outputs[2] in step.done
    assert not {step.outputs[0], step.outputs[1]} & set(step.done)


def test_gradients_do_not_go_through_losses() -> None:
    schedule = make_schedule(network().entries)
    (x,) = schedule.variables
    assert differentiable(schedule, []) == set()
    assert names(schedule, set(range(schedule.size)) - differentiable(schedule, [x])) == {"blocked_output"}
