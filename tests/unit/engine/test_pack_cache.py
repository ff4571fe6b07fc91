"""The cache of packed weights, rule by rule; tests/properties/test_pack_cache.py has the programs."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np
import pytest

from mxconv import config, nd
from mxconv.engine import pack_cache, planner
from mxconv.engine.pack_cache import PackCounts
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import ConstantWeight, compute, make_result


@pytest.fixture(autouse=True)
def _fresh_cache(monkeypatch):
    monkeypatch.setenv("MXCONV_ACCURACY", "pointwise")  # whose panels have the weight's size
    pack_cache.clear()
    yield
    pack_cache.clear()


def weight(rows: int = 16, channels: int = 32) -> nd.NDArray:
    return nd.array(np.random.default_rng(1).integers(-3, 4, (rows, channels, 3)))


def convolve(w, size: int = 20, batch: int = 1):
    x = np.ones((batch, w.shape[1], size), np.float32)
    return nd.Convolution(x, w, kernel=3, num_filter=w.shape[0], no_bias=True)


def test_images_of_all_sizes_and_batches_share_one_pack():
    w = weight()
    for size, batch in ((33, 1), (33, 1), (133, 1), (150, 3), (4, 2)):  # of one register tile, on every CPU
        convolve(w, size, batch)
    counts = pack_cache.counts()
    assert (counts.hits, counts.misses, counts.packs) == (4, 1, 1)
    assert counts.size == w.size * 4


def test_arrays_of_numpy_are_packed_on_every_call():
    for w in (weight().asnumpy(), nd.from_numpy(weight().asnumpy())):
        convolve(w)
        assert pack_cache.counts().packs == 0


def test_a_view_and_its_base_are_different_weights_of_one_storage():
    w = weight()
    convolve(w)
    convolve(w[8:])
    assert pack_cache.counts().packs == 2
    w[0, 0, 0] = 5
    convolve(w[8:])
    assert pack_cache.counts().packs == 1, "outdated ones are dropped at once"


def test_packs_of_lent_memory_are_dropped():
    w = weight()
    convolve(w)
    outside = np.from_dlpack(w)
    convolve(w)
    assert pack_cache.counts() == PackCounts(hits=0, misses=2, packs=0, size=0)
    del outside
    convolve(w)
    assert pack_cache.counts().packs == 0, "lent once, lent for ever"


def test_packs_go_with_the_array():
    w = weight()
    view = w[8:]
    convolve(w)
    del w
    assert pack_cache.counts().packs == 1, "a view keeps the memory"
    del view
    assert pack_cache.counts().packs == pack_cache.counts().size == 0


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago():
    rows = 512
    weights = [weight(rows, 128) for _ in range(4)]  # 768 KB each
    with config.override(pack_cache_mb=2):
        convolve(weights[0])
        convolve(weights[1])
        convolve(weights[0])
        convolve(weights[2])
        assert pack_cache.counts().packs == 2
        assert pack_cache.counts().size <= 2 << 20
        hits = pack_cache.counts().hits
        convolve(weights[0])
        assert pack_cache.counts().hits == hits + 1
        convolve(weights[1])
        assert pack_cache.counts().hits == hits + 1
    with config.override(pack_cache_mb=0):
        before = pack_cache.counts()
        convolve(weights[1])
        assert pack_cache.counts() == before
    with config.override(pack_cache_mb=1):
        convolve(weight(2048, 128))  # too large to keep
        convolve(weights[3])
        assert pack_cache.counts().size <= 1 << 20


def test_a_weight_that_is_written_while_it_is_packed_is_not_kept(monkeypatch):
    w = weight()
    keep = pack_cache.Panels.keep

    def keep_late(self):
        w[0, 0, 0] = 7  # as another thread would
        keep(self)

    monkeypatch.setattr(pack_cache.Panels, "keep", keep_late)
    convolve(w)
    assert pack_cache.counts().packs == 0
    monkeypatch.undo()
    with config.override(pack_cache_mb=0):
        expected = convolve(w).asnumpy()
    assert (convolve(w).asnumpy() == expected).all()
    assert pack_cache.counts().packs == 1


def test_a_weight_that_is_lent_while_it_is_packed_is_not_kept(monkeypatch):
    w = weight()
    keep = pack_cache.Panels.keep
    monkeypatch.setattr(pack_cache.Panels, "keep", lambda self: (w.to_dlpack_for_write(), keep(self)))
    convolve(w)
    assert pack_cache.counts().packs == 0


def test_an_identity_from_before_a_write_finds_and_keeps_nothing():
    w = weight()
    convolve(w)
    old = w._identity()
    w[0, 0, 0] = 3
    convolve(w)
    (key,) = pack_cache._cache._packs
    assert pack_cache.find(old, key[2], 100) is None
    assert pack_cache.counts().packs == 1
    assert pack_cache.find(w._identity(), key[2], 100).is_packed


def test_the_garbage_collector_may_strike_while_the_cache_is_at_work():
    """A storage in a cycle is freed wherever an allocation happens to start the collector."""
    cache = pack_cache._cache
    w = weight()
    convolve(w)
    ring = [w]
    ring.append(ring)
    del w, ring
    with cache._lock:
        gc.collect()
        assert len(cache._packs) == 1
    assert pack_cache.counts().packs == 0


def test_threads_that_pack_the_same_weight_at_once_keep_one_pack():
    w = weight(64, 64)
    with config.override(pack_cache_mb=0):
        expected = convolve(w).asnumpy()
    results = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        results.extend(convolve(w).asnumpy() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30
    assert all((y == expected).all() for y in results)
    counts = pack_cache.counts()
    assert counts.packs == 1
    assert counts.hits + counts.misses == 30
    assert counts.hits >= 24


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_with_nothing_kept():
    w = weight()
    expected = convolve(w).asnumpy()
    with pack_cache._cache._lock:  # as another thread may hold it
        child = os.fork()
        if child == 0:
            same = (convolve(w).asnumpy() == expected).all()
            os._exit(0 if same and pack_cache.counts().packs == 1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_kept_packs_are_not_workspace():
    plan = planner.make_plan(ConvProblem.parse("forward float32 n1 g1 c32->16 i33 k3"))
    assert plan.packing is not None
    assert plan.workspace_bytes - plan.workspace_for(1 << 20) == plan.packing.size == 16 * 32 * 3 * 4


class Rival:
    """A storage that breaks the rule that no two states share a version."""

    def __init__(self) -> None:
        self.version, self.tainted = 7, False


def test_a_storage_with_the_version_of_another_is_not_taken_for_it():
    address, key = 4096, "any packing"
    owners = Rival(), Rival()
    for owner in (*owners, *owners):
        panels = pack_cache.find(pack_cache.WeightIdentity(owner, 7, address), key, 64)
        assert panels is not None
        assert not panels.is_packed
        panels.keep()
    again = pack_cache.find(pack_cache.WeightIdentity(owners[1], 7, address), key, 64)
    assert again is panels
    assert pack_cache.counts().packs == 1


def test_a_constant_weight_of_a_trial_goes_with_its_last_reference():
    memory = np.ones((16, 32, 3), np.float32)
    constant = ConstantWeight(memory)
    problem = ConvProblem.parse("forward float32 n1 g1 c32->16 i20 k3")
    arrays = {"x": np.ones(problem.x_shape, np.float32), "w": memory}
    compute(problem, arrays, make_result(problem), constant)
    assert pack_cache.counts().packs == 1
    memory *= 2
    constant = ConstantWeight(memory)
    assert pack_cache.counts().packs == 0
    assert compute(problem, arrays, make_result(problem), constant)[0, 0, 0] == 2 * 96


@pytest.mark.usefixtures("plans")
def test_a_weight_that_changes_time_and_again_counts_as_new_until_it_rests(monkeypatch):
    asked = []
    search = planner.Search

    def noting(*arguments):
        asked.append(arguments[4])  # packs_weight
        return search(*arguments)

    monkeypatch.setattr(planner, "Search", noting)
    w, other = weight(), weight()
    for step in range(5):  # a training step: the layer is computed, its weight is changed
        w[0, 0, 0] = step
        convolve(w)
        convolve(other)
    assert asked == [False, True], "the first steps as any weight, later ones as a new one"
    assert pack_cache._cache.is_changing(w_identity(w))
    assert not pack_cache._cache.is_changing(w_identity(other))
    for _ in range(pack_cache.USES + 1):
        convolve(w)
    assert not pack_cache._cache.changes
    w[0, 0, 0] = 9
    convolve(w)
    assert pack_cache._cache.changes
    del w
    gc.collect()
    pack_cache.counts()
    assert not pack_cache._cache.changes, "nothing stays of a storage that is gone"


def w_identity(array: nd.NDArray) -> pack_cache.WeightIdentity:
    storage = array._storage
    return pack_cache.WeightIdentity(storage, storage.version, 0)
