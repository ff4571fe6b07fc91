"""Random cases by number that the depthwise algorithms accept: one source channel a group, any kernel."""

from __future__ import annotations

import random
from dataclasses import replace

from mxconv import geometry
from mxconv.dtypes import DTYPES
from mxconv.engine.algorithms.depthwise import Depthwise
from mxconv.engine.algorithms.depthwise_lanes import DepthwiseLanes
from mxconv.engine.algorithms.depthwise_lanes_weight import DepthwiseLanesWeight
from mxconv.engine.algorithms.depthwise_phases import DepthwisePhases
from mxconv.engine.algorithms.depthwise_weight import DepthwiseWeight
from mxconv.engine.algorithms.scaling import Scaling
from mxconv.engine.problem import DIRECTIONS, ConvProblem, contiguous_strides
from mxconv.jit import target

from .random_problems import EPILOGUES, Case, Ints, largest, make_problem, strides_of

REAL = tuple(name for name, dtype in DTYPES.items() if dtype.kind != "complex")
ALGORITHMS = (Depthwise(), DepthwiseLanes(), DepthwisePhases(), DepthwiseLanesWeight(), DepthwiseWeight(), Scaling())
MAX_ELEMENTS = 40_000
MAX_PRODUCTS = 400_000
FREE = 10**6
"""From this number on problems are free; those before share few kernels, which take longer to compile than to check."""
FAMILIES = (
    # direction, dtype, taps, stride and dilation of the last two axes, epilogue
    ("forward", "float32", (3, 3), (1, 1), (1, 1), ("bias",)),
    ("forward", "float32", (7, 5), (1, 2), (1, 1), ("bias",)),
    ("forward", "float32", (3, 3), (2, 2), (1, 1), ()),
    ("forward", "float64", (5, 3), (1, 1), (2, 3), ("scale", "bias", "add", "relu")),
    ("forward", "float16", (13, 4), (1, 3), (1, 1), ("bias",)),
    ("forward", "bfloat16", (2, 9), (3, 1), (2, 1), ("bias", "prelu")),
    ("forward", "int8", (1, 24), (1, 1), (1, 1), ()),
    ("forward", "int64", (4, 3), (2, 2), (2, 1), ()),
    ("forward", "float32", (1, 1), (2, 2), (1, 1), ("bias",)),
    ("backward_data", "float16", (1, 1), (1, 1), (1, 2), ("bias", "prelu")),
    ("backward_data", "float32", (24, 13), (1, 1), (1, 1), ("bias",)),
    ("backward_data", "uint8", (3, 2), (1, 1), (1, 2), ()),
    ("backward_data", "int32", (5, 5), (1, 1), (3, 1), ()),
    ("backward_data", "float32", (3, 3), (2, 2), (1, 1), ("bias",)),
    ("backward_data", "float64", (5, 4), (3, 2), (1, 1), ("scale", "bias", "add", "relu")),
    ("backward_data", "int16", (2, 8), (2, 4), (1, 1), ()),
    ("backward_weight", "float32", (3, 3), (1, 1), (1, 1), ()),
    ("backward_weight", "float32", (7, 7), (1, 2), (1, 1), ()),
    ("backward_weight", "float32", (3, 2), (2, 1), (1, 3), ()),
    ("backward_weight", "float64", (13, 5), (1, 1), (2, 1), ()),
    ("backward_weight", "float16", (1, 24), (1, 3), (1, 1), ()),
    ("backward_weight", "int16", (4, 1), (2, 2), (3, 2), ()),
)


Family = tuple[str, str, Ints, Ints, Ints, tuple[str, ...]]


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    while True:
        problem = _problem(rng, None if number >= FREE else FAMILIES[number % len(FAMILIES)])
        is_small = largest(problem) <= MAX_ELEMENTS and 0 < problem.products <= MAX_PRODUCTS
        is_window = problem.groups == 1 and problem.in_spatial == problem.kernel  # computed as a matrix product
        accepted = {a.name for a in ALGORITHMS if a.applicable(problem, target.current()).accepted}
        if is_small and not is_window and accepted:
            break
    # Both quirks are computed by way of copies, whose channels need not be neighbours.
    has_quirk = rng.random() < 0.05 and not accepted <= {"depthwise_lanes", "depthwise_lanes_weight"}
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.6:
        knobs |= {
            "block_pixels": rng.choice((1, 4, 9, 16, 40)),
            "block_reduction": rng.choice((1, 5, 20, 60)),
        }
    kinds = ("integers",) if problem.storage.kind == "int" else ("integers", "integers", "normal", "holes")
    return Case(
        problem,
        seed=number,
        data=rng.choice(kinds),
        quirk=rng.choice(("swapped", "unaligned")) if has_quirk else "none",
        knobs=knobs,
    )


