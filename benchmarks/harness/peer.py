"""What a plug-in sees. This file and server.py run in the peer's interpreter: they need NumPy and nothing of mxconv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Ints = "tuple[int, ...]"


class Refusal(Exception):
    """A library cannot do a problem; the text says why."""


@dataclass(frozen=True)
class Problem:
    """The fields of mxconv's ConvProblem that say what is computed; all arrays are contiguous, channels first."""

    text: str
    direction: str
    dtype: str
    batch: int
    groups: int
    in_channels: int
    out_channels: int
    in_spatial: Ints
    out_spatial: Ints
    kernel: Ints
    stride: Ints
    dilation: Ints
    pad_lo: Ints
    pad_hi: Ints
    inputs: tuple[str, ...]
    has_bias: bool
    step: str = ""
    """In training, which step of a layer it is: "output", or the gradient of its "data" or its "weight". Then w changes
    from call to call: it may be kept in another memory format, nothing else made of it may be."""
    new_weights: bool = False
    """Whether w is handed over in each call, as a plain array like the data, and is not among the constants."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Problem:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def varying(self) -> tuple[str, ...]:
        """The arrays that are handed over in each call."""
        return self.inputs if self.direction == "backward_weight" or self.new_weights else self.inputs[:1]

    @property
    def is_depthwise(self) -> bool:
        return self.groups == self.in_channels == self.out_channels

    @property
    def w_shape(self) -> Ints:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    @property
    def trim(self) -> Ints:
        """backward_data: how many samples the scatter's full extent has to lose at the end of each axis, after pad_lo
        at its beginning. Negative: how many it lacks (there the result holds nothing but the bias)."""
        return tuple(
            s * (o - 1) + d * (k - 1) + 1 - lo - i
            for i, o, k, s, d, lo in zip(
                self.in_spatial, self.out_spatial, self.kernel, self.stride, self.dilation, self.pad_lo, strict=True
            )
        )


@dataclass(frozen=True)
class Prepared:
    """A problem ready to run: `call` takes the plain arrays that vary and returns a plain array."""

    call: Callable[..., np.ndarray]
    info: dict[str, Any] = field(default_factory=dict)
    """What is known of how it computes: algorithm, workspace_bytes, ...; "transforms" is true where the library may use
    Winograd's or Fourier's transform instead of the products themselves."""


def need_dtype(problem: Problem, *names: str) -> None:
    """Refuse a dtype that is not among the names."""
    if problem.dtype not in names:
        raise Refusal(f"{problem.dtype}: computes {' and '.join(names)} only")


def need_direction(problem: Problem, *names: str) -> None:
    """Refuse a direction that is not among the names."""
    if problem.direction not in names:
        raise Refusal(f"{problem.direction}: computes {' and '.join(names)} only")


def need_rank(problem: Problem, ranks: range) -> None:
    """Refuse a number of spatial axes."""
    if problem.rank not in ranks:
        raise Refusal(f"{problem.rank} spatial axes: takes {ranks.start} to {ranks.stop - 1}")


def need_constant_weights(problem: Problem) -> None:
    """Refuse weights that change, where preparing them takes a library long."""
    if problem.step or (problem.new_weights and problem.direction != "backward_weight"):
        raise Refusal("weights that change: it prepares them once")
