"""Records what Apache MXNet 1.9.1 answers for the plain operators at their corners, into `library.json.gz`.

Run it with a Python that has MXNet 1.9.1:  python tests/golden/make_library.py
Recorded are values with their gradients for a head gradient of 1, 2, 3, ...; and what follows from shapes and types
that are known in part.
"""

import gzip
import itertools
import json
from pathlib import Path

import mxnet as mx
import numpy as np

NAN, INF = float("nan"), float("inf")
CASES, SHAPES, TYPES = [], [], []


def plain(array):
    return [array.dtype.name, list(array.shape), array.ravel().tolist()]


def case(op, *inputs, of="float32", grad=True, **attrs):
    arrays = [mx.nd.array(x, dtype=of) for x in inputs]
    differentiable = grad and of.startswith("float")
    for x in arrays:
        if differentiable:
            x.attach_grad()
    function = getattr(mx.nd, op, None) or getattr(mx.nd._internal, op)
    with mx.autograd.record():
        result = function(*arrays, **attrs)
    outputs = result if isinstance(result, list) else [result]
    record = {"op": op, "attrs": {k: str(v) for k, v in attrs.items()}, "inputs": [plain(x.asnumpy()) for x in arrays]}
    record["outputs"] = [plain(y.asnumpy()) for y in outputs]
    if differentiable:
        heads = [mx.nd.arange(1, y.size + 1).reshape(y.shape).astype(y.dtype) for y in outputs]
        mx.autograd.backward(outputs, heads)
        record["grads"] = [plain(x.grad.asnumpy()) for x in arrays]
    CASES.append(record)


def table(*shape):
    return np.arange(np.prod(shape)).reshape(shape)


# ---- element by element
edges = [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5]
for op in ("abs", "sign", "round", "rint", "ceil", "floor", "trunc", "fix", "relu", "negative", "square", "smooth_l1",
           "softsign", "sigmoid", "tanh", "exp", "expm1", "sin", "arctan", "cbrt", "reciprocal", "erf", "logical_not",
           "hard_sigmoid", "degrees", "arcsinh", "BlockGrad", "make_loss", "MakeLoss", "identity", "zeros_like",
           "ones_like"):  # fmt: skip
    case(op, edges)
    case(op, edges, of="float64")
for op in ("sqrt", "rsqrt", "log", "log2", "log10", "log1p", "rcbrt"):
    case(op, [0, 1e-3, 1, 4, 100])
for op in ("arcsin", "arccos", "arctanh"):
    case(op, [-1, -0.3, 0, 0.9, 1])
case("arccosh", [1, 1.5, 10])
for op in ("abs", "sign", "relu", "tanh", "exp", "round", "clip"):
    case(op, [NAN, INF, -INF], grad=False, **({"a_min": -1, "a_max": 1} if op == "clip" else {}))
for dtype, op in itertools.product(("int32", "int8", "int64"), ("abs", "sign", "square", "round", "negative", "relu")):
    case(op, [-120, -3, 0, 2, 100], of=dtype)
case("sqrt", [0, 1, 5, 16, 99], of="int32")
case("negative", [0, 1, 255], of="uint8")
case("clip", edges, a_min=-0.5, a_max=1.5)
case("clip", [-3, -1, 0, 1, 3], of="int32", a_min=-1.5, a_max=1.5)
case("smooth_l1", [-1, -0.25, -0.1, 0, 0.2, 0.25, 3], scalar=2)
for attrs in ({"normalization": "batch"}, {"normalization": "valid", "valid_thresh": 1.5}, {"grad_scale": 0.5},
              {"normalization": "valid", "valid_thresh": 9}):  # fmt: skip
    case("MakeLoss", [[1, 2], [3, 1], [0, 5]], **{"grad_scale": 3, **attrs})
for dtype in ("uint8", "int8", "int32", "float16", "float64", "bool"):
    case("Cast", [-3.7, -0.2, 0, 0.9, 100.5], grad=dtype.startswith("float"), dtype=dtype)

