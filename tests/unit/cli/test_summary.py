"""`mxconv summary`: numbers worked out by hand, and what is said of wrong shapes and files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import mxconv as mx


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A classifier with a shared weight, saved with its parameters."""
    x = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), stride=(2, 1), pad=(1, 0), num_filter=4, name="conv")
    x = mx.sym.BatchNorm(x, name="bn")
    shared = mx.sym.Variable("shared_weight")
    for name in ("left", "right"):
        x = mx.sym.Convolution(x, shared, kernel=(1, 1), num_filter=4, no_bias=True, name=name)
    up = mx.sym.Deconvolution(x, kernel=(2, 3), stride=(2, 3), num_filter=2, name="up")
    x = mx.sym.SliceChannel(up, num_outputs=2, name="halves")[1]
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=5, name="dense"), name="softmax")
    arguments, _, states = net.infer_shape(data=(1, 3, 8, 8))
    named = dict(zip(net.list_arguments(), arguments, strict=True))
    params = {name: mx.nd.ones(shape) for name, shape in named.items() if name not in ("data", "softmax_label")}
    aux = dict(zip(net.list_auxiliary_states(), map(mx.nd.zeros, states), strict=True))
    mx.model.save_checkpoint(tmp_path / "net", 7, net, params, aux)
    return tmp_path / "net"


LAYERS = [
    # name, operator, outputs, parameters, multiply-adds, bytes, field, jump
    ("data", "input", [[2, 3, 8, 8]], 0, 0, 4 * 384, [1, 1], [1, 1]),
    ("conv", "Convolution", [[2, 4, 4, 6]], 4 * 27 + 4, 2 * 4 * 24 * 27, 4 * 192, [3, 3], [2, 1]),
    ("bn", "BatchNorm", [[2, 4, 4, 6]], 8, 0, 4 * 192, [3, 3], [2, 1]),
    ("left", "Convolution", [[2, 4, 4, 6]], 16, 192 * 4, 4 * 192, [3, 3], [2, 1]),
    ("right", "Convolution", [[2, 4, 4, 6]], 16, 192 * 4, 4 * 192, [3, 3], [2, 1]),
    ("up", "Deconvolution", [[2, 2, 8, 18]], 4 * 2 * 6, 192 * 12, 4 * 576, [3, 3], [1, 1 / 3]),
    ("halves", "SliceChannel", [[2, 1, 8, 18]] * 2, 0, 0, 4 * 576, [3, 3], [1, 1 / 3]),
    ("dense", "FullyConnected", [[2, 5]], 5 * 145, 2 * 5 * 144, 40, None, None),
    ("softmax", "SoftmaxOutput", [[2, 5]], 0, 0, 40, None, None),
]


def test_numbers(mxconv: Callable, prefix: Path) -> None:
    answer = mxconv("summary", prefix, "--data", "2,3,8,8", "--json")
    assert (answer.status, answer.err) == (0, "")
    report = json.loads(answer.out)
    assert [tuple(layer.values()) for layer in report["layers"]] == LAYERS
    parameters = sum(row[3] for row in LAYERS) - 16
    assert report["total"] == {
        "layers": 8,
        "parameters": parameters,
        "parameter_bytes": 4 * parameters,
        "states": 8,
        "multiply_adds": sum(row[4] for row in LAYERS),
        "bytes": sum(row[5] for row in LAYERS),
    }


def test_the_table(mxconv: Callable, prefix: Path) -> None:
    answer = mxconv("summary", prefix, "--data", "2,3,8,8")
    assert (answer.status, answer.err) == (0, "")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert max(map(len, answer.out.splitlines())) <= 100
    assert lines[0] == "layer operator output parameters multiply-adds memory sees jump"
    assert "conv Convolution 2x4x4x6 112 5,184 768 bytes 3x3 2x1" in lines
    assert "up Deconvolution 2x2x8x18 48 2,304 2.3 kB 3x3 1x1/3" in lines
    assert "halves SliceChannel 2 of 2x1x8x18 2.3 kB 3x3 1x1/3" in lines
    assert "dense FullyConnected 2x5 725 1,440 40 bytes" in lines
    text = " ".join(lines)
    assert "8 layers, 909 parameters (3.6 kB, shared ones counted once), 8 numbers in auxiliary states" in text
    assert "the samples of data that one output depends on" in text


def test_csv(mxconv: Callable, prefix: Path) -> None:
    answer = mxconv("summary", prefix, "--data", "2,3,8,8", "--csv")
    rows = list(csv.DictReader(answer.out.splitlines()))
    assert [row["layer"] for row in rows] == [row[0] for row in LAYERS]
    assert rows[1] == {
        "layer": "conv",
        "operator": "Convolution",
        "output": "2x4x4x6",
        "parameters": "112",
        "multiply_adds": "5184",
        "bytes": "768",
        "sees": "3x3",
        "jump": "2x1",
    }


def test_a_network_is_found_by_any_of_its_names(mxconv: Callable, prefix: Path) -> None:
    expected = mxconv("summary", prefix, "--data", "2,3,8,8").out
    assert mxconv("summary", f"{prefix}-symbol.json", "--data", "(2, 3, 8, 8)").out == expected
    assert mxconv("summary", prefix, "--data", "data=2,3,8,8", "--epoch", 7).out == expected
    other = prefix.with_name("other.json")
    other.write_bytes(Path(f"{prefix}-symbol.json").read_bytes())
    assert mxconv("summary", other, "--data", "2,3,8,8").out == expected


