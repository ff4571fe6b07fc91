"""A plan: how one problem is computed, ready to run any number of times, from several threads at once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..jit.kernels.blocks import Layout
from . import threads
from .pack_cache import Panels
from .problem import ConvProblem
from .threads import Job
from .workspace import Ledger, address_of

PANELS = "panels"
"""The workspace entry, and the slot, of the packed weight."""
KEPT_IMAGES = 16
"""Argument blocks that a plan keeps, filled in."""


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a plan: a compiled function and how many tasks it shares out."""

    name: str
    job: Job
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
    _images: dict[tuple[int, ...], bytes] = field(init=False, compare=False, repr=False)
    """The argument block as it is before any address is filled in, and with those of earlier runs."""
    _jobs: tuple[tuple[Job, int], ...] = field(init=False, compare=False, repr=False)
    """The jobs of the steps, and on how many threads they run."""
    names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    """The arrays of a run: the problem's inputs, its operands in the epilogue's order, and its result."""
    _arrays: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    _booked: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    _kept_booked: tuple[tuple[int, int], ...] = field(init=False, compare=False, repr=False)
    """Slots and the arrays (by their place among the names), or the places in the workspace, whose addresses they
    receive."""
    _panels: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        set_once = object.__setattr__
        set_once(self, "_kept_ledger", self.ledger.without(PANELS) if self.packing else self.ledger)
        set_once(self, "_block", ctypes.c_int64 * len(self.layout))
        set_once(self, "_image", self.arguments.tobytes())
        set_once(self, "_images", {})
        set_once(self, "_jobs", tuple((step.job, min(self.threads, step.tasks)) for step in self.steps))
        slots = [(self.layout.index[slot], name) for slot, name in self.addresses.items()]
        entries, kept = self.ledger.entries, self._kept_ledger.entries
        names = (*self.problem.inputs, *self.problem.operands, self.problem.output)
        set_once(self, "names", names)
        set_once(self, "_arrays", tuple((index, names.index(name)) for index, name in slots if name in names))
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
        self.run_at([address_of(arrays[name]) for name in self.names], panels)

    def run_at(self, addresses: Sequence[int], panels: Panels | None = None) -> None:
        """The same for arrays at these addresses, in the order of `names`; they must live until it returns."""
        ledger = self.ledger if panels is None else self._kept_ledger
        workspace = ledger.allocate()
        key = (workspace[1], 0 if panels is None else panels.address, *addresses)
        block = self._block.from_buffer_copy(self._images.get(key) or self._image_of(key))
        at = ctypes.addressof(block)
        if self.packing is not None and (panels is None or not panels.is_packed):
            step = self.packing.step
            threads.run_job(step.job, at, min(self.threads, step.tasks))
            if panels is not None:
                panels.keep()
        for job, workers in self._jobs:
            if workers == 1:
                job.call(at, 0)
            else:
                threads.run_job(job, at, workers)
        ledger.release(workspace)

    def _image_of(self, key: tuple[int, ...]) -> bytes:
        """The argument block of a run whose workspace, kept panels (or 0) and arrays are at these addresses; it is
        kept, as later calls often have them where this one has."""
        base, panels, *addresses = key
        block = self._block.from_buffer_copy(self._image)
        for index, place in self._kept_booked if panels else self._booked:
            block[index] = base + place
        for index, place in self._arrays:
            block[index] = addresses[place]
        if panels:
            for index in self._panels:
                block[index] = panels
        if len(self._images) >= KEPT_IMAGES:
            self._images.clear()
        image = self._images[key] = bytes(block)
        return image

    def summary(self) -> str:
        """One line for logs."""
        blocks = " ".join(f"{k}={v}" for k, v in self.blocks.items())
        return (
            f"{self.problem} | {self.algorithm} | blocks {blocks} | {self.threads} threads"
            f" | workspace {self.workspace_bytes} bytes"
        )
