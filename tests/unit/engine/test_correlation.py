"""Correlations: axes that are made one."""

from __future__ import annotations

import pytest

from mxconv.engine.algorithms.correlation import merged, roles_of
from mxconv.engine.problem import ConvProblem


@pytest.mark.parametrize(
    ("text", "extents"),
    [
        ("forward float32 c8->8 i5x6x7 k1x1x1", (210,)),
        ("backward_data float32 c8->8 i5x6x7 k1x1x1", (210,)),
        ("forward float32 c8->8 i5x6x7 k3x1x1 p1x0x0", (5, 42)),
        ("forward float32 c8->8 i5x6x7 k1x1x3", (30, 7)),
        ("forward float32 c8->8 i5x6 k1x1 s1x2", (5, 6)),
        ("forward float32 c8->8 i5x6 k1x1 p1x0", (5, 6)),
        ("forward float32 c8->8 i5x6 k1x1 x_strides(0,35,7,1)", (5, 6)),
        ("forward float32 c8->8 i5x6 k1x1 x_strides(0,35,7,1) y_strides(0,35,7,1)", (5, 6)),
        ("forward float32 c8->8 i5x6 k1x1 x_strides(240,1,48,8) y_strides(240,1,48,8)", (30,)),
    ],
)
def test_axes_that_only_see_themselves_are_made_one(text, extents):
    problem = ConvProblem.parse(text)
    roles = merged(roles_of(problem))
    assert roles.src_spatial == extents
    assert len(roles.axes) == len(roles.src_strides) == len(roles.dst_strides) == len(roles.w_strides) == len(extents)
    assert roles.pixels == roles_of(problem).pixels
    assert roles.src_strides[-1] == problem.strides_of(roles.src)[-1]
