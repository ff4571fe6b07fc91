"""One way to call any operator on arrays: parse, check, compute, wrap, record."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from ..context import Context, host_context
from ..errors import DTypeError, MXNetError, ParamError, ShapeError
from ..ops.operands import check_inputs
from ..ops.refusal import refusal
from ..ops.registry import OPERATORS, Call, OpSpec, compute, lookup
from .base import Array, ArrayBase
from .recording import check_not_in_place, check_writable, flags, record
from .storage import Storage

if TYPE_CHECKING:
    from .ndarray import NDArray

T = TypeVar("T", bound=ArrayBase)


def invoke(op: str | OpSpec, inputs: Sequence[Any], attributes: Mapping[str, Any], out: Any = None) -> list[Any]:
    """The visible outputs of an operator for NDArrays (or NumPy arrays) and parameters in any spelling.

    They are written to `out`, an array or a list of them, where that is given; it may overlap the inputs. While
    recording is on, the call becomes part of its inputs' graph.

    Raises: MXNetError, for an unknown operator; what the operator raises; AssertionError, for an input that is no
    array.

    >>> from mxconv.ndarray.creation import ones
    >>> (y,) = invoke("Convolution", [ones((1, 2, 9)), ones((4, 2, 3))], {"kernel": 3, "num_filter": 4, "no_bias": 1})
    >>> y.shape
    (1, 4, 7)
    """
    spec = op if isinstance(op, OpSpec) else _known(op)
    if spec.variadic and spec.variadic not in attributes:
        attributes = {**attributes, spec.variadic: len(inputs)}
    param = spec.parse(attributes)
    names = spec.input_names(param)
    if len(names) != len(inputs):
        more = [f"input {i}" for i in range(len(names), len(inputs))]
        check_inputs(spec, param, [*names[: len(inputs)], *more])
    return run(spec, param, names, inputs, out)


def run(spec: OpSpec, param: Any, names: Sequence[str], inputs: Sequence[Any], out: Any = None) -> list[Any]:
    """As `invoke`, for parameters that were parsed and inputs that are as many as these ask for."""
    operands = [as_numpy(spec.name, name, value) for name, value in zip(names, inputs, strict=True)]
    first = next((x for x in inputs if isinstance(x, ArrayBase)), None)
    kind, context = (_array_class(), None) if first is None else (type(first), first._context)
    identities = tuple([x._identity() if isinstance(x, ArrayBase) else None for x in inputs])
    count = len(spec.output_names(param))
    outputs: list[Any]
    if out is None and not spec.mutates:
        results = compute(spec, param, operands, Call(flags.training, None, identities))
        outputs = [kind._adopt(one, context) for one in results[:count]]
    else:
        outs = None if out is None else _as_outs(spec.name, out, count, inputs)
        with ExitStack() as stack:
            for index in spec.mutates:
                operands[index] = stack.enter_context(_writing(spec.name, names[index], inputs[index], "state"))
            memories = [stack.enter_context(_writing(spec.name, "out", one, "output")) for one in outs or ()]
            call = Call(flags.training, memories[0] if memories else None, identities)
            results = compute(spec, param, operands, call)
            if outs is None:
                outputs = [kind._adopt(one, context) for one in results[:count]]
            else:
                _fill(spec.name, memories, results[:count])
                outputs = outs
    if flags.recording and all(isinstance(one, ArrayBase) for one in outputs):
        held = [_held(kind, x, context) for x in inputs]
        saved = [_held(kind, x, context) for x in results[count:]]
        has_states = bool(spec.aux_names)
        record(spec.name, spec.gradient, param, held, outputs, saved, spec.mutates, spec.is_loss, has_states)
    return outputs


def apply(op: str, data: T, /, *others: ArrayBase, **attributes: Any) -> T:
    """The only result of an operator on an array, and perhaps on others."""
    result: T = invoke(op, [data, *others], attributes)[0]
    return result


def note(op: str, attributes: Mapping[str, Any], data: ArrayBase, result: T) -> T:
    """Record an operator whose only result is there already, such as a view of its only input; returns the result."""
    if flags.recording:
        spec = _known(op)
        record(spec.name, spec.gradient, spec.parse(attributes), [data], [result])
    return result


def as_numpy(op: str, name: str, value: Any) -> Array:
    """The memory of an input, read-only.

    Raises: AssertionError, as MXNet, for what is no array.
    """
    if isinstance(value, ArrayBase):
        return value.numpy_view()
    if isinstance(value, np.ndarray):
        view = np.asarray(value)[...]
        view.flags.writeable = False
        return view
    raise AssertionError(_wrong_type(op, name, value, f"Wrap the value with mx.nd.array({name})."))


def _wrong_type(op: str, name: str, value: Any, fix: str) -> str:
    return (
        f"{op}: {name} is a {type(value).__name__}, expected an NDArray or a NumPy array: Argument {name} must "
        f"have NDArray type. {fix}"
    )


def _writing(op: str, name: str, array: Any, kind: Literal["state", "output"]) -> AbstractContextManager[Array]:
    """The memory of an array that an operator writes to."""
    if isinstance(array, ArrayBase):
        return array.writing() if kind == "output" else array._writing()
    if isinstance(array, np.ndarray):
        return nullcontext(np.asarray(array))
    raise AssertionError(_wrong_type(op, name, array, "Pass an array to write to, or let the operator make one."))


def _as_outs(op: str, out: Any, count: int, inputs: Sequence[Any]) -> list[Any]:
    """The arrays to write to: as many as there are outputs; none that the gradient needs as an input."""
    outs = list(out) if isinstance(out, (list, tuple)) else [out]
    if len(outs) != count:
        arrays = "array" if count == 1 else "arrays"
        fix = "Pass out=array or out=[array]." if count == 1 else f"Pass out=[...] with {count} arrays."
        raise refusal(ParamError, "out", f"{len(outs)} arrays", f"{count} {arrays}", fix=fix, op=op, verb="has")
    for one in outs:
        if isinstance(one, ArrayBase):
            check_writable(one)
    check_not_in_place(op, inputs, outs)
    return outs


def _fill(op: str, memories: Sequence[Array], results: Sequence[Array]) -> None:
    """Copy results to where they are wanted, if they are not there already."""
    several = len(results) > 1
    results = [one.copy() if several and not one.flags.writeable else one for one in results]  # views of inputs
    for index, (memory, result) in enumerate(zip(memories, results, strict=True)):
        if result is memory:
            continue
        fix = "Pass an array of exactly that {}, or let the operator make one."
        if memory.shape != result.shape:
            why = f"{index}-th output has invalid shape, Shape inconsistent with what the inputs give"
            raise refusal(
                ShapeError, "out", memory.shape, result.shape, why, fix=fix.format("shape"), op=op, verb="has shape"
            )
        if memory.dtype != result.dtype:
            got, expected = memory.dtype.name, result.dtype.name
            raise refusal(
                DTypeError, "out", got, expected, "the result's dtype", fix=fix.format("dtype"), op=op, verb="has dtype"
            )
        memory[...] = result


def _held(kind: type[ArrayBase], value: Any, context: Context | None) -> ArrayBase:
    """What a node holds: NDArrays as they are, NumPy arrays wrapped."""
    if isinstance(value, ArrayBase):
        return value
    return kind._wrap(np.require(value, None, ("C", "A")), Storage(tainted=True), host_context(context))


def _known(name: str) -> OpSpec:
    spec = lookup(name)
    if spec is None:
        why = f"Operator {name} is not registered"
        raise refusal(MXNetError, "op", repr(name), "an operator's name", why, fix=_closest(name), op="invoke")
    return spec


def _closest(name: str) -> str:
    close = difflib.get_close_matches(name, OPERATORS, n=1)
    return f"Did you mean '{close[0]}'?" if close else "See dir(mx.nd) for those that there are."


@cache
def _array_class() -> type[NDArray]:
    from .ndarray import NDArray  # which is made of modules that import this one

    return NDArray
