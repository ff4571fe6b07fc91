"""`mxconv demo`: the table, the pictures and the checkpoint, on a tiny picture; the network and its arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image

import mxconv as mx
from mxconv.cli import demo, steps
from mxconv.testing import reference

PICTURES = (
    "overview", "1-gaussian", "2-sobel", "3-strided", "4-dilated", "5-bilinear-x2", "6-bilinear-x4",
    "7-cosine-transform", "8-and-back",
)  # fmt: skip


@pytest.mark.parametrize(("mode", "size"), [("RGB", (45, 27)), ("L", (8, 8)), ("RGBA", (9, 70))])
def test_demo(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, mode: str, size: tuple[int, int]) -> None:
    shape = (*size[::-1], len(mode)) if mode != "L" else size[::-1]
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "tiny.png")
    answer = mxconv("demo", "--image", tmp_path / "tiny.png", "--out", tmp_path / "new" / "folder")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    width, height = (n // 8 * 8 for n in size)
    assert lines[0] == f"tiny.png: {width} x {height} pixels, 3 channels, float32"
    assert max(map(len, lines[: lines.index(f"Pictures in {tmp_path / 'new' / 'folder'}:")])) <= 100

    rows = [line for line in lines if re.match(r"(Convolution|Deconvolution)  ", line)]
    assert [row.split()[0] for row in rows] == [
        *["Convolution"] * 4,
        *["Deconvolution"] * 2,
        "Convolution",
        "Deconvolution",
    ]
    errors = [float(row.split()[-1]) for row in rows]
    assert max(errors) < 2e-5
    assert sum(line.count("thread") for line in lines) >= 8
    assert float(re.search(r"differs from the\s+photograph by at most (\S+)\.", answer.out)[1]) < 1e-5

    folder = tmp_path / "new" / "folder"
    files = [*(f"{name}.png" for name in PICTURES), "network-symbol.json", "network-0000.params"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)
    for name in PICTURES:
        assert f"  {name}.png" in lines
        with Image.open(folder / f"{name}.png") as image:
            image.load()
            assert image.format == "PNG"
            assert 300 < image.width < 3000
            assert 100 < image.height < 3000
            assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_the_sample_photograph_is_there() -> None:
    with Image.open(get_sample_data(demo.SAMPLE, asfileobj=False)) as image:
        pixels = np.asarray(image.convert("RGB"))
    photograph = demo.read_photograph(None)
    assert photograph.shape == (1, 3, 600, 512)
    assert np.array_equal(np.rint(photograph[0] * 255), pixels[:600, :512].transpose(2, 0, 1))


def test_the_cosine_transform_is_orthonormal_and_a_transform() -> None:
    weight = steps.cosine_weight(2)
    assert weight.shape == (128, 1, 8, 8)
    flat = weight[:64].reshape(64, 64).astype(np.float64)
    np.testing.assert_allclose(flat @ flat.T, np.eye(64), atol=1e-6)
    np.testing.assert_allclose(flat[0], 1 / 8, atol=1e-7)
    assert np.array_equal(weight[64:], weight[:64])


def test_the_lowest_frequencies_are_kept() -> None:
    mask = steps.lowest_frequencies(2)
    assert (mask.shape, mask.dtype) == ((1, 128, 1, 1), np.float32)
    assert np.flatnonzero(mask[0, :64]).tolist() == [0, 1, 2, 8, 9, 16]
    assert np.array_equal(mask[:, 64:], mask[:, :64])


def test_the_steps_chain(rng: np.random.Generator) -> None:
    """By the oracle alone: the enlargements reach the sizes that they should, and the last step gives x back. The
    network gives the same."""
    photograph = rng.random((1, 3, 16, 24))
    network = steps.make_network(3, (16, 24))
    results = {"data": photograph}
    for step in network.steps:
        given = {name: _numbers(text) for name, text in step.attributes.items() if name not in ("no_bias",)}
        ones = [1, 1]
        common = {
            "stride": given.get("stride", ones),
            "dilation": given.get("dilate", ones),
            "groups": given["num_group"][0],
        }
        data, weight = results[step.source], network.parameters[step.weight]
        if step.op == "Convolution":
            pad = given.get("pad", [0, 0])
            results[step.name] = reference.convolution(data, weight, pad_lo=pad, pad_hi=pad, **common)
        else:
            target = given["target_shape"]
            spans = [s * (i - 1) + k for s, i, k in zip(common["stride"], data.shape[2:], given["kernel"], strict=True)]
            trims = [span - t for span, t in zip(spans, target, strict=True)]
            pads = {"pad_lo": [-(-t // 2) for t in trims], "pad_hi": [t // 2 for t in trims]}
            results[step.name] = reference.deconvolution(data, weight, out_spatial=target, **pads, **common)
    assert {name: result.shape[1:] for name, result in results.items() if name != "data"} == {
        "blur": (3, 16, 24),
        "edges": (6, 16, 24),
        "quarter": (3, 4, 6),
        "sketch": (3, 16, 24),
        "twice": (3, 8, 12),
        "four": (3, 16, 24),
        "cosines": (192, 2, 3),
        "back": (3, 16, 24),
    }
    np.testing.assert_allclose(results["quarter"], photograph.reshape(1, 3, 4, 4, 6, 4).mean(axis=(3, 5)), atol=1e-6)
    np.testing.assert_allclose(results["back"], photograph, atol=1e-6)

    parameters = {name: mx.nd.array(array) for name, array in network.parameters.items()}
    executor = network.symbol.bind(mx.cpu(), {"data": mx.nd.array(photograph), **parameters})
    executor.forward()
    for step in network.steps:
        np.testing.assert_allclose(
            executor.output_dict[f"{step.name}_output"].asnumpy(), results[step.name], rtol=1e-5, atol=1e-5
        )


def test_roughly_is_the_projection_on_the_lowest_frequencies(rng: np.random.Generator) -> None:
    photograph = rng.random((1, 3, 8, 16)).astype(np.float32)
    network = steps.make_network(3, (8, 16))
    parameters = {name: mx.nd.array(array) for name, array in network.parameters.items()}
    (roughly,) = network.symbol["roughly_output"].eval(data=mx.nd.array(photograph), **parameters)
    basis = steps.cosine_weight(1).reshape(64, 64).astype(np.float64)
    kept = basis[[0, 1, 2, 8, 9, 16]]
    blocks = photograph.reshape(3, 8, 2, 8).transpose(0, 2, 1, 3).reshape(6, 64)
    expected = (blocks @ kept.T @ kept).reshape(3, 2, 8, 8).transpose(0, 2, 1, 3).reshape(1, 3, 8, 16)
    np.testing.assert_allclose(roughly.asnumpy(), expected, atol=1e-6)


def test_the_network_runs_on_another_picture(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    """With the command that the demo prints."""
    for name, size in (("first", (33, 26)), ("second", (50, 40))):
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    answer = mxconv("demo", "--image", tmp_path / "first.png", "--out", tmp_path / "out")
    command = answer.out.splitlines()[-1].split()
    assert command[:2] == ["mxconv", "run"]
    command[command.index("FILE")] = tmp_path / "second.png"
    command[-1] = tmp_path / command[-1]
    run = mxconv(*command[1:])
    assert (run.status, run.err) == (0, "")
    with Image.open(tmp_path / "roughly.png") as image:
        assert (image.size, image.mode) == ((32, 24), "RGB")
        assert np.asarray(image).std() > 5


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: Image.new("RGB", (7, 99)).save(path), "has 7 x 99 pixels, expected at least 8 x 8"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: None, "there is no such file"),
    ],
)
def test_bad_pictures(mxconv: Callable, tmp_path: Path, make: Callable, says: str) -> None:
    make(tmp_path / "p.png")
    answer = mxconv("demo", "--image", tmp_path / "p.png", "--out", tmp_path / "out")
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert says in answer.err
    assert not (tmp_path / "out").exists()


def test_arrays_and_bad_folders_are_refused(mxconv: Callable, tmp_path: Path) -> None:
    assert "is an array, expected a picture" in mxconv("demo", "--image", tmp_path / "x.npz:a").err
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    answer = mxconv("demo", "--image", tmp_path / "p.png", "--out", tmp_path / "p.png")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert "cannot be made" in answer.err
