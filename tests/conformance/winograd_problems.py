"""Random cases for Winograd by number, m * 10**6 and on: kernels of 2 to 7 taps, in all directions but the weight's.

Below 10**6, m is 4 and the error what is admitted by default. Numbers below m * 10**6 + 10**5 share few kernels, as
compiling one takes longer than a problem does.
"""

from __future__ import annotations

import random

from mxconv import geometry
from mxconv.engine.algorithms.winograd import Winograd
from mxconv.engine.algorithms.winograd_form import form_of
from mxconv.engine.problem import ConvProblem

from .random_problems import EPILOGUES, Case, largest, lay_out, make_problem

DTYPES = ("float32", "float32", "float32", "float64", "float16", "bfloat16")
KERNELS = ((3, 3), (3, 3), (2, 2), (3, 2), (2, 3), (4, 4), (3, 1), (1, 3), (1, 7), (7, 1), (1, 4), (5, 1))
MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 2_000_000


SHARED = {
    4: (
        ("float32", (3, 3), ("bias",), False),
        ("float32", (3, 3), (), True),
        ("float32", (3, 2), ("scale", "bias", "add", "relu"), False),
    ),
    3: (
        ("float64", (3, 3), ("bias",), False),
        ("float16", (1, 3), ("bias",), False),
        ("float32", (2, 2), (), False),
    ),
    2: (
        ("float32", (3, 3), (), False),
        ("bfloat16", (4, 1), (), False),
        ("float32", (3, 1), ("bias", "prelu"), True),
    ),
}
"""By m: dtype, kernel, epilogue, and whether forward problems have a stride."""


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    m, own = divmod(number, 10**6)
    admitted = 1.0 if m else 1.5e-5
    m = m or 4
    while True:
        shared = SHARED[m][own % 3] if own < 10**5 else None
        problem = _problem(rng, shared)
        if 0 < problem.products <= MAX_PRODUCTS and largest(problem) <= MAX_ELEMENTS:
            form = form_of(problem, m, 16)
            is_window = problem.in_spatial == problem.kernel  # a matrix product to the engine's front door
            fits = not is_window and not isinstance(form, str) and (shared is None or form.strided == shared[3])
            if fits and Winograd(m).error(problem) <= admitted:
                break
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if shared is not None or rng.random() < 0.6:
        knobs["block_pixels"] = rng.choice((1, 4, 8, 16))
        knobs["block_channels"] = rng.choice((1, 16, 32))
        knobs["block_reduction"] = rng.choice((1, 16, 64))
    data = rng.choices(("normal", "integers", "holes"), (60, 20, 20))[0]
    quirk = "unaligned" if rng.random() < 0.05 else "none"
    return Case(problem, seed=number, data=data, quirk=quirk, knobs=knobs)


def _problem(rng: random.Random, shared: tuple | None) -> ConvProblem:
    direction = rng.choice(("forward", "backward_data"))
    rank = rng.choices((1, 2, 3, 4, 5), (15, 55, 20, 6, 4))[0]
    groups = rng.choice((1, 1, 1, 2, 3))
    channels = [rng.choice((1, 3, 4, 8, 15, 16, 17, 32, 40)) for _ in range(2)]
    dtype, kernel, epilogue, strided = shared or (
        rng.choice(DTYPES),
        rng.choice(KERNELS),
        rng.choice(((), ("bias",), ("bias",), *EPILOGUES)),
        rng.random() < 0.3,
    )
    if rank == 1:
        kernel = [max(kernel)] if shared else [rng.choice((2, 3, 4, 5, 7))]
    kernel = [rng.choice((1, 2, 3)) for _ in range(rank - 2)] + list(kernel)
    axes = []
    for a, k in enumerate(kernel):
        s = rng.choice((1, 1, 1, 2, 2, 3))
        if direction == "forward" and a >= rank - 2:
            s = rng.choice((2, 2, 3)) if strided and k > 1 else 1
            k = min(7, k * s - rng.randrange(s))
        if s > 1 and direction == "backward_data" and a >= rank - 2:
            k = min(7, k * s - rng.randrange(s))
        d = rng.choice((1, 1, 1, 2, 3))
        reach = geometry.dilated_kernel(k, d) - 1
        lo, hi = (rng.randint(0, reach + 1) if rng.random() < 0.7 else 0 for _ in range(2))
        if rng.random() < 0.1:
            lo, hi = rng.choice(((-1, hi), (lo, -2), (-2, -1)))
        wanted = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33)) if a >= rank - 2 else rng.randint(1, 5)
        low, high = geometry.conv_in_range(wanted, k, s, d, lo, hi)
        axes.append((k, s, d, lo, hi, max(1, rng.randint(low, high))))
    batch = rng.choice((1, 1, 2, 3, 5))
    return lay_out(rng, make_problem(direction, dtype, axes, batch, groups, *channels, epilogue), contiguous=0.4)
