"""What Executor.backward is told of the gradients of the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ParamError, ShapeError
from ..ndarray.ndarray import NDArray
from ..ops.refusal import refusal


def read_head_gradients(
    out_grads: Any, names: Sequence[str], outputs: Sequence[NDArray], is_needed: Sequence[bool]
) -> list[NDArray | None]:
    """A copy of the gradient of each output in its dtype; where none is needed, None unless one is given that fits.

    Most losses ignore theirs, SoftmaxOutput with out_grad multiplies with it.

    Raises: TypeError, for what is no NDArray; KeyError, if an output is missing in a dict; ParamError, if there are too
    few; ShapeError, if one does not fit.
    """
    if isinstance(out_grads, NDArray):
        out_grads = [out_grads]
    elif isinstance(out_grads, Mapping):
        out_grads = [out_grads[name] for name in names]
    given: list[Any] = [] if out_grads is None else list(out_grads)
    if not all(isinstance(one, NDArray) for one in given):
        raise TypeError("inputs must be NDArray: out_grads is an NDArray, a list of them, or a dict of them by name")
    given += [None] * (len(outputs) - len(given))
    return [
        _fitting(name, grad, output) if is_needed_here or (grad is not None and grad.shape == output.shape) else None
        for name, grad, output, is_needed_here in zip(names, given, outputs, is_needed, strict=False)
    ]


def _fitting(name: str, grad: NDArray | None, output: NDArray) -> NDArray:
    if grad is None:
        why = "Because the last operator is not Loss function, head_gradient is required when calling backward"
        fix = f"Pass one for each output; that of {name} has shape {output.shape}."
        expected = f"a gradient of {name}"
        raise refusal(ParamError, "out_grads", "nothing", expected, why, fix=fix, op="backward", verb="has")
    if grad.shape != output.shape:
        what, why = f"the gradient of {name}", "operands shape mismatch"
        fix = "Pass one of the output's shape."
        raise refusal(ShapeError, what, grad.shape, output.shape, why, fix=fix, op="backward", verb="has shape")
    return grad.detach().astype(output.dtype)
