"""The built-in filters that `mxconv apply --weight NAME` and `mxconv demo` use, made for a number of channels.

Every filter works on each channel by itself (depthwise: num_group = channels) and in any number of spatial axes.

| name         | what it is                                                          | kernel                 |
|--------------|---------------------------------------------------------------------|------------------------|
| gaussian:S   | exp(-t*t / (2*S*S)) along each axis, sum 1                           | 2*ceil(3*S) + 1        |
| box:N        | the mean of N samples along each axis                               | N                      |
| sobel        | slope along x, then along y (then z): two (three) outputs a channel | 3                      |
| laplacian    | the sum of the second differences (1, -2, 1) of all axes            | 3                      |
| bilinear:F   | upsampling by the whole factor F, by Deconvolution                  | 2*F - F mod 2          |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DType, lookup
from ..errors import DTypeError, ParamError
from ..geometry import conv_weight_shape, deconv_weight_shape, dilated_kernel
from ..ops.refusal import refusal

Taps = NDArray[np.float64]
LARGEST_KERNEL = 4096


@dataclass(frozen=True, slots=True)
class Filter:
    """One built-in filter: `taps` (responses, *kernel) in float64, applied to each channel."""

    name: str
    taps: Taps
    factor: int = 1
    """By how much it enlarges; 1 for filters that keep the size."""
    picture: Literal["values", "magnitude"] = "values"
    """How its output becomes a picture: as it is, or as the length of each channel's vector of responses."""

    @property
    def is_derivative(self) -> bool:
        """Whether a constant picture gives zero."""
        return abs(float(self.taps.sum())) < 1e-9

    def weight(self, op: str, channels: int, dtype: Any) -> NDArray[Any]:
        """The weight for `channels` channels: (channels*responses, 1, *kernel), or (channels, responses, *kernel) for
        Deconvolution.

        Raises: DTypeError, if `dtype` cannot hold the filter's numbers.

        >>> make("sobel", 2).weight("Convolution", 3, "float32").shape
        (6, 1, 3, 3)
        """
        stored = lookup(dtype)
        if stored is None or (stored.kind == "int" and not _is_exact(self.taps, stored)):
            got, why = np.dtype(dtype).name, f"{self.name} has values that it cannot hold"
            fix = "Convert data first: data.astype('float32')."
            raise refusal(DTypeError, "data's dtype", got, "a floating-point dtype", why, fix=fix, op=op)
        shape = deconv_weight_shape if op == "Deconvolution" else conv_weight_shape
        full = shape(channels * len(self.taps), channels, channels, self.taps.shape[1:])
        return np.tile(self.taps, (channels, *[1] * (self.taps.ndim - 1))).reshape(full).astype(stored.numpy)

    def attributes(self, op: str, channels: int, spatial: Sequence[int], given: Mapping[str, str]) -> dict[str, str]:
        """`given` completed by what the filter implies: kernel, num_filter, num_group, no_bias and the padding that
        keeps the size (the stride and target_shape of an upsampling filter).

        Raises: ParamError, for an upsampling filter that is not given to Deconvolution.
        """
        kernel = self.taps.shape[1:]
        implied: dict[str, Any] = {
            "kernel": kernel,
            "num_filter": channels * len(self.taps),
            "num_group": channels,
            "no_bias": True,
        }
        if self.factor > 1 and op != "Deconvolution":
            expected, why = "gaussian:SIGMA, box:N, sobel or laplacian", "it enlarges"
            fix = "Use Deconvolution to enlarge."
            raise refusal(ParamError, "weight", self.name, expected, why, fix=fix, op=op)
        if self.factor > 1:
            implied["stride"] = (self.factor,) * len(kernel)
            if not {"pad", "adj", "target_shape"} & set(given):
                implied["target_shape"] = tuple(self.factor * n for n in spatial)
        elif not {"pad", "adj", "target_shape"} & set(given):
            implied["pad"] = _same_pad(kernel, _ints(given.get("dilate", ""), len(kernel)))
        return {**{name: str(value) for name, value in implied.items()}, **given}


