"""What an algorithm is to the planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...jit.target import Target
from ..plan import Plan
from ..problem import ConvProblem


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an algorithm applies to a problem and, if not, why not."""

    accepted: bool
    reason: str = ""


ACCEPTED = Verdict(True)


class Algorithm(Protocol):
    """A way to compute some problems. Stateless; one file and one row in the table."""

    name: str

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        """Whether `make_plan` may be called with this problem."""
        ...

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        """Tiles, tables, booked workspace and compiled steps.

        `thrift` asks for less workspace at the price of speed: blocks of half the size, that many times.
        """
        ...
