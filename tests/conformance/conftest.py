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
    """Our variables but for mxconv's, with a kernel cache of our own and this package importable."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MXCONV_")}
    folders = [str(Path(__file__).parent.parent), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "MXCONV_CACHE_DIR": str(tmp_path_factory.mktemp("kernels")),
        "PYTHONFAULTHANDLER": "1",
    }
