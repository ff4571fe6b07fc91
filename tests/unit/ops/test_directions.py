"""The three directions as operators: shapes, types, refusals, empty arrays, packs; their gradients' wiring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mxconv.dtypes import DTYPES
from mxconv.engine import pack_cache, planner
from mxconv.engine.pack_cache import WeightIdentity
from mxconv.errors import DTypeError, MXNetError, ParamError, ShapeError
from mxconv.ndarray.storage import Storage
from mxconv.ops import registry
from mxconv.ops.directions import ROLES
from mxconv.ops.registry import OPERATORS, Call
from registry_gradients import gradients, invoke

HOW = {"kernel": (3, 2), "size": (9, 7), "stride": (2, 1), "dilate": (1, 2), "pad": ((1, 0), (-1, 2)), "num_group": 2}
SHAPES = {"x": (2, 4, 9, 7), "w": (6, 2, 3, 2), "y": (2, 6, 4, 6)}
LAST = {"x": (2, 9, 7, 4), "w": (6, 3, 2, 2), "y": (2, 4, 6, 6)}


def infer(op: str, ins: list[Any], out: Any, **changes: Any) -> tuple[list[Any], list[Any]]:
    spec = OPERATORS[op]
    shapes, outs = spec.infer_shape(spec.parse({**HOW, **changes}), ins, [out])
    return list(shapes), list(outs)


@pytest.mark.parametrize("direction", ROLES)
@pytest.mark.parametrize(("layout", "shapes"), [(None, SHAPES), ("NCHW", SHAPES), ("NHWC", LAST)])
def test_shapes_follow_from_any_two(direction: Any, layout: Any, shapes: dict[str, Any]) -> None:
    *ins, out = (shapes[name] for name in ROLES[direction])
    op = f"_conv_{direction}"
    whole = (ins, [out])
    assert infer(op, ins, None, layout=layout) == whole
    assert infer(op, [ins[0], None], out, layout=layout) == whole
    assert infer(op, [None, ins[1]], out, layout=layout) == whole
    assert infer(op, ins, out, layout=layout) == whole


def test_what_is_not_known_stays_so() -> None:
    x, w, y = (None, None, 9, 7), (None, None, 3, 2), (None, None, 4, 6)
    assert infer("_conv_forward", [None, None], None) == ([x, w], [y])
    x, w = (None, 4, 9, 7), (None, 2, 3, 2)
    assert infer("_conv_forward", [x, None], None) == ([x, w], [y])


WRONG_ATTRIBUTES: list[dict[str, Any]] = [
    {"kernel": ()},
    {"kernel": (0, 2)},
    {"stride": (1,)},
    {"dilate": (1, 0)},
    {"size": (9, -1)},
    {"size": None},
    {"pad": (1, 1, 1)},
    {"layout": "NCW"},
]
WRONG_SHAPES = [
    ("forward", "x", (2, 5, 9, 7)),
    ("forward", "x", (2, 4, 9, 8)),
    ("forward", "x", (2, 4, 9)),
    ("forward", "w", (6, 3, 3, 2)),
    ("forward", "w", (6, 2, 3, 3)),
    ("forward", "w", (5, 2, 3, 2)),
    ("backward_data", "y", (2, 5, 4, 6)),
    ("backward_data", "y", (2, 6, 5, 6)),
    ("backward_data", "w", (4, 2, 3, 2)),
    ("backward_data", "w", (6, 2, 3)),
    ("backward_weight", "x", (3, 4, 9, 7)),
    ("backward_weight", "x", (2, 3, 9, 7)),
    ("backward_weight", "y", (2, 6, 4, 7)),
    ("backward_weight", "y", (2, 3, 4, 6)),
]


def refused(direction: Any, attributes: dict[str, Any], shapes: dict[str, Any]) -> MXNetError:
    arrays = [np.zeros(shapes[name], "float32") for name in ROLES[direction][:2]]
    with pytest.raises((ShapeError, ParamError)) as caught:
        invoke(f"_conv_{direction}", arrays, attributes)
    error: MXNetError = caught.value
    assert error.op == f"_conv_{direction}"
    assert str(error).startswith(f"_conv_{direction}: {error.argument} ")
    assert str(error.got) in str(error)
    assert f"expected {error.expected}" in str(error)
    assert error.fix
    return error


@pytest.mark.parametrize("attributes", WRONG_ATTRIBUTES, ids=str)
@pytest.mark.parametrize("direction", ROLES)
def test_wrong_parameters_are_refused(direction: Any, attributes: dict[str, Any]) -> None:
    assert refused(direction, {**HOW, **attributes}, SHAPES).argument in attributes


@pytest.mark.parametrize(("direction", "name", "shape"), WRONG_SHAPES, ids=str)
def test_wrong_shapes_are_refused(direction: Any, name: str, shape: tuple[int, ...]) -> None:
    assert refused(direction, HOW, {**SHAPES, name: shape}).argument in ROLES[direction]


def test_types_are_those_of_a_convolution() -> None:
    spec = OPERATORS["_conv_backward_weight"]
    param = spec.parse(HOW)
    assert spec.infer_type(param, [np.int8, None], [None]) == ([np.int8, np.int8], [np.int32])
    assert spec.infer_type(param, [None, None], [np.float32]) == ([np.float32, np.float32], [np.float32])
    with pytest.raises(DTypeError, match="_conv_backward_weight: y has dtype float64, expected float32"):
        invoke("_conv_backward_weight", [np.zeros(SHAPES["x"], "f4"), np.zeros(SHAPES["y"], "f8")], HOW)


@pytest.mark.parametrize("direction", ROLES)
@pytest.mark.parametrize("dtype", [name for name, t in DTYPES.items() if t.kind == "int"])
def test_integers_are_exact_and_have_no_gradient(direction: Any, dtype: str) -> None:
    rng = np.random.default_rng(3)
    *inputs, _ = (rng.integers(0, 100, SHAPES[name]) for name in ROLES[direction])
    exact = invoke(f"_conv_{direction}", inputs, HOW)[0]
    small = [a.astype(dtype) for a in inputs]
    result = invoke(f"_conv_{direction}", small, HOW)[0]
    assert result.dtype == DTYPES[dtype].result
    np.testing.assert_array_equal(result, exact)
    with pytest.raises(DTypeError, match=f"{dtype}, expected .* integers have no derivative. Cast the inputs"):
        gradients(f"_conv_{direction}", small, result, HOW)


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_integers_have_no_gradient_in_layers_either(op: str) -> None:
    data, weight = np.ones((1, 2, 5), "int32"), np.ones((2, 2, 3), "int32")
    attributes = {"kernel": 3, "num_filter": 2, "no_bias": True}
    (head,) = invoke(op, [data, weight], attributes)
    with pytest.raises(DTypeError, match=f"{op}: data has dtype int32, expected a float or complex one") as caught:
        gradients(op, [data, weight], head, attributes)
    assert caught.value.fix == "Cast the inputs with .astype('float32') before the call."


def test_a_sum_of_bytes_may_be_too_long() -> None:
    """All three know how many products the longest sum of one result has."""
    long = 200_000
    how = {"kernel": (1,), "size": (long,), "stride": (1,), "dilate": (1,), "pad": (0,)}
    x, y = np.zeros((1, 1, long), "int8"), np.zeros((1, 1, long), "int8")
    with pytest.raises(DTypeError, match=f"{long} products"):
        invoke("_conv_backward_weight", [x, y], how)
    assert not invoke("_conv_backward_data", [y, np.ones((1, 1, 1), "int8")], how)[0].any()
    with pytest.raises(DTypeError, match=f"{2 * long} products"):  # taps 0 and 2 fall on the same samples
        invoke("_conv_backward_data", [y.reshape(1, long, 1), np.zeros((long, 1, 3), "int8")],
               {**how, "kernel": (3,), "stride": (2,), "size": (2,), "pad": ((1, 0),)})  # fmt: skip


EMPTY = {
    "no samples": {"x": (0, 4, 9, 7), "w": (6, 2, 3, 2), "y": (0, 6, 4, 6)},
    "no positions": {"x": (2, 4, 9, 0), "w": (6, 2, 3, 2), "y": (2, 6, 4, 0)},
    "no filters": {"x": (2, 4, 9, 7), "w": (0, 2, 3, 2), "y": (2, 0, 4, 6)},
}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("direction", ROLES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_nothing_gives_zeros(direction: Any, kind: str, dtype: str) -> None:
    shapes = EMPTY[kind]
    *inputs, head = (np.ones(shapes[name]).astype(DTYPES[dtype].numpy) for name in ROLES[direction])
    how = {**HOW, "size": shapes["x"][2:]}
    result = invoke(f"_conv_{direction}", inputs, how)[0]
    assert result.shape == head.shape
    found = gradients(f"_conv_{direction}", inputs, head, how)
    for name, array in zip((*ROLES[direction][:2], ROLES[direction][2]), (*found, result), strict=True):
        assert array is not None
        assert array.shape == shapes[name]
        assert array.dtype == DTYPES[dtype].numpy
        if 0 in [n for other, shape in shapes.items() if other != name for n in shape]:
            assert not array.any()


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_packed_weights_are_kept(direction: Any) -> None:
    spec = OPERATORS[f"_conv_{direction}"]
    how = {"kernel": (3,), "size": (64,), "stride": (1,), "dilate": (1,), "pad": (1,)}
    data, weight = np.ones((1, 32, 64), "float32"), np.ones((32, 32, 3), "float32")
    storage = Storage()
    identity = WeightIdentity(storage, storage.version, weight.ctypes.data)
    call = Call(identities=(None, identity))
    before = pack_cache.counts()
    for _ in range(2):
        registry.compute(spec, spec.parse(how), [data, weight], call)
    after = pack_cache.counts()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


def test_a_weight_gradient_takes_no_input_for_a_weight() -> None:
    spec = OPERATORS["_conv_backward_weight"]
    how = {"kernel": (3,), "size": (64,), "stride": (1,), "dilate": (1,), "pad": (1,)}
    x, y = np.ones((1, 32, 64), "float32"), np.ones((1, 32, 64), "float32")
    storage = Storage()
    call = Call(identities=(None, WeightIdentity(storage, storage.version, y.ctypes.data)))
    before = pack_cache.counts()
    registry.compute(spec, spec.parse(how), [x, y], call)
    assert pack_cache.counts() == before


@pytest.mark.parametrize("direction", ROLES)
def test_parameters_reach_the_engine(direction: Any) -> None:
    *inputs, _ = (np.ones(SHAPES[name], "float32") for name in ROLES[direction])
    with planner.recording() as plans:
        invoke(f"_conv_{direction}", inputs, {**HOW, "workspace": 0})
    (plan,) = plans
    assert plan.workspace_bytes == 0
    problem = plan.problem
    assert (problem.direction, problem.groups, problem.in_spatial) == (direction, 2, (9, 7))
    assert (problem.stride, problem.dilation) == ((2, 1), (1, 2))
    assert (problem.pad_lo, problem.pad_hi) == ((1, -1), (0, 2))


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_gradients_keep_the_limit_of_workspace(op: str) -> None:
    rng = np.random.default_rng(0)
    data, weight = rng.standard_normal((2, 4, 12, 12)), rng.standard_normal((4, 4, 3, 3))
    attributes = {"kernel": (3, 3), "num_filter": 4, "no_bias": True, "workspace": 0}
    head = np.ones_like(invoke(op, [data, weight], attributes)[0])
    with planner.recording() as plans:
        gradients(op, [data, weight], head, attributes)
    assert [plan.workspace_bytes for plan in plans] == [0, 0, 0]


def test_errors_are_mxnet_errors() -> None:
    with pytest.raises(MXNetError, match="_conv_forward: size is missing"):
        OPERATORS["_conv_forward"].parse({"kernel": (3,)})
