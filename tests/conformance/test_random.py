"""Random problems against the oracle, each flush against a protected page on either side.

`make test` runs 2,000 problems, `make test-all` 20,000. Each batch counts for itself that no algorithm,
direction or dtype was left out, and that blocks were small enough to have neighbours.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mxconv.dtypes import DTYPES
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.problem import DIRECTIONS, EPILOGUES

from .faults import DEPTHWISE
from .parent import Outcome, numbered, run_child, run_on_target
from .random_problems import GENERAL

BATCH = 1000
BATCHES = 2
SLOW_BATCHES = 18
LEAST = 30
REGRESSIONS = Path(__file__).parent.parent / "problems" / "regressions.txt"


def _run(first: int, environment: dict[str, str], count: int = BATCH, name: str = "native") -> Outcome:
    return run_on_target(name, numbered("random_problems", first, count), environment, count)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_problems(batch, environment):
    outcome = _run(batch * BATCH, environment)
    counts = outcome.count()
    wanted = [("direction", d) for d in DIRECTIONS]
    wanted += [("dtype", name) for name in DTYPES]
    wanted += [("api", api) for api in ("engine", "nd", "nd_last", "nd_kept")]
    wanted += [("lanes", distance) for distance in ("1", "2", "other")]
    wanted += [("window", extent) for extent in ("1x1", "larger")]
    wanted += [("algorithm", name) for name in GENERAL]
    wanted += [("epilogue", word) for word in EPILOGUES]
    wanted += [key for key in counts if key[0] == "kernel" and key[1].split()[0] in GENERAL]
    too_few = {key: counts[key] for key in wanted if counts[key] < LEAST}
    assert not too_few, f"fewer than {LEAST} problems each: {too_few} of {dict(counts)}"
    few = {(a, word): counts["epilogue", f"{a} {word}"] for a in ("direct", "implicit_gemm") for word in EPILOGUES}
    assert min(few.values()) >= 5, few
    assert outcome.share_of_blocked() >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES, BATCHES + SLOW_BATCHES))
def test_more_random_problems(batch, environment):
    _run(batch * BATCH, environment)


@pytest.mark.parametrize("name", ["avx2", "x86-64"])
def test_random_problems_on_lesser_cpus(name, environment):
    _run(10**6, environment, 500, name)


def test_random_problems_at_once(environment):
    """Four Python threads call the engine at the same time, each with up to two threads of its own."""
    run_on_target("native", [*numbered("random_problems", 2 * 10**6, 300), "--at-once", "4"], environment, 300)


def test_regressions(environment):
    outcome = run_child(["--file", str(REGRESSIONS)], timeout=120, environment=environment)
    assert not outcome.report, outcome.report


def test_every_algorithm_has_problems():
    own = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    shared = (*GENERAL, *DEPTHWISE[0].split(","))  # both lists are counted where they are used
    for algorithm in ALGORITHMS:
        assert algorithm.name in shared or any(algorithm.name.startswith(name) for name in own), algorithm.name
