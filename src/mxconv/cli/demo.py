"""`mxconv demo`: eight steps on a photograph, a table of what they cost and how exact they are, and the pictures."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..engine.peak import measure_peak
from ..errors import FormatError, ParamError
from ..ops.registry import OPERATORS
from ..plots.sheets import Panel, import_figure, save_sheet
from . import images
from .check import WINDOW
from .console import console, table
from .files import read_array, replacing
from .measure import Measurement, measure
from .steps import BLOCK, lowest_frequencies, make_steps

Array = NDArray[Any]

SAMPLE, CREDIT = "grace_hopper.jpg", "Grace Hopper, photograph of the U.S. Navy, as matplotlib ships it"
KEPT = 3
"""The last picture is rebuilt from the cosines with u + v < KEPT: 6 of 64."""


def run_demo(image: str | None, out: str) -> None:
    """Run the steps on a photograph (the sample unless given), print the table, write the pictures into `out`.

    Raises: FormatError, for a bad image or folder; ParamError, for an image that is too small; UnsupportedError, if
            matplotlib or Pillow is missing.
    """
    import_figure()
    images.import_pillow()
    photograph = read_photograph(image)
    folder = make_folder(out)
    name = Path(image).name if image else SAMPLE
    screen = console()
    height, width = photograph.shape[2:]
    screen.print(f"{name}: {width} x {height} pixels, 3 channels, float32" + ("" if image else f" ({CREDIT})"))

    results: list[Measurement] = []
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("measuring the peak", total=10)
        peak = measure_peak("float32")
        steps = make_steps(photograph)
        step = next(steps)
        while True:
            bar.update(task, advance=1, description=step.title)
            results.append(measure(step))
            try:
                step = steps.send(results[-1].output)
            except StopIteration:
                break
        bar.update(task, advance=1, description="drawing")
        paths = draw(results, folder, f"mxconv demo: {name}, {width} x {height}", "" if image else CREDIT)
    print_results(results, peak, screen.print)
    rebuilt = float(np.max(np.abs(results[-1].output - photograph)))
    screen.print(
        f"Cosine transform by Convolution and back by Deconvolution, with the same weight: differs from the "
        f"photograph by at most {rebuilt:.1e}."
    )
    screen.print(f"\nPictures in {folder.resolve()}:", soft_wrap=True)
    for path in paths:
        screen.print(f"  {path.name}")


def read_photograph(image: str | None) -> NDArray[np.float32]:
    """A photograph as float32 (1, 3, height, width), cropped to whole blocks; the one matplotlib ships unless given."""
    if image is None:
        from matplotlib.cbook import get_sample_data

        image = str(get_sample_data(SAMPLE, asfileobj=False))
    elif Path(image).suffix.lower() in (".npy", ".npz"):
        raise FormatError(
            f"--image {image} is an array, expected a picture (.png, .jpg, ...)",
            argument="--image",
            got=image,
            expected="a picture",
            fix="Use mxconv apply for arrays.",
        )
    pixels = read_array("--image", image, alpha=False)
    height, width = (n // BLOCK * BLOCK for n in pixels.shape[2:])
    if not height or not width:
        raise ParamError(
            f"--image {image} has {pixels.shape[3]} x {pixels.shape[2]} pixels, expected at least {BLOCK} x {BLOCK}",
            argument="--image",
            got=pixels.shape[2:],
            expected=f"at least {BLOCK} x {BLOCK}",
            fix="Take a larger picture.",
        )
    return np.ascontiguousarray(np.broadcast_to(pixels, (1, 3, *pixels.shape[2:]))[:, :, :height, :width])


def make_folder(out: str) -> Path:
    """The output folder, made if it is not there.

    Raises: FormatError, if it cannot be.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(
            f"--out {out} cannot be made ({error.strerror}), expected a folder",
            argument="--out",
            got=out,
            expected="a folder",
            fix="Choose another one.",
        ) from error
    return folder


def print_results(results: list[Measurement], peak: float, write: Callable[..., None]) -> None:
    """The table, and what its columns mean."""
    rows = table("operator", "parameters", "shapes", "algorithm", "time\nfirst", "GFLOP/s\nof peak", "largest\nerror")
    for name in ("time\nfirst", "GFLOP/s\nof peak", "largest\nerror"):
        column = next(c for c in rows.columns if c.header == name)
        column.justify, column.no_wrap = "right", True
    for r in results:
        rows.add_row(
            f"{r.step.op}\n{r.step.filter}",
            r.step.parameters.replace(" ", "\n"),
            f"{_dims(r.step.data)}\n{_dims(r.step.weight)}\n{_dims(r.output)}",
            f"{r.algorithm}\n{r.threads} thread{'s' if r.threads > 1 else ''}",
            f"{_milliseconds(r.time)}\n{_milliseconds(r.first)}",
            f"{r.flop_rate / 1e9:.1f}\n{r.share_of_peak:.1%}",
            f"{r.error:.1e}",
        )
    write(rows)
    write(
        "shapes          data, weight, result\n"
        "time, first     median after the first call; the first call, which compiles kernels or loads them\n"
        f"of peak         of {peak / 1e9:.0f} GFLOP/s for each thread, measured with multiply-adds alone\n"
        f"largest error   against float64, in the first, middle and last {WINDOW} x {WINDOW} pixels of the result\n"
    )


