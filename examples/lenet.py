"""LeNet on handwritten digits, trained with simple_bind and plain SGD: `python examples/lenet.py [--seed 0]`.

The same script runs under Apache MXNet 1.9.1: `python examples/lenet.py --mxnet`. All chance comes from NumPy, so
that both print the same losses.

digits.npz: "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49 (CC BY 4.0): the 1797 images of its test set, 8x8 with values from 0 to 16.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np

STEPS = 1200
BATCH = 32


def lenet(mx):
    """A Deconvolution doubles the 8x8 images; then two convolutions, each with a pooling, and two dense layers."""
    net = mx.sym.Variable("data")
    net = mx.sym.Deconvolution(net, name="double", kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=1)
    for name, filters in (("conv1", 20), ("conv2", 50)):
        net = mx.sym.Convolution(net, name=name, kernel=(5, 5), pad=(2, 2), num_filter=filters)
        net = mx.sym.Activation(net, act_type="tanh")
        net = mx.sym.Pooling(net, pool_type="avg", kernel=(2, 2), stride=(2, 2))
    net = mx.sym.FullyConnected(mx.sym.Flatten(net), name="dense1", num_hidden=100)
    net = mx.sym.Activation(net, act_type="tanh")
    net = mx.sym.FullyConnected(net, name="dense2", num_hidden=10)
    return mx.sym.SoftmaxOutput(net, name="softmax", normalization="batch")


def load(chance):
    """The images, scaled to -1 ... 1, and labels: a random four fifths to learn from, and the rest to test on."""
    with np.load(str(Path(__file__).with_name("digits.npz"))) as file:
        images = file["images"][:, None].astype(np.float32) / 8 - 1
        labels = file["labels"].astype(np.float32)
    order = chance.permutation(len(images))
    cut = len(images) * 4 // 5
    return (images[order[:cut]], labels[order[:cut]]), (images[order[cut:]], labels[order[cut:]])


def initialise(arrays, chance):
    """Bilinear upsampling to begin with, random weights, and no bias."""
    for name in sorted(arrays):
        shape = arrays[name].shape
        if name == "double_weight":
            arrays[name][:] = (np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16).reshape(shape)
        elif name.endswith("weight"):
            bound = (3 / np.prod(shape[1:])) ** 0.5
            arrays[name][:] = chance.uniform(-bound, bound, shape)


def shift(images, chance):
    """The images moved by up to half a pixel along both axes, each by its own length."""
    for axis in (2, 3):
        part = chance.uniform(0, 0.5, (len(images), 1, 1, 1)).astype(np.float32)
        images = (1 - part) * images + part * np.roll(images, chance.choice([-1, 1]), axis)
    return images


def train(mx, seed):
    """Train for ever; yields after each step the loss and a function that tells the accuracy so far."""
    chance = np.random.RandomState(seed)  # the same numbers in every version of NumPy
    (images, labels), test = load(chance)
    net = lenet(mx)
    trained = [name for name in net.list_arguments() if name.endswith(("_weight", "_bias"))]
    executor = net.simple_bind(
        mx.cpu(),
        grad_req=dict.fromkeys(trained, "write"),
        data=(BATCH, *images.shape[1:]),
        softmax_label=(BATCH,),
    )
    parameters = {name: executor.arg_dict[name] for name in trained}
    initialise(parameters, chance)
    order, step = [], 0
    while True:
        if len(order) < BATCH:
            order = list(chance.permutation(len(images)))
        batch, order = order[:BATCH], order[BATCH:]
        data = shift(images[batch], chance)
        (output,) = executor.forward(is_train=True, data=data, softmax_label=labels[batch])
        executor.backward()
        for name, parameter in parameters.items():
            parameter -= (0.2 if step < 900 else 0.02) * executor.grad_dict[name]
        step += 1
        picked = output.asnumpy()[np.arange(BATCH), labels[batch].astype(int)]
        yield float(-np.log(picked).mean()), lambda: accuracy(executor, *test)


def accuracy(executor, images, labels):
    """The share of the images whose most probable class is the right one."""
    executor = executor.reshape(allow_up_sizing=True, data=images.shape, softmax_label=labels.shape)
    (output,) = executor.forward(is_train=False, data=images)
    return float((output.asnumpy().argmax(1) == labels).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--mxnet", action="store_true", help="run under Apache MXNet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.mxnet:
        import mxnet as mx
    else:
        import mxconv as mx
    start = time.perf_counter()
    for step, (loss, measure) in enumerate(islice(train(mx, options.seed), STEPS), 1):
        if step % 50 == 0:
            print(f"step {step:4}  loss {loss:.4f}  right of the held-out fifth: {measure():.2%}")
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
