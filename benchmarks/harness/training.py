"""Layers in training: what the steps of each take together, beside PyTorch in whichever memory format suits the layer.

Rows are named LAYER.STEP, as in suites/training.txt; a comment that starts with x3 says that a network has three.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .results import OURS, Row

STEPS = ("output", "data", "weight")
"""The layer's result, then the gradients."""
YARDSTICK = "torch"
"""Ours is compared with the best of the libraries whose names start so."""


def split_name(name: str) -> tuple[str, str]:
    """Layer and step of a row.

    >>> split_name("r50_3x3_64_56.data")
    ('r50_3x3_64_56', 'data')

    Raises: SystemExit, if it has no step.
    """
    layer, _, step = name.rpartition(".")
    if not layer or step not in STEPS:
        raise SystemExit(f"row {name!r}: expected LAYER.STEP with one of the steps {', '.join(STEPS)}")
    return layer, step


def count_of(comment: str) -> int:
    """How often the network has the layer.

    >>> count_of("x3, ResNet-50, stage 1"), count_of("ResNet-50, first layer")
    (3, 1)
    """
    match = re.match(r"x(\d+)\b", comment)
    return int(match[1]) if match else 1


@dataclass(frozen=True)
class Layer:
    """The rows of one layer, by step."""

    name: str
    count: int
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def network(self) -> str:
        return self.name.partition("_")[0]

    def step_time(self, library: str, step: str) -> float | None:
        """Milliseconds of one step; None if it was not timed."""
        entry = self.rows[step].entries.get(library) if step in self.rows else None
        return None if entry is None else entry.median

    def time(self, library: str) -> float | None:
        """Milliseconds of all steps that were run; None if the library lacks one of them."""
        times = [t for step in self.rows if (t := self.step_time(library, step)) is not None]
        return sum(times) if len(times) == len(self.rows) else None

    @property
    def best(self) -> str | None:
        """The yardstick's format that takes least time for all steps together."""
        names = {name for row in self.rows.values() for name in row.entries if name.startswith(YARDSTICK)}
        times = {name: t for name in sorted(names) if (t := self.time(name)) is not None}
        return min(times, key=lambda name: times[name]) if times else None

    @property
    def pair(self) -> tuple[float, float] | None:
        """Our time and the yardstick's; None if either is lacking."""
        ours, theirs = self.time(OURS), self.time(self.best or "")
        return None if ours is None or theirs is None else (ours, theirs)


def group_layers(rows: Iterable[Row]) -> list[Layer]:
    """The layers of these rows, in their order."""
    layers: dict[str, Layer] = {}
    for row in rows:
        name, step = split_name(row.name)
        layers.setdefault(name, Layer(name, count_of(row.comment))).rows[step] = row
    return list(layers.values())


def total(layers: Iterable[Layer]) -> tuple[float, float]:
    """Our time and the yardstick's for the layers that both can do, each counted as often as its network has it."""
    pairs = [(layer.count, *layer.pair) for layer in layers if layer.pair is not None]
    return sum(n * ours for n, ours, _ in pairs), sum(n * theirs for n, _, theirs in pairs)


def describe_layers(layers: Sequence[Layer]) -> list[str]:
    """The sum, the layers on which the yardstick is faster and those that could not be compared, a line each."""
    compared = {layer.name: layer.pair[1] / layer.pair[0] for layer in layers if layer.pair is not None}
    lines = []
    if compared:
        ours, theirs = total(layers)
        lines.append(
            f"All {len(compared)} layers, as often as their networks have them: {ours:.1f} ms, {YARDSTICK} "
            f"{theirs:.1f} ms, {theirs / ours:.2f} times as long."
        )
        behind = [f"{name} {ratio:.2f}" for name, ratio in sorted(compared.items(), key=lambda i: i[1]) if ratio < 1]
        if behind:
            lines.append(f"{YARDSTICK} is faster on: {', '.join(behind)}.")
    lacking = [layer.name for layer in layers if layer.pair is None]
    if lacking:
        lines.append(f"Not compared, as one of the two lacks a step: {', '.join(lacking)}.")
    return lines


def tabulate(layers: Sequence[Layer], digits: Callable[[float | None], str]) -> list[str]:
    """A Markdown table: each layer, then each network and all together; a step is told as their time over ours."""
    lines = [
        f"| layer | times | {' | '.join(STEPS)} | ours ms | {YARDSTICK} ms | format | {YARDSTICK} / ours |",
        "|---" * (len(STEPS) + 6) + "|",
    ]
    for layer in layers:
        best = layer.best or ""
        steps = [_ratio(layer.step_time(OURS, step), layer.step_time(best, step)) for step in STEPS]
        ours, theirs = layer.time(OURS), layer.time(best)
        cells = [layer.name, str(layer.count), *steps, digits(ours), digits(theirs), best, _ratio(ours, theirs)]
        lines.append(f"| {' | '.join(cells)} |")
    networks = {layer.network: [other for other in layers if other.network == layer.network] for layer in layers}
    for name, members in [*networks.items(), ("all", layers)]:
        count = sum(layer.count for layer in members if layer.pair is not None)
        ours, theirs = total(members)
        cells = [f"**{name}**", str(count), *[""] * len(STEPS), digits(ours), digits(theirs), "", _ratio(ours, theirs)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _ratio(ours: float | None, theirs: float | None) -> str:
    return f"{theirs / ours:.2f}" if ours and theirs else ""
