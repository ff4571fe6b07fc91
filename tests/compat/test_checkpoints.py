"""Checkpoints of MXNet 0.8 to 1.9.1: their outputs, and the files that we write in their place.

What each file is, and how it was made: make_checkpoints.py, make_old_files.py, make_arrays.py, verify_checkpoints.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import mxconv as mx
from compat.networks import NETWORKS

FOLDER = Path(__file__).parent / "checkpoints"
NAMES = sorted(file.name.removesuffix("-symbol.json") for file in FOLDER.glob("*-symbol.json"))
RESAVED = json.loads((FOLDER / "resaved.json").read_text())
"""The SHA-256 of what MXNet 1.9.1 writes when it has loaded the symbol."""


def test_all_are_here() -> None:
    versions = ("0.8", "0.9.5", "0.10.0", "0.11.0", "1.0.0", "1.5.1", "1.9.1")
    assert set(NAMES) == {f"{network}-{version}" for network in NETWORKS for version in versions} == set(RESAVED)


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name: str) -> None:
    symbol, args, aux = mx.model.load_checkpoint(FOLDER / name, 1)
    recorded = np.load(FOLDER / f"{name}.npz")
    inputs = {key[6:]: mx.nd.array(recorded[key]) for key in recorded.files if key.startswith("input/")}
    executor = symbol.bind(mx.cpu(), {**inputs, **args}, aux_states=aux, grad_req="null")
    outputs = executor.forward(is_train=False)
    expected = [recorded[key] for key in sorted(recorded.files) if key.startswith("output/")]
    for title, output, values in zip(symbol.list_outputs(), outputs, expected, strict=True):
        assert output.shape == values.shape, title
        np.testing.assert_allclose(output.asnumpy(), values, rtol=0, atol=2e-5, err_msg=title)


@pytest.mark.parametrize("name", NAMES)
def test_saved_again_as_1_9_1_does(tmp_path: Path, name: str) -> None:
    symbol, args, aux = mx.model.load_checkpoint(FOLDER / name, 1)
    mx.model.save_checkpoint(tmp_path / "x", 1, symbol, args, aux)
    written = (tmp_path / "x-symbol.json").read_bytes()
    assert hashlib.sha256(written).hexdigest() == RESAVED[name]
    newest = FOLDER / f"{name.rpartition('-')[0]}-1.9.1"
    if not name.endswith("-0.8"):  # which has attributes of its own
        assert (tmp_path / "x-0001.params").read_bytes() == newest.with_name(f"{newest.name}-0001.params").read_bytes()
    if name.endswith("-1.9.1"):
        assert written == (FOLDER / f"{name}-symbol.json").read_bytes()


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_built_here_are_saved_the_same(network: str) -> None:
    with mx.name.NameManager():
        symbol = NETWORKS[network](mx)
    assert symbol.tojson() == (FOLDER / f"{network}-1.9.1-symbol.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["0.8", "1.9.1"])
def test_networks_cut_by_hand(version: str) -> None:
    """People change `heads` to have the features; what is left over behind them does no harm."""
    graph = json.loads((FOLDER / f"classifier-{version}-symbol.json").read_text(encoding="utf-8"))
    names = [node["name"] for node in graph["nodes"]]
    graph["heads"] = [[names.index("norm1"), 0]]
    cut = mx.sym.load_json(json.dumps(graph))
    assert cut.list_outputs() == ["norm1_output"]
    assert cut.list_arguments() == ["data", "c1_weight", "c1_bias"]
    graph["heads"] = [[0, 0]]
    assert mx.sym.load_json(json.dumps(graph)).list_arguments() == ["data"]
