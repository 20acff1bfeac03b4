"""A catalog for each test: its database, its reader of image events, its HTTP."""

import pytest

from services.catalog.handlers.image_events import apply_image_events
from services.catalog.http import routes
from shared.database.pool import Database
from tests.catalog.services import Http, Reader
from tests.catalog.states import Log
from tests.conftest import OpenDatabase


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database("catalog")


@pytest.fixture
def http(database: Database) -> Http:
    return Http("catalog", routes(lambda: database.pool))


@pytest.fixture
def log() -> Log:
    return Log("image-events")


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database, "image-events", apply_image_events)
