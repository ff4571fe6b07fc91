"""Every plain operator: its values against NumPy, its gradients against differences, its inference against its values.

One row of CASES is one call. Gradients are checked in float64 against central differences, second derivatives in one
direction; types and shapes that `infer` says are compared with those that `forward` gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxconv as mx
from mxconv import autograd, nd
from mxconv.ndarray.invoke import invoke
from mxconv.ops import registry
from mxconv.ops.inference import infer_shapes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A call, and what it must give: `expected(*inputs)`, one array or a list of them.

    fixed:  inputs that are not differentiated (indices, shapes).
    orders: how many derivatives are checked; 0 where there is none, or zero everywhere.
    """

    op: str
    inputs: Sequence[Array]
    attrs: dict[str, Any]
    expected: Callable[..., Any]
    fixed: tuple[int, ...] = ()
    orders: int = 2
    id: str = field(default="")


OURS = ("arrange", "binary", "broadcast", "creation", "identity", "indexing", "join", "matrix", "pad", "reduce",
        "reshape", "slicing", "unary")  # fmt: skip
RNG = np.random.default_rng(7)
CASES: list[Case] = []


def case(op: str, inputs: Sequence[Any], expected: Callable[..., Any], attrs: Any = None, **others: Any) -> None:
    attrs = attrs or {}
    arrays = [np.asarray(x, np.float64) for x in inputs]
    CASES.append(Case(op, arrays, attrs, expected, id=f"{op}-{len(CASES)}", **others))


def some(*shape: int) -> Array:
    """Numbers away from the places where functions bend."""
    return RNG.choice([-1, 1], shape) * RNG.uniform(0.3, 0.9, shape)


def positive(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.5, shape)


def distinct(*shape: int) -> Array:
    """Numbers with gaps between them, in any order."""
    return RNG.permutation(math.prod(shape)).reshape(shape) * 0.7 + 0.2


# ---- element by element
erf = np.vectorize(math.erf)
for name, function in {
    "abs": np.abs, "negative": np.negative, "square": np.square, "relu": lambda x: np.maximum(x, 0),
    "cbrt": np.cbrt, "reciprocal": np.reciprocal, "exp": np.exp, "expm1": np.expm1, "log1p": np.log1p, "sin": np.sin,
    "rcbrt": lambda x: 1 / np.cbrt(x), "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos,
    "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "arcsinh": np.arcsinh, "erf": erf,
    "arctanh": np.arctanh, "degrees": np.degrees, "radians": np.radians, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)), "_copy": np.copy, "Flatten": lambda x: x,
}.items():  # fmt: skip
    case(name, [some(2, 3)], function)
for name, function in {
    "sqrt": np.sqrt, "rsqrt": lambda x: x**-0.5, "log": np.log, "log2": np.log2, "log10": np.log10,
}.items():  # fmt: skip
    case(name, [positive(2, 3)], function)
case("arccosh", [positive(2, 3) + 1], np.arccosh)
halves = [[-2.5, -1.5, -0.7, 0, 0.5, 1.5, 2.2]]
steps = [[-2.6, -1.3, 0.7, 1.9]]
for name, function in {
    "sign": np.sign, "rint": lambda x: np.ceil(x - 0.5), "ceil": np.ceil, "floor": np.floor, "trunc": np.trunc,
    "fix": np.trunc,
    "round": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5), "logical_not": lambda x: x == 0,
    "zeros_like": np.zeros_like, "ones_like": np.ones_like,
}.items():  # fmt: skip
    case(name, halves, function, orders=0)
    case(name, steps, function, orders=1)
case("clip", [distinct(2, 3)], lambda x: np.clip(x, 1, 2.5), {"a_min": 1, "a_max": "2.5"})
case("smooth_l1", halves, lambda x: np.where(np.abs(x) > 1, np.abs(x) - 0.5, 0.5 * x * x))
case("smooth_l1", [some(5)], lambda x: np.where(np.abs(x) > 0.25, np.abs(x) - 0.125, 2 * x * x), {"scalar": 2})
case("hard_sigmoid", [[-4.0, -1, 0.3, 4]], lambda x: np.clip(0.2 * x + 0.5, 0, 1))
case("BlockGrad", [some(3)], np.copy, orders=0)
case("make_loss", [some(3)], np.copy, orders=0)
case("MakeLoss", [some(3)], np.copy, {"grad_scale": 2}, orders=0)
case("Cast", [some(2, 3)], lambda x: x.astype(np.float32), {"dtype": "float32"}, orders=0)

