"""`mx.autograd`: automatic differentiation of what is computed with arrays.

>>> import mxconv as mx
>>> x = mx.nd.array([1, 2, 3])
>>> x.attach_grad()
>>> with mx.autograd.record():
...     y = mx.nd.square(x)
>>> y.backward()
>>> x.grad.asnumpy()
array([2., 4., 6.], dtype=float32)

Recording and training are flags of the current thread. What is overwritten between the computation and `backward`
is differentiated as it is then: no snapshot is kept. Unlike in MXNet every operator can be differentiated any number
of times (`grad` with `create_graph`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import ShapeError
from .ndarray.custom_function import Function
from .ndarray.differentiation import check_grad_req
from .ndarray.ndarray import NDArray
from .ndarray.recording import Leaf, Origin, Scope, flags, is_recording, is_training
from .ndarray.tape import backward as _backward
from .ndarray.tape import gradients as _gradients
from .ops.refusal import refusal

__all__ = [
    "Function",
    "backward",
    "grad",
    "is_recording",
    "is_training",
    "mark_variables",
    "pause",
    "predict_mode",
    "record",
    "set_recording",
    "set_training",
    "train_mode",
]


def record(train_mode: bool = True) -> Scope:
    """`with record():` computations are recorded, and operators behave as in training unless train_mode=False."""
    return Scope(True, train_mode)


def pause(train_mode: bool = False) -> Scope:
    """`with pause():` nothing is recorded, and operators behave as in prediction unless train_mode=True."""
    return Scope(False, train_mode)


def train_mode() -> Scope:
    """`with train_mode():` operators behave as in training; whether they are recorded stays as it is."""
    return Scope(None, True)


def predict_mode() -> Scope:
    """`with predict_mode():` operators behave as in prediction; whether they are recorded stays as it is."""
    return Scope(None, False)


def set_recording(is_recording: bool) -> bool:
    """Record from now on in this thread, or stop it; returns whether it was on."""
    before, flags.recording = flags.recording, bool(is_recording)
    return before


def set_training(train_mode: bool) -> bool:
    """Whether operators behave as in training from now on in this thread; returns whether they did."""
    before, flags.training = flags.training, bool(train_mode)
    return before


def mark_variables(variables: Any, gradients: Any, grad_reqs: str | Sequence[str] = "write") -> None:
    """Make arrays variables whose gradients go to the given arrays: NDArrays or lists of them.

    Raises: KeyError, for a grad_req that is none; ShapeError, if a gradient has another shape than its variable.
    """
    if isinstance(variables, NDArray):
        assert isinstance(gradients, NDArray), "gradients must be an NDArray if variables is one"
        variables, gradients = [variables], [gradients]
    reqs = [grad_reqs] * len(variables) if isinstance(grad_reqs, str) else grad_reqs
    for variable, gradient, req in zip(variables, gradients, map(check_grad_req, reqs), strict=True):
        if gradient.shape != variable.shape:
            why = "Backward shape inconsistent with the forward shape"
            fix = "Pass mx.nd.zeros_like(variable)."
            raise refusal(
                ShapeError,
                "gradients",
                gradient.shape,
                variable.shape,
                why,
                fix=fix,
                op="mark_variables",
                verb="has shape",
            )
        variable._origin = Origin(Leaf(gradient, req), 0)


def backward(heads: Any, head_grads: Any = None, retain_graph: bool = False, train_mode: bool = True) -> None:
    """Compute the gradients of all variables that the heads came from: NDArrays or lists of them.

    `head_grads` weights the heads; None, also in a list, means ones. The graph is freed unless `retain_graph`.

    Raises: MXNetError, if a head was not recorded, or came from no variable; ShapeError, DTypeError, if a head
    gradient does not fit.
    """
    heads, head_grads = _parse_heads(heads, head_grads)
    _backward(heads, head_grads, retain_graph=retain_graph, train_mode=train_mode)


def grad(
    heads: Any,
    variables: Any,
    head_grads: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    train_mode: bool = True,
) -> list[NDArray]:
    """The gradients of the heads with respect to the variables, as new arrays; always a list, as in MXNet.

    With `create_graph` they can be differentiated again. `retain_graph` is the same as `create_graph` by default.
    Beyond MXNet, any array of the graph may be a variable.

    >>> import mxconv as mx
    >>> x = mx.nd.array([1, 2])
    >>> x.attach_grad()
    >>> with record():
    ...     y = x * x * x
    ...     (dx,) = grad(y, x, create_graph=True)
    >>> dx.backward()
    >>> x.grad.asnumpy()
    array([ 6., 12.], dtype=float32)

    Raises: MXNetError, if a head was not recorded, or a variable is not part of its graph; ShapeError, DTypeError,
    if a head gradient does not fit.
    """
    heads, head_grads = _parse_heads(heads, head_grads)
    variables = [variables] if isinstance(variables, NDArray) else list(variables)
    assert variables, "variables cannot be an empty list."
    return _gradients(
        heads,
        head_grads,
        variables,
        create_graph=create_graph,
        retain_graph=retain_graph,
        train_mode=train_mode,
    )


def _parse_heads(heads: Any, head_grads: Any) -> tuple[list[Any], list[Any]]:
    heads = [heads] if isinstance(heads, NDArray) else list(heads)
    if head_grads is None:
        return heads, [None] * len(heads)
    head_grads = [head_grads] if isinstance(head_grads, NDArray) else list(head_grads)
    assert len(heads) == len(head_grads), "heads and head_grads must be lists of the same length"
    return heads, head_grads
