"""The stop-watch, by a clock that only moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mxconv.engine.timing import TRIAL_ROUNDS, Timing, alternate, calls_for, stop_watch
from mxconv.errors import ParamError


class FakeClock:
    """Time passes in `wait` only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _scripted(clock: FakeClock, *durations: float) -> Callable[[], None]:
    """A function whose calls take these times, the last one for ever."""

    def times() -> Iterator[float]:
        yield from durations
        while True:
            yield durations[-1]

    script = times()
    return lambda: clock.wait(next(script))


def test_every_call_is_a_sample(clock: FakeClock) -> None:
    burst = stop_watch(_scripted(clock, 1.0, 4.0, 2.0), clock=clock)
    assert burst(3) == [1.0, 4.0, 2.0]
    assert burst(0) == []


def test_what_happens_between_bursts_is_not_timed(clock: FakeClock) -> None:
    burst = stop_watch(_scripted(clock, 1.0), clock=clock)
    assert burst(1) == [1.0]
    clock.wait(100.0)
    assert burst(1) == [1.0]
    assert clock.now == 102.0


def test_quantiles_of_all_samples() -> None:
    timing = Timing(((5.0, 1.0), (2.0, 4.0), (3.0,)))
    assert timing.samples == (5.0, 1.0, 2.0, 4.0, 3.0)
    assert (timing.minimum, timing.quantile(0.25), timing.median, timing.quantile(0.75)) == (1.0, 2.0, 3.0, 4.0)
    assert timing.round_medians == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("rounds", [(), ((),), ((1.0,), ())])
def test_a_timing_without_samples_is_refused(rounds: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ParamError, match="no samples"):
        Timing(rounds)


@pytest.mark.parametrize(
    ("seconds", "one_call", "most", "calls"),
    [(1.0, 0.25, 100, 4), (1.0, 0.3, 100, 3), (1.0, 5.0, 100, 1), (1.0, 0.001, 100, 100), (0.0, 0.0, 7, 7)],
)
def test_calls_that_fill_a_turn(seconds: float, one_call: float, most: int, calls: int) -> None:
    assert calls_for(seconds, one_call, most) == calls


def test_contestants_alternate_and_every_other_round_runs_backwards() -> None:
    turns = []

    def contestant(name: str) -> Callable[[int], list[float]]:
        def burst(calls: int) -> list[float]:
            turns.append((name, calls))
            return [0.25] * calls

        return burst

    timings = alternate({"a": contestant("a"), "b": contestant("b")}, rounds=3, seconds=0.5)
    order = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert turns == [*order, *order[2:], *order[:2], *order]
    assert {name: timing.rounds for name, timing in timings.items()} == {n: ((0.25, 0.25),) * 3 for n in "ab"}


def test_the_first_call_of_a_turn_does_not_count(clock: FakeClock) -> None:
    burst = stop_watch(_scripted(clock, 9.0, 1.0, 2.0, 9.0, 3.0), clock=clock)
    assert alternate({"a": burst}, rounds=2, seconds=18.0)["a"].rounds == ((1.0, 2.0), (3.0, 3.0))


def test_a_call_that_fills_the_turn_is_not_repeated(clock: FakeClock) -> None:
    burst = stop_watch(_scripted(clock, 9.0, 1.0, 2.0, 3.0), clock=clock)
    assert alternate({"a": burst}, rounds=3, seconds=1.0)["a"].rounds == ((1.0,), (2.0,), (3.0,))


def test_drift_hits_all_contestants_alike(clock: FakeClock) -> None:
    """A machine that slows down by 10% a round: the medians still have the ratio of the calls."""
    slowness = {"a": 1.0, "b": 1.0}

    def contestant(name: str, cost: float) -> Callable[[int], list[float]]:
        def burst(calls: int) -> list[float]:
            slowness[name] *= 1.1
            return [cost * slowness[name]] * calls

        return burst

    timings = alternate({"a": contestant("a", 1.0), "b": contestant("b", 2.0)}, rounds=9, seconds=0.0, most_calls=1)
    ratios = [b / a for a, b in zip(timings["a"].round_medians, timings["b"].round_medians, strict=True)]
    assert ratios == pytest.approx([2.0] * 9)


def test_hopeless_contestants_leave_after_the_trial_rounds(clock: FakeClock) -> None:
    costs = {"slow": 10.1, "fast": 1.0, "near": 9.9}
    bursts = {name: stop_watch(_scripted(clock, cost), clock=clock) for name, cost in costs.items()}
    timings = alternate(bursts, rounds=9, seconds=0.0, most_calls=1, hopeless=10.0)
    assert {n: len(t.rounds) for n, t in timings.items()} == {"slow": TRIAL_ROUNDS, "fast": 9, "near": 9}


def test_who_is_far_behind_leaves_after_one_round(clock: FakeClock) -> None:
    costs = {"far": 40.1, "slow": 39.9, "fast": 1.0}
    bursts = {name: stop_watch(_scripted(clock, cost), clock=clock) for name, cost in costs.items()}
    timings = alternate(bursts, rounds=9, seconds=0.0, most_calls=1, hopeless=10.0)
    assert {n: len(t.rounds) for n, t in timings.items()} == {"far": 1, "slow": TRIAL_ROUNDS, "fast": 9}


@pytest.mark.parametrize("ours", [0.001, 1000.0])
def test_who_stays_is_no_measure_for_others(clock: FakeClock, ours: float) -> None:
    costs = {"ours": ours, "slow": 2.1, "fast": 1.0}
    bursts = {name: stop_watch(_scripted(clock, cost), clock=clock) for name, cost in costs.items()}
    settings = {"seconds": 0.0, "most_calls": 1, "hopeless": 2.0, "staying": ["ours"]}
    timings = alternate(bursts, rounds=9, **settings)
    assert {n: len(t.rounds) for n, t in timings.items()} == {"ours": 9, "slow": TRIAL_ROUNDS, "fast": 9}
    alone = alternate({"ours": bursts["ours"]}, rounds=5, **settings)
    assert len(alone["ours"].rounds) == 5


@pytest.mark.parametrize("bursts_that_work", [0, 1, 4])
def test_who_returns_nothing_is_left_out(bursts_that_work: int) -> None:
    left = iter([[1.0]] * bursts_that_work)
    timings = alternate(
        {"dies": lambda calls: next(left, []), "lives": lambda calls: [1.0] * calls}, rounds=5, seconds=2
    )
    assert list(timings) == ["lives"]
    assert len(timings["lives"].rounds) == 5


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ParamError, match="rounds is 0, expected at least 1"):
        alternate({}, rounds=0)
