"""What a network gave: into files, and one line on each output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..errors import FormatError
from ..ops.refusal import refusal
from .files import is_picture, replacing, write_array, write_npz
from .images import has_pillow, to_pixels
from .prepare import Preparation, looks_like_picture

Array = NDArray[Any]


class Report:
    """Writes outputs to files and tells about them."""

    def __init__(self, preparation: Preparation, span: tuple[float, float] | None, of_picture: bool) -> None:
        self._preparation, self._span, self._of_picture = preparation, span, of_picture

    def write(
        self, path: Path, names: Sequence[str], outputs: Sequence[Array], top: int | None, classes: Sequence[str]
    ) -> None:
        """An .npz takes all outputs, and a .png beside it each that looks like a picture; other files take the one.

        Raises: ShapeError or FormatError, if a picture was asked for and it cannot be one.
        """
        named = dict(zip(_unique(names), outputs, strict=True))
        is_archive = path.suffix.lower() == ".npz"
        if is_archive:
            with replacing(path) as file:
                write_npz(file, named)
        elif not is_picture(str(path)):
            write_array(path, outputs[0])
        for name, output in named.items():
            typer.echo(f"{name} {describe(output)}{self._picture(path, name, output)}")
            if top is not None and output.ndim == 2:
                print_top(output, top, classes)
        if not is_picture(str(path)):
            typer.echo(f"Written: {path}")

    def _picture(self, path: Path, name: str, output: Array) -> str:
        """Write the picture of an output, if there is to be one; returns what to say of it."""
        logical = np.moveaxis(output, -1, 1) if self._preparation.channels_last and output.ndim == 4 else output
        if path.suffix.lower() == ".npz" and looks_like_picture(logical):
            if not has_pillow():
                return " (a picture of it needs Pillow)"
            file_name = re.sub(r"[^-.+ ()\w]", "_", name)
            path = path.with_name(f"{path.stem}-{file_name}.png")
        elif not is_picture(str(path)):
            return ""
        elif not looks_like_picture(logical):
            to_pixels(logical)  # says what it lacks
        picture, says = self._preparation.undo(logical, of_picture=self._of_picture, span=self._span)
        clipped = write_array(path, picture)
        return f": {path} ({says}{f', {clipped:.1%} of the values clipped' if clipped else ''})"


def print_top(output: Array, count: int, classes: Sequence[str]) -> None:
    """The largest values of each row, with the numbers (and names) of their columns."""
    for sample, row in enumerate(output.astype(np.float64)):
        if len(output) > 1:
            typer.echo(f"  sample {sample}")
        for column in np.argsort(-row, kind="stable")[:count]:
            name = f"  {classes[column]}" if column < len(classes) else ""
            typer.echo(f"  class {column:<5}{row[column]:11.5g}{name}")


def read_names(path: str | None) -> list[str]:
    """The lines of a text file. Raises: FormatError, if it is none."""
    try:
        return [] if path is None else Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        got = f"({getattr(error, 'strerror', None) or 'it is not UTF-8'})"
        fix = "Give a file with the name of one class a line."
        raise refusal(FormatError, f"--names {path}", got, "a text", fix=fix, verb="cannot be read") from error


def describe(array: Any) -> str:
    """Shape and type."""
    return f"{tuple(array.shape)} {np.dtype(array.dtype).name}"


def _unique(names: Sequence[str]) -> list[str]:
    """Names of which none repeats: a second `y` becomes `y (2)`."""
    return [f"{name} ({count + 1})" if (count := names[:i].count(name)) else name for i, name in enumerate(names)]
