"""Small networks that between them use every operator of old checkpoints.

Each is a function of the `mx` module, so that any MXNet (and mxconv) can build it: NETWORKS[name](mx) is the Symbol,
SHAPES[name] the shapes of its inputs. Operators that a version lacks are left out of it there.
"""

from __future__ import annotations

import zlib

import numpy as np

SHAPES = {
    "detector": {"data": (2, 3, 15, 17)},
    "painter": {"data": (2, 4, 9, 8)},
    "classifier": {"data": (3, 3, 14, 14)},
    "arithmetic": {"data": (2, 3, 4, 5), "other": (2, 1, 4, 1)},
    "ranks": {"line": (2, 4, 19), "data": (2, 4, 9, 9), "volume": (1, 2, 5, 6, 7)},
}


def detector(mx):
    """Prelu, overhanging pools and two heads, as face detectors have them."""
    x = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=6, name="conv1")
    x = mx.sym.LeakyReLU(x, act_type="prelu", name="prelu1")
    x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full", name="pool1")
    x = mx.sym.Convolution(x, kernel=(3, 3), num_filter=8, num_group=2, dilate=(2, 2), pad=(2, 1), name="conv2")
    x = mx.sym.LeakyReLU(x, act_type="leaky", slope=0.1, name="leaky2")
    x = mx.sym.Convolution(x, kernel=(3, 3), num_filter=8, num_group=8, no_bias=True, stride=(1, 2), name="conv3")
    x = mx.sym.LeakyReLU(x, act_type="elu", slope=0.5, name="elu3")
    scores = mx.sym.Convolution(x, kernel=(1, 1), num_filter=4, name="scores")
    boxes = mx.sym.Convolution(x, kernel=(1, 1), num_filter=4, name="boxes")
    pairs = mx.sym.Reshape(scores, shape=(0, 2, -1, 0), name="pairs")
    prob = mx.sym.SoftmaxActivation(pairs, mode="channel", name="prob")
    prob = mx.sym.Reshape(prob, shape=(0, 4, -1, 0), name="prob_back")
    left, right = mx.sym.SliceChannel(boxes, num_outputs=2, axis=1, name="halves")
    dense = mx.sym.FullyConnected(mx.sym.Flatten(left, name="flat"), num_hidden=5, name="landmark")
    return mx.sym.Group([prob, boxes, right, dense])


def painter(mx):
    """Down and up again: every way to enlarge, with skips."""
    data = mx.sym.Variable("data")
    x = mx.sym.BatchNorm(data, fix_gamma=True, eps=1e-3, name="bn0")
    down = mx.sym.Convolution(x, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=8, name="down", layout="NCHW")
    x = mx.sym.BatchNorm(down, fix_gamma=False, eps=2e-5, momentum=0.8, name="bn1")
    x = mx.sym.Activation(x, act_type="relu", name="relu1")
    up = mx.sym.Deconvolution(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_filter=6, num_group=2,
                              no_bias=False, name="up")  # fmt: skip
    up = mx.sym.Activation(up, act_type="tanh", name="tanh1")
    sized = mx.sym.Deconvolution(x, kernel=(4, 4), stride=(2, 2), target_shape=(8, 8), num_filter=3, name="sized",
                                 pad=(1, 1))  # fmt: skip
    near = mx.sym.UpSampling(x, scale=2, sample_type="nearest", num_args=1, name="near")
    smooth = mx.sym.UpSampling(x, scale=2, sample_type="bilinear", num_filter=8, num_args=2, name="smooth")
    trimmed = mx.sym.Crop(smooth, sized, num_args=2, offset=(0, 0), name="trim")
    middle = mx.sym.Crop(near, num_args=1, h_w=(6, 6), center_crop=True, name="middle")
    skip = near + smooth
    x = mx.sym.Concat(up, skip, sized, dim=1, num_args=3, name="all")
    x = mx.sym.InstanceNorm(x, eps=1e-3, name="instance")
    x = mx.sym.Activation(x, act_type="sigmoid", name="sigmoid1")
    framed = mx.sym.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), name="framed")
    return mx.sym.Group([framed, trimmed, middle])


