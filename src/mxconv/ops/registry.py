"""Operator name -> OpSpec: everything that arrays and graphs need to know of an operator, in one place.

`lookup` finds an operator by any of its names; importing this module alone fills in the two convolutions, the others
are imported when one of them is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy.typing as npt

from ..engine.pack_cache import WeightIdentity
from ..errors import MXNetError
from .signature import Signature

Array = npt.NDArray[Any]
Shape: TypeAlias = "tuple[int | None, ...] | None"
"""A shape as far as it is known: None is an unknown extent, or an unknown rank; 0 is a size."""

V = TypeVar("V")


class Call(NamedTuple):
    """What a computation is told beside its parameters and inputs.

    training:   whether operators behave as in training (Dropout, BatchNorm).
    out:        an array that may be written and returned as the first output, by those who check that it has exactly
                that output's shape and dtype; whoever ignores it returns another one.
    identities: for each input which memory it is and in which state, where that is known; what is derived from such
                an input (a packed weight) may be kept.
    """

    training: bool = False
    out: Array | None = None
    identities: tuple[WeightIdentity | None, ...] = ()


PLAIN = Call()


@dataclass(frozen=True, slots=True, eq=False)
class Step(Generic[V]):
    """One computation that is to be differentiated; V is whatever stands for arrays (NDArrays, in both APIs).

    outputs:   everything that `forward` returned, the visible outputs first, then what it saved.
    out_grads: the gradient of each visible output, in its shape.
    wanted:    for each input whether its gradient is asked for.
    invoke:    calls a registered operator: invoke(name, inputs, attributes) -> its visible outputs. Gradients are
               made of nothing but such calls, so that they can be differentiated again.
    """

    param: Any
    inputs: Sequence[V]
    outputs: Sequence[V]
    out_grads: Sequence[V]
    wanted: Sequence[bool]
    invoke: Callable[[str, Sequence[V], Mapping[str, Any]], Sequence[V]]

    def call(self, op: str, *inputs: V, **attributes: Any) -> V:
        """The only output of a registered operator."""
        (result,) = self.invoke(op, inputs, attributes)
        return result


class Forward(Protocol):
    """Computes an operator on NumPy arrays: the visible outputs, then what the gradient wants to have saved.

    Inputs are read-only, except those that the operator says it mutates.
    """

    def __call__(self, param: Any, inputs: Sequence[Array], call: Call, /) -> Sequence[Array]: ...


class InferShape(Protocol):
    """Completes what is known of the shapes of the inputs and of the visible outputs.

    Raises: ShapeError, if they contradict each other or the parameters.
    """

    def __call__(
        self, param: Any, in_shapes: Sequence[Shape], out_shapes: Sequence[Shape], /
    ) -> tuple[Sequence[Shape], Sequence[Shape]]: ...


class InferType(Protocol):
    """Completes what is known of the types of the inputs and of the visible outputs: NumPy type objects, or None.

    Raises: DTypeError, if they contradict each other.
    """

    def __call__(
        self, param: Any, in_types: Sequence[Any], out_types: Sequence[Any], /
    ) -> tuple[Sequence[Any], Sequence[Any]]: ...


Gradient: TypeAlias = Callable[[Step[Any]], Sequence[Any]]
"""The gradient with respect to each input, None where it is not wanted or zero everywhere."""


def _one_output(param: Any) -> tuple[str, ...]:
    return ("output",)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpSpec:
    """One operator.

    `signature` lists the parameters and `parse` reads attributes of any spelling into an object with one attribute
    for each. `input_names` says which inputs that object asks for, in order; the last of them, named in `aux_names`,
    are auxiliary states: arrays without a gradient that training changes. `infer_shape` and `infer_type` complete what
    is known, in both directions. `forward` computes; `gradient` says how to differentiate, None that nobody can.
    """

    name: str
    """As JSON has it."""
    signature: Signature
    parse: Callable[[Mapping[str, Any]], Any]
    input_names: Callable[[Any], tuple[str, ...]]
    infer_shape: InferShape
    infer_type: InferType
    forward: Forward
    gradient: Gradient | None = None
    output_names: Callable[[Any], tuple[str, ...]] = _one_output
    """The visible outputs."""
    aliases: tuple[str, ...] = ()
    """Other names of the operator; its own is the one in JSON."""
    aux_names: tuple[str, ...] = ()
    mutates: tuple[int, ...] = ()
    """Which inputs `forward` writes to."""
    is_loss: bool = False
    """Whether the gradient does not depend on the gradient of the outputs."""
    variadic: str = ""
    """The parameter that counts the inputs, where there may be any number of them."""
    initializers: Mapping[str, str] = field(default_factory=dict)
    """For inputs that MXNet gives an initializer of their own: its JSON text."""
    counted_outputs: Callable[[Any], int] | None = None
    """How many outputs MXNet counts in JSON's node_row_ptr; None: the visible ones."""
    doc: str = ""
    """What users read; the first line says what the operator computes."""


OPERATORS: dict[str, OpSpec] = {}
"""Every operator that has been registered, by each of its names."""


def register(spec: OpSpec) -> OpSpec:
    """Make an operator known under its names."""
    for name in (spec.name, *spec.aliases):
        assert name not in OPERATORS, f"two operators named {name}"
        OPERATORS[name] = spec
    return spec


def lookup(name: str) -> OpSpec | None:
    """The operator of that name, or None."""
    if name not in OPERATORS:
        import_module(".library", __package__)
    return OPERATORS.get(name)


def compute(spec: OpSpec, param: Any, inputs: Sequence[Array], call: Call = PLAIN) -> Sequence[Array]:
    """Everything that `forward` returns; its errors know the operator's name.

    >>> import numpy as np
    >>> spec = OPERATORS["Convolution"]
    >>> param = spec.parse({"kernel": (3, 3), "num_filter": 8, "no_bias": True})
    >>> compute(spec, param, [np.ones((1, 4, 9, 9)), np.ones((8, 4, 3, 3))])[0].shape
    (1, 8, 7, 7)
    """
    try:
        return spec.forward(param, inputs, call)
    except MXNetError as error:
        error.with_context(op=spec.name)
        raise
