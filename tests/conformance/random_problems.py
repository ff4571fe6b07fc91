"""Random cases by number: a ConvProblem with the strides of its arrays, its data and the knobs of one run.

A case has a one-line text form (the problem's own, a semicolon, then key=value words) that parses back:

    forward float32 n1 g1 c3->8 i9x9 k3x3 +bias ; seed=7 data=integers block_pixels=8 num_threads=2
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mxconv import geometry
from mxconv.dtypes import DTYPES
from mxconv.engine.problem import ConvProblem, Direction, contiguous_strides

Ints = tuple[int, ...]

GENERAL = ("channel_lanes", "direct", "implicit_gemm", "direct_weight")
"""The algorithms that these problems are drawn for; the others have problems of their own."""
MAX_ELEMENTS = 60_000
MAX_TAPS = 343
PRODUCTS = ((1, 300), (300, 5_000), (5_000, 50_000), (50_000, 300_000))
"""Ranges of multiply-adds, drawn first: small problems are many, but not all."""
OWN_PRODUCTS = {"wide": (50_000, 600_000), "row": (1_000, 100_000)}
"""The ranges of kinds that have large problems only."""
FEW = (1, 2, 3, 4, 5, 7)
EPILOGUES = (("relu",), ("bias", "prelu"), ("scale", "bias", "add", "relu"), ("scale", "prelu", "add"))
COMPLEX_EPILOGUES = (("scale", "bias"), ("scale", "add"))
FLOATS = tuple(name for name, dtype in DTYPES.items() if dtype.kind == "float")


@dataclass(frozen=True)
class Case:
    """One run of the check. `api`: engine, nd, nd_last, nd_kept (its weight); `quirk`: none, swapped, unaligned;
    `among`: all algorithms, or the general ones."""

    problem: ConvProblem
    seed: int = 0
    data: str = "integers"
    api: str = "engine"
    quirk: str = "none"
    among: str = "all"
    knobs: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [f"{k}={v}" for k, v in {**self._extras(), **self.knobs}.items()]
        return f"{self.problem} ; {' '.join(words)}"

    def _extras(self) -> dict[str, object]:
        usual = {"api": "engine", "quirk": "none", "among": "all"}
        named = {k: getattr(self, k) for k in ("seed", "data", "api", "quirk", "among")}
        return {k: v for k, v in named.items() if usual.get(k) != v}


def parse(line: str) -> Case:
    """The case of a line."""
    text, _, rest = line.partition(";")
    words = dict(word.split("=") for word in rest.split())
    named = {k: words.pop(k) for k in ("data", "api", "quirk", "among") if k in words}
    return Case(
        ConvProblem.parse(text),
        seed=int(words.pop("seed", 0)),
        **named,
        knobs={k: int(v) for k, v in words.items()},
    )


def make_case(number: int) -> Case:
    """The case of that number, the same on every machine."""
    rng = random.Random(number)
    direction = rng.choices(("forward", "backward_data", "backward_weight"), (45, 45, 10))[0]
    dtype = "float32" if rng.random() < 0.2 else rng.choice(tuple(DTYPES))
    if direction == "backward_weight" and DTYPES[dtype].kind == "complex":
        dtype = "float32"  # only scratch_free computes it: see test_scratch_free.py
    is_edge = rng.random() < 0.04
    kind = rng.choices(("any", "pointwise", "depthwise", "wide", "row"), (33, 14, 17, 16, 20))[0]
    least, most = (0, 1000) if is_edge else rng.choices(PRODUCTS, (3, 15, 47, 35))[0]
    if kind in OWN_PRODUCTS:
        is_edge, (least, most) = False, OWN_PRODUCTS[kind]
    while True:
        problem = _problem(rng, direction, dtype, kind, is_edge)
        if (
            least <= problem.products <= most
            and largest(problem) <= MAX_ELEMENTS
            and math.prod(problem.kernel) <= MAX_TAPS
        ):
            break
    return Case(
        problem,
        seed=number,
        data=_kind_of_data(rng, problem),
        api=rng.choice(("nd", "nd_last", "nd_kept")) if rng.random() < 0.25 and _is_plain(problem) else "engine",
        quirk=rng.choice(("swapped", "unaligned")) if rng.random() < 0.06 else "none",
        knobs=_knobs(rng, problem, kind),
        among="general" if rng.random() < 0.6 else "all",
    )


def _kind_of_data(rng: random.Random, p: ConvProblem) -> str:
    if p.storage.kind == "int":
        return "integers"
    kinds = ("integers", "normal", "holes")
    return rng.choices(kinds, (60, 30, 10 if p.storage.kind == "float" else 0))[0]


def _knobs(rng: random.Random, p: ConvProblem, kind: str) -> dict[str, int]:
    """One or two threads and, mostly, blocks so small that each axis has several."""
    knobs = {"num_threads": rng.choice((1, 2)), "parallel_threshold": 0}
    if rng.random() < 0.97:
        rows, channels = p.out_channels // p.groups, p.in_channels // p.groups
        if p.direction == "backward_data":
            rows, channels = channels, rows
        is_thin = rows == channels == 1  # computed several rows at once, unless a block is a single pixel
        pixels = (4, 4, 8, 16, 32, 10_000) if is_thin else (1, 1, 1, 1, 16, 32)
        if rows >= 32:  # its tiles run on from row to row
            pixels = (1, 1, 16, 48, 10_000)
        knobs["block_pixels"] = rng.choice(pixels)
        knobs["block_channels"] = rng.randint(1, max(1, rows // 2))
        taps = math.prod(p.kernel)
        if p.direction == "backward_data":  # those of one phase
            taps = math.prod(-(-k // s) for k, s in zip(p.kernel, p.stride, strict=True))
        most = max(1, channels * taps // 2)
        is_one_chain = rng.random() < (0.9 if kind == "row" and p.direction == "forward" else 0.1)
        knobs["block_reduction"] = 10_000 if is_one_chain else rng.randint(1, most)
    return knobs


def _is_plain(p: ConvProblem) -> bool:
    """Whether the operators accept it: only a bias is added, extents but the batch are positive, adj < stride."""
    if p.direction == "backward_weight" or set(p.epilogue) - {"bias"}:
        return False
    extents = (p.in_channels, p.out_channels, *p.in_spatial, *p.out_spatial)
    return min(extents) > 0 and all(0 <= a < s for a, s in zip(adjustment(p), p.stride, strict=True))


def adjustment(p: ConvProblem) -> Ints:
    """The adj with which a deconvolution of y comes to the extent of x."""
    return tuple(p.in_spatial[a] - geometry.deconv_out(p.out_spatial[a], *p.axis(a)) for a in range(p.rank))


def _around(rng: random.Random, most: int = 2) -> int:
    """An extent around the vector width, or around 2 to `most` of them."""
    lanes, some = rng.choice((4, 8, 16, 16)), rng.randint(2, most)
    return rng.choice((1, lanes - 1, lanes, lanes + 1, some * lanes - 1, some * lanes + 1))


def _axis(rng: random.Random, direction: Direction, kind: str, axis: int, rank: int) -> Ints:
    """(kernel, stride, dilation, pad_lo, pad_hi, extent of x) of one axis."""
    longest = {1: 7, 2: 7, 3: 5, 4: 3, 5: 3}[rank]
    k = 1 if kind == "pointwise" else rng.randint(1, longest)
    s = rng.choice((1, 1, 1, 2, 3, 4)) if axis or rng.random() < 0.7 else rng.randint(1, 9)
    d = rng.choice((1, 1, 1, 2, 3))
    if kind == "depthwise" and axis == rank - 2 and rng.random() < 0.8:  # taps that lie on neighbouring rows
        k, s = rng.randint(2, longest), rng.choice((1, 1, 1, 2))
        d = s if direction == "forward" else 1
    if kind == "wide":  # sums are long, and phases few
        k, s = max(k, 2), s if direction == "forward" or rng.random() < 0.2 else 1
    if kind == "row":
        k, s = max(k, 2), s if direction == "forward" else rng.choice((1, 2, 3, 4))
    if kind == "depthwise" and direction == "backward_data":  # no phase without taps
        s = min(s, k)
    reach = geometry.dilated_kernel(k, d) - 1
    lo, hi = (rng.randint(0, reach + 1) if rng.random() < 0.6 else 0 for _ in range(2))
    if rng.random() < 0.12:
        lo, hi = rng.choice(((-1, hi), (lo, -2), (-2, -1), (-3, reach + 2)))
    if kind == "wide" and rng.random() < 0.7:  # no tap leaves the image, or perhaps one
        lo, hi = rng.choice(((0, 0), (0, 0), (0, 0), (0, 1), (1, 0)))
    if kind == "pointwise" and rng.random() < 0.8:  # a matrix product, with perhaps one pixel too many
        s, (lo, hi) = 1, rng.choice(((0, 0), (0, 0), (0, 0), (0, 1), (1, 0)))
    if kind == "wide":
        wanted = rng.randint(2, 20)
    elif axis == rank - 1:
        wanted = _around(rng, 6 if rank == 1 else 4) + (80 if kind == "row" else 0)
    else:
        wanted = rng.randint(1, 12 if kind == "depthwise" else 6)
    if direction != "backward_data" or axis < rank - 1:  # the extent of y is wanted, else that of x
        low, high = geometry.conv_in_range(wanted, k, s, d, lo, hi)
        wanted = max(1, rng.randint(low, high))
    elif rng.random() < 0.6:
        wanted *= s  # each phase is around the vector width
    return k, s, d, lo, hi, wanted


def _problem(rng: random.Random, direction: Direction, dtype: str, kind: str, is_edge: bool) -> ConvProblem:
    rank = rng.choices((1, 2, 3, 4, 5), (25, 35, 20, 10, 10))[0]
    if kind == "depthwise":
        rank = max(rank, rng.choice((1, 2, 2)))
        groups = _around(rng) if rng.random() < 0.5 else rng.choice(FEW)
        group_in, group_out = 1, rng.choice((1, 1, 1, 1, 2))
    else:
        groups = 1 if rng.random() < 0.65 else rng.choice((2, 3, 4))
        group_in = _around(rng) if rng.random() < 0.3 else rng.choice(FEW)
        group_out = _around(rng) if rng.random() < 0.55 else rng.choice(FEW)
    if kind == "row":  # one long row, short sums
        rank, group_in, group_out = 1, rng.choice((1, 2, 3, 8)), rng.choice((7, 8, 15, 16, 17, 33))
    if kind == "wide":  # whole vectors of result channels, and long sums
        groups = rng.choice((1, 1, 2))
        group_in, group_out = rng.choice((64, 100, 128, 200)), rng.choice((32, 45, 48, 48, 64))
        if direction == "backward_data":
            group_in, group_out = group_out, group_in
    axes = [_axis(rng, direction, kind, axis, rank) for axis in range(rank)]
    batch = rng.choice((1, 1, 1, 2, 3))
    if is_edge:
        match rng.choice(("batch", "in", "out", "spatial", "kernel")):
            case "batch":
                batch = 0
            case "in":
                groups, group_in = 1, 0
            case "out":
                groups, group_out = 1, 0
            case what:  # no samples on an axis, or one, perhaps less than the kernel has taps
                a = rng.randrange(rank)
                axes[a] = (*axes[a][:-1], int(what == "kernel"))
    epilogue = _epilogue(rng, direction, dtype)
    plain = make_problem(direction, dtype, axes, batch, groups, group_in, group_out, epilogue)
    own = {f"{plain.output}_strides": contiguous_strides(plain.shape_of(plain.output))} if kind == "row" else {}
    return lay_out(rng, plain, **own)


def _epilogue(rng: random.Random, direction: Direction, dtype: str) -> tuple[str, ...]:
    """Mostly a bias or nothing: every other one is another kernel."""
    if direction == "backward_weight":
        return ()
    if rng.random() < 0.8:
        return ("bias",) if rng.random() < 0.6 else ()
    return rng.choice(COMPLEX_EPILOGUES if DTYPES[dtype].kind == "complex" else EPILOGUES)


def make_problem(
    direction: Direction,
    dtype: str,
    axes: Sequence[Ints],
    batch: int,
    groups: int,
    group_in: int,
    group_out: int,
    epilogue: Sequence[str] = (),
) -> ConvProblem:
    """A problem of contiguous arrays from (kernel, stride, dilation, pad_lo, pad_hi, extent of x) of each axis."""
    kernel, stride, dilation, pad_lo, pad_hi, size = zip(*axes, strict=True)
    return ConvProblem.create(
        direction,
        dtype,
        batch=batch,
        groups=groups,
        in_channels=groups * group_in,
        out_channels=groups * group_out,
        in_spatial=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad_lo=pad_lo,
        pad_hi=pad_hi,
        epilogue=epilogue,
    )


def lay_out(rng: random.Random, p: ConvProblem, contiguous: float = 0.0, **own: Ints) -> ConvProblem:
    """The problem with strides of any kind, but for its `own`; a share of the arrays is `contiguous` in any case."""
    strides = {
        f"{name}_strides": contiguous_strides(p.shape_of(name))
        if contiguous and rng.random() < contiguous
        else strides_of(rng, p.shape_of(name), name == p.output)
        for name in "xwy"
    }
    return replace(p, **{**strides, **own})


def largest(p: ConvProblem) -> int:
    """The elements of the largest of the three arrays."""
    return max(math.prod(p.shape_of(name)) for name in "xwy")


def strides_of(rng: random.Random, shape: Sequence[int], is_output: bool) -> Ints:
    """Element strides: contiguous, channels last, any order, padded, reversed, or broadcast (inputs only)."""
    kind = rng.random()
    axes = list(range(len(shape)))
    if kind < 0.35:
        return contiguous_strides(shape)
    if kind < 0.6:
        axes = [0, *axes[2:], 1]
    elif kind < 0.7:
        rng.shuffle(axes)
    strides, current = [0] * len(shape), rng.choice((1, 1, 1, 2, 3)) if kind > 0.7 else 1
    for axis in reversed(axes):
        strides[axis] = current
        current *= max(1, shape[axis]) + (rng.choice((0, 1, 5)) if kind > 0.6 else 0)
    if 0.75 < kind < 0.9:
        strides = [-s if rng.random() < 0.5 else s for s in strides]
    if kind > 0.9 and not is_output:
        strides = [0 if rng.random() < 0.4 else s for s in strides]
    return tuple(strides)


def make_data(case: Case) -> dict[str, np.ndarray]:
    """The two inputs and the epilogue's arrays, in logical order and before strides are laid over them.

    `integers` are so small that every sum of floats is exact; integer types use their whole range; `holes` are
    integers among which some of the first array are infinite or NaN, which must not spread. An axis
    that is broadcast holds one value.
    """
    p, rng = case.problem, np.random.default_rng(case.seed)
    arrays = {}
    lying = {**{name: (p.shape_of(name), p.strides_of(name)) for name in p.inputs}, **p.operands}
    for name, (shape, strides) in lying.items():
        stored = tuple(1 if s == 0 and n else n for n, s in zip(shape, strides, strict=True))
        dtype = p.result.numpy if name == "residual" else p.storage.numpy
        if name in ("scale", "slope"):  # small, so that sums times them stay exact
            values = rng.integers(0 if dtype.kind == "u" else -1, 2, stored, endpoint=True)
        elif p.storage.kind == "int":
            info = np.iinfo(dtype)
            values = rng.integers(info.min, info.max, stored, dtype, endpoint=True)
        elif case.data == "normal":
            values = rng.standard_normal(stored)
            if p.storage.kind == "complex":
                values = values + 1j * rng.standard_normal(stored)
        else:
            most = 3 if p.dtype == "float16" else 7
            values = rng.integers(-most, most, stored, endpoint=True)
            if p.storage.kind == "complex":
                values = values + 1j * rng.integers(-most, most, stored, endpoint=True)
            if case.data == "holes" and name == p.inputs[0] and values.size:
                values = values.astype(float)
                values.flat[rng.integers(0, values.size, 3)] = rng.choice((np.inf, -np.inf, np.nan), 3)
        arrays[name] = np.broadcast_to(values.astype(dtype), shape)
    return arrays


def read_cases(path: Path) -> list[Case]:
    """The cases of a file: one a line, `#` starts a comment."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [parse(line) for line in lines if line]
