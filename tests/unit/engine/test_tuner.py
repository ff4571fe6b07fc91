"""The tuner: who is timed when, what that may cost, what is remembered, and that answers stay right all the while."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import choice, plan_store, planner, tuner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.execute import convolve
from mxconv.engine.measure import tune
from mxconv.engine.policy import USUAL, Policy, Rules
from mxconv.engine.problem import ConvProblem
from mxconv.engine.tuner import Contest, Race
from mxconv.jit.target import current

from .conftest import expected, how, small_integers

P = ConvProblem.parse("forward float32 n2 g1 c16->64 i40x40 k3x3 p1x1")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path, plans):
    monkeypatch.setattr(tuner, "_races", type(tuner._races)())
    monkeypatch.setattr(plan_store, "_read", None)
    monkeypatch.setattr(plan_store._file, "name", f"{tmp_path.name}.json")  # the kernels' folder is shared
    monkeypatch.setattr(plan_store, "SHIPPED", tmp_path / "none.json")
    monkeypatch.setenv("MXCONV_TUNE", "")


# ---- with a clock of our own: fake plans that take known times


@dataclass
class FakePlan:
    algorithm: str
    threads: int = 1


@dataclass
class FakeAlgorithm:
    name: str
    is_plain: bool = True


@dataclass
class FakeFitting:
    plan: FakePlan
    refusal: str = ""
    thrift: int = 0


@dataclass
class FakeSearch:
    """What a contest needs of a search: plans, which take a second to make here if `slow_to_make`."""

    rules: Rules
    times: dict[str, float]
    clock: list[float]
    too_large: tuple[str, ...] = ()
    preparing: float = 0.0
    problem: ConvProblem = P
    limit: int | None = None
    packs_weight: bool = False
    made: list[str] = field(default_factory=list)

    def fit(self, algorithm: FakeAlgorithm) -> FakeFitting:
        self.clock[0] += self.preparing
        self.made.append(algorithm.name)
        refusal = "workspace" if algorithm.name in self.too_large else ""
        return FakeFitting(FakePlan(algorithm.name), refusal)


class Stage:
    """A contest between algorithms with known times; the first is the estimate's choice."""

    def __init__(self, monkeypatch, times: dict[str, float], tune: str = "limited_workspace", **options) -> None:
        self.now = [0.0]
        monkeypatch.setattr(tuner, "clock", lambda: self.now[0])
        self.times = times
        search = FakeSearch(replace(Rules.of(USUAL), tune=tune), times, self.now, **options)
        self.search = search
        rivals = [choice.Consideration(FakeAlgorithm(name), choice.Verdict(True), 0.01) for name in times]
        self.contest = Contest(Race("a class"), search, rivals)
        self.ran: list[str] = []
        self.typical = True

    def execute(self, plan: FakePlan) -> bool:
        self.ran.append(plan.algorithm)
        self.now[0] += self.times[plan.algorithm]
        return self.typical

    def call(self, may_repeat: bool = True) -> str:
        first = FakePlan(next(iter(self.times)))
        return self.contest.run(first, self.execute, may_repeat).algorithm


def test_the_first_calls_run_what_the_estimate_chooses_and_alternatives_come_later(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.012})
    while stage.contest.is_open:
        stage.call()
    first = stage.ran.index("b")
    # 0.01 s for b and PREPARING, within a tenth of what a has spent
    assert first >= 0.06 / (0.1 * 0.01) - 2
    assert stage.ran.count("b") == tuner.SAMPLES + 1, "one to warm up"
    assert set(stage.ran[:first]) == {"a"}


@pytest.mark.parametrize("slow", [0.011, 0.02, 0.05])
def test_alternatives_cost_a_tenth_at_most(monkeypatch, slow):
    stage = Stage(monkeypatch, {"a": 0.01, "b": slow, "c": slow}, preparing=0.05)
    while stage.contest.is_open:
        stage.call()
        usual = 0.01 * len(stage.ran)
        assert stage.now[0] - usual <= 0.1 * stage.now[0] + 1e-9 + slow


def test_a_hopeless_alternative_is_timed_twice(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.02})
    while stage.contest.is_open:
        stage.call()
    assert stage.ran.count("b") == tuner.FEW_SAMPLES + 1, "one to warm up"


def ranked(stage: Stage) -> list[str]:
    return [one.name for one in stage.contest.order(list(stage.contest._rivals.values()))]


