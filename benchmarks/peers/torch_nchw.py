"""PyTorch on plain (channels-first) tensors."""

from __future__ import annotations

from harness.peer import Prepared, Problem

from ._torch import prepare_in, start

__all__ = ["prepare", "start"]


def prepare(problem: Problem, constants: dict) -> Prepared:
    return prepare_in(problem, constants, channels_last=False)