# ---- two numbers
for name, function in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}.items():
    case(f"elemwise_{name}", [some(2, 3), some(2, 3)], function)
    case(f"broadcast_{name}", [some(2, 3), some(3)], function)
    case(f"broadcast_{name}", [some(2, 1), some(1, 3)], function)
PAIRS: dict[str, Callable[..., Any]] = {
    "maximum": np.maximum, "minimum": np.minimum, "hypot": np.hypot, "power": np.power, "mod": np.mod,
}  # fmt: skip
for name, function in PAIRS.items():
    case(f"_{name}", [positive(2, 3), positive(2, 3)], function)
    case(f"broadcast_{name}", [positive(2, 3), positive(2, 1)], function)
COMPARISONS: dict[str, Callable[..., Any]] = {
    "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "lesser": np.less, "lesser_equal": np.less_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}  # fmt: skip
for name, function in COMPARISONS.items():
    few = [[-1.0, 0, 2]], [[-1.0, 1, 0]]
    case(f"_{name}", few, function, orders=0)
    case(f"broadcast_{name}", [few[0], np.transpose(few[1])], function, orders=0)
    case(f"_{name}_scalar", few[:1], lambda x, f=function: f(x, 2), {"scalar": 2}, orders=0)
SCALARS: dict[str, Callable[..., Any]] = {
    "plus": np.add, "minus": np.subtract, "mul": np.multiply, "div": np.divide, **PAIRS,
}  # fmt: skip
for name, function in SCALARS.items():
    case(f"_{name}_scalar", [positive(2, 3)], lambda x, f=function: f(x, 1.25), {"scalar": 1.25})
    if name in ("minus", "div", "power", "mod"):
        case(f"_r{name}_scalar", [positive(2, 3)], lambda x, f=function: f(2.5, x), {"scalar": 2.5})

# ---- reductions
for name, function in {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod}.items():
    for axis, more in ((None, {}), (1, {}), ((0, -1), {}), (-1, {"keepdims": True}), (1, {"exclude": True})):
        axes = {None: None, (0, -1): (0, 2), 1: 1, -1: -1}[axis] if "exclude" not in more else (0, 2)
        keep = more.get("keepdims", False)
        attrs = {**more, **({} if axis is None else {"axis": axis})}
        case(name, [distinct(2, 3, 2)], lambda x, f=function, a=axes, k=keep: np.reshape(f(x, axis=a, keepdims=k), -1)
             if a is None else f(x, axis=a, keepdims=k), attrs)  # fmt: skip
case("prod", [[[0.0, 2, 3], [0, 0, 5]]], lambda x: np.prod(x, axis=1), {"axis": 1})
case("_other_factors", [[[1.0, 2, 3], [0, 2, 5]]], lambda x: np.array([[6, 3, 2], [10, 0, 0]]), {"axis": 1})
case("norm", [some(2, 3)], lambda x: [np.linalg.norm(x)])
case("norm", [some(2, 3)], lambda x: np.linalg.norm(x, axis=1, keepdims=True), {"axis": 1, "keepdims": 1})
case("norm", [some(2, 3, 2)], lambda x: np.abs(x).sum((0, 1)), {"axis": (0, 1), "ord": 1})
case("argmax", [distinct(2, 3)], lambda x: x.argmax(1), {"axis": 1}, orders=0)
case("argmin", [distinct(2, 3)], lambda x: [x.argmin()], orders=0)
case("argmin", [distinct(2, 3)], lambda x: x.argmin(0)[None], {"axis": 0, "keepdims": True}, orders=0)

# ---- broadcasting
case("broadcast_to", [some(2, 1)], lambda x: np.tile(x, (1, 3)), {"shape": (0, 3)})
case("broadcast_to", [some(3)], lambda x: np.tile(x, (2, 1)), {"shape": (2, 3)})
case("broadcast_axis", [some(1, 2, 1)], lambda x: np.tile(x, (2, 1, 3)), {"axis": (0, 2), "size": (2, 3)})
case("broadcast_like", [some(1, 3), some(2, 3)], lambda x, y: np.tile(x, (2, 1)), fixed=(1,))
case("broadcast_like", [some(1, 3), some(5, 4)], lambda x, y: np.tile(x, (4, 1)),
     {"lhs_axes": (0,), "rhs_axes": (-1,)}, fixed=(1,))  # fmt: skip
case("_sum_like", [some(2, 3, 2), some(3, 1)], lambda x, y: x.sum((0, 2))[:, None], fixed=(1,))

# ---- shapes
for attrs, shape in (
    ({"shape": (4, -1)}, (4, 3)),
    ({"shape": (-3, 0)}, (6, 2)),
    ({"shape": (-1, 0), "reverse": True}, (6, 2)),
    ({"target_shape": (0, 3)}, (4, 3)),
    ({"target_shape": (0, 0), "keep_highest": True}, (2, 6)),
):
    case("Reshape", [some(2, 3, 2)], lambda x, s=shape: x.reshape(s), attrs)
case("Flatten", [some(2, 3, 2)], lambda x: x.reshape(2, 6))
case("reshape_like", [some(2, 3), some(3, 2)], lambda x, y: x.reshape(3, 2), fixed=(1,))
case("reshape_like", [some(2, 3, 2), some(6, 5)], lambda x, y: x.reshape(6, 2),
     {"lhs_begin": 0, "lhs_end": 2, "rhs_begin": 0, "rhs_end": 1}, fixed=(1,))  # fmt: skip
case("expand_dims", [some(2, 3)], lambda x: x[:, None], {"axis": 1})
case("expand_dims", [some(2, 3)], lambda x: x[..., None], {"axis": -1})
case("squeeze", [some(1, 3, 1)], lambda x: x.reshape(3))
case("squeeze", [some(1, 3, 1)], lambda x: x[0], {"axis": 0})
case("squeeze", [some(1, 1)], lambda x: x[0])
case("transpose", [some(2, 3, 2)], np.transpose)
case("transpose", [some(2, 3, 4)], lambda x: x.transpose(1, 2, 0), {"axes": (1, -1, 0)})
case("SwapAxis", [some(2, 3, 2)], lambda x: x.swapaxes(0, 1), {"dim1": 0, "dim2": -2})
case("reverse", [some(2, 3)], lambda x: x[::-1, ::-1], {"axis": (0, -1)})
case("tile", [some(2, 3)], lambda x: np.tile(x, (2, 1, 2)), {"reps": (2, 1, 2)})
case("tile", [some(2, 3)], lambda x: np.tile(x, 3), {"reps": 3})
case("repeat", [some(2, 3)], lambda x: x.repeat(2), {"repeats": 2})
case("repeat", [some(2, 3)], lambda x: x.repeat(3, 1), {"repeats": 3, "axis": -1})

case(
    "depth_to_space",
    [some(2, 4, 2, 3)],
    lambda x: np.stack([x[:, :2].transpose(0, 2, 3, 1), x[:, 2:].transpose(0, 2, 3, 1)], 2).reshape(2, 1, 4, 6),
    {"block_size": 2},
)
case(
    "space_to_depth",
    [some(1, 1, 2, 4)],
    lambda x: np.stack([x[0, 0, i::2, j::2] for i in (0, 1) for j in (0, 1)])[None],
    {"block_size": 2},
)

# ---- slices
case("slice", [some(3, 4)], lambda x: x[1:, -3:3], {"begin": (1, -3), "end": (None, 3)})
case("slice", [some(3, 4)], lambda x: x[::-2], {"begin": (None,), "end": (None,), "step": (-2,)})
case("slice_axis", [some(3, 4)], lambda x: x[:, 1:-1], {"axis": 1, "begin": 1, "end": -1})
case("slice_axis", [some(3, 4)], lambda x: x[-2:], {"axis": -2, "begin": -2, "end": None})
case("slice_like", [some(3, 4), some(2, 2)], lambda x, y: x[:2, :2], fixed=(1,))
case("slice_like", [some(3, 4), some(2, 5)], lambda x, y: x[:2], {"axes": (0,)}, fixed=(1,))
case("_backward_slice", [some(2)], lambda x: np.array([0, x[0], 0, x[1]]),
     {"begin": (1,), "end": (None,), "step": (2,), "shape": (4,)})  # fmt: skip
image = some(1, 2, 4, 5)
case("Crop", [image, some(1, 1, 2, 2)], lambda x, y: x[:, :, :2, :2], {"num_args": 2}, fixed=(1,))
case("Crop", [image, some(1, 1, 2, 3)], lambda x, y: x[:, :, 1:3, 1:4], {"num_args": 2, "center_crop": 1}, fixed=(1,))
case("Crop", [image], lambda x: x[:, :, 1:4, 2:4], {"num_args": 1, "h_w": (3, 2), "offset": (1, 2)})
for mode in ("constant", "edge", "reflect"):
    case("Pad", [some(1, 1, 2, 3)], lambda x, m=mode: np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 2)), m),
         {"mode": mode, "pad_width": (0, 0, 0, 0, 1, 0, 1, 2)})  # fmt: skip
