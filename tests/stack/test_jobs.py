"""The one-shot jobs: safe twice and at once, least privilege, clear refusals."""

import asyncio
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import PARTITIONS, TOPICS
from shared.database.migrate_job import SERVICES, migrate_all
from shared.messaging.topics_job import TopicsError, apply_topics
from shared.settings import CommonSettings
from tests.messaging.cluster import eventually


@pytest.fixture
async def admin(kafka_bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap_servers)
    await admin.start()
    yield admin
    await admin.close()


async def settings_on_broker(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    (resource,) = answer.resources
    return {entry[0]: entry[1] for entry in resource[4]}


async def test_topics_twice_and_at_once(kafka_bootstrap_servers: str, topic_prefix: str, admin: AIOKafkaAdminClient) -> None:
    said: list[str] = []
    await asyncio.gather(*(apply_topics(kafka_bootstrap_servers, prefix=topic_prefix, tell=said.append) for _ in range(3)))
    await apply_topics(kafka_bootstrap_servers, prefix=topic_prefix, tell=said.append)
    assert sorted(line for line in said if line.endswith("made")) == sorted(f"{topic_prefix}{name}: made" for name in TOPICS)
    described = await admin.describe_topics([topic_prefix + name for name in TOPICS])
    assert {topic["topic"]: len(topic["partitions"]) for topic in described} == dict.fromkeys(
        (topic_prefix + name for name in TOPICS), PARTITIONS
    )


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("image-events", {"retention.ms": "-1", "cleanup.policy": "delete"}),
        ("publication-requests", {"retention.ms": str(7 * 86_400_000), "segment.ms": "86400000"}),
        ("dead-letters", {"retention.ms": str(30 * 86_400_000), "segment.ms": "86400000"}),
    ],
)
async def test_settings_are_made_and_mended(
    kafka_bootstrap_servers: str, topics: str, admin: AIOKafkaAdminClient, topic: str, wanted: dict[str, str]
) -> None:
    everywhere = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "131072"}
    assert (wanted | everywhere).items() <= (await settings_on_broker(admin, topics + topic)).items()
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topics + topic, {"message.timestamp.type": "CreateTime"})]
    )

    async def changed() -> bool:
        return (await settings_on_broker(admin, topics + topic))["message.timestamp.type"] == "CreateTime"

    await eventually(changed)
    await apply_topics(kafka_bootstrap_servers, prefix=topics)

    async def mended() -> bool:
        return (wanted | everywhere).items() <= (await settings_on_broker(admin, topics + topic)).items()

    await eventually(mended)


async def test_other_partition_count_is_refused(
    kafka_bootstrap_servers: str, topic_prefix: str, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(f"{topic_prefix}image-events", 3, 1)])
    with pytest.raises(TopicsError, match=r"image-events has 3 partitions, 16 are needed"):
        await apply_topics(kafka_bootstrap_servers, prefix=topic_prefix)


async def test_refusal_of_the_broker_is_told(kafka_bootstrap_servers: str, topic_prefix: str) -> None:
    with pytest.raises(TopicsError, match="the broker refused topics"):
        await apply_topics(kafka_bootstrap_servers, prefix=topic_prefix, replication=3)


@pytest.fixture
async def fresh(postgres_dsn: str) -> AsyncIterator[CommonSettings]:
    """Settings under whose prefix nothing exists yet; what was made is dropped."""
    prefix = f"m{os.urandom(5).hex()}_"
    settings = CommonSettings.model_validate({"postgres_dsn": postgres_dsn, "database_prefix": prefix, "database_password": "pw"})
    yield settings
    connection = await asyncpg.connect(postgres_dsn)
    for service in SERVICES:
        await connection.execute(f'DROP DATABASE IF EXISTS "{prefix}{service}" WITH (FORCE)')
        await connection.execute(f'DROP ROLE IF EXISTS "{prefix}{service}"')
    await connection.close()


async def test_migrate_twice_and_at_once_with_least_privilege(fresh: CommonSettings) -> None:
    said: list[str] = []
    await asyncio.gather(*(migrate_all(fresh, tell=said.append) for _ in range(3)))
    assert sum("up to date" in line for line in said) == 2 * len(SERVICES)
    again: list[str] = []
    await migrate_all(fresh, tell=again.append)
    assert all("up to date" in line for line in again)
    for service in SERVICES:
        connection = await asyncpg.connect(fresh.service_dsn(service))
        try:
            role = await connection.fetchrow(
                "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
            assert role is not None
            assert not any(role)
            owners = {row[0] for row in await connection.fetch("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'")}
            assert owners == {f"{fresh.database_prefix}{service}"}
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
        finally:
            await connection.close()


async def test_no_role_reaches_another_services_database(fresh: CommonSettings) -> None:
    await migrate_all(fresh, services=("publisher", "catalog"))
    other = fresh.service_dsn("publisher").rpartition("/")[0] + f"/{fresh.database_prefix}catalog"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(other)
