"""Compiled jobs to test thread pools with, and the memory that they work on."""

from __future__ import annotations

import functools

import numpy as np

from mxconv.engine import threads
from mxconv.engine.workspace import address_of
from mxconv.jit import compiler
from mxconv.jit import target as target_module
from mxconv.jit.concurrency import (
    atomic_load,
    atomic_update,
    float_control,
    host_architecture,
    repeat,
    set_float_control,
)
from mxconv.jit.ir import F32, I64, PTR, Module
from mxconv.jit.kernels.blocks import Layout

WORKERS = 64
BLOCK = Layout(
    ("next", "tasks", "length", "done", "by_worker", "inside", "clashes", "meet", "arrived", "controls", "products")
)
TINY = 1e-39
"""A float32 that is subnormal."""


@functools.cache
def module() -> compiler.CompiledModule:
    """`work(block, worker)`, the job; `set_control(word)` for the calling thread."""
    target, architecture = target_module.current(), host_architecture()
    m = Module(target)
    with m.function("work", exported=True, block=PTR, worker=I64) as f:
        block, worker = f.args["block"], f.args["worker"]
        done, by_worker, inside, controls, products = (
            BLOCK.pointer(f, block, name) for name in ("done", "by_worker", "inside", "controls", "products")
        )
        tasks, length = BLOCK.read(f, block, "tasks", "length")
        one = f.constant(1, I64)
        # Nobody else may be inside with the same number.
        before = atomic_update(f, "add", f.offset(inside, worker, I64), one)
        atomic_update(f, "add", BLOCK.address(f, block, "clashes"), before)
        # Wait until so many have come, so that a test is sure to have them.
        atomic_update(f, "add", BLOCK.address(f, block, "arrived"), one)
        with repeat(f) as waiting:
            here = atomic_load(f, I64, BLOCK.address(f, block, "arrived"))
            waiting.leave_when(atomic_load(f, I64, BLOCK.address(f, block, "meet")) <= here)
        f.store(float_control(f, architecture), controls, worker)
        f.store(f.load(F32, products, worker) * 0.5, products, worker)
        with f.tasks(BLOCK.address(f, block, "next"), tasks) as task:
            with f.loop(0, length) as i:
                f.store(f.load(I64, by_worker, worker) ^ i ^ i, by_worker, worker)
            f.store(f.load(I64, done, task) + 1, done, task)
            f.store(f.load(I64, by_worker, worker) + 1, by_worker, worker)
        atomic_update(f, "sub", f.offset(inside, worker, I64), one)
    with m.function("set_control", exported=True, word=I64, unused=I64) as f:
        set_float_control(f, f.args["word"], architecture)
    with m.function("get_control", exported=True, to=PTR, unused=I64) as f:
        f.store(float_control(f, architecture), f.args["to"])
    return compiler.compile_module(m.text(), target, "thread_jobs")


class Work:
    """A job that counts: tasks done, by whom, and whether two threads ever had one number."""

    def __init__(self, tasks: int, length: int = 0) -> None:
        self.job = threads.job_at(module().address("work"))
        self.done = np.zeros(max(1, tasks), np.int64)
        self.by_worker = np.zeros(WORKERS, np.int64)
        self.inside = np.zeros(WORKERS, np.int64)
        self.controls = np.full(WORKERS, -1, np.int64)
        self.products = np.full(WORKERS, TINY, np.float32)
        self.block = BLOCK.fill({"tasks": tasks, "length": length})
        for name in ("done", "by_worker", "inside", "controls", "products"):
            self.block[BLOCK.index[name]] = address_of(getattr(self, name))
        self.runs = 0

    def run(self, workers: int, meet: int = 0) -> None:
        for name, value in {"next": 0, "arrived": 0, "meet": meet}.items():
            self.block[BLOCK.index[name]] = value
        self.runs += 1
        threads.run_job(self.job, address_of(self.block), workers)

    def check(self, workers: int) -> None:
        """Every task was done once a run, by workers that were asked, no two with one number."""
        tasks = int(self.block[BLOCK.index["tasks"]])
        assert (self.done[:tasks] == self.runs).all()
        assert self.by_worker.sum() == tasks * self.runs
        assert not self.by_worker[max(1, workers) :].any()
        assert self.block[BLOCK.index["clashes"]] == 0
        assert not self.inside.any()


def set_float_control_here(word: int) -> None:
    threads.job_at(module().address("set_control"))(word, 0)


def float_control_here() -> int:
    to = np.zeros(1, np.int64)
    threads.job_at(module().address("get_control"))(address_of(to), 0)
    return int(to[0])
