"""Which algorithm is chosen: by estimate, within what the call admits, for any number of threads and samples alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import choice, machine, planner
from mxconv.engine.algorithms import ALGORITHMS, Verdict
from mxconv.engine.algorithms.implicit_gemm import ImplicitGemm
from mxconv.engine.plan import Plan
from mxconv.engine.policy import Policy, Rules
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import ConstantWeight
from mxconv.errors import UnsupportedError
from mxconv.jit.target import current

P = ConvProblem.parse("forward float32 n4 g1 c8->16 i30x30 k3x3 p1x1")


@dataclass
class Fake:
    """An algorithm that applies, with a known estimate and error; implicit_gemm makes its plans."""

    name: str
    seconds: float
    is_plain: bool = True
    bound: float = 1e-6
    asked: list[tuple[ConvProblem, int, bool]] | None = None
    scratch: int = 0

    def applicable(self, problem, target) -> Verdict:
        return Verdict(True)

    def error(self, problem) -> float:
        return self.bound

    def estimate(self, problem, target, threads, machine, packs_weight) -> float:
        if self.asked is not None:
            self.asked.append((problem, threads, packs_weight))
        return self.seconds * problem.batch / 4

    def make_plan(self, problem, target, threads, thrift=0) -> Plan:
        plan = replace(ImplicitGemm().make_plan(problem, target, threads, thrift), algorithm=self.name)
        plan.ledger.book("more", self.scratch >> thrift)
        return plan


@pytest.fixture
def table(monkeypatch, plans):
    """table(*algorithms): these are all there are."""

    def use(*algorithms: Fake) -> None:
        plans.clear()
        monkeypatch.setattr(choice, "ALGORITHMS", algorithms)

    return use


def chosen(limit: int | None = None, policy: Policy = Policy(), problem: ConvProblem = P) -> str:  # noqa: B008
    planner._plans.clear()
    return planner.make_plan(problem, limit, None, policy).algorithm


def test_the_smallest_estimate_wins_and_the_table_decides_ties(table):
    table(Fake("plain", 3e-3), Fake("a", 2e-3, False), Fake("b", 1e-3, False), Fake("c", 1e-3, False))
    assert chosen() == "b"
    table(Fake("plain", 1e-3), Fake("a", 1e-3, False))
    assert chosen() == "plain"


@pytest.mark.parametrize(("second", "wins"), [(9e-4, "first"), (7.9e-4, "first"), (7e-4, "second")])
def test_plain_ones_come_in_the_tables_order_unless_one_is_clearly_faster(table, second, wins):
    table(Fake("first", 1e-3), Fake("second", second))
    assert chosen() == wins


def test_what_is_over_in_a_moment_follows_the_table(table):
    table(Fake("first", 4e-5), Fake("second", 1e-6))
    assert chosen() == "first"


def test_the_arithmetic_is_not_changed_for_next_to_nothing(table):
    table(Fake("plain", 9e-6), Fake("a", 1e-6, False))
    assert chosen() == "plain"
    table(Fake("plain", 2e-5), Fake("a", 1e-6, False))
    assert chosen() == "a"
    table(Fake("a", 1e-6, False))
    assert chosen() == "a", "unless nobody else is there"


def test_what_a_call_admits_is_what_is_chosen(table):
    table(Fake("plain", 3e-3), Fake("rough", 1e-3, False, 1.6e-5), Fake("fine", 2e-3, False, 1.4e-5))
    assert chosen() == "fine"
    verdicts = {row.algorithm: row.verdict.reason for row in planner.explain(P)}
    assert verdicts == {"plain": "", "rough": "error 1.6e-05, accuracy admits 1.5e-05", "fine": ""}
    with config.override(rtol=1e-4):
        assert chosen() == "rough"
    with config.override(rtol=1e-5):
        assert chosen() == "plain"
        assert planner.explain(P)[2].verdict.reason == "error 1.4e-05, rtol admits 1e-05"
    with config.override(accuracy="pointwise"):
        assert chosen() == "plain"
        assert planner.explain(P)[2].verdict.reason == "changes the arithmetic: accuracy='pointwise'"
    assert chosen(policy=Policy(plain_only=True)) == "plain"
    reason = planner.explain(P, policy=Policy(plain_only=True))[2].verdict.reason
    assert reason == "cudnn_off admits plain algorithms only"
    with config.override(rtol=1e-9):
        assert chosen() == "plain", "nothing is more accurate"


def test_rtol_counts_the_roundings_of_the_type_that_is_computed_in(table):
    double = ConvProblem.parse(str(P).replace("float32", "float64"))
    table(Fake("plain", 3e-3), Fake("rough", 1e-3, False, 1e-4), Fake("fine", 2e-3, False, 1e-5))
    assert chosen(problem=double) == "fine"
    with config.override(rtol=1e-12):
        assert chosen(problem=double) == "rough"
        assert chosen() == "plain"


def test_only_what_is_not_admitted_is_refused_with_its_reason(table):
    table(Fake("rough", 1e-3, False, 1e-3))
    with pytest.raises(UnsupportedError, match=r"rough: error 0.001, accuracy admits 1.5e-05"):
        chosen()


def test_estimates_are_asked_for_the_same_threads_whatever_a_call_has(table):
    asked: list[tuple[ConvProblem, int, bool]] = []
    table(Fake("plain", 1e-3, asked=asked))
    for count in (1, 2, 5):
        with config.override(num_threads=count, parallel_threshold=0):
            chosen()
    assert {threads for _, threads, _ in asked} == {choice.ESTIMATED_THREADS}
    asked.clear()
    with config.override(num_threads=5, parallel_threshold=10**12):
        chosen()
    assert asked == [(P, 1, True)]


def test_reproducible_choices_are_those_of_one_sample_on_a_typical_machine(table, monkeypatch):
    asked: list[tuple[ConvProblem, int, bool]] = []
    table(Fake("plain", 1e-3, asked=asked))
    monkeypatch.setattr(machine, "_measured", None)
    with config.override(reproducible=True, machine="measured"):
        chosen()
        weight = ConvProblem.parse(str(P).replace("forward", "backward_weight"))
        table(Fake("plain", 1e-3, asked=asked))
        chosen(problem=weight)
    assert [(p.direction, p.batch) for p, _, _ in asked] == [("forward", 1), ("backward_weight", 4)]


def test_one_that_must_shrink_its_blocks_may_fall_behind(table):
    small = ImplicitGemm().make_plan(P, current(), 1).workspace_bytes
    limit = 2 * small
    table(Fake("plain", 1e-3), Fake("large", 9.5e-4, False, scratch=4 * small))
    assert chosen() == "large"
    assert chosen(limit) == "plain"
    table(Fake("plain", 1e-3), Fake("large", 3e-4, False, scratch=4 * small))
    assert chosen(limit) == "large"
    assert planner.make_plan(P, limit).workspace_bytes <= limit


def test_a_plan_belongs_to_its_policy_and_to_whether_the_weight_is_new(table):
    asked: list[tuple[ConvProblem, int, bool]] = []
    table(Fake("plain", 3e-3), Fake("a", 2e-3, False, asked=asked))
    assert planner.make_plan(P).algorithm == "a"
    assert planner.make_plan(P, policy=Policy(plain_only=True)).algorithm == "plain"
    assert planner.make_plan(P).algorithm == "a"
    kept = ConstantWeight(np.zeros(P.w_shape, np.float32))
    assert planner.make_plan(P, None, kept.identity).algorithm == "a"
    assert [packs for _, _, packs in asked] == [True, False]


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weight"])
@pytest.mark.parametrize("line", ["float32 n1 g1 c64->64 i56x56 k3x3 p1x1", "float64 n2 g3 c6->9 i31 k5 s2",
                                  "complex64 c3->4 i9x9 k3x3", "int8 g4 c4->8 i8x8x8 k2x2x2",
                                  "float16 n1 c1->1 i5x1 k5x1", "float32 n0 c2->2 i5 k3"])  # fmt: skip
def test_estimates_are_times(direction, line):
    problem = ConvProblem.parse(f"{direction} {line}")
    speeds = machine.typical(problem.dtype, current())
    for algorithm in ALGORITHMS:
        if algorithm.applicable(problem, current()).accepted:
            for packs in (False, True):
                seconds = algorithm.estimate(problem, current(), 2, speeds, packs)
                assert 0 < seconds < 10, algorithm.name
                assert problem.flops / (2 * speeds.flops) < 9 * seconds, "no more than Winograd saves"


def test_estimates_grow_with_the_work_and_shrink_with_threads():
    speeds = machine.typical("float32", current())
    small, large = (ConvProblem.parse(f"forward float32 n{n} g1 c64->64 i56x56 k3x3 p1x1") for n in (1, 32))
    for algorithm in ALGORITHMS:
        if algorithm.applicable(small, current()).accepted:
            one = algorithm.estimate(small, current(), 1, speeds, False)
            assert 10 * one < algorithm.estimate(large, current(), 1, speeds, False), algorithm.name
            assert algorithm.estimate(large, current(), 2, speeds, False) < algorithm.estimate(
                large, current(), 1, speeds, False
            )


def test_the_settings_become_rules():
    with config.override(accuracy="pointwise", tune="fastest", reproducible=True):
        rules = Rules.of(Policy(True))
    assert rules == Rules("cudnn_off admits plain algorithms only", None, True, "off")
    with config.override(tune=None, autotune=0):
        assert Rules.of(Policy()).tune == "off"
        assert Rules.of(Policy(tune="fastest")).tune == "fastest"
