"""Writes the checkpoints of this folder; runs under an old MXNet: python make_checkpoints.py FOLDER.

For each network NAME-VERSION-symbol.json and NAME-VERSION-0001.params, as that MXNet writes them, and
NAME-VERSION.npz with the inputs and the outputs that it computes.
"""

import sys

import mxnet as mx
import numpy as np
from networks import NETWORKS, SHAPES, draw


def outputs_of(symbol, shapes, arrays):
    """What the network computes from the arrays (NumPy, by name)."""
    arguments, _, auxiliary = symbol.infer_shape(**shapes)
    args = {n: mx.nd.array(arrays[n]) for n in symbol.list_arguments()}
    aux = {n: mx.nd.array(arrays[n]) for n in symbol.list_auxiliary_states()}
    assert [tuple(args[n].shape) for n in symbol.list_arguments()] == arguments
    assert [tuple(aux[n].shape) for n in symbol.list_auxiliary_states()] == auxiliary
    executor = symbol.bind(mx.cpu(), args, grad_req="null", aux_states=aux)
    return [output.asnumpy() for output in executor.forward(is_train=False)]


def main(folder):
    version = mx.__version__.split("-")[0]
    for name, build in NETWORKS.items():
        with mx.name.NameManager():
            symbol = build(mx)
        shapes = SHAPES[name]
        arguments, _, auxiliary = symbol.infer_shape(**shapes)
        names = symbol.list_arguments() + symbol.list_auxiliary_states()
        arrays = {n: draw(n, shape) for n, shape in zip(names, arguments + auxiliary)}  # noqa: B905, not in Python 3.9
        results = outputs_of(symbol, shapes, arrays)
        assert all(np.isfinite(result).all() for result in results), name
        fed = set(shapes) | {n for n in arrays if n.endswith("_label")}
        parameters = {n: mx.nd.array(arrays[n]) for n in symbol.list_arguments() if n not in fed}
        states = {n: mx.nd.array(arrays[n]) for n in symbol.list_auxiliary_states()}
        prefix = f"{folder}/{name}-{version}"
        mx.model.save_checkpoint(prefix, 1, symbol, parameters, states)
        inputs = {"input/" + n: arrays[n] for n in sorted(fed)}
        outputs = {f"output/{i:02d}": result for i, result in enumerate(results)}
        np.savez_compressed(prefix + ".npz", **inputs, **outputs)


if __name__ == "__main__":
    main(sys.argv[1])
