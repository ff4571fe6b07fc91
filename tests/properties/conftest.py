"""These laws hold to the last bit, on small integers: for algorithms that add up the products themselves."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain_algorithms(monkeypatch):
    monkeypatch.setenv("MXCONV_ACCURACY", "pointwise")
