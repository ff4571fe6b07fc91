"""Graphs that MXNet 1.9.1 makes as we do: `make.py` records what it says of them, `test_symbols.py` compares.

For Python 3.8, so that MXNet can import it.
"""

import json

CASES = {}
"""name -> a function that makes the graph, the shapes that are known, the types that are known."""


def case(shapes=None, types=None):
    """A decorator that adds a case."""

    def add(function):
        CASES[function.__name__] = (function, shapes or {}, types or {})
        return function

    return add


@case({"x": (2, 3)}, {"x": "float64"})
def variable(mx, S):
    return S.Variable("x")


@case()
def hints(mx, S):
    return (
        S.Variable(
            "x",
            shape=(0, 3),
            lr_mult=2,
            wd_mult=0.5,
            dtype="float16",
            stype="default",
            __mood__="good",
            init=mx.init.Xavier(factor_type="in", magnitude=2.34),
            attr={"ctx_group": "a", "plain": "b"},
        )
        * 2
    )


@case({"v0": (2, 3)})
def initializers(mx, S):
    return S.Group(
        [
            S.Variable(f"v{i}", init=init)
            for i, init in enumerate(
                [
                    mx.init.Xavier(),
                    mx.init.MSRAPrelu(),
                    mx.init.Bilinear(),
                    mx.init.Normal(0.5),
                    mx.init.Uniform(),
                    mx.init.Zero(),
                    mx.init.One(),
                    mx.init.Constant(3),
                    mx.init.Constant(mx.nd.array([1, 2])),
                    mx.init.Orthogonal(),
                    mx.init.LSTMBias(),
                    "text",
                ]
            )
        ]
    )


@case({"data": (2, 3, 9, 9)}, {"data": "float32"})
def convolution(mx, S):
    return S.Convolution(S.Variable("data"), kernel=(3, 3), num_filter=8, name="c1")


@case({"x": (2, 4, 20, 20)}, {"x": "float16"})
def convolution_everything(mx, S):
    return S.Convolution(
        data=S.Variable("x"),
        weight=S.Variable("w"),
        bias=S.Variable("b"),
        kernel=[3, 3],
        stride="(2,2)",
        dilate=(1, 2),
        pad=(1, 2),
        num_filter="8",
        num_group=2,
        workspace=256,
        no_bias=False,
        cudnn_tune="off",
        cudnn_off=1,
        layout="NCHW",
        name="c",
        attr={"__k__": "v"},
        lr_mult=3,
        __wd_mult__=0.1,
    )


@case({"x": (2, 4, 21)})
def convolution_positional(mx, S):
    return S.Convolution(S.Variable("x"), None, None, (3,), (2,), (1,), (1,), 4, 1, 512, True)


@case({"x": (0, 3, 0, 0)}, {"y": "float64"})
def convolution_backwards(mx, S):
    x = S.Variable("x")
    c = S.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4, name="c")
    return c + S.Variable("y", shape=(2, 4, 7, 8))


@case({"convolution0_data": (1, 3, 6, 6, 6)})
def convolution_3d(mx, S):
    return S.Convolution(kernel=(2, 2, 2), num_filter=4, no_bias=True, stride=(2, 1, 1))


@case({"data": (2, 4, 5, 6)}, {"data": "float64"})
def deconvolution(mx, S):
    return S.Deconvolution(S.Variable("data"), kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=6, num_group=2)


@case({"data": (2, 4, 5, 6)})
def deconvolution_everything(mx, S):
    return S.Deconvolution(
        S.Variable("data"),
        kernel=(3, 3),
        stride=(2, 2),
        adj=(1, 1),
        target_shape=(11, 12),
        num_filter=6,
        no_bias=False,
        name="d",
    )


@case()
def unknown(mx, S):
    return S.Deconvolution(S.Convolution(kernel=(3, 3), num_filter=8), kernel=(2, 2), num_filter=2)


