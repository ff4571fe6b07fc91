"""Problem files: reading them, and the ones that are shipped with the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mxconv.engine.problem import ConvProblem, contiguous_strides
from mxconv.engine.suite import NamedProblem, parse_line, read_suite
from mxconv.engine.trial import compute, make_arrays, make_result
from mxconv.errors import FormatError, UnsupportedError

CORE = Path(__file__).parents[3] / "benchmarks" / "suites" / "core.txt"


def test_a_line_has_a_name_a_problem_and_a_comment() -> None:
    problem = ConvProblem.parse("forward float32 n1 g1 c8->16 i9x9 k3x3")
    for line in (f"a-b.c: {problem}  # why: because", f"  a-b.c :{problem}# why: because "):
        assert parse_line(line) == NamedProblem("a-b.c", problem, "why: because")
    assert parse_line(f"a: {problem}") == NamedProblem("a", problem)
    assert parse_line(f"{problem} # unnamed") == NamedProblem(str(problem), problem)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n# x\na: forward float32 n1 q7", "bad.txt, line 3: .*'q7'"),
        ("a: forward float32 n1 g1 c1->1 i5 k3\na: forward float32 n1 g1 c1->1 i6 k3", "line 2: the name 'a'"),
        ("a: forward float32 n1 g3 c1->1 i5 k3", "line 1: .* groups"),
        ("nonsense", "line 1: "),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=complaint):
        read_suite(path)


def test_the_core_suite() -> None:
    rows = read_suite(CORE)
    assert 55 <= len(rows) <= 75
    for row in rows:
        assert parse_line(str(row)) == row
        assert row.comment, row.name
        assert all(row.problem.strides_of(n) == contiguous_strides(row.problem.shape_of(n)) for n in "xwy"), row.name
    assert {row.problem.direction for row in rows} == {"forward", "backward_data", "backward_weight"}
    assert {row.problem.dtype for row in rows} == {"float32", "float64"}
    assert {row.problem.rank for row in rows} == {1, 2, 3}


def test_core_lines_are_written_as_they_are_printed() -> None:
    lines = [line for line in CORE.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == [str(row) for row in read_suite(CORE)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8", "int64", "complex64"])
def test_arrays_of_a_problem(dtype: str) -> None:
    problem = ConvProblem.create(
        "forward", dtype, kernel=(3,), in_channels=4, out_channels=6, in_spatial=(9,), batch=2,
        x_strides=(36, 1, 4), y_strides=(42, 1, 6), epilogue=("bias",),
    )  # fmt: skip
    arrays, again = make_arrays(problem), make_arrays(problem)
    for name, shape in {"x": (2, 4, 9), "w": (6, 4, 3), "bias": (6,)}.items():
        assert arrays[name].shape == shape
        assert arrays[name].dtype == problem.storage.numpy
        assert arrays[name].tobytes() == again[name].tobytes()
        assert len(set(arrays[name].ravel().tolist())) > 4
    assert arrays["x"].strides == tuple(s * arrays["x"].itemsize for s in (36, 1, 4))
    result = make_result(problem)
    assert (result.shape, result.dtype) == (problem.y_shape, problem.result.numpy)
    assert result.strides == tuple(s * result.itemsize for s in (42, 1, 6))
    assert compute(problem, arrays, result) is result


def test_negative_strides_are_refused() -> None:
    problem = ConvProblem.create(
        "forward", kernel=(3,), in_channels=1, out_channels=1, in_spatial=(9,), x_strides=(9, 9, -1)
    )
    with pytest.raises(UnsupportedError, match="negative strides"):
        make_arrays(problem)
