"""mx.autograd as scripts use it, against the answers of MXNet 1.9.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mxconv as mx
from mxconv import autograd, nd

NOT_IN_GRAPH = "Cannot differentiate node because it is not in a computational graph"


def variable(*values: float, **how: Any) -> Any:
    x = nd.array(values)
    x.attach_grad(**how)
    return x


def state() -> tuple[bool, bool]:
    return autograd.is_recording(), autograd.is_training()


def test_flags() -> None:
    assert state() == (False, False)
    with autograd.record():
        assert state() == (True, True)
        with autograd.pause():
            assert state() == (False, False)
            with autograd.record(train_mode=False):
                assert state() == (True, False)
        with autograd.predict_mode():
            assert state() == (True, False)
        assert state() == (True, True)
    with autograd.pause(train_mode=True):
        assert state() == (False, True)
    with autograd.train_mode():
        assert state() == (False, True)
    assert (autograd.set_recording(True), autograd.set_training(True)) == (False, False)
    assert state() == (True, True)
    assert (autograd.set_recording(False), autograd.set_training(False)) == (True, True)


def test_flags_are_restored_after_an_error_and_a_scope_may_be_used_again() -> None:
    scope = autograd.record()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), scope, scope:
            raise ZeroDivisionError
        assert state() == (False, False)


def test_train_mode_leaves_recording_alone() -> None:
    with autograd.train_mode():
        autograd.set_recording(True)
    assert state() == (True, False)
    autograd.set_recording(False)


def test_attach_grad() -> None:
    x = nd.array([[1, 2]], dtype="float64")
    assert x.grad is None
    x.attach_grad()
    assert (x.grad.shape, x.grad.dtype, x.grad.asnumpy().tolist()) == ((1, 2), np.float64, [[0, 0]])
    x.grad[:] = 5
    x.attach_grad()
    assert x.grad.asnumpy().tolist() == [[0, 0]]
    assert x.detach().grad is None
    assert x[0:1].grad is None
    with pytest.raises(KeyError, match="foo"):
        x.attach_grad("foo")
    with pytest.raises(mx.ParamError, match="stype"):
        x.attach_grad(stype="row_sparse")


@pytest.mark.parametrize(("grad_req", "grad"), [("write", [2, 2]), ("add", [9, 9]), ("null", [5, 5])])
def test_grad_req(grad_req: str, grad: list[float]) -> None:
    x, other = variable(3, 4, grad_req=grad_req), variable(1, 1)
    x.grad[:] = 5
    for _ in range(2):
        with autograd.record():
            y = x * 2 + other
        y.backward()
    assert x.grad.asnumpy().tolist() == grad


def test_attaching_takes_an_array_out_of_its_graph() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = x * 2
        y.attach_grad()
        z = y * 3
    z.backward()
    assert (x.grad.asnumpy().tolist(), y.grad.asnumpy().tolist()) == ([0, 0], [3, 3])


def test_only_null_variables() -> None:
    x = variable(1, 2, grad_req="null")
    for _ in range(2):
        with autograd.record():
            y = x * 2
        with pytest.raises(mx.MXNetError, match="There are no inputs in computation graph that require gradients"):
            y.backward()
    with pytest.raises(mx.MXNetError, match="There are no inputs in computation graph that require gradients"):
        autograd.backward([])


def test_a_variable_is_its_own_head() -> None:
    x = variable(1, 2)
    x.backward()
    assert x.grad.asnumpy().tolist() == [1, 1]


def not_recorded() -> Any:
    return variable(1, 2) * 2


def paused() -> Any:
    x = variable(1, 2)
    with autograd.record():
        y = x * 2
        with autograd.pause():
            return y * 2


def detached() -> Any:
    x = variable(1, 2)
    with autograd.record():
        return (x * 2).detach()


def of_constants() -> Any:
    with autograd.record():
        return nd.ones((2,)) * 2


@pytest.mark.parametrize("head", [not_recorded, paused, detached, of_constants])
def test_what_is_in_no_graph(head: Any) -> None:
    y = head()
    with pytest.raises(mx.MXNetError, match=NOT_IN_GRAPH) as caught:
        y.backward()
    assert caught.value.argument == "heads"
    assert "retain_graph=True" in caught.value.fix


def test_heads() -> None:
    x = variable(1, 2)
    with autograd.record():
        y, z = x * 2, x * 3
    autograd.backward([y, z], [nd.array([1, 10]), None])
    assert x.grad.asnumpy().tolist() == [5, 23]
    with autograd.record():
        y, z = x * 2, x * 3
    y.backward(nd.array([7, 8]))
    assert x.grad.asnumpy().tolist() == [14, 16]
    with pytest.raises(AssertionError, match="heads and head_grads must be lists of the same length"):
        autograd.backward([z], [None, None])
    with pytest.raises(mx.ShapeError, match="shape"):
        z.backward(nd.ones((3,)))
    with pytest.raises(mx.DTypeError, match="float64"):
        z.backward(nd.ones((2,), dtype="float64"))
    with pytest.raises(AttributeError, match=r"nd\.array"):
        z.backward(np.ones(2, np.float32))
    z.backward()  # none of those freed the graph


def test_mark_variables() -> None:
    x, w = nd.array([1, 2]), nd.array([3, 4])
    dx, dw = nd.array([7, 7]), nd.array([7, 7])
    autograd.mark_variables([x, w], [dx, dw], ["write", "add"])
    with autograd.record():
        y = x * w
    y.backward()
    assert (dx.asnumpy().tolist(), dw.asnumpy().tolist()) == ([3, 4], [8, 9])
    assert x.grad is dx
    autograd.mark_variables(x, dx, "null")
    with pytest.raises(mx.ShapeError, match="Backward shape inconsistent with the forward shape"):
        autograd.mark_variables(x, nd.ones((3,)))
    with pytest.raises(KeyError):
        autograd.mark_variables(x, dx, "foo")


def test_grad_leaves_the_attached_arrays_alone() -> None:
    x, w = variable(1, 2), variable(3, 4)
    with autograd.record():
        y = x * w
        h = x * 2
        z = h * h
    grads = autograd.grad(y, [x, w], head_grads=nd.array([1, 10]))
    assert [one.asnumpy().tolist() for one in grads] == [[3, 40], [1, 20]]
    (dh,) = autograd.grad(z, h, retain_graph=True)  # beyond MXNet: any array of the graph
    assert dh.asnumpy().tolist() == [4, 8]
    (dx,) = autograd.grad(z, x)
    assert dx.asnumpy().tolist() == [8, 16]
    assert x.grad.asnumpy().tolist() == [0, 0]


def test_grad_refuses_what_is_no_variable() -> None:
    x, other, null = variable(1, 2), variable(3, 4), variable(1, 1, grad_req="null")
    constant = nd.array([1, 2])
    with autograd.record():
        y = x * constant * null
    with pytest.raises(mx.MXNetError, match="2-th variable because it is unreachable from the outputs"):
        autograd.grad(y, [x, other])
    for one in (constant, null, nd.ones((2,))):
        with pytest.raises(mx.MXNetError, match="1-th variable because it does not require gradient"):
            autograd.grad(y, [one])
    with pytest.raises(AssertionError, match="variables cannot be an empty list"):
        autograd.grad(y, [])


# ---- higher orders


def test_derivatives_of_every_order() -> None:
    x = variable(0.5, -1, 2)
    with autograd.record():
        y = nd.exp(x) * x
    for order in range(5):
        np.testing.assert_allclose(y.asnumpy(), np.exp(x.asnumpy()) * (x.asnumpy() + order), rtol=1e-5)
        (y,) = autograd.grad(y, [x], create_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), np.exp(x.asnumpy()) * (x.asnumpy() + 6), rtol=1e-5)


def test_gradients_of_gradients_within_a_loss() -> None:
    x = variable(1, 2)
    with autograd.record():
        y = x * x * x
        (dx,) = autograd.grad(y, x, create_graph=True)
        penalty = (dx * dx).sum()  # 9 x^4
    penalty.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), 36 * np.array([1.0, 8.0]))


def test_head_gradients_are_differentiated_too() -> None:
    x, v = variable(1, 2), variable(3, 4)
    with autograd.record():
        y = x * x
        (product,) = autograd.grad(y, x, head_grads=v, create_graph=True)  # 2 x v
    product.backward()
    assert v.grad.asnumpy().tolist() == [2, 4]
    assert x.grad.asnumpy().tolist() == [6, 8]


def test_both_operators_twice() -> None:
    """For y = conv(x, w) the second derivative of sum(y^2)/2 in the direction v is conv_T(conv(v, w), w)."""
    rng = np.random.default_rng(3)
    for op, shape in (("Convolution", (4, 3, 3)), ("Deconvolution", (3, 4, 3))):
        x, w = nd.array(rng.normal(size=(2, 3, 9))), nd.array(rng.normal(size=shape))
        v = nd.array(rng.normal(size=x.shape))
        call = getattr(nd, op)
        attributes = {"kernel": 3, "num_filter": 4, "stride": 2, "no_bias": True}
        x.attach_grad()
        with autograd.record():
            y = call(x, w, **attributes)
            (dx,) = autograd.grad((y * y).sum() / 2, x, create_graph=True)
            product = (dx * v).sum()
        product.backward()
        u = call(v, w, **attributes)
        v.attach_grad()
        with autograd.record():
            y = call(v, w, **attributes)
        y.backward(u)
        np.testing.assert_allclose(x.grad.asnumpy(), v.grad.asnumpy(), rtol=1e-4, atol=1e-4)


# ---- in place


def test_writing_to_arrays_of_the_graph() -> None:
    x, constant, free = variable(1, 2), nd.array([1, 1]), nd.array([1, 1])
    with autograd.record():
        y = x * constant
        for array in (x, constant, y, y[0:1]):
            with pytest.raises(mx.MXNetError, match="Assigning to NDArrays that are already in a computational graph"):
                array[:] = 3
        with pytest.raises(mx.MXNetError, match="Assigning to NDArrays"):
            x += 1
        with pytest.raises(mx.MXNetError, match="Assigning to NDArrays"):
            nd.relu(y, out=y)
        with autograd.pause():
            constant[:] = 4
        free[:] = 5
        free += 1
    y.backward()
    assert x.grad.asnumpy().tolist() == [4, 4]
    with autograd.record():
        constant[:] = 3  # backward freed the graph that it was part of


def test_operations_in_place_cannot_be_recorded() -> None:
    x, c = variable(1, 2), nd.array([1, 1, 1])
    with autograd.record():
        with pytest.raises(mx.MXNetError, match="Inplace operations"):
            c[1:3] = x
        d = c[0:2]
        with pytest.raises(mx.MXNetError, match="Inplace operations"):
            d += x
        with pytest.raises(mx.MXNetError, match="Inplace operations"):
            nd.elemwise_add(x, d, out=d)
    assert c.asnumpy().tolist() == [1, 1, 1]


def test_outputs_may_be_given_while_recording() -> None:
    x, out = variable(1, -2), nd.zeros((2,))
    with autograd.record():
        assert nd.relu(x * 2, out=out) is out
        y = out * 3
    y.backward()
    assert x.grad.asnumpy().tolist() == [6, 0]


# ---- the methods that only hand values on


def test_copies_and_casts() -> None:
    x = variable(1, 2)
    with autograd.record():
        copies = [x.copy(), x.astype("float64").astype("float32"), x.as_in_context(mx.cpu(1)), nd.array(x)]
    for scale, one in enumerate(copies, 1):
        one.backward(nd.array([1, 10]) * scale)
        assert x.grad.asnumpy().tolist() == [scale, 10 * scale]
    target = nd.zeros((2,), dtype="float64")
    with autograd.record():
        x.copyto(target)
    target.backward()
    assert x.grad.asnumpy().tolist() == [1, 1]


# ---- errors say everything


def _cases() -> dict[str, Any]:
    x, constant = variable(1, 2), nd.array([1, 2])
    with autograd.record():
        y = x * constant
    return {
        "no graph": lambda: nd.ones((2,)).backward(),
        "no variable": lambda: autograd.backward([]),
        "constant": lambda: autograd.grad(y, constant),
        "unreachable": lambda: autograd.grad(y, variable(1)),
        "shape": lambda: y.backward(nd.ones((3,))),
        "dtype": lambda: y.backward(nd.ones((2,), dtype="float64")),
        "stype": lambda: x.attach_grad(stype="csr"),
        "mark": lambda: autograd.mark_variables(x, nd.ones((3,))),
        "write": lambda: y.__setitem__(0, 1),
        "in place": lambda: nd.elemwise_add(x, constant.detach(), out=constant.detach()),
    }


@pytest.mark.parametrize("case", _cases())
def test_errors_say_who_what_and_how(case: str) -> None:
    with autograd.record(), pytest.raises(mx.MXNetError) as caught:
        _cases()[case]()
    error, text = caught.value, str(caught.value)
    for part in (error.op, error.argument, str(error.got), str(error.expected), error.fix):
        assert part
        assert part in text