@case({"x": (0, 3, 8, 8)})
def partly_known(mx, S):
    return S.Pooling(S.relu(S.Convolution(S.Variable("x"), kernel=(3, 3), num_filter=8)), kernel=(2, 2))


@case({"x": (2, 3, 4, 4)}, {"x": "float16"})
def batch_norm(mx, S):
    return S.BatchNorm(S.Variable("x"), name="bn")


@case({"x": (2, 3, 4, 5)})
def batch_norm_everything(mx, S):
    return S.BatchNorm(
        S.Variable("x"),
        eps=1e-5,
        momentum=0.95,
        fix_gamma=False,
        use_global_stats=True,
        output_mean_var=True,
        axis=-1,
        cudnn_off=True,
        name="bn",
    )


@case({"x": (2, 3, 4, 4)})
def batch_norm_shared_states(mx, S):
    x, m, v = S.Variable("x"), S.Variable("m"), S.Variable("v", init='["one", {}]')
    a = S.BatchNorm(x, moving_mean=m, moving_var=v, name="a")
    r = S.relu(m, name="r")
    b = S.BatchNorm(a, moving_mean=m, moving_var=v, name="b")
    return S.Group([b, r, S.relu(m, name="late")])


@case({"x": (2, 3, 5)}, {"x": "float32"})
def fully_connected(mx, S):
    return S.FullyConnected(
        S.FullyConnected(S.Variable("x"), num_hidden=4, name="a"), num_hidden=3, no_bias=True, flatten=False, name="b"
    )


@case({"x": (2, 3, 4)}, {"x": "float32"})
def activations(mx, S):
    x = S.Variable("x")
    return S.Group(
        [S.Activation(x, act_type=t) for t in ("relu", "sigmoid", "tanh", "softrelu", "softsign")]
        + [S.LeakyReLU(x, act_type=t) for t in ("leaky", "prelu", "elu", "selu", "gelu", "rrelu")]
        + [S.relu(x), S.sigmoid(x), S.tanh(x), S.softsign(x), S.LeakyReLU(x, slope=0.1, name="l")]
    )


@case({"x": (2, 3, 9, 10)})
def pooling(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max"),
            S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", pooling_convention="full"),
            S.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1)),
            S.Pooling(x, kernel=(2, 2), pool_type="sum", count_include_pad=False),
            S.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2),
        ]
    )


@case({"x": (2, 3, 9, 9)})
def old_operators(mx, S):
    x = S.Variable("x")
    return S.Pooling_v1(
        S.Convolution_v1(x, kernel=(3, 3), num_filter=4, name="c"),
        kernel=(2, 2),
        stride=(2, 2),
        pool_type="max",
        name="p",
    )


@case({"a": (2, 3, 4), "b": (2, 5, 4)}, {"a": "float64", "b": "float64"})
def concat(mx, S):
    return S.Concat(S.Variable("a"), S.Variable("b"), dim=1, name="c")


@case({"a": (2, 3), "b": (2, 5)})
def concat_keywords(mx, S):
    return S.concat(arg1=S.Variable("b"), arg0=S.Variable("a"))


@case({f"v{i}": (2, 1 + i) for i in range(12)})
def concat_many(mx, S):
    return S.Concat(*[S.Variable(f"v{i}") for i in range(12)])


@case()
def concat_missing(mx, S):
    return S.Concat(S.Variable("a"), num_args=3, name="c")


@case({"b": (2, 3)}, {"c": "int32"})
def add_n(mx, S):
    return S.add_n(S.Variable("a"), S.Variable("b"), S.ElementWiseSum(S.Variable("c")))


@case({"a": (2, 3), "b": (2, 3)})
def stack(mx, S):
    return S.stack(S.Variable("a"), S.Variable("b"), axis=1)


@case({"x": (2, 6, 4)}, {"x": "float16"})
def slice_channel(mx, S):
    return S.SliceChannel(S.Variable("x"), num_outputs=3, axis=1, squeeze_axis=False, name="sl")


