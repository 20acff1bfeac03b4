"""A database of the sample service for each test, copied from one that is migrated once; topics of the test's own."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from shared.database.pool import Database
from shared.settings import CommonSettings
from tests.messaging.cluster import Cluster
from tests.messaging.deployment import Deployment
from tests.messaging.reader import Reader
from tests.messaging.sample import accounts, permits, states

_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def settings(servers: dict[str, str]) -> AsyncIterator[CommonSettings]:
    """Settings of a deployment of the test's own, its database made and migrated."""
    dsn = servers["POSTGRES_DSN"]
    admin = await asyncpg.connect(dsn)
    prefix = f"t{os.urandom(5).hex()}_"
    name = f"{prefix}sample"
    try:
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname='t_template'"):
            await admin.execute("CREATE DATABASE t_template")
            c = await asyncpg.connect(re.sub(r"/[^/]*$", "/t_template", dsn))
            for path in (_ROOT / "shared/database/migrations/plumbing_0001.sql", Path(__file__).parent / "migrations/sample_0001.sql"):
                await c.execute(path.read_text().split("-- migrate: apply")[1].split("-- migrate: rollback")[0])
            await c.close()
        await admin.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE t_template OWNER {name}")
        yield CommonSettings.model_validate(
            {
                "postgres_dsn": dsn,
                "kafka_bootstrap_servers": servers["KAFKA_BOOTSTRAP_SERVERS"],
                "database_prefix": prefix,
                "topic_prefix": f"{prefix}",
                "drain_timeout_s": 10,
                "log_format": "console",
                "log_level": "WARNING",
            }
        )
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE {name}")
    finally:
        await admin.close()


@pytest.fixture
async def database(settings: CommonSettings) -> AsyncIterator[Database]:
    database = await Database.connect(
        settings.service_dsn("sample"), service="sample", topic_prefix=settings.topic_prefix, connections_max=4
    )
    yield database
    await database.close()


@pytest.fixture
async def facts(database: Database) -> Reader:
    return await Reader(database, "account-facts", accounts()).begin()


@pytest.fixture
async def requests(database: Database) -> Reader:
    return await Reader(database, "operator-requests", permits()).begin()


@pytest.fixture
async def events(database: Database) -> Reader:
    return await Reader(database, "account-events", states()).begin()


@pytest.fixture
def cluster(settings: CommonSettings) -> Cluster:
    return Cluster(settings.kafka_bootstrap_servers, settings.topic_prefix)


@pytest.fixture
async def deployment(settings: CommonSettings, database: Database, cluster: Cluster) -> AsyncIterator[Deployment]:
    """A way to run sample services; whatever still runs at the end of the test is stopped."""
    await cluster.create("account-facts", "account-events", "operator-requests", "dead-letters")
    async with AsyncExitStack() as stack:
        deployment = Deployment(settings, database, cluster)
        stack.push_async_callback(deployment.stop_all)
        yield deployment
    assert asyncio.get_running_loop().is_running()
