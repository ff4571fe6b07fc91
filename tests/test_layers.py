"""Imports go down only: every module's imports are read from its source, function-level ones included."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "mxconv"
SOURCE = Path(__file__).resolve().parent.parent / "src" / PACKAGE


@dataclass(frozen=True)
class Layer:
    """A row of the table below: what belongs to it, and which third-party packages it may import."""

    name: str
    modules: tuple[str, ...]
    third_party: tuple[str, ...] = ()


# Lowest first. A module may import from its own row and from the rows above it in this list.
LAYERS = (
    Layer(
        "floor",
        ("errors", "config", "geometry", "dtypes", "files", "forking", "util", "_version"),
        ("numpy", "ml_dtypes"),
    ),
    Layer("jit", ("jit",), ("numpy", "ml_dtypes", "llvmlite", "platformdirs", "filelock")),
    Layer("engine", ("engine",), ("numpy", "ml_dtypes", "threadpoolctl", "filelock")),
    Layer("ops", ("ops",), ("numpy", "ml_dtypes")),
    Layer("ndarray", ("ndarray", "context", "autograd", "random", "init"), ("numpy", "ml_dtypes")),
    Layer("symbol", ("symbol", "name", "attribute", "executor", "model", "viz"), ("numpy", "ml_dtypes", "graphviz")),
    Layer("face", ("", "base"), ("numpy", "llvmlite")),  # llvmlite: to say clearly where it is missing
    Layer("outer", ("plots", "interop", "filters"), ("numpy", "PIL", "matplotlib", "torch", "onnx", "dask")),
    Layer("cli", ("cli", "__main__"), ("numpy", "typer", "click", "rich", "PIL", "matplotlib")),
)
ORACLE = "testing"  # imports nothing of the rest; imported by the command line alone
LAZY = {
    "PIL",
    "matplotlib",
    "torch",
    "onnx",
    "dask",
    "graphviz",
    "threadpoolctl",
}  # extras: never when a module loads
FOR_TYPING = {"typing_extensions"}  # mypy brings it; at run time it may be missing


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name; `when`: "loading", in a "function", or for "typing" only."""

    name: str
    line: int
    when: str


def read_imports(path: Path, module: tuple[str, ...], known: set[str]) -> Iterator[Import]:
    """Every import in a file; `from . import x` counts as the submodule x where there is one."""
    package = module if path.name == "__init__.py" else module[:-1]

    def visit(node: ast.AST, when: str) -> Iterator[Import]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            when = "function" if when == "loading" else when
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from visit(child, "typing")
            for child in node.orelse:
                yield from visit(child, when)
            return
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, when)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *((node.module,) if node.module else ())))
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in known else base, node.lineno, when)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, when)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "loading")


def check(source: Path) -> list[str]:
    """What is wrong with the imports of the package in `source`, one line each."""
    files = {}
    for path in sorted(source.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(source).with_suffix("").parts)
        files[path] = parts[:-1] if parts[-1] == "__init__" else parts
    known = {".".join(m) for m in files.values()}
    rank = {top: i for i, layer in enumerate(LAYERS) for top in layer.modules}
    problems = []
    for path, module in files.items():
        top = module[1] if len(module) > 1 else ""
        if top != ORACLE and top not in rank:
            problems.append(f"{'.'.join(module)} belongs to no layer: give it a row in LAYERS")
            continue
        here = None if top == ORACLE else LAYERS[rank[top]]
        allowed = ("numpy", "ml_dtypes") if here is None else here.third_party
        for found in read_imports(path, module, known):
            where = f"{'.'.join(module)}:{found.line} imports {found.name}"
            first, _, rest = found.name.partition(".")
            if first == PACKAGE:
                target = rest.split(".")[0]
                if here is None:
                    if target != ORACLE:
                        problems.append(f"{where}, but the oracle shares no code with the rest")
                elif target == ORACLE:
                    if here.name != "cli":
                        problems.append(f"{where}, the oracle, which only the command line and tests may use")
                elif target not in rank or rank[target] > rank[top]:
                    problems.append(f"{where}, which lies above {here.name}")
            elif first not in sys.stdlib_module_names:
                if found.when == "typing" and first in FOR_TYPING:
                    continue
                if first not in allowed:
                    problems.append(f"{where}, but may import only {', '.join(allowed)}")
                elif first in LAZY and found.when == "loading":
                    problems.append(f"{where} when it is loaded; import extras inside functions")
    return problems


def test_imports_point_down() -> None:
    assert check(SOURCE) == []


def test_every_layer_that_exists_was_read() -> None:
    for name in ("jit", "engine", "ops", "ndarray", "cli"):
        found = list((SOURCE / name).rglob("*.py"))
        assert any(list(read_imports(p, (PACKAGE, name, p.stem), set())) for p in found), f"{name}: no imports seen"


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        (
            "geometry.py",
            "from .jit import build",
            "mxconv.geometry:1 imports mxconv.jit.build, which lies above",
        ),
        (
            "jit/build.py",
            "def f():\n    from ..engine import plan",
            "imports mxconv.engine.plan, which lies above jit",
        ),
        ("jit/build.py", "import mxconv.ops.params", "imports mxconv.ops.params, which lies above jit"),
        ("engine/plan.py", "from .. import ndarray", "imports mxconv.ndarray, which lies above engine"),
        ("engine/plan.py", "from mxconv import cpu", "imports mxconv, which lies above engine"),
        ("engine/plan.py", "import llvmlite.binding", "may import only numpy"),
        ("ops/params.py", "class A:\n    import rich.table", "imports rich.table, but may import only"),
        ("ops/params.py", "from ..testing import reference", "the oracle, which only the command line"),
        ("testing/reference.py", "from ..geometry import conv_out", "shares no code with the rest"),
        ("ops/params.py", "from typing_extensions import Self", "may import only numpy"),
        ("cli/main.py", "import PIL.Image", "import extras inside functions"),
        ("extra.py", "", "mxconv.extra belongs to no layer"),
        (
            "ops/params.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..ndarray import ndarray",
            "mxconv.ops.params:3 imports mxconv.ndarray.ndarray, which lies above ops",
        ),
    ],
)
def test_a_bad_tree_is_noticed(tmp_path: Path, file: str, text: str, problem: str) -> None:
    _write_good_tree(tmp_path)
    tmp_path.joinpath(file).write_text(text)
    problems = check(tmp_path)
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_good_tree_passes(tmp_path: Path) -> None:
    _write_good_tree(tmp_path)
    assert check(tmp_path) == []


def _write_good_tree(root: Path) -> None:
    for folder, text in {
        "": "from . import ndarray\nfrom ._version import __version__",
        "jit": "import llvmlite.binding\nfrom .. import config",
        "engine": "from ..jit.build import emit\nfrom . import plan",
        "ops": "import numpy as np\nfrom ..engine.plan import Plan",
        "ndarray": "from ..ops import params",
        "testing": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from typing_extensions import Self",
        "cli": "def show():\n    import PIL.Image\n    from ..testing import reference",
    }.items():
        root.joinpath(folder).mkdir(exist_ok=True)
        root.joinpath(folder, "__init__.py").write_text(text)
    for file in (
        "jit/build.py",
        "engine/plan.py",
        "ops/params.py",
        "ndarray/ndarray.py",
        "testing/reference.py",
    ):
        root.joinpath(file).write_text("import os")
    for file in ("_version.py", "config.py", "geometry.py"):
        root.joinpath(file).write_text("")
