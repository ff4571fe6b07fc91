"""Pictures in and out through Pillow, which is imported inside the functions only.

A picture becomes float32 (1, channels, height, width) with values 0..1: grey 1 channel, RGB 3, with transparency 4.
The way back takes 1, 3 or 4 channels, clips to 0..1 and rounds to 8 bits; integer arrays are taken as 0..255.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, ShapeError, UnsupportedError
from ..ops.refusal import refusal

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""The picture formats that can be written, by extension; Pillow reads many more."""

_CHANNELS = (1, 3, 4)
_USE_ARRAYS = "Write an .npy or .npz file instead."


def import_pillow() -> tuple[Any, Any]:
    """The modules PIL.Image and PIL.ImageOps.

    Raises: UnsupportedError, with the command that installs Pillow.
    """
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        fix = "Run: python -m pip install 'mxconv[image]'"
        why = "pictures are read and written by it"
        raise refusal(UnsupportedError, "Pillow", "not installed", "the extra mxconv[image]", why, fix=fix) from error
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says of damaged files would add lines to ours
    return PIL.Image, PIL.ImageOps


def has_pillow() -> bool:
    """Whether Pillow can be imported."""
    try:
        import_pillow()
    except UnsupportedError:
        return False
    return True


def read_image(path: Path, *, alpha: bool = True, white: float = 1.0) -> NDArray[np.float32]:
    """A picture as float32 (1, channels, height, width) in 0..white, turned as its camera says; transparency is a
    fourth channel, or left out with alpha=False.

    Raises: whatever Pillow raises on a damaged file; the caller words it.
    """
    image_module, image_ops = import_pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of size and of harmless damage; what matters raises
        with image_module.open(path) as opened:
            image = image_ops.exif_transpose(opened)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        values = values / np.float32((1 if image.mode == "F" else 65535) / white)
    else:
        image = image.convert(_plain_mode(image, alpha))
        values = np.asarray(image, dtype=np.uint8).astype(np.float32) / np.float32(255 / white)
    channels_last = values.reshape(*values.shape[:2], -1)
    return np.ascontiguousarray(channels_last.transpose(2, 0, 1)[None])


def _plain_mode(image: Any, alpha: bool) -> str:
    if alpha and (image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info):
        return "RGBA"
    return "L" if image.mode in ("1", "L", "LA", "La") else "RGB"


def to_pixels(array: NDArray[Any]) -> tuple[NDArray[np.uint8], float]:
    """(height, width[, channels]) in 8 bits from (1, channels, height, width), and the share of values that were
    outside 0..1 (or not finite) and had to be clipped.

    Raises: ShapeError or FormatError, if the array cannot be a picture.
    """
    if array.ndim != 4 or array.shape[0] != 1 or array.shape[1] not in _CHANNELS or 0 in array.shape:
        expected = "(1, channels, height, width) with 1, 3 or 4 channels to be a picture"
        raise refusal(ShapeError, "the output", array.shape, expected, fix=_USE_ARRAYS, verb="has shape")
    if array.dtype.kind == "c":
        raise refusal(FormatError, "the output", array.dtype.name, "real numbers to be a picture", fix=_USE_ARRAYS)
    values = array[0].transpose(1, 2, 0)
    scaled = values.astype(np.float64) * (1 if array.dtype.kind in "iu" else 255)
    rounded = np.rint(np.nan_to_num(scaled, nan=0.0))
    clipped = np.clip(rounded, 0, 255)
    outside = float(np.mean((clipped != rounded) | np.isnan(scaled)))
    pixels = clipped.astype(np.uint8)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels, outside


def write_image(file: BinaryIO, array: NDArray[Any], suffix: str) -> float:
    """Write (1, channels, height, width) as the picture format of `suffix`; returns the share of clipped values."""
    pixels, outside = to_pixels(array)
    if FORMATS[suffix] == "JPEG" and pixels.ndim == 3 and pixels.shape[2] == 4:
        why, fix = "a JPEG knows no transparency", "Write a .png file instead."
        raise refusal(FormatError, "the output", "4 channels", "1 or 3", why, fix=fix, verb="has")
    import_pillow()[0].fromarray(pixels).save(file, format=FORMATS[suffix])
    return outside
