"""The benchmark harness against a fake peer in a process of its own. Nothing here depends on times."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import fake_peer
from harness import main as harness_main
from harness.arguments import find_plugins
from harness.client import Contestant, clean_environment
from harness.measure import Settings, measure
from harness.results import Entry, Results, Row, resume
from harness.tasks import Task
from mxconv.engine.suite import parse_line
from mxconv.engine.timing import Timing

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
FAKE = str(Path(fake_peer.__file__).resolve())
QUICK = Settings(threads=1, rounds=2, seconds=0.0)


@pytest.fixture
def contestant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Contestant]:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    made = Contestant(FAKE, sys.executable, 1)
    yield made
    made.stop()


def _row(contestant: Contestant, channels: int, settings: Settings = QUICK) -> Entry:
    named = parse_line(f"row: forward float32 n2 g1 c{channels}->3 i40 k1 +bias")
    return measure(Task("one_d", named), {"fake": contestant}, settings, 1e9).entries["fake"]


def test_a_peer_starts_in_a_clean_environment(contestant: Contestant) -> None:
    assert contestant.start() == {"version": "fake 1.0, 1 threads, OPENBLAS []"}
    environment = clean_environment(3, {"MINE": "1"})
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["MINE"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_right_answer_is_timed(contestant: Contestant) -> None:
    for channels in (1, fake_peer.CHATTERS):
        entry = _row(contestant, channels)
        assert (entry.status, entry.reason, entry.info) == ("timed", "", {"algorithm": "einsum"})
        assert len(entry.rounds) == 2
        assert entry.samples >= 2
        assert entry.minimum <= entry.p25 <= entry.median <= entry.p75
        assert entry.error < 1e-6


@pytest.mark.parametrize(
    ("channels", "status", "reason"),
    [
        (fake_peer.REFUSES, "refused", "two channels: it does not like them"),
        (fake_peer.RAISES, "failed", "ValueError: three lines of text"),
        (fake_peer.WRONG, "wrong", "of the RMS, more than 1e-04"),
        (fake_peer.NAN, "wrong", "not finite"),
        (fake_peer.HALF, "wrong", r"answered float16 \(2, 3, 40\), expected float32"),
        (fake_peer.DIES, "failed", "the process ended with status 3 at 'prepare'"),
    ],
)
def test_whatever_goes_wrong_is_told_and_the_next_problem_runs(
    contestant: Contestant, channels: int, status: str, reason: str
) -> None:
    entry = _row(contestant, channels)
    assert entry.status == status
    assert entry.median is None
    assert re.search(reason, entry.reason)
    assert _row(contestant, 1).status == "timed"


def test_a_peer_that_does_not_answer_is_given_up(contestant: Contestant) -> None:
    entry = _row(contestant, fake_peer.SLEEPS, Settings(threads=1, timeout=1.0))
    assert (entry.status, entry.reason) == ("failed", "no answer to 'prepare' within 1 s")
    assert contestant.process is None


@pytest.mark.slow
def test_a_peer_whose_child_holds_the_pipe_does_not_stop_us(contestant: Contestant) -> None:
    assert _row(contestant, fake_peer.FORKS).status == "timed"
    begin = time.monotonic()
    contestant.stop()
    assert time.monotonic() - begin < 12


def test_a_slow_peer_is_not_timed(contestant: Contestant) -> None:
    entry = _row(contestant, 1, Settings(threads=1, patience=0.0, rounds=2))
    assert entry.status == "slow"
    assert "over 0 s" in entry.reason


@pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process from /proc")
def test_a_peer_is_stopped_while_it_is_not_its_turn(contestant: Contestant) -> None:
    contestant.start()
    status = Path(f"/proc/{contestant.process.pid}/status")
    deadline = time.monotonic() + 30  # the signal arrives when the process is next scheduled
    while "State:\tT" not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pid = contestant.process.pid
    contestant.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_a_missing_interpreter_or_plugin_is_told() -> None:
    gone = Contestant("no_such_plugin", sys.executable, 1)
    assert "ModuleNotFoundError" in gone.start()["failed"]
    gone.stop()


@pytest.mark.parametrize("name", [*find_plugins(), "mxconv", "mxconv_channels_last"])
def test_every_plugin_has_both_functions(name: str) -> None:
    tree = ast.parse((PEERS / f"{name}.py").read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    found |= {a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert {"start", "prepare"} <= found


def test_the_listed_plugins() -> None:
    assert find_plugins() == [
        "jax", "ncnn", "ncnn_direct", "onnxruntime", "openvino", "scipy",
        "torch_channels_last", "torch_nchw", "torch_stays_last",
    ]  # fmt: skip


# ---- whole runs

SUITE = "\n".join(f"row{n}: forward float32 n1 g1 c1->2 i{n} k1 +bias" for n in (5, 6, 7))


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "three.txt"
    path.write_text(SUITE)
    return path


def _run(suite: Path, *more: str) -> Results:
    words = [str(suite), "--results", str(suite.parent), "--name", "r", "--rounds", "2", "--threads", "1", *more]
    harness_main.main([*words, "--peer-python", sys.executable, "--peers", FAKE])
    return Results.load(suite.parent / "r.json")


def test_a_whole_run_with_our_engine(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = _run(suite, "--only", "row[56]")
    assert "mxconv" in capsys.readouterr().out
    assert [row.name for row in results.rows] == ["row5", "row6"]
    assert set(results.libraries) == {"mxconv", "fake_peer"}
    for row in results.rows:
        assert {entry.status for entry in row.entries.values()} == {"timed"}
        assert row.best_peer() == "fake_peer"
        assert row.ratio() > 0
        assert row.entries["mxconv"].info["algorithm"]
    text = (suite.parent / "r.md").read_text()
    assert "| row5 | " in text
    assert (suite.parent / "r.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_run_is_resumed(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(task, *rest):
        if len(seen) == 2:
            seen.append("stopped")
            raise KeyboardInterrupt
        seen.append(task.name)
        return measure(task, *rest)

    monkeypatch.setattr(harness_main, "measure", spy)
    with pytest.raises(KeyboardInterrupt):
        _run(suite, "--without-ours")
    kept = Results.load(suite.parent / "r.json")
    assert [row.name for row in kept.rows] == ["row5", "row6"]
    done = _run(suite, "--without-ours", "--resume")
    assert seen == ["row5", "row6", "stopped", "row7"]
    assert [row.name for row in done.rows] == ["row5", "row6", "row7"]
    assert done.rows[:2] == kept.rows
    with pytest.raises(SystemExit, match="exists"):
        _run(suite, "--without-ours")
    with pytest.raises(SystemExit, match="rounds=2"):
        _run(suite, "--without-ours", "--resume", "--rounds", "3")


def test_results_survive_the_file(tmp_path: Path) -> None:
    entry = Entry("wrong", "by a lot")
    entry.add_timing(Timing(((0.001, 0.003), (0.002,))))
    assert (entry.status, entry.median, entry.minimum, entry.rounds) == ("timed", 2.0, 1.0, [2.0, 2.0])
    results = Results({"rounds": 2}, {"cpu": "x"}, {"a": "1"}, [Row("n", "p", "c", 10, 1.0, {"a": entry})])
    path = tmp_path / "deep" / "r.json"
    results.save(path)
    assert Results.load(path) == results
    assert [p.name for p in path.parent.iterdir()] == ["r.json"]
    assert resume(tmp_path / "none.json", {}) is None
    assert resume(path, {"rounds": 2}) == results
    assert json.loads(path.read_text())["rows"][0]["flops"] == 10


def test_a_file_holds_what_is_known_to_four_digits(tmp_path: Path) -> None:
    entries = {"a": Entry(median=0.00123456789, rounds=[123456.0], error=1.234e-7), "b": Entry("refused", "why")}
    Results({}, {}, {}, [Row("n", "p", "", 123456789, 1.0, entries)]).save(tmp_path / "r.json")
    (row,) = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert row["entries"] == {
        "a": {"median": 0.001235, "rounds": [123500.0], "error": 1.2e-7},
        "b": {"status": "refused", "reason": "why"},
    }
    assert row["flops"] == 123456789


def test_the_ratio_compares_rounds_with_themselves() -> None:
    entries = {
        "mxconv": Entry("timed", median=2.0, rounds=[1.0, 2.0, 4.0]),
        "quick": Entry("timed", median=3.0, rounds=[2.0, 3.0, 8.0], info={"transforms": True}),
        "slow": Entry("timed", median=9.0, rounds=[9.0], info={"transforms": False}),
        "out": Entry("refused", "why"),
    }
    row = Row("n", "p", "", 4_000_000, 1.0, entries)
    assert (row.best_peer(), row.ratio(), row.gflops("mxconv"), row.gflops("out")) == ("quick", 2.0, 2.0, None)
    assert (row.best_peer(direct=True), row.ratio(direct=True)) == ("slow", 9.0)
    assert Row("n", "p", "", 1, 1.0, {"mxconv": entries["mxconv"]}).ratio() is None