def _dims(array: Array) -> str:
    return "x".join(map(str, array.shape))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def draw(results: list[Measurement], folder: Path, heading: str, credit: str) -> list[Path]:
    """Write the overview and one sheet a step; returns their paths."""
    blur, edges, quarter, lines, twice, four, analysis, synthesis = results
    photograph = blur.step.data
    param = OPERATORS["Deconvolution"].parse(synthesis.step.attributes)
    kept = lowest_frequencies(analysis.output, KEPT)
    few = OPERATORS["Deconvolution"].forward(param, [kept, synthesis.step.weight])
    count = sum(u + v < KEPT for u in range(BLOCK) for v in range(BLOCK))

    def panel(r: Measurement, pixels: Array, *notes: str) -> Panel:
        return Panel(pixels, r.step.title, "\n".join((f"{r.step.op} {r.step.filter}", r.step.parameters, *notes)))

    original = Panel(_pixels(photograph), "The photograph", credit)
    small = Panel(_detail(_pixels(quarter.output)), "Quarter size, a detail", "as above")
    pairs = {
        "1-gaussian": [original, panel(blur, _pixels(blur.output), "the border fades, as outside is 0")],
        "2-sobel": [original, panel(edges, _edges(edges.output))],
        "3-strided": [original, panel(quarter, _pixels(quarter.output))],
        "4-dilated": [original, panel(lines, _sketch(lines.output))],
        "5-bilinear-x2": [small, panel(twice, _detail(_pixels(twice.output)), "a detail")],
        "6-bilinear-x4": [small, panel(four, _detail(_pixels(four.output)), "a detail")],
        "7-cosine-transform": [original, panel(analysis, _bands(analysis.output), "one tile for each frequency")],
        "8-and-back": [
            original,
            panel(synthesis, _pixels(synthesis.output), _quality(synthesis.output, photograph)),
            Panel(_pixels(few), f"And back: {count} of {BLOCK * BLOCK} cosines", _quality(few, photograph)),
        ],
    }
    portrait = photograph.shape[2] >= photograph.shape[3]
    overview = [original, *(p for sheet in pairs.values() for p in sheet[1:])]
    sheets = {"overview": (overview, 5 if portrait else 4, 3.2, heading)}
    width = min(6.0, max(3.2, photograph.shape[3] / 100))
    for r, (name, panels) in zip(results, pairs.items(), strict=True):
        sheets[name] = panels, 3, width, f"{name[0]}. {r.step.title}"
    paths = []
    for name, (panels, columns, panel_width, title) in sheets.items():
        paths.append(folder / f"{name}.png")
        with replacing(paths[-1]) as file:
            save_sheet(file, panels, columns=columns, panel_width=panel_width, heading=title)
    return paths


def _quality(result: Array, photograph: Array) -> str:
    """How near a rebuilt photograph is, as largest difference and peak signal-to-noise ratio."""
    difference = result.astype(np.float64) - photograph
    noise = float(np.mean(difference**2))
    ratio = f", {-10 * math.log10(noise):.1f} dB" if noise > 0 else ""
    return f"largest difference {np.max(np.abs(difference)):.2g}{ratio}"


def _pixels(array: Array) -> Array:
    pixels: Array = np.clip(array[0].transpose(1, 2, 0), 0, 1)
    return pixels


def _detail(pixels: Array) -> Array:
    """A part a little above the middle, where a portrait has its face, and less than half as wide and high."""
    height, width = pixels.shape[:2]
    top, left = height // 5, 3 * width // 10
    return pixels[top : top + max(1, 9 * height // 20), left : left + max(1, 9 * width // 20)]


def _edges(array: Array) -> Array:
    """The length of each channel's slope (x and y), scaled so that all but the strongest per cent fits."""
    length = np.sqrt(np.square(array[0].reshape(-1, 2, *array.shape[2:])).sum(axis=1))
    return np.sqrt(_scaled(length.transpose(1, 2, 0)))


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
    scaled: Array = np.clip(values / max(float(np.quantile(values, 0.99)), 1e-6), 0, 1)
    return scaled
