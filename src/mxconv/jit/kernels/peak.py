"""A kernel that does nothing but multiply and add, to measure what the CPU can do at most."""

from __future__ import annotations

from ..ir import I64, PTR, Module, Type
from ..target import Target


def emit_peak(computed: Type, target: Target) -> str:
    """Exported `peak(to, rounds)`: per round one multiply-add on each of `chains(target)` independent vectors."""
    lanes = target.lanes(computed.itemsize)
    vector = computed.of(lanes)
    module = Module(target)
    with module.function("peak", exported=True, to=PTR, rounds=I64) as f:
        factor = f.splat(f.load(computed, f.args["to"]), lanes)
        cells = [f.variable(vector, factor) for _ in range(chains(target))]
        with f.loop(0, f.args["rounds"]):
            for cell in cells:
                cell.set(f.multiply_add(cell.get(), factor, factor))
        total = cells[0].get()
        for cell in cells[1:]:
            total = total + cell.get()
        f.store(total, f.args["to"])
    return module.text()


def chains(target: Target) -> int:
    """Enough independent chains to hide the latency, few enough to stay in registers."""
    return 12 if target.registers <= 16 else 24
