"""Broker and database killed and stopped under load: nothing lost, nothing doubled, readiness red meanwhile, no restart."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from aiokafka.errors import KafkaError

from shared.database.migrate_job import migrate_all
from shared.database.pool import Database
from shared.messaging import relay, service
from shared.messaging.service import Consume
from shared.settings import CommonSettings
from shared.telemetry import metrics
from stack import LocalStack
from tests.conftest import as_database
from tests.messaging.cluster import Cluster, eventually
from tests.messaging.deployment import Deployment
from tests.messaging.sample import accounts, known_of
from tests.messaging.wire import Draft, fact
from tests.stack.folder import server_folder

_MIGRATION = Path(__file__).parents[1] / "messaging" / "migrations" / "sample_0001.sql"
_KEYS = 20


@pytest.fixture
async def own_stack() -> AsyncIterator[LocalStack]:
    """Yield servers that this test may kill."""
    with server_folder("outage") as folder:
        async with LocalStack(folder, fast=True, keep=False) as stack:
            yield stack


@pytest.fixture
async def own_deployment(own_stack: LocalStack) -> AsyncIterator[Deployment]:
    """Yield a deployment on servers of its own."""
    settings = CommonSettings.model_validate(
        {
            "kafka_bootstrap_servers": own_stack.kafka_bootstrap_servers,
            "postgres_dsn": own_stack.postgres_dsn,
            "log_format": "console",
            "log_level": "ERROR",
            "drain_timeout_s": 10,
        }
    )
    await migrate_all(settings, services=["sample"])
    name = f"{settings.database_prefix}sample"
    connection = await asyncpg.connect(as_database(own_stack.postgres_dsn, name))
    await connection.execute(f'SET ROLE "{name}"')
    await connection.execute(_MIGRATION.read_text().split("-- migrate: apply")[1].split("-- migrate: rollback")[0])
    await connection.close()
    async with AsyncExitStack() as stack:
        database = await Database.connect(settings.service_dsn("sample"), service="sample", topic_prefix=settings.topic_prefix)
        stack.push_async_callback(database.close)
        cluster = Cluster(settings.kafka_bootstrap_servers, settings.topic_prefix)
        await cluster.create("account-facts", "account-events", "dead-letters")
        deployment = Deployment(settings, database, cluster)
        stack.push_async_callback(deployment.stop_all)
        yield deployment


class _Load:
    """Facts of a few accounts, written until told to stop."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._write())
        self.sequence = 0

    async def _write(self) -> None:
        while not self._stopping.is_set():
            self.sequence += 1
            drafts = [fact(f"acc-{key}", sequence=self.sequence) for key in range(_KEYS)]
            while not await self._written(drafts):
                pass

    async def _written(self, drafts: list[Draft]) -> bool:
        try:
            await asyncio.wait_for(self._deployment.cluster.produce(*drafts), 5)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def end(self) -> int:
        """Stop; returns how many facts each account had."""
        self._stopping.set()
        await self._task
        return self.sequence


async def _prove_once_each(deployment: Deployment, count: int) -> None:
    """Every fact applied once, every event on the topic in order, repeats having the identity of what they repeat."""
    pool = deployment.database.pool

    async def all_applied() -> bool:
        return bool(await pool.fetchval("SELECT count(*) = $1 FROM accounts WHERE sequence = $2", _KEYS, count))

    await eventually(all_applied, within_s=60)
    await deployment.sent()
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await pool.fetchval("SELECT count(DISTINCT event_id) FROM journal") == count * _KEYS
    assert await pool.fetchval("SELECT count(*) FROM journal") == count * _KEYS
    told: dict[bytes, dict[int, bytes | None]] = {}
    for record in await deployment.cluster.read("account-events"):
        if record.key == b"bystander":
            continue
        headers = dict(record.headers)
        sequences = told.setdefault(record.key or b"", {})
        assert sequences.setdefault(int(headers["ce_sequence"]), headers["ce_id"]) == headers["ce_id"]
    assert all(list(sequences) == list(range(1, count + 1)) for sequences in told.values())
    assert len(told) == _KEYS


@pytest.mark.timeout(120)
async def test_database_and_broker_killed_and_stopped_under_load(
    own_stack: LocalStack, own_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_STEP_TIMEOUT_S", 3)
    monkeypatch.setattr(service, "_RETRY_MAX_S", 0.5)
    running = await own_deployment.start([Consume("account-facts", accounts(), batch_records_max=50)])
    load = _Load(own_deployment)
    await own_deployment.kept(_KEYS)

    own_stack.kill("postgres")
    await own_deployment.not_ready(running, "database")
    await own_deployment.ready(running, within_s=60)

    # Stopped, not dead: connections stay open and nothing answers.
    failures = metrics.RELAY_FAILURES._value.get()
    own_stack.kill("kafka", signal.SIGSTOP)
    async with own_deployment.database.transaction() as tx:
        tx.emit(known_of("bystander", None), key="bystander")
    await own_deployment.not_ready(running, "broker")
    await eventually(lambda: _relay_gave_up(failures))
    own_stack.kill("kafka", signal.SIGCONT)
    await own_deployment.ready(running, within_s=60)

    own_stack.kill("kafka")
    await own_deployment.not_ready(running, "broker")
    await own_deployment.ready(running, within_s=60)

    await _prove_once_each(own_deployment, await load.end())


async def _relay_gave_up(before: float) -> bool:
    return metrics.RELAY_FAILURES._value.get() > before
