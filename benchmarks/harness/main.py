"""The command line of the harness; see README.md beside run.py."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import mxconv
from mxconv.engine.peak import measure_peak
from mxconv.engine.suite import NamedProblem, read_suite

from .client import Contestant
from .measure import Settings, measure, objection
from .report import draw, to_markdown
from .results import OURS, Results, Row, describe_machine, resume
from .training import describe_layers, group_layers, split_name

HERE = Path(__file__).resolve().parent.parent
CORE = HERE / "suites" / "core.txt"
TRAINING = HERE / "suites" / "training.txt"
COLD_SWEEP = 2**27


def find_plugins() -> list[str]:
    """The names of all peers."""
    names = (p.stem for p in (HERE / "peers").glob("*.py"))
    return sorted(name for name in names if name != OURS and not name.startswith("_"))


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description="Time mxconv's engine beside other libraries."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("suite", nargs="?", type=Path, help="a problem file")
    which.add_argument("--core", action="store_const", const=CORE, dest="core", help="suites/core.txt")
    which.add_argument(
        "--training",
        nargs="?",
        type=Path,
        const=TRAINING,
        metavar="SUITE",
        help="suites/training.txt, or another file of LAYER.output, .data and .weight; weights change between calls",
    )
    parser.add_argument("--only", metavar="PATTERN", help="rows whose name matches, as 'r50_*'")
    parser.add_argument("--peer-python", metavar="PYTHON", help="an interpreter that has the peers installed")
    parser.add_argument("--peers", metavar="A,B", help=f"which of {', '.join(find_plugins())}, or files of your own")
    parser.add_argument("--without-ours", action="store_true", help="time the peers only")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cpus, help="threads and CPUs of every library (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of alternation (%(default)s)")
    parser.add_argument("--cold", action="store_true", help="empty the caches before each call")
    parser.add_argument("--name", help="of the results (date, time and suite)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder of the results")
    parser.add_argument("--resume", action="store_true", help="go on with the results of that name")
    parser.add_argument("--log", type=Path, help="file that receives what the libraries print")
    arguments = parser.parse_args(words)
    if arguments.threads > cpus or arguments.threads < 1:
        parser.error(f"--threads {arguments.threads}: this process may use 1 to {cpus} CPUs")
    if arguments.peer_python and shutil.which(arguments.peer_python) is None:
        parser.error(f"--peer-python {arguments.peer_python}: there is no such program")
    if arguments.peers and not arguments.peer_python:
        parser.error("--peers needs --peer-python")
    arguments.suite = arguments.core or arguments.training or arguments.suite
    return arguments


def open_contestants(arguments: argparse.Namespace, stack: ExitStack) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Those that start, ours first; and the version of each, or why it did not start."""
    errors = stack.enter_context(arguments.log.open("a")) if arguments.log else None
    wanted: dict[str, str] = {} if arguments.without_ours else {OURS: sys.executable}
    if arguments.peer_python:
        names = arguments.peers.split(",") if arguments.peers else find_plugins()
        wanted |= dict.fromkeys(names, arguments.peer_python)
    cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="mxconv-bench-cache-"))
    ours = {
        "PYTHONPATH": str(Path(mxconv.__file__).parent.parent),
        "MXCONV_CACHE_DIR": cache,  # empty, so that the first call shows what compiling costs
        "MXCONV_NUM_THREADS": str(arguments.threads),
    }
    contestants, versions = {}, {}
    for plugin, python in wanted.items():
        name = Path(plugin).stem
        environment = ours if name == OURS else {}
        options = {} if errors is None else {"errors": errors}
        contestant = Contestant(plugin, python, arguments.threads, environment=environment, **options)
        stack.callback(contestant.stop)
        started = contestant.start()
        if "version" in started:
            contestants[name] = contestant
        versions[name] = started.get("version") or f"absent: {started.get('refused') or started.get('failed')}"
        print(f"{name:<20}{versions[name]}", flush=True)
    return contestants, versions


def run(
    problems: Sequence[NamedProblem],
    contestants: Mapping[str, Contestant],
    settings: Settings,
    results: Results,
    path: Path,
) -> None:
    """Measure what the results lack, one problem after the other, writing them down each time."""
    left = [p for p in problems if not results.has(p.name, str(p.problem))]
    for number, named in enumerate(left, 1):
        begin = time.perf_counter()
        peak = measure_peak(named.problem.dtype) * settings.threads
        row = measure(named, contestants, settings, peak)
        results.rows.append(row)
        results.save(path)
        print(f"{number:>3}/{len(left)} {describe_row(row)}   [{time.perf_counter() - begin:.0f} s]", flush=True)


def describe_row(row: Row) -> str:
    """One line for the terminal."""
    parts = [f"{row.name:<28}"]
    for name, entry in row.entries.items():
        parts.append(f"{name} {entry.median:.3f}" if entry.median is not None else f"{name} {entry.status}")
    return "  ".join(parts)


def refuse_unsuited(problems: Sequence[NamedProblem], *, training: bool) -> None:
    """Stop before anything is measured if the harness cannot do all of it.

    Raises: SystemExit, naming each row and what is wrong with it.
    """
    wrong = [f"{p.name}: {why}" for p in problems if (why := objection(p.problem))]
    if wrong:
        raise SystemExit("\n".join(["leave these rows out, or choose others with --only:", *wrong]))
    if training:
        for problem in problems:
            split_name(problem.name)


def main(words: Sequence[str] | None = None) -> int:
    """Run a suite, or what is left of it, and write JSON, Markdown and a picture."""
    arguments = parse_arguments(words)
    problems = [p for p in read_suite(arguments.suite) if fnmatch.fnmatch(p.name, arguments.only or "*")]
    if not problems:
        raise SystemExit(f"no row of {arguments.suite} matches {arguments.only!r}")
    training = arguments.training is not None
    refuse_unsuited(problems, training=training)
    sweep = COLD_SWEEP if arguments.cold else 0
    settings = Settings(arguments.threads, arguments.rounds, training=training, sweep=sweep)
    name = arguments.name or f"{datetime.datetime.now():%Y-%m-%d-%H%M}-{arguments.suite.stem}"
    path = arguments.results / f"{name}.json"
    stored = {**settings.to_json(), "suite": arguments.suite.stem}
    if path.exists() and not arguments.resume:
        raise SystemExit(f"{path} exists: go on with it (--resume), or give another --name")
    results = resume(path, stored) if arguments.resume else None
    results = results or Results(stored, describe_machine(os.cpu_count() or 1))
    with ExitStack() as stack:
        contestants, results.libraries = open_contestants(arguments, stack)
        run(problems, contestants, settings, results, path)
    path.with_suffix(".md").write_text(to_markdown(results), encoding="utf-8")
    draw(results, path.with_suffix(".png"))
    if training:
        print(*describe_layers(group_layers(results.rows)), sep="\n")
    print(f"wrote {path}, .md and .png")
    return 0