@case({"x": (4, 2, 5)})
def slice_channel_parts(mx, S):
    sl = S.split(S.Variable("x"), num_outputs=2, squeeze_axis=True)
    return S.Group([sl[1], sl["split0_output0"], sl[0] * sl[1], sl[0:2]])


@case({"a": (1, 2, 8, 8), "b": (1, 2, 5, 6)}, {"a": "float32", "b": "float32"})
def crop(mx, S):
    a, b = S.Variable("a"), S.Variable("b")
    return S.Group([S.Crop(a, b, num_args=2, name="k"), S.Crop(a, h_w=(3, 4), offset=(1, 1), num_args=1)])


@case({"x": (1, 2, 4, 5), "y": (1, 3, 4, 5)})
def upsampling(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.UpSampling(x, scale=2, sample_type="nearest", name="n"),
            S.UpSampling(x, S.Variable("y"), scale=2, sample_type="nearest", num_args=2),
            S.UpSampling(x, scale=3, sample_type="bilinear", num_filter=2, name="b"),
        ]
    )


@case({"x": (2, 3, 4, 5)})
def norms(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.LRN(x, nsize=5, alpha=1e-4, beta=0.75, knorm=2),
            S.L2Normalization(x, mode="channel"),
            S.L2Normalization(x),
            S.InstanceNorm(x, eps=0.001),
            S.InstanceNorm(x, S.Variable("g"), S.Variable("b")),
        ]
    )


@case({"x": (2, 3)})
def dropout(mx, S):
    return S.Dropout(S.Variable("x"), p=0.5)


@case({"x": (2, 4, 5)})
def shapes(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.Flatten(x),
            S.flatten(x),
            S.Reshape(x, shape=(0, -1)),
            S.reshape(x, shape=(-3, 0), reverse=True),
            S.transpose(x, axes=(0, 2, 1)),
            S.transpose(x),
            S.expand_dims(x, axis=1),
            S.slice_axis(x, axis=1, begin=1, end=None),
            S.SwapAxis(x, dim1=0, dim2=2),
            S.swapaxes(x, dim1=1, dim2=2),
            S.tile(x, reps=(2, 1, 3)),
            S.repeat(x, repeats=2, axis=1),
            S.clip(x, a_min=0, a_max=1.5),
            S.reverse(x, axis=1),
            S.flip(x, axis=0),
        ]
    )


@case({"x": (1, 2, 3, 4)})
def pad(mx, S):
    return S.Pad(S.Variable("x"), mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 4), constant_value=5)


@case({"x": (2, 4)})
def slices(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.slice(x, begin=(0, 1), end=(2, None)),
            S.slice_axis(x, axis=-1, begin=0, end=2),
            S.squeeze(S.slice_axis(x, axis=0, begin=0, end=1), axis=0),
            S.broadcast_to(S.sum(x, axis=1, keepdims=True), shape=(2, 7)),
            S.broadcast_axis(S.mean(x, axis=0, keepdims=1), axis=0, size=3),
            S.reshape_like(x, x),
            S.broadcast_like(x, x),
        ]
    )


@case({"x": (2, 4, 5)})
def reductions(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.sum(x),
            S.sum(x, axis=1),
            S.mean(x, axis=(0, 2), keepdims=True),
            S.max(x, axis=0, exclude=True),
            S.min(x),
            S.prod(x, axis=()),
            S.norm(x),
            S.norm(x, ord=1, axis=1),
            S.argmax(x, axis=1),
            S.argmin(x, axis=1, keepdims=True),
            S.sum_axis(x, axis=2),
            S.max_axis(x, axis=2),
        ]
    )


@case({"x": (2,)}, {"x": "float32"})
def cast(mx, S):
    return S.Cast(S.cast(S.Variable("x"), dtype="float16"), dtype="int32")


