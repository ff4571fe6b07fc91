"""What a run measures: the rows of suites, of drawn shapes, in other types or batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import NamedProblem, read_suite

CLASSES = ("dense_2d", "dense_3d", "depthwise_grouped", "one_d", "deconvolution", "long_filters")
"""The suites that --all runs; the class of their rows."""


@dataclass(frozen=True, slots=True)
class Task:
    """A row to be measured, and the class it counts in."""

    kind: str
    named: NamedProblem

    @property
    def name(self) -> str:
        return self.named.name

    @property
    def problem(self) -> ConvProblem:
        return self.named.problem


def kind_of(problem: ConvProblem) -> str:
    """The class of a problem that stands in no suite of a class.

    >>> kind_of(ConvProblem.parse("forward float32 n1 g8 c8->8 i5x5 k3x3"))
    'depthwise_grouped'
    """
    if problem.direction == "backward_weight":
        return "weight_gradient"
    if problem.direction == "backward_data":
        return "deconvolution"
    if problem.rank == 1:
        return "long_filters" if problem.kernel[0] >= 200 else "one_d"
    if problem.groups > 1:
        return "depthwise_grouped"
    return "dense_2d" if problem.rank == 2 else "dense_3d"


def read_tasks(files: Iterable[Path]) -> list[Task]:
    """The rows of problem files, one after the other.

    Raises: SystemExit, for a name that stands in two of them; FormatError, as `read_suite`.
    """
    tasks: dict[str, Task] = {}
    for file in files:
        for named in read_suite(file):
            if named.name in tasks:
                raise SystemExit(f"{file}: the name {named.name!r} stands in another file as well")
            tasks[named.name] = Task(file.stem if file.stem in CLASSES else kind_of(named.problem), named)
    return list(tasks.values())


def adapt(tasks: Sequence[Task], *, dtype: str | None = None, batch: int | None = None) -> list[Task]:
    """The same rows in another type or with another batch, under the same names."""
    return [replace(task, named=replace(task.named, problem=_adapted(task.problem, dtype, batch))) for task in tasks]


def _adapted(p: ConvProblem, dtype: str | None, batch: int | None) -> ConvProblem:
    """Strides stay those of contiguous arrays: the batch is the outermost axis."""
    return replace(p, dtype=dtype or p.dtype, batch=p.batch if batch is None else batch)
