"""Running one job on several threads, and how many a call may have.

A job claims its tasks from a counter in its argument block until none is left. So nobody splits the work beforehand, a
thread that comes late finds nothing to do, and the caller never waits for one that has not begun. Which thread does
which task changes no bit of a result: plans fix all blocking.

Several Python threads may call at once: one has the workers, the others run their jobs alone meanwhile. The same holds
for a call made inside a job. A forked child starts a pool of its own; the interpreter's end stops the threads.
"""

from __future__ import annotations

import atexit
import os
import threading

from .. import config
from ..errors import ParamError
from . import cpu_limits, os_threads
from .pools import Job as Job
from .pools import NativePool, PortablePool
from .thread_control import offer_to_threadpoolctl

_POOLS = ("native", "portable")


class _State:
    """What the process has of threads."""

    lock = threading.RLock()
    pool: NativePool | PortablePool | None = None
    limit: int | None = None
    ended = False


def job_at(address: int) -> Job:
    """The compiled function at an address as a job."""
    return Job(address)


def available() -> int:
    """How many threads a call may use.

    The setting `num_threads`, or else the CPUs that this process may use: those of its affinity, and no more than the
    quota of its control groups pays for. threadpoolctl lowers either.
    """
    return _wanted() if _State.limit is None else min(_wanted(), _State.limit)


def bounds() -> tuple[int, int | None]:
    """What that follows from besides the setting, as cheap as can be."""
    return cpu_limits.usable_cpus(), _State.limit


def _wanted() -> int:
    chosen = config.get("num_threads")
    return cpu_limits.usable_cpus() if chosen is None else int(chosen)


def set_limit(count: int) -> None:
    """Let calls use at most so many threads; a count that limits nothing takes the limit away."""
    _State.limit = None if count >= _wanted() else max(1, count)


def run_job(job: Job, block: int, workers: int) -> None:
    """Run a job to its end, on the calling thread as worker 0 and up to workers - 1 others."""
    if workers <= 1 or _State.ended:
        job(block, 0)
        return
    pool = _State.pool or _make_pool()
    cpus = cpu_limits.affinity()
    if cpus is not pool.cpus:
        pool.confine(cpus)
    pool.run(job, block, workers)


def _make_pool() -> NativePool | PortablePool:
    kind = config.get("pool")
    if kind not in _POOLS:
        raise ParamError(
            f"the setting pool is {kind!r}, expected one of {', '.join(_POOLS)}",
            argument="pool",
            got=kind,
            expected=_POOLS,
        )
    with _State.lock:
        if _State.pool is None:
            native = kind == "native" and os_threads.AVAILABLE
            _State.pool = NativePool(cpu_limits.affinity()) if native else PortablePool()
        return _State.pool


def stop() -> None:
    """End the pool's threads; the next job that wants some starts new ones."""
    with _State.lock:
        pool, _State.pool = _State.pool, None
    if pool is not None:
        pool.stop()


def _at_exit() -> None:
    _State.ended = True
    stop()


def _after_fork() -> None:
    """A child has none of its parent's threads: it starts a pool of its own when it needs one."""
    _State.lock = threading.RLock()
    if _State.pool is not None:
        _State.pool.forget()
        _State.pool = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
offer_to_threadpoolctl(available, set_limit)
