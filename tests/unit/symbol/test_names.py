"""Names and attributes from the surroundings: NameManager, Prefix, AttrScope."""

from __future__ import annotations

import threading

import pytest

import mxconv as mx

S = mx.sym
X = S.Variable("x")


def test_counters_belong_to_hint_and_manager() -> None:
    with mx.name.NameManager():
        assert [S.relu(X).name, S.Flatten(X).name, S.flatten(X).name, (X + 1).name] == [
            "relu0", "flatten0", "flatten1", "_plusscalar0"
        ]  # fmt: skip
        with mx.name.NameManager():
            assert S.relu(X).name == "relu0"
        assert [S.relu(X, name="relu1").name, S.relu(X, name="").name] == ["relu1", "relu1"]


def test_prefix() -> None:
    with mx.name.Prefix("net_"):
        assert S.FullyConnected(X, num_hidden=1).list_arguments() == [
            "x", "net_fullyconnected0_weight", "net_fullyconnected0_bias"
        ]  # fmt: skip
        assert S.relu(X, name="r").name == "net_r"
        assert S.Variable("v").name == "v"


def test_own_managers() -> None:
    class Shout(mx.name.NameManager):
        def get(self, name: str | None, hint: str) -> str:
            return super().get(name, hint).upper()

    with Shout() as manager:
        assert S.relu(X).name == "RELU0"
        assert mx.name.NameManager.current is manager
        assert mx.name.NameManager.current.get(None, "a") == "A0"


def test_managers_end_after_errors() -> None:
    before = mx.name.NameManager.current
    with pytest.raises(mx.ParamError), mx.name.NameManager():
        S.Convolution(X)
    assert mx.name.NameManager.current is before


def test_threads_have_their_own() -> None:
    found = []

    def work() -> None:
        found.append((S.relu(X).name, S.Variable("v").list_attr()))

    with mx.name.Prefix("net_"), mx.AttrScope(__k__="v"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [("relu0", {})]


def test_scopes_nest() -> None:
    outer = mx.AttrScope(__a__="1", ctx_group="one")
    with outer:
        with mx.AttrScope(ctx_group="two"):
            assert S.Variable("v").list_attr() == {"__a__": "1", "__ctx_group__": "two", "ctx_group": "two"}
            assert S.Variable("v", attr={"__a__": "3"}).attr("__a__") == "3"
        assert S.relu(X).attr("ctx_group") == "one"
    assert S.relu(X).list_attr() == {}
    with outer:
        assert mx.AttrScope.current is outer
        assert outer.get({"b": "4"}) == {"__a__": "1", "ctx_group": "one", "b": "4"}


def test_scopes_take_texts_only() -> None:
    with pytest.raises(ValueError, match="Attributes need to be string"):
        mx.AttrScope(lr_mult=3)  # type: ignore[arg-type]


def test_plain_keys_are_for_variables() -> None:
    with mx.AttrScope(mood="good"):
        assert S.Variable("v").list_attr() == {"mood": "good"}
        with pytest.raises(mx.ParamError, match="Cannot find argument 'mood'"):
            S.Convolution(X, kernel=(3, 3), num_filter=2)
