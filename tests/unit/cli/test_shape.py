"""`mxconv shape`: the arithmetic, forwards and backwards."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from mxconv import geometry


def test_convolution_forwards(mxconv: Callable) -> None:
    answer = mxconv(
        "shape", "convolution", "--data", "1,3,224,224", "kernel=7,7", "stride=2,2", "pad=3,3", "num_filter=64"
    )
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "Convolution kernel=(7,7) stride=(2,2) pad=(3,3) num_filter=64",
        "",
        "data    (1, 3, 224, 224)    (batch, channels, *spatial)",
        "weight  (64, 3, 7, 7)       (num_filter, channels/num_group, *kernel)",
        "bias    (64,)               (num_filter,)",
        "output  (1, 64, 112, 112)   (batch, num_filter, *spatial)",
        "",
        "i, o: size of data, of the output; k, s, d: kernel, stride, dilate; lo, hi: pad in front, behind",
        "",
        "height, width: 224 -> 112",
        "  dilated kernel  K = d*(k - 1) + 1 = 1*(7 - 1) + 1 = 7",
        "  output          floor((i + lo + hi - K)/s) + 1 = floor((224 + 3 + 3 - 7)/2) + 1 = 112",
    ]


def test_convolution_backwards_is_a_range(mxconv: Callable) -> None:
    answer = mxconv(
        "shape", "convolution", "--out", "1,64,112,100", "kernel=7,3", "stride=2,1", "pad=3,-1", "num_group=4"
    )
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "Convolution kernel=(7,3) stride=(2,1) pad=(3,-1) num_group=4 num_filter=64",
        "",
        "data    (1, C, 223..224, 104)   (batch, channels, *spatial)",
        "weight  (64, C/4, 7, 3)         (num_filter, channels/num_group, *kernel)",
        "bias    (64,)                   (num_filter,)",
        "output  (1, 64, 112, 100)       (batch, num_filter, *spatial)",
        "",
        "C: any multiple of num_group=4",
        "i, o: size of data, of the output; k, s, d: kernel, stride, dilate; lo, hi: pad in front, behind",
        "",
        "height: 112 <- 223..224",
        "  dilated kernel  K = d*(k - 1) + 1 = 1*(7 - 1) + 1 = 7",
        "  smallest        s*(o - 1) + K - lo - hi = 2*(112 - 1) + 7 - 3 - 3 = 223",
        "  largest         smallest + s - 1 = 223 + 2 - 1 = 224",
        "",
        "width: 100 <- 104",
        "  dilated kernel  K = d*(k - 1) + 1 = 1*(3 - 1) + 1 = 3",
        "  smallest        s*(o - 1) + K - lo - hi = 1*(100 - 1) + 3 + 1 + 1 = 104",
        "  largest         smallest + s - 1 = 104 + 1 - 1 = 104",
    ]


def test_target_shape_to_trim_to_pads(mxconv: Callable) -> None:
    answer = mxconv("shape", "Deconvolution", "--data", "1,16,8,8", "kernel=4,4", "stride=2,2", "target_shape=15,0",
                    "num_filter=8", "dilate=1,3", "pad=0,1", "adj=0,1")  # fmt: skip
    lines = answer.out.splitlines()
    assert "weight  (16, 8, 4, 4)    (channels, num_filter/num_group, *kernel)" in lines
    assert not any(line.startswith("bias") for line in lines)
    assert lines[lines.index("height: 8 -> 15") :] == [
        "height: 8 -> 15",
        "  dilated kernel  K = d*(k - 1) + 1 = 1*(4 - 1) + 1 = 4",
        "  full extent     F = s*(i - 1) + K = 2*(8 - 1) + 4 = 18",
        "  trim            T = F - target = 18 - 15 = 3",
        "  pad in front    lo = ceil(T/2) = ceil(3/2) = 2",
        "  pad behind      hi = floor(T/2) = floor(3/2) = 1",
        "  output          F - lo - hi = 18 - 2 - 1 = 15",
        "",
        "width: 8 -> 23",
        "  dilated kernel  K = d*(k - 1) + 1 = 3*(4 - 1) + 1 = 10",
        "  output          s*(i - 1) + K - lo - hi + adj = 2*(8 - 1) + 10 - 1 - 1 + 1 = 23",
    ]


def test_deconvolution_backwards_is_one_size_or_none(mxconv: Callable) -> None:
    words = (
        "shape",
        "deconvolution",
        "kernel=4,3",
        "stride=2,2",
        "pad=1,1",
        "adj=0,1",
        "layout=NHWC",
        "no_bias=0",
        "num_group=3",
    )
    answer = mxconv(*words, "--out", "2,16,18,9")
    lines = answer.out.splitlines()
    assert lines[2:6] == [
        "data    (2, 8, 9, C)     (batch, *spatial, channels)",
        "weight  (C, 4, 3, 3)     (channels, *kernel, num_filter/num_group)",
        "bias    (9,)             (num_filter,)",
        "output  (2, 16, 18, 9)   (batch, *spatial, num_filter)",
    ]
    assert "  data            (o - K + lo + hi - adj)/s + 1 = (18 - 3 + 1 + 1 - 1)/2 + 1 = 9" in lines
    answer = mxconv(*words, "--out", "2,15,18,9")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == (
        "mxconv: Deconvolution: --out (height) is 15, expected 14 or 16: no data gives 15: "
        "(o - K + lo + hi - adj)/s + 1 = (15 - 4 + 1 + 1 - 0)/2 + 1 is not a whole number. "
        "Change --out, or the parameters.\n"
    )


def test_deconvolution_backwards_from_a_target(mxconv: Callable) -> None:
    words = ("shape", "deconvolution", "kernel=4", "stride=3", "target_shape=15")
    lines = mxconv(*words, "--out", "1,8,15").out.splitlines()
    assert lines[2] == "data    (1, C, 5 or more)   (batch, channels, *spatial)"
    assert lines[-2:] == [
        "  smallest        ceil((target - K)/s) + 1 = ceil((15 - 4)/3) + 1 = 5",
        "  larger data are trimmed to the target",
    ]
    assert (
        mxconv(
            "shape", "deconvolution", "kernel=4", "stride=3", "target_shape=15", "num_filter=8", "--data", "1,2,4"
        ).status
        == 2
    )
    answer = mxconv(*words, "--out", "1,8,14")
    assert (answer.status, "target_shape makes it 15" in answer.err) == (2, True)


def test_backwards_finds_exactly_what_forwards_gives(mxconv: Callable) -> None:
    """Of all sizes up to 40, for a few parameters: just those that give `out` forwards are named backwards."""
    for k, s, d, p, out in itertools.product((1, 4), (1, 3), (1, 2), (0, 2), (1, 5)):
        parameters = f"--out=1,2,{out}", f"kernel={k}", f"stride={s}", f"dilate={d}", f"pad={p}"
        forwards = {
            "convolution": lambda i, *n: geometry.conv_out(i, *n) if i + 2 * n[-1] > n[2] * (n[0] - 1) else None,
            "deconvolution": lambda i, *n: geometry.deconv_out(i, *n) if i else None,
        }
        for op, extent in forwards.items():
            answer = mxconv("shape", op, *parameters)
            named = re.findall(r"\(1, C, (\d+)(?:\.\.(\d+))?\)", answer.out)
            sizes = [i for low, high in named for i in range(int(low), int(high or low) + 1)]
            assert sizes == [i for i in range(41) if extent(i, k, s, d, p, p) == out]
            assert answer.status == (0 if sizes else 2)


def test_any_rank_has_names(mxconv: Callable) -> None:
    lines = mxconv("shape", "convolution", "--data", "1,2,5,6,7", "kernel=1,2,3", "num_filter=4").out.splitlines()
    assert [line for line in lines if "->" in line] == ["depth: 5 -> 5", "height: 6 -> 5", "width: 7 -> 5"]
    lines = mxconv("shape", "convolution", "--data", "1,2,5,5,5,5", "kernel=1,2,1,1", "num_filter=4").out.splitlines()
    assert [line for line in lines if "->" in line] == [
        "spatial axis 0, spatial axis 2, spatial axis 3: 5 -> 5",
        "spatial axis 1: 5 -> 4",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("convolution kernel=3 num_filter=1", "--data is missing, as is --out, expected one of the two"),
        ("convolution --data 1,1,8 --out 1,1,6 kernel=3", "--data is given with --out, expected one of the two"),
        ("convolution --data 1,1,eight kernel=3 num_filter=1", "--data is '1,1,eight', expected whole numbers"),
        ("convolution --data 1,-1,8 kernel=3 num_filter=1", "--data is '1,-1,8', expected whole numbers"),
        ("convolution --data 1,1,2 kernel=3 num_filter=1", "kernel size exceed input"),
        ("convolution --data 1,3,8 kernel=3 num_filter=4 num_group=2", "expected a multiple of num_group=2"),
        ("convolution --data 1,3,8 kernel=3", "num_filter"),
        ("convolution --data 1,3,8 kernel=3 num_filter=1 stide=2", "Did you mean 'stride'?"),
        ("convolution --data 1,3,8 kernel=3 kernel=3 num_filter=1", "kernel is given twice"),
        ("convolution --data 1,3,8 kernel num_filter=1", "kernel is a lonely word, expected each parameter once"),
        ("convolution --out 1,3,0 kernel=3", "--out (width) is 0, expected at least 1: no data gives 0"),
        ("convolution --out 1,3,1 kernel=3 pad=9", "expected at least 16: no data gives 1: it takes -15 = "),
        ("convolution --out 1,3,1,1 kernel=3", "--out has 4 axes, expected 3"),
        ("convolution --out 1,3,5 kernel=3 num_filter=4", "--out has 3 channels, expected 4 as num_filter says"),
        ("deconvolution --out 1,3,5 kernel=3 stride=2 adj=2", "adj"),
        ("conv --data 1,3,8 kernel=3", "OP is 'conv', expected one of convolution, deconvolution"),
    ],
)  # fmt: skip
def test_errors_are_one_line(mxconv: Callable, words: str, says: str) -> None:
    answer = mxconv("shape", *words.split())
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err
    assert answer.err.startswith("mxconv: ")
    assert answer.err.count("\n") == 1
