"""Our own engine on arrays that lie channels last, data as well as results; weights are as ever.

Data lie so beforehand, as between the layers of a network: no conversion is in the clock.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.peer import Prepared, Problem
from mxconv.engine.problem import ConvProblem, contiguous_strides

from .mxconv import prepare_task, start

__all__ = ["prepare", "start"]


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    plain = ConvProblem.parse(problem.text)
    task = replace(plain, x_strides=strides_of(plain.x_shape), y_strides=strides_of(plain.y_shape))
    prepared = prepare_task(task, problem, constants)
    held: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def turned(name: str, array: np.ndarray) -> np.ndarray:
        if name == "w":
            return array
        if id(array) not in held:
            held[id(array)] = array, np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
        return held[id(array)][1]

    def call(*varying: np.ndarray) -> np.ndarray:
        return prepared.call(*map(turned, problem.inputs, varying))

    return Prepared(call, prepared.info)


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of an array of that shape, channels second, that lies channels last."""
    batch, channels, *spatial = contiguous_strides((shape[0], *shape[2:], shape[1]))
    return (batch, spatial[-1] if spatial else 1, channels, *spatial[:-1])
