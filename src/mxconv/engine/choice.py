"""Looking for the algorithm of one problem: who applies and is admitted, what each will cost, and who fits.

Of the plain algorithms the first that applies is the candidate, unless another one's estimate is clearly smaller: what
they refuse says where each is best. Those that change the arithmetic go before it where their estimate is smaller.
Estimates are made for the same number of threads, whatever a call has, so that the bits of a result do not depend on
its threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .. import config
from ..errors import MXNetError, ParamError, UnsupportedError, WorkspaceError
from ..jit.target import Target
from . import machine
from .algorithms import ALGORITHMS, Algorithm, Verdict
from .plan import Plan
from .policy import Rules, in_dtype
from .problem import ConvProblem

MOST_THRIFT = 8
"""How often blocks may be halved to fit in a workspace."""
HALVED = 0.25
"""What an estimate grows by, relatively, each time that blocks are halved."""
CLOSE = 1.3
"""Estimates of plain algorithms that differ by less are equal: what they refuse is the better judge then."""
SHORT = 50e-6
"""Seconds below which they are equal as well: there what nobody estimates counts."""
TINY = 10e-6
"""Seconds that a plain algorithm may take before the arithmetic is changed to save some of them."""
ESTIMATED_THREADS = 2
"""Threads that estimates are made for."""


@dataclass(frozen=True, slots=True)
class Consideration:
    """What came of asking one algorithm."""

    algorithm: Algorithm
    verdict: Verdict
    estimate: float = float("inf")
    """Seconds, if it is accepted."""

    @property
    def name(self) -> str:
        return self.algorithm.name


@dataclass(frozen=True, slots=True)
class Fitting:
    """The plan that an algorithm makes within a workspace, or the smallest that it can make, if that is too large."""

    plan: Plan
    thrift: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who computes a problem, if anybody does, and who would have been preferred but does not fit."""

    too_large: Mapping[str, Fitting]
    chosen: Consideration | None = None
    plan: Plan | None = None

    def text(self, one: Consideration) -> str:
        """What is to be said of an algorithm, on one line."""
        reason = self.too_large[one.name].refusal if one.name in self.too_large else one.verdict.reason
        return f"{one.name}: " + (reason or f"estimate {in_milliseconds(one.estimate)}")


