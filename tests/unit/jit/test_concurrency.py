"""What threads need of the kernel language: atomics under contention, calls by address, float control, other CPUs."""

from __future__ import annotations

import ctypes
import sys
import threading

import llvmlite.binding as llvm
import numpy as np
import pytest

from mxconv.jit import concurrency as c
from mxconv.jit.ir import F64, I32, I64, PTR, Module
from mxconv.jit.kernels.pool import emit_pool
from mxconv.jit.kernels.portable_pool import emit_portable_pool

from .conftest import loaded
from .test_compiler import undefined_symbols

HOST = c.host_architecture()


def at_once(kernel, count, *arguments):
    """Run a kernel on several Python threads at once."""
    threads = [threading.Thread(target=kernel, args=arguments) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("type_", "kind"), [(I32, np.int32), (I64, np.int64)])
def test_updates_of_several_threads_all_count(compiled, type_, kind):
    def emit(f, to):
        with f.loop(0, 20_000):
            c.atomic_update(f, "add", to, f.constant(3, type_))
            c.atomic_update(f, "or", f.offset(to, 1, type_), f.constant(4, type_), "monotonic")
            c.atomic_update(f, "sub", f.offset(to, 2, type_), f.constant(1, type_), "acq_rel")

    to = np.zeros(3, kind)
    at_once(compiled(emit, to=PTR), 4, to)
    assert to.tolist() == [240_000, 4, -80_000]


def test_exchange_if_is_a_lock(compiled):
    def emit(f, lock, to):
        with f.loop(0, 3_000):
            with c.repeat(f) as trying:
                trying.leave_when(c.exchange_if(f, lock, f.constant(0, I64), 1))
                c.pause(f, HOST)
            f.store(f.load(I64, to) + 1, to)
            c.atomic_store(f, f.constant(0, I64), lock)

    lock, to = np.zeros(1, np.int64), np.zeros(1, np.int64)
    at_once(compiled(emit, lock=PTR, to=PTR), 3, lock, to)
    assert (lock[0], to[0]) == (0, 9_000)


def test_exchange_if_says_whether_it_did(compiled):
    def emit(f, cell, out):
        for i, expected in enumerate((7, 7, 8)):
            f.store(f.cast("zext", c.exchange_if(f, cell, f.constant(expected, I64), 8 + i), I64), out, i)
            f.store(c.atomic_load(f, I64, cell), out, 3 + i)

    cell, out = np.full(1, 7, np.int64), np.zeros(6, np.int64)
    compiled(emit, cell=PTR, out=PTR)(cell, out)
    assert out.tolist() == [1, 0, 1, 8, 8, 10]


def test_repeat_leaves_where_it_is_told(compiled):
    def emit(f, out, first, second):
        count = f.variable(I64, 0)
        with c.repeat(f) as turns:
            turns.leave_when(count.get() >= first)
            f.store(f.load(I64, out) + 10, out)
            turns.leave_when(count.get() >= second)
            count.set(count.get() + 1)
        f.store(f.load(I64, out) + 1, out)

    for first, second, expected in [(0, 0, 1), (3, 9, 31), (9, 3, 41)]:
        out = np.zeros(1, np.int64)
        compiled(emit, out=PTR, first=I64, second=I64)(out, first, second)
        assert out[0] == expected


@pytest.mark.skipif(sys.platform == "win32", reason="needs a C library that answers for the whole process")
def test_calls_by_address_and_what_functions_give(target):
    module = Module(target)
    with module.function("twice", x=I64) as f:
        f.give(f.args["x"] * 2)
    with module.function("kernel", exported=True, out=PTR, callback=PTR, labs=PTR, snprintf=PTR, text=PTR) as f:
        out = f.args["out"]
        f.store(f.call_for(I64, "twice", 21), out)
        c.call_at(f, f.args["callback"], [f.constant(5, I64)])
        f.store(c.call_at(f, f.args["labs"], [f.constant(-9, I64)], I64), out, 1)
        size, pattern = f.constant(8, I64), f.offset(f.args["text"], 8, I64)
        c.call_at(f, f.args["snprintf"], [f.args["text"], size, pattern, f.constant(42, I64)], I32, fixed=3)
    seen = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int64)(seen.append)
    libc = ctypes.CDLL(None)
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in (callback, libc.labs, libc.snprintf)]
    out, text = np.zeros(2, np.int64), np.zeros(128, np.uint8)
    text[64:67] = list(b"%ld")
    loaded(module, [PTR] * 5)(out, *addresses, text)
    assert (out.tolist(), seen, bytes(text[:3])) == ([42, 9], [5], b"42\0")


@pytest.mark.skipif(HOST == "other", reason="only x86-64 and aarch64 have a control word that we know")
def test_the_control_word_flushes_and_comes_back(compiled):
    flush = 0x8040 if HOST == "x86_64" else 1 << 24

    def emit(f, numbers, out):
        before = c.float_control(f, HOST)
        c.set_float_control(f, before | flush, HOST)
        f.store(f.load(F64, numbers) * f.load(F64, numbers, 1), out)
        c.set_float_control(f, before, HOST)
        f.store(f.load(F64, numbers) * f.load(F64, numbers, 1), out, 1)

    numbers, out = np.array([1e-310, 0.5]), np.ones(2)
    compiled(emit, numbers=PTR, out=PTR)(numbers, out)
    assert out.tolist() == [0, 5e-311]


@pytest.mark.parametrize("emit", [emit_pool, emit_portable_pool])
@pytest.mark.parametrize(
    ("architecture", "triple"), [("x86_64", "x86_64-linux-gnu"), ("aarch64", "aarch64-linux-gnu"), ("other", None)]
)
def test_pools_compile_for_other_cpus(target, emit, architecture, triple):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    text = emit(target, architecture)
    module = llvm.parse_assembly(text)
    module.verify()
    if triple is not None:
        machine = llvm.Target.from_triple(triple).create_target_machine(opt=1, jit=True)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        assert not undefined_symbols(bytes(machine.emit_object(module)))
        assembly = machine.emit_assembly(module)
        for instruction in {"x86_64": ("ldmxcsr", "stmxcsr"), "aarch64": ("fpcr", "FPCR")}[architecture]:
            assert instruction.lower() in assembly.lower()
