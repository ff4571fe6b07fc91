"""Packed weights against a model: whatever happens to arrays and their memory, a kept pack is never out of date.

A program is a random sequence of things that users do to NDArrays. Each array has a NumPy twin that everything is done
to as well; each convolution is compared, bit by bit, with one of the twin for which nothing is kept. Faults seeded
into the cache show that the programs would notice.
"""

from __future__ import annotations

import copy
import gc
import pickle
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mxconv import config, nd
from mxconv.engine import pack_cache
from mxconv.ndarray.storage import Storage

PROGRAMS, STEPS = 40, 60
FAULTY_PROGRAMS = 40

WEIGHTS: dict[int, tuple[tuple[int, ...], ...]] = {
    96: ((4, 8, 3), (8, 4, 3), (24, 4, 1), (4, 2, 3, 4), (12, 8, 1)),
    48: ((4, 4, 3), (2, 8, 3), (8, 6, 1), (4, 2, 2, 3)),
    24: ((2, 4, 3), (4, 2, 3), (4, 6, 1), (3, 2, 2, 2)),
}
"""Logical shapes of the weights that memory of so many elements can be."""


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))
    pack_cache.clear()
    yield
    pack_cache.clear()


class Program:
    """One random program; every array is a pair of an NDArray and its twin."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.arrays: list[tuple[nd.NDArray, np.ndarray]] = []
        self.writers: list[tuple[np.ndarray, np.ndarray]] = []
        self.done: list[str] = []
        self.actions: list[tuple[int, Callable[[], object]]] = [
            (12, self.convolve), (6, self.convolve_again), (2, self.new), (3, self.view), (3, self.arithmetic),
            (2, self.assign), (1, self.copy_into), (2, self.result_into), (1, self.upon_numpy), (1, self.lend),
            (3, self.write_elsewhere), (1, self.duplicate), (2, self.free_and_reuse), (1, self.in_threads),
        ]  # fmt: skip

    def run(self, steps: int) -> None:
        self.new()
        weights, actions = zip(*self.actions, strict=True)
        for _ in range(steps):
            (action,) = self.rng.choices(actions, weights)
            self.done.append(action.__name__)
            action()
            del self.arrays[:-8], self.writers[:-8]

    def pick(self) -> tuple[nd.NDArray, np.ndarray]:
        return self.rng.choice(self.arrays)

    def values(self, *shape: int) -> np.ndarray:
        return self.numbers.integers(-4, 5, shape).astype(np.float32)

    # ---- what reads

    def convolve(self, pair: tuple[nd.NDArray, np.ndarray] | None = None) -> None:
        array, twin = pair or self.pick()
        shape = self.rng.choice(WEIGHTS[twin.size])
        is_last, is_deconvolution = self.rng.random() < 0.3, self.rng.random() < 0.4
        image = (self.rng.choice((7, 9, 20)),) * (len(shape) - 2)
        stored = (shape[0], *shape[2:], shape[1]) if is_last else shape
        channels = shape[0] if is_deconvolution else shape[1]
        data = self.values(1, *image, channels) if is_last else self.values(1, channels, *image)
        if self.rng.random() < 0.5:
            array, twin = array.reshape(stored), twin.reshape(stored)
            weight, exact = array, twin
        else:
            weight, exact = array.reshape(-1).reshape(stored), twin.reshape(stored)
        operator = nd.Deconvolution if is_deconvolution else nd.Convolution
        how: dict[str, Any] = {
            "kernel": shape[2:],
            "num_filter": shape[1] if is_deconvolution else shape[0],
            "stride": (self.rng.choice((1, 2)),) * (len(shape) - 2),
            "no_bias": True,
        }
        if is_last:
            how["layout"] = "NWC" if len(shape) == 3 else "NHWC"
        got = operator(nd.array(data), weight, **how).asnumpy()
        with config.override(pack_cache_mb=0):
            expected = operator(data, exact.copy(), **how).asnumpy()
        assert got.tobytes() == expected.tobytes(), " ".join(self.done)

    def convolve_again(self) -> None:
        """The same weight often, so that something is kept and hit."""
        pair = self.arrays[-1]
        for _ in range(4):
            self.convolve(pair)

    def in_threads(self) -> None:
        """Three threads convolve with one weight while a fourth writes to another one."""
        array, twin = self.pick()
        other, other_twin = self.pick()
        shape = WEIGHTS[twin.size][0]
        data = self.values(1, shape[1], 9)
        exact = twin.reshape(shape).copy()
        is_shared = np.shares_memory(twin, other_twin)
        results: list[np.ndarray] = []

        def read() -> None:
            for _ in range(3):
                y = nd.Convolution(data, array.reshape(shape), kernel=3, num_filter=shape[0], no_bias=True)
                results.append(y.asnumpy())

        def write() -> None:
            nonlocal other
            for _ in range(3):
                other += 1

        threads = [threading.Thread(target=work) for work in (read, read, read, write)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other_twin += 3
        if not is_shared:
            with config.override(pack_cache_mb=0):
                expected = nd.Convolution(data, exact, kernel=3, num_filter=shape[0], no_bias=True).asnumpy()
            assert all(y.tobytes() == expected.tobytes() for y in results), " ".join(self.done)
        for _ in range(2):
            self.convolve((array, twin))

    # ---- what makes arrays

    def new(self) -> None:
        values = self.values(self.rng.choice((96, 96, 48, 24)))
        self.arrays.append((nd.array(values), values.copy()))

    def view(self) -> None:
        array, twin = self.pick()
        flat, flat_twin = array.reshape(-1), twin.reshape(-1)
        if twin.size > 24:
            half = twin.size // 2
            start = self.rng.choice((0, half // 2, half))
            flat, flat_twin = flat[start : start + half], flat_twin[start : start + half]
        self.arrays.append((flat, flat_twin))

    def upon_numpy(self) -> None:
        """An NDArray upon a NumPy array's memory, through which the program may write later."""
        base = self.values(96)
        twin = base.copy()
        self.arrays.append((nd.from_numpy(base, zero_copy=True), twin))
        self.writers.append((base, twin))

    def duplicate(self) -> None:
        array, twin = self.pick()
        buffers: list[pickle.PickleBuffer] = []
        text = pickle.dumps(array, 5, buffer_callback=buffers.append)
        assert all(b.raw().readonly for b in buffers)
        made = self.rng.choice(
            (copy.copy, copy.deepcopy, lambda a: a.copy(), lambda _: pickle.loads(text, buffers=buffers))
        )(array)
        self.arrays.append((made, twin.copy()))

    def free_and_reuse(self) -> None:
        """Convolve, let go of the memory, and get as much again: likely the same."""
        values = self.values(96)
        pair = (nd.array(values), values.copy())
        self.convolve(pair)
        del pair
        gc.collect()
        pair = (nd.array(self.values(96)), np.empty(0))
        pair = (pair[0], pair[0].asnumpy())
        self.convolve(pair)
        self.arrays.append(pair)

    # ---- what writes

    def arithmetic(self) -> None:
        array, twin = self.pick()
        number = self.rng.randint(-2, 2)
        if self.rng.random() < 0.5:
            array += number
            twin += number
        else:
            array *= number
            twin *= number

    def assign(self) -> None:
        array, twin = self.pick()
        flat, flat_twin = array.reshape(-1), twin.reshape(-1)
        if self.rng.random() < 0.5:
            at, number = self.rng.randrange(twin.size), self.rng.randint(-9, 9)
            flat[at] = number
            flat_twin[at] = number
        else:
            values = self.values(twin.size)
            flat[:] = values if self.rng.random() < 0.5 else nd.array(values)
            flat_twin[:] = values

    def copy_into(self) -> None:
        array, twin = self.pick()
        values = self.values(*twin.shape)
        nd.array(values).copyto(array)
        twin[...] = values

    def result_into(self) -> None:
        """The result of a convolution over some array, which may be its weight as well."""
        array, twin = self.pick()
        source, source_twin = self.pick()
        count = twin.size // 8
        shape = (1, count, 8)
        data = self.values(1, 1, 8)
        weight, weight_twin = source.reshape(-1)[:count], source_twin.reshape(-1)[:count]
        how: dict[str, Any] = {"kernel": 1, "num_filter": count, "no_bias": True}
        with config.override(pack_cache_mb=0):
            exact = nd.Convolution(data, weight_twin.copy().reshape(count, 1, 1), **how).asnumpy()
        target = array.reshape(shape)
        nd.Convolution(data, weight.reshape((count, 1, 1)), out=target, **how)
        twin.reshape(shape)[...] = exact % 16
        target[...] = exact % 16  # bounded, so that no later sum of products rounds

    def lend(self) -> None:
        """Memory that leaves, to be written to from outside, sooner or later."""
        array, twin = self.pick()
        kind = self.rng.randrange(4)
        if kind == 0:
            outside = np.from_dlpack(array)
            if not outside.flags.writeable:  # as NumPy before 2.1 has it
                return
        elif kind == 1:
            outside = np.array(array, copy=False)
        else:
            capsule = array.to_dlpack_for_write() if kind == 2 else array.to_dlpack_for_read()
            shared = nd.from_dlpack(capsule)
            self.arrays.append((shared, twin))
            outside = np.array(shared, copy=False)
        assert np.shares_memory(outside, array.numpy_view())
        self.writers.append((outside, twin))

    def write_elsewhere(self) -> None:
        if self.writers:
            outside, twin = self.rng.choice(self.writers)
            if self.rng.random() < 0.5:
                self.convolve_with_memory_of(twin)
            values = self.values(*twin.shape)
            outside[...] = values
            twin[...] = values
            self.convolve_with_memory_of(twin)

    def convolve_with_memory_of(self, twin: np.ndarray) -> None:
        for array, other in self.arrays:
            if np.shares_memory(other, twin):
                self.convolve((array, other))


