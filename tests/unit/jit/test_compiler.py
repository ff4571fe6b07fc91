"""Compiled objects: what they ask of others (nothing), for every kernel, target and dtype; how often they are made."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence

import llvmlite.binding as llvm
import pytest

from mxconv import config
from mxconv.dtypes import DTYPES
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.problem import ConvProblem
from mxconv.jit import compiler
from mxconv.jit.ir import I64, PTR, Module
from mxconv.jit.kernels.peak import emit_peak
from mxconv.jit.numbers import Numbers
from mxconv.jit.target import Target

ALLOWED: frozenset[str] = frozenset()
"""Symbols that a kernel may ask the JIT for: those that we register ourselves, which is none."""

SLOW = ("float64", "uint8", "int16", "int32", "complex128")
"""Their code differs from another dtype's in the names of types only."""
each_dtype = pytest.mark.parametrize(
    "dtype", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in DTYPES]
)

PROBLEMS = [
    "forward {dtype} n1 g1 c4->{rows} i20x40 k3x3 p1x1",
    "backward_data {dtype} n1 g1 c{rows}->4 i20x40 k3x3 s2x2",
    "backward_weight {dtype} n1 g1 c4->{rows} i20x40 k3x3",
    "forward {dtype} n1 g1 c64->96 i8x20 k3x3 p1x1",
    "forward {dtype} n1 g1 c4->{rows} i400 k64",
    "forward {dtype} n1 g4 c4->4 i400 k64",
    "forward {dtype} n1 g{rows} c{rows}->{rows} i20x40 k5x5",
    "backward_weight {dtype} n1 g{rows} c{rows}->{rows} i20x40 k3x3",
    "forward {dtype} n1 g16 c16->16 i20x40 k3x3 x_strides(12800,1,640,16) y_strides(10944,1,608,16)",
    "forward {dtype} n1 g16 c16->16 i7x3 k3x3 p1x1",
    "backward_weight {dtype} n1 g16 c16->16 i7x3 k3x3 p1x1",
    "backward_data {dtype} n1 g{rows} c{rows}->{rows} i20x40 k3x3 s2x2",
    "forward {dtype} n1 g1 c4->{rows} i20x40 k5x5 p2x2",
    "forward {dtype} n1 g{rows} c{rows}->{rows} i20x40 k1x1",
]
MORE_PROBLEMS = [
    # scratch_free reads lanes two apart, gathers them, and has depthwise tiles and lanes of channels
    "forward {dtype} n1 g{rows} c{rows}->{rows} i20x90 k3x3 s2x2",
    "backward_weight {dtype} n1 g1 c4->{rows} i20x40 k3x3 s1x3",
    "backward_weight {dtype} n1 g1 c4->16 i20x40 k3x3 y_strides(10944,1,608,16)",
    "forward {dtype} n1 g1 c4->{rows} i20x40 k3x3 p1x1 +scale +bias +add",
    "backward_weight {dtype} n1 g16 c16->16 i20x40 k3x3 x_strides(12800,1,640,16) y_strides(10944,1,608,16)",
    # fft_2d has several tiles of one channel in lanes
    "forward {dtype} n20 g{rows} c{rows}->{rows} i90x90 k15x15 +add",
]


class NoModule:
    """What stands for a compiled module while plans are made only to see what they compile."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def address(self, symbol: str) -> int:
        return 0


@pytest.fixture
def bundles(monkeypatch):
    """bundles(target, dtype): the modules that the algorithms (and the peak) ask for, as texts by name."""
    found: dict[str, str] = {}

    def note(text: str, target: Target, name: str) -> NoModule:
        found[name] = text
        return NoModule(target)

    monkeypatch.setattr(compiler, "compile_module", note)
    for algorithm in ALGORITHMS:
        module = sys.modules[type(algorithm).__module__]
        for name, function in list(vars(module).items()):
            if hasattr(function, "cache_clear"):  # neither find what was compiled before nor keep what is not
                monkeypatch.setattr(module, name, function.__wrapped__)

    def collect(target: Target, dtype: str, rows: Sequence[int], problems: Sequence[str] = PROBLEMS) -> dict[str, str]:
        found.clear()
        for line, n in itertools.product(problems, rows):
            p = ConvProblem.parse(line.format(dtype=dtype, rows=n))
            for algorithm in ALGORITHMS:
                if algorithm.applicable(p, target).accepted:
                    algorithm.make_plan(p, target, 2)
        return {**found, "peak": emit_peak(Numbers.of(dtype).computed, target)}

    return collect


def test_every_algorithm_is_asked(bundles, target):
    names = bundles(target, "float32", (1, 8))
    for algorithm in ALGORITHMS:
        assert any(name.startswith(algorithm.name) for name in names)


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


@each_dtype
def test_kernels_ask_for_no_symbols(bundles, target, dtype):
    for name, text in bundles(target, dtype, (8,)).items():
        assert undefined_symbols(as_elf(text, target)) <= ALLOWED, name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_of_every_tile_ask_for_no_symbols(bundles, target, dtype):
    texts: set[str] = set()
    for pixels in (1, 2 * target.vector_bytes, None):
        with config.override(block_pixels=pixels):
            texts |= set(bundles(target, dtype, (1, 2, 4, 8, 64), PROBLEMS + MORE_PROBLEMS).values())
    for text in texts:
        assert undefined_symbols(as_elf(text, target)) <= ALLOWED


CROSS = {
    "aarch64-unknown-linux-gnu": Target("native", "generic", "+neon", 16, 32, True, True),
    "arm64-apple-macosx13.0.0": Target("native", "apple-m1", "", 16, 32, True, True),
    # The JIT's format on Windows is ELF; a large stack frame there would call __chkstk.
    "x86_64-pc-windows-msvc-elf": Target("avx2", "x86-64-v3", "", 32, 16, True, True),
}


@pytest.mark.parametrize(
    "dtype", [n if n in ("float32", "float16", "int8") else pytest.param(n, marks=pytest.mark.slow) for n in DTYPES]
)
@pytest.mark.parametrize("triple", CROSS)
def test_kernels_compile_for_other_systems(bundles, monkeypatch, triple, dtype):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        generator = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"this llvmlite cannot compile for {triple}: {error}")
    target = CROSS[triple]
    machine = generator.create_target_machine(cpu=target.cpu, features=target.features, opt=1, jit=True)
    monkeypatch.setattr(compiler, "target_machine", lambda _: machine)
    for name, text in bundles(target, dtype, (8,)).items():
        object_code = compiler.build_object(text, target, "test")
        if "apple" in triple:
            assert object_code[:4] == b"\xcf\xfa\xed\xfe"  # 64-bit Mach-O
        else:
            allowed = ALLOWED | ({"__chkstk"} if "windows" in triple else set())  # compiler.py registers it there
            assert undefined_symbols(object_code) <= allowed, name


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
    os._exit(7 if compiler._lock.acquire(timeout=5) else 1)
thread.join()
assert compiler._lock.acquire(timeout=5)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_compiles_leaves_nothing_locked():
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60).returncode == 7
