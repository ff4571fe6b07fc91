"""The thread pool's compiled half: what a worker does all its life, and how a caller shares a job with the workers.

A job is a function (block, worker) that claims tasks until none is left, so nobody must come for it to be done. The
caller publishes it, wakes sleeping workers, runs it as worker 0, closes it, and waits only for those that have entered.
`state` holds all of that: bit 0 closed, bit 1 the caller sleeps, above them how many workers are inside.

A worker sees a new job by `epoch`. It spins on it for a while and then sleeps (futex), but does not spin on the
caller's own CPU, where some schedulers wake it although others are idle: it moves away from there instead. And a
worker inside a job whose CPU another program has taken would keep the caller waiting for a time slice: the caller, who
sees that its clock of used time stands still, pulls it to its own CPU and sleeps. As long as all inside run, it spins:
a CPU that idles draws the other program here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..concurrency import (
    Architecture,
    Repeat,
    atomic_load,
    atomic_store,
    atomic_update,
    call_at,
    exchange_if,
    float_control,
    null,
    pause,
    repeat,
    run_under,
)
from ..ir import I1, I32, I64, PTR, Function, Module, Value
from ..target import Target
from .blocks import Layout

MASK_WORDS = 16
"""64-bit words of a set of CPUs; on a machine with more CPUs workers stay where they are."""
_LINE = 16  # slots: 128 bytes, as CPUs fetch cache lines in pairs
CLOSED, SLEEPING, ONE_INSIDE = 1, 2, 4
_WAIT, _WAKE = 128 + 9, 128 + 10  # FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET, both FUTEX_PRIVATE
_CHECK_EVERY = 32  # pauses between two looks at the clock
_PATIENCE_NS = 20_000  # what a caller waits before it looks whether a worker runs, and how long it looks
_MOST_ROUNDS = 50  # of that, before the caller sleeps while all run
_NAP_NS = 1_000_000  # how long a caller sleeps before it looks again
PULLABLE = 64
"""Workers from this number on are left where they are."""


def _on_lines(*lines: tuple[str, ...]) -> Layout:
    """A layout in which each tuple has cache lines of its own."""
    names: list[str] = []
    for line in lines:
        names += (*line, *(f"unused{len(names) + i}" for i in range(len(line), -(-len(line) // _LINE) * _LINE)))
    return Layout(names)


POOL = _on_lines(
    ("epoch",),
    ("state",),
    ("sleepers",),
    ("lock", "job", "block", "workers", "control", "caller_cpu"),
    ("stop", "spin_ns", "cpus", "futex", "gettid", "syscall", "clock_gettime", "sched_getcpu", "sched_setaffinity"),
    tuple(f"allowed{i}" for i in range(MASK_WORDS)),
    tuple(f"mask{i}" for i in range(MASK_WORDS)),
    tuple(f"record{i}" for i in range(PULLABLE)),
)
"""What the threads of a pool share. `futex` and `gettid` are numbers of system calls, those after them addresses in
libc; `allowed` is the set of CPUs, and `cpus` their count (0: do not move); `mask` is the caller's room for such a set,
and `record` points to the workers' records by their numbers."""
RECORD = _on_lines(("pool", "worker"), ("thread", "inside", "pulled"), tuple(f"mask{i}" for i in range(MASK_WORDS)))
"""What one worker is started with: the pool, its number from 1 on, and room for a set of CPUs; and what it tells of
itself: the system's number for the thread, whether it is inside a job; and whether a caller has pulled it."""


def emit_pool(target: Target, architecture: Architecture) -> str:
    """Exported: `worker(record)`, a thread's start routine; `dispatch(pool, job, block, workers)`; `halt(pool)`.

    `dispatch` returns 1 if it shared the job, and 0 if it ran it alone because another thread's job has the workers.
    After `halt` every worker ends when it has left the job that it is in.
    """
    module = Module(target)
    emitter = _Emitter(module, architecture)
    emitter.futex()
    emitter.on_callers_cpu()
    emitter.now()
    emitter.move_away()
    emitter.pull()
    emitter.pull_those_that_stand()
    emitter.take_part()
    emitter.await_epoch()
    emitter.await_workers()
    emitter.serve()
    emitter.worker()
    emitter.dispatch()
    emitter.halt()
    return module.text()


