"""Figures and their table."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_PACKAGES: Final = ("aiokafka", "faststream", "asyncpg", "pydantic", "uvloop")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: `goal` is None where nothing was promised; `held` then too."""

    what: str
    measured: str
    goal: str | None = None
    held: bool | None = None


def at_least(what: str, ratio: float, goal: float, of_what: str, detail: str) -> Figure:
    """Return the line of a ratio that should not be below `goal`."""
    return Figure(what, f"{ratio:.2f} × {of_what} ({detail})", f"≥ {goal:.2f} ×", ratio >= goal)


def settings_lines(postgres_version: str) -> list[str]:
    """Return with what this was measured."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    return [
        f"- {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared by everything measured, "
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        (
            f"- Apache Kafka (stack/kafka/pom.xml) in KRaft mode, one node, {java}; "
            f"{postgres_version}, fsync and synchronous_commit on"
        ),
    ]


def table(figures: Sequence[Figure]) -> list[str]:
    """Return the figures as a Markdown table."""
    lines = ["| what | measured | goal | held |", "|---|---|---|---|"]
    for one in figures:
        held = "" if one.held is None else ("yes" if one.held else "**no**")
        lines.append(f"| {one.what} | {one.measured} | {one.goal or ''} | {held} |")
    return lines


def write(settings: Sequence[str], figures: Sequence[Figure]) -> None:
    """Put settings and table into docs/performance.md, between its marks; what people wrote around them stays."""
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    text = TABLE.read_text() if TABLE.exists() else f"# Performance\n\n{begin}\n{end}\n"
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    TABLE.write_text(f"{head}{begin}\n" + "\n".join([*settings, "", *table(figures)]) + f"\n{end}{tail}")
