"""A catalog for each test: its database, its reader of image events, its HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from services.catalog.handlers.image_events import apply_image_events
from services.catalog.http import routes
from shared.database.pool import Database
from tests.catalog.services import Http, Reader, copy_of, drop, make_template
from tests.catalog.states import Log


@pytest.fixture(scope="session")
def catalog_template(postgres_dsn: str) -> Iterator[tuple[str, str]]:
    name = asyncio.run(make_template(postgres_dsn, "catalog"))
    yield postgres_dsn, name
    asyncio.run(drop(postgres_dsn, name))


@pytest.fixture
async def database(catalog_template: tuple[str, str]) -> AsyncIterator[Database]:
    async with copy_of(*catalog_template, "catalog") as database:
        yield database


@pytest.fixture
def http(database: Database) -> Http:
    return Http("catalog", routes(lambda: database.pool))


@pytest.fixture
def log() -> Log:
    return Log("image-events")


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database, "image-events", apply_image_events)
