"""Binding: what Symbol.bind and Symbol.simple_bind are told, made into an Executor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..context import Context, host_context
from ..errors import DTypeError, MXNetError, ParamError, ShapeError, UnsupportedError
from ..ndarray.creation import zeros
from ..ndarray.differentiation import GRAD_REQS, check_grad_req
from ..ndarray.ndarray import NDArray
from ..ops.inference import write_shape
from ..ops.refusal import refusal
from .executor import Executor
from .graph import Entry, Node, split_variables, topological
from .infer import given_shapes, given_types, infer_shapes, infer_types, is_complete
from .resize import resized

if TYPE_CHECKING:
    from .symbol import Symbol

Arrays = Sequence["NDArray | None"] | Mapping[str, NDArray]


def bind(
    symbol: Symbol,
    ctx: Context,
    args: Arrays,
    args_grad: Arrays | None = None,
    grad_req: Any = "write",
    aux_states: Arrays | None = None,
    group2ctx: Mapping[str, Context] | None = None,
    shared_exec: Executor | None = None,
) -> Executor:
    """An Executor on these arrays: lists in the order of the symbol's lists, or dicts by name.

    args_grad: where gradients go; None, also in a list, and names missing in a dict are arguments without a gradient.
    grad_req:  'write', 'add' or 'null', for all arguments or in a list or dict for each (missing ones are 'null').

    One array may serve several arguments. Contexts are all host memory, and memory is never shared behind the scenes,
    so `group2ctx` and `shared_exec` change nothing.

    Raises: TypeError, ValueError, KeyError, as MXNet; ShapeError, DTypeError, ParamError, if the arrays do not fit.
    """
    ctx = _read_context(ctx, group2ctx)
    names, states = _names("bind", symbol)
    found: list[Any] = _pick("args", args, names, is_complete=True)
    aux: list[Any] = _pick("aux_states", aux_states or [], states, is_complete=True)
    grads = None if args_grad is None else _pick("args_grad", args_grad, names, is_complete=False)
    for name, array, grad in zip(names, found, grads or [], strict=False):
        if grad is not None:
            _check_alike("bind", f"args_grad[{name!r}]", grad, array.shape, array.dtype)
    return Executor(symbol, ctx, found, grads, _read_grad_req("bind", grad_req, names), aux)


def simple_bind(
    symbol: Symbol,
    ctx: Context,
    shapes: Mapping[str, Any],
    grad_req: Any = "write",
    type_dict: Mapping[str, Any] | None = None,
    stype_dict: Mapping[str, str] | None = None,
    group2ctx: Mapping[str, Context] | None = None,
    shared_arg_names: list[str] | None = None,
    shared_exec: Executor | None = None,
    shared_buffer: dict[str, NDArray] | None = None,
) -> Executor:
    """An Executor on new arrays of zeros, whose shapes and types are inferred from those given by name.

    type_dict:     types by name; float32 where nothing follows from them.
    shared_buffer: arrays by name that are used instead of new ones if they are large enough; new ones are put there.
                   With it, the arguments in `shared_arg_names` and all auxiliary states are those of `shared_exec`.

    Raises: RuntimeError, beginning with "simple_bind error"; most are MXNetErrors that say more. TypeError, ValueError.
    """
    if shared_arg_names is not None and not isinstance(shared_arg_names, list):
        raise ValueError("shared_arg_names in simple_bind must be a list or None")
    if shared_buffer is not None and not isinstance(shared_buffer, dict):
        raise ValueError("shared_buffer in simple_bind must be dict or None")
    ctx = _read_context(ctx, group2ctx)
    try:
        _check_storage_types(stype_dict or {})
        names, states = _names("simple_bind", symbol)
        reqs = _read_grad_req("simple_bind", "null" if grad_req is None else grad_req, names)
        facts = _complete(symbol, shapes, type_dict or {})
        supply = _Supply(ctx, shared_buffer, set(shared_arg_names or ()), shared_exec)
        args = [supply.argument(name, *fact) for name, fact in zip(names, facts, strict=False)]
        grads = [
            None if req == "null" else supply.gradient(name, *fact)
            for name, req, fact in zip(names, reqs, facts, strict=False)
        ]
        aux = [supply.state(name, *fact) for name, fact in zip(states, facts[len(names) :], strict=True)]
        return Executor(symbol, ctx, args, grads, reqs, aux)
    except MXNetError as error:
        text = _simple_bind_error(error, shapes)
        raise type(error)(text, argument=error.argument, got=error.got, expected=error.expected) from error
    except KeyError as error:
        raise RuntimeError(_simple_bind_error(error.args[0], shapes)) from error


def _simple_bind_error(reason: Any, shapes: Mapping[str, Any]) -> str:
    return "simple_bind error. Arguments:\n" + "".join(f"{k}: {v}\n" for k, v in shapes.items()) + str(reason)


# ---- reading what is given


def _read_context(ctx: Any, group2ctx: Mapping[str, Context] | None) -> Context:
    for one in (ctx, *(group2ctx or {}).values()):
        if not isinstance(one, Context):
            raise TypeError(f"Context type error: ctx is {one!r}, expected a Context such as mx.cpu()")
        host_context(one)
    return host_context(ctx)


def _names(op: str, symbol: Symbol) -> tuple[list[str], list[str]]:
    """The names of the arguments and of the auxiliary states, each of which must be one variable's alone."""
    names, states = symbol.list_arguments(), symbol.list_auxiliary_states()
    for what, listed in (("list_arguments()", names), ("list_auxiliary_states()", states)):
        twice = sorted({name for name in listed if listed.count(name) > 1}) if len(set(listed)) < len(listed) else []
        if twice:
            fix = "Give each variable a name of its own, or use one Symbol twice."
            got = f"{', '.join(twice)} more than once"
            raise refusal(
                ParamError, what, got, "distinct names", "Duplicate names detected", fix=fix, op=op, verb="has"
            )
    return names, states


