"""A plan: how one problem is computed, ready to run any number of times, from several threads at once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..jit.kernels.blocks import Layout
from . import threads
from .pack_cache import Panels
from .problem import ConvProblem
from .workspace import Ledger, address_of

PANELS = "panels"
"""The workspace entry, and the slot, of the packed weight."""


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a plan: a compiled function and how many tasks it shares out."""

    name: str
    job: threads.Job
    tasks: int


@dataclass(frozen=True, slots=True)
class Packing:
    """The step that packs the weight into panels, which any plan with the same key can use."""

    step: Step
    size: int
    """Bytes of the panels."""
    key: str
    """All that the panels depend on besides the weight's memory."""


class Contest(Protocol):
    """What runs a plan, or another one in its place, and takes the time (tuner.py)."""

    @property
    def is_open(self) -> bool: ...

    def run(self, plan: Plan, execute: Callable[[Plan], bool], may_repeat: bool) -> Plan: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What an algorithm made of a problem: its steps, its argument block and its booked workspace."""

    problem: ConvProblem
    algorithm: str
    blocks: Mapping[str, int]
    """How many blocks each blocked axis has: pixels, channels, reduction."""
    threads: int
    steps: tuple[Step, ...]
    layout: Layout
    arguments: npt.NDArray[np.int64] = field(compare=False)
    """The argument block as every run begins with it; the slots of addresses and counters are 0."""
    addresses: Mapping[str, str]
    """Which slot receives the address of which array (x, w, y, bias) or workspace entry."""
    ledger: Ledger = field(compare=False)
    packing: Packing | None = None
    """What comes before the steps unless the weight is packed already; its panels are booked in the ledger."""
    keep: tuple[Any, ...] = field(compare=False, default=())
    """What must live as long as the plan: tables that the argument block points to."""
    contest: Contest | None = field(compare=False, repr=False, default=None)
    """Where runs are to be timed, since it is not known yet which algorithm is the fastest."""
    _kept_ledger: Ledger = field(init=False, compare=False, repr=False)
    """The ledger of runs that are given their panels."""
    _block: type[ctypes.Array[ctypes.c_int64]] = field(init=False, compare=False, repr=False)
    _image: bytes = field(init=False, compare=False, repr=False)
    _arrays: tuple[tuple[int, str], ...] = field(init=False, compare=False, repr=False)
    _booked: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    _kept_booked: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    """Slots and the arrays, or the places in the workspace, whose addresses they receive."""
    _panels: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        set_once = object.__setattr__
        set_once(self, "_kept_ledger", self.ledger.without(PANELS) if self.packing else self.ledger)
        set_once(self, "_block", ctypes.c_int64 * len(self.layout))
        set_once(self, "_image", self.arguments.tobytes())
        slots = [(self.layout.index[slot], name) for slot, name in self.addresses.items()]
        entries, kept = self.ledger.entries, self._kept_ledger.entries
        set_once(self, "_arrays", tuple(slot for slot in slots if slot[1] not in entries))
        set_once(self, "_booked", tuple((i, entries[name][0]) for i, name in slots if name in entries))
        set_once(self, "_panels", tuple(index for index, name in slots if name == PANELS))
        set_once(self, "_kept_booked", tuple((i, kept[name][0]) for i, name in slots if name in kept))

    @property
    def workspace_bytes(self) -> int:
        """Scratch of one run over all its threads, with a weight that is packed for that run."""
        return self.ledger.total

    def workspace_for(self, keepable: int) -> int:
        """The same where panels of up to `keepable` bytes are not scratch, because later calls use them again."""
        is_kept = self.packing is not None and 0 < self.packing.size <= keepable
        return self._kept_ledger.total if is_kept else self.ledger.total

    def run(self, arrays: Mapping[str, npt.NDArray[Any]], panels: Panels | None = None) -> None:
        """Compute. `arrays` are x, w, y (and bias) as the problem describes them; the output one is written.

        With `panels` the packed weight stands there, or is put there and kept; else it is workspace.
        """
        ledger, booked = (self.ledger, self._booked) if panels is None else (self._kept_ledger, self._kept_booked)
        owner, base = ledger.allocate()
        block = self._block.from_buffer_copy(self._image)
        for index, place in booked:
            block[index] = base + place
        for index, name in self._arrays:
            array = arrays.get(name)
            if array is not None:
                block[index] = address_of(array)
        if panels is not None:
            for index in self._panels:
                block[index] = panels.address
        at = ctypes.addressof(block)
        if self.packing is not None and (panels is None or not panels.is_packed):
            self._run_step(self.packing.step, at)
            if panels is not None:
                panels.keep()
        for step in self.steps:
            self._run_step(step, at)
        del owner

    def _run_step(self, step: Step, at: int) -> None:
        threads.run_job(step.job, at, min(self.threads, step.tasks))

    def summary(self) -> str:
        """One line for logs."""
        blocks = " ".join(f"{k}={v}" for k, v in self.blocks.items())
        return (
            f"{self.problem} | {self.algorithm} | blocks {blocks} | {self.threads} threads"
            f" | workspace {self.workspace_bytes} bytes"
        )
