"""How long the first call takes: `python benchmarks/startup.py [ROUNDS]`.

Three medians over fresh processes, each round with an empty code cache of its own:

* importing mxconv, on top of importing NumPy;
* the first call, which has to compile its kernel;
* the same call in a second process, which finds the kernel in the code cache.

Exits with status 1 if one is over its limit: run it on a quiet machine. On a busy one the column "cpu ms", the
processor time of the same stretch over all threads, says more. Python's own bytecode is there, as after an
installation by pip, also where PYTHONDONTWRITEBYTECODE is set. The calls are a 3x3 Convolution and a 4x4 stride-2
Deconvolution of a (1, 16, 56, 56) float32 array, timed until the answer is there.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

LIMITS = {"import": 150.0, "new kernel": 400.0, "cached kernel": 30.0}

CHILD = """
import json, sys, time
import numpy as np
def clocks():
    return np.array([time.perf_counter(), time.process_time()])
start = clocks()
import mxconv as mx
imported = clocks()
x = mx.nd.array(np.ones((1, 16, 56, 56), np.float32))
w = mx.nd.array(np.ones(json.loads(sys.argv[2]), np.float32))
call = clocks()
if sys.argv[1] == "Convolution":
    y = mx.nd.Convolution(x, w, kernel=(3, 3), pad=(1, 1), num_filter=16, no_bias=True)
else:
    y = mx.nd.Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=16)
y.wait_to_read()
done = clocks()
print(json.dumps([list(1e3 * (imported - start)), list(1e3 * (done - call))]))
"""


class Sample(NamedTuple):
    """Milliseconds by the clock on the wall, and of processor time."""

    wall: float
    cpu: float


def run(operator: str, weight: tuple[int, ...], cache: str, bytecode: str) -> tuple[Sample, Sample]:
    """What the import and the call took, in a new process."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, operator, json.dumps(weight)],
        env={**inherited, "MXCONV_CACHE_DIR": cache, "PYTHONPYCACHEPREFIX": bytecode},
        check=True,
        capture_output=True,
        text=True,
    )
    imported, called = (Sample(*milliseconds) for milliseconds in json.loads(done.stdout))
    return imported, called


def measure(rounds: int, bytecode: str) -> dict[str, dict[str, list[Sample]]]:
    """Every sample, by operator and by what was timed; `bytecode` is a folder for Python's."""
    samples: dict[str, dict[str, list[Sample]]] = {}
    for operator, weight in {"Convolution": (16, 16, 3, 3), "Deconvolution": (16, 16, 4, 4)}.items():
        rows = samples[operator] = {name: [] for name in LIMITS}
        for number in range(rounds + 1):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
                imported, new = run(operator, weight, cache, bytecode)
                _, cached = run(operator, weight, cache, bytecode)
            if number == 0:  # it wrote the bytecode
                continue
            for name, value in zip(LIMITS, (imported, new, cached), strict=True):
                rows[name].append(value)
    return samples


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, {rounds} rounds")
    print(f"{'operator':<15}{'what':<15}{'median ms':>11}{'min':>8}{'max':>8}{'limit':>8}{'cpu ms':>8}")
    broken = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as bytecode:
        measured = measure(rounds, bytecode)
    for operator, rows in measured.items():
        for name, samples in rows.items():
            values = [s.wall for s in samples]
            median = statistics.median(values)
            over = median > LIMITS[name]
            broken += over
            print(
                f"{operator:<15}{name:<15}{median:>11.1f}{min(values):>8.1f}{max(values):>8.1f}"
                f"{LIMITS[name]:>8.0f}{statistics.median(s.cpu for s in samples):>8.1f}{'  over' if over else ''}"
            )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
