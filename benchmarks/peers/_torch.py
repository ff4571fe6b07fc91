"""What both PyTorch plug-ins share."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from harness.peer import Prepared, Problem, Refusal, need_rank

FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def start(threads: int) -> str:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    return f"torch {torch.__version__}"


def prepare_in(
    problem: Problem, constants: dict[str, np.ndarray], *, channels_last: bool, stays: bool = False
) -> Prepared:
    """A call in one memory format. Weights are in it beforehand, in training too, and nothing else is made of them
    beforehand; data are converted, and results back, in each call, unless they stay as they are between the layers of a
    network. A weight that a call brings is converted like data."""
    need_rank(problem, range(1, 4))
    memory = FORMATS[problem.rank] if channels_last else torch.contiguous_format
    held: dict[int, tuple[np.ndarray, torch.Tensor]] = {}

    def convert(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).contiguous(memory_format=memory)

    def convert_once(array: np.ndarray) -> torch.Tensor:
        if id(array) not in held:
            held[id(array)] = array, convert(array)
        return held[id(array)][1]

    makers = {"forward": _forward, "backward_data": _scatter, "backward_weight": _weight_gradient}
    make = _data_gradient if problem.step == "data" else makers[problem.direction]
    compute = make(problem, convert, constants)
    take = convert_once if stays else convert

    @torch.inference_mode()
    def call(*varying: np.ndarray) -> np.ndarray:
        result = compute(*map(take, varying))
        return (result if stays else result.contiguous()).numpy()

    return Prepared(call)


def _forward(p: Problem, convert, constants):
    weight, bias = _constants(convert, constants)
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[p.rank]
    if p.pad_lo == p.pad_hi and min(p.pad_lo) >= 0:
        return lambda x, w=weight: function(x, w, bias, p.stride, p.pad_lo, p.dilation, p.groups)
    pads = [side for lo, hi in zip(reversed(p.pad_lo), reversed(p.pad_hi), strict=True) for side in (lo, hi)]
    return lambda x, w=weight: function(F.pad(x, pads), w, bias, p.stride, 0, p.dilation, p.groups)


def _scatter(p: Problem, convert, constants):
    weight, bias = _constants(convert, constants)
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[p.rank]
    if min(p.pad_lo) < 0:
        raise Refusal("negative pad: PyTorch's transposed convolutions take none")
    lacking = [lo - trim for lo, trim in zip(p.pad_lo, p.trim, strict=True)]
    added = [max(0, n) for n in lacking]
    if any(n >= max(s, d) for n, s, d in zip(added, p.stride, p.dilation, strict=True)):
        raise Refusal(f"output_padding {added}: must be smaller than stride or dilation")
    crop = (..., *[slice(0, i) for i in p.in_spatial]) if min(lacking) < 0 else ...
    return lambda y, w=weight: function(y, w, bias, p.stride, p.pad_lo, added, p.groups, p.dilation)[crop]


def _data_gradient(p: Problem, convert, constants):
    """What autograd calls: for a convolution or, where the problem is `forward`, for a transposed one."""
    _need_plain_pads(p)
    weight, _ = _constants(convert, constants)
    transposed = p.direction == "forward"
    shape = (p.batch, p.out_channels, *p.out_spatial) if transposed else (p.batch, p.in_channels, *p.in_spatial)
    data = convert(np.empty(shape, p.dtype))  # only its shape and memory format count
    added = [lo - trim if transposed else 0 for lo, trim in zip(p.pad_lo, p.trim, strict=True)]
    settings = (p.stride, p.pad_lo, p.dilation, transposed, added, p.groups)
    return lambda g: torch.ops.aten.convolution_backward(g, data, weight, None, *settings, [True, False, False])[0]


def _weight_gradient(p: Problem, convert, constants):
    _need_plain_pads(p)
    weight = torch.empty(p.w_shape, dtype=getattr(torch, p.dtype))
    settings = (p.stride, p.pad_lo, p.dilation, False, [0] * p.rank, p.groups)
    return lambda x, y: torch.ops.aten.convolution_backward(y, x, weight, None, *settings, [False, True, False])[1]


def _need_plain_pads(p: Problem) -> None:
    if p.pad_lo != p.pad_hi or min(p.pad_lo) < 0:
        raise Refusal("uneven or negative pads: PyTorch's gradients take none")


def _constants(convert, constants):
    """The weight, unless each call brings its own, and the bias."""
    weight, bias = constants.get("w"), constants.get("bias")
    return None if weight is None else convert(weight), None if bias is None else torch.from_numpy(bias)