case("Pad", [some(2)], lambda x: np.pad(x, 1, constant_values=5), {"mode": "constant", "pad_width": (1, 1),
     "constant_value": 5})  # fmt: skip

# ---- joining, products, indices
case("Concat", [some(2, 3), some(2, 1)], lambda *x: np.concatenate(x, 1), {"num_args": 2})
case("Concat", [some(2, 3), some(1, 3), some(2, 3)], lambda *x: np.concatenate(x), {"num_args": 3, "dim": -2})
case("stack", [some(2, 3), some(2, 3)], lambda *x: np.stack(x, 1), {"num_args": 2, "axis": 1})
case("SliceChannel", [some(2, 4)], lambda x: np.split(x, 2, 1), {"num_outputs": 2})
case("SliceChannel", [some(2, 3)], lambda x: list(x), {"num_outputs": 2, "axis": 0, "squeeze_axis": True})
case("SliceChannel", [some(2, 3)], lambda x: [x], {"num_outputs": 1, "axis": -1})
case("add_n", [some(2, 3)] * 3, lambda x, y, z: x + y + z, {"num_args": 3})
for a in (False, True):
    for b in (False, True):
        flags = {"transpose_a": a, "transpose_b": b}
        case("dot", [some(*((3, 2) if a else (2, 3))), some(*((4, 3) if b else (3, 4)))],
             lambda x, y, a=a, b=b: (x.T if a else x) @ (y.T if b else y), flags)  # fmt: skip
        case("batch_dot", [some(2, *((3, 2) if a else (2, 3))), some(2, *((4, 3) if b else (3, 4)))],
             lambda x, y, a=a, b=b: (x.swapaxes(1, 2) if a else x) @ (y.swapaxes(1, 2) if b else y), flags)  # fmt: skip
