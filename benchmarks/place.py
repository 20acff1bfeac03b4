"""Where it is measured: a stack of its own, warmed up, with one bare service's database and topics."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer

from shared.database.migrate_job import migrate_all
from shared.messaging.topics_job import apply_topics
from shared.settings import CommonSettings
from stack import LocalStack

SERVICE: Final = "bench"
_WARM_UP_PREFIX: Final = "warm-up."
_WARM_UP_RECORDS: Final = 200_000
_TABLES: Final = """
    CREATE TABLE accounts (account_id text PRIMARY KEY, name text, sequence bigint NOT NULL);
    CREATE TABLE raw_rows (id uuid PRIMARY KEY, key text NOT NULL, value bytea NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """`settings` name broker and database; `dsn` is the bare service's own database."""

    settings: CommonSettings
    dsn: str
    postgres_version: str

    async def apart(self, name: str) -> "Place":
        """Return a place on the same servers with topics and databases of its own, in which nothing has happened yet."""
        settings = self.settings.model_copy(update={"topic_prefix": f"{name}.", "database_prefix": f"{name}_"})
        await apply_topics(settings.kafka_bootstrap_servers, prefix=settings.topic_prefix)
        await migrate_all(settings)
        return replace(self, settings=settings)


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """Run the servers as production would (no switches that trade speed for a quick start), warmed up; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="image-commons-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        async with LocalStack(folder, keep=False) as stack:
            settings = CommonSettings.model_validate(
                {
                    "kafka_bootstrap_servers": stack.kafka_bootstrap_servers,
                    "postgres_dsn": stack.postgres_dsn,
                    "log_level": "ERROR",
                }
            )
            await apply_topics(settings.kafka_bootstrap_servers, prefix=settings.topic_prefix)
            await apply_topics(settings.kafka_bootstrap_servers, prefix=_WARM_UP_PREFIX)
            await migrate_all(settings, services=[SERVICE])
            dsn = settings.service_dsn(SERVICE)
            connection = await asyncpg.connect(dsn)
            await connection.execute(f'SET ROLE "{settings.database_prefix}{SERVICE}"')
            await connection.execute(_TABLES)
            version = await connection.fetchval("SELECT version()")
            await connection.close()
            await _warm_up(stack.kafka_bootstrap_servers, f"{_WARM_UP_PREFIX}check-results")
            yield Place(settings, dsn, " ".join(str(version).split()[:2]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _warm_up(bootstrap_servers: str, topic: str) -> None:
    """Send a lot: a broker that has just started is half as fast as it will be."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await send_all(producer, topic, [(f"k-{number % 500}".encode(), b"x" * 300) for number in range(_WARM_UP_RECORDS)])
    finally:
        await producer.stop()


async def send_all(producer: AIOKafkaProducer, topic: str, records: list[tuple[bytes, bytes]], headers: Any = ()) -> None:
    """Send `records` (key, value) by `send()`, as fast as it takes them, and wait for the last."""
    pending = [await producer.send(topic, value, key=key, headers=headers) for key, value in records]
    await asyncio.gather(*pending)
