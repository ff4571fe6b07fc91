"""docs/benchmarks.md and its pictures. Results are made up but for the page that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

import make_docs
from harness.arguments import SUITES, TRAINING
from harness.pictures import THEMES, intensity, means, points
from harness.results import Entry, Results, Row
from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import read_suite

TEXT = "forward float32 n1 g1 c4->4 i10 k3 p1"


def _row(name: str, kind: str, **times: float) -> Row:
    entries = {library: Entry("timed", median=t, rounds=[t]) for library, t in {"mxconv": 1.0, **times}.items()}
    return Row(name, TEXT, "", 4_000_000, 2e9, entries, kind)


ROWS = [
    _row("a", "one_d", torch_nchw=4.0, torch_other=2.0, jax=9.0),
    _row("b", "one_d", torch_nchw=8.0),
    _row("c", "dense_2d", jax=0.5),
]


def _save(path: Path, rows: list[Row], **settings: object) -> Path:
    machine = {"cpu": "A CPU", "cpus": 2, "target": "avx2", "l2": 2**20, "l3": 2**25, "revision": "r"}
    machine |= {"cache_bytes": 5e10, "memory_bytes": 2e10}
    machine |= {"system": "Linux 6.1-host", "python": "3.12", "numpy": "2", "llvm": "22"}
    results = Results({"suite": "all", "threads": 2, "rounds": 9, **settings}, machine, {"jax": "jax 1"}, rows)
    results.save(path)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the repository."""
    (tmp_path / "docs" / "images").mkdir(parents=True)
    monkeypatch.setattr(make_docs, "ROOT", tmp_path)
    monkeypatch.setattr(make_docs, "PAGE", tmp_path / "docs" / "benchmarks.md")
    return tmp_path


def test_the_page_is_what_its_results_say() -> None:
    page = make_docs.PAGE.read_text(encoding="utf-8")
    files = make_docs.sources_of(page)
    assert files
    assert make_docs.make_page(files, make_docs.read_reasons()) == page, "run benchmarks/make_docs.py"


def test_reasons_are_given_to_rows_that_exist() -> None:
    names = {row.name for file in SUITES.glob("*.txt") if file != TRAINING for row in read_suite(file)}
    assert {name for name in make_docs.read_reasons() if not name.startswith("drawn")} <= names


def test_reasons_are_read(tmp_path: Path) -> None:
    path = tmp_path / "reasons.txt"
    path.write_text("# a comment\n\na: because: of it\n")
    assert make_docs.read_reasons(path) == {"a": "because: of it"}
    path.write_text("a because\n")
    with pytest.raises(SystemExit, match=r"reasons.txt, line 1: 'a because', expected NAME: reason"):
        make_docs.read_reasons(path)


def test_a_page_and_its_pictures(place: Path) -> None:
    ROWS[2].again = [0.6]
    main = _save(place / "main.json", ROWS)
    drawn = _save(place / "d.json", ROWS[:2], suite="drawn-7")
    training = _save(
        place / "t.json", [_row("x.output", "", torch_nchw=2.0)], suite="training", training=True, batch=32
    )
    new = _save(place / "n.json", ROWS[:1], new_weights=True)
    double = _save(place / "f.json", ROWS[:1], dtype="float64")
    other = _save(place / "o.json", [_row("a", "one_d", mxconv_untuned=1.2)])
    files = [main, drawn, training, new, double, other]
    text = make_docs.make_page(files, {"c": "too small"})
    assert make_docs.sources_of(text) == files
    for expected in (
        "| CPU | A CPU, 2 CPUs, target avx2 |",
        "| caches | L2 1 MB a core, L3 32 MB |",
        "| software | Linux, Python 3.12, NumPy 2, LLVM 22 |",
        "| 1-D | 4.00 (2) | 4.00 (2) | 9.00 (1) |",
        f"| c | `{TEXT}` | 0.50 | 0.60 | jax | too small |",
        "## Shapes drawn at random, seed 7",
        "## Layers in training, batch 32",
        "## Weights that are new in each call",
        "## float64",
        "## Our engine in other settings",
        "[all rows](../d.md)",
    ):
        assert expected in text
    assert "host" not in text
    assert make_docs.main([str(main)]) == 0
    assert make_docs.PAGE.read_text() == make_docs.make_page([main], make_docs.read_reasons())
    names = {f"benchmarks-{name}-{theme}.png" for name in make_docs.PICTURES for theme in THEMES}
    assert {path.name for path in (place / "docs" / "images").iterdir()} == names
    assert make_docs.main([]) == 0


def test_means_are_of_the_best_of_a_librarys_formats() -> None:
    assert means(ROWS, "torch") == {"one_d": (pytest.approx(4.0), 2)}
    assert means(ROWS, "") == {"dense_2d": (0.5, 1), "one_d": (pytest.approx(4.0), 2)}
    assert means(ROWS, "scipy") == {}


def test_dots_of_the_roofline() -> None:
    problem = ConvProblem.parse(TEXT)
    assert intensity(problem) == problem.flops / (4 * (40 + 48 + 40))
    assert list(points(ROWS[:1])) == [("one_d", intensity(problem), 4.0)]
    refused = Row("r", TEXT, "", 1, 1.0, {"mxconv": Entry("refused")})
    double = Row("d", TEXT.replace("float32", "float64"), "", 1, 1.0, ROWS[0].entries)
    assert list(points([refused, double])) == []
