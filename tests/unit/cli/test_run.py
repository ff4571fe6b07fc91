"""`mxconv run`: checkpoints on pictures and arrays, against NumPy and against what MXNet recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

import mxconv as mx
from mxconv.cli import checkpoint, images, prepare

CHECKPOINTS = Path(__file__).parents[2] / "compat" / "checkpoints"


def save(prefix: Path, symbol: mx.sym.Symbol, epoch: int = 1, *, chance: int = 0, **shapes: tuple[int, ...]) -> dict:
    """Write a checkpoint with random parameters for inputs of these shapes; returns the parameters."""
    rng = np.random.default_rng(chance)
    found, _, states = symbol.infer_shape(**shapes)
    drawn = {
        name: mx.nd.array(rng.standard_normal(shape))
        for name, shape in zip(symbol.list_arguments(), found, strict=True)
        if name not in shapes and not name.endswith("label")
    }
    aux = {
        name: mx.nd.array(rng.random(shape) + 0.5)
        for name, shape in zip(symbol.list_auxiliary_states(), states, strict=True)
    }
    mx.model.save_checkpoint(prefix, epoch, symbol, drawn, aux)
    return drawn | aux


def classifier() -> mx.sym.Symbol:
    net = mx.sym.Convolution(mx.sym.Variable("data"), name="conv", kernel=(3, 3), num_filter=4)
    net = mx.sym.BatchNorm(net, name="bn", fix_gamma=False)
    net = mx.sym.FullyConnected(net, name="dense", num_hidden=5)
    return mx.sym.SoftmaxOutput(net, name="softmax")


def photo(path: Path, rng: np.random.Generator, channels: int = 3, size: tuple[int, int] = (9, 12)) -> np.ndarray:
    """A picture file; returns its pixels (1, channels, height, width)."""
    pixels = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    Image.fromarray(pixels if channels > 1 else pixels[..., 0]).save(path)
    return pixels.transpose(2, 0, 1)[None].astype(np.float64)


@pytest.fixture
def same(tmp_path: Path) -> Path:
    """The prefix of a network that gives back what it is fed."""
    mx.model.save_checkpoint(tmp_path / "same", 0, mx.sym.identity(mx.sym.Variable("data"), name="same"), {}, {})
    return tmp_path / "same"


def outputs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


# ---- what the network is fed


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", [None, "rgb", "bgr", "grey"])
def test_pictures_are_prepared(
    mxconv: Callable, tmp_path: Path, rng: np.random.Generator, same: Path, colour: str | None, channels: int,
    layout: str,
) -> None:  # fmt: skip
    x = photo(tmp_path / "p.png", rng, channels)
    words = ["--colour", colour] if colour else []
    means, factors = ("120", "1/255") if colour == "grey" else ("120,110.5,100", "0.5,1/255,2")
    answer = mxconv("run", same, 0, "--data", tmp_path / "p.png", "--mean", means, "--scale", factors, *words,
                    "--layout", layout, "--out", tmp_path / "y.npz")  # fmt: skip
    assert (answer.status, answer.err) == (0, "")
    if colour == "grey":
        x = x if channels == 1 else np.tensordot([0.299, 0.587, 0.114], x[0], 1)[None, None]
        expected = (x - 120) / 255
    else:
        x = np.repeat(x, 3, axis=1) if channels == 1 else x[:, ::-1] if colour == "bgr" else x
        expected = (x - np.reshape([120, 110.5, 100], (3, 1, 1))) * np.reshape([0.5, 1 / 255, 2], (3, 1, 1))
    fed = outputs(tmp_path / "y.npz")["same_output"]
    assert fed.dtype == np.float32
    fed = fed if layout == "NCHW" else np.moveaxis(fed, -1, 1)
    np.testing.assert_allclose(fed, expected, rtol=1e-6, atol=1e-4)

    shown = np.asarray(Image.open(tmp_path / "y-same_output.png"))
    assert "(as the picture that was put in)" in answer.out
    back = x[0, ::-1] if colour == "bgr" else x[0]
    assert np.array_equal(shown.reshape(*back.shape[1:], -1), np.rint(back).transpose(1, 2, 0))


def test_pictures_count_from_0_to_255_exactly(
    mxconv: Callable, tmp_path: Path, rng: np.random.Generator, same: Path
) -> None:
    x = photo(tmp_path / "p.png", rng, size=(20, 30))
    mxconv("run", same, 0, "--data", tmp_path / "p.png", "--out", tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), x)


def test_resizing(mxconv: Callable, tmp_path: Path, same: Path) -> None:
    """Smaller is the mean of blocks; larger goes linearly between the centres of pixels."""
    Image.fromarray(np.array([[0, 100, 200, 60], [40, 20, 80, 20]], np.uint8)).save(tmp_path / "p.png")
    words = ("run", same, 0, "--data", tmp_path / "p.png", "--colour", "grey", "--out", tmp_path / "y.npy", "--resize")
    assert mxconv(*words, "2,8").err == ""
    line = np.load(tmp_path / "y.npy")[0, 0, 0]
    np.testing.assert_allclose(line, [0, 25, 75, 125, 175, 165, 95, 60], atol=1e-4)
    mxconv(*words, "(1, 4)")
    weights = np.load(tmp_path / "y.npy")
    np.testing.assert_allclose(weights, [[[[20, 60, 140, 40]]]], atol=1e-4)
    np.save(tmp_path / "x.npy", np.arange(32, dtype=np.float64).reshape(2, 2, 4, 2))  # NHWC
    mxconv("run", same, 0, "--data", tmp_path / "x.npy", "--layout", "NHWC", "--resize", "1,2", "--out",
           tmp_path / "y.npy")  # fmt: skip
    assert np.load(tmp_path / "y.npy").shape == (2, 1, 2, 2)


@pytest.mark.parametrize("dtype", ["float64", "uint8", "int32"])
def test_arrays_are_fed_as_they_are(
    mxconv: Callable, tmp_path: Path, rng: np.random.Generator, same: Path, dtype: str
) -> None:
    x = rng.integers(0, 200, (2, 5)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    mxconv("run", same, 0, "--data", tmp_path / "x.npy", "--out", tmp_path / "y.npy")
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == dtype
    assert np.array_equal(x, y)


def test_arrays_are_prepared_if_asked(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, same: Path) -> None:
    x = rng.standard_normal((2, 3, 4, 5))
    np.save(tmp_path / "x.npy", x)
    mxconv("run", same, 0, "--data", tmp_path / "x.npy", "--mean", "1,2,3", "--colour", "bgr", "--scale", "2", "--out",
           tmp_path / "y.npy")  # fmt: skip
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), (x[:, ::-1] - np.reshape([1, 2, 3], (3, 1, 1))) * 2, rtol=1e-6
    )


# ---- what it computes


@pytest.mark.parametrize("version", ["0.8", "1.9.1"])
def test_checkpoints_of_mxnet(mxconv: Callable, tmp_path: Path, version: str) -> None:
    prefix = CHECKPOINTS / f"classifier-{version}"
    out = tmp_path / "y.npz"
    answer = mxconv("run", prefix, 1, "--data", f"{prefix}.npz:input/data", "--out", out, "--top", 2)
    assert (answer.status, answer.err) == (0, "")
    recorded = outputs(Path(f"{prefix}.npz"))["output/00"]
    np.testing.assert_allclose(outputs(out)["softmax_output"], recorded, atol=1e-5)
    lines = answer.out.splitlines()
    assert re.fullmatch(rf"classifier-{version}-0001: data \(3, 3, 14, 14\) float32 in \d+\.\d ms", lines[0])
    assert lines[1] == "softmax_output (3, 7) float32"
    assert lines[-1] == f"Written: {out}"
    picked = [int(number) for number in re.findall(r"class (\d+) ", answer.out)]
    assert picked == np.argsort(-recorded)[:, :2].ravel().tolist()


def test_several_inputs(mxconv: Callable, tmp_path: Path) -> None:
    prefix = CHECKPOINTS / "arithmetic-1.0.0"
    data = [word for name in ("other", "data") for word in ("--input", name, "--data", f"{prefix}.npz:input/{name}")]
    assert mxconv("run", prefix, 1, *data, "--out", tmp_path / "y.npz").err == ""
    recorded = outputs(Path(f"{prefix}.npz"))
    found = list(outputs(tmp_path / "y.npz").values())
    for number, output in enumerate(found):
        np.testing.assert_allclose(output, recorded[f"output/{number:02}"], rtol=1e-5, atol=1e-6)
    refused = mxconv("run", prefix, 1, "--data", f"{prefix}.npz:input/data", "--out", tmp_path / "y.npz")
    assert "has 1 file, expected one for each of data, other" in refused.err


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float64"])
def test_types(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, dtype: str | None) -> None:
    """Data take the parameters' type, and both the one that is asked for."""
    net = classifier()
    save(tmp_path / "net", net, data=(2, 3, 6, 7))
    np.save(tmp_path / "x.npy", rng.integers(0, 9, (2, 3, 6, 7)))
    words = ["--dtype", dtype] if dtype else []
    answer = mxconv("run", tmp_path / "net", 1, "--data", tmp_path / "x.npy", "--out", tmp_path / "y.npy", *words,
                    "--output", "bn")  # fmt: skip
    assert f"data (2, 3, 6, 7) {dtype or 'float32'} in" in answer.out
    y = np.load(tmp_path / "y.npy")
    y = y.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else y
    assert y.dtype == (dtype or "float32")
    _, args, aux = mx.model.load_checkpoint(tmp_path / "net", 1)
    given = {name: array.asnumpy().astype(np.float64) for name, array in (args | aux).items()}
    x = np.load(tmp_path / "x.npy").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    conv = np.einsum("nchwyx,fcyx->nfhw", windows, given["conv_weight"])

    def wide(name: str) -> np.ndarray:
        return given[name].reshape(-1, 1, 1)

    conv = conv + wide("conv_bias") - wide("bn_moving_mean")
    expected = conv / np.sqrt(wide("bn_moving_var") + 1e-3) * wide("bn_gamma") + wide("bn_beta")
    unit = {"float16": 2**-11, "bfloat16": 2**-8}.get(dtype or "float32", 2e-7)
    assert np.max(np.abs(y.astype(np.float64) - expected)) < 8 * unit * np.max(np.abs(expected))


