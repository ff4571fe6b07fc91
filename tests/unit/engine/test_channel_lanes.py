"""Taps that miss the image: what channel_lanes leaves out of the sums, and where it must not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner
from mxconv.engine.algorithms.correlation import roles_of
from mxconv.engine.algorithms.padding import banded, bands_of, hits_of, needed, valid
from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem

from .conftest import how, small_integers

BY_TILE = "forward float32 n1 g1 c16->64 i4x4x2 k5x5x5 p2x2x2"
BY_BAND = "forward float32 n1 g1 c16->64 i13x13 k3x3 d6x6 p6x6"


def taps_of_tiles(roles, mr):
    """Products of tiles of mr pixels that follow each other in rows, by looking at every pixel."""
    axes = [hits_of(axis, extent)[0] for axis, extent in zip(roles.axes, roles.src_spatial, strict=True)]
    positions = list(itertools.product(*map(range, roles.grid)))
    total = 0
    for first in range(0, len(positions), mr):
        tile = positions[first : first + mr]
        total += mr * math.prod(
            sum(any(low <= position[a] < end for position in tile) for low, end in hits) for a, hits in enumerate(axes)
        )
    return total


@pytest.mark.parametrize(
    ("line", "mr", "tolerance"),
    [
        (BY_TILE, 8, 1e-9),
        ("forward float32 c1->1 i2x7x7 k3x3x3 p1x1x1", 7, 1e-9),
        ("forward float32 c1->1 i33x33 k3x3 d12x12 p12x12", 8, 0.01),
        ("forward float32 c1->1 i33x33 k3x3 d18x18 p18x18", 10, 0.01),
        ("forward float32 c1->1 i19x30 k5x7 s2x2 p4x2", 6, 0.02),
    ],
)
def test_the_share_of_products_that_tiles_need_is_what_counting_gives(line, mr, tolerance):
    roles = roles_of(ConvProblem.parse(line))
    every = roles.pixels * roles.all_taps
    tiles = -(-roles.pixels // mr) * mr / roles.pixels
    assert needed(roles, mr, roles.grid) * tiles == pytest.approx(taps_of_tiles(roles, mr) / every, abs=tolerance)
    assert valid(roles) == pytest.approx(taps_of_tiles(roles, 1) / every)
    assert valid(roles) <= needed(roles, mr, roles.grid)


def test_bands_of_one_pixel_a_tile_need_what_is_valid():
    roles = roles_of(ConvProblem.parse("backward_data float32 c1->1 i9x11 k3x5 s2x1 d1x3 p1x5"))
    assert banded(roles, 1, roles.grid) == pytest.approx(valid(roles))
    for axis, extent in zip(roles.axes, roles.src_spatial, strict=True):
        for phase, bands in zip(axis.phases, bands_of(axis, extent), strict=True):
            assert sum(band.length for band in bands) == phase.count


def run(line, tap, **knobs):
    """The result with a weight that is infinite at one tap of one result channel, and the plan's argument block."""
    p = ConvProblem.parse(line)
    arrays = small_integers(p)
    arrays["second"][3, 5].flat[tap] = np.inf
    out = np.full(p.y_shape, 7, np.float32)
    settings = {"algorithms": "channel_lanes", "tune": "off", "parallel_threshold": 0, **knobs}
    with config.override(**settings), planner.recording() as plans:
        convolve(p.direction, arrays["first"], arrays["second"], out, **how(p))
    (plan,) = plans
    return out, {name: int(plan.arguments[plan.layout.index[name]]) for name in ("skips", "banded")}


@pytest.mark.parametrize(("line", "is_banded"), [(BY_TILE, 0), (BY_BAND, 1)])
def test_an_infinite_weight_gives_the_same_for_any_blocks_and_threads(line, is_banded):
    p = ConvProblem.parse(line)
    first, arguments = run(line, 1, num_threads=1)
    assert arguments == {"skips": 1, "banded": is_banded}
    for knobs in ({"num_threads": 2}, {"block_pixels": 1}, {"block_pixels": 5, "block_reduction": 7}):
        again, _ = run(line, 1, **{"num_threads": 1, **knobs})
        assert again.tobytes() == first.tobytes()
    # The second tap, the first that meets the image at all, sees padding from the first position, and an infinity times
    # it is not a number: unless bands leave out all padding.
    corner = first[0, 3][(0,) * p.rank]
    assert np.isfinite(corner) if is_banded else np.isnan(corner)
    assert np.isfinite(np.delete(first, 3, axis=1)).all()


@pytest.mark.parametrize("shape", ["i5x5 k3x3 s2x2 p1x1", "i13x13 k3x3 d6x6 p6x6", "i9x7 k3x3"])
def test_groups_that_share_a_task_are_computed_as_by_themselves(shape):
    """Staged, in bands, and in place; the last task has fewer groups."""
    p = ConvProblem.parse(f"forward float32 n2 g18 c144->576 {shape} +bias")
    arrays, results = small_integers(p), {}
    for algorithm in ("channel_lanes", "scratch_free"):
        results[algorithm] = np.full(p.y_shape, 7, np.float32)
        with config.override(algorithms=algorithm, num_threads=2, tune="off"), planner.recording() as plans:
            convolve(p.direction, arrays["first"], arrays["second"], results[algorithm], arrays["bias"], **how(p))
        if algorithm == "channel_lanes":
            block = int(plans[0].arguments[plans[0].layout.index["group_block"]])
            assert block > 1
            assert p.groups % block
    assert (results["channel_lanes"] == results["scratch_free"]).all()
