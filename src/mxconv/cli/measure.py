"""Running the demo's network: the first forward, a few more for the time, and each step's check against float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from ..engine.peak import measure_peak
from ..engine.plan import Plan
from ..engine.planner import recording
from ..symbol.executor import Executor
from .check import largest_error
from .steps import Step

RUNS, SECONDS = 7, 4.0
"""At most so many timed runs, and no further one after so long; at least three."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one step gave: its result, how it was computed, how fast and how right."""

    step: Step
    data: NDArray[Any]
    weight: NDArray[Any]
    output: NDArray[Any]
    plans: Sequence[Plan]
    first: float
    """Seconds in the first run, with what it had to compile or load."""
    time: float
    """Seconds in the median of the later runs."""
    error: float
    """Largest difference from float64 in the windows that were checked."""

    @property
    def algorithm(self) -> str:
        return ", ".join(dict.fromkeys(plan.algorithm for plan in self.plans))

    @property
    def threads(self) -> int:
        return max(plan.threads for plan in self.plans)

    @property
    def flop_rate(self) -> float:
        return sum(plan.problem.flops for plan in self.plans) / self.time

    @property
    def share_of_peak(self) -> float:
        """Of what the multiply-add instructions of the cores that took part reach with nothing else to do."""
        return self.flop_rate / (measure_peak(self.data.dtype.name) * self.threads)


def measure(executor: Executor, steps: Sequence[Step], tell: Callable[[str], object]) -> list[Measurement]:
    """Run the network several times and measure each step; `tell` is called with the title of each, in the first run.

    An output's time is that from the output before it to itself, so that one run measures every step.
    """
    titles = {f"{step.name}_output": step.title for step in steps}
    first = _run(executor, lambda name: tell(titles.get(name, "And back: the lowest")))
    later: list[dict[str, tuple[float, list[Plan]]]] = []
    start = perf_counter()
    while len(later) < 3 or (len(later) < RUNS and perf_counter() - start < SECONDS):
        later.append(_run(executor))
    arrays = {name: array.asnumpy() for name, array in (executor.arg_dict | executor.output_dict).items()}
    measurements = []
    for step in steps:
        name = f"{step.name}_output"
        data = arrays["data" if step.source == "data" else f"{step.source}_output"]
        weight, output, (seconds, plans) = arrays[step.weight], arrays[name], first[name]
        measurements.append(
            Measurement(
                step, data, weight, output, plans,
                first=seconds,
                time=median(run[name][0] for run in later),
                error=largest_error(plans[0].problem, data, weight, output),
            )
        )  # fmt: skip
    return measurements


def _run(executor: Executor, tell: Callable[[str], object] = lambda name: None) -> dict[str, tuple[float, list[Plan]]]:
    """One forward: for each operator's output the seconds that it took, and how it was computed."""
    found: dict[str, tuple[float, list[Plan]]] = {}
    start = 0.0
    with recording() as plans:

        def watch(name: str, _: Any) -> None:
            nonlocal start
            found[name] = perf_counter() - start, plans.copy()
            plans.clear()
            tell(name)
            start = perf_counter()

        executor.set_monitor_callback(watch)
        start = perf_counter()
        executor.forward(is_train=False)
    return found