@case({"x": (4, 10)}, {"x": "float32"})
def losses(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.SoftmaxOutput(x, name="softmax"),
            S.SoftmaxOutput(
                x,
                S.Variable("l"),
                grad_scale=0.5,
                ignore_label=0,
                multi_output=False,
                use_ignore=True,
                normalization="valid",
            ),
            S.MakeLoss(S.sum(x), grad_scale=2),
            S.BlockGrad(x),
            S.stop_gradient(x),
            S.make_loss(x),
            S.smooth_l1(x, scalar=1.5),
            S.LinearRegressionOutput(x),
        ]
    )


@case({"x": (2, 3, 4, 5)})
def softmaxes(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.softmax(x),
            S.softmax(x, axis=1, temperature=2.0),
            S.log_softmax(x, axis=-1),
            S.SoftmaxActivation(x),
            S.SoftmaxActivation(x, mode="channel", name="prob"),
        ]
    )


@case({"a": (2, 3), "b": (4, 3)})
def dot(mx, S):
    return S.dot(S.Variable("a"), S.Variable("b"), transpose_b=True)


@case({"x": (2, 3)}, {"x": "float64"})
def unary(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            S.exp(x),
            S.log(x),
            S.sqrt(x),
            S.square(x),
            S.abs(x),
            S.sign(x),
            S.negative(x),
            S.reciprocal(x),
            S.rsqrt(x),
            S.round(x),
            S.floor(x),
            S.ceil(x),
            S.sin(x),
            S.cos(x),
            S.zeros_like(x),
            S.ones_like(x),
            S.identity(x),
            S.erf(x),
        ]
    )


@case({"a": (2, 3)}, {"a": "float32"})
def arithmetic(mx, S):
    a, b = S.Variable("a"), S.Variable("b")
    return S.Group(
        [
            a + b,
            a - b,
            a * b,
            a / b,
            a % b,
            a**b,
            a == b,
            a != b,
            a > b,
            a >= b,
            a < b,
            a <= b,
            -a,
            abs(a),
            a + 1,
            1 + a,
            a - 1,
            1 - a,
            a * 2,
            2 * a,
            a / 2,
            2 / a,
            a % 2,
            2 % a,
            a**2,
            2**a,
            a == 1,
            a != 1,
            a > 1,
            a >= 1,
            a < 1,
            a <= 1,
            1 < a,  # noqa: SIM300
        ]
    )


@case({"a": (2,)})
def numbers(mx, S):
    a = S.Variable("a")
    return S.Group([a * v for v in (1e-10, 0.1, 1 / 3, 1e22, -5, float("inf"), 10**20)])


@case({"a": (2, 3), "b": (2, 3)})
def functions(mx, S):
    a, b = S.Variable("a"), S.Variable("b")
    return S.Group(
        [
            S.maximum(a, b),
            S.maximum(a, 1),
            S.maximum(2, a),
            S.minimum(a, b),
            S.minimum(a, 1),
            S.minimum(2.5, a),
            S.pow(a, b),
            S.pow(a, 2),
            S.pow(2, a),
            S.power(a, b),
            S.broadcast_maximum(a, b),
            S.where(a > b, a, b),
        ]
    )


@case({"x": (2, 3)})
def constants(mx, S):
    return S.Group(
        [
            S.zeros((2, 3)),
            S.zeros((2, 3), dtype="int32", name="z") + S.Variable("y"),
            S.ones(3),
            S.full((2,), 3, dtype="float16"),
            S.arange(5),
            S.arange(1, 5, 2, dtype="int32", name="q"),
            S.hypot(S.Variable("x"), 2),
            S.hypot(2, S.hypot(S.Variable("x"), S.Variable("x"))),
        ]
    )


@case({"a": (2, 3), "b": (2, 1)})
def broadcast(mx, S):
    a, b = S.Variable("a"), S.Variable("b")
    return S.Group(
        [
            getattr(S, "broadcast_" + n)(a, b)
            for n in (
                "add",
                "plus",
                "sub",
                "minus",
                "mul",
                "div",
                "mod",
                "power",
                "maximum",
                "minimum",
                "equal",
                "not_equal",
                "greater",
                "lesser",
                "greater_equal",
                "lesser_equal",
                "hypot",
            )
        ]
    )


