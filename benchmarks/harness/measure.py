"""One problem, all contestants: prepare, check, time in alternation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mxconv.engine.problem import ConvProblem, contiguous_strides
from mxconv.engine.timing import alternate
from mxconv.engine.trial import make_arrays

from .check import Judge
from .client import Contestant
from .peer import Problem
from .results import Entry, Row, is_ours
from .tasks import Task
from .training import split_name

MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Settings:
    """How a run measures; part of its results."""

    threads: int
    rounds: int = 9
    seconds: float = 0.05
    """What the calls of one turn shall take together."""
    patience: float = 2.0
    """Seconds of one call above which a library is not timed."""
    timeout: float = 12.0
    """Seconds after which a library that is preparing, compiling and calling twice is given up."""
    own_timeout: float = 300.0
    """The same for our engine, which may also have to measure what it can choose from."""
    hopeless: float = 3.0
    """After three rounds, peers that are this many times slower than the fastest peer are dropped."""
    training: bool = False
    """Weights change from call to call, and rows are the steps of layers (harness/training.py)."""
    new_weights: bool = False
    """Each call brings its weight, as a plain array."""
    sweep: int = 0
    """Bytes that are written over before each call, to time with cold caches."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def objection(problem: ConvProblem) -> str:
    """Why the peers cannot be asked to do a problem; "" if they can."""
    unknown = [f"+{word}" for word in problem.epilogue if word != "bias"]
    if unknown:
        return f"{' '.join(unknown)}: the peers know no epilogue but +bias"
    if any(problem.strides_of(n) != contiguous_strides(problem.shape_of(n)) for n in ("x", "w", "y")):
        return "strides: the peers get contiguous arrays, channels first"
    if problem.dtype == "bfloat16":
        return "bfloat16: such arrays do not pass through .npy files"
    return ""


def describe_problem(problem: ConvProblem, step: str = "", *, new_weights: bool = False) -> dict[str, Any]:
    """What a plug-in is told."""
    names = [n for n in Problem.__dataclass_fields__ if n not in ("text", "has_bias", "step", "new_weights")]
    return {
        "text": str(problem),
        **{name: getattr(problem, name) for name in names},
        "has_bias": "bias" in problem.epilogue,
        "step": step,
        "new_weights": new_weights,
    }


def measure(task: Task, contestants: Mapping[str, Contestant], settings: Settings, peak: float) -> Row:
    """Run one problem through every contestant."""
    problem = task.problem
    step = split_name(task.name)[1] if settings.training else ""
    description = describe_problem(problem, step, new_weights=settings.new_weights)
    with tempfile.TemporaryDirectory(prefix="mxconv-bench-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        arrays = make_arrays(problem)
        for name, array in arrays.items():
            np.save(Path(folder, f"{name}.npy"), array)
        judge = Judge.of(problem, arrays)
        accepted: np.ndarray | None = None
        entries: dict[str, Entry] = {}
        for name, contestant in contestants.items():
            peer, own = (settings.timeout, settings.patience), (settings.own_timeout, float("inf"))
            limits = own if is_ours(name) else peer
            entries[name], answer = _prepare(contestant, description, folder, judge, accepted, limits)
            accepted = answer if accepted is None else accepted
    ready = {
        name: partial(contestants[name].burst, sweep=settings.sweep)
        for name, entry in entries.items()
        if entry.status == "timed"
    }
    ours = [name for name in ready if is_ours(name)]
    timings = alternate(
        ready, rounds=settings.rounds, seconds=settings.seconds, hopeless=settings.hopeless, staying=ours
    )
    for name in ready:
        if name in timings:
            entries[name].add_timing(timings[name])
            rounds = len(entries[name].rounds)
            if rounds < settings.rounds:
                entries[name].reason = f"timed in {rounds} of {settings.rounds} rounds: far behind the best peer"
        else:
            entries[name].status, entries[name].reason = "failed", "ended while it was timed"
    return Row(task.name, str(problem), task.named.comment, problem.flops, peak, entries, task.kind)


def _prepare(
    contestant: Contestant,
    description: Mapping[str, Any],
    folder: str,
    judge: Judge,
    accepted: np.ndarray | None,
    limits: tuple[float, float],
) -> tuple[Entry, np.ndarray | None]:
    """The entry of one contestant before it is timed, and its answer if that is right; `limits` are the seconds that
    it may take to answer, and for one call."""
    timeout, patience = limits
    path = Path(folder, "answer.npy")
    request = {"do": "prepare", "problem": description, "folder": folder, "answer": str(path)}
    reply = contestant.ask(request, timeout=timeout)
    for status in ("refused", "failed"):
        if status in reply:
            return Entry(status, reply[status]), None
    answer = np.load(path)
    complaint, error = judge.complaint(answer, accepted)
    entry = Entry(
        "wrong" if complaint else "timed",
        complaint,
        info=reply["info"],
        prepare=1e3 * reply["prepare"],
        first_call=1e3 * reply["first"],
        error=None if np.isnan(error) else error,
    )
    if complaint:
        return entry, None
    if reply["again"] > patience:
        entry.status = "slow"
        entry.reason = f"one call takes {reply['again']:.1f} s, over {patience:g} s"
    return entry, answer
