"""`.params` files: arrays, with names or without, as every version of MXNet wrote them.

    file   uint64 0x112 | uint64 0 | uint64 count | count arrays | uint64 name count | names       little-endian
    name   uint64 length | UTF-8
    array  V2, V3  magic | int32 storage | [SHAPE stored] | SHAPE | CONTEXT | TYPE | [TYPE, SHAPE of each index] | data
           V1      magic | SHAPE | CONTEXT | TYPE | data
           V0              uint32 axes, uint32 extents | CONTEXT | TYPE | data
    SHAPE = int32 axes, int64 extents    CONTEXT = int32 device, int32 number    TYPE = int32 code

What is in brackets is there for sparse arrays only; [indices] follow their data. Nothing follows a shape without axes:
such an array is a placeholder; only in V3 (MXNet's np shape) it is a scalar.

Sizes are checked against the file before anything is allocated, and the whole file is checked before the first
array is made. Device numbers are not looked at: all arrays are loaded into host memory.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, NoReturn

import numpy as np

from .. import config
from ..context import Context
from ..dtypes import BFLOAT16
from ..errors import DTypeError, FormatError, MXNetError
from ..files import PathName, reading, replacing
from ..util import is_np_shape
from .base import Array
from .ndarray import NDArray

FILE_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
INDICES = {0: (), 1: ("row indices",), 2: ("row starts", "column indices")}
"""Storage type -> the index arrays that follow the data: dense, row_sparse, csr."""
DENSE, ROW_SPARSE = 0, 1
NUMPY_TYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
TYPES: dict[int, np.dtype[Any]] = {code: np.dtype(name) for code, name in enumerate(NUMPY_TYPES)} | {12: BFLOAT16}
CODES = {dtype: code for code, dtype in TYPES.items()}
CASTS = {"int16": "int32", "complex64": "float32", "complex128": "float64"}
MAX_AXES = 32
MAX_ELEMENTS = 2**60 - 1
"""What every version of NumPy can hold; extents of 0 count as 1."""


class Placeholder(NDArray):
    """Stands where a file has an array without values. Whatever reads it raises MXNetError."""

    __slots__ = ()

    @property
    def _array(self) -> NoReturn:  # type: ignore[override]
        raise MXNetError(
            "the array is a placeholder, expected one with values: the file that it was loaded from holds none for it",
            op="nd.load", argument="data", got="a placeholder", expected="an array with values",
            fix="Use another array in its place.",
        )  # fmt: skip

    def __repr__(self) -> str:
        return "\n<NDArray placeholder @cpu(0)>"


PLACEHOLDER: Placeholder = object.__new__(Placeholder)


# ---------------------------------------------------------------------------------------------------- public functions
def save(fname: PathName, data: NDArray | Sequence[NDArray] | Mapping[str, NDArray]) -> None:
    """Write an array, a list of arrays or a dict of named ones, byte for byte as MXNet 1.9.1 does.

    The old file is replaced when the new one is complete, not before. Arrays of shape () are written as MXNet does
    under `np_shape`, in which everything is written so: without it, MXNet could not load them.

    Raises: DTypeError, for int16 and complex arrays, for which such files have no code; TypeError, if an element is no
    NDArray or a name no str; ValueError, for other containers; MXNetError, if the file cannot be written.
    """
    if isinstance(data, NDArray):
        data = [data]
    if not isinstance(data, (dict, list)):
        raise ValueError(
            "data needs to either be a NDArray, dict of (str, NDArray) pairs or a list of NDarrays, "
            f"got {type(data).__name__}"
        )
    names = list(data) if isinstance(data, dict) else []
    arrays = list(data.values()) if isinstance(data, dict) else data
    for name, array in zip(names or map(str, range(len(arrays))), arrays, strict=True):
        if not isinstance(name, str) or not isinstance(array, NDArray):
            raise TypeError(f"save only accept dict str->NDArray or list of NDArray, got {name!r}: {type(array)}")
        _check_dtype(name, array)
    with replacing(fname) as stream:
        stream.write(struct.pack("<3Q", FILE_MAGIC, 0, len(arrays)))
        for array in arrays:
            _write_array(stream, array)
        encoded = [name.encode() for name in names]
        stream.write(struct.pack("<Q", len(encoded)))
        for name in encoded:
            stream.write(struct.pack("<Q", len(name)) + name)


def load(fname: PathName) -> dict[str, NDArray] | list[NDArray]:
    """The arrays in a file that any version of MXNet wrote: a dict if they have names, else a list.

    Sparse arrays are made dense. Placeholders (arrays without values) load, but reading one raises.

    Raises: FormatError, saying at which byte what was found; MXNetError, if there is no such file.
    """
    with reading(fname) as stream:
        return _read_file(_Reader(stream, str(fname)))


def load_frombuffer(buf: bytes | bytearray | memoryview) -> dict[str, NDArray] | list[NDArray]:
    """The arrays in the contents of such a file; as `load`.

    >>> import struct
    >>> load_frombuffer(struct.pack("<4Q", 0x112, 0, 0, 0))
    []
    """
    if not isinstance(buf, (bytes, bytearray, memoryview)):
        raise TypeError(f"buf required to be a string or bytes, got {type(buf)}")
    return _read_file(_Reader(io.BytesIO(buf), "the buffer"))


# -------------------------------------------------------------------------------------------------------------- writing
def _check_dtype(name: str, array: NDArray) -> None:
    if array is PLACEHOLDER or np.dtype(array.dtype) in CODES:
        return
    got, cast = np.dtype(array.dtype).name, CASTS[np.dtype(array.dtype).name]
    fix = f"Cast it with .astype('{cast}')"
    if got.startswith("complex"):
        fix = f"Save the real and the imaginary part as two arrays of {cast}; .astype('{cast}') alone is refused"
    raise DTypeError(
        f"array {name!r} has dtype {got}, expected one of {', '.join(map(str, CODES))}: MXNet's files have no code "
        "for others",
        op="nd.save", argument=name, got=got, expected=tuple(map(str, CODES)), fix=fix + ".",
    )  # fmt: skip


def _write_array(stream: BinaryIO, array: NDArray) -> None:
    if array is PLACEHOLDER:
        stream.write(struct.pack("<Iii", V2, DENSE, 0))
        return
    magic = V3 if is_np_shape() or array.ndim == 0 else V2
    stream.write(struct.pack(f"<Iii{array.ndim}q", magic, DENSE, array.ndim, *array.shape))
    context, values = array.context, array.numpy_view()
    stream.write(struct.pack("<iii", context.device_typeid, context.device_id, CODES[values.dtype]))
    stream.write(_little_endian(values).reshape(-1).view(np.uint8).data)


def _little_endian(values: Array) -> Array:
    """The values as they are in a file; on this machine's own order that is no copy."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


