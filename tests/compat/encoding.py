"""`.params` files put together by hand, in every version."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

V0, V1, V2, V3 = 0, 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def file_of(*arrays: bytes, names: tuple[bytes, ...] = (), reserved: int = 0) -> bytes:
    """A file of encoded arrays."""
    texts = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return struct.pack("<3Q", 0x112, reserved, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names)) + texts


def shape_of(*extents: int) -> bytes:
    """A shape as V1 and later have it."""
    return struct.pack(f"<i{len(extents)}q", len(extents), *extents)


def array_of(
    data: bytes, *extents: int, magic: int = V2, code: int = 0, context: tuple[int, int] = (1, 0), storage: int = 0
) -> bytes:
    """A dense array."""
    if magic == V0:
        head = struct.pack(f"<I{len(extents)}I", len(extents), *extents)
    else:
        head = struct.pack("<I", magic) + (struct.pack("<i", storage) if magic != V1 else b"") + shape_of(*extents)
    return head + struct.pack("<iii", *context, code) + data


def sparse_of(
    storage: int, stored: tuple[int, ...], shape: tuple[int, ...], *indices: Any, data: Any, index_code: int = 6
) -> bytes:
    """A float32 array of storage type 1 (row_sparse) or 2 (csr), with indices of int64."""
    lists = [np.asarray(numbers, "<i8") for numbers in indices]
    kinds = b"".join(struct.pack("<i", index_code) + shape_of(*numbers.shape) for numbers in lists)
    head = struct.pack("<Ii", V2, storage) + shape_of(*stored) + shape_of(*shape) + struct.pack("<iii", 1, 0, 0)
    return head + kinds + np.asarray(data, "<f4").tobytes() + b"".join(numbers.tobytes() for numbers in lists)
