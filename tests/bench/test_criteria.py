"""What a run is judged by. Results are made up; nothing here is measured."""

from __future__ import annotations

import pytest

from harness.criteria import (
    CHANNELS_LAST,
    UNTUNED,
    Criterion,
    judge,
    rows_behind,
    tabulate_behind,
    tabulate_classes,
    tabulate_criteria,
)
from harness.report import to_markdown
from harness.results import Entry, Results, Row

PROBLEM = "forward float32 n1 g1 c1->1 i5 k3"


def _row(name: str, kind: str = "", **times: float) -> Row:
    """Ours takes 1 unless it says otherwise."""
    times = {"mxconv": 1.0, **times}
    entries = {library: Entry("timed", median=t, p25=t, p75=t, rounds=[t, t]) for library, t in times.items()}
    return Row(name, PROBLEM, "", 1, 1.0, entries, kind)


def _results(rows: list[Row], **settings: object) -> Results:
    machine = {"cpu": "c", "system": "s", "python": "3", "revision": "r"}
    return Results({"suite": "all", "threads": 2, "rounds": 2, "sweep": 0, **settings}, machine, {}, rows)


def _judged(rows: list[Row], **settings: object) -> dict[str, tuple[float, bool]]:
    return {c.what: (round(c.value, 3), c.met) for c in judge(_results(rows, **settings))}


REFUSED = Row("f", PROBLEM, "", 1, 1.0, {"mxconv": Entry("timed", median=1.0, rounds=[1.0])}, "one_d")
ROWS = [
    _row("a", "dense_2d", jax=1.5, torch_x=2.0),
    _row("b", "dense_3d", jax=16.0),
    _row("c", "one_d", jax=0.9, torch_x=0.8),
    _row("d", "long_filters", jax=32.0, torch_x=4.0),
    _row("e", "long_filters", jax=17.0),
    REFUSED,
]


def test_the_suites_are_judged_by_class() -> None:
    assert _judged(ROWS) == {
        "dense 2-D and 3-D networks, geometric mean, each at most 3": (2.121, True),
        "1-D networks, geometric mean, each at most 3": (0.8, False),
        "all together, geometric mean, each at most 3": (2.005, True),
        "long filters, geometric mean": (8.246, True),
        "share under 0.95": (0.2, False),
        "the worst": (0.8, False),
    }


def test_drawn_shapes_are_judged_by_their_median() -> None:
    rows = [_row(str(n), jax=1.0 + n / 10) for n in range(21)]
    assert _judged(rows, suite="drawn-7") == {"median": (2.0, True), "share under 0.95": (0.0, True)}
    slow = [_row("x", jax=0.94), _row("y", jax=0.9)]
    assert _judged([*rows, *slow], suite="drawn-7")["share under 0.95"] == (0.087, False)


@pytest.mark.parametrize(("settings", "limit"), [({"new_weights": True}, 1.3), ({"dtype": "float64"}, 3.0)])
def test_some_runs_are_judged_against_torch_only(settings: dict, limit: float) -> None:
    ((value, met),) = _judged([_row("a", jax=0.1, torch_x=limit + 0.5), _row("b", jax=9.0)], **settings).values()
    assert (value, met) == (limit + 0.5, True)
    ((_, met),) = _judged([_row("a", torch_x=limit - 0.01)], **settings).values()
    assert not met
    assert _judged([_row("a", jax=1.0)], **settings) == {}


def test_layers_in_training_are_judged_as_wholes() -> None:
    rows = [_row("a.output", torch_x=0.5), _row("a.weight", torch_x=1.5), _row("b.output", torch_x=4.0)]
    assert list(_judged(rows, training=True).values()) == [(2.0, True), (1.0, True)]


def test_our_other_settings_are_judged_against_ours() -> None:
    rows = [_row(str(n), **{CHANNELS_LAST: 1.0, UNTUNED: 1.0}) for n in range(19)]
    rows.append(_row("worst", **{CHANNELS_LAST: 1.4, UNTUNED: 1.5}))
    judged = _judged(rows)
    assert judged["channels last over channels first, geometric mean"] == (1.017, True)
    assert judged["channels last over channels first, the worst"] == (1.4, False)
    assert judged["untuned over tuned, geometric mean"] == (1.02, True)
    assert judged["untuned within 1.3 times tuned, share"] == (0.95, True)
    assert not any("share under" in what for what in judged), "our own settings are no peers"


def test_what_was_not_compared_is_not_judged() -> None:
    assert judge(_results([REFUSED])) == []
    assert tabulate_criteria([]) == []
    assert tabulate_classes([REFUSED]) == []
    for settings in ({"training": True}, {"suite": "drawn-1"}):
        assert judge(_results([], **settings)) == []


def test_a_criterion_as_a_line() -> None:
    assert Criterion("a", 0.0312, 0.03, False, True).cells == ("a", "3.1%", "at most 3.0%", "NO")
    assert Criterion("a", 1.5, 1.5).cells == ("a", "1.50", "at least 1.50", "yes")


def test_the_table_of_classes() -> None:
    lines = tabulate_classes(ROWS)
    assert lines[2] == "| dense 2-D | 1 | 1.50 | 1.50 | 1.50 | 1.50 | 0 | 0 | 2.00 |"
    assert lines[4] == "| 1-D | 1 | 0.80 | 0.80 | 0.80 | 0.80 | 1 | 1 | 0.80 |"
    assert lines[5] == "| long filters | 2 | 3.00 | 8.25 | 10.50 | 4.00 | 0 | 0 | 4.00 |"
    assert lines[6].startswith("| **all** | 5 | 2.00 | ")


def test_rows_behind_are_listed_worst_first_with_their_reasons() -> None:
    rows = [_row("a", jax=0.99), _row("b", jax=0.5), _row("c", jax=1.0), REFUSED]
    rows[1].again = [0.52]
    assert [row.name for row in rows_behind(rows)] == ["b", "a"]
    lines = tabulate_behind(rows, {"b": "why", "a": ""}.__getitem__)
    assert lines[2:4] == ["| b | 0.50 | 0.52 | jax | why |", "| a | 0.99 |  | jax |  |"]
    assert tabulate_behind(rows[2:], str) == ["No shape is behind the best peer.", ""]


def test_a_report_names_what_was_changed_and_what_is_met() -> None:
    text = to_markdown(_results([_row("a", torch_x=4.0)], dtype="float64", batch=8))
    assert text.startswith("# all, float64, batch 8\n")
    assert "| float64, PyTorch over ours, geometric mean | 4.00 | at least 3.00 | yes |" in text
