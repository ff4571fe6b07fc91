"""What `import mxconv` loads: nothing that only some users need, and quickly."""

from __future__ import annotations

import subprocess
import sys
import textwrap

HEAVY = ("typer", "rich", "click", "PIL", "matplotlib", "torch", "onnx", "onnxruntime", "dask",
         "filelock", "platformdirs", "mxconv.cli", "mxconv.plots", "mxconv.symbol", "mxconv.ops.library", "mxconv.init",
         "mxconv.name", "mxconv.attribute", "mxconv.model", "mxconv.viz", "mxconv.interop", "mxconv.testing",
         "mxconv.autograd", "mxconv.random", "mxconv.ndarray.params_file", "mxconv.ndarray.tape")  # fmt: skip


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, mxconv; print(*sys.modules)").split()
    assert "llvmlite.binding" in loaded
    assert not [name for name in HEAVY if name in loaded]


def test_modules_are_there_on_first_use() -> None:
    loaded = run("""
        import sys, mxconv as mx
        print(mx.sym.Variable("x").name, "mxconv.ops.library" in sys.modules)
        print(mx.name.NameManager, mx.init.Mixed, mx.AttrScope)
        assert "symbol" in dir(mx)
        assert {"save", "random", "exp"} <= set(dir(mx.nd))
        print(mx.autograd.record, mx.random.seed, mx.nd.random.uniform, mx.nd.save, mx.nd.op.exp)
        try:
            mx.no_such_module
        except AttributeError as error:
            print(error)
    """)
    assert loaded.startswith("x False\n<class 'mxconv.name.NameManager'> <class 'mxconv.init.Mixed'>")
    assert "module 'mxconv' has no attribute 'no_such_module'" in loaded


def test_import_starts_nothing() -> None:
    assert run("import threading, mxconv; print(threading.active_count())").split() == ["1"]


def test_import_is_quick() -> None:
    """A guard with room for a busy machine; benchmarks/startup.py measures against the real limit of 150 ms."""
    code = """
        import time, numpy
        start = time.process_time()
        import mxconv
        print(time.process_time() - start)
    """
    assert min(float(run(code)) for _ in range(5)) < 0.4


def test_missing_llvmlite_is_explained() -> None:
    text = run("""
        import sys
        sys.modules["llvmlite"] = None
        try:
            import mxconv
        except ImportError as error:
            print(error)
    """)
    for word in ("pip install llvmlite", "musl", "Alpine", "32-bit", "macOS on Intel", "llvmlite<=0.45.1"):
        assert word in text
