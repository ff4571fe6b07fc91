"""Results as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .criteria import judge, tabulate_behind, tabulate_classes, tabulate_criteria
from .results import OURS, Entry, Results, Row
from .training import describe_layers, group_layers, tabulate

FASTER, SLOWER = "#2a78b5", "#c8553d"
MOST_NAMES = 12
"""Rows that are named for one reason."""
MOST_BARS = 120
"""Rows in a picture: more can be neither read nor stored well."""


def to_markdown(results: Results) -> str:
    """All rows: ours against the best peer, then every library's median, then who took no part in which row and why."""
    settings, machine = results.settings, results.machine
    how = "".join(
        f", {text}"
        for text, holds in (
            (f"{settings.get('dtype')}", settings.get("dtype")),
            (f"batch {settings.get('batch')}", settings.get("batch")),
            ("weights new in each call", settings.get("new_weights")),
        )
        if holds
    )
    lines = [
        f"# {settings['suite']}{how}",
        "",
        f"{machine['cpu']}, {settings['threads']} threads, {machine['system']}, Python {machine['python']}, "
        f"mxconv at {machine['revision']}. "
        f"{settings['rounds']} alternating rounds, {'cold' if settings['sweep'] else 'warm'} caches; "
        "milliseconds are medians of all samples (p25-p75). "
        "GFLOP/s counts two for each multiply-add on a real sample. Ratio: the best peer's time over ours; direct: the "
        "same of the best peer that uses neither Winograd's nor Fourier's transform.",
        "",
        *[f"* {name}: {version}" for name, version in results.libraries.items()],
        "",
        *tabulate_criteria(judge(results)),
        *_layers(results),
        *tabulate_classes(results.rows),
        *tabulate_behind(results.rows, lambda _: ""),
        "| row | algorithm | ours ms | GFLOP/s | % of peak | first call ms | best peer | its ms | ratio | direct |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(_row, results.rows),
        "",
        *_medians(results),
        "",
        *_absences(results.rows),
    ]
    return "\n".join(lines) + "\n"


def _layers(results: Results) -> list[str]:
    """Of a run in training: its layers as wholes."""
    if not results.settings.get("training"):
        return []
    layers = group_layers(results.rows)
    return [
        "Weights change from call to call: nothing made of them is kept. Milliseconds are sums of the steps' medians; "
        "ratios are theirs over ours, above 1 we are faster.",
        "",
        *describe_layers(layers),
        "",
        *tabulate(layers, _digits),
        "",
    ]


def _row(row: Row) -> str:
    ours, peer = row.entries.get(OURS), row.best_peer()
    cells = [row.name, *[""] * 9]
    if ours is not None and ours.median is not None:
        rate = row.gflops(OURS) or 0.0
        cells[1:6] = [
            str(ours.info.get("algorithm", "")),
            _time(ours),
            f"{rate:.1f}",
            f"{1e11 * rate / row.peak:.0f}",
            f"{(ours.prepare or 0) + (ours.first_call or 0):.1f}",
        ]
    elif ours is not None:
        cells[2] = ours.status
    if peer is not None:
        cells[6:8] = [peer, _time(row.entries[peer])]
    for place, ratio in ((8, row.ratio()), (9, row.ratio(direct=True))):
        if ratio is not None:
            cells[place] = f"{ratio:.2f}"
    return f"| {' | '.join(cells)} |"


def _time(entry: Entry) -> str:
    return f"{_digits(entry.median)} ({_digits(entry.p25)}-{_digits(entry.p75)})"


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _medians(results: Results) -> list[str]:
    names = list(dict.fromkeys(name for row in results.rows for name in row.entries))
    lines = ["Medians in ms, every library:", "", f"| row | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in results.rows:
        cells = [row.entries.get(n) for n in names]
        texts = ["" if e is None else _digits(e.median) if e.median is not None else e.status for e in cells]
        lines.append(f"| {row.name} | {' | '.join(texts)} |")
    return lines


def _absences(rows: Iterable[Row]) -> list[str]:
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for name, entry in row.entries.items():
            if entry.status != "timed":
                reasons.setdefault((name, entry.status, entry.reason), []).append(row.name)
    if not reasons:
        return []
    lines = [f"* {n}, {status} ({_some(where)}): {why}" for (n, status, why), where in sorted(reasons.items())]
    return ["Not timed:", "", *lines]


def _some(names: Sequence[str]) -> str:
    """Those names, or the first ones and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MOST_NAMES])} and {more} more"


def draw(results: Results, path: Path) -> None:
    """A bar for each row: the best peer's time over ours, on a logarithmic axis; right of 1 we are faster. Of many rows
    those with the smallest ratios."""
    from matplotlib.figure import Figure

    rows = [(row, ratio) for row in results.rows if (ratio := row.ratio()) is not None]
    measured = len(rows)
    if measured > MOST_BARS:
        rows = sorted(rows, key=lambda pair: pair[1])[:MOST_BARS]
    figure: Any = Figure(figsize=(9, 1.2 + 0.22 * max(1, len(rows))), layout="constrained")
    axes = figure.subplots()
    values = [ratio for _, ratio in rows]
    colours = [FASTER if v >= 1 else SLOWER for v in values]
    axes.barh(range(len(rows)), [v - 1 for v in values], left=1, height=0.7, color=colours)
    for place, (row, ratio) in enumerate(rows):
        axes.text(max(ratio, 1) * 1.03, place, f"{ratio:.2f}  {row.best_peer()}", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [row.name for row, _ in rows], fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axvline(1, color="black", linewidth=0.8)
    low, high = min([*values, 0.5]), max([*values, 2.0])
    axes.set_xlim(low / 1.2, high * 2.5)
    axes.set_xlabel("time of the best peer / time of mxconv (right of 1: mxconv is faster)")
    title = f"{results.settings['suite']}, {results.settings['threads']} threads, {results.machine['cpu']}"
    if measured > MOST_BARS:
        title += f"; the {MOST_BARS} smallest of {measured} ratios"
    axes.set_title(title, fontsize=9)
    figure.savefig(path, dpi=120)
