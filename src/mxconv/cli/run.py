"""`mxconv run`: a checkpoint on files."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import typer

from .. import ndarray as nd
from ..context import cpu
from ..dtypes import DTYPES
from ..errors import DTypeError, FormatError, ParamError, ShapeError
from ..ndarray import NDArray
from ..ops.refusal import refusal
from ..symbol import Group, Symbol
from ..symbol.executor import Executor
from ..symbol.graph import Entry, Node, split_variables, topological
from ..symbol.infer import infer_shapes, infer_types, is_complete
from .checkpoint import Checkpoint, load_checkpoint, misfit, some, variables
from .console import progress
from .files import check_output, is_picture, read_array
from .prepare import WHITE, Preparation
from .report import Report, describe, read_names

Array = np.ndarray[Any, Any]


def run_checkpoint(
    prefix: str,
    epoch: int,
    *,
    data: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    out: str | None,
    preparation: Preparation,
    span: tuple[float, float] | None,
    dtype: str | None,
    top: int | None,
    names: str | None,
) -> None:
    """Load, prepare, compute, write, and say what each output is.

    Raises: FormatError, ParamError, ShapeError, DTypeError; files are then as they were.
    """
    path = check_output(out or f"{Path(prefix).name}-outputs.npz")
    classes = read_names(names)
    floats = [name for name, known in DTYPES.items() if known.kind == "float"]
    if dtype not in (None, *floats):
        raise refusal(DTypeError, "--dtype", dtype, f"one of {', '.join(floats)}", fix="Choose one of these.")
    with progress() as bar:
        task = bar.add_task("loading", total=None)
        checkpoint = load_checkpoint(prefix, epoch)
        symbol = choose_outputs(checkpoint.symbol, outputs)
        checkpoint = Checkpoint(checkpoint.name, symbol, checkpoint.args, checkpoint.aux)
        if path.suffix.lower() != ".npz" and len(symbol) > 1:
            got, fix = f"for {some(symbol.list_outputs())}", "Name one with --output, or write an .npz file."
            raise refusal(ParamError, f"--out {path}", got, "one output", fix=fix)
        arrays = {
            node: preparation.apply(
                f"--data {text}", read_array("--data", text, alpha=False, white=WHITE), is_picture=is_picture(text)
            )
            for node, text in zip(find_inputs(checkpoint, inputs, len(data)), data, strict=True)
        }
        stored, fed = with_types(checkpoint, arrays, dtype)
        try:
            executor = bind(symbol, stored | fed)
        except (ShapeError, ParamError) as error:
            shapes = {node: array.shape for node, array in (stored | fed).items()}
            axis = 3 if preparation.channels_last else 1
            raise misfit(f"--data {data[0]}", symbol, shapes, next(iter(fed)), axis, error) from error
        steps = sum(node.count_outputs() for node in topological(symbol.entries) if not node.is_variable)
        bar.update(task, total=steps, description="computing")
        executor.set_monitor_callback(lambda name, _: bar.update(task, advance=1, description=name))
        start = perf_counter()
        results = [result.asnumpy() for result in executor.forward(is_train=False)]
        seconds = perf_counter() - start

    given = ", ".join(f"{node.name} {describe(array)}" for node, array in fed.items())
    typer.echo(f"{checkpoint.name}: {given} in {seconds * 1e3:.1f} ms")
    report = Report(preparation, span, any(map(is_picture, data)))
    report.write(path, symbol.list_outputs(), results, top, classes)


def choose_outputs(symbol: Symbol, names: Sequence[str]) -> Symbol:
    """The network that ends at these outputs, of whatever node, with or without `_output`; as it is without any.

    Raises: ParamError, naming those that are spelt alike.
    """
    if not names:
        return symbol
    internals = symbol.get_internals()
    listed = internals.list_outputs()
    chosen = []
    for name in names:
        found = next((one for one in (name, f"{name}_output") if one in listed), None)
        if found is None:
            near = difflib.get_close_matches(name, listed, n=5, cutoff=0.5)
            alike = [one for one in listed if name.lower() in one.lower()] or near or listed[::-1]
            fix = "Name one of these, or another node of the graph."
            raise refusal(ParamError, "--output", repr(name), f"one of {some(alike)}", fix=fix)
        chosen.append(internals[listed.index(found)])
    return Group(chosen)


def find_inputs(checkpoint: Checkpoint, names: Sequence[str], count: int) -> list[Node]:
    """The variables that `count` data go to: those named, or the one that the parameters and labels leave over.

    Raises: ParamError, if there are more or fewer; FormatError, if auxiliary states are missing.
    """
    free, labels, states = variables(checkpoint.symbol, checkpoint.args)
    missing = [node.name for node in states if node.name not in checkpoint.aux]
    if missing:
        fix = "Take the file that was saved with this network."
        raise refusal(FormatError, checkpoint.name, some(missing), "every auxiliary state", fix=fix, verb="lacks")
    arguments = split_variables(topological(checkpoint.symbol.entries))[0]
    known = {node.name: node for node in (*arguments, *free, *labels)}
    for name in names:
        if name not in known or list(names).count(name) > 1:
            got, fix = f"{name!r}, not one argument of its own", "Name each input once."
            raise refusal(ParamError, "--input", got, f"one of {some(node.name for node in free)}", fix=fix)
    chosen = [known[name] for name in names] if names else free
    uncovered = [node.name for node in free if node not in chosen]
    if uncovered or len(chosen) != count or (count > 1 and not names):
        listed = some(node.name for node in free) or "none"
        got = f"{count} file{'s' * (count != 1)}" + (f" for {some(names)}" if names else "")
        expected, why = f"one for each of {listed}", f"{checkpoint.name} has no parameters of these names"
        fix = "Give --data FILE --input NAME for each." if free else "Choose what it is with --input NAME."
        raise refusal(ParamError, "--data", got, expected, why, fix=fix, verb="has")
    return chosen


def with_types(
    checkpoint: Checkpoint, data: Mapping[Node, Array], dtype: str | None
) -> tuple[dict[Node, NDArray], dict[Node, NDArray]]:
    """The parameters and states that the network uses, and data in their own type if that goes with them, otherwise
    in the one that most parameters have; with `dtype` data have that type, and parameters what follows from it.

    Raises: DTypeError, if types do not fit.
    """
    entries = checkpoint.symbol.entries
    arguments, states = split_variables(topological(entries))
    given = [node for node in arguments if node not in data and node.name in checkpoint.args]
    stored = {node: checkpoint.args[node.name] for node in given} | {node: checkpoint.aux[node.name] for node in states}
    if dtype is not None:
        chosen = dict.fromkeys(data, DTYPES[dtype].numpy.type)
        types = infer_types(entries, chosen)
        stored = {node: array.astype(types[Entry(node, 0)] or array.dtype) for node, array in stored.items()}
    else:
        known = {node: array.dtype for node, array in stored.items()}
        chosen = {node: array.dtype.type for node, array in data.items()}
        try:
            infer_types(entries, known | chosen)
        except DTypeError:
            if not known:
                raise
            chosen = dict.fromkeys(data, Counter(known.values()).most_common(1)[0][0])
    return stored, {node: nd.array(array, dtype=chosen[node]) for node, array in data.items()}


def bind(symbol: Symbol, values: dict[Node, NDArray]) -> Executor:
    """The network on these arrays; what is left are labels, which become zeros.

    Raises: ShapeError, DTypeError, naming the node; ParamError, for a label whose shape nothing tells.
    """
    shapes = infer_shapes(symbol.entries, {node: array.shape for node, array in values.items()})
    types = infer_types(symbol.entries, {node: array.dtype for node, array in values.items()})
    for node in split_variables(topological(symbol.entries))[0]:
        if node not in values:
            shape = shapes[Entry(node, 0)]
            if not is_complete(shape):
                fix = f"Give --data FILE --input {node.name} as well."
                raise refusal(ParamError, node.name, "of an unknown shape", "one that follows from data", fix=fix)
            values = values | {node: nd.zeros(shape, dtype=types[Entry(node, 0)] or np.float32)}
    named = {node.name: array for node, array in values.items()}
    executor: Executor = symbol.bind(cpu(), named, grad_req="null", aux_states=named)
    return executor