def test_the_fastest_goes_first_once_all_are_measured(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.008, "c": 0.009})
    assert ranked(stage) == ["a", "b", "c"]
    while stage.contest.is_open:
        assert ranked(stage) == ["a", "b", "c"]
        stage.call()
    assert ranked(stage) == ["b", "c", "a"]


def test_a_little_faster_is_not_fast_enough(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.0099})
    while stage.contest.is_open:
        stage.call()
    assert ranked(stage) == ["a", "b"]


def test_runs_that_pack_do_not_count_for_a_while(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.009})
    stage.typical = False
    for _ in range(tuner.MOST_TRIES - 1):
        stage.call()
    assert not stage.contest.race.best
    while stage.contest.is_open:
        stage.call()
    assert stage.ran.count("b") <= tuner.MOST_TRIES + tuner.SAMPLES


def test_where_the_weight_is_new_in_every_call_packing_belongs_to_it(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.009}, packs_weight=True)
    stage.typical = False
    while stage.contest.is_open:
        stage.call()
    assert stage.ran.count("b") == tuner.SAMPLES + 1


def test_what_does_not_fit_takes_no_part(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.001, "c": 0.02}, too_large=("b",))
    while stage.contest.is_open:
        stage.call()
    assert "b" not in stage.ran
    assert ranked(stage) == ["a", "c"]


def test_a_time_during_another_call_does_not_count(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.02})
    stage.call()

    def nested(plan: FakePlan) -> bool:
        stage.contest.run(plan, stage.execute, True)
        return stage.execute(plan)

    stage.contest.run(FakePlan("a"), nested, True)
    assert not stage.contest.race.samples, "neither the outer nor the inner one"


def test_fastest_measures_all_at_once_and_answers_with_the_best(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.008, "c": 0.03}, tune="fastest")
    assert stage.call() == "b"
    assert not stage.contest.is_open
    assert stage.ran[-1] == "b", "the last one to write is the best one"


def test_fastest_waits_where_the_result_may_not_be_computed_twice(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.008}, tune="fastest")
    assert stage.call(may_repeat=False) == "a"
    assert stage.ran == ["a"]
    assert stage.contest.is_open


def test_times_are_remembered_as_soon_as_they_are_final(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.008})
    for _ in range(tuner.SAMPLES + 1):
        stage.call()
    assert plan_store.rates_of("a class") == {"a": pytest.approx(0.01 / P.flops)}
    while stage.contest.is_open:
        stage.call()
    assert plan_store.rates_of("a class").keys() == {"a", "b"}
    assert not Race("a class").best, "another process begins with no runs, but knows the times"
    assert Race("a class").rates.keys() == {"a", "b"}


def test_a_time_may_become_smaller_after_it_counts(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.0095})
    for _ in range(10):
        stage.call()
    stage.times["a"] = 0.009
    while stage.contest.is_open:
        stage.call()
    assert ranked(stage) == ["a", "b"], "not compared with its slow beginning"


def test_what_others_measured_says_who_goes_first_until_this_machine_is_measured(monkeypatch, tmp_path):
    (tmp_path / "tuned.json").write_text(json.dumps({"a class": {"a": 2e-9, "b": 1e-9, "c": 3e-9}}))
    monkeypatch.setattr(plan_store, "SHIPPED", tmp_path / "tuned.json")
    stage = Stage(monkeypatch, {"a": 0.008, "b": 0.01})
    assert stage.contest.is_open
    assert ranked(stage) == ["b", "a"]
    while stage.contest.is_open:
        stage.call()
    assert ranked(stage) == ["a", "b"]
    stage = Stage(monkeypatch, {"a": 0.008, "d": 0.01})
    assert ranked(stage) == ["a", "d"], "what is new to them counts as estimated"


@pytest.mark.parametrize("text", ["", "[]", '{"a class": {"a": "fast"}}'])
def test_a_shipped_file_that_cannot_be_read_says_nothing(monkeypatch, tmp_path, text):
    (tmp_path / "tuned.json").write_text(text)
    monkeypatch.setattr(plan_store, "SHIPPED", tmp_path / "tuned.json")
    assert plan_store.shipped("a class") == {}


def test_what_a_small_workspace_left_is_not_remembered(monkeypatch):
    stage = Stage(monkeypatch, {"a": 0.01, "b": 0.008}, limit=1000)
    while stage.contest.is_open:
        stage.call()
    assert plan_store.rates_of("a class") == {}


# ---- with real algorithms


