"""The public names: what `mx` and `mx.nd` offer, listed by hand."""

from __future__ import annotations

import inspect

import mxconv as mx

NAMES = """AttrScope Context DTypeError FormatError MXNetError ParamError ShapeError UnsupportedError WorkspaceError
__version__ attribute autograd base config context cpu cpu_pinned current_context errors executor gpu init initializer
model name nd ndarray random sym symbol util visualization viz"""

SYM_NAMES = """Group Symbol Variable arange full hypot load load_json maximum minimum ones op pow power var zeros"""

SYMBOL_NAMES = """astype attr attr_dict bind debug_str entries eval expand_dims flatten get_children get_internals
infer_shape infer_shape_partial infer_type infer_type_partial list_arguments list_attr list_auxiliary_states
list_inputs list_outputs name save simple_bind squeeze tojson"""

ND_NAMES = """Convolution Deconvolution NDArray add arange array concatenate divide empty equal eye from_dlpack
from_numpy full greater greater_equal lesser lesser_equal linspace load load_frombuffer logical_and logical_or
logical_xor maximum minimum modulo multiply not_equal ones op power random save subtract to_dlpack_for_read
to_dlpack_for_write true_divide waitall zeros"""

NDARRAY_NAMES = """T abs arccos arccosh arcsin arcsinh arctan arctanh argmax argmin as_in_context as_in_ctx asnumpy
asscalar astype attach_grad backward broadcast_like broadcast_to cbrt ceil clip context copy copyto cos cosh ctx
degrees detach dot dtype exp expand_dims expm1 fix flatten flip floor grad log log10 log1p log2 log_softmax max mean
min ndim norm numpy_view one_hot ones_like pad pick prod radians rcbrt reciprocal relu repeat reshape reshape_like
rint round rsqrt shape sigmoid sign sin sinh size slice slice_axis slice_like softmax split sqrt square squeeze
storage stype sum swapaxes take tan tanh tile to_dlpack_for_read to_dlpack_for_write transpose trunc wait_to_read
writing zeros_like"""


def test_names() -> None:
    assert set(mx.__all__) == set(NAMES.split())
    assert set(mx.nd.__all__) == set(ND_NAMES.split())
    assert {name for name in dir(mx.nd.NDArray) if not name.startswith("_")} == set(NDARRAY_NAMES.split())
    assert set(mx.sym.__all__) == set(SYM_NAMES.split())
    assert {name for name in dir(mx.sym.Symbol) if not name.startswith("_")} == set(SYMBOL_NAMES.split())
    for module in (mx, mx.nd, mx.sym):
        for name in module.__all__:
            assert hasattr(module, name)
    assert mx.nd is mx.ndarray
    assert mx.sym is mx.symbol
    assert mx.init is mx.initializer
    assert mx.viz is mx.visualization
    assert mx.symbol.executor.Executor is mx.executor.Executor
    assert not hasattr(mx, "llvmlite")


def test_errors_are_caught_by_old_clauses() -> None:
    assert mx.base.MXNetError is mx.MXNetError is mx.errors.MXNetError
    assert issubclass(mx.MXNetError, RuntimeError)
    for error, builtin in (
        (mx.ParamError, ValueError),
        (mx.ShapeError, ValueError),
        (mx.FormatError, ValueError),
        (mx.DTypeError, TypeError),
        (mx.WorkspaceError, MemoryError),
    ):
        assert issubclass(error, mx.MXNetError)
        assert issubclass(error, builtin)


def test_every_public_thing_is_documented() -> None:
    things = [getattr(mx.nd, name) for name in mx.nd.__all__] + [getattr(mx, name) for name in mx.__all__[:8]]
    things += [getattr(mx.nd.NDArray, name) for name in NDARRAY_NAMES.split()]
    things += [getattr(mx.sym, name) for name in mx.sym.__all__]
    things += [getattr(mx.sym.Symbol, name) for name in SYMBOL_NAMES.split() if name != "entries"]
    undocumented = [thing for thing in things if not inspect.getdoc(thing)]
    assert not undocumented
