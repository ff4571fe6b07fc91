"""mx.viz against what MXNet 1.9.1 printed and drew."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import mxconv as mx

RECORDED: dict[str, Any] = json.loads(gzip.decompress(Path(__file__).with_name("viz.json.gz").read_bytes()))
_found = importlib.util.spec_from_file_location("make_viz", Path(__file__).with_name("make_viz.py"))
assert _found is not None
assert _found.loader is not None
graphs = importlib.util.module_from_spec(_found)
_found.loader.exec_module(graphs)

MENDED = {
    ("detector", "prelu1(LeakyReLU)"): ("6x13x15 0 conv1", "6x13x15 6 conv1"),
    ("detector", "halves(SliceChannel)"): ("0 boxes", "2x5x2 0 boxes"),
    ("painter", "up(Deconvolution)"): ("6x8x8 0 relu1", "6x8x8 222 relu1"),
    ("painter", "smooth(UpSampling)"): ("8x8x8 0 relu1", "8x8x8 128 relu1"),
    ("painter", "sized(Deconvolution)"): ("3x8x8 0 relu1", "3x8x8 384 relu1"),
    ("painter", "instance(InstanceNorm)"): ("17x8x8 0 all", "17x8x8 34 all"),
    ("ranks", "volume1(Convolution)"): ("4x4x3x7 4", "4x4x3x7 148"),  # its data are not the first variable
    ("ranks", "plane1(Convolution_v1)"): ("6x9x7 0", "6x9x7 114"),
    ("ranks", "wide(Deconvolution)"): ("3x8x9 0 plane_max", "3x8x9 108 plane_max"),
    ("texts", "c(Convolution)"): ("4x4x3 148 data", "4x4x3 144 data"),
    ("texts", "p(LeakyReLU)"): ("4x4x3 0 c", "4x4x3 4 c"),
    ("texts", "d(Deconvolution)"): ("6x8x6 0 p", "6x8x6 54 p"),
    ("branches", "halves(SliceChannel)"): ("0 both", "2x5x5 0 both"),
    ("branches", graphs.LONG[:52]): ("2x5x5 2", "2x5x5 6"),
    ("words", "fc(FullyConnected)"): ("9x3 30 embed", "9x3 24 embed"),  # flatten=False
}
"""What MXNet says of a row, and what is right."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    monkeypatch.setitem(sys.modules, "graphviz", types.SimpleNamespace(Digraph=graphs.Digraph))
    return json.loads(json.dumps(graphs.describe(mx, name)))


names = pytest.mark.parametrize("name", RECORDED)


@names
def test_the_same_table_but_for_what_is_mended(name: str, said: Any) -> None:
    theirs, ours = (texts["summary shapes"].splitlines() for texts in (RECORDED[name], said))
    assert len(theirs) == len(ours)
    for line, right in zip(theirs, ours, strict=True):
        if not line.startswith("Total"):
            row, (was, is_now) = line[:52].strip(), (" ".join(text[52:].split()) for text in (line, right))
            assert (was, is_now) == MENDED.get((name, row), (is_now, is_now))
            assert line[:52] == right[:52]
    counts = [line[76:88].strip() for line in ours]
    assert f"Total params: {sum(int(count) for count in counts if count.isdigit())}" in ours


@names
def test_the_same_without_shapes_but_for_the_counts(name: str, said: Any) -> None:
    theirs, ours = (
        re.sub(r"\b\d+ ", lambda found: " " * len(found[0]), texts["summary"]) for texts in (RECORDED[name], said)
    )
    assert theirs.splitlines()[:-2] == ours.splitlines()[:-2]


@names
def test_columns_end_where_they_are_told_to(name: str, said: Any) -> None:
    theirs, ours = (texts["summary narrow"].splitlines() for texts in (RECORDED[name], said))
    assert [line[:20] + line[45:] for line in ours[:-2]] == [line[:20] + line[45:] for line in theirs[:-2]]
    assert all(len(line) == 60 for line in ours if not line.startswith("Total"))


@names
@pytest.mark.parametrize("way", ["plot", "plot shapes", "plot types", "plot weights"])
def test_the_same_picture(name: str, said: Any, way: str) -> None:
    assert said[way] == RECORDED[name][way]
    assert said[way] is not None
