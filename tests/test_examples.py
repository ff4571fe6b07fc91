"""The examples run, and print what they should. (The training of examples/lenet.py is tested in tests/golden.)"""

from __future__ import annotations

import runpy
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHECKPOINTS = Path(__file__).resolve().parent / "compat" / "checkpoints"


def run(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> list[str]:
    """Run an example as a program; returns the lines that it printed."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_from_checkpoint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("from_checkpoint.py", capsys, monkeypatch)
    assert [line.split(maxsplit=1) for line in lines[:4]] == [
        ["data", "to be given"],
        ["double_weight", "(1, 1, 4, 4)"],
        ["edges_weight", "(1, 1, 3, 3)"],
        ["outputs:", "edges_output"],
    ]
    picture = [line.ljust(24) for line in lines[4:]]
    assert len(picture) == 12
    assert picture == picture[::-1] == [line[::-1] for line in picture]  # as symmetric as the rectangle that was put in
    assert picture[6].strip() == "++------------++"


def test_from_checkpoint_describes_others(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("from_checkpoint.py", capsys, monkeypatch, CHECKPOINTS / "classifier-1.0.0", 1)
    assert lines[0].split(maxsplit=1) == ["data", "to be given"]
    assert lines[-1] == "outputs: softmax_output"
    assert sum("to be given" in line for line in lines) == 2


def test_learn_a_filter(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("learn_a_filter.py", capsys, monkeypatch)
    losses = [float(line.split()[-1]) for line in lines[:8]]
    assert 8 < losses[0] < 16  # the filter's squares sum to 12
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 1e-12
    found = np.array([float(word) for word in " ".join(lines[8:]).replace("[", " ").replace("]", " ").split()])
    assert found.tolist() == [1, 0, -1, 2, 0, -2, 1, 0, -1]


def test_every_example_is_tested_and_says_how_to_run_it() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert path.name in tested
        assert f"`python examples/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1]