# ---- two numbers
left, right = [-7, -2, 0, 2, 7], [3, -3, 2, 2, -2]
for op in ("elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div", "_mod", "_maximum", "_minimum", "_hypot",
           "_equal", "_not_equal", "_greater", "_greater_equal", "_lesser", "_lesser_equal", "_logical_and",
           "_logical_or", "_logical_xor"):  # fmt: skip
    case(op, left, right)
    if op not in ("_hypot",):
        case(op, left, right, of="int32")
case("_power", [0.5, 2, 3, 1], [-1, 0.5, 2, 0])
case("_power", [1, 2, 3, -2], [0, 3, 2, 3], of="int32")
for op in ("broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_div", "broadcast_maximum", "broadcast_minimum",
           "broadcast_mod", "broadcast_hypot", "broadcast_power", "broadcast_greater"):  # fmt: skip
    case(op, [[1, 2, 3], [4, 5, 6]], [[2], [5]])
    case(op, [[[1, 2, 3]]], [[2], [5]])
for name in ("plus", "minus", "rminus", "mul", "div", "rdiv", "mod", "rmod", "maximum", "minimum", "hypot"):
    case(f"_{name}_scalar", [-7, -2, 1, 2.5], scalar=2)
    case(f"_{name}_scalar", [-7, -2, 1, 2.5], scalar=-1.5)
    if name != "hypot":
        case(f"_{name}_scalar", [-7, -2, 1, 3], of="int32", scalar=2)
for name in ("power", "rpower"):
    case(f"_{name}_scalar", [0.5, 1, 2.5], scalar=2)
    case(f"_{name}_scalar", [1, 2, 3], of="int32", scalar=2)
case("_plus_scalar", [1, 0, 1], of="bool", scalar=2)
case("_equal_scalar", [1, 0, 1], of="bool", scalar=1)
case("_plus_scalar", [1, -2], of="int32", scalar=1.5, is_int=False)
case("_div_scalar", [1, 2, 250], of="uint8", scalar=1.5, is_int=False)

# ---- reductions
ties = [[[1, 3, 3], [0, -2, 3]], [[5, 5, -1], [2, 2, 2]]]
for op in ("sum", "mean", "max", "min", "prod"):
    data = np.array(ties) + (4 if op == "prod" else 0)
    for attrs in ({}, {"axis": 1}, {"axis": (0, 2)}, {"axis": -1, "keepdims": True}, {"axis": 1, "exclude": True},
                  {"axis": ()}, {"keepdims": 1}, {"axis": (0, 1, 2), "exclude": 1}):  # fmt: skip
        case(op, data, **attrs)
    case(op, [[1, 2], [100, 100]], of="int32", axis=1)
case("sum", [100, -100, 100], of="int8")
case("sum", [1, 2, 250], of="uint8")
case("sum", [1, 0, 1], of="bool")
for op in ("argmax", "argmin"):
    for attrs in ({}, {"axis": 1}, {"axis": -1, "keepdims": 1}):
        case(op, ties, **attrs)
    case(op, [1, NAN, 3], axis=0, grad=False)
    case(op, [[3, 5], [7, 1]], axis=0, of="int32")
case("max", [1, NAN, 3], grad=False)
for attrs in ({}, {"axis": 1}, {"ord": 1, "axis": (0, 2)}, {"axis": 0, "keepdims": True}):
    case("norm", np.array(ties) + 0.5, **attrs)

# ---- shapes
data = table(2, 3, 4)
for attrs in ({"shape": (-1,)}, {"shape": (0, -1)}, {"shape": (-2,)}, {"shape": (-3, 0)}, {"shape": (6, 1, -1)},
              {"shape": (-4, 1, 2, -2)}, {"shape": (2, -4, -1, 3, -2)}, {"shape": (-1, 0), "reverse": True},
              {"shape": (0, -3), "reverse": 1}, {"target_shape": (2, 0)}, {"target_shape": (0, 12), "keep_highest": 1},
              {"target_shape": (12, 2)}):  # fmt: skip
    case("Reshape", data, **attrs)
