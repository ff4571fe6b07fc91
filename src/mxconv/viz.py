"""`mx.viz`: a graph as a table, and as a picture.

As in MXNet, but for what it counts: parameters are the weights, biases, gammas and betas of a node as far as their
shapes are known, whatever the operator and the spelling of no_bias; an output that several operators share is named by
its own shape.

Source: Apache MXNet 1.9.1, python/mxnet/visualization.py.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import DTypeError, ParamError, ShapeError
from .ops.inference import write_shape
from .ops.refusal import refusal
from .symbol import Symbol
from .symbol.costs import parameters
from .symbol.graph import Entry, Node, topological
from .symbol.infer import Facts, given_shapes, given_types, infer_shapes, infer_types, is_complete

__all__ = ["plot_network", "print_summary"]


def print_summary(
    symbol: Symbol,
    shape: Mapping[str, Sequence[int]] | None = None,
    line_length: int = 120,
    positions: Sequence[float] = (0.44, 0.64, 0.74, 1.0),
) -> None:
    """Print a table of the operators: name, output without its batch axis, parameters, and where its data come from.

    `shape` has the shapes of the inputs by name; without it only those parameters are counted whose shape is known
    anyway. `positions` are the ends of the columns, as parts of `line_length` or, if the last is over 1, in characters;
    longer texts are cut. Of the variables only the first is shown.

    >>> import mxconv as mx
    >>> net = mx.sym.Deconvolution(mx.sym.Variable("x"), kernel=(4, 4), stride=(2, 2), num_filter=8, name="up")
    >>> print_summary(net, {"x": (1, 3, 5, 5)}, line_length=72)
    ________________________________________________________________________
    Layer (type)                   Output Shape   Param #Previous Layer
    ========================================================================
    x(null)                        3x5x5          0
    ________________________________________________________________________
    up(Deconvolution)              8x12x12        384    x
    ========================================================================
    Total params: 384
    ________________________________________________________________________

    Raises: TypeError, if `symbol` is no Symbol; ShapeError (also a ValueError), if shapes stay unknown or do not fit;
    ParamError, if `shape` names no variable.
    """
    facts = _shapes(symbol, "print_summary", shape)
    order = topological(symbol.entries)
    known = infer_shapes(symbol.entries, {}) if facts is None else facts
    ends = [int(line_length * p) for p in positions] if positions[-1] <= 1 else [int(p) for p in positions]
    rule, double = "_" * line_length, "=" * line_length
    lines = [rule, _row(("Layer (type)", "Output Shape", "Param #", "Previous Layer"), ends), double]
    total = 0
    for place, node in enumerate(order):
        if node.is_variable and place > 0:
            continue
        count = sum(math.prod(n or 0 for n in known[e] or (0,)) for e in parameters(node))
        total += count
        sources = [e.node.name for e in node.inputs if not e.node.is_variable or e.node is order[0]]
        name = f"{node.name}({'null' if node.op is None else node.op.name})"
        out = "" if facts is None else _spell(facts[Entry(node, 0)])
        lines.append(_row((name, out, str(count), *(sources[:1] or [""])), ends))
        lines += [_row(("", "", "", source), ends) for source in sources[1:]]
        lines.append(double if place == len(order) - 1 else rule)
    print("\n".join([*lines, f"Total params: {total}", rule]))  # noqa: T201


def plot_network(
    symbol: Symbol,
    title: str = "plot",
    save_format: str = "pdf",
    shape: Mapping[str, Sequence[int]] | None = None,
    dtype: Mapping[str, Any] | None = None,
    node_attrs: Mapping[str, str] | None = None,
    hide_weights: bool = True,
) -> Any:
    """The graph as a `graphviz.Digraph`, which draws itself in a notebook and is written by `.render()`.

    Boxes are coloured by operator; arrows carry the shapes (without the batch axis) and types of arrays, if `shape` or
    `dtype` says those of the inputs by name. `node_attrs` are Graphviz attributes for all nodes. Weights, biases and
    the like are left out, with their arrows unless `hide_weights` is False.

    Raises: ImportError, without the package graphviz; TypeError, ShapeError, DTypeError and ParamError as
    `print_summary`.
    """
    try:
        from graphviz import Digraph
    except ImportError as error:
        raise ImportError(
            "plot_network: Draw network requires graphviz library, which is not installed. "
            "Install it with `pip install graphviz` (drawing takes the program dot of https://graphviz.org as well)."
        ) from error
    shapes = _shapes(symbol, "plot_network", shape)
    types = _types(symbol, "plot_network", dtype)
    order = topological(symbol.entries)
    _warn_of_namesakes(order)
    usual = {"shape": "box", "fixedsize": "true", "width": "1.3", "height": "0.8034", "style": "filled"}
    dot = Digraph(name=title, format=save_format)
    left_out: set[str] = set()
    for node in order:
        if node.is_variable and node.name.endswith(_WEIGHTS):
            left_out.add(node.name)
            continue
        oval = {"shape": "oval"} if node.is_variable else {}
        dot.node(
            name=node.name, label=_label(node), **(usual | dict(node_attrs or {}) | oval | {"fillcolor": _colour(node)})
        )
    for node in order:
        for entry in node.inputs:
            if hide_weights and entry.node.name in left_out:
                continue
            label = "" if shapes is None else _spell(shapes[entry])
            label += "" if types is None else f"({types[entry].__name__})"
            dot.edge(tail_name=node.name, head_name=entry.node.name, dir="back", arrowtail="open", label=label)
    return dot


# ---- shapes and types


def _shapes(symbol: Symbol, op: str, given: Mapping[str, Any] | None) -> Facts[Any] | None:
    """All shapes, from those given; None, if none are given."""
    _check_symbol(symbol, op)
    if given is None:
        return None
    facts = infer_shapes(symbol.entries, given_shapes(op, symbol.entries, given))
    unknown = [f"{e.node.name} {write_shape(s)}" for e, s in facts.items() if not is_complete(s)]
    if unknown:
        got, why = f"({', '.join(unknown[:5])}{', ...' * (len(unknown) > 5)})", "0 is an unknown extent"
        expected, fix = "the shapes of all inputs", "Give those of the other inputs too."
        raise refusal(ShapeError, "shape", f"incomplete {got}", expected, f"Input shape is incomplete; {why}",
                      fix=fix, op=op)  # fmt: skip
    return facts


def _types(symbol: Symbol, op: str, given: Mapping[str, Any] | None) -> Facts[Any] | None:
    if given is None:
        return None
    facts = infer_types(symbol.entries, given_types(op, symbol.entries, given))
    unknown = [entry.node.name for entry, found in facts.items() if found is None]
    if unknown:
        got, expected = f"incomplete ({', '.join(unknown[:5])})", "the types of all inputs"
        fix = "Give those of the other inputs too."
        raise refusal(DTypeError, "dtype", got, expected, "Input type is incomplete", fix=fix, op=op)
    return facts


def _check_symbol(symbol: object, op: str) -> None:
    if not isinstance(symbol, Symbol):
        raise TypeError(f"{op}: symbol must be a Symbol, but it is {type(symbol).__name__}. Pass one of mx.sym.")
    if not symbol.entries:
        fix = "Pass a symbol with an output."
        raise refusal(ParamError, "symbol", "a graph of nothing", "one output at least", fix=fix, op=op)


# ---- texts


def _row(cells: Sequence[str], ends: Sequence[int]) -> str:
    """Cells one after the other, each cut or filled up to where it ends."""
    line = ""
    for cell, end in zip(cells, ends, strict=True):
        line = f"{line}{cell}"[:end].ljust(end)
    return line


def _spell(shape: Any) -> str:
    return "x".join(map(str, shape[1:]))


_WEIGHTS = (
    "_weight",
    "_bias",
    "_beta",
    "_gamma",
    "_moving_var",
    "_moving_mean",
    "_running_var",
    "_running_mean",
)
_COLOURS = {
    "Convolution": "#fb8072",
    "FullyConnected": "#fb8072",
    "Activation": "#ffffb3",
    "LeakyReLU": "#ffffb3",
    "BatchNorm": "#bebada",
    "Pooling": "#80b1d3",
    "Concat": "#fdb462",
    "Flatten": "#fdb462",
    "Reshape": "#fdb462",
}


def _colour(node: Node) -> str:
    return "#8dd3c7" if node.op is None else _COLOURS.get(node.op.name, "#fccde5")


def _label(node: Node) -> str:
    given, kind = node.attrs, "" if node.op is None else node.op.name
    sizes = {key: "x".join(re.findall(r"\d+", given[key])) for key in ("kernel", "stride") if key in given}
    if kind == "Convolution":
        return f"{kind}\n{sizes['kernel']}/{sizes.get('stride', '1')}, {given['num_filter']}"
    if kind == "FullyConnected":
        return f"{kind}\n{given['num_hidden']}"
    if kind in ("Activation", "LeakyReLU"):
        return f"{kind}\n{given.get('act_type', 'Leaky')}"
    if kind == "Pooling":
        return f"{kind}\n{node.param.pool_type}, {sizes.get('kernel', '[]')}/{sizes.get('stride', '1')}"
    return node.name


def _warn_of_namesakes(order: Sequence[Node]) -> None:
    repeated = sorted(name for name, count in Counter(node.name for node in order).items() if count > 1)
    if repeated:
        warnings.warn(
            "There are multiple variables with the same name in your graph, this may result in cyclic graph. "
            f"Repeated names: {','.join(repeated)}",
            RuntimeWarning,
            stacklevel=3,
        )
