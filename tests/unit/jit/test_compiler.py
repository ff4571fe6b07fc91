"""Compiled objects: what they ask of others (nothing), for every kernel, target and dtype; how often they are made."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import llvmlite.binding as llvm
import pytest

from mxconv import config
from mxconv.dtypes import DTYPES
from mxconv.jit import compiler, kernels
from mxconv.jit.ir import I64, PTR, Module
from mxconv.jit.kernels.gemm import choose_tile
from mxconv.jit.kernels.implicit_gemm import Spec, emit_implicit_gemm
from mxconv.jit.kernels.peak import emit_peak
from mxconv.jit.numbers import Numbers
from mxconv.jit.target import Target

ALLOWED: frozenset[str] = frozenset()
"""Symbols that a kernel may ask the JIT for: those that we register ourselves, which is none."""


def implicit_gemm(target: Target, dtype: str) -> Iterator[str]:
    numbers = Numbers.of(dtype)
    lanes = target.lanes(numbers.computed.itemsize)
    tiles = {choose_tile(target, numbers, rows, n) for rows in (1, 2, 4, 8, 256) for n in (1, 2 * lanes, None)}
    for tile in sorted(tiles, key=lambda tile: (tile.mr * tile.nv, tile.mr)):
        yield emit_implicit_gemm(Spec(dtype, tile), target)


def peak(target: Target, dtype: str) -> Iterator[str]:
    yield emit_peak(Numbers.of(dtype).computed, target)


BUNDLES: dict[Callable[..., str], Callable[[Target, str], Iterator[str]]] = {
    emit_implicit_gemm: implicit_gemm,
    emit_peak: peak,
}
"""Each function that emits a whole module, and all modules that it is asked for with a target and a dtype."""


def test_the_table_of_bundles_is_complete():
    emitters = set()
    for info in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        module = importlib.import_module(info.name)
        emitters |= {
            f
            for name, f in inspect.getmembers(module, inspect.isfunction)
            if name.startswith("emit_") and f.__module__ == info.name and f.__annotations__["return"] == "str"
        }
    assert emitters == set(BUNDLES), "a new kernel: say here which modules it is asked for"


# ---- symbols


def undefined_symbols(elf: bytes) -> set[str]:
    """The names that a 64-bit little-endian ELF object refers to and does not define."""
    assert elf[:6] == b"\x7fELF\x02\x01"
    (sections_at,) = struct.unpack_from("<Q", elf, 40)
    size, count, _ = struct.unpack_from("<3H", elf, 58)
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    sections = [struct.unpack_from("<2I4Q2I2Q", elf, sections_at + i * size) for i in range(count)]
    names = set()
    for _, kind, _, _, at, length, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for place in range(at, at + length, entry):
            name, _, _, section, _, _ = struct.unpack_from("<I2BH2Q", elf, place)
            if name and section == 0:  # SHN_UNDEF
                names.add(elf[strings + name : elf.index(b"\0", strings + name)].decode())
    return names


def test_undefined_symbols_are_found(target):
    text = (
        "declare void @elsewhere(double)\ndefine void @f(double %x) {\n call void @elsewhere(double %x)\n ret void\n}"
    )
    assert undefined_symbols(as_elf(text, target)) == {"elsewhere"}
    library_call = "define double @f(double %x, double %y) {\n %z = frem double %x, %y\n ret double %z\n}"
    assert undefined_symbols(as_elf(library_call, target)) == {"fmod"}
    assert undefined_symbols(as_elf("define void @f() {\n ret void\n}", target)) == set()


def as_elf(text: str, target: Target) -> bytes:
    """An object for this machine; ELF wherever the JIT itself uses that format."""
    object_code = compiler.build_object(text, target, "test")
    if object_code[:4] != b"\x7fELF":
        pytest.skip("objects of this system are not ELF; the cross-compiled ones are checked all the same")
    return object_code


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_ask_for_no_symbols(target, dtype):
    for modules in BUNDLES.values():
        texts = list(modules(target, dtype))
        for text in {texts[0], texts[-1]}:  # the smallest and the largest tile
            assert undefined_symbols(as_elf(text, target)) <= ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_of_every_tile_ask_for_no_symbols(target, dtype):
    for modules in BUNDLES.values():
        for text in list(modules(target, dtype))[1:-1]:
            assert undefined_symbols(as_elf(text, target)) <= ALLOWED


CROSS = {
    "aarch64-unknown-linux-gnu": Target("native", "generic", "+neon", 16, 32, True, True),
    "arm64-apple-macosx13.0.0": Target("native", "apple-m1", "", 16, 32, True, True),
    # The JIT's format on Windows is ELF; a large stack frame there would call __chkstk.
    "x86_64-pc-windows-msvc-elf": Target("avx2", "x86-64-v3", "", 32, 16, True, True),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("triple", CROSS)
def test_kernels_compile_for_other_systems(monkeypatch, triple, dtype):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        generator = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"this llvmlite cannot compile for {triple}: {error}")
    target = CROSS[triple]
    machine = generator.create_target_machine(cpu=target.cpu, features=target.features, opt=1, jit=True)
    monkeypatch.setattr(compiler, "target_machine", lambda _: machine)
    for modules in BUNDLES.values():
        *_, largest = modules(target, dtype)
        object_code = compiler.build_object(largest, target, "test")
        if "apple" in triple:
            assert object_code[:4] == b"\xcf\xfa\xed\xfe"  # 64-bit Mach-O
        else:
            assert undefined_symbols(object_code) <= ALLOWED


# ---- compiling once


def tiny_module(target: Target, number: int) -> str:
    module = Module(target)
    with module.function("f", exported=True, out=PTR) as f:
        f.store(f.constant(number, I64), f.args["out"])
    return module.text()


@pytest.fixture
def counts(monkeypatch):
    """Nothing is loaded yet; the counts of compilations and loads from disk, as a pair."""
    monkeypatch.setattr(compiler, "_loaded", {})
    monkeypatch.setattr(compiler.CompileCounts, "compiled", 0)
    monkeypatch.setattr(compiler.CompileCounts, "loaded", 0)
    return lambda: (compiler.CompileCounts.compiled, compiler.CompileCounts.loaded)


def test_a_module_is_compiled_once_and_then_loaded(target, counts, tmp_path):
    with config.override(cache_dir=tmp_path / "kernels"):
        first = compiler.compile_module(tiny_module(target, 1), target, "tiny")
        assert compiler.compile_module(tiny_module(target, 1), target, "tiny") is first
        assert counts() == (1, 0)
        compiler.compile_module(tiny_module(target, 2), target, "tiny")
        assert counts() == (2, 0)
        compiler._loaded.clear()
        again = compiler.compile_module(tiny_module(target, 1), target, "tiny")
        assert counts() == (2, 1)
        assert again.object_code == first.object_code


def test_threads_that_want_the_same_module_compile_it_once(target, counts, tmp_path):
    found = []
    with config.override(cache_dir=tmp_path / "kernels"):
        text = tiny_module(target, 3)

    def work() -> None:
        with config.override(cache_dir=tmp_path / "kernels"):
            found.append(compiler.compile_module(text, target, "tiny"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1
    assert counts() == (1, 0)


def test_damaged_text_is_an_error_and_is_not_kept(target, counts, tmp_path):
    with config.override(cache_dir=tmp_path / "kernels"):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
                compiler.compile_module("define void @f() {", target, "tiny")
    assert counts() == (0, 0)
    assert not (tmp_path / "kernels").exists()


def test_dumps_are_written_where_the_setting_says(target, tmp_path):
    with config.override(dump_dir=tmp_path / "a" / "b"):
        compiler.build_object(tiny_module(target, 4), target, "tiny")
    where = tmp_path / "a" / "b"
    assert "define void @f(ptr" in (where / "tiny.ll").read_text(encoding="utf-8")
    assert ".globl\tf" in (where / "tiny.s").read_text(encoding="utf-8")


FORK = """
import os, threading, time
from mxconv.jit import compiler
held = threading.Event()
def compile_slowly():
    with compiler._lock:
        held.set()
        time.sleep(0.3)
thread = threading.Thread(target=compile_slowly)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    def report():
        with compiler._lock:
            os._exit(7)
    threading.Thread(target=report).start()
    time.sleep(20)
    os._exit(1)
thread.join()
with compiler._lock:
    pass
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_compiles_leaves_nothing_locked():
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60).returncode == 7