def run_programs(count: int) -> Counter[str]:
    done: Counter[str] = Counter()
    for seed in range(count):
        program = Program(seed)
        program.run(STEPS)
        done.update(program.done)
        assert pack_cache.counts().size <= config.get("pack_cache_mb") << 20
    return done


def test_no_program_ever_meets_an_outdated_pack():
    done = run_programs(PROGRAMS)
    counts = pack_cache.counts()
    assert counts.hits > 5 * PROGRAMS, "the cache is used"
    assert counts.misses > PROGRAMS
    assert min(done.values()) > PROGRAMS // 4
    assert len(done) == len(Program(0).actions)
    gc.collect()
    assert pack_cache.counts().size == pack_cache.counts().packs == 0, "packs go with their memory"


# ---- the programs notice


def no_versions(monkeypatch):
    monkeypatch.setattr(Storage, "touch", lambda self: None)


def no_taint(monkeypatch):
    monkeypatch.setattr(Storage, "taint", lambda self: None)


def shared_memory_is_clean(monkeypatch):
    init = Storage.__init__
    monkeypatch.setattr(Storage, "__init__", lambda self, *, tainted=False: init(self))


def no_look_at_the_version(monkeypatch):
    """Whatever the version, the pack that was kept first is as good."""
    find = pack_cache.find
    monkeypatch.setattr(pack_cache, "is_unchanged", lambda identity: not identity.storage.tainted)
    monkeypatch.setattr(pack_cache, "find", lambda identity, key, size: find(identity._replace(version=0), key, size))
    monkeypatch.setattr(pack_cache.PackCache, "_forget", lambda self, owner: None)