case("dot", [some(3), some(3)], lambda x, y: [x @ y])
case("dot", [some(2, 2, 3), some(3, 2, 2)], lambda x, y: np.tensordot(x, y, 1))
case("dot", [some(3, 2, 2), some(2, 2, 3)], lambda x, y: np.tensordot(x, y, (0, 2)),
     {"transpose_a": True, "transpose_b": True})  # fmt: skip
case("take", [some(3, 2), [[0, 2], [2, 9]]], lambda x, i: x[[[0, 2], [2, 2]]], fixed=(1,))
case("take", [some(2, 3), [-1, 4]], lambda x, i: x[:, [2, 1]], {"axis": 1, "mode": "wrap"}, fixed=(1,))
case("Embedding", [[[0, 2], [1, 1]], some(3, 2)], lambda i, w: w[[[0, 2], [1, 1]]],
     {"input_dim": 3, "output_dim": 2}, fixed=(0,))  # fmt: skip
case("pick", [some(2, 3), [0, 5]], lambda x, i: x[[0, 1], [0, 2]], fixed=(1,))
case("pick", [some(2, 3), [[1, 0, -1]]], lambda x, i: np.array([[x[1, 0], x[0, 1], x[1, 2]]]),
     {"axis": 0, "keepdims": True, "mode": "wrap"}, fixed=(1,))  # fmt: skip
