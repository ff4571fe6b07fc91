"""The child process: `python -m conformance.child --first 0 --count 100` runs a batch of cases.

Each case's line is printed and flushed before it runs, so that a fault names its case. After it comes a line of JSON:
{"case": ..., "algorithm": ..., "blocks": {...}} if it passed, {"case": ..., "failed": ..., "error": ...} if not; the
first that did not pass ends the batch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import faults  # and nothing that imports mxconv, before the fault is seeded


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--file", type=Path, help="a file with one case a line, in place of numbers")
    parser.add_argument("--problems", default="random_problems", help="the module here whose make_case numbers cases")
    parser.add_argument("--fault", help="the name of a fault to seed before mxconv is imported")
    parser.add_argument("--at-once", type=int, default=1, help="cases that run at the same time, in Python threads")
    options = parser.parse_args(arguments)
    if options.fault:
        faults.seed(options.fault)
    from mxconv.engine import workspace
    from mxconv.jit import compiler

    from .compare import Mismatch
    from .random_problems import read_cases
    from .run_case import guarded_allocate, named_compile, run_case

    workspace.Ledger.allocate = guarded_allocate
    workspace.Ledger.release = lambda ledger, used: None  # a guarded one is never used again
    compiler.compile_module = named_compile

    def run(case):
        _say(str(case))
        try:
            record = run_case(case)
        except Mismatch as error:
            record = {"failed": "Mismatch", "error": str(error)}
        except Exception as error:
            record = {"failed": type(error).__name__, "error": traceback.format_exc()}
        _say(json.dumps({"case": str(case), **record}))
        return "failed" not in record

    make_case = importlib.import_module(f".{options.problems}", __package__).make_case
    numbers = range(options.first, options.first + options.count)
    cases = read_cases(options.file) if options.file else map(make_case, numbers)
    if options.at_once == 1:
        return int(not all(map(run, cases)))
    with ThreadPoolExecutor(options.at_once) as pool:
        return int(not all(pool.map(run, cases)))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
