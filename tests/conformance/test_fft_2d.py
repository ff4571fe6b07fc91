"""fft_2d on random problems that it accepts; its twin in NumPy; what a value that is not finite or huge reaches."""

from __future__ import annotations

import numpy as np
import pytest

from mxconv import config
from mxconv.engine import machine, trial
from mxconv.engine.algorithms.correlation import roles_of
from mxconv.engine.algorithms.fft_2d import SIZES, Fft2d, choose_tiles, tilings
from mxconv.engine.problem import ConvProblem
from mxconv.jit import target
from mxconv.jit.kernels.fft_lines import Lines, split
from mxconv.jit.numbers import Numbers

from .compare import compute, expect
from .parent import numbered, run_on_target
from .random_problems import FLOATS


@pytest.mark.parametrize(("name", "count"), [("native", 200), ("avx2", 200), ("x86-64", 200)])
def test_random_problems(name: str, count: int, environment: dict[str, str]) -> None:
    cases = numbered("fft_2d_problems", 0, count)
    outcome = run_on_target(name, cases, environment, count, algorithms="fft_2d")
    counts = outcome.count()
    for case, record in zip(outcome.cases, outcome.records, strict=True):
        counts["rank", case.problem.rank] += 1
        counts["data", case.data] += 1
        counts["tiles", "several" if record["blocks"]["pixels"] > 1 else "one"] += 1
        counts["phases", "several" if set(case.problem.stride) > {1} else "one"] += 1
        for kernel in record["kernels"]:
            counts["kernel", kernel.split("_")[2]] += 1
    wanted = [("direction", direction) for direction in ("forward", "backward_data")]
    wanted += [("dtype", dtype) for dtype in FLOATS]
    wanted += [("lanes", distance) for distance in ("1", "other")]
    wanted += [("rank", rank) for rank in (2, 3, 4)]
    wanted += [("data", data) for data in ("normal", "integers", "holes")]
    wanted += [(what, number) for what in ("tiles", "phases") for number in ("one", "several")]
    wanted += [("kernel", kind) for kind in ("shared", "columns")]
    wanted += [("epilogue", word) for word in ("scale", "bias", "add", "relu", "prelu")]
    assert counts["algorithm", "fft_2d"] == count
    few = {key: counts[key] for key in wanted if counts[key] < 8}
    assert not few, f"fewer than 8 problems each: {few} of {dict(counts)}"


# ---- the twin


