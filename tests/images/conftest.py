"""What the suite counted: how many real disks were judged, and how many of those without a fault were blocked."""

import os
import subprocess
from collections import Counter
from collections.abc import Generator

import pytest

COUNTED: Counter[str] = Counter()
"""By kind: `clean disks`, `false blocks`, `plants`…"""


def pytest_sessionstart() -> None:
    """Say at once what this suite cannot do without."""
    if os.geteuid() != 0:
        pytest.exit("tests/images installs and mounts file systems: run it as root", returncode=2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a tool that failed said."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, subprocess.CalledProcessError):
        report.sections.append(("the tool's standard error", str(call.excinfo.value.stderr)[-4000:]))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's figures to the process that says them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counted"] = dict(COUNTED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take a worker's figures."""
    COUNTED.update(getattr(node, "workeroutput", {}).get("counted", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say the figures."""
    for what, count in sorted(COUNTED.items()):
        terminalreporter.write_line(f"images: {count} {what}")
