"""The table of algorithms, in the order in which the planner asks them."""

from __future__ import annotations

from .base import Algorithm, Verdict
from .channel_lanes import ChannelLanes
from .depthwise import Depthwise
from .depthwise_lanes import DepthwiseLanes
from .depthwise_lanes_weight import DepthwiseLanesWeight
from .depthwise_phases import DepthwisePhases
from .depthwise_weight import DepthwiseWeight
from .direct import Direct
from .direct_weight import DirectWeight
from .fft_1d import Fft1d
from .fft_2d import Fft2d
from .fft_flat import FftFlat
from .implicit_gemm import ImplicitGemm
from .phase_rows import PhaseRows
from .scaling import Scaling
from .scratch_free import ScratchFree
from .winograd import Winograd
from .winograd_weight import WinogradWeight

ALGORITHMS: tuple[Algorithm, ...] = (
    Scaling(),
    DepthwiseLanes(),
    Depthwise(),
    DepthwisePhases(),
    ChannelLanes(),
    PhaseRows(),
    Direct(),
    ImplicitGemm(),
    DepthwiseLanesWeight(),
    DepthwiseWeight(),
    DirectWeight(),
    Fft1d(),
    Fft2d(),
    FftFlat(),
    *map(Winograd, (4, 3, 2)),
    *map(WinogradWeight, (4, 3, 2)),
    ScratchFree(),
)

__all__ = ["ALGORITHMS", "Algorithm", "Verdict"]
