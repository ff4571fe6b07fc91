"""Run one case, flush against both protected pages, and compare it with the oracle."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

import mxconv as mx
from mxconv import config
from mxconv.engine import planner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.engine.execute import convolve
from mxconv.engine.problem import EPILOGUES
from mxconv.engine.workspace import ALIGNMENT, Ledger
from mxconv.jit import compiler
from mxconv.jit.target import Target

from .compare import Mismatch, compare, expect, tolerance, tolerance_of_transforms
from .guards import Guarded, Side
from .random_problems import GENERAL, Case, adjustment, make_data


def run_case(case: Case) -> dict[str, Any]:
    """Run a case flush against the page after and the page before; returns what its plan says.

    Raises: Mismatch.
    """
    p, line = case.problem, str(case)
    data = make_data(case)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        exact = expect(p, data)
    allowed = tolerance(p, data, exact) if case.data == "normal" else None
    settings: dict[str, Any] = dict(case.knobs)
    if case.among == "general" and not config.get("algorithms"):
        settings["algorithms"] = ",".join((*GENERAL, "scratch_free"))
    results, record = [], {}
    for side in ("after", "before"):
        own = settings if side == "after" else {**settings, "num_threads": 5}
        with ExitStack() as stack, config.override(**own), planner.recording() as plans:
            arrays = {name: _place(stack, case, name, values, side) for name, values in data.items()}
            out = _guard(stack, case, p.output, side)
            out.poison()
            got = _call(case, arrays, out.array)
            damage = out.damage()
            if damage is not None:
                raise Mismatch(f"wrote outside of the result, {damage} bytes from its start\n  case: {line}")
            (algorithm,) = [a for a in ALGORITHMS if plans and a.name == plans[-1].algorithm] or [None]
            if algorithm is not None and not algorithm.is_plain:
                allowed = tolerance_of_transforms(p, data, exact, algorithm.error(p))
            compare(got, exact, p, f"{line} side={side}", allowed, finite=case.data != "holes")
            results.append(np.ascontiguousarray(got).tobytes())
        if plans:
            kernels = [k.name for k in plans[-1].keep if hasattr(k, "name")]
            record = {"algorithm": plans[-1].algorithm, "blocks": dict(plans[-1].blocks), "kernels": kernels}
    if results[0] != results[1]:
        raise Mismatch(f"the two placements, or numbers of threads, give different bits\n  case: {line}")
    return record


class _Workspace:
    """The memory of one run's workspace, freed with its last reference."""

    def __init__(self, size: int) -> None:
        self._guarded = Guarded((size,), np.dtype(np.uint8), (1,), "after")
        self._guarded.array[...] = 0xFF  # NaN to every float
        self.address = self._guarded.array.ctypes.data

    def __del__(self) -> None:
        self._guarded.free()


def guarded_allocate(ledger: Ledger) -> tuple[_Workspace, int]:
    """Stands in for Ledger.allocate: the workspace is poisoned, and leans on a protected page."""
    workspace = _Workspace(-(-ledger.total // ALIGNMENT) * ALIGNMENT)
    return workspace, workspace.address


_compile = compiler.compile_module


def named_compile(text: str, target: Target, name: str) -> compiler.CompiledModule:
    """Stands in for compile_module: a module knows its kernel's name, which says what path a plan takes."""
    module = _compile(text, target, name)
    module.name = name
    return module


def _guard(stack: ExitStack, case: Case, name: str, side: Side) -> Guarded:
    p = case.problem
    dtype = p.result.numpy if name in (p.output, "residual") else p.storage.numpy
    shape, strides = p.operands[name] if name in p.operands else (p.shape_of(name), p.strides_of(name))
    if case.quirk == "swapped":
        dtype = dtype.newbyteorder()
    guarded = Guarded(
        shape, dtype, [s * dtype.itemsize for s in strides], side, slack=1 if case.quirk == "unaligned" else 0
    )
    stack.callback(guarded.free)
    return guarded


def _place(stack: ExitStack, case: Case, name: str, values: np.ndarray, side: Side) -> np.ndarray:
    guarded = _guard(stack, case, name, side)
    guarded.array[...] = values
    guarded.lock()
    return guarded.array


def _call(case: Case, arrays: dict[str, np.ndarray], out: np.ndarray) -> np.ndarray:
    """Compute through the engine or an operator; the result in logical order."""
    p = case.problem
    first, second = (arrays[name] for name in p.inputs)
    bias = arrays.get("bias")
    if case.api != "engine":
        return _call_operator(case, first, second, bias, out)
    how = {"stride": p.stride, "dilation": p.dilation, "pad_lo": p.pad_lo, "pad_hi": p.pad_hi, "groups": p.groups}
    epilogue = [(word, arrays.get(EPILOGUES[word])) for word in p.epilogue if word != "bias"]
    convolve(p.direction, first, second, out, bias, epilogue, **how)
    return out.astype(out.dtype.newbyteorder("=")) if case.quirk == "swapped" else out


def _call_operator(
    case: Case, data: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray
) -> np.ndarray:
    p = case.problem

    def turn(a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a, 1, -1) if case.api == "nd_last" else a

    operator = mx.nd.Convolution if p.direction == "forward" else mx.nd.Deconvolution
    inputs: list[Any] = [turn(data), turn(weight)] + ([bias] if bias is not None else [])
    parameters: dict[str, Any] = {
        "kernel": p.kernel,
        "stride": p.stride,
        "dilate": p.dilation,
        "pad": tuple(zip(p.pad_lo, p.pad_hi, strict=True)),
        "num_filter": out.shape[1],
        "num_group": p.groups,
        "no_bias": bias is None,
    }
    if case.api == "nd_last":
        parameters["layout"] = f"N{'ABDHW'[-p.rank :]}C"
    if p.direction == "backward_data":
        parameters["adj"] = adjustment(p)
    if case.api == "nd_kept":  # the second call may use what the first, cut into other blocks, packed and kept
        inputs[1] = mx.nd.array(weight, dtype=weight.dtype)
        with config.override(block_pixels=None, block_channels=None, block_reduction=None):
            operator(*inputs, **parameters)
        operator(*inputs, **parameters)
    if case.seed % 2 and case.quirk != "swapped":
        to = turn(out)
        assert operator(*inputs, **parameters, out=to) is to
        return out
    values = operator(*inputs, **parameters).asnumpy()
    return np.moveaxis(values, -1, 1) if case.api == "nd_last" else values
