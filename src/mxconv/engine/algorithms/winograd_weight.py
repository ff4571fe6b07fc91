"""winograd_weight: the weight gradient by F(taps, m) (jit/kernels/winograd_weight.py), a row for each m.

Applies to stride 1, real floats, and kernels of 2 to 7 taps on one or both of the last two axes; leading axes are
plain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ... import config
from ...jit.kernels.gemm import Tile
from ...jit.kernels.winograd_weight import emit_winograd_weight
from ...jit.kernels.winograd_weight_tiles import ARGS, STATE, Spec
from ...jit.numbers import Numbers
from ...jit.target import Target
from ...jit.winograd import POINTS
from ..machine import Machine
from ..plan import Plan, Step
from ..problem import ConvProblem
from ..threads import job_at
from ..workspace import Ledger, address_of, round_up
from .base import ACCEPTED, Verdict, kernels
from .costs import traffic_seconds, vector_seconds
from .winograd import gain_of

MOST_TAPS = 7
LEAST_CHANNELS = 4
"""Channels of x and of dy in a group, below which most of what is multiplied would be filling."""
PANEL_BYTES = 600 << 10
"""What the panels of a chunk may take that a thread has for itself: part of an L2 cache."""
SHARED_PANEL_BYTES = 6 << 20
"""The same for panels that all threads share."""
PRIVATE_SUMS_BYTES = 1 << 20
"""Sums up to this size are made in slices, each by one thread."""
MOST_PANELS_TO_SUMS = 1.25
"""Panels of all chunks, relative to the sums, up to which they are made before any is multiplied."""
PART_BYTES = 640 << 10
"""What the sums of a part of the channels may take then."""
CHAIN = (16, 96)
"""Fewest and most tiles in a chunk, unless the image has fewer or a group of them more."""
LEAST_TASKS, TASK_PRODUCTS = 32, 2_000_000
"""Tasks to make of a shared chunk's products where there are fewer points, and about the most products of one."""
SLICES = 8
SLICE_TILES = 400
"""Least tiles in a slice, from the third on: its sums are written, and read again to be added, once each."""
TRANSFORM, REREAD, TWICE = 9.5, 3.7, 2.0
"""Estimate: transforming a vector of a tile, as multiply-adds a point; reading panels for a part of the channels, and x
and dy, relative to copying them."""
ROUNDING = 1.15e-6
"""Largest error of N(0, 1) data, relative to the result's standard deviation, for tiles that amplify nothing (measured,
sums of 100 to 10,000 products, all tiles)."""
MOST_PANEL_BYTES = 64 << 20
"""What the panels of the smallest chunk may take: far dilations are left to the plain algorithms."""


