""".params files: byte for byte what MXNet writes, every version read, nothing lost when writing fails."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from compat.encoding import V1, V2, V3, array_of, file_of, sparse_of
from mxconv import nd


def saved(path: Path, data: Any) -> bytes:
    nd.save(str(path / "x.params"), data)
    return (path / "x.params").read_bytes()


ONE = b"\0\0\x80?"


# -------------------------------------------------------------------------------------------- what MXNet 1.9.1 wrote
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (nd.ones((1,)), file_of(array_of(ONE, 1))),
        ([], file_of()),
        ({}, file_of()),
        (nd.ones((1,), ctx=mx.cpu(1)), file_of(array_of(ONE, 1, context=(1, 1)))),
        (nd.ones((1,), ctx=mx.cpu_pinned()), file_of(array_of(ONE, 1, context=(3, 0)))),
        ({"aé": nd.ones((1,), dtype="int8")}, file_of(array_of(b"\1", 1, code=5), names=("aé".encode(),))),
        ([nd.array([1, 0, 1], dtype=bool)], file_of(array_of(b"\1\0\1", 3, code=7))),
        ([nd.array([-1, 0.5], dtype="bfloat16")], file_of(array_of(b"\x80\xbf\0?", 2, code=12))),
        ([nd.zeros((0, 3))], file_of(array_of(b"", 0, 3))),
        (
            {"b": nd.ones((1,)), "a": nd.zeros((1,))},
            file_of(array_of(ONE, 1), array_of(bytes(4), 1), names=(b"b", b"a")),
        ),
    ],
)
def test_bytes_of_mxnet(tmp_path: Path, data: Any, expected: bytes) -> None:
    assert saved(tmp_path, data) == expected


@pytest.mark.parametrize(
    ("dtype", "code"),
    [
        ("float32", 0),
        ("float64", 1),
        ("float16", 2),
        ("uint8", 3),
        ("int32", 4),
        ("int8", 5),
        ("int64", 6),
        ("bool", 7),
    ],
)
def test_dtypes(tmp_path: Path, dtype: str, code: int) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    contents = saved(tmp_path, {"x": nd.array(values, dtype=dtype)})
    assert contents == file_of(array_of(values.tobytes(), 2, 3, code=code), names=(b"x",))
    loaded = nd.load_frombuffer(contents)["x"]
    assert loaded.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(loaded.asnumpy(), values)


def test_np_shape(tmp_path: Path) -> None:
    scalar = array_of(b"\0\0@@", magic=V3)
    assert saved(tmp_path, nd.array(3)) == file_of(scalar)
    with mx.util.np_shape(True):
        assert saved(tmp_path, nd.ones((1,))) == file_of(array_of(ONE, 1, magic=V3))
    (loaded,) = nd.load_frombuffer(file_of(scalar))
    assert loaded.shape == ()
    assert loaded.asscalar() == 3


def test_views_are_saved_as_they_look(tmp_path: Path) -> None:
    x = nd.array(np.arange(6).reshape(3, 2))
    assert saved(tmp_path, [x[1:], x.T]) == file_of(
        array_of(np.arange(2, 6, dtype="f4").tobytes(), 2, 2),
        array_of(np.array([0, 2, 4, 1, 3, 5], "f4").tobytes(), 2, 3),
    )


# ------------------------------------------------------------------------------------------------------------- reading
VALUES = np.array([[1, 2, 3], [4, 5, 6]], "<f4")


@pytest.mark.parametrize(
    "array",
    [
        array_of(VALUES.tobytes(), 2, 3, magic=0),
        array_of(VALUES.tobytes(), 2, 3, magic=V1),
        array_of(VALUES.tobytes(), 2, 3),
        array_of(VALUES.tobytes(), 2, 3, magic=V3),
        array_of(VALUES.tobytes(), 2, 3, context=(2, 5)),
        array_of(VALUES.tobytes(), 2, 3, context=(77, -1)),
    ],
    ids=["V0", "V1", "V2", "V3", "gpu", "odd context"],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_version(array: bytes, kind: type) -> None:
    with mx.cpu(3):
        (loaded,) = nd.load_frombuffer(kind(file_of(array)))
    assert loaded.context == mx.cpu(0)
    np.testing.assert_array_equal(loaded.asnumpy(), VALUES)
    loaded[0, 0] = 7  # its own, writable memory


def test_names_and_what_follows() -> None:
    arrays = [array_of(struct.pack("<f", n), 1) for n in (1, 2, 3)]
    loaded = nd.load_frombuffer(file_of(*arrays, names=(b"a", b"b", b"a")) + b"trailing")
    assert {name: array.asscalar() for name, array in loaded.items()} == {"a": 3, "b": 2}
    assert nd.load_frombuffer(struct.pack("<4Q", 0x112, 5, 0, 0)) == []


def test_bool_bytes_are_bools() -> None:
    (loaded,) = nd.load_frombuffer(file_of(array_of(b"\0\1\2\xff", 4, code=7)))
    assert loaded.asnumpy().view("u1").tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    "array", [struct.pack("<I", 0), struct.pack("<Ii", V1, 0), struct.pack("<Iii", V2, 0, 0)], ids=["V0", "V1", "V2"]
)
def test_placeholders(tmp_path: Path, array: bytes) -> None:
    loaded = nd.load_frombuffer(file_of(array, array_of(ONE, 1), names=(b"a", b"b")))
    assert loaded["b"].asscalar() == 1
    assert isinstance(loaded["a"], nd.NDArray)
    assert "placeholder" in repr(loaded["a"])
    for read in (lambda a: a.asnumpy(), lambda a: a.shape, lambda a: a + 1, lambda a: nd.ones((1,)) * a, nd.square):
        with pytest.raises(mx.MXNetError, match="placeholder, expected one with values"):
            read(loaded["a"])
    written = file_of(struct.pack("<Iii", V2, 0, 0), array_of(ONE, 1), names=(b"a", b"b"))
    assert saved(tmp_path, loaded) == written


def test_sparse_is_read_as_dense() -> None:
    (rows,) = nd.load_frombuffer(file_of(sparse_of(1, (2, 2), (4, 2), [0, 2], data=[[1, 2], [3, 4]])))
    assert rows.asnumpy().tolist() == [[1, 2], [0, 0], [3, 4], [0, 0]]
    csr = file_of(sparse_of(2, (3,), (3, 4), [0, 1, 1, 3], [3, 0, 2], data=[1, 2, 3]))
    assert nd.load_frombuffer(csr)[0].asnumpy().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [2, 0, 3, 0]]
    empty = file_of(sparse_of(2, (0,), (2, 3), [0, 0, 0], [], data=[]))
    assert nd.load_frombuffer(empty)[0].asnumpy().tolist() == [[0] * 3] * 2
    none = file_of(sparse_of(1, (0, 2), (3, 2), [], data=np.zeros((0, 2))))
    assert nd.load_frombuffer(none)[0].asnumpy().tolist() == [[0] * 2] * 3


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (file_of(sparse_of(1, (2, 2), (4, 2), [0, 4], data=[[1, 2], [3, 4]])), "row indices from 0 to 4"),
        (file_of(sparse_of(1, (2, 2), (4, 2), [-1, 1], data=[[1, 2], [3, 4]])), "row indices from -1"),
        (file_of(sparse_of(1, (2, 2), (4, 3), [0, 1], data=[[1, 2], [3, 4]])), "2 row indices for data"),
        (file_of(sparse_of(1, (2, 2), (4, 2), [[0, 1]], data=[[1, 2], [3, 4]])), "a list of integers"),
        (file_of(sparse_of(1, (2, 2), (4, 2), [0, 1], data=[[1, 2], [3, 4]], index_code=1)), "a list of integers"),
        (file_of(sparse_of(2, (2,), (2, 3), [0, 2, 1], [0, 1], data=[1, 2])), "row starts"),
        (file_of(sparse_of(2, (2,), (2, 3), [0, 3, 2], [0, 1], data=[1, 2])), "row starts"),
        (file_of(sparse_of(2, (2,), (2, 3), [1, 1, 2], [0, 1], data=[1, 2])), "row starts"),
        (file_of(sparse_of(2, (2,), (2, 3), [0, 2], [0, 1], data=[1, 2])), "row starts"),
        (file_of(sparse_of(2, (2,), (2, 3), [0, 1, 2], [0, 3], data=[1, 2])), "column indices from 0 to 3"),
        (file_of(sparse_of(2, (2,), (2, 3), [0, 1, 2], [0], data=[1, 2])), "1 column indices"),
        (file_of(sparse_of(2, (2,), (6,), [0, 1, 2], [0, 1], data=[1, 2])), "2 column indices"),
    ],
)
def test_wrong_indices(contents: bytes, reason: str) -> None:
    with pytest.raises(mx.FormatError, match="Invalid NDArray file format") as caught:
        nd.load_frombuffer(contents)
    assert reason in str(caught.value)


def test_small_sparse_files_cannot_fill_the_memory() -> None:
    contents = file_of(sparse_of(1, (1, 1), (2**23, 1), [5], data=[[1]]))
    with pytest.raises(mx.FormatError, match=r"33554432 bytes as dense.*at most 16 MB.*MXCONV_SPARSE_MB"):
        nd.load_frombuffer(contents)
    with mx.config.override(sparse_mb=32):
        assert nd.load_frombuffer(contents)[0][5].asscalar() == 1


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("contents", "byte", "expected"),
    [
        (b"", 0, "24 bytes"),
        (b"PK\3\4" + bytes(40), 0, "0x112"),
        (struct.pack("<3Q", 0x112, 0, 2**63), 24, "4 bytes"),
        (file_of(struct.pack("<I", 33)), 24, "a number of axes"),
        (file_of(array_of(ONE, 1, storage=3)), 28, "0 (dense)"),
        (file_of(struct.pack("<Iii", V2, 0, -1)), 32, "0 to 32"),
        (file_of(struct.pack("<Iii", V2, 0, 33)), 32, "0 to 32"),
        (file_of(struct.pack("<Iiiq", V2, 0, 1, -5)), 32, "0 or more"),
        (file_of(array_of(b"", 0, 2**62)), 32, "elements"),
        (file_of(array_of(b"", 0, 2**31, 2**31, magic=0)), 24, "elements"),
        (file_of(array_of(ONE, 2**40)), 56, "4398046511104 bytes"),
        (file_of(array_of(ONE, 1, code=8)), 52, "Unknown type enum 8"),
        (file_of(array_of(ONE, 1), names=(b"a", b"b")), 60, "0 or 1"),
        (file_of(array_of(ONE, 1), names=(b"\xff",)), 76, "UTF-8"),
        (file_of(array_of(ONE, 1), names=(b"abc",))[:-1], 76, "3 bytes"),
        (file_of(array_of(ONE, 1))[:24] + struct.pack("<Q", 2**62), 28, "8 bytes"),
    ],
)
def test_damage_is_named(contents: bytes, byte: int, expected: str) -> None:
    with pytest.raises(mx.FormatError) as caught:
        nd.load_frombuffer(contents)
    text = str(caught.value)
    assert "Invalid NDArray file format" in text
    assert f"at byte {byte} of the buffer" in text
    assert expected in text
    assert caught.value.op == "nd.load"
    assert caught.value.fix in text


def test_dtypes_without_a_code(tmp_path: Path) -> None:
    for dtype, cast in (("int16", r"astype\('int32'\)"), ("complex64", "float32"), ("complex128", "float64")):
        with pytest.raises(mx.DTypeError, match=rf"'w' has dtype {dtype}.*{cast}"):
            nd.save(tmp_path / "x", {"w": nd.ones((1,), dtype=dtype)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ((nd.ones((1,)),), ValueError),
        (None, ValueError),
        (np.ones(2), ValueError),
        ([np.ones(2)], TypeError),
        ({"a": np.ones(2)}, TypeError),
        ({1: nd.ones((2,))}, TypeError),
    ],
)
def test_containers(tmp_path: Path, data: Any, error: type) -> None:
    with pytest.raises(error):
        nd.save(tmp_path / "x", data)
    assert not list(tmp_path.iterdir())


def test_paths(tmp_path: Path) -> None:
    for call in (lambda: nd.load(tmp_path / "none"), lambda: nd.save(tmp_path / "none" / "x", [])):
        with pytest.raises(mx.MXNetError, match="No such file or directory"):
            call()
    with pytest.raises(mx.MXNetError, match="Open"):
        nd.load(tmp_path)
    for call in (lambda: nd.load(3), lambda: nd.save(3, []), lambda: nd.load_frombuffer("text")):
        with pytest.raises(TypeError, match="required to be a string"):
            call()


# ------------------------------------------------------------------------------------------------------------- writing
class Broken(nd.NDArray):
    """An array whose memory cannot be read."""

    def numpy_view(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupted_write_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "x.params"
    nd.save(target, [nd.ones((3,))])
    before = target.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        nd.save(target, [nd.ones((3,)), Broken._adopt(np.zeros(2, "f4"))])
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")
def test_permissions_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "x.params", tmp_path / "link"
    umask = os.umask(0o027)
    try:
        nd.save(target, [])
        assert stat.S_IMODE(target.stat().st_mode) == 0o640, "a new file's"
    finally:
        os.umask(umask)
    target.chmod(0o604)
    link.symlink_to(target)
    nd.save(link, [nd.ones((2,))])
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o604, "the old file's"
    assert len(nd.load(target)) == 1
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    nd.save(tmp_path / "pipe", [nd.ones((1,))])
    assert os.read(reader, 1000) == file_of(array_of(ONE, 1))
    os.close(reader)


def test_bfloat16_keeps_its_type() -> None:
    (loaded,) = nd.load_frombuffer(file_of(array_of(b"\x80\xbf\0?", 2, code=12)))
    assert loaded.dtype is ml_dtypes.bfloat16
    assert loaded.asnumpy().tolist() == [-1, 0.5]
