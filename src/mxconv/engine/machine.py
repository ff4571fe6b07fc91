"""What estimates of time are made of: the arithmetic and the memory of the machine at hand.

Each speed is measured at first need ever, in some milliseconds, and remembered in the cache folder. Where choices must
not depend on measurements (the setting `reproducible`, tests), `typical` speeds take their place.
"""

from __future__ import annotations

import functools
import platform
import statistics
import threading as _threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import config
from .._version import __version__
from ..forking import hold_across_forks
from ..jit import compiler
from ..jit.kernels.bandwidth import COPY, emit_copy
from ..jit.numbers import Numbers
from ..jit.target import Target
from . import threads
from .kept_file import KeptFile
from .peak import measure_peak
from .workspace import address_of

CLOCK = 3.5e9
"""Cycles a second of a typical core; two multiply-adds of whole vectors fit in one."""
CACHE_BYTES, MEMORY_BYTES, DISPATCH = 60e9, 20e9, 2e-6
"""Typical speeds; see Machine."""
L2, L3 = 1 << 20, 32 << 20
"""Typical caches."""
LARGEST_COPY = 96 << 20
"""Bytes that are touched at most to measure memory; where the L3 cache is larger, memory counts as typical."""

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_TASK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Machine:
    """The speeds that `Algorithm.estimate` may count on."""

    flops: float
    """Operations a second of one core (2 for each multiply-add) in the computed type."""
    cache_bytes: float
    """Bytes a second that one core moves from or to the L3 cache."""
    memory_bytes: float
    """Bytes a second that all cores together move from or to main memory."""
    l2: int
    """Bytes of a core's L2 cache."""
    l3: int
    """Bytes of the L3 cache."""
    dispatch: float
    """Seconds that one job of the thread pool costs, shared out and waited for."""


@functools.cache
def typical(dtype: str, target: Target) -> Machine:
    """A machine that is the same everywhere, for choices that must be."""
    computed = Numbers.of(dtype).computed
    flops = 2 * (2 if target.has_fma else 1) * target.lanes(computed.itemsize) * CLOCK
    return Machine(flops, CACHE_BYTES, MEMORY_BYTES, L2, L3, DISPATCH)


def current(dtype: str, target: Target) -> Machine:
    """The machine that estimates are made for: this one, measured, unless the setting `machine` is 'typical'."""
    if config.get("machine") == "typical":
        return typical(dtype, target)
    return _measured(dtype, target)


@functools.cache
def _measured(dtype: str, target: Target) -> Machine:
    return _measure(dtype, target, again=False)


def measure_again(dtype: str, target: Target) -> Machine:
    """This machine, measured now; where it was better before, that is kept: something else ran meanwhile."""
    found = _measure(dtype, target, again=True)
    _measured.cache_clear()
    return found


def _measure(dtype: str, target: Target, *, again: bool) -> Machine:
    l2, l3 = cache_size(2) or L2, cache_size(3) or L3
    measures: dict[str, Callable[[], float]] = {
        f"flops {target.name} {Numbers.of(dtype).computed}": lambda: measure_peak(dtype),
        f"cache {target.name}": lambda: _copy_speed(target, min(4 * l2, l3), 1),
        f"memory {target.name}": lambda: _memory_speed(target, l3),
        f"dispatches {target.name}": lambda: 1 / _dispatch_time(target),
    }
    flops, cache, memory, dispatches = (_figure(name, measure, again) for name, measure in measures.items())
    return Machine(flops, cache, memory, l2, l3, 1 / dispatches)


# ---- remembered figures

_lock = _threading.RLock()
hold_across_forks(_lock)
_file = KeptFile("machine.json", lambda row: isinstance(row, float) and 0 < row < float("inf"), 256)


def key() -> str:
    """What measured figures depend on besides their names: this CPU, and us."""
    return f"{_cpu_name()}|{compiler.versions()}|mxconv {__version__}"


@functools.cache
def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _figure(name: str, measure: Callable[[], float], again: bool) -> float:
    """A speed: what is kept of it, or what is measured now, or the better of both."""
    with _lock:
        kept = _file.read(key()).get(name)
        if kept is None or again:
            found = max(float(measure()), kept or 0.0)
            if found != kept:
                _file.merge(key(), {name: found})
            return found
        return float(kept)


def cache_size(level: int, folder: Path = _CACHES) -> int | None:
    """Bytes of a cache that holds data, as Linux says; None where it does not."""
    for index in sorted(folder.glob("index*")):
        try:
            words = {name: (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")}
            if words["level"] == str(level) and words["type"] != "Instruction":
                unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[words["size"][-1]]
                return int(words["size"][:-1]) * unit
        except (OSError, UnicodeDecodeError, KeyError, ValueError, IndexError):
            continue
    return None


# ---- measuring


def _memory_speed(target: Target, l3: int) -> float:
    size = 2 * l3
    return _copy_speed(target, size, threads.available()) if size <= LARGEST_COPY else MEMORY_BYTES


def _copy_speed(target: Target, size: int, workers: int) -> float:
    """Bytes a second, read or written, of copying one half of so many bytes to the other."""
    job = threads.job_at(_copying(target).address("copy"))
    half = max(1, size // 2 // _TASK_BYTES) * _TASK_BYTES
    memory = np.ones(2 * half, np.uint8)
    block = _block(half // _TASK_BYTES, memory, half)
    repeats = max(3, min(20, (64 << 20) // half))
    return 2 * half / min(_seconds(job, block, workers) for _ in range(repeats))


def _dispatch_time(target: Target) -> float:
    """Seconds of a job without tasks, run on the threads of a call."""
    workers = threads.available()
    job = threads.job_at(_copying(target).address("copy"))
    block = _block(0, np.ones(1, np.uint8), 0)
    return statistics.median(_seconds(job, block, workers) for _ in range(50))


def _copying(target: Target) -> compiler.CompiledModule:
    return compiler.compile_module(emit_copy(target), target, f"copy_{target.name}")


def _block(tasks: int, memory: npt.NDArray[np.uint8], half: int) -> npt.NDArray[np.int64]:
    at = address_of(memory)
    return COPY.fill({"tasks": tasks, "bytes": _TASK_BYTES, "from": at, "to": at + half})


def _seconds(job: threads.Job, block: npt.NDArray[np.int64], workers: int) -> float:
    block[COPY.index["next"]] = 0
    start = time.perf_counter()
    threads.run_job(job, address_of(block), workers)
    return time.perf_counter() - start
