"""A run of the harness from its command line to its files; see README.md beside run.py."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import mxconv
from mxconv.engine.peak import measure_peak

from .arguments import parse_arguments
from .client import Contestant
from .criteria import CHANNELS_LAST, UNTUNED, judge, rows_behind, tabulate_criteria
from .drawn import draw_suite
from .measure import Settings, measure, objection
from .report import draw, to_markdown
from .results import OURS, Results, Row, describe_machine, resume
from .tasks import Task, adapt, kind_of, read_tasks
from .training import describe_layers, group_layers, split_name

COLD_SWEEP = 2**27


def open_contestants(arguments: argparse.Namespace, stack: ExitStack) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Those that start, ours first; and the version of each, or why it did not start."""
    errors = stack.enter_context(arguments.log.open("a")) if arguments.log else None
    options = {} if errors is None else {"errors": errors}
    wanted = [(name, plugin, sys.executable, env) for name, plugin, env in _our_contestants(arguments, stack)]
    if arguments.peer_python:
        wanted += [(Path(plugin).stem, plugin, arguments.peer_python, {}) for plugin in arguments.peers]
    contestants, versions = {}, {}
    for name, plugin, python, environment in wanted:
        contestant = Contestant(plugin, python, arguments.threads, environment=environment, **options)
        stack.callback(contestant.stop)
        started = contestant.start()
        if "version" in started:
            contestants[name] = contestant
        versions[name] = started.get("version") or f"absent: {started.get('refused') or started.get('failed')}"
        print(f"{name:<22}{versions[name]}", flush=True)
    return contestants, versions


def _our_contestants(arguments: argparse.Namespace, stack: ExitStack) -> list[tuple[str, str, dict[str, str]]]:
    """Our engine in each of its settings: name, plug-in, environment."""
    if arguments.without_ours:
        return []
    cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="mxconv-bench-cache-"))
    environment = {
        "PYTHONPATH": str(Path(mxconv.__file__).parent.parent),
        "MXCONV_CACHE_DIR": cache,  # empty, so that the first call shows what compiling costs
        "MXCONV_NUM_THREADS": str(arguments.threads),
        "MXCONV_TUNE": arguments.tune,
    }
    found = [(OURS, OURS, environment)]
    if arguments.channels_last:
        found.append((CHANNELS_LAST, CHANNELS_LAST, environment))
    if arguments.untuned:
        found.append((UNTUNED, OURS, {**environment, "MXCONV_TUNE": "off"}))
    return found


def collect(arguments: argparse.Namespace) -> list[Task]:
    """The rows to be measured.

    Raises: SystemExit, if there are none, or some that the harness cannot do, naming each and what is wrong with it.
    """
    if arguments.draw:
        tasks = [Task(kind_of(named.problem), named) for named in draw_suite(arguments.draw, arguments.seed)]
    else:
        tasks = read_tasks(arguments.suites)
    tasks = adapt(tasks, dtype=arguments.dtype, batch=arguments.batch)
    tasks = [task for task in tasks if fnmatch.fnmatch(task.name, arguments.only or "*")]
    if not tasks:
        raise SystemExit(f"no row of {arguments.label} matches {arguments.only!r}")
    wrong = [f"{task.name}: {why}" for task in tasks if (why := objection(task.problem))]
    if wrong:
        raise SystemExit("\n".join(["leave these rows out, or choose others with --only:", *wrong]))
    if arguments.training:
        for task in tasks:
            split_name(task.name)
    return tasks


def run(
    tasks: Sequence[Task], contestants: Mapping[str, Contestant], settings: Settings, results: Results, path: Path
) -> None:
    """Measure what the results lack, one problem after the other, writing them down each time."""
    left = [task for task in tasks if not results.has(task.name, str(task.problem))]
    for number, task in enumerate(left, 1):
        row = _measure(task, contestants, settings, f"{number:>3}/{len(left)}")
        results.rows.append(row)
        results.save(path)


def run_again(
    tasks: Sequence[Task], contestants: Mapping[str, Contestant], settings: Settings, results: Results, path: Path
) -> None:
    """Measure once more what was behind a peer and was measured once."""
    by_name = {task.name: task for task in tasks}
    left = [row for row in rows_behind(results.rows) if not row.again and row.name in by_name]
    for number, row in enumerate(left, 1):
        second = _measure(by_name[row.name], contestants, settings, f"again {number:>3}/{len(left)}")
        if (ratio := second.ratio()) is not None:
            row.again.append(round(ratio, 4))
            results.save(path)


def _measure(task: Task, contestants: Mapping[str, Contestant], settings: Settings, number: str) -> Row:
    begin = time.perf_counter()
    row = measure(task, contestants, settings, measure_peak(task.problem.dtype) * settings.threads)
    print(f"{number} {describe_row(row)}   [{time.perf_counter() - begin:.0f} s]", flush=True)
    return row


def describe_row(row: Row) -> str:
    """One line for the terminal."""
    parts = [f"{row.name:<28}"]
    for name, entry in row.entries.items():
        parts.append(f"{name} {entry.median:.3f}" if entry.median is not None else f"{name} {entry.status}")
    return "  ".join(parts)


def open_results(arguments: argparse.Namespace, settings: Settings, path: Path) -> Results:
    """New results, or those that are to be gone on with.

    Raises: SystemExit, if there are some of that name and they are not.
    """
    extras = {"dtype": arguments.dtype, "batch": arguments.batch, "tune": arguments.tune}
    stored = {**settings.to_json(), "suite": arguments.label, **extras}
    if path.exists() and not arguments.resume:
        raise SystemExit(f"{path} exists: go on with it (--resume), or give another --name")
    results = resume(path, stored) if arguments.resume else None
    machine = describe_machine(os.cpu_count() or 1)
    if results is None:
        return Results(stored, machine)
    if machine["revision"] not in results.machine["revision"].split(", "):
        results.machine["revision"] += f", {machine['revision']}"
    if arguments.redo:
        results.rows = [row for row in results.rows if not fnmatch.fnmatch(row.name, arguments.redo)]
    return results


def main(words: Sequence[str] | None = None) -> int:
    """Run suites, or what is left of them, and write JSON, Markdown and a picture."""
    arguments = parse_arguments(words)
    tasks = collect(arguments)
    training = arguments.training is not None
    settings = Settings(
        arguments.threads,
        arguments.rounds,
        training=training,
        new_weights=arguments.new_weights,
        sweep=COLD_SWEEP if arguments.cold else 0,
    )
    name = arguments.name or f"{datetime.datetime.now():%Y-%m-%d-%H%M}-{arguments.label}"
    path = arguments.results / f"{name}.json"
    results = open_results(arguments, settings, path)
    print(f"{len(tasks)} rows of {arguments.label} to {path}", flush=True)
    with ExitStack() as stack:
        contestants, results.libraries = open_contestants(arguments, stack)
        run(tasks, contestants, settings, results, path)
        if arguments.again:
            run_again(tasks, contestants, settings, results, path)
    path.with_suffix(".md").write_text(to_markdown(results), encoding="utf-8")
    draw(results, path.with_suffix(".png"))
    if training:
        print(*describe_layers(group_layers(results.rows)), sep="\n")
    print(*tabulate_criteria(judge(results)), f"wrote {path}, .md and .png", sep="\n")
    return 0