# -------------------------------------------------------------------------------------------------------------- reading
@dataclass(frozen=True, slots=True)
class _Block:
    """Numbers in the file: their dtype, shape and place."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class _Header:
    """One array in the file: its shape, the numbers that are stored for it, and the indices that say where they go."""

    shape: tuple[int, ...]
    data: _Block
    indices: tuple[_Block, ...] = ()

    @property
    def dense_bytes(self) -> int:
        return prod(self.shape) * self.data.dtype.itemsize


class _Reader:
    """Takes a file apart from front to back; what does not fit into the rest of it is a FormatError."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self.stream, self.source = stream, source
        self.size = stream.seek(0, io.SEEK_END)
        self.offset = 0

    def numbers(self, form: str, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}"), what))

    def take(self, length: int, what: str) -> bytes:
        self.skip(length, what)
        self.stream.seek(self.offset - length)
        found = self.stream.read(length)
        if len(found) != length:
            self.refuse(what, f"{len(found)} bytes", f"{length} bytes")
        return found

    def skip(self, length: int, what: str) -> None:
        if length > self.size - self.offset:
            self.refuse(what, f"{self.size - self.offset} bytes to the end of the file", f"{length} bytes")
        self.offset += length

    def refuse(self, what: str, got: Any, expected: Any, offset: int | None = None) -> NoReturn:
        at = self.offset if offset is None else offset
        raise FormatError(
            f"Invalid NDArray file format: {what} at byte {at} of {self.source}: got {got}, expected {expected}",
            op="nd.load", argument=what, got=got, expected=expected,
            fix="The file is damaged, cut short or of another kind: write or fetch it again.",
        )  # fmt: skip