@dataclass(frozen=True, slots=True)
class Search:
    """What plans are looked for."""

    problem: ConvProblem
    target: Target
    threads: int
    rules: Rules
    packs_weight: bool
    limit: int | None = None
    keepable: int = 0

    # ---- asking

    def ask(self) -> list[Consideration]:
        """What every algorithm says, in the table's order."""
        asked = self._asked()
        speeds = self._machine()
        count = ESTIMATED_THREADS if self._is_shared(asked) else 1
        found = []
        for algorithm in allowed():
            verdict = self._verdict(algorithm, asked)
            if verdict.accepted:
                seconds = algorithm.estimate(asked, self.target, count, speeds, self.packs_weight)
                found.append(Consideration(algorithm, verdict, seconds))
            else:
                found.append(Consideration(algorithm, verdict))
        return found

    def _verdict(self, algorithm: Algorithm, asked: ConvProblem) -> Verdict:
        for problem in (self.problem,) if asked is self.problem else (self.problem, asked):
            verdict = algorithm.applicable(problem, self.target)
            if not verdict.accepted:
                return verdict
        return self.rules.admits(algorithm, self.problem)

    def _asked(self) -> ConvProblem:
        """The problem that algorithms are chosen for: a single sample, where its bits must not depend on the others."""
        if self.rules.reproducible and self.problem.direction != "backward_weight" and self.problem.batch > 1:
            return replace(self.problem, batch=1)
        return self.problem

    def _machine(self) -> machine.Machine:
        of = machine.typical if self.rules.reproducible else machine.current
        return of(self.problem.dtype, self.target)

    # ---- choosing

    def rank(self, found: Sequence[Consideration]) -> list[Consideration]:
        """Those that accept, the best first: by estimate, but plain ones that are close in the table's order."""
        accepted = [one for one in found if one.verdict.accepted]
        plain = [one for one in accepted if one.algorithm.is_plain]
        others = [one for one in accepted if not one.algorithm.is_plain]
        best = min((one.estimate for one in plain), default=float("inf"))
        plain.sort(key=lambda one: one.estimate > CLOSE * max(SHORT, best))
        others.sort(key=lambda one: one.estimate)
        faster = [one for one in others if one.estimate < best] if best > TINY else []
        return [*faster, *plain, *others[len(faster) :]]

    def choose(self, ranked: Sequence[Consideration]) -> Choice:
        """The first that fits, with its plan; one that must make its blocks smaller may fall behind the next one."""
        best: tuple[float, Consideration, Plan] | None = None
        too_large: dict[str, Fitting] = {}
        for one, following in itertools.zip_longest(ranked, ranked[1:]):
            fitting = self.fit(one.algorithm)
            if fitting.refusal:
                too_large[one.name] = fitting
                continue
            cost = one.estimate * (1 + HALVED * fitting.thrift)
            if best is None or cost < best[0]:
                best = cost, one, fitting.plan
            if fitting.thrift == 0 or one.algorithm.is_plain or following is None or following.estimate >= best[0]:
                break
        return Choice(too_large) if best is None else Choice(too_large, *best[1:])

    def fit(self, algorithm: Algorithm) -> Fitting:
        """The plan of an algorithm; where the limit is too small, with fewer threads, and then with smaller blocks."""
        smallest: Fitting | None = None
        for count, thrift in self._attempts():
            if smallest is not None and not thrift and count >= smallest.plan.threads:
                continue
            fitting = Fitting(algorithm.make_plan(self.problem, self.target, count, thrift), thrift)
            if self.limit is None or self.size(fitting.plan) <= self.limit:
                return fitting
            if smallest is None or self.size(fitting.plan) < self.size(smallest.plan):
                smallest = fitting
        assert smallest is not None
        needed, limit = in_megabytes(self.size(smallest.plan)), in_megabytes(self.limit or 0)
        return replace(smallest, refusal=f"workspace {needed}, limit {limit}")

    def _attempts(self) -> Iterator[tuple[int, int]]:
        """Threads and thrift. Fewer threads change no bits, so that all are given up before blocks are made smaller.

        Work that is too small to gain stays on the caller's thread.
        """
        count = self.threads if self._is_shared(self.problem) else 1
        while count > 1:
            yield count, 0
            count //= 2
        for thrift in range(MOST_THRIFT + 1):
            yield 1, thrift

    def _is_shared(self, problem: ConvProblem) -> bool:
        return bool(problem.products >= config.get("parallel_threshold"))

    def size(self, plan: Plan) -> int:
        """Bytes of scratch that count against the limit."""
        return plan.workspace_for(self.keepable)

    # ---- when nobody does it

    def refusal(self, found: Sequence[Consideration], choice: Choice) -> MXNetError:
        """The error that says why there is no plan."""
        reasons = "; ".join(map(choice.text, found))
        if not choice.too_large:
            return UnsupportedError(
                f"no algorithm computes {self.problem} ({reasons})",
                argument="problem",
                got=str(self.problem),
                expected="a problem that one of the algorithms accepts",
            )
        needed = min(self.size(fitting.plan) for fitting in choice.too_large.values())
        return WorkspaceError(
            f"workspace is {in_megabytes(self.limit or 0)}, expected at least {in_megabytes(needed)} "
            f"for {self.problem} ({reasons})",
            argument="workspace",
            got=self.limit,
            expected=needed,
            fix=f"Pass workspace={-(-needed // 2**20)} or more.",
        )

    def error_of(self, algorithm: Algorithm) -> float:
        """The error bound of an algorithm in the type that the problem is computed in."""
        return in_dtype(algorithm.error(self.problem), self.problem)


def allowed() -> list[Algorithm]:
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


def in_megabytes(size: int) -> str:
    """A number of bytes for people.

    >>> in_megabytes(12_900_000), in_megabytes(1 << 20), in_megabytes(50_000)
    ('12.3 MB', '1 MB', '0.0477 MB')
    """
    megabytes = size / 2**20
    return f"{megabytes:.0f} MB" if megabytes >= 100 else f"{megabytes:.3g} MB"


def in_milliseconds(seconds: float) -> str:
    """A time for people.

    >>> in_milliseconds(0.0123456), in_milliseconds(2.5)
    ('12.3 ms', '2500 ms')
    """
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"
