"""MXNet's `mx.base`, for old `except mx.base.MXNetError` clauses."""

from __future__ import annotations

from .errors import MXNetError

__all__ = ["MXNetError"]
