"""Write docs/benchmarks.md and its pictures: `python benchmarks/make_docs.py [RESULTS.json ...]`.

The first file is the run over the suites; others are its companions (drawn shapes, training, new weights, float64, our
other settings). Without files, those that the page names are read again.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.criteria import CAP, TITLES, judge, rows_behind, tabulate_classes, tabulate_criteria
from harness.pictures import LIBRARIES, THEMES, draw_classes, draw_roofline, means
from harness.results import Results, Row
from harness.tasks import CLASSES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
REASONS = Path(__file__).resolve().parent / "reasons.txt"
PICTURES = {
    "classes": (draw_classes, "Bars by class of shapes: the time of other libraries over the time of mxconv"),
    "roofline": (
        draw_roofline,
        "A dot for each shape: its speed over its operations per byte, below the machine's roof",
    ),
}


def read_reasons(path: Path = REASONS) -> dict[str, str]:
    """Why a peer is faster, by the row's name.

    Raises: SystemExit, for a line without a name.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, reason = line.partition(":")
        if not colon or not reason.strip():
            raise SystemExit(f"{path.name}, line {number}: {line!r}, expected NAME: reason")
        found[name.strip()] = reason.strip()
    return found


def sources_of(page: str) -> list[Path]:
    """The results that a page was made of."""
    match = re.search(r"<!-- made of: (.*?) -->", page)
    return [ROOT / name for name in match[1].split(", ")] if match else []


def make_page(files: Sequence[Path], reasons: dict[str, str]) -> str:
    """The page, of the run over the suites and its companions."""
    main, *others = (Results.load(file) for file in files)
    names = [file.resolve().relative_to(ROOT).as_posix() for file in files]
    lines = [
        "# Benchmarks",
        "",
        f"<!-- made of: {', '.join(names)} -->",
        "Written by `python benchmarks/make_docs.py`; [how it is measured](../benchmarks/README.md). A ratio is the",
        "time of the best other library over ours: above 1 we are faster.",
        "",
        *_what(main),
        *_machine(main),
        *tabulate_criteria(judge(main)),
        *_picture("classes"),
        *_libraries(main),
        *tabulate_classes(main.rows),
        *_picture("roofline"),
        "## Where a peer is faster",
        "",
        *_behind(main.rows, reasons),
    ]
    for results, name in zip(others, names[1:], strict=True):
        lines += _companion(results, name, reasons)
    return "\n".join(lines).rstrip() + "\n"


def _what(results: Results) -> list[str]:
    """Which results these are."""
    s = results.settings
    known = {row.kind for row in results.rows}
    suites = "the suites of `benchmarks/suites/`" if known >= set(CLASSES) else f"the suite `{s['suite']}` only"
    return [
        f"These are {len(results.rows)} shapes of {suites}: {s['threads']} threads, weights constant, plain",
        f"channels-first arrays in and out, {s['rounds']} rounds in which the libraries take turns.",
        "",
    ]


def _machine(results: Results) -> list[str]:
    m = results.machine
    cells = [("CPU", f"{m['cpu']}, {m['cpus']} CPUs" + (f", target {m['target']}" if "target" in m else ""))]
    if "l2" in m:
        cells.append(("caches", f"L2 {m['l2'] / 2**20:g} MB a core, L3 {m['l3'] / 2**20:g} MB"))
    versions = [f"Python {m['python']}", *(f"{n} {m[k]}" for n, k in (("NumPy", "numpy"), ("LLVM", "llvm")) if k in m)]
    cells += [("software", f"{m['system'].split()[0]}, {', '.join(versions)}"), ("mxconv", f"at {m['revision']}")]
    peers = dict.fromkeys(v for v in results.libraries.values() if not v.startswith("mxconv"))
    cells.append(("peers", ", ".join(peers)))
    return ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in cells), ""]


def _picture(name: str) -> list[str]:
    file, alt = f"images/benchmarks-{name}", PICTURES[name][1]
    return [
        "<picture>",
        f'<source media="(prefers-color-scheme: dark)" srcset="{file}-dark.png">',
        f'<img alt="{alt}" src="{file}-light.png">',
        "</picture>",
        "",
    ]


def _libraries(results: Results) -> list[str]:
    """A table of what every library takes over ours, with the number of shapes it computed."""
    series = {title: means(results.rows, among) for title, (among, _) in LIBRARIES.items()}
    series = {title: values for title, values in series.items() if values}
    classes = [name for name in TITLES if any(name in values for values in series.values())]
    lines = [
        "Geometric means of time over ours, uncapped; in brackets the number of shapes that the library took part in.",
        "Who is far behind the best peer is timed for fewer rounds, who takes over 2 s a call not at all.",
        "",
        f"| class | {' | '.join(series)} |",
        "|---" * (len(series) + 1) + "|",
    ]
    for name in classes:
        cells = [f"{v[name][0]:.2f} ({v[name][1]})" if name in v else "" for v in series.values()]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return [*lines, "", f"Each shape counted at most {CAP:g}:", ""]


def _behind(rows: Sequence[Row], reasons: dict[str, str]) -> list[str]:
    """The rows on which a peer is faster, with all measured ratios and the reason."""
    behind = rows_behind(rows)
    if not behind:
        return ["Nowhere.", ""]
    lines = ["| shape | problem | ratio | again | best peer | reason |", "|---|---|---|---|---|---|"]
    for row in behind:
        again = ", ".join(f"{r:.2f}" for r in row.again)
        cells = [row.name, f"`{row.problem}`", f"{row.ratio():.2f}", again, row.best_peer(), reasons.get(row.name, "")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def _companion(results: Results, name: str, reasons: dict[str, str]) -> list[str]:
    """A section for another run."""
    s = results.settings
    kinds = [
        (s.get("training"), "Layers in training" + (f", batch {s['batch']}" if s.get("batch") else "")),
        (s.get("new_weights"), "Weights that are new in each call"),
        (s.get("dtype") == "float64", "float64"),
        (str(s["suite"]).startswith("drawn"), f"Shapes drawn at random, seed {str(s['suite']).partition('-')[2]}"),
        (True, "Our engine in other settings"),
    ]
    title = next(title for holds, title in kinds if holds)
    text = f"{len(results.rows)} rows of `{s['suite']}`, {s['threads']} threads, {s['rounds']} rounds: [all rows]"
    table = f"../{Path(name).with_suffix('.md').as_posix()}"
    lines = [f"## {title}", "", f"{text}({table}).", "", *tabulate_criteria(judge(results))]
    if str(s["suite"]).startswith("drawn"):
        lines += [*tabulate_classes(results.rows), *_behind(results.rows, reasons)]
    return lines


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/make_docs.py", description="Write docs/benchmarks.md.")
    parser.add_argument("results", nargs="*", type=Path, help="the run over the suites, then its companions")
    files = parser.parse_args(words).results or sources_of(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(make_page(files, read_reasons()), encoding="utf-8")
    results = Results.load(files[0])
    for name, (draw, _) in PICTURES.items():
        for theme, colours in THEMES.items():
            draw(results, PAGE.parent / "images" / f"benchmarks-{name}-{theme}.png", colours)
    print(f"wrote {PAGE.name} and {2 * len(PICTURES)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
