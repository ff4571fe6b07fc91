"""Layouts: names, permutations, views."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv.errors import ShapeError
from mxconv.ops.layouts import Layout, resolve_layout


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_the_two_orders(rank: int) -> None:
    sizes = tuple(range(10, 10 + rank))
    first, last = Layout(channels_last=False), Layout(channels_last=True)
    assert first.to_logical(("n", "c", *sizes)) == first.to_stored(("n", "c", *sizes)) == ("n", "c", *sizes)
    assert last.to_stored(("n", "c", *sizes)) == ("n", *sizes, "c")
    assert last.to_logical(("n", *sizes, "c")) == ("n", "c", *sizes)


def test_logical_view_shares_memory() -> None:
    array = np.zeros((2, 5, 7, 3))
    view = Layout(channels_last=True).logical_view(array)
    assert view.shape == (2, 3, 5, 7)
    view[1, 2, 3, 4] = 1
    assert array[1, 3, 4, 2] == 1
    assert Layout(channels_last=False).logical_view(array).shape == array.shape


@pytest.mark.parametrize(
    ("name", "rank", "last"),
    [(None, 3, False), ("NCW", 1, False), ("NCHW", 2, False), ("NCDHW", 3, False), ("NWC", 1, True), ("NHWC", 2, True),
     ("NDHWC", 3, True), ("NCTDHW", 4, False), ("NTDHWC", 4, True), ("NABDEFC", 5, True)],
)  # fmt: skip
def test_resolving_names(name: str | None, rank: int, last: bool) -> None:
    assert resolve_layout(name, (3,) * rank) == Layout(channels_last=last)


@pytest.mark.parametrize("name", ["NCW", "NWC", "NCDHW", "NTDHWC"])
def test_a_layout_must_fit_the_kernel(name: str) -> None:
    with pytest.raises(ShapeError, match=r"Invalid layout for 4d shape.*kernel=\(3, 3\)") as info:
        resolve_layout(name, (3, 3))
    assert (info.value.got, info.value.expected) == (name, "NCHW or NHWC")
