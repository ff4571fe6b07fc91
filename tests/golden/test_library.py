"""Answers recorded from Apache MXNet 1.9.1 on the CPU for the plain operators: corners, gradients, inference.

`library.json.gz` is written by make_library.py, which leaves out what differs on purpose.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mxconv import autograd, nd
from mxconv.ndarray.invoke import invoke
from mxconv.ops import registry
from mxconv.ops.inference import infer_shapes

ANSWERS: dict[str, Any] = json.loads(gzip.decompress(Path(__file__).with_name("library.json.gz").read_bytes()))
Row = dict[str, Any]


def name(row: Row) -> str:
    return f"{row['op']}-{','.join(map(str, row['attrs'].values()))}"


def array(recorded: Any) -> np.ndarray[Any, Any]:
    dtype, shape, values = recorded
    return np.array(values, dtype).reshape(shape)


def test_the_file_is_whole() -> None:
    assert (ANSWERS["mxnet"], *(len(ANSWERS[key]) for key in ("cases", "shapes", "types"))) == ("1.9.1", 361, 460, 201)


@pytest.mark.parametrize("row", ANSWERS["cases"], ids=name)
def test_values_and_gradients(row: Row) -> None:
    inputs = [nd.array(x, dtype=x.dtype) for x in map(array, row["inputs"])]
    for one in inputs:
        one.attach_grad()
    with autograd.record():
        outputs = invoke(row["op"], inputs, row["attrs"])
    for found, recorded in zip(outputs, row["outputs"], strict=True):
        check(found, recorded)
    if "grads" not in row:
        return
    heads = [nd.arange(1, y.size + 1).reshape(y.shape).astype(y.dtype) for y in outputs]
    autograd.backward(outputs, heads)
    for one, recorded in zip(inputs, row["grads"], strict=True):
        assert one.grad is not None
        check(one.grad, recorded)


def check(found: nd.NDArray, recorded: Any) -> None:
    expected, result = array(recorded), found.asnumpy()
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    tolerance = 0 if expected.dtype.kind in "biu" else 1e-6 if expected.dtype.itemsize > 2 else 1e-3
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", ANSWERS["shapes"], ids=name)
def test_shapes_follow_at_least_as_in_mxnet(row: Row) -> None:
    spec = registry.lookup(row["op"])
    assert spec is not None
    param = spec.parse(complete(row, len(row["ins"])))
    outs = [row["out"]] + [None] * (len(spec.output_names(param)) - 1)
    ins, found = infer_shapes(spec, param, row["ins"], outs)
    for mine, theirs in zip([*ins, found[0]], [*row["found"], row["found_out"]], strict=True):
        assert len(mine) == len(theirs) or not theirs
        assert all(m == t or t == 0 for m, t in zip(mine, theirs, strict=False)), (mine, theirs)


@pytest.mark.parametrize("row", ANSWERS["types"], ids=name)
def test_types_follow_at_least_as_in_mxnet(row: Row) -> None:
    spec = registry.lookup(row["op"])
    assert spec is not None
    param = spec.parse(complete(row, len(row["ins"])))
    ins = [None if one is None else np.dtype(one).type for one in row["ins"]]
    out = None if row["out"] is None else np.dtype(row["out"]).type
    found, outs = spec.infer_type(param, ins, [out] + [None] * (len(spec.output_names(param)) - 1))
    for mine, theirs in zip([*found, outs[0]], [*row["found"], row["found_out"]], strict=True):
        assert theirs is None or np.dtype(mine) == np.dtype(theirs)


def complete(row: Row, count: int) -> dict[str, Any]:
    """The parameters with the number of inputs, where the operator wants to be told that."""
    spec = registry.lookup(row["op"])
    assert spec is not None
    return {**({spec.variadic: count} if spec.variadic else {}), **row["attrs"]}
