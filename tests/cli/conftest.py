"""One platform for all tests of the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from demo.image import DemoImages, build
from tests.cli.platform import PROJECT, Platform, platform_running


@pytest.fixture(scope="session")
def images() -> DemoImages:
    """Return the demo's image and its broken variants."""
    return build(PROJECT / ".cache" / "demo")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(
    servers: dict[str, str], images: DemoImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """Broker, database and the four services."""
    scratch: Path = tmp_path_factory.mktemp("platform")
    async with platform_running(servers, scratch, [images.qcow2.parent, scratch]) as running:
        yield running
