"""Packed weights that are kept for later calls: bounded, shared by all threads, and never out of date.

A pack may be used again only while the memory that it was made from is as it was. Whoever owns the memory says so by a
`WeightIdentity`, taken *before* the memory is read; an array that nobody speaks for is packed on every call. The rules:

- the identity's version is looked at again once the pack is made: a write in the meantime, and it is not kept;
- memory that others can write to unseen (tainted) has nothing kept, and loses what was kept before;
- a version passes once: packs of an older one are dropped when a newer one is seen;
- memory that has changed time and again, as in training, counts as new in every call until its packs are used again;
- packs go with their storage, and the least recently used ones when the setting `pack_cache_mb` is reached.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import config
from .workspace import ALIGNMENT, address_of, round_up

CHANGES, USES = 2, 4
"""How often memory must have changed for its packs to count as useless, and how many uses make up for all changes."""


class Storage(Protocol):
    """What all views of one piece of memory share. It can be referred to weakly and compares by identity."""

    version: int
    """Rises with every write; no two states of any memory share one."""
    tainted: bool
    """Whether others may have written, or may yet write, without raising the version."""


class WeightIdentity(NamedTuple):
    """Which memory a weight is, and in which state. To be taken before the memory is read."""

    storage: Storage
    version: int
    address: int
    """Of the weight's first element."""


class Panels:
    """Memory for one packed weight; whoever holds it may read it, whether the cache still does or not."""

    __slots__ = ("_identity", "_key", "address", "is_packed", "memory", "size")

    def __init__(self, size: int, identity: WeightIdentity, key: _Key) -> None:
        self.memory: npt.NDArray[np.uint8] = np.empty(size + ALIGNMENT, np.uint8)
        self.address = round_up(address_of(self.memory))
        self.size = size
        self.is_packed = False
        self._identity: WeightIdentity | None = identity
        self._key = key

    def keep(self) -> None:
        """Note that the weight is packed, and keep it for later calls if it has not changed since."""
        identity, self._identity = self._identity, None  # it holds the storage, which must not live as long as we
        self.is_packed = True
        if identity is not None:
            _cache.insert(self._key, identity, self)


_Key: TypeAlias = tuple[int, int, str]
_Ref: TypeAlias = "weakref.ref[Any]"


class _Owner:
    """The packs of one storage, all of one version."""

    __slots__ = ("keys", "ref", "version")

    def __init__(self, ref: _Ref, version: int) -> None:
        self.ref = ref
        self.version = version
        self.keys: set[_Key] = set()


@dataclass(frozen=True, slots=True)
class PackCounts:
    """What the cache did and holds."""

    hits: int
    misses: int
    packs: int
    size: int
    """Bytes of all packs."""


