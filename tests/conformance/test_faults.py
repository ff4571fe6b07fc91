"""Each seeded fault must be caught by the random problems: by a wrong value, or by a fault of memory."""

from __future__ import annotations

import pytest

from .faults import FAULTS, Fault, StaleFault, locate
from .parent import run_child

PROBLEMS = 1000


@pytest.mark.parametrize("name", FAULTS)
def test_the_check_catches(name, environment):
    locate(FAULTS[name])
    outcome = run_child(
        ["--fault", name, "--problems", FAULTS[name].problems, "--count", str(PROBLEMS)],
        timeout=240,
        environment={**environment, "MXCONV_ALGORITHMS": FAULTS[name].algorithm},
    )
    assert outcome.returncode, f"the fault {name!r} survived {len(outcome.records)} problems"
    caught = outcome.returncode < 0 or outcome.failed == "Mismatch"
    assert caught, f"the fault {name!r} ended in an error of its own: {outcome.report}"


def test_there_are_enough_faults():
    assert len(FAULTS) >= 20


def test_a_stale_fault_is_an_error():
    with pytest.raises(StaleFault, match="0 times"):
        locate(Fault("no such text anywhere", ""))
    with pytest.raises(StaleFault, match="expected once"):
        locate(Fault("from __future__ import annotations", ""))
    assert locate(Fault("def backward_data_axis(", "")) == "mxconv.geometry"
