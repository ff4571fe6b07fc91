"""Compare a result with the oracle's: shape, dtype, finiteness, then values.

Integers as data make every sum exact, so the result must be the oracle's, rounded once to the stored type.
With N(0,1) data the error of one output may be at most

    2 * sqrt(products of that output + 1) * accumulate * sum |x||w|  +  store * |exact|

with the unit roundoffs of the table below; it does not grow with the size of the arrays. A product of complex
numbers counts as two of real ones, and as one more rounding.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mxconv import config
from mxconv.engine import planner, trial
from mxconv.engine.problem import EPILOGUES, ConvProblem
from mxconv.testing import reference

UNIT_ROUNDOFF = {  # dtype: of the accumulator, of the final rounding to the stored type
    "float32": (2**-24, 0.0),
    "float64": (2 * 2**-53, 0.0),  # twice, as the oracle rounds just as often
    "float16": (2**-24, 2**-11),
    "bfloat16": (2**-24, 2**-8),
    "complex64": (2**-24, 0.0),
    "complex128": (2 * 2**-53, 0.0),
}
SUBNORMAL = {"float16": 2.0**-25}
"""Half the distance of the smallest numbers, where it can be met."""


class Mismatch(AssertionError):
    """A result that is not the oracle's; the text ends with the line of the case."""


