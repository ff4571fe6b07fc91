"""ConvProblem: what is to be computed, in the field's own terms; the one language below the operators.

A problem has a one-line text form that logs, tests, benchmarks and stored choices share and that parses back:

    forward float32 n1 g1 c64->128 i56x56 k3x3 s2x2 p1x1 +bias

Parts that say the usual thing (stride 1, dilation 1, pad 0, the extent that follows from the others, arrays that are
contiguous with channels first) are left out.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from .. import geometry
from ..dtypes import DTYPES, DType
from ..errors import FormatError, ShapeError

Direction = Literal["forward", "backward_data", "backward_weight"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
ROLES: dict[Direction, tuple[str, str, str]] = {
    "forward": ("x", "w", "y"),
    "backward_data": ("y", "w", "x"),
    "backward_weight": ("x", "y", "w"),
}
"""Which array of the forward convolution is given first, which second, and which is computed."""
EPILOGUES = {"scale": "scale", "bias": "bias", "add": "residual", "relu": "", "prelu": "slope"}
"""What may be done to finished sums, in this order (but `add` may also come last), and the array that it takes; see
jit/kernels/epilogue.py."""
LONGEST = 1 << 62
"""Positions on an axis, halo and steps included, stay below this, so that no 64-bit sum of them overflows."""

Ints = tuple[int, ...]
_AXES = ("in_spatial", "out_spatial", "stride", "dilation", "pad_lo", "pad_hi")


def contiguous_strides(shape: Sequence[int]) -> Ints:
    """Element strides of a C-contiguous array of that shape.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(1, shape[axis + 1])
    return tuple(strides)


def _plain_strides(shape: Ints, strides: Ints) -> Ints:
    """The same strides, but for those that nothing depends on: they become a contiguous array's."""
    usual = contiguous_strides(shape)
    if 0 in shape:
        return usual
    return tuple(u if n == 1 else s for n, s, u in zip(shape, strides, usual, strict=True))


def _check_axes(kernel: Sequence[int], groups: int, **axes: Sequence[int] | None) -> None:
    """What must hold before any extent can be computed."""
    for name, values in axes.items():
        if values is not None and len(values) != len(kernel):
            raise ShapeError(f"{name} has {len(values)} entries, expected {len(kernel)} as kernel has", argument=name)
    for name, values in (("kernel", kernel), ("stride", axes["stride"]), ("dilation", axes["dilation"])):
        if min(values or (), default=1) < 1:
            raise ShapeError(f"{name} is {values}, expected entries of at least 1", argument=name)
    if groups < 1:
        raise ShapeError(f"groups is {groups}, expected at least 1", argument="groups")


