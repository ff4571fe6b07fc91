"""Results: rows of entries, kept as JSON after each problem so that a run can go on where it stopped."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy

from mxconv.engine.machine import current
from mxconv.engine.timing import Timing
from mxconv.jit import target

OURS = "mxconv"
ROUGHLY = ("prepare", "first_call", "error")
"""What is measured once; two digits are kept."""


def is_ours(library: str) -> bool:
    """Whether it is our engine, as it is or in another setting."""
    return library.startswith(OURS)


@dataclass
class Entry:
    """How one library fared with one problem; times in milliseconds."""

    status: str = "timed"
    """timed, refused (by its own word), wrong, slow or failed."""
    reason: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    prepare: float | None = None
    first_call: float | None = None
    error: float | None = None
    median: float | None = None
    p25: float | None = None
    p75: float | None = None
    minimum: float | None = None
    samples: int = 0
    rounds: list[float] = field(default_factory=list)
    """The median of each round."""

    def add_timing(self, timing: Timing) -> None:
        self.status = "timed"
        self.median, self.p25, self.p75 = (_ms(timing.quantile(q)) for q in (0.5, 0.25, 0.75))
        self.minimum = _ms(timing.minimum)
        self.samples = len(timing.samples)
        self.rounds = [_ms(m) for m in timing.round_medians]


@dataclass
class Row:
    """One problem."""

    name: str
    problem: str
    comment: str
    flops: int
    peak: float
    """Measured floating-point operations per second of all the threads together."""
    entries: dict[str, Entry]
    kind: str = ""
    """The suite's class (harness/tasks.py)."""
    again: list[float] = field(default_factory=list)
    """The ratios of later measurements."""

    def gflops(self, library: str) -> float | None:
        entry = self.entries.get(library)
        return self.flops / entry.median / 1e6 if entry is not None and entry.median else None

    def best_peer(self, *, direct: bool = False, among: str = "") -> str | None:
        """The fastest library beside ours; `direct`: of those that do not say that they transform the data; `among`:
        of those whose names begin so."""
        timed = {
            name: entry.median
            for name, entry in self.entries.items()
            if not is_ours(name) and name.startswith(among) and entry.median is not None
            if not (direct and entry.info.get("transforms"))
        }
        return min(timed, key=lambda n: timed[n]) if timed else None

    def ratio(self, *, direct: bool = False, among: str = "") -> float | None:
        """How many times longer the best peer takes than we do."""
        peer = self.best_peer(direct=direct, among=among)
        return None if peer is None else self.ratio_to(peer)

    def ratio_to(self, library: str) -> float | None:
        """How many times longer a library takes than we do: the median over rounds, each compared with itself."""
        theirs, ours = self.entries.get(library), self.entries.get(OURS)
        if theirs is None or ours is None or not ours.rounds or not theirs.rounds:
            return None
        return statistics.median(their / our for their, our in zip(theirs.rounds, ours.rounds, strict=False))


@dataclass
class Results:
    """One run over a suite."""

    settings: dict[str, Any]
    machine: dict[str, Any]
    libraries: dict[str, str] = field(default_factory=dict)
    """The version of each, or why it takes no part."""
    rows: list[Row] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all: a line for each row, of an entry only what is known, and numbers to four
        digits, which is closer than two runs agree (see ROUGHLY)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = _rounded(asdict(self))
        rows = stored.pop("rows")
        for row in rows:
            row["entries"] = {library: _known(entry) for library, entry in row["entries"].items()}
        lines = [f"{_compact(name)}:{_compact(value)}" for name, value in stored.items()]
        lines.append('"rows":[\n' + ",\n".join(map(_compact, rows)) + "\n]")
        temporary = path.with_suffix(".tmp")
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Results:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            Row(**{**row, "entries": {name: Entry(**entry) for name, entry in row["entries"].items()}})
            for row in stored.pop("rows")
        ]
        return cls(**stored, rows=rows)

    def has(self, name: str, problem: str) -> bool:
        return any((row.name, row.problem) == (name, problem) for row in self.rows)


def resume(path: Path, settings: Mapping[str, Any]) -> Results | None:
    """The results of a run that was broken off, if it was the same run; None if there is none.

    Raises: SystemExit, if it was run with other settings.
    """
    if not path.exists():
        return None
    results = Results.load(path)
    changed = [k for k in settings if settings[k] != results.settings.get(k)]
    if changed:
        had = ", ".join(f"{k}={results.settings.get(k)!r}" for k in changed)
        raise SystemExit(f"{path} was made with {had}: give the same settings, or another --name")
    return results


def describe_machine(cpus: int) -> dict[str, Any]:
    """What the numbers depend on; caches in bytes, speeds in bytes a second."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        _, found, rest = cpuinfo.read_text().partition("model name")
        model = rest.splitlines()[0].lstrip("\t: ") if found else model
    speeds = current("float32", target.current())
    return {
        "cpu": model,
        "target": target.current().name,
        "l2": speeds.l2,
        "l3": speeds.l3,
        "cache_bytes": speeds.cache_bytes,
        "memory_bytes": speeds.memory_bytes,
        "cpus": cpus,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
        "revision": _revision(),
    }


def _revision() -> str:
    """The commit that is checked out; "" where git does not know."""
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _known(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored entry says beyond the defaults."""
    usual = asdict(Entry())
    return {
        name: _rounded(value, 2) if name in ROUGHLY else value for name, value in entry.items() if value != usual[name]
    }


def _rounded(value: Any, digits: int = 4) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {name: _rounded(item, digits) for name, item in value.items()}
    return [_rounded(item, digits) for item in value] if isinstance(value, list) else value


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 5)
