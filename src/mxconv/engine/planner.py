"""Choosing how a problem is computed: the first algorithm of the table that applies, remembered for the next call."""

from __future__ import annotations

import sys
import threading as _threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .. import config
from ..errors import ParamError, UnsupportedError
from ..forking import hold_across_forks
from ..jit import target as _target
from . import threads
from .algorithms import ALGORITHMS, Algorithm
from .plan import Plan
from .problem import ConvProblem

CACHED_PLANS = 512
"""Plans kept, least recently used dropped first; one is a few kilobytes."""

_KNOBS = ("algorithms", "block_pixels", "block_channels", "block_reduction", "parallel_threshold")
_plans: OrderedDict[tuple[Any, ...], Plan] = OrderedDict()
_lock = _threading.Lock()
hold_across_forks(_lock)
_recorder: ContextVar[list[Plan] | None] = ContextVar("mxconv_recorder", default=None)


def make_plan(problem: ConvProblem) -> Plan:
    """The plan of a problem, from the cache or made now.

    Raises: UnsupportedError, naming every algorithm's reason, if none applies.
    """
    target = _target.current()
    count = threads.available()
    key = (problem, target.name, count, *map(config.get, _KNOBS))
    with _lock:
        plan = _plans.get(key)
        if plan is not None:
            _plans.move_to_end(key)
            return plan
    plan = _choose(problem, target, count)
    if config.get("log") == "plan":
        print(f"mxconv plan: {plan.summary()}", file=sys.stderr)  # noqa: T201  the log is for people, on request
    with _lock:
        _plans[key] = plan
        while len(_plans) > CACHED_PLANS:
            _plans.popitem(last=False)
    return plan


def _choose(problem: ConvProblem, target: _target.Target, count: int) -> Plan:
    refusals = []
    for algorithm in _allowed():
        verdict = algorithm.applicable(problem, target)
        if verdict.accepted:
            return algorithm.make_plan(problem, target, count)
        refusals.append(f"{algorithm.name}: {verdict.reason}")
    raise UnsupportedError(
        f"no algorithm computes {problem} ({'; '.join(refusals)})",
        argument="problem",
        got=str(problem),
        expected="a problem that one of the algorithms accepts",
    )


def _allowed() -> list[Algorithm]:
    """The rows of the table that the setting `algorithms` leaves, in the table's order.

    Raises: ParamError, for a name that is no algorithm's.
    """
    chosen = config.get("algorithms")
    if not chosen:
        return list(ALGORITHMS)
    wanted = [name.strip() for name in chosen.split(",")]
    known = tuple(algorithm.name for algorithm in ALGORITHMS)
    for name in wanted:
        if name not in known:
            raise ParamError(
                f"the setting algorithms (MXCONV_ALGORITHMS) is {chosen!r}, which names {name!r}, "
                f"expected a comma list of {', '.join(known)}",
                argument="algorithms",
                got=chosen,
                expected=known,
                fix="Unset it to use all algorithms.",
            )
    return [algorithm for algorithm in ALGORITHMS if algorithm.name in wanted]


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
