"""The process of one contestant: `python server.py PLUGIN THREADS`, then one JSON request a line on standard input.

    {"do": "start"}                                                -> {"version": "torch 2.13.0"}
    {"do": "prepare", "problem": {...}, "folder": F, "answer": A}  -> {"prepare": s, "first": s, "again": s, "info": {}}
    {"do": "burst", "calls": 20, "sweep": 0}                       -> {"seconds": [...]}

PLUGIN is a module of peers/ or the path of a file. `prepare` reads x, w, y and bias as far as the problem has them from
F/x.npy and so on and writes A: arrays pass through files, outside the clock. Whatever cannot be done is answered by
{"refused": why}, whatever goes wrong by {"failed": what}. What libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
import time
import types
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the folder of harness/ and peers/

import numpy as np  # noqa: E402

from harness.peer import Prepared, Problem, Refusal  # noqa: E402


class Server:
    """Answers requests for one plug-in."""

    def __init__(self, plugin: str, threads: int) -> None:
        self.plugin = plugin
        self.threads = threads
        self.module: Any = None
        self.prepared: Prepared | None = None
        self.inputs: list[np.ndarray] = []

    def start(self) -> dict[str, Any]:
        if self.plugin.endswith(".py"):
            self.module = types.SimpleNamespace(**runpy.run_path(self.plugin))
        else:
            self.module = importlib.import_module(f"peers.{self.plugin}")
        return {"version": self.module.start(self.threads)}

    def prepare(self, problem: dict[str, Any], folder: str, answer: str) -> dict[str, Any]:
        """Make the problem ready, call it twice and store the answer."""
        self.prepared = None
        task = Problem.from_json(problem)
        names = [*task.inputs, *(["bias"] if task.has_bias else [])]
        arrays = {name: np.load(Path(folder, f"{name}.npy")) for name in names}
        self.inputs = [arrays[name] for name in task.varying]
        begin = time.perf_counter()
        prepared = self.module.prepare(task, {k: v for k, v in arrays.items() if k not in task.varying})
        ready = time.perf_counter()
        result = prepared.call(*self.inputs)
        first = time.perf_counter()
        np.save(answer, result)
        start = time.perf_counter()
        prepared.call(*self.inputs)
        again = time.perf_counter() - start
        self.prepared = prepared
        return {"prepare": ready - begin, "first": first - ready, "again": again, "info": prepared.info}

    def burst(self, calls: int, sweep: int) -> dict[str, Any]:
        """Time each of some calls; before each, write over `sweep` bytes to empty the caches."""
        assert self.prepared is not None
        call, inputs, clock = self.prepared.call, self.inputs, time.perf_counter
        broom = np.zeros(sweep, np.uint8)
        seconds = []
        for _ in range(calls):
            if sweep:
                broom += 1
            start = clock()
            call(*inputs)
            seconds.append(clock() - start)
        return {"seconds": seconds}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; never raises."""
        do = request.pop("do")
        try:
            return {"start": self.start, "prepare": self.prepare, "burst": self.burst}[do](**request)
        except Refusal as refusal:
            return {"refused": str(refusal)}
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def _die_with_parent() -> None:
    """A harness that is killed must not leave stopped processes behind (Linux only; elsewhere none are stopped)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def _use_cpus(count: int) -> None:
    """Leave this process as many CPUs as it may have threads, before any library counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main() -> None:
    """Serve until standard input ends."""
    plugin, threads = sys.argv[1], int(sys.argv[2])
    _die_with_parent()
    _use_cpus(threads)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    gc.disable()
    server = Server(plugin, threads)
    for line in sys.stdin:
        replies.write(json.dumps(server.answer(json.loads(line))) + "\n")
        replies.flush()
    replies.close()
    os._exit(0)  # some libraries hang or crash while the interpreter ends


if __name__ == "__main__":
    main()
