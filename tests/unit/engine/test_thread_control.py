"""threadpoolctl limits mxconv's threads, imported before or after it; without it nothing is different."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# What threadpoolctl 3.x does with a registered controller, as far as we need it: libraries are matched by file name.
STAND_IN = """
class LibController:
    def __init__(self, filepath):
        self.filepath = filepath
    @property
    def num_threads(self):
        return self.get_num_threads()

controllers = []
def register(controller):
    controllers.append(controller)

class threadpool_limits:
    def __init__(self, limits):
        import llvmlite.binding.ffi
        name = llvmlite.binding.ffi.lib._lib_handle._name if hasattr(llvmlite.binding.ffi.lib, "_lib_handle") else ""
        name = name.replace("\\\\", "/").rpartition("/")[2] or "libllvmlite.so"
        found = [c(name) for c in controllers if name.lower().startswith(c.filename_prefixes)]
        self.found = [(c, c.num_threads) for c in found]
        for c in found:
            assert c.get_version() and c.user_api == c.internal_api == "mxconv"
            c.set_num_threads(limits)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        for c, count in self.found:
            c.set_num_threads(count)
"""
USE = """
from mxconv import config
from mxconv.engine import threads
with config.override(num_threads=5):
    seen = [threads.available()]
    with threadpoolctl.threadpool_limits(3):
        seen.append(threads.available())
        with threadpoolctl.threadpool_limits(1):
            seen.append(threads.available())
        seen.append(threads.available())
    seen.append(threads.available())
assert seen == [5, 3, 1, 3, 5], seen
"""
REAL = pytest.mark.skipif(not importlib.util.find_spec("threadpoolctl"), reason="threadpoolctl is not installed")


def run(code: str, folder: Path | None = None) -> None:
    path = os.pathsep.join([*([str(folder)] if folder else []), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["threadpoolctl, mxconv", "mxconv, threadpoolctl"])
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=REAL)], ids=["stand-in", "real"])
def test_limits_hold(tmp_path, order, real):
    if not real:
        (tmp_path / "threadpoolctl.py").write_text(STAND_IN)
    run(f"import {order}\n{USE}", None if real else tmp_path)


def test_an_old_one_is_left_alone(tmp_path):
    (tmp_path / "threadpoolctl.py").write_text("class threadpool_limits: pass")
    run("import mxconv, threadpoolctl; assert threadpoolctl.threadpool_limits", tmp_path)


def test_without_it_its_import_fails_as_ever(tmp_path):
    run("""
        import sys
        import mxconv
        finders = len(sys.meta_path)
        sys.path = [p for p in sys.path if "site-packages" not in p]
        for _ in range(2):
            try:
                import threadpoolctl
            except ModuleNotFoundError:
                pass
            else:
                raise AssertionError("found")
        assert len(sys.meta_path) == finders - 1
    """)
