"""A launcher for each test: its database, its readers without a broker, its HTTP."""

import pytest

from services.launcher.http import routes
from shared.database.pool import Database
from tests.catalog.services import Http
from tests.conftest import OpenDatabase
from tests.launcher.desk import Desk


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database("launcher")


@pytest.fixture
async def desk(database: Database) -> Desk:
    """A launcher that knows the accounts of the tests."""
    desk = Desk(database)
    await desk.know_accounts()
    return desk


@pytest.fixture
def http(database: Database) -> Http:
    return Http("launcher", routes(lambda: database.pool))
