"""Choosing how a problem is computed: the first algorithm of the table that applies and fits in the workspace that is
allowed, remembered for the next call."""

from __future__ import annotations

import sys
import threading as _threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from .. import config
from ..errors import MXNetError, ParamError, UnsupportedError, WorkspaceError
from ..forking import hold_across_forks
from ..jit import target as _target
from . import pack_cache, threads
from .algorithms import ALGORITHMS, Algorithm, Verdict
from .pack_cache import WeightIdentity
from .plan import Plan
from .problem import ConvProblem

CACHED_PLANS = 512
"""Plans kept, least recently used dropped first; one is a few kilobytes."""
MOST_THRIFT = 8
"""How often blocks may be halved to fit in a workspace."""

_KNOBS = ("algorithms", "block_pixels", "block_channels", "block_reduction", "parallel_threshold")
_plans: OrderedDict[tuple[Any, ...], Plan] = OrderedDict()
_lock = _threading.Lock()
hold_across_forks(_lock)
_recorder: ContextVar[list[Plan] | None] = ContextVar("mxconv_recorder", default=None)


def make_plan(problem: ConvProblem, limit: int | None = None, weight: WeightIdentity | None = None) -> Plan:
    """The plan of a problem, from the cache or made now, whose workspace is within `limit` bytes.

    The panels of a packed weight do not count if they can be kept for later calls, for which `weight` is needed.

    Raises: UnsupportedError, naming every algorithm's reason, if none applies; WorkspaceError, if none of those that
    apply fits.
    """
    target = _target.current()
    count = threads.available()
    key = (problem, target.name, count, *config.get_all(_KNOBS))
    search = _Search(problem, target, count)
    plan, refusals = _recall(key) or search.choose()
    if limit is not None and plan.workspace_bytes > limit:
        keepable = pack_cache.keepable(weight)
        if plan.workspace_for(keepable) > limit:
            _remember(key, plan)
            key = (*key, limit, keepable)
            search = replace(search, limit=limit, keepable=keepable)
            plan, refusals = _recall(key) or search.choose()
    if refusals is not None:
        _remember(key, plan)
        search.log(plan, refusals)
    return plan


def _recall(key: tuple[Any, ...]) -> tuple[Plan, None] | None:
    with _lock:
        plan = _plans.get(key)
        if plan is None:
            return None
        _plans.move_to_end(key)
        return plan, None


def _remember(key: tuple[Any, ...], plan: Plan) -> None:
    with _lock:
        _plans[key] = plan
        while len(_plans) > CACHED_PLANS:
            _plans.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Consideration:
    """What came of asking one algorithm."""

    algorithm: str
    verdict: Verdict
    plan: Plan | None = None
    """The plan that it would run, or the smallest that it can make, if that is too large."""


def explain(
    problem: ConvProblem, limit: int | None = None, weight: WeightIdentity | None = None
) -> list[tuple[str, Verdict, int | None, int | None]]:
    """(algorithm, verdict, workspace bytes, threads) of each algorithm, in the order in which they are asked.

    The first one that accepts is what `make_plan` takes. Algorithms that do not apply have no bytes and threads.
    """
    keepable = pack_cache.keepable(weight)
    search = _Search(problem, _target.current(), threads.available(), limit, keepable)
    rows = []
    for algorithm in _allowed():
        found = search.consider(algorithm)
        plan = found.plan
        bytes_ = None if plan is None else plan.workspace_for(keepable)
        rows.append((found.algorithm, found.verdict, bytes_, None if plan is None else plan.threads))
    return rows


@dataclass(frozen=True, slots=True)
class _Search:
    """What plans are looked for."""

    problem: ConvProblem
    target: _target.Target
    threads: int
    limit: int | None = None
    keepable: int = 0

    def choose(self) -> tuple[Plan, list[Consideration]]:
        """The plan of the first algorithm that accepts, and what the others said."""
        refusals: list[Consideration] = []
        for algorithm in _allowed():
            found = self.consider(algorithm)
            if found.verdict.accepted:
                assert found.plan is not None
                return found.plan, refusals
            refusals.append(found)
        raise self._refusal(refusals)

    def consider(self, algorithm: Algorithm) -> Consideration:
        """Ask one algorithm; where the limit is too small, again with fewer threads, and then with smaller blocks."""
        verdict = algorithm.applicable(self.problem, self.target)
        if not verdict.accepted:
            return Consideration(algorithm.name, verdict)
        smallest: Plan | None = None
        for count, thrift in self._attempts():
            if smallest is not None and not thrift and count >= smallest.threads:
                continue
            plan = algorithm.make_plan(self.problem, self.target, count, thrift)
            if self.limit is None or self._size(plan) <= self.limit:
                return Consideration(algorithm.name, verdict, plan)
            if smallest is None or self._size(plan) < self._size(smallest):
                smallest = plan
        assert smallest is not None
        reason = f"workspace {in_megabytes(self._size(smallest))}, limit {in_megabytes(self.limit or 0)}"
        return Consideration(algorithm.name, Verdict(False, reason), smallest)

    def _attempts(self) -> Iterator[tuple[int, int]]:
        """Threads and thrift. Fewer threads change no bits, so that all are given up before blocks are made smaller.

        Work that is too small to gain stays on the caller's thread.
        """
        count = self.threads if self.problem.products >= config.get("parallel_threshold") else 1
        while count > 1:
            yield count, 0
            count //= 2
        for thrift in range(MOST_THRIFT + 1):
            yield 1, thrift

    def _size(self, plan: Plan) -> int:
        return plan.workspace_for(self.keepable)

    def log(self, plan: Plan, refusals: Sequence[Consideration]) -> None:
        """Print a line on the plan that was made, if the setting `log` asks for it."""
        if config.get("log") == "plan":
            limit = [] if self.limit is None else [f"limit {self.limit} bytes"]
            line = " | ".join([f"mxconv plan: {plan.summary()}", *limit, *map(_reason, refusals)])
            print(line, file=sys.stderr)  # noqa: T201  the log is for people, on request

    def _refusal(self, refusals: Sequence[Consideration]) -> MXNetError:
        reasons = "; ".join(map(_reason, refusals))
        sizes = [self._size(r.plan) for r in refusals if r.plan is not None]
        if not sizes:
            return UnsupportedError(
                f"no algorithm computes {self.problem} ({reasons})",
                argument="problem",
                got=str(self.problem),
                expected="a problem that one of the algorithms accepts",
            )
        least = -(-min(sizes) // 2**20)
        return WorkspaceError(
            f"workspace is {in_megabytes(self.limit or 0)}, expected at least {in_megabytes(min(sizes))} "
            f"for {self.problem} ({reasons})",
            argument="workspace",
            got=self.limit,
            expected=min(sizes),
            fix=f"Pass workspace={least} or more.",
        )


def _reason(refusal: Consideration) -> str:
    return f"{refusal.algorithm}: {refusal.verdict.reason}"


def in_megabytes(size: int) -> str:
    """A number of bytes for people.

    >>> in_megabytes(12_900_000), in_megabytes(1 << 20), in_megabytes(50_000)
    ('12.3 MB', '1 MB', '0.0477 MB')
    """
    megabytes = size / 2**20
    return f"{megabytes:.0f} MB" if megabytes >= 100 else f"{megabytes:.3g} MB"


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
