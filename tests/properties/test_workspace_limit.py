"""`workspace` is a promise: over random problems and limits no run takes more, and every answer is right."""

from __future__ import annotations

import contextvars
import itertools
import random
import threading
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mxconv as mx
from conformance.compare import compare, expect
from conformance.random_problems import make_case, make_data
from mxconv import config
from mxconv.engine import pack_cache, planner
from mxconv.engine.execute import convolve
from mxconv.engine.problem import EPILOGUES, ConvProblem
from mxconv.engine.workspace import Ledger
from mxconv.errors import WorkspaceError

CASES = 150
DTYPES = ("float32", "complex64")
"""Few, so that the test is not about compiling."""


@pytest.fixture(autouse=True)
def _own_kernels(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MXCONV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


@pytest.fixture
def taken(monkeypatch):
    """The sizes of the workspaces that are really handed out."""
    sizes: list[int] = []
    allocate = Ledger.allocate

    def count(self):
        sizes.append(self.total)
        owner, base = allocate(self)
        owner[...] = 0xA5
        return owner, base

    monkeypatch.setattr(Ledger, "allocate", count)
    return sizes


def how(p: ConvProblem) -> dict[str, Any]:
    return {name: getattr(p, name) for name in ("stride", "dilation", "pad_lo", "pad_hi", "groups")}


def test_no_run_takes_more_than_it_may(taken):
    outcomes: Counter[str] = Counter()
    cases = (case for case in map(make_case, itertools.count(50_000)) if case.problem.dtype in DTYPES)
    for number, drawn in enumerate(itertools.islice(cases, CASES)):
        case = replace(drawn, data="integers")
        p, rng = case.problem, random.Random(number)
        arrays = make_data(case)
        knobs = {**case.knobs, "num_threads": rng.choice((1, 2, 5))} if number % 2 else {"num_threads": 3}
        with config.override(**{"parallel_threshold": 0, **knobs}):
            free = planner.make_plan(p)
            limit = rng.choice((0, rng.randint(0, free.workspace_bytes), int(free.workspace_bytes * rng.random() ** 3)))
            out = np.full(p.shape_of(p.output), 99, p.result.numpy)
            first, second = (arrays[name] for name in p.inputs)
            with planner.recording() as plans:
                steps = [(word, arrays.get(EPILOGUES[word])) for word in p.epilogue if word != "bias"]
                convolve(p.direction, first, second, out, arrays.get("bias"), steps, **how(p), workspace=limit)
        compare(out, expect(p, arrays), p, f"{case} limit={limit}")
        (plan,) = plans
        assert plan.workspace_bytes <= limit, str(case)
        assert all(size <= limit for size in taken), str(case)
        if plan.algorithm != free.algorithm:
            outcomes["another algorithm"] += 1
        elif plan.threads < free.threads:
            outcomes["fewer threads"] += 1
        elif plan.workspace_bytes < free.workspace_bytes:
            outcomes["smaller blocks"] += 1
        taken.clear()
    assert outcomes["another algorithm"] > CASES // 4
    assert outcomes["fewer threads"] > CASES // 20


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("forward float32 n1 g1 c256->256 i32x32 k3x3 p1x1", None),
        ("forward float32 n8 g1 c16->8 i200x200 k5x5", None),
        ("backward_data float64 n2 g1 c64->128 i40x40 k4x4 s2x2 p1x1", None),
        ("backward_weight float32 n8 g1 c64->64 i56x56 k3x3 p1x1", None),
        ("backward_weight float32 n8 g1 c64->64 i56x56 k3x3 p1x1", 600_000),
        ("forward float32 n1 g1 c64->512 i32x32 k3x3 p1x1", 1_300_000),
    ],
)
def test_the_memory_that_a_call_takes_is_what_its_ledger_says(line, limit):
    p = ConvProblem.parse(line)
    arrays = {name: np.ones(p.shape_of(name), p.storage.numpy) for name in p.inputs}
    out = np.empty(p.shape_of(p.output), p.result.numpy)

    def call() -> None:
        convolve(p.direction, *arrays.values(), out, **how(p), workspace=limit)

    with config.override(num_threads=2):
        call()
        with planner.recording() as plans:
            # A thread that has not called yet has no workspace of earlier calls.
            thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
            tracemalloc.start()
            try:
                thread.start()
                thread.join()
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    booked = plans[0].workspace_bytes
    assert booked > 100_000
    assert limit is None or booked <= limit
    assert abs(peak - booked) < 0.1 * booked


