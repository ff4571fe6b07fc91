"""Start a batch of cases in a child process and read what it said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mxconv import config
from mxconv.engine.problem import ConvProblem
from mxconv.errors import UnsupportedError
from mxconv.jit import target
from mxconv.jit.target import Target

from .random_problems import Case, parse


def lane_distance(p: ConvProblem) -> str:
    """How far apart neighbouring pixels of a result read: whole vectors, every other element, or gathered."""
    step = 1 if p.direction == "backward_data" else p.stride[-1]
    return {1: "1", 2: "2"}.get(step * p.strides_of(p.inputs[0])[-1], "other")


@dataclass
class Outcome:
    """What a child came to: how it ended, the case that it began last, and what those that passed used."""

    returncode: int
    cases: list[Case] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    last: str = ""
    failed: str = ""
    error: str = ""
    stderr: str = ""

    @property
    def report(self) -> str:
        """Why it did not pass; empty if it did."""
        if self.returncode == 0:
            return ""
        end = f"signal {-self.returncode}" if self.returncode < 0 else f"exit status {self.returncode}"
        return f"{end} after {len(self.records)} cases, in\n{self.last}\n{self.error}\n{self.stderr[-2000:]}"

    def count(self) -> Counter[tuple[str, str]]:
        """How many cases each algorithm, direction, dtype and api got."""
        counter: Counter[tuple[str, str]] = Counter()
        for case, record in zip(self.cases, self.records, strict=True):
            counter["direction", case.problem.direction] += 1
            counter["dtype", case.problem.dtype] += 1
            counter["api", case.api] += 1
            counter["lanes", lane_distance(case.problem)] += 1
            counter["window", "1x1" if set(case.problem.kernel) == {1} else "larger"] += 1
            if "algorithm" in record:
                counter["algorithm", record["algorithm"]] += 1
                for word in case.problem.epilogue:
                    counter["epilogue", word] += 1
                    counter["epilogue", f"{record['algorithm']} {word}"] += 1
            for name in record.get("kernels", ()):
                for variant in re.findall(r"\d([a-z]+)(?=_|$)", name):  # direct_float32_1x2_4rows_3taps_avx2
                    counter["kernel", f"{record['algorithm']} {variant}"] += 1
        return counter

    def share_of_blocked(self) -> float:
        """The share of cases with two or more blocks on every blocked axis (a single channel cannot be blocked)."""
        blocked = 0
        for case, record in zip(self.cases, self.records, strict=True):
            blocks = dict(record.get("blocks", {}))
            p = case.problem
            if (p.in_channels if p.direction == "backward_data" else p.out_channels) == p.groups:
                blocks.pop("channels", None)
            blocked += bool(blocks) and min(blocks.values()) >= 2
        return blocked / max(1, len(self.records))


def run_child(arguments: Iterable[str], *, timeout: float, environment: dict[str, str]) -> Outcome:
    """Run a batch in a child process and read what it said; a timeout is a failure of its own."""
    command = [sys.executable, "-m", f"{__package__}.child", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
        status, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, out, err = 1, *((t or b"").decode() for t in (late.stdout, late.stderr))
        err += f"timeout after {timeout} s"
    outcome = Outcome(status, stderr=err)
    for line in out.splitlines():
        if not line.startswith("{"):
            outcome.last = line
            continue
        record = json.loads(line)
        if "failed" in record:
            outcome.failed, outcome.error, outcome.last = record["failed"], record["error"], record["case"]
            break
        outcome.cases.append(parse(record["case"]))
        outcome.records.append(record)
    return outcome


def numbered(problems: str, first: int, count: int) -> list[str]:
    """The arguments that name a batch by the module which draws it and its numbers."""
    return ["--problems", problems, "--first", str(first), "--count", str(count)]


def listed(folder: Path, cases: Iterable[Case | str]) -> list[str]:
    """The arguments that name a batch by a file of its lines, which is written to a folder."""
    path = folder / "cases.txt"
    path.write_text("\n".join(map(str, cases)), encoding="utf-8")
    return ["--file", str(path)]


def usable(name: str) -> Target:
    """The target of that name; skips what this CPU cannot run."""
    try:
        with config.override(target=name):
            return target.current()
    except UnsupportedError as error:
        pytest.skip(str(error))


def run_on_target(
    name: str, arguments: Iterable[str], environment: dict[str, str], count: int, **settings: str
) -> Outcome:
    """Run a batch of so many cases for a target, with some settings; all must pass."""
    usable(name)
    variables = {f"MXCONV_{key.upper()}": value for key, value in {"target": name, **settings}.items()}
    outcome = run_child(arguments, timeout=600, environment={**environment, **variables})
    assert not outcome.report, outcome.report
    assert len(outcome.records) == count
    return outcome
