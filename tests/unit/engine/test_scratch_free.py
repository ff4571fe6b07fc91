"""The algorithm of last resort: no workspace, every rank up to its own bound, short sums, the axis in lanes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mxconv import config
from mxconv.dtypes import DTYPES
from mxconv.engine import planner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.algorithms.correlation import roles_of, with_row_axis
from mxconv.engine.algorithms.scratch_free import choose_lane_axis, with_merged_axes
from mxconv.engine.execute import convolve
from mxconv.engine.problem import DIRECTIONS, ConvProblem
from mxconv.jit.kernels.scratch_free import MOST_RANK
from mxconv.jit.target import current

from .conftest import expected, how, small_integers

(SCRATCH_FREE,) = (algorithm for algorithm in ALGORITHMS if algorithm.name == "scratch_free")


@pytest.fixture(autouse=True)
def _alone():
    with config.override(algorithms="scratch_free"):
        yield


def run(p: ConvProblem, first: np.ndarray, second: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    out = np.full(p.shape_of(p.output), 77, p.result.numpy)
    convolve(p.direction, first, second, out, bias, **how(p))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_direction_and_dtype_without_workspace(direction, dtype):
    p = ConvProblem.parse(f"{direction} {dtype} n2 g2 c6->8 i9x20 k3x2 s2x1 p1x1")
    given = small_integers(p)
    with planner.recording() as plans:
        got = run(p, **given)
    assert [(plan.algorithm, plan.workspace_bytes) for plan in plans] == [("scratch_free", 0)]
    np.testing.assert_array_equal(got, expected(p, **given))


def test_it_is_the_last_row_of_the_table():
    assert ALGORITHMS[-1] is SCRATCH_FREE


def problem_of_rank(direction: str, rank: int) -> ConvProblem:
    """Two axes that do something, the first and the last, and others of extent 1 between them."""
    ones = "x1" * (rank - 2)
    return ConvProblem.parse(f"{direction} float32 n2 g1 c2->3 i5{ones}x7 k2{ones}x3")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_as_many_axes_as_it_has_room_for(direction):
    flat, deep = problem_of_rank(direction, 2), problem_of_rank(direction, MOST_RANK)
    given = small_integers(flat)
    between = {"bias": given.pop("bias", None)}
    for name, array in given.items():
        between[name] = array.reshape(*array.shape[:3], *(1,) * (MOST_RANK - 2), *array.shape[3:])
    np.testing.assert_array_equal(run(deep, **between).ravel(), expected(flat, **given, bias=between["bias"]).ravel())


def test_more_axes_are_refused():
    verdict = SCRATCH_FREE.applicable(problem_of_rank("forward", MOST_RANK + 1), current())
    assert not verdict.accepted
    assert verdict.reason == "17 spatial axes, needs at most 16"


@pytest.mark.parametrize(
    "line",
    [
        "forward float32 n2 g1 c70->33 i19x23 k3x3 p1x1",
        "forward float32 n1 g40 c40->40 i30x31 k5x5 s2x2 p2x2",
        "backward_data float32 n1 g1 c33->70 i20x24 k4x4 s2x2 p1x1",
        "backward_data complex64 n1 g1 c8->9 i100 k16 s8 p4",
        "backward_weight float32 n3 g1 c20->33 i19x23 k3x3 p1x1",
        "backward_weight complex64 n3 g2 c4->6 i300 k7 s2 d3",
    ],
)
def test_the_number_of_threads_does_not_change_a_bit(line):
    p = ConvProblem.parse(line)
    rng = np.random.default_rng(3)
    given = [rng.standard_normal(p.shape_of(name)).astype(p.storage.numpy) for name in p.inputs]
    results = []
    for threads in (1, 2, 5):
        with config.override(num_threads=threads, parallel_threshold=0), planner.recording() as plans:
            results.append(run(p, *given).tobytes())
        assert plans[0].threads == threads
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "forward float32 n1 g1 c1->1 i20000 k16384",
        "forward float32 n1 g1 c4000->2 i20 k9",
        "backward_weight float32 n1 g1 c1->1 i400000 k2",
        "backward_weight float32 n1 g1 c1->16 i60000 k2",
    ],
)
def test_long_sums_are_short_chains(line):
    """A single chain would lose what is beyond 1 in the numbers as soon as it passes 2**13: an error of 1e-4."""
    p = ConvProblem.parse(line)
    data = np.full(p.shape_of(p.inputs[0]), 1 + 2**-12, np.float32)
    weight = np.ones(p.shape_of(p.inputs[1]), np.float32)
    weight = np.moveaxis(np.ascontiguousarray(np.moveaxis(weight, 1, -1)), -1, 1)  # many channels are lanes then
    got = run(p, data, weight).astype(float)
    exact = expected(replace(p, dtype="float64"), data.astype(float), weight.astype(float))
    assert np.abs(got / exact - 1).max() < 5e-6


@pytest.mark.parametrize("chain", [1, 3])
def test_the_third_level_of_a_weight_gradient(chain):
    """Chains of a few products make thousands of chains: the second level is folded many times."""
    p = ConvProblem.parse("backward_weight float32 n3 g1 c2->3 i20000 k2")
    given = small_integers(p)
    with config.override(block_reduction=chain):
        np.testing.assert_array_equal(run(p, **given), expected(p, **given))


def lane_axis(line: str) -> int:
    p = ConvProblem.parse(line)
    return choose_lane_axis(with_row_axis(roles_of(p)), 16, 1)


def test_the_axis_that_fills_lanes_is_taken():
    assert lane_axis("forward float32 c1->1 i40x40 k3x3") == 1
    assert lane_axis("forward float32 c1->1 i40x4 k3x3") == 0, "gathered, but sixteen at a time"
    assert lane_axis("forward float32 c1->1 i40x12 k3x3") == 1
    assert lane_axis("forward float32 c1->1 i9x40x9 k1x1x1") == 2
    assert lane_axis("forward float32 c1->1 i9x40x9 k1x1x1 x_strides(3240,3240,40,1,360)") == 1
    assert lane_axis("forward float32 c1->1 i40 k3") == 1, "behind the row axis that it is given"


def merged(line: str) -> tuple[int, ...]:
    return with_merged_axes(roles_of(ConvProblem.parse(line))).src_spatial


def test_lines_without_taps_between_them_are_one():
    assert merged("forward float32 c3->4 i5x6x7 k1x1x1") == (210,)
    assert merged("backward_data float32 c3->4 i5x6x7 k1x1x1") == (210,)
    assert merged("forward float32 c3->4 i5x6x7 k3x1x1") == (5, 42)
    assert merged("forward float32 c3->4 i5x6x7 k1x1x3") == (30, 7)
    assert merged("forward float32 c3->4 i5x6x7 k1x1x1 s1x2x1") == (5, 6, 7)
    assert merged("forward float32 c3->4 i5x6x7 k1x1x1 p0x1:0x0") == (5, 6, 7)
    assert merged("forward float32 c3->4 i6x7 k1x1 x_strides(168,56,8,1)") == (6, 7), "gaps between rows"
    assert merged("forward float32 c3->4 i6x7 k1x1 y_strides(336,56,8,1)") == (6, 7)
    assert merged("forward float32 c3->4 i6x7 k1x1 x_strides(126,1,21,3) y_strides(168,1,28,4)") == (42,)
