"""One problem has one result, bit for bit: for any number of threads, on every run, wherever `out` lies."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner
from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem

PROBLEMS = [
    "forward float32 n2 g1 c70->33 i19x23 k3x3 p1x1",
    "forward float32 n1 g40 c40->40 i30x31 k5x5 s2x2 p2x2",
    "forward float32 n1 g2 c2->2 i9x600 k3x3",
    "forward float64 n3 g1 c9->20 i200 k9 d3",
    "forward bfloat16 n1 g2 c12->14 i7x8x9 k3x2x3 p1x1x1",
    "backward_data float32 n1 g1 c33->70 i20x24 k4x4 s2x2 p1x1",
    "backward_data float64 n2 g3 c9->12 i40x41 k5x3 s3x2 p2x1",
    "backward_data complex64 n1 g1 c8->9 i100 k16 s8 p4",
    "backward_weight float32 n3 g1 c20->33 i19x23 k3x3 p1x1",
    "backward_weight float64 n5 g6 c12->12 i300 k7 s2 d3",
]


def _arrays(p: ConvProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    data, weight = (rng.standard_normal(p.shape_of(name)).astype(p.storage.numpy) for name in p.inputs)
    return data, weight, np.empty(p.shape_of(p.output), p.result.numpy)


def _run(p: ConvProblem, data: np.ndarray, weight: np.ndarray, out: np.ndarray) -> bytes:
    how = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
    convolve(p.direction, data, weight, out, **how)
    return out.tobytes()


@pytest.mark.parametrize("line", PROBLEMS)
def test_the_number_of_threads_does_not_change_a_bit(line):
    p = ConvProblem.parse(line)
    data, weight, out = _arrays(p)
    results, used = set(), []
    for threads in (1, 2, 5, 16):
        with config.override(num_threads=threads, parallel_threshold=0), planner.recording() as plans:
            results.add(_run(p, data, weight, out))
        used.append(plans[0].threads)
    assert len(results) == 1
    assert used[0] == 1
    assert used[1] == 2, "the problem is too small to show anything"


@pytest.mark.parametrize("line", PROBLEMS)
def test_every_run_gives_the_same_bits(line):
    p = ConvProblem.parse(line)
    arrays = _arrays(p)
    assert len({_run(p, *arrays) for _ in range(5)}) == 1


def _views(room: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Views of `shape` that start at several places of a one-dimensional array, one of them reversed."""
    size = int(np.prod(shape))
    views = [room[start : start + size].reshape(shape) for start in (0, 1, size // 2, room.size - size)]
    return [*views, room[:size][::-1].reshape(shape)]


@pytest.mark.parametrize(
    "line", ["forward float32 n2 g1 c4->5 i6x9 k3x3 p1x1", "backward_data float32 n1 g2 c6->4 i20 k4 s2 p1"]
)
def test_out_may_overlap_the_inputs_in_every_way(line):
    p = ConvProblem.parse(line)
    data, weight, out = _arrays(p)
    expected = _run(p, data, weight, out)
    room = np.zeros(2 * max(data.size, weight.size, out.size), out.dtype)
    for overlapped in ("data", "weight"):
        source = {"data": data, "weight": weight}[overlapped]
        for place in range(len(_views(room, source.shape))):
            for target in _views(room, out.shape):
                inputs = {"data": data, "weight": weight}
                inputs[overlapped] = _views(room, source.shape)[place]
                inputs[overlapped][...] = source
                assert _run(p, inputs["data"], inputs["weight"], target) == expected


def test_out_may_be_the_data_itself():
    p = ConvProblem.parse("forward float32 n2 g1 c5->5 i6x9 k3x3 p1x1")
    data, weight, out = _arrays(p)
    expected = _run(p, data, weight, out)
    assert _run(p, data, weight, data) == expected


def test_out_may_overlap_the_bias():
    data, weight = np.ones((1, 2, 5), "f4"), np.ones((3, 2, 1), "f4")
    room = np.arange(15, dtype="f4")
    out = room.reshape(1, 3, 5)
    how = {"stride": (1,), "dilation": (1,), "pad_lo": (0,), "pad_hi": (0,), "groups": 1}
    convolve("forward", data, weight, out, room[1:4], **how)
    assert out[0, :, 0].tolist() == [3, 4, 5]