def expect(p: ConvProblem, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The oracle's answer to a problem."""
    how = {
        "stride": p.stride,
        "dilation": p.dilation,
        "pad_lo": p.pad_lo,
        "pad_hi": p.pad_hi,
        "groups": p.groups,
    }
    first, second = (arrays[name] for name in p.inputs)
    if p.direction == "backward_weight":
        return reference.convolution_weight_gradient(first, second, **how, kernel=p.kernel)
    if p.direction == "forward":
        return finish(p, reference.convolution(first, second, **how), arrays)
    return finish(p, reference.deconvolution(first, second, **how, out_spatial=p.in_spatial), arrays)


def compute(algorithm: str, p: ConvProblem, arrays: dict[str, np.ndarray], **settings: object) -> np.ndarray:
    """The answer of one algorithm, which must be the one that computed it."""
    with config.override(algorithms=algorithm, **settings), planner.recording() as plans:
        out = trial.compute(p, arrays, trial.make_result(p))
    assert [plan.algorithm for plan in plans] == [algorithm]
    return out


def compute_by_threads(algorithms: str, p: ConvProblem, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The answers of some algorithms with one, two and five threads, however small the problem."""
    answers = []
    for threads in (1, 2, 5):
        with config.override(algorithms=algorithms, num_threads=threads, parallel_threshold=0):
            answers.append(trial.compute(p, arrays, trial.make_result(p)))
    return answers


def finish(p: ConvProblem, sums: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """What the epilogue makes of the oracle's sums; integers wrap as the result's type does. An operand that is not
    among the arrays is left out."""
    total = sums.astype(p.result.numpy) if p.result.kind == "int" else sums
    for word in p.epilogue:
        name = EPILOGUES[word]
        if name and name not in arrays:
            continue
        operand = arrays[name].astype(total.dtype) if name else total.dtype.type(0)
        if word not in ("add", "relu"):
            operand = operand.reshape(-1, *(1,) * p.rank)
        match word:
            case "scale":
                total = total * operand
            case "bias" | "add":
                total = total + operand
            case _:
                total = np.where(total < 0, operand * total if word == "prelu" else operand, total)
    return total


def tolerance(p: ConvProblem, arrays: dict[str, np.ndarray], exact: np.ndarray) -> np.ndarray:
    """The error that each output may have when its sum is not exact."""
    accumulate, store = UNIT_ROUNDOFF[p.dtype]
    wide = {name: np.abs(_wide(a)) for name, a in arrays.items()}
    steeper = np.maximum(1.0, wide.pop("slope", np.ones(1))).reshape(-1, *(1,) * p.rank)
    magnitude = expect(p, wide) * steeper
    products = expect(p, {name: np.ones_like(wide[name]) for name in p.inputs}) + len(p.epilogue)
    terms = np.sqrt((2 if p.storage.kind == "complex" else 1) * products + 1)
    if p.storage.kind == "complex":
        terms = terms + 1
    return 2 * terms * accumulate * magnitude + store * np.abs(exact) + SUBNORMAL.get(p.dtype, 0.0)


def tolerance_of_transforms(
    p: ConvProblem, arrays: dict[str, np.ndarray], exact: np.ndarray, error: float
) -> np.ndarray:
    """The error that outputs may have where sums are not made of the products themselves.

    `error` is what the algorithm promises on N(0, 1) data, relative to the standard deviation of the result, which is
    the root of a sum of squares; of these the largest counts for all outputs. Values that are not finite are left out.
    """
    accumulate, store = UNIT_ROUNDOFF[p.dtype]
    clean = {name: np.where(np.isfinite(a), a, 0).astype(np.float64) for name, a in arrays.items()}
    squares = {name: clean[name] ** 2 for name in p.inputs}
    spread = np.sqrt(expect(dataclasses.replace(p, epilogue=()), squares).max(initial=0.0))
    for name in ("scale", "slope"):
        spread *= max(1.0, np.abs(clean.get(name, np.zeros(1))).max(initial=0.0))
    loose = 4 * error * accumulate / 2**-24 * spread
    size = np.where(np.isfinite(exact), np.abs(exact), 0)
    return loose + (store + 2**-23) * size + SUBNORMAL.get(p.dtype, 0.0)


def compare(
    got: np.ndarray,
    exact: np.ndarray,
    p: ConvProblem,
    line: str,
    allowed: np.ndarray | None = None,
    *,
    finite: bool = True,
) -> None:
    """Check a result against the oracle's; `allowed` is the error of each output, None means exact.

    Where the data are not `finite`, the oracle's infinities and NaNs must be in their places, and nowhere else.

    Raises: Mismatch, with the worst index and the line of the case.
    """

    def fail(what: str) -> None:
        raise Mismatch(f"{what}\n  case: {line}")

    if got.shape != exact.shape:
        fail(f"shape is {got.shape}, expected {exact.shape}")
    if got.dtype != p.result.numpy:
        fail(f"dtype is {got.dtype}, expected {p.result.name}")
    if not got.size:
        return
    expected = _wide(exact.astype(p.result.numpy))
    values = _wide(got)
    if finite and p.result.kind != "int" and not np.isfinite(values).all():
        worst = np.unravel_index(int(np.argmin(np.isfinite(values))), got.shape)
        fail(f"{np.count_nonzero(~np.isfinite(values))} of {got.size} are not finite, first at {_text(worst)}")
    if allowed is not None and not finite:  # infinities and NaNs in their places, and numbers next to them
        same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        values, exact = np.where(same, 0, values), np.where(same, 0, exact)
    if allowed is None:
        wrong = (values != expected) & ~(np.isnan(values) & np.isnan(expected))
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            error = np.abs((values.astype(object) if p.result.kind == "int" else values) - expected)
        measure = error
    else:
        with np.errstate(invalid="ignore"):
            error = np.abs(values - exact)
        wrong = ~(error <= allowed)
        measure = error / np.maximum(allowed, np.finfo(float).tiny)
    if wrong.any():
        worst = np.unravel_index(int(np.argmax(np.where(wrong, measure, -1))), got.shape)
        limit = "" if allowed is None else f" (error {error[worst]:.3g}, allowed {allowed[worst]:.3g})"
        fail(
            f"{np.count_nonzero(wrong)} of {got.size} are wrong, worst at {_text(worst)}: "
            f"got {got[worst]}, expected {expected[worst]}{limit}"
        )


def _wide(a: np.ndarray) -> np.ndarray:
    """The same numbers in the widest type of their kind."""
    return a.astype({"c": np.complex128, "i": np.int64, "u": np.int64}.get(a.dtype.kind, np.float64))


def _text(index: tuple[np.intp, ...]) -> str:
    return str(tuple(int(i) for i in index))
