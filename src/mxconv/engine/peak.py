"""The measured ceiling of one core: what the target's multiply-add instructions reach with nothing else to do."""

from __future__ import annotations

import functools
import time

import numpy as np

from ..dtypes import DTYPES
from ..jit import compiler
from ..jit import target as _target
from ..jit.kernels.peak import chains, emit_peak
from ..jit.numbers import Numbers
from .threads import job_at
from .workspace import address_of

_ROUNDS = 200_000
_REPEATS = 7


def measure_peak(dtype: str = "float32") -> float:
    """Operations per second (2 for each multiply-add) of one core in the type that `dtype` is computed in.

    Measured once in a process for each target: the best of a few runs of about a millisecond each.
    """
    return _measure(DTYPES[dtype].name, _target.current())


@functools.cache
def _measure(dtype: str, target: _target.Target) -> float:
    computed = Numbers.of(dtype).computed
    module = compiler.compile_module(emit_peak(computed, target), target, f"peak_{computed}_{target.name}")
    job = job_at(module.address("peak"))
    lanes = target.lanes(computed.itemsize)
    memory = np.zeros(lanes * computed.itemsize, np.uint8)
    at = address_of(memory)
    job(at, _ROUNDS // 10)
    best = float("inf")
    for _ in range(_REPEATS):
        memory[:] = 0
        start = time.perf_counter()
        job(at, _ROUNDS)
        best = min(best, time.perf_counter() - start)
    return 2 * chains(target) * lanes * _ROUNDS / best