@pytest.mark.parametrize(
    "line", ["backward_weight float32 n8 g1 c32->32 i30x30 k3x3 p1x1", "forward float32 n2 g1 c40->90 i21x21 k3x3"]
)
@pytest.mark.parametrize("accuracy", ["pointwise", "default"])
def test_bits_under_a_limit_do_not_depend_on_threads(line, accuracy):
    p = ConvProblem.parse(line)
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(p.shape_of(name), np.float32) for name in p.inputs]
    algorithms = set()
    for limit in (0, 60_000, 120_000, 240_000, 480_000, None):
        results = set()
        for threads in (1, 2, 5):
            out = np.empty(p.shape_of(p.output), np.float32)
            knobs = config.override(num_threads=threads, parallel_threshold=0, accuracy=accuracy)
            with knobs, planner.recording() as plans:
                convolve(p.direction, *inputs, out, **how(p), workspace=limit)
            results.add(out.tobytes())
            algorithms.add(plans[0].algorithm)
        assert len(results) == 1, limit
    assert len(algorithms) == 2 if accuracy == "pointwise" else len(algorithms) > 2


def test_no_workspace_grows_with_the_batch():
    """So there is nothing to be gained by splitting one."""
    for line in (
        "forward float32 {} g1 c64->64 i20x20 k3x3 p1x1",
        "forward float32 {} g1 c8->8 i60x60 k3x3 p1x1",
        "forward float32 {} g32 c32->32 i30x30 k5x5 p2x2",
        "backward_data float32 {} g1 c64->8 i40x40 k4x4 s2x2 p1x1",
        "backward_weight float32 {} g1 c64->64 i20x20 k3x3 p1x1",
    ):
        with config.override(num_threads=1):
            sizes = [planner.make_plan(ConvProblem.parse(line.format(f"n{n}"))).workspace_bytes for n in (64, 512)]
        assert sizes[0] == sizes[1], line


def test_the_operators_pass_their_parameter_on():
    x, w = mx.nd.ones((1, 64, 12, 12)), np.ones((64, 64, 3, 3), np.float32)
    sizes = {}
    for workspace in (0, "0", 1, 1024):
        for operator in (mx.nd.Convolution, mx.nd.Deconvolution):
            with planner.recording() as plans:
                y = operator(x, w, kernel=(3, 3), num_filter=64, no_bias=True, workspace=workspace)
            assert y.asnumpy().max() == 576
            sizes[workspace, operator] = plans[0].workspace_bytes
            assert plans[0].workspace_bytes <= int(workspace) << 20
    assert sizes[0, mx.nd.Convolution] == sizes["0", mx.nd.Deconvolution] == 0
    assert sizes[1024, mx.nd.Convolution] > 0


def test_a_pack_that_is_kept_is_no_workspace(taken):
    """One that is made for the call is: a plain NumPy weight of that size must do with less."""
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, (1, 256, 9, 9)).astype(np.float32)
    w = rng.integers(-3, 4, (256, 256, 3, 3)).astype(np.float32)  # 2.25 MB
    how: dict[str, Any] = {"kernel": (3, 3), "num_filter": 256, "no_bias": True, "workspace": 1}
    results, algorithms = [], []
    pack_cache.clear()
    kept, lent = mx.nd.array(w), mx.nd.from_numpy(w)
    for weight, mb in ((kept, 256), (kept, 256), (w, 256), (lent, 256), (kept, 2), (kept, 0)):
        with config.override(pack_cache_mb=mb), planner.recording() as plans:
            results.append(mx.nd.Convolution(x, weight, **how).asnumpy())
        algorithms.append(plans[0].algorithm)
        assert taken.pop() <= 1 << 20
        assert not taken
    assert pack_cache.counts().hits == 1
    assert algorithms[:2] == ["channel_lanes"] * 2
    assert set(algorithms[2:]) == {"scratch_free"}
    assert all((y == results[0]).all() for y in results)


def test_where_nothing_fits_the_error_says_what_would():
    x, w = mx.nd.ones((1, 64, 56, 56)), np.ones((64, 64, 3, 3), np.float32)
    with config.override(algorithms="implicit_gemm"), pytest.raises(WorkspaceError) as caught:
        mx.nd.Convolution(x, w, kernel=(3, 3), num_filter=64, no_bias=True, workspace=0)
    error, text = caught.value, str(caught.value)
    assert isinstance(error, MemoryError)
    assert (error.op, error.argument, error.got) == ("Convolution", "workspace", 0)
    assert error.expected > 0
    for part in ("Convolution: workspace is 0 MB", "expected at least 0.", "implicit_gemm: workspace", "workspace=1"):
        assert part in text
