"""The environment of the child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .guards import AVAILABLE

CHOICES = ("MXCONV_MACHINE", "MXCONV_TUNE")
"""What tests/conftest.py sets, so that choices are the same on every machine."""

collect_ignore = [] if AVAILABLE else ["test_random.py", "test_faults.py", "test_guards.py"]
if sys.platform != "linux":
    collect_ignore.append("test_large.py")  # reserving memory without paying for it is done differently elsewhere


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """Our variables (of those of mxconv, only CHOICES), with this package importable and a kernel cache of this run.

    The keys of that are the kernels' whole text, so that a kernel with a seeded fault is never found by anybody else.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers share
    kept = {k: v for k, v in os.environ.items() if k in CHOICES or not k.startswith("MXCONV_")}
    folders = [str(Path(__file__).parent.parent), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "MXCONV_CACHE_DIR": str(base / "kernels"),
        "PYTHONFAULTHANDLER": "1",
    }
