"""One system for the whole suite: killing it over and over is the point."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.crash.journal import Journal
from tests.crash.traffic import Traffic
from tests.crash.world import World, running_world


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the random part goes on."""
    parser.addoption("--random-kills", type=int, default=4, help="kills at random moments under load")


SUMMARY: list[str] = []
"""What the tests have to say beside that they passed."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it."""
    for line in SUMMARY:
        terminalreporter.write_line(f"crash: {line}")


@dataclass(frozen=True, slots=True)
class Stage:
    """The system, what it said, and who talks to it."""

    world: World
    journal: Journal
    traffic: Traffic


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("crash")
    for parent in (folder, folder.parent):
        parent.chmod(0o755)
    async with running_world(folder) as world:
        journal = Journal()
        following = asyncio.create_task(journal.follow(world.stack.kafka_bootstrap_servers))
        traffic = Traffic(world.stack.kafka_bootstrap_servers, journal, world.images)
        await traffic.start()
        try:
            yield Stage(world, journal, traffic)
        finally:
            SUMMARY.append(
                f"{len(journal.heard)} records heard, {journal.repeated} of them again under the same identity; "
                f"services died {sum(world.deaths.values())} times"
            )
            await traffic.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
