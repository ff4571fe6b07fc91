"""JAX (XLA for CPUs): conv_general_dilated and its transposes, compiled for the shapes at hand."""

from __future__ import annotations

import jax
import numpy as np
from jax import lax

from harness.peer import Prepared, Problem

SPATIAL = "XYZUV"


def start(threads: int) -> str:
    """XLA takes as many threads as this process has CPUs, which the server has seen to."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return f"jax {jax.__version__}"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    p = problem
    letters = SPATIAL[: p.rank]
    layout = (f"NC{letters}", f"OI{letters}", f"NC{letters}")
    dtype = np.dtype(p.dtype)
    x_like = jax.ShapeDtypeStruct((p.batch, p.in_channels, *p.in_spatial), dtype)
    w_like = jax.ShapeDtypeStruct(p.w_shape, dtype)

    def forward(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            p.stride,
            list(zip(p.pad_lo, p.pad_hi, strict=True)),
            rhs_dilation=p.dilation,
            dimension_numbers=layout,
            feature_group_count=p.groups,
            precision=lax.Precision.HIGHEST,
        )

    def compute(w, bias, *varying):
        if p.direction == "forward":
            result = forward(varying[0], w)
        elif p.direction == "backward_data":
            (result,) = jax.linear_transpose(lambda x: forward(x, w), x_like)(varying[0])
        else:
            (result,) = jax.linear_transpose(lambda w: forward(varying[0], w), w_like)(varying[1])
        return result if bias is None else result + bias.reshape(1, -1, *[1] * p.rank)

    compiled = jax.jit(compute)
    w, bias = (None if name not in constants else jax.numpy.asarray(constants[name]) for name in ("w", "bias"))
    if p.direction != "backward_weight" and p.new_weights:
        return Prepared(lambda data, weight: np.asarray(compiled(weight, bias, data)))
    return Prepared(lambda *varying: np.asarray(compiled(w, bias, *varying)))
