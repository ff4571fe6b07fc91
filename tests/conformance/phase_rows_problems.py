"""Random cases by number that phase_rows accepts: deconvolutions with a stride and few result channels."""

from __future__ import annotations

import random

from mxconv import geometry
from mxconv.engine.problem import ConvProblem

from .random_problems import Case, Ints, largest, lay_out, make_problem

MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 400_000
KERNELS = (
    ("float32", ()),
    ("float32", ("bias",)),
    ("float32", ("scale", "bias", "add", "relu")),
    ("float64", ("bias", "prelu")),
    ("float16", ("bias",)),
    ("int8", ()),
)
"""Types and epilogues: each pair is another kernel for every tile and stride."""
STRIDES = (2, 1, 2, 3, 4, 6)


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng)
        is_small = largest(problem) <= MAX_ELEMENTS and 0 < problem.products <= MAX_PRODUCTS
        if is_small and max(problem.stride[-2:]) > 1 and problem.in_spatial != problem.kernel:
            break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.8:
        knobs |= {
            "block_pixels": rng.choice((1, 2, 7, 16, 50)),
            "block_channels": rng.randint(1, 6),
            "block_reduction": rng.randint(1, 12),
        }
    return Case(
        problem,
        seed=number,
        data="integers" if problem.storage.kind == "int" else rng.choice(("integers", "normal", "holes")),
        quirk=rng.choice(("swapped", "unaligned")) if rng.random() < 0.05 else "none",
        knobs=knobs,
    )


def _problem(rng: random.Random) -> ConvProblem:
    rank = rng.choice((1, 2, 2, 3))
    dtype, epilogue = rng.choice(KERNELS)
    axes = [_axis(rng, rank - a) for a in range(rank)]
    channels = rng.choice((1, 1, 2, 3, 5)), rng.choice((1, 4, 15, 40))
    plain = make_problem("backward_data", dtype, axes, rng.choice((1, 2)), rng.choice((1, 1, 3)), *channels, epilogue)
    return lay_out(rng, plain, 0.5)


def _axis(rng: random.Random, place: int) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x) of an axis; the last has place 1."""
    s = rng.choice(STRIDES if place == 1 else STRIDES[:4])
    k = rng.choice((1, s, 2 * s, rng.randint(1, 9)))
    d = 1 if place < 3 or k == 1 else rng.choice((1, 2))
    lo, hi = (rng.choice((0, rng.randint(0, k + 1), -1)) for _ in range(2))
    wanted = rng.choice((1, 5, 15, 16, 17, 40)) if place == 1 else rng.randint(1, 6)
    low, high = geometry.conv_in_range(wanted, k, s, d, lo, hi)
    return k, s, d, lo, hi, max(1, rng.randint(low, high))
