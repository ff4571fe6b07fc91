"""How long the first call takes: `python benchmarks/startup.py [ROUNDS]`.

Three medians over fresh processes, each round with an empty code cache of its own:

* importing mxconv, on top of importing NumPy;
* the first call, which has to compile its kernel;
* the same call in a second process, which finds the kernel in the code cache.

Exits with status 1 if one is over its limit. The calls are a 3x3 Convolution and a 4x4 stride-2 Deconvolution
of a (1, 16, 56, 56) float32 array, timed until the answer is there.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

LIMITS = {"import": 150.0, "new kernel": 400.0, "cached kernel": 30.0}

CHILD = """
import json, sys, time
import numpy as np
start = time.perf_counter()
import mxconv as mx
imported = time.perf_counter()
x = mx.nd.array(np.ones((1, 16, 56, 56), np.float32))
w = mx.nd.array(np.ones(json.loads(sys.argv[2]), np.float32))
call = time.perf_counter()
if sys.argv[1] == "Convolution":
    y = mx.nd.Convolution(x, w, kernel=(3, 3), pad=(1, 1), num_filter=16, no_bias=True)
else:
    y = mx.nd.Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=16)
y.wait_to_read()
done = time.perf_counter()
print(json.dumps([1e3 * (imported - start), 1e3 * (done - call)]))
"""


def run(operator: str, weight: tuple[int, ...], cache: str) -> tuple[float, float]:
    """Milliseconds of the import and of the call, in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, operator, json.dumps(weight)],
        env={**os.environ, "MXCONV_CACHE_DIR": cache},
        check=True,
        capture_output=True,
        text=True,
    )
    imported, called = json.loads(done.stdout)
    return imported, called


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Every sample in milliseconds, by operator and by what was timed."""
    samples: dict[str, dict[str, list[float]]] = {}
    for operator, weight in {"Convolution": (16, 16, 3, 3), "Deconvolution": (16, 16, 4, 4)}.items():
        rows = samples[operator] = {name: [] for name in LIMITS}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
                imported, new = run(operator, weight, cache)
                _, cached = run(operator, weight, cache)
            for name, value in zip(LIMITS, (imported, new, cached), strict=True):
                rows[name].append(value)
    return samples


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, {rounds} rounds")
    print(f"{'operator':<15}{'what':<15}{'median ms':>11}{'min':>8}{'max':>8}{'limit':>8}")
    broken = 0
    for operator, rows in measure(rounds).items():
        for name, values in rows.items():
            median = statistics.median(values)
            over = median > LIMITS[name]
            broken += over
            print(
                f"{operator:<15}{name:<15}{median:>11.1f}{min(values):>8.1f}{max(values):>8.1f}"
                f"{LIMITS[name]:>8.0f}{'  over' if over else ''}"
            )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