def _ints(text: str, rank: int) -> list[int]:
    """The numbers of an already given parameter; ones where it says nothing usable (the operator then complains)."""
    try:
        values = [int(v) for v in text.strip(" ()[]").split(",") if v.strip()]
    except ValueError:
        values = []
    return values if len(values) == rank else [1] * rank


def _same_pad(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[Any, ...]:
    """The padding that keeps the size at stride 1; pairs (lo, hi) where it is odd."""
    total = [dilated_kernel(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple(t // 2 for t in total)


def _is_exact(taps: Taps, stored: DType) -> bool:
    info = np.iinfo(stored.numpy)
    return bool(np.all(taps == np.rint(taps)) and taps.min() >= info.min and taps.max() <= info.max)


def _outer(axes: Sequence[Taps]) -> Taps:
    return reduce(np.multiply.outer, axes)


def _gaussian(sigma: float, rank: int) -> Filter:
    t = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    line = np.exp(-(t * t) / (2 * sigma * sigma))
    return Filter(f"gaussian:{sigma:g}", _outer([line / line.sum()] * rank)[None])


def _box(size: int, rank: int) -> Filter:
    return Filter(f"box:{size}", np.full((1, *[size] * rank), 1 / size**rank))


def _sobel(rank: int) -> Filter:
    slope, smooth = np.array([-1.0, 0, 1]), np.array([1.0, 2, 1])
    axes = [_outer([slope if a == axis else smooth for a in range(rank)]) for axis in reversed(range(rank))]
    return Filter("sobel", np.stack(axes), picture="magnitude")


def _laplacian(rank: int) -> Filter:
    second, centre = np.array([1.0, -2, 1]), np.array([0.0, 1, 0])
    axes = [_outer([second if a == axis else centre for a in range(rank)]) for axis in range(rank)]
    return Filter("laplacian", np.sum(axes, axis=0)[None])


def _bilinear(factor: int, rank: int) -> Filter:
    kernel = 2 * factor - factor % 2
    centre = (kernel - 1) / 2
    line = 1 - np.abs(np.arange(kernel) - centre) / factor
    return Filter(f"bilinear:{factor}", _outer([line] * rank)[None], factor=factor)


PLAIN: dict[str, Callable[[int], Filter]] = {"sobel": _sobel, "laplacian": _laplacian}
"""Filters without a number, by name."""

FORMS = "gaussian:SIGMA, box:N, sobel, laplacian, bilinear:FACTOR"
"""How the filters are written."""


def is_filter(text: str) -> bool:
    """Whether a --weight text means a built-in filter rather than a file: it starts with a filter's name."""
    return text.partition(":")[0].strip().lower() in {"gaussian", "box", "bilinear", *PLAIN}


def make(text: str, rank: int) -> Filter:
    """The filter that `text` names, for `rank` spatial axes.

    Raises: ParamError, if there is no such filter, or its number is missing or out of range.

    >>> make("box:2", 2).taps.tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]
    >>> make("bilinear:2", 1).taps.tolist()
    [[0.25, 0.75, 0.75, 0.25]]
    """
    name, colon, number = (part.strip() for part in text.lower().partition(":"))
    if name in PLAIN and not colon:
        return PLAIN[name](rank)
    try:
        if name == "gaussian" and 0 < float(number) <= LARGEST_KERNEL / 6:
            return _gaussian(float(number), rank)
        if name == "box" and 1 <= int(number) <= LARGEST_KERNEL:
            return _box(int(number), rank)
        if name == "bilinear" and 2 <= int(number) <= LARGEST_KERNEL / 2:
            return _bilinear(int(number), rank)
    except ValueError:
        pass
    why = f"SIGMA is above 0 and at most {LARGEST_KERNEL // 6}, N a whole number from 1, FACTOR one from 2"
    fix = "For example --weight gaussian:2."
    raise refusal(ParamError, "weight", repr(text), f"a file or one of {FORMS}", why, fix=fix)
