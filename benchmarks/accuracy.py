"""Measure the error of every algorithm against float64: `python benchmarks/accuracy.py [--write docs/accuracy.md]`.

Data are N(0,1) and four kinds that are harder for algorithms that change the arithmetic. Exits with status 1 if an
algorithm errs by more than it promises, or than the classes of algorithms may.
"""

from __future__ import annotations

import argparse
import fnmatch
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mxconv import config
from mxconv.engine.algorithms import ALGORITHMS, Algorithm
from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import NamedProblem, read_suite
from mxconv.engine.trial import compute, make_arrays, make_result
from mxconv.jit import target
from mxconv.testing import reference

SUITE = Path(__file__).resolve().parent / "suites" / "accuracy.txt"
PLAIN_LIMIT, FFT_LIMIT, DEFAULT_LIMIT = 3e-6, 5e-6, 1.5e-5
"""What plain sums of products may err, what Fourier's transforms may, and what the default admits, on N(0,1) data."""
QUIET = 1e-4
"""How loud the quiet half is."""
MEAN = 100.0

Array = np.ndarray
Arrays = dict[str, Array]


def normal(data: Array) -> Array:
    return data


def relu(data: Array) -> Array:
    return np.maximum(data, 0)


def large_mean(data: Array) -> Array:
    return data + data.dtype.type(MEAN)


