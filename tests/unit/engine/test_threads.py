"""The thread pools, native and portable: every task once, no two workers with one number, whoever calls and when."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import os_threads, threads
from mxconv.engine.execute import convolve
from mxconv.engine.pools import NativePool
from mxconv.errors import ParamError
from mxconv.jit.concurrency import host_architecture

from .thread_jobs import TINY, Work, float_control_here, set_float_control_here

needs_native = pytest.mark.skipif(not os_threads.AVAILABLE, reason="threads of our own are for Linux")
KINDS = [pytest.param("native", marks=needs_native), "portable"]


@pytest.fixture(params=KINDS)
def pool(request, monkeypatch):
    monkeypatch.setenv("MXCONV_POOL", request.param)
    threads.stop()
    yield request.param
    threads.stop()


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("tasks", [0, 1, 7, 500])
def test_every_task_is_done_once(pool, tasks, workers):
    work = Work(tasks, length=20)
    for _ in range(20):
        work.run(workers)
    work.check(workers)


@pytest.mark.parametrize("workers", [2, 8])
def test_twenty_thousand_tiny_jobs(pool, workers):
    work = Work(3)
    for _ in range(20_000 if pool == "native" else 2_000):
        work.run(workers)
    work.check(workers)


def test_all_workers_come_if_the_job_lasts(pool):
    for workers in (2, 5, 3, 8):
        work = Work(100)
        work.run(workers, meet=workers)
        assert (work.controls[:workers] >= 0).all()
        assert (work.controls[workers:] == -1).all()
        work.check(workers)


def test_a_job_for_few_leaves_the_others_alone(pool):
    Work(8).run(8, meet=8)
    work = Work(50, length=50)
    for _ in range(200):
        work.run(2)
    work.check(2)


@pytest.mark.parametrize("line_threads", [1, 2, 5, 8])
def test_a_convolution_has_one_result(pool, line_threads):
    rng = np.random.default_rng(1)
    x, w = (rng.standard_normal(shape).astype("f4") for shape in ((1, 20, 30, 31), (40, 20, 3, 3)))
    how = {"stride": (1, 1), "dilation": (1, 1), "pad_lo": (1, 1), "pad_hi": (1, 1), "groups": 1}
    results = set()
    for count in (1, line_threads):
        out = np.empty((1, 40, 30, 31), "f4")
        with config.override(num_threads=count, parallel_threshold=0):
            for _ in range(5):
                convolve("forward", x, w, out, **how)
                results.add(out.tobytes())
    assert len(results) == 1


def test_eight_python_threads_at_once(pool):
    works = [Work(5 + i, length=10 * i) for i in range(8)]
    mistakes = []

    def call(work, i):
        try:
            for turn in range(600):
                work.run(1 + (turn + i) % 4)
        except Exception as error:
            mistakes.append(error)

    callers = [threading.Thread(target=call, args=(work, i)) for i, work in enumerate(works)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not mistakes
    for work in works:
        work.check(4)


def test_eight_python_threads_convolve(pool):
    rng = np.random.default_rng(2)
    how = {"stride": (1,), "dilation": (1,), "pad_lo": (0,), "pad_hi": (0,), "groups": 1}
    wrong = []

    def call(seed):
        x = rng.integers(-3, 4, (1, 6, 40 + seed)).astype("f4")
        w = rng.integers(-3, 4, (9, 6, 3)).astype("f4")
        expected = np.einsum("ock,bclk->bol", w, np.lib.stride_tricks.sliding_window_view(x, 3, axis=2))
        with config.override(num_threads=2, parallel_threshold=0):
            for _ in range(150):
                out = np.full(expected.shape, np.nan, "f4")
                convolve("forward", x, w, out, **how)
                if not np.array_equal(out, expected):
                    wrong.append(seed)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_job_inside_a_job(pool):
    inner, outer = Work(20, length=5), Work(30)
    lock = threading.Lock()
    plain = outer.job

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    def job(block, worker):
        with lock:  # one argument block serves one job at a time
            inner.run(3)
        plain(block, worker)

    outer.job = threads.job_at(ctypes.cast(job, ctypes.c_void_p).value)
    for _ in range(30):
        outer.run(3)
    inner.check(3)
    outer.check(3)


def test_threads_that_may_not_be_started_are_not_missed(monkeypatch):
    threads.stop()
    monkeypatch.setattr(os_threads, "start", lambda routine, argument: None)
    work = Work(50)
    for _ in range(50):
        work.run(4)
    work.check(1)
    threads.stop()


@needs_native
def test_threads_that_never_enter_are_not_waited_for(monkeypatch):
    threads.stop()
    monkeypatch.setattr(os_threads, "start", lambda routine, argument: 1)
    monkeypatch.setattr(os_threads, "join", lambda handle: None)
    monkeypatch.setattr(os_threads, "confine", lambda handle, cpus: None)
    work = Work(50)
    for _ in range(50):
        work.run(4)
    work.check(1)
    threads.stop()


@contextmanager
def busy(count, cpus=None):
    """Other processes that keep CPUs busy."""
    burn = "import time\nend = time.monotonic() + 30\nprint(flush=True)\nwhile time.monotonic() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for other in others:
            other.stdout.readline()  # it has begun
            if cpus:
                os.sched_setaffinity(other.pid, cpus)
        yield
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_all_cpus_busy(pool):
    with busy(os.cpu_count() or 1):
        work = Work(16, length=2000)
        for _ in range(300):
            work.run(2)
        work.check(2)


def tasks():
    """The system's numbers of this process's threads."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