case("Flatten", data)
case("reshape_like", data, np.zeros((6, 4)))
case("reshape_like", data, np.zeros((3, 2, 5)), lhs_begin=0, lhs_end=2, rhs_begin=0, rhs_end=2)
for axis in (0, 1, -1, -4):
    case("expand_dims", data, axis=axis)
case("squeeze", np.ones((1, 2, 1)))
case("squeeze", np.ones((1, 2, 1)), axis=(0, -1))
case("squeeze", np.ones((1, 2, 1)), axis=())
case("squeeze", np.ones((1, 1)))
case("transpose", data)
case("transpose", data, axes=(1, 2, 0))
case("SwapAxis", data, dim1=0, dim2=2)
case("reverse", data, axis=(0, 2))
case("tile", data, reps=(2, 1, 1, 1))
case("tile", data, reps=2)
case("repeat", data, repeats=2)
case("repeat", data, repeats=3, axis=-2)
case("broadcast_to", [[1, 2, 3]], shape=(2, 0))
case("broadcast_axis", [[[1], [2]]], axis=(0, 2), size=(2, 3))
case("broadcast_like", [[1, 2, 3]], np.zeros((2, 3)))
case("broadcast_like", [[1, 2, 3]], np.zeros((5, 2, 4)), lhs_axes=(0,), rhs_axes=(-1,))
for b in (1, 2):
    case("depth_to_space", table(2, 8, 2, 3), block_size=b)
    case("space_to_depth", table(2, 2, 4, 6), block_size=b)

# ---- slices
for attrs in ({"begin": (0, 1), "end": (1, 3)}, {"begin": (None, -1), "end": (None, None)}, {"begin": 1, "end": 2},
              {"begin": (None, None, None), "end": (None, None, None), "step": (-1, 1, -2)},
              {"begin": (0,), "end": (17,)}, {"begin": (1, 2), "end": (None, 0), "step": (None, -1)}):  # fmt: skip
    case("slice", data, **attrs)
for attrs in ({"axis": 1, "begin": 1, "end": None}, {"axis": -1, "begin": -3, "end": -1}):
    case("slice_axis", data, **attrs)
for attrs in ({}, {"axes": (1,)}, {"axes": (-1,)}):
    case("slice_like", data, np.zeros((1, 2, 3)), **attrs)
image = table(1, 2, 4, 5)
for attrs in ({}, {"center_crop": 1}, {"offset": (1, 2)}):
    case("Crop", image, np.zeros((1, 1, 2, 2)), num_args=2, **attrs)
case("Crop", image, num_args=1, h_w=(2, 3), offset=(1, 1))
for mode in ("constant", "edge", "reflect"):
    case("Pad", image, mode=mode, pad_width=(0, 0, 0, 0, 2, 1, 3, 2), constant_value=2.5)
    case("Pad", table(1, 1, 2, 3, 2), mode=mode, pad_width=(0, 0, 0, 0, 1, 1, 0, 2, 1, 1))

# ---- joining, products, indices
case("Concat", data, data[:, :1], num_args=2)
case("Concat", data, data[:, :, :2], data, num_args=3, dim=-1)
case("stack", data, data, num_args=2, axis=-1)
case("SliceChannel", data, num_outputs=3)
case("SliceChannel", data, num_outputs=2, axis=-1)
case("SliceChannel", data, num_outputs=2, axis=0, squeeze_axis=True)
case("add_n", data, data, data, num_args=3)
for a, b in itertools.product((False, True), repeat=2):
    attrs = {"transpose_a": a, "transpose_b": b}
    case("dot", table(*((3, 2) if a else (2, 3))), table(*((4, 3) if b else (3, 4))), **attrs)
    case("batch_dot", table(2, *((3, 2) if a else (2, 3))), table(2, *((4, 3) if b else (3, 4))), **attrs)
