"""`mxconv tune`: what is measured, what is said of it, and that a second run has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mxconv as mx
from mxconv.engine import plan_store, tuner

LINE = "forward float32 n1 g1 c16->32 i60x60 k3x3 p1x1"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MXCONV_ALGORITHMS", "direct,implicit_gemm,direct_weight,scratch_free")
    monkeypatch.setattr(plan_store, "_read", None)
    tuner.forget()


def tune(mxconv: Callable, *words: object):
    return mxconv("tune", *words, "--rounds", 1)


def test_a_problem_is_measured_once(mxconv: Callable) -> None:
    first = tune(mxconv, LINE)
    assert (first.status, first.err) == (0, "")
    assert "c16->32 i64x64 k3x3" in " ".join(first.out.split())
    assert "1 class of shapes, 1 measured now" in " ".join(first.out.split())
    again = tune(mxconv, LINE, LINE.replace("i60x60", "i61x62"))
    assert "1 class of shapes, 0 measured now" in " ".join(again.out.split())
    assert "1 measured now" in " ".join(tune(mxconv, LINE, "--again").out.split())
    assert len(plan_store.all_rates()) == 1


def test_a_file_of_problems_and_their_gradients(mxconv: Callable, tmp_path: Path) -> None:
    suite = tmp_path / "two.txt"
    suite.write_text(f"# a comment\none: {LINE}\ntwo: {LINE.replace('k3x3', 'k1x1').replace('p1x1', '')}\n")
    answer = tune(mxconv, suite, "--training", "--new-weights")
    assert answer.status == 0
    names = list(plan_store.all_rates())
    assert sum("backward_weight" in name for name in names) == 2
    assert sum(name.endswith("new_weight") for name in names) == len(names) - 2


def test_the_convolutions_of_a_network(mxconv: Callable, tmp_path: Path) -> None:
    x = mx.sym.Variable("data")
    for n in range(2):
        x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=16, name=f"conv{n}")
    shapes, _, _ = x.infer_shape(data=(1, 8, 64, 64))
    args = {name: mx.nd.ones(shape) for name, shape in zip(x.list_arguments(), shapes, strict=True) if name != "data"}
    mx.model.save_checkpoint(str(tmp_path / "net"), 3, x, args, {})
    answer = tune(mxconv, "--checkpoint", tmp_path / "net", 3, "--data", "1,8,64,64")
    assert answer.status == 0, answer.err
    assert [name.split()[5] for name in plan_store.all_rates()] == ["c8->16", "c16->16"]


def test_what_is_known_can_be_written_as_the_package_ships_it(
    mxconv: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(mxconv, LINE)
    answer = mxconv("tune", "--save", tmp_path / "tuned.json")
    assert answer.out.startswith("wrote 1 class of shapes to ")
    monkeypatch.setattr(plan_store, "SHIPPED", tmp_path / "tuned.json")
    ((name, rates),) = plan_store.all_rates().items()
    assert plan_store.shipped(name) == {one: pytest.approx(rate, rel=0.01) for one, rate in rates.items()}


def test_what_is_known_can_be_shown_and_forgotten(mxconv: Callable) -> None:
    assert mxconv("tune", "--show", "").out == "0 classes of shapes\n"
    tune(mxconv, LINE)
    shown = mxconv("tune", "--show", "c16->32").out
    assert "direct" in shown
    assert "implicit_gemm" in shown
    assert shown.endswith("1 class of shapes\n")
    assert mxconv("tune", "--show", "backward").out == "0 classes of shapes\n"
    assert mxconv("tune", "--forget", "backward").out == "forgot 0 classes of shapes\n"
    assert mxconv("tune", "--forget", "forward").out == "forgot 1 class of shapes\n"
    assert not plan_store.all_rates()


def test_a_problem_that_nobody_computes_is_named(mxconv: Callable) -> None:
    answer = tune(mxconv, LINE, f"{LINE} x_strides(57600,3600,-60,1)")
    assert answer.status == 0
    assert "not tuned: problem" in answer.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "PROBLEM is missing"),
        (["nowhere.txt"], "PROBLEM is 'nowhere.txt'"),
        (["--data", "1,2,3"], "--data is given without --checkpoint"),
        (["forward float32 c3"], "cannot be read"),
        (["--checkpoint", "nowhere", "0", "--data", "1,2,3"], "nowhere"),
    ],
)
def test_what_is_wrong_is_named(mxconv: Callable, words: list[str], part: str) -> None:
    answer = mxconv("tune", *words)
    assert (answer.status, answer.out) == (2, "")
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1


def test_plan_measures_what_applies(mxconv: Callable) -> None:
    answer = mxconv("plan", LINE, "--measure")
    assert answer.status == 0
    (header,) = (line for line in answer.out.splitlines() if "verdict" in line)
    assert header.split() == ["algorithm", "verdict", "estimate", "measured", "error", "workspace", "threads"]
    (row,) = (line for line in answer.out.splitlines() if "takes it" in line)
    assert row.split().count("ms") == 2
