"""Records what Apache MXNet 1.9.1 answers for the neural-network operators, into `nn.npz`.

Run it with a Python that has MXNet 1.9.1:  python tests/golden/make_nn.py
Each case: an operator, its parameters, its inputs (small random arrays, by position), whether it ran as in training;
recorded are the outputs, the gradients of the inputs for recorded head gradients, and what auxiliary states became.
"""

import itertools
import json
from pathlib import Path

import mxnet as mx
import numpy as np

RNG = np.random.RandomState(7)
CASES = []
ARRAYS = {}


def normal(*shape):
    return RNG.randn(*shape)


def positive(*shape):
    return RNG.rand(*shape) + 0.5


def steps(*shape):
    """Few distinct values, so that windows hold ties."""
    return RNG.randint(-2, 3, shape).astype(float)


def labels(classes, *shape):
    return RNG.randint(0, classes, shape).astype(float)


def case(op, inputs, aux=0, train=True, dtypes=("float32",), no_grad=(), **attrs):
    for dtype in dtypes:
        record(op, inputs, aux, train, dtype, no_grad, attrs)


def record(op, inputs, aux, train, dtype, no_grad, attrs):
    key = f"c{len(CASES):03d}"
    types = [dtype] * len(inputs)
    if op == "BatchNorm" and dtype == "float16":
        types[1:] = ["float32"] * (len(inputs) - 1)
    if op == "softmax":
        types[1:] = ["int32"] * (len(inputs) - 1)
    arrays = [mx.nd.array(x, dtype=t) for x, t in zip(inputs, types)]  # noqa: B905
    for i, x in enumerate(arrays):
        ARRAYS[f"{key}/in{i}"] = x.asnumpy()
    wanted = [i for i in range(len(inputs) - aux) if i not in no_grad]
    for i in wanted:
        arrays[i].attach_grad()
    with mx.autograd.record(train_mode=train):
        result = getattr(mx.nd, op)(*arrays, **attrs)
    outputs = list(result) if isinstance(result, (list, tuple)) else [result]
    heads = [mx.nd.array(normal(*y.shape), dtype=y.dtype) for y in outputs]
    if wanted:
        mx.autograd.backward(outputs, heads, train_mode=train)
    for i, (y, head) in enumerate(zip(outputs, heads)):  # noqa: B905
        ARRAYS[f"{key}/out{i}"] = y.asnumpy()
        ARRAYS[f"{key}/head{i}"] = head.asnumpy()
    for i in wanted:
        ARRAYS[f"{key}/grad{i}"] = arrays[i].grad.asnumpy()
    for i in range(len(inputs) - aux, len(inputs)):
        ARRAYS[f"{key}/aux{i}"] = arrays[i].asnumpy()
    texts = {name: str(value) for name, value in attrs.items()}
    CASES.append({"id": key, "op": op, "attrs": texts, "train": train, "dtype": dtype,
                  "inputs": len(inputs), "outputs": len(outputs)})  # fmt: skip


BOTH = ("float32", "float64")

case("FullyConnected", [normal(4, 5), normal(3, 5), normal(3)], dtypes=BOTH, num_hidden=3)
case("FullyConnected", [normal(4, 2, 3, 2), normal(5, 12), normal(5)], num_hidden=5)
case("FullyConnected", [normal(4, 2, 3), normal(5, 3), normal(5)], num_hidden=5, flatten=False)
case("FullyConnected", [normal(4, 2, 3), normal(5, 3)], num_hidden=5, flatten=False, no_bias=True)
case("FullyConnected", [normal(4), normal(5, 1), normal(5)], num_hidden=5)

for act in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
    case("Activation", [3 * normal(2, 3, 4)], dtypes=BOTH, act_type=act)
case("Activation", [np.array([-120.0, -30, -1, -0.0, 0, 1, 30, 120])], act_type="softrelu")
case("Activation", [np.array([-120.0, -30, -1, -0.0, 0, 1, 30, 80])], act_type="sigmoid")

case("LeakyReLU", [normal(2, 3, 4)], dtypes=BOTH)
case("LeakyReLU", [normal(2, 3)], act_type="leaky", slope=0.1)
case("LeakyReLU", [normal(2, 3, 4, 4), normal(3)], dtypes=BOTH, act_type="prelu")
case("LeakyReLU", [normal(2, 3, 3), normal(3)], act_type="prelu")
case("LeakyReLU", [normal(2, 3), normal(1)], act_type="prelu")
case("LeakyReLU", [normal(2, 3, 4)], dtypes=BOTH, act_type="elu", slope=1.5)
case("LeakyReLU", [normal(2, 3, 4)], no_grad=(0,), dtypes=BOTH, act_type="selu")  # its gradient there is wrong
case("LeakyReLU", [3 * normal(2, 3, 4)], dtypes=BOTH, act_type="gelu")