case("dot", [1, 2, 3], [4, 5, 6])
case("dot", table(2, 3), [4, 5, 6])
case("dot", table(2, 2, 3), table(3, 2, 2))
case("take", data, [0, 5, -1])
case("take", data, [[0, 5], [-1, 1.7]], axis=1, mode="wrap")
case("Embedding", [[0, 2], [5, -1]], table(3, 2), grad=False, input_dim=3, output_dim=2)
case("pick", table(2, 3), [0, 2])
case("pick", table(2, 3), [-1, 7], mode="wrap")
case("pick", table(2, 3), [-1, 7, 1], axis=0, keepdims=True)
case("one_hot", [0, 2, -1, 5], depth=3, grad=False)
case("one_hot", [[0, 1]], depth=2, on_value=2, off_value=-1, dtype="int32", grad=False)
case("where", [[1, 0], [0, -1]], [[1, 2], [3, 4]], [[5, 6], [7, 8]])
case("where", [1, 0], [[1, 2], [3, 4]], [[5, 6], [7, 8]])


# ---- what follows from shapes that are known in part (0: unknown; the output's is that of an elementwise neighbour)
def fits(shape, known):
    return not known or (len(shape) == len(known) and all(k in (0, n) for n, k in zip(shape, known)))  # noqa: B905


def shapes(op, ins, out=None, whole=None, **attrs):
    """`whole`: the shape of the inputs in full, to leave out what could not be."""
    if whole and out:
        full = {name: whole for name in "abc"[: len(ins)]}
        _, outs, _ = getattr(mx.sym, op)(*map(mx.sym.var, full), **attrs).infer_shape(**full)
        if not fits(outs[0], out):
            return
    names = "abc"[: len(ins)]
    symbol = getattr(mx.sym, op)(*(mx.sym.var(name) for name in names), **attrs)
    known = {name: shape for name, shape in zip(names, ins) if shape is not None}  # noqa: B905
    if out is not None:
        symbol = mx.sym.elemwise_add(symbol[0], mx.sym.var("z"))
        known["z"] = out
    try:
        found, outs, _ = symbol.infer_shape_partial(**known)
    except mx.MXNetError:
        return
    SHAPES.append({"op": op, "attrs": {k: str(v) for k, v in attrs.items()}, "ins": ins, "out": out,
                   "found": found[: len(ins)], "found_out": outs[0]})  # fmt: skip


PARTS = ([None], [(0, 3, 4)], [(2, 0, 4)], [(2, 3, 4)], [(2, 3, 0)])
for part, out in itertools.product(
    PARTS, (None, (6, 4), (2, 12), (2, 3, 4), (0, 3, 4), (2, 1, 3, 4), (4, 3, 2), (1, 3, 4), (2, 6, 4), (1, 4))
):
    for op, attrs in (("exp", {}), ("Reshape", {"shape": (-3, 0)}), ("Reshape", {"shape": (-1, 4)}),
                      ("Reshape", {"shape": (6, 4)}), ("Reshape", {"shape": (0, -1)}), ("Flatten", {}),
                      ("expand_dims", {"axis": 1}), ("transpose", {"axes": (2, 1, 0)}), ("transpose", {}),
                      ("SwapAxis", {"dim1": 0, "dim2": 2}), ("sum", {"axis": 1}), ("sum", {}), ("argmax", {"axis": -1}),
                      ("sum", {"axis": 0, "keepdims": True}), ("slice_axis", {"axis": 1, "begin": 1, "end": None}),
                      ("slice", {"begin": (0,), "end": (1,)}), ("tile", {"reps": (2, 1)}), ("squeeze", {}),
                      ("repeat", {"repeats": 2, "axis": 1}), ("repeat", {"repeats": 2}), ("reverse", {"axis": 1}),
                      ("one_hot", {"depth": 3}), ("clip", {"a_min": 0, "a_max": 1}), ("Cast", {"dtype": "float32"}),
                      ("BlockGrad", {}), ("MakeLoss", {}), ("norm", {"axis": 1}), ("zeros_like", {}),
                      ("SliceChannel", {"num_outputs": 2, "axis": 0}),
                      ("SliceChannel", {"num_outputs": 2, "axis": 0, "squeeze_axis": True})):  # fmt: skip
        shapes(op, part, out, (2, 3, 4), **attrs)