def twin(p: ConvProblem, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A depthwise correlation without pads, tile by tile, in float64."""
    tiles = choose_tiles(roles_of(p), 8, 8)
    height, width = tiles.rows.size, tiles.columns.size
    half = width // 2
    # Polynomials modulo t^width + 1, as complex ones modulo t^half - i: values at the roots of i.
    roots = np.exp(2j * np.pi * (np.arange(half) + 0.25) / half)
    powers = roots[:, None] ** np.arange(half)

    def transform(tile: np.ndarray) -> np.ndarray:
        return np.fft.fft((tile[..., :half] + 1j * tile[..., half:]) @ powers.T, axis=-2)

    kernel = np.zeros((p.groups, height, width))
    for j, i in np.ndindex(*p.kernel):
        kernel[:, -j % height, -i % width] = w[:, 0, j, i] * (1 if i == 0 else -1)
    spectrum = transform(kernel)
    y = np.zeros(p.y_shape)
    rows, columns = tiles.rows.results, tiles.columns.results
    for top in range(0, p.out_spatial[0], rows):
        for left in range(0, p.out_spatial[1], columns):
            tile = np.zeros((*x.shape[:2], height, width))
            part = x[..., top : top + height, left : left + width]
            tile[..., : part.shape[-2], : part.shape[-1]] = part
            product = np.fft.ifft(transform(tile) * spectrum, axis=-2) @ np.linalg.inv(powers).T
            block = y[..., top : top + rows, left : left + columns]
            block[...] = np.concatenate([product.real, product.imag], -1)[..., : block.shape[-2], : block.shape[-1]]
    return y


@pytest.mark.parametrize("extents", ["i40x50 k7x9", "i90x33 k12x5", "i20x300 k3x31"])
def test_the_twin_and_the_kernel_agree(extents: str) -> None:
    p = ConvProblem.parse(f"forward float64 n2 g5 c5->5 {extents}")
    with config.override(block_pixels=1000):
        arrays = trial.make_arrays(p)
        exact = expect(p, arrays)
        np.testing.assert_allclose(twin(p, arrays["x"], arrays["w"]), exact, rtol=0, atol=1e-11)
        np.testing.assert_allclose(compute("fft_2d", p, arrays), exact, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_made_of_small_radices(size: int) -> None:
    for n in (size, size // 2):
        a, b = split(n)
        assert a * b == n
        assert max(a, b) <= 16
    assert Lines(Numbers.of("float32").computed, size, "rows").table().size == 2 * (size // 2 - split(size // 2)[0])


# ---- values that must not pass a transform


LINES = [
    "forward float32 n1 g20 c20->20 i30x40 k7x7 p3x3",
    "forward float32 n1 g2 c2->2 i150x140 k9x9 p4x4",
    "backward_data float32 n2 g17 c17->17 i40x30 k6x8 s2x2 p2x3 +bias",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("where", [0, 1])
def test_a_value_stays_in_its_support(line: str, value: float, where: int) -> None:
    p = ConvProblem.parse(line)
    arrays = trial.make_arrays(p)
    before = compute("fft_2d", p, arrays)
    given = arrays[p.inputs[where]]
    place = tuple(n // 2 for n in given.shape)
    changed = {**arrays, p.inputs[where]: given.copy()}
    changed[p.inputs[where]][place] = value
    after = compute("fft_2d", p, changed)
    reached = {name: np.zeros_like(a) for name, a in arrays.items()}
    reached[p.inputs[1 - where]][...] = 1
    reached[p.inputs[where]][place] = 1
    is_reached = expect(p, reached) != 0
    with np.errstate(invalid="ignore", over="ignore"):
        exact = expect(p, changed).astype(np.float32)
    if np.isfinite(value):
        np.testing.assert_allclose(after[is_reached], exact[is_reached], rtol=1e-5)
    else:
        assert not np.isfinite(after[is_reached]).any()
    difference = np.abs(after - before)[~is_reached].max()
    assert difference <= 2 * Fft2d().error(p) * exact[~is_reached].std()


def test_a_quiet_channel_does_not_hear_a_loud_one() -> None:
    p = ConvProblem.parse("forward float32 n2 g40 c40->40 i30x40 k7x7 p3x3")
    arrays = trial.make_arrays(p)
    quiet = compute("fft_2d", p, arrays)
    arrays["x"][:, 1::2] *= 1e6
    np.testing.assert_array_equal(compute("fft_2d", p, arrays)[:, 0::2], quiet[:, 0::2])


# ---- what it says of itself


@pytest.mark.parametrize(
    "line",
    [
        "g20 c20->20 i56x56 k31x31 p15x15",
        "g32 c32->32 i14x14 k27x27 p13x13",
        "g3 c3->3 i300x400 k7x7 p3x3",
        "g3 c3->3 i130x130 k101x101",
    ],
)
def test_errors_are_as_promised(line: str) -> None:
    p = ConvProblem.parse(f"forward float32 n1 {line}")
    arrays = trial.make_arrays(p)
    exact = expect(p, arrays)
    error = np.abs(compute("fft_2d", p, arrays) - exact).max() / exact.std()
    assert Fft2d().error(p) / 20 < error < Fft2d().error(p)


def test_an_axis_that_wraps_around_is_one_tile() -> None:
    p = ConvProblem.parse("forward float32 g8 c8->8 i56x56 k31x31 p15x15")
    found = {tiling.size: tiling for tiling in tilings(roles_of(p).axes[0], 56)}
    assert not found[64].is_one
    assert found[72].is_one
    assert found[72].tiles == 1
    assert found[64].results == 34


def test_neither_threads_nor_batch_choose_the_tiles() -> None:
    blocks = set()
    for n, threads in ((1, 1), (1, 4), (32, 2)):
        p = ConvProblem.parse(f"forward float32 n{n} g8 c8->8 i100x100 k9x9")
        blocks.add(Fft2d().make_plan(p, target.current(), threads).blocks["pixels"])
    assert len(blocks) == 1


def test_thrift_makes_plans_smaller() -> None:
    p = ConvProblem.parse("forward float32 g3 c3->3 i1080x1920 k31x31 p15x15")
    sizes = [Fft2d().make_plan(p, target.current(), 1, thrift).workspace_bytes for thrift in range(6)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2


def test_packing_costs_time() -> None:
    p = ConvProblem.parse("forward float32 g128 c128->128 i56x56 k31x31 p15x15")
    current = target.current()
    speeds = machine.typical("float32", current)
    kept, packed = (Fft2d().estimate(p, current, 1, speeds, packs) for packs in (False, True))
    assert kept < packed < 3 * kept
