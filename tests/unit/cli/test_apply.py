"""`mxconv apply`: results against NumPy's, with files of every kind."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

from mxconv.testing import reference


def dense(x: np.ndarray, w: np.ndarray, pad: int = 0) -> np.ndarray:
    """Dense 2-D Convolution by windows: an answer that owes nothing to mxconv."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwyx,fcyx->nfhw", windows, w.astype(np.float64))


def depthwise(x: np.ndarray, taps: np.ndarray, pad: int) -> np.ndarray:
    """Each channel by itself with one two-dimensional filter."""
    return np.stack([dense(x[:, [c]], taps[None, None], pad)[:, 0] for c in range(x.shape[1])], axis=1)


def photo(path: Path, rng: np.random.Generator, mode: str = "RGB", size: tuple[int, int] = (13, 9)) -> np.ndarray:
    """A picture file; returns its pixels (height, width, ...)."""
    channels = len(mode) if mode != "L" else 0
    pixels = rng.integers(0, 256, (size[1], size[0], channels) if channels else size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_arrays(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    x, w = (rng.integers(-9, 9, shape).astype(dtype) for shape in ((2, 4, 9, 8), (6, 4, 3, 2)))
    b = rng.integers(-9, 9, 6).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "w.npz", one=w[:2], two=w)
    np.savez(tmp_path / "b.npz", b)
    out = tmp_path / "y.npy"
    answer = mxconv("apply", "Convolution", "--data", tmp_path / "x.npy", "--weight", f"{tmp_path / 'w.npz'}:two",
                    "--bias", tmp_path / "b.npz", "--out", out, "stride=2,1")  # fmt: skip
    assert (answer.status, answer.err) == (0, "")
    assert f"Convolution (2, 4, 9, 8) {dtype} -> (2, 6, 4, 7)" in answer.out
    assert answer.out.endswith(f": {out}\n")
    y = np.load(out)
    assert y.dtype == {"int16": "int64"}.get(dtype, dtype)
    assert np.array_equal(y, dense(x, w)[:, :, ::2] + b[:, None, None])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("op", ["convolution", "deconvolution"])
def test_groups_follow_from_the_weight(
    mxconv: Callable, tmp_path: Path, rng: np.random.Generator, op: str, layout: str
) -> None:
    """num_group of a convolution, num_filter of a deconvolution, kernel of both."""
    x = rng.integers(-9, 9, (1, 4, 6, 7)).astype(np.float32)
    w = rng.integers(-9, 9, {"convolution": (6, 2, 3, 2), "deconvolution": (4, 3, 3, 2)}[op]).astype(np.float32)
    plain = {"stride": (1, 1), "dilation": (1, 1), "pad_lo": (0, 0), "pad_hi": (0, 0), "groups": 2}
    expected = (
        reference.convolution(x, w, **plain)
        if op == "convolution"
        else reference.deconvolution(x, w, out_spatial=(8, 8), **plain)
    )
    if layout == "NHWC":
        x, w, expected = (np.moveaxis(a, 1, -1) for a in (x, w, expected))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    group = ["num_group=2"] if op == "deconvolution" else []
    answer = mxconv("apply", op, "--data", tmp_path / "x.npy", "--weight", tmp_path / "w.npy", "--out",
                    tmp_path / "y.npz", f"layout={layout}", *group)  # fmt: skip
    assert answer.err == ""
    with np.load(tmp_path / "y.npz") as archive:
        assert archive.files == ["output"]
        assert np.array_equal(archive["output"], expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("layout", [[], ["layout=NHWC"]])
def test_pictures(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, mode: str, layout: list[str]) -> None:
    pixels = photo(tmp_path / "p.png", rng, mode)
    answer = mxconv("apply", "convolution", "--data", tmp_path / "p.png", "--weight", "box:3", "--out",
                    tmp_path / "q.png", *layout)  # fmt: skip
    assert (answer.status, answer.err, "clipped" in answer.out) == (0, "", False)
    with Image.open(tmp_path / "q.png") as image:
        assert image.mode == mode
        result = np.asarray(image).reshape(9, 13, -1)
    x = pixels.reshape(1, 9, 13, -1).transpose(0, 3, 1, 2) / 255
    exact = depthwise(x, np.full((3, 3), 1 / 9), 1)[0].transpose(1, 2, 0) * 255
    assert np.max(np.abs(result - exact)) <= 0.5 + 1e-3


def test_a_picture_comes_back_unchanged(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = photo(tmp_path / "p.png", rng, size=(256, 1))
    mxconv("apply", "convolution", "--data", tmp_path / "p.png", "--weight", "box:1", "--out", tmp_path / "q.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "q.png")), pixels)


def test_a_picture_takes_the_weights_type(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    photo(tmp_path / "p.png", rng)
    np.save(tmp_path / "w.npy", np.ones((1, 3, 1, 1)))
    mxconv(
        "apply",
        "convolution",
        "--data",
        tmp_path / "p.png",
        "--weight",
        tmp_path / "w.npy",
        "--out",
        tmp_path / "y.npy",
    )
    assert np.load(tmp_path / "y.npy").dtype == np.float64


def test_sobel_as_array_and_as_picture(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = photo(tmp_path / "p.png", rng)
    command = ("apply", "convolution", "--data", tmp_path / "p.png", "--weight", "sobel", "--out")
    assert mxconv(*command, tmp_path / "y.npy").err == ""
    slopes = np.load(tmp_path / "y.npy")
    x = pixels.transpose(2, 0, 1)[None] / 255
    along_x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    np.testing.assert_allclose(slopes[:, 0::2], depthwise(x, along_x, 1), atol=1e-6)
    np.testing.assert_allclose(slopes[:, 1::2], depthwise(x, along_x.T, 1), atol=1e-6)
    answer = mxconv(*command, tmp_path / "edges.png")
    assert answer.out.count("\n") == 2
    assert "% of the values were outside 0..1 and were clipped in the picture." in answer.out
    length = np.hypot(slopes[0, 0::2], slopes[0, 1::2]).transpose(1, 2, 0)
    edges = np.asarray(Image.open(tmp_path / "edges.png"))
    assert np.max(np.abs(edges - 255 * np.clip(length, 0, 1))) <= 0.5 + 1e-3


def test_derivatives_leave_transparency_out(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    photo(tmp_path / "p.png", rng, "RGBA")
    mxconv("apply", "convolution", "--data", tmp_path / "p.png", "--weight", "laplacian", "--out", tmp_path / "q.png")
    with Image.open(tmp_path / "q.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("factor", [2, 3])
def test_bilinear_enlarges_linearly(mxconv: Callable, tmp_path: Path, factor: int) -> None:
    """Away from the border a ramp stays a ramp, sampled `factor` times as densely."""
    ramp = np.arange(12, dtype=np.float32)[None, None, None].repeat(7, axis=2)
    np.save(tmp_path / "x.npy", ramp)
    mxconv(
        "apply",
        "deconvolution",
        "--data",
        tmp_path / "x.npy",
        "--weight",
        f"bilinear:{factor}",
        "--out",
        tmp_path / "y.npy",
    )
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (1, 1, 7 * factor, 12 * factor)
    inner = y[0, 0, factor:-factor, factor:-factor]
    expected = (np.arange(12 * factor) + 0.5) / factor - 0.5
    np.testing.assert_allclose(inner, np.broadcast_to(expected[factor:-factor], inner.shape), atol=1e-5)


def test_filters_of_any_rank(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    for shape in ((2, 3, 11), (1, 2, 5, 6, 7)):
        np.save(tmp_path / "x.npy", rng.standard_normal(shape))
        answer = mxconv(
            "apply", "convolution", "--data", tmp_path / "x.npy", "--weight", "gaussian:1", "--out", tmp_path / "y.npy"
        )
        assert (answer.err, np.load(tmp_path / "y.npy").shape) == ("", shape)


def test_parameters_that_are_given_win(mxconv: Callable, tmp_path: Path, rng: np.random.Generator) -> None:
    np.save(tmp_path / "x.npy", rng.standard_normal((1, 2, 9, 9)))
    mxconv(
        "apply",
        "convolution",
        "--data",
        tmp_path / "x.npy",
        "--weight",
        "box:3",
        "--out",
        tmp_path / "y.npy",
        "pad=0,1",
        "stride=2,3",
    )
    assert np.load(tmp_path / "y.npy").shape == (1, 2, 4, 3)


def test_bfloat16_through_npy(mxconv: Callable, tmp_path: Path) -> None:
    """NumPy stores bfloat16 as nameless 2-byte elements; they are read back as what they were."""
    np.save(tmp_path / "x.npy", np.arange(5, dtype=ml_dtypes.bfloat16).reshape(1, 1, 5))
    answer = mxconv(
        "apply", "convolution", "--data", tmp_path / "x.npy", "--weight", "box:1", "--out", tmp_path / "y.npy"
    )
    assert "bfloat16 -> (1, 1, 5) bfloat16" in answer.out
    assert np.load(tmp_path / "y.npy").view(ml_dtypes.bfloat16).astype(float).tolist() == [[[0, 1, 2, 3, 4]]]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".tif", ".webp", ".PNG"])
def test_picture_formats(mxconv: Callable, tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    photo(tmp_path / f"p{suffix}", rng)
    out = tmp_path / f"q{suffix}"
    assert (
        mxconv("apply", "convolution", "--data", tmp_path / f"p{suffix}", "--weight", "box:1", "--out", out).err == ""
    )
    with Image.open(out) as image:
        assert (image.size, image.mode) == ((13, 9), "RGB")


def test_pictures_of_other_kinds(mxconv: Callable, tmp_path: Path) -> None:
    """Palettes and 16 bits are read as what they show, and a camera's turn is obeyed."""
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(np.array([[0, 65535, 32768]], np.uint16)).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(np.zeros((4, 9, 3), np.uint8)).save(tmp_path / "turned.png", exif=exif)
    expected = {
        "palette": [[[[1, 0]], [[0, 0]], [[0, 1]]]],
        "deep": [[[[0, 1, 32768 / 65535]]]],
        "turned": np.zeros((1, 3, 9, 4)),
    }
    for name, values in expected.items():
        mxconv(
            "apply", "convolution", "--data", tmp_path / f"{name}.png", "--weight", "box:1", "--out", tmp_path / "y.npy"
        )
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), np.asarray(values), atol=1e-7)


def test_an_output_is_replaced_whole_and_keeps_its_mode(
    mxconv: Callable, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Also where it is an input, and through a symbolic link."""
    pixels = photo(tmp_path / "p.png", rng)
    (tmp_path / "p.png").chmod(0o640)
    (tmp_path / "link.png").symlink_to("p.png")
    answer = mxconv(
        "apply", "convolution", "--data", tmp_path / "p.png", "--weight", "box:3", "--out", tmp_path / "link.png"
    )
    assert answer.status == 0
    assert (tmp_path / "link.png").is_symlink()
    assert stat.S_IMODE((tmp_path / "p.png").stat().st_mode) == 0o640
    assert not np.array_equal(np.asarray(Image.open(io.BytesIO((tmp_path / "p.png").read_bytes()))), pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "p.png"]
