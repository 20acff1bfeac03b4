"""A database of the sample service for each test, copied from one that is migrated once; topics of the test's own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from shared.database.migrate_job import migrate_all
from shared.database.pool import Database
from shared.settings import CommonSettings
from tests.conftest import as_database
from tests.messaging.cluster import Cluster
from tests.messaging.deployment import Deployment
from tests.messaging.reader import Reader
from tests.messaging.sample import accounts, permits, states

_MIGRATION = Path(__file__).parent / "migrations" / "sample_0001.sql"


@pytest.fixture(scope="session")
def sample_prefix(postgres_dsn: str) -> Iterator[str]:
    """Yield the prefix of the sample service's database, migrated; tests use it one after the other."""
    prefix = f"t{os.urandom(4).hex()}_"
    settings = CommonSettings.model_validate({"postgres_dsn": postgres_dsn, "database_prefix": prefix})
    name = f"{prefix}sample"

    async def make() -> None:
        await migrate_all(settings, services=["sample"])
        connection = await asyncpg.connect(as_database(postgres_dsn, name))
        await connection.execute(f'SET ROLE "{name}"')
        await connection.execute(_MIGRATION.read_text().split("-- migrate: apply")[1].split("-- migrate: rollback")[0])
        await connection.close()

    async def remove() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.execute(f'DROP ROLE "{name}"')
        await connection.close()

    asyncio.run(make())
    yield prefix
    asyncio.run(remove())


@pytest.fixture
async def settings(common_settings: CommonSettings, sample_prefix: str) -> AsyncIterator[CommonSettings]:
    """Yield settings of a deployment of the test's own; its database is emptied afterwards, which is quicker than a new one."""
    yield common_settings.model_copy(update={"database_prefix": sample_prefix})
    connection = await asyncpg.connect(as_database(common_settings.admin_dsn(), f"{sample_prefix}sample"))
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ 'pogo'")
    await connection.execute("; ".join(f'DELETE FROM "{row["tablename"]}"' for row in tables))
    await connection.close()


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
async def cluster(settings: CommonSettings) -> AsyncIterator[Cluster]:
    """Yield the broker; topics of the test's are deleted afterwards: a small broker has no memory for those of a whole run."""
    cluster = Cluster(settings.kafka_bootstrap_servers, settings.topic_prefix)
    yield cluster
    async with cluster.admin() as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(cluster.prefix)])


@pytest.fixture
async def deployment(settings: CommonSettings, database: Database, cluster: Cluster) -> AsyncIterator[Deployment]:
    """Yield a way to run sample services; whatever still runs at the end of the test is stopped."""
    await cluster.create("account-facts", "account-events", "operator-requests", "dead-letters")
    async with AsyncExitStack() as stack:
        deployment = Deployment(settings, database, cluster)
        stack.push_async_callback(deployment.stop_all)
        yield deployment
