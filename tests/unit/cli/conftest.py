"""`mxconv` as a function in this process: what it returned, and what it said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from mxconv.cli.main import run


@dataclass(frozen=True)
class Answer:
    """What one command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def mxconv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*words: object) -> Answer:
        status = run([str(word) for word in words])
        said = capsys.readouterr()
        return Answer(status, said.out, said.err)

    return call


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)
