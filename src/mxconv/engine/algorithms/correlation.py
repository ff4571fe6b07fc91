"""A problem as a correlation: which array is read, which is written, and the tables that kernels walk.

forward        source x, destination y, rows = output channels, reduction over input channels
backward_data  source y, destination x, rows = input channels, reduction over output channels, stride phases
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ... import geometry
from ...jit.compiler import CompiledModule
from ...jit.kernels import staging
from ...jit.kernels.blocks import Layout
from ...jit.kernels.correlation import AXIS, AXIS_STATE_NAMES, PHASE_ROW, STATE_NAMES, TAP_ROW
from ...jit.kernels.epilogue import OPERANDS
from ...jit.numbers import Numbers
from ..plan import PANELS, Packing, Step
from ..problem import ConvProblem, Ints
from ..threads import job_at
from ..workspace import Ledger

SLOTS = {"w": "w", **{name: name for name in OPERANDS}, "panels": "panels", "scratch": "scratch"}
"""Which slot of an argument block receives which address, besides src and dst."""


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """A problem as the kernel sees it: which array is read, which is written, and which weight axis is which.

    Every algorithm asks for them, one after the other, so that they are made once, and caches know them by identity.
    """

    src: str
    dst: str
    rows: int
    channels: int
    w_row: int
    w_channel: int
    w_group: int
    src_spatial: Ints
    axes: tuple[geometry.AxisPlan, ...]
    src_strides: Ints
    """Elements from one source coordinate to the next, by spatial axis; likewise for dst and the weight's taps."""
    dst_strides: Ints
    w_strides: Ints
    grid: Ints = field(init=False)
    """Grid positions of the largest phase, by axis."""
    pixels: int = field(init=False)
    """The same of all axes together."""
    phases: int = field(init=False)
    all_taps: int = field(init=False)
    """Taps of all phases; each belongs to one."""
    most_taps: int = field(init=False)
    """Taps of the phase that has the most."""

    def __post_init__(self) -> None:
        set_once = object.__setattr__
        taps = [[len(phase.taps.indices) for phase in axis.phases] for axis in self.axes]
        set_once(self, "grid", tuple([axis.positions for axis in self.axes]))
        set_once(self, "pixels", math.prod(self.grid))
        set_once(self, "phases", math.prod(map(len, taps)))
        set_once(self, "all_taps", math.prod(map(sum, taps)))
        set_once(self, "most_taps", math.prod([max(own, default=0) for own in taps]))


@functools.lru_cache(maxsize=64)
def roles_of(p: ConvProblem) -> Roles:
    """The correlation that a problem is; a weight gradient has all taps, others those that meet the source at all."""
    own_in, own_out = p.in_channels // p.groups, p.out_channels // p.groups
    by_out, by_in = p.w_strides[:2]
    forward = p.direction != "backward_data"
    axes = tuple(
        geometry.forward_axis(p.out_spatial[a], *p.axis(a)[:4])
        if forward
        else geometry.backward_data_axis(p.in_spatial[a], *p.axis(a)[:4])
        for a in range(p.rank)
    )
    src, dst = ("x", "y") if forward else ("y", "x")
    src_spatial = p.in_spatial if forward else p.out_spatial
    if p.direction != "backward_weight":
        axes = tuple(map(geometry.meeting, axes, src_spatial))
    return Roles(
        src=src,
        dst=dst,
        rows=own_out if forward else own_in,
        channels=own_in if forward else own_out,
        w_row=by_out if forward else by_in,
        w_channel=by_in if forward else by_out,
        w_group=own_out * by_out,
        src_spatial=src_spatial,
        axes=axes,
        src_strides=p.strides_of(src)[2:],
        dst_strides=p.strides_of(dst)[2:],
        w_strides=p.w_strides[2:],
    )


@functools.lru_cache(maxsize=64)
def merged(roles: Roles) -> Roles:
    """The same correlation with neighbouring axes made one where each position only sees itself and rows follow each
    other without a gap, in the source and in the destination: the pixels of a 1x1 convolution are one long row."""
    axes = list(range(len(roles.axes)))
    extents = list(roles.src_spatial)
    plans = list(roles.axes)
    for a in reversed(range(len(axes) - 1)):
        inner = axes[a + 1]
        if (
            is_pointwise(plans[a], extents[a])
            and is_pointwise(plans[a + 1], extents[a + 1])
            and roles.src_strides[a] == roles.src_strides[inner] * extents[a + 1]
            and roles.dst_strides[a] == roles.dst_strides[inner] * extents[a + 1]
        ):
            extents[a : a + 2] = [extents[a] * extents[a + 1]]
            plans[a : a + 2] = [geometry.forward_axis(extents[a], 1, 1, 1, 0)]
            del axes[a]
    return replace(
        roles,
        src_spatial=tuple(extents),
        axes=tuple(plans),
        src_strides=tuple(roles.src_strides[a] for a in axes),
        dst_strides=tuple(roles.dst_strides[a] for a in axes),
        w_strides=tuple(roles.w_strides[a] for a in axes),
    )


