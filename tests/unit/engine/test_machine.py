"""The machine's speeds: plausible, measured once, remembered, or the same everywhere."""

from __future__ import annotations

import math

import pytest

from mxconv import config
from mxconv.engine import machine
from mxconv.engine.machine import cache_size, current, typical
from mxconv.jit import target


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MXCONV_MACHINE", "measured")
    monkeypatch.setattr(machine, "LARGEST_COPY", 1 << 20)
    machine._measured.cache_clear()
    yield
    machine._measured.cache_clear()


def test_the_figures_are_plausible_and_remembered(monkeypatch):
    found = current("float32", target.current())
    assert 1e8 < found.flops < 1e14
    assert 1e8 < found.cache_bytes < 1e13
    assert found.memory_bytes == machine.MEMORY_BYTES, "a cache that is larger than what is copied tells nothing"
    assert 1e-8 < found.dispatch < 0.1
    assert found.l2 >= 1 << 15
    kept = machine._file.read(machine.key())
    assert found.flops in kept.values()

    def fail(*_: object) -> float:
        raise AssertionError("measured again")

    for name in ("measure_peak", "_copy_speed", "_memory_speed", "_dispatch_time"):
        monkeypatch.setattr(machine, name, fail)
    machine._measured.cache_clear()  # as in another process
    assert current("float32", target.current()) == found


def test_what_was_measured_while_something_else_ran_can_be_measured_again(monkeypatch):
    speeds = iter([1e9, 5e9, 2e9])
    monkeypatch.setattr(machine, "measure_peak", lambda dtype: next(speeds))
    assert current("float32", target.current()).flops == 1e9
    assert machine.measure_again("float32", target.current()).flops == 5e9
    assert machine.measure_again("float32", target.current()).flops == 5e9, "not the worse one"
    machine._measured.cache_clear()
    assert current("float32", target.current()).flops == 5e9


def test_memory_is_measured_where_the_cache_is_small(monkeypatch):
    monkeypatch.setattr(machine, "LARGEST_COPY", 1 << 30)
    assert 1e8 < machine._memory_speed(target.current(), 1 << 20) < 1e13


def test_a_typical_machine_measures_nothing(monkeypatch):
    monkeypatch.setattr(machine, "_figure", None)
    with config.override(machine="typical"):
        one = current("float32", target.current())
    assert one == typical("float32", target.current())
    assert one.flops == 2 * typical("float64", target.current()).flops


def test_what_is_kept_for_another_cpu_is_not_used(monkeypatch):
    current("float32", target.current())
    monkeypatch.setattr(machine, "_cpu_name", lambda: "another")
    assert not machine._file.read(machine.key())


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan, "fast", None, 1])
def test_impossible_figures_are_not_used(bad):
    assert not machine._file._is_row(bad)


def test_cache_sizes_are_read_where_linux_tells_them(tmp_path):
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "1024K"), ("3", "Unified", "32M")]
    ):
        place = tmp_path / f"index{index}"
        place.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (place / name).write_text(f"{text}\n")
    assert [cache_size(level, tmp_path) for level in (1, 2, 3, 4)] == [48 << 10, 1 << 20, 32 << 20, None]
    (tmp_path / "index2" / "size").write_text("lots\n")
    (tmp_path / "index3" / "size").unlink()
    assert cache_size(2, tmp_path) is None
    assert cache_size(3, tmp_path) is None
    assert cache_size(2, tmp_path / "nowhere") is None
