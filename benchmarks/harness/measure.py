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
from mxconv.engine.suite import NamedProblem
from mxconv.engine.timing import alternate
from mxconv.engine.trial import make_arrays

from .check import Judge
from .client import Contestant
from .peer import Problem
from .results import Entry, Row
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
    timeout: float = 100.0
    """Seconds after which a library that is preparing, compiling and calling twice is given up."""
    hopeless: float = 5.0
    """After three rounds, libraries that are this many times slower than the fastest are dropped."""
    training: bool = False
    """Weights change from call to call, and rows are the steps of layers (harness/training.py)."""
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


def describe_problem(problem: ConvProblem, step: str = "") -> dict[str, Any]:
    """What a plug-in is told."""
    names = [n for n in Problem.__dataclass_fields__ if n not in ("text", "has_bias", "step")]
    return {
        "text": str(problem),
        **{name: getattr(problem, name) for name in names},
        "has_bias": "bias" in problem.epilogue,
        "step": step,
    }


def measure(named: NamedProblem, contestants: Mapping[str, Contestant], settings: Settings, peak: float) -> Row:
    """Run one problem through every contestant."""
    problem = named.problem
    description = describe_problem(problem, split_name(named.name)[1] if settings.training else "")
    with tempfile.TemporaryDirectory(prefix="mxconv-bench-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        arrays = make_arrays(problem)
        for name, array in arrays.items():
            np.save(Path(folder, f"{name}.npy"), array)
        judge = Judge.of(problem, arrays)
        accepted: np.ndarray | None = None
        entries: dict[str, Entry] = {}
        for name, contestant in contestants.items():
            entries[name], answer = _prepare(contestant, description, folder, judge, accepted, settings)
            accepted = answer if accepted is None else accepted
    ready = {
        name: partial(contestants[name].burst, sweep=settings.sweep)
        for name, entry in entries.items()
        if entry.status == "timed"
    }
    timings = alternate(ready, rounds=settings.rounds, seconds=settings.seconds, hopeless=settings.hopeless)
    for name in ready:
        if name in timings:
            entries[name].add_timing(timings[name])
        else:
            entries[name].status, entries[name].reason = "failed", "ended while it was timed"
    return Row(named.name, str(problem), named.comment, problem.flops, peak, entries)


def _prepare(
    contestant: Contestant,
    description: Mapping[str, Any],
    folder: str,
    judge: Judge,
    accepted: np.ndarray | None,
    settings: Settings,
) -> tuple[Entry, np.ndarray | None]:
    """The entry of one contestant before it is timed, and its answer if that is right."""
    path = Path(folder, "answer.npy")
    request = {"do": "prepare", "problem": description, "folder": folder, "answer": str(path)}
    reply = contestant.ask(request, timeout=settings.timeout)
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
    if reply["again"] > settings.patience:
        entry.status = "slow"
        entry.reason = f"one call takes {reply['again']:.1f} s, over {settings.patience:g} s"
    return entry, answer
