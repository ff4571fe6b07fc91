"""Checkpoints: two files, and what is in them by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import mxconv as mx
from mxconv import model


def network() -> mx.sym.Symbol:
    x = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=2, name="c")
    return mx.sym.Deconvolution(x, kernel=(2, 2), num_filter=1, name="d")


def test_save_and_load(tmp_path: Path) -> None:
    prefix = str(tmp_path / "net")
    weight, mean = mx.nd.ones((2, 1, 3, 3), ctx=mx.cpu(1)), mx.nd.zeros((2,))
    model.save_checkpoint(prefix, 7, network(), {"c_weight": weight, "a:b": mean}, {"mean": mean})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net-0007.params", "net-symbol.json"]
    assert list(mx.nd.load(f"{prefix}-0007.params")) == ["arg:c_weight", "arg:a:b", "aux:mean"]
    symbol, args, aux = model.load_checkpoint(prefix, 7)
    assert symbol.tojson() == network().tojson()
    assert list(args) == ["c_weight", "a:b"]
    assert list(aux) == ["mean"]
    assert args["c_weight"].asnumpy().sum() == 18
    assert model.load_params(prefix, 7)[0].keys() == args.keys()


def test_epochs_and_no_symbol(tmp_path: Path) -> None:
    model.save_checkpoint(tmp_path / "net", 12345, None, {"x": mx.nd.zeros((1,))}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["net-12345.params"]
    assert list(model.load_params(tmp_path / "net", 12345)[0]) == ["x"]
    with pytest.raises(mx.MXNetError, match="No such file"):
        model.load_checkpoint(tmp_path / "net", 12345)
    with pytest.raises(mx.MXNetError, match=r"No such file.*net-0001|net-0001.*No such file"):
        model.load_params(tmp_path / "net", 1)


def test_other_arrays(tmp_path: Path) -> None:
    one = mx.nd.ones((1,))
    mx.nd.save(tmp_path / "x-0001.params", {"arg:a": one, "other:b": one})
    assert tuple(map(list, model.load_params(tmp_path / "x", 1))) == (["a"], [])
    mx.nd.save(tmp_path / "x-0002.params", {})
    assert model.load_params(tmp_path / "x", 2) == ({}, {})
    for epoch, arrays, got in ((3, {"weight": one}, "'weight'"), (4, [one], "arrays without names")):
        mx.nd.save(tmp_path / f"x-{epoch:04d}.params", arrays)
        with pytest.raises(mx.FormatError, match=rf"{got}, expected names arg:NAME or aux:NAME"):
            model.load_params(tmp_path / "x", epoch)
