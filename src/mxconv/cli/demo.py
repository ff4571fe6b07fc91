"""`mxconv demo`: a network of eight steps on a photograph, saved and loaded back; a table of what each step costs and
how exact it is, and the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import model
from .. import ndarray as nd
from ..context import cpu
from ..engine.peak import measure_peak
from ..errors import FormatError, ParamError
from ..ops.refusal import refusal
from ..plots.sheets import import_figure
from ..symbol.executor import Executor
from . import images
from .check import WINDOW
from .console import console, progress, table
from .drawing import draw
from .files import is_picture, read_array
from .measure import Measurement, measure
from .steps import BLOCK, Network, make_network

Array = NDArray[Any]

PREFIX, EPOCH = "network", 0
"""The network's files in the output folder: network-symbol.json and network-0000.params."""

SAMPLE, CREDIT = "grace_hopper.jpg", "Grace Hopper, photograph of the U.S. Navy, as matplotlib ships it"


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

    network = make_network(photograph.shape[1], (height, width))
    with progress() as bar:
        task = bar.add_task("measuring the peak", total=len(network.steps) + 4)
        peak = measure_peak("float32")
        bar.update(task, advance=1, description="saving and loading the network")
        executor = save_and_load(network, folder / PREFIX, photograph)
        results = measure(executor, network.steps, lambda title: bar.update(task, advance=1, description=title))
        bar.update(task, advance=1, description="drawing")
        roughly = executor.output_dict["roughly_output"].asnumpy()
        paths = draw(results, roughly, folder, f"mxconv demo: {name}, {width} x {height}", "" if image else CREDIT)
    print_results(results, peak, screen.print)
    rebuilt = float(np.max(np.abs(results[-1].output - photograph)))
    screen.print(
        f"Cosine transform by Convolution and back by Deconvolution, with the same weight: differs from the "
        f"photograph by at most {rebuilt:.1e}."
    )
    screen.print(f"\nPictures in {folder.resolve()}:", soft_wrap=True)
    for path in paths:
        screen.print(f"  {path.name}")
    size = f"--resize {height},{width} --scale 1/255"
    screen.print(
        "\nThe network was saved there, loaded back and run. To run it on a picture of yours:\n"
        f"  mxconv run {folder / PREFIX} {EPOCH} --data FILE {size} --output roughly --out roughly.png",
        soft_wrap=True,
    )


def save_and_load(network: Network, prefix: Path, photograph: Array) -> Executor:
    """Write the network as a checkpoint, read it back, and bind what was read to the photograph."""
    parameters = {name: nd.array(array) for name, array in network.parameters.items()}
    model.save_checkpoint(prefix, EPOCH, network.symbol, parameters, {})
    symbol, parameters, _ = model.load_checkpoint(prefix, EPOCH)
    executor: Executor = symbol.bind(cpu(), {"data": nd.array(photograph), **parameters}, grad_req="null")
    return executor


def read_photograph(image: str | None) -> NDArray[np.float32]:
    """A photograph as float32 (1, 3, height, width), cropped to whole blocks; the one matplotlib ships unless given."""
    if image is None:
        from matplotlib.cbook import get_sample_data

        image = str(get_sample_data(SAMPLE, asfileobj=False))
    elif not is_picture(image):
        fix = "Use mxconv apply for arrays."
        raise refusal(FormatError, f"--image {image}", "an array", "a picture (.png, .jpg, ...)", fix=fix)
    pixels = read_array("--image", image, alpha=False)
    height, width = (n // BLOCK * BLOCK for n in pixels.shape[2:])
    if not height or not width:
        got, expected = f"{pixels.shape[3]} x {pixels.shape[2]} pixels", f"at least {BLOCK} x {BLOCK}"
        raise refusal(ParamError, f"--image {image}", got, expected, fix="Take a larger picture.", verb="has")
    return np.ascontiguousarray(np.broadcast_to(pixels, (1, 3, *pixels.shape[2:]))[:, :, :height, :width])


def make_folder(out: str) -> Path:
    """The output folder, made if it is not there.

    Raises: FormatError, if it cannot be.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got, fix = f"({error.strerror})", "Choose another one."
        raise refusal(FormatError, f"--out {out}", got, "a folder", fix=fix, verb="cannot be made") from error
    return folder


def print_results(results: list[Measurement], peak: float, write: Callable[..., None]) -> None:
    """The table, and what its columns mean."""
    right = ("time\nfirst", "GFLOP/s\nof peak", "largest\nerror")
    rows = table("operator\nweight\nalgorithm", "parameters", "data\nweight\nresult", *right)
    rows.leading = 1
    for column in rows.columns[-len(right) :]:
        column.justify, column.no_wrap = "right", True
    for r in results:
        rows.add_row(
            f"{r.step.op}\n{r.step.filter}\n{r.algorithm}",
            r.step.parameters.replace(" ", "\n"),
            f"{_dims(r.data)}\n{_dims(r.weight)}\n{_dims(r.output)}",
            f"{_milliseconds(r.time)}\n{_milliseconds(r.first)}\n{r.threads} thread{'s' if r.threads > 1 else ''}",
            f"{r.flop_rate / 1e9:.1f}\n{r.share_of_peak:.1%}",
            f"{r.error:.1e}",
        )
    write("", rows, sep="\n")
    write(
        "\n"
        "time, first     median over later runs of the whole network; the first run, with compiling\n"
        f"of peak         of {peak / 1e9:.0f} GFLOP/s a thread, measured with multiply-adds alone\n"
        f"largest error   against float64, in three windows of {WINDOW} x {WINDOW} pixels\n"
    )


def _dims(array: Array) -> str:
    return "x".join(map(str, array.shape))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
