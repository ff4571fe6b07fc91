"""SciPy: overlap-add FFT convolution, one channel at a time in meaning, so depthwise and single-channel problems."""

from __future__ import annotations

import numpy as np
import scipy
from scipy.signal import oaconvolve

from harness.peer import Prepared, Problem, Refusal, need_constant_weights, need_direction, need_dtype


def start(threads: int) -> str:
    return f"scipy {scipy.__version__} (one thread)"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    p = problem
    need_constant_weights(p)
    need_direction(p, "forward")
    need_dtype(p, "float32", "float64", "complex64", "complex128")
    if not p.is_depthwise:
        raise Refusal("sums over channels")
    if {*p.stride, *p.dilation} != {1}:
        raise Refusal("stride or dilation: SciPy has neither")
    axes = tuple(range(2, 2 + p.rank))
    taps = np.ascontiguousarray(np.flip(constants["w"].swapaxes(0, 1), axes))  # (1, channels, *kernel)
    bias = constants["bias"].reshape(1, -1, *[1] * p.rank) if "bias" in constants else None
    pads = [(0, 0), (0, 0), *zip(p.pad_lo, p.pad_hi, strict=True)]
    if min(p.pad_lo + p.pad_hi) < 0 or any(max(pair) >= k for pair, k in zip(pads[2:], p.kernel, strict=True)):
        raise Refusal("negative pad, or one as long as the kernel: not in SciPy's full convolution")
    window = (
        ...,
        *[slice(k - 1 - lo, k - 1 - lo + o) for k, lo, o in zip(p.kernel, p.pad_lo, p.out_spatial, strict=True)],
    )

    def call(x: np.ndarray) -> np.ndarray:
        y = oaconvolve(x, taps, mode="full", axes=axes)[window]
        return np.ascontiguousarray(y) if bias is None else y + bias

    return Prepared(call, {"algorithm": "oaconvolve", "transforms": True})
