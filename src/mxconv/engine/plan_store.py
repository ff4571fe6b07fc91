"""What was measured of each class of shapes: seconds per operation by algorithm, remembered on disk.

Times are kept, not choices, so that what a call admits or has room for decides anew, and calls with different
policies learn from each other. The file belongs to this CPU and these versions; all processes share it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..jit import code_cache
from ..jit.target import Target
from . import machine
from .kept_file import KeptFile
from .problem import ConvProblem, Ints, contiguous_strides

Rates: TypeAlias = Mapping[str, float]
"""Seconds per operation by algorithm."""

MOST_CLASSES = 2000
"""Classes kept; the ones that were measured longest ago go first."""
STEPS = 4
"""Classes of extents between a power of 2 and the next."""


def class_of(problem: ConvProblem, target: Target, packs_weight: bool) -> str:
    """The class of shapes that a problem belongs to, as a line of text: extents and batch coarsely, pads and epilogue
    not at all, everything else exactly.

    >>> from mxconv.jit.target import current
    >>> p = ConvProblem.parse("forward float32 n8 g1 c64->128 i57x60 k3x3 s2x2 p1x1 +bias")
    >>> class_of(p, current(), False).partition(" ")[2]
    'forward float32 n8 g1 c64->128 i54x64 k3x3 s2x2 d1x1 first first'
    """
    return " ".join(
        (
            target.name,
            problem.direction,
            problem.dtype,
            f"n{_coarse(problem.batch)}",
            f"g{problem.groups}",
            f"c{problem.in_channels}->{problem.out_channels}",
            f"i{_dims(tuple(map(_coarse, problem.in_spatial)))}",
            f"k{_dims(problem.kernel)}",
            f"s{_dims(problem.stride)}",
            f"d{_dims(problem.dilation)}",
            _layout(problem.x_shape, problem.x_strides),
            _layout(problem.y_shape, problem.y_strides),
            *(("new_weight",) if packs_weight and problem.direction != "backward_weight" else ()),
        )
    )


def _coarse(n: int) -> int:
    return 0 if n == 0 else round(2 ** (round(STEPS * math.log2(n)) / STEPS))


def _dims(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _layout(shape: Ints, strides: Ints) -> str:
    """Where the channels are: first and dense, last (or anywhere with the channels nearest), or elsewhere."""
    if strides == contiguous_strides(shape):
        return "first"
    return "last" if strides[1] == 1 else "apart"


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(rate, float) and 0 < rate < math.inf for rate in row.values())


SHIPPED = Path(__file__).with_name("tuned.json")
"""What was measured elsewhere, by class: which algorithms to begin with, until this machine has been measured."""

_file = KeptFile("tuning.json", _is_row, MOST_CLASSES)
_read: tuple[tuple[str, int, int], dict[str, dict[str, float]]] | None = None


def all_rates() -> Mapping[str, Rates]:
    """What is remembered of every class; the file is read again when it has changed."""
    global _read
    try:
        path = code_cache.folder() / _file.name
        status = path.stat()
    except OSError:
        return {}
    state = str(path), status.st_mtime_ns, status.st_size
    known = _read
    if known is None or known[0] != state:
        known = _read = state, _file.read(machine.key())
    return known[1]


def rates_of(name: str) -> Rates:
    """What is remembered of a class."""
    return all_rates().get(name, {})


def shipped(name: str) -> Rates:
    """What was measured of a class elsewhere; only how the algorithms compare means anything here."""
    return _shipped(SHIPPED).get(name, {})


@functools.cache
def _shipped(path: Path) -> Mapping[str, Rates]:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: row for name, row in table.items() if _is_row(row)} if isinstance(table, dict) else {}


def remember(name: str, rates: Rates) -> None:
    """Add what was measured of a class to what is known of it."""
    _file.merge(machine.key(), {name: {**rates_of(name), **rates}})


def forget(wanted: Callable[[str], bool]) -> int:
    """Drop the classes that are wanted; returns how many there were."""
    return _file.forget(machine.key(), wanted)
