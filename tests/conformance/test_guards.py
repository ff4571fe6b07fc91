"""The check is checked: protected pages stop the first byte too far, the comparer sees one wrong element."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from mxconv.engine.problem import ConvProblem

from .compare import Mismatch, compare, expect, tolerance
from .guards import PAGE, Guarded
from .random_problems import Case, make_case, make_data, parse

SIDES = ("after", "before")
STRIDES = [(12, 4), (40, 8), (-12, 4), (4, 16), (-16, -4)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_guarded_arrays_hold_what_is_written(side, strides):
    guarded = Guarded((4, 3), np.dtype("float32"), strides, side)
    guarded.array[...] = np.arange(12).reshape(4, 3)
    assert guarded.array.tolist() == np.arange(12).reshape(4, 3).tolist()
    assert guarded.damage() is None
    guarded.free()


@pytest.mark.parametrize(("side", "byte"), [("after", -1), ("after", 12), ("before", 12), ("before", 40)])
def test_a_byte_written_between_the_elements_is_seen(side, byte):
    guarded = Guarded((4, 3), np.dtype("float32"), (24, 4), side)
    first = guarded.array.ctypes.data - (guarded._base + PAGE) if side == "after" else 0
    guarded._bytes[first + byte] = 0
    assert guarded.damage() == byte
    guarded.free()


FAULT = """
import ctypes, sys
import numpy as np
from conformance.guards import Guarded
side, shape, what = sys.argv[1], eval(sys.argv[2]), sys.argv[3]
guarded = Guarded(shape, np.dtype("float32"), (12, 4), side)
a = guarded.array.ctypes.data
edge = a + 4 * guarded.array.size if side == "after" else a - 1
if what == "locked":
    guarded.array[...] = 0
    guarded.lock()
    guarded.array[0, 0] = 1
else:
    ctypes.string_at(edge - 1 if side == "after" else edge + 1, 1)
    sys.stdout.write("inside")
    sys.stdout.flush()
    ctypes.string_at(edge, 1)
"""


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("shape", "what"), [("(4, 3)", "read"), ("(4, 3)", "locked")])
def test_the_first_byte_outside_is_a_fault(side, shape, what, environment):
    done = subprocess.run(
        [sys.executable, "-c", FAULT, side, shape, what], env=environment, capture_output=True, check=False
    )
    assert -done.returncode in (signal.SIGSEGV, signal.SIGBUS), done.stderr
    assert done.stdout == (b"inside" if what == "read" else b"")


P = ConvProblem.create("forward", kernel=(3,), in_channels=2, out_channels=3, in_spatial=(9,))


def _answer(problem=P, data="integers"):
    arrays = make_data(Case(problem, seed=5, data=data))
    exact = expect(problem, arrays)
    return arrays, exact, exact.astype(problem.result.numpy)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y[:, :, 1:], r"shape is \(1, 3, 6\), expected \(1, 3, 7\)"),
        (lambda y: y.astype("float64"), "dtype is float64, expected float32"),
        (lambda y: np.where(np.indices(y.shape)[2] == 4, np.nan, y), r"3 of 21 are not finite.*\(0, 0, 4\)"),
        (lambda y: y + (np.arange(21).reshape(y.shape) == 9), r"1 of 21 are wrong, worst at \(0, 1, 2\)"),
    ],
    ids=["shape", "dtype", "nan", "wrong"],
)
def test_the_comparer_sees_what_is_wrong(spoil, message):
    _, exact, good = _answer()
    compare(good, exact, P, "the line")
    bad = spoil(good)
    with pytest.raises(Mismatch, match=message) as raised:
        compare(bad if bad.dtype == np.float64 and "dtype" in message else bad.astype("f4"), exact, P, "the line")
    assert str(raised.value).endswith("the line")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "complex128"])
def test_the_bound_admits_rounding_and_nothing_more(dtype):
    problem = ConvProblem.create("forward", dtype, kernel=(3,), in_channels=40, out_channels=3, in_spatial=(9,))
    arrays, exact, good = _answer(problem, "normal")
    allowed = tolerance(problem, arrays, exact)
    compare(good, exact, problem, "the line", allowed)
    wrong = exact.copy()
    wrong[0, 2, 6] -= arrays["x"][0, 0, 8].astype(exact.dtype) * arrays["w"][2, 0, 2].astype(exact.dtype)
    with pytest.raises(Mismatch, match=r"1 of 21 are wrong, worst at \(0, 2, 6\)"):
        compare(wrong.astype(problem.result.numpy), exact, problem, "the line", allowed)


def test_infinities_and_nans_have_their_places():
    arrays, _, _ = _answer()
    arrays["x"] = arrays["x"].copy()
    arrays["x"][0, 1, 2] = np.nan
    exact = expect(P, arrays)
    good = exact.astype("f4")
    compare(good, exact, P, "the line", finite=False)
    bad = good.copy()
    bad[0, 1, 5] = np.inf
    with pytest.raises(Mismatch, match=r"1 of 21 are wrong, worst at \(0, 1, 5\)"):
        compare(bad, exact, P, "the line", finite=False)


def test_cases_parse_back():
    for number in range(200):
        case = make_case(number)
        assert parse(str(case)) == case
