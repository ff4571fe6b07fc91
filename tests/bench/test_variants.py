"""Runs in other settings: new weights, channels last, untuned, drawn, measured again. Nothing depends on times."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import main as harness_main
from harness.arguments import CORE, SUITES, parse_arguments
from harness.criteria import CHANNELS_LAST, UNTUNED
from harness.measure import describe_problem, measure
from harness.peer import Problem, Refusal, need_constant_weights
from harness.results import Results
from harness.tasks import CLASSES
from mxconv.engine import pack_cache
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import make_arrays
from peers import mxconv as ours
from peers import mxconv_channels_last as ours_last

PEER = """
from harness.peer import Prepared
import numpy as np

def start(threads):
    return "1"

def prepare(problem, constants):
    def call(x, w=constants.get("w")):
        return np.einsum("ncx,fc->nfx", x, w[:, :, 0])
    return Prepared(call, {"constants": sorted(constants), "varying": problem.varying})
"""


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "torch_fake.py").write_text(PEER)
    (tmp_path / "s.txt").write_text("a: forward float32 n2 g1 c4->3 i9 k1")

    def run(*words: str) -> Results:
        peer = ["--peer-python", sys.executable, "--peers", str(tmp_path / "torch_fake.py"), "--results", str(tmp_path)]
        harness_main.main([*words, *peer, "--name", "r", "--rounds", "1", "--threads", "1"])
        return Results.load(tmp_path / "r.json")

    return run


def _problem(text: str, **more: object) -> Problem:
    return Problem.from_json(describe_problem(ConvProblem.parse(text), **more))


# ---- what is chosen


def test_what_to_run_is_named_once() -> None:
    for words in ([], ["--core", "--all"], ["a.txt", "--draw", "3"]):
        with pytest.raises(SystemExit):
            parse_arguments(words)
    assert parse_arguments(["--core"]).suites == [CORE]
    assert parse_arguments(["--all"]).suites == [SUITES / f"{name}.txt" for name in CLASSES]
    two = parse_arguments(["x/a.txt", "b.txt"])
    assert (two.suites, two.label) == ([Path("x/a.txt"), Path("b.txt")], "a+b")


@pytest.mark.parametrize(
    "words",
    [
        ["--training", "--new-weights"],
        ["--core", "--redo", "a"],
        ["--core", "--resume", "--again"],
        ["--draw", "3", "--resume", "--name", "x"],
        ["--core", "--peers", "jax"],
        ["--core", "--threads", "0"],
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(words)


def test_who_takes_part_by_default() -> None:
    assert "torch_stays_last" not in parse_arguments(["--core"]).peers
    assert "onnxruntime" in parse_arguments(["--core"]).peers
    assert parse_arguments(["--training"]).peers == ["torch_nchw", "torch_channels_last", "torch_stays_last"]
    for words in (["--new-weights"], ["--dtype", "float64"]):
        assert parse_arguments(["--core", *words]).peers == ["torch_nchw", "torch_channels_last"]


def test_drawn_shapes_are_run(run) -> None:
    results = run("--draw", "40", "--seed", "3", "--only", "drawn3_39")
    assert [row.name for row in results.rows] == ["drawn3_39"]
    assert results.settings["suite"] == "drawn-3"
    assert results.rows[0].kind


# ---- weights that are new in each call


def test_new_weights_are_handed_over_in_each_call(run, tmp_path: Path) -> None:
    results = run(str(tmp_path / "s.txt"), "--new-weights")
    (row,) = results.rows
    assert {entry.status for entry in row.entries.values()} == {"timed"}
    assert row.entries["torch_fake"].info == {"constants": [], "varying": ["x", "w"]}
    assert results.settings["new_weights"] is True
    (row,) = run(str(tmp_path / "s.txt"), "--resume", "--new-weights", "--redo", "a").rows
    assert row.entries["torch_fake"].info["varying"] == ["x", "w"]


def test_our_engine_keeps_nothing_of_a_new_weight() -> None:
    text = "forward float32 n1 g1 c64->64 i14x14 k1x1"
    arrays = make_arrays(ConvProblem.parse(text))
    misses = pack_cache.counts().misses
    call = ours.prepare(_problem(text, new_weights=True), {}).call
    before = call(arrays["x"], arrays["w"])
    np.testing.assert_array_equal(call(arrays["x"], 2 * arrays["w"]), 2 * before)
    assert pack_cache.counts().misses == misses


def test_a_library_that_prepares_weights_refuses_new_ones() -> None:
    tail = "float32 n1 g1 c1->1 i5 k3"
    need_constant_weights(_problem(f"backward_weight {tail}", new_weights=True))
    with pytest.raises(Refusal, match="weights that change"):
        need_constant_weights(_problem(f"forward {tail}", new_weights=True))


# ---- our engine in other settings


@pytest.mark.parametrize("direction", ["forward", "backward_data", "backward_weight"])
@pytest.mark.parametrize("axes", ["i9 k3", "i9x8 k3x2", "i5x6x7 k2x3x1", "i1x1 k1x1"])
def test_channels_last_gives_the_same_answer_in_that_layout(direction: str, axes: str) -> None:
    text = f"{direction} float32 n2 g1 c3->4 {axes}"
    problem = ConvProblem.parse(text)
    arrays = make_arrays(problem)
    asked = _problem(text)
    constants = {k: v for k, v in arrays.items() if k not in asked.varying}
    varying = [arrays[name] for name in asked.varying]
    plain = ours.prepare(asked, constants).call(*varying)
    prepared = ours_last.prepare(asked, constants)
    for _ in range(2):
        turned = prepared.call(*varying)
        assert turned.shape == plain.shape
        np.testing.assert_allclose(turned, plain, rtol=1e-4, atol=1e-4)
    if direction != "backward_weight":
        assert np.moveaxis(turned, 1, -1).flags.c_contiguous
    assert prepared.info["algorithm"]


def test_our_other_settings_take_part_and_are_no_peers(run, tmp_path: Path) -> None:
    (row,) = run(str(tmp_path / "s.txt"), "--channels-last", "--untuned").rows
    assert list(row.entries) == ["mxconv", CHANNELS_LAST, UNTUNED, "torch_fake"]
    assert {entry.status for entry in row.entries.values()} == {"timed"}
    assert row.best_peer() == "torch_fake"
    assert row.ratio_to(UNTUNED) > 0


# ---- going on


def test_rows_that_are_behind_are_measured_a_second_time(run, tmp_path: Path, monkeypatch) -> None:
    suite = str(tmp_path / "s.txt")
    (tmp_path / "s.txt").write_text("a: forward float32 n2 g1 c4->3 i9 k1\nb: forward float32 n2 g1 c4->3 i8 k1")
    run(suite)
    stored = json.loads((tmp_path / "r.json").read_text())
    for row, factor in zip(stored["rows"], (0.5, 2.0), strict=True):
        row["entries"]["torch_fake"]["rounds"] = [factor * t for t in row["entries"]["mxconv"]["rounds"]]
    (tmp_path / "r.json").write_text(json.dumps(stored))
    measured = []
    monkeypatch.setattr(harness_main, "measure", lambda task, *rest: measured.append(task.name) or measure(task, *rest))
    first, second = run(suite, "--resume", "--again").rows
    assert measured == ["a"]
    assert (len(first.again), second.again) == (1, [])
    run(suite, "--resume", "--again")
    assert measured == ["a"]
    again = run(suite, "--resume", "--redo", "b").rows
    assert measured == ["a", "b"]
    assert [row.name for row in again] == ["a", "b"]