def _read_file(reader: _Reader) -> dict[str, NDArray] | list[NDArray]:
    magic, _, count = reader.numbers("3Q", "the head of the file")
    if magic != FILE_MAGIC:
        reader.refuse("the first number", f"{magic:#x}", f"{FILE_MAGIC:#x}", 0)
    start, dense = reader.offset, 0
    for header in _headers(reader, count):
        dense += header.dense_bytes if header is not None and header.indices else 0
    for _ in _names(reader, count):
        pass
    _check_sparse(reader, dense)
    reader.offset = start
    arrays = [PLACEHOLDER if header is None else _read_array(reader, header) for header in _headers(reader, count)]
    names = list(_names(reader, count))
    return dict(zip(names, arrays, strict=True)) if names else arrays


def _names(reader: _Reader, count: int) -> Iterator[str]:
    offset = reader.offset
    (named,) = reader.numbers("Q", "the number of names")
    if named not in (0, count):
        reader.refuse("the number of names", named, f"0 or {count}, the number of arrays", offset)
    for number in range(named):
        (length,) = reader.numbers("Q", f"the length of name {number}")
        offset = reader.offset
        found = reader.take(length, f"name {number}")
        try:
            yield found.decode()
        except UnicodeDecodeError:
            reader.refuse(f"name {number}", f"{found!r:.60}", "UTF-8 text", offset)


def _headers(reader: _Reader, count: int) -> Iterator[_Header | None]:
    """Every array in turn, None for a placeholder; the reader stands behind it then."""
    for number in range(count):
        yield _read_header(reader, f"array {number}")


def _read_header(reader: _Reader, name: str) -> _Header | None:
    offset = reader.offset
    (magic,) = reader.numbers("I", f"the version of {name}")
    storage, stored = DENSE, None
    if magic in (V2, V3):
        storage = reader.numbers("i", f"the storage type of {name}")[0]
        if storage not in INDICES:
            reader.refuse(f"the storage type of {name}", storage, "0 (dense), 1 (row_sparse) or 2 (csr)", offset + 4)
        stored = _shape(reader, f"the stored shape of {name}") if INDICES[storage] else None
    if magic in (V1, V2, V3):
        shape = _shape(reader, f"the shape of {name}")
    elif magic > MAX_AXES:
        reader.refuse(f"the version of {name}", f"{magic:#x}", "that of an array, or a number of axes", offset)
    else:
        shape = _extents(reader, f"{magic}I", f"the shape of {name}", offset)
    if not shape and magic != V3:
        return None
    reader.skip(8, f"the context of {name}")
    dtype = _dtype(reader, name)
    kinds = [(what, _dtype(reader, what), _shape(reader, what)) for what in _index_names(storage, name)]
    data = _block(reader, name, dtype, shape if stored is None else stored)
    return _Header(shape, data, tuple(_block(reader, *kind) for kind in kinds))


def _index_names(storage: int, name: str) -> list[str]:
    return [f"the {index} of {name}" for index in INDICES[storage]]


def _shape(reader: _Reader, what: str) -> tuple[int, ...]:
    offset = reader.offset
    (axes,) = reader.numbers("i", what)
    if not 0 <= axes <= MAX_AXES:
        reader.refuse(what, f"{axes} axes", f"0 to {MAX_AXES}", offset)
    return _extents(reader, f"{axes}q", what, offset)


def _extents(reader: _Reader, form: str, what: str, offset: int) -> tuple[int, ...]:
    shape = reader.numbers(form, what)
    if any(extent < 0 for extent in shape):
        reader.refuse(what, shape, "extents of 0 or more", offset)
    if prod(extent or 1 for extent in shape) > MAX_ELEMENTS:
        reader.refuse(what, shape, f"at most {MAX_ELEMENTS} elements", offset)
    return shape


