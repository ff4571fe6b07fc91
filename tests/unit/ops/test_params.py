"""The grammar of parameters: every accepted and refused spelling, defaults, bounds, lengths, the text that is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.errors import ParamError
from mxconv.ops.grammar import Null, attr_text
from mxconv.ops.params import ConvolutionParam, ConvParam, DeconvolutionParam


def read(name: str, value: Any, op: type[ConvParam] = DeconvolutionParam) -> Any:
    return getattr(op.parse({"kernel": (3, 3), "num_filter": 8, name: value}), name)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("(3, 3)", (3, 3)),
        ("(3,3)", (3, 3)),
        ("[3, 3]", (3, 3)),
        ("[3,3)", (3, 3)),
        ("(3,3,)", (3, 3)),
        ("(3L, 3L)", (3, 3)),
        (" ( 3 , 3 ) ", (3, 3)),
        ("(03,3)", (3, 3)),
        ("3", (3,)),
        ("(3)", (3,)),
        ("(+3,)", (3,)),
        ((3, 5), (3, 5)),
        ([3, 5], (3, 5)),
        (3, (3,)),
        ((np.int64(3), np.int32(5)), (3, 5)),
        (np.int64(3), (3,)),
        ((2, 3, 4, 5), (2, 3, 4, 5)),  # an extension
        ((1,) * 7, (1,) * 7),
    ],
)
def test_kernel_accepts(value: Any, wanted: tuple[int, ...]) -> None:
    param = ConvolutionParam.parse({"kernel": value, "num_filter": 8})
    assert param.kernel == wanted
    assert param.rank == len(wanted)
    assert param.stride == param.dilate == (1,) * len(wanted)
    assert param.pad == ((0, 0),) * len(wanted)


@pytest.mark.parametrize(
    "value",
    ["3,3", "3 3", "(3,3", "3,3)", "(3,3)x", "(3,3)]", "(3;3)", "{3,3}", "(3,,3)", "(,3)", "(,)", "(3 3)", "",
     "((3,3),)", (3.0, 3.0), 3.0, (True, True), True, (None, 3), "(None, 3)",
     np.array([3, 3]), range(3), ("3", "3"), "(3, '3')",
     (x for x in (3, 3)), {3}, f"({2**63}, 3)", "(" * 5000, "(x, 3)"],
    ids=lambda v: str(v)[:20],
)  # fmt: skip
def test_kernel_refuses(value: Any) -> None:
    with pytest.raises(ParamError, match=r"Invalid Parameter format for kernel expect Shape\(tuple\)") as info:
        ConvolutionParam.parse({"kernel": value, "num_filter": 8})
    assert info.value.op == "Convolution"
    assert info.value.argument == "kernel"


@pytest.mark.parametrize("name", ["stride", "dilate", "pad", "adj", "target_shape"])
@pytest.mark.parametrize("value", ["()", "[]", (), []])
def test_empty_shapes_mean_the_default(name: str, value: Any) -> None:
    wanted = {"stride": (1, 1), "dilate": (1, 1), "pad": ((0, 0), (0, 0)), "adj": (0, 0)}.get(name, (None, None))
    assert read(name, value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ((1, 2), ((1, 1), (2, 2))),
        ("(1, 2)", ((1, 1), (2, 2))),
        ((-1, 0), ((-1, -1), (0, 0))),
        (((1, 2), (0, -3)), ((1, 2), (0, -3))),
        ([[1, 2], [0, 3]], ((1, 2), (0, 3))),
        ("((1,2),[0,3])", ((1, 2), (0, 3))),
        ((1, (0, 2)), ((1, 1), (0, 2))),
    ],
)
def test_pad_accepts_numbers_and_pairs(value: Any, wanted: Any) -> None:
    assert read("pad", value) == wanted


@pytest.mark.parametrize("value", ["((1,2,3),0)", "((1,),0)", "((None,1),0)", "(None,1)", "(((1,2),3),0)", "((),0)"])
def test_pad_refuses(value: str) -> None:
    with pytest.raises(ParamError, match="Invalid Parameter format for pad"):
        read("pad", value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, (None, None)),
        ("None", (None, None)),
        ((0, 0), (None, None)),
        ((7, 9), (7, 9)),
        ((7, None), (7, None)),
        ("(None, 9)", (None, 9)),
        ((0, 9), (None, 9)),
    ],
)
def test_target_shape_may_be_unset_on_an_axis(value: Any, wanted: Any) -> None:
    assert read("target_shape", value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("8", 8), (" 8 ", 8), ("+8", 8), ("08", 8), (8, 8), (np.int64(8), 8), (np.uint8(8), 8), (2**32 - 1, 2**32 - 1)],
)
@pytest.mark.parametrize("name", ["num_filter", "num_group"])
def test_numbers_accept(name: str, value: Any, wanted: int) -> None:
    assert read(name, value) == wanted


@pytest.mark.parametrize(
    "value", ["8.0", 8.0, "8L", "0x8", "1e1", "8,", "", True, None, 2**32, -1, "-1", "+ 8", "8 8", (8,), "\u0668"]
)
@pytest.mark.parametrize("name", ["num_filter", "num_group"])
def test_numbers_refuse(name: str, value: Any) -> None:
    with pytest.raises(ParamError, match=rf"Invalid Parameter format for {name} expect int \(non-negative\)"):
        read(name, value)


def test_workspace_is_64_bits_wide_and_not_negative() -> None:
    assert read("workspace", 2**64 - 1) == 2**64 - 1
    assert read("workspace", 0) == 0
    for value in (2**64, -1, 1.5, None):
        with pytest.raises(ParamError, match=r"Invalid Parameter format for workspace expect long \(non-negative\)"):
            read("workspace", value)


@pytest.mark.parametrize("name", ["no_bias", "cudnn_off"])
def test_bools(name: str) -> None:
    for value in (True, "True", "true", "TRUE", "tRuE", 1, "1", np.True_):
        assert read(name, value) is True
    for value in (False, "False", "false", "FALSE", 0, "0", np.False_):
        assert read(name, value) is False
    for value in (2, 1.0, "yes", "T", "", None, " True ", "True ", (True,)):
        with pytest.raises(ParamError, match=f"Invalid Parameter format for {name} expect boolean"):
            read(name, value)


def test_cudnn_tune_words() -> None:
    assert read("cudnn_tune", None) is None
    assert read("cudnn_tune", "None") is None
    for word in ("off", "limited_workspace", "fastest"):
        assert read("cudnn_tune", word) == word
    for value in ("Off", "OFF", " off", "", 0, True, "fast"):
        with pytest.raises(ParamError, match=r"Invalid Input: .*valid values are: {None, 'fastest', "):
            read("cudnn_tune", value)


def test_layout_words() -> None:
    assert read("layout", None) is None
    for word in ("NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC", "NCTDHW", "NTDHWC", "NCABDEF"):
        assert read("layout", word) == word
    for value in ("nchw", "NCWH", "NHW", "CHWN", "", 0, "NC", "NABC", "NCAADH", "NCABCD", "TDHW", "NTDHW", "NCdHWx"):
        with pytest.raises(ParamError, match=r"Invalid Input: .*valid values are: {None, 'NCDHW', "):
            read("layout", value)


@pytest.mark.parametrize(
    ("op", "workspace", "no_bias"), [(ConvolutionParam, 1024, False), (DeconvolutionParam, 512, True)]
)
def test_defaults(op: type[ConvParam], workspace: int, no_bias: bool) -> None:
    param = op.parse({"kernel": (3, 3), "num_filter": 8})
    assert (param.workspace, param.no_bias, param.num_group) == (workspace, no_bias, 1)
    assert (param.cudnn_tune, param.cudnn_off, param.layout) == (None, False, None)


@pytest.mark.parametrize("name", ["stride", "dilate", "pad", "adj", "target_shape"])
def test_lengths_must_be_the_kernels(name: str) -> None:
    words = {
        "stride": "Stride",
        "dilate": "Dilate",
        "pad": "Padding",
        "adj": "Adjustment",
        "target_shape": "Target shape",
    }
    for value in (1, (1,), (1, 1, 1)):
        with pytest.raises(ParamError, match=f"{words[name]} must have the same number of dimensions with kernel_size"):
            read(name, value)
    if name != "target_shape":
        with pytest.raises(ParamError, match="must have the same number of dimensions"):
            read(name, None)


def test_unknown_and_missing_parameters() -> None:
    for op in (ConvolutionParam, DeconvolutionParam):
        with pytest.raises(
            ParamError, match=r"Cannot find argument 'strides', Possible Arguments:.*Did you mean 'stride'"
        ):
            op.parse({"kernel": 3, "num_filter": 1, "strides": 2})
        with pytest.raises(ParamError, match=r"Required parameter kernel of Shape\(tuple\) is not presented"):
            op.parse({"num_filter": 1})
    with pytest.raises(ParamError, match="Cannot find argument 'adj'"):
        ConvolutionParam.parse({"kernel": 3, "num_filter": 1, "adj": 0})


def test_dunder_keywords_are_ignored() -> None:
    param = ConvolutionParam.parse({"kernel": 3, "num_filter": 1, "__lr_mult__": 2, "__ctx_group__": object()})
    assert param == ConvolutionParam.parse({"kernel": 3, "num_filter": 1})
    with pytest.raises(ParamError, match="Cannot find argument '__half'"):
        ConvolutionParam.parse({"kernel": 3, "num_filter": 1, "__half": 2})


def test_attributes_keep_the_exact_text_and_no_defaults() -> None:
    given = {"num_filter": " 8 ", "kernel": [3, 3], "stride": (np.int64(2), 2), "pad": ((0, 1), 2), "no_bias": "true",
             "cudnn_off": 1, "layout": None, "adj": (0,) * 2}  # fmt: skip
    param = DeconvolutionParam.parse(given)
    texts = {"num_filter": " 8 ", "kernel": "[3, 3]", "stride": "(2, 2)", "pad": "((0, 1), 2)", "no_bias": "true",
             "cudnn_off": "1", "layout": "None", "adj": "(0, 0)"}  # fmt: skip
    assert param.to_attrs() == texts
    assert list(param.to_attrs()) == list(given)
    assert DeconvolutionParam.parse(param.to_attrs()) == param
    assert hash(DeconvolutionParam.parse(param.to_attrs())) == hash(param)


def test_spellings_of_one_meaning_are_equal() -> None:
    spellings: list[dict[str, Any]] = [
        {"kernel": (3, 3), "num_filter": 8},
        {"kernel": "[3,3]", "num_filter": "8", "stride": (), "pad": "(0,0)", "no_bias": 0, "workspace": 1024},
    ]
    first, second = map(ConvolutionParam.parse, spellings)
    assert first == second
    assert first.attrs != second.attrs


def test_text_of_values() -> None:
    assert attr_text((3,)) == "(3,)"
    assert attr_text(()) == "()"
    assert attr_text([1, (2, 3)]) == "[1, (2, 3)]"
    assert attr_text((3.0, True, None, "x")) == "(3.0, True, None, 'x')"
    assert attr_text("as it is ") == "as it is "
    assert repr(Null) == "_Null"
    assert not Null