class _KeepsHash:
    """A place for a hash: caches ask for it time and again, and summing up all parts of a problem takes a while."""

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, slots=True)
class ConvProblem(_KeepsHash):
    """One convolution problem: x (batch, in_channels, *in_spatial), w (out_channels, in_channels // groups, *kernel)
    and y (batch, out_channels, *out_spatial) of the *forward* convolution, whatever the direction computes.

    `forward` computes y from x and w, `backward_data` x from y and w, `backward_weight` w from x and y. Strides count
    elements in that logical order, so that every layout and every view is the same problem but for its strides; those
    of axes that have a single position (or of arrays that have none) are replaced by a contiguous array's.
    `dtype` names what the two inputs are stored as; the result's dtype follows from it (see mxconv.dtypes).

    Raises: ShapeError, if the extents contradict each other.
    """

    direction: Direction
    dtype: str
    batch: int
    groups: int
    in_channels: int
    out_channels: int
    in_spatial: Ints
    out_spatial: Ints
    kernel: Ints
    stride: Ints
    dilation: Ints
    pad_lo: Ints
    pad_hi: Ints
    x_strides: Ints
    w_strides: Ints
    y_strides: Ints
    epilogue: tuple[str, ...] = ()

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            found = hash(tuple(getattr(self, name) for name in self.__match_args__))
            object.__setattr__(self, "_hash", found)
            return found

    def __post_init__(self) -> None:
        rank = len(self.kernel)
        _check_axes(self.kernel, self.groups, **{name: getattr(self, name) for name in _AXES})
        for name in ("x_strides", "w_strides", "y_strides"):
            if len(getattr(self, name)) != rank + 2:
                raise ShapeError(f"{name} has {len(getattr(self, name))} entries, expected {rank + 2}", argument=name)
        if self.direction not in DIRECTIONS:
            raise ShapeError(f"direction is {self.direction!r}, expected one of {DIRECTIONS}", argument="direction")
        if self.dtype not in DTYPES:
            raise ShapeError(f"dtype is {self.dtype!r}, expected one of {tuple(DTYPES)}", argument="dtype")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"{self.in_channels} and {self.out_channels} channels do not divide into {self.groups} groups",
                argument="groups",
            )
        if min((self.batch, self.in_channels, self.out_channels, *self.in_spatial, *self.out_spatial)) < 0:
            raise ShapeError("an extent is negative", argument="in_spatial")
        for a in range(rank):
            out = max(0, geometry.conv_out(self.in_spatial[a], *self.axis(a)))
            if out != self.out_spatial[a]:
                raise ShapeError(
                    f"axis {a}: {self.in_spatial[a]} samples give {out}, not {self.out_spatial[a]}",
                    argument="out_spatial",
                )
            reach = self.stride[a] * out + self.dilation[a] * self.kernel[a] + abs(self.pad_lo[a]) + abs(self.pad_hi[a])
            if reach + self.in_spatial[a] >= LONGEST:
                raise ShapeError(
                    f"axis {a}: stride, dilation and pads reach over {reach} samples, expected less than 2**62",
                    argument="in_spatial",
                    got=reach,
                    expected="less than 2**62",
                    fix="Use smaller ones.",
                )
        for name in ("x", "w", "y"):
            strides = _plain_strides(self.shape_of(name), self.strides_of(name))
            object.__setattr__(self, f"{name}_strides", strides)
        self._check_epilogue()

    def _check_epilogue(self) -> None:
        """What is done to sums must be known, in order, and make sense for the direction and the dtype."""
        words = self.epilogue[:-1] if self.epilogue[-1:] == ("add",) else self.epilogue
        allowed = [word for word in EPILOGUES if self.storage.kind != "complex" or not word.endswith("relu")]
        in_order = [word for word in allowed if word in words]
        if self.direction == "backward_weight":
            in_order, words = [], self.epilogue
        if list(words) != in_order or len(set(self.epilogue)) < len(self.epilogue) or {"relu", "prelu"} <= set(words):
            expected = f"some of {', '.join(allowed)} in this order, or add last, with one activation"
            if self.direction == "backward_weight":
                expected = "nothing for a weight gradient"
            raise ShapeError(f"epilogue is {self.epilogue}, expected {expected}", argument="epilogue")

    # ---- making one

    @classmethod
    def create(
        cls,
        direction: Direction,
        dtype: str = "float32",
        *,
        kernel: Sequence[int],
        in_channels: int,
        out_channels: int,
        in_spatial: Sequence[int] | None = None,
        out_spatial: Sequence[int] | None = None,
        batch: int = 1,
        groups: int = 1,
        stride: Sequence[int] | None = None,
        dilation: Sequence[int] | None = None,
        pad_lo: Sequence[int] | None = None,
        pad_hi: Sequence[int] | None = None,
        x_strides: Sequence[int] | None = None,
        w_strides: Sequence[int] | None = None,
        y_strides: Sequence[int] | None = None,
        epilogue: Sequence[str] = (),
    ) -> ConvProblem:
        """A problem whose missing parts take their usual values.

        Stride and dilation 1, pad 0, contiguous channels-first arrays; of `in_spatial` and `out_spatial` one may be
        left out and follows (the smallest input that gives `out_spatial`).
        """
        rank = len(kernel)
        stride = tuple(stride or (1,) * rank)
        dilation = tuple(dilation or (1,) * rank)
        pad_lo = tuple(pad_lo or (0,) * rank)
        pad_hi = tuple(pad_lo if pad_hi is None else pad_hi)
        given = (in_spatial, out_spatial, stride, dilation, pad_lo, pad_hi)
        _check_axes(kernel, groups, **dict(zip(_AXES, given, strict=True)))
        axes = list(zip(kernel, stride, dilation, pad_lo, pad_hi, strict=True))
        if in_spatial is None:
            if out_spatial is None:
                raise ShapeError("neither in_spatial nor out_spatial is given", argument="in_spatial")
            in_spatial = [max(0, geometry.conv_in_range(n, *a)[0]) for n, a in zip(out_spatial, axes, strict=True)]
        if out_spatial is None:
            out_spatial = [max(0, geometry.conv_out(n, *a)) for n, a in zip(in_spatial, axes, strict=True)]
        x_shape = (batch, in_channels, *in_spatial)
        w_shape = geometry.conv_weight_shape(out_channels, in_channels, groups, kernel)
        y_shape = (batch, out_channels, *out_spatial)
        return cls(
            direction=direction,
            dtype=dtype,
            batch=batch,
            groups=groups,
            in_channels=in_channels,
            out_channels=out_channels,
            in_spatial=tuple(in_spatial),
            out_spatial=tuple(out_spatial),
            kernel=tuple(kernel),
            stride=stride,
            dilation=dilation,
            pad_lo=pad_lo,
            pad_hi=pad_hi,
            x_strides=tuple(x_strides or contiguous_strides(x_shape)),
            w_strides=tuple(w_strides or contiguous_strides(w_shape)),
            y_strides=tuple(y_strides or contiguous_strides(y_shape)),
            epilogue=tuple(epilogue),
        )

    # ---- what follows from it

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    def axis(self, a: int) -> tuple[int, int, int, int, int]:
        """(kernel, stride, dilation, pad_lo, pad_hi) of one spatial axis, as mxconv.geometry takes them."""
        return self.kernel[a], self.stride[a], self.dilation[a], self.pad_lo[a], self.pad_hi[a]

    @property
    def x_shape(self) -> Ints:
        return (self.batch, self.in_channels, *self.in_spatial)

    @property
    def w_shape(self) -> Ints:
        return geometry.conv_weight_shape(self.out_channels, self.in_channels, self.groups, self.kernel)

    @property
    def y_shape(self) -> Ints:
        return (self.batch, self.out_channels, *self.out_spatial)

    @property
    def bias_shape(self) -> Ints:
        """One number for each channel of the result: of y in `forward`, of x in `backward_data`."""
        return (self.in_channels if self.direction == "backward_data" else self.out_channels,)

    @property
    def operands(self) -> dict[str, tuple[Ints, Ints]]:
        """The arrays that the epilogue takes: shape and element strides by name. A residual lies as the result does."""
        names = [EPILOGUES[word] for word in self.epilogue if EPILOGUES[word]]
        result = self.shape_of(self.output), self.strides_of(self.output)
        return {name: result if name == "residual" else (self.bias_shape, (1,)) for name in names}

    @property
    def inputs(self) -> tuple[str, str]:
        """The names of the two arrays that are read, data first."""
        return ROLES[self.direction][:2]

    @property
    def output(self) -> str:
        """The name of the array that is computed."""
        return ROLES[self.direction][2]

    def shape_of(self, name: str) -> Ints:
        """The logical shape of x, w or y."""
        return cast("Ints", getattr(self, f"{name}_shape"))

    def strides_of(self, name: str) -> Ints:
        """The element strides of x, w or y."""
        return cast("Ints", getattr(self, f"{name}_strides"))

    @property
    def storage(self) -> DType:
        """How the inputs are stored."""
        return DTYPES[self.dtype]

    @property
    def result(self) -> DType:
        """How the result is stored."""
        return DTYPES[self.storage.result]

    @property
    def products(self) -> int:
        """Multiply-adds on real samples: padding is not counted. FLOPs are twice that (eight times if complex)."""
        return _products(self)

    @property
    def flops(self) -> int:
        """Floating-point (or integer) operations: 2 for each product, 8 for each complex one."""
        return (8 if self.storage.kind == "complex" else 2) * self.products

    # ---- text form

    def __str__(self) -> str:
        return to_text(self)

    @classmethod
    def parse(cls, text: str) -> ConvProblem:
        """The problem of a line; see the module's docstring for the form.

        Raises: FormatError, naming the part that cannot be read; ShapeError, if the parts contradict each other.
        """
        return from_text(text)