case("one_hot", [[0.0, 2, 5]], lambda i: np.array([[3, -1, -1], [-1, -1, 3], [-1, -1, -1]], np.int32),
     {"depth": 3, "on_value": 3, "off_value": -1, "dtype": "int32"}, orders=0)  # fmt: skip
case("where", [[[1, 0, 2], [0, 0, 1]], some(2, 3), some(2, 3)], lambda c, x, y: np.where(c, x, y), fixed=(0,))
case("where", [[1, 0], some(2, 3), some(2, 3)], lambda c, x, y: np.where(c[:, None], x, y), fixed=(0,))

# ---- out of nothing
case("_zeros", [], lambda: np.zeros((2, 3), np.float32), {"shape": (2, 3)}, orders=0)
case("_ones", [], lambda: np.ones((2,), np.int32), {"shape": (2,), "dtype": "int32"}, orders=0)
case("_full", [], lambda: np.full((2,), 3.5, np.float32), {"shape": (2,), "value": 3.5}, orders=0)
case("_arange", [], lambda: np.arange(2, 7, 2).repeat(2).astype(np.float32),
     {"start": 2, "stop": 7, "step": 2, "repeat": 2}, orders=0)  # fmt: skip


def run(case: Case, inputs: Sequence[Any]) -> list[nd.NDArray]:
    return invoke(case.op, inputs, case.attrs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_values_shapes_and_types(case: Case) -> None:
    spec = registry.lookup(case.op)
    assert spec is not None
    param = spec.parse(case.attrs)
    results = [one.asnumpy() for one in run(case, case.inputs)]
    expected = case.expected(*case.inputs)
    expected = expected if spec.output_names(param)[0] == "output0" else [expected]
    assert len(results) == len(expected) == len(spec.output_names(param))
    for result, wanted in zip(results, expected, strict=True):
        wanted = np.asarray(wanted)
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-12, atol=1e-12)
    shapes = [x.shape for x in case.inputs]
    assert infer_shapes(spec, param, shapes) == (shapes, [one.shape for one in results])
    types, found = spec.infer_type(param, [x.dtype.type for x in case.inputs], [None] * len(results))
    assert (list(types), list(found)) == ([np.float64] * len(shapes), [one.dtype.type for one in results])
    assert spec.doc.endswith(".")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_symbol_that_went_through_json_computes_the_same(case: Case) -> None:
    function = getattr(mx.sym, case.op, None) or getattr(mx.sym._internal, case.op)
    inputs = {f"x{i}": nd.array(x, dtype="float64") for i, x in enumerate(case.inputs)}
    symbol = mx.sym.load_json(function(*map(mx.sym.Variable, inputs), **case.attrs).tojson())
    for found, expected in zip(symbol.eval(**inputs), run(case, case.inputs), strict=True):
        assert found.dtype is expected.dtype
        np.testing.assert_array_equal(found.asnumpy(), expected.asnumpy())


@pytest.mark.parametrize("case", [one for one in CASES if one.orders], ids=lambda case: case.id)
def test_gradients(case: Case) -> None:
    rng = np.random.default_rng(1)
    places = [place for place in range(len(case.inputs)) if place not in case.fixed]
    heads = [rng.normal(size=one.shape) for one in run(case, case.inputs)]
    directions = [rng.normal(size=case.inputs[place].shape) for place in places]

    def value(inputs: Sequence[Array]) -> float:
        """The sum over the outputs y of heads*y + y*y, which has a second derivative even where y is linear."""
        outputs = [one.asnumpy() for one in run(case, inputs)]
        return sum(float((head * y + y * y).sum()) for y, head in zip(outputs, heads, strict=True))

    def slope(inputs: Sequence[Array], order: int) -> tuple[list[Array], list[Array]]:
        """The gradient of `value`, and with order 2 that of its product with the directions."""
        arrays = [nd.array(x, dtype="float64") for x in inputs]
        variables = [arrays[place] for place in places]
        for one in variables:
            one.attach_grad()
        with autograd.record():
            outputs = run(case, arrays)
            given = [nd.array(head, dtype="float64") for head in heads]
            values = [head * y + y * y for head, y in zip(given, outputs, strict=True)]
            first = autograd.grad(values, variables, create_graph=order == 2)
            second = []
            if order == 2:
                second = autograd.grad(first, variables, [nd.array(one, dtype="float64") for one in directions])
        return [one.asnumpy() for one in first], [one.asnumpy() for one in second]

    first, second = slope(case.inputs, case.orders)
    for place, gradient in zip(places, first, strict=True):
        np.testing.assert_allclose(gradient, differences(value, case.inputs, place), rtol=1e-6, atol=1e-7)
    if case.orders < 2:
        return
    step = 1e-5
    moved = []
    for sign in (1, -1):
        inputs = list(case.inputs)
        for place, along in zip(places, directions, strict=True):
            inputs[place] = inputs[place] + sign * step * along
        moved.append(slope(inputs, 1)[0])
    for up, down, along, found in zip(*moved, directions, second, strict=True):
        # the Hessian is symmetric: H v by differences of the gradient is the gradient of (gradient . v)
        np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-5, atol=1e-6)
        assert found.shape == along.shape


