"""Faults to seed into mxconv, so that the random check is checked itself.

A fault is a snippet of one module's source, which must occur there exactly once, and what stands there
instead. It is applied while the module is imported, in a child process; nothing on disk changes.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One mistake: in `module`, `mutated` stands in the place of `original`."""

    module: str
    original: str
    mutated: str


FAULTS: dict[str, Fault] = {}


class StaleFault(Exception):
    """The snippet does not occur exactly once any more: the fault must be brought up to date."""


class _MutatingLoader(importlib.machinery.SourceFileLoader):
    """Loads a module's source with the fault in it; never reads or writes byte code."""

    def __init__(self, fullname: str, path: str, fault: Fault) -> None:
        super().__init__(fullname, path)
        self._fault = fault

    def get_code(self, fullname: str):
        return self.source_to_code(mutate(self.get_data(self.path).decode(), self._fault), self.path)


class _Finder:
    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._fault.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        loader = _MutatingLoader(fullname, spec.origin, self._fault)
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


def mutate(source: str, fault: Fault) -> str:
    """The source with the fault in it.

    Raises: StaleFault, unless the original snippet occurs exactly once.
    """
    found = source.count(fault.original)
    if found != 1:
        raise StaleFault(f"{fault.module} has {fault.original!r} {found} times, expected once")
    return source.replace(fault.original, fault.mutated)


def seed(name: str) -> None:
    """Seed a fault; its module must not have been imported yet."""
    fault = FAULTS[name]
    if fault.module in sys.modules:
        raise RuntimeError(f"{fault.module} is imported already: the fault {name!r} would have no effect")
    sys.meta_path.insert(0, _Finder(fault))