def _dtype(reader: _Reader, what: str) -> np.dtype[Any]:
    offset = reader.offset
    (code,) = reader.numbers("i", f"the type of {what}")
    if code not in TYPES:
        known = ", ".join(f"{number} ({dtype})" for number, dtype in TYPES.items())
        reader.refuse(f"the type of {what}: Unknown type enum {code}", code, f"one of {known}", offset)
    return TYPES[code]


def _block(reader: _Reader, what: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Block:
    block = _Block(dtype, shape, reader.offset)
    reader.skip(block.nbytes, f"the values of {what}, of shape {shape}")
    return block


def _read_array(reader: _Reader, header: _Header) -> NDArray:
    values = _values(reader, header.data)
    if header.indices:
        values = _densify(reader, header, values)
    return NDArray._adopt(values, Context("cpu", 0))


def _values(reader: _Reader, block: _Block) -> Array:
    values = np.empty(block.shape, block.dtype.newbyteorder("<"))
    reader.stream.seek(block.offset)
    raw = values.reshape(-1).view(np.uint8)
    if reader.stream.readinto(raw) != block.nbytes:  # type: ignore[attr-defined]
        reader.refuse("the values of an array", "fewer bytes than a moment ago", f"{block.nbytes} bytes", block.offset)
    if block.dtype == np.bool_:
        np.minimum(raw, 1, out=raw)  # any other byte would be no bool
    return values


# --------------------------------------------------------------------------------------------------------------- sparse
def _check_sparse(reader: _Reader, dense: int) -> None:
    """Refuse sparse arrays that would fill the memory as dense ones, so that a small file cannot."""
    limit = config.get("sparse_mb")
    if dense > 2 * reader.size + limit * 2**20:
        raise FormatError(
            f"the sparse arrays in {reader.source} take {dense} bytes as dense ones, expected at most {limit} MB and "
            f"twice the {reader.size} bytes of the file",
            op="nd.load", argument="fname", got=dense, expected=2 * reader.size + limit * 2**20,
            fix="If the file is sound, allow more with MXCONV_SPARSE_MB or config.override(sparse_mb=...).",
        )  # fmt: skip


def _densify(reader: _Reader, header: _Header, data: Array) -> Array:
    indices = [_values(reader, block) for block in header.indices]
    for block, found in zip(header.indices, indices, strict=True):
        if found.ndim != 1 or found.dtype.kind not in "iu":
            got = f"dtype {found.dtype}, shape {found.shape}"
            reader.refuse("the indices of a sparse array", got, "a list of integers", block.offset)
    dense = np.zeros(header.shape, data.dtype)
    try:
        if len(indices) == 1:
            _scatter_rows(dense, data, indices[0])
        else:
            _scatter_elements(dense, data, *indices)
    except ValueError as error:
        reader.refuse("a sparse array", error, f"indices that fit shape {header.shape}", header.data.offset)
    return dense


def _scatter_rows(dense: Array, data: Array, rows: Array) -> None:
    if data.shape != (len(rows), *dense.shape[1:]):
        raise ValueError(f"{len(rows)} row indices for data of shape {data.shape}")
    if rows.size and not (rows.min() >= 0 and rows.max() < len(dense)):
        raise ValueError(f"row indices from {rows.min()} to {rows.max()}")
    dense[rows] = data


def _scatter_elements(dense: Array, data: Array, starts: Array, columns: Array) -> None:
    if dense.ndim != 2 or data.shape != columns.shape:
        raise ValueError(f"data of shape {data.shape} with {len(columns)} column indices")
    if not data.size:
        return
    starts = starts.astype(np.int64)
    counts = starts[1:] - starts[:-1]
    if len(counts) != len(dense) or starts[0] != 0 or starts[-1] != len(data) or (counts < 0).any():
        raise ValueError(f"row starts that do not count {len(data)} numbers in {len(dense)} rows")
    if not (columns.min() >= 0 and columns.max() < dense.shape[1]):
        raise ValueError(f"column indices from {columns.min()} to {columns.max()}")
    dense[np.repeat(np.arange(len(dense)), counts), columns] = data
