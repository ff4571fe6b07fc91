"""Random cases by number that fft_2d accepts: depthwise, with kernels on the last two axes."""

from __future__ import annotations

import math
import random

from mxconv import geometry
from mxconv.engine.algorithms.correlation import roles_of
from mxconv.engine.algorithms.fft_2d import LEAST_TAPS
from mxconv.engine.problem import ConvProblem

from .random_problems import EPILOGUES, FLOATS, Case, Ints, largest, lay_out, make_problem

MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 3_000_000


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng)
        strides = problem.stride if problem.direction == "backward_data" else ()
        if (
            largest(problem) <= MAX_ELEMENTS
            and 0 < problem.products <= MAX_PRODUCTS
            and math.prod(problem.kernel) >= LEAST_TAPS * math.prod(strides)
            and roles_of(problem).most_taps >= LEAST_TAPS
        ):
            break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.7:
        knobs["block_pixels"] = rng.choice((16, 100, 300, 1000))
    return Case(
        problem,
        seed=number,
        data=rng.choices(("normal", "integers", "holes"), (60, 20, 20))[0],
        quirk=rng.choice(("swapped", "unaligned")) if rng.random() < 0.05 else "none",
        knobs=knobs,
    )


def _problem(rng: random.Random) -> ConvProblem:
    direction = rng.choice(("forward", "backward_data"))
    rank = rng.choices((2, 3, 4), (70, 20, 10))[0]
    longest = 31 if rng.random() < 0.2 else 11
    axes = [_plane_axis(rng, direction, longest) if a >= rank - 2 else _other_axis(rng) for a in range(rank)]
    group_in = group_out = 1
    if rng.random() < 0.3:  # several results of one source channel
        group_in, group_out = (1, rng.choice((2, 3))) if direction == "forward" else (rng.choice((2, 3)), 1)
    groups = rng.choice((1, 2, 3, 5, 8, 15, 16, 17, 32, 40))
    dtype, batch = rng.choice(("float32", *FLOATS)), rng.choice((1, 1, 2, 5))
    epilogue = rng.choice(EPILOGUES) if rng.random() < 0.15 else rng.choice(((), ("bias",)))
    return lay_out(rng, make_problem(direction, dtype, axes, batch, groups, group_in, group_out, epilogue))


def _plane_axis(rng: random.Random, direction: str, longest: int) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x)"""
    k, s = rng.randint(1, longest), 1
    if direction == "backward_data" and rng.random() < 0.2:
        s = rng.randint(1, min(3, k))
    reach = k - 1
    lo, hi = (rng.choice((0, reach // 2, rng.randint(0, reach + 3), -2)) for _ in range(2))
    wanted = rng.choice((1, 2, rng.randint(3, 20), rng.randint(20, 70), rng.randint(70, 200)))
    d = rng.choice((1, 2)) if k == 1 else 1
    return k, s, d, lo, hi, max(1, geometry.conv_in_range(wanted, k, s, d, lo, hi)[0] + rng.randrange(s))


def _other_axis(rng: random.Random) -> Ints:
    """The same of an axis whose kernel is one tap; its pads may be anything."""
    lo, hi = rng.choice((0, 0, 1, -1)), rng.choice((0, 0, 2, -1))
    return 1, 1, rng.choice((1, 2)), lo, hi, max(1, geometry.conv_in_range(rng.randint(1, 4), 1, 1, 1, lo, hi)[0])
