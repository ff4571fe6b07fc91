"""Shapes drawn at random, to see that nothing was fitted to the suites: `python benchmarks/draw.py 200 --seed 1`.

Shape number i of a seed depends on the seed and i only. It is drawn so:

* direction: forward 65%, backward_data (a deconvolution) 25%, backward_weight 10%;
* spatial axes: one 25%, two 55%, three 20%;
* batch: 1 60%, 8 20%, 32 10%, 2 to 7 10%;
* kernel: 1 18%, 2 6%, 3 42%, 4 6%, 5 12%, 7 8%, 8 to 15 8%, on every axis; with two axes one case in twenty is 1xk or
  kx1; with one axis one case in five has 16 to 4096 taps, equally spread over the logarithm;
* stride: 1 75%, 2 20%, 3 or 4 5%; dilation, with stride 1: 2 6%, 3 to 16 6%, else 1;
* groups: none 70%, depthwise 20% (one in five of them with two outputs a channel), 2, 4, 8 or 32 groups 10%;
* channels: from 1 to 1024, equally spread over the logarithm: 60% a multiple of 16, 25% whatever comes, 15% one of 1,
  3, 10, 21, 28, 50, 100 and 1000; multiples of the groups where there are some;
* padding: such that an odd kernel keeps the extent 75%, none 20%, anything up to the kernel's reach on each side 5%;
* extents: of one axis 32 to 100,000, of two 5 to 512 (equal in 70%), of three 4 to 96 (equal in 50%), each equally
  spread over the logarithm.

What has no output, less than 1e6 or more than 1e10 operations or arrays of more than 256 MB is drawn again as a whole,
so that the shares of what is kept differ a little.
"""

from __future__ import annotations

import argparse
import math
import secrets
from collections.abc import Sequence

import numpy as np

from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import NamedProblem
from mxconv.errors import ShapeError

WORK = (1e6, 1e10)
LARGEST = 256 << 20
ODD_CHANNELS = (1, 3, 10, 21, 28, 50, 100, 1000)
EXTENTS = {1: (32, 100_000, 1.0), 2: (5, 512, 0.7), 3: (4, 96, 0.5)}
"""Of each number of axes: the least, the largest, how often all are equal."""

Random = np.random.Generator


def draw_suite(count: int, seed: int) -> list[NamedProblem]:
    """So many drawn shapes."""
    return [NamedProblem(f"drawn{seed}_{i}", draw_problem(seed, i)) for i in range(count)]


def draw_problem(seed: int, index: int) -> ConvProblem:
    """One shape: the first in its own sequence of draws that is neither empty nor too small nor too large."""
    rng = np.random.default_rng([seed, index])
    while True:
        try:
            problem = _draw(rng)
        except ShapeError:
            continue
        size = problem.storage.numpy.itemsize * sum(math.prod(problem.shape_of(name)) for name in "xwy")
        if WORK[0] <= problem.flops <= WORK[1] and size <= LARGEST:
            return problem


def _draw(rng: Random) -> ConvProblem:
    rank = _pick(rng, {1: 25, 2: 55, 3: 20})
    kernel = _kernel(rng, rank)
    stride = _pick(rng, {1: 75, 2: 20, 0: 5}) or int(rng.integers(3, 5))
    dilation = 1 if stride > 1 else _pick(rng, {1: 88, 2: 6, 0: 6}) or int(rng.integers(3, 17))
    pad_lo, pad_hi = _padding(rng, kernel, dilation)
    groups, in_channels, out_channels = _channels(rng)
    return ConvProblem.create(
        _pick(rng, {"forward": 65, "backward_data": 25, "backward_weight": 10}),
        kernel=kernel,
        in_channels=in_channels,
        out_channels=out_channels,
        in_spatial=_extents(rng, rank),
        batch=_pick(rng, {1: 60, 8: 20, 32: 10, 0: 10}) or int(rng.integers(2, 8)),
        groups=groups,
        stride=(stride,) * rank,
        dilation=(dilation,) * rank,
        pad_lo=pad_lo,
        pad_hi=pad_hi,
    )


def _pick(rng: Random, weights: dict) -> object:
    """One of the keys, each as often as its value says."""
    shares = np.array(list(weights.values()), float)
    return list(weights)[rng.choice(len(weights), p=shares / shares.sum())]


def _between(rng: Random, low: float, high: float) -> int:
    """A whole number, equally spread over the logarithm, ends included."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _kernel(rng: Random, rank: int) -> tuple[int, ...]:
    if rank == 1 and rng.random() < 0.2:
        return (_between(rng, 16, 4096),)
    extent = _pick(rng, {1: 18, 2: 6, 3: 42, 4: 6, 5: 12, 7: 8, 0: 8}) or int(rng.integers(8, 16))
    if rank == 2 and rng.random() < 0.05:
        return (1, extent) if rng.random() < 0.5 else (extent, 1)
    return (extent,) * rank


def _padding(rng: Random, kernel: Sequence[int], dilation: int) -> tuple[list[int], list[int]]:
    kind = _pick(rng, {"same": 75, "none": 20, "any": 5})
    reach = [dilation * (k - 1) for k in kernel]
    if kind == "same":
        return [r // 2 for r in reach], [r // 2 for r in reach]
    if kind == "none":
        return [0] * len(reach), [0] * len(reach)
    return ([int(rng.integers(0, r + 1)) for r in reach], [int(rng.integers(0, r + 1)) for r in reach])


def _channels(rng: Random) -> tuple[int, int, int]:
    """Groups, channels of the input and of the output."""
    kind = _pick(rng, {"dense": 70, "depthwise": 20, "grouped": 10})
    if kind == "depthwise":
        channels = _channel_count(rng)
        return channels, channels, channels * _pick(rng, {1: 80, 2: 20})
    groups = 1 if kind == "dense" else int(rng.choice([2, 4, 8, 32]))
    return groups, *[groups * -(-_channel_count(rng) // groups) for _ in range(2)]


def _channel_count(rng: Random) -> int:
    kind = _pick(rng, {"even": 60, "any": 25, "odd": 15})
    if kind == "odd":
        return int(rng.choice(ODD_CHANNELS))
    count = _between(rng, 1, 1024)
    return count if kind == "any" else max(16, round(count / 16) * 16)


def _extents(rng: Random, rank: int) -> list[int]:
    low, high, equal = EXTENTS[rank]
    first = _between(rng, low, high)
    return [first] * rank if rng.random() < equal else [_between(rng, low, high) for _ in range(rank)]


def fresh_seed() -> int:
    """A seed that nobody has chosen."""
    return secrets.randbelow(10**6)


def main(words: Sequence[str] | None = None) -> int:
    """Print drawn shapes as a problem file."""
    parser = argparse.ArgumentParser(prog="benchmarks/draw.py", description="Draw shapes at random.")
    parser.add_argument("count", type=int, nargs="?", default=200, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, help="of the draws (a fresh one)")
    arguments = parser.parse_args(words)
    seed = fresh_seed() if arguments.seed is None else arguments.seed
    print(f"# {arguments.count} drawn shapes, seed {seed}")
    print(*draw_suite(arguments.count, seed), sep="\n")
    return 0
