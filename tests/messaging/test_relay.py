"""The relay: everything committed reaches the broker, in order per key, at least once."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts.account_events import AccountChange, AccountKnown
from shared.database.pool import Database
from shared.health import Health
from shared.messaging import relay as relay_module
from shared.messaging.relay import Relay
from shared.settings import CommonSettings
from tests.messaging.cluster import Cluster, eventually
from tests.messaging.sample import known_of


@asynccontextmanager
async def _running(settings: CommonSettings, database: Database | None = None, **options: Any) -> AsyncIterator[Relay]:
    relay = Relay(
        service="sample",
        dsn=settings.service_dsn("sample"),
        bootstrap_servers=options.pop("bootstrap_servers", settings.kafka_bootstrap_servers),
        health=Health(stalled_after_s=60),
        **options,
    )
    if database is not None:
        database.on_outbox = relay.wake
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _emit(database: Database, *keys: str) -> None:
    async with database.transaction() as tx:
        for key in keys:
            tx.emit(known_of(key, None), key=key)


async def _empty(database: Database, *, within_s: float = 20) -> None:
    await eventually(lambda: database.pool.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"), within_s=within_s)


async def _sequences(cluster: Cluster) -> dict[str, list[int]]:
    """Return the sequences of each key, in the order of the log."""
    found = defaultdict(list)
    for record in await cluster.read("account-events"):
        found[(record.key or b"").decode()].append(int(dict(record.headers)["ce_sequence"]))
    return dict(found)


def _without_repeats(sequences: list[int]) -> list[int]:
    return list(dict.fromkeys(sequences))


async def test_each_key_is_in_order(settings: CommonSettings, database: Database, cluster: Cluster) -> None:
    """Writers side by side for as long as it takes that commits fall between any two statements of the relay."""
    await cluster.create("account-events")
    ends = time.monotonic() + 3

    async def write(writer: int) -> int:
        turn = 0
        while time.monotonic() < ends:
            await _emit(database, *[f"k{(writer * 3 + turn + number) % 5}" for number in range(writer + 1)])
            turn += writer + 1
        return turn

    async with _running(settings, database, records_max=50):
        emitted = sum(await asyncio.gather(*(write(writer) for writer in range(4))))
        await _empty(database)
    sequences = await _sequences(cluster)
    assert sum(map(len, sequences.values())) == emitted
    assert all(found == list(range(1, len(found) + 1)) for found in sequences.values())


async def test_two_of_a_key_committed_behind_and_before_the_cursor_leave_in_order(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor stands between the ids of two events of one key when both become visible."""
    await cluster.create("account-events")
    monkeypatch.setattr(relay_module, "_POLL_S", 3600)
    async with _running(settings) as relay:
        await eventually(lambda: _leads(relay))
        async with database.transaction() as slow:
            slow.emit(known_of("k", None), key="k")
            await slow.flush()
            await _emit(database, "other")
            relay.wake()
            await _empty(database)
        await _emit(database, "k")
        relay.wake()
        await _empty(database)
    assert (await _sequences(cluster))["k"] == [1, 2]


