"""The planner: one plan for one problem, remembered, within bounds, and told to those who ask."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import choice, planner
from mxconv.engine.algorithms import ALGORITHMS, Verdict
from mxconv.engine.execute import convolve
from mxconv.engine.plan import Plan
from mxconv.engine.problem import ConvProblem
from mxconv.errors import ParamError, UnsupportedError
from mxconv.jit.target import Target, current

from .conftest import how, small_integers

pytestmark = pytest.mark.usefixtures("plans")

P = ConvProblem.parse("forward float32 n1 g1 c3->4 i20 k3")


def test_a_plan_is_made_once(plans):
    plan = planner.make_plan(P)
    assert planner.make_plan(ConvProblem.parse(str(P))) is plan
    assert len(plans) == 1
    assert plan.problem == P


@pytest.mark.parametrize(
    "values",
    [{"num_threads": 3}, {"parallel_threshold": 0}, {"block_pixels": 5}, {"block_channels": 2}, {"block_reduction": 4}],
    ids=lambda values: next(iter(values)),
)
def test_a_plan_belongs_to_the_settings_that_it_was_made_under(values):
    with config.override(num_threads=2):
        plan = planner.make_plan(P)
        with config.override(**values):
            other = planner.make_plan(P)
            assert other is not plan
            assert planner.make_plan(P) is other
        assert planner.make_plan(P) is plan


def test_a_plan_belongs_to_its_target():
    if current().name == "x86-64" or current().name == "native":
        pytest.skip("this CPU has one target only")
    plan = planner.make_plan(P)
    with config.override(target="x86-64"):
        assert planner.make_plan(P) is not plan


def test_the_least_recently_used_plans_are_forgotten(plans, monkeypatch):
    monkeypatch.setattr(planner, "CACHED_PLANS", 4)
    problems = [ConvProblem.parse(f"forward float32 c1->1 i{n} k3") for n in range(10, 16)]
    first = planner.make_plan(problems[0])
    for p in problems[1:]:
        planner.make_plan(p)
        assert planner.make_plan(problems[0]) is first, "in use all the time"
        assert len(plans) <= 4
    assert [key[0] for key in plans] == [*problems[3:], problems[0]]


def test_threads_that_plan_at_once_agree_in_the_end(plans):
    found = []
    threads = [threading.Thread(target=lambda: found.append(planner.make_plan(P))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(plans) == 1
    assert {plan.algorithm for plan in found} == {planner.make_plan(P).algorithm}


def test_small_problems_stay_on_their_own_thread():
    p = ConvProblem.parse("forward float32 n8 g1 c3->4 i20 k3")  # eight tasks at least
    with config.override(num_threads=4, parallel_threshold=p.products):
        assert planner.make_plan(p).threads == 4
    with config.override(num_threads=4, parallel_threshold=p.products + 1):
        assert planner.make_plan(p).threads == 1


class Refusing:
    """An algorithm that never applies."""

    is_plain = True

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        return Verdict(False, self.reason)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int) -> Plan:
        raise AssertionError("it refused")


def test_what_nobody_computes_is_refused_with_every_reason(monkeypatch, plans):
    monkeypatch.setattr(choice, "ALGORITHMS", (Refusing("first", "stride 2, needs 1"), Refusing("second", "too odd")))
    with pytest.raises(UnsupportedError) as caught:
        planner.make_plan(P)
    text = str(caught.value)
    assert str(P) in text
    assert "first: stride 2, needs 1; second: too odd" in text
    assert caught.value.got == str(P)
    assert not plans


def test_the_first_plain_algorithm_that_applies_is_taken(monkeypatch):
    accepting = [a for a in ALGORITHMS if a.is_plain and a.applicable(P, current()).accepted]
    for algorithm in accepting:
        planner._plans.clear()
        table = (Refusing("first", "never"), algorithm, *(a for a in ALGORITHMS if a.is_plain))
        monkeypatch.setattr(choice, "ALGORITHMS", table)
        assert planner.make_plan(P).algorithm == algorithm.name


def test_implicit_gemm_applies_to_both_data_directions_and_says_why_not_to_the_other():
    (gemm,) = (algorithm for algorithm in ALGORITHMS if algorithm.name == "implicit_gemm")
    for direction, reason in (
        ("forward", ""),
        ("backward_data", ""),
        ("backward_weight", "direction backward_weight, needs forward or backward_data"),
    ):
        verdict = gemm.applicable(ConvProblem.parse(f"{direction} complex64 c2->2 i5x5x5x5 k2x2x2x2"), current())
        assert verdict == Verdict(not reason, reason)


def test_the_setting_algorithms_leaves_those_that_it_names_in_the_order_of_the_table(plans):
    usual = planner.make_plan(P)
    for names in ("scratch_free", " scratch_free", "scratch_free,direct_weight"):
        with config.override(algorithms=names):
            assert planner.make_plan(P).algorithm == "scratch_free"
    with config.override(algorithms="scratch_free,implicit_gemm"):
        assert planner.make_plan(P).algorithm == "implicit_gemm"
    assert planner.make_plan(P) is usual
    with config.override(algorithms="direct_weight"), pytest.raises(UnsupportedError, match="direct_weight: direction"):
        planner.make_plan(P)


@pytest.mark.parametrize("names", ["winograf", "implicit_gemm,", "direct;implicit_gemm"])
def test_an_algorithm_that_nobody_knows_is_refused(names):
    with config.override(algorithms=names), pytest.raises(ParamError) as caught:
        planner.make_plan(P)
    assert f"MXCONV_ALGORITHMS) is {names!r}" in str(caught.value)
    assert f"expected a comma list of {', '.join(algorithm.name for algorithm in ALGORITHMS)}" in str(caught.value)
    assert caught.value.expected == tuple(algorithm.name for algorithm in ALGORITHMS)


def test_names_of_algorithms_are_their_own():
    assert len({algorithm.name for algorithm in ALGORITHMS}) == len(ALGORITHMS)


# ---- recording and the log


def run(p: ConvProblem) -> None:
    given = small_integers(p)
    convolve(p.direction, given["first"], given["second"], np.empty(p.shape_of(p.output), p.result.numpy), **how(p))


def test_recordings_collect_the_calls_of_their_block():
    q = ConvProblem.parse("backward_data float64 n1 g1 c3->4 i20 k3")
    with planner.recording() as outer:
        run(P)
        with planner.recording() as inner:
            run(q)
        run(P)
    run(P)
    assert [plan.problem for plan in outer] == [P, P]
    assert [plan.problem for plan in inner] == [q]
    assert outer[0] is outer[1], "the plan is remembered, the call is recorded"


def test_a_recording_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), planner.recording():
        raise ZeroDivisionError
    assert planner._recorder.get() is None


def test_recordings_belong_to_their_thread():
    with planner.recording() as plans:
        thread = threading.Thread(target=run, args=(P,))
        thread.start()
        thread.join()
    assert plans == []


def test_the_log_prints_one_line_for_each_plan(capfd):
    run(P)
    assert capfd.readouterr().err == ""
    planner._plans.clear()
    with config.override(log="plan"):
        run(P)
        run(P)
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    plan = planner.make_plan(P)
    assert line.startswith(f"mxconv plan: {plan.summary()} | {ALGORITHMS[0].name}: ")
    for part in (str(P), plan.algorithm, "threads", f"{plan.workspace_bytes} bytes"):
        assert part in line


# ---- plans


def test_a_plan_runs_any_number_of_times_from_several_threads_at_once():
    p = ConvProblem.parse("forward float32 n4 g1 c8->8 i30x30 k3x3 p1x1")
    given = small_integers(p)
    with config.override(num_threads=2, parallel_threshold=0):
        plan = planner.make_plan(p)
    assert plan.threads == 2
    results = [np.full(p.y_shape, np.nan, np.float32) for _ in range(12)]

    def work(part: list[np.ndarray]) -> None:
        for y in part:
            plan.run({"x": given["first"], "w": given["second"], "y": y})

    threads = [threading.Thread(target=work, args=(results[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = results[0].copy()
    plan.run({"x": given["first"], "w": given["second"], "y": again})
    assert np.isfinite(again).all()
    assert all((y == again).all() for y in results)


def test_a_plan_does_not_keep_the_arrays_of_a_run():
    plan = planner.make_plan(P)
    before = plan.arguments.copy()
    run(P)
    np.testing.assert_array_equal(plan.arguments, before)
