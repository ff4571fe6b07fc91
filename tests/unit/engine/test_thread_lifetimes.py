"""Thread pools and the life of a process: forks in every order, every way to end, CPUs taken away meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mxconv.engine import os_threads

HERE = Path(__file__).parent
needs_native = pytest.mark.skipif(not os_threads.AVAILABLE, reason="threads of our own are for Linux")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
both_pools = pytest.mark.parametrize("pool", [pytest.param("native", marks=needs_native), "portable"])

PRELUDE = """
import atexit, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking while there are threads: this is what is tested
import numpy as np
from mxconv import config
from mxconv.engine import threads
from mxconv.engine.execute import convolve
from thread_jobs import Work

def convolve_in_parallel(times=3):
    x, w, out = np.ones((1, 8, 40), "f4"), np.ones((16, 8, 3), "f4"), np.empty((1, 16, 38), "f4")
    how = dict(stride=(1,), dilation=(1,), pad_lo=(0,), pad_hi=(0,), groups=1)
    with config.override(num_threads=3, parallel_threshold=0):
        for _ in range(times):
            out[:] = 0
            convolve("forward", x, w, out, **how)
            assert (out == 24).all()

def meet(workers=3):
    work = Work(20)
    work.run(workers, meet=workers)
    work.check(workers)

def in_child(body, code=0):
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(99)
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code

def forever():
    while True:
        convolve_in_parallel(20)
"""


def run(pool: str, code: str, expected: int = 0) -> str:
    """Run a script to its end, which must come within a minute and with that exit code; returns what it printed."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        env={**os.environ, "MXCONV_POOL": pool, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    if not expected:
        assert not done.stderr
    return done.stdout


FORKS = {
    "before any job": "in_child(meet); meet()",
    "after a job": "meet(); in_child(meet); meet(); in_child(convolve_in_parallel); meet()",
    "twice over": "meet(); in_child(lambda: (meet(), in_child(meet), meet())); meet()",
    "a child that ends without any job": "meet(); in_child(lambda: None, 7); meet()",
    "a child that stops the pool": "meet(); in_child(threads.stop); meet()",
    "while another thread computes": """
        threading.Thread(target=forever, daemon=True).start()
        for _ in range(8):
            in_child(meet)
            meet_alone = Work(20)
            meet_alone.run(3)
            meet_alone.check(3)
    """,
    "while four other threads compute, from one that has begun no job": """
        for _ in range(4):
            threading.Thread(target=forever, daemon=True).start()
        for _ in range(8):
            in_child(convolve_in_parallel)
        convolve_in_parallel()
    """,
    "from another thread": """
        meet()
        other = threading.Thread(target=in_child, args=(meet,))
        other.start()
        other.join()
        meet()
    """,
    "multiprocessing after a job": """
        import multiprocessing
        convolve_in_parallel()
        with multiprocessing.get_context("fork").Pool(2) as processes:
            processes.map(convolve_in_parallel, range(1, 9))
        convolve_in_parallel()
    """,
    "right after a job, again and again": """
        work = Work(5)
        for _ in range(12):
            work.run(3)
            in_child(convolve_in_parallel)
        work.check(3)
    """,
}


@needs_fork
@both_pools
@pytest.mark.parametrize("code", FORKS.values(), ids=FORKS)
def test_fork(pool, code):
    run(pool, code)


ENDS = {
    "at once": ("pass", 0),
    "after a job": ("meet()", 0),
    "while the workers sleep": ("meet(); time.sleep(0.05)", 0),
    "sys.exit": ("meet(); sys.exit(3)", 3),
    "an exception": ("meet(); 1 / 0", 1),
    "os._exit": ("meet(); os._exit(4)", 4),
    "os._exit in another thread": ("""
        meet()
        threading.Thread(target=os._exit, args=(5,)).start()
        time.sleep(50)
    """, 5),
    "sys.exit in another thread": ("""
        meet()
        threading.Thread(target=lambda: (convolve_in_parallel(), sys.exit(6))).start()
    """, 0),
    "jobs from threads only": ("""
        callers = [threading.Thread(target=convolve_in_parallel, args=(50,)) for _ in range(4)]
        for caller in callers: caller.start()
    """, 0),
    "a daemon thread computes": ("""
        threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.3)
    """, 0),
    "daemon threads compute": ("""
        for _ in range(4): threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.3)
        sys.exit(8)
    """, 8),
    "a job after the pool has ended": ("""
        def late():
            work = Work(20)
            work.run(4)
            work.check(4)
            convolve_in_parallel()
            print("computed")
        atexit.unregister(threads._at_exit)
        atexit.register(late)
        atexit.register(threads._at_exit)
        meet()
    """, 0),
    "after a fork": ("""
        meet()
        child = os.fork()
        meet()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """, 0),
    "in a child that never had a job": ("""
        meet()
        child = os.fork()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """, 0),
}  # fmt: skip


@both_pools
@pytest.mark.parametrize(("code", "expected"), ENDS.values(), ids=ENDS)
def test_exit(pool, code, expected):
    if "fork" in code and not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    text = run(pool, code, expected)
    assert ("computed" in text) == ("late" in code)


CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
needs_two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs, and a system that lets a process choose")


@needs_two_cpus
@both_pools
def test_one_cpu_from_the_start(pool):
    assert run(pool, f"""
        os.sched_setaffinity(0, {{{CPUS[1]}}})
        print(threads.available())
        convolve_in_parallel()
        meet()
    """).split() == ["1"]  # fmt: skip


@needs_two_cpus
@needs_native
def test_threads_go_where_the_process_may_go():
    run("native", f"""
        from pathlib import Path
        def tasks():
            return {{int(task.name) for task in Path("/proc/self/task").iterdir()}}
        def allowed():
            return [os.sched_getaffinity(task) for task in tasks() - before]
        every = set({CPUS})
        before = tasks()
        meet(3)
        # A worker that was woken on its caller's CPU has moved to the others.
        assert len(allowed()) == 2 and all(cpus and cpus <= every for cpus in allowed()), allowed()
        for chosen in ({{max(every)}}, every, {{min(every)}}):
            os.sched_setaffinity(0, chosen)
            time.sleep(0.15)
            assert threads.available() == len(chosen)
            meet(3)
            assert all(cpus and cpus <= chosen for cpus in allowed()), (chosen, allowed())
    """)  # fmt: skip
