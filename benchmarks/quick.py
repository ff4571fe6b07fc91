"""How fast a few well-known layers run here, by themselves: `python benchmarks/quick.py`.

Each problem's answer is checked against float64 first, then timed: at least nine runs and half a second of them.
GFLOP/s counts two operations for each product with a real sample, none for padding. The share is of the measured
peak of as many cores as the plan has threads, for the median run and for the best, as other work disturbs the median.
Planning and compiling are in the column "first". Settings such as MXCONV_NUM_THREADS=1 apply.
"""

from __future__ import annotations

import os
import platform
import statistics
from time import perf_counter

import numpy as np

from mxconv.engine.execute import convolve
from mxconv.engine.peak import measure_peak
from mxconv.engine.planner import recording
from mxconv.engine.problem import ConvProblem
from mxconv.testing import reference

PROBLEMS = """
forward float32 n1 g1 c3->64 i224x224 k7x7 s2x2 p3x3
forward float32 n1 g1 c64->64 i56x56 k3x3 p1x1
forward float32 n1 g1 c256->64 i56x56 k1x1
forward float32 n1 g1 c512->512 i7x7 k3x3 p1x1
forward float32 n1 g144 c144->144 i56x56 k3x3 p1x1
forward float32 n1 g1 c16->32 i24x64x64 k3x3x3 p1x1x1
forward float32 n1 g1 c64->64 i16000 k3 d8 p8
backward_data float32 n1 g1 c64->128 i32x32 k4x4 s2x2 p1x1
backward_data float32 n1 g21 c21->21 i512x512 k16x16 s8x8 p4x4
"""


def error_of(p: ConvProblem, data: np.ndarray, weight: np.ndarray, out: np.ndarray) -> float:
    """The largest error, in standard deviations of the exact result."""
    axes = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
    if p.direction == "forward":
        exact = reference.convolution(data, weight, None, **axes)
    else:
        exact = reference.deconvolution(data, weight, None, **axes, out_spatial=p.in_spatial)
    return float(np.abs(out - exact).max() / exact.std())


def run(p: ConvProblem) -> None:
    """Check and time one problem, and print its row."""
    rng = np.random.default_rng(1)
    data, weight = (rng.standard_normal(p.shape_of(name)).astype(p.storage.numpy) for name in p.inputs)
    out = np.empty(p.shape_of(p.output), p.result.numpy)

    def call() -> float:
        start = perf_counter()
        convolve(
            p.direction,
            data,
            weight,
            out,
            stride=p.stride,
            dilation=p.dilation,
            pad_lo=p.pad_lo,
            pad_hi=p.pad_hi,
            groups=p.groups,
        )
        return perf_counter() - start

    with recording() as plans:
        first = call()
    error = error_of(p, data, weight, out)
    times: list[float] = []
    while len(times) < 9 or sum(times) < 0.5:
        times.append(call())
    median, plan = statistics.median(times), plans[0]
    most = measure_peak(p.dtype) * plan.threads
    print(
        f"{p!s:<66}{plan.algorithm:<15}{plan.threads:>7}{1e3 * first:>9.1f}{1e3 * median:>9.3f}{1e3 * min(times):>9.3f}"
        f"{p.flops / median / 1e9:>9.1f}{p.flops / median / most:>7.0%}{p.flops / min(times) / most:>7.0%}"
        f"{error:>9.1e}",
        flush=True,
    )


def main() -> None:
    peak = measure_peak("float32") / 1e9
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, "
        f"float32 peak {peak:.0f} GFLOP/s for each"
    )
    print(
        f"{'problem':<66}{'algorithm':<15}{'threads':>7}{'first ms':>9}{'median':>9}{'min':>9}"
        f"{'GFLOP/s':>9}{'peak':>7}{'best':>7}{'error':>9}"
    )
    for line in PROBLEMS.strip().splitlines():
        run(ConvProblem.parse(line))


if __name__ == "__main__":
    main()
