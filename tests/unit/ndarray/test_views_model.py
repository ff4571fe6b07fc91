"""Random sequences of views, writes and in-place operations, against NumPy arrays that do the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mxconv import nd

numbers = st.integers(-3, 3)
slices = st.builds(slice, st.none() | numbers, st.none() | numbers, st.none() | st.sampled_from([1, 2, -1]))
keys = st.one_of(
    numbers, slices, st.just(...), st.none(), st.tuples(slices, slices), st.tuples(numbers, slices),
    st.tuples(slices, numbers), st.tuples(numbers, numbers), st.lists(st.integers(0, 1), min_size=1, max_size=2),
)  # fmt: skip
steps = st.tuples(st.integers(0, 99), st.sampled_from(["select", "assign", "add", "multiply", "reshape", "out"]), keys)


def is_view(array: np.ndarray[Any, Any], key: Any) -> bool:
    return not isinstance(key, list) and array[key].flags.c_contiguous


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=12))
@example([(0, "multiply", 0)] * 6)
def test_views_versions_and_values(program: list[tuple[int, str, Any]]) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    family = [(nd.array(values), values.copy(), 0)]  # NDArray, its NumPy twin, number of its memory
    versions = [family[0][0].storage.version]
    for number, (pick, action, key) in enumerate(program):
        array, twin, memory = family[pick % len(family)]
        written = True
        try:
            if action == "select":
                chosen = twin[key] if not isinstance(key, int) or twin.ndim > 1 else twin[key : key + 1 or None]
                if not isinstance(key, list) and np.ndim(chosen) == 0:
                    chosen = twin[(*key, None)] if isinstance(key, tuple) else twin[key, None]
                mine = array[key]
                assert mine.shape == chosen.shape
                new = memory if is_view(twin, key) else len(versions)
                family.append((mine, chosen if new == memory else chosen.copy(), new))
                written = False
            elif action == "assign":
                twin[key] = number
                array[key] = number
            elif action == "add":
                twin += number
                array += number
            elif action == "multiply":
                with np.errstate(over="ignore"):  # squared often enough, anything becomes infinite
                    twin *= twin
                    array *= array
            elif action == "out":
                twin[...] = number
                with array.writing() as view:
                    view[...] = number
            else:
                family.append((array.reshape(-1), twin.reshape(-1), memory))
                written = False
        except IndexError:
            continue
        if len(versions) <= max(m for *_, m in family):
            versions.append(family[-1][0].storage.version)
        for mine, other, where in family:
            np.testing.assert_array_equal(mine.asnumpy(), other)
            if written and where == memory:
                assert mine.storage.version > versions[memory]
            else:
                assert mine.storage.version == versions[where]
        versions[memory] = array.storage.version
        assert not any(mine.storage.tainted for mine, *_ in family)
