"""Measuring every algorithm that may be the fastest for a problem, now, for the tuner's memory and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import config
from ..jit import target as _target
from . import plan_store, threads, tuner
from .choice import Consideration, Search
from .policy import USUAL, Rules
from .problem import ConvProblem
from .timing import Burst, Timing, alternate, stop_watch
from .trial import ConstantWeight, compute, make_arrays, make_result


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured of a problem, or is remembered of its class."""

    shape_class: str
    preferred: str
    """What the estimate chooses."""
    seconds: Mapping[str, float]
    """By algorithm."""
    is_new: bool
    """Whether anything had to be measured for it."""

    @property
    def fastest(self) -> str:
        return min(self.seconds, key=self.seconds.__getitem__)

    @property
    def gain(self) -> float:
        """How many times faster the fastest one is than what the estimate chooses."""
        return self.seconds[self.preferred] / self.seconds[self.fastest]


def tune(problem: ConvProblem, *, packs_weight: bool = False, rounds: int = 5, again: bool = False) -> Outcome:
    """Measure the algorithms that may be the fastest for a problem and remember their times; what is remembered of its
    class already is not measured, unless `again`.

    Raises: UnsupportedError, if no algorithm computes it, or it has negative strides.
    """
    search = Search(problem, _target.current(), threads.available(), Rules.of(USUAL), packs_weight)
    found = search.ask()
    rivals = _rivals(search, found)
    name = plan_store.class_of(problem, search.target, packs_weight)
    known = {} if again else plan_store.rates_of(name)
    flops = max(1, problem.flops)
    missing = [one.name for one in rivals if one.name not in known]
    timings = time_each(problem, missing, packs_weight=packs_weight, rounds=rounds)
    fresh = {one: timing.minimum / flops for one, timing in timings.items()}
    if fresh:
        plan_store.remember(name, fresh)
        tuner.forget()
    rates = {**known, **fresh}
    return Outcome(name, rivals[0].name, {one.name: flops * rates[one.name] for one in rivals}, bool(fresh))


def time_each(
    problem: ConvProblem, algorithms: list[str], *, packs_weight: bool = False, rounds: int = 5
) -> dict[str, Timing]:
    """The times of algorithms that apply to a problem, in alternation.

    Raises: UnsupportedError, for a problem with negative strides.
    """
    if not algorithms:
        return {}
    arrays, result = make_arrays(problem), make_result(problem)
    constant = ConstantWeight(arrays["w"]) if "w" in arrays and not packs_weight else None

    def burst_of(name: str) -> Burst:
        def call() -> None:
            compute(problem, arrays, result, constant)

        def burst(calls: int) -> list[float]:
            with config.override(algorithms=name, tune="off"):
                return list(stop_watch(call)(calls))

        burst(1)  # plans, compiles and packs
        return burst

    bursts = {name: burst_of(name) for name in algorithms}
    return alternate(bursts, rounds=rounds, hopeless=tuner.HOPELESS)


def _rivals(search: Search, found: list[Consideration]) -> list[Consideration]:
    ranked = search.rank(found)
    if not ranked:
        raise search.refusal(found, search.choose(ranked))
    return tuner.rivals_of(ranked)