@case({"a": (2, 4), "b": (2, 4)})
def spellings(mx, S):
    a, b = S.Variable("a"), S.Variable("b")
    return S.Group(
        [
            S.elemwise_add(a, b),
            S.elemwise_sub(a, b),
            S.elemwise_mul(a, b),
            S.elemwise_div(lhs=a, rhs=b),
            S.Concat(a, b),
            S.concat(a, b),
            S.SliceChannel(a, num_outputs=1),
            S.split(a, num_outputs=1),
            S.Reshape(a, shape=(-1,)),
            S.reshape(a, shape=(-1,)),
        ]
    )


@case({"x": (2, 4, 5)})
def fluent(mx, S):
    x = S.Variable("x")
    return S.Group(
        [
            x.reshape((0, -1)),
            x.reshape(shape=(-1,)),
            x.sum(),
            x.sum(axis=1, keepdims=True),
            x.mean(axis=0),
            x.flatten(),
            x.transpose(),
            x.transpose((1, 0, 2)),
            x.expand_dims(1),
            x.squeeze(),
            x.astype("float16"),
            x.slice_axis(axis=1, begin=0, end=1),
            x.clip(0, 1),
            x.exp(),
            x.square(),
            x.abs(),
            x.max(axis=1),
            x.softmax(),
            x.tile((2, 2)),
            x.split(num_outputs=2, axis=1)[1],
            x.swapaxes(0, 1),
            x.broadcast_like(x),
            x.relu(),
            x.norm(),
        ]
    )


@case()
def names(mx, S):
    x = S.Variable("x")
    a = S.relu(S.relu(x), name="given")
    with mx.name.Prefix("net_"):
        b = S.FullyConnected(S.relu(a), num_hidden=3, name="fc") + S.Variable("own")
    with mx.name.NameManager():
        c = S.relu(b)
    return S.Group([S.relu(c), S.relu(x, name="")])


@case()
def scopes(mx, S):
    with mx.AttrScope(ctx_group="one", __x__="y", lr_mult="1"):
        x = S.Variable("x", lr_mult=3)
        y = S.Convolution(x, kernel=(3, 3), num_filter=2, attr={"__x__": "z"}, wd_mult=4)
        with mx.AttrScope(ctx_group="two"):
            z = S.relu(y, lr_mult=2)
        return z + S.Variable("w", attr={"lr_mult": "7"})


@case({"x": (1, 2, 3, 4)})
def attributes(mx, S):
    net = S.Convolution(
        S.Variable("x"),
        kernel=(3, 3),
        num_filter=2,
        attr={"kernel": "(1, 1)", "__n__": 3},
        lr_mult=2,
        __lr_mult__=3,
        __shape__="(1,)",
    )
    net._set_attr(__late__="x", force_mirroring="True")
    return net


@case({"x": (2, 3, 4)})
def own_gamma(mx, S):
    return S.LeakyReLU(S.Variable("x"), S.Variable("g"), act_type="prelu", name="p")


@case({"data": (2, 5)})
def composed(mx, S):
    a = S.FullyConnected(S.Variable("data"), num_hidden=4, name="fc1")
    b = S.FullyConnected(name="fc2", num_hidden=3)
    return b(fc2_data=a, name="both")


@case()
def composed_states(mx, S):
    m = S.Variable("m")
    a = S.BatchNorm(S.Variable("x"), moving_mean=m, name="a")
    b = S.Group([S.BatchNorm(a, moving_mean=m, name="b"), S.relu(m, name="r")])
    return S.Group([b(x=S.Variable("y")), b(m=S.Variable("n")), S.BatchNorm(S.Variable("z"), moving_mean=m, name="c")])


