"""Random cases by number that fft_flat accepts: dense filters of several axes, of any array."""

from __future__ import annotations

import random

from mxconv import geometry
from mxconv.engine.algorithms.fft_flat import FftFlat
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target

from .random_problems import EPILOGUES, FLOATS, Case, Ints, largest, lay_out, make_problem

MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 2_000_000


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng)
        is_small = largest(problem) <= MAX_ELEMENTS and 0 < problem.products <= MAX_PRODUCTS
        if (
            is_small
            and FftFlat().applicable(problem, target.current()).accepted
            and problem.in_spatial != problem.kernel
        ):
            break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.7:
        knobs |= {
            "block_pixels": rng.choice((7, 40, 100, 300)),
            "block_channels": rng.randint(1, 12),
            "block_reduction": rng.randint(1, 4),
        }
    return Case(
        problem,
        seed=number,
        data=rng.choices(("normal", "integers", "holes"), (60, 20, 20))[0],
        quirk=rng.choice(("swapped", "unaligned")) if rng.random() < 0.05 else "none",
        knobs=knobs,
    )


def _problem(rng: random.Random) -> ConvProblem:
    direction = rng.choice(("forward", "backward_data"))
    rank = rng.choices((2, 3, 4), (55, 25, 20))[0]
    longest = {2: 11, 3: 5, 4: 3}[rank]
    axes = [_axis(rng, direction, longest if rng.random() < 0.8 else 1, 40 if rank == 2 else 8) for _ in range(rank)]
    groups, group_in, group_out = rng.choice((1, 1, 2, 3)), rng.randint(1, 7), rng.randint(1, 7)
    dtype = rng.choice(("float32", *FLOATS))
    has_more = dtype == "float32" and rng.random() < 0.5  # each dtype and epilogue is another kernel
    epilogue = rng.choice(EPILOGUES if has_more else ((), ("bias",)))
    return lay_out(
        rng, make_problem(direction, dtype, axes, rng.choice((1, 1, 2)), groups, group_in, group_out, epilogue)
    )


def _axis(rng: random.Random, direction: str, longest: int, most: int) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x)"""
    k = rng.randint(1, longest)
    s = rng.choice((1, 1, 2, 3)) if direction == "backward_data" else 1
    d = rng.choice((1, 1, 2, 3))
    reach = geometry.dilated_kernel(k, d) - 1
    lo, hi = (rng.choice((0, reach // 2, rng.randint(0, reach + 3), -2)) for _ in range(2))
    wanted = rng.choice((1, 2, rng.randint(1, most), rng.randint(1, most)))
    return k, s, d, lo, hi, max(1, geometry.conv_in_range(wanted, k, s, d, lo, hi)[0] + rng.randrange(s))
