"""What the plain operators refuse: class, operator, argument, and MXNet's own phrase, where it has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.errors import DTypeError, MXNetError, ParamError, ShapeError
from mxconv.ndarray.invoke import invoke

X = (2, 3, 4)
ROWS: list[tuple[str, list[Any], dict[str, Any], type[MXNetError], str, str]] = [
    ("elemwise_add", [(2, 3), (2, 1)], {}, ShapeError, "rhs", "Incompatible attr in node at 1-th place"),
    ("broadcast_mul", [(2, 3), (2, 2)], {}, ShapeError, "rhs", "could not be broadcast together with shapes"),
    ("add_n", [(2,), (2,), (3,)], {}, ShapeError, "arg2", "Shape inconsistent, Provided = [3], inferred shape=(2,)"),
    ("_plus_scalar", [(2,)], {"scalar": "two"}, ParamError, "scalar", "Invalid Parameter format for scalar expect dou"),
    ("clip", [(2,)], {"a_min": 0}, ParamError, "a_max", "Required parameter a_max of float is not presented"),
    ("Cast", [(2,)], {"dtype": "int4"}, ParamError, "dtype", "Invalid Input: 'int4', valid values are: {'float32', "),
    ("exp", [(2,)], {"foo": 1}, ParamError, "foo", "Cannot find argument 'foo', Possible Arguments:"),
    ("exp", [(2,), (2,)], {}, ParamError, "input 1", "Operator exp expects 1 inputs, but got 2 instead"),
    ("sum", [X], {"axis": 3}, ShapeError, "axis", "axis 3 exceeds the input dimension of 3"),
    ("sum", [X], {"axis": (0, -3)}, ShapeError, "axis", "axes have duplicates"),
    ("sum", [X], {"axis": "(0, 1.5)"}, ParamError, "axis", "Invalid Parameter format for axis expect Shape or None"),
    ("max", [(0, 3)], {}, ShapeError, "data", "at least one element"),
    ("norm", [X], {"ord": 3}, ParamError, "ord", "norm only supports ord=1 and ord=2"),
    ("argmax", [X], {"axis": (0, 1)}, ParamError, "axis", "Invalid Parameter format for axis expect int or None"),
    ("Reshape", [X], {"shape": (7,)}, ShapeError, "shape", "24 elements do not fill (7,)"),
    ("Reshape", [X], {"shape": (-4, -1, -1, 0, 0)}, ShapeError, "shape", "does not split"),
    ("Reshape", [X], {"shape": (-5,)}, ShapeError, "shape", "-5 is not a code"),
    ("Reshape", [X], {"target_shape": (0, 0, 3)}, ShapeError, "shape", "only one size can be inferred"),
    ("Flatten", [()], {}, ShapeError, "data", "at least one axis"),
    ("reshape_like", [X, (5,)], {}, ShapeError, "rhs", "Cannot reshape lhs with shape (2, 3, 4)"),
    ("reshape_like", [X, X], {"lhs_begin": 2, "lhs_end": 1}, ShapeError, "lhs_begin", "Invalid begin, end, get lhs_be"),
    ("expand_dims", [X], {"axis": 4}, ShapeError, "axis", "axis 4 exceeds the input dimension of 4"),
    ("squeeze", [X], {"axis": 1}, ShapeError, "axis", "cannot select an axis to squeeze out which has size=3 not eq"),
    ("transpose", [X], {"axes": (0, 2)}, ShapeError, "axes", "3 axes"),
    ("transpose", [X], {"axes": (0, 0, 1)}, ShapeError, "axes", "duplicates"),
    ("SwapAxis", [X], {"dim1": 0, "dim2": 3}, ShapeError, "dim2", "axis 3 exceeds"),
    ("reverse", [X], {"axis": 5}, ShapeError, "axis", "axis 5 exceeds"),
    ("tile", [X], {"reps": (-1, 2)}, ParamError, "reps", "numbers of 0 and more"),
    ("repeat", [X], {"repeats": -1}, ParamError, "repeats",
     "value -1 for Parameter repeats should be greater equal to 0"),
    ("broadcast_to", [(1, 3)], {"shape": (2, 4)}, ShapeError, "shape",
     "Array cannot be broadcasted from (1, 3) to (2, 4)"),
    ("broadcast_axis", [X], {"axis": 1, "size": 2}, ShapeError, "data", "Broadcasting axis must have size 1"),
    ("broadcast_axis", [X], {"axis": 1, "size": (2, 2)}, ParamError, "size", "1 sizes"),
    ("broadcast_like", [(1, 3), (2, 4)], {}, ShapeError, "rhs", "Array cannot be broadcasted"),
    ("broadcast_like", [(1, 3), X], {"lhs_axes": 0, "rhs_axes": (0, 1)}, ParamError, "rhs_axes", "1 axes for lhs_axes"),
    ("_sum_like", [(2, 3), (2,)], {}, ShapeError, "data", "cannot be broadcasted"),
    ("depth_to_space", [X], {"block_size": 2}, ShapeError, "data", "Operation requires a 4D tensor"),
    ("depth_to_space", [(1, 6, 2, 2)], {"block_size": 2}, ShapeError, "data", "6 of channels, expected a multiple"),
    ("space_to_depth", [(1, 1, 4, 3)], {"block_size": 2}, ShapeError, "data", "3 of width, expected a multiple of 2"),
    ("Embedding", [(2,), (3, 4)], {"input_dim": 3, "output_dim": 5}, ShapeError, "weight", "(input_dim, output_dim)"),
    ("slice", [X], {"begin": (0, 0), "end": (1,)}, ParamError, "begin", "as many for each, at most 3"),
    ("slice", [X], {"begin": (0,), "end": (1,), "step": (0,)}, ParamError, "step", "entries that are not 0"),
    ("slice_axis", [X], {"axis": 1, "begin": 2, "end": 1}, ShapeError, "begin",
     "Invalid begin, end, get begin=2, end=1"),
    ("slice_axis", [X], {"axis": 1, "begin": 0, "end": 7}, ShapeError, "begin", "0 <= begin <= end <= 3"),
    ("slice_like", [X, (5, 2, 3)], {}, ShapeError, "shape_like",
     "Slice axis 0 with size 5 exceeds limit of input with"),
    ("slice_like", [X, (1, 2)], {}, ShapeError, "shape_like", "3 axes"),
    ("Crop", [X, X], {}, ShapeError, "data", "Input data should be 4D in batch-num_filter-y-x"),
    ("Crop", [(1, 1, 4, 4)], {"h_w": (5, 3)}, ShapeError, "h_w", "should be less than the input data's height"),
    ("Crop", [(1, 1, 4, 4)], {"h_w": (2, 3), "offset": (1, 2)}, ShapeError, "h_w", "the input data's width"),
    ("Crop", [(1, 1, 4, 4)], {"h_w": (2, 3, 1)}, ParamError, "h_w", "two entries each"),
    ("Pad", [(1, 1, 2, 3)], {"mode": "reflect", "pad_width": (0, 0, 0, 0, 2, 2, 1, 1)}, ShapeError, "pad_width",
     "reflection padding only"),
    ("Pad", [(2, 3)], {"mode": "edge", "pad_width": (1, 1)}, ParamError, "pad_width",
     "Input shape vs padding spec misma"),
    ("Pad", [(2,)], {"mode": "edge", "pad_width": (-1, 1)}, ParamError, "pad_width", "2 numbers of 0 and more"),
    ("Pad", [(2,)], {"mode": "wrap", "pad_width": (1, 1)}, ParamError, "mode",
     "valid values are: {'constant', 'edge', "),
    ("Concat", [X, (2, 3, 5)], {"dim": 1}, ShapeError, "arg1",
     "Shape inconsistent, Provided = [2,5], inferred shape=(2"),
    ("Concat", [X, X], {"dim": 3}, ShapeError, "dim", "axis 3 exceeds the input dimension of 3"),
    ("stack", [X, (2, 3, 5)], {}, ShapeError, "arg1", "all have one shape"),
    ("SliceChannel", [X], {"num_outputs": 2}, ShapeError, "data",
     "You are trying to split axis 1, of size 3, into num_o"),
    ("SliceChannel", [X], {"num_outputs": 1, "squeeze_axis": 1}, ShapeError, "data",
     "If squeeze axis is True, the size"),
    ("SliceChannel", [X], {"num_outputs": 0}, ParamError, "num_outputs", "should be greater equal to 1"),
    ("dot", [(2, 3), (2, 3)], {}, ShapeError, "rhs", "dot shape error: (2, 3) X (2, 3)"),
    ("dot", [(), (2,)], {}, ShapeError, "lhs", "at least one axis"),
    ("batch_dot", [(2, 3, 4), (3, 4, 5)], {}, ShapeError, "rhs", "batch_dot shape error: (2, 3, 4) X (3, 4, 5)"),
    ("batch_dot", [(3, 4), (4, 5)], {}, ShapeError, "lhs", "at least 3 axes"),
    ("pick", [(2, 3), (3,)], {}, ShapeError, "index", "Shape inconsistent"),
    ("where", [(3,), (2, 3), (2, 3)], {}, ShapeError, "condition", "(2, 3) or (2,)"),
    ("where", [(2, 3), (2, 3), (3, 2)], {}, ShapeError, "y", "all have one shape"),
    ("_zeros", [], {"shape": (0, 3)}, ShapeError, "shape", "Pass every size"),
    ("_arange", [], {"start": 0, "stop": 3, "step": -1}, ParamError, "step", "a step that leads from start to stop"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[4]}-{row[5][:20]}")
def test_refusal(row: tuple[str, list[Any], dict[str, Any], type[MXNetError], str, str]) -> None:
    op, shapes, attrs, error, argument, phrase = row
    with pytest.raises(error) as info:
        invoke(op, [np.zeros(shape, np.float32) for shape in shapes], attrs)
    text = str(info.value)
    assert text.startswith(f"{op}: ")
    assert phrase in text
    assert (info.value.op, info.value.argument) == (op, argument)
    assert argument in text
    assert str(info.value.got) in text
    assert str(info.value.expected) in text
    assert info.value.fix in text
    assert info.value.fix.endswith((".", "?"))


@pytest.mark.parametrize(
    ("op", "types", "argument"),
    [
        ("elemwise_add", ("float32", "float64"), "rhs"),
        ("broadcast_add", ("int32", "float32"), "rhs"),
        ("Concat", ("float32", "int8"), "arg1"),
        ("where", ("int32", "float32", "float64"), "y"),
        ("dot", ("float16", "float32"), "rhs"),
        ("elemwise_mul", ("bool", "bool"), "lhs"),
        ("negative", ("bool",), "data"),
        ("floor", ("complex64",), "data"),
        ("dot", ("bool", "bool"), "lhs"),
    ],
)
def test_refused_types(op: str, types: tuple[str, ...], argument: str) -> None:
    with pytest.raises(DTypeError, match=rf"{op}: {argument} has dtype .*, expected .*astype") as info:
        invoke(op, [np.zeros((2, 2), one) for one in types], {})
    assert (info.value.op, info.value.argument) == (op, argument)


def test_other_errors() -> None:
    with pytest.raises(IndexError, match="indices out of bound, expected 0 to 1"):
        invoke("take", [np.zeros(2), np.array([2])], {"mode": "raise"})
    for op in ("take", "pick"):
        with pytest.raises(IndexError, match="nothing to take from an axis of size 0"):
            invoke(op, [np.zeros((2, 0)), np.zeros(2)], {"axis": 1})
    with pytest.raises(ZeroDivisionError):
        invoke("elemwise_div", [np.ones(2, "int32"), np.zeros(2, "int32")], {})
    with pytest.raises(DTypeError, match="argmax: data has dtype int8, expected a type that holds the position"):
        invoke("argmax", [(np.arange(300) == 299).astype("int8")], {"axis": 0})
