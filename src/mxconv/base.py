"""MXNet's `mx.base`, for old `except mx.base.MXNetError` clauses."""

from __future__ import annotations

from .errors import MXNetError, NotImplementedForSymbol

__all__ = ["MXNetError", "NotImplementedForSymbol"]