def _pick(what: str, arrays: Any, names: Sequence[str], *, is_complete: bool) -> list[NDArray | None]:
    """The array for each name; only if not `is_complete` may there be none."""
    found: list[Any]
    if isinstance(arrays, list):
        if len(arrays) != len(names):
            expected = ", ".join(names) or "none"
            raise ValueError(
                f"Length of {what} does not match the number of arguments: got {len(arrays)}, expected {expected}"
            )
        found = arrays
    elif isinstance(arrays, Mapping):
        for name in names:
            if is_complete and name not in arrays:
                raise ValueError(f"key `{name}` is missing in `{what}`")
        found = [arrays.get(name) for name in names]
    else:
        raise TypeError(f"Only accept list of NDArrays or dict of str to NDArray: {what} is a {type(arrays).__name__}")
    for one in found:
        if not (isinstance(one, NDArray) or (one is None and not is_complete)):
            kind = type(one).__name__
            raise TypeError(f"Only accept list of NDArrays or dict of str to NDArray: {what} has a {kind}, wrap it")
    return found


def _read_grad_req(op: str, grad_req: Any, names: Sequence[str]) -> list[str]:
    """The word for each argument."""
    if isinstance(grad_req, str):
        if grad_req not in GRAD_REQS:
            why, fix = f"grad_req must be in {set(GRAD_REQS)}", "Pass grad_req='write'."
            raise refusal(ParamError, "grad_req", repr(grad_req), ", ".join(GRAD_REQS), why, fix=fix, op=op)
        return [grad_req] * len(names)
    if isinstance(grad_req, (list, tuple)):
        if len(grad_req) != len(names):
            why = "The length of grad_req list does not match the number of input arguments"
            fix = f"Pass one word for each of {', '.join(names)}, or a dict."
            got, expected = f"{len(grad_req)} entries", f"{len(names)}"
            raise refusal(ParamError, "grad_req", got, expected, why, fix=fix, op=op, verb="has")
        return [check_grad_req(word) for word in grad_req]
    if isinstance(grad_req, Mapping):
        return [check_grad_req(grad_req.get(name, "null")) for name in names]
    raise TypeError(f"grad_req is a {type(grad_req).__name__}, expected a str, a list or a dict of them")


