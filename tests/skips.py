"""A skip not on the committed list, with its reason, fails the run: a suite that skips itself is green and proves nothing."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("skips.toml")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the list; `because` is for the reader."""

    test: str
    reason: str
    because: str

    def covers(self, nodeid: str, reason: str) -> bool:
        return nodeid.startswith(self.test) and self.reason in reason


def read_list(text: str) -> list[Allowed]:
    """Return the entries; raises `pytest.UsageError` for one that would allow anything or gives no reason."""
    entries = [Allowed(**entry) for entry in tomllib.loads(text).get("skip", [])]
    for entry in entries:
        if not (entry.test and entry.reason and entry.because):
            message = f"{LIST.name}: an entry needs test, reason and because: {entry}"
            raise pytest.UsageError(message)
    return entries


@dataclass(slots=True, eq=False)
class SkipWatch:
    """Collects the skips of a run and judges them at its end."""

    allowed: list[Allowed]
    unlisted: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure is reported as a skip, too; it is strict, so it says something.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._judge(report.nodeid, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._judge(report.nodeid, report.longrepr)

    def _judge(self, nodeid: str, longrepr: object) -> None:
        reason = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
        if not any(entry.covers(nodeid, reason) for entry in self.allowed):
            self.unlisted.append(f"{nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unlisted:
            terminalreporter.section(f"skips that are not listed in tests/{LIST.name}", red=True)
            for line in self.unlisted:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipWatch(read_list(LIST.read_text())), "skip-watch")