def test_outputs_of_any_node(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    net = classifier()
    save(tmp_path / "net", net, epoch=12345, data=(1, 3, 9, 12))
    photo(tmp_path / "p.png", rng)
    chosen = ("--output", "conv", "--output", "softmax_output", "--output", "data", "--output", "conv_output")
    answer = mxconv("run", tmp_path / "net", 12345, "--data", tmp_path / "p.png", "--out", tmp_path / "y.npz", *chosen)
    assert answer.err == ""
    found = outputs(tmp_path / "y.npz")
    assert list(found) == ["conv_output", "softmax_output", "data", "conv_output (2)"]
    assert np.array_equal(found["conv_output"], found["conv_output (2)"])
    _, args, aux = mx.model.load_checkpoint(tmp_path / "net", 12345)
    executor = net.bind(mx.cpu(), {**args, "data": mx.nd.array(found["data"]), "softmax_label": mx.nd.zeros(1)},
                        aux_states=aux)  # fmt: skip
    np.testing.assert_allclose(found["softmax_output"], executor.forward()[0].asnumpy(), rtol=1e-6)
    assert sorted(path.name for path in tmp_path.glob("y*")) == ["y-conv_output (2).png", "y-conv_output.png",
                                                                "y-data.png", "y.npz"]  # fmt: skip


def test_names_of_classes(mxconv: Callable, tmp_path: Path, same: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[0.1, 0.7, 0.2]], np.float32))
    (tmp_path / "names.txt").write_text("n01 cat\nn02 Köter\n", encoding="utf-8")
    answer = mxconv("run", same, 0, "--data", tmp_path / "x.npy", "--top", 9, "--names", tmp_path / "names.txt",
                    "--out", tmp_path / "y.npz")  # fmt: skip
    rows = [line.split(maxsplit=3) for line in answer.out.splitlines() if line.startswith("  class")]
    assert rows == [["class", "1", "0.7", "n02 Köter"], ["class", "2", "0.2"], ["class", "0", "0.1", "n01 cat"]]


