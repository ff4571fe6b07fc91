"""What the neural-network operators infer of shapes and types, in both directions, and what they count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv.ops.registry import OpSpec, Shape, compute, lookup

F16, F32, F64, I32 = np.float16, np.float32, np.float64, np.int32


def found(name: str) -> OpSpec:
    spec = lookup(name)
    assert spec is not None
    return spec


def infer(name: str, attrs: dict[str, Any], ins: list[Shape], outs: list[Shape] | None = None) -> Any:
    """(inputs, outputs); None in `ins` or at its end is unknown."""
    spec = found(name)
    param = spec.parse(attrs)
    known = [*ins, *[None] * (len(spec.input_names(param)) - len(ins))]
    shapes = spec.infer_shape(param, known, outs or [None] * len(spec.output_names(param)))
    return [list(side) for side in shapes]


C4 = (4,)
COMPLETE: list[tuple[str, dict[str, Any], list[Shape], list[Shape], list[Shape]]] = [
    ("FullyConnected", {"num_hidden": 3}, [(5, 2, 4)], [(5, 2, 4), (3, 8), (3,)], [(5, 3)]),
    ("FullyConnected", {"num_hidden": 3, "no_bias": 1}, [(5,)], [(5,), (3, 1)], [(5, 3)]),
    ("FullyConnected", {"num_hidden": 3, "flatten": 0}, [(5, 2, 4)], [(5, 2, 4), (3, 4), (3,)], [(5, 2, 3)]),
    ("Activation", {"act_type": "relu"}, [(2, 3)], [(2, 3)], [(2, 3)]),
    ("LeakyReLU", {}, [(2, 4)], [(2, 4)], [(2, 4)]),
    ("LeakyReLU", {"act_type": "prelu"}, [(2, 4, 3)], [(2, 4, 3), C4], [(2, 4, 3)]),
    ("LeakyReLU", {"act_type": "rrelu"}, [(2, 4)], [(2, 4)], [(2, 4), (2, 4)]),
    ("Pooling", {"kernel": 2, "stride": 2}, [(2, 3, 7)], [(2, 3, 7)], [(2, 3, 3)]),
    ("Pooling", {"kernel": 2, "stride": 2, "pooling_convention": "full"}, [(2, 3, 7)], [(2, 3, 7)], [(2, 3, 4)]),
    ("Pooling", {"global_pool": 1, "layout": "NHWC"}, [(2, 5, 6, 3)], [(2, 5, 6, 3)], [(2, 1, 1, 3)]),
    ("Pooling_v1", {"kernel": (2, 2)}, [(2, 3, 7, 4)], [(2, 3, 7, 4)], [(2, 3, 6, 3)]),
    ("_backward_Pooling", {"kernel": 2}, [None, (2, 3, 7)], [(2, 3, 6), (2, 3, 7)], [(2, 3, 7)]),
    ("_pick_Pooling", {"kernel": 2}, [None, (2, 3, 7)], [(2, 3, 7), (2, 3, 7)], [(2, 3, 6)]),
    ("BatchNorm", {}, [(2, 4, 3)], [(2, 4, 3), C4, C4, C4, C4], [(2, 4, 3)]),
    ("BatchNorm", {"axis": -1, "output_mean_var": 1}, [(2, 3, 4)], [(2, 3, 4), C4, C4, C4, C4], [(2, 3, 4), C4, C4]),
    ("Dropout", {}, [(2, 3)], [(2, 3)], [(2, 3)]),
    ("LRN", {"nsize": 3}, [(2, 4, 3, 3)], [(2, 4, 3, 3)], [(2, 4, 3, 3)]),
    ("L2Normalization", {}, [(2, 4)], [(2, 4)], [(2, 4)]),
    ("InstanceNorm", {}, [(2, 4, 3)], [(2, 4, 3), C4, C4], [(2, 4, 3)]),
    ("UpSampling", {"scale": 2, "sample_type": "nearest"}, [(2, 3, 4, 5)], [(2, 3, 4, 5)], [(2, 3, 8, 10)]),
    ("UpSampling", {"scale": 4, "sample_type": "nearest", "num_args": 2}, [(2, 3, 1, 2), (2, 1, 2, 4)],
     [(2, 3, 1, 2), (2, 1, 2, 4)], [(2, 4, 4, 8)]),
    ("UpSampling", {"scale": 3, "sample_type": "bilinear"}, [(2, 4, 4, 5)], [(2, 4, 4, 5), (4, 1, 5, 5)],
     [(2, 4, 12, 15)]),
    ("Convolution_v1", {"kernel": 3, "num_filter": 4}, [(2, 3, 7)], [(2, 3, 7), (4, 3, 3), C4], [(2, 4, 5)]),
    ("SoftmaxActivation", {}, [(2, 3)], [(2, 3)], [(2, 3)]),
    ("softmax", {"use_length": 1, "axis": 1}, [(2, 3, 4)], [(2, 3, 4), (2, 4)], [(2, 3, 4)]),
    ("log_softmax", {}, [(2, 3)], [(2, 3)], [(2, 3)]),
    ("SoftmaxOutput", {}, [(2, 3)], [(2, 3), (2,)], [(2, 3)]),
    ("SoftmaxOutput", {}, [(2, 5, 6, 3)], [(2, 5, 6, 3), (2, 5, 6)], [(2, 5, 6, 3)]),
    ("SoftmaxOutput", {"multi_output": 1}, [(2, 3, 5, 6)], [(2, 3, 5, 6), (2, 30)], [(2, 3, 5, 6)]),
    ("softmax_cross_entropy", {}, [(2, 3)], [(2, 3), (2,)], [(1,)]),
    ("LinearRegressionOutput", {}, [(4, 3)], [(4, 3), (4, 3)], [(4, 3)]),
    ("MAERegressionOutput", {}, [(4, 1)], [(4, 1), (4,)], [(4, 1)]),
]  # fmt: skip


def ident(case: Any) -> str:
    return f"{case[0]}-{case[1]}" if isinstance(case, tuple) else ""


@pytest.mark.parametrize("case", COMPLETE, ids=ident)
def test_what_data_says_is_what_is_computed(
    case: tuple[str, dict[str, Any], list[Shape], list[Shape], list[Shape]],
) -> None:
    name, attrs, given, ins, outs = case
    assert infer(name, attrs, given) == [ins, outs]
    spec, arrays = found(name), [np.ones([n or 0 for n in shape or ()], F32) for shape in ins]
    if name == "softmax":
        arrays[1] = arrays[1].astype(I32)
    param = spec.parse(attrs)
    results = compute(spec, param, arrays)[: len(outs)]
    assert [x.shape for x in results] == outs
    assert [x.dtype for x in results] == [F32] * len(outs)


@pytest.mark.parametrize(
    ("name", "attrs", "ins", "outs", "expected"),
    [
        ("FullyConnected", {"num_hidden": 3}, [(None, 2, None)], [(5, None)],
         [[(5, 2, None), (3, None), (3,)], [(5, 3)]]),
        ("FullyConnected", {"num_hidden": 3}, [None, (3, 8)], [(5, 3)], [[None, (3, 8), None], [(5, 3)]]),
        ("FullyConnected", {"num_hidden": 3, "flatten": 0}, [(None, None, 4)], [(5, 2, 3)],
         [[(5, 2, 4), (3, 4), (3,)], [(5, 2, 3)]]),
        ("Activation", {"act_type": "relu"}, [None], [(2, None)], [[(2, None)], [(2, None)]]),
        ("LeakyReLU", {"act_type": "prelu"}, [(None, 4), (1,)], None, [[(None, 4), (1,)], [(None, 4)]]),
        ("LeakyReLU", {"act_type": "prelu"}, [(2, None), (None,)], None, [[(2, None), (None,)], [(2, None)]]),
        ("Pooling", {"kernel": (2, 2)}, [(None, None, None, 6)], [(4, 3, 5, 5)], [[(4, 3, None, 6)], [(4, 3, 5, 5)]]),
        ("Pooling", {"global_pool": True}, [(None,) * 4], None, [[(None,) * 4], [(None, None, 1, 1)]]),
        ("Pooling", {"kernel": 2}, [None], [(4, 3, 5)], [[None], [(4, 3, 5)]]),
        ("BatchNorm", {}, [(None, None, 3)], [(2, 4, None)], [[(2, 4, 3), C4, C4, C4, C4], [(2, 4, 3)]]),
        ("BatchNorm", {}, [None, C4], None, [[None, C4, None, None, None], [None]]),
        ("InstanceNorm", {}, [None], [(2, 4, 3)], [[(2, 4, 3), C4, C4], [(2, 4, 3)]]),
        ("UpSampling", {"scale": 2, "sample_type": "nearest"}, [(None, 3, 4, None)], [(2, None, None, None)],
         [[(2, 3, 4, None)], [(2, 3, 8, None)]]),
        ("UpSampling", {"scale": 2, "sample_type": "bilinear", "num_filter": 3}, [(None, 3, 4, None)], None,
         [[(None, 3, 4, None), (3, 1, 4, 4)], [(None, 3, 8, None)]]),
        ("UpSampling", {"scale": 2, "sample_type": "bilinear"}, [(2, None, 4, 4)], None,
         [[(2, None, 4, 4), None], [None]]),
        ("SoftmaxOutput", {}, [(None, 3)], [(2, None)], [[(2, 3), (2,)], [(2, 3)]]),
        ("SoftmaxOutput", {}, [(None, 3), (2,)], None, [[(None, 3), (2,)], [(None, 3)]]),
        ("SoftmaxOutput", {}, [None, (2,)], None, [[None, (2,)], [None]]),
        ("softmax", {}, [None], [(4, 3)], [[(4, 3)], [(4, 3)]]),
        ("LogisticRegressionOutput", {}, [None, (4, 3)], None, [[None, (4, 3)], [None]]),
    ],
)  # fmt: skip
def test_parts(name: str, attrs: dict[str, Any], ins: list[Shape], outs: list[Shape] | None, expected: Any) -> None:
    assert infer(name, attrs, ins, outs) == expected


@pytest.mark.parametrize(
    ("name", "attrs", "ins", "text"),
    [
        ("FullyConnected", {"num_hidden": 3}, [(5, 2), (3, 3)], "weight has shape (3, 3), expected (3, 2)"),
        ("FullyConnected", {"num_hidden": 3}, [(5, 2), None, (4,)], "bias has shape (4,), expected (3,)"),
        ("FullyConnected", {"num_hidden": 3}, [()], "data has no axes"),
        ("LeakyReLU", {"act_type": "prelu"}, [(2, 3, 4), (4,)], "Cannot broadcast gamma to data"),
        ("LeakyReLU", {"act_type": "prelu"}, [(2, 3, 4), (3, 4)], "Cannot broadcast gamma to data"),
        ("BatchNorm", {}, [(2, 4, 3), (3,)], "gamma has shape (3,), expected (4,)"),
        ("BatchNorm", {}, [(2, 4, 3), None, None, (3,)], "moving_mean has shape (3,), expected (4,)"),
        ("BatchNorm", {"axis": 3}, [(2, 4, 3)], "axis 3 exceeds the input dimension of 3"),
        ("BatchNorm", {}, [(4,)], "data has 1 axes, expected 2 or more"),
        ("Dropout", {"axes": (2,)}, [(2, 3)], "axis 2 exceeds"),
        ("Dropout", {"p": 1.5}, [(2, 3)], "a probability, from 0 to 1"),
        ("L2Normalization", {"mode": "channel"}, [(2, 3)], "At least 3 dimensions required in channel mode"),
        ("InstanceNorm", {}, [(2, 3)], "InstanceNorm only supports input tensors of rank >= 3"),
        ("InstanceNorm", {}, [(2, 3, 4), (4,)], "gamma has shape (4,), expected (3,)"),
        ("LRN", {"nsize": 3}, [(2,)], "there must be channels"),
        ("UpSampling", {"scale": 2, "sample_type": "nearest", "num_args": 2}, [(2, 3, 4, 4), (2, 1, 3, 4)],
         "input of 3 does not divide output of 8"),
        ("UpSampling", {"scale": 2, "sample_type": "nearest", "num_args": 2, "multi_input_mode": "sum"},
         [(2, 3, 4, 4), (2, 1, 4, 4)], "arg1 has shape (2, 1, 4, 4), expected (2, 3, ?, ?)"),
        ("UpSampling", {"scale": 2, "sample_type": "nearest"}, [(2, 3)], "3 axes or more"),
        ("UpSampling", {"scale": 2, "sample_type": "bilinear"}, [(2, 3, 4, 4), (3, 1, 3, 3)], "weight has shape"),
        ("softmax", {"axis": 2}, [(2, 3)], "axis 2 exceeds the input dimension of 2"),
        ("softmax", {"use_length": True}, [(2, 3), (3,)], "length has shape (3,), expected (2,)"),
        ("SoftmaxOutput", {}, [(2, 3), (3,)], "Shape inconsistent"),
        ("SoftmaxOutput", {"multi_output": True}, [(2, 3, 4), (2, 3)], "Expecting (2, 4) or (2, 3, 4)"),
        ("SoftmaxOutput", {}, [(2,)], "2 axes or more"),
        ("softmax_cross_entropy", {}, [(2, 3), (3,)], "data label shape mismatch"),
        ("softmax_cross_entropy", {}, [(2, 3, 4)], "only accept 2D data"),
        ("LinearRegressionOutput", {}, [(2, 3), (3, 2)], "Shape inconsistent"),
    ],
)  # fmt: skip
def test_contradictions(name: str, attrs: dict[str, Any], ins: list[Shape], text: str) -> None:
    with pytest.raises(mx.MXNetError) as caught:
        infer(name, attrs, ins)
    error = caught.value
    assert text in str(error)
    assert (error.op, bool(error.argument), bool(error.fix)) == (name, True, True)
    assert error.fix in str(error)


@pytest.mark.parametrize(
    ("name", "attrs", "ins", "outs", "expected"),
    [
        ("FullyConnected", {"num_hidden": 3}, [F16, None, None], [None], [[F16, F16, F16], [F16]]),
        ("FullyConnected", {"num_hidden": 3}, [None, None, None], [F16], [[F16, F16, F16], [F16]]),
        ("BatchNorm", {}, [F16, None, None, None, None], [None], [[F16, F32, F32, F32, F32], [F16]]),
        ("BatchNorm", {}, [F64, None, None, None, None], [None], [[F64, F64, F64, F64, F64], [F64]]),
        ("BatchNorm", {"output_mean_var": 1}, [None] * 5, [F16, None, None],
         [[F16, F32, F32, F32, F32], [F16, F32, F32]]),
        ("softmax", {"dtype": "float64"}, [F16], [None], [[F16], [F64]]),
        ("softmax", {"use_length": 1}, [F16, None], [None], [[F16, I32], [F16]]),
        ("softmax", {}, [None], [F16], [[F16], [F16]]),
        ("SoftmaxOutput", {}, [F16, None], [None], [[F16, F16], [F16]]),
        ("UpSampling", {"scale": 2, "sample_type": "bilinear"}, [F64, None], [None], [[F64, F64], [F64]]),
    ],
)  # fmt: skip
def test_types(name: str, attrs: dict[str, Any], ins: list[Any], outs: list[Any], expected: Any) -> None:
    spec = found(name)
    assert [list(side) for side in spec.infer_type(spec.parse(attrs), ins, outs)] == expected


@pytest.mark.parametrize(
    ("name", "types"), [("BatchNorm", [F16, F16]), ("BatchNorm", [I32]), ("FullyConnected", [F32, F64])]
)
def test_types_that_contradict(name: str, types: list[Any]) -> None:
    spec = found(name)
    param = spec.parse({"num_hidden": 2} if name == "FullyConnected" else {})
    full = [*types, *[None] * (len(spec.input_names(param)) - len(types))]
    with pytest.raises(mx.DTypeError, match="dtype"):
        spec.infer_type(param, full, [None])


@pytest.mark.parametrize(
    ("name", "attrs", "count"),
    [
        ("BatchNorm", {}, 3),
        ("BatchNorm_v1", {}, 3),
        ("Dropout", {}, 2),
        ("InstanceNorm", {}, 3),
        ("L2Normalization", {}, 2),
        ("LRN", {"nsize": 3}, 2),
        ("LeakyReLU", {}, 1),
        ("LeakyReLU", {"act_type": "rrelu"}, 2),
        ("Pooling", {"kernel": (2, 2)}, 2),
        ("Pooling", {"kernel": (2,), "pooling_convention": "full"}, 2),
        ("Pooling", {"kernel": (2, 2), "global_pool": True}, 2),
        ("Pooling", {"kernel": (2, 2), "layout": "NCHW"}, 2),
        ("Pooling", {"kernel": (2, 2), "layout": "NHWC"}, 1),
        ("Pooling", {"global_pool": True}, 1),
        ("Pooling", {"kernel": (2, 2), "pool_type": "avg"}, 1),
        ("Pooling_v1", {"kernel": (2, 2)}, 1),
    ],
)
def test_outputs_that_mxnet_counts(name: str, attrs: dict[str, Any], count: int) -> None:
    spec = found(name)
    param = spec.parse(attrs)
    assert (spec.counted_outputs or (lambda p: len(spec.output_names(p))))(param) == count


def test_names() -> None:
    for alias, name in {
        "Softmax": "SoftmaxOutput", "_npx_fully_connected": "FullyConnected", "_npx_activation": "Activation",
        "_npx_leaky_relu": "LeakyReLU", "_npx_pooling": "Pooling", "_npx_batch_norm": "BatchNorm",
        "_npx_dropout": "Dropout", "_npx_softmax": "softmax", "_npx_log_softmax": "log_softmax",
    }.items():  # fmt: skip
        assert found(alias) is found(name)
    norm = found("BatchNorm")
    assert norm.aux_names == ("moving_mean", "moving_var")
    assert norm.initializers == {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}
    assert found("LeakyReLU").initializers == {"gamma": '["Constant", {"value": 0.25}]'}
    assert norm.output_names(norm.parse({"output_mean_var": True})) == ("output", "mean", "var")
    rrelu = found("LeakyReLU")
    assert rrelu.output_names(rrelu.parse({"act_type": "rrelu"})) == ("output", "mask")
    up = found("UpSampling")
    assert up.input_names(up.parse({"scale": 2, "sample_type": "nearest", "num_args": 2})) == ("arg0", "arg1")
    assert up.input_names(up.parse({"scale": 2, "sample_type": "bilinear", "num_args": 1})) == ("data", "weight")
