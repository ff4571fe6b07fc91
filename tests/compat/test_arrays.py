"""Arrays that MXNet 0.9.5 to 1.9.1 saved: they load with their values, and are saved again as 1.9.1 does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mxconv as mx
from compat.array_values import dense, sparse

FOLDER = Path(__file__).parent / "arrays"
VERSIONS = ("0.9.5", "0.10.0", "0.11.0", "1.0.0", "1.5.1", "1.9.1")
KNOWN = {"0.9.5": 5, "0.10.0": 5, "0.11.0": 7, "1.0.0": 7, "1.5.1": 7, "1.9.1": 8}
"""How many of the dtypes each version has."""


@pytest.mark.parametrize("version", VERSIONS)
def test_dense(tmp_path: Path, version: str) -> None:
    file = FOLDER / f"arrays-{version}.params"
    loaded = mx.nd.load(str(file))
    expected = dict(list(dense().items())[: KNOWN[version]])
    assert list(loaded) == list(expected)
    for name, values in expected.items():
        assert loaded[name].dtype == values.dtype
        np.testing.assert_array_equal(loaded[name].asnumpy(), values)
    pair = mx.nd.load(str(FOLDER / f"list-{version}.params"))
    for array, name in zip(pair, ("float32", "uint8"), strict=True):
        np.testing.assert_array_equal(array.asnumpy(), expected[name])
    mx.nd.save(tmp_path / "list", pair)
    assert (tmp_path / "list").read_bytes() == (FOLDER / "list-1.9.1.params").read_bytes()
    if version >= "1":
        mx.nd.save(tmp_path / "arrays", loaded)
        assert (tmp_path / "arrays").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("version", VERSIONS[3:])
def test_sparse(version: str) -> None:
    loaded = mx.nd.load(str(FOLDER / f"sparse-{version}.params"))
    assert set(loaded) == set(sparse())
    for name, values in sparse().items():
        np.testing.assert_array_equal(loaded[name].asnumpy(), values)


def test_np_shapes(tmp_path: Path) -> None:
    file = FOLDER / "shapes-1.9.1.params"
    scalar, empty = mx.nd.load(str(file))
    assert scalar.shape == ()
    assert scalar.asscalar() == 2.5
    assert empty.shape == (0, 3)
    with mx.util.np_shape(True):
        mx.nd.save(tmp_path / "x", [scalar, empty])
    assert (tmp_path / "x").read_bytes() == file.read_bytes()


def test_bfloat16(tmp_path: Path) -> None:
    file = FOLDER / "bfloat16-1.9.1.params"
    loaded = mx.nd.load(str(file))
    assert loaded["bfloat16"].asnumpy().astype(float).tolist() == [-1, 0.5, 3]
    mx.nd.save(tmp_path / "x", loaded)
    assert (tmp_path / "x").read_bytes() == file.read_bytes()