def differences(value: Callable[[Sequence[Array]], float], inputs: Sequence[Array], place: int) -> Array:
    """The gradient of `value` for one input by central differences."""
    step = 1e-5
    result = np.zeros(inputs[place].shape)
    for index in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = [np.array(x) for x in inputs]
            moved[place][index] += sign * step
            ends.append(value(moved))
        result[index] = (ends[0] - ends[1]) / (2 * step)
    return result


def test_every_operator_has_a_case() -> None:
    checked = {one.op for one in CASES}
    registry.lookup("")
    for spec in registry.OPERATORS.values():
        home = getattr(spec.forward, "__wrapped__", spec.forward).__module__.rpartition(".")[2]
        if home in OURS and not spec.name.startswith("_backward_"):
            assert spec.name in checked


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "complex64"])
@pytest.mark.parametrize("op", ["sum", "add_n", "elemwise_mul", "dot", "Concat", "square", "where", "Pad"])
def test_types_are_kept(op: str, dtype: str) -> None:
    numpy_type = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    x = np.array([[1, 2], [3, 4]]).astype(numpy_type)
    count = {"sum": 1, "square": 1, "Pad": 1, "where": 3}.get(op, 2)
    attrs = {"Pad": {"mode": "edge", "pad_width": (0, 0, 1, 1)}}.get(op, {})
    (result,) = invoke(op, [x] * count, attrs)
    assert result.asnumpy().dtype == x.dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_rounded_once(dtype: str) -> None:
    many = nd.ones((4096,), dtype=dtype)
    assert nd.sum(many).asscalar() == 4096
    assert invoke("dot", [many, many], {})[0].asscalar() == 4096
    assert invoke("_sum_like", [many, nd.ones((1,), dtype=dtype)], {})[0].asscalar() == 4096
    x = nd.full((1,), 3, dtype=dtype)
    (result,) = invoke("add_n", [x, nd.full((1,), 2**-9, dtype=dtype), nd.full((1,), -3, dtype=dtype)], {})
    assert result.asscalar() == 2**-9


def test_empty_arrays() -> None:
    empty = nd.zeros((0, 3))
    assert nd.sum(empty).asnumpy().tolist() == [0]
    assert nd.prod(empty, axis=0).asnumpy().tolist() == [1, 1, 1]
    assert np.isnan(nd.mean(empty, axis=0).asnumpy()).all()
    assert nd.sum(empty, axis=1).shape == nd.norm(empty, axis=1).shape == (0,)
    assert nd.dot(nd.ones((2, 0)), empty).asnumpy().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert nd.concat(empty, nd.ones((2, 3)), dim=0).shape == (2, 3)
    for op in ("tile", "repeat", "transpose", "Reshape", "prod", "mean", "Pad"):
        attrs = {"tile": {"reps": 2}, "repeat": {"repeats": 2}, "Reshape": {"shape": (3, -1)},
                 "Pad": {"mode": "constant", "pad_width": (1, 1, 0, 0)}}.get(op, {})  # fmt: skip
        empty.attach_grad()
        with autograd.record():
            (result,) = invoke(op, [empty], attrs)
        result.backward()
        assert empty.grad is not None
        assert empty.grad.shape == (0, 3)
