"""Whatever is wrong with files, parameters and shapes: one line, exit status 2, and no existing file is touched."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PRECIOUS = b"not to be touched"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with good and bad files, and an output file that exists."""
    good = np.ones((1, 2, 5, 6), np.float32)
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "w.npy", np.ones((4, 2, 3, 3), np.float32))
    np.save(tmp_path / "double.npy", np.ones((4, 2, 3, 3)))
    np.save(tmp_path / "flat.npy", np.ones(6, np.float32))
    np.save(tmp_path / "text.npy", np.array([["abc"]]))
    np.save(tmp_path / "dates.npy", np.zeros((1, 2, 5, 6), "datetime64[s]"))
    np.save(tmp_path / "bool.npy", np.zeros((1, 2, 5, 6), bool))
    np.save(tmp_path / "objects.npy", np.array([[[{"a": 1}]]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([[[{"a": 1}]]], dtype=object))
    np.savez(tmp_path / "two.npz", a=good, b=good)
    np.savez(tmp_path / "none.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme", "no array")
    whole = (tmp_path / "good.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-5])
    (tmp_path / "header.npy").write_bytes(whole[:40])
    (tmp_path / "empty.npy").write_bytes(b"")
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999, 999999999, 9), }".ljust(117) + b"\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + huge)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:-30])
    (tmp_path / "hello.txt").write_text("hello")
    (tmp_path / "hello.png").write_text("hello")
    Image.fromarray(np.arange(3000, dtype=np.uint8).reshape(20, 50, 3)).save(tmp_path / "photo.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:-200])
    Image.new("RGB", (4, 4)).save(tmp_path / "samples.tif")
    samples_per_pixel = b"\x15\x01\x03\x00\x01\x00\x00\x00"
    tif = (tmp_path / "samples.tif").read_bytes()
    assert samples_per_pixel + b"\x03\x00" in tif
    (tmp_path / "samples.tif").write_bytes(
        tif.replace(samples_per_pixel + b"\x03\x00", samples_per_pixel + b"\x00\x08")
    )
    (tmp_path / "folder.npy").mkdir()
    for name in ("out.npy", "out.png", "out.jpg"):
        (tmp_path / name).write_bytes(PRECIOUS)
    return tmp_path


BAD_DATA = {
    "missing.npy": r"--data .*missing\.npy cannot be read \(there is no such file\), expected a \.npy file\. Give",
    "folder.npy": r"cannot be read \(it is a folder\)",
    "cut.npy": r"cut\.npy cannot be read \(.*(read|size|elements).*\), expected a \.npy file",
    "header.npy": r"header\.npy cannot be read",
    "empty.npy": r"empty\.npy cannot be read",
    "huge.npy": r"huge\.npy cannot be read",
    "objects.npy": r"objects\.npy cannot be read \(Object arrays cannot be loaded",
    "objects.npz": r"objects\.npz cannot be read \(Object arrays cannot be loaded",
    "hello.txt": r"hello\.txt cannot be read \(.*identify.*\), expected a picture, \.npy or \.npz file",
    "hello.png": r"hello\.png cannot be read \(.*identify",
    "cut.png": r"cut\.png cannot be read",
    "samples.tif": r"samples\.tif cannot be read",
    "cut.npz": r"cut\.npz cannot be read \(it is not a complete \.npz archive\)",
    "two.npz": r"holds 2 arrays and no key was given, expected one of: a, b\. Name one: --data .*two\.npz:a",
    "two.npz:c": r"lacks the array 'c', expected one of: a, b",
    "none.npz": r"expected one of: \(it is empty\)",
    "other.npz": r"other\.npz cannot be read \(its member 'readme' is not an array\)",
    "missing.npz:a": r"there is no such file",
    "text.npy": r"holds <U3, expected one of float32",
    "dates.npy": r"holds datetime64",
    "bool.npy": r"holds bool, expected one of float32",
    "flat.npy": r"data has shape \(6,\), expected at least 3 axes",
}


def check(answer: object, files: Path, says: str) -> None:
    assert (answer.status, answer.out) == (2, "")
    assert re.search(says, answer.err), answer.err
    assert answer.err.startswith("mxconv: ")
    assert answer.err.count("\n") == 1
    assert len(answer.err) < 600
    for name in ("out.npy", "out.png", "out.jpg"):
        assert (files / name).read_bytes() == PRECIOUS
    assert not list(files.glob(".*"))


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(mxconv: Callable, files: Path, name: str) -> None:
    answer = mxconv("apply", "convolution", "--data", files / name, "--weight", "box:3", "--out", files / "out.npy")
    check(answer, files, BAD_DATA[name])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--data good.npy --weight missing.npy --out out.npy", r"--weight missing\.npy cannot be read"),
        ("--data good.npy --weight w.npy --bias missing.npy --out out.npy", r"--bias missing\.npy cannot be read"),
        ("--data good.npy --weight gaussian --out out.npy", "weight is 'gaussian', expected a file or one of gaussian"),
        ("--data good.npy --weight bilinear:2 --out out.npy", "Use Deconvolution to enlarge"),
        ("--data good.npy --weight double.npy --out out.npy", r"weight has dtype float64, expected float32.*astype"),
        ("--data good.npy --weight flat.npy --out out.npy", "kernel"),
        ("--data good.npy --weight w.npy --bias good.npy --out out.npy", r"bias has shape \(1, 2, 5, 6\)"),
        ("--data good.npy --weight w.npy --bias flat.npy --out out.npy", r"bias has shape \(6,\), expected \(4,\)"),
        ("--data good.npy --weight w.npy --out out.npy num_filter=5", r"weight has shape \(4, .*, expected \(5, 2, 3"),
        ("--data good.npy --weight box:9 --out out.npy pad=0,0", "kernel size exceed input"),
        ("--data good.npy --weight w.npy --out out.npy stride=2", "stride is 2, expected 2 entries"),
        ("--data good.npy --weight w.npy --out out.npy stride=0,1", "stride"),
        ("--data good.npy --weight w.npy --out out.npy stride=x", "Invalid Parameter format for stride"),
        ("--data good.npy --weight w.npy --out out.npy strid=1,1", "Did you mean 'stride'"),
        ("--data good.npy --weight w.npy --out out.npy stride", "stride is a lonely word"),
        ("--data good.npy --weight w.npy --out out.npy no_bias=False", "bias is missing.*expects 3 inputs, but got 2"),
        ("--data good.npy --weight w.npy --out out.npy layout=NCWH", "layout"),
        ("--data good.npy --weight box:3 --out out.png", r"has shape \(1, 2, 5, 6\), expected.*1, 3 or 4 channels"),
        ("--data good.npy --weight w.npy --out out.jpg pad=1,1", "4 channels, expected 1 or 3: a JPEG"),
        ("--data good.npy --weight w.npy --out out.xyz", r"--out out\.xyz is a \.xyz file, expected one of \.npy"),
        ("--data good.npy --weight w.npy --out out", "is a nameless file"),
        ("--data good.npy --weight w.npy --out folder.npy", "is a folder, expected a file"),
        ("--data good.npy --weight w.npy --out no/where/out.npy", "folder that does not exist"),
        ("--data good.npy --weight w.npy --out /dev/null.npy/x.npy", "folder that does not exist"),
        ("--data good.npy --weight w.npy", "--out"),
        ("--weight w.npy --out out.npy", "--data"),
        ("--data good.npy --weight w.npy --out out.npy --what", "--what"),
    ],
)  # fmt: skip
def test_bad_words(mxconv: Callable, files: Path, monkeypatch: pytest.MonkeyPatch, words: str, says: str) -> None:
    monkeypatch.chdir(files)
    check(mxconv("apply", "convolution", *words.split()), files, says)


