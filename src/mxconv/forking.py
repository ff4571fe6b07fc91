"""Locks and os.fork: a child has none of its parent's other threads, so what they have locked it would wait for."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any


def hold_across_forks(lock: AbstractContextManager[Any]) -> None:
    """Make a fork wait until no other thread has the lock, so that the child finds it free and its data whole.

    Locks that are taken inside others must be registered first: a fork takes the last one first.
    """

    def release() -> None:
        lock.__exit__(None, None, None)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.__enter__, after_in_parent=release, after_in_child=release)
