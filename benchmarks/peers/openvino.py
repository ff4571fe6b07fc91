"""OpenVINO's CPU plug-in, told to compute in float32 (it would take bfloat16 where the CPU has it)."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from harness.peer import Prepared, Problem, Refusal, need_constant_weights, need_direction, need_dtype, need_rank

_threads = 1


def start(threads: int) -> str:
    global _threads
    _threads = threads
    return f"openvino {ov.get_version()}"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    need_constant_weights(problem)
    need_direction(problem, "forward", "backward_data")
    need_dtype(problem, "float32")
    need_rank(problem, range(1, 4))
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": _threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = ov.Core().compile_model(make_model(problem, constants), "CPU", settings)
    request = compiled.create_infer_request()

    def call(data: np.ndarray) -> np.ndarray:
        request.infer([data], share_inputs=True)
        return request.get_output_tensor().data

    return Prepared(call)


def make_model(p: Problem, constants: dict[str, np.ndarray]) -> ov.Model:
    """A parameter, the convolution, and the bias as an addition, which the plug-in fuses."""
    weight = constants["w"]
    if p.groups > 1:
        weight = weight.reshape(p.groups, p.out_channels // p.groups, *weight.shape[1:])
    if p.direction == "forward":
        data = ops.parameter([p.batch, p.in_channels, *p.in_spatial], np.float32)
        make = ops.convolution if p.groups == 1 else ops.group_convolution
        result = make(data, ops.constant(weight), p.stride, p.pad_lo, p.pad_hi, p.dilation)
    else:
        if min(p.pad_lo) < 0:
            raise Refusal("negative pad: OpenVINO's transposed convolution takes none")
        data = ops.parameter([p.batch, p.out_channels, *p.out_spatial], np.float32)
        make = ops.convolution_backprop_data if p.groups == 1 else ops.group_convolution_backprop_data
        result = make(
            data,
            ops.constant(weight),
            list(p.stride),
            pads_begin=list(p.pad_lo),
            pads_end=[max(0, n) for n in p.trim],
            dilations=list(p.dilation),
            output_padding=[max(0, -n) for n in p.trim],
        )
    if "bias" in constants:
        result = ops.add(result, ops.constant(constants["bias"].reshape(1, -1, *[1] * p.rank)))
    return ov.Model([result], [data])
