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


PYTHON_OBJECTS = 1 << 16
"""Bytes that the objects of a small file may take beside four times the file."""
INPUT_NAMES = 1 << 20
"""Bytes that the names of one operator's inputs may take, of which a parameter may ask for 9999."""


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
    start = time.process_time()
    try:
        symbol = mx.sym.load_json(text)
    except mx.FormatError:
        symbol = None
    peak = tracemalloc.get_traced_memory()[1] - before
    if symbol is not None:
        use(symbol)
    assert time.process_time() - start < 5
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
            assert peak_of_loading(text) <= 4 * len(text) + PYTHON_OBJECTS
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
    assert peak_of_loading(text) <= 4 * len(text) + PYTHON_OBJECTS
    with pytest.raises(mx.FormatError):
        mx.sym.load_json(text)


def repeated(times: int) -> str:
    """A large honest file."""
    x = mx.sym.Variable("data")
    for n in range(times):
        x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=64, name=f"stage{n // 9}_unit{n}_conv")
        x = mx.sym.BatchNorm(x, fix_gamma=False, eps=2e-5, name=f"stage{n // 9}_unit{n}_bn")
        x = mx.sym.Activation(x, act_type="relu", name=f"stage{n // 9}_unit{n}_relu")
    return x.tojson()


def test_large_files() -> None:
    """Files so large that the objects count for nothing beside them, with MXNet's blanks and with none."""
    text = repeated(40)
    assert peak_of_loading(text) <= 2.5 * len(text)
    assert peak_of_loading(json.dumps(json.loads(text), separators=(",", ":"))) <= 4 * len(text)
    for seed in range(8):
        assert peak_of_loading(damaged_json(random.Random(seed), text)) <= 4 * len(text), f"seed {seed}"


MANY = 3000
VARIABLE = '{"op":"null","name":"","inputs":[]}'


def short(nodes: list[str], *heads: int) -> str:
    """A graph in as few characters as there can be."""
    return f'{{"nodes":[{",".join(nodes)}],"arg_nodes":[],"heads":[{",".join(f"[{n},0]" for n in heads)}]}}'


def concat(inputs: int) -> str:
    edges = ",".join(["[0,0]"] * inputs)
    return f'{{"op":"Concat","name":"c","attr":{{"num_args":"9999"}},"inputs":[{edges}]}}'


FEW_CHARACTERS = {
    "one head often": (4, short([VARIABLE], *[0] * MANY)),
    "one input often": (5, short([VARIABLE, concat(9999)], 1)),
    "variables that nobody uses": (6, short([VARIABLE] * MANY, 0)),
    "variables": (8, short([VARIABLE] * MANY, *range(MANY))),
    "short operators": (
        10,
        short([VARIABLE, *(f'{{"op":"abs","name":"","inputs":[[{n},0]]}}' for n in range(MANY))], MANY),
    ),
    "attributes": (12, short([VARIABLE[:-1] + f',"attr":{json.dumps({str(n): "" for n in range(MANY)})}}}'], 0)),
}


@pytest.mark.parametrize("name", FEW_CHARACTERS)
def test_graphs_of_few_characters(name: str) -> None:
    """Where a node or an attribute takes as few characters as it can, the graph is larger than its text."""
    factor, text = FEW_CHARACTERS[name]
    assert peak_of_loading(text) <= factor * len(text) + (INPUT_NAMES if "num_args" in text else PYTHON_OBJECTS)


def test_a_count_makes_no_variables() -> None:
    """Files of before 0.9 leave inputs out, but not as many as a parameter asks for."""
    text = short([VARIABLE, *[concat(0)] * 9], *range(1, 10))
    assert peak_of_loading(text) <= 4 * len(text) + INPUT_NAMES
    with pytest.raises(mx.FormatError, match=r"node 'c' .*it has 0 inputs, expected as many as num_args says"):
        mx.sym.load_json(text)


@pytest.mark.parametrize("form", ["%s", '"%s"', VARIABLE.replace('""', '"%s"')])
def test_a_rare_character_makes_no_large_text(form: str, tmp_path: Path) -> None:
    """One character beyond the first 65,536 makes a string take four bytes for each of its characters."""
    content = (form % ("\U0001f600" + "a" * 10**6)).encode()
    (tmp_path / "net-symbol.json").write_bytes(content)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    with pytest.raises(mx.FormatError):
        mx.sym.load(tmp_path / "net-symbol.json")
    assert tracemalloc.get_traced_memory()[1] - before <= 2 * len(content)


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
