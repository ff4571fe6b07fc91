"""Running one job on several threads.

A job is a compiled function (block, worker) that claims its tasks from a counter in its argument block until none is
left. So nobody splits the work beforehand, a thread that comes late finds nothing to do, and the caller never waits for
one that has not begun: it withdraws it. The threads are Python's; compiled code runs without the GIL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from .. import config

Job = Callable[[int, int], None]

_JOB = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def job_at(address: int) -> Job:
    """The compiled function at an address as something to call; calls release the GIL."""
    return _JOB(address)


def available() -> int:
    """How many threads a call may use: the setting `num_threads`, or the CPUs that this process may run on."""
    chosen = config.get("num_threads")
    if chosen is not None:
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_job(job: Job, block: int, workers: int) -> None:
    """Run a job to its end, on the calling thread and up to workers - 1 others."""
    helpers: list[Future[None]] = []
    with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: no new threads
        for worker in range(1, workers):
            helpers.append(_submit(job, block, worker, workers - 1))
    job(block, 0)
    begun = [h for h in helpers if not h.cancel()]
    if begun:
        wait(begun)


def _submit(job: Job, block: int, worker: int, size: int) -> Future[None]:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            # An outgrown pool finishes what it has and ends by itself.
            _pool = ThreadPoolExecutor(size, thread_name_prefix="mxconv")
            _pool_size = size
        return _pool.submit(job, block, worker)


def _after_fork() -> None:
    """A child has none of its parent's threads: it starts a pool of its own when it needs one."""
    global _lock, _pool, _pool_size
    _lock = threading.Lock()
    _pool = None
    _pool_size = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
