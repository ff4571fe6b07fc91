"""Receptive fields against brute force: one sample is changed, and the outputs that change are those that see it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import config, sym
from mxconv.geometry import forward_axis
from mxconv.symbol.graph import Entry
from mxconv.symbol.infer import infer_shapes
from mxconv.symbol.receptive_field import (
    EVERYTHING,
    IDENTITY,
    RULES,
    Field,
    convolution_axis,
    deconvolution_axis,
    receptive_fields,
)

SIZE = 48


def field_of(net: sym.Symbol, shape: tuple[int, ...], name: str = "x") -> Field | None:
    (node,) = (n for n in (e.node for e in net.get_internals().entries) if n.name == name)
    return receptive_fields(net.entries, infer_shapes(net.entries, {node: shape}), node)[net.entries[0]]


def seen(net: sym.Symbol, size: int) -> np.ndarray[Any, Any]:
    """seen[o, i]: whether output o of the first channel depends on sample i, on one axis of that size."""
    executor = net.simple_bind(mx.cpu(), grad_req="null", type_dict={"x": "float64"}, x=(size + 1, 2, size))
    drawn = np.random.default_rng(7)
    for name, array in [*executor.arg_dict.items(), *executor.aux_dict.items()]:
        array[:] = drawn.uniform(0.5, 1.5, array.shape)
        if name == "x":
            array[:] = drawn.uniform(0.5, 1.5, array.shape[1:])
            for i in range(size):
                array[i, :, i] = 100 + i  # a maximum, wherever it is seen
    with config.override(accuracy="pointwise"):  # with a transform, rounding sees more
        (result,) = executor.forward()
    values = result.asnumpy().astype(np.float64)
    return np.asarray((values[:-1] != values[-1:]).any(1).T)


def check(net: sym.Symbol, size: int = SIZE) -> Field:
    """The field says the hull of what is seen by every output far from the borders, and the largest of all sizes."""
    field = field_of(net, (1, 2, size))
    assert field is not None
    (reach,) = field
    changed = seen(net, size)
    inner = 0
    for position, row in enumerate(changed):
        span = reach.span(position)
        if span is None:
            assert not row.any()
        elif size // 4 <= span[0] and span[1] <= size - size // 4:
            inner += 1
            samples = np.flatnonzero(row)
            assert (samples[0], samples[-1] + 1) == span, position
    assert inner >= len(reach.spans), "too few outputs are far from the borders"
    return field


def conv(x: sym.Symbol, **given: Any) -> sym.Symbol:
    return sym.Convolution(x, num_filter=2, no_bias=True, **given)


def deconv(x: sym.Symbol, **given: Any) -> sym.Symbol:
    return sym.Deconvolution(x, num_filter=2, **given)


X = sym.Variable("x")
NETS: dict[str, Callable[[], sym.Symbol]] = {
    "convolution": lambda: conv(X, kernel=5, stride=3, dilate=2, pad=1),
    "deconvolution": lambda: deconv(X, kernel=4, stride=2, pad=1),
    "dilated deconvolution": lambda: deconv(X, kernel=2, stride=2, dilate=3, adj=1),
    "holes": lambda: deconv(X, kernel=1, stride=3),
    "holes of holes": lambda: conv(deconv(X, kernel=1, stride=3), kernel=2, stride=2),
    "up and down": lambda: conv(deconv(X, kernel=3, stride=2, target_shape=(95,)), kernel=3, stride=3, dilate=2),
    "down and up": lambda: deconv(conv(X, kernel=3, stride=2, pad=1), kernel=4, stride=2, pad=1),
    "not in order": lambda: conv(deconv(X, kernel=2, stride=2, dilate=3), kernel=3, dilate=1),
    "pools": lambda: sym.Pooling(
        sym.Pooling(X, kernel=(3,), stride=(2,), pad=(1,), pool_type="max", pooling_convention="full"),
        kernel=(2,),
        pool_type="avg",
    ),
    "old pool": lambda: sym.Pooling_v1(X, kernel=(3,), stride=(2,), pad=(1,), pool_type="avg"),
    "skip": lambda: conv(X, kernel=3, pad=1) + sym.slice_axis(conv(X, kernel=5, pad=3), axis=2, begin=1, end=49) * 2,
    "skip around a stride": lambda: conv(X, kernel=1, stride=2) + conv(conv(X, kernel=2), kernel=3, stride=2, pad=1),
    "skip around holes": lambda: sym.Concat(deconv(conv(X, kernel=3, stride=2, pad=1), kernel=2, stride=2), X),
    "nearest": lambda: conv(sym.UpSampling(X, scale=3, sample_type="nearest", num_args=1), kernel=2),
    "two to sum": lambda: sym.UpSampling(
        X, conv(X, kernel=2, stride=2), scale=2, sample_type="nearest", num_args=2, multi_input_mode="sum"
    ),
    "slice": lambda: sym.slice_axis(conv(X, kernel=2), axis=2, begin=5, end=None),
    "slice from the end": lambda: sym.slice_axis(X, axis=-1, begin=-40, end=47),
    "channels": lambda: sym.SliceChannel(conv(X, kernel=3), num_outputs=2)[1],
    "pad": lambda: conv(sym.Pad(X, mode="constant", pad_width=(0, 0, 0, 0, 3, 2)), kernel=3),
    "norm": lambda: sym.BatchNorm(sym.L2Normalization(conv(X, kernel=3), mode="channel"), fix_gamma=False),
    "softmax": lambda: sym.softmax(0.01 * conv(X, kernel=3), axis=1),
    "mean of channels": lambda: sym.mean(conv(X, kernel=3), axis=1, keepdims=True),
    "pointwise": lambda: sym.Activation(sym.sqrt(sym.clip(X, 0.0, 1e4)), act_type="relu"),
}


@pytest.mark.parametrize("name", NETS)
def test_against_brute_force(name: str) -> None:
    check(NETS[name]())


@pytest.mark.parametrize("seed", range(20))
def test_random_chains_against_brute_force(seed: int) -> None:
    draw = random.Random(seed)
    x: sym.Symbol = X
    for _ in range(3):
        kernel, stride, dilate = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 2)
        pad = draw.randint(0, kernel // 2)
        kind = draw.choice(("conv", "deconv", "pool"))
        if kind == "pool":
            x = sym.Pooling(x, kernel=(kernel,), stride=(stride,), pad=(pad,), pool_type="avg")
        else:
            make = conv if kind == "conv" else deconv
            x = make(x, kernel=kernel, stride=stride, dilate=dilate, pad=pad)
    check(x, 160)


def test_well_known_numbers() -> None:
    x: sym.Symbol = X
    for count in (2, 2, 3, 3, 3):  # VGG-16
        for _ in range(count):
            x = sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4)
        x = sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    field = field_of(x, (1, 3, 224, 224))
    assert field is not None
    assert [(reach.size, reach.jump) for reach in field] == [(212, 32)] * 2


def test_axes_layouts_and_ranks() -> None:
    net = sym.Convolution(X, kernel=(3, 5), stride=(1, 2), num_filter=4, layout="NHWC")
    net = sym.Pooling(net, kernel=(2, 2), stride=(2, 2), pool_type="max", layout="NHWC")
    field = field_of(net, (1, 20, 30, 3))
    assert field is not None
    assert [(reach.size, reach.jump) for reach in field] == [(4, 2), (7, 4)]
    field = field_of(sym.Convolution(X, kernel=(1, 2, 3), num_filter=4), (1, 3, 4, 5, 6))
    assert field is not None
    assert [reach.size for reach in field] == [1, 2, 3]
    mixed = sym.Pooling(sym.Convolution(X, kernel=(3, 3), num_filter=4, layout="NHWC"), kernel=(2, 2), layout="NCHW")
    assert field_of(mixed, (1, 8, 8, 8)) is None


def test_crops_by_shape_alone() -> None:
    big = sym.Deconvolution(X, kernel=(2, 2), stride=(2, 2), num_filter=2)
    for net, first in (
        (sym.Crop(big, X, num_args=2, offset=(2, 4)), (1, 2)),
        (sym.Crop(big, X, num_args=2, center_crop=True), (2, 2)),
    ):
        field = field_of(net, (1, 2, 8, 8))
        assert field is not None
        assert [reach.span(0) for reach in field] == [(n, n + 1) for n in first]


def test_what_sees_everything() -> None:
    """A gate of one value an image, and norms over the image."""
    body = sym.Convolution(X, kernel=(3, 3), pad=(1, 1), num_filter=4)
    gate = sym.sigmoid(
        sym.Convolution(sym.Pooling(body, global_pool=True, pool_type="avg"), kernel=(1, 1), num_filter=4)
    )
    pooled = field_of(gate, (1, 4, 8, 9))
    assert pooled is not None
    assert [reach.size for reach in pooled] == [10, 11]
    for net in (sym.broadcast_mul(body, gate), sym.InstanceNorm(body), sym.L2Normalization(body)):
        after = sym.Convolution(net, kernel=(3, 3), num_filter=4)
        for one in (net, after, after + after):
            assert field_of(one, (1, 4, 8, 9)) == (EVERYTHING, EVERYTHING)
    by_mean = field_of(sym.mean(body, axis=(2, 3), keepdims=True), (1, 4, 8, 9))
    assert by_mean == pooled


@pytest.mark.parametrize(
    "net",
    [
        sym.Flatten(X),
        sym.FullyConnected(X, num_hidden=3),
        sym.transpose(X, axes=(0, 1, 3, 2)),
        sym.softmax(X),
        sym.softmax(X, axis=2),
        sym.SoftmaxActivation(X),
        sym.Concat(X, X, dim=2),
        sym.mean(X, axis=2),
        sym.Convolution(X, sym.tile(X, reps=(4, 1, 1, 1)), kernel=(4, 4), num_filter=4, no_bias=True),
        sym.Convolution(sym.transpose(X), kernel=(1, 1), num_filter=4),
        sym.Pooling(X, kernel=(2, 2), stride=(2, 2)) + sym.slice(X, begin=(0, 0, 0, 0), end=(1, 4, 2, 2)),
        sym.Pooling(X, kernel=(2, 2), stride=(2, 2)) + sym.Crop(X, num_args=1, h_w=(2, 2)),
    ],
)
def test_what_has_no_field(net: sym.Symbol) -> None:
    assert field_of(net, (1, 4, 4, 4)) is None


def test_what_does_not_depend_is_not_listed() -> None:
    y = sym.sqrt(sym.Variable("y", shape=(1, 2, 3)), name="root")
    net = y + X
    node = X.entries[0].node
    found = receptive_fields(net.entries, infer_shapes(net.entries, {node: (1, 2, 3)}), node)
    assert set(found) == {Entry(node, 0), net.entries[0]}
    assert found[net.entries[0]] == (IDENTITY,)


def test_reaches() -> None:
    twice = IDENTITY.through(deconvolution_axis(3, 2))
    assert twice is not None
    assert (twice.size, twice.jump, [twice.span(o) for o in range(-1, 3)]) == (
        2,
        Fraction(1, 2),
        [(-1, 0), (-1, 1), (0, 1), (0, 2)],
    )
    assert EVERYTHING.size == math.inf
    assert EVERYTHING.joined(twice) == EVERYTHING.through(deconvolution_axis(3, 2)) == EVERYTHING
    assert IDENTITY.joined(twice) is None


def test_monsters_are_given_up() -> None:
    assert convolution_axis(1 << 40) is None
    assert deconvolution_axis(1, 1 << 40) is None
    patterned = IDENTITY.through(deconvolution_axis(1, 401))
    assert patterned is not None
    assert patterned.through(deconvolution_axis(1, 409)) is None
    wide = IDENTITY.through(deconvolution_axis(1, 401))
    assert wide is not None
    through = wide.through(forward_axis(2, 1 << 17, 1, 1, 0))
    assert through is not None
    assert through.size == (1 << 17) // 401 + 1


def test_every_rule_is_an_operators() -> None:
    from mxconv.ops.registry import lookup

    assert [name for name in RULES if lookup(name) is None] == []
