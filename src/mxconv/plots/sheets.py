"""Sheets of labelled pictures, drawn by matplotlib (imported inside the functions only) without a window system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from ..ops.refusal import refusal

DPI = 100
GAP, TOP, BOTTOM = 0.18, 0.52, 0.08
TITLE, LINE, CHARACTER = 0.28, 0.165, 0.07
"""Inches: between pictures, above the first row, below the last; the height of a title and of a caption's line, and
the width of its characters."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sheet: `pixels` (height, width, 3) with values 0..1, a title above and a caption below."""

    pixels: NDArray[Any]
    title: str
    caption: str = ""


def import_figure() -> Any:
    """matplotlib's Figure class.

    Raises: UnsupportedError, with the command that installs matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        fix = "Run: python -m pip install 'mxconv[plot]'"
        why = "pictures are drawn by it"
        raise refusal(
            UnsupportedError, "matplotlib", "not installed", "the extra mxconv[plot]", why, fix=fix
        ) from error
    return Figure


def save_sheet(
    target: str | Path | IO[bytes], panels: Sequence[Panel], *, columns: int, panel_width: float, heading: str
) -> None:
    """Write the panels, row by row, as one PNG; every picture is `panel_width` inches wide.

    Small pictures are enlarged with hard pixel edges, so that one sees what they are.
    """
    figure_class = import_figure()
    columns = min(columns, len(panels))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    captions = [[_wrapped(p.caption, panel_width) for p in row] for row in rows]
    pictures = [panel_width * max(min(2.0, p.pixels.shape[0] / p.pixels.shape[1]) for p in row) for row in rows]
    texts = [LINE * max(len(lines) for lines in row) + 0.15 for row in captions]
    width = GAP + columns * (panel_width + GAP)
    height = TOP + sum(pictures) + sum(texts) + TITLE * len(rows) + BOTTOM
    figure = figure_class(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.text(GAP / width, 1 - 0.18 / height, heading, fontsize=13, weight="bold", color="#222222", va="top")
    top = height - TOP
    for row, lines, picture, text in zip(rows, captions, pictures, texts, strict=True):
        for place, (panel, caption) in enumerate(zip(row, lines, strict=True)):
            left = GAP + place * (panel_width + GAP)
            figure.text(
                left / width, (top - 0.04) / height, panel.title,
                fontsize=10, weight="bold", color="#222222", va="top",
            )  # fmt: skip
            box = left / width, (top - TITLE - picture) / height, panel_width / width, picture / height
            axes = figure.add_axes(box, anchor="N")
            is_small = panel.pixels.shape[1] * 2 <= panel_width * DPI
            axes.imshow(np.clip(panel.pixels, 0, 1), interpolation="nearest" if is_small else "antialiased")
            axes.set_axis_off()
            figure.text(
                left / width, (top - TITLE - picture - 0.06) / height, "\n".join(caption),
                fontsize=8, family="monospace", color="#555555", va="top", linespacing=1.3,
            )  # fmt: skip
        top -= TITLE + picture + text
    figure.savefig(target, dpi=DPI, format="png")


def _wrapped(caption: str, width: float) -> list[str]:
    """The lines of a caption that fit below a picture of so many inches."""
    characters = max(16, int(width / CHARACTER))
    return [line for part in caption.split("\n") for line in wrap(part, characters)]