def test_the_output_has_a_name_of_its_own(
    mxconv: Callable, tmp_path: Path, same: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    np.save(tmp_path / "x.npy", np.ones((1, 2)))
    mxconv("run", same, 0, "--data", tmp_path / "x.npy")
    assert [path.name for path in Path().iterdir()] == ["same-outputs.npz"]


def test_labels_are_found_by_name_and_by_use() -> None:
    a, b, c = (mx.sym.Variable(name) for name in ("a", "b", "my_label"))
    net = mx.sym.Group([mx.sym.LinearRegressionOutput(a, b), a - c])
    free, labels, states = checkpoint.variables(net, {})
    assert ([n.name for n in free], [n.name for n in labels], states) == (["a"], ["b", "my_label"], [])


# ---- pictures of outputs


def test_arrays_are_stretched(mxconv: Callable, tmp_path: Path, same: Path) -> None:
    x = np.array([[-3.0, 1], [np.nan, 5]], np.float32)[None, None]
    np.save(tmp_path / "x.npy", x)
    words = ("run", same, 0, "--data", tmp_path / "x.npy", "--out", tmp_path / "y.png")
    assert mxconv(*words).out.splitlines()[1].endswith("y.png (black -3, white 5, 25.0% of the values clipped)")
    assert np.asarray(Image.open(tmp_path / "y.png")).tolist() == [[0, 128], [0, 255]]
    assert "50.0% of the values clipped" in mxconv(*words, "--range", "-3,1").out
    assert np.asarray(Image.open(tmp_path / "y.png")).tolist() == [[0, 255], [0, 255]]
    mxconv(*words, "--range", "5,-3")
    assert np.asarray(Image.open(tmp_path / "y.png")).tolist() == [[255, 128], [0, 0]]


@pytest.mark.parametrize(
    ("shape", "dtype", "is_one"),
    [((1, 3, 2, 2), "f4", True), ((1, 1, 9, 2), "i4", True), ((1, 4, 2, 2), "f4", True), ((2, 3, 9, 9), "f4", False),
     ((1, 2, 9, 9), "f4", False), ((1, 3, 1, 9), "f4", False), ((1, 3, 9), "f4", False), ((1, 3, 2, 2), "c8", False)],
)  # fmt: skip
def test_what_looks_like_a_picture(shape: tuple[int, ...], dtype: str, is_one: bool) -> None:
    assert prepare.looks_like_picture(np.zeros(shape, dtype)) is is_one


def test_without_pillow_arrays_are_written(
    mxconv: Callable, tmp_path: Path, same: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    np.save(tmp_path / "x.npy", np.ones((1, 3, 4, 4), np.float32))
    answer = mxconv("run", same, 0, "--data", tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    assert (answer.status, answer.err, images.has_pillow()) == (0, "", False)
    assert "same_output (1, 3, 4, 4) float32 (a picture of it needs Pillow)" in answer.out
    assert outputs(tmp_path / "y.npz")["same_output"].shape == (1, 3, 4, 4)


# ---- what is refused, in one line


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    save(tmp_path / "net", classifier(), epoch=1, data=(1, 3, 24, 24))
    save(tmp_path / "net", classifier(), epoch=10, data=(1, 3, 24, 24))
    lone = mx.sym.Variable("a") * 2 + mx.sym.Variable("b")
    save(tmp_path / "grey", mx.sym.Convolution(mx.sym.Variable("data"), name="c", kernel=(3, 3), num_filter=2),
         data=(1, 1, 8, 8))  # fmt: skip
    save(tmp_path / "two", lone, a=(2,), b=(2,))
    (tmp_path / "bad-symbol.json").write_text("{")
    photo(tmp_path / "p.png", rng, size=(30, 40))
    photo(tmp_path / "fits.png", rng, size=(24, 24))
    np.save(tmp_path / "x.npy", np.ones((1, 3, 24, 24), np.float32))
    np.save(tmp_path / "flat.npy", np.ones((2,), np.float32))
    np.save(tmp_path / "complex.npy", np.ones((1, 3, 24, 24), np.complex64))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("net 2 --data x.npy", "EPOCH is 2, expected one of 1, 10: there is no file net-0002.params. Name an epoch"),
        ("nett 1 --data x.npy", "PREFIX nett names no network, expected the file nett-symbol.json: that folder has "
                                "bad, grey, net, two."),
        ("none/net 1 --data x.npy", "that folder has no file *-symbol.json"),
        ("bad 1 --data x.npy", "JSON"),
        ("net 1 --data y.npy", "--data y.npy cannot be read (there is no such file)"),
        ("net 1 --data x.npy --data x.npy", "--data has 2 files, expected one for each of data"),
        ("net 1 --data x.npy --input a", "--input is 'a', not one argument of its own, expected one of data"),
        ("net 1 --data x.npy --input data --input data", "not one argument of its own"),
        ("two 1 --data flat.npy", "--data has 1 file, expected one for each of a, b: two-0001 has no parameters"),
        ("two 1 --data flat.npy --data flat.npy", "Give --data FILE --input NAME for each"),
        ("two 1 --data flat.npy --input a", "--data has 1 file for a, expected one for each of a, b"),
        ("net 1 --data p.png", "--data p.png has shape (1, 3, 30, 40), expected for example (1, 3, 24, 24): "),
        ("net 1 --data p.png", "in operator 'dense'"),
        ("net 1 --data p.png", "Try --resize 24,24."),
        ("net 1 --data p.png --colour grey", "expected for example (1, 3, 24, 24): Convolution: Error in operator "
                                             "'conv'"),
        ("net 1 --data p.png --colour grey", "Try --colour rgb --resize 24,24."),
        ("grey 1 --data p.png", "expected for example (1, 1, 30, 40): "),
        ("grey 1 --data p.png", "Try --colour grey."),
        ("net 1 --data flat.npy", "Convolution: Error in operator 'conv'"),
        ("net 1 --data flat.npy --mean 3", "expected real numbers along 4 axes to be prepared"),
        ("net 1 --data complex.npy --scale 3", "complex64 of shape (1, 3, 24, 24), expected real numbers"),
        ("net 1 --data x.npy --output con", "--output is 'con', expected one of conv_weight, conv_bias, conv_output"),
        ("net 1 --data x.npy --output conv --output bn --out y.npy", "is for conv_output, bn_output, expected one"),
        ("net 1 --data x.npy --out y.png", "(1, channels, height, width) with 1, 3 or 4 channels to be a picture"),
        ("net 1 --data x.npy --out y.gif", "--out y.gif is a .gif file"),
        ("net 1 --data x.npy --dtype int8", "--dtype is int8, expected one of float32, float64, float16"),
        ("net 1 --data x.npy --mean 1,2", "--mean has 2 numbers, expected 1 or 3, as there are channels"),
        ("net 1 --data x.npy --mean a", "--mean is 'a', expected numbers separated by commas"),
        ("net 1 --data x.npy --mean 1e999", "expected numbers separated by commas"),
        ("net 1 --data x.npy --scale 1/0", "--scale is '1/0', expected numbers separated by commas"),
        ("net 1 --data x.npy --scale 0", "--scale is 0, expected numbers other than 0"),
        ("net 1 --data x.npy --resize 9", "--resize is 9, expected height,width, each at least 1"),
        ("net 1 --data x.npy --resize 9,0", "--resize is 9,0, expected height,width"),
        ("net 1 --data x.npy --range 1", "--range is 1, expected two different numbers"),
        ("net 1 --data x.npy --colour blue", "--colour is 'blue', expected one of rgb, bgr, grey"),
        ("net 1 --data x.npy --layout NCDHW", "--layout is 'NCDHW', expected one of NCHW, NHWC"),
        ("net 1 --data x.npy --names p.png", "--names p.png cannot be read (it is not UTF-8)"),
        ("net 1 --data x.npy --top 0", "--top"),
        ("net x --data x.npy", "EPOCH"),
    ],
)  # fmt: skip
def test_refusals(mxconv: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, says: str) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    answer = mxconv("run", *command.split())
    assert (answer.status, answer.err.count("\n")) == (2, 1), answer.err
    assert says in answer.err
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("suffix", ["-symbol.json", "-0001.params"])
def test_damaged_files(mxconv: Callable, folder: Path, suffix: str) -> None:
    file = folder / f"net{suffix}"
    file.write_bytes(file.read_bytes()[:-40])
    answer = mxconv("run", folder / "net", 1, "--data", folder / "x.npy", "--out", folder / "y.npz")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert not (folder / "y.npz").exists()


def test_missing_states(mxconv: Callable, folder: Path) -> None:
    symbol, args, _ = mx.model.load_checkpoint(folder / "net", 1)
    mx.model.save_checkpoint(folder / "net", 1, symbol, args, {})
    answer = mxconv("run", folder / "net", 1, "--data", folder / "x.npy", "--out", folder / "y.npz")
    assert "net-0001 lacks bn_moving_mean, bn_moving_var, expected every auxiliary state" in answer.err


def test_parameters_of_another_network(mxconv: Callable, folder: Path) -> None:
    """What is missing counts as an input, and what does not fit is said by the operator, whatever the data."""
    symbol, args, aux = mx.model.load_checkpoint(folder / "net", 1)
    mx.model.save_checkpoint(folder / "net", 1, symbol, {**args, "conv_bias": mx.nd.zeros(7)}, aux)
    words = ("run", folder / "net", 1, "--data", folder / "x.npy", "--out", folder / "y.npz")
    answer = mxconv(*words)
    assert "bias has shape (7,), expected (4,)" in answer.err
    assert "--data" not in answer.err
    del args["conv_bias"]
    mx.model.save_checkpoint(folder / "net", 1, symbol, args, aux)
    assert "--data has 1 file, expected one for each of data, conv_bias: net-0001 has no param" in mxconv(*words).err
