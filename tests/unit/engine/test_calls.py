"""Calls like an earlier one: they take its plan as long as all that it depends on is the same, and no address differs
in what matters."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import plan as plan_module
from mxconv.engine import planner
from mxconv.engine.execute import convolve
from mxconv.engine.plan import Plan
from mxconv.engine.policy import Policy
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import ConstantWeight

from .conftest import expected, how, small_integers

pytestmark = pytest.mark.usefixtures("plans")

P = ConvProblem.parse("forward float32 n2 g1 c8->16 i9x9 k3x3 p1x1")


def call(out: np.ndarray | None = None, **options) -> tuple[np.ndarray, Plan]:
    """A call's answer, and the plan that it took."""
    given = {**small_integers(P), **options}
    first, second, bias = (given.pop(name) for name in ("first", "second", "bias"))
    out = np.full(P.y_shape, np.nan, np.float32) if out is None else out
    with planner.recording() as taken:
        convolve("forward", first, second, out, bias, **how(P), **given)
    return out, taken[0]


def is_right(answer: np.ndarray) -> bool:
    # Sums of integers, which Winograd may have rounded on some targets.
    return bool(np.allclose(answer, expected(P, **small_integers(P)), rtol=0, atol=1e-4))


def counted(monkeypatch) -> list[ConvProblem]:
    """The problems that the planner is asked for from now on."""
    asked: list[ConvProblem] = []
    usual = planner.make_plan
    monkeypatch.setattr(planner, "make_plan", lambda problem, *rest: asked.append(problem) or usual(problem, *rest))
    return asked


def test_the_second_call_asks_nobody(monkeypatch, plans):
    _, plan = call()
    asked = counted(monkeypatch)
    answer, again = call()
    assert again is plan
    assert asked == []
    assert is_right(answer)
    assert len(plans.calls) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"num_threads": 3},
        {"algorithms": "scratch_free"},
        {"block_pixels": 5},
        {"accuracy": "pointwise"},
        {"rtol": 1e-7},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_call_belongs_to_its_settings(values, monkeypatch):
    with config.override(num_threads=2):
        _, usual = call()
        with config.override(**values):
            answer, plan = call()
            assert plan is not usual
            assert is_right(answer)
            assert call()[1] is plan
        assert call()[1] is usual
        monkeypatch.setenv("MXCONV_BLOCK_CHANNELS", "3")
        assert call()[1] is not usual
        monkeypatch.delenv("MXCONV_BLOCK_CHANNELS")
        assert call()[1] is usual


def test_a_call_belongs_to_its_policy_and_its_limit():
    with config.override(algorithms="direct,channel_lanes,implicit_gemm,winograd_2,scratch_free"):
        _, free = call()
        assert free.workspace_bytes
        answer, small = call(workspace=0)
        assert small.workspace_bytes == 0
        assert is_right(answer)
        assert call()[1] is free
        assert call(workspace=free.workspace_bytes)[1] is free
        assert call(workspace=free.workspace_bytes - 1)[1] is not free
        assert call(policy=Policy(plain_only=True))[1] is not call(policy=Policy())[1]


def test_forgetting_plans_forgets_calls(monkeypatch):
    call()
    planner._plans.clear()
    asked = counted(monkeypatch)
    call()
    assert set(asked) == {P} or {p.epilogue for p in asked} == {("bias",)}


def test_there_is_an_end_to_what_is_kept(monkeypatch, plans):
    monkeypatch.setattr(planner, "CACHED_PLANS", 3)
    for size in range(4, 12):
        x, y = np.ones((1, 2, size), np.float32), np.empty((1, 2, size - 2), np.float32)
        how_ = {"stride": (1,), "dilation": (1,), "pad_lo": (0,), "pad_hi": (0,), "groups": 1}
        convolve("forward", x, np.ones((2, 2, 3), np.float32), y, **how_)
        assert (y == 6).all()
        assert len(plans.calls) <= 3


def test_what_lies_elsewhere_is_looked_at():
    """Arrays of the same shapes and strides as before: unaligned ones, and a result that overlaps what is read."""
    given = small_integers(P)
    call()
    for name, array in given.items():
        memory = np.zeros(array.nbytes + 1, np.uint8)
        unaligned = memory[1:].view(np.float32).reshape(array.shape)
        unaligned[...] = array
        assert not unaligned.flags.aligned
        assert is_right(call(**{name: unaligned})[0])
    memory = np.zeros(P.y_shape, np.float32).nbytes + 1
    out = np.zeros(memory, np.uint8)[1:].view(np.float32).reshape(P.y_shape)
    assert is_right(call(out)[0])

    shared = np.zeros(2 * out.size, np.float32)
    for name, array in given.items():
        for place in (0, out.size - 1, out.size - array.size, out.size // 2):
            shared[:] = np.nan
            inside = shared[max(0, place) :][: array.size].reshape(array.shape)
            inside[...] = array
            answer, _ = call(shared[: out.size].reshape(P.y_shape), **{name: inside})
            assert is_right(answer), (name, place)


def test_arrays_that_take_turns_are_told_apart(monkeypatch):
    monkeypatch.setattr(plan_module, "KEPT_IMAGES", 3)
    given = small_integers(P)
    several = [{**given, "first": n * given["first"]} for n in range(1, 6)]
    answers = [expected(P, **one) for one in several]
    for n in (0, 1, 0, 1, 2, 3, 4, 0, 4):
        answer, plan = call(**several[n])
        assert np.allclose(answer, answers[n], rtol=0, atol=1e-4 * (n + 1))  # n + 1 times as large
        assert len(plan._images) <= 3


def test_a_call_belongs_to_strides_and_byte_order():
    call()
    x = small_integers(P)["first"]
    assert is_right(call(first=np.asfortranarray(x))[0])
    assert is_right(call(first=x.astype(">f4"))[0])
    assert is_right(call(np.full(P.y_shape[::-1], np.nan, np.float32).T)[0])
    assert is_right(call()[0])


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weight"])
def test_so_does_the_second_product_of_whole_samples(direction, monkeypatch):
    """Its plan is another problem's, whose weight is not the call's: nothing of it may be kept."""
    p = ConvProblem.parse(f"{direction} float32 n2 g1 c8->4 i5 k5")
    given = small_integers(p)
    first, second = given["first"], given["second"]
    weight = None if direction == "backward_weight" else ConstantWeight(second).identity
    with planner.recording() as plans:
        for asks in (True, False, False):
            asked = counted(monkeypatch)
            out = np.full(p.shape_of(p.output), np.nan, np.float32)
            convolve(direction, first, second, out, **how(p), weight=weight)
            assert bool(asked) == asks
            np.testing.assert_array_equal(out, expected(p, first, second))
            first = -first
    assert plans[0] is plans[1] is plans[2]
    shared = np.zeros(out.size + first.size, np.float32)
    shared[: first.size] = first.ravel()
    out = shared[: out.size].reshape(out.shape)
    convolve(direction, shared[: first.size].reshape(first.shape), second, out, **how(p), weight=weight)
    np.testing.assert_array_equal(out, expected(p, first, second))
