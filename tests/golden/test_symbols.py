"""What MXNet 1.9.1 says of many graphs, and makes of them when older versions wrote them; see symbols/make.py."""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

import mxconv as mx

FOLDER = Path(__file__).with_name("symbols")
RECORDED: dict[str, Any] = json.loads(gzip.decompress((FOLDER / "symbols.json.gz").read_bytes()))
_found = importlib.util.spec_from_file_location("symbol_cases", FOLDER / "cases.py")
assert _found is not None
assert _found.loader is not None
cases = importlib.util.module_from_spec(_found)
_found.loader.exec_module(cases)


def merged(name: str, key: str, ours: Any) -> Any:
    """What is to be equal: MXNet's answer, where it has one."""
    theirs = RECORDED[name][key]
    return ours if theirs is None else theirs


@pytest.mark.parametrize("name", RECORDED)
def test_as_mxnet_describes_it(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = cases.describe(mx, name)
    expected = {key: merged(name, key, ours[key]) for key in ours}
    assert ours.pop("json").splitlines() == expected.pop("json").splitlines()
    assert ours == expected


@pytest.mark.parametrize("name", RECORDED)
def test_json_round_trips(name: str) -> None:
    text = RECORDED[name]["json"]
    symbol = mx.sym.load_json(text)
    assert symbol.tojson() == text
    assert copy.deepcopy(symbol).tojson() == text
    assert pickle.loads(pickle.dumps(symbol)).tojson() == text


@pytest.mark.parametrize("version", cases.GENERATIONS)
def test_graphs_of_older_versions(version: int) -> None:
    for name, recorded in RECORDED.items():
        text = recorded["json"]
        expected = recorded["resaved"][str(version)]
        old = cases.age(text, version)
        if expected is None:
            with pytest.raises(mx.MXNetError):
                mx.sym.load_json(old)
        else:
            wanted = text if expected == "same" else expected
            assert mx.sym.load_json(old).tojson().splitlines() == wanted.splitlines(), name
