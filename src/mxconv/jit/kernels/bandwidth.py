"""A kernel that does nothing but copy, to measure what caches and memory move."""

from __future__ import annotations

from ..ir import I8, I64, PTR, Module
from ..target import Target
from .blocks import Layout

COPY = Layout(("next", "tasks", "bytes", "from", "to"))
"""The argument block: a counter, the tasks, the bytes of each, and where they are read and written."""
AT_ONCE = 4
"""Vectors of one step."""


def emit_copy(target: Target) -> str:
    """Exported `copy(args, worker)`: claims stretches of whole steps and copies them."""
    vector = I8.of(target.vector_bytes)
    module = Module(target)
    with module.function("copy", exported=True, args=PTR, worker=I64) as f:
        args = f.args["args"]
        tasks, size = COPY.read(f, args, "tasks", "bytes")
        source, goal = (COPY.pointer(f, args, name) for name in ("from", "to"))
        with f.tasks(COPY.address(f, args, "next"), tasks) as task:
            start = task * size
            with f.loop(start, start + size, AT_ONCE * target.vector_bytes) as at:
                places = [at + i * target.vector_bytes for i in range(AT_ONCE)]
                for place, value in [(p, f.load(vector, source, p)) for p in places]:
                    f.store(value, goal, place)
    return module.text()
