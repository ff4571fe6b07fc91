"""Compiled kernels on disk: machine code, and therefore guarded.

An entry is used only if its folder and file belong to this user and nobody else can write or exchange them, and if its
hash covers exactly the key that was asked for and the body that was found. Anything else is ignored and rebuilt.
Entries are written to a temporary file and renamed, so that a reader never sees half of one; a cache that cannot be
written costs a warning, once, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import warnings
from pathlib import Path

from .. import config

MAGIC = b"MXCONV01"
MAX_BYTES = 64 << 20
"""A folder that exceeds this size is trimmed to half of it, least recently written first."""

_warned = False


def key_of(*parts: str) -> bytes:
    """The 32-byte key of everything that the machine code depends on."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def folder() -> Path:
    """Where entries live: MXCONV_CACHE_DIR, or the user's cache folder.

    Raises: FileNotFoundError, if that is below a home folder and this user has none.
    """
    chosen = config.get("cache_dir")
    try:
        if chosen:
            return Path(chosen).expanduser()
        import platformdirs

        # Versions of platformdirs differ in whether they leave a ~ that means nothing, or raise.
        return (Path(platformdirs.user_cache_dir("mxconv")) / "kernels").expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"no folder for compiled kernels: {error}") from error


def load(key: bytes) -> bytes | None:
    """The object code stored under a key, or None if there is none that can be trusted."""
    try:
        where = folder()
        if not _is_safe(where):
            return None
        with open(_path(where, key), "rb", opener=_open_entry) as file:  # Path.open takes no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_private(status) or status.st_size > MAX_BYTES:
                return None
            data = file.read()
    except OSError:
        return None
    head = len(MAGIC) + 32
    body = data[head:]
    if data[:head] != MAGIC + _seal(key, body):
        return None
    return body


def _open_entry(path: str, flags: int) -> int:
    """No links are followed, and a pipe in the place of a file blocks nobody."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def store(key: bytes, body: bytes) -> None:
    """Keep object code under a key; a failure is a warning, once in a process."""
    global _warned
    try:
        where = folder()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_safe(where):
            raise PermissionError(f"others than this user can write {where}, or exchange it")
        descriptor, temporary = tempfile.mkstemp(dir=where, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + _seal(key, body) + body)
            Path(temporary).replace(_path(where, key))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _trim(where)
    except OSError as error:
        if not _warned:
            _warned = True
            warnings.warn(
                f"mxconv: compiled kernels are not kept ({error}); each process compiles its own. "
                "Set MXCONV_CACHE_DIR to a folder of yours.",
                RuntimeWarning,
                stacklevel=2,
            )


def _path(where: Path, key: bytes) -> Path:
    return where / f"{key.hex()}.obj"


def _seal(key: bytes, body: bytes) -> bytes:
    return hashlib.sha256(key + body).digest()


def _is_private(status: os.stat_result) -> bool:
    """Whether only this user can write there (POSIX; elsewhere the user's profile folder is private already)."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_safe(where: Path) -> bool:
    """Whether a folder is private, and stands where nobody else can put another one in its place."""
    if not _is_private(where.stat()):
        return False
    if not hasattr(os, "geteuid"):
        return True
    modes = (parent.stat().st_mode for parent in where.resolve().parents)
    return not any(mode & stat.S_IWOTH and not mode & stat.S_ISVTX for mode in modes)


def _trim(where: Path) -> None:
    """Delete the oldest files when they exceed MAX_BYTES; one process at a time, the others skip it."""
    files = []
    for entry in os.scandir(where):
        if entry.name.endswith((".obj", ".tmp")):  # what a killed process left behind, too
            with contextlib.suppress(FileNotFoundError):  # another process trims
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    if total <= MAX_BYTES:
        return
    import filelock

    with contextlib.suppress(filelock.Timeout), filelock.FileLock(where / "trim.lock", timeout=0):
        for _, size, path in sorted(files):
            if total <= MAX_BYTES // 2:
                break
            Path(path).unlink(missing_ok=True)
            total -= size
