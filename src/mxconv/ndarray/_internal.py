"""`mx.nd._internal`: the operators whose names start with an underscore, each made when it is first asked for."""

from __future__ import annotations

from typing import Any

from . import generated


def __getattr__(name: str) -> Any:
    return generated.function_for(__name__, name, internal=True)


def __dir__() -> list[str]:
    return generated.names(internal=True)
