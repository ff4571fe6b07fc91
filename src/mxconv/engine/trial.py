"""A problem to try out: arrays of random numbers for it, and the engine called on them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import DType
from ..errors import UnsupportedError
from . import execute
from .pack_cache import WeightIdentity
from .problem import EPILOGUES, ConvProblem, Ints, contiguous_strides
from .workspace import address_of

Array = npt.NDArray[Any]


def make_arrays(problem: ConvProblem) -> dict[str, Array]:
    """The inputs of a problem (two of x, w, y, and bias if it has one), the same ones on every machine and day.

    Floats are N(0,1), integers lie in -8..8 (0..8 if unsigned); the strides are the problem's.

    Raises: UnsupportedError, for a problem with negative strides.
    """
    rng = np.random.default_rng(zlib.crc32(str(problem).encode()))
    shapes = {name: (problem.shape_of(name), problem.strides_of(name)) for name in problem.inputs}
    arrays = {name: _draw(rng, problem, *of, problem.storage) for name, of in shapes.items()}
    for name, (shape, strides) in problem.operands.items():
        arrays[name] = _draw(rng, problem, shape, strides, problem.result if name == "residual" else problem.storage)
    return arrays


def make_result(problem: ConvProblem) -> Array:
    """An array for the answer, with the problem's strides and whatever memory holds."""
    name, dtype = problem.output, problem.result.numpy
    shape, strides = problem.shape_of(name), problem.strides_of(name)
    if strides == contiguous_strides(shape):
        return np.empty(shape, dtype)
    return _strided(np.empty(_extent(shape, strides), dtype), shape, strides)


_versions = itertools.count(1)


class ConstantWeight:
    """A weight that nobody writes to while it is tried out, so that its packed form may be kept, as a model's is."""

    def __init__(self, weight: Array) -> None:
        self.version = next(_versions)
        self.tainted = False
        self._weight = weight

    @property
    def identity(self) -> WeightIdentity:
        """Which memory it is; made anew each time, since it holds us."""
        return WeightIdentity(self, self.version, address_of(self._weight))


def compute(
    problem: ConvProblem, arrays: Mapping[str, Array], out: Array, constant: ConstantWeight | None = None
) -> Array:
    """Compute the problem into `out`, through the engine's front door; returns `out`.

    With `constant`, which must have been made of arrays["w"], the packed weight is kept from the first call on.

    Raises: UnsupportedError, if no algorithm computes it.
    """
    data, weight = problem.inputs
    execute.convolve(
        problem.direction,
        arrays[data],
        arrays[weight],
        out,
        arrays.get("bias"),
        [(word, arrays.get(EPILOGUES[word])) for word in problem.epilogue if word != "bias"],
        stride=problem.stride,
        dilation=problem.dilation,
        pad_lo=problem.pad_lo,
        pad_hi=problem.pad_hi,
        groups=problem.groups,
        weight=None if constant is None else constant.identity,
    )
    return out


def _draw(rng: np.random.Generator, problem: ConvProblem, shape: Ints, strides: Ints, dtype: DType) -> Array:
    if min(strides, default=0) < 0:
        raise UnsupportedError(
            f"problem {problem} has negative strides, expected none",
            argument="problem",
            got=strides,
            expected="strides of at least 0",
        )
    size = _extent(shape, strides)
    if problem.storage.kind == "int":
        low = 0 if problem.storage.numpy.kind == "u" else -8
        flat: Array = rng.integers(low, 9, size)
    else:
        flat = rng.standard_normal(size)
        if problem.storage.kind == "complex":
            flat = flat + 1j * rng.standard_normal(size)
    return _strided(flat.astype(dtype.numpy), shape, strides)


def _extent(shape: Ints, strides: Ints) -> int:
    """How many elements an array with these strides spans."""
    return 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))


def _strided(flat: Array, shape: Ints, strides: Ints) -> Array:
    return np.lib.stride_tricks.as_strided(flat, shape, [s * flat.itemsize for s in strides])