def is_pointwise(axis: geometry.AxisPlan, extent: int) -> bool:
    """Whether each of an axis's positions, as many as the source has, only sees itself."""
    return axis == geometry.forward_axis(extent, 1, 1, 1, 0)


@functools.lru_cache(maxsize=64)
def with_row_axis(roles: Roles) -> Roles:
    """The same correlation with at least two axes: a 1-D one gets a row axis of extent 1."""
    if len(roles.axes) > 1:
        return roles
    unit = geometry.forward_axis(1, 1, 1, 1, 0)
    return replace(
        roles,
        src_spatial=(1, *roles.src_spatial),
        axes=(unit, *roles.axes),
        src_strides=(0, *roles.src_strides),
        dst_strides=(0, *roles.dst_strides),
        w_strides=(0, *roles.w_strides),
    )


def make_tables(
    roles: Roles,
    blocks: Sequence[int] | None = None,
    splits: Sequence[int] | None = None,
    joined: Sequence[int] = (),
) -> npt.NDArray[np.int64]:
    """The axis, phase and tap tables in one array; offsets count its elements.

    `blocks` is how many grid positions a box has on each axis and `splits` in how many phases its staged copy lies,
    for algorithms that walk boxes of the grid; on the `joined` axes one staged copy serves all phases.
    """
    head = len(AXIS) * len(roles.axes)
    rows: list[int] = []
    lists: list[int] = []
    for a, axis in enumerate(roles.axes):
        phase_at = head + len(lists)
        first = 0
        for phase in axis.phases:
            lists += (phase.origin, phase.count, first, len(phase.taps), *offsets_of(axis, phase, a in joined))
            first += len(phase.taps)
        tap_at = head + len(lists)
        for phase in axis.phases:
            lists += itertools.chain.from_iterable(phase.taps)
        assert head + len(lists) == tap_at + TAP_ROW * first
        assert tap_at == phase_at + PHASE_ROW * len(axis.phases)
        block = blocks[a] if blocks else 1
        row = {
            "extent": roles.src_spatial[a],
            "src_stride": roles.src_strides[a],
            "src_step": axis.src_step,
            "dst_stride": roles.dst_strides[a],
            "dst_step": axis.dst_step,
            "w_stride": roles.w_strides[a],
            "phases": len(axis.phases),
            "taps": first,
            "phase_at": phase_at,
            "tap_at": tap_at,
            "block": block,
            "blocks": -(-axis.positions // block),
            "split": splits[a] if splits else 1,
        }
        rows += (row[name] for name in AXIS.names)
    # A box of a phase without taps looks at the tap row that would be its first: there is one after the last phase too.
    return np.array(rows + lists, np.int64)


@dataclass(frozen=True, slots=True)
class Box:
    """What the staged copy of a box takes, at most over all phases."""

    staged: int
    """Elements of one channel."""
    rows: int
    """Staged rows: all source positions of the leading axes."""
    pitch: int
    """Elements from one row to the next."""


def offsets_of(axis: geometry.AxisPlan, phase: geometry.Phase, joined: bool) -> tuple[int, int]:
    """The least and the greatest offset of a phase's taps (of all phases' if joined); 0, 0 without taps."""
    offsets = [p.taps.offsets for p in (axis.phases if joined else (phase,)) if p.taps.offsets]
    if not offsets:
        return 0, 0
    return min([rising[0] for rising in offsets]), max([rising[-1] for rising in offsets])


def reach(axis: geometry.AxisPlan, joined: bool = False) -> int:
    """How far the last tap of a phase lies from its first, at most (of all phases together if joined)."""
    pairs = (offsets_of(axis, phase, joined) for phase in axis.phases[: 1 if joined else None])
    return max((high - low for low, high in pairs), default=0)


def shared_zeros(extent: int, low: int, high: int, length: int, step: int) -> int:
    """How many zeros the end of a staged row can share with the beginning of the next one.

    The row has `length` grid positions from 0 on, and taps from offset `low` to `high`; see jit/kernels/staging.py.
    """
    after = low + (length - 1) * step + (high - low) + 1 - extent
    return max(0, min(-low, after, high - low))


@functools.lru_cache(maxsize=64)
def halo(roles: Roles, joined: bool = False) -> int:
    """Elements by which a staged row of the lane axis is longer than its grid positions, at most over all phases."""
    axis, extent = roles.axes[-1], roles.src_spatial[-1]
    halos = [0]
    for phase in axis.phases:
        low, high = offsets_of(axis, phase, joined)
        zeros = shared_zeros(extent, low, high, phase.count, axis.src_step) if axis.src_step == 1 else 0
        halos.append(high - low - zeros)
    return max(halos)


@functools.lru_cache(maxsize=64)
def _reaches(roles: Roles, joined: tuple[int, ...]) -> tuple[Ints, tuple[tuple[int, int], ...]]:
    """What `reach` says of each axis, and `offsets_of` of each phase of the last one."""
    axis, last = roles.axes[-1], len(roles.axes) - 1
    ends = tuple(offsets_of(axis, phase, last in joined) for phase in axis.phases)
    return tuple(reach(axis, a in joined) for a, axis in enumerate(roles.axes)), ends


def measure_box(
    roles: Roles, block: Sequence[int], splits: Sequence[int], lanes: int, joined: tuple[int, ...] = ()
) -> Box:
    """The staged copy of a box with so many grid positions on each axis (see jit/kernels/staging.py)."""
    reaches, ends = _reaches(roles, joined)
    spans = [(n - 1) * axis.src_step + far + 1 for axis, n, far in zip(roles.axes, block, reaches, strict=True)]
    grids = [-(-span // split) for span, split in zip(spans, splits, strict=True)]
    axis = roles.axes[-1]
    pitch, most_shared = 0, 0
    for phase, (low, high) in zip(axis.phases, ends, strict=True):
        length, shared = min(block[-1], phase.count), 0
        if splits[-1] == 1 and block[-1] >= phase.count > 0:
            shared = shared_zeros(roles.src_spatial[-1], low, high, length, axis.src_step)
        pitch = max(pitch, -(-((length - 1) * axis.src_step + high - low + 1) // splits[-1]) - shared)
        most_shared = max(most_shared, shared)
    rows = math.prod(grids[:-1])
    return Box((rows * pitch + lanes + most_shared) * math.prod(splits), math.prod(spans[:-1]), pitch)


def staged_state(rank: int) -> int:
    """Bytes of the state at the head of a worker's scratch, where boxes are staged."""
    heads = len(STATE_NAMES) + len(staging.STATE)
    return 8 * (heads + rank * (len(AXIS_STATE_NAMES) + len(staging.AXIS_STATE)))


def halves(most: int, limit: int | None = None) -> list[int]:
    """Block sizes to consider on one axis: the whole (or the limit), and halves of it.

    >>> halves(9), halves(9, 4)
    ([9, 5, 3, 2, 1], [4, 2, 1])
    """
    sizes = [min(most, limit or most)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 2))
    return sizes


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
        "rank": len(roles.axes),
        "rows": roles.rows,
        "channels": roles.channels,
        "groups": p.groups,
        "phases": roles.phases,
        "all_taps": roles.all_taps,
        "row_groups": row_groups,
        "pack_tasks": p.groups * row_groups * roles.phases,
    }


def addresses_of(roles: Roles, layout: Layout) -> dict[str, str]:
    """Which slot of an argument block receives which address."""
    return {"src": roles.src, "dst": roles.dst, **{slot: name for slot, name in SLOTS.items() if slot in layout.index}}


def share_groups(p: ConvProblem, others: int, tasks: int, most: int | None = None) -> tuple[int, int]:
    """How many groups a task takes so that there are so many tasks, of all the `others` that a group has, and how many
    such blocks of groups there are."""
    block = max(1, min(most or p.groups, p.groups, p.groups * others // tasks))
    return block, -(-p.groups // block)


def compiled_words(p: ConvProblem) -> tuple[str, ...]:
    """What of the epilogue kernels are specialised on: all but the bias."""
    return tuple(word for word in p.epilogue if word != "bias")


def book_packing(
    ledger: Ledger,
    p: ConvProblem,
    roles: Roles,
    algorithm: str,
    mr: int,
    chain: int,
    module: CompiledModule,
    flagged: bool = False,
) -> Packing:
    """Book the panels of the packed weight, mr rows each, and say what they depend on besides the weight's memory: who
    reads them, how the weight lies there, and its taps in their order; neither batch nor image nor epilogue. If
    `flagged`, a number for each task of packing follows.
    """
    numbers = Numbers.of(p.dtype)
    row_groups = -(-roles.rows // mr)
    elements = p.groups * row_groups * mr * roles.all_taps * roles.channels * numbers.parts
    tasks = p.groups * row_groups * roles.phases
    ledger.book(PANELS, elements * numbers.computed.itemsize + 8 * tasks * flagged)
    taps = [[phase.taps.indices for phase in axis.phases] for axis in roles.axes]
    key = (algorithm, module.target.name, p.direction, p.dtype, p.groups, p.w_shape, p.w_strides, mr, chain, taps)
    step = Step("pack_weight", job_at(module.address("pack_weight")), tasks)
    return Packing(step, ledger.entries[PANELS][1], repr(key))
