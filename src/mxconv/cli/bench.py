"""`mxconv bench`: how fast the engine computes given problems on this machine, now."""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import config
from .._version import __version__
from ..engine import planner
from ..engine.peak import measure_peak
from ..engine.plan import Plan
from ..engine.suite import NamedProblem, parse_line, read_suite
from ..engine.timing import Timing, alternate, stop_watch
from ..engine.trial import ConstantWeight, compute, make_arrays, make_result
from ..errors import ParamError, UnsupportedError
from ..ops.refusal import refusal
from .console import console, table
from .files import replacing

EXAMPLES = (
    "resnet_7x7s2: forward float32 n1 g1 c3->64 i224x224 k7x7 s2x2 p3x3",
    "resnet_3x3: forward float32 n1 g1 c64->64 i56x56 k3x3 p1x1",
    "resnet_1x1: forward float32 n1 g1 c64->256 i56x56 k1x1",
    "mobilenet_depthwise: forward float32 n1 g144 c144->144 i56x56 k3x3 p1x1",
    "wavenet_dilated: forward float32 n1 g1 c64->64 i16000 k2 d64 p64:0",
    "dcgan_deconvolution: backward_data float32 n1 g1 c64->128 i64x64 k4x4 s2x2 p1x1",
)
"""What is timed when nothing is named: small layers of well-known networks."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One problem's row; times in milliseconds."""

    name: str
    problem: str
    algorithm: str
    threads: int
    workspace_bytes: int
    first_ms: float
    median_ms: float
    p25_ms: float
    p75_ms: float
    min_ms: float
    samples: int
    gflops: float
    percent_of_peak: float


def run_bench(
    problems: Sequence[str], *, suite: str | None, only: str | None, rounds: int, threads: int | None, out: str | None
) -> None:
    """Time problems and print their table.

    Raises: FormatError or ShapeError, for a problem or a file that cannot be read; ParamError, if nothing is left.
    """
    named = [*(read_suite(Path(suite)) if suite else []), *map(parse_line, problems)]
    named = named or [parse_line(line) for line in EXAMPLES]
    chosen = [n for n in named if fnmatch.fnmatch(n.name, only or "*")]
    if not chosen:
        names = f"a pattern that one of the {len(named)} names matches"
        raise refusal(ParamError, f"--only {only}", "without a match", names, fix="Leave it out to time all of them.")
    measured: list[Measured] = []
    skipped: dict[str, str] = {}
    with config.override(**({} if threads is None else {"num_threads": threads})):
        for item in chosen:
            with console(stderr=True).status(item.name):
                try:
                    measured.append(measure(item, rounds))
                except UnsupportedError as error:
                    skipped[item.name] = str(error)
    _print(measured, skipped, rounds)
    if out is not None:
        _write(Path(out), measured, skipped, rounds)


def measure(item: NamedProblem, rounds: int) -> Measured:
    """The row of one problem. The first call plans, and compiles or loads kernels; later ones reuse the output array.

    Raises: UnsupportedError, if no algorithm computes it.
    """
    problem = item.problem
    arrays, result = make_arrays(problem), make_result(problem)
    start = time.perf_counter()
    plan = planner.make_plan(problem)
    constant = ConstantWeight(arrays["w"]) if "w" in arrays else None
    compute(problem, arrays, result, constant)
    first = time.perf_counter() - start
    burst = stop_watch(lambda: compute(problem, arrays, result, constant))
    return _row(item, plan, first, alternate({item.name: burst}, rounds=rounds)[item.name])


def _row(item: NamedProblem, plan: Plan, first: float, timing: Timing) -> Measured:
    rate = item.problem.flops / timing.median
    return Measured(
        name=item.name,
        problem=str(item.problem),
        algorithm=plan.algorithm,
        threads=plan.threads,
        workspace_bytes=plan.workspace_bytes,
        first_ms=1e3 * first,
        median_ms=1e3 * timing.median,
        p25_ms=1e3 * timing.quantile(0.25),
        p75_ms=1e3 * timing.quantile(0.75),
        min_ms=1e3 * timing.minimum,
        samples=len(timing.samples),
        gflops=rate / 1e9,
        percent_of_peak=100 * rate / (plan.threads * measure_peak(item.problem.dtype)),
    )


def _print(measured: Sequence[Measured], skipped: dict[str, str], rounds: int) -> None:
    screen = console()
    rows = table("problem", "algorithm", "threads", "ms (p25-p75)", "GFLOP/s", "% of peak", "first ms")
    rows.leading = 0
    for column in rows.columns[2:]:
        column.justify = "right"
    for m in measured:
        spread = f"{m.median_ms:.3f} ({m.p25_ms:.3f}-{m.p75_ms:.3f})"
        numbers = f"{m.gflops:.1f}", f"{m.percent_of_peak:.0f}", f"{m.first_ms:.1f}"
        rows.add_row(m.name, m.algorithm, str(m.threads), spread, *numbers)
    screen.print(rows)
    for name, reason in skipped.items():
        screen.print(f"{name}: not timed: {reason}")
    screen.print(
        f"Medians of all calls in {rounds} rounds. GFLOP/s: 2 operations for each multiply-add on a real sample. Peak: "
        "measured with multiply-adds alone, for as many cores as the plan has threads. First: with planning and "
        "compiling, or loading from the code cache."
    )


def _write(path: Path, measured: Sequence[Measured], skipped: dict[str, str], rounds: int) -> None:
    report = {
        "mxconv": __version__,
        "machine": {"cpu": platform.processor() or platform.machine(), "cpus": os.cpu_count()},
        "rounds": rounds,
        "rows": [asdict(m) for m in measured],
        "skipped": skipped,
    }
    with replacing(path) as file:
        file.write((json.dumps(report, indent=1) + "\n").encode())
