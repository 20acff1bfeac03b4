"""Starting and stopping: nothing half done, nothing waited for without limit."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from shared.contracts.envelope import Event
from shared.database.transaction import Transaction
from shared.messaging import subscription
from shared.messaging.service import Consume, Service
from shared.settings import SettingsError
from tests.messaging.cluster import eventually
from tests.messaging.deployment import Deployment
from tests.messaging.sample import keep_account
from tests.messaging.wire import fact


class _Slow:
    """A handler that takes until it is let go."""

    def __init__(self) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()

    async def __call__(self, tx: Transaction, events: Sequence[Event[Any]]) -> None:
        for event in events:
            await keep_account(tx, event)
        self.began.set()
        await self.may_end.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_sigterm_lets_the_batch_at_hand_finish(deployment: Deployment) -> None:
    slow = _Slow()
    service = await deployment.start([Consume("account-facts", slow)])
    await deployment.cluster.produce(fact("a"))
    await asyncio.wait_for(slow.began.wait(), 20)
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: _is_set(service))
    await deployment.cluster.produce(fact("a", sequence=2), fact("b"))
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM journal") == 0
    slow.may_end.set()
    await deployment.ended(service)
    # The batch is committed, relayed and acknowledged; no other was begun.
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM journal") == 1
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert len(await deployment.cluster.read("account-events")) == 1
    assert sum((await deployment.cluster.committed("sample.account-facts", "account-facts")).values()) == 1


async def _ahead(deployment: Deployment) -> tuple[_Slow, Service]:
    """Run a service whose first batch is being applied, while the second, of the same partition, has been fetched."""
    slow = _Slow()
    service = await deployment.start([Consume("account-facts", slow, batch_records_max=1)])
    await deployment.cluster.produce(fact("a", sequence=1), fact("a", sequence=2))
    await asyncio.wait_for(slow.began.wait(), 20)

    async def fetched() -> bool:
        return 2 in service._subscriptions["account-facts"].positions.values()

    await eventually(fetched)
    return slow, service


async def test_a_batch_fetched_ahead_is_not_begun_once_stopping(deployment: Deployment) -> None:
    slow, service = await _ahead(deployment)
    service.stop()
    await asyncio.wait_for(service._subscriptions["account-facts"].processor.stopping.wait(), 20)
    slow.may_end.set()
    await deployment.ended(service)
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM journal") == 1
    assert await deployment.database.pool.fetchval("SELECT max(next_offset) FROM consumer_offsets") == 1
    await deployment.start()

    async def both() -> bool:
        return bool(await deployment.database.pool.fetchval("SELECT count(*) = 2 FROM journal"))

    await eventually(both)


async def test_a_batch_that_hangs_shows_although_the_next_is_awaited(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "POLL_TIMEOUT_MS", 10)
    slow = _Slow()
    service = await deployment.start([Consume("account-facts", slow, batch_records_max=1)])
    await deployment.cluster.produce(fact("a"))
    await asyncio.wait_for(slow.began.wait(), 20)
    ours = service._subscriptions["account-facts"]
    ours.processor.on_retry("being tried again")
    before = service.health._beats[ours.loop_name]
    await asyncio.sleep(0.3)
    assert service.health._beats[ours.loop_name] == before
    assert "account-facts" in (await service.health.not_ready())["backlog"]
    slow.may_end.set()


async def _is_set(service: Service) -> bool:
    return service._stopping.is_set()


async def test_a_batch_that_does_not_end_is_given_up_at_the_limit(deployment: Deployment) -> None:
    slow = _Slow()
    settings = deployment.settings.model_copy(update={"drain_timeout_s": 0.5})
    service = await deployment.start([Consume("account-facts", slow)], settings=settings)
    await deployment.cluster.produce(fact("a"))
    await asyncio.wait_for(slow.began.wait(), 20)
    began = time.monotonic()
    await deployment.stop(service)
    assert time.monotonic() - began < 8
    assert await deployment.database.pool.fetchval("SELECT count(*) FROM inbox") == 0
    await deployment.start()
    await deployment.kept(1)


async def test_a_stop_does_not_wait_for_a_database_that_is_away(deployment: Deployment) -> None:
    async def handler(_tx: Transaction, _events: Sequence[Event[Any]]) -> None:
        message = "away"
        raise asyncpg.AdminShutdownError(message)

    service = await deployment.start([Consume("account-facts", handler)])
    await deployment.cluster.produce(fact("a"))
    assert "AdminShutdownError" in await deployment.not_ready(service, "account-facts")
    began = time.monotonic()
    await deployment.stop(service)
    assert time.monotonic() - began < 5


async def test_a_stop_does_not_wait_for_a_broker_that_never_came(deployment: Deployment) -> None:
    settings = deployment.settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{_free_port()}"})
    service = deployment.begin(settings=settings)
    assert "not reading yet" in await deployment.not_ready(service, "broker")
    began = time.monotonic()
    await deployment.stop(service)
    assert time.monotonic() - began < 8


async def test_health_over_http(deployment: Deployment) -> None:
    port = _free_port()
    service = await deployment.start(http_port=port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"service": "sample", "ready": True, "missing": {}})
        assert "image_commons_records_consumed_total" in (await client.get("/metrics")).text
        service.health.halt("consume.account-facts", "offset outside the log")
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["missing"]) == (503, {"consume.account-facts": "offset outside the log"})
        assert (await client.get("/health/live")).status_code == 200
        service.health._beats["relay"] -= 10_000
        assert (await client.get("/health/live")).status_code in {200, 503}
    await deployment.stop(service)
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) != 0


async def test_a_port_that_is_taken_is_named(deployment: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = deployment.begin(http_port=port)
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            await deployment.ended(service)


async def test_a_task_that_fails_takes_the_service_down(deployment: Deployment) -> None:
    async def task(_service: Service) -> None:
        message = "no inspector"
        raise FileNotFoundError(message)

    service = deployment.begin(tasks=[task])
    with pytest.raises(FileNotFoundError, match="no inspector"):
        await deployment.ended(service)


async def test_signals_are_given_back(deployment: Deployment) -> None:
    service = await deployment.start()
    await deployment.stop(service)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
