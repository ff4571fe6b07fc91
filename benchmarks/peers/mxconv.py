"""Our own engine, through its front door: each answer is a new array.

Packed weights are kept, as a model's are, but not in training, nor where each call brings its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mxconv
from harness.peer import Prepared, Problem, Refusal
from mxconv.engine import planner
from mxconv.engine.problem import ConvProblem
from mxconv.engine.trial import ConstantWeight, compute, make_result
from mxconv.errors import UnsupportedError


def start(threads: int) -> str:
    """`threads` came through the environment, with an empty folder for compiled kernels."""
    return f"mxconv {mxconv.__version__}"


def prepare(problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    """Planning, and compiling what is not compiled yet."""
    return prepare_task(ConvProblem.parse(problem.text), problem, constants)


def prepare_task(task: ConvProblem, problem: Problem, constants: dict[str, np.ndarray]) -> Prepared:
    """The same, for arrays that may lie otherwise in memory."""
    try:
        planner.make_plan(task)
    except UnsupportedError as error:
        raise Refusal(str(error)) from error
    weight = ConstantWeight(constants["w"]) if "w" in constants and not problem.step else None
    info: dict[str, Any] = {}

    def call(*varying: np.ndarray) -> np.ndarray:
        arrays = {**dict(zip(problem.inputs, varying, strict=False)), **constants}
        if info:
            return compute(task, arrays, make_result(task), weight)
        with planner.recording() as plans:  # where the first call measures, it may choose another plan than the first
            result = compute(task, arrays, make_result(task), weight)
        plan = plans[-1]
        info.update(algorithm=plan.algorithm, threads=plan.threads, workspace_bytes=plan.workspace_bytes)
        return result

    return Prepared(call, info)
