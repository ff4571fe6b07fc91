"""What threads that Python started need of compiled code: to enter a job while it is open, and to be waited for.

The rules are those of pool.py: the caller closes its job and waits for those alone that are inside.
"""

from __future__ import annotations

from ..concurrency import Architecture, atomic_load, atomic_update, float_control, pause, repeat, run_under
from ..ir import I32, I64, PTR, Module
from ..target import Target
from .pool import CLOSED, ONE_INSIDE

_PATIENCE = 500  # pauses


def emit_portable_pool(target: Target, architecture: Architecture) -> str:
    """Exported: `control()`, this thread's float control word; `help(state, control, job, block, worker)`, which runs
    the job unless it is closed; `close(state)`, which closes it and gives how many are inside, 0 if it can after a
    moment. `state` is an i32, 0 for a new job, and from then on as in pool.py.
    """
    module = Module(target)
    with module.function("control", exported=True) as f:
        f.give(float_control(f, architecture))
    arguments = {"state": PTR, "control": I64, "job": PTR, "block": PTR, "worker": I64}
    with module.function("help", exported=True, **arguments) as f:
        state, *rest = f.args.values()
        inside = f.constant(ONE_INSIDE, I32)
        with f.when((atomic_update(f, "add", state, inside, "acq_rel") & CLOSED).equals(0)):
            run_under(f, architecture, *rest)
        atomic_update(f, "sub", state, inside, "acq_rel")
    with module.function("close", exported=True, state=PTR) as f:
        state = f.args["state"]
        atomic_update(f, "or", state, f.constant(CLOSED, I32), "acq_rel")
        count = f.variable(I64, 0)
        with repeat(f) as spin:
            spin.leave_when(atomic_load(f, I32, state).below(ONE_INSIDE) | (count.get() > _PATIENCE))
            pause(f, architecture)
            count.set(count.get() + 1)
        f.give(f.cast("zext", atomic_load(f, I32, state) >> 2, I64))
    return module.text()
