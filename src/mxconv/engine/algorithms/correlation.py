"""A problem as a correlation: which array is read, which is written, and the tables that kernels walk.

forward        source x, destination y, rows = output channels, reduction over input channels
backward_data  source y, destination x, rows = input channels, reduction over output channels, stride phases
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import geometry
from ...jit.kernels.correlation import AXIS, PHASE_ROW, TAP_ROW
from ..problem import ConvProblem, Ints

SLOTS = {"w": "w", "bias": "bias", "panels": "panels", "scratch": "scratch"}
"""Which slot of an argument block receives which address, besides src and dst."""


@dataclass(frozen=True, slots=True)
class Roles:
    """A problem as the kernel sees it: which array is read, which is written, and which weight axis is which."""

    src: str
    dst: str
    rows: int
    channels: int
    w_row: int
    w_channel: int
    w_group: int
    src_spatial: Ints
    axes: tuple[geometry.AxisPlan, ...]

    @property
    def pixels(self) -> int:
        """Grid positions of the largest phase."""
        return math.prod(max((phase.count for phase in axis.phases), default=0) for axis in self.axes)

    @property
    def phases(self) -> int:
        return math.prod(len(axis.phases) for axis in self.axes)

    @property
    def all_taps(self) -> int:
        """Taps of all phases; each belongs to one."""
        return math.prod(sum(len(phase.taps) for phase in axis.phases) for axis in self.axes)

    @property
    def most_taps(self) -> int:
        """Taps of the phase that has the most."""
        return math.prod(max((len(phase.taps) for phase in axis.phases), default=0) for axis in self.axes)


def roles_of(p: ConvProblem) -> Roles:
    """The correlation that a forward or backward_data problem is."""
    axes = range(p.rank)
    own_in, own_out = p.in_channels // p.groups, p.out_channels // p.groups
    by_out, by_in = p.w_strides[:2]
    if p.direction == "forward":
        plans = tuple(
            geometry.forward_axis(p.out_spatial[a], p.kernel[a], p.stride[a], p.dilation[a], p.pad_lo[a]) for a in axes
        )
        return Roles("x", "y", own_out, own_in, by_out, by_in, own_out * by_out, p.in_spatial, plans)
    plans = tuple(
        geometry.backward_data_axis(p.in_spatial[a], p.kernel[a], p.stride[a], p.dilation[a], p.pad_lo[a]) for a in axes
    )
    return Roles("y", "x", own_in, own_out, by_in, by_out, own_out * by_out, p.out_spatial, plans)


def make_tables(p: ConvProblem, roles: Roles) -> npt.NDArray[np.int64]:
    """The axis, phase and tap tables in one array; offsets count its elements."""
    head = len(AXIS) * p.rank
    rows: list[int] = []
    lists: list[int] = []
    src_strides, dst_strides = p.strides_of(roles.src), p.strides_of(roles.dst)
    for a, axis in enumerate(roles.axes):
        phase_at = head + len(lists)
        first = 0
        for phase in axis.phases:
            lists += (phase.origin, phase.count, first, len(phase.taps))
            first += len(phase.taps)
        tap_at = phase_at + PHASE_ROW * len(axis.phases)
        for phase in axis.phases:
            for tap in phase.taps:
                lists += (tap.tap, tap.offset)
        assert head + len(lists) == tap_at + TAP_ROW * first
        row = {
            "extent": roles.src_spatial[a],
            "src_stride": src_strides[2 + a],
            "src_step": axis.src_step,
            "dst_stride": dst_strides[2 + a],
            "dst_step": axis.dst_step,
            "w_stride": p.w_strides[2 + a],
            "phases": len(axis.phases),
            "taps": first,
            "phase_at": phase_at,
            "tap_at": tap_at,
        }
        rows += (row[name] for name in AXIS.names)
    return np.array(rows + lists, np.int64)


def common_values(p: ConvProblem, roles: Roles, row_groups: int) -> Mapping[str, int]:
    """The values of the slots that every correlation has (jit.kernels.correlation.COMMON_ARGS), but for addresses."""
    src, dst = p.strides_of(roles.src), p.strides_of(roles.dst)
    return {
        "src_batch": src[0],
        "src_group": src[1] * roles.channels,
        "src_channel": src[1],
        "dst_batch": dst[0],
        "dst_group": dst[1] * roles.rows,
        "dst_channel": dst[1],
        "w_group": roles.w_group,
        "w_row": roles.w_row,
        "w_channel": roles.w_channel,
        "rank": p.rank,
        "rows": roles.rows,
        "channels": roles.channels,
        "groups": p.groups,
        "phases": roles.phases,
        "all_taps": roles.all_taps,
        "row_groups": row_groups,
        "pack_tasks": p.groups * row_groups * roles.phases,
    }