@case()
def composed_variable(mx, S):
    x, y = S.Variable("x"), S.Variable("y")
    return S.Group([x * y, x])(x=S.relu(y, name="r"), y=S.Variable("z"))


@case()
def copied(mx, S):
    import copy

    x = S.Variable("x")
    a = S.BatchNorm(x, name="a")
    b = copy.copy(a)
    return S.Group([a, b, copy.deepcopy(S.Group([a, x]))])


@case({"x": (2, 4)})
def internals(mx, S):
    x = S.Variable("x")
    return (S.SliceChannel(S.BatchNorm(x, name="b"), num_outputs=2, name="s")[1] + 1).get_internals()


@case({"x": (2, 3)})
def children(mx, S):
    x = S.Variable("x")
    return S.Group([x + x, S.BatchNorm(x, name="b"), x]).get_children()


@case({"x": (2,)})
def many_heads(mx, S):
    x = S.Variable("x")
    return S.Group([x + i for i in range(12)])


@case({"a": (2, 3)}, {"a": "float32"})
def same_name(mx, S):
    return S.relu(S.Variable("a") + S.Variable("a"), name="a")


@case()
def strange_names(mx, S):
    return S.relu(S.Variable('é\u4e2d"\\\n\t\r/', attr={"__k__": '"\n'}), name="")


@case()
def unnamed_variable(mx, S):
    return S.relu(S.Variable(""))


@case()
def np_shape(mx, S):
    with mx.util.np_shape(True):
        text = S.Convolution(S.Variable("x", shape=(0, 3, -1, 9)), kernel=(3, 3), num_filter=2).tojson()
    return S.load_json(text)


@case({"x": (1, 4, 6, 6)}, {"x": "float64"})
def shared(mx, S):
    w = S.Variable("w")
    x = S.Variable("x")
    a = S.Convolution(x, w, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name="a")
    return S.Deconvolution(a, w, kernel=(3, 3), pad=(1, 1), num_filter=4, name="b")


@case({"data": (64, 1, 28, 28)}, {"data": "float32"})
def lenet(mx, S):
    net = S.Variable("data")
    for n in (20, 50):
        net = S.Convolution(net, kernel=(5, 5), num_filter=n)
        net = S.Pooling(S.Activation(net, act_type="tanh"), pool_type="max", kernel=(2, 2), stride=(2, 2))
    net = S.Activation(S.FullyConnected(S.Flatten(net), num_hidden=500), act_type="tanh")
    return S.SoftmaxOutput(S.FullyConnected(net, num_hidden=10), name="softmax")


