"""What threads need of the kernel language: atomics, pauses, calls through addresses, the float control word.

Orders are LLVM's: monotonic, acquire, release, acq_rel, seq_cst. What differs between CPUs goes by `Architecture`, so
that code for one can be emitted on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import llvmlite.binding as llvm

from .ir import I32, I64, PTR, Function, Operand, Type, Value

Architecture = Literal["x86_64", "aarch64", "other"]


def host_architecture() -> Architecture:
    """The CPU family that this process runs on."""
    name = llvm.get_process_triple().split("-")[0]
    return "x86_64" if name == "x86_64" else "aarch64" if name in ("aarch64", "arm64") else "other"


def atomic_load(f: Function, type_: Type, at: Value, order: str = "acquire") -> Value:
    return f.emit(type_, f"load atomic {type_}, ptr {at.ref} {order}, align {type_.itemsize}")


def atomic_store(f: Function, value: Value, at: Value, order: str = "release") -> None:
    f.line(f"store atomic {value.type} {value.ref}, ptr {at.ref} {order}, align {value.type.itemsize}")


def atomic_update(f: Function, op: str, at: Value, value: Value, order: str = "seq_cst") -> Value:
    """Replace the number there by `op` (add, sub, or, ...) of it and `value`; returns what was there."""
    return f.emit(
        value.type, f"atomicrmw {op} ptr {at.ref}, {value.type} {value.ref} {order}, align {value.type.itemsize}"
    )


def exchange_if(f: Function, at: Value, expected: Value, new: Operand) -> Value:
    """Store `new` if `expected` is there; returns whether it was."""
    t, to = expected.type, f.constant(new, expected.type)
    pair = f.name()
    f.line(f"{pair} = cmpxchg ptr {at.ref}, {t} {expected.ref}, {t} {to.ref} acq_rel acquire, align {t.itemsize}")
    return f.emit(Type("i1"), f"extractvalue {{ {t}, i1 }} {pair}, 1")


def call_at(
    f: Function, address: Value, args: Sequence[Value], result: Type | None = None, fixed: int | None = None
) -> Value | None:
    """Call the function at an address; `fixed` says after how many arguments those of a C `...` begin."""
    kind = "void" if result is None else str(result)
    if fixed is not None:
        kind = f"{kind} ({', '.join([*(str(a.type) for a in args[:fixed]), '...'])})"
    text = f"call {kind} {address.ref}({', '.join(f'{a.type} {a.ref}' for a in args)})"
    if result is None:
        f.line(text)
        return None
    return f.emit(result, text)


class Repeat:
    """A `repeat` block that is being emitted."""

    def __init__(self, f: Function, end: str) -> None:
        self.f = f
        self.end = end

    def leave_when(self, condition: Value) -> None:
        """Go on after the block if the condition holds."""
        following = self.f.name("on")
        self.f.jump_if(condition, self.end, following)
        self.f.label(following)


@contextmanager
def repeat(f: Function) -> Iterator[Repeat]:
    """while True: the block, until `leave_when`."""
    head, end = f.name("again"), f.name("left")
    f.jump(head)
    f.label(head)
    yield Repeat(f, end)
    f.jump(head)
    f.label(end)


def pause(f: Function, architecture: Architecture) -> None:
    """Tell the CPU that this is a loop that waits."""
    if architecture == "x86_64":
        f.module.declarations.add("declare void @llvm.x86.sse2.pause()")
        f.line("call void @llvm.x86.sse2.pause()")
    elif architecture == "aarch64":
        f.module.declarations.add("declare void @llvm.aarch64.hint(i32)")
        f.line("call void @llvm.aarch64.hint(i32 1)")


def float_control(f: Function, architecture: Architecture) -> Value:
    """This thread's float control word: rounding, and whether tiny numbers are flushed to zero. 0 if not known."""
    if architecture == "x86_64":
        cell = f.variable(I32)
        f.module.declarations.add("declare void @llvm.x86.sse.stmxcsr(ptr)")
        f.line(f"call void @llvm.x86.sse.stmxcsr(ptr {cell.ref})")
        return f.cast("zext", cell.get(), I64)
    if architecture == "aarch64":
        f.module.declarations.add("declare i64 @llvm.aarch64.get.fpcr()")
        return f.emit(I64, "call i64 @llvm.aarch64.get.fpcr()")
    return f.zero(I64)


def set_float_control(f: Function, control: Value, architecture: Architecture) -> None:
    """Give this thread such a control word."""
    if architecture == "x86_64":
        cell = f.variable(I32, f.cast("trunc", control, I32))
        f.module.declarations.add("declare void @llvm.x86.sse.ldmxcsr(ptr)")
        f.line(f"call void @llvm.x86.sse.ldmxcsr(ptr {cell.ref})")
    elif architecture == "aarch64":
        f.module.declarations.add("declare void @llvm.aarch64.set.fpcr(i64)")
        f.line(f"call void @llvm.aarch64.set.fpcr(i64 {control.ref})")


def null(f: Function) -> Value:
    """The address of nothing."""
    return Value(f, PTR, "null")


def run_under(f: Function, architecture: Architecture, control: Value, job: Value, block: Value, worker: Value) -> None:
    """Call job(block, worker) with a float control word, and then go back to this thread's own."""
    own = float_control(f, architecture)
    set_float_control(f, control, architecture)
    call_at(f, job, [block, worker])
    set_float_control(f, own, architecture)
