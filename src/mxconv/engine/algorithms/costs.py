"""What estimates of plain algorithms are made of: cycles, traffic and packing.

The constants here and beside each algorithm are fitted to benchmarks/suites/core.txt and training.txt on one core of a
Zen 5 with AVX-512: half of the 280 times are met within 8 %, four of five within 20 %.
"""

from __future__ import annotations

import math

from ...jit.numbers import Numbers
from ..machine import Machine
from ..problem import ConvProblem

BUSY = 1.1
"""Time of a register tile's multiply-adds, relative to what the peak would take."""
FROM_MEMORY = 2.0
"""Time to read and write an array that is in no cache, relative to copying it: rows are short, and come as they do."""
ALONG_ROWS, ACROSS_ROWS = (5.0, 5.0), (10.0, 30.0)
"""Time to pack a weight, relative to copying it, where panels take what lies side by side, and where they do not; a
small one, and one that takes a quarter of the L3 cache and more."""

SCATTERED, SCATTERED_FAR, LINE = 25.0, 120.0, 64
"""Cycles of a vector whose numbers lie apart, and where each has a cache line of its own that is gone when its next
number is asked for."""


def vector_seconds(multiply_adds: float, lanes: int, machine: Machine) -> float:
    """Seconds of so many multiply-adds of whole vectors on one core, at its peak."""
    return multiply_adds * 2 * lanes / machine.flops


def traffic_seconds(problem: ConvProblem, machine: Machine, threads: int) -> float:
    """Seconds to bring x and y through the caches."""
    size = problem.storage.numpy.itemsize
    data = size * (math.prod(problem.x_shape) + math.prod(problem.y_shape))
    if 2 * (data + size * math.prod(problem.w_shape)) > machine.l3:
        return FROM_MEMORY * data / machine.memory_bytes
    return data / (machine.cache_bytes * threads)


def apart_seconds(
    elements: float, distance: int, size: int, lanes: int, machine: Machine, *, stays: bool = False
) -> float:
    """Seconds of one core to gather or scatter so many numbers, where neighbours in a vector lie `distance` apart, as
    pixels do with channels last; none where they lie side by side. `stays`: the other channels of a cache line come
    soon enough to find it."""
    if distance == 1:
        return 0.0
    cycles = SCATTERED if stays or distance * size < LINE else SCATTERED_FAR
    return vector_seconds(2 * cycles * elements / lanes, lanes, machine)


def packing_seconds(
    problem: ConvProblem, machine: Machine, threads: int, slowness: tuple[float, float], growth: float = 1.0
) -> float:
    """Seconds to pack the weight into panels that are `growth` times as large."""
    computed = Numbers.of(problem.dtype)
    size = growth * computed.parts * computed.computed.itemsize * math.prod(problem.w_shape)
    small, large = slowness
    share = min(1.0, 4 * size / machine.l3)
    return (small + (large - small) * share) * size / (machine.cache_bytes * threads)
