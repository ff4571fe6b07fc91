"""What the documentation says is so: examples, commands, links, tables."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import mxconv

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def modules() -> Iterator[str]:
    yield "mxconv"
    for found in pkgutil.walk_packages(mxconv.__path__, "mxconv."):
        if not found.name.endswith("__main__"):
            yield found.name


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each fenced block of a language."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start(2)), match[2]


def run_doctest(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.append, clear_globs=False)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module, name):
        run_doctest(test)


@pages
def test_examples_in_pages(page: Path) -> None:
    """Blocks marked `pycon` run in order and share their names."""
    names: dict[str, object] = {}
    for line, text in blocks(page, "pycon"):
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
        assert test.examples, f"{page.name}:{line} has no example"
        run_doctest(test)
        names.update(test.globs)


@pages
def test_commands_in_pages(page: Path, tmp_path: Path) -> None:
    """Blocks marked `console` run in order; `...` in what they print stands for anything."""
    for line, text in blocks(page, "console"):
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            words = shlex.split(command, comments=True)
            assert words[0] == "mxconv", f"{page.name}:{line}: only mxconv commands can be checked, use sh for others"
            done = subprocess.run(
                [sys.executable, "-m", "mxconv", *words[1:]],
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            got = done.stdout + done.stderr
            assert doctest.OutputChecker().check_output(wanted, got, OPTIONS), f"$ {command}\n{got}"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pages
def test_links(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name} links to {target}"


def load_table_maker() -> ModuleType:
    spec = spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pages
def test_generated_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert load_table_maker().refresh(text) == text, "run `make docs`"


def test_every_knob_is_documented() -> None:
    assert mxconv.config.table() in (ROOT / "docs" / "knobs.md").read_text(encoding="utf-8")


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert f"(docs/{page.name})" in readme, f"{page.name} cannot be found from README.md"


def test_both_readmes_show_the_same_code() -> None:
    for language in ("pycon", "python", "sh", "console"):
        english, chinese = ([text for _, text in blocks(ROOT / name, language)] for name in READMES)
        assert english == chinese, f"the {language} blocks differ"


READMES = ("README.md", "README.zh-CN.md")
MACHINE = re.compile(r"/[w]ork/|/[r]oot/|/[h]ome/|\.\./[s]hared")


def test_no_path_of_one_machine() -> None:
    places = ("src", "tests", "docs", "benchmarks", "examples", "changelog.d", ".ci")
    files = [
        *ROOT.glob("*.*"),
        ROOT / "Makefile",
        *(f for place in places for f in (ROOT / place).rglob("*")),
    ]
    texts = [f for f in files if f.suffix in {".py", ".md", ".toml", ".txt", ".json", "", ".ll"} and f.is_file()]
    assert len(texts) > 50
    for file in texts:
        found = MACHINE.search(file.read_text(encoding="utf-8"))
        assert not found, f"{file.relative_to(ROOT)} has {found and found[0]}"
