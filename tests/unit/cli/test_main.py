"""The command itself: version, help, settings, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from mxconv import config
from mxconv._version import __version__
from mxconv.cli import main


def test_version(mxconv: Callable) -> None:
    answer = mxconv("--version")
    assert (answer.status, answer.out, answer.err) == (0, f"mxconv {__version__}\n", "")


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_names_every_command(mxconv: Callable, words: list[str]) -> None:
    answer = mxconv(*words)
    assert (answer.status, answer.err) == (0, "")
    assert all(f"\n  {name}" in answer.out for name in ("demo", "apply", "run", "summary", "shape", "plan", "config"))


@pytest.mark.parametrize("name", ["demo", "apply", "run", "summary", "shape", "plan", "config"])
def test_help_has_an_example(mxconv: Callable, name: str) -> None:
    answer = mxconv(name, "--help")
    assert answer.status == 0
    lines = answer.out.splitlines()
    example = next(i for i, line in enumerate(lines) if line.strip().startswith("Example"))
    assert f"mxconv {name}" in lines[example + 1]


def test_config_shows_every_setting_and_its_value(mxconv: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXCONV_NUM_THREADS", "3")
    monkeypatch.delenv("MXCONV_TARGET", raising=False)
    answer = mxconv("config")
    assert answer.status == 0
    rows = [line for line in answer.out.splitlines() if line.strip()]
    assert max(map(len, rows)) <= 100
    for knob in config.KNOBS.values():
        row = next(line for line in rows if line.split()[0] == knob.name)
        assert knob.environment in row
    assert "3 (set)" in next(line for line in rows if "MXCONV_NUM_THREADS" in line)
    assert "native  " in next(line for line in rows if "MXCONV_TARGET" in line)


def test_a_setting_that_cannot_be_read(mxconv: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXCONV_NUM_THREADS", "many")
    answer = mxconv("config")
    assert (answer.status, answer.out) == (2, "")
    assert "MXCONV_NUM_THREADS is 'many'" in answer.err


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt(), 130), (MemoryError("9 TB"), 2)])
def test_interruption_and_lack_of_memory(
    mxconv: Callable, monkeypatch: pytest.MonkeyPatch, stop: BaseException, status: int
) -> None:
    def fail() -> None:
        raise stop

    monkeypatch.setattr("mxconv.cli.knobs.run_config", fail)
    answer = mxconv("config")
    assert answer.status == status
    assert answer.err.strip() in ("", "mxconv: stopped", "mxconv: out of memory: 9 TB")


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mxconv.cli.knobs.run_config", fail)
    with pytest.raises(ZeroDivisionError):
        main.run(["config"])


def test_starting_loads_no_extra() -> None:
    """Help needs neither the engine nor Pillow nor matplotlib."""
    code = (
        "import sys; from mxconv.cli.main import run; status = run(['shape', '--help']); "
        "sys.exit(status or bool({'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
