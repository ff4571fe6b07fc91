"""Function: a computation with a gradient of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ..ops.registry import Step
from .ndarray import NDArray
from .recording import Scope, flags, record

Place: TypeAlias = tuple[str, Any]


class Function:
    """Differentiate a computation by hand: write `forward` and `backward`, make an object, call it once.

    `forward` is not recorded; `backward` gets the gradient of each of its results and returns that of each input.
    While gradients are recorded (`grad` with `create_graph`), so is `backward`, saved arrays included.

    >>> import mxconv as mx
    >>> class Cube(mx.autograd.Function):
    ...     def forward(self, x):
    ...         self.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     def backward(self, dy):
    ...         (x,) = self.saved_tensors
    ...         return 3 * x * x * dy
    >>> x = mx.nd.array([1, 2])
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = Cube()(x)
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([ 3., 12.], dtype=float32)
    """

    def __init__(self) -> None:
        self._used = False
        self.saved_tensors: Sequence[Any] = ()

    def save_for_backward(self, *args: Any) -> None:
        """Keep arrays for `backward`, which finds them in `saved_tensors`."""
        self.saved_tensors = args

    def forward(self, *inputs: Any) -> Any:
        """Compute an array, or a tuple or list of them, from arrays. To be defined in each class."""
        raise self._undefined("forward(self, *inputs)")

    def backward(self, *output_grads: Any) -> Any:
        """The gradient of each input (None: zero), given that of each output. To be defined in each class."""
        raise self._undefined("backward(self, *output_grads)")

    def _undefined(self, method: str) -> NotImplementedError:
        name = type(self).__name__
        return NotImplementedError(f"{name} does not define {method}, which autograd.Function asks for. Define it.")

    def __call__(self, *inputs: Any) -> Any:
        assert not self._used, "Each Function instance can only be called once. Please create another instance."
        self._used = True
        with Scope(False, None):
            outputs = self.forward(*inputs)
        if not flags.recording:
            return outputs
        results = (outputs,) if isinstance(outputs, NDArray) else tuple(outputs)
        # What is recorded are views: saved arrays would refer in a circle if they were the results.
        views = tuple(one.detach() for one in results)
        saved = [_place(one, inputs, results) for one in self.saved_tensors]
        record(type(self).__name__, lambda step: self._differentiate(saved, step), None, inputs, views)
        return views[0] if isinstance(outputs, NDArray) else type(outputs)(views)

    def _differentiate(self, saved: Sequence[Place], step: Step[Any]) -> Sequence[Any]:
        known = {"input": step.inputs, "output": step.outputs}
        self.saved_tensors = tuple(known[kind][what] if kind in known else what for kind, what in saved)
        try:
            grads = self.backward(*step.out_grads)
        finally:
            self.saved_tensors = ()
        grads = grads if isinstance(grads, (tuple, list)) else (grads,)
        name = type(self).__name__
        assert len(grads) == len(step.inputs), (
            f"{name}.backward must return exactly the same number of NDArrays as the number of NDArrays arguments to "
            f"forward. Expecting {len(step.inputs)} got {len(grads)}"
        )
        for one, grad in zip(step.inputs, grads, strict=True):
            assert grad is None or isinstance(grad, NDArray), (
                f"autograd.Function.backward must return NDArrays, not {type(grad)}"
            )
            assert grad is None or grad.shape == one.shape, (
                f"{name}.backward returned a gradient of shape {grad.shape}, expected {one.shape}, its input's"
            )
        return grads


def _place(saved: Any, inputs: Sequence[Any], results: Sequence[Any]) -> Place:
    """Where a saved array is found when it is needed: as the graph has it, if it is an input or a result."""
    for kind, arrays in (("input", inputs), ("output", results)):
        for index, one in enumerate(arrays):
            if one is saved:
                return kind, index
    return "other", saved