def test_types_and_parameters_of_the_file(mxconv: Callable, tmp_path: Path) -> None:
    """A learnt array that its operator does not call a weight is known as one from the file."""
    net = mx.sym.broadcast_mul(mx.sym.Variable("x"), mx.sym.Variable("mask"), name="masked")
    mx.model.save_checkpoint(tmp_path / "net", 0, net, {"mask": mx.nd.ones((3, 1), dtype="float64")}, {})
    report = json.loads(mxconv("summary", tmp_path / "net", "--data", "3,5", "--epoch", 0, "--json").out)
    assert report["layers"][1]["parameters"] == report["total"]["parameters"] == 3
    assert report["layers"][1]["bytes"] == 8 * 15
    assert report["total"]["parameter_bytes"] == 24


def test_several_inputs(mxconv: Callable, tmp_path: Path) -> None:
    x = mx.sym.Convolution(mx.sym.Variable("x"), kernel=(3,), num_filter=2, name="of_x")
    y = mx.sym.Convolution(mx.sym.Variable("y"), kernel=(5,), num_filter=2, name="of_y")
    mx.sym.Concat(x, y, dim=2, name="both").save(tmp_path / "net-symbol.json")
    words = "summary", tmp_path / "net", "--json"
    layers = json.loads(mxconv(*words, "--data", "y=1,2,9", "--data", "x=1,2,8").out)["layers"]
    assert [(layer["name"], layer["field"]) for layer in layers if layer["field"]] == [
        ("y", [1]),
        ("of_y", [5]),
    ]
    answer = mxconv(*words, "--data", "1,2,9")
    assert "--data is '1,2,9', expected NAME=SHAPE for each of x, y" in answer.err
    answer = mxconv(*words, "--data", "x=1,2,9")
    assert "--data is not enough: unknown is y ?, expected the shapes of all inputs. Add --data y=SHAPE." in answer.err


def test_what_is_seen_through_a_gate(mxconv: Callable, tmp_path: Path) -> None:
    x = mx.sym.Variable("x")
    gate = mx.sym.Pooling(x, global_pool=True, pool_type="avg", name="squeeze")
    mx.sym.broadcast_mul(x, gate, name="excite").save(tmp_path / "net-symbol.json")
    layers = json.loads(mxconv("summary", tmp_path / "net", "--data", "1,2,6,7", "--json").out)["layers"]
    assert [layer["field"] for layer in layers] == [[1, 1], [6, 7], ["all", "all"]]
    line = mxconv("summary", tmp_path / "net", "--data", "1,2,6,7").out.splitlines()[4]
    assert line.split() == ["excite", "broadcast_mul", "1x2x6x7", "336", "bytes", "all"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "1,3,8"], "Convolution: Error in operator 'conv'"),
        (["--data", "1,3,8,eight"], "--data is '1,3,8,eight', expected whole numbers separated by commas"),
        (["--data", "image=1,3,8,8"], "--data is for 'image', expected one of data: there is no such variable"),
        (["--data", "1,3,8,8", "--data", "data=1,3,9,9"], "--data is given twice for 'data'"),
        ([], "--data is not enough: unknown is data ?, expected the shapes of all inputs. Add --data data=SHAPE."),
        (["--data", "0,3,8,8"], "--data is not enough: unknown is data (?, 3, 8, 8)"),
        (["--data", "1,3,8,8", "--epoch", "8"], "EPOCH is 8, expected 7"),
        (["--data", "1,5,8,8", "--epoch", "7"], "conv"),
        (["--data", "1,3,8,8", "--json", "--csv"], "--csv is given with --json, expected one of the two"),
    ],
)
def test_errors_are_one_line(mxconv: Callable, prefix: Path, words: list[str], says: str) -> None:
    answer = mxconv("summary", prefix, *words)
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("name", ["nothing", "nothing.json", "nothing-symbol.json", "broken.json"])
def test_files_that_are_none(mxconv: Callable, tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.json").write_text('{"nodes": [')
    answer = mxconv("summary", tmp_path / name, "--data", "1,3,8,8")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("mxconv: ")
    assert answer.err.count("\n") == 1


def test_well_known_numbers(mxconv: Callable, tmp_path: Path) -> None:
    """VGG-16, as everybody counts it."""
    x = mx.sym.Variable("data")
    for count, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            x = mx.sym.relu(mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=filters))
        x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name=f"pool{filters}_{count}")
    for hidden in (4096, 4096, 1000):
        x = mx.sym.FullyConnected(x, num_hidden=hidden)
    x.save(tmp_path / "vgg-symbol.json")
    report = json.loads(mxconv("summary", tmp_path / "vgg", "--data", "1,3,224,224", "--json").out)
    assert report["total"]["parameters"] == 138_357_544
    assert report["total"]["multiply_adds"] == 15_470_264_320
    assert [(layer["field"], layer["jump"]) for layer in report["layers"]][-4] == ([212, 212], [32, 32])