def test_bad_operator(mxconv: Callable, files: Path) -> None:
    answer = mxconv("apply", "pooling", "--data", files / "good.npy", "--weight", "box:2", "--out", files / "out.npy")
    check(answer, files, "OP is 'pooling', expected one of convolution, deconvolution")


def test_a_failure_while_writing_leaves_the_old_file(
    mxconv: Callable, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: object, array: object, **_: object) -> None:
        file.write(b"half a file")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    answer = mxconv(
        "apply", "convolution", "--data", files / "good.npy", "--weight", "box:3", "--out", files / "out.npy"
    )
    check(answer, files, "No space left on device")


@pytest.mark.parametrize(("hidden", "extra"), [("PIL", "image"), ("matplotlib", "plot")])
def test_missing_extras_say_how_to_install_them(
    mxconv: Callable, files: Path, monkeypatch: pytest.MonkeyPatch, hidden: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == hidden]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, hidden, None)
    command = {
        "PIL": ("apply", "convolution", "--data", files / "photo.png", "--weight", "box:3", "--out", files / "out.npy"),
        "matplotlib": ("demo", "--out", files / "pictures"),
    }[hidden]
    check(mxconv(*command), files, rf"python -m pip install 'mxconv\[{extra}\]'")
    assert not (files / "pictures").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "convolution", "--data", "cut.npy", "--weight", "box:3", "--out", "out.npy"],
        ["apply", "deconvolution", "--data", "good.npy", "--weight", "w.npy", "--out", "out.npy"],
        ["shape", "convolution", "--data", "1,1,2", "kernel=3", "num_filter=1"],
        ["demo", "--image", "samples.tif", "--out", "pictures"],
        ["nonsense"],
    ],
)
def test_as_a_process(files: Path, words: list[str]) -> None:
    """The real thing: exit status, standard error, and the files, byte for byte."""
    before = {path.name: path.read_bytes() for path in files.iterdir() if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-m", "mxconv", *words], cwd=files, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mxconv: ")
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in files.iterdir() if path.is_file()} == before
    assert not (files / "pictures").exists()
