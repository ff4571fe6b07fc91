"""How many CPUs this process may use: its affinity, and the quota of its control groups (containers)."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_AFFINITY_SECONDS = 0.1
_QUOTA_SECONDS = 10.0


class _Known(threading.local):
    """What this thread has looked up. Linux gives every thread an affinity of its own."""

    looked_up: tuple[float, int, tuple[int, ...]] = 0.0, 1, ()
    """Until when it holds, how many CPUs can be used, and which the thread may run on."""


class _Quota:
    """What the process has looked up."""

    cpus = math.inf
    until = 0.0


_known = _Known()


def affinity() -> tuple[int, ...]:
    """The CPUs that the calling thread may run on, as it was a moment ago; where there is no such thing, all."""
    until, _, cpus = _known.looked_up
    return cpus if time.monotonic() < until else _look()[2]


def usable_cpus() -> int:
    """How many CPUs' worth of time the calling thread and its helpers can have; a broken quota counts as a whole."""
    until, count, _ = _known.looked_up
    return count if time.monotonic() < until else _look()[1]


def _look() -> tuple[float, int, tuple[int, ...]]:
    now = time.monotonic()
    if now >= _Quota.until:
        _Quota.cpus = cgroup_quota()
        _Quota.until = now + _QUOTA_SECONDS
    has_affinity = hasattr(os, "sched_getaffinity")
    cpus = tuple(sorted(os.sched_getaffinity(0))) if has_affinity else tuple(range(os.cpu_count() or 1))
    count = max(1, math.ceil(min(len(cpus), _Quota.cpus)))
    _known.looked_up = now + _AFFINITY_SECONDS, count, cpus
    return _known.looked_up


def cgroup_quota(proc: Path = Path("/proc/self")) -> float:
    """CPUs' worth of time that the process's control groups, versions 1 and 2, allow; infinite where none limits it.

    A group's parents limit it as well, up to the root of what is mounted here.
    """
    try:
        groups = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    return min(
        (quota for folder in _folders(groups, mounts) for quota in (_read_v2(folder), _read_v1(folder))),
        default=math.inf,
    )


def _folders(groups: list[str], mounts: list[str]) -> Iterator[Path]:
    """The folders of the process's groups that can limit CPU time, and of their parents."""
    for group in groups:
        parts = group.split(":", 2)
        if len(parts) != 3 or (parts[1] and "cpu" not in parts[1].split(",")):
            continue
        for mount in mounts:
            fields, _, tail = mount.partition(" - ")
            kind, _, options = (*tail.split(" "), "", "", "")[:3]
            wanted = (kind == "cgroup" and "cpu" in options.split(",")) if parts[1] else kind == "cgroup2"
            if not wanted or len(fields.split(" ")) < 5:
                continue
            root, point = (_unescape(text) for text in fields.split(" ")[3:5])
            below = PurePosixPath(parts[2])
            # Inside a container the group may be named from outside of what is mounted: then the mount is the group.
            inside = below.relative_to(root) if below.is_relative_to(root) else PurePosixPath()
            if ".." in inside.parts:
                inside = PurePosixPath()
            folder = Path(point, inside)
            yield folder
            for _ in inside.parts:
                folder = folder.parent
                yield folder


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


def _read_v2(folder: Path) -> float:
    return _quota(_words(folder / "cpu.max"))


def _read_v1(folder: Path) -> float:
    return _quota([*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _quota(words: list[str]) -> float:
    """Quota over period; "max" and -1 mean no limit."""
    try:
        quota, period = map(int, words)
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf
