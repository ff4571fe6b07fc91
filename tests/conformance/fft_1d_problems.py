"""Random cases by number that fft_1d accepts: filters of some length along one axis of any array."""

from __future__ import annotations

import random

from mxconv import geometry
from mxconv.engine.algorithms.fft_1d import LEAST_TAPS
from mxconv.engine.problem import ConvProblem, contiguous_strides

from .random_problems import EPILOGUES, FLOATS, Case, Ints, largest, lay_out, make_problem

MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 2_000_000


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng)
        is_small = largest(problem) <= MAX_ELEMENTS and 0 < problem.products <= MAX_PRODUCTS
        if is_small and problem.in_spatial != problem.kernel:  # one window is computed as a matrix product
            break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.7:
        knobs |= {
            "block_pixels": rng.choice((7, 16, 100, 300)),
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
    neighbours = rng.choices(("", "channels", "positions"), (70, 15, 15))[0]  # of lines whose samples are far apart
    rank = rng.choice((2, 3)) if neighbours == "positions" else rng.choices((1, 2, 3), (60, 30, 10))[0]
    long = rng.randrange(rank) if rng.random() < 0.5 else rank - 1
    axes = [_long_axis(rng, direction) if a == long else _other_axis(rng, direction) for a in range(rank)]
    others = [a for a in range(rank) if a != long]
    if neighbours == "positions":
        axes[others[-1]] = (1, 1, 1, 0, 0, rng.randint(2, 40))
    groups, group_in, group_out = rng.choice((1, 1, 2, 3)), rng.randint(1, 6), rng.randint(1, 6)
    if rng.random() < 0.4 or neighbours == "positions":  # one source channel a group
        groups = rng.randint(1, 20 if neighbours else 9)
        group_in, group_out = (1, rng.choice((1, 1, 2, 3)) if not neighbours else 1)
        if direction == "backward_data":
            group_in, group_out = group_out, group_in
    dtype = rng.choice(("float32", *FLOATS))
    has_more = dtype == "float32" and rng.random() < 0.5  # each dtype and epilogue is another kernel
    batch = rng.choice((1, 1, 2))
    epilogue = rng.choice(EPILOGUES if has_more else ((), ("bias",)))
    plain = make_problem(direction, dtype, axes, batch, groups, group_in, group_out, epilogue)
    own = {}
    if neighbours:
        order = [0, 1, long + 2, *(a + 2 for a in others)]
        if neighbours == "channels":
            order = [0, *(a + 2 for a in others), long + 2, 1]
        own = {f"{name}_strides": _ordered(plain.shape_of(name), order) for name in "xy"}
    return lay_out(rng, plain, **own)


def _ordered(shape: Ints, order: list[int]) -> Ints:
    """The element strides of an array whose axes lie in that order, the last one's neighbours side by side."""
    strides = dict(zip(order, contiguous_strides([shape[a] for a in order]), strict=True))
    return tuple(strides[a] for a in range(len(shape)))


def _long_axis(rng: random.Random, direction: str) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x)"""
    k, s = rng.randint(LEAST_TAPS, rng.choice((40, 150))), 1
    if direction == "backward_data" and rng.random() < 0.4:
        s = rng.randint(2, 4)
        k = rng.randint(s * LEAST_TAPS, s * LEAST_TAPS + 30)
    d = rng.choice((1, 1, 2, 3, 4))
    reach = geometry.dilated_kernel(k, d) - 1
    lo, hi = (rng.choice((0, rng.randint(0, reach + 3), -2)) for _ in range(2))
    wanted = rng.choice((1, 2, rng.randint(3, 70), rng.randint(70, 900)))
    return k, s, d, lo, hi, max(1, geometry.conv_in_range(wanted, k, s, d, lo, hi)[0] + rng.randrange(s))


def _other_axis(rng: random.Random, direction: str) -> Ints:
    """The same of an axis whose kernel is one tap; its pads may be anything."""
    s, lo, hi = rng.choice((1, 1, 2, 3)), rng.choice((0, 0, 1, -1)), rng.choice((0, 0, 2, -1))
    return 1, s, rng.choice((1, 2)), lo, hi, max(1, geometry.conv_in_range(rng.randint(1, 6), 1, s, 1, lo, hi)[0])
