"""`mx.init`: how parameters begin. An initializer fills an array by what its name ends in.

| name ends in | is filled with |
|--------------|----------------|
| weight       | what the initializer is for |
| bias, beta, moving_mean, moving_avg, moving_inv_var, min | 0 |
| gamma, moving_var, max | 1 |

A variable that was made with `init=` carries the initializer's text in its attributes, and that decides alone.

>>> import mxconv as mx
>>> Normal(0.5).dumps()
'["normal", {"sigma": 0.5}]'
>>> bias = mx.nd.ones((3,))
>>> Xavier()(InitDesc("fc_bias"), bias)
>>> bias.asnumpy()
array([0., 0., 0.], dtype=float32)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from .ndarray.ndarray import NDArray
from .ops import randomness


class InitDesc(str):
    """The name of an array that is to be filled, with the attributes of its variable.

    `global_init` is the initializer for the parts of it that have none of their own.
    """

    attrs: Mapping[str, str]
    global_init: Initializer | None

    def __new__(
        cls, name: str, attrs: Mapping[str, str] | None = None, global_init: Initializer | None = None
    ) -> InitDesc:
        self = super().__new__(cls, name)
        self.attrs, self.global_init = attrs or {}, global_init
        return self


class Initializer:
    """Base of initializers; one of your own overrides `_init_weight` and is made known by `register`.

    The keyword arguments are what `dumps` writes and `create` gives to the class again.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._kwargs = kwargs

    def dumps(self) -> str:
        """The initializer as text, as variables carry it."""
        return json.dumps([type(self).__name__.lower(), self._kwargs])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Initializer):
            return NotImplemented
        return type(self) is type(other) and self.dumps() == other.dumps()

    def __hash__(self) -> int:
        return hash(self.dumps())

    def __call__(self, desc: str, arr: NDArray) -> None:
        """Fill an array that is so called: an InitDesc, or just a name.

        Raises: TypeError; ValueError, for a name that says nothing or a shape that does not suit.
        """
        if not isinstance(desc, str):
            raise TypeError(f"name must be string, got {desc!r:.60}")
        if not isinstance(arr, NDArray):
            raise TypeError(f"arr must be NDArray, got {type(arr).__name__}")
        if isinstance(desc, InitDesc):
            desc.global_init = desc.global_init or self
            if desc.attrs.get("__init__"):
                create(desc.attrs["__init__"])._init_weight(desc, arr)
                return
        elif desc.startswith("upsampling"):
            Bilinear()._init_weight(desc, arr)
            return
        for ending, method in self._BY_ENDING.items():
            if desc.endswith(ending):
                getattr(self, method)(desc, arr)
                return
        self._init_default(desc, arr)

    _BY_ENDING: ClassVar[dict[str, str]] = {
        "weight": "_init_weight",
        "bias": "_init_bias",
        "gamma": "_init_gamma",
        "beta": "_init_beta",
        "moving_mean": "_init_zero",
        "moving_var": "_init_one",
        "moving_inv_var": "_init_zero",
        "moving_avg": "_init_zero",
        "min": "_init_zero",
        "max": "_init_one",
    }

    def _init_weight(self, name: str, arr: NDArray) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} does not say how a weight is filled, as {name} is to be: Must override it. Define "
            "_init_weight(self, name, arr) in the class, or use an initializer such as mx.init.Xavier()."
        )

    def _init_zero(self, name: str, arr: NDArray) -> None:
        arr[:] = 0.0

    def _init_one(self, name: str, arr: NDArray) -> None:
        arr[:] = 1.0

    _init_bias = _init_beta = _init_zero
    _init_gamma = _init_one

    def _init_default(self, name: str, arr: NDArray) -> None:
        raise ValueError(
            f"Unknown initialization pattern for {name}. Names end in one of {', '.join(self._BY_ENDING)}. Please use "
            "mx.sym.Variable(init=mx.init.*) to set initialization pattern"
        )


# ---- by name

