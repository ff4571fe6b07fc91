"""Which algorithms a call admits: what the caller and the settings say of arithmetic, accuracy and measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .. import config
from ..dtypes import DTYPES
from .algorithms.base import ACCEPTED, Algorithm, Verdict
from .problem import ConvProblem

DEFAULT_ERROR = 1.5e-5
"""The largest error that is admitted unless the caller says otherwise, in units of the result's standard deviation."""
ROUNDOFF = {"float64": 2.0**-53, "complex128": 2.0**-53}
"""Unit roundoff of what sums are computed in, where that is not float32's."""
FLOAT32 = 2.0**-24

_TUNE = {0: "off", 1: "limited_workspace", 2: "fastest"}
"""What the values of MXNET_CUDNN_AUTOTUNE_DEFAULT mean."""


class Policy(NamedTuple):
    """What one call says for itself."""

    plain_only: bool = False
    """MXNet's cudnn_off: nothing that changes the arithmetic."""
    tune: str | None = None
    """MXNet's cudnn_tune: off, limited_workspace, fastest, or None, for which settings decide."""


USUAL = Policy()


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a call, its own words and the settings together."""

    plain_reason: str
    """Why plain algorithms only are admitted; empty where others are."""
    rtol: float | None
    reproducible: bool
    tune: str

    @classmethod
    def of(cls, policy: Policy) -> Rules:
        """The rules of a call made now."""
        reason = "cudnn_off admits plain algorithms only" if policy.plain_only else ""
        if config.get("accuracy") == "pointwise":
            reason = reason or "changes the arithmetic: accuracy='pointwise'"
        reproducible = config.get("reproducible")
        tune = config.get("tune") or policy.tune or _TUNE[config.get("autotune")]
        return cls(reason, config.get("rtol"), reproducible, "off" if reproducible else tune)

    def admits(self, algorithm: Algorithm, problem: ConvProblem) -> Verdict:
        """Whether an algorithm that applies may be used. Plain ones always may: nothing is more accurate."""
        if algorithm.is_plain:
            return ACCEPTED
        if self.plain_reason:
            return Verdict(False, self.plain_reason)
        error = algorithm.error(problem)
        if self.rtol is None and error > DEFAULT_ERROR:
            return Verdict(False, f"error {error:.2g}, accuracy admits {DEFAULT_ERROR:.2g}")
        if self.rtol is not None and in_dtype(error, problem) > self.rtol:
            return Verdict(False, f"error {in_dtype(error, problem):.2g}, rtol admits {self.rtol:.2g}")
        return ACCEPTED


def in_dtype(error: float, problem: ConvProblem) -> float:
    """An algorithm's error, which is given for float32, as it is in the type that the problem is computed in.

    >>> p = ConvProblem.parse("forward float64 c1->1 i9 k3")
    >>> f"{in_dtype(1e-5, p):.1e}"
    '1.9e-14'
    """
    return error * ROUNDOFF.get(DTYPES[problem.dtype].accumulate, FLOAT32) / FLOAT32
