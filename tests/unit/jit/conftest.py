"""Each test of a kernel runs under every target that this CPU can lower to; kernels are cached for this run only."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mxconv import config
from mxconv.errors import UnsupportedError
from mxconv.jit import compiler
from mxconv.jit import target as target_module
from mxconv.jit.ir import PTR, Module, Type
from mxconv.jit.target import Target


def runnable() -> list[str]:
    """The names of the targets that this CPU can run."""
    names = []
    for name in ("x86-64", "avx2", "avx512"):
        try:
            with config.override(target=name):
                target_module.current()
        except UnsupportedError:
            continue
        names.append(name)
    return names or ["native"]


@pytest.fixture(params=runnable())
def target(request) -> Iterator[Target]:
    with config.override(target=request.param):
        yield target_module.current()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


@pytest.fixture
def compiled(target):
    """compiled(emit, **parameters): the kernel whose body emit(f, **arguments) is; call it with arrays and ints."""

    def compile_kernel(emit: Callable[..., object], **parameters: Type) -> Callable[..., None]:
        module = Module(target)
        with module.function("kernel", exported=True, **parameters) as f:
            emit(f, **f.args)
        return loaded(module, list(parameters.values()))

    return compile_kernel


def loaded(module: Module, parameters: list[Type], symbol: str = "kernel") -> Callable[..., None]:
    """The exported function of a module as something to call; it keeps its machine code alive."""
    code = compiler.CompiledModule(compiler.build_object(module.text(), module.target, "test"), module.target)
    kinds = [ctypes.c_void_p if t == PTR else ctypes.c_int64 for t in parameters]
    function = ctypes.CFUNCTYPE(None, *kinds)(code.address(symbol))

    def call(*arguments: np.ndarray | int) -> None:
        function(*(a.__array_interface__["data"][0] if isinstance(a, np.ndarray) else a for a in arguments))

    call.code = code  # type: ignore[attr-defined]
    return call
