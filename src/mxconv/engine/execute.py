"""The engine's front door: NumPy arrays in, a problem made of them, its plan run."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import config
from ..dtypes import DTYPES, lookup
from ..errors import DTypeError, ShapeError
from . import planner
from .calls import KnownCall, KnownProduct, run_at
from .pack_cache import WeightIdentity
from .policy import USUAL, Policy
from .problem import EPILOGUES, ROLES, ConvProblem, Direction, Ints
from .workspace import address_of

Array = npt.NDArray[Any]


_PICK = {direction: operator.itemgetter(*map(roles.index, "xwy")) for direction, roles in ROLES.items()}
"""Picks x, w and y from what a direction is given and computes."""
MOST_FOLDED = 128
"""Result channels up to which a product of whole samples is summed over pixels."""


def convolve(
    direction: Direction,
    first: Array,
    second: Array,
    out: Array,
    bias: Array | None = None,
    epilogue: Sequence[tuple[str, Array | float | None]] = (),
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    pad_lo: Sequence[int],
    pad_hi: Sequence[int],
    groups: int,
    weight: WeightIdentity | None = None,
    workspace: int | None = None,
    policy: Policy = USUAL,
) -> None:
    """Compute a convolution, or its gradient with respect to its data or its weight, into `out`.

    With x (batch, in_channels, *in_spatial), w (out_channels, in_channels // groups, *kernel) and y (batch,
    out_channels, *out_spatial) of the forward convolution: `forward` takes x and w and computes y, `backward_data`
    takes y and w and computes x, `backward_weight` takes x and y and computes w. bias, in the first two directions,
    has one entry for each channel of `out`.
    Dtypes: all inputs share one of mxconv.dtypes; out has its result dtype.

    `epilogue` lists what else is done to each result before it is stored, by name and operand:
        ("scale", array)    multiply by one number a channel; before bias
        ("add", array)      add an array of out's shape (dtype: out's)
        ("relu", None), ("leaky", slope), ("prelu", array)     an activation, the slope for all or one a channel
    in this order, or with "add" last.

    `weight` says which memory `second` is, in `forward` and `backward_data`: its packed form is then kept for the next
    call. It must have been taken before this call; without it nothing is kept.

    `workspace` bounds the bytes of scratch memory, over all threads. Panels that are kept do not count, nor do copies
    of arrays that cannot be used as they are. `policy` says which algorithms may be taken, and whether by measuring.

    Any strides will do, negative and zero ones included, and `out` may overlap the inputs. Inputs that are unaligned,
    byte-swapped or have strides that are no whole number of elements are copied first.

    Raises: WorkspaceError, if no algorithm fits in the workspace; ShapeError or DTypeError, for an epilogue that does
    not fit.
    """
    reads = (first, second) if bias is None else (first, second, bias)
    axes = tuple(stride), tuple(dilation), tuple(pad_lo), tuple(pad_hi)
    key: tuple[Any, ...] | None = None
    if not epilogue:
        own = None if bias is None else (bias.shape, bias.strides, bias.dtype)
        key = (
            direction, first.shape, first.strides, first.dtype, second.shape, second.strides, second.dtype,
            out.shape, out.strides, out.dtype, own, axes, groups, policy, planner.circumstances(weight),
        )  # fmt: skip
        known = planner.recall_call(key)
        if known is not None and known.run(reads, out, weight, workspace):
            planner.record(known.plan)
            return
    known = _compute(direction, first, second, out, bias, epilogue, axes, groups, weight, workspace, policy)
    if key is not None and known is not None:
        planner.remember_call(key, known)


def _compute(
    direction: Direction,
    first: Array,
    second: Array,
    out: Array,
    bias: Array | None,
    epilogue: Sequence[tuple[str, Array | float | None]],
    axes: tuple[Ints, Ints, Ints, Ints],
    groups: int,
    weight: WeightIdentity | None,
    workspace: int | None,
    policy: Policy,
) -> KnownCall | KnownProduct | None:
    """Compute what `convolve` says, through a problem; returns what calls like this one may take, if they may."""
    reads = (first, second) if bias is None else (first, second, bias)
    first, second = _readable(first), _readable(second)
    if groups == 1 and not epilogue:
        x, w, y = _PICK[direction]((first, second, out))
        if (
            x.shape[2:] == w.shape[2:]
            and not any((*axes[2], *axes[3]))
            and _is_one_window(x, w, y)
            and not config.get("reproducible")
        ):
            repeats = bias is not None and direction == "backward_data"
            if bias is not None and repeats:
                bias = np.repeat(bias, math.prod(x.shape[2:]))
            posed, views, is_kept = _as_product(direction, x, w, y, bias is not None)
            kept, flat = weight if is_kept else None, ((1,), (1,), (0,), (0,))
            known = _compute(posed, *views, bias, (), flat, 1, kept, workspace, policy)
            if known is None or repeats or any(a is not b for a, b in zip(reads, (first, second), strict=False)):
                return None
            return known if is_kept else KnownProduct(known, is_swapped=direction != "backward_weight")
    operands = _operands(bias, epilogue, out, first.dtype) if bias is not None or epilogue else {}
    result = out
    if (
        not _is_plain(out)
        or (0 in out.strides and _overlaps_itself(out))
        or np.may_share_memory(out, first)
        or np.may_share_memory(out, second)
        or (operands and any(array is not None and _is_torn(array, out) for array in operands.values()))
    ):
        result = np.empty(out.shape, out.dtype.newbyteorder("="))
    roles = ROLES[direction]
    arrays = {roles[0]: first, roles[1]: second}  # in the order of a plan's names
    for word, array in operands.items():
        if array is not None:
            arrays[EPILOGUES[word]] = array
    residual = operands.get("add")
    if residual is not None and residual.strides != result.strides:
        arrays["residual"] = np.ascontiguousarray(residual)
        if arrays["residual"].strides != result.strides:
            result = np.empty(out.shape, result.dtype)
    arrays[roles[2]] = result
    problem = _problem(
        direction,
        first.dtype,
        ((first.shape, first.strides), (second.shape, second.strides), (result.shape, result.strides)),
        axes,
        groups,
        tuple(operands),
    )
    plan, known = planner.make_plan(problem, workspace, weight, policy), None
    if out.size:
        addresses = [*map(address_of, arrays.values())]
        if plan.contest is None:
            run_at(plan, addresses, weight)
            if (
                not epilogue
                and result is out
                and all(a is b for a, b in zip(reads, arrays.values(), strict=False))
                and (workspace is None or planner.make_plan(problem, None, weight, policy) is plan)
            ):
                known = KnownCall.of(plan, reads, out)
        else:
            may_repeat = residual is None or not np.may_share_memory(residual, result)
            plan = plan.contest.run(plan, lambda one: run_at(one, addresses, weight), may_repeat)
        if result is not out:
            np.copyto(out, result)
    planner.record(plan)
    return known


@functools.lru_cache(maxsize=2048)
def _problem(
    direction: Direction,
    kind: np.dtype[Any],
    views: tuple[tuple[Ints, Ints], ...],
    axes: tuple[Ints, Ints, Ints, Ints],
    groups: int,
    epilogue: tuple[str, ...],
) -> ConvProblem:
    """The problem of arrays with these shapes and byte strides: what is given first and second, and the result."""
    dtype = lookup(kind)
    assert dtype is not None
    sizes = (kind.itemsize, kind.itemsize, DTYPES[dtype.result].numpy.itemsize)
    shapes, strides = {}, {}
    for name, (shape, steps), size in zip(ROLES[direction], views, sizes, strict=True):
        shapes[name], strides[name] = shape, tuple(step // size for step in steps)
    x, w, y = (shapes[name] for name in "xwy")
    return ConvProblem(
        direction=direction,
        dtype=dtype.name,
        batch=x[0],
        groups=groups,
        in_channels=x[1],
        out_channels=y[1],
        in_spatial=x[2:],
        out_spatial=y[2:],
        kernel=w[2:],
        stride=axes[0],
        dilation=axes[1],
        pad_lo=axes[2],
        pad_hi=axes[3],
        x_strides=strides["x"],
        w_strides=strides["w"],
        y_strides=strides["y"],
        epilogue=epilogue,
    )


def _operands(
    bias: Array | None, epilogue: Sequence[tuple[str, Array | float | None]], out: Array, dtype: np.dtype[Any]
) -> dict[str, Array | None]:
    """The epilogue's steps in order, as the problem names them, each with its array as kernels can read it.

    Raises: ShapeError, DTypeError.
    """
    if (
        not epilogue
        and bias is not None
        and bias.dtype is dtype
        and bias.shape == out.shape[1:2]
        and bias.flags.c_contiguous
        and bias.flags.aligned
    ):
        return {"bias": bias}
    steps: list[tuple[str, Array | float | None]] = [step for step in epilogue if step[0] == "scale"]
    steps += [("bias", bias)] if bias is not None else []
    steps += [step for step in epilogue if step[0] != "scale"]
    found: dict[str, Array | None] = {}
    for given, operand in steps:
        word = given
        if word == "leaky":
            word, operand = "prelu", np.full(out.shape[1], operand, dtype)
        if word not in EPILOGUES or word in found or (operand is None) != (EPILOGUES[word] == ""):
            got = f"{given!r} {'twice' if word in found else 'without an operand' if operand is None else 'with one'}"
            expected = ", ".join(("leaky", *EPILOGUES))
            raise ShapeError(f"epilogue has {got}, expected some of {expected}", argument="epilogue", got=got)
        found[word] = None if operand is None else _operand(word, np.asarray(operand), out, dtype)
    return found


def _operand(word: str, array: Array, out: Array, dtype: np.dtype[Any]) -> Array:
    """An epilogue's array as kernels can read it.

    Raises: ShapeError, DTypeError.
    """
    shape, wanted = (out.shape, out.dtype) if word == "add" else (out.shape[1:2], dtype)
    if array.shape != shape:
        got = f"shape {array.shape}"
        raise ShapeError(f"epilogue: {word} has {got}, expected {shape}", argument=word, got=got, expected=shape)
    array = _readable(array)
    if array.dtype.newbyteorder("=") != wanted.newbyteorder("="):
        got = array.dtype.name
        raise DTypeError(f"epilogue: {word} is {got}, expected {wanted.name}", argument=word, got=got, expected=wanted)
    return array if word == "add" else np.ascontiguousarray(array)


def _overlaps_itself(array: Array) -> bool:
    """Whether several elements are the same memory; an axis of one element may have any stride."""
    return any(step == 0 and n > 1 for n, step in zip(array.shape, array.strides, strict=True))


def _is_torn(array: Array, out: Array) -> bool:
    """Whether writing `out` would change what is still to be read of an epilogue's array. It may be `out` itself:
    each element is read where, and just before, it is written."""
    is_out = array.strides == out.strides and array.shape == out.shape and address_of(array) == address_of(out)
    return not is_out and np.may_share_memory(out, array)


def _is_one_window(x: Array, w: Array, y: Array) -> bool:
    """Whether the only window of each sample is the whole sample, whose extents are the kernel's: a matrix product
    over channels and taps at once, if the arrays can be seen that way."""
    if not (x.size and w.size and y.size) or y.size != y.shape[0] * y.shape[1] or w.size == w.shape[0] * w.shape[1]:
        return False
    return x.flags.c_contiguous and w.flags.c_contiguous and y.flags.c_contiguous


def _as_product(
    direction: Direction, x: Array, w: Array, y: Array, has_bias: bool
) -> tuple[Direction, tuple[Array, Array, Array], bool]:
    """That product as a 1x1 convolution: direction, arrays, and whether the second is w, whose panels can be kept.

    With K channels and taps, x is (batch, K), w (out_channels, K) and y (batch, out_channels). K is the longest axis,
    so it makes the pixels: these fill the lanes, and nothing large is packed. One core of a Zen 5, K = 8192, batch 8
    and 1 (100) channels: 14 to 18 us (100 to 260) for each direction, 75 to 115 us (105 to 570) with K as channels.
    Panels of w that are kept are faster forward for many channels, and a bias wants its channels to be channels.
    """
    x, w, y = x.reshape(len(x), -1), w.reshape(len(w), -1), y.reshape(len(y), -1)
    if direction == "backward_weight":
        return "forward", (x[None], y.T[..., None], w[None]), False
    if has_bias or (direction == "forward" and len(w) > MOST_FOLDED):
        flat = {"x": x.T[None], "w": w[..., None], "y": y.T[None]}
        first, second, out = (flat[name] for name in ROLES[direction])
        return direction, (first, second, out), True
    if direction == "forward":
        return "backward_weight", (w[None], x[None], y[..., None]), False
    return "forward", (w[None], y[..., None], x[None]), False


def _is_plain(array: Array) -> bool:
    """Whether kernels can address the array: native byte order, aligned, strides of whole elements."""
    flags = array.flags
    whole = flags.c_contiguous or not any(s % array.itemsize for s in array.strides)
    return bool(whole and flags.aligned and array.dtype.isnative)


def _readable(array: Array) -> Array:
    return array if _is_plain(array) else np.array(array, dtype=array.dtype.newbyteorder("="))
