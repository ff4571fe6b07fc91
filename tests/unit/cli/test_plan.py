"""`mxconv plan`: one problem, every algorithm's verdict."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mxconv as mx
from mxconv.cli.attributes import find_operator, parse_assignments, parse_shape
from mxconv.cli.plan import problem_of
from mxconv.engine import planner
from mxconv.engine.algorithms import ALGORITHMS
from mxconv.ops.inference import infer_shapes


def rows(text: str) -> dict[str, str]:
    """The line of each algorithm."""
    names = {algorithm.name for algorithm in ALGORITHMS}
    lines = [line.replace("*", "* ").split() for line in text.splitlines()]
    found = ((line[line[:1] == ["*"] :][:1], " ".join(line)) for line in lines)  # verdicts name algorithms as well
    return {name[0]: line for name, line in found if name and name[0] in names}


def test_every_algorithm_has_a_verdict_and_one_is_chosen(mxconv: Callable) -> None:
    answer = mxconv("plan", "convolution", "--data", "1,64,56,56", "kernel=3,3", "pad=1,1", "num_filter=64")
    assert (answer.status, answer.err) == (0, "")
    first, second, *_ = answer.out.splitlines()
    assert first == "forward float32 n1 g1 c64->64 i56x56 k3x3 p1x1 +bias"
    assert second.endswith("threads, workspace up to 1024 MB")
    found = rows(answer.out)
    assert list(found) == [algorithm.name for algorithm in ALGORITHMS]
    assert sum("*" in line and "takes it" in line for line in found.values()) == 1
    assert "direction forward, needs" in found["direct_weight"]


def test_the_workspace_is_a_limit(mxconv: Callable) -> None:
    answer = mxconv(
        "plan", "Deconvolution", "--data", "1,16,8,8", "kernel=4,4", "stride=2,2", "num_filter=8", "workspace=0"
    )
    assert answer.status == 0
    assert answer.out.startswith("backward_data float32 n1 g1 c8->16 i18x18 k4x4 s2x2\n")
    found = rows(answer.out)
    assert found["scratch_free"].startswith("* scratch_free takes it ")
    assert found["scratch_free"].endswith(" 0 MB 1")
    assert "limit 0 MB" in found["implicit_gemm"]
    assert "*" not in found["implicit_gemm"]


def test_a_problem_in_the_engines_notation(mxconv: Callable) -> None:
    line = "backward_weight float64 n2 g1 c3->5 i9x9 k3x3"
    answer = mxconv("plan", line)
    assert answer.status == 0
    assert answer.out.startswith(f"{line}\n")
    assert "* direct_weight takes it" in rows(answer.out)["direct_weight"]


@pytest.mark.parametrize(
    ("op", "data", "words"),
    [
        ("Convolution", "2,6,9,8", "kernel=3,2 stride=2,1 dilate=1,2 num_filter=4 num_group=2"),
        ("Convolution", "2,9,8,6", "kernel=3,2 num_filter=4 layout=NHWC no_bias=True"),
        ("Deconvolution", "2,6,9,8", "kernel=3,2 stride=2,3 adj=1,2 num_filter=4 num_group=2"),
        ("Deconvolution", "1,9,6", "kernel=4 stride=2 target_shape=17 num_filter=4 no_bias=False layout=NWC"),
    ],
)
def test_it_is_the_problem_that_a_call_computes(op: str, data: str, words: str) -> None:
    spec = find_operator(op)
    param = spec.parse(parse_assignments(words.split()))
    shapes, _ = infer_shapes(spec, param, [parse_shape("--data", data)])
    with planner.recording() as plans:
        getattr(mx.nd, op)(*(mx.nd.zeros(shape) for shape in shapes), **parse_assignments(words.split()))
    assert problem_of(spec, param, parse_shape("--data", data), "float32") == plans[0].problem
    assert np.dtype(plans[0].problem.dtype) == np.float32


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["convolution", "kernel=3", "num_filter=2"], "--data is missing"),
        (["convolution", "--data", "1,2,3", "kernel=3"], "num_filter is missing"),
        (["convolution", "--data", "1,2,2", "kernel=3", "num_filter=2"], "kernel"),
        (["convolution", "--data", "1,2,3", "kernel=3", "num_filter=2", "--dtype", "bool"], "--dtype is bool"),
        (["convolve"], "OP is 'convolve'"),
        ([""], "OP is ''"),
        (["forward float32 c3"], "cannot be read"),
        (["forward float32 c3->3 i9 k3", "kernel=3"], "nothing beside it"),
    ],
)
def test_what_is_wrong_is_named(mxconv: Callable, words: list[str], part: str) -> None:
    answer = mxconv("plan", *words)
    assert (answer.status, answer.out) == (2, "")
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1
