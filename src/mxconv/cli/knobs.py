"""`mxconv config`: the settings of mxconv.config with their values now."""

from __future__ import annotations

from .. import config
from .console import console, table


def run_config() -> None:
    """Print the table of settings."""
    rows = table("setting", "environment", "value now", "meaning")
    for knob in config.KNOBS.values():
        value = config.get(knob.name)
        shown = "unset" if value in (None, "") else str(value)
        rows.add_row(knob.name, knob.environment, shown if value == knob.default else f"{shown} (set)", knob.meaning)
    console().print(rows)
