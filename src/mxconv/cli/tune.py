"""`mxconv tune`: measure now which algorithms are the fastest, and have all later calls use them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import typer

from ..engine import machine, plan_store, planner, tuner
from ..engine.choice import in_milliseconds
from ..engine.measure import Outcome, tune
from ..engine.problem import DIRECTIONS, ConvProblem
from ..engine.suite import parse_line, read_suite
from ..errors import FormatError, ParamError, UnsupportedError
from ..jit import target
from ..ops.refusal import refusal
from .attributes import parse_shape
from .checkpoint import load_checkpoint
from .console import console, progress, table
from .files import replacing
from .run import bind, find_inputs, with_types


def run_tune(
    problems: Sequence[str],
    *,
    checkpoint: tuple[str, int] | None,
    data: Sequence[str],
    inputs: Sequence[str],
    training: bool,
    new_weights: bool,
    rounds: int,
    again: bool,
) -> None:
    """Measure what is not known yet, and print what won and by how much.

    Raises: FormatError or ShapeError, for a problem or file that cannot be read; ParamError, for options that do not go
    together.
    """
    named = list(_read(problems))
    if checkpoint is not None:
        named += _problems_of(*checkpoint, data, inputs)
    elif data or inputs:
        fix = "Name the checkpoint as well, or leave it out."
        raise refusal(ParamError, "--data", "given without --checkpoint", "both or none", fix=fix)
    if not named:
        fix = "Name a file of problems, a problem in quotes, or --checkpoint PREFIX EPOCH."
        raise refusal(ParamError, "PROBLEM", "missing", "something to tune", fix=fix)
    if training:
        named = [every for one in named for every in _with_gradients(one)]
    for dtype in {problem.dtype for problem in named}:
        machine.measure_again(dtype, target.current())
    outcomes: dict[str, Outcome] = {}
    skipped: dict[str, str] = {}
    wanted = dict.fromkeys(named)
    with progress() as bar:
        task = bar.add_task("tuning", total=len(wanted))
        for problem in wanted:
            bar.update(task, description=str(problem))
            try:
                outcome = tune(problem, packs_weight=new_weights, rounds=rounds, again=again)
                outcomes.setdefault(outcome.shape_class, outcome)
            except UnsupportedError as error:
                skipped[str(problem)] = error.message
            bar.update(task, advance=1)
    _print(list(outcomes.values()), skipped)


def run_show(pattern: str) -> None:
    """Print what is remembered of the classes that a pattern is part of."""
    rows = table("class", "fastest first, nanoseconds per 1000 operations")
    known = {name: rates for name, rates in plan_store.all_rates().items() if pattern in name}
    for name, rates in known.items():
        order = sorted(rates, key=rates.__getitem__)
        rows.add_row(name, ", ".join(f"{one} {1e12 * rates[one]:.3g}" for one in order))
    if known:
        console().print(rows)
    typer.echo(_classes(len(known)))


def run_save(pattern: str, path: Path) -> None:
    """Write what is remembered of those classes to a file, as the package ships one (mxconv/engine/tuned.json)."""
    known = {name: dict(rates) for name, rates in plan_store.all_rates().items() if pattern in name}
    rounded = {name: {one: float(f"{rate:.3g}") for one, rate in rates.items()} for name, rates in known.items()}
    with replacing(path) as file:
        file.write((json.dumps(rounded, indent=0, sort_keys=True) + "\n").encode())
    typer.echo(f"wrote {_classes(len(known))} to {path}")


def _classes(count: int) -> str:
    return "1 class of shapes" if count == 1 else f"{count} classes of shapes"


def run_forget(pattern: str) -> None:
    """Drop what is remembered of the classes that a pattern is part of."""
    count = plan_store.forget(lambda name: pattern in name)
    tuner.forget()
    typer.echo(f"forgot {_classes(count)}")


def _read(texts: Iterable[str]) -> Iterable[ConvProblem]:
    for text in texts:
        words = text.partition(": ")[2].split() or text.split()
        if words[:1] and words[0] in DIRECTIONS:
            yield parse_line(text).problem
        elif Path(text).is_file():
            yield from (named.problem for named in read_suite(Path(text)))
        else:
            fix = 'A problem reads like "forward float32 n1 g1 c8->16 i9x9 k3x3".'
            raise refusal(FormatError, "PROBLEM", repr(text), "a file of problems, or a problem", fix=fix)


def _problems_of(prefix: str, epoch: int, data: Sequence[str], inputs: Sequence[str]) -> list[ConvProblem]:
    """What a network asks of the engine for data of these shapes: it is run once, on zeros."""
    loaded = load_checkpoint(prefix, epoch)
    shapes = [parse_shape("--data", text) for text in data]
    nodes = find_inputs(loaded, inputs, len(shapes))
    stored, fed = with_types(loaded, {n: np.zeros(s, np.float32) for n, s in zip(nodes, shapes, strict=True)}, None)
    executor = bind(loaded.symbol, stored | fed)
    with planner.recording() as plans:
        executor.forward(is_train=False)
    return [plan.problem for plan in plans]


def _with_gradients(problem: ConvProblem) -> list[ConvProblem]:
    """The three directions of a layer, arrays contiguous."""
    return [
        ConvProblem.create(
            direction,
            problem.dtype,
            kernel=problem.kernel,
            in_channels=problem.in_channels,
            out_channels=problem.out_channels,
            in_spatial=problem.in_spatial,
            batch=problem.batch,
            groups=problem.groups,
            stride=problem.stride,
            dilation=problem.dilation,
            pad_lo=problem.pad_lo,
            pad_hi=problem.pad_hi,
        )
        for direction in DIRECTIONS
    ]


def _print(outcomes: Sequence[Outcome], skipped: dict[str, str]) -> None:
    screen = console()
    rows = table("class", "estimate chooses", "fastest", "ms", "gain")
    for one in outcomes:
        best = in_milliseconds(one.seconds[one.fastest]).removesuffix(" ms")
        rows.add_row(one.shape_class, one.preferred, one.fastest, best, f"{one.gain:.2f}")
    screen.print(rows)
    for name, reason in skipped.items():
        screen.print(f"{name}: not tuned: {reason}")
    changed = sum(one.gain > 1 for one in outcomes)
    new = sum(one.is_new for one in outcomes)
    mean = float(np.exp(np.mean([np.log(one.gain) for one in outcomes]))) if outcomes else 1.0
    screen.print(
        f"{_classes(len(outcomes))}, {new} measured now; in {changed} something else is faster than what the "
        f"estimate chooses; {mean:.3f} times as fast in the geometric mean."
    )
