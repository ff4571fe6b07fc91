"""Finding the fastest algorithm of a class of shapes by measuring (MXNet's cudnn_tune).

Nobody waits: calls run what the estimate chooses, and as soon as a class has taken long enough, single calls run one of
the alternatives in its place, on the caller's own data, within a tenth of the time that is spent in the class. All are
admitted by the call's policy, so that any result is as good, if not the same bits. `fastest` measures at once instead,
in the first call of a class. What was found is remembered (plan_store.py); what others found (tuned.json) says who goes
first until then.

A class is not worth it where all is over in a moment (but for `fastest`), or where only one algorithm can be the
fastest.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..forking import hold_across_forks
from . import plan_store
from .choice import SHORT, Consideration, Search
from .plan import Plan

SHARE = 0.1
"""How much of the time of a class alternatives may take, beyond what the best known algorithm would have."""
SAMPLES = 3
"""Runs that count for each algorithm; the fastest one stands for it."""
ROUNDS = 3
"""Turns that each algorithm gets where `fastest` measures at once: a core that is not awake yet, or busy for a moment,
must not decide."""
BURST, MOST_RUNS = 2e-3, 20
"""Seconds that a turn of short calls takes, and its runs at most; long calls run once a turn."""
FEW_SAMPLES, HOPELESS = 2, 1.5
"""Runs that are enough for an algorithm that takes so many times the best one's."""
MOST_TRIES = 12
"""Runs after which those count, too, in which the weight had to be packed."""
PREPARING = 0.05
"""Seconds to compile an alternative, as far as anybody can know before."""
PLAUSIBLE = 3.0
"""Algorithms with estimates up to so many times the best one's may be the fastest."""
MOST_RIVALS = 5
"""Algorithms that are measured for a class."""
CLEARLY = 0.97
"""What the estimate prefers is kept unless something takes less than this part of its time."""
KEPT_RACES = 1024

clock = time.perf_counter

_lock = threading.Lock()
hold_across_forks(_lock)
_races: OrderedDict[str, Race] = OrderedDict()
_busy = [0, 0]
"""Runs that are under way, and runs that were ever begun: a time counts only if nothing else ran meanwhile."""


class Race:
    """What this process knows of a class: times per operation, and what was spent on finding out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.best: dict[str, float] = {}
        self.samples: dict[str, int] = {}
        self.tries: dict[str, int] = {}
        self.rates: dict[str, float] = dict(plan_store.rates_of(name))
        """The times that count, of the algorithms that have run often enough; they may yet become smaller."""
        self.out: set[tuple[str, int | None]] = set()
        """Algorithms whose plans do not compare: too large for the limit beside them, or with fewer threads."""
        self.spent = self.extra = 0.0

    def note(self, name: str, rate: float, counts: bool, wanted: float = SAMPLES) -> bool:
        """Take down one run, of so many that are wanted; returns whether the algorithm's time has just become final."""
        self.tries[name] = self.tries.get(name, 0) + 1
        if not counts and self.tries[name] < MOST_TRIES:
            return False
        best = self.best[name] = min(rate, self.best.get(name, rate))
        self.samples[name] = self.samples.get(name, 0) + 1
        is_hopeless = wanted < math.inf and best > HOPELESS * min(self.best.values())
        enough = FEW_SAMPLES if is_hopeless else wanted
        is_new = name not in self.rates and self.samples[name] >= enough
        if is_new or name in self.rates:
            self.rates[name] = min(best, self.rates.get(name, best))
        return is_new


