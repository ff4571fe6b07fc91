"""The suites: their networks are the published ones, and no shape counts twice. Drawn shapes: by seed and number."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest

from harness.arguments import SUITES
from harness.drawn import LARGEST, WORK, draw_problem, draw_suite, main
from harness.measure import objection
from harness.tasks import CLASSES, Task, adapt, kind_of, read_tasks
from mxconv.engine.problem import ConvProblem
from mxconv.engine.suite import NamedProblem, parse_line, read_suite

FILES = [SUITES / f"{name}.txt" for name in CLASSES]
Layers = dict[str, list[tuple[int, ConvProblem]]]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return read_tasks(FILES)


@pytest.fixture(scope="module")
def networks(tasks: list[Task]) -> Layers:
    """Each network's distinct convolutions, with how often it has them."""
    found: Layers = {}
    for task in tasks:
        for use in task.named.comment.split("; "):
            match = re.fullmatch(r"x(\d+) (.+)", use)
            assert match, f"{task.name}: {use!r} does not say how often which network has it"
            found.setdefault(match[2], []).append((int(match[1]), task.problem))
    return found


def test_every_shape_stands_there_once_and_can_be_compared(tasks: list[Task]) -> None:
    counts = Counter(str(task.problem) for task in tasks)
    assert [text for text, count in counts.items() if count > 1] == []
    assert [task.name for task in tasks if objection(task.problem)] == []
    assert {task.kind for task in tasks} == set(CLASSES)
    assert {task.problem.batch for task in tasks} >= {1, 8, 32}
    channels = {n for task in tasks for n in (task.problem.in_channels, task.problem.out_channels)}
    assert channels >= {3, 10, 21, 28, 50, 1000}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_lines_are_written_as_they_are_printed(file) -> None:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == [str(row) for row in read_suite(file)]


# Parameters of published implementations, without classifiers (1000 classes) and normalisation.
RESNET_50 = 25_557_032 - 2_049_000 - 2 * 26_560
EFFICIENTNET_SE = 636_540


@pytest.mark.parametrize(
    ("network", "convolutions", "weights"),
    [
        ("ResNet-18", 20, 11_689_512 - 513_000 - 2 * 4_800),
        ("ResNet-50", 53, RESNET_50),
        ("ResNeXt-50 32x4d", 53, 25_028_904 - 2_049_000 - 2 * 34_112),
        ("VGG-16", 13, 14_714_688 - 4_224),
        ("MobileNet-V2", 52, 3_504_872 - 1_281_000 - 2 * 17_056),
        ("EfficientNet-B0", 49, 5_288_548 - 1_281_000 - 2 * 21_008 - EFFICIENTNET_SE),
        ("ConvNeXt-T", 58, 28_589_128 - 769_000 - 41_184 - 6_624 - 2 * (6_624 + 96 + 672 + 768)),
        ("Inception-v3", 94, 23_834_568 - 2_049_000 - 2 * 17_216),
        ("YOLOv3", 75, 61_949_149 - 2 * (27_069 - 3 * 255) - 3 * 255),
        ("C3D", 8, 27_653_184),
        ("3-D U-Net", 18, 19_069_955 - 2_339),
        ("DCGAN", 5, 3_574_784),
    ],
)
def test_the_networks_have_their_weights(networks: Layers, network: str, convolutions: int, weights: int) -> None:
    layers = networks[network]
    assert sum(count for count, _ in layers) == convolutions
    assert sum(count * math.prod(p.w_shape) for count, p in layers) == weights


@pytest.mark.parametrize("name", ["ResNet-50", "ResNeXt-50 32x4d", "VGG-16"])
def test_the_networks_have_their_multiply_adds(networks: Layers, name: str) -> None:
    published = {
        "ResNet-50": 4_089_184_256 - 2_048_000,
        "ResNeXt-50 32x4d": 4_230_479_872 - 2_048_000,
        "VGG-16": 15_346_630_656,
    }
    macs = sum(count * math.prod(p.w_shape) * math.prod(p.out_spatial) for count, p in networks[name])
    assert macs == published[name]


