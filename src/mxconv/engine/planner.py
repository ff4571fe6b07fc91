"""The plans of problems: chosen once (choice.py, tuner.py), remembered for the next call, and told to those who ask."""

from __future__ import annotations

import sys
import threading as _threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .. import config
from ..forking import hold_across_forks
from ..jit import target as _target
from . import pack_cache, threads, tuner
from .algorithms import Verdict
from .choice import Search
from .pack_cache import WeightIdentity
from .plan import Plan
from .policy import USUAL, Policy, Rules
from .problem import ConvProblem

CACHED_PLANS = 512
"""Plans kept, least recently used dropped first; one is a few kilobytes."""

_KNOBS = (
    "algorithms", "block_pixels", "block_channels", "block_reduction", "parallel_threshold",
    "accuracy", "rtol", "reproducible", "tune", "autotune", "machine",
)  # fmt: skip


class PlanCache(OrderedDict[tuple[Any, ...], Plan]):
    """Plans by problem and circumstances, and what is known of whole calls (calls.py), which is forgotten with them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[tuple[Any, ...], Any] = {}

    def clear(self) -> None:
        super().clear()
        self.calls.clear()


_plans = PlanCache()
_lock = _threading.Lock()
hold_across_forks(_lock)
_recorder: ContextVar[list[Plan] | None] = ContextVar("mxconv_recorder", default=None)


_settings = config.watch((*_KNOBS, "target", "num_threads"))


def circumstances(weight: WeightIdentity | None) -> tuple[Any, ...]:
    """What the plan of a problem depends on besides the problem, the limit and the policy, as cheap as can be."""
    return weight is None or pack_cache.is_changing(weight), threads.bounds(), _settings()


def recall_call(key: tuple[Any, ...]) -> Any:
    """What is known of a call; None if nothing is."""
    return _plans.calls.get(key)


def remember_call(key: tuple[Any, ...], known: Any) -> None:
    """Keep what is known of a call, as long as plans are kept."""
    if len(_plans.calls) >= CACHED_PLANS:
        _plans.calls.clear()
    _plans.calls[key] = known


def make_plan(
    problem: ConvProblem, limit: int | None = None, weight: WeightIdentity | None = None, policy: Policy = USUAL
) -> Plan:
    """The plan of a problem, from the cache or made now, whose workspace is within `limit` bytes.

    The panels of a packed weight do not count if they can be kept for later calls, for which `weight` is needed.

    Raises: UnsupportedError, naming every algorithm's reason, if none applies; WorkspaceError, if none of those that
    apply fits.
    """
    target = _target.current()
    count = threads.available()
    packs_weight = weight is None or pack_cache.is_changing(weight)
    key = (problem, target.name, count, packs_weight, policy, *config.get_all(_KNOBS))
    plan = _recall(key)
    if plan is None:
        plan = _find(Search(problem, target, count, Rules.of(policy), packs_weight), key)
    if limit is not None and plan.workspace_bytes > limit:
        keepable = pack_cache.keepable(weight)
        rules = Rules.of(policy)
        if plan.workspace_for(keepable) > limit and rules.tune != "fastest":
            key = (*key, limit, keepable)
            plan = _recall(key)
            if plan is None:
                plan = _find(Search(problem, target, count, rules, packs_weight, limit, keepable), key)
    return plan


def _find(search: Search, key: tuple[Any, ...]) -> Plan:
    found = search.ask()
    ranked = search.rank(found)
    contest = tuner.enter(search, ranked)
    choice = search.choose(ranked if contest is None else contest.order(ranked))
    if choice.plan is None:
        raise search.refusal(found, choice)
    plan = tuner.attach(choice.plan, contest)
    _remember(key, plan)
    if config.get("log") == "plan":
        limit = [] if search.limit is None else [f"limit {search.limit} bytes"]
        line = " | ".join([f"mxconv plan: {choice.plan.summary()}", *limit, *map(choice.text, found)])
        print(line, file=sys.stderr)  # noqa: T201  the log is for people, on request
    return plan


def _recall(key: tuple[Any, ...]) -> Plan | None:
    with _lock:
        plan = _plans.get(key)
        if plan is None or (plan.contest is not None and not plan.contest.is_open):
            return None
        if 2 * len(_plans) > CACHED_PLANS:  # else none will be dropped soon, and hashing a key takes a microsecond
            _plans.move_to_end(key)
        return plan


def _remember(key: tuple[Any, ...], plan: Plan) -> None:
    with _lock:
        _plans[key] = plan
        while len(_plans) > CACHED_PLANS:
            _plans.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one algorithm is to a problem."""

    algorithm: str
    verdict: Verdict
    is_chosen: bool
    workspace: int | None
    """Bytes that it would take, or takes at least, if that is too much; None if it does not apply."""
    threads: int | None
    estimate: float | None
    """Seconds with the threads that estimates are made for; None if it does not apply."""
    error: float | None
    """The largest error to expect on N(0, 1) data, in units of the result's standard deviation; None likewise."""


def explain(
    problem: ConvProblem, limit: int | None = None, weight: WeightIdentity | None = None, policy: Policy = USUAL
) -> list[Explanation]:
    """What each algorithm is to a problem, in the table's order; one is chosen, if any accepts."""
    keepable = pack_cache.keepable(weight)
    rules = Rules.of(policy)
    limit = None if rules.tune == "fastest" else limit
    search = Search(problem, _target.current(), threads.available(), rules, weight is None, limit, keepable)
    found = search.ask()
    ranked = search.rank(found)
    contest = tuner.enter(search, ranked)
    chosen = search.choose(ranked if contest is None else contest.order(ranked)).chosen
    rows = []
    for one in found:
        if not one.verdict.accepted:
            rows.append(Explanation(one.name, one.verdict, False, None, None, None, None))
            continue
        fitting = search.fit(one.algorithm)
        verdict = Verdict(False, fitting.refusal) if fitting.refusal else one.verdict
        error = search.error_of(one.algorithm)
        plan = fitting.plan
        rows.append(Explanation(one.name, verdict, one is chosen, search.size(plan), plan.threads, one.estimate, error))
    return rows


@contextmanager
def recording() -> Iterator[list[Plan]]:
    """Collect the plan of every engine call that this thread (or task) makes inside the block."""
    plans: list[Plan] = []
    token = _recorder.set(plans)
    try:
        yield plans
    finally:
        _recorder.reset(token)


def record(plan: Plan) -> None:
    """Tell a `recording` block of a call."""
    plans = _recorder.get()
    if plans is not None:
        plans.append(plan)
