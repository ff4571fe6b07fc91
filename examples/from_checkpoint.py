"""A checkpoint, as old MXNet programs load and run it: `python examples/from_checkpoint.py [PREFIX EPOCH]`.

Without arguments it first writes a small one: a Deconvolution that doubles an image, and a Convolution that finds its
edges. With PREFIX and EPOCH it prints what is in PREFIX-symbol.json and PREFIX-EPOCH.params. The same program runs
under Apache MXNet, but for its import.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

import mxconv as mx


def write_checkpoint(prefix):
    """Two layers: bilinear upsampling, and second differences."""
    net = mx.sym.Deconvolution(
        mx.sym.Variable("data"), name="double", kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=1
    )
    net = mx.sym.Convolution(net, name="edges", kernel=(3, 3), pad=(1, 1), num_filter=1, no_bias=True)
    line = np.array([1, 3, 3, 1]) / 4
    parameters = {
        "double_weight": mx.nd.array(np.outer(line, line)[None, None]),
        "edges_weight": mx.nd.array([[[[0, 1, 0], [1, -4, 1], [0, 1, 0]]]]),
    }
    mx.model.save_checkpoint(prefix, 1, net, parameters, {})


def run(prefix, epoch, image):
    """The output of the checkpoint's network for one image (1, channels, height, width)."""
    net, arg_params, aux_params = mx.model.load_checkpoint(prefix, epoch)
    executor = net.simple_bind(mx.cpu(), grad_req="null", data=image.shape)
    executor.copy_params_from(arg_params, aux_params)
    (output,) = executor.forward(is_train=False, data=image)
    return output.asnumpy()


def describe(prefix, epoch):
    """Print the arguments, states and outputs of a checkpoint."""
    net, arg_params, aux_params = mx.model.load_checkpoint(prefix, epoch)
    for name in net.list_arguments() + net.list_auxiliary_states():
        array = arg_params.get(name, aux_params.get(name))
        print(f"{name:30} {'to be given' if array is None else array.shape}")
    print("outputs:", ", ".join(net.list_outputs()))


def main():
    if len(sys.argv) == 3:
        describe(sys.argv[1], int(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/edges"
        write_checkpoint(prefix)
        describe(prefix, 1)
        image = np.zeros((1, 1, 6, 12), np.float32)
        image[0, 0, 2:4, 3:9] = 1
        for row in run(prefix, 1, image)[0, 0]:
            print("".join(" " if abs(value) < 0.1 else "+" if value > 0 else "-" for value in row).rstrip())


if __name__ == "__main__":
    main()