def click(data: Array) -> Array:
    """Silence, but for one position near the beginning of the last axis, in all channels."""
    silent = np.zeros_like(data)
    place = (..., *[n // 2 for n in data.shape[2:-1]], data.shape[-1] // 8)
    silent[place] = data[place]
    return silent


def quiet_half(data: Array) -> Array:
    """The second half of the last axis is quiet."""
    half = data.copy()
    half[..., data.shape[-1] // 2 :] *= data.dtype.type(QUIET)
    return half


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of data, and in what units its error is told."""

    title: str
    change: Callable[[Array], Array]
    unit: Callable[[ConvProblem, Array, Array], tuple[Array, float]]
    """Of the errors and the exact result: those errors that count, and what they are divided by."""
    of_weights: bool = True
    """Whether it says something of weight gradients."""


def _rms(_: ConvProblem, errors: Array, exact: Array) -> tuple[Array, float]:
    return errors, float(np.sqrt(np.mean(exact**2)))


def _where_silent(_: ConvProblem, errors: Array, exact: Array) -> tuple[Array, float]:
    return errors[exact == 0], float(np.abs(exact).max())


def _where_quiet(p: ConvProblem, errors: Array, exact: Array) -> tuple[Array, float]:
    """Of the results that see the quiet half only, a quarter at most."""
    extent = exact.shape[-1]
    reach = (p.kernel[-1] - 1) * p.dilation[-1] + 1
    reach = -(-reach // p.stride[-1]) if p.direction == "forward" else reach
    start = max(3 * extent // 4, extent // 2 + reach + 1)
    window = exact[..., start:]
    return errors[..., start:], float(np.sqrt(np.mean(window**2))) if window.size else 1.0


KINDS = (
    Kind("N(0,1)", normal, _rms),
    Kind("ReLU", relu, _rms),
    Kind("large mean", large_mean, _rms),
    Kind("silence", click, _where_silent, False),
    Kind("quiet half", quiet_half, _where_quiet, False),
)


def exact_result(p: ConvProblem, arrays: Arrays) -> Array:
    """The result in float64, by the formula."""
    axes = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
    first, second = (arrays[name] for name in p.inputs)
    if p.direction == "forward":
        return reference.convolution(first, second, **axes)
    if p.direction == "backward_data":
        return reference.deconvolution(first, second, **axes, out_spatial=p.in_spatial)
    return reference.convolution_weight_gradient(first, second, **axes, kernel=p.kernel)


def error_of(kind: Kind, p: ConvProblem, arrays: Arrays, exact: Array, algorithm: Algorithm) -> float | None:
    """The largest error in the kind's unit; None where nothing counts."""
    with config.override(algorithms=algorithm.name, rtol=1e6):
        got = compute(p, arrays, make_result(p))
    errors, unit = kind.unit(p, np.abs(got - exact), exact)
    return float(errors.max()) / unit if errors.size else None


@dataclass(frozen=True, slots=True)
class Measured:
    """One algorithm on one problem."""

    problem: str
    algorithm: Algorithm
    promised: float
    errors: tuple[float | None, ...]
    """One for each of KINDS; None where nothing counts."""

    @property
    def limit(self) -> float:
        """What the kind of algorithm may err on N(0,1) data, if the default admits it at all."""
        if self.algorithm.is_plain:
            return PLAIN_LIMIT
        if self.algorithm.name.startswith("fft"):
            return FFT_LIMIT
        return DEFAULT_LIMIT if self.promised <= DEFAULT_LIMIT else self.promised

    @property
    def fault(self) -> str:
        """What is wrong; "" if nothing is."""
        worst = self.errors[0] or 0.0
        limit = min(self.limit, self.promised)
        where = f"{self.problem}, {self.algorithm.name}"
        return f"{where}: {worst:.2e} is over {limit:.2e}" if worst > limit else ""


def measure(named: NamedProblem) -> list[Measured]:
    """Every algorithm that applies."""
    p = named.problem
    taking = [a for a in ALGORITHMS if a.applicable(p, target.current()).accepted]
    columns: list[list[float | None]] = []
    plain = make_arrays(p)
    for kind in KINDS:
        if p.direction == "backward_weight" and not kind.of_weights:
            columns.append([None] * len(taking))
            continue
        arrays = {**plain, p.inputs[0]: kind.change(plain[p.inputs[0]])}
        exact = exact_result(p, arrays)
        columns.append([error_of(kind, p, arrays, exact, algorithm) for algorithm in taking])
    return [
        Measured(named.name, algorithm, algorithm.error(p), tuple(column[i] for column in columns))
        for i, algorithm in enumerate(taking)
    ]


def to_markdown(rows: Sequence[Measured], problems: Sequence[NamedProblem]) -> str:
    """The page."""
    lines = [
        "# Errors, measured",
        "",
        "The largest error of each algorithm against the formula in float64, on float32 data. Written by",
        f"`python benchmarks/accuracy.py` for {target.current().name}, {platform.machine()}; weights are N(0,1).",
        "",
        "| column | data | error is divided by |",
        "|---|---|---|",
        "| promised | what the algorithm says of itself on N(0,1) data, by which the planner goes | |",
        "| N(0,1) | independent, normal | the RMS of the result, its σ |",
        "| ReLU | the same, negative ones 0 | the RMS of the result |",
        f"| large mean | the same plus {MEAN:g} | the RMS of the result |",
        "| silence | 0 but for one click; errors where the result is exactly 0 | the largest result |",
        f"| quiet half | the second half {QUIET:g} times as loud; errors well inside it | the RMS there |",
        "",
        "Plain sums of products (`plain`) reach a result from its own window only, so silence stays silent and the",
        "quiet half is as exact as the loud one. Winograd's and Fourier's transforms spread rounding errors over a",
        "tile or a block: next to loud sounds, silence is not exactly silent. The setting `accuracy` ('pointwise')",
        "excludes them, `rtol` those whose promise is larger.",
        "",
        "The worst of all problems, on N(0,1) data:",
        "",
        "| algorithm | plain | worst | on |",
        "|---|---|---|---|",
    ]
    for algorithm in ALGORITHMS:
        mine = [row for row in rows if row.algorithm.name == algorithm.name]
        if mine:
            worst = max(mine, key=lambda row: row.errors[0] or 0.0)
            plain = "yes" if algorithm.is_plain else ""
            lines.append(f"| {algorithm.name} | {plain} | {_digits(worst.errors[0])} | {worst.problem} |")
    lines += ["", f"| problem | algorithm | promised | {' | '.join(k.title for k in KINDS)} |", "|---" * 8 + "|"]
    for row in rows:
        cells = [row.problem, row.algorithm.name, _digits(row.promised), *map(_digits, row.errors)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| problem | as a line |", "|---|---|", *(f"| {p.name} | `{p.problem}` |" for p in problems)]
    return "\n".join(lines) + "\n"


def _digits(error: float | None) -> str:
    return "" if error is None else "0" if error == 0 else f"{error:.1e}"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/accuracy.py", description="Measure errors against float64.")
    parser.add_argument("suite", nargs="?", type=Path, default=SUITE, help="a problem file (suites/accuracy.txt)")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="rows whose name matches")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write a page of tables")
    arguments = parser.parse_args(words)
    problems = [named for named in read_suite(arguments.suite) if fnmatch.fnmatch(named.name, arguments.only)]
    rows: list[Measured] = []
    for named in problems:
        found = measure(named)
        rows += found
        for row in found:
            cells = [f"{_digits(e):>8}" for e in row.errors]
            print(f"{row.problem:<20}{row.algorithm.name:<24}{_digits(row.promised):>8} {''.join(cells)}", flush=True)
    if arguments.write:
        arguments.write.write_text(to_markdown(rows, problems), encoding="utf-8")
    faults = [row.fault for row in rows if row.fault]
    print(*faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