class Contest:
    """The open question which algorithm computes one problem fastest; problems of a class share the race."""

    def __init__(self, race: Race, search: Search, rivals: Sequence[Consideration]) -> None:
        self.race = race
        self._search = search
        self._rivals = {one.name: one for one in rivals}
        self._plans: dict[str, Plan] = {}
        self._warm: set[str] = set()
        self._flops = max(1, search.problem.flops)

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to measure."""
        return not self._rivals.keys() <= self.race.rates.keys()

    def order(self, ranked: Sequence[Consideration]) -> list[Consideration]:
        """Those that were ranked by estimate, the fastest first if all that may be are measured, here or by us."""
        rates = plan_store.shipped(self.race.name) if self.is_open else self.race.rates
        if not self._rivals.keys() <= rates.keys():
            return list(ranked)
        favourite, fastest = next(iter(self._rivals)), min(self._rivals, key=rates.__getitem__)
        if rates[fastest] > CLEARLY * rates[favourite]:
            return list(ranked)
        return sorted(ranked, key=lambda one: rates[one.name] if one.name in self._rivals else float("inf"))

    def run(self, plan: Plan, execute: Callable[[Plan], bool], may_repeat: bool) -> Plan:
        """Compute once, with this plan or an alternative's; returns the one whose result stands.

        `execute` runs a plan and says whether the time it took is what later calls will take. Where the result may be
        computed several times over, and the call asked for the fastest, everything is measured now.
        """
        if may_repeat and self._search.rules.tune == "fastest":
            self._measure_now(plan, execute)
            plan = self._fastest(plan)
            execute(plan)
            return plan
        chosen = self._turn(plan)
        self._timed(chosen, execute, plan)
        return chosen

    def _measure_now(self, plan: Plan, execute: Callable[[Plan], bool]) -> None:
        """Time what is not measured yet, in turns; what is compiled and packed comes before all of them."""
        rates = self.race.rates
        plans = [self._plan_of(name, plan) for name in list(self._rivals) if name not in rates]
        rivals = [rival for rival in plans if rival is not None]
        for rival in rivals:
            self._timed(rival, execute, plan, math.inf)
        for _ in range(ROUNDS):
            for rival in rivals:
                end = clock() + BURST
                for _ in range(MOST_RUNS):
                    self._timed(rival, execute, plan, math.inf)
                    if clock() >= end:
                        break
        for rival in rivals:
            while rival.algorithm not in rates:  # the run that makes its time final
                self._timed(rival, execute, plan)

    def _turn(self, plan: Plan) -> Plan:
        """The plan to run: the given one, or an alternative, if one is due."""
        race = self.race
        for name, one in list(self._rivals.items()):
            if name == plan.algorithm or name in race.rates:
                continue
            forecast = race.best[name] * self._flops if name in race.best else one.estimate
            with _lock:
                room = SHARE * race.spent - race.extra
            if forecast + (0.0 if name in self._plans else PREPARING) > room:
                return plan
            start = clock()
            rival = self._plan_of(name, plan)
            with _lock:
                race.extra += clock() - start
            if rival is not None:
                return rival
        return plan

    def _plan_of(self, name: str, plan: Plan) -> Plan | None:
        """An alternative's plan; None if it would need more workspace than there is, which ends its part in this."""
        if name == plan.algorithm:
            return plan
        if name not in self._plans:
            fitting = self._search.fit(self._rivals[name].algorithm)
            if fitting.refusal or fitting.thrift or fitting.plan.threads < plan.threads:
                del self._rivals[name]
                self.race.out.add((name, self._search.limit))  # the next call's contest must not ask again
                return None
            self._plans[name] = fitting.plan
        return self._plans[name]

    def _fastest(self, plan: Plan) -> Plan:
        rates = {name: rate for name, rate in self.race.rates.items() if name in (plan.algorithm, *self._plans)}
        if not rates:
            return plan
        return self._plans.get(min(rates, key=rates.__getitem__), plan)

    def _timed(self, plan: Plan, execute: Callable[[Plan], bool], usual: Plan, wanted: float = SAMPLES) -> None:
        with _lock:
            _busy[0] += 1
            _busy[1] += 1
            alone, number = _busy[0] == 1, _busy[1]
        start = clock()
        try:
            is_typical = execute(plan)
        finally:
            seconds = clock() - start
            with _lock:
                _busy[0] -= 1
                alone = alone and _busy[1] == number
        name, race = plan.algorithm, self.race
        with _lock:
            is_warm = name in self._warm
            self._warm.add(name)
            least = min(race.best.values(), default=0.0) * self._flops
            is_typical = is_typical or self._search.packs_weight
            is_final = race.note(name, seconds / self._flops, is_warm and is_typical and alone, wanted)
            race.spent += seconds
            if plan is not usual:
                race.extra += max(0.0, seconds - least)
        if is_final and self._search.limit is None:
            start = clock()
            plan_store.remember(race.name, race.rates)
            with _lock:
                race.extra += clock() - start


def rivals_of(ranked: Sequence[Consideration]) -> list[Consideration]:
    """Those that may be the fastest, the estimate's choice first."""
    limit = PLAUSIBLE * min(one.estimate for one in ranked)
    return [ranked[0], *(one for one in ranked[1:] if one.estimate <= limit)][:MOST_RIVALS]


def enter(search: Search, ranked: Sequence[Consideration]) -> Contest | None:
    """The contest of a problem whose algorithms were ranked by estimate; None if there is nothing to find out."""
    tune = search.rules.tune
    if tune == "off" or not ranked or (ranked[0].estimate < SHORT and tune != "fastest"):
        return None
    race = _race_of(search)
    first, *others = rivals_of(ranked)
    rivals = [first, *(one for one in others if (one.name, search.limit) not in race.out)]
    if len(rivals) == 1:
        return None
    return Contest(race, search, rivals)


def _race_of(search: Search) -> Race:
    name = plan_store.class_of(search.problem, search.target, search.packs_weight)
    with _lock:
        race = _races.get(name)
    if race is None:
        race = Race(name)
    with _lock:
        race = _races.setdefault(name, race)
        _races.move_to_end(name)
        while len(_races) > KEPT_RACES:
            _races.popitem(last=False)
    return race


def forget() -> None:
    """Forget what this process has measured; what is on disk is read again."""
    with _lock:
        _races.clear()


def attach(plan: Plan, contest: Contest | None) -> Plan:
    """The plan with the contest that its runs take part in, if that is open."""
    return replace(plan, contest=contest) if contest is not None and contest.is_open else plan
