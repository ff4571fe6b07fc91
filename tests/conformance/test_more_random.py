"""Many more random problems for algorithms that have problems of their own."""

from __future__ import annotations

import pytest

from .faults import DEPTHWISE, FFT_1D, FFT_2D, PHASE_ROWS
from .parent import numbered, run_on_target


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("native", 3000), ("avx2", 1000), ("x86-64", 1000)])
@pytest.mark.parametrize(("algorithms", "problems"), [DEPTHWISE, FFT_1D, FFT_2D, PHASE_ROWS])
def test_more_random_problems(
    algorithms: str, problems: str, name: str, count: int, environment: dict[str, str]
) -> None:
    run_on_target(name, numbered(problems, 10**6, count), environment, count, algorithms=algorithms)
