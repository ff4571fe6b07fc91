"""Small tables of numbers that processes share and that outlive them, as JSON in the cache folder.

A table belongs to a key (this CPU, these versions); one of another key, a damaged one, or one that is too large is as
good as none, and the next write replaces it. Writers take a lock and merge their rows into what is there, so that none
are lost; the file is replaced whole. Nothing here may fail a call: a folder that cannot be written costs a warning.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import MXNetError
from ..files import replacing
from ..jit import code_cache

MOST_BYTES = 4 << 20
"""What a file may have; a larger one is not ours."""
WAIT = 1.0
"""Seconds to wait for other writers; after that the rows are not kept, and have to be measured again some day."""

_warned = threading.Event()


class KeptFile:
    """One table on disk: rows by name, all of one key.

    `is_row` says whether a value read from disk is a row; what is none is left out. Of more than `most` rows the ones
    that were written longest ago are dropped.
    """

    def __init__(self, name: str, is_row: Callable[[Any], bool], most: int) -> None:
        self.name = name
        self._is_row = is_row
        self._most = most

    def read(self, key: str) -> dict[str, Any]:
        """The rows that are kept for a key; none if there is no file that can be used."""
        try:
            path = code_cache.folder() / self.name
            if path.stat().st_size > MOST_BYTES:
                return {}
            table = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(table, dict) or table.get("key") != key or not isinstance(table.get("rows"), dict):
            return {}
        return {name: row for name, row in table["rows"].items() if self._is_row(row)}

    def merge(self, key: str, rows: Mapping[str, Any]) -> None:
        """Write rows, in the place of those of the same names."""
        self._change(lambda old: {**{name: row for name, row in old.items() if name not in rows}, **rows}, key)

    def forget(self, key: str, wanted: Callable[[str], bool]) -> int:
        """Drop the rows whose names are wanted; returns how many there were."""
        dropped = 0

        def change(old: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal dropped
            rest = {name: row for name, row in old.items() if not wanted(name)}
            dropped = len(old) - len(rest)
            return rest

        self._change(change, key)
        return dropped

    def _change(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]], key: str) -> None:
        import filelock  # takes longer to load than most calls take

        try:
            folder = code_cache.folder()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with filelock.FileLock(folder / f"{self.name}.lock").acquire(timeout=WAIT, poll_interval=0.005):
                rows = list(change(self.read(key)).items())[-self._most :]
                with replacing(folder / self.name) as file:
                    file.write(json.dumps({"key": key, "rows": dict(rows)}, indent=0).encode())
        except filelock.Timeout:
            return
        except (OSError, MXNetError) as error:
            if not _warned.is_set():
                _warned.set()
                warnings.warn(
                    f"mxconv: what is measured is not kept ({error}); each process measures for itself. "
                    "Set MXCONV_CACHE_DIR to a folder of yours.",
                    RuntimeWarning,
                    stacklevel=2,
                )
