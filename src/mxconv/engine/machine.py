"""What estimates of time are made of: the arithmetic and the memory of the machine at hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """The speeds that `Algorithm.estimate` may count on."""

    flops: float
    """Operations a second of one core (2 for each multiply-add) in the computed type."""
    cache_bytes: float
    """Bytes a second that one core moves from or to the L3 cache."""
    memory_bytes: float
    """Bytes a second that all cores together move from or to main memory."""
    l2: int
    """Bytes of a core's L2 cache."""
    l3: int
    """Bytes of the L3 cache."""
    dispatch: float
    """Seconds that one job of the thread pool costs, shared out and waited for."""
