"""Running one step of the demo: the first call, a few more for the time, and the check against float64."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from ..engine.peak import measure_peak
from ..engine.planner import recording
from ..ops.registry import OPERATORS, compute
from .check import largest_error
from .steps import Step

RUNS, SECONDS = 7, 0.5
"""At most so many timed runs, and no further one after so long; at least three."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one step gave: its result, how it was computed, how fast and how right."""

    step: Step
    output: NDArray[Any]
    algorithm: str
    threads: int
    flops: int
    first: float
    """Seconds of the first call, with what it had to compile or load."""
    time: float
    """Seconds of the median of the later calls."""
    error: float
    """Largest difference from float64 in the windows that were checked."""

    @property
    def flop_rate(self) -> float:
        return self.flops / self.time

    @property
    def share_of_peak(self) -> float:
        """Of what the multiply-add instructions of the cores that took part reach with nothing else to do."""
        return self.flop_rate / (measure_peak(self.step.data.dtype.name) * self.threads)


def measure(step: Step) -> Measurement:
    """Run, time and check one step."""
    spec = OPERATORS[step.op]
    param = spec.parse(step.attributes)
    inputs = [step.data, step.weight]
    with recording() as plans:
        start = perf_counter()
        (output,) = compute(spec, param, inputs)
        first = perf_counter() - start
    times: list[float] = []
    while len(times) < 3 or (len(times) < RUNS and sum(times) < SECONDS):
        start = perf_counter()
        compute(spec, param, inputs)
        times.append(perf_counter() - start)
    return Measurement(
        step=step,
        output=output,
        algorithm=", ".join(dict.fromkeys(plan.algorithm for plan in plans)),
        threads=max(plan.threads for plan in plans),
        flops=sum(plan.problem.flops for plan in plans),
        first=first,
        time=median(times),
        error=largest_error(plans[0].problem, step.data, step.weight, output),
    )
