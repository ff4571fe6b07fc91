"""The table of algorithms, in the order in which the planner asks them."""

from __future__ import annotations

from .base import Algorithm, Verdict
from .direct import Direct
from .direct_weight import DirectWeight
from .implicit_gemm import ImplicitGemm

ALGORITHMS: tuple[Algorithm, ...] = (Direct(), ImplicitGemm(), DirectWeight())

__all__ = ["ALGORITHMS", "Algorithm", "Verdict"]