def classifier(mx):
    """An AlexNet in small."""
    x = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(5, 5), stride=(2, 2), pad=(2, 2), num_filter=8, name="c1",
                           workspace=64)  # fmt: skip
    x = mx.sym.Activation(x, act_type="softrelu", name="a1")
    x = mx.sym.LRN(x, nsize=5, alpha=0.01, beta=0.75, knorm=1, name="lrn")
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", name="p1")
    x = mx.sym.L2Normalization(x, mode="channel", name="norm1")
    x = mx.sym.Dropout(x, p=0.4, name="drop")
    x = mx.sym.Pooling(x, kernel=(2, 2), pool_type="sum", name="p2")
    x = mx.sym.Flatten(x, name="flat")
    x = mx.sym.FullyConnected(x, num_hidden=10, name="fc1")
    x = mx.sym.Activation(x, act_type="relu", name="a2")
    x = mx.sym.FullyConnected(x, num_hidden=7, no_bias=True, name="fc2")
    return mx.sym.SoftmaxOutput(x, name="softmax")


def arithmetic(mx):
    """What stands between layers."""
    s = mx.sym
    a, b = s.Variable("data"), s.Variable("other")
    positive = s.sqrt(s.square(a) + 0.5) * 2 - 1 / (s.abs(a) + 1)
    wide = [s.broadcast_add(a, b), s.broadcast_sub(a, b), s.broadcast_mul(positive, b), s.broadcast_div(b, positive)]
    total = s.add_n(*wide, name="total") if hasattr(s, "add_n") else s.ElementWiseSum(*wide, name="total")
    out = [
        total,
        s.clip(total, a_min=-1, a_max=2.5),
        s.smooth_l1(total, scalar=2.0),
        s.exp(s.clip(a, a_min=-1, a_max=1)),
    ]
    out += [s.log(positive + 3), s.transpose(total, axes=(0, 2, 3, 1)), s.slice_axis(total, axis=1, begin=1, end=3)]
    out += [s.sum(total, axis=1), s.mean(total, axis=(2, 3), keepdims=True), s.tile(b, reps=(1, 2, 1, 3))]
    out += [s.repeat(a, repeats=2, axis=3), s.identity(a), s.BlockGrad(total), s.MakeLoss(s.square(a) / 3)]
    flat = s.Flatten(a)
    out += [s.dot(flat, flat, transpose_b=True), (2 - a) ** 2.0 + a**2, -a * (a * a), a - total]
    out += [s.Cast(s.Cast(total, dtype="float64") / 3, dtype="float32"), s.SwapAxis(a, dim1=1, dim2=3)]
    out += [getattr(s, name)(flat) for name in ("softmax", "log_softmax", "SoftmaxActivation") if hasattr(s, name)]
    out += [s.L2Normalization(a, mode="spatial"), s.expand_dims(b, axis=0), s.maximum(a, 0.25), s.minimum(a, total)]
    return s.Group(out)


def ranks(mx):
    """Lines and volumes, dilated and grouped; the first versions of two operators."""
    s = mx.sym
    line = s.Convolution(s.Variable("line"), kernel=(3,), stride=(2,), dilate=(2,), pad=(2,), num_filter=6, num_group=2,
                         name="line1")  # fmt: skip
    line = s.Pooling(
        s.LeakyReLU(line, name="line_relu"), global_pool=True, kernel=(1,), pool_type="max", name="line_max"
    )
    volume = s.Convolution(s.Variable("volume"), kernel=(2, 3, 3), stride=(1, 2, 1), pad=(0, 1, 1), num_filter=4,
                           name="volume1")  # fmt: skip
    volume = s.Pooling(volume, kernel=(2, 2, 2), stride=(2, 1, 2), pool_type="avg", pooling_convention="full",
                       name="volume_avg")  # fmt: skip
    plane = s.Convolution_v1(s.Variable("data"), kernel=(3, 3), num_filter=6, num_group=2, pad=(1, 0), name="plane1")
    plane = s.Pooling_v1(
        plane, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full", name="plane_max"
    )
    wide = s.Deconvolution(plane, kernel=(2, 3), stride=(2, 3), num_filter=3, no_bias=True, name="wide")
    return s.Group([line, volume, plane, wide])


NETWORKS = {f.__name__: f for f in (detector, painter, classifier, arithmetic, ranks)}


def draw(name, shape):
    """The values of a variable: the same for everybody, of a sound size for what it is."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFF)  # the same stream in every NumPy
    if name.endswith("_label"):
        return np.zeros(shape, np.float32)
    if name.endswith(("_gamma", "_var")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    values = rng.randint(-32, 33, shape) / 32.0
    reduction = max(1.0, np.prod(shape[1:]) ** 0.5 / 2) if name.endswith("_weight") else 1.0
    return (values / reduction).astype(np.float32)
