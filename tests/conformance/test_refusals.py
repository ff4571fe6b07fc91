"""What algorithms refuse, and the words with which they say why."""

from __future__ import annotations

import pytest

from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target

LAST = "x_strides(972,1,108,12) y_strides(588,1,84,12)"

REFUSALS = {
    "depthwise": [
        ("forward float32 n1 g2 c2->2 i90 k9", "a single grid row"),
        ("forward complex64 n1 g2 c2->2 i9x9 k3x3", "dtype complex64"),
        ("forward float32 n1 g2 c2->2 i2x9 k3x3", "no pixels"),
        ("forward float32 n1 g2 c4->4 i9x9 k3x3", "2 source channels a group"),
        ("forward float32 n1 g2 c2->32 i9x9 k3x3", "16 result channels a group"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x2", "several phases"),
        ("forward float32 n1 g2 c2->2 i90x9 k3x3 s5x1", "rows 5 dilations apart"),
        ("forward float32 n1 g2 c2->2 i9x9 k3x3 y_strides(98,1,14,2)", "results of a row"),
        ("forward float32 n1 g2 c2->2 i90000x2000 k3x900 d9000x1", "the smallest box stages"),
    ],
    "scaling": [
        ("backward_weight float32 n1 g2 c2->2 i9x9 k1x1", "direction backward_weight"),
        ("forward complex64 n1 g2 c2->2 i9x9 k1x1", "dtype complex64"),
        ("forward float32 n0 g2 c2->2 i0x9 k1x1", "no pixels"),
        ("forward float32 n1 g2 c4->4 i9x9 k1x1", "2 source channels a group"),
        ("forward float32 n1 g2 c2->2 i9x9 k1x2", "2 taps in 1 phases"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k1x1 s2x1", "1 taps in 2 phases"),
        ("backward_data float32 n1 g1 c2->1 i1x1 k2x1 s2x1 p1x0", "2 taps in 1 phases"),
        ("forward float32 n1 g2 c2->2 i9x9 k1x1 p0x1", "padding"),
        ("forward float32 n1 g12 c12->12 i9x9 k1x1 x_strides(972,1,108,12) y_strides(972,1,108,12)", "channels that"),
        ("forward float32 n1 g2 c2->2 i9x9 k1x1 y_strides(324,162,18,2)", "results of a row"),
    ],
    "depthwise_lanes": [
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3", "direction backward_weight"),
        ("forward float32 n1 g12 c12->12 i9x9 k3x3 y_strides(588,49,7,2)", "neither channels nor pixels"),
        ("forward float32 n1 g12 c12->12 i9x16 k3x1 p1x0", "rows of 16 pixels"),
        ("forward float32 n1 g12 c12->12 i20000x5 k3x3 p1x1", "a transposed image"),
        ("forward float32 n1 g12 c12->24 i9x9 k3x3", "2 result channels a group"),
        (
            "forward float32 n1 g12 c12->12 i12x12 k17x17 p8x8 x_strides(1728,1,144,12) y_strides(1728,1,144,12)",
            "289 taps",
        ),
        ("forward float32 n1 g1 c1->1 i9x9 k3x3", "1 channels fill less"),
    ],
    "depthwise_phases": [
        ("forward float32 n1 g2 c2->2 i9x9 k3x3 s2x2", "direction forward"),
        ("backward_data complex64 n1 g2 c2->2 i9x9 k3x3 s2x2", "dtype complex64"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3", "a single phase"),
        ("backward_data float32 n1 g2 c2->4 i9x9 k3x3 s2x2", "2 source channels a group"),
        ("backward_data float32 n1 g2 c32->2 i9x9 k3x3 s2x2", "16 result channels a group"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x3", "3 phases of the last axis"),
        ("backward_data float32 n1 g2 c2->2 i5x9x9 k1x3x3 s1x2x2", "3 axes"),
        ("backward_data float32 n1 g2 c2->2 i19x9 k5x3 s2x2 d3x1", "rows that taps leave out"),
        ("backward_data float32 n1 g2 c2->2 i90x9 k40x3 s2x2", "phases of 20 row taps"),
        ("backward_data float32 n1 g2 c2->2 i9x9 k3x3 s2x2 x_strides(324,162,18,2)", "results of a row"),
    ],
    "depthwise_lanes_weight": [
        ("forward float32 n1 g12 c12->12 i9x9 k3x3", "direction forward"),
        ("backward_weight float32 n1 g12 c12->24 i9x9 k3x3", "2 result channels a group"),
        ("backward_weight float32 n1 g12 c12->12 i3x9x9 k3x3x3 p1x1x1", "3 axes"),
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3 d1x2", "column taps"),
        ("backward_weight float32 n1 g1 c1->1 i9x9 k3x3", "1 channels fill less"),
        ("backward_weight float32 n1 g12 c12->12 i9x9 k3x3 y_strides(588,49,7,2)", "neither channels nor pixels"),
        ("backward_weight float32 n1 g12 c12->12 i9x16 k3x1 p1x0", "rows of 16 pixels"),
        ("backward_weight float32 n1 g12 c12->12 i20000x5 k3x3 p1x1", "a transposed image"),
    ],
    "depthwise_weight": [
        ("forward float32 n1 g2 c2->2 i9x9 k3x3", "direction forward, needs backward_weight"),
        ("backward_weight float32 n1 g2 c2->2 i90000x2000 k3x900 d40000x1", "the smallest box stages"),
        ("backward_weight float32 n1 g2 c2->2 i9x9 k3x3 y_strides(98,1,14,2)", "gradients of a row"),
    ],
    "phase_rows": [
        ("forward float32 n1 g1 c1->4 i40x50 k4x4 s2x2", "direction forward"),
        ("backward_data complex64 n1 g1 c1->4 i40x50 k4x4 s2x2", "dtype complex64"),
        ("backward_data float32 n1 g1 c1->4 i0x50 k4x4 s2x2 p2x2", "no results"),
        ("backward_data float32 n1 g1 c1->4 i40x50x60 k4x4x4 s2x1x1", "stride 1 on the last two axes"),
        ("backward_data float32 n1 g1 c1->4 i40x50 k4x4 s2x2 d2x1", "dilation"),
        ("backward_data float32 n1 g1 c1->4 i40x500 k4x40 s2x20", "stride 20"),
        ("backward_data float32 n1 g1 c80->4 i40x50 k4x4 s2x2", "320 channels times phases"),
        ("backward_data float32 n1 g1 c1->4 i40x9000000 k4x9000000 s2x2", "the smallest box stages"),
    ],
    "fft_1d": [
        ("backward_weight float32 n1 g1 c1->1 i500 k100", "direction backward_weight"),
        ("forward int8 n1 g1 c1->1 i500 k100", "dtype int8"),
        ("forward float32 n1 g1 c1->1 i500x50 k100x2", "2 axes with more than one tap"),
        ("forward float32 n1 g1 c1->1 i500 k100 s2", "stride 2"),
        ("forward float32 n1 g1 c1->1 i500 k15", "15 taps"),
        ("backward_data float32 n1 g1 c1->1 i500 k60 s4", "15 taps"),
        ("forward float32 n0 g1 c1->1 i500 k100", "no results"),
        ("forward float32 n1 g1 c9000->9000 i500 k100", "spectra of the weight"),
    ],
    "fft_flat": [
        ("backward_weight float32 n1 g1 c8->8 i30x30 k7x7", "direction backward_weight"),
        ("forward int8 n1 g1 c8->8 i30x30 k7x7", "dtype int8"),
        ("forward float32 n1 g1 c8->8 i30x30 k1x17", "1 axes with more than one tap"),
        ("forward float32 n0 g1 c8->8 i30x30 k7x7", "no results"),
        ("forward float32 n1 g8 c8->8 i30x30 k7x7", "1 source channels a group"),
        ("forward float32 n1 g1 c8->8 i30x30 k7x7 s1x2", "stride 2"),
        ("forward float32 n1 g1 c8->8 i30x30 k5x3", "15 taps"),
        ("forward float32 n1 g1 c2->2 i3000x3000 k3000x3000 p2000x2000", "14998000 places"),
        ("forward float32 n1 g1 c9000->9000 i30x30 k7x7", "spectra of the weight"),
    ],
    "fft_2d": [
        ("backward_weight float32 g8 c8->8 i30x30 k7x7", "direction backward_weight, needs forward or backward_data"),
        ("forward complex64 g8 c8->8 i30x30 k7x7", "dtype complex64, needs floating point"),
        ("forward float32 g8 c8->8 i300 k31", "1 axis, needs 2 or more"),
        ("forward float32 n0 g8 c8->8 i30x30 k7x7", "no results, needs some"),
        ("forward float32 c8->8 i30x30 k7x7", "8 source channels a group, needs 1"),
        ("forward float32 g8 c8->8 i9x30x30 k3x7x7", "kernel 3 and stride 1 on axis 0"),
        ("forward float32 g8 c8->8 i60x60 k7x7 d2x1", "dilation 2, needs 1"),
        ("forward float32 g8 c8->8 i60x60 k7x7 s2x2", "stride 2, needs 1"),
        ("backward_data float32 g8 c8->8 i60x60 k7x2 s1x4", "stride 4 of kernel 2, needs a tap in each phase"),
        ("forward float32 g8 c8->8 i60x60 k2x3", "sums of 6 products, pays from 8 on"),
        ("forward float32 g8 c8->8 i600x600 k300x3", "tiles of 256 samples do not hold the kernel"),
    ],
}
"""By algorithm: problems, and how the reason begins."""


@pytest.mark.parametrize(
    ("name", "line", "reason"), [(name, *refusal) for name, refusals in REFUSALS.items() for refusal in refusals]
)
def test_refusals_say_why(name: str, line: str, reason: str) -> None:
    (algorithm,) = (algorithm for algorithm in ALGORITHMS if algorithm.name == name)
    verdict = algorithm.applicable(ConvProblem.parse(line), target.current())
    assert not verdict.accepted
    assert verdict.reason.startswith(reason)
