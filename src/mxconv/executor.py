"""`mx.executor`: graphs at work on arrays; see `Symbol.bind` and `Symbol.simple_bind`."""

from __future__ import annotations

from .symbol.executor import Executor

__all__ = ["Executor"]
