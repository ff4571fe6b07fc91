"""Arrays in and out of files: .npy, .npz (FILE or FILE:key; we write the key `output`) and pictures.

Whatever is wrong with a file ends as a FormatError that names the option, and a file that exists is replaced in one
step and only by a complete new one.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..dtypes import BFLOAT16, DTYPES, lookup
from ..errors import DTypeError, FormatError, MXNetError
from ..ops.refusal import refusal
from . import images

_NPZ_WITH_KEY = re.compile(r"(?P<path>.+\.npz):(?P<key>.+)", re.IGNORECASE)


def read_array(option: str, text: str, *, alpha: bool = True, white: float = 1.0) -> NDArray[Any]:
    """The array in the file that an option names: FILE.npy, FILE.npz, FILE.npz:key, or a picture (see cli/images.py).

    alpha, white: of pictures: whether transparency is a fourth channel; the value of white.

    Raises: FormatError, if the file is missing, damaged, of another kind, lacks the key or holds Python objects;
            DTypeError, if its numbers are of a type that mxconv does not compute in.
    """
    match = _NPZ_WITH_KEY.fullmatch(text)
    path, key = (Path(match["path"]), match["key"]) if match else (Path(text), None)
    readers: dict[str, Callable[[], NDArray[Any]]] = {
        ".npy": lambda: _read_npy(path),
        ".npz": lambda: _read_npz(option, path, key),
    }
    read = readers.get(path.suffix.lower(), lambda: images.read_image(path, alpha=alpha, white=white))
    kind = path.suffix.lower() if path.suffix.lower() in readers else "picture, .npy or .npz"
    try:
        array = read()
    except MXNetError:
        raise
    except Exception as error:  # a foreign file may break its reader in any way; all of them mean the same to a user
        raise _unreadable(option, path, kind, error) from error
    if array.dtype == np.dtype("V2"):
        array = array.view(BFLOAT16)  # NumPy's file format has no name for bfloat16
    if lookup(array.dtype) is None:
        expected, fix = f"one of {', '.join(DTYPES)}", "Convert it and save it again."
        raise refusal(DTypeError, f"{option} {text}", array.dtype, expected, fix=fix, verb="holds")
    return array


def _unreadable(option: str, path: Path, kind: str, error: Exception) -> FormatError:
    reasons: dict[type[Exception], str] = {
        FileNotFoundError: "there is no such file",
        IsADirectoryError: "it is a folder",
        PermissionError: "it may not be read",
        MemoryError: "it says that it holds more than fits in memory",
    }
    reason = reasons.get(type(error)) or " ".join(str(error).split()) or type(error).__name__
    fix = "Give the path of a complete file that exists."
    return refusal(
        FormatError, f"{option} {path}", f"({reason.rstrip('.')})", f"a {kind} file", fix=fix, verb="cannot be read"
    )


def _read_npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(option: str, path: Path, key: str | None) -> NDArray[Any]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not a complete .npz archive")
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        if key is None and len(names) == 1:
            key = names[0]
        if key not in names:
            verb, got = (
                ("lacks", f"the array {key!r}") if key else ("holds", f"{len(names)} arrays and no key was given")
            )
            shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            expected, fix = (
                f"one of: {shown or '(it is empty)'}",
                f"Name one: {option} {path}:{names[0] if names else 'key'}",
            )
            raise refusal(FormatError, f"{option} {path}", got, expected, fix=fix, verb=verb)
        array = archive[key]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"its member {key!r} is not an array")
    return array


def is_picture(text: str) -> bool:
    """Whether the file that an option names is a picture: anything but .npy, .npz and .npz:key."""
    return Path(text).suffix.lower() not in (".npy", ".npz") and not _NPZ_WITH_KEY.fullmatch(text)


def check_output(text: str) -> Path:
    """The path that --out names, before any work is done.

    Raises: FormatError, if its extension is unknown or no file can be made there.
    """
    path = Path(text)
    known = (".npy", ".npz", *images.FORMATS)
    if path.suffix.lower() not in known:
        got, expected, fix = f"a {path.suffix or 'nameless'} file", f"one of {', '.join(known)}", "Choose one of these."
    elif path.is_dir():
        got, expected, fix = "a folder", "a file", "Add a file name."
    elif not path.resolve().parent.is_dir():
        got, expected, fix = "in a folder that does not exist", "an existing folder", "Make the folder first."
    elif path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
        got, expected, fix = "not to be overwritten", "a writable file", "Choose another name."
    else:
        if is_picture(text):
            images.import_pillow()
        return path
    raise refusal(FormatError, f"--out {path}", got, expected, fix=fix)


def write_array(path: Path, array: NDArray[Any]) -> float:
    """Write an array as the extension says; returns the share of values that a picture had to clip (else 0)."""
    with replacing(path) as file:
        suffix = path.suffix.lower()
        if suffix in images.FORMATS:
            return images.write_image(file, array, suffix)
        if suffix == ".npz":
            write_npz(file, {"output": array})
        else:
            np.lib.format.write_array(file, array, allow_pickle=False)
    return 0.0


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as .npz; np.savez does the same, but not for every name."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` in one step when the block ends well, and vanishes when it does not."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
