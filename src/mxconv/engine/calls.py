"""Calls like an earlier one: their plan is found in one look, and of their arrays only the addresses are checked.

A key says all of a call but where its arrays are: how they lie, the parameters, and the planner's circumstances.
Anything that does not go straight to a plan (arrays that must be copied, a contest, a limit that the plan exceeds) is
not kept, or not taken: the long way knows what to do.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from . import pack_cache
from .pack_cache import WeightIdentity
from .plan import Plan
from .workspace import address_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call that needed no copies: its plan, and what else its arrays' addresses must hold to."""

    plan: Plan
    workspace: int
    """Bytes that the plan takes, with a weight that is packed for the call."""
    odd_bits: tuple[int, int]
    """Bits that are set in no address of an aligned array: of those that are read, and of the result."""
    near: tuple[tuple[int, int], ...]
    """For each array that is read, between which distances from it the result would overlap it."""
    seen: list[tuple[int, ...]]
    """The addresses that held to it last, which are often those of the next call."""

    @classmethod
    def of(cls, plan: Plan, reads: Sequence[Array], result: Array) -> KnownCall:
        """The call of a plan that reads these arrays and writes that one, as they are."""
        low, high = _extent(result)
        near = []
        for array in reads:
            first, last = _extent(array)
            near.append((first - high, last - low))
        odd = reads[0].dtype.alignment - 1, result.dtype.alignment - 1
        return cls(plan, plan.workspace_bytes, odd, tuple(near), [()])

    def run(self, reads: tuple[Array, ...], result: Array, weight: WeightIdentity | None, limit: int | None) -> bool:
        """Compute, unless an address or the limit of scratch stands in the way; returns whether that is done."""
        if limit is not None and self.workspace > limit:
            return False
        addresses = (*map(address_of, reads), address_of(result))
        if addresses != self.seen[0]:
            if not self._holds(addresses):
                return False
            self.seen[0] = addresses
        run_at(self.plan, addresses, weight)
        return True

    def _holds(self, addresses: tuple[int, ...]) -> bool:
        """Whether arrays at these addresses are aligned and the result, the last one, overlaps no other."""
        *reads, at = addresses
        bits = functools.reduce(operator.or_, reads)
        if bits & self.odd_bits[0] or at & self.odd_bits[1]:
            return False
        return not any(low < at - address < high for address, (low, high) in zip(reads, self.near, strict=True))


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A call that is computed as another one, whose weight is an array of its own: what is known of that."""

    call: KnownCall | KnownProduct
    is_swapped: bool
    """Whether that one's first array is this one's second."""

    @property
    def plan(self) -> Plan:
        return self.call.plan

    def run(self, reads: tuple[Array, ...], result: Array, weight: WeightIdentity | None, limit: int | None) -> bool:
        """As a KnownCall's; the weight's panels are not kept."""
        return self.call.run(reads[::-1] if self.is_swapped else reads, result, None, limit)


def run_at(plan: Plan, addresses: Sequence[int], weight: WeightIdentity | None) -> bool:
    """Run a plan, the weight's panels kept; returns whether it took what a later call will take."""
    packing = plan.packing
    if weight is None or packing is None:
        plan.run_at(addresses)
        return True
    panels = pack_cache.find(weight, packing.key, packing.size)
    was_packed = panels is not None and panels.is_packed
    plan.run_at(addresses, panels)
    return was_packed


def _extent(array: Array) -> tuple[int, int]:
    """The bytes that an array spans, from its first element: the first one, and the one after the last."""
    if not array.size:
        return 0, 0
    steps = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    return sum(step for step in steps if step < 0), sum(step for step in steps if step > 0) + array.itemsize
