"""`mxconv bench`: what it prints and writes; never how fast anything is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mxconv.cli.bench import EXAMPLES
from mxconv.engine.suite import parse_line

TINY = "forward float32 n1 g1 c2->3 i9x9 k3x3 p1x1"


def test_a_table_and_its_numbers(mxconv: Callable, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    answer = mxconv("bench", TINY, f"named: {TINY} +bias", "--rounds", 2, "--threads", 1, "--out", out)
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [word in lines[0] for word in ("problem", "algorithm", "GFLOP/s", "% of peak", "first ms")] == [True] * 5
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["rows"]] == [TINY, "named"]
    assert report["rounds"] == 2
    for row in report["rows"]:
        assert row["threads"] == 1
        assert row["algorithm"] in answer.out
        assert 0 < row["min_ms"] <= row["p25_ms"] <= row["median_ms"] <= row["p75_ms"]
        assert row["gflops"] == pytest.approx(parse_line(row["problem"]).problem.flops / row["median_ms"] / 1e6)


def test_a_suite_and_a_pattern(mxconv: Callable, tmp_path: Path) -> None:
    suite = tmp_path / "s.txt"
    suite.write_text(f"# two\none: {TINY}\ntwo: {TINY} +bias\n")
    answer = mxconv("bench", "--suite", suite, "--only", "t*", "--rounds", 1)
    assert answer.status == 0
    assert "two" in answer.out
    assert "one" not in answer.out.split("Medians")[0]
    answer = mxconv("bench", "--suite", suite, "--only", "x*")
    assert (answer.status, answer.out) == (2, "")
    assert "--only x*" in answer.err


def test_a_problem_that_nothing_computes_is_skipped_with_the_reason(mxconv: Callable, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    upside_down = "forward float32 n1 g1 c1->1 i9 k3 x_strides(9,9,-1)"
    answer = mxconv("bench", upside_down, TINY, "--rounds", 1, "--out", out)
    assert answer.status == 0
    assert "not timed: problem" in answer.out
    report = json.loads(out.read_text())
    assert list(report["skipped"]) == [upside_down]
    assert len(report["rows"]) == 1


def test_a_bad_problem_is_one_line(mxconv: Callable) -> None:
    answer = mxconv("bench", "forward float32 n1 g1 c2->3 i9x9 q3")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert "'q3'" in answer.err


def test_the_examples_are_problems() -> None:
    assert len({parse_line(line).name for line in EXAMPLES}) == len(EXAMPLES)