def _evenly(count: int, most: int) -> int:
    """The size of the largest of equal parts, none larger than `most`.

    >>> _evenly(14, 4), _evenly(3, 8)
    (4, 3)
    """
    return -(-count // -(-count // max(1, most))) if count else 1


Way = Literal["slices", "parts", "shared"]
"""How the work is shared out; see jit/kernels/winograd_weight.py, where they come in this order."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis with its element strides."""

    extent: int
    out: int
    taps: int
    dilation: int
    pad: int
    x: int
    y: int
    w: int

    def groups(self, m: int) -> int:
        """Groups of `dilation` tiles of m positions."""
        return -(-self.out // (self.dilation * m))


UNIT = Axis(1, 1, 1, 1, 0, 0, 0, 0)


def _axes(p: ConvProblem) -> list[Axis]:
    """The problem's axes, at least three."""
    own = [
        Axis(
            p.in_spatial[a],
            p.out_spatial[a],
            p.kernel[a],
            p.dilation[a] if p.kernel[a] > 1 else 1,
            p.pad_lo[a],
            *(p.strides_of(name)[2 + a] for name in "xyw"),
        )
        for a in range(p.rank)
    ]
    return [UNIT] * (3 - len(own)) + own


def _tile_for(target: Target, lanes: int, channels: int) -> Tile:
    """Accumulators that fill the registers, with rows that divide a vector of channels."""
    mr, nv = (8, 2) if target.registers >= 32 else (4, 3 if target.has_fma else 2)
    mr = min(mr, lanes)
    while mr > 1 and mr // 2 >= channels:
        mr //= 2
    return Tile(mr, nv)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a problem is cut: extents, vectors, chunks and sums, all but addresses."""

    axes: tuple[Axis, ...]
    spec: Spec
    lanes: int
    itemsize: int
    channels: int
    rows: int
    batch: int
    groups: int
    """Groups of channels."""
    tile_groups: tuple[int, int, int]
    """Positions on z, groups of tiles on r and c."""
    chunk: tuple[int, int, int, int]
    """Samples in a chunk, positions on z, groups of tiles on r and c."""
    way: Way
    part: tuple[int, int]
    """Panels of dy and tiles of x channels that are summed at once."""

    @property
    def x_vectors(self) -> int:
        return -(-self.channels // self.lanes)

    @property
    def y_vectors(self) -> int:
        return -(-self.rows // self.lanes)

    @property
    def y_panels(self) -> int:
        return -(-self.y_vectors // self.spec.tile.nv)

    @property
    def channel_tiles(self) -> int:
        return -(-self.channels // self.spec.tile.mr)

    @property
    def other_taps(self) -> int:
        return math.prod(axis.taps for axis in self.axes[:-3])

    @property
    def plain_taps(self) -> int:
        return self.other_taps * self.axes[-3].taps

    @property
    def chunks(self) -> int:
        samples, *sizes = self.chunk
        blocks = [-(-n // size) for n, size in zip(self.tile_groups, sizes, strict=True)]
        return -(-self.batch // samples) * math.prod(blocks) * math.prod(axis.out for axis in self.axes[:-3])

    @property
    def span(self) -> int:
        """Positions of x on z that a chunk reads."""
        z = self.axes[-3]
        return self.chunk[1] + (z.taps - 1) * z.dilation

    @property
    def plane_tiles(self) -> int:
        """Tiles of a chunk in one plane."""
        return math.prod(n * axis.dilation for n, axis in zip(self.chunk[2:], self.axes[-2:], strict=True))

    @property
    def point_sums(self) -> int:
        """Elements, not a multiple of a page so that the points of a tile lie in different sets of the caches."""
        tile = self.spec.tile
        return (math.prod(self.part) * tile.mr * tile.nv + 1) * self.lanes

    @property
    def all_sums(self) -> int:
        """Those of all points and plain taps; of a part they are made one tap after the other."""
        return (1 if self.way == "parts" else self.plain_taps) * self.spec.points * self.point_sums

    @property
    def parts(self) -> tuple[int, int]:
        """How many there are, of dy and of x."""
        return -(-self.y_panels // self.part[0]), -(-self.channel_tiles // self.part[1])

    @property
    def x_pitch(self) -> int:
        """Tiles of a vector of channels; an odd number of them, as above. Likewise for a panel of dy."""
        return self.other_taps * self.chunk[0] * self.span * self.plane_tiles | 1

    @property
    def y_pitch(self) -> int:
        return ((self.chunk[0] - 1) * self.span + self.chunk[1]) * self.plane_tiles | 1

    @property
    def x_point(self) -> int:
        return (self.x_vectors * self.x_pitch + 1) * self.lanes

    @property
    def y_point(self) -> int:
        return (self.y_panels * self.spec.tile.nv * self.y_pitch + 1) * self.lanes

    @property
    def panel_elements(self) -> int:
        return self.spec.points * (self.x_point + self.y_point)

    def slices(self, thrift: int = 0) -> int:
        """Slices that chunks are dealt to; each has some."""
        worth = max(2, self.chunks * self.y_pitch // SLICE_TILES)
        most = max(1, min(SLICES >> thrift, self.chunks, worth))
        return -(-self.chunks // -(-self.chunks // most))

    def staged(self) -> tuple[int, int]:
        """Rows and pitch of the staged plane of a vector of channels."""
        ends = [
            (n * transform.r + transform.m - 1) * axis.dilation
            for n, transform, axis in zip(self.chunk[2:], self.spec.transforms, self.axes[-2:], strict=True)
        ]
        return ends[0], round_up(ends[1], self.lanes) + 1


def cut(p: ConvProblem, target: Target, m: int, thrift: int = 0) -> Shape:
    """Chunks and tiles of a problem."""
    axes = tuple(_axes(p))
    itemsize = Numbers.of(p.dtype).computed.itemsize
    lanes = target.lanes(itemsize)
    channels, rows = p.in_channels // p.groups, p.out_channels // p.groups
    tile = _tile_for(target, lanes, channels)
    taps = (axes[-2].taps, axes[-1].taps)
    spec = Spec(p.dtype, m, taps, tile, is_dilated=axes[-1].dilation > 1)
    own_m = [transform.r for transform in spec.transforms]
    tile_groups = (axes[-3].out, axes[-2].groups(own_m[0]), axes[-1].groups(own_m[1]))
    everything = (-(-rows // (tile.nv * lanes)), -(-channels // tile.mr))
    way: Way = "slices"
    shape = Shape(
        axes, spec, lanes, itemsize, channels, rows, p.batch, p.groups, tile_groups, (1, 1, 1, 1), way, everything
    )
    vectors = shape.x_vectors + shape.y_panels * tile.nv
    per_tile = spec.points * vectors * lanes * itemsize
    sums = p.groups * shape.all_sums * itemsize
    forced = config.get("block_channels")
    if sums > p.groups * PRIVATE_SUMS_BYTES or (forced is not None and rows > forced):
        all_tiles = p.batch * p.groups * math.prod(tile_groups) * axes[-2].dilation * axes[-1].dilation
        panels = all_tiles * math.prod(axis.out for axis in axes[:-3]) * per_tile
        way = "parts" if panels <= MOST_PANELS_TO_SUMS * sums else "shared"
    budget = PANEL_BYTES if way == "slices" else SHARED_PANEL_BYTES
    tiles = min(CHAIN[1], max(CHAIN[0], budget // per_tile)) >> thrift
    tiles = max(1, min(tiles, config.get("block_pixels") or tiles))
    # With taps on z a few positions there are worth more than a larger plane: they share the transforms of x.
    planes = min(tile_groups[0], 4) if axes[-3].taps > 1 else 1
    per_group = axes[-2].dilation * axes[-1].dilation
    columns = _evenly(tile_groups[2], tiles // (planes * per_group))
    whole = columns >= tile_groups[2]
    tile_rows = _evenly(tile_groups[1], tiles // (planes * per_group * columns)) if whole else 1
    whole = whole and tile_rows >= tile_groups[1]
    depth = _evenly(tile_groups[0], max(planes, tiles // (columns * tile_rows * per_group)))
    whole = whole and depth >= tile_groups[0] and all(axis.out == 1 for axis in axes[:-3])
    span = depth + (axes[-3].taps - 1) * axes[-3].dilation
    samples = _evenly(p.batch, tiles // (columns * tile_rows * per_group * span)) if whole else 1
    part = _part(shape, thrift, forced) if way == "parts" else everything
    return replace(shape, chunk=(samples, depth, tile_rows, columns), way=way, part=part)


def _part(shape: Shape, thrift: int, forced: int | None) -> tuple[int, int]:
    """About as many channels of dy as of x, whole vectors of them, whose sums at one tap fit in a cache."""
    tile = shape.spec.tile
    channels = math.isqrt((PART_BYTES >> thrift) // (shape.spec.points * shape.itemsize))
    panels = _evenly(shape.y_panels, min(channels, forced or channels) // (tile.nv * shape.lanes))
    channels = (PART_BYTES >> thrift) // (shape.spec.points * shape.itemsize * panels * tile.nv * shape.lanes)
    vectors = _evenly(shape.x_vectors, min(channels, forced or channels) // shape.lanes)
    return panels, min(shape.channel_tiles, vectors * shape.lanes // tile.mr)


class WinogradWeight:
    """The weight gradient from tiles of m positions. See the module's docstring."""

    is_plain = False

    def __init__(self, m: int) -> None:
        self.m = m
        self.name = f"winograd_weight_{m}"

    def applicable(self, problem: ConvProblem, target: Target) -> Verdict:
        p = problem
        if p.direction != "backward_weight":
            return Verdict(False, f"direction {p.direction}, needs backward_weight")
        if p.storage.kind != "float":
            return Verdict(False, f"dtype {p.dtype}, needs real floats")
        if set(p.stride) != {1}:
            return Verdict(False, f"stride {p.stride}, needs 1")
        near = p.kernel[-2:]
        most = min(MOST_TAPS, max(POINTS) + 2 - self.m)
        if not 1 < max(near) <= most:
            return Verdict(False, f"kernel {p.kernel}, needs 2 to {most} taps on the last axes")
        if min((p.batch, *p.out_spatial)) == 0:
            return Verdict(False, "no products to sum")
        least = min(p.in_channels, p.out_channels) // p.groups
        if least < LEAST_CHANNELS:
            return Verdict(False, f"{least} channels a group, pays from {LEAST_CHANNELS} on")
        shape = cut(p, target, self.m)
        staged = math.prod(shape.staged()) * shape.lanes
        taken = (2 * shape.panel_elements + staged) * shape.itemsize
        if taken > MOST_PANEL_BYTES:
            return Verdict(False, f"the smallest chunk takes {taken} bytes, pays up to {MOST_PANEL_BYTES}")
        return ACCEPTED

    def error(self, problem: ConvProblem) -> float:
        gains = (gain_of(taps, self.m) for taps in problem.kernel[-2:] if taps > 1)
        return ROUNDING * math.prod(gains)

    def estimate(
        self, problem: ConvProblem, target: Target, threads: int, machine: Machine, packs_weight: bool
    ) -> float:
        p, shape = problem, cut(problem, target, self.m)
        stages, points = p.groups * shape.chunks, shape.spec.points
        slices = shape.slices() if shape.way == "slices" else 1
        broadcasts = shape.plain_taps * shape.channel_tiles * shape.spec.tile.mr
        products = stages * shape.y_pitch * points * broadcasts * shape.y_vectors
        transforms = stages * points * (shape.x_vectors * shape.x_pitch + shape.y_vectors * shape.y_pitch)
        work = vector_seconds(products + TRANSFORM * transforms, shape.lanes, machine)
        if shape.way == "parts":
            moved = REREAD * sum(shape.parts) / 2 * stages * shape.panel_elements
        else:
            moved = p.groups * shape.all_sums * (slices if shape.way == "slices" else 2 * shape.chunks + 1)
        work += moved * shape.itemsize / machine.cache_bytes
        own_threads = min(threads, p.groups * slices) if shape.way == "slices" else threads
        return 2 * machine.dispatch + work / own_threads + TWICE * traffic_seconds(p, machine, threads)

    def make_plan(self, problem: ConvProblem, target: Target, threads: int, thrift: int = 0) -> Plan:
        p, shape = problem, cut(problem, target, self.m, thrift)
        spec, size = shape.spec, shape.itemsize
        z, r, c = shape.axes[-3:]
        chunks, tiles = shape.chunks, shape.y_pitch
        transforms, slices, slice_chunks, panel_parts = shape.x_vectors + shape.y_vectors, 1, chunks, 1
        squares = p.groups * shape.plain_taps * shape.y_vectors * shape.x_vectors
        if shape.way == "slices":
            slices = shape.slices(thrift)
            slice_chunks = -(-chunks // slices)
            steps = (("run_slices", p.groups * slices), ("invert", squares))
        elif shape.way == "parts":
            steps = (("transform", p.groups * chunks * transforms), ("finish", p.groups * math.prod(shape.parts)))
        else:
            products = tiles * shape.plain_taps * shape.channels * shape.rows
            panel_parts = min(shape.y_panels, max(1, LEAST_TASKS // spec.points, products // TASK_PRODUCTS))
            steps = (
                ("run_shared", p.groups * chunks * (transforms + spec.points * panel_parts)),
                ("invert", squares),
            )
        chunk_flags = 1 if shape.way == "slices" else transforms
        threads = max(1, min(threads, *(max(1, tasks) for _, tasks in steps)))

        rows, pitch = shape.staged()
        square = shape.lanes**2 * math.prod(spec.taps) * size
        scratch = Ledger()
        scratch.book("state", 8 * len(STATE))
        for name, bytes_ in (
            ("at_staged", rows * pitch * shape.lanes * size),
            ("at_panels", shape.panel_elements * size if shape.way == "slices" else 0),
            ("at_sums", shape.all_sums * size if shape.way == "parts" else 0),
            ("at_block", max(spec.transforms[0].n, 1) * spec.transforms[1].n * shape.lanes * size),
            ("at_square", square),
            ("at_chain", square),
        ):
            scratch.book(name, bytes_)
        ledger = Ledger()
        ledger.book("sums", 0 if shape.way == "parts" else p.groups * slices * shape.all_sums * size)
        ledger.book("flags", 8 * p.groups * chunks * chunk_flags)
        copies = {"slices": 0, "parts": p.groups * chunks, "shared": 2}[shape.way]
        ledger.book("shared", copies * shape.panel_elements * size)
        ledger.book("scratch", scratch.total * threads)

        others = [
            (axis.extent, axis.out, axis.taps, axis.pad, axis.dilation, axis.x, axis.y, axis.w)
            for axis in shape.axes[:-3]
        ]
        tables = np.array(others, np.int64)
        values = {
            "w_group": shape.rows * p.w_strides[0],
            "w_row": p.w_strides[0],
            "w_channel": p.w_strides[1],
            "taps_z": z.taps,
            "others": len(others),
            "tables": address_of(tables),
            "positions": math.prod(axis.out for axis in shape.axes[:-3]),
            "other_taps": shape.other_taps,
            "batch": p.batch,
            "groups": p.groups,
            "rows": shape.rows,
            "channels": shape.channels,
            "x_vectors": shape.x_vectors,
            "y_vectors": shape.y_vectors,
            "y_panels": shape.y_panels,
            "channel_tiles": shape.channel_tiles,
            "samples": shape.chunk[0],
            "chunks": chunks,
            "slices": slices,
            "slice_chunks": slice_chunks,
            "chunk_flags": chunk_flags,
            "run_tasks": steps[0][1],
            "finish_tasks": steps[1][1],
            "panel_parts": panel_parts,
            "part_panels": shape.part[0],
            "part_tiles": shape.part[1],
            "y_parts": shape.parts[0],
            "x_parts": shape.parts[1],
            "x_pitch": shape.x_pitch,
            "y_pitch": shape.y_pitch,
            "x_point": shape.x_point,
            "y_point": shape.y_point,
            "at_y": spec.points * shape.x_point,
            "panels_size": shape.panel_elements,
            "point_sums": shape.point_sums,
            "tap_sums": spec.points * shape.point_sums,
            "all_sums": shape.all_sums,
            "staged_pitch": pitch,
            "scratch_bytes": scratch.total,
            **{name: at for name, (at, _) in scratch.entries.items() if name in ARGS.index},
        }
        for name in "xy":
            strides = p.strides_of(name)
            own = shape.channels if name == "x" else shape.rows
            values |= {f"{name}_batch": strides[0], f"{name}_channel": strides[1], f"{name}_group": strides[1] * own}
        sizes = zip("zrc", (z, r, c), shape.chunk[1:], shape.tile_groups, strict=True)
        for name, axis, chunk, groups in sizes:
            values |= {
                f"x_{name}": axis.x,
                f"y_{name}": axis.y,
                f"w_{name}": axis.w,
                f"in_{name}": axis.extent,
                f"out_{name}": axis.out,
                f"pad_{name}": axis.pad,
                f"dilation_{name}": axis.dilation,
                f"size_{name}": chunk,
                f"groups_{name}": groups,
                f"blocks_{name}": -(-groups // chunk),
            }
        module = kernels(emit_winograd_weight, spec, target)
        return Plan(
            problem=p,
            algorithm=self.name,
            blocks={"pixels": chunks, "channels": shape.y_panels, "reduction": slices, shape.way: 2},
            threads=threads,
            steps=tuple(Step(name, job_at(module.address(name)), tasks) for name, tasks in steps),
            layout=ARGS,
            arguments=ARGS.fill(values),
            addresses={name: name for name in ("x", "y", "w", "sums", "shared", "scratch", "flags")},
            ledger=ledger,
            keep=(tables, module),
        )