K = TypeVar("K", bound="type[Initializer]")
_REGISTRY: dict[str, type[Initializer]] = {}


def register(klass: K) -> K:
    """Make a class known under its name in lower case."""
    return alias(klass.__name__)(klass)


def alias(*names: str) -> Callable[[K], K]:
    """A decorator that makes a class known under these names."""

    def known(klass: K) -> K:
        assert issubclass(klass, Initializer), "Can only register subclass of Initializer"
        _REGISTRY.update({name.lower(): klass for name in names})
        return klass

    return known


def create(initializer: Any, *args: Any, **kwargs: Any) -> Initializer:
    """The initializer of that name or text; an Initializer gives itself.

    >>> create('["uniform", {"scale": 0.1}]') == Uniform(0.1)
    True

    Raises: AssertionError, for a name that is not registered; ValueError, for a text that cannot be read.
    """
    if isinstance(initializer, Initializer):
        if args or kwargs:
            raise AssertionError("initializer is already an instance. Additional arguments are invalid")
        return initializer
    assert isinstance(initializer, str), f"initializer must be of string type, got {initializer!r:.60}"
    if initializer.startswith("["):
        read = json.loads(initializer)
        if len(read) != 2 or not isinstance(read[0], str) or not isinstance(read[1], dict):
            raise ValueError(
                f'initializer is {initializer!r:.60}, expected a text such as ["normal", {{"sigma": 0.1}}]'
            )
        initializer, kwargs = read
    klass = _REGISTRY.get(initializer.lower())
    assert klass is not None, f"{initializer} is not registered. Please register with initializer.register first"
    return klass(*args, **kwargs)


# ---- the initializers


@register
@alias("zeros")
class Zero(Initializer):
    """Weights of 0."""

    _init_weight = Initializer._init_zero


@register
@alias("ones")
class One(Initializer):
    """Weights of 1."""

    _init_weight = Initializer._init_one


@register
class Constant(Initializer):
    """Weights of one value, or from an array of their shape."""

    def __init__(self, value: Any) -> None:
        self.value = value.asnumpy() if isinstance(value, NDArray) else np.asarray(value)
        super().__init__(value=value if np.isscalar(value) else self.value.tolist())

    def _init_weight(self, name: str, arr: NDArray) -> None:
        arr[:] = self.value


@register
class Uniform(Initializer):
    """Weights from -scale to scale, all equally likely."""

    def __init__(self, scale: float = 0.07) -> None:
        super().__init__(scale=scale)
        self.scale = scale

    def _init_weight(self, name: str, arr: NDArray) -> None:
        arr[:] = randomness.generator().uniform(-self.scale, self.scale, arr.shape)


@register
class Normal(Initializer):
    """Weights from a normal distribution with mean 0 and standard deviation sigma."""

    def __init__(self, sigma: float = 0.01) -> None:
        super().__init__(sigma=sigma)
        self.sigma = sigma

    def _init_weight(self, name: str, arr: NDArray) -> None:
        arr[:] = randomness.generator().normal(0, self.sigma, arr.shape)


@register
class Orthogonal(Initializer):
    """Weights whose rows (or columns) are orthogonal, of length scale.

    Source: Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.
    """

    def __init__(self, scale: float = 1.414, rand_type: str = "uniform") -> None:
        super().__init__(scale=scale, rand_type=rand_type)
        self.scale, self.rand_type = scale, rand_type

    def _init_weight(self, name: str, arr: NDArray) -> None:
        shape = (arr.shape[0], math.prod(arr.shape[1:]))
        if self.rand_type == "uniform":
            matrix = randomness.generator().uniform(-1, 1, shape)
        elif self.rand_type == "normal":
            matrix = randomness.generator().normal(0, 1, shape)
        else:
            raise ValueError(f"rand_type is {self.rand_type!r}, expected 'uniform' or 'normal'")
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        arr[:] = self.scale * (u if u.shape == shape else v).reshape(arr.shape)


