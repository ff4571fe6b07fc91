"""Layers in training: the suite, the sums over steps, weights that change. Nothing here depends on times."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import main as harness_main
from harness.arguments import TRAINING
from harness.measure import describe_problem, objection
from harness.peer import Problem, Refusal, need_constant_weights
from harness.results import Entry, Results, Row
from harness.training import STEPS, count_of, describe_layers, group_layers, split_name, tabulate, total
from mxconv.engine import pack_cache
from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import NamedProblem, read_suite
from mxconv.engine.trial import make_arrays
from peers import mxconv as ours

FIRST_LAYERS = {"r50_7x7s2_3_64_224", "dcgan_g1", "dcgan_d1"}


# ---- the suite


@pytest.fixture(scope="module")
def layers() -> dict[str, dict[str, NamedProblem]]:
    found: dict[str, dict[str, NamedProblem]] = {}
    for row in read_suite(TRAINING):
        layer, step = split_name(row.name)
        found.setdefault(layer, {})[step] = row
    return found


def test_the_steps_of_a_layer_are_one_problem(layers: dict[str, dict[str, NamedProblem]]) -> None:
    for name, steps in layers.items():
        assert tuple(steps) == (("output", "weight") if name in FIRST_LAYERS else STEPS)
        assert len({str(row.problem).partition(" ")[2] for row in steps.values()}) == 1
        assert len({row.comment for row in steps.values()}) == 1
        directions = {step: row.problem.direction for step, row in steps.items()}
        expected = {"output": "forward", "data": "backward_data", "weight": "backward_weight"}
        if name.startswith("dcgan_g"):
            expected |= {"output": "backward_data", "data": "forward"}
        assert directions == {step: expected[step] for step in steps}
        problem = steps["output"].problem
        assert (problem.batch, problem.dtype, problem.epilogue) == (8, "float32", ())


@pytest.mark.parametrize(
    ("network", "convolutions", "parameters"),
    [
        ("r50_", 53, 25_557_032 - 2_049_000 - 53_120),  # without the classifier and the batch normalisations
        ("dcgan_g", 5, 3_576_704 - 1_920),
        ("dcgan_d", 5, 2_765_568 - 1_792),
    ],
)
def test_the_networks_have_their_parameters(
    layers: dict[str, dict[str, NamedProblem]], network: str, convolutions: int, parameters: int
) -> None:
    mine = [steps["output"] for name, steps in layers.items() if name.startswith(network)]
    assert sum(count_of(row.comment) for row in mine) == convolutions
    assert sum(count_of(row.comment) * math.prod(row.problem.w_shape) for row in mine) == parameters
    assert len({str(row.problem) for row in mine}) == len(mine)


def test_resnet_50_has_its_multiply_adds(layers: dict[str, dict[str, NamedProblem]]) -> None:
    rows = [steps["output"] for name, steps in layers.items() if name.startswith("r50_")]
    dense = sum(
        count_of(row.comment) * math.prod(row.problem.w_shape) * math.prod(row.problem.out_spatial) for row in rows
    )
    assert dense == 4_089_184_256 - 2_048 * 1_000


def test_dcgan_is_a_chain(layers: dict[str, dict[str, NamedProblem]]) -> None:
    generator = [layers[f"dcgan_g{n}"]["output"].problem for n in range(1, 6)]
    discriminator = [layers[f"dcgan_d{n}"]["output"].problem for n in range(1, 6)]
    chain = [p.shape_of(name) for p in generator + discriminator for name in (p.inputs[0], p.output)]
    assert chain[0] == (8, 100, 1, 1)
    assert chain[9] == (8, 3, 64, 64)
    assert chain[-1] == (8, 1, 1, 1)
    assert chain[1:-1:2] == chain[2::2]


def test_lines_are_written_as_they_are_printed() -> None:
    lines = [line for line in TRAINING.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == [str(row) for row in read_suite(TRAINING)]


# ---- the sums


def _row(name: str, comment: str = "", **times: float | None) -> Row:
    entries = {n: Entry("refused") if t is None else Entry("timed", median=t) for n, t in times.items()}
    return Row(name, "p", comment, 1, 1.0, entries)


ROWS = [
    _row("a_1.output", "x3, where", mxconv=1.0, torch_x=2.0, torch_y=1.0, jax=0.1),
    _row("a_1.data", "x3, where", mxconv=2.0, torch_x=2.0, torch_y=4.0, jax=0.1),
    _row("a_1.weight", "x3, where", mxconv=3.0, torch_x=1.0, torch_y=None, jax=0.1),
    _row("b_1.output", "where", mxconv=4.0, torch_x=2.0, torch_y=1.5),
    _row("b_1.weight", "where", mxconv=1.0, torch_x=2.0, torch_y=1.5),
    _row("b_2.output", "x2", mxconv=None, torch_x=2.0),
    _row("b_3.output", "x2, where", mxconv=2.0, jax=1.0),
]


def test_a_layer_is_compared_with_the_best_format_for_all_its_steps() -> None:
    first, second, refused, unmatched = group_layers(ROWS)
    assert (first.count, first.best, first.pair) == (3, "torch_x", (6.0, 5.0))
    assert (second.count, second.best, second.pair) == (1, "torch_y", (5.0, 3.0))
    assert (refused.best, refused.pair) == ("torch_x", None)
    assert (unmatched.best, unmatched.pair) == (None, None)
    assert total([first, second, refused, unmatched]) == (23.0, 18.0)


def test_the_sums_are_told() -> None:
    text = "\n".join(describe_layers(group_layers(ROWS)))
    assert "All 2 layers" in text
    assert "23.0 ms, torch 18.0 ms, 0.78 times as long." in text
    assert "torch is faster on: b_1 0.60, a_1 0.83." in text
    assert "lacks a step: b_2, b_3." in text
    fine = [_row("a_1.output", mxconv=11.0, torch_x=10.0), _row("a_2.output", mxconv=1.5, torch_x=1.5)]
    text = "\n".join(describe_layers(group_layers(fine)))
    assert "0.92 times as long." in text
    assert "torch is faster on: a_1 0.91." in text
    assert "lacks" not in text


def test_the_table_has_layers_networks_and_the_sum() -> None:
    lines = tabulate(group_layers(ROWS), lambda t: "" if t is None else f"{t:g}")
    assert [line.count("|") for line in lines] == [10] * 9
    assert lines[2] == "| a_1 | 3 | 2.00 | 1.00 | 0.33 | 6 | 5 | torch_x | 0.83 |"
    assert lines[3] == "| b_1 | 1 | 0.38 |  | 1.50 | 5 | 3 | torch_y | 0.60 |"
    assert lines[4] == "| b_2 | 2 |  |  |  |  | 2 | torch_x |  |"
    assert lines[5] == "| b_3 | 2 |  |  |  | 2 |  |  |  |"
    assert lines[6] == "| **a** | 3 |  |  |  | 18 | 15 |  | 0.83 |"
    assert lines[7] == "| **b** | 1 |  |  |  | 5 | 3 |  | 0.60 |"
    assert lines[8] == "| **all** | 4 |  |  |  | 23 | 18 |  | 0.78 |"


@pytest.mark.parametrize("name", ["r50", "r50.forward", ".data", "a.output.x"])
def test_a_row_without_a_step_is_refused(name: str) -> None:
    with pytest.raises(SystemExit, match=r"expected LAYER\.STEP"):
        split_name(name)


# ---- weights that change


def _problem(text: str, step: str) -> Problem:
    return Problem.from_json(describe_problem(ConvProblem.parse(text), step))


def test_our_engine_keeps_no_packed_weight_in_training() -> None:
    text = "forward float32 n1 g1 c64->64 i14x14 k1x1"
    arrays = make_arrays(ConvProblem.parse(text))
    x, w = arrays["x"], arrays["w"]
    misses = pack_cache.counts().misses
    call = ours.prepare(_problem(text, "output"), {"w": w}).call
    before = call(x)
    w *= 2
    np.testing.assert_array_equal(call(x), 2 * before)
    assert pack_cache.counts().misses == misses
    ours.prepare(_problem(text, ""), {"w": w}).call(x)
    assert pack_cache.counts().misses == misses + 1


def test_a_library_that_prepares_weights_refuses_training() -> None:
    text = "forward float32 n1 g1 c1->1 i5 k3"
    need_constant_weights(_problem(text, ""))
    with pytest.raises(Refusal, match="weights that change"):
        need_constant_weights(_problem(text, "data"))


PEER = """
from harness.peer import Prepared, Refusal
import numpy as np