pairs = (None, None), ((2, 0), None), ((2, 3), None), ((2, 0), (0, 3)), ((2, 0), (2, 3)), ((0, 3), (1, 3))
for pair, out in itertools.product(pairs, (None, (2, 3), (2, 0), (2, 6), (4, 3), (0, 3), (2, 2, 3))):
    for op, attrs in (("elemwise_add", {}), ("broadcast_add", {}), ("add_n", {}), ("stack", {}), ("stack", {"axis": 1}),
                      ("Concat", {"dim": 1}), ("Concat", {"dim": 0}), ("take", {}),
                      ("slice_like", {"axes": (0,)}), ("broadcast_like", {})):  # fmt: skip
        if op != "Concat" or None not in pair:  # which it takes for one of no extent
            shapes(op, list(pair), out, (2, 3), **attrs)
for data in ((2, 3), (2, 0), (0, 3)):
    shapes("pick", [data, None])
for triple in ([(2, 3), (2, 3), None], [(2,), (2, 3), None], [None, None, (2, 3)], [(2, 3), (0, 3), (2, 0)]):
    shapes("where", triple)
shapes("Crop", [(0, 3, 8, 8), (1, 1, 4, 4)], num_args=2)
shapes("Pad", [(0, 3, 8, 8)], mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 2, 2))
shapes("batch_dot", [(2, 3, 4), (2, 4, 5)])
shapes("batch_dot", [(2, 3, 4), None])


# ---- and from types
ALIKE = ("where", "slice_like", "reshape_like", "broadcast_like")  # MXNet sees no contradiction here


def types(op, count, **attrs):
    names = "abc"[:count]
    symbol = getattr(mx.sym, op)(*(mx.sym.var(name) for name in names), **attrs)
    symbol = mx.sym.elemwise_add(symbol[0], mx.sym.var("z"))
    for given in itertools.product((None, "float64", "int32"), repeat=count):
        for out in (None, "float64"):
            if len({*given[len(given) == 3 :], out} - {None}) > 1 and op in ALIKE:
                continue
            known = {k: v for k, v in zip((*names, "z"), (*given, out)) if v is not None}  # noqa: B905
            try:
                found, outs, _ = symbol.infer_type_partial(**known)
            except mx.MXNetError:
                continue
            spelled = [None if one is None else np.dtype(one).name for one in (*found[:count], *outs)]
            TYPES.append({"op": op, "attrs": {k: str(v) for k, v in attrs.items()}, "ins": given, "out": out,
                          "found": spelled[:count], "found_out": spelled[count]})  # fmt: skip


for op, count, attrs in (("exp", 1, {}), ("sum", 1, {}), ("argmax", 1, {}), ("Cast", 1, {"dtype": "float64"}),
                         ("Reshape", 1, {"shape": (0, -1)}), ("elemwise_add", 2, {}), ("broadcast_add", 2, {}),
                         ("broadcast_equal", 2, {}), ("Concat", 2, {}), ("stack", 2, {}), ("add_n", 2, {}),
                         ("dot", 2, {}), ("where", 3, {}), ("take", 2, {}), ("pick", 2, {}), ("slice_like", 2, {}),
                         ("reshape_like", 2, {}), ("broadcast_like", 2, {}), ("one_hot", 1, {"depth": 2}),
                         ("SliceChannel", 1, {"num_outputs": 2}), ("clip", 1, {"a_min": 0, "a_max": 1})):  # fmt: skip
    types(op, count, **attrs)

answers = {"mxnet": mx.__version__, "cases": CASES, "shapes": SHAPES, "types": TYPES}
Path(__file__).with_name("library.json.gz").write_bytes(gzip.compress(json.dumps(answers).encode(), mtime=0))
