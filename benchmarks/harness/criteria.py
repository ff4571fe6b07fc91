"""What a run must show: geometric means, shares and worst cases, each beside its limit.

A ratio is the best peer's time over ours, so above 1 we are faster. In means over the classes of suites each shape
counts at most CAP, so that a few shapes on which every peer fails do not hide the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mxconv.engine.problem import ConvProblem

from .results import OURS, Results, Row
from .tasks import CLASSES, kind_of
from .training import group_layers

CAP = 3.0
BEHIND, FAR_BEHIND = 0.95, 0.85
"""Few shapes may be under the first, none under the second."""
CHANNELS_LAST, UNTUNED = f"{OURS}_channels_last", f"{OURS}_untuned"

GROUPS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("dense 2-D and 3-D networks", ("dense_2d", "dense_3d"), 1.4),
    ("depthwise and grouped", ("depthwise_grouped",), 1.4),
    ("1-D networks", ("one_d",), 1.4),
    ("deconvolution", ("deconvolution",), 1.5),
    ("all together", CLASSES, 1.5),
)
"""Suites that are judged together, and the geometric mean that they must reach."""

TITLES = {
    "dense_2d": "dense 2-D",
    "dense_3d": "dense 3-D",
    "depthwise_grouped": "depthwise, grouped",
    "one_d": "1-D",
    "deconvolution": "deconvolution",
    "long_filters": "long filters",
    "weight_gradient": "weight gradient",
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """A number and what it must be."""

    what: str
    value: float
    limit: float
    at_least: bool = True
    percent: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """For a table: what, the number, the limit, whether it is met."""
        number, limit = (f"{v:.1%}" if self.percent else f"{v:.2f}" for v in (self.value, self.limit))
        return self.what, number, f"{'at least' if self.at_least else 'at most'} {limit}", "yes" if self.met else "NO"


def kind(row: Row) -> str:
    """The class of a row, also of one that stands in no suite of a class."""
    return row.kind or kind_of(ConvProblem.parse(row.problem))


def geometric_mean(ratios: Iterable[float], cap: float = float("inf")) -> float:
    """Of at least one ratio; each counts at most `cap`.

    >>> geometric_mean([2.0, 8.0]), geometric_mean([2.0, 8.0], 4.5)
    (4.0, 3.0)
    """
    return statistics.geometric_mean(min(r, cap) for r in ratios)


def ratios_of(rows: Iterable[Row], kinds: Sequence[str] = (), among: str = "") -> list[float]:
    """The ratios to the best peer of those rows that have one; `kinds` restricts them, `among` the peers."""
    chosen = [row for row in rows if not kinds or kind(row) in kinds]
    return [ratio for row in chosen if (ratio := row.ratio(among=among)) is not None]


def share_under(ratios: Sequence[float], limit: float) -> float:
    return sum(r < limit for r in ratios) / len(ratios)


def judge(results: Results) -> list[Criterion]:
    """What this kind of run is judged by; nothing where nobody can be compared."""
    settings = results.settings
    for is_kind, criteria in (
        (settings.get("training"), _training),
        (settings.get("new_weights"), _new_weights),
        (settings.get("dtype") == "float64", _float64),
        (str(settings["suite"]).startswith("drawn"), _drawn),
    ):
        if is_kind:
            return [*criteria(results.rows), *_variants(results.rows)]
    return [*_suites(results.rows), *_variants(results.rows)]


def _suites(rows: Sequence[Row]) -> list[Criterion]:
    found = [
        Criterion(f"{name}, geometric mean, each at most {CAP:g}", geometric_mean(ratios, CAP), limit)
        for name, kinds, limit in GROUPS
        if (ratios := ratios_of(rows, kinds))
    ]
    if ratios := ratios_of(rows, ["long_filters"]):
        found.append(Criterion("long filters, geometric mean", geometric_mean(ratios), 8.0))
    if ratios := ratios_of(rows):
        found.append(Criterion(f"share under {BEHIND}", share_under(ratios, BEHIND), 0.03, False, True))
        found.append(Criterion("the worst", min(ratios), FAR_BEHIND))
    return found


def _drawn(rows: Sequence[Row]) -> list[Criterion]:
    ratios = ratios_of(rows)
    if not ratios:
        return []
    return [
        Criterion("median", statistics.median(ratios), 1.25),
        Criterion(f"share under {BEHIND}", share_under(ratios, BEHIND), 0.05, False, True),
    ]


def _new_weights(rows: Sequence[Row]) -> list[Criterion]:
    ratios = ratios_of(rows, among="torch")
    what = "weights new in each call, PyTorch's functional call over ours, geometric mean"
    return [Criterion(what, geometric_mean(ratios), 1.3)] if ratios else []


def _float64(rows: Sequence[Row]) -> list[Criterion]:
    ratios = ratios_of(rows, among="torch")
    return [Criterion("float64, PyTorch over ours, geometric mean", geometric_mean(ratios), 3.0)] if ratios else []


def _training(rows: Sequence[Row]) -> list[Criterion]:
    ratios = [theirs / ours for ours, theirs in filter(None, (layer.pair for layer in group_layers(rows)))]
    if not ratios:
        return []
    what = "layers in training, all steps, PyTorch over ours"
    mean, worst = geometric_mean(ratios), min(ratios)
    return [Criterion(f"{what}, geometric mean", mean, 1.6), Criterion(f"{what}, the worst", worst, BEHIND)]


def _variants(rows: Sequence[Row]) -> list[Criterion]:
    """Our engine in other settings, over what it takes as it is."""
    found = []
    if slowness := _slowness(rows, CHANNELS_LAST):
        what = "channels last over channels first"
        found.append(Criterion(f"{what}, geometric mean", geometric_mean(slowness), 1.1, False))
        found.append(Criterion(f"{what}, the worst", max(slowness), 1.3, False))
    if slowness := _slowness(rows, UNTUNED):
        within = sum(s <= 1.3 for s in slowness) / len(slowness)
        found.append(Criterion("untuned over tuned, geometric mean", geometric_mean(slowness), 1.07, False))
        found.append(Criterion("untuned within 1.3 times tuned, share", within, 0.95, True, True))
    return found


def _slowness(rows: Sequence[Row], library: str) -> list[float]:
    return [ratio for row in rows if (ratio := row.ratio_to(library)) is not None]


# ---- as Markdown


def tabulate_criteria(criteria: Sequence[Criterion]) -> list[str]:
    if not criteria:
        return []
    lines = ["| criterion | measured | wanted | met |", "|---|---|---|---|"]
    return [*lines, *(f"| {' | '.join(c.cells)} |" for c in criteria), ""]


def tabulate_classes(rows: Sequence[Row]) -> list[str]:
    """A line for each class of shapes and one for all: means, median, worst, and how many are behind."""
    kinds = [k for k in TITLES if ratios_of(rows, [k])]
    if not kinds:
        return []
    lines = [
        f"| class | shapes | geometric mean, each at most {CAP:g} | uncapped | median | worst | under {BEHIND} | under "
        f"{FAR_BEHIND} | against PyTorch only, uncapped |",
        "|---" * 9 + "|",
    ]
    for name, chosen in [*((TITLES[k], [k]) for k in kinds), ("**all**", kinds)]:
        ratios, torch = ratios_of(rows, chosen), ratios_of(rows, chosen, "torch")
        numbers = [geometric_mean(ratios, CAP), geometric_mean(ratios), statistics.median(ratios), min(ratios)]
        under = [str(sum(r < limit for r in ratios)) for limit in (BEHIND, FAR_BEHIND)]
        cells = [name, str(len(ratios)), *(f"{n:.2f}" for n in numbers), *under]
        lines.append(f"| {' | '.join([*cells, f'{geometric_mean(torch):.2f}' if torch else ''])} |")
    return [*lines, ""]


def rows_behind(rows: Iterable[Row], limit: float = 1.0) -> list[Row]:
    """Those on which a peer is faster, worst first."""
    behind = [(ratio, row) for row in rows if (ratio := row.ratio()) is not None and ratio < limit]
    return [row for _, row in sorted(behind, key=lambda pair: pair[0])]


def tabulate_behind(rows: Iterable[Row], reason: Callable[[str], str]) -> list[str]:
    """The rows on which a peer is faster, each with the ratios of all its measurements and why."""
    behind = rows_behind(rows)
    if not behind:
        return ["No shape is behind the best peer.", ""]
    lines = ["| shape | ratio | measured again | best peer | reason |", "|---|---|---|---|---|"]
    for row in behind:
        again = ", ".join(f"{r:.2f}" for r in row.again)
        lines.append(f"| {row.name} | {row.ratio():.2f} | {again} | {row.best_peer()} | {reason(row.name)} |")
    return [*lines, ""]
