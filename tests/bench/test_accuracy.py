"""The measuring of errors: its units, and that it notices who errs by more than it promises."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import accuracy
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import parse_line, read_suite

FORWARD = parse_line("small: forward float32 n1 g1 c4->5 i7x64 k3x3 p1x1")
WEIGHT = parse_line("weight: backward_weight float32 n1 g1 c4->5 i7x9 k3x3")


@pytest.mark.parametrize("named", [FORWARD, WEIGHT], ids=lambda n: n.name)
def test_plain_algorithms_keep_their_promises_on_all_data(named) -> None:
    rows = [row for row in accuracy.measure(named) if row.algorithm.is_plain]
    assert len(rows) >= 2
    for row in rows:
        assert row.fault == ""
        errors = dict(zip((kind.title for kind in accuracy.KINDS), row.errors, strict=True))
        assert 0 < errors["N(0,1)"] <= accuracy.PLAIN_LIMIT
        if named is FORWARD:
            assert errors["silence"] == 0
            assert 0 < errors["quiet half"] < 1e-5
        else:
            assert errors["silence"] is errors["quiet half"] is None


def test_the_kinds_of_data() -> None:
    data = np.random.default_rng(1).standard_normal((1, 2, 16)).astype(np.float32)
    assert accuracy.relu(data).min() == 0
    assert accuracy.large_mean(data).mean() > 90
    assert np.flatnonzero(accuracy.click(data)).tolist() == [2, 18]
    quiet = accuracy.quiet_half(data)
    np.testing.assert_array_equal(quiet[..., :8], data[..., :8])
    np.testing.assert_allclose(quiet[..., 8:], data[..., 8:] * np.float32(1e-4))


def test_errors_are_told_in_units_of_what_counts() -> None:
    p = ConvProblem.parse("forward float32 n1 g1 c1->1 i18 k3")
    exact = np.array([[[3.0] * 8 + [0.0] * 4 + [0.5] * 4]])
    errors = np.full(exact.shape, 0.25)
    errors[0, 0, 12] = 7.0
    kinds = {kind.title: kind.unit for kind in accuracy.KINDS}
    counting, unit = kinds["silence"](p, errors, exact)
    assert (counting.tolist(), unit) == ([0.25] * 4, 3.0)
    counting, unit = kinds["quiet half"](p, errors, exact)
    assert (counting.tolist(), unit) == ([[[7.0, 0.25, 0.25, 0.25]]], 0.5)
    assert kinds["N(0,1)"](p, errors, exact)[1] == pytest.approx(np.sqrt(np.mean(exact**2)))


def test_nothing_counts_where_nothing_is_quiet() -> None:
    named = parse_line("wide: forward float32 n1 g1 c1->1 i9 k17 p8")
    for row in accuracy.measure(named):
        assert row.errors[-1] is None
        assert row.errors[-2] is None


def test_who_errs_by_more_is_named() -> None:
    direct = next(algorithm for algorithm in ALGORITHMS if algorithm.name == "direct")
    row = accuracy.Measured("p", direct, 3e-6, (2e-6,))
    assert row.fault == ""
    assert "p, direct: 2.00e-06 is over 1.00e-06" in dataclasses.replace(row, promised=1e-6).fault
    assert "is over 3.00e-06" in dataclasses.replace(row, promised=1.0, errors=(4e-6,)).fault


def test_the_command_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.txt").write_text(f"{FORWARD}\n{WEIGHT}\n")
    page = tmp_path / "accuracy.md"
    assert accuracy.main([str(tmp_path / "s.txt"), "--only", "sm*", "--write", str(page)]) == 0
    assert "small               implicit_gemm" in capsys.readouterr().out
    text = page.read_text()
    assert "| small | implicit_gemm | 3.0e-06 | " in text
    assert f"| small | `{FORWARD.problem}` |" in text
    assert "weight" not in text.partition("# Errors")[2].partition("| problem |")[2]


def test_the_suite_has_every_direction_and_rank() -> None:
    problems = [named.problem for named in read_suite(accuracy.SUITE)]
    assert {p.direction for p in problems} == {"forward", "backward_data", "backward_weight"}
    assert {p.rank for p in problems} == {1, 2, 3}
    assert all(p.dtype == "float32" and not p.epilogue for p in problems)