def start(threads):
    return "1"

def prepare(problem, constants):
    if problem.step != "output":
        raise Refusal(f"the step is {problem.step!r}")
    return Prepared(lambda x: np.einsum("ncx,fc->nfx", x, constants["w"][:, :, 0]))
"""


def _run(folder: Path, suite: str, *words: str) -> tuple[Results, str]:
    (folder / "s.txt").write_text(suite)
    (folder / "torch_fake.py").write_text(PEER)
    peer = ["--peer-python", sys.executable, "--peers", str(folder / "torch_fake.py"), "--results", str(folder)]
    harness_main.main([*words, *peer, "--name", "r", "--rounds", "1", "--threads", "1"])
    return Results.load(folder / "r.json"), (folder / "r.md").read_text()


def test_a_whole_run_in_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = "a.output: forward float32 n2 g1 c4->3 i9 k1  # x2, here\nb.data: backward_data float32 n2 g1 c4->3 i9 k1"
    results, text = _run(tmp_path, suite, "--training", str(tmp_path / "s.txt"))
    assert results.settings["training"] is True
    assert [row.entries["torch_fake"].status for row in results.rows] == ["timed", "refused"]
    assert results.rows[1].entries["torch_fake"].reason == "the step is 'data'"
    assert "| a | 2 | " in text
    assert "Not compared, as one of the two lacks a step: b." in text
    assert "All 1 layers" in capsys.readouterr().out


def test_a_plain_run_has_no_steps(tmp_path: Path) -> None:
    results, text = _run(tmp_path, "a.output: forward float32 n2 g1 c4->3 i9 k1", str(tmp_path / "s.txt"))
    assert results.rows[0].entries["torch_fake"].reason == "the step is ''"
    assert "| layer |" not in text


# ---- what the harness cannot compare


@pytest.mark.parametrize(
    ("problem", "complaint"),
    [
        ("forward float32 n1 g1 c1->1 i5 k3 +scale +bias +relu", r"\+scale \+relu: the peers know no epilogue but"),
        ("forward float32 n1 g1 c1->1 i5 k3 +bias +add", r"\+add: the peers"),
        ("forward float32 n1 g1 c2->1 i5 k3 x_strides(10,1,2)", "strides: the peers get contiguous arrays"),
        ("forward bfloat16 n1 g1 c1->1 i5 k3", "bfloat16: such arrays do not pass"),
    ],
)
def test_what_the_harness_cannot_compare_is_refused_before_anything_runs(
    tmp_path: Path, problem: str, complaint: str
) -> None:
    (tmp_path / "s.txt").write_text(f"good: forward float32 n1 g1 c1->1 i5 k3 +bias\nbad: {problem}")
    with pytest.raises(SystemExit, match=rf"leave these rows out.*\nbad: {complaint}") as stopped:
        harness_main.main([str(tmp_path / "s.txt"), "--results", str(tmp_path), "--name", "r"])
    assert "good" not in str(stopped.value)
    assert not (tmp_path / "r.json").exists()
    assert objection(ConvProblem.parse("backward_data float64 n1 g1 c1->1 i5 k3 +bias")) == ""
