"""What an algorithm is to the planner."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ...jit import compiler
from ...jit.target import Target
from ..machine import Machine
from ..plan import Plan
from ..problem import ConvProblem


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an algorithm applies to a problem and, if not, why not."""

    accepted: bool
    reason: str = ""


ACCEPTED = Verdict(True)


@functools.cache
def kernels(emit: Callable[[Any, Target], str], spec: Any, target: Target) -> compiler.CompiledModule:
    """The bundle that `emit` writes for a spec, which has a name, compiled for the target at first need."""
    return compiler.compile_module(emit(spec, target), target, f"{spec.name}_{target.name}")


class Plain:
    """What algorithms have in common that add up the products as they are."""

    is_plain = True

    def error(self, problem: ConvProblem) -> float:
        return 3e-6 if problem.storage.kind == "float" else 0.0


class Algorithm(Protocol):
    """A way to compute some problems. Stateless; one file and one row in the table."""

    name: str
    is_plain: bool
    """Whether results are plain sums of products: a pixel is reached by its own window only, whatever the values."""

    def error(self, problem: ConvProblem) -> float:
        """The largest error to expect, in units of the result's standard deviation, on N(0, 1) data (measured)."""
        ...

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        """Seconds that a run will take, without running anything, for a problem to which the algorithm applies.

        `packs_weight`: the weight is transformed or packed in every run, not just in the first.
        """
        ...

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        """Whether `make_plan` may be called with this problem."""
        ...

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        """Tiles, tables, booked workspace and compiled steps.

        `thrift` asks for less workspace at the price of speed: blocks of half the size, that many times.
        """
        ...
