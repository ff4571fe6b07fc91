"""Two thread pools with one face: `run(job, block, workers)` does a job to its end, `stop()` ends the threads."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from .. import config
from ..jit import compiler
from ..jit import target as _target
from ..jit.concurrency import host_architecture
from ..jit.kernels.pool import MASK_WORDS, POOL, PULLABLE, RECORD, emit_pool
from ..jit.kernels.portable_pool import emit_portable_pool
from . import os_threads

# Numbers go as pointers here, which ctypes converts in half the time; in registers they are the same.
_JOB = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_DISPATCH = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_HALT = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_CONTROL = ctypes.CFUNCTYPE(ctypes.c_int64)
_STATE = ctypes.POINTER(ctypes.c_int32)
_HELP = ctypes.CFUNCTYPE(None, _STATE, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int64, _STATE)


class Job:
    """A compiled function (block, worker) that claims tasks until none is left; a call releases the GIL."""

    __slots__ = ("address", "call")

    def __init__(self, address: int) -> None:
        self.address = address
        self.call = _JOB(address)

    def __call__(self, block: int, worker: int) -> None:
        self.call(block, worker)


class NativePool:
    """Threads that only ever run compiled code: no GIL, no Python thread state (jit/kernels/pool.py, Linux)."""

    def __init__(self, cpus: Sequence[int]) -> None:
        target = _target.current()
        code = compiler.compile_module(emit_pool(target, host_architecture()), target, f"pool_{target.name}")
        self._dispatch = _DISPATCH(code.address("dispatch"))
        self._halt = _HALT(code.address("halt"))
        self._routine = code.address("worker")
        self._address = os_threads.lasting_memory(8 * len(POOL))
        self._slots = (ctypes.c_int64 * len(POOL)).from_address(self._address)
        self._handles: list[int] = []
        self._started = 0
        self._growing = threading.Lock()
        self._full = False
        for name, value in {
            "state": 1,  # closed
            "caller_cpu": -1,
            "spin_ns": 1000 * config.get("spin_us"),
            **os_threads.constants(),
        }.items():
            self._slots[POOL.index[name]] = value
        self.cpus: Sequence[int] = ()
        self.confine(cpus)

    def run(self, job: Job, block: int, workers: int) -> None:
        if self._started < workers - 1 and not self._full:
            self._grow(workers - 1)
        self._dispatch(self._address, job.address, block, workers)

    def _grow(self, size: int) -> None:
        if not self._growing.acquire(blocking=False):
            return  # another thread is at it; this job takes the workers that there are
        try:
            while self._started < size and not self._full:
                self._started += 1  # before all else: no number is ever given twice, whatever interrupts this
                record = os_threads.lasting_memory(8 * len(RECORD))
                slots = (ctypes.c_int64 * len(RECORD)).from_address(record)
                slots[RECORD.index["pool"]] = self._address
                slots[RECORD.index["worker"]] = self._started
                if self._started < PULLABLE:
                    self._slots[POOL.index[f"record{self._started}"]] = record
                handle = os_threads.start(self._routine, record)
                if handle is None:
                    self._full = True
                else:
                    self._handles.append(handle)
        finally:
            self._growing.release()

    def confine(self, cpus: Sequence[int]) -> None:
        """Keep the threads on these CPUs."""
        is_same = cpus == self.cpus
        self.cpus = cpus  # this very object is known again without being compared
        if is_same:
            return
        fits = max(cpus) < 64 * MASK_WORDS
        self._slots[POOL.index["cpus"]] = len(cpus) if fits else 0
        for i, word in enumerate(os_threads.cpu_mask(cpus, MASK_WORDS)):
            self._slots[POOL.index[f"allowed{i}"]] = ctypes.c_int64(word).value
        for handle in self._handles:
            os_threads.confine(handle, cpus)

    def stop(self) -> None:
        """End the threads, after the job that they are in; jobs that come later run on their caller's thread."""
        with self._growing:
            self._full = True
            self._halt(self._address)
            while self._handles:
                os_threads.join(self._handles.pop())

    def forget(self) -> None:
        """Called in a child after a fork, which has none of the threads: a job under way there waits for none."""
        self._slots[POOL.index["state"]] = 1


class PortablePool:
    """Python's threads, for the other operating systems; compiled code runs without the GIL there too."""

    def __init__(self) -> None:
        target = _target.current()
        code = compiler.compile_module(
            emit_portable_pool(target, host_architecture()), target, f"portable_pool_{target.name}"
        )
        self._control = _CONTROL(code.address("control"))
        self._help = _HELP(code.address("help"))
        self._close = _CLOSE(code.address("close"))
        self.cpus: Sequence[int] = ()
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._size = 0

    def run(self, job: Job, block: int, workers: int) -> None:
        state, control = ctypes.c_int32(0), self._control()
        helpers: list[Future[None]] = []
        try:
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: no new threads
                for worker in range(1, workers):
                    helpers.append(self._submit(workers - 1, state, control, job.address, block, worker))
            job(block, 0)
        finally:
            self._end(state, helpers)

    def _end(self, state: ctypes.c_int32, helpers: Sequence[Future[None]]) -> None:
        """Wait for those inside, come what may (Ctrl-C): they use the caller's memory. Nobody enters any more."""
        try:
            while self._close(state):
                time.sleep(0)
            for helper in helpers:
                helper.cancel()
        except BaseException:
            self._end(state, ())
            raise

    def _submit(self, size: int, *arguments: object) -> Future[None]:
        with self._lock:
            if self._executor is None or self._size < size:
                # An outgrown executor finishes what it has and ends by itself.
                self._executor = ThreadPoolExecutor(size, thread_name_prefix="mxconv")
                self._size = size
            return self._executor.submit(self._help, *arguments)

    def confine(self, cpus: Sequence[int]) -> None:
        """Nothing but to note them: elsewhere threads are not bound to CPUs."""
        self.cpus = cpus

    def stop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()

    def forget(self) -> None:
        """Nothing: a new pool is made."""