for kind, convention in itertools.product(("max", "avg", "sum"), ("valid", "full")):
    more = {"pool_type": kind, "pooling_convention": convention}
    case("Pooling", [normal(2, 3, 7, 6)], dtypes=BOTH, kernel=(3, 2), stride=(2, 2), **more)
    case("Pooling", [normal(2, 2, 6, 9)], kernel=(3, 3), stride=(2, 3), pad=(1, 1), **more)
    case("Pooling", [normal(2, 2, 9)], kernel=(4,), stride=(3,), pad=(2,), **more)
    case("Pooling", [normal(1, 2, 6, 4, 6)], kernel=(2, 3, 3), stride=(2, 1, 2), pad=(1, 0, 1), **more)
    case("Pooling_v1", [normal(2, 3, 7, 6)], dtypes=BOTH, kernel=(3, 2), stride=(2, 2), **more)
    case("Pooling_v1", [normal(2, 2, 6, 8)], kernel=(3, 3), stride=(2, 3), pad=(1, 1), **more)
for kind in ("avg", "sum"):  # whose last window lies in the pad
    case("Pooling", [normal(2, 2, 6, 8)], kernel=(3, 3), stride=(2, 3), pad=(1, 1), pool_type=kind,
         pooling_convention="full")  # fmt: skip
case("Pooling", [steps(2, 2, 6, 8)], kernel=(3, 3), stride=(2, 2))
case("Pooling", [steps(2, 2, 6, 8)], dtypes=("float64",), kernel=(3, 3), stride=(2, 2))
case("Pooling_v1", [steps(2, 2, 6, 8)], kernel=(3, 3), stride=(2, 2))
case("Pooling", [normal(2, 2, 6, 8)], kernel=(3, 3), pad=(1, 1), pool_type="avg", count_include_pad=False)
case("Pooling", [normal(2, 2, 7, 8)], kernel=(3, 3), stride=(2, 3), pad=(1, 2), pool_type="avg",
     count_include_pad=False, pooling_convention="full")  # fmt: skip
for p in (1, 2, 3):
    case("Pooling", [positive(2, 2, 6, 5)], kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="lp", p_value=p)
case("Pooling", [normal(2, 2, 6, 5)], kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="lp", p_value=1)
case("Pooling", [normal(2, 2, 6, 5)], kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="lp", p_value=2)
for kind in ("max", "avg", "sum"):
    case("Pooling", [normal(2, 3, 4, 5)], global_pool=True, pool_type=kind)
    case("Pooling", [normal(2, 3, 4, 5)], global_pool=True, kernel=(2, 2), pad=(1, 1), stride=(2, 2), pool_type=kind)
    case("Pooling", [normal(2, 5, 4, 3)], kernel=(2, 3), stride=(2, 1), layout="NHWC", pool_type=kind)
    case("Pooling_v1", [normal(2, 3, 4, 5)], global_pool=True, kernel=(2, 2), pad=(1, 1), pool_type=kind)
case("Pooling", [normal(2, 5, 3)], global_pool=True, layout="NWC", pool_type="avg")


def batch_norm(*shape, axis=1):
    n = shape[axis]
    return [normal(*shape) + 1, positive(n), normal(n), normal(n), positive(n)]


for train, fixed, fast in itertools.product((True, False), repeat=3):
    case("BatchNorm", batch_norm(4, 3, 5, 2), aux=2, train=train, dtypes=BOTH, fix_gamma=fixed,
         use_global_stats=fast, momentum=0.7, eps=0.01)  # fmt: skip
for train in (True, False):
    case("BatchNorm", batch_norm(4, 3), aux=2, train=train)
    case("BatchNorm", batch_norm(4, 5, 3, axis=-1), aux=2, train=train, fix_gamma=False, axis=-1)
    case("BatchNorm", batch_norm(4, 3, 5), aux=2, train=train, fix_gamma=False, output_mean_var=True)
case("BatchNorm", batch_norm(4, 8, 3, 3), aux=2, fix_gamma=False)
case("BatchNorm", batch_norm(4, 3, 5, 2), aux=2, dtypes=("float16",), fix_gamma=False)

for size in (1, 2, 3, 4, 5, 9):
    case("LRN", [normal(2, 6, 3, 2)], nsize=size, alpha=0.3, beta=0.6, knorm=1.5)
for mode in ("instance", "channel", "spatial"):
    case("L2Normalization", [normal(2, 3, 4, 2)], dtypes=BOTH, mode=mode, eps=0.1)
    case("L2Normalization", [normal(2, 3, 4)], mode=mode)
case("L2Normalization", [normal(2, 3)])
case("InstanceNorm", [normal(2, 3, 4, 5), positive(3), normal(3)])
case("InstanceNorm", [normal(2, 3, 6), positive(3), normal(3)], eps=0.1)

