"""A publisher for each test: its database, and its readers without a broker."""

import pytest

from shared.database.pool import Database
from tests.conftest import OpenDatabase
from tests.publisher.world import World


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database("publisher")


@pytest.fixture
async def world(database: Database) -> World:
    return await World(database).begin()


@pytest.fixture
async def vendor(world: World) -> World:
    """A publisher that knows a vendor who may publish, and its image."""
    await world.vendor()
    return world
