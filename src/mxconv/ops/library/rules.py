"""How the plain operators are declared: `define` any of them, `elementwise` those without shapes of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from ...dtypes import BFLOAT16
from ...errors import DTypeError, MXNetError
from ..casts import cast_array
from ..merge import unify_shapes, unify_types
from ..refusal import refusal
from ..registry import Array, Call, Forward, Gradient, InferShape, InferType, OpSpec, Shape, Step, register
from ..signature import Field, Signature

Names: TypeAlias = Callable[[Any], tuple[str, ...]]
Function: TypeAlias = Callable[..., Any]
"""function(param, *arrays) -> array, by NumPy's rules."""
Rule: TypeAlias = Callable[[Any, Sequence[Any], Sequence[Any]], "tuple[Sequence[Any], Sequence[Any]]"]


def named(*names: str) -> Names:
    """Names that do not depend on the parameters."""
    return lambda param: names


OUTPUT = named("output")


def known(shape: Shape) -> TypeGuard[tuple[int, ...]]:
    """Whether everything is known of a shape."""
    return shape is not None and None not in shape


def same_shapes(inputs: Names, outputs: Names = OUTPUT) -> InferShape:
    """The rule that all inputs and outputs have one shape."""

    def infer(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> tuple[list[Shape], list[Shape]]:
        shape = unify_shapes((*inputs(param), *outputs(param)), (*ins, *outs))
        return [shape] * len(ins), [shape] * len(outs)

    return infer


def same_types(inputs: Names, outputs: Names = OUTPUT) -> InferType:
    """The rule that all inputs and outputs have one type."""

    def infer(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        dtype = unify_types((*inputs(param), *outputs(param)), (*ins, *outs))
        return [dtype] * len(ins), [dtype] * len(outs)

    return infer


def type_of_first(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The rule that the output has the type of the first input, and the other inputs any."""
    dtype = unify_types(("data", "output"), (ins[0], outs[0]))
    return [dtype, *(dtype if one is None else one for one in ins[1:])], [dtype]


def working(array: Array, *, real: bool = False) -> Array:
    """The array in the type that it is computed in: float32 for 16-bit floats; if `real`, float64 for integers."""
    if array.dtype in (np.float16, BFLOAT16):
        return array.astype(np.float32)
    if real and array.dtype.kind in "biu":
        return array.astype(np.float64)
    return array


def rounded(result: Array, dtype: np.dtype[Any]) -> Array:
    """What was computed, in the type that it is wanted in; the array itself if it has that type."""
    return result if result.dtype == dtype else cast_array(result, dtype)


def sum_over(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """NumPy's sum; where the last axis stays, one axis at a time, as NumPy adds row to row there in one long chain."""
    if not axis or axis[-1] == x.ndim - 1:
        return np.sum(x, axis=axis, keepdims=keepdims)
    for one in reversed(axis):
        x = np.sum(x, axis=one, keepdims=keepdims)
    return x


def define(
    name: str,
    forward: Forward,
    *,
    inputs: Names | Sequence[str] = ("data",),
    output_names: Names = OUTPUT,
    fields: Mapping[str, Field] | None = None,
    infer_shape: InferShape | None = None,
    infer_type: InferType | None = None,
    gradient: Gradient | None = None,
    **others: Any,
) -> OpSpec:
    """Register an operator; by default all inputs and outputs have one shape and one type.

    `forward` runs with shapes and types checked by the two rules, and with NumPy's warnings off; `others` are further
    fields of OpSpec.
    """
    names = inputs if callable(inputs) else named(*inputs)
    shape_rule = _naming(name, infer_shape or same_shapes(names, output_names))
    type_rule = _naming(name, infer_type or same_types(names, output_names))

    @functools.wraps(forward)
    def checked(param: Any, arrays: Sequence[Array], call: Call) -> Sequence[Array]:
        unknown = [None] * len(output_names(param))
        shape_rule(param, [x.shape for x in arrays], unknown)
        type_rule(param, [x.dtype.type for x in arrays], unknown)
        with np.errstate(all="ignore"):
            return forward(param, arrays, call)

    signature = Signature(name, **(fields or {}))
    return register(
        OpSpec(
            name=name,
            signature=signature,
            parse=signature.parse,
            input_names=names,
            output_names=output_names,
            infer_shape=shape_rule,
            infer_type=type_rule,
            forward=checked,
            gradient=gradient,
            **others,
        )
    )


def _naming(op: str, rule: Rule) -> Rule:
    """The rule with errors that know the operator's name."""

    def named_rule(param: Any, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        try:
            return rule(param, ins, outs)
        except MXNetError as error:
            error.with_context(op=op)
            raise

    return named_rule


def elementwise(
    name: str, function: Function, gradient: Gradient | None, *, real: bool = False, **others: Any
) -> OpSpec:
    """Register an operator whose one output has the shape and type of its inputs: function(param, *arrays).

    16-bit floats are computed in float32 and rounded once; if `real`, integers in float64 and cut towards zero.
    """

    def forward(param: Any, arrays: Sequence[Array], call: Call) -> tuple[Array]:
        dtype = arrays[0].dtype
        try:
            result = np.asarray(function(param, *(working(x, real=real) for x in arrays)))
        except TypeError:  # NumPy's way to say that it has no such function for the type
            raise no_such_type("data", dtype) from None
        return (rounded(result, dtype),)

    return define(name, forward, gradient=gradient, **others)


def no_such_type(argument: str, dtype: np.dtype[Any]) -> DTypeError:
    """The error for a type that a function is not defined for."""
    fix = "Convert it first, for example with .astype('float32')."
    return refusal(DTypeError, argument, dtype.name, "a number type that has it", fix=fix, verb="has dtype")


def each(step: Step[Any], *gradients: Callable[[], Any]) -> list[Any]:
    """The gradients that are wanted: one function for each input, called if that is asked for."""
    return [gradient() if wanted else None for wanted, gradient in zip(step.wanted, gradients, strict=True)]
