"""Our own engine, through its front door: each answer is a new array.

Packed weights are kept, as a model's are, but not in training, nor where each call brings its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import mxconv
from harness.peer import Prepared, Problem, Refusal
from mxconv.engine import planner
from mxconv.engine.execute import convolve
from mxconv.engine.problem import ConvProblem, contiguous_strides
from mxconv.engine.trial import ConstantWeight, make_result
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
    weight = ConstantWeight(constants["w"]).identity if "w" in constants and not problem.step else None
    held = tuple(constants[name] for name in task.inputs if name in constants)
    bias = constants.get("bias")
    settings: dict[str, Any] = {
        name: getattr(task, name) for name in ("stride", "dilation", "pad_lo", "pad_hi", "groups")
    }
    is_dense = task.strides_of(task.output) == contiguous_strides(task.shape_of(task.output))
    empty = partial(np.empty, task.shape_of(task.output), task.result.numpy) if is_dense else partial(make_result, task)
    info: dict[str, Any] = {}

    def call(*varying: np.ndarray) -> np.ndarray:
        result = empty()
        if info:
            convolve(task.direction, *varying, *held, result, bias, **settings, weight=weight)
            return result
        with planner.recording() as plans:  # where the first call measures, it may choose another plan than the first
            convolve(task.direction, *varying, *held, result, bias, **settings, weight=weight)
        plan = plans[-1]
        info.update(algorithm=plan.algorithm, threads=plan.threads, workspace_bytes=plan.workspace_bytes)
        return result

    return Prepared(call, info)
