"""What the suite counted: how many real disks were judged, and how many of those without a fault were blocked."""

import os
from collections import Counter

import pytest

COUNTED: Counter[str] = Counter()
"""By kind: `clean disks`, `false blocks`, `plants`…"""


def pytest_sessionstart() -> None:
    """Say at once what this suite cannot do without."""
    if os.geteuid() != 0:
        pytest.exit("tests/images installs and mounts file systems: run it as root", returncode=2)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say the figures."""
    for what, count in sorted(COUNTED.items()):
        terminalreporter.write_line(f"images: {count} {what}")