async def test_one_of_two_processes_leads_and_the_other_takes_over(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_POLL_S", 0.05)
    await cluster.create("account-events")
    async with _running(settings) as first:
        await eventually(lambda: _leads(first))
        async with _running(settings) as second:
            await _emit(database, "a")
            await _empty(database)
            assert (first.leads, second.leads) == (True, False)
            # Losing the connection is losing the leadership.
            await database.pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            await eventually(lambda: _leads(second))
            await _emit(database, "a")
            await _empty(database)
    assert _without_repeats((await _sequences(cluster))["a"]) == [1, 2]


async def _leads(relay: Relay) -> bool:
    return relay.leads


async def test_a_lower_id_committed_late_is_not_lost(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_POLL_S", 0.1)
    await cluster.create("account-events")
    async with _running(settings, database):
        async with database.transaction() as slow:
            slow.emit(known_of("early", None), key="early")
            await slow.flush()
            await _emit(database, "late")
            # The cursor passes the id of the transaction that is still open.
            await _empty(database)
        await _empty(database)
    assert await _sequences(cluster) == {"early": [1], "late": [1]}


async def test_a_lower_id_committed_late_is_sent_on_its_commit(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.create("account-events")
    async with _running(settings, database):
        await _emit(database, "first")
        await _empty(database)
        # From here on no sweep: only the wake of the late commit can find it.
        monkeypatch.setattr(relay_module, "_POLL_S", 3600)
        async with database.transaction() as slow:
            slow.emit(known_of("early", None), key="early")
            await slow.flush()
            await _emit(database, "late")
            await _empty(database)
            slow.emit(known_of("last", None), key="last")
        await _empty(database, within_s=5)


async def test_only_what_was_sent_is_deleted(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lower id that is committed between the sending of a higher one and its delete must outlive that delete."""
    monkeypatch.setattr(relay_module, "_POLL_S", 3600)
    monkeypatch.setattr(relay_module, "_DELETE_EVERY_S", 1)
    await cluster.create("account-events")
    async with _running(settings, database) as relay:
        await eventually(lambda: _leads(relay))
        async with database.transaction() as slow:
            slow.emit(known_of("early", None), key="early")
            await slow.flush()
            await _emit(database, "late")
            await eventually(lambda: _at_least(relay._sent, 1))
        await eventually(lambda: database.pool.fetchval("SELECT NOT EXISTS (SELECT FROM outbox WHERE key = 'late')"))
        # It is still there, unless the relay has met it meanwhile, and sent it.
        if not await database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE key = 'early')"):
            assert (await _sequences(cluster))["early"] == [1]


async def test_a_lost_delete_is_a_duplicate_with_the_same_identity(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_DELETE_EVERY_S", 3600)
    await cluster.create("account-events")
    await _emit(database, "a")
    async with _running(settings, database):
        await eventually(lambda: cluster.read("account-events"))
    monkeypatch.setattr(relay_module, "_DELETE_EVERY_S", 0.01)
    async with _running(settings, database):
        await _empty(database)
    records = await cluster.read("account-events")
    assert len(records) == 2
    assert len({(dict(record.headers)["ce_id"], record.value) for record in records}) == 1


async def test_what_cannot_be_sent_costs_the_producer_and_not_the_event(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error an idempotent producer may be wedged for ever; the next try has to have a new one."""
    monkeypatch.setattr(relay_module, "_STEP_TIMEOUT_S", 2)
    producers: list[AIOKafkaProducer] = []

    class Counted(AIOKafkaProducer):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            producers.append(self)

    monkeypatch.setattr(relay_module, "AIOKafkaProducer", Counted)
    await _emit(database, "a", "b", "a")
    async with _running(settings, database):
        # No topic: the send hangs until the step's time is over.
        await eventually(lambda: _at_least(producers, 2))
        await cluster.create("account-events")
        await _empty(database)
    assert {key: _without_repeats(found) for key, found in (await _sequences(cluster)).items()} == {"a": [1, 2], "b": [1]}
    assert all(producer._closed and producer._sender.sender_task.done() for producer in producers)


async def _at_least(found: list[Any], count: int) -> bool:
    return len(found) >= count


async def test_one_record_over_the_brokers_limit_is_refused_before_the_outbox(database: Database) -> None:
    """In the outbox it would wedge the producer, and everything behind it, for ever."""

    async def emit_too_much() -> None:
        async with database.transaction() as tx:
            await tx.connection.execute("INSERT INTO journal (event_id, key, what) VALUES ('e', 'k', 'w')")
            tx.emit(AccountKnown(state=None, change=AccountChange.model_construct(message="y" * 70_000)), key="a")

    with pytest.raises(ValueError, match="bytes"):
        await emit_too_much()
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await database.pool.fetchval("SELECT count(*) FROM journal") == 0


async def test_an_idle_relay_is_woken_by_a_commit(
    settings: CommonSettings, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_POLL_S", 3600)
    await cluster.create("account-events")
    async with _running(settings, database) as relay:
        await eventually(lambda: _leads(relay))
        await _emit(database, "a")
        await _empty(database, within_s=5)


async def test_a_rolled_back_transaction_sends_nothing(database: Database) -> None:
    async def fail_late() -> None:
        async with database.transaction() as tx:
            tx.emit(known_of("a", None), key="a")
            await tx.flush()
            await tx.connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail_late()
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0
    # Not even the sequence is taken.
    await _emit(database, "a")
    assert await database.pool.fetchval("SELECT sequence FROM key_sequences WHERE key = 'a'") == 1
