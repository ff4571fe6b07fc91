"""Tables on disk: written whole, merged by many, and never the reason that a call fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from mxconv.engine import kept_file
from mxconv.engine.kept_file import KeptFile
from mxconv.jit import code_cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path / "kept"))
    kept_file._warned.clear()
    return tmp_path / "kept"


def is_number(row: object) -> bool:
    return isinstance(row, float)


TABLE = KeptFile("table.json", is_number, 4)


def test_rows_come_back_and_are_merged(folder):
    assert TABLE.read("key") == {}
    TABLE.merge("key", {"a": 1.0, "b": 2.0})
    TABLE.merge("key", {"b": 3.0, "c": 4.0})
    assert TABLE.read("key") == {"a": 1.0, "b": 3.0, "c": 4.0}
    assert folder.stat().st_mode & 0o777 == 0o700 or os.name == "nt"
    assert {path.name for path in folder.iterdir()} <= {"table.json", "table.json.lock"}


def test_another_key_sees_nothing_and_takes_its_place():
    TABLE.merge("one version", {"a": 1.0})
    assert TABLE.read("another") == {}
    TABLE.merge("another", {"b": 2.0})
    assert TABLE.read("another") == {"b": 2.0}
    assert TABLE.read("one version") == {}


def test_the_oldest_rows_are_dropped():
    for number in range(6):
        TABLE.merge("key", {f"row {number}": float(number)})
    TABLE.merge("key", {"row 2": 9.0})
    TABLE.merge("key", {"row 6": 6.0})
    assert TABLE.read("key") == {"row 4": 4.0, "row 5": 5.0, "row 2": 9.0, "row 6": 6.0}


def test_rows_are_forgotten():
    TABLE.merge("key", {"a": 1.0, "ab": 2.0, "b": 3.0})
    assert TABLE.forget("key", lambda name: "a" in name) == 2
    assert TABLE.read("key") == {"b": 3.0}


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"7", b"null", b'{"key": "key"}', b'{"key": "key", "rows": []}', b"\xff\xfe\x00",
        b'{"key": ["key"], "rows": {"a": 1.0}}', b"[" * 100_000, b'{"rows": {"a": 1.0}}',
    ],
    ids=range(11),
)  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(folder, text, recwarn):
    folder.mkdir(mode=0o700)
    (folder / "table.json").write_bytes(text)
    assert TABLE.read("key") == {}
    TABLE.merge("key", {"a": 1.0})
    assert TABLE.read("key") == {"a": 1.0}
    assert not recwarn.list


def test_what_is_no_row_is_left_out(folder):
    folder.mkdir(mode=0o700)
    (folder / "table.json").write_text(json.dumps({"key": "key", "rows": {"a": 1.0, "b": "x", "c": None, "d": [1.0]}}))
    assert TABLE.read("key") == {"a": 1.0}


def test_a_file_that_is_too_large_is_not_read(folder, monkeypatch):
    TABLE.merge("key", {"a": 1.0})
    monkeypatch.setattr(kept_file, "MOST_BYTES", 10)
    assert TABLE.read("key") == {}


def test_a_folder_that_cannot_be_written_costs_one_warning(folder):
    folder.write_text("a file in its place")
    with pytest.warns(RuntimeWarning, match="what is measured is not kept"):
        TABLE.merge("key", {"a": 1.0})
    TABLE.merge("key", {"a": 1.0})  # warnings are errors here
    assert TABLE.read("key") == {}


def test_a_writer_that_never_ends_holds_up_nobody(monkeypatch):
    TABLE.merge("key", {"a": 1.0})
    monkeypatch.setattr(kept_file, "WAIT", 0.05)
    with filelock.FileLock(code_cache.folder() / "table.json.lock", thread_local=False):
        TABLE.merge("key", {"b": 1.0})
    assert TABLE.read("key") == {"a": 1.0}


WRITER = """
import sys
from mxconv.engine import kept_file
kept_file.WAIT = 60.0
table = kept_file.KeptFile("many.json", lambda row: True, 1000)
for number in range(25):
    table.merge("key", {f"{sys.argv[1]} {number}": float(number)})
"""


def test_no_row_is_lost_when_processes_write_at_once():
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in "abcd"]
    table = KeptFile("many.json", is_number, 1000)
    seen = 0
    while any(writer.poll() is None for writer in writers):
        rows = table.read("key")
        assert len(rows) >= seen, "a reader never sees half of a file"
        seen = len(rows)
    assert [writer.wait() for writer in writers] == [0] * 4
    assert table.read("key") == {f"{name} {n}": float(n) for name in "abcd" for n in range(25)}
