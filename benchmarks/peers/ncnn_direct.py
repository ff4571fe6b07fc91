"""ncnn with Winograd's algorithm switched off, where it would have it."""

from __future__ import annotations

import numpy as np

from harness.peer import Prepared, Problem, Refusal

from .ncnn import may_transform, prepare_with, start

__all__ = ["prepare", "start"]


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    if not may_transform(problem):
        raise Refusal("has no Winograd to switch off: see ncnn")
    return prepare_with(problem, constants, winograd=False)
