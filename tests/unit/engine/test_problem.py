"""ConvProblem: what follows from it, its text form, and what contradictory problems are told."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mxconv import geometry
from mxconv.dtypes import DTYPES
from mxconv.engine.problem import DIRECTIONS, ConvProblem, contiguous_strides
from mxconv.errors import FormatError, ShapeError
from mxconv.testing import reference

BASE = "forward float32 n2 g1 c4->6 i9x8 k3x2"
UNREADABLE = [
    "hello", "n", "n-1", "n1.5", "c4", "c4->", "c->4", "c4>6", "i9x", "ix9", "i9xx8", "i-3", "k3,3", "s", "sx", "s-1",
    "d", "p", "p-", "p1:", "p:1", "p1:2:3", "p1x", "p--1", "x_strides()", "x_strides(1,)", "x_strides(1,,2)",
    "x_strides(-)", "x_strides(1", "z_strides(1)", "+", "++bias", "n²", "i٣", "N1", "k3X3",
]  # fmt: skip


def random_problem(rng: random.Random) -> ConvProblem:
    rank = rng.randint(1, 4)
    axes = range(rank)
    kernel, stride, dilation = ([rng.randint(1, most) for _ in axes] for most in (4, 3, 3))
    pad_lo = [rng.randint(-2, 3) for _ in axes]
    pad_hi = pad_lo if rng.random() < 0.5 else [rng.randint(-2, 3) for _ in axes]
    groups = rng.choice([1, 1, 2, 3])
    in_channels, out_channels = groups * rng.randint(0, 3), groups * rng.randint(0, 3)
    in_spatial = [rng.randint(0, 12) for _ in axes]
    direction = rng.choice(DIRECTIONS)
    p = ConvProblem.create(
        direction,
        rng.choice(list(DTYPES)),
        batch=rng.randint(0, 3),
        groups=groups,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad_lo=pad_lo,
        pad_hi=pad_hi,
        in_spatial=in_spatial,
        epilogue=("bias",) if direction != "backward_weight" and rng.random() < 0.5 else (),
    )
    strides = {}
    for name in "xwy":
        how = rng.choice(["plain", "transposed", "negative", "zero", "any"])
        shape = p.shape_of(name)
        if how == "transposed":
            order = list(range(len(shape)))
            rng.shuffle(order)
            inner = contiguous_strides([shape[i] for i in order])
            strides[name] = tuple(inner[order.index(i)] for i in range(len(shape)))
        elif how == "negative":
            strides[name] = tuple(-s for s in contiguous_strides(shape))
        elif how == "zero":
            strides[name] = tuple(s * rng.randint(0, 1) for s in contiguous_strides(shape))
        elif how == "any":
            strides[name] = tuple(rng.randint(-(2**40), 2**40) for _ in shape)
    fields = {f"{name}_strides": value for name, value in strides.items()}
    return ConvProblem(**{**{n: getattr(p, n) for n in p.__dataclass_fields__}, **fields})


def test_any_problem_is_read_back_from_its_line():
    rng = random.Random(20)
    for _ in range(3000):
        p = random_problem(rng)
        line = str(p)
        assert "\n" not in line
        again = ConvProblem.parse(line)
        assert again == p, line
        assert hash(again) == hash(p)
        assert str(again) == line


def test_usual_things_are_left_out_and_others_are_not():
    p = ConvProblem.create("forward", kernel=(3, 2), in_channels=4, out_channels=6, in_spatial=(9, 8), batch=2)
    assert str(p) == BASE
    variants = [
        ("s2x1", {"stride": (2, 1)}),
        ("d1x2", {"dilation": (1, 2)}),
        ("p1x0", {"pad_lo": (1, 0)}),
        ("p1:0x-1:2", {"pad_lo": (1, -1), "pad_hi": (0, 2)}),
        ("+bias", {"epilogue": ("bias",)}),
        ("x_strides(-1,0,2,5)", {"x_strides": (-1, 0, 2, 5)}),
    ]
    for text, fields in variants:
        q = ConvProblem.create(
            "forward", kernel=(3, 2), in_channels=4, out_channels=6, in_spatial=(9, 8), batch=2, **fields
        )
        assert str(q) == f"{BASE} {text}"
        assert ConvProblem.parse(str(q)) == q != p


def test_lines_may_name_the_output_or_leave_parts_out():
    p = ConvProblem.parse("forward float64 c4->6 k3 s2 o5")
    assert (p.batch, p.groups, p.in_spatial, p.out_spatial) == (1, 1, (11,), (5,))
    assert ConvProblem.parse("forward float64 c4->6 k3 s2 i12 o5").in_spatial == (12,)
    assert ConvProblem.parse("  forward   float64\tk3 s2 i12\nc4->6 ") == ConvProblem.parse(
        "forward float64 c4->6 k3 s2 i12"
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "starts with ''"),
        ("forward", "starts with 'forward'"),
        ("sideways float32 c1->1 i3 k1", "starts with 'sideways float32'"),
        ("forward bool c1->1 i3 k1", "starts with 'forward bool'"),
        ("forward float32 i3 k1", "lacks ['in_channels']"),
        ("forward float32 c1->1 i3", "lacks ['kernel']"),
        *((f"forward float32 {part}", f"has the part {part!r}, which cannot be read") for part in UNREADABLE),
        (f"{BASE} n3", "says batch twice"),
        (f"{BASE} k3x2", "says kernel twice"),
        (f"{BASE} p1x1 p2x2", "says pad_hi twice"),
        (f"{BASE} x_strides(1,2,3,4) x_strides(1,2,3,4)", "says x_strides twice"),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_read(line, what):
    with pytest.raises(FormatError) as caught:
        ConvProblem.parse(line)
    assert what in str(caught.value)
    assert caught.value.argument == "problem"
    assert caught.value.got in line


@pytest.mark.parametrize(
    ("line", "argument", "what"),
    [
        ("forward float32 c1->1 k3", "in_spatial", "neither in_spatial nor out_spatial is given"),
        ("forward float32 c1->1 k3x3 i5", "in_spatial", "in_spatial has 1 entries, expected 2"),
        ("forward float32 c1->1 k3x3 o5", "out_spatial", "out_spatial has 1 entries, expected 2"),
        ("forward float32 c1->1 k3x3 i5x5 s2", "stride", "stride has 1 entries, expected 2"),
        ("forward float32 c1->1 k3 i5 d1x1", "dilation", "dilation has 2 entries, expected 1"),
        ("forward float32 c1->1 k3 i5 p1x1", "pad_lo", "pad_lo has 2 entries, expected 1"),
        ("forward float32 c1->1 k0 i5", "kernel", "kernel is (0,)"),
        ("forward float32 c1->1 k3 i5 s0", "stride", "stride is (0,)"),
        ("forward float32 c1->1 k3x1 i5x5 d1x0", "dilation", "dilation is (1, 0)"),
        ("forward float32 g0 c1->1 k3 i5", "groups", "groups is 0"),
        ("forward float32 g2 c3->4 k3 i5", "groups", "3 and 4 channels do not divide into 2 groups"),
        ("forward float32 g2 c4->3 k3 i5", "groups", "4 and 3 channels do not divide into 2 groups"),
        ("forward float32 c1->1 k3 i5 o4", "out_spatial", "axis 0: 5 samples give 3, not 4"),
        ("forward float32 c1->1 k1x3 i5x9 o5x8", "out_spatial", "axis 1: 9 samples give 7, not 8"),
        ("forward float32 c1->1 k1 i1 s9223372036854775807", "in_spatial", "expected less than 2**62"),
        ("forward float32 c1->1 k3 o2 p9", "out_spatial", "axis 0: 0 samples give 16, not 2"),
        ("forward float32 c1->1 k3 i5 x_strides(1,1)", "x_strides", "x_strides has 2 entries, expected 3"),
        ("forward float32 c1->1 k3 i5 w_strides(1,1,1,1)", "w_strides", "w_strides has 4 entries, expected 3"),
        ("forward float32 c1->1 k3 i5 y_strides(1)", "y_strides", "y_strides has 1 entries, expected 3"),
        ("forward float32 c1->1 k3 i5 +gelu", "epilogue", "epilogue is ('gelu',)"),
        ("forward float32 c1->1 k3 i5 +bias +bias", "epilogue", "epilogue is ('bias', 'bias')"),
    ],
)
def test_parts_that_contradict_each_other(line, argument, what):
    with pytest.raises(ShapeError) as caught:
        ConvProblem.parse(line)
    assert what in str(caught.value)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("fields", "argument"),
    [({"direction": "sideways"}, "direction"), ({"dtype": "bool"}, "dtype"), ({"batch": -1}, "in_spatial"),
     ({"in_spatial": (-1, 8)}, "in_spatial"), ({"groups": -1}, "groups"), ({"pad_hi": (1,)}, "pad_hi")],
)  # fmt: skip
def test_what_only_a_program_can_get_wrong(fields, argument):
    p = ConvProblem.parse(BASE)
    known = {name: getattr(p, name) for name in p.__dataclass_fields__}
    with pytest.raises(ShapeError) as caught:
        ConvProblem(**{**known, **fields})
    assert caught.value.argument == argument


def test_extents_and_shapes_follow_geometry():
    rng = random.Random(21)
    for _ in range(300):
        p = random_problem(rng)
        for a in range(p.rank):
            assert p.out_spatial[a] == max(0, geometry.conv_out(p.in_spatial[a], *p.axis(a)))
        assert p.x_shape == (p.batch, p.in_channels, *p.in_spatial)
        assert p.w_shape == (p.out_channels, p.in_channels // p.groups, *p.kernel)
        assert p.y_shape == (p.batch, p.out_channels, *p.out_spatial)
        assert {p.output, *p.inputs} == {"x", "w", "y"}
        assert p.result.name == DTYPES[p.dtype].result


def test_products_are_those_that_the_formula_multiplies():
    """Counted by the oracle: with ones as data, the sum of y is the number of products."""
    rng = random.Random(22)
    for _ in range(60):
        p = random_problem(rng)
        x, w = np.ones(p.x_shape), np.ones(p.w_shape)
        how = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
        assert p.products == reference.convolution(x, w, **how).sum(), str(p)
        assert p.flops == (8 if p.dtype.startswith("complex") else 2) * p.products


def test_a_bias_belongs_to_the_channels_of_the_result():
    assert ConvProblem.parse("forward float32 c4->6 i9 k3").bias_shape == (6,)
    assert ConvProblem.parse("backward_data float32 c4->6 i9 k3").bias_shape == (4,)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1,), (5, 1, 1), (2, 0, 3)])
def test_contiguous_strides_are_those_of_numpy(shape):
    array = np.empty(shape, np.int64)
    ours = contiguous_strides(shape)
    if array.size:
        assert ours == tuple(s // 8 for s in array.strides)
    else:
        assert len(ours) == len(shape)
