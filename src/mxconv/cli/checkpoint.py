"""Checkpoints as the commands take them, PREFIX and EPOCH: what is there, what it needs, and what fits it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError, MXNetError, ParamError, ShapeError
from ..model import load_params
from ..ndarray import NDArray
from ..ops.refusal import refusal
from ..ops.registry import Shape
from ..symbol import Symbol, load
from ..symbol.graph import Node, split_variables, topological
from ..symbol.infer import infer_shapes

SIZES = (
    8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 100, 112, 128, 144, 160, 192, 200, 224, 227, 231, 240, 256,
    288, 299, 300, 320, 331, 352, 384, 400, 416, 448, 480, 500, 512, 600, 608, 640, 768, 800, 1024,
)  # fmt: skip
"""Image sizes that networks are often made for: tried in this order when one does not fit."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network with its parameters and auxiliary states, by name."""

    name: str
    symbol: Symbol
    args: dict[str, NDArray]
    aux: dict[str, NDArray]


def load_symbol(prefix: str) -> Symbol:
    """The network of PREFIX-symbol.json.

    Raises: FormatError, if there is none (naming those in that folder) or it is damaged.
    """
    path = Path(f"{prefix}-symbol.json")
    if not path.is_file():
        there = sorted(found.name.removesuffix("-symbol.json") for found in path.parent.glob("*-symbol.json"))
        why = f"that folder has {some(there)}" if there else "that folder has no file *-symbol.json"
        fix = "PREFIX is what comes before -symbol.json."
        raise refusal(FormatError, f"PREFIX {prefix}", "no network", f"the file {path}", why, fix=fix, verb="names")
    return load(str(path))


def load_checkpoint(prefix: str, epoch: int) -> Checkpoint:
    """The network and the parameters of that epoch.

    Raises: FormatError, if a file is missing or damaged; ParamError, if the epoch is missing, naming those there are.
    """
    symbol = load_symbol(prefix)
    path = Path(f"{prefix}-{epoch:04d}.params")
    if not path.is_file():
        pattern = re.compile(re.escape(Path(prefix).name) + r"-(\d{4,})\.params")
        matches = map(pattern.fullmatch, (found.name for found in path.parent.iterdir()))
        there = sorted(int(match[1]) for match in matches if match)
        expected, why = (
            (f"one of {some(there)}" if len(there) > 1 else some(there)) or "one that was saved",
            f"there is no file {path}",
        )
        raise refusal(ParamError, "EPOCH", epoch, expected, why, fix="Name an epoch whose file is there.")
    args, aux = load_params(prefix, epoch)
    return Checkpoint(f"{Path(prefix).name}-{epoch:04d}", symbol, args, aux)


def some(things: Iterable[object]) -> str:
    """The first few, separated by commas.

    >>> some(range(12))
    '0, 1, 2, 3, 4, 5, 6, 7, ...'
    """
    texts = [str(thing) for thing in things]
    return ", ".join(texts[:8]) + (", ..." if len(texts) > 8 else "")


def variables(symbol: Symbol, params: Collection[str]) -> tuple[list[Node], list[Node], list[Node]]:
    """The arguments that are no parameters, as inputs and as labels, and the auxiliary states.

    A label is what is called so, or what only losses use, in the place of their label.
    """
    order = topological(symbol.entries)
    arguments, states = split_variables(order)
    uses: dict[Node, set[str]] = {}
    for node in order:
        for name, entry in zip(node.input_names(), node.inputs, strict=False):
            uses.setdefault(entry.node, set()).add(name)
    free = [node for node in arguments if node.name not in params]
    labels = [node for node in free if node.name.endswith("label") or uses.get(node) == {"label"}]
    return [node for node in free if node not in labels], labels, states


def fitting_shape(
    symbol: Symbol, known: Mapping[Node, Shape], node: Node, got: Sequence[int], channel_axis: int
) -> tuple[int, ...] | None:
    """A shape of images that fits where `got` does not: with as many channels, or 3 or 1, and of that or a usual size.

    It is found by trying, since a parameter may follow from many sizes (or from none, through pooling).
    """
    spatial = [axis for axis in (1, 2, 3) if axis != channel_axis]
    for channels in dict.fromkeys((got[channel_axis], 3, 1)):
        for height, width in ((got[spatial[0]], got[spatial[1]]), *zip(SIZES, SIZES, strict=True)):
            trial = [got[0], channels, channels, channels]
            trial[spatial[0]], trial[spatial[1]] = height, width
            try:
                infer_shapes(symbol.entries, {**known, node: tuple(trial)})
            except (ShapeError, ParamError):
                continue
            return tuple(trial)
    return None


def misfit(
    option: str, symbol: Symbol, shapes: Mapping[Node, tuple[int, ...]], node: Node, channel_axis: int,
    error: MXNetError,
) -> MXNetError:  # fmt: skip
    """The error to raise when the shape of the variable `node` may be to blame for `error`: it says what would fit."""
    got = shapes[node]
    fits = fitting_shape(symbol, shapes, node, got, channel_axis) if len(got) == 4 else None
    if fits is None or fits == got:
        return error
    hints = []
    if fits[channel_axis] != got[channel_axis]:
        hints.append("--colour grey" if fits[channel_axis] == 1 else "--colour rgb")
    height, width = (axis for axis in (1, 2, 3) if axis != channel_axis)
    if (fits[height], fits[width]) != (got[height], got[width]):
        hints.append(f"--resize {fits[height]},{fits[width]}")
    why, fix = f"{error.op}: {error.message}", f"Try {' '.join(hints)}."
    return refusal(ShapeError, option, got, f"for example {fits}", why, fix=fix, verb="has shape")
