"""How the commands print: a console of at least 100 columns if no terminal says otherwise, plain tables, bars."""

from __future__ import annotations

import os
import sys

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

WIDTH = 100
"""Columns when the output is no terminal (a pipe, a log of CI)."""


def console(*, stderr: bool = False) -> Console:
    """A console on standard output (or error) that keeps texts as they are: no highlighting, no markup, no emoji."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def table(*headers: str) -> Table:
    """An empty table with these headers; texts wrap inside their columns, and no space is wasted."""
    rows = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header in headers:
        rows.add_column(header, overflow="fold")
    return rows


def progress() -> Progress:
    """A bar on standard error that vanishes at the end; nothing is shown where that is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
