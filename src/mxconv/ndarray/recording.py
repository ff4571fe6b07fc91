"""What is recorded while `autograd.record` is on: nodes, and which array came from which of them.

A node holds views of its inputs and outputs, which share memory with the caller's arrays but are none of them: no
snapshot is taken, nothing refers in a circle, and a graph goes as soon as its last array does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MXNetError
from ..ops.refusal import refusal

if TYPE_CHECKING:
    from ..ops.registry import Gradient
    from .base import ArrayBase


class _Flags(threading.local):
    recording = False
    training = False


flags = _Flags()
"""Of the current thread: whether calls are recorded, and whether operators behave as in training."""


class Scope:
    """Sets the flags of the current thread within a `with` block; None leaves one as it is."""

    def __init__(self, recording: bool | None, training: bool | None) -> None:
        self._inside = {"recording": recording, "training": training}
        self._before: list[dict[str, bool]] = []

    def __enter__(self) -> None:
        change = {name: value for name, value in self._inside.items() if value is not None}
        self._before.append({name: getattr(flags, name) for name in change})
        for name, value in change.items():
            setattr(flags, name, value)

    def __exit__(self, *exception: object) -> None:
        for name, value in self._before.pop().items():
            setattr(flags, name, value)


def is_recording() -> bool:
    """Whether calls are recorded in this thread."""
    return flags.recording


def is_training() -> bool:
    """Whether operators behave as in training in this thread."""
    return flags.training


class Node:
    """One recorded computation, how it is differentiated, and on what; `is_alive` until a backward pass has freed it.

    `outputs` begins with the visible outputs, whose gradients the node is given; a loss has one even if they have none,
    and an operator with auxiliary states may move these.
    """

    __slots__ = (
        "__weakref__", "gradient", "has_states", "inputs", "is_alive", "is_loss", "name", "outputs", "param", "visible"
    )  # fmt: skip

    def __init__(
        self, name: str, gradient: Gradient | None, param: Any, is_loss: bool = False, has_states: bool = False
    ) -> None:
        self.name, self.gradient, self.param = name, gradient, param
        self.is_loss, self.has_states = is_loss, has_states
        self.inputs: tuple[ArrayBase, ...] = ()
        self.outputs: tuple[ArrayBase, ...] = ()
        self.visible = 0
        self.is_alive = True

    def free(self) -> None:
        """Forget everything, so that arrays of this graph count as not recorded."""
        self.inputs = self.outputs = ()
        self.gradient = self.param = None
        self.is_alive = False


class Leaf(Node):
    """Where a graph begins: an array that something was computed from, and where its gradient goes."""

    __slots__ = ("grad", "grad_req")

    def __init__(self, grad: ArrayBase | None = None, grad_req: str = "") -> None:
        super().__init__("variable", None, None)
        self.grad, self.grad_req = grad, grad_req

    @property
    def is_constant(self) -> bool:
        """Whether nobody marked the array as a variable."""
        return not self.grad_req

    def free(self) -> None:
        """A variable stays what it is."""
        self.is_alive = not self.is_constant


class Origin(NamedTuple):
    """An output of a node: what an array holds in the recorded graph."""

    node: Node
    output: int


def is_recorded(array: ArrayBase) -> bool:
    """Whether the array is part of a graph, as a constant at least."""
    origin = array._origin
    return origin is not None and origin.node.is_alive


def depends(array: Any) -> bool:
    """Whether the array came from a variable."""
    origin = getattr(array, "_origin", None)
    return origin is not None and origin.node.is_alive and not (type(origin.node) is Leaf and origin.node.is_constant)


def record(
    name: str,
    gradient: Gradient | None,
    param: Any,
    inputs: Sequence[ArrayBase],
    results: Sequence[ArrayBase],
    saved: Sequence[ArrayBase] = (),
    mutates: Sequence[int] = (),
    is_loss: bool = False,
    has_states: bool = False,
) -> None:
    """Make the results of a computation part of the graph of its inputs, if recording is on and these have one.

    The results may be views of the inputs. They must not be part of a graph yet.
    """
    if not flags.recording or not any(map(depends, inputs)):
        return
    for index, one in enumerate(inputs):
        if not is_recorded(one) and index not in mutates:
            one._origin = Origin(Leaf(), 0)
    node = Node(name, gradient, param, is_loss, has_states)
    node.inputs = tuple(view_as(one, one._origin) for one in inputs)
    node.outputs = tuple(view_as(one, None) for one in (*results, *saved))
    node.visible = len(results)
    for index, one in enumerate(results):
        one._origin = Origin(node, index)


def view_as(array: ArrayBase, origin: Origin | None) -> ArrayBase:
    """A view of an array's memory that is what `origin` says in the graph, whatever becomes of the array itself."""
    view = array._view(array._array)
    view._origin = origin
    return view


def check_writable(array: ArrayBase) -> None:
    """Refuse to write to an array of a graph while recording is on.

    Raises: MXNetError.
    """
    if flags.recording and is_recorded(array):
        why = (
            "Assigning to NDArrays that are already in a computational graph will cause undefined behavior when "
            "evaluating gradients"
        )
        fix = "Call backward first, write within autograd.pause(), or compute a new array."
        got, expected = "part of a recorded graph", "any other array"
        raise refusal(MXNetError, "array", got, expected, why, fix=fix, op="assignment")


def check_not_in_place(op: str, inputs: Sequence[Any], outs: Sequence[Any]) -> None:
    """Refuse to write a recorded result over one of its inputs.

    Raises: MXNetError.
    """
    if not flags.recording or not any(map(depends, inputs)):
        return
    storages = {id(x._storage) for x in inputs if hasattr(x, "_storage")}
    if any(id(getattr(out, "_storage", None)) in storages for out in outs):
        why = "Inplace operations (+=, -=, x[:]=, etc) are not supported when recording with autograd"
        fix = "Compute a new array, such as x = x + y."
        raise refusal(MXNetError, "out", "an input", "any other array", why, fix=fix, op=op)
