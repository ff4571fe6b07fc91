"""What nodes cost: the multiply-adds of each operator that has some, and the parameters."""

from __future__ import annotations

from typing import Any

import pytest

from mxconv import sym
from mxconv.engine.problem import ConvProblem
from mxconv.symbol.costs import multiply_adds, parameters
from mxconv.symbol.infer import given_shapes, infer_shapes


def counted(net: sym.Symbol, **shapes: tuple[int, ...]) -> int:
    found = infer_shapes(net.entries, given_shapes("test", net.entries, shapes))
    return multiply_adds(net.entries[0].node, found)


@pytest.mark.parametrize(
    ("net", "shapes", "count"),
    [
        (sym.Convolution(kernel=(3,), num_filter=6, num_group=2, name="c"), {"c_data": (2, 4, 7)}, 2 * 6 * 5 * 2 * 3),
        (sym.Convolution(kernel=(1, 1), num_filter=6, layout="NHWC", name="c"), {"c_data": (1, 5, 4, 3)}, 20 * 6 * 3),
        (sym.Convolution_v1(kernel=(2, 2), num_filter=1, name="c"), {"c_data": (1, 1, 3, 3)}, 4 * 4),
        (sym.Deconvolution(kernel=(4,), stride=(2,), num_filter=6, name="d"), {"d_data": (2, 3, 5)}, 2 * 5 * 3 * 6 * 4),
        (sym.FullyConnected(num_hidden=7, name="f"), {"f_data": (2, 3, 5)}, 2 * 15 * 7),
        (sym.FullyConnected(num_hidden=7, flatten=False, name="f"), {"f_data": (2, 3, 5)}, 6 * 5 * 7),
        (
            sym.UpSampling(scale=2, sample_type="bilinear", num_filter=3, num_args=2, name="u"),
            {"u_data": (1, 3, 5, 5)},
            75 * 16,
        ),
        (sym.UpSampling(scale=2, sample_type="nearest", num_args=1, name="u"), {"u_arg0": (1, 3, 5, 5)}, 0),
        (sym.dot(name="m"), {"m_lhs": (2, 3), "m_rhs": (3, 5)}, 30),
        (sym.dot(transpose_a=True, name="m"), {"m_lhs": (3, 2), "m_rhs": (3, 5)}, 30),
        (sym.batch_dot(transpose_b=True, name="m"), {"m_lhs": (4, 2, 3), "m_rhs": (4, 5, 3)}, 120),
        (sym.Pooling(kernel=(2, 2), pool_type="max", name="p"), {"p_data": (1, 3, 5, 5)}, 0),
    ],
)
def test_multiply_adds(net: sym.Symbol, shapes: dict[str, Any], count: int) -> None:
    assert counted(net, **shapes) == count


def test_without_padding_it_is_the_engines_count() -> None:
    problem = ConvProblem.parse("forward float32 n2 g2 c4->6 i9x8 k3x2 s2x1")
    net = sym.Convolution(kernel=(3, 2), stride=(2, 1), num_filter=6, num_group=2, name="c")
    assert 2 * counted(net, c_data=(2, 4, 9, 8)) == problem.flops


def test_parameters_are_what_is_learnt() -> None:
    x = sym.BatchNorm(sym.Variable("x"), name="bn")
    x = sym.LeakyReLU(sym.FullyConnected(x, sym.sqrt(sym.Variable("w")), num_hidden=3, name="fc"), act_type="prelu")
    found = [e.node.name for entry in x.get_internals().entries for e in parameters(entry.node)]
    assert found == ["bn_gamma", "bn_beta", "fc_bias", f"{x.name}_gamma"]
    assert parameters(sym.SoftmaxOutput(x, name="s").entries[0].node) == ()
