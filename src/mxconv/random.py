"""`mx.random`: seeding, and the functions of `mx.nd.random`.

>>> import mxconv as mx
>>> mx.random.seed(7)
>>> first = mx.random.uniform(shape=(3,)).asnumpy()
>>> mx.random.seed(7)
>>> bool((mx.random.uniform(shape=(3,)).asnumpy() == first).all())
True
"""

from __future__ import annotations

from typing import Any

from .ndarray.random import exponential, gamma, normal, poisson, randint, randn, shuffle, uniform
from .ops import randomness

__all__ = ["exponential", "gamma", "normal", "poisson", "randint", "randn", "seed", "shuffle", "uniform"]


def seed(seed_state: int, ctx: Any = "all") -> None:
    """Start the generator of all random numbers over; Dropout's and initializers' are among them.

    Raises: ValueError, if the seed is no int.
    """
    if not isinstance(seed_state, int):
        raise ValueError(f"seed_state must be int, got {seed_state!r}")
    randomness.seed(seed_state)
