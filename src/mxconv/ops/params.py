"""ConvolutionParam and DeconvolutionParam: MXNet's parameter names, defaults and bounds (see `grammar` for the texts).

Extensions that MXNet lacks: kernels of four and more entries; `pad` entries that are pairs (lo, hi), which
may differ and, like plain entries, be negative (crop); `target_shape` entries None or 0, unset on that axis
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, cast

from ..errors import MXNetError, ParamError
from .grammar import BOOL, LAYOUT, PADS, SHAPE, TARGETS, UINT, ULONG, Ints, Pairs, word
from .refusal import refusal
from .signature import Field, Signature, given_texts

P = TypeVar("P", bound="ConvParam")

_KERNEL = Field(SHAPE, example="(3, 3), one entry for each spatial axis")
_FILTERS = Field(UINT, least=1, example="8")
_GROUPS = Field(UINT, "1", least=1)
TUNE = Field(word(None, "fastest", "limited_workspace", "off"), "None")
_EMPTY = Field(SHAPE, "()")

CONVOLUTION = Signature(
    "Convolution",
    kernel=_KERNEL,
    stride=_EMPTY,
    dilate=_EMPTY,
    pad=Field(PADS, "()"),
    num_filter=_FILTERS,
    num_group=_GROUPS,
    workspace=Field(ULONG, "1024"),
    no_bias=Field(BOOL, "False"),
    cudnn_tune=TUNE,
    cudnn_off=Field(BOOL, "False"),
    layout=Field(LAYOUT, "None"),
)
DECONVOLUTION = Signature(
    "Deconvolution",
    kernel=_KERNEL,
    stride=_EMPTY,
    dilate=_EMPTY,
    pad=Field(PADS, "()"),
    adj=_EMPTY,
    target_shape=Field(TARGETS, "()"),
    num_filter=_FILTERS,
    num_group=_GROUPS,
    workspace=Field(ULONG, "512"),
    no_bias=Field(BOOL, "True"),
    cudnn_tune=TUNE,
    cudnn_off=Field(BOOL, "False"),
    layout=Field(LAYOUT, "None"),
)

_LENGTH_WORDS = {
    "stride": "Stride",
    "dilate": "Dilate",
    "pad": "Padding",
    "adj": "Adjustment",
    "target_shape": "Target shape",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvParam:
    """What Convolution and Deconvolution share; every tuple has one entry for each spatial axis.

    Parameters are never made by hand: `parse` reads them, whatever their spelling, and fills in the defaults.
    """

    signature: ClassVar[Signature]

    kernel: Ints
    stride: Ints
    dilate: Ints
    pad: Pairs
    """(lo, hi) of each axis."""
    num_filter: int
    num_group: int
    workspace: int
    no_bias: bool
    cudnn_tune: str | None
    cudnn_off: bool
    layout: str | None
    attrs: tuple[tuple[str, str], ...] = field(compare=False, repr=False)
    """The parameters that were given, each with its exact text."""

    @property
    def op(self) -> str:
        """The operator's name."""
        return self.signature.op

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    def text(self, name: str) -> str:
        """A parameter as it was given, or the text of its default."""
        return self.to_attrs().get(name) or str(self.signature.fields[name].default)

    def to_attrs(self) -> dict[str, str]:
        """What JSON keeps: the exact texts that were given, no defaults added; `parse` reads them back."""
        return dict(self.attrs)

    @classmethod
    def parse(cls: type[P], attrs: Mapping[str, Any]) -> P:
        """Read parameters of any accepted spelling; `__dunder__` keywords are ignored.

        Raises: ParamError, naming the parameter, what was got and what to write.

        >>> ConvolutionParam.parse({"kernel": "(3, 3)", "num_filter": 8, "pad": [1, 1]}).pad
        ((1, 1), (1, 1))
        """
        try:
            parsed: P = _parse(cast("Any", cls), given_texts(attrs))
        except MXNetError as error:
            error.with_context(op=cls.signature.op)
            raise
        return parsed


class ConvolutionParam(ConvParam):
    """The parameters of one Convolution."""

    __slots__ = ()

    signature: ClassVar[Signature] = CONVOLUTION


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvolutionParam(ConvParam):
    """The parameters of one Deconvolution."""

    signature: ClassVar[Signature] = DECONVOLUTION

    adj: Ints
    target_shape: tuple[int | None, ...]
    """The extent to reach on each axis, or None where `pad` and `adj` apply."""


@lru_cache(maxsize=4096)
def _parse(cls: Any, given: tuple[tuple[str, str], ...]) -> Any:
    texts = dict(given)
    values = cls.signature.read(texts)
    _fit_to_kernel(values, texts, cls.signature.op)
    return cls(**values, attrs=given)


def _fit_to_kernel(values: dict[str, Any], texts: Mapping[str, str], op: str) -> None:
    """Fill empty shapes with their defaults, and refuse shapes whose length is not the kernel's."""
    kernel = values["kernel"]
    rank = -1 if kernel is None else len(kernel)
    if rank < 1:
        got, why = texts["kernel"], f"{rank}D {op.lower()} not supported"
        fix = "Pass kernel=(3,) for 1-D data, (3, 3) for 2-D data and so on."
        raise refusal(ParamError, "kernel", got, "one entry for each spatial axis", why, fix=fix)
    usual = {"stride": 1, "dilate": 1, "pad": (0, 0), "adj": 0, "target_shape": None}
    for name, default in usual.items():
        if name not in values:
            continue
        if values[name] == ():
            values[name] = (default,) * rank
        elif values[name] is None or len(values[name]) != rank:
            why = (
                f"{_LENGTH_WORDS[name]} must have the same number of dimensions with kernel_size, but kernel is "
                f"{texts['kernel']}"
            )
            fix = f"Give one entry for each spatial axis, or leave {name} out."
            raise refusal(ParamError, name, texts[name], _entries(rank), why, fix=fix)
    if any(target is not None and target < 0 for target in values.get("target_shape", ())):
        expected = "positive entries, or 0 or None on an axis without a target"
        fix = "Replace the negative entry."
        raise refusal(ParamError, "target_shape", texts["target_shape"], expected, fix=fix)


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"
