"""What the planner says of its choice, and which calls share a plan."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.choice import in_megabytes
from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem
from mxconv.errors import WorkspaceError

from .conftest import how, small_integers

pytestmark = pytest.mark.usefixtures("plans")

P = ConvProblem.parse("forward float32 n1 g1 c64->256 i30x30 k3x3")


@pytest.mark.parametrize("limit", [None, 10**9, 300_000, 0])
def test_an_explanation_has_a_row_for_each_algorithm_and_says_which_is_taken(limit):
    rows = planner.explain(P, limit)
    assert [row.algorithm for row in rows] == [algorithm.name for algorithm in ALGORITHMS]
    plan = planner.make_plan(P, limit)
    (row,) = (row for row in rows if row.is_chosen)
    assert (row.algorithm, row.workspace, row.threads) == (plan.algorithm, plan.workspace_bytes, plan.threads)
    for row in rows:
        assert row.verdict.accepted != bool(row.verdict.reason)
        assert len({row.workspace is None, row.threads is None, row.estimate is None, row.error is None}) == 1
        assert not row.verdict.accepted or limit is None or row.workspace <= limit
    assert not any(row.verdict.accepted for row in rows if row.algorithm == "direct_weight")


def test_a_refusal_for_want_of_workspace_says_how_much_it_would_take():
    (row,) = (row for row in planner.explain(P, 1000) if row.algorithm == "implicit_gemm")
    size = row.workspace
    assert row.verdict.reason == f"workspace {in_megabytes(size)}, limit 0.000954 MB"
    with config.override(algorithms="implicit_gemm"):
        assert planner.make_plan(P).workspace_bytes > size > 1000
        with pytest.raises(WorkspaceError) as caught:
            planner.make_plan(P, size - 1)
        assert caught.value.expected == size
        plan = planner.make_plan(P, size)
        assert plan.workspace_bytes == size
        assert plan.threads == 1


def test_a_limit_makes_a_plan_of_its_own_only_where_it_matters(plans):
    free = planner.make_plan(P)
    assert planner.make_plan(P, free.workspace_bytes) is free
    assert planner.make_plan(P, 1 << 40) is free
    assert len(plans) == 1
    small = planner.make_plan(P, free.workspace_bytes - 1)
    assert small.workspace_bytes < free.workspace_bytes
    assert planner.make_plan(P, free.workspace_bytes - 1) is small
    assert planner.make_plan(P) is free
    assert len(plans) == 2


def test_the_choice_under_a_limit_does_not_depend_on_threads():
    for limit in (0, 50_000, 250_000, 400_000, 10**6, 10**8):
        chosen = set()
        for count in (1, 2, 5):
            with config.override(num_threads=count, parallel_threshold=0):
                chosen.add(planner.make_plan(P, limit).algorithm)
        assert len(chosen) == 1, limit


def test_the_log_gives_the_reasons_and_the_limit(capfd):
    weight_gradient = ConvProblem.parse("backward_weight float32 c2->3 i9 k3")
    with config.override(log="plan"):
        plan = planner.make_plan(weight_gradient)
        planner.make_plan(weight_gradient, 10)
        planner.make_plan(weight_gradient, 10)
    first, second = capfd.readouterr().err.splitlines()
    reason = "direction backward_weight, needs forward or backward_data"
    assert first.startswith(f"mxconv plan: {plan.summary()} | ")
    assert f" | direct: {reason} | implicit_gemm: {reason} | " in first
    assert " | direct_weight: estimate 0." in first
    assert "| scratch_free |" in second
    assert "| limit 10 bytes |" in second
    assert "direct_weight: workspace 0." in second


def test_strides_that_nothing_depends_on_make_no_plan_of_their_own(plans):
    p = ConvProblem.parse("forward float32 n1 g1 c1->4 i20x1 k3x1")
    given = small_integers(p)
    x, w = given["first"], given["second"]
    wide = np.zeros((1, 7, 20, 5), np.float32)
    wide[:, 3:4, :, 2:3] = x
    dense = np.ascontiguousarray(wide[0, 3, :, 2])
    apart = np.lib.stride_tricks.as_strided(dense, x.shape, (1234 * 4, 999 * 4, 4, 77 * 4))
    results = []
    for data in (x, apart, x[:, ::-1, :, ::-1], np.asfortranarray(x)):
        out = np.empty(p.y_shape, np.float32)
        convolve(p.direction, data, w, out, **how(p))
        results.append(out)
    assert len(plans) == 1
    assert all((y == results[0]).all() for y in results)
    assert ConvProblem.parse(f"{p} x_strides(9,8,1,6)") == p
    assert ConvProblem.parse("forward float32 n0 c2->2 i5 k3 x_strides(1,7,3)").x_strides == (10, 5, 1)
    assert ConvProblem.parse(f"{p} x_strides(9,8,2,6)") != p
