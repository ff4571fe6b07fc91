"""The CPU that kernels are compiled for: its vector width, registers and features.

`MXCONV_TARGET` (setting `target`) lowers it, so that one machine can run, test and measure the code of lesser ones.
"""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass

import llvmlite.binding as llvm

from .. import config
from ..errors import UnsupportedError

_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
_AVX2 = ("avx2", "fma", "f16c", "bmi2")


@dataclass(frozen=True, slots=True)
class Target:
    """One instruction set, as kernels see it."""

    name: str
    cpu: str
    features: str
    vector_bytes: int
    """Bytes of one vector register."""
    registers: int
    """Vector registers."""
    has_fma: bool
    has_half: bool
    """Whether the CPU converts float16 itself; elsewhere the conversion is emitted from integer operations."""

    def __hash__(self) -> int:
        return hash(self.name)  # many caches have a target in their keys, and few differ in anything else

    def lanes(self, itemsize: int) -> int:
        """Elements of that size in one vector register."""
        return self.vector_bytes // itemsize


@functools.cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _host() -> tuple[str, dict[str, bool]]:
    _initialize()
    return llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


@functools.cache
def _by_name(name: str) -> Target:
    cpu, features = _host()
    flat = ",".join(("+" if on else "-") + f for f, on in sorted(features.items()))
    if not _is_x86():
        if name == "native":
            return Target(
                "native",
                cpu,
                flat,
                16,
                32,
                True,
                features.get("fullfp16", False) or features.get("neon", False),
            )
    else:
        best = "avx512" if all(map(features.get, _AVX512)) else "avx2" if all(map(features.get, _AVX2)) else "x86-64"
        order = ("x86-64", "avx2", "avx512")
        wanted = best if name == "native" else name
        if wanted in order and order.index(wanted) <= order.index(best):
            if wanted == "avx512":
                return Target("avx512", cpu, flat, 64, 32, True, True)
            if wanted == "avx2":
                return Target("avx2", "x86-64-v3", "", 32, 16, True, True)
            return Target("x86-64", "x86-64", "", 16, 16, False, False)
    raise UnsupportedError(
        f"target {name!r} is not one that this CPU ({cpu}) can run",
        argument="MXCONV_TARGET",
        got=name,
        expected="native, or on x86-64 a level that the CPU has: avx512, avx2, x86-64",
        fix="Unset MXCONV_TARGET to use the CPU as it is.",
    )


def current() -> Target:
    """The target of calls made now.

    Raises: UnsupportedError, if the setting names one that this CPU lacks.
    """
    return _by_name(config.get("target"))


def target_machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target; level 1 makes code as fast as level 3 here, in a third of the time."""
    _initialize()
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    return triple.create_target_machine(cpu=target.cpu, features=target.features, opt=1, jit=True)
