"""The random numbers of operators and initializers: one generator for the process, seeded alike every time."""

from __future__ import annotations

import numpy as np

_current: list[np.random.Generator] = []  # made when it is first asked for: importing numpy.random takes its time


def generator() -> np.random.Generator:
    """The generator that everything draws from; several threads may draw at once."""
    if not _current:
        seed(0)
    return _current[0]


def seed(state: int) -> None:
    """Start over, with numbers that follow from `state` alone.

    >>> seed(7)
    >>> first = generator().random()
    >>> seed(7)
    >>> bool(generator().random() == first)
    True
    """
    _current[:] = [np.random.default_rng(state % 2**64)]
