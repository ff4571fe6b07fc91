"""All extent arithmetic of convolution, on plain integers, one spatial axis at a time.

Every other module calls this one; nothing else in mxconv computes an output size, a pad or a tap's position. Names:
`size` is the extent that goes into an operator, `out` the one that comes out; `pad_lo` and `pad_hi` are the samples
added before and after (negative: cropped); a dilation of 1 is dense. With x the input and y the output of the forward
convolution, per axis

    y[o] = sum over t of x[o*stride + t*dilation - pad_lo] * w[t],     0 <= t < kernel.

Nothing is checked here beyond what the arithmetic needs: callers turn a non-positive extent into an error that names
the operator and the argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload


def dilated_kernel(kernel: int, dilation: int) -> int:
    """The samples that a dilated kernel spans: dilation*(kernel - 1) + 1.

    >>> dilated_kernel(3, 2)
    5
    """
    return dilation * (kernel - 1) + 1


def conv_out(size: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int) -> int:
    """Output extent of a convolution: floor((size + pads - dilated kernel) / stride) + 1; not positive if none fits.

    >>> conv_out(224, 7, 2, 1, 3, 3)
    112
    """
    return (size + pad_lo + pad_hi - dilated_kernel(kernel, dilation)) // stride + 1


def conv_in_range(out: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int) -> tuple[int, int]:
    """The smallest and the largest input extent from which a convolution makes `out`; equal exactly at stride 1.

    >>> conv_in_range(112, 7, 2, 1, 3, 3)
    (223, 224)
    """
    low = stride * (out - 1) + dilated_kernel(kernel, dilation) - pad_lo - pad_hi
    return low, low + stride - 1


def deconv_out(size: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int, adj: int = 0) -> int:
    """Output extent of a deconvolution: stride*(size - 1) + dilated kernel - pads + adj.

    >>> deconv_out(112, 4, 2, 1, 1, 1)
    224
    """
    return stride * (size - 1) + dilated_kernel(kernel, dilation) - pad_lo - pad_hi + adj


def deconv_in(out: int, kernel: int, stride: int, dilation: int, pad_lo: int, pad_hi: int, adj: int = 0) -> int | None:
    """The input extent from which a deconvolution makes `out`, or None where no whole number does.

    >>> deconv_in(224, 4, 2, 1, 1, 1), deconv_in(225, 4, 2, 1, 1, 1)
    (112, None)
    """
    whole, rest = divmod(out - dilated_kernel(kernel, dilation) + pad_lo + pad_hi - adj, stride)
    return None if rest else whole + 1


def target_trim(size: int, kernel: int, stride: int, dilation: int, target: int) -> int:
    """What a deconvolution must trim from its full extent to reach `target`; negative if the target is too big.

    >>> target_trim(9, 3, 2, 1, 18)
    1
    """
    return deconv_out(size, kernel, stride, dilation, 0, 0) - target


def target_pads(trim: int) -> tuple[int, int]:
    """(pad_lo, pad_hi) that take `trim` samples away; an odd one goes at the front, as in MXNet.

    MXNet says the same with pad = ceil(trim/2) on both sides and adj = trim mod 2 (adj is pad_hi taken away).

    >>> target_pads(5)
    (3, 2)
    """
    return (trim + 1) // 2, trim // 2


def conv_weight_shape(num_filter: int, channels: int, groups: int, kernel: Sequence[int]) -> tuple[int, ...]:
    """Weight of a convolution, channels first: (num_filter, channels // groups, *kernel).

    >>> conv_weight_shape(64, 32, 4, (3, 3))
    (64, 8, 3, 3)
    """
    return (num_filter, channels // groups, *kernel)


def deconv_weight_shape(num_filter: int, channels: int, groups: int, kernel: Sequence[int]) -> tuple[int, ...]:
    """Weight of a deconvolution, channels first: (channels, num_filter // groups, *kernel).

    It is the weight of the convolution whose data gradient the deconvolution is.

    >>> deconv_weight_shape(64, 32, 4, (3, 3))
    (32, 16, 3, 3)
    """
    return conv_weight_shape(channels, num_filter, groups, kernel)


def bias_shape(num_filter: int) -> tuple[int]:
    """Bias of both operators: (num_filter,)."""
    return (num_filter,)


class Tap(NamedTuple):
    """One kernel tap as a phase sees it: weight index `tap` reads source position grid*step + `offset`."""

    tap: int
    offset: int


@dataclass(frozen=True, slots=True)
class Taps(Sequence[Tap]):
    """The taps of a phase, which are evenly spaced: listed by rising offset, and made only as they are asked for."""

    indices: range
    offsets: range

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Tap]:
        return map(Tap, self.indices, self.offsets)

    @overload
    def __getitem__(self, at: int) -> Tap: ...
    @overload
    def __getitem__(self, at: slice) -> Taps: ...
    def __getitem__(self, at: int | slice) -> Tap | Taps:
        if isinstance(at, slice):
            return Taps(self.indices[at], self.offsets[at])
        return Tap(self.indices[at], self.offsets[at])


def _evenly(first: int, step: int, count: int) -> range:
    return range(first, first + count * step, step)


@dataclass(frozen=True, slots=True)
class Phase:
    """Destination positions origin, origin + step, ... (`count` of them) that see the same taps."""

    origin: int
    count: int
    taps: Taps


class AxisPlan(NamedTuple):
    """One axis of a dense correlation: destination[origin + g*dst_step] += source[g*src_step + offset] * w[tap].

    `forward` is one phase with src_step = stride; `backward_data` has min(stride, extent) phases with
    dst_step = stride, each a stride-1 problem on the taps that hit it, so no zero is ever inserted or multiplied.
    """

    src_step: int
    dst_step: int
    phases: tuple[Phase, ...]

    @property
    def positions(self) -> int:
        """Grid positions of the largest phase, which is the first; 0 without phases."""
        return self.phases[0].count if self.phases else 0


def forward_axis(out: int, kernel: int, stride: int, dilation: int, pad_lo: int) -> AxisPlan:
    """The axis of a forward convolution: one phase that sees every tap. A single output takes no step.

    >>> list(forward_axis(4, 2, 3, 1, 1).phases[0].taps)
    [Tap(tap=0, offset=-1), Tap(tap=1, offset=0)]
    """
    taps = Taps(range(kernel), _evenly(-pad_lo, dilation, kernel))
    return AxisPlan(src_step=stride if out > 1 else 1, dst_step=1, phases=(Phase(0, out, taps),))


def backward_data_axis(size: int, kernel: int, stride: int, dilation: int, pad_lo: int) -> AxisPlan:
    """The axis of a data gradient (or deconvolution) with `size` destination samples, split by stride phase.

    From i + pad_lo = o*stride + t*dilation, position i = origin + g*stride sees tap t at o = g + offset where
    offset = (origin + pad_lo - t*dilation) / stride is whole. Taps are listed by rising offset.

    >>> [(p.origin, [t.tap for t in p.taps]) for p in backward_data_axis(6, 3, 2, 1, 1).phases]
    [(0, [1]), (1, [2, 0])]
    """
    common = math.gcd(stride, dilation)
    period, step = stride // common, dilation // common
    inverse = pow(step, -1, period)
    phases = []
    for origin in range(min(stride, size)):
        # t*step = whole (mod period), if the position is a multiple of what stride and dilation have in common.
        whole, rest = divmod(origin + pad_lo, common)
        indices = range(0) if rest else range(whole * inverse % period, kernel, period)[::-1]
        first = (origin + pad_lo - indices[0] * dilation) // stride if indices else 0
        count = (size - origin + stride - 1) // stride
        phases.append(Phase(origin, count, Taps(indices, _evenly(first, step, len(indices)))))
    return AxisPlan(src_step=1, dst_step=stride, phases=tuple(phases))


def meeting(axis: AxisPlan, size: int) -> AxisPlan:
    """The same axis without the taps at either end of a phase that meet none of the source's `size` samples.

    A phase that reads nothing but padding keeps one.

    >>> list(meeting(forward_axis(1, 3, 1, 1, 1), 1).phases[0].taps)
    [Tap(tap=1, offset=0)]
    """
    phases = []
    for phase in axis.phases:
        offsets, reach = phase.taps.offsets, (phase.count - 1) * axis.src_step
        first = min(max(0, -((reach + offsets.start) // offsets.step)), len(offsets) - 1) if offsets else 0
        last = max(first + 1, -((offsets.start - size) // offsets.step)) if offsets else 0
        phases.append(Phase(phase.origin, phase.count, phase.taps[first:last]))
    return AxisPlan(axis.src_step, axis.dst_step, tuple(phases))


def phase_rows_axis(size: int, kernel: int, stride: int, pad_lo: int) -> AxisPlan:
    """The same axis of a data gradient without dilation, grid positions being numbers q of a whole stride.

    Position q*stride - pad_lo + r, for each of its phases r < stride, sees tap r + j*stride at source q - j. What is
    listed as phases here are sets of taps j*stride that the same phases have: all of them, and the first
    kernel % stride, if any. The first and the last q may have positions that lie outside of `size`.

    >>> [(p.origin, p.count, list(p.taps)) for p in phase_rows_axis(6, 3, 2, 1).phases]
    [(-1, 4, [Tap(tap=0, offset=0)]), (-1, 4, [Tap(tap=2, offset=-1)])]
    """
    first, whole = pad_lo // stride, kernel // stride
    count = (size - 1 + pad_lo) // stride - first + 1
    sets = [range(whole), *([range(whole, whole + 1)] if kernel % stride else [])]
    rising = [js[::-1] for js in sets]
    taps = (
        Taps(range(js.start * stride, js.stop * stride, -stride), range(first - js.start, first - js.stop))
        for js in rising
    )
    return AxisPlan(1, stride, tuple(Phase(first * stride - pad_lo, count, own) for own in taps))


def input_halo(out_start: int, out_stop: int, kernel: int, stride: int, dilation: int, pad_lo: int) -> tuple[int, int]:
    """The half-open input interval that outputs [out_start, out_stop) read; it may reach beyond the array.

    >>> input_halo(0, 4, 3, 2, 1, 1)
    (-1, 8)
    """
    if out_stop <= out_start:
        return 0, 0
    start = out_start * stride - pad_lo
    return start, (out_stop - 1) * stride - pad_lo + dilated_kernel(kernel, dilation)


def valid_products(size: int, out: int, kernel: int, stride: int, dilation: int, pad_lo: int) -> int:
    """How many (output, tap) pairs read a real sample, not padding: the honest multiplication count of an axis.

    >>> valid_products(4, 4, 3, 1, 1, 1)
    10
    """
    # Those that read before `size`, less those that read before 0.
    return _pairs_below(size + pad_lo, out, kernel, stride, dilation) - _pairs_below(
        pad_lo, out, kernel, stride, dilation
    )


def _pairs_below(limit: int, out: int, kernel: int, stride: int, dilation: int) -> int:
    """How many pairs of 0 <= o < out and 0 <= t < kernel have o*stride + t*dilation < limit.

    Tap t has ceil((limit - t*dilation) / stride) of them, but neither less than 0 nor more than `out`.
    """
    full = min(max(0, -(((out - 1) * stride - limit) // dilation)), kernel)
    some = min(max(0, -(-limit // dilation)), kernel)
    count = max(0, some - full)
    least = limit - (some - 1) * dilation + stride - 1
    return out * min(full, some) + _floor_sum(count, stride, dilation, least)


def _floor_sum(count: int, by: int, step: int, first: int) -> int:
    """The sum of (first + i*step) // by over 0 <= i < count, as Euclid's algorithm finds it.

    >>> _floor_sum(4, 3, 2, 1) == 1 // 3 + 3 // 3 + 5 // 3 + 7 // 3
    True
    """
    total = 0
    while count:
        (whole, step), (more, first) = divmod(step, by), divmod(first, by)
        total += whole * (count * (count - 1) // 2) + more * count
        # Of the points below the line count those by column that were counted by row.
        count, first = divmod(step * count + first, by)
        by, step = step, by
    return total
