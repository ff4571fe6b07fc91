"""The setting `reproducible`: a sample's bits depend neither on the rest of its batch nor on what was measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import choice, plan_store, planner, tuner
from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem
from mxconv.errors import UnsupportedError
from mxconv.jit.target import current

LINES = (
    "forward float32 g1 c32->48 i14x14 k3x3 p1x1",
    "forward float32 g1 c64->64 i7x7 k3x3 p1x1",
    "forward float32 g1 c16->40 i30x31 k3x3 s2x2 p1x1",
    "forward float32 g1 c64->96 i9x9 k1x1",
    "forward float32 g32 c32->32 i20x20 k7x7 p3x3",
    "forward float32 g1 c16->16 i600 k200",
    "forward float32 g1 c128->20 i4x4 k4x4",
    "forward float64 g1 c16->16 i8x8x8 k3x3x3 p1x1x1",
    "backward_data float32 g1 c32->64 i16x16 k4x4 s2x2 p1x1",
    "backward_data float32 g1 c32->16 i13x13 k3x3 p1x1",
    "backward_data float16 g2 c32->16 i40 k5",
)
BATCHES = (1, 2, 5)


def results(line: str) -> list[np.ndarray]:
    """The result of the first sample, in batches of different sizes."""
    p = dataclasses.replace(ConvProblem.parse(line))
    most = max(BATCHES)
    rng = np.random.default_rng(3)
    shape = p.shape_of(p.inputs[0])
    data = rng.standard_normal((most, *shape[1:])).astype(p.storage.numpy)
    weight = rng.standard_normal(p.w_shape).astype(p.storage.numpy)
    how = {name: getattr(p, name) for name in ("stride", "dilation", "pad_lo", "pad_hi", "groups")}
    found = []
    for batch in BATCHES:
        out = np.empty((batch, *p.shape_of(p.output)[1:]), p.result.numpy)
        convolve(p.direction, data[:batch], weight, out, **how)
        found.append(out[0])
    return found


def names_of(line: str) -> list[str]:
    """Every algorithm that applies to some batch."""
    p = ConvProblem.parse(line)
    return [a.name for a in choice.ALGORITHMS if a.applicable(p, current()).accepted]


@pytest.fixture(autouse=True)
def _reproducible():
    planner._plans.clear()
    with config.override(reproducible=True, tune="fastest", machine="measured", rtol=1e-3):
        yield
    planner._plans.clear()


@pytest.mark.parametrize("line", LINES)
def test_a_samples_bits_do_not_depend_on_its_batch(line):
    first, *others = results(line)
    assert all((first == other).all() for other in others)


@pytest.mark.parametrize("line", LINES)
def test_whatever_the_algorithm(line):
    for name in names_of(line):
        with config.override(algorithms=name):
            try:
                first, *others = results(line)
            except UnsupportedError:
                continue  # it does not apply to one of the batches
            assert all((first == other).all() for other in others), name


def test_nothing_that_was_measured_matters(monkeypatch):
    line = LINES[0]
    before = results(line)
    rates = {algorithm.name: 1e-9 for algorithm in choice.ALGORITHMS} | {"scratch_free": 1e-15}
    monkeypatch.setattr(plan_store, "rates_of", lambda name: rates)
    monkeypatch.setattr(plan_store, "shipped", lambda name: rates)
    monkeypatch.setattr(tuner, "PLAUSIBLE", float("inf"))
    monkeypatch.setattr(tuner, "MOST_RIVALS", 99)
    planner._plans.clear()
    assert all((a == b).all() for a, b in zip(before, results(line), strict=True))
    with config.override(reproducible=False), planner.recording() as plans:
        planner._plans.clear()
        monkeypatch.setattr(tuner, "SHORT", 0.0)
        results(line)
    assert {plan.algorithm for plan in plans} == {"scratch_free"}, "the same would matter otherwise"
