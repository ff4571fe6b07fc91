"""The ledger: what is booked is there, aligned, apart from everything else, and counted."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import planner
from mxconv.engine.problem import ConvProblem
from mxconv.engine.workspace import ALIGNMENT, SPARE_BYTES, Ledger, address_of, round_up


def test_bookings_are_aligned_and_do_not_overlap():
    rng = random.Random(4)
    for _ in range(50):
        ledger = Ledger()
        sizes = [rng.choice([0, 1, 63, 64, 65, rng.randint(0, 5000)]) for _ in range(rng.randint(1, 8))]
        for i, size in enumerate(sizes):
            at = ledger.book(f"part {i}", size)
            assert ledger.entries[f"part {i}"] == (at, size)
        places = sorted(ledger.entries.values())
        assert all(at % ALIGNMENT == 0 for at, _ in places)
        ends = [at + max(1, size) for at, size in places]
        assert all(end <= at for end, (at, _) in zip(ends, [*places[1:], (ledger.total, 0)], strict=True))


def test_no_booking_needs_no_memory():
    assert Ledger().total == 0


def test_the_workspace_is_as_large_as_the_ledger_says_and_aligned():
    ledger = Ledger()
    ledger.book("a", 1000)
    ledger.book("b", 1)
    assert ledger.total == 1088
    for _ in range(20):
        owner, base = ledger.allocate()
        assert base % ALIGNMENT == 0
        assert address_of(owner) <= base
        assert base + ledger.total <= address_of(owner) + owner.nbytes


def test_a_small_workspace_is_the_threads_next_one_but_no_two_have_it_at_once():
    small, other, large = Ledger(), Ledger(), Ledger()
    small.book("a", 1000)
    other.book("a", SPARE_BYTES)
    large.book("a", SPARE_BYTES + 1)
    seen = []

    def calls() -> None:
        nested, first = small.allocate(), other.allocate()
        assert nested[0].nbytes == small.total + ALIGNMENT, "no more than is booked"
        assert not first[1] - small.total < nested[1] < first[1] + SPARE_BYTES, "a call inside a call has its own"
        other.release(first)
        small.release(nested)
        assert small.allocate() is first, "the larger one is kept"
        small.release(first)
        big = large.allocate()
        assert big[0].nbytes > SPARE_BYTES
        large.release(big)
        assert other.allocate() is first, "a large one is not kept"
        seen.append(first)

    thread = threading.Thread(target=calls)  # one that has no workspace yet
    thread.start()
    thread.join()
    assert [small.allocate() is first for first in seen] == [False], "other threads have their own"


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), ()])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", ">f8", "complex64"])
def test_the_address_is_that_of_the_first_element(shape, dtype):
    import ml_dtypes

    a = np.empty(shape, ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    a.flags.writeable = False
    assert address_of(a) == a.ctypes.data
    if a.ndim:
        assert address_of(a[::-1]) == a[::-1].ctypes.data


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(
    "line",
    [
        "forward float32 n2 g1 c16->32 i30x30 k3x3",
        "forward float32 n1 g9 c9->9 i50x50 k3x3",
        "backward_data float64 n1 g2 c8->8 i99 k5 s2",
        "backward_weight float32 n4 g1 c16->32 i30x30 k3x3",
    ],
)
def test_a_plans_workspace_is_what_it_booked(line, threads):
    with config.override(num_threads=threads, parallel_threshold=0):
        plan = planner.make_plan(ConvProblem.parse(line))
    assert 1 <= plan.threads <= threads
    booked = sum(round_up(max(1, size)) for _, size in plan.ledger.entries.values())
    assert plan.workspace_bytes == plan.ledger.total == booked