class PackCache:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packs: OrderedDict[_Key, tuple[_Owner, Panels]] = OrderedDict()
        self._owners: dict[_Ref, _Owner] = {}
        self._dead: deque[_Ref] = deque()
        self.changes: dict[_Ref, int] = {}
        self._size = self._hits = self._misses = 0

    def find(self, identity: WeightIdentity, packing_key: str, size: int) -> Panels | None:
        """The weight's panels: packed ones, or fresh ones to pack and `keep`, or None if nothing may be kept."""
        limit = config.get("pack_cache_mb") << 20
        if not limit or size > limit:
            return None
        storage, version, address = identity
        key = (version, address, packing_key)
        found = self._packs.get(key)
        if (
            found is not None
            and found[0].ref() is storage
            and storage.version == version
            and not storage.tainted
            and not self.changes
            and 2 * self._size <= limit  # else one may be dropped soon, the least recently used
        ):
            self._hits += 1
            return found[1]
        with self._lock:
            found = self._packs.get(key)
            if found is not None and found[0].ref() is not storage:
                # Another storage, gone or with a version that is not its own: never trust its pack.
                self._remove(key)
                found = None
            is_current = is_unchanged(identity)
            if found is not None and is_current:
                self._hits += 1
                self._packs.move_to_end(key)
                if self.changes:
                    self._note_use(weakref.ref(storage))
            else:
                self._misses += 1
                owner = self._owners.get(weakref.ref(storage))
                if owner is not None and (owner.version != storage.version or storage.tainted):
                    self._forget(owner)
                    self.changes[owner.ref] = min(USES, self.changes.get(owner.ref, 0) + 1)
        if self._dead:
            self._bury()
        if not is_current:
            return None
        return Panels(size, identity, key) if found is None else found[1]

    def insert(self, key: _Key, identity: WeightIdentity, panels: Panels) -> None:
        """Keep a pack that has just been made, unless its memory has changed in the meantime."""
        limit = _limit()
        with self._lock:
            if is_unchanged(identity) and panels.size <= limit and key not in self._packs:
                owner = self._owner_of(identity)
                owner.keys.add(key)
                self._packs[key] = owner, panels
                self._size += panels.size
            while self._size > limit:
                self._remove(next(iter(self._packs)))
        self._bury()

    def is_changing(self, identity: WeightIdentity) -> bool:
        """Whether a pack that is made now is unlikely to be used again, going by what has become of earlier ones."""
        return self.changes.get(weakref.ref(identity.storage), 0) >= CHANGES

    def _note_use(self, ref: _Ref) -> None:
        changes = self.changes.get(ref)
        if changes is not None:
            self.changes[ref] = changes - 1
            if changes <= 1:
                del self.changes[ref]

    def counts(self) -> PackCounts:
        """What the cache did and holds."""
        self._bury()
        with self._lock:
            return PackCounts(self._hits, self._misses, len(self._packs), self._size)

    def _owner_of(self, identity: WeightIdentity) -> _Owner:
        ref = weakref.ref(identity.storage, self._free)
        owner = self._owners.get(ref)
        if owner is not None and owner.version != identity.version:
            self._forget(owner)
            owner = None
        if owner is None:
            owner = self._owners[ref] = _Owner(ref, identity.version)
        return owner

    def _forget(self, owner: _Owner) -> None:
        """Drop all packs of a storage."""
        for key in tuple(owner.keys):
            self._remove(key)

    def _remove(self, key: _Key) -> None:
        """Drop one pack, and its owner with the last one."""
        owner, panels = self._packs.pop(key)
        self._size -= panels.size
        owner.keys.discard(key)
        if not owner.keys:
            del self._owners[owner.ref]

    def _free(self, ref: _Ref) -> None:
        """A storage is gone. Comes from the garbage collector, which may strike while we hold the lock: no waiting."""
        self._dead.append(ref)
        self._bury()

    def _bury(self) -> None:
        """Drop the packs of storages that are gone; if the lock is taken, its holder does so after releasing it."""
        while self._dead and self._lock.acquire(blocking=False):
            try:
                while self._dead:
                    ref = self._dead.popleft()
                    self.changes.pop(ref, None)
                    owner = self._owners.get(ref)
                    if owner is not None:
                        self._forget(owner)
            finally:
                self._lock.release()


def is_unchanged(identity: WeightIdentity) -> bool:
    """Whether memory is still as it was when its identity was taken, as far as anybody can know."""
    return identity.storage.version == identity.version and not identity.storage.tainted


def _limit() -> int:
    return int(config.get("pack_cache_mb")) << 20


_cache = PackCache()


def find(identity: WeightIdentity, packing_key: str, size: int) -> Panels | None:
    """The panels of a weight, from the cache or to be kept there; see PackCache.find."""
    return _cache.find(identity, packing_key, size)


def keepable(identity: WeightIdentity | None) -> int:
    """How many bytes of a weight's panels may be kept."""
    return 0 if identity is None or not is_unchanged(identity) else _limit()


def is_changing(identity: WeightIdentity) -> bool:
    """Whether a weight is packed anew in most calls; see PackCache.is_changing."""
    return _cache.is_changing(identity) if _cache.changes else False


def counts() -> PackCounts:
    """What the cache did and holds."""
    return _cache.counts()


def clear() -> None:
    """Forget all packs; calls that are using one go on."""
    global _cache
    _cache = PackCache()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=clear)  # another thread may have held the lock