@needs_native
@pytest.mark.skipif(os_threads.AVAILABLE and len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_a_worker_that_gets_no_time_is_pulled_away(monkeypatch):
    monkeypatch.setenv("MXCONV_POOL", "native")
    monkeypatch.setattr(NativePool, "confine", lambda self, cpus: None)
    threads.stop()
    cpus, before = os.sched_getaffinity(0), tasks()
    Work(2).run(2, meet=2)
    (worker,) = tasks() - before
    os.setpriority(os.PRIO_PROCESS, worker, 5)
    first, second = sorted(cpus)[:2]
    try:
        with busy(2, {second}):
            os.sched_setaffinity(0, {first})
            work = Work(2, length=8_000_000)  # longer than a time slice
            for _ in range(100):
                os.sched_setaffinity(worker, {second})
                work.run(2, meet=2)
                if os.sched_getaffinity(worker) == {first}:
                    break
            else:
                pytest.fail("the worker was left to wait for the busy CPU a hundred times")
            work.check(2)
    finally:
        os.sched_setaffinity(0, cpus)
        threads.stop()


@pytest.mark.skipif(host_architecture() == "other", reason="only x86-64 and aarch64 have a control word that we know")
def test_workers_compute_as_the_caller_does(pool):
    x86 = host_architecture() == "x86_64"
    usual = float_control_here()
    flushing = usual | (0x8040 if x86 else 1 << 24)
    for word in (usual, flushing, usual):
        work = Work(10)
        set_float_control_here(word)
        try:
            work.run(3, meet=3)
        finally:
            set_float_control_here(usual)
        status = 0x3F if x86 else 0  # bits that arithmetic sets
        assert ((work.controls[:3] | status) == (word | status)).all()
        half = np.float32(TINY) * np.float32(0.5)
        assert (work.products[:3].tolist()) == [0 if word == flushing else half] * 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that interrupt")
def test_nobody_is_left_behind_when_a_call_is_interrupted(pool):
    class Interruption(Exception):
        pass

    def interrupt(number, frame):
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for delay in np.linspace(0.001, 0.03, 25):
            work = Work(6, length=5_000_000)
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                work.run(3)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interruption:
                interrupted += 1
            assert not work.inside.any(), "a worker uses memory that the caller would free"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted


@needs_native
def test_workers_take_no_signals(monkeypatch):
    monkeypatch.setenv("MXCONV_POOL", "native")
    threads.stop()
    before = tasks()
    Work(3).run(3, meet=3)
    ours = tasks() - before
    assert len(ours) == 2
    for task in ours:
        status = Path(f"/proc/self/task/{task}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        blocked = int(fields["SigBlk"], 16)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGALRM, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
            assert blocked >> (number - 1) & 1
    threads.stop()
    assert not ours & tasks(), "stop() left threads behind"


def test_no_spinning_at_all(pool, monkeypatch):
    monkeypatch.setenv("MXCONV_SPIN_US", "0")
    threads.stop()
    work = Work(4)
    for _ in range(500):
        work.run(3)
    work.run(3, meet=3)
    work.check(3)


def test_a_pool_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("MXCONV_POOL", "swimming")
    threads.stop()
    with pytest.raises(ParamError, match=r"swimming.*native, portable"):
        Work(4).run(2)


def test_available_follows_the_setting_and_the_limit(monkeypatch):
    monkeypatch.delenv("MXCONV_NUM_THREADS", raising=False)
    every = threads.available()
    assert every == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every >= 1
    monkeypatch.setenv("MXCONV_NUM_THREADS", "7")
    assert threads.available() == 7
    with config.override(num_threads=3):
        assert threads.available() == 3
    try:
        threads.set_limit(2)
        assert threads.available() == 2
        threads.set_limit(0)
        assert threads.available() == 1
    finally:
        threads.set_limit(7)
    monkeypatch.delenv("MXCONV_NUM_THREADS")
    assert threads.available() == every
