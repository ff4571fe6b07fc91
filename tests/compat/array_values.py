"""The arrays that make_arrays.py saves, by name, as NumPy has them."""

import numpy as np

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")


def dense():
    """One array of each dtype, of one to three axes."""
    shapes = ((2, 3), (4,), (1, 2, 2), (5,), (3, 1), (2,), (2, 2), (3,))
    values = {}
    for dtype, shape in zip(DTYPES, shapes):  # noqa: B905, for Python before 3.10
        numbers = np.arange(int(np.prod(shape))).reshape(shape) - 1
        values[dtype] = (numbers % 2 if dtype in ("uint8", "bool") else numbers * 0.75).astype(dtype)
    return values


def sparse():
    """A matrix of which three rows are empty, and one with few numbers."""
    rows = np.zeros((5, 2), np.float32)
    rows[[1, 3]] = [[1, 2], [3, 4]]
    return {"row_sparse": rows, "csr": np.array([[0, 1.5, 0], [2, 0, 3], [0, 0, 0]], np.float32)}
