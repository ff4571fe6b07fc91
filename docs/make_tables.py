"""Write the tables of docs/ that come from the code: `make docs`.

tests/test_docs.py notices when one is out of date. A table stands between the two comments
`<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mxconv import config, dtypes
from mxconv.ops import registry

DOCS = Path(__file__).resolve().parent


def dtype_table() -> str:
    """Every data type with how it is accumulated and what comes out."""
    rows = ["| inputs | accumulated in | result |", "|---|---|---|"]
    rows += [f"| {t.name} | {t.accumulate} | {t.result} |" for t in dtypes.DTYPES.values()]
    return "\n".join(rows) + "\n"


def operator_table() -> str:
    """Every operator that networks are made of, by what it is."""
    registry.lookup("")  # has all of them registered
    kinds: dict[str, list[str]] = {}
    for spec in {spec.name: spec for spec in registry.OPERATORS.values() if not spec.name.startswith("_")}.values():
        kinds.setdefault("layers" if spec.name[0].isupper() else "functions", []).append(spec.name)
    rows = [f"| {kind} | `{'`, `'.join(sorted(kinds[kind]))}` |" for kind in ("layers", "functions")]
    return "\n".join(["| | names |", "|---|---|", *rows]) + "\n"


TABLES: dict[str, Callable[[], str]] = {"knobs": config.table, "dtypes": dtype_table, "operators": operator_table}


def refresh(text: str) -> str:
    """A page with each of its generated tables as the code has it now.

    Raises: KeyError, for a table that nobody makes.
    """
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)",
        lambda m: f"{m[1]}{TABLES[m[2]]()}{m[3]}",
        text,
        flags=re.DOTALL,
    )


def main() -> None:
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = refresh(text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"rewrote {page.name}")


if __name__ == "__main__":
    main()
