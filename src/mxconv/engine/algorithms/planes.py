"""What depthwise plans share: evenly spaced taps, boxes of a plane, and the slots that describe them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ... import geometry
from ..problem import ConvProblem, Direction, Ints
from ..workspace import round_up
from .correlation import Roles, common_values

MOST_STEP = 4
"""Staged rows from one grid row of a tile to the next: beyond it a row serves hardly more than one of them."""
MOST_ROWS = 8
"""Result channels of a group: with more of them source values are better shared among these."""
MOST_STAGED_BYTES = 4 << 20
"""What the staged copy of the smallest box may take."""


@dataclass(frozen=True, slots=True)
class Progression:
    """The taps of an axis, evenly spaced: source offset and weight index of the first, and from one to the next."""

    low: int
    dilation: int
    first_tap: int
    tap_step: int
    taps: int

    @property
    def reach(self) -> int:
        """How far the last tap lies from the first."""
        return self.dilation * (self.taps - 1)


def progression(axis: geometry.AxisPlan) -> Progression | None:
    """The taps of an axis, if it has a single phase."""
    if len(axis.phases) != 1 or not axis.phases[0].taps:
        return None
    taps = axis.phases[0].taps
    dilation, tap_step = (taps.offsets.step, taps.indices.step) if len(taps) > 1 else (1, 1)
    return Progression(taps[0].offset, dilation, taps[0].tap, tap_step, len(taps))


@dataclass(frozen=True, slots=True)
class Plane:
    """The two last axes of a depthwise problem, as kernels walk them (see jit/kernels/planes.py)."""

    taps: tuple[Progression, ...]
    """Of every axis."""
    step: int
    """p: lattice rows from one grid row of a tile to the next."""
    apart: int
    """q: grid rows from one row of a tile to the next."""

    @property
    def outer_taps(self) -> int:
        """Taps of the axes before the last two."""
        return math.prod(taps.taps for taps in self.taps[:-2])


def plane_of(roles: Roles) -> Plane | None:
    """The plane of a problem whose axes all have a single phase."""
    found = tuple(progression(axis) for axis in roles.axes)
    taps = tuple(t for t in found if t is not None)
    if len(taps) < len(found):
        return None
    stride, dilation = roles.axes[-2].src_step, taps[-2].dilation
    common = math.gcd(stride, dilation)
    return Plane(taps, stride // common, dilation // common)


def channels_refusal(p: ConvProblem, roles: Roles, *directions: Direction) -> str:
    """Why no depthwise kernel of these directions applies, wherever its taps lie; empty if one may."""
    if p.direction not in directions:
        return f"direction {p.direction}, needs {' or '.join(directions)}"
    if p.storage.kind == "complex":
        return f"dtype {p.dtype}, needs real numbers"
    if not roles.pixels:
        return "no pixels, needs some"
    if roles.channels != 1:
        return f"{roles.channels} source channels a group, needs 1"
    if roles.rows > MOST_ROWS:
        return f"{roles.rows} result channels a group, pays up to {MOST_ROWS}"
    return ""


def refusal(p: ConvProblem, roles: Roles, *directions: Direction) -> str:
    """Why kernels of these directions that walk planes do not apply; empty if they do."""
    reason = channels_refusal(p, roles, *directions)
    if reason:
        return reason
    plane = plane_of(roles)
    if plane is None:
        return "several phases, needs one"
    if plane.step > MOST_STEP:
        return f"rows {plane.step} dilations apart, pays up to {MOST_STEP}"
    return ""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a plane's grid and its staged copy."""

    rows: int
    columns: int
    phase_pitch: int
    """Elements of a staged row, or of one phase of it where the lane axis has a stride."""
    staged: int
    """Elements of the staged copy."""


def measure_box(roles: Roles, plane: Plane, rows: int, columns: int, lanes: int, staged_rows: int = 0) -> Box:
    """The staged copy of a box, which has as many rows as the box reads (or `staged_rows`)."""
    row_axis, lane_axis = roles.axes[-2:]
    span = (columns - 1) * lane_axis.src_step + plane.taps[-1].reach + 1
    phase_pitch = round_up(-(-span // lane_axis.src_step), lanes)
    staged_rows = staged_rows or (rows - 1) * row_axis.src_step + plane.taps[-2].reach + 1
    return Box(rows, columns, phase_pitch, staged_rows * phase_pitch * lane_axis.src_step)


def column_offsets(roles: Roles, plane: Plane, box: Box) -> npt.NDArray[np.int64]:
    """Where each tap of the lane axis lies in a staged row, from the first grid column's place."""
    split, taps = roles.axes[-1].src_step, plane.taps[-1]
    at = np.arange(taps.taps, dtype=np.int64) * taps.dilation
    return at % split * box.phase_pitch + at // split


def tap_weights(roles: Roles, plane: Plane) -> npt.NDArray[np.int64]:
    """Where the weights of a plane's taps lie, row by row."""
    by_tap = np.indices([taps.taps for taps in plane.taps[-2:]]).reshape(2, -1).astype(np.int64)
    return np.array(roles.w_strides[-2:], np.int64) @ by_tap


def plane_values(p: ConvProblem, roles: Roles, plane: Plane, box: Box) -> dict[str, int]:
    """The slots that every depthwise argument block has, but for addresses, groups' blocks and chunks of taps."""
    row_axis, lane_axis = roles.axes[-2:]
    by_row, by_lane = plane.taps[-2:]
    common = common_values(p, roles, 0)
    names = ("src_batch", "src_group", "dst_batch", "dst_group", "dst_channel", "w_group", "w_row", "rows", "groups")
    outer: Ints = roles.grid[:-2]
    return {
        **{name: common[name] for name in names},
        "row_block": box.rows,
        "row_blocks": -(-row_axis.positions // box.rows),
        "column_block": box.columns,
        "column_blocks": -(-lane_axis.positions // box.columns),
        "positions": math.prod(outer),
        "grid_rows": row_axis.positions,
        "row_extent": roles.src_spatial[-2],
        "src_row": roles.src_strides[-2],
        "row_step": row_axis.src_step,
        "row_dilation": by_row.dilation,
        "row_apart": plane.apart,
        "row_low": by_row.low,
        "dst_row": roles.dst_strides[-2] * row_axis.dst_step,
        "row_taps": by_row.taps,
        "grid_columns": lane_axis.positions,
        "extent": roles.src_spatial[-1],
        "src_lane": roles.src_strides[-1],
        "split": lane_axis.src_step,
        "low": by_lane.low,
        "lane_taps": by_lane.taps,
        "outer_axes": len(outer),
        "outer_taps": plane.outer_taps,
        "pitch": box.phase_pitch * lane_axis.src_step,
        "phase_pitch": box.phase_pitch,
        "plane": box.staged,
    }
