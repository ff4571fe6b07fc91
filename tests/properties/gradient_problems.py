"""Random calls of the two operators and the three directions, by number, and the check of their gradients.

`python -m properties.gradient_problems FIRST COUNT` checks a batch: each problem's line is printed before it is run,
so that a fault in guarded memory names it, and a line of counts follows the last one.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from conformance.guards import Guarded, Side
from mxconv.dtypes import DTYPES
from mxconv.engine import planner
from mxconv.ops import registry
from mxconv.testing import reference
from registry_gradients import gradients, invoke

Array = np.ndarray[Any, Any]
DIRECTIONS = ("_conv_forward", "_conv_backward_data", "_conv_backward_weight")
OPS = ("Convolution", "Deconvolution", *DIRECTIONS)
KINDS = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC"), 4: ("NCTDHW", "NTDHWC")}


@dataclass(frozen=True)
class Problem:
    """One call: its attributes, and the convolution of which it is a direction.

    `convolution` has the oracle's words for it, `shapes` those of its x, w and y, channels first.
    """

    number: int
    op: str
    dtype: str
    attributes: Mapping[str, Any]
    convolution: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    def __str__(self) -> str:
        words = " ".join(f"{k}={v}".replace(" ", "") for k, v in self.attributes.items())
        shapes = " ".join(f"{name}{list(shape)}".replace(" ", "") for name, shape in self.shapes.items())
        return f"{self.number}: {self.op} {self.dtype} {shapes} {words}"

    @property
    def roles(self) -> tuple[str, ...]:
        """What the two inputs, and the output, are in the convolution."""
        if self.op in ("Deconvolution", "_conv_backward_data"):
            return "y", "w", "x"
        return ("x", "y", "w") if self.op == "_conv_backward_weight" else ("x", "w", "y")

    @property
    def has_bias(self) -> bool:
        return not self.attributes.get("no_bias", True)

    @property
    def is_channels_last(self) -> bool:
        return str(self.attributes["layout"]).endswith("C")

    def stored(self, array: Array) -> Array:
        """An array with channels first, in the layout of the call; a bias as it is."""
        return np.moveaxis(array, 1, -1) if self.is_channels_last and array.ndim > 1 else array

    def traits(self) -> Iterator[str]:
        """What the problem is an example of."""
        a, rank = self.attributes, len(self.attributes["kernel"])
        yield from (self.op, self.dtype, f"rank {rank}", "channels last" if self.is_channels_last else "channels first")
        group_in = self.shapes["w"][1]
        groups = a["num_group"]
        yield "one group" if groups == 1 else "depthwise" if group_in == 1 else "groups"
        pads = [p if isinstance(p, tuple) else (p, p) for p in a["pad"]]
        yield from (f"stride {s}" for s in set(a["stride"]))
        yield from (f"dilate {d}" for d in set(a["dilate"]))
        named = {
            "negative pad": min(map(min, pads)) < 0,
            "unequal pads": any(lo != hi for lo, hi in pads),
            "stride and dilation": any(s > 1 and d > 1 for s, d in zip(a["stride"], a["dilate"], strict=True)),
            "adj": any(a.get("adj", ())),
            "target on all axes": "target_shape" in a and None not in a["target_shape"],
            "target on some axes": None in a.get("target_shape", ()),
            "no samples": self.shapes["x"][0] == 0,
            "bias": self.has_bias,
        }
        yield from (name for name, holds in named.items() if holds)


def make_problem(number: int) -> Problem:
    """The problem of that number, the same on every machine."""
    rng = random.Random(number)
    op = rng.choice(OPS)
    rank = rng.choices((1, 2, 3, 4), (30, 40, 20, 10))[0]
    groups = rng.choice((1, 1, 2, 3, 5))
    group_in, group_out = (1, rng.choice((1, 2))) if rng.random() < 0.3 else rng.choices((1, 2, 3, 5, 8, 17), k=2)
    batch = 0 if rng.random() < 0.03 else rng.randint(1, 3)
    axes = [_axis(rng, op, most=6 if rank < 3 else 3) for _ in range(rank)]
    of = {name: tuple(axis[name] for axis in axes) for name in axes[0]}
    attributes = {name: of[name] for name in ("kernel", "stride", "dilate")}
    attributes |= {"num_group": groups, "layout": rng.choice((None, *LAYOUTS[rank]))}
    attributes["pad"] = tuple(lo if lo == hi and rng.random() < 0.5 else (lo, hi) for lo, hi in of["pad"])
    if op in DIRECTIONS:
        attributes["size"] = of["x"]
    else:
        filters = group_in if op == "Deconvolution" else group_out
        attributes |= {"num_filter": groups * filters, "no_bias": rng.random() < 0.3}
    if op == "Deconvolution":
        attributes["adj"] = of["adj"]
        if any(of["target"]):
            attributes["target_shape"] = of["target"]
    convolution = {"stride": of["stride"], "dilation": of["dilate"], "groups": groups}
    convolution |= {"pad_lo": of["lo"], "pad_hi": of["hi"]}
    shapes = {
        "x": (batch, groups * group_in, *of["x"]),
        "w": (groups * group_out, group_in, *of["kernel"]),
        "y": (batch, groups * group_out, *of["y"]),
    }
    return Problem(number, op, rng.choice(KINDS), attributes, convolution, shapes)


def _axis(rng: random.Random, op: str, most: int) -> dict[str, Any]:
    """One spatial axis: kernel, stride, dilate, pad as written; x, y, lo, hi as they come out."""
    while True:
        kernel, stride, dilate, y = rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, most)
        pad = rng.choice(((0, 0), (0, 0), (1, 1), (2, 1), (0, 2), (-1, -1), (2, -1), (-2, 3)))
        adj, target = 0, None
        full = stride * (y - 1) + dilate * (kernel - 1) + 1
        lo, hi = pad
        x = full - lo - hi
        if op != "Deconvolution":
            x += rng.randint(0, stride - 1)  # samples that no window reaches
        elif rng.random() < 0.3:
            x = target = rng.randint(1, full)
            lo = (full - x + 1) // 2
            hi = full - x - lo
        else:
            adj = rng.randint(0, stride - 1)
            x += adj
            hi -= adj
        if 1 <= x <= 25:
            return {"kernel": kernel, "stride": stride, "dilate": dilate, "pad": pad, "adj": adj, "target": target,
                    "x": x, "y": y, "lo": lo, "hi": hi}  # fmt: skip


# ---- the check


def check(problem: Problem) -> None:
    """Hold the gradients of a problem against the oracle, exact differences and each other.

    All numbers are small integers, so that every sum of float64 is exact, and sums of other types are rounded once.

    Raises: AssertionError.
    """
    rng = np.random.default_rng(problem.number)
    wide = np.dtype("complex128" if problem.dtype.startswith("complex") else "float64")
    shapes = [problem.shapes[name] for name in problem.roles]
    if problem.has_bias:
        shapes.insert(2, (problem.attributes["num_filter"],))
    *inputs, head = (_integers(rng, shape, wide) for shape in shapes)
    exact = [problem.stored(a) for a in expect(problem, inputs, head)]
    inputs, head = [problem.stored(a) for a in inputs], problem.stored(head)

    found = gradients(problem.op, inputs, head, problem.attributes)
    for got, expected in zip(found, exact, strict=True):
        np.testing.assert_array_equal(got, expected)
    check_differences(problem, rng, inputs, head, found)
    for side in get_args(Side):
        check_in_guarded_memory(problem, side, inputs, head, exact)


def expect(problem: Problem, inputs: Sequence[Array], head: Array) -> list[Array]:
    """The oracle's gradients, channels first."""
    arrays = dict(zip(problem.roles, (*inputs[:2], head), strict=True))
    found = [derivative(problem, name, arrays) for name in problem.roles[:2]]
    return [*found, head.sum((0, *range(2, head.ndim)))] if problem.has_bias else found