def compute(p: ConvProblem, given: dict[str, np.ndarray], **options) -> tuple[np.ndarray, str]:
    out = np.full(p.shape_of(p.output), 99, p.result.numpy)
    with planner.recording() as plans:
        convolve(p.direction, given["first"], given["second"], out, **how(p), **options)
    return out, plans[0].algorithm


def test_answers_are_right_while_everything_is_tried(monkeypatch):
    monkeypatch.setattr(tuner, "SHARE", 100.0)
    monkeypatch.setattr(tuner, "PLAUSIBLE", float("inf"))
    monkeypatch.setattr(tuner, "MOST_RIVALS", 20)
    given = small_integers(P)
    wanted = expected(P, given["first"], given["second"])
    used = set()
    for _ in range(60):
        out, name = compute(P, given)
        np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-3)
        used.add(name)
    accepted = {row.algorithm for row in planner.explain(P) if row.verdict.accepted}
    assert used == accepted
    assert len(used) >= 3


@pytest.mark.parametrize(("knobs", "policy"), [({"tune": "fastest"}, USUAL), ({"autotune": 2}, USUAL),
                                              ({}, Policy(tune="fastest"))])  # fmt: skip
def test_fastest_decides_in_the_first_call(knobs, policy):
    given = small_integers(P)
    with config.override(algorithms="direct,implicit_gemm,scratch_free", **knobs):
        out, name = compute(P, given, policy=policy)
        assert (out == expected(P, given["first"], given["second"])).all()
        assert planner.make_plan(P, policy=policy).contest is None
    (rates,) = plan_store.all_rates().values()
    assert len(rates) >= 2
    assert name == min(rates, key=rates.__getitem__)


def test_an_in_place_residual_is_added_once():
    p = ConvProblem.parse(f"{P} +add")
    given = small_integers(P)
    start = np.ones(P.y_shape, np.float32)
    out = start.copy()
    with config.override(tune="fastest"):
        convolve(p.direction, given["first"], given["second"], out, epilogue=[("add", out)], **how(p))
    np.testing.assert_allclose(out, expected(P, given["first"], given["second"]) + 1, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("knobs", "policy"),
    [
        ({"tune": "off"}, Policy(tune="fastest")),
        ({"autotune": 0}, USUAL),
        ({}, Policy(tune="off")),
        ({"tune": "fastest", "reproducible": True}, USUAL),
    ],
)
def test_tuning_can_be_switched_off(knobs, policy):
    with config.override(**knobs):
        assert planner.make_plan(P, policy=policy).contest is None
    assert not plan_store.all_rates()


def test_what_was_measured_decides_from_then_on_but_not_for_reproducible_calls():
    name = plan_store.class_of(P, current(), True)
    rates = {one.name: 1e-9 for one in ALGORITHMS} | {"scratch_free": 1e-12}
    plan_store.remember(name, rates)
    monkey = {"algorithms": "direct,implicit_gemm,scratch_free"}
    usual = planner.explain(P)
    plausible = {row.algorithm for row in usual if row.estimate is not None}
    assert "scratch_free" in plausible
    with config.override(**monkey), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuner, "PLAUSIBLE", float("inf"))
        assert planner.make_plan(P).algorithm == "scratch_free"
        with config.override(tune="off"):
            assert planner.make_plan(P).algorithm != "scratch_free"
        with config.override(reproducible=True):
            assert planner.make_plan(P).algorithm != "scratch_free"


def test_short_calls_are_left_alone_unless_the_fastest_is_asked_for():
    short = ConvProblem.parse("forward float32 c32->32 i8x8 k3x3 p1x1")
    assert planner.make_plan(short).contest is None
    assert planner.make_plan(short, policy=Policy(tune="fastest")).contest is not None


def test_tune_measures_what_is_missing_and_remembers_it():
    with config.override(algorithms="direct,implicit_gemm", num_threads=1):
        first = tune(P, rounds=1)
        assert first.is_new
        assert first.seconds.keys() == {"direct", "implicit_gemm"}
        assert all(0 < seconds < 1 for seconds in first.seconds.values())
        assert first.gain >= 1
        second = tune(ConvProblem.parse(str(P).replace("i40x40", "i41x40")), rounds=1)
        assert not second.is_new, "a similar shape"
        assert tune(P, rounds=1, again=True).is_new
        assert tune(P, rounds=1, packs_weight=True).shape_class == f"{first.shape_class} new_weight"