@case({"data": (2, 3, 32, 32)})
def residual(mx, S):
    def unit(x, n, s, name):
        y = S.BatchNorm(
            S.Convolution(
                x, kernel=(3, 3), stride=(s, s), pad=(1, 1), num_filter=n, no_bias=True, name=name + "_conv1"
            ),
            fix_gamma=False,
            eps=2e-5,
            momentum=0.9,
            name=name + "_bn1",
        )
        y = S.Activation(y, act_type="relu")
        y = S.Convolution(y, kernel=(3, 3), pad=(1, 1), num_filter=n, no_bias=True, workspace=256, name=name + "_conv2")
        z = S.Convolution(x, kernel=(1, 1), stride=(s, s), num_filter=n, no_bias=True, name=name + "_sc")
        return y + z

    net = unit(unit(S.Variable("data"), 8, 2, "u1"), 16, 1, "u2")
    net = S.Pooling(net, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    return S.SoftmaxOutput(S.FullyConnected(S.Flatten(net), num_hidden=10, name="fc1"), name="softmax")


@case({"data": (1, 3, 33, 35)})
def detector(mx, S):
    data = S.Variable("data")
    a = S.LeakyReLU(
        S.Convolution(data, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=8, name="c1"),
        act_type="prelu",
        name="p1",
    )
    b = S.BatchNorm(
        S.Convolution(a, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=8, num_group=8, name="c2"), name="b2"
    )
    u = S.Crop(S.UpSampling(b, scale=2, sample_type="nearest", num_args=1), a, num_args=2)
    n = S.Concat(a + u, a, dim=1)
    h = S.Convolution(n, kernel=(1, 1), num_filter=4, name="head")
    p = S.SoftmaxActivation(S.Reshape(h, shape=(0, 2, -1, 0)), mode="channel")
    return S.Group([S.Reshape(p, shape=(0, 4, -1, 0), name="cls"), h])


@case({"rand": (5, 16)}, {"rand": "float64"})
def generator(mx, S):
    net = S.Reshape(S.Variable("rand"), shape=(-1, 16, 1, 1))
    for i, n in enumerate((8, 4)):
        net = S.Deconvolution(
            net, kernel=(4, 4), stride=(2, 2), pad=(1, 1) if i else (0, 0), num_filter=n, no_bias=True, name=f"g{i}"
        )
        net = S.Activation(S.BatchNorm(net, fix_gamma=True, eps=1e-5 + 1e-12, name=f"gb{i}"), act_type="relu")
    return S.Activation(
        S.Deconvolution(net, kernel=(4, 4), target_shape=(16, 16), stride=(2, 2), num_filter=3), act_type="tanh"
    )


GENERATIONS = (800, 900, 903, 904, 10000, 10500, 10800, 20000)


def age(text, version):
    """A graph as MXNet of that version would have saved it: 800 is before 0.9, whose files say no version."""
    graph = json.loads(text)
    if version >= 10000:
        graph["attrs"]["mxnet_version"] = ["int", version]
        return json.dumps(graph, ensure_ascii=False)
    for node in graph["nodes"]:
        attrs = node.pop("attrs", {})
        attrs.pop("__init__", None)  # came with 0.9.4
        hidden = {key.strip("_"): value for key, value in attrs.items() if key.startswith("__")}
        if version == 800:
            if node["op"] != "null":
                node["param"] = {key: value for key, value in attrs.items() if not key.startswith("__")}
            node["backward_source_id"] = -1
            hidden = {key: value for key, value in hidden.items() if key in ("lr_mult", "wd_mult", "ctx_group")}
            if hidden:
                node["attr"] = hidden
            if node["op"] == "BatchNorm":
                del node["inputs"][3:]
        elif attrs:
            node["attr"] = attrs
        node["inputs"] = [edge[: 2 if version == 800 else 3] for edge in node["inputs"]]
    if version == 800:
        del graph["attrs"], graph["node_row_ptr"]
        graph["heads"] = [edge[:2] for edge in graph["heads"]]
    else:
        graph["attrs"]["mxnet_version"] = ["int", version]
    return json.dumps(graph, ensure_ascii=False)


def as_lists(value):
    """Shapes and types as JSON has them."""
    if isinstance(value, (list, tuple)):
        return [as_lists(one) for one in value]
    return value.__name__ if isinstance(value, type) else value


def attempt(function):
    """What a function gives; None where it raises MXNetError, which is MXNet's affair (see the tests of errors)."""
    try:
        return as_lists(function())
    except RuntimeError:
        return None


def describe(mx, name):
    """Everything that a Symbol says of itself, as JSON has it."""
    function, shapes, types = CASES[name]
    with mx.name.NameManager():
        net = function(mx, mx.sym)
    return {
        "json": net.tojson(),
        "name": net.name,
        "repr": repr(net),
        "arguments": net.list_arguments(),
        "states": net.list_auxiliary_states(),
        "inputs": net.list_inputs(),
        "outputs": net.list_outputs(),
        "internals": net.get_internals().list_outputs(),
        "attributes": net.attr_dict(),
        "own": net.list_attr(),
        "debug": net.debug_str(),
        "shapes": attempt(lambda: net.infer_shape_partial(**shapes)),
        "types": attempt(lambda: net.infer_type_partial(**types)),
    }
