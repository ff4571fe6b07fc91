"""The demo's check against float64: right results pass, one wrong element in a window is seen."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv.cli.check import WINDOW, largest_error
from mxconv.engine.planner import recording
from mxconv.ops.inference import infer_shapes
from mxconv.ops.registry import OPERATORS, compute

CASES = {
    "padded": ("Convolution", {"kernel": "(5,3)", "pad": "(2,1)", "num_filter": "4", "num_group": "2"}),
    "strided": ("Convolution", {"kernel": "(4,3)", "stride": "(3,2)", "num_filter": "4", "num_group": "2"}),
    "dilated": ("Convolution", {"kernel": "(3,3)", "dilate": "(4,2)", "pad": "(4,2)", "num_filter": "4"}),
    "cropped": ("Convolution", {"kernel": "(3,3)", "pad": "((-3,1),(2,-4))", "num_filter": "4", "num_group": "2"}),
    "target": ("Deconvolution", {"kernel": "(5,4)", "stride": "(3,2)", "target_shape": "(400,299)", "num_filter": "4"}),
    "spread": ("Deconvolution", {"kernel": "(3,2)", "stride": "(2,3)", "dilate": "(3,2)", "pad": "(1,0)",
                                 "num_filter": "4"}),
    "blocks": ("Deconvolution", {"kernel": "(8,8)", "stride": "(8,8)", "num_filter": "4", "num_group": "2"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("spatial", [(150, 161), (6, 9)])
def test_windows_agree_and_notice(case: str, spatial: tuple[int, int], rng: np.random.Generator) -> None:
    op, attributes = CASES[case]
    if "target_shape" in attributes and spatial == (6, 9):
        attributes = {**attributes, "target_shape": "(17,18)"}
    if case == "dilated" and spatial == (6, 9):
        attributes = {**attributes, "dilate": "(2,2)"}
    spec = OPERATORS[op]
    param = spec.parse({**attributes, "no_bias": "True"})
    data = rng.integers(-8, 9, (2, 4, *spatial)).astype(np.float64)
    (_, weight_shape), _ = infer_shapes(spec, param, [data.shape])
    weight = rng.integers(-8, 9, weight_shape).astype(np.float64)
    with recording() as plans:
        (output,) = compute(spec, param, [data, weight])
    problem = plans[0].problem
    assert largest_error(problem, data, weight, output) == 0
    middles = [max(0, n - WINDOW) // 2 for n in output.shape[2:]]
    for place in ((0, 0, 0, 0), (1, 3, *middles), (1, 2, -1, -1)):
        wrong = output.copy()
        wrong[place] += 0.25
        assert largest_error(problem, data, weight, wrong) == 0.25
