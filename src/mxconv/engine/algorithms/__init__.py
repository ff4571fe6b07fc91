"""The table of algorithms, in the order in which the planner asks them."""

from __future__ import annotations

from .base import Algorithm, Verdict
from .channel_lanes import ChannelLanes
from .direct import Direct
from .direct_weight import DirectWeight
from .fft_1d import Fft1d
from .fft_2d import Fft2d
from .implicit_gemm import ImplicitGemm
from .scratch_free import ScratchFree

ALGORITHMS: tuple[Algorithm, ...] = (
    ChannelLanes(),
    Direct(),
    ImplicitGemm(),
    DirectWeight(),
    Fft1d(),
    Fft2d(),
    ScratchFree(),
)

__all__ = ["ALGORITHMS", "Algorithm", "Verdict"]
