"""Damaged symbol files end in FormatError, or in a usable graph; the same graph in other words is the same graph."""

from __future__ import annotations

import contextlib
import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import mxconv as mx
from compat.damage import damaged_json, varied_json

FILES = sorted((Path(__file__).parent / "checkpoints").glob("*-symbol.json"))
TEXTS = [file.read_text(encoding="utf-8") for file in FILES]


OBJECTS = 32
"""How many bytes Python's objects take at most for each of JSON's."""


@pytest.fixture(scope="module", autouse=True)
def _measured() -> Iterator[None]:
    mx.sym.load_json(TEXTS[0])  # which imports the operators
    tracemalloc.start()
    yield
    tracemalloc.stop()


def peak_of_loading(text: str) -> int:
    """The memory that loading took at its peak; the graph must load, or be refused as damaged."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    start = time.perf_counter()
    try:
        symbol = mx.sym.load_json(text)
    except mx.FormatError:
        symbol = None
    peak = tracemalloc.get_traced_memory()[1] - before
    if symbol is not None:
        use(symbol)
    assert time.perf_counter() - start < 5
    return peak


def use(symbol: mx.sym.Symbol) -> None:
    """Ask of a graph what everybody asks."""
    names = symbol.list_arguments() + symbol.list_auxiliary_states() + symbol.list_outputs()
    assert all(isinstance(name, str) for name in names)
    assert mx.sym.load_json(symbol.tojson()).tojson() == symbol.tojson()
    with contextlib.suppress(mx.MXNetError):
        symbol.infer_shape_partial(data=(2, 3, 8, 8))


def check(seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        text = damaged_json(rng, rng.choice(TEXTS))
        try:
            assert peak_of_loading(text) <= OBJECTS * len(text) + 2**20
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_a_thousand() -> None:
    check(range(1000))


@pytest.mark.slow
def test_ten_thousand() -> None:
    check(range(1000, 11_000))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**6,
        '{"a":' * 10**5,
        "[[]," * 10**5,
        '"' * 10**6,
        "1" * 10**6,
        '{"nodes":[' + "{}," * 10**5,
        '{"nodes":[' + "[0]," * 10**5 + '0],"arg_nodes":[],"heads":[]}',
        '{"nodes":[],"arg_nodes":[],"heads":[[' + "9" * 10**5 + ",0]]}",
        '{"nodes":[],"arg_nodes":[],"heads":[[1e999,0]]}',
        '{"nodes":[],"arg_nodes":[],"heads":[[0,0]]}',
        json.dumps({"nodes": [], "arg_nodes": [], "heads": [], "attrs": {"mxnet_version": ["int", 10**17]}}),
    ],
    ids=lambda text: f"{text[:12]}... ({len(text)})",
)
def test_hostile_texts(text: str) -> None:
    assert peak_of_loading(text) <= OBJECTS * len(text) + 2**20
    with pytest.raises(mx.FormatError):
        mx.sym.load_json(text)


def test_memory_is_given_back() -> None:
    """A long chain of nodes is taken apart without recursion."""
    x = mx.sym.Variable("data")
    for number in range(3000):
        x = mx.sym.Activation(x, act_type="relu", name=f"relu{number}")
    assert mx.sym.load_json(x.tojson()).list_arguments() == ["data"]


@pytest.mark.parametrize("text", TEXTS, ids=[file.name for file in FILES])
def test_the_same_graph_in_other_words(text: str) -> None:
    rng = random.Random(1)
    expected = mx.sym.load_json(text).tojson()
    for _ in range(15):
        assert mx.sym.load_json(varied_json(rng, text)).tojson() == expected