def derivative(problem: Problem, name: str, arrays: Mapping[str, Array]) -> Array:
    """The derivative for x, w or y of the problem's trilinear form, given the other two; channels first."""
    how = problem.convolution
    if name == "x":
        return reference.deconvolution(arrays["y"], arrays["w"], **how, out_spatial=problem.shapes["x"][2:])
    if name == "w":
        kernel = problem.shapes["w"][2:]
        return reference.convolution_weight_gradient(arrays["x"], arrays["y"], **how, kernel=kernel)
    return reference.convolution(arrays["x"], arrays["w"], **how)


def check_differences(
    problem: Problem, rng: np.random.Generator, inputs: Sequence[Array], head: Array, found: Sequence[Any]
) -> None:
    """The operator is linear in each input: a difference of any size is the gradient's. Nothing is conjugated."""

    def value(*arrays: Array) -> Any:
        return (invoke(problem.op, arrays, problem.attributes)[0] * head).sum()

    here = value(*inputs)
    parts = [(a * gradient).sum() for a, gradient in zip(inputs, found, strict=True)]
    assert parts[0] == parts[1]  # the adjoint identity: <conv(x, w), y> = <x, dx> = <w, dw>
    assert here == sum(parts[1:])
    for place, gradient in enumerate(found):
        step = _integers(rng, inputs[place].shape, inputs[place].dtype)
        there = value(*inputs[:place], inputs[place] + step, *inputs[place + 1 :])
        assert there - here == (step * gradient).sum()