def _check_storage_types(stype_dict: Mapping[str, str]) -> None:
    for name, stype in stype_dict.items():
        if stype != "default":
            fix = "Leave it out of stype_dict."
            why = "arrays are dense"
            raise refusal(
                UnsupportedError, name, stype, "'default'", why, fix=fix, op="simple_bind", verb="is stored as"
            )


def _check_alike(op: str, what: str, array: NDArray, shape: tuple[int, ...], dtype: Any) -> None:
    if array.shape != shape:
        fix = f"Pass mx.nd.zeros({shape})."
        raise refusal(ShapeError, what, array.shape, shape, fix=fix, op=op, verb="has shape")
    if array.dtype != dtype:
        got, expected = np.dtype(array.dtype).name, np.dtype(dtype).name
        fix = f"Pass an array with dtype='{expected}'."
        raise refusal(DTypeError, what, got, expected, fix=fix, op=op, verb="has dtype")


# ---- making arrays


def _complete(symbol: Symbol, shapes: Mapping[str, Any], types: Mapping[str, Any]) -> list[tuple[tuple[int, ...], Any]]:
    """Shape and type of each argument, then of each auxiliary state."""
    entries = symbol.entries
    arguments, states = split_variables(topological(entries))
    variables = (*arguments, *states)
    known_types = given_types("simple_bind", entries, types)
    found_types = infer_types(entries, known_types)
    rest: dict[Node, Any] = {node: np.float32 for node in variables if found_types[Entry(node, 0)] is None}
    if rest:
        found_types = infer_types(entries, known_types | rest)
    found_shapes = infer_shapes(entries, given_shapes("simple_bind", entries, shapes))
    unknown = [node for node in variables if not is_complete(found_shapes[Entry(node, 0)])]
    if unknown:
        listed = ", ".join(f"{node.name}: {write_shape(found_shapes[Entry(node, 0)])}" for node in unknown[:10])
        why = f"InferShape pass cannot decide shapes for the following arguments (0s in shape mean unknown): {listed}"
        fix = f"Give a shape, such as {unknown[0].name}=(1, 3, 224, 224)."
        got = "nothing that decides " + ("it" if len(unknown) == 1 else f"{len(unknown)} of them")
        raise refusal(ShapeError, "shapes", got, "every shape", why, fix=fix, op="simple_bind", verb="have")
    return [(write_shape(found_shapes[Entry(node, 0)]), found_types[Entry(node, 0)]) for node in variables]


class _Supply:
    """Where the arrays of simple_bind come from: new ones, but for what is to be shared."""

    def __init__(
        self, ctx: Context, buffer: dict[str, NDArray] | None, shared: set[str], executor: Executor | None
    ) -> None:
        self._ctx, self._buffer, self._shared = ctx, buffer, shared
        self._executor = executor if buffer is not None else None

    def argument(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray:
        if name in self._shared:
            return self._of_executor(name, lambda executor: executor.arg_dict, shape, dtype)
        return self._of_buffer(name, shape, dtype)

    def gradient(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray:
        if name in self._shared:
            return self._of_executor(name, lambda executor: executor.grad_dict, shape, dtype)
        return self._of_buffer(f"grad of {name}", shape, dtype)

    def state(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray:
        return self._of_executor(name, lambda executor: executor.aux_dict, shape, dtype)

    def _of_executor(
        self, name: str, arrays: Callable[[Executor], Mapping[str, Any]], shape: tuple[int, ...], dtype: Any
    ) -> NDArray:
        found: NDArray | None = None if self._executor is None else arrays(self._executor).get(name)
        if found is None:
            return zeros(shape, self._ctx, dtype)
        _check_alike("simple_bind", f"{name} of shared_exec", found, shape, dtype)
        return found

    def _of_buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray:
        if self._buffer is None:
            return zeros(shape, self._ctx, dtype)
        found = self._buffer.get(name)
        if found is None or found.size < math.prod(shape):
            found = self._buffer[name] = zeros(shape, self._ctx, dtype)
        _check_alike("simple_bind", f"shared_buffer[{name!r}]", found, found.shape, dtype)
        return resized(found, shape)
