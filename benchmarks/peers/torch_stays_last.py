"""PyTorch on tensors that are channels_last and stay so, as in a network that trains: no conversion is in the clock."""

from __future__ import annotations

from harness.peer import Prepared, Problem, Refusal

from ._torch import prepare_in, start

__all__ = ["prepare", "start"]


def prepare(problem: Problem, constants: dict) -> Prepared:
    if problem.rank == 1:
        raise Refusal("1 spatial axis: PyTorch has channels_last for 2 and 3")
    if not problem.step:
        raise Refusal("no conversions: compared in training only, see torch_channels_last")
    return prepare_in(problem, constants, channels_last=True, stays=True)
