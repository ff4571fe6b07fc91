"""Graphs, and what mx.viz of MXNet 1.9.1 says of them: run by the Python that has it, `python make_viz.py`.

Pictures are recorded as the calls that graphviz gets, so that its version does not matter.
"""

import contextlib
import gzip
import io
import json
import sys
import types
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "compat"))

from networks import NETWORKS, SHAPES


def lenet(mx):
    x = mx.sym.Variable("data")
    x = mx.sym.Convolution(x, kernel=(5, 5), num_filter=20, name="conv1")
    x = mx.sym.Activation(x, act_type="tanh", name="tanh1")
    x = mx.sym.Pooling(x, pool_type="max", kernel=(2, 2), stride=(2, 2), name="pool1")
    x = mx.sym.Flatten(x, name="flat")
    x = mx.sym.FullyConnected(x, num_hidden=500, name="fc1")
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=10, no_bias=True, name="fc2"), name="softmax")


def residual(mx):
    data = mx.sym.Variable("data")
    x = mx.sym.BatchNorm(data, fix_gamma=False, name="bn0")
    y = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4, num_group=2, no_bias=True, name="left")
    x = mx.sym.broadcast_add(y, mx.sym.Convolution(x, kernel=(1, 1), num_filter=4, stride=(1, 1), name="right"))
    x = mx.sym.LeakyReLU(mx.sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg", name="all"), name="leaky")
    return mx.sym.Group([mx.sym.sum(x, name="total"), mx.sym.Variable("last")])


def texts(mx):
    """Parameters in unusual spellings, which MXNet does not count right."""
    x = mx.sym.Variable("data")
    x = mx.sym.Convolution(x, kernel="[3, 3]", num_filter="4", no_bias="1", name="c")
    x = mx.sym.LeakyReLU(x, act_type="prelu", name="p")
    return mx.sym.Deconvolution(x, kernel=(2, 2), stride="(2,2)", num_filter=6, num_group=2, no_bias="0", name="d")


LONG = "a_name_that_is_far_too_long_for_its_column" * 2


def branches(mx):
    """Several inputs and an operator with several outputs; names that are cut."""
    x, y = mx.sym.Variable("x"), mx.sym.Variable("y")
    a, b = mx.sym.SliceChannel(mx.sym.Concat(x, y, name="both"), num_outputs=2, name="halves")
    z = mx.sym.Convolution(y, kernel=(1, 1), num_filter=2, name=LONG)
    return mx.sym.elemwise_add(mx.sym.elemwise_mul(a, b), z, name="end")


def namesakes(mx):
    x = mx.sym.Variable("x")
    return mx.sym.exp(mx.sym.sqrt(x, name="same"), name="same")


def lone(mx):
    return mx.sym.Variable("data")


def words(mx):
    x = mx.sym.Embedding(mx.sym.Variable("data"), input_dim=50, output_dim=7, name="embed")
    return mx.sym.FullyConnected(x, num_hidden=3, flatten=False, name="fc")


GRAPHS = {**NETWORKS, **{f.__name__: f for f in (lenet, residual, texts, branches, namesakes, lone, words)}}
INPUTS = {
    **SHAPES,
    "lenet": {"data": (2, 1, 28, 28)},
    "residual": {"data": (2, 4, 6, 5), "last": (3, 4)},
    "texts": {"data": (2, 4, 6, 5)},
    "branches": {"x": (1, 2, 5, 5), "y": (1, 2, 5, 5)},
    "namesakes": {"x": (2, 3)},
    "lone": {"data": (2, 3)},
    "words": {"data": (2, 9)},
}


class Digraph:
    """Stands for graphviz's."""

    def __init__(self, name, format):
        self.calls = [["graph", name, format]]

    def node(self, name, label, **attrs):
        self.calls.append(["node", name, label, attrs])

    def edge(self, tail_name, head_name, label, **attrs):
        self.calls.append(["edge", tail_name, head_name, label, attrs])


def describe(mx, name):
    """What mx.viz says of one graph, in every way."""
    shapes = INPUTS[name]
    with mx.name.NameManager():
        graph = GRAPHS[name](mx)
    types_ = dict.fromkeys(shapes, "float32")
    ways = {
        "summary": lambda: mx.viz.print_summary(graph),
        "summary shapes": lambda: mx.viz.print_summary(graph, shape=shapes),
        "summary narrow": lambda: mx.viz.print_summary(graph, shapes, 60, [20, 35, 45, 60]),
        "plot": lambda: mx.viz.plot_network(graph),
        "plot shapes": lambda: mx.viz.plot_network(
            graph, "t", "png", shapes, node_attrs={"shape": "oval", "width": "2"}
        ),
        "plot types": lambda: mx.viz.plot_network(graph, shape=shapes, dtype=types_),
        "plot weights": lambda: mx.viz.plot_network(graph, hide_weights=False),
    }
    said = {}
    for way, call in ways.items():
        with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = call()
        said[way] = out.getvalue() if made is None else made.calls
    return said


if __name__ == "__main__":
    import mxnet

    sys.modules["graphviz"] = types.SimpleNamespace(Digraph=Digraph)
    recorded = {name: describe(mxnet, name) for name in GRAPHS}
    text = json.dumps(recorded, indent=0)
    Path(__file__).with_name("viz.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
