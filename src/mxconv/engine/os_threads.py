"""What the thread pool needs of the operating system: threads that never were Python's, and libc's addresses.

Linux on x86-64 and aarch64 only; `AVAILABLE` says whether this is it. Elsewhere Python starts the threads.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import signal
import sys
from collections.abc import Collection

_SYSTEM_CALLS = {"x86_64": {"futex": 202, "gettid": 186}, "aarch64": {"futex": 98, "gettid": 178}}
_C_FUNCTIONS = ("syscall", "clock_gettime", "sched_getcpu", "sched_setaffinity")

AVAILABLE = sys.platform == "linux" and platform.machine() in _SYSTEM_CALLS


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def constants() -> dict[str, int]:
    """What the compiled half of the pool must be told: addresses in libc, and the numbers of system calls."""
    libc = _libc()
    addresses = {name: ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0 for name in _C_FUNCTIONS}
    return {**_SYSTEM_CALLS[platform.machine()], **addresses}


def lasting_memory(size: int) -> int:
    """The address of so many zero bytes that are never freed: threads may use them until the process is gone."""
    allocate = _libc().aligned_alloc
    allocate.restype = ctypes.c_void_p
    allocate.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    address = allocate(128, -(-size // 128) * 128)
    if not address:
        raise MemoryError(f"no {size} bytes for the thread pool")
    ctypes.memset(address, 0, size)
    return int(address)


def start(routine: int, argument: int) -> int | None:
    """Start a thread at a compiled function; it takes no signals, so that Python's handlers stay where they belong.

    Returns its handle, or None if the system does not allow another thread.
    """
    create = _libc().pthread_create
    create.argtypes = (ctypes.c_void_p,) * 4
    handle = ctypes.c_ulong()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        failed = create(ctypes.byref(handle), None, routine, argument)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return None if failed else handle.value


def join(handle: int) -> None:
    """Wait for a thread's end."""
    _libc().pthread_join(ctypes.c_ulong(handle), None)


def confine(handle: int, cpus: Collection[int]) -> None:
    """Let a thread run on these CPUs only. (Where the system forbids that, it stays as it is.)"""
    mask = cpu_mask(cpus, max(cpus) // 64 + 1)
    _libc().pthread_setaffinity_np(ctypes.c_ulong(handle), ctypes.c_size_t(ctypes.sizeof(mask)), mask)


def cpu_mask(cpus: Collection[int], words: int) -> ctypes.Array[ctypes.c_uint64]:
    """A set of CPUs as bits in so many 64-bit words; those that do not fit are left out."""
    mask = (ctypes.c_uint64 * words)()
    for cpu in cpus:
        if cpu < 64 * words:
            mask[cpu // 64] |= 1 << cpu % 64
    return mask
