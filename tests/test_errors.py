"""Every refusal of the two operators, row by row: class, operator, argument, got, expected, fix and MXNet's own phrase.

The rows follow MXNet 1.9.1: what it says about parameters when an operator is made, about shapes when they are
inferred, and about inputs when `mx.nd` is called. Rows that MXNet refuses and mxconv computes are at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.errors import DTypeError, MXNetError, ParamError, ShapeError
from mxconv.ops.inference import infer_shapes
from mxconv.ops.registry import OPERATORS

CONV, DECONV = "Convolution", "Deconvolution"
KERNEL = {"kernel": (3, 3), "num_filter": 8}
SHAPES = {"data": (1, 4, 8, 8), "weight": (8, 4, 3, 3), "bias": (8,)}
DECONV_SHAPES = {"data": (1, 4, 8, 8), "weight": (4, 8, 3, 3)}


@dataclass(frozen=True)
class Row:
    """One wrong call: good attributes and shapes with `attrs` and `shapes` changed (None: left out)."""

    id: str
    op: str
    error: type[Exception]
    argument: str
    got: str
    expected: str
    phrase: str
    fix: str
    attrs: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    out: Any = None
    infer: tuple[list[Any], Any] | None = None

    def call(self) -> Any:
        attrs = {k: v for k, v in {**KERNEL, **self.attrs}.items() if v is not LEFT_OUT}
        if self.infer is not None:
            spec = OPERATORS[self.op]
            inputs, output = self.infer
            return infer_shapes(spec, spec.parse(attrs), inputs, [output])
        usual = SHAPES if self.op == CONV else DECONV_SHAPES
        arrays = {
            name: np.zeros(shape, self.dtypes.get(name, "float32")) if isinstance(shape, tuple) else shape
            for name, shape in {**usual, **self.shapes}.items()
        }
        return getattr(mx.nd, self.op)(**arrays, **attrs, out=self.out)


LEFT_OUT = object()
ROWS: list[Row] = []


def row(id: str, op: str, error: type[Exception], *parts: str, **change: Any) -> None:
    ROWS.append(Row(f"{op}-{id}", op, error, *parts, **change))


# fmt: off
for op in (CONV, DECONV):
    # ---- parameters, when the operator is made
    names = {"stride": "Stride", "dilate": "Dilate", "pad": "Padding"} | ({"adj": "Adjustment"} if op == DECONV else {})
    for name, word in names.items():
        phrase = f"{word} must have the same number of dimensions with kernel_size"
        for value in ((1, 1, 1), 1, None):
            row(f"{name}-{value}", op, ParamError, name, str(value), "2 entries", phrase,
                f"Give one entry for each spatial axis, or leave {name} out.", attrs={name: value})
    row("kernel-empty", op, ParamError, "kernel", "()", "one entry for each spatial axis",
        f"0D {op.lower()} not supported", "Pass kernel=(3,) for 1-D data", attrs={"kernel": ()})
    row("kernel-None", op, ParamError, "kernel", "None", "one entry for each spatial axis",
        f"-1D {op.lower()} not supported", "Pass kernel=(3,) for 1-D data", attrs={"kernel": None})
    row("no-kernel", op, ParamError, "kernel", "num_filter", "Shape(tuple)",
        "Required parameter kernel of Shape(tuple) is not presented", "Pass kernel=(3, 3)",
        attrs={"kernel": LEFT_OUT})
    row("no-num_filter", op, ParamError, "num_filter", "kernel", "int (non-negative)",
        "Required parameter num_filter of int (non-negative) is not presented", "Pass num_filter=8.",
        attrs={"num_filter": LEFT_OUT})
    row("num_filter-0", op, ParamError, "num_filter", "0", "at least 1",
        "value 0 for Parameter num_filter should be greater equal to 1", "Pass num_filter=1 or more.",
        attrs={"num_filter": 0})
    row("num_group-0", op, ParamError, "num_group", "0", "at least 1",
        "value 0 for Parameter num_group should be greater equal to 1", "Pass num_group=1 or more.",
        attrs={"num_group": 0})
    for name in ("num_filter", "num_group"):
        row(f"{name}--1", op, ParamError, name, "-1", "int (non-negative)",
            f"Invalid Parameter format for {name} expect int (non-negative)", "Write a whole number from 0",
            attrs={name: -1})
    row("kernel-text", op, ParamError, "kernel", "'3,3'", "Shape(tuple)",
        "Invalid Parameter format for kernel expect Shape(tuple)", "Write a tuple with one whole number",
        attrs={"kernel": "3,3"})
    row("no_bias-2", op, ParamError, "no_bias", "'2'", "boolean",
        "Invalid Parameter format for no_bias expect boolean", "Write no_bias=True or no_bias=False.",
        attrs={"no_bias": 2})
    row("workspace-float", op, ParamError, "workspace", "'1.5'", "long (non-negative)",
        "Invalid Parameter format for workspace", "Write a whole number of megabytes",
        attrs={"workspace": 1.5})
    row("cudnn_tune-fast", op, ParamError, "cudnn_tune", "'fast'", "{None, 'fastest', 'limited_workspace', 'off'}",
        "Invalid Input: 'fast', valid values are: {None, 'fastest', ", "Write one of these words.",
        attrs={"cudnn_tune": "fast"})
    row("layout-NCWH", op, ParamError, "layout", "'NCWH'", "{None, 'NCDHW', 'NCHW', 'NCW', 'NDHWC', 'NHWC', 'NWC'}",
        "Invalid Input: 'NCWH', valid values are: {None, ", "Write one of these words",
        attrs={"layout": "NCWH"})
    for name in ("foo", "attr", "lr_mult"):
        row(f"unknown-{name}", op, ParamError, name, "no parameter", "one of MXNet's",
            f"Cannot find argument '{name}', Possible Arguments:", f"Leave '{name}' out.",
            attrs={name: 1})
    row("unknown-near", op, ParamError, "dilation", "no parameter", "one of MXNet's",
        "Cannot find argument 'dilation'", "Did you mean 'dilate'?", attrs={"dilation": 1})

    # ---- extents, when shapes are inferred
    for name in ("kernel", "stride", "dilate"):
        for value, phrase in (
            ((0, 3), f"incorrect {name} size: [0,3]"),
            ((-1, 3), "Shape dim size cannot be a negative value"),
            ((-2, 3), "shape dim size must be >= -1"),
        ):
            row(f"{name}-{value[0]}", op, ParamError, name, str(value), "every entry to be at least 1", phrase,
                "Replace the entry that is not positive.", attrs={name: value})
    row("channels-groups", op, ShapeError, "data", "4 channels", "a multiple of num_group=3",
        "input num_filter must divide group size", "Pass data with 6 channels",
        attrs={"num_group": 3, "num_filter": 9})
    row("filters-groups", op, ShapeError, "num_filter", "7", "a multiple of num_group=2",
        "output num_filter must divide group size", "Pass num_filter=8",
        attrs={"num_group": 2, "num_filter": 7})
    for kernel, wanted, phrase in (
        ((3,), 3, "Input data should be 3D in batch-num_filter-x"),
        ((3, 3), 4, "Input data should be 4D in batch-num_filter-y-x"),
        ((3, 3, 3), 5, "Input data should be 5D in batch-num_filter-depth-y-x"),
        ((3, 3, 3, 3), 6, "Input data should be 6D in batch-num_filter-and 4 spatial axes"),
    ):
        row(f"rank-{len(kernel)}", op, ShapeError, "data", "(1, 4)", f"{wanted} axes", phrase,
            "Add the missing axes with reshape", attrs={"kernel": kernel}, shapes={"data": (1, 4)})
    row("rank-of-kernel-3", op, ShapeError, "data", "(1, 4, 8, 8)", "3 axes",
        "Input data should be 3D in batch-num_filter-x", "write kernel=(3, 3)", attrs={"kernel": 3})
    row("layout-rank", op, ShapeError, "layout", "NCDHW", "NCHW or NHWC", "Invalid layout for 4d shape",
        "Name one letter for each spatial axis", attrs={"layout": "NCDHW"})

    # ---- inputs, when mx.nd is called
    wrong = (8, 5, 3, 3) if op == CONV else (5, 8, 3, 3)
    right = (8, 4, 3, 3) if op == CONV else (4, 8, 3, 3)
    plain = {shape: str(list(shape)).replace(" ", "") for shape in (wrong, right)}
    row("weight", op, ShapeError, "weight", str(wrong), str(right),
        f"Shape inconsistent, Provided = {plain[wrong]}, inferred shape=({plain[right][1:-1]})",
        "Pass a weight of that shape, or data with 5 channels.", shapes={"weight": wrong})
    row("weight-rank", op, ShapeError, "weight", str(right[:3]), str(right), "Shape inconsistent, Provided = ",
        "Pass a weight of that shape, or change", shapes={"weight": right[:3]})
    row("bias", op, ShapeError, "bias", "(5,)", "(8,)",
        "Shape inconsistent, Provided = [5], inferred shape=(8,)", "Pass a bias with one number for each filter",
        attrs={"no_bias": False}, shapes={"bias": (5,)})
    row("channels-last-weight", op, ShapeError, "weight", str(right),
        "(8, 3, 3, 4)" if op == CONV else "(4, 3, 3, 8)", "Shape inconsistent", "Pass a weight of that shape",
        attrs={"layout": "NHWC"}, shapes={"data": (1, 8, 8, 4), "weight": right})
    row("no-bias-given", op, ParamError, "bias", "data, weight", "data, weight, bias",
        f"Operator {op} expects 3 inputs, but got 2 instead", "Pass bias, or no_bias=True.",
        attrs={"no_bias": False}, shapes={"bias": None})
    row("bias-not-asked-for", op, ParamError, "bias", "data, weight, bias", "data, weight",
        f"Operator {op} expects 2 inputs, but got 3 instead", "Leave bias out, or pass no_bias=False.",
        attrs={"no_bias": True}, shapes={"bias": (8,)})
    row("no-weight", op, ParamError, "weight", "data", "data, weight",
        f"Operator {op} expects 2 inputs, but got 1 instead", "Pass weight.",
        attrs={"no_bias": True}, shapes={"weight": None, "bias": None})
    row("type", op, AssertionError, "data", "list", "an NDArray or a NumPy array",
        "Argument data must have NDArray type", "Wrap the value with mx.nd.array(data).",
        shapes={"data": [1.0]})
    row("out-type", op, AssertionError, "out", "int", "an NDArray or a NumPy array",
        "Argument out must have NDArray type", "Pass an array to write to", out=3)
    out_shape = (1, 8, 6, 6) if op == CONV else (1, 8, 10, 10)
    row("out-shape", op, ShapeError, "out", "(1, 8, 6, 5)", str(out_shape), "0-th output has invalid shape",
        "Pass an array of exactly that shape", out=np.zeros((1, 8, 6, 5), "float32"))
    row("out-dtype", op, DTypeError, "out", "float64", "float32", "the result's dtype",
        "Pass an array of dtype float32.", out=np.zeros(out_shape))
    row("out-read-only", op, ParamError, "out", "read-only", "an array that can be written", "read-only",
        "Pass a writable array", out=np.broadcast_to(np.float32(0), out_shape))
    row("two-outs", op, ParamError, "out", "2 arrays", "1 array", "2 arrays", "Pass out=array or out=[array].",
        out=[np.zeros(out_shape, "float32")] * 2)
    row("mixed-dtypes", op, DTypeError, "weight", "float64", "float32",
        "This layer requires uniform type. Expected 'float32' v.s. given 'float64' at 'weight'",
        "Cast it with weight.astype('float32').", dtypes={"weight": "float64"})
    row("unsupported-dtype", op, DTypeError, "data", "uint16", "one of float32, float64", "not supported",
        "Cast it with data.astype('int32').", dtypes={"data": "uint16"})

row("kernel-exceeds", CONV, ShapeError, "kernel", "(9, 3)", "to span at most 8 samples", "kernel size exceed input",
    "Use a smaller kernel or dilate, more pad, or larger data.", attrs={"kernel": (9, 3)},
    shapes={"weight": (8, 4, 9, 3)})
row("dilated-kernel-exceeds", CONV, ShapeError, "kernel", "(3, 3)", "to span at most 10 samples",
    "kernel size exceed input, 11 = dilate*(kernel - 1) + 1", "Use a smaller kernel",
    attrs={"dilate": (1, 5), "pad": (0, 1)})
row("too-large", CONV, ShapeError, "output", "4611686018427387910, 6)", "what memory can hold", "that large",
    "Use smaller ones.", attrs={"pad": (2**61, 0)})
row("empty-axis", CONV, ShapeError, "kernel", "(3, 3)", "to span at most 0 samples", "kernel size exceed input",
    "Use a smaller kernel", shapes={"data": (1, 4, 0, 8)})
row("cropped-away", CONV, ShapeError, "kernel", "(3, 3)", "to span at most 2 samples", "kernel size exceed input",
    "more pad", attrs={"pad": (-3, 0)})

for adj, axis in (
    ((0, 2), "adj(x) must be smaller than stride[1]"),
    ((-1, 0), "adj(y) must be smaller than stride[0]"),
):
    row(f"adj-{min(adj)}", DECONV, ParamError, "adj", str(adj), "0 <= adj < stride", axis,
        "Use an adj from 0 to stride - 1", attrs={"stride": (2, 2), "adj": adj})
row("target-too-big", DECONV, ShapeError, "target_shape", "(10, 11)", "at most 10", "too big target shape",
    "Use a smaller target_shape", attrs={"target_shape": (10, 11)})
row("target-negative", DECONV, ParamError, "target_shape", "(-1, 8)", "positive entries", "target_shape is (-1, 8)",
    "Replace the negative entry.", attrs={"target_shape": (-1, 8)})
for target in ((8,), (8, 8, 8), (1, 8, 8, 8)):
    row(f"target-{len(target)}", DECONV, ParamError, "target_shape", str(target), "2 entries",
        "Target shape must have the same number of dimensions", "Give one entry for each spatial axis",
        attrs={"target_shape": target})
for pad, left in ((5, 0), (6, -2)):
    row(f"nothing-left-{left}", DECONV, ShapeError, "pad", f"({pad}, 0)", "an output of at least 1 sample",
        f"1*(8 - 1) + 1*(3 - 1) + 1 - {2 * pad} + 0 = {left} on spatial axis 0", "Use less pad",
        attrs={"pad": (pad, 0)})

# ---- shape inference, with shapes known in part (0: unknown)
row("weight-inferred", CONV, ShapeError, "weight", "(8, 5, 3, 3)", "(8, 4, 3, 3)",
    "Shape inconsistent, Provided = [8,5,3,3], inferred shape=(8,4,3,3)", "Pass a weight of that shape",
    infer=([(0, 4, 0, 0), (8, 5, 3, 3)], None))
row("output-inferred", CONV, ShapeError, "output", "(2, 8, 7, 8)", "(2, 8, 7, 7)",
    "Shape inconsistent, Provided = [2,8,7,8], inferred shape=(2,8,7,7)", "Pass shapes that belong together",
    infer=([(2, 4, 9, 9)], (2, 8, 7, 8)))
row("batch-inferred", CONV, ShapeError, "output", "(2, 8, 7, 5)", "(3, 8, ?, ?)",
    "Shape inconsistent, Provided = [2,8,7,5]", "Pass shapes that belong together",
    infer=([(3, 4, 0, 0)], (2, 8, 7, 5)))
row("output-too-small", CONV, ShapeError, "output", "1 samples on spatial axis 0", "at least 2",
    "data would need -1 samples", "Use less pad, or more output.",
    attrs={"pad": (2, 2)}, infer=([(0, 4, 0, 0)], (2, 8, 1, 5)))
row("deconv-output-inferred", DECONV, ShapeError, "output", "(2, 8, 7, 8)", "(2, 8, 7, 7)", "Shape inconsistent",
    "Pass shapes that belong together", infer=([(2, 4, 5, 5)], (2, 8, 7, 8)))
for op in (CONV, DECONV):
    row("extent--2", op, ShapeError, "data", "(2, 4, -2, 9)", "extents, or -1 where unknown",
        "shape dim size must be >= -1", "Replace the negative entry.", infer=([(2, 4, -2, 9)], None))
    row("unknown-channels-filters", op, ShapeError, "num_filter", "8", "a multiple of num_group=3",
        "output num_filter must divide group size", "Pass num_filter=9",
        attrs={"num_group": 3}, infer=([(2, 0, 9, 9)], None))
# fmt: on


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_refusal(row: Row) -> None:
    with pytest.raises(row.error) as info:
        row.call()
    error, text = info.value, str(info.value)
    assert text.startswith(f"{row.op}: ")
    for part in (row.argument, row.got, row.expected, row.phrase, row.fix):
        assert part in text
    assert text.count("\n") == 0
    if isinstance(error, MXNetError):
        assert error.op == row.op
        assert error.argument == row.argument
        assert row.got in str(error.got)
        assert row.expected in str(error.expected)
        assert row.fix in error.fix
        assert isinstance(error, mx.base.MXNetError)
        assert isinstance(error, TypeError if row.error is DTypeError else ValueError)


def test_the_rows_start_from_a_call_that_works() -> None:
    for op in (CONV, DECONV):
        Row("good", op, Exception, "", "", "", "", "").call()


def zeros(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, "float32")


ACCEPTED: dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any], tuple[int, ...]]] = {
    "kernel of 4 entries": (mx.nd.Convolution, [zeros(1, 1, 3, 3, 3, 3), zeros(1, 1, 2, 2, 2, 2)],
                            {"kernel": (2, 2, 2, 2), "no_bias": True}, (1, 1, 2, 2, 2, 2)),
    "negative pad": (mx.nd.Convolution, [zeros(1, 1, 9), zeros(1, 1, 3)],
                     {"kernel": 3, "pad": -1, "no_bias": True}, (1, 1, 5)),
    "dunder keyword and name": (mx.nd.Convolution, [zeros(1, 1, 9), zeros(1, 1, 3)],
                                {"kernel": 3, "no_bias": True, "__foo__": 1, "name": "c"}, (1, 1, 7)),
    "NWC": (mx.nd.Convolution, [zeros(1, 9, 2), zeros(1, 3, 2)], {"kernel": 3, "layout": "NWC", "no_bias": True},
            (1, 7, 1)),
    "odd trim at stride 1": (mx.nd.Deconvolution, [zeros(1, 1, 9), zeros(1, 1, 3)],
                             {"kernel": 3, "target_shape": 10}, (1, 1, 10)),
    "target on one axis": (mx.nd.Deconvolution, [zeros(1, 1, 9, 9), zeros(1, 1, 3, 3)],
                           {"kernel": (3, 3), "target_shape": (0, 10)}, (1, 1, 11, 10)),
    "dilated 3-D": (mx.nd.Deconvolution, [zeros(1, 1, 2, 2, 2), zeros(1, 1, 2, 2, 2)],
                    {"kernel": (2, 2, 2), "dilate": (2, 3, 1)}, (1, 1, 4, 5, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ACCEPTED))
def test_mxnet_refuses_and_we_compute(name: str) -> None:
    function, arrays, attrs, shape = ACCEPTED[name]
    assert function(*arrays, num_filter=1, **attrs).shape == shape
