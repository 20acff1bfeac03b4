"""A database of the sample service for each test, copied from one that is migrated once."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.database.pool import Database
from tests.messaging.sample import accounts, permits, states
from tests.messaging.reader import Reader

_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    dsn = os.environ["POSTGRES_DSN"]
    admin = await asyncpg.connect(dsn)
    name = "t_" + os.urandom(6).hex()
    try:
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname='t_template'"):
            await admin.execute("CREATE DATABASE t_template")
            c = await asyncpg.connect(re.sub(r"/[^/]*$", "/t_template", dsn))
            for path in (_ROOT / "shared/database/migrations/plumbing_0001.sql", Path(__file__).parent / "migrations/sample_0001.sql"):
                await c.execute(path.read_text().split("-- migrate: apply")[1].split("-- migrate: rollback")[0])
            await c.close()
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE t_template")
        database = await Database.connect(re.sub(r"/[^/]*$", f"/{name}", dsn), service="sample", topic_prefix=f"{name}.")
        try:
            yield database
        finally:
            await database.close()
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def facts(database: Database) -> Reader:
    return await Reader(database, "account-facts", accounts()).begin()


@pytest.fixture
async def requests(database: Database) -> Reader:
    return await Reader(database, "operator-requests", permits()).begin()


@pytest.fixture
async def events(database: Database) -> Reader:
    return await Reader(database, "account-events", states()).begin()