def check_in_guarded_memory(
    problem: Problem, side: Side, inputs: Sequence[Array], head: Array, exact: Sequence[Array]
) -> None:
    """In the problem's dtype, with any strides, flush against protected pages; only what is wanted is computed."""
    rng = random.Random(f"{problem.number} {side}")
    dtype = DTYPES[problem.dtype].numpy
    wanted = [rng.random() < 0.7 for _ in inputs]
    with ExitStack() as stack, planner.recording() as plans:

        def guard(shape: Sequence[int]) -> Guarded:
            guarded = Guarded(shape, dtype, _strides(rng, shape, dtype.itemsize), side)
            stack.callback(guarded.free)
            return guarded

        def place(values: Array) -> Array:
            guarded = guard(values.shape)
            guarded.array[...] = values
            guarded.lock()
            return guarded.array

        def guarded_invoke(op: str, arrays: Sequence[Array], attributes: Mapping[str, Any]) -> list[Array]:
            spec = registry.lookup(op)
            assert spec is not None
            param = spec.parse(attributes)
            _, (shape,) = spec.infer_shape(param, [a.shape for a in arrays], [None])
            _, (kind,) = spec.infer_type(param, [a.dtype.type for a in arrays], [None])
            assert kind is dtype.type
            out = guard(shape)
            out.poison()
            result = registry.compute(spec, param, arrays, registry.Call(out=out.array))[0]
            assert out.damage() is None, f"{op} wrote outside of its result"
            return [result.copy()]

        placed = [place(a) for a in (*inputs, head)]
        found = gradients(problem.op, placed[:-1], placed[-1], problem.attributes, wanted, guarded_invoke)
        assert len(plans) == 1 + sum(wanted[:2])  # the call itself, and one for each gradient that is wanted
    for got, expected, is_wanted in zip(found, exact, wanted, strict=True):
        if is_wanted:
            assert got is not None
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, expected.astype(dtype))
        else:
            assert got is None


def _integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    values = rng.integers(-3, 4, shape)
    return (values + 1j * rng.integers(-3, 4, shape) if dtype.kind == "c" else values).astype(dtype)


def _strides(rng: random.Random, shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Byte strides: the axes in any order, perhaps with gaps between rows, perhaps backwards."""
    order, step = list(range(len(shape))), itemsize
    if rng.random() < 0.5:
        rng.shuffle(order)
    gap = rng.choice((0, 0, 1, 3))
    strides = [0] * len(shape)
    for axis in reversed(order):
        strides[axis] = step if rng.random() < 0.8 else -step
        step *= max(1, shape[axis]) + gap
    return tuple(strides)


def main(first: int, count: int) -> None:
    counts: Counter[str] = Counter()
    for problem in map(make_problem, range(first, first + count)):
        sys.stdout.write(f"{problem}\n")
        sys.stdout.flush()
        check(problem)
        counts.update(problem.traits())
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
