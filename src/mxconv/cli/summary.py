"""`mxconv summary`: the layers of a saved network, what they cost, and what each output sees of the input."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import typer
from rich.filesize import decimal

from ..errors import FormatError, ParamError, ShapeError
from ..ndarray import NDArray
from ..ops.inference import read_shape
from ..ops.refusal import refusal, spell_shape
from ..ops.registry import Shape
from ..symbol import Symbol, load
from ..symbol.costs import multiply_adds, parameters
from ..symbol.graph import Entry, Node, topological
from ..symbol.infer import Facts, infer_shapes, infer_types, is_complete
from ..symbol.receptive_field import Field, receptive_fields
from .attributes import parse_shape
from .checkpoint import load_checkpoint, load_symbol, some, variables
from .console import console, table

SUFFIX = "-symbol.json"


@dataclass(frozen=True, slots=True)
class Layer:
    """One row: an operator, or an input."""

    name: str
    operator: str
    shapes: list[tuple[int, ...]]
    """Of the outputs."""
    parameters: int
    multiply_adds: int
    bytes: int
    """Of the outputs."""
    field: list[int | str] | None
    """Samples of the input that one output sees, on each spatial axis, or "all"; None: there is no such number."""
    jump: list[float] | None
    """Samples of the input between two neighbours."""


@dataclass(frozen=True, slots=True)
class Total:
    """The whole network; what layers share counts once."""

    layers: int
    parameters: int
    parameter_bytes: int
    states: int
    multiply_adds: int
    bytes: int


def run_summary(prefix: str, *, data: Sequence[str], epoch: int | None, as_json: bool, as_csv: bool) -> None:
    """Print the table.

    Raises: FormatError or ParamError, if there is no such network; ParamError or ShapeError, if --data do not fit it.
    """
    if as_json and as_csv:
        raise refusal(ParamError, "--csv", "given with --json", "one of the two", fix="Leave one out.")
    symbol, stored = read_network(prefix, epoch)
    given = match_data(symbol, stored, data)
    nodes = topological(symbol.entries)
    at_hand = {node: stored[node.name].shape for node in nodes if node.is_variable and node.name in stored}
    shapes = infer_shapes(symbol.entries, at_hand | given)
    inputs = find_inputs(symbol, stored)
    _check_complete(inputs, shapes)
    origin = next(iter([*given, *inputs]), None)
    layers, total = describe(symbol, shapes, stored, {*given, *inputs}, origin)
    if as_json:
        text = json.dumps({"layers": [asdict(layer) for layer in layers], "total": asdict(total)}, indent=1)
        typer.echo(text)
    elif as_csv:
        typer.echo(_csv(layers), nl=False)
    else:
        _print(layers, total, "" if origin is None else origin.name)


def read_network(prefix: str, epoch: int | None) -> tuple[Symbol, dict[str, NDArray]]:
    """The network of a prefix or a .json file, and the arrays of that epoch by name; none without one.

    Raises: FormatError, ParamError.
    """
    if epoch is not None:
        checkpoint = load_checkpoint(prefix.removesuffix(SUFFIX), epoch)
        return checkpoint.symbol, checkpoint.args | checkpoint.aux
    if prefix.endswith(".json") and not prefix.endswith(SUFFIX):
        if not Path(prefix).is_file():
            fix = "Check the name."
            raise refusal(FormatError, f"PREFIX {prefix}", "no file", "a symbol's .json file", fix=fix)
        return load(prefix), {}
    return load_symbol(prefix.removesuffix(SUFFIX)), {}


def find_inputs(symbol: Symbol, stored: Collection[str]) -> list[Node]:
    """The variables that are fed: neither parameters nor labels."""
    learnt = {entry.node.name for node in topological(symbol.entries) for entry in parameters(node)}
    return variables(symbol, {*stored, *learnt})[0]


def match_data(symbol: Symbol, stored: Mapping[str, NDArray], texts: Sequence[str]) -> dict[Node, Shape]:
    """The shapes that --data gives, by variable, 0 being unknown; one without a name is that of `data`, or of the only
    input.

    Raises: ParamError.
    """
    inputs = [node.name for node in find_inputs(symbol, stored)]
    by_name = {node.name: node for node in topological(symbol.entries) if node.is_variable}
    given: dict[Node, Shape] = {}
    for text in texts:
        name, equals, shape = (part.strip() for part in text.rpartition("="))
        fix = "For example: " + " ".join(f"--data {one}=1,3,224,224" for one in inputs[:2] or ["NAME"])
        if not equals:
            name = "data" if "data" in inputs else inputs[0] if len(inputs) == 1 else ""
            if not name:
                expected = f"NAME=SHAPE for each of {some(inputs)}" if inputs else "none: the network has no input"
                raise refusal(ParamError, "--data", repr(text), expected, fix=fix)
        if name not in by_name:
            expected = f"one of {some(inputs or by_name)}"
            raise refusal(ParamError, "--data", f"for {name!r}", expected, "there is no such variable", fix=fix)
        if by_name[name] in given:
            raise refusal(ParamError, "--data", f"given twice for {name!r}", "one shape", fix="Leave one out.")
        given[by_name[name]] = read_shape("summary", name, parse_shape("--data", shape))
    return given


def _check_complete(inputs: Sequence[Node], shapes: Facts[Shape]) -> None:
    unknown = [entry for entry, shape in shapes.items() if not is_complete(shape)]
    if unknown:
        named = [entry for entry in unknown if entry.node in inputs] or unknown
        spelled = (f"{e.node.name} {'?' if (shape := shapes[e]) is None else spell_shape(shape)}" for e in named)
        got, fix = f"not enough: unknown is {some(spelled)}", f"Add --data {named[0].node.name}=SHAPE."
        raise refusal(ShapeError, "--data", got, "the shapes of all inputs", fix=fix, op="summary")


def describe(
    symbol: Symbol, shapes: Facts[Shape], stored: Mapping[str, NDArray], inputs: Collection[Node], origin: Node | None
) -> tuple[list[Layer], Total]:
    """Every row, and the sums."""
    order = topological(symbol.entries)
    at_hand = {node: stored[node.name].dtype for node in order if node.is_variable and node.name in stored}
    types = infer_types(symbol.entries, at_hand)
    fields = {} if origin is None else receptive_fields(symbol.entries, shapes, origin)

    def size(entry: Entry) -> int:
        return math.prod(n or 0 for n in shapes[entry] or ())

    def size_in_bytes(entry: Entry) -> int:
        return size(entry) * np.dtype(types[entry] or np.float32).itemsize

    layers: list[Layer] = []
    learnt: dict[Entry, None] = {}
    for node in order:
        if node.is_variable and node not in inputs:
            continue
        outputs = node.entries()
        states = node.aux_inputs()
        own = {e: None for e in node.inputs if e.node.is_variable and e.node.name in stored and e not in states}
        own |= dict.fromkeys(parameters(node))
        learnt |= own
        field = fields.get(outputs[0])
        layers.append(
            Layer(
                name=node.name,
                operator="input" if node.op is None else node.op.name,
                shapes=[tuple(n or 0 for n in shapes[entry] or ()) for entry in outputs],
                parameters=sum(map(size, own)),
                multiply_adds=multiply_adds(node, shapes),
                bytes=sum(map(size_in_bytes, outputs)),
                field=_sizes(field),
                jump=None if field is None else [_number(reach.jump) for reach in field],
            )
        )
    total = Total(
        layers=sum(layer.operator != "input" for layer in layers),
        parameters=sum(map(size, learnt)),
        parameter_bytes=sum(map(size_in_bytes, learnt)),
        states=sum(size(entry) for entry in {e for node in order for e in node.aux_inputs()}),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        bytes=sum(layer.bytes for layer in layers),
    )
    return layers, total


def _sizes(field: Field | None) -> list[int | str] | None:
    return None if field is None else ["all" if math.isinf(reach.size) else int(reach.size) for reach in field]


def _number(jump: Fraction) -> float:
    return int(jump) if jump.denominator == 1 else float(jump)


# ---- what is shown


def _print(layers: Sequence[Layer], total: Total, origin: str) -> None:
    rows = table("layer", "operator", "output", "parameters", "multiply-adds", "memory", "sees", "jump")
    for column in rows.columns[3:6]:
        column.justify = "right"
    for layer in layers:
        numbers = (f"{count:,}" if count else "" for count in (layer.parameters, layer.multiply_adds))
        memory = decimal(layer.bytes)
        rows.add_row(layer.name, layer.operator, _outputs(layer.shapes), *numbers, memory, *_view(layer))
    screen = console()
    screen.print(rows)
    once = sum(layer.parameters for layer in layers) != total.parameters
    screen.print(
        f"{total.layers} layers, {total.parameters:,} parameters ({decimal(total.parameter_bytes)}"
        f"{', shared ones counted once' if once else ''}), {total.states:,} numbers in auxiliary states, "
        f"{total.multiply_adds:,} multiply-adds, {decimal(total.bytes)} of inputs and outputs."
    )
    screen.print(
        f"sees: the samples of {origin or 'the input'} that one output depends on, first to last; jump: those between "
        "two neighbours. Multiply-adds: of convolutions and products of matrices, taps on padding too."
    )


def _outputs(shapes: Sequence[Sequence[int]]) -> str:
    texts = ["x".join(map(str, shape)) for shape in shapes]
    alike = len(texts) > 1 and len(set(texts)) == 1
    return f"{len(texts)} of {texts[0]}" if alike else ", ".join(texts)


def _view(layer: Layer) -> tuple[str, str]:
    if layer.field is None or layer.jump is None:
        return "", ""
    if set(layer.field) == {"all"}:
        return "all", ""
    return "x".join(map(str, layer.field)), "x".join(
        str(Fraction(jump).limit_denominator(10**6)) for jump in layer.jump
    )


def _csv(layers: Sequence[Layer]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["layer", "operator", "output", "parameters", "multiply_adds", "bytes", "sees", "jump"])
    for layer in layers:
        numbers = layer.parameters, layer.multiply_adds, layer.bytes
        writer.writerow([layer.name, layer.operator, _outputs(layer.shapes), *numbers, *_view(layer)])
    return out.getvalue()
