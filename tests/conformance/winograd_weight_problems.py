"""Random weight gradients that winograd_weight computes, by number; see random_problems.py."""

from __future__ import annotations

import random

from mxconv import geometry
from mxconv.engine.problem import ConvProblem

from .random_problems import Case, lay_out, make_problem

FLOATS = ("float32", "float32", "float64", "float16", "bfloat16")
NEAR = ((3, 3), (3, 3), (2, 2), (4, 4), (5, 5), (2, 3), (3, 1), (1, 3), (1, 7), (7, 1), (4, 2), (5, 3), (6, 3))
MOST_PRODUCTS = 4_000_000


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng)
        if 0 < problem.products <= MOST_PRODUCTS:
            break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.85:  # tiles in a chunk, and sums that threads share
        knobs["block_pixels"] = rng.choice((1, 2, 5, 12, 40))
    if rng.random() < 0.5:
        knobs["block_channels"] = rng.choice((1, 16))
    return Case(
        problem,
        seed=number,
        data=rng.choices(("normal", "integers", "holes"), (60, 15, 25))[0],
        quirk=rng.choice(("swapped", "unaligned")) if rng.random() < 0.05 else "none",
        knobs=knobs,
    )


def _problem(rng: random.Random) -> ConvProblem:
    rank = rng.choices((1, 2, 3, 4, 5), (15, 50, 22, 8, 5))[0]
    kernel = [rng.choice((1, 2, 3)) for _ in range(rank - 2)]
    kernel += rng.choice(NEAR) if rank > 1 else [rng.choice((2, 3, 4, 5, 7))]
    axes = []
    for a, k in enumerate(kernel):
        d = rng.choice((1, 1, 1, 2, 3))
        reach = geometry.dilated_kernel(k, d) - 1
        lo, hi = (rng.randint(0, reach + 1) if rng.random() < 0.7 else 0 for _ in range(2))
        if rng.random() < 0.12:
            lo, hi = rng.choice(((-1, hi), (lo, -2), (-2, -1), (reach + 5, -3)))
        wanted = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 13, 17, 21, 34)) if a >= rank - 2 else rng.randint(1, 5)
        axes.append((k, 1, d, lo, hi, max(1, geometry.conv_in_range(wanted, k, 1, d, lo, hi)[0])))
    groups = rng.choice((1, 1, 1, 2, 3))
    own_in, own_out = (rng.choice((4, 5, 8, 15, 16, 17, 24, 33, 40)) for _ in range(2))
    dtype, batch = rng.choice(FLOATS), rng.choice((1, 1, 2, 3, 5))
    return lay_out(rng, make_problem("backward_weight", dtype, axes, batch, groups, own_in, own_out), contiguous=0.3)
