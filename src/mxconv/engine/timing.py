"""The stop-watch: contestants take turns in rounds, every call is a sample, every sample is kept.

Machines drift: clocks change, neighbours wake up. Contestants that alternate see the same drift, so their medians can
be compared; those that are timed one after the other cannot. What is timed is a *burst*: a function that makes some
calls and returns the seconds of each, so that a contestant may as well live in another process and read its own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ParamError

Clock = Callable[[], float]
Burst = Callable[[int], Sequence[float]]
"""Makes that many calls and returns the seconds of each."""

TRIAL_ROUNDS = 3
"""Rounds in which everybody takes part who is not far behind."""
FAR = 4
"""Who is so many times more than hopeless has had enough rounds after one."""


@dataclass(frozen=True, slots=True)
class Timing:
    """All samples of one contestant, in seconds, round by round."""

    rounds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.rounds or not all(self.rounds):
            raise ParamError("a timing has no samples, expected at least one in each round", argument="rounds")

    @property
    def samples(self) -> tuple[float, ...]:
        """Every sample in the order of the calls."""
        return tuple(s for r in self.rounds for s in r)

    def quantile(self, q: float) -> float:
        """The q-quantile of all samples, interpolated.

        >>> Timing(((1.0, 2.0), (4.0, 3.0))).quantile(0.5)
        2.5
        """
        return float(np.quantile(self.samples, q))

    @property
    def median(self) -> float:
        return self.quantile(0.5)

    @property
    def minimum(self) -> float:
        return min(self.samples)

    @property
    def round_medians(self) -> tuple[float, ...]:
        """One number for each round: what is compared where contestants alternate."""
        return tuple(float(np.median(r)) for r in self.rounds)


def stop_watch(call: Callable[[], object], *, clock: Clock = time.perf_counter) -> Burst:
    """A burst of `call`, timed by `clock`."""

    def burst(calls: int) -> list[float]:
        seconds = []
        for _ in range(calls):
            start = clock()
            call()
            seconds.append(clock() - start)
        return seconds

    return burst


def calls_for(seconds: float, one_call: float, most: int) -> int:
    """How many calls fill `seconds`: at least 1, at most `most`.

    >>> calls_for(0.05, 0.002, 100), calls_for(0.05, 3.0, 100), calls_for(0.05, 0.0, 100)
    (25, 1, 100)
    """
    return most if one_call * most <= seconds else max(1, int(seconds / one_call))


def alternate(
    bursts: Mapping[str, Burst],
    *,
    rounds: int = 9,
    seconds: float = 0.05,
    most_calls: int = 100,
    hopeless: float = float("inf"),
    staying: Collection[str] = (),
) -> dict[str, Timing]:
    """Time contestants in alternation; every one has its turn in every round.

    A turn starts with one call that does not count: it wakes sleeping threads and, in the first round, tells how many
    calls fill `seconds` (at most `most_calls`, and the same number in each later round; if one call does, later turns
    need no waking). Every other round runs backwards, so that nobody always follows the same neighbour. After
    TRIAL_ROUNDS, who is more than `hopeless` times slower than the fastest takes no further part, and after one round,
    who is FAR times beyond that; those in `staying` stay, and nobody is measured by them. A contestant whose burst
    returns nothing has given up and is left out of the result.

    Raises: ParamError, if `rounds` is less than 1.
    """
    if rounds < 1:
        raise ParamError(f"rounds is {rounds}, expected at least 1", argument="rounds", got=rounds, expected=">= 1")
    kept: dict[str, list[tuple[float, ...]]] = {name: [] for name in bursts}
    calls: dict[str, int] = {}
    running = list(bursts)
    for number in range(rounds):
        factor = {1: FAR * hopeless, TRIAL_ROUNDS: hopeless}.get(number)
        if factor is not None:
            fastest = {name: min(map(min, kept[name])) for name in running if name not in staying}
            limit = factor * min(fastest.values(), default=0.0)
            running = [name for name in running if name in staying or fastest[name] <= limit]
        for name in running if number % 2 == 0 else running[::-1]:
            if calls.get(name) != 1:
                woken = bursts[name](1)
                if woken:
                    calls.setdefault(name, calls_for(seconds, woken[0], most_calls))
            samples = bursts[name](calls[name]) if name in calls else ()
            if samples:
                kept[name].append(tuple(samples))
            else:
                del kept[name]
        running = [name for name in running if name in kept]
    return {name: Timing(tuple(samples)) for name, samples in kept.items()}
