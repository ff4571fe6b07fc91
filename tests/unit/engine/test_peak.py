"""The measured ceiling of one core: a plausible number, measured once."""

from __future__ import annotations

import pytest

from mxconv.dtypes import DTYPES
from mxconv.engine import peak
from mxconv.jit.target import current


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A few short runs: how large the number is does not matter here."""
    monkeypatch.setattr(peak, "_ROUNDS", 2000)
    monkeypatch.setattr(peak, "_REPEATS", 3)
    peak._measure.cache_clear()
    yield
    peak._measure.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_a_peak(dtype):
    rate = peak.measure_peak(dtype)
    # From a millionth of today's CPUs to a thousand times them.
    assert 1e5 < rate < 1e15


def test_it_is_measured_once(monkeypatch):
    first = peak.measure_peak("float32")
    assert peak.measure_peak() == first

    def fail(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(peak.compiler, "compile_module", fail)
    assert peak.measure_peak("float32") == first


def test_another_target_is_measured_anew(monkeypatch):
    peak.measure_peak("float32")
    assert peak._measure.cache_info().currsize == 1
    if current().name in ("x86-64", "native"):
        pytest.skip("this CPU has one target only")
    monkeypatch.setenv("MXCONV_TARGET", "x86-64")
    peak.measure_peak("float32")
    assert peak._measure.cache_info().currsize == 2
