"""Damaged .params files end in FormatError, or in arrays where only numbers changed, and take little memory."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mxconv as mx
from compat.damage import HOSTILE, damaged_params
from compat.encoding import V0, V1, V2, V3, array_of, file_of, sparse_of

FOLDER = Path(__file__).parent
SMALL = [file.read_bytes() for file in sorted(FOLDER.glob("*/*.params"))]
PYTHON_OBJECTS = 1 << 16
"""Bytes that the objects themselves may take beside their values."""


@pytest.fixture(scope="module", autouse=True)
def _measured() -> Iterator[None]:
    tracemalloc.start()
    with mx.config.override(sparse_mb=0):
        yield
    tracemalloc.stop()


def peak_of_loading(data: bytes) -> int:
    """The memory that loading took at its peak; the file must load, or be refused as damaged."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    start = time.perf_counter()
    try:
        loaded = mx.nd.load_frombuffer(data)
    except mx.FormatError:
        pass
    else:
        for array in loaded.values() if isinstance(loaded, dict) else loaded:
            assert isinstance(array, mx.nd.NDArray)
    assert time.perf_counter() - start < 5
    return tracemalloc.get_traced_memory()[1] - before


def check(seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        data = damaged_params(rng, rng.choice(SMALL))
        assert peak_of_loading(data) <= 4 * len(data) + PYTHON_OBJECTS, f"seed {seed}"


def test_a_thousand() -> None:
    check(range(1000))


@pytest.mark.slow
def test_ten_thousand() -> None:
    check(range(1000, 11_000))


def test_large_files() -> None:
    """Files so large that the objects count for nothing beside them."""
    rng = random.Random(5)
    values = np.arange(100_000, dtype="<f4")
    dense = array_of(values.tobytes(), 200, 500)
    sparse = sparse_of(1, (100, 1000), (200, 1000), np.arange(100), data=values)
    whole = file_of(dense, sparse)
    assert [array.shape for array in mx.nd.load_frombuffer(whole)] == [(200, 500), (200, 1000)]
    for seed in range(200):
        at = rng.choice((*range(0, 64, 4), *range(24 + len(dense), 24 + len(dense) + 96, 4)))
        number = rng.choice((*HOSTILE, 99, 101, 1001, 10**5, 10**6))
        form = "<Q" if seed % 2 else "<I"
        data = bytearray(whole)
        struct.pack_into(form, data, at, number % 256 ** struct.calcsize(form))
        assert peak_of_loading(bytes(data)) <= 4 * len(data), f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_harmless_changes(seed: int) -> None:
    """Reserved words, devices, what follows the end and the version of the arrays change nothing."""
    rng = random.Random(seed)
    network = rng.choice(("detector", "painter", "classifier", "ranks"))
    arrays = mx.nd.load(FOLDER / f"checkpoints/{network}-1.9.1-0001.params")
    encoded = [
        array_of(
            array.asnumpy().tobytes(),
            *array.shape,
            magic=rng.choice((V0, V1, V2, V3)),
            context=(rng.choice((1, 2, 3, 5)), rng.randrange(-1, 9)),
        )
        for array in arrays.values()
    ]
    names = tuple(name.encode() for name in arrays)
    data = file_of(*encoded, names=names, reserved=rng.getrandbits(64)) + rng.randbytes(rng.choice((0, 1, 100)))
    loaded = mx.nd.load_frombuffer(data)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].asnumpy(), array.asnumpy())
