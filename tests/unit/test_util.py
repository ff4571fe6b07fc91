"""mx.util's np_shape and mx.context."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest

import mxconv as mx
from mxconv.util import is_np_shape, np_shape, set_np_shape, use_np_shape


def test_np_shape_blocks_nest_and_end_with_errors() -> None:
    assert not is_np_shape()
    with np_shape(True):
        with np_shape(False):
            assert not is_np_shape()
        assert is_np_shape()
    with pytest.raises(KeyError), np_shape():
        raise KeyError
    assert not is_np_shape()


def test_np_shape_decorates() -> None:
    @np_shape(True)
    def count(depth: int) -> bool:
        return is_np_shape() and (depth == 0 or count(depth - 1))

    @use_np_shape
    def once() -> bool:
        return is_np_shape()

    assert count(3)
    assert once()
    assert not is_np_shape()


def test_set_np_shape_returns_the_previous_value() -> None:
    assert set_np_shape(True) is False
    try:
        assert is_np_shape()
    finally:
        assert set_np_shape(False) is True


def test_np_shape_belongs_to_the_thread() -> None:
    seen = []
    with np_shape(True):
        thread = threading.Thread(target=lambda: seen.append(set_np_shape(False)), name="other")
        thread.start()
        thread.join()
        assert is_np_shape()


def test_contexts_are_values() -> None:
    assert mx.cpu() == mx.cpu(0) == mx.Context("cpu") == mx.Context(mx.cpu(0))
    assert mx.cpu(1) != mx.cpu(0)
    assert mx.cpu() != mx.gpu()
    assert mx.cpu() != "cpu(0)"
    assert len({mx.cpu(1), mx.cpu(1), mx.gpu(1)}) == 2
    assert [str(c) for c in (mx.cpu(), mx.gpu(3), mx.cpu_pinned(1))] == ["cpu(0)", "gpu(3)", "cpu_pinned(1)"]
    assert repr(mx.cpu(2)) == "cpu(2)"
    context = mx.cpu(2)
    assert (context.device_type, context.device_typeid, context.device_id) == ("cpu", 1, 2)
    assert copy.deepcopy(context) == pickle.loads(pickle.dumps(context)) == context
    assert mx.context.num_gpus() == 0
    with pytest.raises(KeyError):
        mx.Context("foo")


def test_current_context() -> None:
    shared = mx.cpu(1)
    assert mx.current_context() == mx.cpu(0)
    with shared:
        with mx.cpu(2), shared:
            assert mx.current_context() == mx.cpu(1)
        assert mx.current_context() == mx.cpu(1)
    assert mx.current_context() == mx.cpu(0)
    with mx.gpu(), pytest.raises(mx.MXNetError, match=r"GPU is not enabled: got the context gpu\(0\).*ctx=mx.cpu\(\)"):
        mx.nd.zeros((1,))
