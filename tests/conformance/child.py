"""The child process: `python -m conformance.child --first 0 --count 100` runs a batch of cases.

Each case's line is printed and flushed before it runs, so that a fault names its case. Then comes a line
of JSON: {"algorithm": ..., "blocks": {...}} for one that passed, {"failed": ..., "error": ...} for one that
did not, which is the last.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import faults  # and nothing that imports mxconv, before the fault is seeded


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--file", type=Path, help="a file with one case a line, in place of numbers")
    parser.add_argument("--fault", help="the name of a fault to seed before mxconv is imported")
    options = parser.parse_args(arguments)
    if options.fault:
        faults.seed(options.fault)
    from mxconv.engine import workspace

    from .compare import Mismatch
    from .random_problems import make_case, read_cases
    from .run_case import guarded_allocate, run_case

    workspace.Ledger.allocate = guarded_allocate
    for case in read_cases(options.file) if options.file else map(make_case, _numbers(options)):
        _say(str(case))
        try:
            record = run_case(case)
        except Exception as error:
            _say(json.dumps({"failed": type(error).__name__, "error": str(error)}))
            if not isinstance(error, Mismatch):
                raise
            return 1
        _say(json.dumps(record))
    return 0


def _numbers(options: argparse.Namespace) -> range:
    return range(options.first, options.first + options.count)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
