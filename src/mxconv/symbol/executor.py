"""Executor: a graph at work on arrays that are bound to its variables.

The nodes are run one after the other by `ndarray.invoke` on views of the bound arrays, so that what is kept of a weight
(its packed copy) is kept from one forward to the next. While a gradient may be asked for they are recorded on the tape,
and `backward` is the tape's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MXNetError, ShapeError
from ..ndarray.creation import zeros
from ..ndarray.invoke import run
from ..ndarray.ndarray import NDArray
from ..ndarray.recording import Leaf, Origin, Scope, depends
from ..ndarray.tape import backward
from ..ops.refusal import refusal
from .graph import Node, place, split_variables, topological
from .head_gradients import read_head_gradients
from .infer import infer_shapes, infer_types
from .resize import resized_arrays
from .schedule import Step, differentiable, make_schedule

if TYPE_CHECKING:
    from ..context import Context
    from .symbol import Symbol

Monitor = Callable[[str, NDArray], Any]


class Executor:
    """A graph bound to arrays, made by `Symbol.bind` and `Symbol.simple_bind`.

    arg_arrays, aux_arrays: the bound arrays, in the order of list_arguments() and list_auxiliary_states(). They are
                            held by reference: what is written to them is seen by the next forward.
    grad_arrays:            where the gradients go, in the order of list_arguments(), None where there is none; None
                            instead of a list if no gradient arrays were given.
    outputs:                the results, from the beginning in the right shapes; each forward writes to the same arrays.

    >>> import mxconv as mx
    >>> net = 2 * mx.sym.Variable("a") + mx.sym.Variable("b")
    >>> executor = net.simple_bind(mx.cpu(), a=(3,), b=(3,))
    >>> executor.forward(is_train=True, a=mx.nd.ones(3))[0].asnumpy()
    array([2., 2., 2.], dtype=float32)
    >>> executor.backward(mx.nd.ones(3))
    >>> executor.grad_dict["a"].asnumpy()
    array([2., 2., 2.], dtype=float32)
    """

    def __init__(
        self,
        symbol: Symbol,
        ctx: Context,
        args: Sequence[NDArray],
        grads: Sequence[NDArray | None] | None,
        grad_reqs: Sequence[str],
        aux: Sequence[NDArray],
    ) -> None:
        """For as many arrays as the symbol has variables; whether they fit is checked here.

        Raises: ShapeError, DTypeError or ParamError, naming the node.
        """
        self.arg_arrays, self.aux_arrays = list(args), list(aux)
        self.grad_arrays = None if grads is None else list(grads)
        self._symbol, self._ctx, self._grad_reqs = symbol, ctx, tuple(grad_reqs)
        arguments, states = split_variables(topological(symbol.entries))
        self._bound: dict[Node, NDArray] = dict(zip((*arguments, *states), (*args, *aux), strict=True))
        self._leaves = {
            node: (grad, req)
            for node, grad, req in zip(arguments, grads or (), grad_reqs, strict=False)
            if grad is not None and req != "null"
        }
        self._schedule = make_schedule(symbol.entries)
        self._differentiable = differentiable(self._schedule, self._leaves)
        self._buffers = self._make_buffers()
        self._recorded: list[NDArray] | None = None
        self._was_train: bool | None = None
        self._monitor: Monitor | None = None
        self._monitor_all = False

    def _make_buffers(self) -> dict[int, NDArray]:
        """An array for each value that is a head: a new one, or a variable's own."""
        entries = self._symbol.entries
        shapes = infer_shapes(entries, {node: array.shape for node, array in self._bound.items()})
        types = infer_types(entries, {node: array.dtype for node, array in self._bound.items()})
        return {
            value: self._bound[entry.node].detach()
            if entry.node.is_variable
            else zeros(shapes[entry], self._ctx, types[entry])
            for entry, value in zip(entries, self._schedule.heads, strict=True)
        }

    # ---- arrays by name

    @property
    def outputs(self) -> list[NDArray]:
        """The results, in the order of list_outputs()."""
        return [self._buffers[value] for value in self._schedule.heads]

    @cached_property
    def arg_dict(self) -> dict[str, NDArray]:
        """The arguments by name."""
        return dict(zip(self._symbol.list_arguments(), self.arg_arrays, strict=True))

    @cached_property
    def grad_dict(self) -> dict[str, NDArray | None]:
        """The gradients by the arguments' names; None where there is none."""
        return dict(zip(self.arg_dict, self.grad_arrays or [None] * len(self.arg_arrays), strict=True))

    @cached_property
    def aux_dict(self) -> dict[str, NDArray]:
        """The auxiliary states by name."""
        return dict(zip(self._symbol.list_auxiliary_states(), self.aux_arrays, strict=True))

    @cached_property
    def output_dict(self) -> dict[str, NDArray]:
        """The results by name. Raises: ValueError, if two have the same."""
        names = self._symbol.list_outputs()
        if len(set(names)) < len(names):
            raise ValueError(f"Duplicate names detected, {names}")
        return dict(zip(names, self.outputs, strict=True))

    # ---- running

    def forward(self, is_train: bool = False, **kwargs: NDArray | np.ndarray[Any, Any]) -> list[NDArray]:
        """Compute the outputs, after copying the arrays given by name into the bound ones; returns `outputs`.

        Raises: ValueError, TypeError, for arrays that do not fit; what the operators raise, naming the node.
        """
        for name, array in kwargs.items():
            self._load(name, array)
        self._run(bool(is_train), bool(is_train and self._leaves), self._monitor)
        return self.outputs

    def _load(self, name: str, array: Any) -> None:
        if not isinstance(array, (NDArray, np.ndarray)):
            raise ValueError(f"only accept keyword argument of NDArrays and numpy.ndarray, {name} is {type(array)}")
        if name not in self.arg_dict:
            raise TypeError(f"Unknown argument {name}, expected one of {', '.join(self.arg_dict)}")
        target = self.arg_dict[name]
        if target.shape != array.shape:
            raise ValueError(f"Shape not match! Argument {name}, need: {target.shape}, received: {array.shape}")
        target[:] = array

    def _run(self, is_train: bool, is_recorded: bool, monitor: Monitor | None) -> list[NDArray]:
        """Compute the heads; values go as soon as nobody needs them, those on the tape with the tape."""
        schedule = self._schedule
        self._recorded, self._was_train = None, is_train
        values: list[Any] = [None] * schedule.size
        for node, value in schedule.variables.items():
            values[value] = view = self._bound[node].detach()
            if is_recorded and node in self._leaves:
                view._origin = Origin(Leaf(*self._leaves[node]), 0)
        with Scope(is_recorded, is_train):
            for step in schedule.steps:
                inputs = [values[value] for value in step.inputs]
                for value, result in zip(step.outputs, self._compute(step, inputs), strict=True):
                    values[value] = result
                if monitor is not None:
                    self._report(monitor, step, values)
                for value in step.done:
                    values[value] = None
        heads = [values[value] for value in schedule.heads]
        self._recorded = heads if is_recorded else None
        return heads

    def _compute(self, step: Step, inputs: list[NDArray]) -> list[NDArray]:
        """The outputs of one operator, in the buffers of those that are heads."""
        heads = [value for value in step.outputs if value in self._buffers]
        out = [self._buffers[value].detach() for value in heads] if len(heads) == len(step.outputs) else None
        try:
            results = run(step.op, step.param, step.names, inputs, out)
        except MXNetError as error:
            where = place(step.node, topological(self._symbol.entries))
            error.message = f"Error in operator {where}: {error.message}"
            raise
        if out is None:
            for value, result in zip(step.outputs, results, strict=True):
                if value in heads:
                    result.detach().copyto(self._buffers[value])
        return results

    def backward(
        self,
        out_grads: NDArray | Sequence[NDArray] | Mapping[str, NDArray] | None = None,
        is_train: bool = True,
    ) -> None:
        """Write or add the gradients of the arguments to the arrays bound for them.

        `out_grads` are the gradients of the outputs, in their order or by name; those of losses and of what no gradient
        goes through are not needed. What the last forward computed is differentiated, in its mode; forward is run first
        (in the mode `is_train`, if there was none) unless that was in training.

        Raises: TypeError, for what is no NDArray; KeyError, if an output is missing in a dict; ParamError, if there are
        too few; ShapeError, if one does not fit; MXNetError, if an operator cannot be differentiated.
        """
        is_needed = [value in self._differentiable for value in self._schedule.heads]
        head_grads = read_head_gradients(out_grads, self._symbol.list_outputs(), self.outputs, is_needed)
        if not self._leaves:
            return
        mode = is_train if self._was_train is None else self._was_train
        heads = self._recorded or self._run(mode, True, None)
        pairs = [(head, grad) for head, grad in zip(heads, head_grads, strict=True) if depends(head)]
        backward(*zip(*pairs, strict=True), retain_graph=True, train_mode=is_train)

    # ---- other arrays, other shapes

    def copy_params_from(
        self,
        arg_params: Mapping[str, NDArray],
        aux_params: Mapping[str, NDArray] | None = None,
        allow_extra_params: bool = False,
    ) -> None:
        """Copy values into the bound arrays, by name and in their dtypes.

        Raises: ValueError, for a name that is none of ours, unless `allow_extra_params`; ShapeError.
        """
        for what, params, ours in (
            ("arguments", arg_params, self.arg_dict),
            ("auxiliary states", aux_params or {}, self.aux_dict),
        ):
            for name, array in params.items():
                if name in ours:
                    _copy(name, array, ours[name])
                elif not allow_extra_params:
                    raise ValueError(f'Find name "{name}" that is not in the {what}')

    def reshape(self, partial_shaping: bool = False, allow_up_sizing: bool = False, **kwargs: Any) -> Executor:
        """An executor for other shapes of some variables, on the same memory as far as that is large enough.

        partial_shaping: whether variables that are not named may change their shapes, too.
        allow_up_sizing: whether new arrays (of zeros) may be made where the present ones are too small.

        Raises: ShapeError, if that is needed but not allowed, or if the shapes do not fit; ParamError, for an unknown
        name.
        """
        grads = dict(zip(self._bound, self.grad_arrays or (), strict=False))
        found = resized_arrays(self._symbol.entries, self._bound, grads, kwargs, partial_shaping, allow_up_sizing)
        arrays = [array for array, _ in found]
        new_grads = None if self.grad_arrays is None else [grad for _, grad in found[: len(self.arg_arrays)]]
        args, aux = arrays[: len(self.arg_arrays)], arrays[len(self.arg_arrays) :]
        executor = Executor(self._symbol, self._ctx, args, new_grads, self._grad_reqs, aux)
        executor._monitor, executor._monitor_all = self._monitor, self._monitor_all
        return executor

    # ---- looking inside

    def set_monitor_callback(self, callback: Monitor, monitor_all: bool = False) -> None:
        """Have forward call `callback(name, array)` for each output of each operator, as soon as it is computed.

        Names are str, `<node>_output` and the like. With `monitor_all` the inputs are reported as well, before the
        outputs: variables by their names, and every input as `<node>_<input>`.
        """
        self._monitor, self._monitor_all = callback, monitor_all

    def _report(self, monitor: Monitor, step: Step, values: Sequence[NDArray]) -> None:
        if self._monitor_all:
            for entry, name, value in zip(step.node.inputs, step.names, step.inputs, strict=True):
                if entry.node.is_variable:
                    monitor(entry.node.name, values[value].detach())
                monitor(f"{step.node.name}_{name}", values[value].detach())
        for name, value in zip(step.node.output_names(), step.outputs, strict=True):
            monitor(name, values[value].detach())

    def debug_str(self) -> str:
        """The graph for people, and how much memory the bound arrays and outputs take."""
        arrays = (*self.arg_arrays, *(self.grad_arrays or ()), *self.aux_arrays, *self._buffers.values())
        memories = {id(one.storage): one.size * np.dtype(one.dtype).itemsize for one in arrays if one is not None}
        return f"{self._symbol.debug_str()}Total {sum(memories.values()) >> 20} MB allocated\n"

    def get_optimized_symbol(self) -> Symbol:
        """The graph that is run: the one that was bound."""
        return self._symbol


def _copy(name: str, source: NDArray, target: NDArray) -> None:
    if source.shape != target.shape:
        why, fix = "Incompatible attr in node at 0-th output", "Pass an array of that shape, or reshape the executor."
        raise refusal(
            ShapeError, name, source.shape, target.shape, why, fix=fix, op="copy_params_from", verb="has shape"
        )
    source.copyto(target)
