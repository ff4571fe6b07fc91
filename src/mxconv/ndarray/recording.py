"""What is recorded while `autograd.record` is on: nodes, and which array came from which of them.

A node holds views of its inputs and outputs, which share memory with the caller's arrays but are none of them: no
snapshot is taken, nothing refers in a circle, and a graph goes as soon as its last array does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MXNetError

if TYPE_CHECKING:
    from ..ops.registry import OpSpec
    from .base import ArrayBase


class _Flags(threading.local):
    recording = False
    training = False


flags = _Flags()
"""Of the current thread: whether calls are recorded, and whether operators behave as in training."""


class Node:
    """One recorded computation; `is_alive` until a backward pass has freed it."""

    __slots__ = ("__weakref__", "inputs", "is_alive", "outputs", "param", "spec")

    def __init__(self, spec: OpSpec, param: Any, inputs: tuple[ArrayBase, ...]) -> None:
        self.spec, self.param, self.inputs = spec, param, inputs
        self.outputs: tuple[ArrayBase, ...] = ()
        self.is_alive = True

    def free(self) -> None:
        """Forget everything, so that arrays of this graph count as not recorded."""
        self.inputs = self.outputs = ()
        self.is_alive = False


class Leaf(Node):
    """Where a graph begins: an array that something was computed from, and where its gradient goes."""

    __slots__ = ("grad", "grad_req")

    def __init__(self, grad: ArrayBase | None = None, grad_req: str = "") -> None:
        self.inputs = self.outputs = ()
        self.is_alive = True
        self.grad, self.grad_req = grad, grad_req

    @property
    def is_constant(self) -> bool:
        """Whether nobody marked the array as a variable."""
        return not self.grad_req

    def free(self) -> None:
        """Only what was marked as a variable stays what it is."""
        self.is_alive = not self.is_constant and self.grad_req != "null"


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
    spec: OpSpec, param: Any, inputs: Sequence[ArrayBase], results: Sequence[ArrayBase], saved: Sequence[ArrayBase] = ()
) -> None:
    """Make the results of a computation part of the graph of its inputs, if recording is on and they have one.

    The results may be views of the inputs. They must not be part of a graph yet.
    """
    if not flags.recording or not any(map(depends, inputs)):
        return
    held = []
    for index, one in enumerate(inputs):
        view = one._view(one._array)
        if not is_recorded(one) and index not in spec.mutates:
            one._origin = Origin(Leaf(), 0)
        view._origin = one._origin
        held.append(view)
    node = Node(spec, param, tuple(held))
    node.outputs = tuple(one._view(one._array) for one in (*results, *saved))
    for index, one in enumerate(results):
        one._origin = Origin(node, index)


def check_writable(array: ArrayBase) -> None:
    """Refuse to write to an array of a graph while recording is on.

    Raises: MXNetError.
    """
    if flags.recording and is_recorded(array):
        raise MXNetError(
            "the array is written to, expected one that nothing was recorded with: Assigning to NDArrays that are "
            "already in a computational graph will cause undefined behavior when evaluating gradients",
            op="assignment", argument="array", got="an array of a recorded graph", expected="any other array",
            fix="Call backward first, write within autograd.pause(), or compute a new array: operations in place "
            "(+=, x[...] = y, out=x) cannot be recorded.",
        )  # fmt: skip


def check_not_in_place(op: str, inputs: Sequence[Any], outs: Sequence[Any]) -> None:
    """Refuse to write a recorded result over one of its inputs.

    Raises: MXNetError.
    """
    if not flags.recording or not any(map(depends, inputs)):
        return
    storages = {id(x._storage) for x in inputs if hasattr(x, "_storage")}
    if any(id(getattr(out, "_storage", None)) in storages for out in outs):
        raise MXNetError(
            "the result is written over an input, expected another array: Inplace operations (+=, -=, x[:]=, etc) are "
            "not supported when recording with autograd",
            op=op, argument="out", got="an input", expected="any other array",
            fix="Compute a new array, such as x = x + y.",
        )  # fmt: skip
