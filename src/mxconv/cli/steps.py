"""What `mxconv demo` does to a photograph: eight steps, each one call of one operator.

Every step takes the photograph or the result of an earlier step, so that the list is made while it is worked off.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops.params import DECONVOLUTION
from . import filters

Array = NDArray[Any]

BLOCK = 8
"""The block size of the cosine transform; the photograph is cropped to whole blocks."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call: `op` on `data` and `weight` with `attributes`; `title` says what for, `filter` which weight."""

    title: str
    op: str
    filter: str
    data: Array
    weight: Array
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> str:
        """The parameters that say something, in MXNet's words and order."""
        texts = {name: value.replace(" ", "") for name, value in self.attributes.items()}
        shown = [name for name in DECONVOLUTION.fields if name in texts and name not in ("no_bias", "num_filter")]
        return " ".join(f"{name}={texts[name]}" for name in shown if texts[name] != "(0,0)")


def cosine_weight(channels: int) -> NDArray[np.float32]:
    """The orthonormal cosine transform of 8x8 blocks as a depthwise weight (channels*64, 1, 8, 8).

    Row u, column v of the transform is filter 8*u + v of its channel. With stride 8 the Convolution is the analysis,
    and the Deconvolution with the same weight, being its transpose, the exact synthesis.
    """
    u, x = np.meshgrid(np.arange(BLOCK), np.arange(BLOCK), indexing="ij")
    line = np.sqrt(2 / BLOCK) * np.cos(math.pi * (2 * x + 1) * u / (2 * BLOCK))
    line[0] /= math.sqrt(2)
    basis = np.einsum("uy,vx->uvyx", line, line).reshape(BLOCK * BLOCK, 1, BLOCK, BLOCK)
    return np.tile(basis, (channels, 1, 1, 1)).astype(np.float32)


def lowest_frequencies(coefficients: Array, keep: int) -> Array:
    """The coefficients of the cosine transform, all but the u + v < `keep` lowest ones set to zero."""
    u, v = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)
    mask = np.tile(u + v < keep, coefficients.shape[1] // (BLOCK * BLOCK))
    kept: Array = coefficients * mask[None, :, None, None].astype(coefficients.dtype)
    return kept


def make_steps(photograph: Array) -> Generator[Step, Array, None]:
    """The steps, one after the other; send each one's result to receive the next."""
    channels, (height, width) = photograph.shape[1], photograph.shape[2:]

    def filtered(title: str, op: str, name: str, data: Array, **given: Any) -> Step:
        chosen = filters.make(name, rank=2)
        attributes = chosen.attributes(op, channels, data.shape[2:], {k: str(v) for k, v in given.items()})
        return Step(title, op, name, data, chosen.weight(op, channels, data.dtype), attributes)

    yield filtered("Gaussian blur", "Convolution", "gaussian:3", photograph)
    yield filtered("Edges, by Sobel", "Convolution", "sobel", photograph)
    quarter = yield filtered("Quarter size, by stride 4", "Convolution", "box:4", photograph, stride=(4, 4), pad=(0, 0))
    yield filtered("Pencil sketch, by a dilated Laplacian", "Convolution", "laplacian", photograph, dilate=(3, 3))
    yield filtered("Twice as large", "Deconvolution", "bilinear:2", quarter)
    yield filtered("Four times as large", "Deconvolution", "bilinear:4", quarter)

    weight = cosine_weight(channels)
    blocks = {"kernel": (BLOCK, BLOCK), "stride": (BLOCK, BLOCK), "num_group": channels, "no_bias": True}
    common = {name: str(value) for name, value in blocks.items()}
    coefficients = yield Step(
        "Cosine transform of 8x8 blocks",
        "Convolution",
        "dct 8x8",
        photograph,
        weight,
        {**common, "num_filter": str(len(weight))},
    )
    yield Step(
        "And back: all 64 cosines", "Deconvolution", "dct 8x8", coefficients, weight,
        {**common, "target_shape": str((height, width)), "num_filter": str(channels)},
    )  # fmt: skip
