"""ncnn: a network of one layer, float32 throughout; it knows no batch, so samples follow each other in the call."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ncnn
import numpy as np

from harness.peer import Prepared, Problem, Refusal, need_constant_weights, need_direction, need_dtype, need_rank

# The ids of a layer's parameters, innermost axis first.
KERNEL, DILATION, STRIDE = (1, 11, 21), (2, 12, 22), (3, 13, 23)
PAD_LO, PAD_HI, OUTPUT_PAD = (4, 14, 24), (15, 16, 17), (18, 19, 20)

_threads = 1


def start(threads: int) -> str:
    global _threads
    _threads = threads
    return f"ncnn {ncnn.__version__}"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    """With every algorithm that ncnn has."""
    return prepare_with(problem, constants, winograd=True)


def may_transform(p: Problem) -> bool:
    """Whether ncnn has Winograd's algorithm for it."""
    return p.direction == "forward" and p.groups == 1 and p.kernel == (3, 3) and {*p.stride, *p.dilation} == {1}


def prepare_with(problem: Problem, constants: dict[str, np.ndarray], *, winograd: bool) -> Prepared:
    need_constant_weights(problem)
    need_direction(problem, "forward", "backward_data")
    need_dtype(problem, "float32")
    need_rank(problem, range(1, 4))
    net = make_net(problem, constants, winograd)

    def call(data: np.ndarray) -> np.ndarray:
        return np.stack([run(sample) for sample in data]) if len(data) > 1 else run(data[0])[np.newaxis]

    def run(sample: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(sample))
        status, result = extractor.extract("result")
        if status != 0:
            raise Refusal(f"the layer failed with status {status}")
        return np.array(result)

    return Prepared(call, {"transforms": winograd and may_transform(problem)})


def make_net(p: Problem, constants: dict[str, np.ndarray], winograd: bool) -> ncnn.Net:
    """The network, with its weights loaded."""
    net = ncnn.Net()
    options = net.opt
    options.num_threads = _threads
    options.use_winograd_convolution = winograd
    for name in dir(options):
        if name.startswith(("use_fp16_", "use_bf16_")):
            setattr(options, name, False)
    layer, parameters = describe_layer(p, "bias" in constants)
    text = " ".join(f"{key}={value}" for key, value in sorted(parameters.items()))
    if net.load_param_mem(f"7767517\n2 2\nInput in 0 1 data\n{layer} layer 1 1 data result {text}\n"):
        raise Refusal(f"cannot load {layer} {text}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.bin")
        path.write_bytes(
            bytes(4) + order_weight(p, constants["w"]).tobytes() + constants.get("bias", np.empty(0)).tobytes()
        )
        if net.load_model(str(path)):
            raise Refusal("cannot load the weights")
    return net


def describe_layer(p: Problem, has_bias: bool) -> tuple[str, dict[int, int]]:
    """Its type and its parameters by id."""
    is_forward = p.direction == "forward"
    kind = "Convolution" if is_forward else "Deconvolution"
    layer = kind + ("DepthWise" if p.groups > 1 else "") + {1: "1D", 2: "", 3: "3D"}[p.rank]
    filters = p.out_channels if is_forward else p.in_channels
    parameters = {0: filters, 5: int(has_bias), 6: int(np.prod(p.w_shape)), 7: p.groups}
    pad_hi = p.pad_hi if is_forward else tuple(max(0, n) for n in p.trim)
    if min(p.pad_lo + pad_hi) < 0:
        raise Refusal("negative pad: ncnn has special meanings for it")
    columns = [(KERNEL, p.kernel), (DILATION, p.dilation), (STRIDE, p.stride), (PAD_LO, p.pad_lo), (PAD_HI, pad_hi)]
    if not is_forward:
        columns.append((OUTPUT_PAD, tuple(max(0, -n) for n in p.trim)))
    for ids, values in columns:
        parameters |= dict(zip(ids, reversed(values), strict=False))
    return layer, parameters


def order_weight(p: Problem, weight: np.ndarray) -> np.ndarray:
    """Outputs of the layer before its inputs, group by group."""
    if p.direction == "forward":
        return weight
    grouped = weight.reshape(p.groups, p.out_channels // p.groups, *weight.shape[1:])
    return np.ascontiguousarray(grouped.swapaxes(1, 2))
