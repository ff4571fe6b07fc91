"""The algorithm of last resort alone: every direction and dtype, on every target, without a byte of workspace."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from mxconv.dtypes import DTYPES
from mxconv.engine.problem import DIRECTIONS, Direction, contiguous_strides

from .parent import listed, run_on_target
from .random_problems import Case, make_case

FIRST = 3 * 10**6
COMBINATIONS = [(direction, dtype) for direction in DIRECTIONS for dtype in DTYPES]


def turned(case: Case, direction: Direction, dtype: str) -> Case:
    """The same geometry in another direction and dtype, straight through the engine."""
    p = case.problem
    output = replace(p, direction=direction, epilogue=()).output
    strides = {}
    if 0 in p.strides_of(output):  # it was an input, which may repeat its elements
        strides[f"{output}_strides"] = contiguous_strides(p.shape_of(output))
    problem = replace(
        p,
        direction=direction,
        dtype=dtype,
        epilogue=tuple(word for word in p.epilogue if _allowed(word, direction, dtype)),
        **strides,
    )
    data = random.Random(case.seed).choice(("integers", "normal")) if problem.storage.kind != "int" else "integers"
    return replace(case, problem=problem, data=data, api="engine")


def _allowed(word: str, direction: Direction, dtype: str) -> bool:
    return direction != "backward_weight" and not (word.endswith("relu") and DTYPES[dtype].kind == "complex")


@pytest.mark.parametrize(("name", "each"), [("native", 32), ("avx2", 8), ("x86-64", 8)])
def test_random_problems(name: str, each: int, environment: dict[str, str], tmp_path: Path) -> None:
    cases = [
        turned(make_case(FIRST + n), *COMBINATIONS[n % len(COMBINATIONS)]) for n in range(each * len(COMBINATIONS))
    ]
    outcome = run_on_target(name, listed(tmp_path, cases), environment, len(cases), algorithms="scratch_free")
    counts = outcome.count()
    assert counts["algorithm", "scratch_free"] == len(cases)
    wanted = [("lanes", distance) for distance in ("1", "2", "other")]
    wanted += [("direction", direction) for direction in DIRECTIONS]
    too_few = {key: counts[key] for key in wanted if counts[key] < each}
    assert not too_few
    assert {case.problem.rank for case in cases} >= {1, 2, 3, 4, 5}
