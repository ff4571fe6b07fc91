"""fft_flat on random problems that it accepts; its twin in NumPy; what a value that is not finite or huge reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import trial
from mxconv.engine.algorithms.correlation import roles_of
from mxconv.engine.algorithms.fft_flat import FftFlat
from mxconv.engine.algorithms.flat_line import FlatLine, cut_line, flat_line
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target

from .compare import compare, compute, expect
from .parent import numbered, run_on_target
from .random_problems import FLOATS


@pytest.mark.parametrize(("name", "count"), [("native", 150), ("avx2", 100), ("x86-64", 100)])
def test_random_problems(name: str, count: int, environment: dict[str, str]) -> None:
    cases = numbered("fft_flat_problems", 0, count)
    outcome = run_on_target(name, cases, environment, count, algorithms="fft_flat")
    counts = outcome.count()
    for case, record in zip(outcome.cases, outcome.records, strict=True):
        p = case.problem
        counts["rank", p.rank] += 1
        counts["data", case.data] += 1
        counts["blocks", "several" if record["blocks"]["pixels"] > p.batch * p.groups else "one"] += 1
        counts["phases", "several" if set(p.stride) > {1} else "one"] += 1
        counts["taps", "all" if roles_of(p).all_taps == math.prod(p.kernel) else "some out of reach"] += 1
    wanted = [("direction", direction) for direction in ("forward", "backward_data")]
    wanted += [("dtype", dtype) for dtype in FLOATS]
    wanted += [("lanes", distance) for distance in ("1", "other")]
    wanted += [("rank", rank) for rank in (2, 3, 4)]
    wanted += [("data", data) for data in ("normal", "integers", "holes")]
    wanted += [(what, number) for what in ("blocks", "phases") for number in ("one", "several")]
    wanted += [("epilogue", word) for word in ("scale", "bias", "add", "relu", "prelu")]
    assert counts["algorithm", "fft_flat"] == count
    few = {key: counts[key] for key in wanted if counts[key] < 3}
    assert not few, f"fewer than 3 problems each: {few} of {dict(counts)}"


# ---- the twin


def twin(p: ConvProblem, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A correlation forward, block by block of the line, in float64."""
    line, blocks = flat_line(roles_of(p)), cut_line(p, target.current())
    half, pitches = blocks.half, np.array(line.pitches)
    # Polynomials modulo t^(2*half) + 1, as complex ones modulo t^half - i: values at the roots of i.
    turned = np.exp(0.5j * np.pi * np.arange(half) / half)

    def transform(block: np.ndarray) -> np.ndarray:
        return np.fft.fft((block[..., :half] + 1j * block[..., half:]) * turned)

    def flat(image: np.ndarray, room: int, origin: int = 0) -> np.ndarray:
        out = np.zeros((*image.shape[:2], room))
        for place in np.ndindex(*image.shape[2:]):
            out[..., origin + pitches @ place] = image[(..., *place)]
        return out

    taps = np.zeros((*w.shape[:2], 2 * half))
    for tap in np.ndindex(*p.kernel):
        offset = np.array(tap) * p.dilation - p.pad_lo
        if all(-n < at < extent for n, at, extent in zip(p.out_spatial, offset, p.in_spatial, strict=True)):
            taps[..., pitches @ offset - line.first] = w[(..., *tap)]
    samples = flat(x, blocks.blocks * blocks.outputs + 2 * half - line.first, -line.first)
    results = np.zeros((*p.y_shape[:2], blocks.blocks * blocks.outputs))
    for first in range(0, results.shape[-1], blocks.outputs):
        spectra = transform(samples[..., first : first + 2 * half])
        sums = np.einsum("bcf,ocf->bof", spectra, transform(taps).conj())
        values = np.fft.ifft(sums) / turned
        own = np.concatenate([values.real, values.imag], -1)
        results[..., first : first + blocks.outputs] = own[..., : blocks.outputs]
    y = np.zeros(p.y_shape)
    for place in np.ndindex(*p.out_spatial):
        y[(..., *place)] = results[..., pitches @ place]
    return y


