"""Gradients of the two operators and the three directions, on random problems."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conformance.guards import AVAILABLE
from mxconv.ops import directions
from mxconv.ops.grammar import PADS
from mxconv.ops.registry import Step

if not AVAILABLE:
    pytest.skip("this system has no protected pages", allow_module_level=True)

from properties.gradient_problems import KINDS, LAYOUTS, OPS, check, make_problem

BATCH = 250
SLOW_BATCHES = 20
TRAITS = (
    *OPS,
    *KINDS,
    *(f"rank {rank}" for rank in LAYOUTS),
    *("channels first", "channels last", "one group", "groups", "depthwise", "bias", "no samples"),
    *(f"{name} {step}" for name in ("stride", "dilate") for step in (1, 2, 3)),
    *("stride and dilation", "negative pad", "unequal pads", "adj", "target on all axes", "target on some axes"),
)
LEAST = 5

Attributes = Mapping[str, str]
Gradients = Callable[[str, str, Step[Any], Attributes], list[Any]]


@pytest.fixture(autouse=True)
def _own_kernels(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


def run_batch(first: int, count: int) -> Counter[str]:
    """Check problems in a process of their own; how many there were of each kind."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-X", "faulthandler", "-m", "properties.gradient_problems", str(first), str(count)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    *problems, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, f"exit status {done.returncode} in\n{last}\n{done.stderr[-3000:]}"
    assert len(problems) == count
    return Counter(json.loads(last))


def test_random_problems() -> None:
    counts = run_batch(0, BATCH)
    too_few = {trait: counts[trait] for trait in TRAITS if counts[trait] < LEAST}
    assert not too_few, f"fewer than {LEAST} problems each, of {BATCH}"


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(1, 1 + SLOW_BATCHES))
def test_more_random_problems(batch: int) -> None:
    run_batch(batch * BATCH, BATCH)


def conjugated(gradients: Gradients, direction: str, op: str, step: Step[Any], attributes: Attributes) -> list[Any]:
    return [g if g is None else g.conj() for g in gradients(direction, op, step, attributes)]


def eager(gradients: Gradients, direction: str, op: str, step: Step[Any], attributes: Attributes) -> list[Any]:
    return gradients(direction, op, replace(step, wanted=[True] * 3), attributes)


def shifted(gradients: Gradients, direction: str, op: str, step: Step[Any], attributes: Attributes) -> list[Any]:
    pads = tuple((lo + 1, hi - 1) for lo, hi in PADS.read(attributes["pad"]))
    return gradients(direction, op, step, {**attributes, "pad": str(pads)})


def negative(gradients: Gradients, direction: str, op: str, step: Step[Any], attributes: Attributes) -> list[Any]:
    first, second = gradients(direction, op, step, attributes)
    return [first, None if second is None else -second]


@pytest.mark.parametrize("fault", [conjugated, eager, shifted, negative], ids=lambda fault: fault.__name__)
def test_the_check_notices_a_wrong_gradient(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "_gradients", partial(fault, directions._gradients))
    with pytest.raises(AssertionError):
        deque(map(check, map(make_problem, range(50))), maxlen=0)