@functools.lru_cache(maxsize=64)
def _products(p: ConvProblem) -> int:
    axes = zip(p.in_spatial, p.out_spatial, p.kernel, p.stride, p.dilation, p.pad_lo, strict=True)
    spatial = math.prod(geometry.valid_products(*axis) for axis in axes)
    return p.batch * p.out_channels * (p.in_channels // p.groups) * spatial


_SCALARS = ("batch", "groups", "in_channels", "out_channels")
_STRIDE_TAGS = {"x": "x_strides", "w": "w_strides", "y": "y_strides"}


def _dims(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def to_text(p: ConvProblem) -> str:
    """The one-line form of a problem; `from_text` reads it back.

    >>> str(ConvProblem.create("forward", kernel=(3, 3), in_channels=8, out_channels=16, in_spatial=(9, 9)))
    'forward float32 n1 g1 c8->16 i9x9 k3x3'
    """
    parts = [p.direction, p.dtype, f"n{p.batch}", f"g{p.groups}", f"c{p.in_channels}->{p.out_channels}"]
    parts += [f"i{_dims(p.in_spatial)}", f"k{_dims(p.kernel)}"]
    if set(p.stride) - {1}:
        parts.append(f"s{_dims(p.stride)}")
    if set(p.dilation) - {1}:
        parts.append(f"d{_dims(p.dilation)}")
    if set(p.pad_lo + p.pad_hi) - {0}:
        same = p.pad_lo == p.pad_hi
        pairs = zip(p.pad_lo, p.pad_hi, strict=True)
        parts.append("p" + "x".join(str(lo) if same else f"{lo}:{hi}" for lo, hi in pairs))
    for tag, name in _STRIDE_TAGS.items():
        strides = p.strides_of(tag)
        if strides != contiguous_strides(p.shape_of(tag)):
            parts.append(f"{name}({','.join(map(str, strides))})")
    parts += [f"+{e}" for e in p.epilogue]
    return " ".join(parts)


_DIMS = r"\d+(?:x\d+)*"
_PAD = r"-?\d+(?::-?\d+)?"
_PART = re.compile(
    r"n(?P<batch>\d+)|g(?P<groups>\d+)|c(?P<in_channels>\d+)->(?P<out_channels>\d+)"
    rf"|i(?P<in_spatial>(?:{_DIMS})?)|o(?P<out_spatial>(?:{_DIMS})?)|k(?P<kernel>(?:{_DIMS})?)"
    rf"|s(?P<stride>{_DIMS})|d(?P<dilation>{_DIMS})|p(?P<pad>{_PAD}(?:x{_PAD})*)"
    r"|(?P<array>[xwy])_strides\((?P<strides>-?\d+(?:,-?\d+)*)\)|\+(?P<epilogue>\w+)",
    re.ASCII,
)


def from_text(text: str) -> ConvProblem:
    """Read a line as `to_text` writes it; `o` (output extents) may stand in the place of `i`.

    >>> from_text("backward_data float16 n2 g1 c3->8 o10 k4 s2 p1").in_spatial
    (20,)
    """
    words = text.split()
    if len(words) < 2 or words[0] not in DIRECTIONS or words[1] not in DTYPES:
        raise FormatError(
            f"problem {text!r} starts with {' '.join(words[:2])!r}, expected one of {DIRECTIONS} and a dtype",
            argument="problem",
            got=text,
            expected="direction dtype n1 g1 c8->16 i9x9 k3x3 ...",
        )
    known: dict[str, Any] = {}
    epilogue: tuple[str, ...] = ()
    for word in words[2:]:
        match = _PART.fullmatch(word)
        if match is None:
            raise FormatError(
                f"problem {text!r} has the part {word!r}, which cannot be read", argument="problem", got=word
            )
        part = {k: v for k, v in match.groupdict().items() if v is not None}
        new: dict[str, Any] = {}
        if "array" in part:
            new = {_STRIDE_TAGS[part["array"]]: tuple(map(int, part["strides"].split(",")))}
        elif "epilogue" in part:
            epilogue += (part["epilogue"],)
        elif "pad" in part:
            pairs = [(p.split(":") * 2)[:2] for p in part["pad"].split("x")]
            new = {"pad_lo": tuple(int(lo) for lo, _ in pairs), "pad_hi": tuple(int(hi) for _, hi in pairs)}
        else:
            new = {
                name: int(value) if name in _SCALARS else tuple(int(v) for v in value.split("x") if v)
                for name, value in part.items()
            }
        twice = set(new) & set(known)
        if twice:
            raise FormatError(f"problem {text!r} says {sorted(twice)[0]} twice", argument="problem", got=word)
        known |= new
    missing = {"kernel", "in_channels"} - set(known)
    if missing:
        raise FormatError(f"problem {text!r} lacks {sorted(missing)}", argument="problem", got=text)
    return ConvProblem.create(words[0], words[1], epilogue=epilogue, **known)
