"""The environment of the child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .guards import AVAILABLE

collect_ignore = [] if AVAILABLE else ["test_random.py", "test_faults.py", "test_guards.py"]
if sys.platform != "linux":
    collect_ignore.append("test_large.py")  # reserving memory without paying for it is done differently elsewhere


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """Our variables but for mxconv's, with this package importable and a kernel cache of this run's own.

    Its keys are the kernels' whole text, so that a kernel with a seeded fault is never found by anybody else.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers share
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MXCONV_")}
    folders = [str(Path(__file__).parent.parent), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "MXCONV_CACHE_DIR": str(base / "kernels"),
        "PYTHONFAULTHANDLER": "1",
    }