@pytest.mark.parametrize("extents", ["i19x17 k7x5 p3x2", "i30x33 k4x5 d3x2 p5x0", "i9x8x10 k3x1x6 p1x0x3"])
@pytest.mark.parametrize("limit", [None, 200])
def test_the_twin_and_the_kernel_agree(extents: str, limit: int | None) -> None:
    p = ConvProblem.parse(f"forward float64 n2 g1 c3->5 {extents}")
    with config.override(block_pixels=limit):
        arrays = trial.make_arrays(p)
        exact = expect(p, arrays)
        np.testing.assert_allclose(twin(p, arrays["x"], arrays["w"]), exact, rtol=0, atol=1e-11)
        np.testing.assert_allclose(compute("fft_flat", p, arrays), exact, rtol=0, atol=1e-11)


def test_neighbouring_rows_share_their_zeros_and_so_do_both_ends() -> None:
    line = flat_line(roles_of(ConvProblem.parse("forward float32 n1 g1 c2->2 i19x19 k11x11 p5x5")))
    assert line == FlatLine(pitches=(24, 1), first=-125, taps=251, samples=451, results=451)
    assert line.results_of(576) == 451
    assert line.results_of(575) == 575 - 250


def test_taps_that_reach_no_sample_do_not_lengthen_the_filter() -> None:
    p = ConvProblem.parse("forward float32 n1 g1 c2->2 i10x10 k13x13 d2x2 p12x12")
    axis = roles_of(p).axes[0]
    assert list(axis.phases[0].taps.offsets) == list(range(-8, 9, 2))


# ---- errors, and values that must not pass a transform


LINES = [
    "forward float32 n2 g1 c300->8 i19x19 k7x7 p3x3",
    "forward float32 n1 g2 c6->8 i80x75 k9x9 d2x2 p8x8 +bias",
    "backward_data float32 n1 g1 c5->12 i31x30 k9x11 s2x2 p2x3",
    "forward float32 n1 g1 c10->4 i12x13x14 k5x5x5 p2x2x2",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_as_promised(line: str, dtype: str) -> None:
    p = ConvProblem.parse(line.replace("float32", dtype))
    arrays = trial.make_arrays(p)
    exact = expect(p, arrays)
    unit = 1.0 if dtype == "float32" else 2 * 2**-29  # twice, as the oracle rounds just as often
    assert np.abs(compute("fft_flat", p, arrays) - exact).max() <= FftFlat().error(p) * unit * exact.std()


@pytest.mark.parametrize("huge", [np.nan, np.inf, -3e38])
@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("line", LINES[1:3])
def test_a_huge_value_reaches_its_own_results_only(line: str, where: int, huge: float) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    given = arrays[p.inputs[where]]
    given[tuple(n // 2 for n in given.shape)] = huge
    with np.errstate(invalid="ignore", over="ignore"):
        exact = expect(p, arrays)
        allowed = 2e-4 + 1e-6 * np.where(np.isfinite(exact), np.abs(exact), 0)
        compare(compute("fft_flat", p, arrays), exact, p, line, allowed, finite=False)


def test_a_silent_channel_block_and_sample_stay_silent() -> None:
    p = ConvProblem.parse("forward float32 n2 g1 c2->3 i300x40 k5x5 p2x2")
    arrays = trial.make_arrays(p)
    arrays["x"][...] = 0
    arrays["x"][1, 0, 150, 20] = 1
    with config.override(block_pixels=500):
        out = compute("fft_flat", p, arrays)
    assert np.abs(out - expect(p, arrays)).max() < 1e-6 * np.abs(arrays["w"]).max()
    assert np.count_nonzero(out[0]) == np.count_nonzero(out[1, :, :80]) == np.count_nonzero(out[1, :, 220:]) == 0


def test_neither_pieces_nor_the_batch_change_bits() -> None:
    """Asked for thrift, columns are taken in more and smaller pieces; a sample alone is a smaller batch."""
    p = ConvProblem.parse("forward float32 n3 g2 c10->8 i40x30 k7x7 p3x3")
    arrays = trial.make_arrays(p)
    outs, sizes = [], []
    for thrift in (0, 7, 9):
        plan = FftFlat().make_plan(p, target.current(), 2, thrift)
        out = trial.make_result(p)
        plan.run({**arrays, "y": out})
        outs.append(out)
        sizes.append(plan.workspace_bytes)
    assert sizes[0] > sizes[1] > sizes[2]
    alone = ConvProblem.parse(str(p).replace("n3", "n1"))
    parts = [compute("fft_flat", alone, {**arrays, "x": arrays["x"][n : n + 1].copy()}) for n in range(3)]
    for other in (*outs[1:], np.concatenate(parts)):
        np.testing.assert_array_equal(outs[0], other)
