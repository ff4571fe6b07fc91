"""From a picture or an array to what a network takes, and from what it gives back to a picture.

Pictures count from 0 (black) to 255 (white), as in MXNet's data iterators, and are prepared as there:
(picture - mean) * scale, after colour and size. On the way back the same is undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParamError, ShapeError
from ..ops.refusal import refusal
from .attributes import parse_shape
from .images import import_pillow

Array = NDArray[Any]

COLOURS = ("rgb", "bgr", "grey")
LAYOUTS = ("NCHW", "NHWC")
WHITE = 255.0

_LUMA = np.array([0.299, 0.587, 0.114], np.float32).reshape(3, 1, 1)  # ITU-R BT.601, as in OpenCV and Pillow


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the options say. Everything here takes and returns NCHW; `channels_last` says what the network has."""

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    colour: str | None = None
    channels_last: bool = False

    @property
    def changes_arrays(self) -> bool:
        """Whether anything but the layout was asked for."""
        return self != Preparation(channels_last=self.channels_last)

    def apply(self, option: str, array: Array, *, is_picture: bool) -> Array:
        """What is fed to the network: an array is taken as it is, in the network's layout, but for what is asked for.

        Raises: ShapeError, ParamError, if what is asked for cannot be done to this array.
        """
        if not is_picture and not self.changes_arrays:
            return array
        if array.ndim != 4 or not array.size or array.dtype.kind == "c":
            got, expected = f"{array.dtype.name} of shape {array.shape}", "real numbers along 4 axes to be prepared"
            fix = "Leave --resize, --colour, --mean and --scale out."
            raise refusal(ShapeError, option, got, expected, fix=fix)
        x = array if is_picture or not self.channels_last else np.moveaxis(array, -1, 1)
        x = x.astype(np.float64 if x.dtype == np.float64 else np.float32)
        x = self._coloured(option, x, is_picture)
        if self.size is not None and x.shape[2:] != self.size:
            x = resize(x, self.size)
        x = (x - self._channelwise("--mean", self.mean, x)) * self._channelwise("--scale", self.scale, x)
        return np.ascontiguousarray(np.moveaxis(x, 1, -1) if self.channels_last else x)

    def _coloured(self, option: str, x: Array, is_picture: bool) -> Array:
        colour = self.colour or ("rgb" if is_picture else None)
        channels = x.shape[1]
        if colour is None:
            return x
        if channels not in (1, 3):
            fix = "Leave --colour out, or give a picture."
            raise refusal(ShapeError, option, channels, "1 or 3 for --colour", fix=fix, verb="has channels:")
        if colour == "grey":
            return x if channels == 1 else (x * _LUMA.astype(x.dtype)).sum(axis=1, keepdims=True)
        x = np.broadcast_to(x, (len(x), 3, *x.shape[2:]))
        return x[:, ::-1] if colour == "bgr" else x

    def _channelwise(self, option: str, numbers: Sequence[float], x: Array) -> Array:
        if len(numbers) not in (1, x.shape[1]):
            expected, fix = f"1 or {x.shape[1]}, as there are channels", "Give one for each channel, or one for all."
            raise refusal(ParamError, option, f"{len(numbers)} numbers", expected, fix=fix, verb="has")
        return np.asarray(numbers, x.dtype).reshape(-1, 1, 1)

    def undo(self, output: Array, *, of_picture: bool, span: tuple[float, float] | None) -> tuple[Array, str]:
        """An output (1, channels, height, width) as a picture with values 0..1, and which values are black and white.

        `span` are these two. Unless it is given, what came from a picture goes back through scale and mean, if there
        are as many channels; anything else is stretched from its smallest to its largest value.
        """
        channels = output.shape[1]
        values = output.astype(np.float64)
        if span is None and of_picture and {len(self.mean), len(self.scale)} <= {1, channels}:
            mean, scale = (np.asarray(numbers).reshape(-1, 1, 1) for numbers in (self.mean, self.scale))
            picture, says = (values / scale + mean) / WHITE, "as the picture that was put in"
        else:
            black, white = span or _extremes(values)
            picture = (values - black) / (white - black)
            says = f"black {black:.4g}, white {white:.4g}"
        return (picture[:, ::-1] if self.colour == "bgr" and channels == 3 else picture), says


def _extremes(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if low < high else (low, low + 1)


def resize(x: Array, size: tuple[int, int]) -> Array:
    """(batch, channels, height, width) in another size: linearly, over all pixels that fall together when it shrinks.

    >>> resize(np.arange(4.0).reshape(1, 1, 2, 2), (1, 1)).tolist()
    [[[[1.5]]]]
    """
    image_module = import_pillow()[0]
    planes = x.reshape(-1, *x.shape[2:]).astype(np.float32)
    resized = [
        np.asarray(image_module.fromarray(plane).resize(size[::-1], image_module.Resampling.BILINEAR))
        for plane in planes
    ]
    return np.stack(resized).reshape(*x.shape[:2], *size).astype(x.dtype)


def looks_like_picture(output: Array) -> bool:
    """Whether (1, channels, height, width) can be shown: 1, 3 or 4 channels of real numbers, more than one pixel."""
    return (
        output.ndim == 4
        and output.shape[0] == 1
        and output.shape[1] in (1, 3, 4)
        and min(output.shape[2:]) > 1
        and output.dtype.kind != "c"
    )


# ---- what the options say


def read_preparation(
    resize: str | None, mean: str | None, scale: str | None, colour: str | None, layout: str
) -> Preparation:
    """The options of a picture's way into the network. Raises: ParamError."""
    for option, word, known in (("--colour", colour, COLOURS), ("--layout", layout, LAYOUTS)):
        if word is not None and word not in known:
            raise refusal(ParamError, option, repr(word), f"one of {', '.join(known)}", fix="Choose one of these.")
    size = None if resize is None else parse_shape("--resize", resize)
    if size is not None and (len(size) != 2 or not all(1 <= n <= 1 << 15 for n in size)):
        fix = "For example: --resize 224,224"
        raise refusal(ParamError, "--resize", resize, "height,width, each at least 1", fix=fix)
    factors = read_numbers("--scale", scale or "1")
    if not all(factors):
        raise refusal(ParamError, "--scale", scale, "numbers other than 0", fix="For example: --scale 1/255")
    means = read_numbers("--mean", mean or "0")
    return Preparation((size[0], size[1]) if size else None, means, factors, colour, layout == "NHWC")


def read_range(text: str | None) -> tuple[float, float] | None:
    """The values of black and white. Raises: ParamError."""
    if text is None:
        return None
    numbers = read_numbers("--range", text)
    if len(numbers) != 2 or numbers[0] == numbers[1]:
        raise refusal(ParamError, "--range", text, "two different numbers", fix="For example: --range -1,1")
    return numbers[0], numbers[1]


def read_numbers(option: str, text: str) -> tuple[float, ...]:
    """Numbers separated by commas; a number may be a fraction.

    Raises: ParamError, if they are none, or not finite.

    >>> read_numbers("--scale", "1/4,0.5")
    (0.25, 0.5)
    """
    try:
        parts = [word.partition("/") for word in text.split(",")]
        numbers = tuple(float(over) / float(under if slash else 1) for over, slash, under in parts)
    except (ValueError, ZeroDivisionError):
        numbers = (float("nan"),)
    if not all(map(np.isfinite, numbers)):
        fix = f"For example: {option} 123.68,116.78,103.94 or {option} 1/255"
        raise refusal(ParamError, option, repr(text), "numbers separated by commas", fix=fix)
    return numbers
