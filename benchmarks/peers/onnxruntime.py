"""ONNX Runtime: a model of one Conv or ConvTranspose, weights as initializers."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from harness.peer import Prepared, Problem, Refusal, need_constant_weights, need_direction, need_dtype

_threads = 1


def start(threads: int) -> str:
    global _threads
    _threads = threads
    onnxruntime.set_default_logger_severity(4)
    return f"onnxruntime {onnxruntime.__version__}"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    need_constant_weights(problem)
    need_direction(problem, "forward", "backward_data")
    need_dtype(problem, "float32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    model = make_model(problem, constants)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Prepared(lambda data: session.run(None, {"data": data})[0])


def make_model(p: Problem, constants: dict[str, np.ndarray]):
    """The model as ONNX."""
    attributes = {"kernel_shape": p.kernel, "strides": p.stride, "dilations": p.dilation, "group": p.groups}
    x, y = (p.batch, p.in_channels, *p.in_spatial), (p.batch, p.out_channels, *p.out_spatial)
    if min(p.pad_lo + p.pad_hi) < 0:
        raise Refusal("negative pad: ONNX allows none")
    if p.direction == "forward":
        operator, data, result = "Conv", x, y
        attributes["pads"] = (*p.pad_lo, *p.pad_hi)
    else:
        operator, data, result = "ConvTranspose", y, x
        attributes["pads"] = (*p.pad_lo, *[max(0, n) for n in p.trim])
        attributes["output_padding"] = [max(0, -n) for n in p.trim]
    names = [name for name in ("w", "bias") if name in constants]
    graph = helper.make_graph(
        [helper.make_node(operator, ["data", *names], ["result"], **attributes)],
        "problem",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, data)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(constants[name], name) for name in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
