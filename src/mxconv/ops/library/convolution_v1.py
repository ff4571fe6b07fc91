"""Convolution_v1: Convolution as old files name it; what it computes is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from .. import convolution as convolution
from ..grammar import word
from ..params import CONVOLUTION, ConvolutionParam
from ..registry import OPERATORS, register
from ..signature import Field, Signature

_LAYOUT = Field(word(None, "NCDHW", "NCHW", "NDHWC", "NHWC"), "None")
SIGNATURE = Signature("Convolution_v1", **CONVOLUTION.fields | {"layout": _LAYOUT})


class ConvolutionV1Param(ConvolutionParam):
    """The parameters of one Convolution_v1."""

    signature: ClassVar[Signature] = SIGNATURE


register(
    replace(
        OPERATORS["Convolution"],
        name=SIGNATURE.op,
        signature=SIGNATURE,
        parse=ConvolutionV1Param.parse,
        aliases=(),
        doc="Convolution, as old files name it.",
    )
)