class _Emitter:
    """One method a function; each appends it to the module."""

    def __init__(self, module: Module, architecture: Architecture) -> None:
        self.module = module
        self.architecture = architecture

    def at(self, f: Function, name: str) -> Value:
        return POOL.address(f, f.args["pool"], name)

    def get(self, f: Function, name: str) -> Value:
        """A slot that another thread may be writing."""
        return atomic_load(f, I64, self.at(f, name), "monotonic")

    def c_function(self, f: Function, name: str) -> Value:
        return POOL.pointer(f, f.args["pool"], name)

    def futex(self) -> None:
        """futex(pool, at, operation, value, until, bits)"""
        with self.module.function("futex", pool=PTR, at=PTR, operation=I64, value=I64, until=PTR, bits=I64) as f:
            a = f.args
            args = [self.get(f, "futex"), a["at"], a["operation"], a["value"], a["until"], null(f), a["bits"]]
            call_at(f, self.c_function(f, "syscall"), args, I64, fixed=1)

    def on_callers_cpu(self) -> None:
        """on_callers_cpu(pool) -> i1"""
        with self.module.function("on_callers_cpu", pool=PTR) as f:
            here = self.here(f)
            f.give(here.equals(self.get(f, "caller_cpu")) & (here >= 0))

    def here(self, f: Function) -> Value:
        cpu = call_at(f, self.c_function(f, "sched_getcpu"), [], I32)
        assert cpu is not None
        return f.cast("sext", cpu, I64)

    def now(self) -> None:
        """now(pool, clock) -> i64, in nanoseconds; 0 where the system does not tell"""
        with self.module.function("now", pool=PTR, clock=I32) as f:
            time = Value(f, PTR, f.variable(I64.of(2), 0).ref)
            call_at(f, self.c_function(f, "clock_gettime"), [f.args["clock"], time], I32)
            f.give(f.load(I64, time) * 1_000_000_000 + f.load(I64, time, 1))

    def move_away(self) -> None:
        """move_away(pool, record): to any CPU of the process but the one that this thread is on"""
        with self.module.function("move_away", pool=PTR, record=PTR) as f:
            cpu = self.here(f)
            mask = RECORD.address(f, f.args["record"], "mask0")
            for i in range(MASK_WORDS):
                f.store(self.get(f, f"allowed{i}"), mask, i)
            with f.when(cpu.below(64 * MASK_WORDS)):
                word = cpu >> 6
                bit = f.constant(1, I64) << (cpu & 63)
                f.store(f.load(I64, mask, word) & (bit ^ -1), mask, word)
            args = [f.constant(0, I32), f.constant(8 * MASK_WORDS, I64), mask]
            call_at(f, self.c_function(f, "sched_setaffinity"), args, I32)

    def pull(self) -> None:
        """pull(pool, thread): to the CPU that the caller is on"""
        with self.module.function("pull", pool=PTR, thread=I64) as f:
            cpu, mask = self.here(f), self.at(f, "mask0")
            with f.when(cpu.below(64 * MASK_WORDS)):
                for i in range(MASK_WORDS):
                    f.store(f.zero(I64), mask, i)
                f.store(f.constant(1, I64) << (cpu & 63), mask, cpu >> 6)
                args = [f.cast("trunc", f.args["thread"], I32), f.constant(8 * MASK_WORDS, I64), mask]
                call_at(f, self.c_function(f, "sched_setaffinity"), args, I32)

    def pull_those_that_stand(self) -> None:
        """pull_those_that_stand(pool) -> i64: of the workers inside, those that get no time from their CPU; how many"""
        with self.module.function("pull_those_that_stand", pool=PTR) as f:
            pool, state = f.args["pool"], self.at(f, "state")
            count = f.variable(I64, 0)
            with f.loop(1, f.smaller(self.get(f, "workers"), PULLABLE)) as i:
                record = f.load(PTR, f.offset(self.at(f, "record0"), i, I64))
                with f.when(f.compare("ne", f.cast("ptrtoint", record, I64), 0)):
                    inside, thread = (RECORD.address(f, record, name) for name in ("inside", "thread"))
                    with f.when(f.compare("ne", atomic_load(f, I64, inside), 0)):
                        number = atomic_load(f, I64, thread, "monotonic")
                        clock = f.cast("trunc", ((number ^ -1) << 3) | 6, I32)  # of the CPU time of that thread
                        before = f.call_for(I64, "now", pool, clock)
                        with self.spinning(f, f.constant(_PATIENCE_NS, I64)) as spin:
                            spin.leave_when(atomic_load(f, I32, state).below(ONE_INSIDE))
                        used = f.call_for(I64, "now", pool, clock) - before
                        stands = (used < _PATIENCE_NS // 2) & f.compare("ne", before, 0)
                        with f.when(stands & f.compare("ne", atomic_load(f, I64, inside), 0)):
                            atomic_store(f, f.constant(1, I64), RECORD.address(f, record, "pulled"))
                            f.call("pull", pool, number)
                            count.set(count.get() + 1)
            f.give(count.get())

    def take_part(self) -> None:
        """take_part(pool, record): in the job that is open, if this worker is asked for"""
        with self.module.function("take_part", pool=PTR, record=PTR) as f:
            pool, record, state = f.args["pool"], f.args["record"], self.at(f, "state")
            inside = RECORD.address(f, record, "inside")
            (number,) = RECORD.read(f, record, "worker")
            with repeat(f) as attempt:
                old = atomic_load(f, I32, state)
                attempt.leave_when((old & CLOSED).equals(CLOSED))
                attempt.leave_when(self.get(f, "workers") <= number)
                with f.when(f.call_for(I1, "on_callers_cpu", pool) & (number < self.get(f, "cpus"))):
                    f.call("move_away", pool, record)
                entered = exchange_if(f, state, old, old + ONE_INSIDE)
                with f.when(entered):
                    # Only now is the job sure to stay as it is; it may be another one than a moment ago.
                    with f.when(number < self.get(f, "workers")):
                        atomic_store(f, f.constant(1, I64), inside)
                        job, block = (POOL.pointer(f, pool, name) for name in ("job", "block"))
                        run_under(f, self.architecture, self.get(f, "control"), job, block, number)
                        atomic_store(f, f.constant(0, I64), inside)
                    old = atomic_update(f, "sub", state, f.constant(ONE_INSIDE, I32), "acq_rel")
                    with f.when(old.equals(ONE_INSIDE | SLEEPING | CLOSED)):
                        f.call("futex", pool, state, _WAKE, 1, null(f), 1)
                attempt.leave_when(entered)

    def await_epoch(self) -> None:
        """await_epoch(pool, record, seen): until `epoch` is another"""
        with self.module.function("await_epoch", pool=PTR, record=PTR, seen=I32) as f:
            pool, epoch, seen = f.args["pool"], self.at(f, "epoch"), f.args["seen"]
            pulled = RECORD.address(f, f.args["record"], "pulled")
            (number,) = RECORD.read(f, f.args["record"], "worker")
            span = f.variable(I64, self.get(f, "spin_ns"))
            with f.when(f.compare("ne", atomic_load(f, I64, pulled, "monotonic"), 0)):
                # Back to where another program is busy: spinning would use up the time that the CPU has for us.
                atomic_store(f, f.constant(0, I64), pulled, "monotonic")
                f.call("move_away", pool, f.args["record"])
                span.set(0)
            with self.spinning(f, span.get(), but_not_beside_the_caller=True) as spin:
                spin.leave_when(f.compare("ne", atomic_load(f, I32, epoch), seen))
            bit = f.constant(1, I64) << f.smaller(number - 1, 31)
            with repeat(f) as naps:
                naps.leave_when(f.compare("ne", atomic_load(f, I32, epoch), seen))
                # The caller adds to epoch and then reads sleepers; here it is the other way round: none is missed.
                atomic_update(f, "add", self.at(f, "sleepers"), f.constant(1, I64))
                f.call("futex", pool, epoch, _WAIT, f.cast("zext", seen, I64), null(f), bit)
                atomic_update(f, "sub", self.at(f, "sleepers"), f.constant(1, I64))

    def await_workers(self) -> None:
        """await_workers(pool): until none is inside the closed job"""
        with self.module.function("await_workers", pool=PTR) as f:
            pool, state = f.args["pool"], self.at(f, "state")
            rounds = f.variable(I64, 0)
            with repeat(f) as turns:
                with self.spinning(f, f.constant(_PATIENCE_NS, I64)) as spin:
                    spin.leave_when(atomic_load(f, I32, state).below(ONE_INSIDE))
                turns.leave_when(atomic_load(f, I32, state).below(ONE_INSIDE))
                pulled = f.call_for(I64, "pull_those_that_stand", pool)
                rounds.set(rounds.get() + 1)
                # Sleeping leaves this CPU to those that were pulled; without such, other programs would move in.
                with f.when((pulled > 0) | (rounds.get() > _MOST_ROUNDS)):
                    old = atomic_update(f, "or", state, f.constant(SLEEPING, I32), "acq_rel")
                    turns.leave_when(old.below(ONE_INSIDE))
                    end = f.call_for(I64, "now", pool, f.constant(1, I32)) + _NAP_NS
                    until = Value(f, PTR, f.variable(I64.of(2)).ref)
                    f.store(end // 1_000_000_000, until)
                    f.store(end % 1_000_000_000, until, 1)
                    f.call("futex", pool, state, _WAIT, f.cast("zext", old | SLEEPING, I64), until, 1)

    @contextmanager
    def spinning(self, f: Function, span: Value, *, but_not_beside_the_caller: bool = False) -> Iterator[Repeat]:
        """Repeat the block, which leaves when it may, with pauses, for so many nanoseconds."""
        pool = f.args["pool"]

        def beside(late: Value) -> Value:
            return late | f.call_for(I1, "on_callers_cpu", pool) if but_not_beside_the_caller else late

        def now() -> Value:
            return f.call_for(I64, "now", pool, f.constant(1, I32))

        late = f.variable(I1, beside(span <= 0))
        end = now() + span
        count = f.variable(I64, 0)
        with repeat(f) as spin:
            yield spin
            spin.leave_when(late.get())
            pause(f, self.architecture)
            count.set(count.get() + 1)
            with f.when((count.get() & (_CHECK_EVERY - 1)).equals(0)):
                late.set(beside(now() >= end))

    def serve(self) -> None:
        """serve(pool, record): a worker's whole life"""
        with self.module.function("serve", pool=PTR, record=PTR) as f:
            number = call_at(f, self.c_function(f, "syscall"), [self.get(f, "gettid")], I64, fixed=1)
            assert number is not None
            atomic_store(f, number, RECORD.address(f, f.args["record"], "thread"))
            with repeat(f) as turns:
                seen = atomic_load(f, I32, self.at(f, "epoch"))
                turns.leave_when(f.compare("ne", self.get(f, "stop"), 0))
                f.call("take_part", *f.args.values())
                f.call("await_epoch", *f.args.values(), seen)

    def worker(self) -> None:
        with self.module.function("worker", exported=True, record=PTR) as f:
            f.call("serve", RECORD.pointer(f, f.args["record"], "pool"), f.args["record"])
            f.give(null(f))

    def dispatch(self) -> None:
        shape = {"pool": PTR, "job": PTR, "block": PTR, "workers": I64}
        with self.module.function("dispatch", exported=True, **shape) as f:
            pool, state = f.args["pool"], self.at(f, "state")
            ours = exchange_if(f, self.at(f, "lock"), f.constant(0, I64), 1)
            with f.when(ours):
                for name in ("job", "block", "workers"):
                    atomic_store(f, f.args[name], self.at(f, name), "monotonic")
                atomic_store(f, float_control(f, self.architecture), self.at(f, "control"), "monotonic")
                atomic_store(f, self.here(f), self.at(f, "caller_cpu"), "monotonic")
                atomic_store(f, f.constant(0, I32), state)
                atomic_update(f, "add", self.at(f, "epoch"), f.constant(1, I32))
                with f.when(f.compare("ne", atomic_load(f, I64, self.at(f, "sleepers"), "seq_cst"), 0)):
                    asked = (f.constant(1, I64) << f.smaller(f.args["workers"] - 1, 32)) - 1
                    f.call("futex", pool, self.at(f, "epoch"), _WAKE, 0x7FFFFFFF, null(f), asked)
                call_at(f, f.args["job"], [f.args["block"], f.constant(0, I64)])
                atomic_update(f, "or", state, f.constant(CLOSED, I32), "acq_rel")
                f.call("await_workers", pool)
                atomic_store(f, f.constant(0, I64), self.at(f, "lock"))
            with f.when(ours ^ 1):
                call_at(f, f.args["job"], [f.args["block"], f.constant(0, I64)])
            f.give(f.cast("zext", ours, I64))

    def halt(self) -> None:
        with self.module.function("halt", exported=True, pool=PTR) as f:
            atomic_store(f, f.constant(1, I64), self.at(f, "stop"))
            atomic_update(f, "add", self.at(f, "epoch"), f.constant(1, I32))
            f.call("futex", f.args["pool"], self.at(f, "epoch"), _WAKE, 0x7FFFFFFF, null(f), 0xFFFFFFFF)
