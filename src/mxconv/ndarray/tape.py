"""Backward passes through recorded graphs.

Gradients are made of calls to registered operators; those are recorded in their turn if asked to, so that every order
of derivative exists. Only nodes between the heads and the wanted arrays are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ..errors import DTypeError, MXNetError, ShapeError
from ..ops.refusal import refusal
from ..ops.registry import Step
from .base import ArrayBase
from .invoke import invoke
from .recording import Leaf, Node, Origin, Scope, depends, is_recording, is_training, view_as

__all__ = ["backward", "gradients", "is_recording", "is_training"]

_FEW = 8  # gradients of one array that are held before they are added up: sums are rounded once, memory is bounded


def gradients(
    heads: Sequence[Any],
    head_grads: Sequence[Any] | None,
    variables: Sequence[Any],
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    train_mode: bool = True,
) -> list[Any]:
    """The gradient of the sum of the heads, weighted by `head_grads` (ones where None), for each of the variables.

    A variable is an array with attach_grad, or any that was computed from one. With `create_graph` the gradients can
    be differentiated themselves. Unless `retain_graph` (the same as `create_graph` by default) the graph is freed.

    Raises: MXNetError, if a head or a variable is not in the graph, or an operator cannot be differentiated;
    ShapeError, DTypeError, if a head gradient does not fit.
    """
    order = _nodes(heads)
    reached = set(order)
    targets = [_target(place, variable, reached) for place, variable in enumerate(variables, 1)]
    taken = {one._storage for one in head_grads or () if one is not None}
    taken.update(one._storage for node in order for one in (*node.inputs, *node.outputs))
    retain = create_graph if retain_graph is None else retain_graph
    found = _sweep(order, heads, head_grads, targets, create_graph=create_graph, retain=retain, train_mode=train_mode)
    results = []
    with Scope(create_graph, train_mode):
        for variable, target in zip(variables, targets, strict=True):
            grad = found.get(target)
            if grad is None:
                grad = _zeros(variable)
            elif grad._storage in taken:  # somebody else's memory
                (grad,) = invoke("_copy", [grad], {})
            taken.add(grad._storage)
            results.append(grad)
    return results


def backward(
    heads: Sequence[Any], head_grads: Sequence[Any] | None, *, retain_graph: bool = False, train_mode: bool = True
) -> None:
    """Compute the gradients of all variables that the heads came from, and write or add them where these want them.

    Raises: MXNetError, as `gradients`, and if there are no such variables.
    """
    order = _nodes(heads)
    leaves = [node for node in order if isinstance(node, Leaf) and node.grad_req in ("write", "add")]
    if not leaves:
        why = "There are no inputs in computation graph that require gradients"
        fix = "Call x.attach_grad() on the arrays whose gradients you want, before recording."
        got, expected = "nothing with attach_grad()", "one variable at least"
        raise refusal(MXNetError, "heads", got, expected, why, fix=fix, op="backward", verb="came from")
    targets = [Origin(leaf, 0) for leaf in leaves]
    found = _sweep(order, heads, head_grads, targets, create_graph=False, retain=retain_graph, train_mode=train_mode)
    for leaf, target in zip(leaves, targets, strict=True):
        _deliver(leaf, found.get(target))


def _nodes(heads: Iterable[Any]) -> list[Node]:
    """All nodes that the heads came from, each after those of its inputs."""
    order: list[Node] = []
    seen: set[Node] = set()
    for head in heads:
        if not depends(head):
            raise _lost()
        stack = [(head._origin.node, False)]
        while stack:
            node, is_done = stack.pop()
            if is_done:
                order.append(node)
            elif node not in seen:
                if not node.is_alive and not isinstance(node, Leaf):
                    raise _lost()
                seen.add(node)
                stack.append((node, True))
                stack.extend((one._origin.node, False) for one in node.inputs if one._origin is not None)
    return order


def _lost() -> MXNetError:
    why = "Cannot differentiate node because it is not in a computational graph"
    fix = "Compute it within autograd.record(); to differentiate it twice, pass retain_graph=True to backward."
    got, expected = "an array without a graph, or with one that was freed", "arrays of a graph"
    return refusal(MXNetError, "heads", got, expected, why, fix=fix, op="backward", verb="has")


def _target(place: int, variable: Any, reached: set[Node]) -> Origin:
    """What a variable is in the graph."""
    origin: Origin | None = variable._origin
    why = f"Cannot differentiate with respect to the {place}-th variable because it "
    if origin is None or not depends(variable) or (isinstance(origin.node, Leaf) and origin.node.grad_req == "null"):
        got, why, fix = "an array without attach_grad", why + "does not require gradient", "Call x.attach_grad() first."
    elif origin.node not in reached:
        got, why = "an array that the heads did not come from", why + "is unreachable from the outputs"
        fix = "Leave it out: its gradient is zero."
    else:
        return origin
    raise refusal(MXNetError, "variables", got, "arrays of the graph", why, fix=fix, op="grad", verb="has")


def _sweep(
    order: Sequence[Node],
    heads: Sequence[Any],
    head_grads: Sequence[Any] | None,
    targets: Iterable[Origin],
    *,
    create_graph: bool,
    retain: bool,
    train_mode: bool,
) -> dict[Origin, Any]:
    """The gradients of the targets that are not zero everywhere; nodes are freed as they are done, unless `retain`."""
    kept = set(targets)
    wanted = {target.node for target in kept}  # and all nodes that lead from them to the heads
    for node in order:
        if any(one._origin is not None and one._origin.node in wanted for one in node.inputs):
            wanted.add(node)
    arrived: dict[Origin, list[Any]] = {}
    with Scope(create_graph, train_mode):
        for head, grad in zip(heads, [None] * len(heads) if head_grads is None else head_grads, strict=True):
            _add(arrived, head._origin, _head_grad(head, grad))
        for node in reversed(order):
            needs = [one._origin is not None and one._origin.node in wanted for one in node.inputs]
            if node in wanted and any(needs):
                _step(node, needs, arrived, kept)
            if not retain:
                node.free()
        return {target: _total(arrived[target]) for target in kept if target in arrived}


def _step(node: Node, wanted: list[bool], arrived: dict[Origin, list[Any]], kept: set[Origin]) -> None:
    """Pass the gradients that arrived at the outputs of a node on to its inputs."""
    places = [Origin(node, i) for i in range(node.visible)]
    totals = [_total(arrived[place]) if place in arrived else None for place in places]
    for place in places:
        if place not in kept:
            arrived.pop(place, None)
    if all(one is None for one in totals) and not node.is_loss:
        if not node.has_states:
            return
        wanted = [False] * len(wanted)  # its states move nevertheless, as in MXNet
    if node.gradient is None:
        why = f"Operator {node.name} is non-differentiable"
        fix = "Use detach() or BlockGrad on its output."
        got, expected = "an output of it", "what has a gradient"
        raise refusal(MXNetError, "heads", got, expected, why, fix=fix, op=node.name, verb="came from")
    outputs = [view_as(one, place) for one, place in zip_longest(node.outputs, places)]
    out_grads = [_zeros(out) if grad is None else grad for out, grad in zip(outputs, totals, strict=False)]
    inputs = [view_as(one, one._origin) for one in node.inputs]
    step = Step(node.param, inputs, outputs, out_grads, wanted, invoke)
    for one, is_wanted, grad in zip(inputs, wanted, node.gradient(step), strict=True):
        if is_wanted and grad is not None:
            assert grad._array.shape == one._array.shape, (
                f"{node.name}: gradient {grad._array.shape} of an input {one._array.shape}"
            )
            assert one._origin is not None
            _add(arrived, one._origin, grad)


def _zeros(array: Any) -> Any:
    return array._result(np.zeros_like(array._array))


def _add(arrived: dict[Origin, list[Any]], origin: Origin, grad: Any) -> None:
    grads = arrived.setdefault(origin, [])
    grads.append(grad)
    if len(grads) == _FEW:
        grads[:] = [_total(grads)]


def _total(grads: list[Any]) -> Any:
    return grads[0] if len(grads) == 1 else invoke("add_n", grads, {})[0]


def _head_grad(head: Any, grad: Any) -> Any:
    """The gradient of a head: ones, or what was given if it fits."""
    if grad is None:
        return head._result(np.ones_like(head._array))
    if not isinstance(grad, ArrayBase):
        raise AttributeError(f"a head gradient is a {type(grad).__name__}, expected an NDArray; wrap it in nd.array")
    got, expected = grad._array.shape, head._array.shape
    if got != expected:
        fix = "Pass one of that shape."
        raise refusal(
            ShapeError, "head_grads", got, expected, "its head's", fix=fix, op="backward", verb="has one of shape"
        )
    got, expected = grad._array.dtype.name, head._array.dtype.name
    if got != expected:
        fix = f"Convert it with .astype('{expected}')."
        raise refusal(
            DTypeError, "head_grads", got, expected, "its head's", fix=fix, op="backward", verb="has one of dtype"
        )
    return grad


def _deliver(leaf: Leaf, grad: Any) -> None:
    """Write or add a gradient (None: zero) to the array that was attached for it."""
    assert leaf.grad is not None
    with leaf.grad._writing() as memory:
        if leaf.grad_req == "write":
            memory[...] = 0 if grad is None else grad._array
        elif grad is not None:
            memory[...] = memory + grad._array
