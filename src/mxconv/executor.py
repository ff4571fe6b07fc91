"""`mx.executor`: graphs at work on arrays.

`Symbol.bind(ctx, args, args_grad=None, grad_req="write", aux_states=None)` binds arrays that are there: lists in the
order of `list_arguments()` and `list_auxiliary_states()`, or dicts by name. `args_grad` says where gradients go; an
argument without an array there has none. `grad_req` is 'write', 'add' or 'null', for all arguments, or for each in a
list or a dict (those missing in a dict are 'null').

`Symbol.simple_bind(ctx, grad_req="write", type_dict=None, **shapes)` makes the arrays, of zeros, from the shapes (and
types) of some variables by name; everything else is inferred.

>>> import mxconv as mx
>>> net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8, name="c")
>>> executor = net.simple_bind(mx.cpu(), data=(1, 3, 9, 9))
>>> executor.arg_dict["c_weight"][:] = 1
>>> executor.forward(is_train=True, data=mx.nd.ones((1, 3, 9, 9)))[0].shape
(1, 8, 7, 7)
>>> executor.backward(mx.nd.ones((1, 8, 7, 7)))
>>> executor.grad_dict["c_bias"][:2].asnumpy()
array([49., 49.], dtype=float32)
"""

from __future__ import annotations

from .symbol.executor import Executor

__all__ = ["Executor"]
