"""mx.viz: what is refused, what is left out, and a real picture."""

from __future__ import annotations

import sys

import pytest

import mxconv as mx


@pytest.fixture
def net() -> mx.sym.Symbol:
    return mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=8, name="conv")


def test_both_names() -> None:
    assert mx.viz is mx.visualization


def test_what_is_no_symbol(net: mx.sym.Symbol) -> None:
    for function in (mx.viz.print_summary, mx.viz.plot_network):
        with pytest.raises(TypeError, match=r"symbol must be a Symbol, but it is str\. Pass one of mx\.sym"):
            function("net")


@pytest.mark.parametrize("function", [mx.viz.print_summary, mx.viz.plot_network])
def test_shapes_that_do_not_do(net: mx.sym.Symbol, function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="Input shape is incomplete") as caught:
        function(net, shape={"conv_bias": (8,)})
    assert isinstance(caught.value, mx.ShapeError)
    assert "expected the shapes of all inputs" in str(caught.value)
    with pytest.raises(mx.ParamError, match="image is no variable of the graph"):
        function(net, shape={"image": (1, 3, 8, 8)})
    with pytest.raises(mx.ShapeError, match="conv"):
        function(net, shape={"data": (1, 3, 2, 2)})


def test_types_that_do_not_do() -> None:
    either = mx.sym.Group([mx.sym.Variable("x"), mx.sym.Variable("y")])
    with pytest.raises(mx.DTypeError, match=r"plot_network: dtype is incomplete \(y\)"):
        mx.viz.plot_network(either, dtype={"x": "float32"})


def test_parameters_known_without_shapes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    x = mx.sym.Variable("x", shape=(0, 3, 0, 0))
    mx.viz.print_summary(mx.sym.Deconvolution(x, kernel=(2, 2), num_filter=5, no_bias="False", name="up"))
    assert f"Total params: {3 * 5 * 4 + 5}\n" in capsys.readouterr().out


def test_without_graphviz(net: mx.sym.Symbol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"requires graphviz library.*pip install graphviz"):
        mx.viz.plot_network(net)


def test_with_graphviz(net: mx.sym.Symbol) -> None:
    dot = mx.viz.plot_network(net, title="small", save_format="svg", shape={"data": (1, 3, 9, 9)})
    assert (dot.name, dot.format) == ("small", "svg")
    assert 'fillcolor="#8dd3c7"' in dot.source
    assert "conv -> data" in dot.source
    assert "3x9x9" in dot.source
    assert "conv_weight" not in dot.source


def test_namesakes_are_warned_of() -> None:
    net = mx.sym.exp(mx.sym.exp(mx.sym.Variable("x"), name="same"), name="same")
    with pytest.warns(RuntimeWarning, match="Repeated names: same") as caught:
        mx.viz.plot_network(net)
    assert caught[0].filename == __file__
