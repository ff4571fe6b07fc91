"""Pictures of results: what other libraries take by class, and a roofline; each for light and for dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mxconv.engine.problem import ConvProblem

from .criteria import TITLES, geometric_mean, kind
from .results import OURS, Results, Row

THEMES = {
    "light": {"background": "#ffffff", "text": "#1f2328", "grid": "#d0d7de"},
    "dark": {"background": "#0d1117", "text": "#e6edf3", "grid": "#30363d"},
}
LIBRARIES = {
    "best peer": ("", "#8b949e"),
    "PyTorch": ("torch", "#d1603d"),
    "ONNX Runtime": ("onnxruntime", "#2f9e8f"),
    "OpenVINO": ("openvino", "#4c8fd6"),
    "ncnn": ("ncnn", "#b877b8"),
    "JAX": ("jax", "#d99b26"),
    "SciPy": ("scipy", "#8a9a3b"),
}
"""How the names of their plug-ins begin, and their colour."""
COLOURS = dict(zip(TITLES, ("#d1603d", "#d99b26", "#2f9e8f", "#4c8fd6", "#b877b8", "#8a9a3b", "#8b949e"), strict=True))


def means(rows: Sequence[Row], among: str) -> dict[str, tuple[float, int]]:
    """By class: how many times longer a library takes than we do, as geometric mean, and of how many shapes."""
    found = {}
    for name in TITLES:
        ratios = [r for row in rows if kind(row) == name and (r := row.ratio(among=among)) is not None]
        if ratios:
            found[name] = geometric_mean(ratios), len(ratios)
    return found


def draw_classes(results: Results, path: Path, theme: Mapping[str, str]) -> None:
    """Groups of bars, a class each: the time of every library over ours, on a logarithmic axis."""
    series = {title: means(results.rows, among) for title, (among, _) in LIBRARIES.items()}
    series = {title: values for title, values in series.items() if values}
    classes = [name for name in TITLES if any(name in values for values in series.values())]
    figure, axes = _figure(theme, (1.2 + 1.35 * max(2, len(classes)), 4.2))
    width = 0.84 / max(1, len(series))
    for place, (title, values) in enumerate(series.items()):
        at = [i + width * (place - (len(series) - 1) / 2) for i, name in enumerate(classes) if name in values]
        heights = [values[name][0] for name in classes if name in values]
        colour = LIBRARIES[title][1]
        axes.bar(at, [h - 1 for h in heights], width, bottom=1, color=colour, label=title)
        for x, height in zip(at, heights, strict=True):
            above = height >= 1
            axes.text(
                x,
                height * (1.03 if above else 0.97),
                f"{height:.2g}" if height >= 10 else f"{height:.1f}" if height >= 2 else f"{height:.2f}",
                ha="center",
                va="bottom" if above else "top",
                rotation=90,
                fontsize=6.5,
                color=theme["text"],
            )
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    tops = [value for values in series.values() for value, _ in values.values()]
    axes.set_ylim(min([0.7, *tops]) / 1.3, max([2.0, *tops]) * 1.7)
    axes.axhline(1, color=theme["text"], linewidth=0.9)
    axes.set_xticks(range(len(classes)), [f"{TITLES[name]}\n{_count(series, name)} shapes" for name in classes])
    axes.set_ylabel("time / time of mxconv (geometric mean)")
    title = f"Above 1 mxconv is faster; {results.settings['threads']} threads, {results.machine['cpu']}"
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", color=theme["grid"], linewidth=0.6)
    axes.set_axisbelow(True)
    legend = axes.legend(ncols=len(series), loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_color(theme["text"])
    figure.savefig(path, dpi=130, facecolor=theme["background"])


def _count(series: Mapping[str, Mapping[str, tuple[float, int]]], name: str) -> int:
    return max(values[name][1] for values in series.values() if name in values)


def intensity(problem: ConvProblem) -> float:
    """Operations of the plain sum for each byte that must at least be read or written."""
    sizes = [math.prod(problem.shape_of(name)) for name in "xwy"]
    return problem.flops / (problem.storage.numpy.itemsize * max(1, sum(sizes)))


def points(rows: Sequence[Row]) -> Iterator[tuple[str, float, float]]:
    """Of each float32 row that we computed: its class, its intensity, our GFLOP/s."""
    for row in rows:
        rate, problem = row.gflops(OURS), ConvProblem.parse(row.problem)
        if rate and problem.dtype == "float32":
            yield kind(row), intensity(problem), rate


def draw_roofline(results: Results, path: Path, theme: Mapping[str, str]) -> None:
    """A dot for each shape: GFLOP/s of the plain sum over its operations a byte, below what the machine has."""
    figure, axes = _figure(theme, (8.4, 4.8))
    found = list(points(results.rows))
    for name in TITLES:
        mine = [(x, y) for k, x, y in found if k == name]
        if mine:
            axes.scatter(
                *zip(*mine, strict=True), s=15, color=COLOURS[name], label=TITLES[name], alpha=0.85, linewidths=0
            )
    low, high = min((x for _, x, _ in found), default=1) / 1.5, max((x for _, x, _ in found), default=1) * 1.5
    peak = max((row.peak for row in results.rows if "float32" in row.problem), default=1e9) / 1e9
    threads = results.settings["threads"]
    axes.plot([low, high], [peak, peak], color=theme["text"], linewidth=1)
    axes.text(high, peak * 1.05, f"multiply-adds: {peak:.0f} GFLOP/s", ha="right", fontsize=8, color=theme["text"])
    speeds = {
        "L3 cache": results.machine.get("cache_bytes", 0) * threads,
        "main memory": results.machine.get("memory_bytes", 0),
    }
    for title, speed in speeds.items():
        if speed:
            end = min(high, peak * 1e9 / speed)
            if end > low:
                axes.plot([low, end], [low * speed / 1e9, end * speed / 1e9], color=theme["text"], linewidth=1, ls="--")
                where = math.sqrt(low * end)
                label = f"{title}: {speed / 1e9:.0f} GB/s"
                axes.text(where, where * speed / 1e9 * 1.1, label, ha="right", fontsize=8, color=theme["text"])
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("operations of the plain sum for each byte of data, weight and result")
    axes.set_ylabel("GFLOP/s of the plain sum")
    title = "Above the roof: Winograd and FFT need fewer operations than the plain sum"
    axes.set_title(title, fontsize=10)
    axes.grid(color=theme["grid"], linewidth=0.6)
    axes.set_axisbelow(True)
    legend = axes.legend(frameon=False, fontsize=8, loc="lower right")
    for text in legend.get_texts():
        text.set_color(theme["text"])
    figure.savefig(path, dpi=130, facecolor=theme["background"])


def _figure(theme: Mapping[str, str], size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure in the theme's colours."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=size, layout="constrained", facecolor=theme["background"])
    axes = figure.subplots()
    axes.set_facecolor(theme["background"])
    axes.tick_params(colors=theme["text"], labelsize=8)
    for item in (axes.xaxis.label, axes.yaxis.label, axes.title):
        item.set_color(theme["text"])
        item.set_fontsize(9)
    for side in axes.spines.values():
        side.set_color(theme["grid"])
    return figure, axes
