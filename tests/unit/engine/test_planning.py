"""What a new image size costs: few kernels, no lists that grow with it, and a search without what cannot win."""

from __future__ import annotations

import random

import pytest

from mxconv.engine import planner
from mxconv.engine.algorithms import winograd_form
from mxconv.engine.algorithms.winograd_form import Cut, choose_cut
from mxconv.engine.problem import ConvProblem
from mxconv.geometry import Tap
from mxconv.jit.target import current


@pytest.mark.parametrize("channels", ["16->32", "64->64", "128->96"])
def test_images_of_all_sizes_share_a_few_kernels(channels):
    rng, tiles = random.Random(0), set()
    for _ in range(300):
        p = ConvProblem.parse(f"forward float32 c{channels} i{rng.randint(8, 200)}x{rng.randint(8, 200)} k3x3 p1x1")
        m = min((4, 3, 2), key=lambda m: choose_cut(p, m, current(), 2, 0).cost)
        tiles.add((m, choose_cut(p, m, current(), 2, 0).tile))
    assert 3 < len(tiles) <= 12


@pytest.mark.parametrize(
    "line",
    [
        "forward float32 n1 c16->32 i37x50 k3x3 p1x1",
        "forward float32 n32 c64->200 i14x14 k3x3 p1x1",
        "backward_data float32 n3 c8->24 i40x31 k4x4 s2x2 p1x1",
        "forward float32 n2 c16->40 i9x30x22 k3x3x3 p1x1x1",
        "forward float64 n1 g2 c512->768 i28x90 k3x3 p1x1",
    ],
)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_what_is_passed_over_would_not_have_won(line, threads, monkeypatch):
    """The best block of all is the best of those that win alone, each asked for by itself."""
    p = ConvProblem.parse(line)
    search = winograd_form._choose_cut.__wrapped__
    usual = winograd_form._blocks_of
    for m, thrift in ((4, 0), (3, 0), (2, 2)):

        def cut(m: int = m, thrift: int = thrift) -> Cut:
            return search(p, m, current(), threads, thrift, None, None)

        best, alone = cut(), []
        form = winograd_form.form_of(p, m, current().lanes(8 if "64" in p.dtype else 4))
        for block in usual(form.row_tiles, form.lane_tiles, p.batch, (None, None)):
            monkeypatch.setattr(winograd_form, "_blocks_of", lambda *_, block=block: [block])
            alone.append(cut())
        monkeypatch.setattr(winograd_form, "_blocks_of", usual)
        assert len(alone) > 5
        assert best.cost == min(one.cost for one in alone)
        assert best in alone


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_no_list_grows_with_a_filter(direction, monkeypatch):
    """Half a million taps: none of them is ever made."""
    p = ConvProblem.parse(f"{direction} float32 c1->1 i600000 k500001 p100")
    made = []
    monkeypatch.setattr("mxconv.geometry.Tap", lambda *tap: made.append(tap) or Tap._make(tap))
    assert planner.make_plan(p).algorithm == "fft_1d"
    assert len(made) < 100
