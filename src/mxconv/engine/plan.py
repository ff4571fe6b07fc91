"""A plan: how one problem is computed, ready to run any number of times, from several threads at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..jit.kernels.blocks import Layout
from . import threads
from .problem import ConvProblem
from .workspace import Ledger, address_of


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a plan: a compiled function and how many tasks it shares out."""

    name: str
    job: threads.Job
    tasks: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an algorithm made of a problem: its steps, its argument block and its booked workspace."""

    problem: ConvProblem
    algorithm: str
    blocks: Mapping[str, int]
    """How many blocks each blocked axis has: pixels, channels, reduction."""
    threads: int
    steps: tuple[Step, ...]
    layout: Layout
    arguments: npt.NDArray[np.int64] = field(compare=False)
    """The argument block as every run begins with it; the slots of addresses and counters are 0."""
    addresses: Mapping[str, str]
    """Which slot receives the address of which array (x, w, y, bias) or workspace entry."""
    ledger: Ledger = field(compare=False)
    keep: tuple[Any, ...] = field(compare=False, default=())
    """What must live as long as the plan: tables that the argument block points to."""

    @property
    def workspace_bytes(self) -> int:
        """Scratch of one run over all its threads."""
        return self.ledger.total

    def run(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Compute. `arrays` are x, w, y (and bias) as the problem describes them; the output one is written."""
        owner, base = self.ledger.allocate()
        block = self.arguments.copy()
        for slot, name in self.addresses.items():
            if name in self.ledger.entries:
                block[self.layout.index[slot]] = base + self.ledger.entries[name][0]
            elif name in arrays:
                block[self.layout.index[slot]] = address_of(arrays[name])
        at = address_of(block)
        for step in self.steps:
            threads.run_job(step.job, at, min(self.threads, step.tasks))
        del owner

    def summary(self) -> str:
        """One line for logs."""
        blocks = " ".join(f"{k}={v}" for k, v in self.blocks.items())
        return (
            f"{self.problem} | {self.algorithm} | blocks {blocks} | {self.threads} threads"
            f" | workspace {self.workspace_bytes} bytes"
        )
