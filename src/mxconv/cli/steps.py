"""What `mxconv demo` does to a photograph: a network of eight steps, each one call of one operator.

Every step takes the photograph or the result of an earlier step, and its result is an output of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import symbol as sym
from ..ops.params import DECONVOLUTION
from . import filters

Array = NDArray[Any]

BLOCK = 8
"""The block size of the cosine transform; the photograph is cropped to whole blocks."""

KEPT = 3
"""The last output is rebuilt from the cosines with u + v < KEPT: 6 of 64."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node: `op` with `attributes` on the output of the node `source` (or "data") and the parameter `weight`;
    `title` says what for, `filter` which weight."""

    name: str
    title: str
    op: str
    filter: str
    source: str
    weight: str
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


def lowest_frequencies(channels: int) -> NDArray[np.float32]:
    """What the coefficients of the cosine transform are multiplied by to keep those with u + v < KEPT alone."""
    u, v = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)
    return np.tile((u + v < KEPT).astype(np.float32), channels).reshape(1, -1, 1, 1)


@dataclass(frozen=True, slots=True)
class Network:
    """A network for photographs of one size: its steps, the graph, and the parameters by name.

    The outputs are those of the steps, and `roughly`: the photograph rebuilt from the lowest frequencies alone, as a
    strongly compressed JPEG is.
    """

    steps: tuple[Step, ...]
    symbol: sym.Symbol
    parameters: dict[str, Array]


def make_network(channels: int, extents: Sequence[int]) -> Network:
    """The network for photographs (1, channels, height, width), both whole blocks."""
    steps: list[Step] = []
    nodes: dict[str, sym.Symbol] = {"data": sym.Variable("data")}
    parameters: dict[str, Array] = {}
    quarter = [n // 4 for n in extents]

    def add(step: Step, weight: Array) -> None:
        parameters[step.weight] = weight
        variable = nodes.setdefault(step.weight, sym.Variable(step.weight))
        nodes[step.name] = getattr(sym, step.op)(nodes[step.source], variable, name=step.name, **step.attributes)
        steps.append(step)

    def add_filter(name: str, title: str, op: str, word: str, source: str = "data", **given: Any) -> None:
        chosen = filters.make(word, rank=2)
        spatial = extents if source == "data" else quarter
        attributes = chosen.attributes(op, channels, spatial, {key: str(value) for key, value in given.items()})
        add(Step(name, title, op, word, source, f"{name}_weight", attributes), chosen.weight(op, channels, "float32"))

    add_filter("blur", "Gaussian blur", "Convolution", "gaussian:3")
    add_filter("edges", "Edges, by Sobel", "Convolution", "sobel")
    add_filter("quarter", "Quarter size, by stride 4", "Convolution", "box:4", stride=(4, 4), pad=(0, 0))
    add_filter("sketch", "Pencil sketch, by a dilated Laplacian", "Convolution", "laplacian", dilate=(3, 3))
    add_filter("twice", "Twice as large", "Deconvolution", "bilinear:2", "quarter")
    add_filter("four", "Four times as large", "Deconvolution", "bilinear:4", "quarter")

    weight = cosine_weight(channels)
    blocks = {"kernel": (BLOCK, BLOCK), "stride": (BLOCK, BLOCK), "num_group": channels, "no_bias": True}
    forth = {name: str(value) for name, value in {**blocks, "num_filter": len(weight)}.items()}
    back = {**forth, "target_shape": str(tuple(extents)), "num_filter": str(channels)}
    name = "cosines_weight"
    add(Step("cosines", "Cosine transform of 8x8 blocks", "Convolution", "dct 8x8", "data", name, forth), weight)
    add(Step("back", "And back: all 64 cosines", "Deconvolution", "dct 8x8", "cosines", name, back), weight)

    parameters["lowest"] = lowest_frequencies(channels)
    kept = sym.broadcast_mul(nodes["cosines"], sym.Variable("lowest"), name="kept")
    roughly = sym.Deconvolution(kept, nodes[name], name="roughly", **back)
    return Network(tuple(steps), sym.Group([*(nodes[step.name] for step in steps), roughly]), parameters)
