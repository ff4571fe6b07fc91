"""What it costs to share a job with other threads: `python benchmarks/threads.py [WORKERS]`.

The time of an empty job, from Python and back: called again and again, when the workers still spin, and 5 ms after the
last one, when they sleep and must be woken. The caller does not wait for whoever has not come: late workers cost the
help that they would have been, not time. The row "alone" is the call without a pool, which every job pays. Run it on
a quiet machine; microseconds.
"""

from __future__ import annotations

import os
import sys
import time

from mxconv.engine import os_threads, threads
from mxconv.jit import compiler, target
from mxconv.jit.ir import I64, PTR, Module

IDLE_SECONDS = 0.005
AGAIN, AFTER_IDLE = 20_000, 300


def empty_job() -> threads.Job:
    """A compiled job that finds nothing to do."""
    module = Module(target.current())
    with module.function("empty", exported=True, block=PTR, worker=I64):
        pass
    return threads.job_at(compiler.compile_module(module.text(), target.current(), "empty").address("empty"))


def times(job: threads.Job, workers: int, calls: int, idle: float) -> list[float]:
    """Sorted microseconds of so many calls, each after that many seconds of sleep."""
    threads.run_job(job, 0, workers)
    result = []
    for _ in range(calls):
        if idle:
            time.sleep(idle)
        start = time.perf_counter()
        threads.run_job(job, 0, workers)
        result.append(1e6 * (time.perf_counter() - start))
    return sorted(result)


def main() -> None:
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else max(2, threads.available())
    job = empty_job()
    print(f"{'pool':<10}{'workers':>8}{'again p50':>12}{'p90':>8}{'after idle p50':>17}{'p90':>8}")
    for kind in ("alone", *(["native"] if os_threads.AVAILABLE else []), "portable"):
        threads.stop()
        os.environ["MXCONV_POOL"] = "native" if kind == "alone" else kind
        count = 1 if kind == "alone" else workers
        row = [t[int(q * len(t))] for t in (times(job, count, AGAIN, 0), times(job, count, AFTER_IDLE, IDLE_SECONDS))
               for q in (0.5, 0.9)]  # fmt: skip
        print(f"{kind:<10}{count:>8}{row[0]:>12.1f}{row[1]:>8.1f}{row[2]:>17.1f}{row[3]:>8.1f}")


if __name__ == "__main__":
    main()
