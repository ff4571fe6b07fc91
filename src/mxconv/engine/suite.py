"""Problem files: named problems, one a line, in ConvProblem's text form.

# ResNet-50
r50_conv1: forward float32 n1 g1 c3->64 i224x224 k7x7 s2x2 p3x3   # He et al. 2015, first layer
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError, MXNetError
from .problem import ConvProblem

_LINE = re.compile(r"(?P<name>[\w.-]+)\s*:\s*(?P<problem>[^#]*?)\s*(?:#\s*(?P<comment>.*?)\s*)?")


@dataclass(frozen=True, slots=True)
class NamedProblem:
    """One line of a problem file."""

    name: str
    problem: ConvProblem
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}" + (f"  # {self.comment}" if self.comment else "")


def parse_line(line: str) -> NamedProblem:
    """Read `name: problem # comment`; a problem without a name is named by its own text.

    Raises: FormatError or ShapeError, as ConvProblem.parse.

    >>> parse_line("fir: forward float32 n1 g1 c1->1 i480 k15  # a filter").name
    'fir'
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        problem = ConvProblem.parse(line.partition("#")[0])
        return NamedProblem(str(problem), problem)
    return NamedProblem(match["name"], ConvProblem.parse(match["problem"]), match["comment"] or "")


def read_suite(path: Path) -> list[NamedProblem]:
    """The problems of a file in its order; empty lines and lines that start with # are skipped.

    Raises: FormatError, naming file and line, for a line that cannot be read or a name that comes twice.
    """
    found: dict[str, NamedProblem] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            named = parse_line(line)
        except MXNetError as error:
            raise _error(path, number, line, str(error)) from error
        if named.name in found:
            raise _error(path, number, line, f"the name {named.name!r} stands for two problems")
        found[named.name] = named
    return list(found.values())


def _error(path: Path, number: int, line: str, message: str) -> FormatError:
    return FormatError(
        f"{path.name}, line {number}: {message}",
        argument="suite",
        got=line,
        expected="name: problem # comment",
        fix="Write each problem on a line of its own, as `name: forward float32 n1 g1 c8->16 i9x9 k3x3`.",
    )