def no_look_at_the_place(monkeypatch):
    find = pack_cache.find
    monkeypatch.setattr(pack_cache, "find", lambda identity, key, size: find(identity._replace(address=0), key, size))


def without_part(number: int) -> Callable[[Any], None]:
    """A key that lacks one of its parts."""

    def seed(monkeypatch) -> None:
        find = pack_cache.find

        def find_by_less(identity: Any, key: str, size: int) -> Any:
            parts = list(eval(key, {"range": range}))  # its own repr
            del parts[number]
            return find(identity, repr(parts), size)

        monkeypatch.setattr(pack_cache, "find", find_by_less)

    return seed


def versions_begin_anew(monkeypatch):
    """Every storage counts for itself, and nobody hears of its end."""
    touch = Storage.touch

    def begin(self, *, tainted: bool = False) -> None:
        self.version, self.tainted = 1, tainted

    monkeypatch.setattr(Storage, "__init__", begin)
    monkeypatch.setattr(Storage, "touch", touch)
    monkeypatch.setattr(pack_cache.PackCache, "_free", lambda self, ref: None)


FAULTS = {
    "a write does not raise the version": no_versions,
    "lending does not taint": no_taint,
    "shared memory counts as clean": shared_memory_is_clean,
    "versions are ignored": no_look_at_the_version,
    "views of one memory are all the same": no_look_at_the_place,
    "the key lacks the strides": without_part(6),
    "the key lacks the taps": without_part(9),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_is_noticed(name, monkeypatch):
    FAULTS[name](monkeypatch)
    # One algorithm in both directions: packs of different ones do not meet whatever their keys lack.
    with config.override(algorithms="implicit_gemm,scratch_free"), pytest.raises(AssertionError):
        run_programs(FAULTY_PROGRAMS)


def test_versions_that_storages_share_do_no_harm(monkeypatch):
    """A second line of defence: a pack is known by its storage too."""
    versions_begin_anew(monkeypatch)
    run_programs(FAULTY_PROGRAMS)
