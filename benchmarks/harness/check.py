"""Is an answer right? Some of its outputs by the formula in float64, and all of them against another library's.

The formula is summed for a few hundred outputs, corners among them, each from exactly the samples that it sees; it is
written here once more, apart from every engine. Where they agree, all outputs are compared with those of the first
contestant that passed. Errors are told as a part of the RMS of the exact values (inputs are N(0,1)).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mxconv.engine.problem import ConvProblem, Ints

TOLERANCE = {
    "float32": 1e-4,
    "float64": 1e-12,
    "float16": 5e-3,
    "bfloat16": 4e-2,
    "complex64": 1e-4,
    "complex128": 1e-12,
}
"""The largest error, in parts of the RMS: lets Winograd and FFT in float32 pass, and no arithmetic of fewer bits."""

SAMPLES = 200

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Judge:
    """Knows some exact outputs of a problem."""

    problem: ConvProblem
    where: tuple[Ints, ...]
    exact: np.ndarray
    scale: float

    @classmethod
    def of(cls, problem: ConvProblem, arrays: Arrays) -> Judge:
        where = tuple(sample_outputs(problem.shape_of(problem.output)))
        exact = np.array([exact_output(problem, arrays, index) for index in where])
        return cls(problem, where, exact, float(np.sqrt(np.mean(np.abs(exact) ** 2))) or 1.0)

    @property
    def tolerance(self) -> float:
        return TOLERANCE.get(self.problem.dtype, 0.0)

    def complaint(self, answer: np.ndarray, accepted: np.ndarray | None) -> tuple[str, float]:
        """What is wrong with an answer ("" if nothing), and its largest error; `accepted` is one that was right."""
        p = self.problem
        shape, dtype = p.shape_of(p.output), p.result.numpy
        if answer.shape != shape or answer.dtype != dtype:
            return f"answered {answer.dtype} {answer.shape}, expected {dtype} {shape}", float("nan")
        if answer.dtype.kind in "fc" and not np.isfinite(answer).all():
            return "answered with numbers that are not finite", float("nan")
        got = np.array([answer[index] for index in self.where])
        error = float(np.max(np.abs(got - self.exact), initial=0.0)) / self.scale
        if error <= self.tolerance and accepted is not None:
            error = max(error, float(np.max(np.abs(answer - accepted), initial=0.0)) / self.scale)
        if error > self.tolerance:
            return f"wrong by {error:.1e} of the RMS, more than {self.tolerance:.0e}", error
        return "", error


def sample_outputs(shape: Ints) -> list[Ints]:
    """Some indices into an array, always the same ones: its corners (at most 64 of them) and random ones."""
    if 0 in shape:
        return []
    corners = itertools.islice(itertools.product(*[sorted({0, n - 1}) for n in shape]), 64)
    rng = np.random.default_rng(1)
    random = zip(*[rng.integers(0, n, SAMPLES).tolist() for n in shape], strict=True)
    return list(dict.fromkeys([*corners, *random]))


def exact_output(p: ConvProblem, arrays: Arrays, index: Ints) -> Any:
    """One output of the problem, summed in float64 (complex128; integers exactly)."""
    spatial = index[2:]
    c_group, f_group = p.in_channels // p.groups, p.out_channels // p.groups
    if p.direction == "forward":
        n, f = index[:2]
        channels = range(f // f_group * c_group, (f // f_group + 1) * c_group)
        taps, places = zip(*[_taps_forward(p, a, o) for a, o in enumerate(spatial)], strict=True)
        left, right = arrays["x"][n][np.ix_(channels, *places)], arrays["w"][f][np.ix_(range(c_group), *taps)]
        channel = f
    elif p.direction == "backward_data":
        n, c = index[:2]
        channels = range(c // c_group * f_group, (c // c_group + 1) * f_group)
        taps, places = zip(*[_taps_backward(p, a, i) for a, i in enumerate(spatial)], strict=True)
        left = arrays["y"][n][np.ix_(channels, *places)]
        right = arrays["w"][:, c % c_group][np.ix_(channels, *taps)]
        channel = c
    else:
        f, c = index[:2]
        sees, places = zip(*[_places_of_tap(p, a, t) for a, t in enumerate(spatial)], strict=True)
        left = arrays["x"][:, f // f_group * c_group + c][np.ix_(range(p.batch), *sees)]
        right = arrays["y"][:, f][np.ix_(range(p.batch), *places)]
        channel = 0
    total = np.sum(_wide(left) * _wide(right))
    return total + _wide(arrays["bias"])[channel] if "bias" in arrays else total


def _taps_forward(p: ConvProblem, a: int, o: int) -> tuple[list[int], list[int]]:
    """The taps t that output o uses, and the inputs o*stride + t*dilation - pad_lo that they meet."""
    pairs = [(t, o * p.stride[a] + t * p.dilation[a] - p.pad_lo[a]) for t in range(p.kernel[a])]
    return _columns([(t, i) for t, i in pairs if 0 <= i < p.in_spatial[a]])


def _taps_backward(p: ConvProblem, a: int, i: int) -> tuple[list[int], list[int]]:
    """The taps t and outputs o with o*stride + t*dilation - pad_lo = i."""
    pairs = [(t, divmod(i + p.pad_lo[a] - t * p.dilation[a], p.stride[a])) for t in range(p.kernel[a])]
    return _columns([(t, o) for t, (o, rest) in pairs if rest == 0 and 0 <= o < p.out_spatial[a]])


def _places_of_tap(p: ConvProblem, a: int, t: int) -> tuple[list[int], list[int]]:
    """The inputs i and outputs o that tap t connects."""
    pairs = [(o * p.stride[a] + t * p.dilation[a] - p.pad_lo[a], o) for o in range(p.out_spatial[a])]
    return _columns([(i, o) for i, o in pairs if 0 <= i < p.in_spatial[a]])


def _columns(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _wide(a: np.ndarray) -> np.ndarray:
    return a.astype({"c": np.complex128, "i": np.int64, "u": np.int64}.get(a.dtype.kind, np.float64))
