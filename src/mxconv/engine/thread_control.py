"""Obeying threadpoolctl: `with threadpool_limits(1)` holds for mxconv as it does for BLAS and OpenMP.

threadpoolctl finds thread pools by the file names of loaded shared libraries. mxconv has none of its own, but never
runs without llvmlite's: that file stands for it. Its user_api is "mxconv". A limit is the process's, not a thread's.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from .._version import __version__

Get = Callable[[], int]
Set = Callable[[int], None]


def offer_to_threadpoolctl(get: Get, set_: Set) -> None:
    """Register with threadpoolctl, now or when it is imported; it is never imported for this."""
    if "threadpoolctl" in sys.modules:
        _register(sys.modules["threadpoolctl"], get, set_)
    else:
        sys.meta_path.insert(0, _Finder(get, set_))


class _Finder(MetaPathFinder):
    """Waits for the import of threadpoolctl and leaves."""

    def __init__(self, get: Get, set_: Set) -> None:
        self.get = get
        self.set = set_

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "threadpoolctl" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                _register(module, self.get, self.set)

            spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


def _register(threadpoolctl: ModuleType, get: Get, set_: Set) -> None:
    if not hasattr(threadpoolctl, "register"):  # before 3.2
        return

    def get_num_threads(self: object) -> int:
        return get()

    def set_num_threads(self: object, num_threads: int) -> None:
        set_(num_threads)

    def get_version(self: object) -> str:
        return __version__

    members = {
        "user_api": "mxconv",
        "internal_api": "mxconv",
        "filename_prefixes": ("libllvmlite", "llvmlite"),
        "get_num_threads": get_num_threads,
        "set_num_threads": set_num_threads,
        "get_version": get_version,
    }
    threadpoolctl.register(type("MxconvController", (threadpoolctl.LibController,), members))
