"""The pictures of `mxconv demo`: what each step's result looks like, side by side with what it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plots.sheets import Panel, save_sheet
from .files import replacing
from .measure import Measurement
from .steps import BLOCK, KEPT

Array = NDArray[Any]


def draw(results: Sequence[Measurement], few: Array, folder: Path, heading: str, credit: str) -> list[Path]:
    """Write the overview and one sheet for each of the eight results; returns their paths.

    `few` is the photograph rebuilt from the lowest frequencies.
    """
    blur, edges, quarter, lines, twice, four, analysis, synthesis = results
    photograph = blur.data
    original = Panel(_pixels(photograph), "The photograph", credit)
    blurred = _panel(blur, _pixels(blur.output), "the border fades, as outside is 0")
    outlined = _panel(edges, _edges(edges.output))
    small = _panel(quarter, _pixels(quarter.output))
    sketched = _panel(lines, _sketch(lines.output))
    small_detail, twice_detail, four_detail = (
        _panel(r, _detail(_pixels(r.output)), "a detail") for r in (quarter, twice, four)
    )
    bands = _panel(analysis, _bands(analysis.output), "one tile for each frequency")
    rebuilt = _panel(synthesis, _pixels(synthesis.output), _quality(synthesis.output, photograph))
    roughly = _roughly(few, photograph)

    width = min(6.0, max(3.2, photograph.shape[3] / 100))
    overview = [original, blurred, outlined, sketched, bands, small_detail, twice_detail, four_detail, rebuilt, roughly]
    sheets: dict[str, Sequence[Panel]] = {
        "1-gaussian": [original, blurred],
        "2-sobel": [original, outlined],
        "3-strided": [original, small],
        "4-dilated": [original, sketched],
        "5-bilinear-x2": [small_detail, twice_detail],
        "6-bilinear-x4": [small_detail, four_detail],
        "7-cosine-transform": [original, bands],
        "8-and-back": [original, rebuilt, roughly],
    }
    paths = [folder / "overview.png", *(folder / f"{name}.png" for name in sheets)]
    with replacing(paths[0]) as file:
        save_sheet(file, overview, columns=5, panel_width=3.2, heading=heading)
    for number, (path, panels) in enumerate(zip(paths[1:], sheets.values(), strict=True)):
        title = f"{number + 1}. {results[number].step.title}"
        with replacing(path) as file:
            save_sheet(file, panels, columns=len(panels), panel_width=width, heading=title)
    return paths


def _panel(r: Measurement, pixels: Array, *notes: str) -> Panel:
    return Panel(pixels, r.step.title, "\n".join((f"{r.step.op} {r.step.filter}", r.step.parameters, *notes)))


def _roughly(few: Array, photograph: Array) -> Panel:
    count = sum(u + v < KEPT for u in range(BLOCK) for v in range(BLOCK))
    return Panel(_pixels(few), f"And back: {count} of {BLOCK * BLOCK} cosines", _quality(few, photograph))


def _quality(result: Array, photograph: Array) -> str:
    """How near a rebuilt photograph is: the largest difference and the peak signal-to-noise ratio."""
    difference = result.astype(np.float64) - photograph
    noise = float(np.mean(difference**2))
    ratio = f", {-10 * math.log10(noise):.1f} dB" if noise > 0 else ""
    return f"largest difference {np.max(np.abs(difference)):.2g}{ratio}"


# ---- from a result (1, channels, height, width) to pixels (height, width, 3) in 0..1


def _pixels(array: Array) -> Array:
    pixels: Array = np.clip(array[0].transpose(1, 2, 0), 0, 1)
    return pixels


def _detail(pixels: Array) -> Array:
    """A part a little above the middle, where a portrait has its face, and less than half as wide and high."""
    height, width = pixels.shape[:2]
    top, left = height // 5, 3 * width // 10
    return pixels[top : top + max(1, 9 * height // 20), left : left + max(1, 9 * width // 20)]


def _edges(array: Array) -> Array:
    """The length of each channel's slope (x and y); the power shows weak edges too."""
    length = np.sqrt(np.square(array[0].reshape(-1, 2, *array.shape[2:])).sum(axis=1))
    edges: Array = _scaled(length.transpose(1, 2, 0)) ** 0.75
    return edges


def _sketch(array: Array) -> Array:
    """Dark lines on paper where the Laplacian is positive: on the dark side of edges."""
    paper: Array = np.repeat(1 - _scaled(np.maximum(array[0].mean(axis=0), 0))[..., None], 3, axis=2)
    return paper


def _bands(coefficients: Array) -> Array:
    """The coefficients sorted by frequency: tile (u, v) holds that coefficient of every block; brighter is larger."""
    blocks = coefficients[0].reshape(-1, BLOCK, BLOCK, *coefficients.shape[2:])
    channels, _, _, height, width = blocks.shape
    mosaic = np.abs(blocks).transpose(1, 3, 2, 4, 0).reshape(BLOCK * height, BLOCK * width, channels)
    tiles: Array = np.clip(np.log1p(400 * mosaic) / math.log1p(400 * BLOCK), 0, 1)
    return tiles


def _scaled(values: Array) -> Array:
    """Values from 0 up, divided so that all but the strongest per cent fit into 0..1."""
    scaled: Array = np.clip(values / max(float(np.quantile(values, 0.99)), 1e-6), 0, 1)
    return scaled