def test_a_name_stands_for_one_row(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("same: forward float32 n1 g1 c1->1 i5 k3")
    with pytest.raises(SystemExit, match=r"b\.txt: the name 'same' stands in another file"):
        read_tasks([tmp_path / "a.txt", tmp_path / "b.txt"])


def test_rows_in_another_type_and_batch() -> None:
    task = Task("one_d", parse_line("a: forward float32 n2 g1 c3->4 i9 k3 +bias  # x1 A"))
    (changed,) = adapt([task], dtype="float64", batch=7)
    assert str(changed.named) == "a: forward float64 n7 g1 c3->4 i9 k3 +bias  # x1 A"
    assert changed.kind == "one_d"
    assert adapt([task]) == [task]
    task = Task("dense_2d", parse_line("a: forward float32 n1 g1 c3->4 i9x9 k3x3"))
    assert str(adapt([task], batch=32)[0].problem) == "forward float32 n32 g1 c3->4 i9x9 k3x3"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("backward_weight float32 n1 g1 c1->1 i5 k3", "weight_gradient"),
        ("backward_data float32 n1 g3 c3->3 i5x5 k3x3", "deconvolution"),
        ("forward float32 n1 g1 c1->1 i5 k3", "one_d"),
        ("forward float32 n1 g1 c1->1 i500 k200", "long_filters"),
        ("forward float32 n1 g1 c1->1 i5x5 k3x3", "dense_2d"),
        ("forward float32 n1 g1 c1->1 i5x5x5 k3x3x3", "dense_3d"),
    ],
)
def test_a_problem_of_no_suite_has_a_class(text: str, kind: str) -> None:
    assert kind_of(ConvProblem.parse(text)) == kind


# ---- drawn shapes


def test_a_drawn_shape_depends_on_seed_and_number_only() -> None:
    assert draw_suite(5, 1) == draw_suite(9, 1)[:5]
    assert [p.problem for p in draw_suite(9, 1)] != [p.problem for p in draw_suite(9, 2)]
    assert draw_suite(3, 4)[2] == NamedProblem("drawn4_2", draw_problem(4, 2))


def test_drawn_shapes_are_of_every_kind_and_bounded() -> None:
    drawn = [named.problem for named in draw_suite(300, 1)]
    assert all(objection(p) == "" and WORK[0] <= p.flops <= WORK[1] for p in drawn)
    assert all(4 * math.prod(p.shape_of(name)) <= LARGEST for p in drawn for name in "xwy")
    for values, least in (
        ([p.direction for p in drawn], {"forward": 150, "backward_data": 45, "backward_weight": 12}),
        ([p.rank for p in drawn], {1: 45, 2: 120, 3: 30}),
        ([p.batch for p in drawn], {1: 120, 8: 30, 32: 12}),
        ([p.kernel[0] for p in drawn], {1: 24, 3: 90, 5: 15, 7: 9}),
        ([p.stride[0] for p in drawn], {1: 180, 2: 30, 3: 1, 4: 1}),
        ([p.dilation[0] > 1 for p in drawn], {True: 9}),
        ([p.groups > 1 for p in drawn], {True: 45, False: 150}),
        ([p.in_channels % 16 > 0 for p in drawn], {True: 60, False: 100}),
        ([p.pad_lo != p.pad_hi for p in drawn], {True: 3}),
        ([p.kernel[0] >= 16 for p in drawn], {True: 3}),
    ):
        counts = Counter(values)
        assert {key: counts[key] for key in least if counts[key] < least[key]} == {}


def test_drawn_shapes_are_printed_as_a_suite(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    main(["4", "--seed", "11"])
    text = capsys.readouterr().out
    assert text.startswith("# 4 drawn shapes, seed 11\n")
    (tmp_path / "drawn.txt").write_text(text)
    assert read_suite(tmp_path / "drawn.txt") == draw_suite(4, 11)
    main(["1"])
    assert re.match(r"# 1 drawn shapes, seed \d+\n", capsys.readouterr().out)
