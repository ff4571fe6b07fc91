"""Records what executors of random graphs do under MXNet 1.9.1: `python make_executors.py executors.npz`.

Run it with a Python that has MXNet. `train` is what the test does with mxconv as well.
"""

from __future__ import annotations

import json
import sys

import numpy as np

GRAPHS = 24
SHAPE = (2, 4, 3, 4)
STEPS = 2


def draw_operator(mx, chance, pick, name):
    """A random operator whose output has the shape of its inputs."""
    sym, x = mx.sym, pick()
    same = {"kernel": (3, 3), "pad": (1, 1), "name": name}
    choices = (
        lambda: sym.Convolution(x, num_filter=SHAPE[1], num_group=int(chance.choice([1, 2])), **same),
        lambda: sym.Deconvolution(x, num_filter=SHAPE[1], no_bias=bool(chance.randint(2)), **same),
        lambda: sym.BatchNorm(x, fix_gamma=False, use_global_stats=bool(chance.randint(4) == 0), name=name),
        lambda: sym.Activation(x, act_type=str(chance.choice(["relu", "sigmoid", "tanh", "softrelu"])), name=name),
        lambda: sym.LeakyReLU(x, act_type=str(chance.choice(["leaky", "elu"])), name=name),
        lambda: sym.Pooling(x, stride=(1, 1), pool_type=str(chance.choice(["max", "avg"])), **same),
        lambda: sym.SliceChannel(sym.Concat(x, pick(), dim=1), num_outputs=2, name=name)[int(chance.randint(2))],
        lambda: x + pick(),
        lambda: x * pick(),
        lambda: sym.broadcast_mul(x, sym.mean(pick(), axis=(2, 3), keepdims=True), name=name),
        lambda: sym.transpose(sym.transpose(x, axes=(0, 1, 3, 2)), axes=(0, 1, 3, 2)) * 0.5 + 1,
        lambda: sym.LRN(x, nsize=3, name=name),
        lambda: sym.InstanceNorm(x, name=name),
        lambda: sym.Reshape(sym.L2Normalization(x, name=name), shape=(0, 0, -1, SHAPE[3])),
        lambda: sym.BlockGrad(x) if chance.randint(2) else sym.clip(x, -1.0, 1.0),
    )
    return choices[chance.randint(len(choices))]()


def draw_graph(mx, chance):
    """A random graph with one to three heads, losses among them, and no output twice."""
    values = [mx.sym.Variable("data")]
    for index in range(chance.randint(4, 10)):
        values.append(draw_operator(mx, chance, lambda: values[chance.randint(len(values))], f"op{index}"))
    heads = []
    for index in range(chance.randint(1, 4)):
        head, kind = values[-1 - index], chance.randint(4)
        if kind == 0:
            head = mx.sym.FullyConnected(head, num_hidden=5, name=f"dense{index}")
            head = mx.sym.SoftmaxOutput(head, mx.sym.Variable(f"label{index}"), name=f"softmax{index}")
        elif kind == 1:
            head = mx.sym.MakeLoss(mx.sym.square(head), grad_scale=0.1)
        heads.append(head)
    return mx.sym.Group(heads)


def draw_grad_req(net, chance):
    """A random word for each argument, but null for labels, and one for a layer's weight and bias together."""
    layers = {name.split("_")[0] for name in net.list_arguments()}
    words = {layer: str(chance.choice(["write", "add", "null"], p=[0.6, 0.2, 0.2])) for layer in sorted(layers)}
    return {n: "null" if "label" in n else words[n.split("_")[0]] for n in net.list_arguments()}


def train(mx, net, grad_req, seed):
    """All outputs, gradients and states after some steps; arrays and head gradients are drawn from NumPy."""
    chance = np.random.RandomState(seed)
    names = net.list_arguments()
    labels = {name: SHAPE[:1] for name in names if "label" in name}
    executor = net.simple_bind(mx.cpu(), grad_req=grad_req, data=SHAPE, **labels)
    for name in names:
        shape = executor.arg_dict[name].shape
        executor.arg_dict[name][:] = chance.randint(0, 5, shape) if name in labels else chance.uniform(-1, 1, shape)
        if executor.grad_dict[name] is not None:
            executor.grad_dict[name][:] = chance.uniform(-1, 1, shape)
    for name in net.list_auxiliary_states():
        executor.aux_dict[name][:] = chance.uniform(0.5, 1.5, executor.aux_dict[name].shape)
    results = {}
    for _ in range(STEPS):
        executor.forward(is_train=True)
        heads = [mx.nd.array(chance.uniform(-1, 1, one.shape)) for one in executor.outputs]
        results.update((f"trained_{i}", one.asnumpy()) for i, one in enumerate(executor.outputs))
        executor.backward(heads)
    results.update((f"grad_{n}", one.asnumpy()) for n, one in executor.grad_dict.items() if one is not None)
    results.update((f"aux_{n}", one.asnumpy()) for n, one in executor.aux_dict.items())
    results.update((f"output_{i}", one.asnumpy()) for i, one in enumerate(executor.forward()))
    return results


def main():
    import mxnet as mx

    graphs, arrays = [], {}
    for seed in range(GRAPHS):
        chance = np.random.RandomState(seed)
        with mx.name.NameManager():
            net = draw_graph(mx, chance)
        grad_req = draw_grad_req(net, chance)
        graphs.append({"json": net.tojson(), "grad_req": grad_req})
        for name, array in train(mx, net, grad_req, seed).items():
            arrays[f"{seed}/{name}"] = array
    meta = np.frombuffer(json.dumps(graphs).encode(), np.uint8)
    np.savez_compressed(sys.argv[1], meta=meta, **arrays)


if __name__ == "__main__":
    main()