case("UpSampling", [normal(2, 3, 2, 4)], scale=2, sample_type="nearest", num_args=1)
case("UpSampling", [normal(2, 3, 2, 4)], scale=3, sample_type="nearest", num_args=1)
case("UpSampling", [normal(2, 3, 2, 4), normal(2, 2, 4, 8), normal(2, 1, 1, 2)], scale=2, sample_type="nearest",
     num_args=3)  # fmt: skip
case("UpSampling", [normal(2, 3, 2, 4), normal(2, 3, 4, 8)], scale=4, sample_type="nearest", num_args=2,
     multi_input_mode="sum")  # fmt: skip
for scale, kernel in ((2, 4), (3, 5)):
    case("UpSampling", [normal(2, 3, 2, 4), normal(3, 1, kernel, kernel)], scale=scale, sample_type="bilinear",
         num_filter=3, num_args=2)  # fmt: skip

case("Convolution_v1", [normal(2, 4, 5, 6), normal(6, 2, 3, 2), normal(6)], kernel=(3, 2), num_filter=6, num_group=2,
     stride=(2, 1), pad=(1, 1))  # fmt: skip
case("Convolution_v1", [normal(2, 2, 7, 6), normal(3, 2, 3, 2)], kernel=(3, 2), num_filter=3, dilate=(2, 1),
     no_bias=True)  # fmt: skip

case("Dropout", [normal(3, 4)], train=False)
case("Dropout", [normal(3, 4)], p=0)

case("SoftmaxActivation", [normal(3, 4)])
case("SoftmaxActivation", [normal(2, 3, 4)], no_grad=(0,))
case("SoftmaxActivation", [normal(2, 3, 4)], mode="channel")
case("SoftmaxActivation", [normal(2, 3, 2, 2)], mode="channel")
for op in ("softmax", "log_softmax", "softmin"):
    case(op, [normal(3, 4)], dtypes=BOTH)
    case(op, [normal(2, 3, 4)], axis=1, temperature=2.5)
    case(op, [normal(2, 3, 4)], no_grad=(0,), axis=-2, dtype="float64")
case("softmax", [normal(3, 4), np.array([1.0, 4, 2])], no_grad=(1,), use_length=True)
case("softmax", [normal(2, 3, 4), np.array([[1.0, 2, 3, 3], [2, 1, 1, 3]])], no_grad=(1,), use_length=True, axis=1)

ignored = np.array([1.0, -1, 3, 0, -1])
for norm, use_ignore in itertools.product(("null", "batch", "valid"), (False, True)):
    more = {"normalization": norm, "use_ignore": use_ignore, "grad_scale": 1.5}
    case("SoftmaxOutput", [normal(5, 4), ignored], no_grad=(1,), **more)
    case("SoftmaxOutput", [normal(2, 4, 3), labels(4, 2, 3)], no_grad=(1,), multi_output=True, ignore_label=2, **more)
case("SoftmaxOutput", [normal(2, 4, 3, 2), labels(4, 2, 3, 2)], no_grad=(1,), multi_output=True)
case("SoftmaxOutput", [normal(2, 3, 2, 4), labels(4, 2, 3, 2)], no_grad=(0, 1), train=False)
case("SoftmaxOutput", [normal(2, 3, 4), labels(4, 2, 3)], no_grad=(1,), preserve_shape=True)
case("SoftmaxOutput", [normal(5, 4), labels(4, 5)], no_grad=(1,), smooth_alpha=0.2, normalization="batch")
case("SoftmaxOutput", [normal(2, 4, 3), labels(4, 2, 3)], no_grad=(1,), multi_output=True, smooth_alpha=0.2)
case("SoftmaxOutput", [normal(5, 4), positive(5, 4)], no_grad=(1,), grad_scale=2, normalization="batch")
case("SoftmaxOutput", [normal(5, 4), labels(4, 5)], no_grad=(1,), dtypes=("float64",))
case("Softmax", [normal(5, 4), labels(4, 5)], no_grad=(1,))
case("softmax_cross_entropy", [normal(5, 4), labels(4, 5)], no_grad=(1,))
for kind in ("Linear", "Logistic", "MAE"):
    op = kind + "RegressionOutput"
    case(op, [normal(4, 3), normal(4, 3)], no_grad=(1,), dtypes=BOTH, grad_scale=1.5)
    case(op, [normal(4, 1), normal(4)], no_grad=(1,))
    case(op, [normal(4, 3, 2), normal(4, 6)], no_grad=(1,))

# One block of bytes: a file with an entry for each of so many small arrays is three times as large.
index, offset = {}, 0
for name, x in ARRAYS.items():
    index[name] = [str(x.dtype), x.shape, offset]
    offset += x.nbytes
meta = np.frombuffer(json.dumps({"cases": CASES, "arrays": index}).encode(), np.uint8)
block = np.frombuffer(b"".join(x.tobytes() for x in ARRAYS.values()), np.uint8)
np.savez_compressed(str(Path(__file__).with_name("nn.npz")), meta=meta, block=block)
