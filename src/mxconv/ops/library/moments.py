"""What normalizing operators share: mean 0 and variance 1 over some axes, and the gradient of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...dtypes import BFLOAT16
from ..registry import Array
from .terms import Term


def mean_and_variance(x: Array, axes: Sequence[int], *, keepdims: bool = False) -> tuple[Array, Array]:
    """The mean of x over the axes and its biased variance, both summed in float64."""
    mean = x.mean(tuple(axes), dtype=np.float64, keepdims=True)
    squares = np.square(x - mean.astype(x.dtype))
    variance = squares.mean(tuple(axes), dtype=np.float64, keepdims=keepdims)
    return (mean if keepdims else mean.reshape(variance.shape)), variance


def beside(rank: int, axis: int) -> tuple[int, ...]:
    """What an array along one axis is reshaped to, to stand beside arrays of that rank."""
    return (*(1,) * axis, -1, *(1,) * (rank - 1 - axis))


def wide(term: Term) -> Term:
    """The term in the type that sums are computed in."""
    return term.Cast(dtype="float32") if np.dtype(term.value.dtype) in (np.float16, BFLOAT16) else term


def like(term: Term, value: Any) -> Any:
    """The array of a term in the type of another array."""
    is_same = term.value.dtype == value.dtype
    return term.value if is_same else term.Cast(dtype=np.dtype(value.dtype).name).value


def normalize(x: Term, axes: Sequence[int], eps: float) -> tuple[Term, Term]:
    """n = (x - mean)*r and r = 1 / sqrt(variance + eps), mean and variance over the axes."""
    over: dict[str, Any] = {"axis": tuple(axes), "keepdims": True}
    centred = x - x.mean(**over)
    r = ((centred * centred).mean(**over) + eps).rsqrt()
    return centred * r, r


def normalize_gradient(d: Term, n: Term, r: Term, axes: Sequence[int]) -> Term:
    """The gradient of x for d, that of n."""
    over: dict[str, Any] = {"axis": tuple(axes), "keepdims": True}
    return (d - d.mean(**over) - n * (d * n).mean(**over)) * r
