"""Where the batch, the channels and the spatial axes of an array are.

Channels first (`NCW`, `NCHW`, `NCDHW`) or channels last (`NWC`, `NHWC`, `NDHWC`); the weight follows the
data:

    channels first  data (batch, C, *spatial)  weight (F, C // g, *kernel)  deconvolution (C, F // g, *kernel)
    channels last   data (batch, *spatial, C)  weight (F, *kernel, C // g)  deconvolution (C, *kernel, F // g)

Both weights put their second axis last, exactly as data does, so one transpose serves data, weight and
output. `kernel`, `stride` and the like are in spatial order (depth, height, width) in every layout. For four
and more spatial axes (an extension) a name is `NC` and a distinct capital letter for each axis, or `N`, those
letters and `C`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy.typing as npt

from ..errors import ShapeError
from .refusal import refusal

T = TypeVar("T")

CHANNELS_FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
LAYOUT_WORDS = tuple(sorted((*CHANNELS_FIRST.values(), *CHANNELS_LAST.values())))


def is_layout_name(text: str) -> bool:
    """Whether a text names a layout of any rank.

    >>> is_layout_name("NHWC"), is_layout_name("NCTDHW"), is_layout_name("NCWH")
    (True, True, False)
    """
    if text in LAYOUT_WORDS:
        return True
    letters = text[2:] if text.startswith("NC") else text[1:-1]
    return (
        text.startswith("N")
        and (text.startswith("NC") or text.endswith("C"))
        and len(letters) >= 4
        and len(set(letters)) == len(letters)
        and all("A" <= letter <= "Z" and letter not in "NC" for letter in letters)
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of the axes of data, weight and output.

    `to_logical` gives (batch, channels, *spatial) from an array's own order, `to_stored` the way back; shapes
    and any other sequence with one entry an axis are reordered, arrays become views.
    """

    channels_last: bool

    def to_logical(self, entries: Sequence[T]) -> tuple[T, ...]:
        """Entries in an array's own order, put into logical order.

        >>> Layout(channels_last=True).to_logical((2, 32, 48, 3))
        (2, 3, 32, 48)
        """
        return (entries[0], entries[-1], *entries[1:-1]) if self.channels_last else tuple(entries)

    def to_stored(self, entries: Sequence[T]) -> tuple[T, ...]:
        """Entries in logical order, put into an array's own order.

        >>> Layout(channels_last=True).to_stored((2, 3, 32, 48))
        (2, 32, 48, 3)
        """
        return (entries[0], *entries[2:], entries[1]) if self.channels_last else tuple(entries)

    def logical_view(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array with its axes in logical order; itself or a view, never a copy.

        >>> import numpy as np
        >>> Layout(channels_last=True).logical_view(np.zeros((2, 32, 48, 3))).shape
        (2, 3, 32, 48)
        """
        if not self.channels_last:
            return array
        view: npt.NDArray[Any] = array.transpose(self.to_logical(range(array.ndim)))
        return view


def resolve_layout(layout: str | None, kernel: Sequence[int]) -> Layout:
    """The Layout of a name, for a kernel of that rank; None is channels first.

    Raises: ShapeError, if the name has not one letter for each spatial axis.
    """
    rank = len(kernel)
    if layout is None:
        return Layout(channels_last=False)
    if len(layout) != rank + 2:
        usual = f"{CHANNELS_FIRST.get(rank, 'NC...')} or {CHANNELS_LAST.get(rank, 'N...C')}"
        why = f"Invalid layout for {rank + 2}d shape, as kernel={tuple(kernel)} asks for"
        fix = "Name one letter for each spatial axis, or leave layout out for channels first."
        raise refusal(ShapeError, "layout", layout, usual, why, fix=fix)
    return Layout(channels_last=not layout.startswith("NC"))