@register
class Xavier(Initializer):
    """Weights scaled by the number of inputs ("in"), outputs ("out") or their mean ("avg"), for equal variances.

    With n that number, "uniform" ones are within sqrt(magnitude / n), "gaussian" ones have that standard deviation.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    def __init__(self, rnd_type: str = "uniform", factor_type: str = "avg", magnitude: float = 3) -> None:
        super().__init__(rnd_type=rnd_type, factor_type=factor_type, magnitude=magnitude)
        self.rnd_type, self.factor_type, self.magnitude = rnd_type, factor_type, float(magnitude)

    def _init_weight(self, name: str, arr: NDArray) -> None:
        if arr.ndim < 2:
            raise ValueError(
                f"Xavier initializer cannot be applied to vector {name}. It requires at least 2D, got {arr.shape}"
            )
        taps = math.prod(arr.shape[2:])
        fans: dict[str, float] = {"in": arr.shape[1] * taps, "out": arr.shape[0] * taps}
        fans["avg"] = (fans["in"] + fans["out"]) / 2
        if self.factor_type not in fans:
            raise ValueError(f"Incorrect factor type {self.factor_type!r}, expected 'avg', 'in' or 'out'")
        scale = math.sqrt(self.magnitude / fans[self.factor_type])
        if self.rnd_type == "uniform":
            arr[:] = randomness.generator().uniform(-scale, scale, arr.shape)
        elif self.rnd_type == "gaussian":
            arr[:] = randomness.generator().normal(0, scale, arr.shape)
        else:
            raise ValueError(f"Unknown random type {self.rnd_type!r}, expected 'uniform' or 'gaussian'")


@register
class MSRAPrelu(Xavier):
    """Gaussian weights with magnitude 2 / (1 + slope**2), for leaky ReLU of that slope.

    Source: He et al., "Delving Deep into Rectifiers", 2015.
    """

    def __init__(self, factor_type: str = "avg", slope: float = 0.25) -> None:
        super().__init__("gaussian", factor_type, 2 / (1 + slope**2))
        self._kwargs = {"factor_type": factor_type, "slope": slope}


@register
class Bilinear(Initializer):
    """Weights of a Deconvolution that enlarges by linear interpolation along both axes."""

    def _init_weight(self, name: str, arr: NDArray) -> None:
        if arr.ndim != 4:
            raise ValueError(f"Bilinear cannot be applied to {name} of shape {arr.shape}, expected 4 axes")
        half = math.ceil(arr.shape[3] / 2)
        centre = (2 * half - 1 - half % 2) / (2 * half)
        rows, columns = (1 - np.abs(np.arange(size) / half - centre) for size in arr.shape[2:])
        arr[:] = np.broadcast_to(np.outer(rows, columns), arr.shape)


@register
class LSTMBias(Initializer):
    """A bias of 0, but forget_bias for the forget gate, the second of an LSTM's four."""

    def __init__(self, forget_bias: float = 1.0) -> None:
        super().__init__(forget_bias=forget_bias)
        self.forget_bias = forget_bias

    def _init_weight(self, name: str, arr: NDArray) -> None:
        gate = arr.shape[0] // 4
        arr[:] = 0.0
        arr[gate : 2 * gate] = self.forget_bias


class Mixed:
    """The first initializer whose pattern, a regular expression, matches the beginning of the array's name.

    >>> import mxconv as mx
    >>> x = mx.nd.zeros((2,))
    >>> Mixed([".*bias", ".*"], [One(), Uniform(0.1)])("fc_bias", x)
    """

    def __init__(self, patterns: Sequence[str], initializers: Sequence[Initializer]) -> None:
        assert len(patterns) == len(initializers), "as many patterns as initializers are expected"
        self.map = [(re.compile(one), initializer) for one, initializer in zip(patterns, initializers, strict=True)]

    def __call__(self, name: str, arr: NDArray) -> None:
        for pattern, initializer in self.map:
            if pattern.match(name):
                initializer(name, arr)
                return
        raise ValueError(f'Parameter name {name} did not match any pattern. Consider adding a ".*" pattern at the end')
