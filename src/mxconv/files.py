"""Files that are either as they were or complete: an interrupted write never leaves half of one."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO, TypeAlias

from .errors import MXNetError

PathName: TypeAlias = "str | os.PathLike[str]"


@contextmanager
def reading(fname: PathName) -> Iterator[BinaryIO]:
    """A file opened for reading bytes. Raises: MXNetError, if it cannot be opened; TypeError, for what is no path."""
    with contextlib.ExitStack() as opened:
        try:
            stream = opened.enter_context(_path(fname).open("rb"))
        except OSError as error:
            raise _cannot("read", fname, error) from error
        yield stream if stream.seekable() else io.BytesIO(stream.read())


@contextmanager
def replacing(fname: PathName) -> Iterator[BinaryIO]:
    """A new file to write to; it takes the place of `fname` when the block ends well, and vanishes otherwise.

    It is written beside `fname`, flushed to the disk and renamed. Its permissions are those of the file that it
    replaces, or of any new file. A link stays a link to the new file; what is no regular file (a pipe) is written
    to directly.

    Raises: MXNetError, if it cannot be written; TypeError, for what is no path.
    """
    try:
        target = _path(fname).resolve()
        old = target.stat() if target.exists() else None
        if old is not None and not stat.S_ISREG(old.st_mode):
            with target.open("wb") as stream:
                yield stream
            return
        with _beside(target) as temporary:
            with temporary.open("wb") as stream:
                if old is not None:
                    temporary.chmod(stat.S_IMODE(old.st_mode))
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise _cannot("write", fname, error) from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty new file in the folder of `target`, gone when the block ends unless it was renamed."""
    names = (target.with_name(f".mxconv-{os.getpid()}-{n}.tmp") for n in count())
    for temporary in names:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # less the umask
            break
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make the renaming itself last, where the system can (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # some network file systems cannot, and need not
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _path(fname: PathName) -> Path:
    if not isinstance(fname, (str, os.PathLike)):
        raise TypeError(f"fname required to be a string or a path, got {fname!r:.60}")
    return Path(fname)


def _cannot(verb: str, fname: PathName, error: OSError) -> MXNetError:
    reason = error.strerror or str(error)
    return MXNetError(
        f'Open "{os.fspath(fname)}": {reason}, expected a file to {verb}',
        argument="fname",
        got=os.fspath(fname),
        expected=f"a file to {verb}",
        fix="Check the path and its permissions.",
    )
