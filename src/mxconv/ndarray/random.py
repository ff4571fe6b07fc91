"""`mx.nd.random`: arrays of random numbers.

All draw from one generator, which `mx.random.seed` starts over. The numbers are not MXNet's: only their distribution
is. Parameters are numbers, or NDArrays of one shape: then each of their elements gives `shape` numbers. Beyond MXNet
every dtype is allowed in which the numbers make sense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..context import Context
from ..errors import ParamError
from ..ops.casts import cast_array
from ..ops.grammar import Null
from ..ops.randomness import generator
from ..ops.refusal import refusal
from .base import Array, array_dtype
from .ndarray import NDArray

__all__ = ["exponential", "gamma", "normal", "poisson", "randint", "randn", "shuffle", "uniform"]

Draw = Callable[..., Any]
"""draw(*parameters, size) -> numbers."""


def uniform(
    low: Any = 0,
    high: Any = 1,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Numbers evenly distributed over low ... high.

    >>> uniform(-1, 1, shape=(2, 3)).shape
    (2, 3)

    Raises: ParamError, if low is above high.
    """

    def draw(low: Array, high: Array, size: Any) -> Any:
        _check("uniform", "low", low, bool(np.all(low <= high)), f"at most high={high}")
        return generator().uniform(low, high, size)

    return _fill(draw, (low, high), shape, dtype, ctx, out)


def normal(
    loc: Any = 0,
    scale: Any = 1,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Numbers with the normal distribution of mean `loc` and standard deviation `scale`.

    Raises: ParamError, if scale is negative.
    """

    def draw(loc: Array, scale: Array, size: Any) -> Any:
        _check("normal", "scale", scale, bool(np.all(scale >= 0)), "0 or more")
        return generator().normal(loc, scale, size)

    return _fill(draw, (loc, scale), shape, dtype, ctx, out)


def randn(*shape: int, loc: Any = 0, scale: Any = 1, dtype: Any = Null, ctx: Context | None = None) -> NDArray:
    """As `normal`, with the sizes as arguments: randn(2, 3)."""
    return normal(loc, scale, shape or Null, dtype, ctx)


def randint(
    low: Any,
    high: Any,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Whole numbers from low to high - 1, int32 by default.

    Raises: ParamError, if low is not below high, or one of them is not whole.
    """

    def draw(low: Array, high: Array, size: Any) -> Any:
        for name, bound in (("low", low), ("high", high)):
            _check("randint", name, bound, bool(np.all(bound == np.trunc(bound))), "whole numbers")
        _check("randint", "low", low, bool(np.all(low < high)), f"below high={high}")
        return generator().integers(low.astype(np.int64), high.astype(np.int64), size)

    return _fill(draw, (low, high), shape, "int32" if dtype in (Null, None) else dtype, ctx, out)


def exponential(
    scale: Any = 1,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Numbers with the exponential distribution of mean `scale`.

    Raises: ParamError, if scale is negative.
    """

    def draw(scale: Array, size: Any) -> Any:
        _check("exponential", "scale", scale, bool(np.all(scale >= 0)), "0 or more")
        return generator().exponential(scale, size)

    return _fill(draw, (scale,), shape, dtype, ctx, out)


def gamma(
    alpha: Any = 1,
    beta: Any = 1,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Numbers with the gamma distribution of shape `alpha` and scale `beta`.

    Raises: ParamError, if one of them is negative.
    """

    def draw(alpha: Array, beta: Array, size: Any) -> Any:
        for name, one in (("alpha", alpha), ("beta", beta)):
            _check("gamma", name, one, bool(np.all(one >= 0)), "0 or more")
        return generator().gamma(alpha, beta, size)

    return _fill(draw, (alpha, beta), shape, dtype, ctx, out)


def poisson(
    lam: Any = 1,
    shape: Any = Null,
    dtype: Any = Null,
    ctx: Context | None = None,
    out: NDArray | None = None,
    **kwargs: Any,
) -> NDArray:
    """Whole numbers with the Poisson distribution of mean `lam`, float32 by default.

    Raises: ParamError, if lam is negative.
    """

    def draw(lam: Array, size: Any) -> Any:
        _check("poisson", "lam", lam, bool(np.all(lam >= 0)), "0 or more")
        return generator().poisson(lam, size)

    return _fill(draw, (lam,), shape, dtype, ctx, out)


def shuffle(data: NDArray, **kwargs: Any) -> NDArray:
    """The array with its parts along the first axis in random order."""
    return data[generator().permutation(len(data))]


def _fill(draw: Draw, parameters: tuple[Any, ...], shape: Any, dtype: Any, ctx: Any, out: NDArray | None) -> NDArray:
    """An array of numbers drawn, or `out` filled with them."""
    given = [isinstance(one, NDArray) for one in parameters]
    for one, is_array in zip(parameters, given, strict=True):
        if not is_array and not isinstance(one, (int, float, np.number)):
            raise ValueError(f"Distribution parameters must be either NDArray or numbers, but got {type(one)}.")
    types = [type(one) for one, is_array in zip(parameters, given, strict=True) if is_array == given[0]]
    assert len(types) == len(given), (
        f"Distribution parameters must all have the same type, but got both {type(parameters[0])} and others."
    )
    if shape in (Null, None):
        sizes: tuple[int, ...] = () if given[0] else (1,) if out is None else out.shape
    else:
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (int(shape),)
    arrays = [np.asarray(one.asnumpy() if isinstance(one, NDArray) else one, np.float64) for one in parameters]
    whole = (*arrays[0].shape, *sizes)
    values = draw(*(one.reshape(*one.shape, *[1] * len(sizes)) for one in arrays), whole)
    if out is not None:
        if out.shape != whole:
            fix = "Leave shape out."
            raise refusal(ParamError, "shape", whole, out.shape, "that of out", fix=fix, op="random")
        out[...] = values
        return out
    like = next((one for one in parameters if isinstance(one, NDArray)), None)
    if dtype in (Null, None):
        dtype = None if like is None else like.dtype
    return NDArray._adopt(cast_array(np.asarray(values), array_dtype(dtype)), ctx if like is None else like.context)


def _check(op: str, name: str, value: Array, is_right: bool, expected: str) -> None:
    if not is_right:
        raise refusal(ParamError, name, value.squeeze(), expected, fix=f"Pass another {name}.", op=op)
