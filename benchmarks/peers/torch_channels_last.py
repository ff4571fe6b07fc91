"""PyTorch in its channels_last memory format; data are converted, and results back, in each call."""

from __future__ import annotations

from harness.peer import Prepared, Problem, Refusal

from ._torch import prepare_in, start

__all__ = ["prepare", "start"]


def prepare(problem: Problem, constants: dict) -> Prepared:
    if problem.rank == 1:
        raise Refusal("1 spatial axis: PyTorch has channels_last for 2 and 3")
    return prepare_in(problem, constants, channels_last=True)
