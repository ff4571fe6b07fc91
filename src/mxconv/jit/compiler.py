"""From IR text to callable addresses, through the code cache."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from .. import config
from ..forking import hold_across_forks
from . import code_cache
from .target import Target, target_machine

# sroa, instcombine and simplifycfg make code as fast as the whole -O2 pipeline here and compile three times faster.
_PASSES = "sroa,instcombine,simplifycfg"
_ABI = "1"

_lock = threading.RLock()
_loaded: dict[bytes, CompiledModule] = {}
# llvmlite lets one thread at a time into LLVM by a lock of its own; it has no public name.
hold_across_forks(getattr(llvm.ffi.lib, "_lock", None) or contextlib.nullcontext())
hold_across_forks(_lock)


if sys.platform == "win32":
    # Functions whose frame is larger than a page touch it page by page, through this function of the system.
    llvm.add_symbol("__chkstk", ctypes.cast(ctypes.windll.ntdll.__chkstk, ctypes.c_void_p).value)


class CompiledModule:
    """Machine code in memory. It owns the engine that owns the code, and is kept for the life of the process."""

    def __init__(self, object_code: bytes, target: Target) -> None:
        self.object_code = object_code
        self.target = target
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(target))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """The address of an exported function."""
        return int(self._engine.get_function_address(symbol))


class CompileCounts:
    """How many modules this process has compiled and loaded from disk."""

    compiled = 0
    loaded = 0


@functools.cache
def versions() -> str:
    """What code depends on besides its text and target, and how fast it is as well."""
    version = ".".join(map(str, llvm.llvm_version_info))
    return f"{llvmlite.__version__}|{version}|{llvm.get_process_triple()}"


@functools.cache
def _machine_name(target: Target) -> str:
    return f"{versions()}|{target}|{_PASSES}|{_ABI}"


def compile_module(text: str, target: Target, name: str) -> CompiledModule:
    """The compiled form of IR text: from memory, from disk, or built now."""
    key = code_cache.key_of(text, _machine_name(target))
    with _lock:
        module = _loaded.get(key)
        if module is None:
            object_code = code_cache.load(key)
            if object_code is None:
                object_code = build_object(text, target, name)
                code_cache.store(key, object_code)
                CompileCounts.compiled += 1
            else:
                CompileCounts.loaded += 1
            module = _loaded[key] = CompiledModule(object_code, target)
        return module


def build_object(text: str, target: Target, name: str) -> bytes:
    """Object code of IR text; also dumps it, where the setting `dump_dir` asks for that."""
    machine = target_machine(target)
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    dump = config.get("dump_dir")
    if dump:
        where = Path(dump)
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{name}.ll").write_text(str(module), encoding="utf-8")
        (where / f"{name}.s").write_text(machine.emit_assembly(module), encoding="utf-8")
    return bytes(machine.emit_object(module))
