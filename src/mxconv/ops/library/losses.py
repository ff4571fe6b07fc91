"""Outputs that are losses: what they compute is a prediction, and their gradient is that of a loss against a label.

    SoftmaxOutput             p = softmax(x)          gradient p - onehot(label)         cross entropy
    LinearRegressionOutput    p = x                   gradient p - label                 half the squared error
    LogisticRegressionOutput  p = 1 / (1 + exp(-x))   gradient p - label                 cross entropy
    MAERegressionOutput       p = x                   gradient sign(p - label)           absolute error
    softmax_cross_entropy     -sum of log softmax(x)[label], an ordinary function of x

Gradients of the outputs are ignored (SoftmaxOutput's out_grad=True multiplies with it), and label has no gradient.
The regressions multiply by grad_scale / (labels of each sample).

SoftmaxOutput goes along axis 1 if multi_output, else along the last axis. Its gradient is
    (p - target) * grad_scale / norm        0 where use_ignore and label == ignore_label
with target 1 - smooth_alpha at the label, smooth_alpha / (classes - 1) elsewhere, but smooth_alpha 0 if multi_output;
norm 1 for normalization="null" (if multi_output the positions of a sample), the number of labels for "batch", of those
that are not ignore_label for "valid". A label of data's own shape is the target itself, and norm is 1.

Shapes:  data and result alike; label as data without the axis of classes (multi_output: also (N, rest)); a
         regression's has as many values as data, by default in data's shape, or (N,) for data (N, 1).
Dtypes:  as plain operators; label has data's.
Raises:  ParamError, ShapeError, DTypeError.
Source:  Apache MXNet 1.9.1, src/operator/softmax_output-inl.h, regression_output-inl.h, loss_binary_op-inl.h. Differs:
         out_grad=True multiplies with the gradient of the outputs, not with the outputs; data of three and more axes
         go along the last axis in every case, where MXNet takes everything but the first axis as classes in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ..axes import product
from ..grammar import BOOL, FLOAT, word
from ..merge import merge_shape, unify_shapes
from ..refusal import refusal, spell_shape
from ..registry import Array, Call, Shape, Step
from ..signature import Field
from .rules import define, elementwise, known, rounded, working
from .softmax import log_shares, shares
from .terms import Term
from .unary import REAL

Shapes = tuple[list[Shape], list[Shape]]
INPUTS = ("data", "label")


# ---- SoftmaxOutput


def _axis(param: Any) -> int:
    return 1 if param.multi_output else -1


def _softmax_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    data, label = unify_shapes(("data", "output"), (ins[0], outs[0])), ins[1]
    if data is None:
        return [data, label], [data]
    if len(data) < 2:
        fix = "Reshape data to (batch, classes)."
        raise refusal(ShapeError, "data", spell_shape(data), "2 axes or more", fix=fix, verb="has shape")
    axis = _axis(param) % len(data)
    usual = (*data[:axis], *data[axis + 1 :])
    flat = (data[0], product(data[2:]))
    forms = [usual, data, *([flat, (data[0], 1, *data[2:])] if param.multi_output else [])]
    if label is None:
        return [data, flat if param.multi_output else usual], [data]
    for form in forms:
        if len(form) == len(label) and all(a is None or b is None or a == b for a, b in zip(form, label, strict=True)):
            return [data, merge_shape("label", label, form)], [data]
    forms = list(dict.fromkeys(forms))
    why = f"Shape inconsistent, Expecting {' or '.join(map(spell_shape, forms))} for data {spell_shape(data)}"
    fix = "Pass one class for each position, or the target of each class."
    raise refusal(ShapeError, "label", spell_shape(label), spell_shape(forms[0]), why, fix=fix, verb="has shape")


def _softmax(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    return (rounded(shares(working(inputs[0], real=True), _axis(param)), inputs[0].dtype),)


def _softmax_backward(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    p, label = map(working, inputs)
    if p.shape == label.shape:
        return (rounded((p - label) * p.dtype.type(param.grad_scale), inputs[0].dtype),)
    axis = _axis(param) % p.ndim
    labels = np.trunc(np.expand_dims(label.reshape(*p.shape[:axis], *p.shape[axis + 1 :]), axis))
    classes = p.shape[axis]
    hit = labels == np.arange(classes).reshape(-1, *(1,) * (p.ndim - 1 - axis))
    smooth = 0 if param.multi_output else param.smooth_alpha
    target = np.where(hit, 1 - smooth, smooth / max(classes - 1, 1)).astype(p.dtype)
    norm = 1 if not param.multi_output else math.prod(p.shape[2:])
    if param.normalization == "batch":
        norm = label.size
    elif param.normalization == "valid":
        norm = max(int(np.count_nonzero(labels != math.trunc(param.ignore_label))), 1)
    result = (p - target) * p.dtype.type(param.grad_scale / norm)
    if param.use_ignore:
        result = np.where(labels == math.trunc(param.ignore_label), 0, result)
    return (rounded(result, inputs[0].dtype),)


def _softmax_gradient(step: Step[Any]) -> list[Any]:
    attrs = dict(step.param.attrs)
    result = Term(step, step.outputs[0]).call("_backward_SoftmaxOutput", Term(step, step.inputs[1]), **attrs)
    return [(result * Term(step, step.out_grads[0]) if step.param.out_grad else result).value, None]


_FIELDS = {
    "grad_scale": Field(FLOAT, "1"),
    "ignore_label": Field(FLOAT, "-1"),
    "multi_output": Field(BOOL, "False"),
    "use_ignore": Field(BOOL, "False"),
    "preserve_shape": Field(BOOL, "False"),
    "normalization": Field(word("batch", "null", "valid"), "null"),
    "out_grad": Field(BOOL, "False"),
    "smooth_alpha": Field(FLOAT, "0"),
}
define(
    "SoftmaxOutput",
    _softmax,
    inputs=INPUTS,
    fields=_FIELDS,
    infer_shape=_softmax_shapes,
    gradient=_softmax_gradient,
    aliases=("Softmax",),
    is_loss=True,
    doc="softmax, whose gradient is that of the cross entropy with label.",
)
define(
    "_backward_SoftmaxOutput",
    _softmax_backward,
    inputs=INPUTS,
    fields=_FIELDS,
    infer_shape=_softmax_shapes,
    doc="The gradient of data, from SoftmaxOutput's output and label.",
)


# ---- softmax_cross_entropy


def _entropy_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    output = merge_shape("output", outs[0], (1,), "the sum over all samples")
    data, label = ins
    if data is None:
        return [data, label], [output]
    if len(data) != 2:
        fix = "Reshape data to (batch, classes)."
        raise refusal(ShapeError, "data", spell_shape(data), "2 axes", "only accept 2D data", fix=fix, verb="has shape")
    label = merge_shape("label", label, data[:1], "data label shape mismatch: one class for each sample")
    return [(*label, data[1]), label], [output]


def _entropy(param: Any, inputs: Sequence[Array], call: Call) -> tuple[Array]:
    x, label = (working(one, real=True) for one in inputs)
    logs = log_shares(x, 1)
    places = np.clip(label.astype(np.int64), 0, x.shape[1] - 1)
    return (rounded(-logs[np.arange(len(x)), places].sum(keepdims=True), inputs[0].dtype),)


def _entropy_gradient(step: Step[Any]) -> list[Any]:
    d, x, label = (Term(step, v) for v in (step.out_grads[0], *step.inputs))
    return [(x.softmax(axis=1).call("_backward_SoftmaxOutput", label) * d.Reshape(shape=(1, 1))).value, None]


define(
    "softmax_cross_entropy",
    _entropy,
    inputs=INPUTS,
    infer_shape=_entropy_shapes,
    gradient=_entropy_gradient,
    doc="-sum of log softmax(data)[label] over all samples.",
)


# ---- regressions


def _regression_shapes(param: Any, ins: Sequence[Shape], outs: Sequence[Shape]) -> Shapes:
    data, label = unify_shapes(("data", "output"), (ins[0], outs[0])), ins[1]
    if data is not None and label is None:
        label = data[:1] if len(data) == 2 and data[1] == 1 else data
    elif known(data) and known(label) and (data[:1] != label[:1] or math.prod(data) != math.prod(label)):
        why = "Shape inconsistent: a label for each value of data, the first axis alike"
        raise refusal(ShapeError, "label", label, data, why, fix="Reshape the label.", verb="has shape")
    return [data, label], [data]


def _register_regression(name: str, link: Callable[[Array], Any], loss: Callable[[Term], Term], doc: str) -> None:
    def gradient(step: Step[Any]) -> list[Any]:
        y, label = step.outputs[0], step.inputs[1]
        factor = step.param.grad_scale / max(math.prod(label.shape[1:]), 1)
        result = loss(Term(step, y) - Term(step, step.call("reshape_like", label, y)))
        return [(result if factor == 1 else result * factor).value, None]

    elementwise(
        name,
        lambda param, x, label: link(x),
        gradient,
        real=True,
        inputs=INPUTS,
        fields={"grad_scale": Field(FLOAT, "1")},
        infer_shape=_regression_shapes,
        is_loss=True,
        doc=doc,
    )


_register_regression("LinearRegressionOutput", lambda x: x, lambda e: e, "data; its gradient is data - label.")
_register_regression(
    "MAERegressionOutput", lambda x: x, lambda e: e.sign(), "data; its gradient is sign(data - label)."
)
_register_regression(
    "LogisticRegressionOutput",
    REAL["sigmoid"][0],
    lambda e: e,
    "1 / (1 + exp(-data)); its gradient is that minus label.",
)