def _problem(rng: random.Random, family: Family | None) -> ConvProblem:
    rank = rng.choices((1, 2, 3, 4), (15, 60, 20, 5))[0]
    if family is None:
        direction = rng.choice(DIRECTIONS)
        dtype = "float32" if rng.random() < 0.3 else rng.choice(REAL)
        words = rng.choice(EPILOGUES) if rng.random() < 0.2 else rng.choice(((), ("bias",)))
        windows = [_window(rng, direction, place) for place in range(rank, 0, -1)]
    else:
        direction, dtype, *last, words = family
        rank = max(rank, 2)
        windows = [_window(rng, direction, place) for place in range(rank, 2, -1)] + list(zip(*last, strict=True))
    if direction == "backward_weight":
        words = ()
    axes = [_axis(rng, window, rank - axis) for axis, window in enumerate(windows)]
    groups, group_out = rng.choice((1, 2, 3, 5, 9, 17)), rng.choice((1, 1, 1, 1, 2, 3))
    is_last = rng.random() < 0.3
    if is_last or rng.random() < 0.4:  # channels enough for a vector of them
        groups, group_out = rng.choice((8, 15, 16, 17, 33, 40)), 1
    group_in = 1
    if direction == "backward_data":
        group_in, group_out = group_out, group_in
    plain = make_problem(direction, dtype, axes, rng.choice((1, 1, 2, 3)), groups, group_in, group_out, words)
    dense = "y" if direction == "backward_weight" else plain.output  # its last axis must be contiguous
    strides = {}
    for name in "xwy":
        shape = plain.shape_of(name)
        if is_last and name != "w":
            strides[f"{name}_strides"] = _channels_last(rng, shape)
            continue
        own = contiguous_strides(shape) if rng.random() < 0.5 else strides_of(rng, shape, name == plain.output)
        if name == dense and own[-1] != 1:
            own = contiguous_strides(shape)
        strides[f"{name}_strides"] = own
    return replace(plain, **strides)


def _channels_last(rng: random.Random, shape: Ints) -> Ints:
    """Strides of an array whose channels are neighbours, with gaps between pixels or rows perhaps."""
    strides, current = [0] * len(shape), 1
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[axis] = current
        current = current * shape[axis] + rng.choice((0, 0, 0, 3))
    return tuple(strides)


def _window(rng: random.Random, direction: str, place: int) -> Ints:
    """(taps, stride, dilation) of an axis; the last has place 1, the one before it 2."""
    k = rng.randint(1, 3) if place > 2 else rng.choice((1, 2, 3, 3, 4, 5, 7, 9, 13, 24))
    s, d = rng.choice(((1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (3, 1), (3, 2), (2, 3), (4, 1)))
    return k, 1 if direction == "backward_data" and (place > 2 or rng.random() < 0.5) else s, d


def _axis(rng: random.Random, window: Ints, place: int) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x) of an axis."""
    k, s, d = window
    reach = geometry.dilated_kernel(k, d) - 1
    lo, hi = rng.choice(((reach // 2, reach // 2), (0, 0), (rng.randint(0, reach + 1), rng.randint(0, reach + 1))))
    if rng.random() < 0.1:
        lo, hi = rng.choice(((-1, hi), (lo, -2), (reach + 3, hi)))
    wanted = rng.randint(1, 4) if place > 2 else rng.choice((1, 7, 8, 13, 16, 17, 29, 33))
    low, high = geometry.conv_in_range(wanted, k, s, d, lo, hi)
    return k, s, d, lo, hi, max(1, rng.randint(low, high))
