"""The consumer, with inbox, state, outbox and offsets in each transaction, against a bare batched insert."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer
from uuid_utils import uuid7

from benchmarks.figures import Figure, at_least
from benchmarks.place import SERVICE, Place
from shared.contracts.account_events import AccountChange, AccountKnown, AccountState
from shared.contracts.envelope import Event, encode
from shared.contracts.facts import AccountStated
from shared.database.columns import numbers, texts
from shared.database.transaction import Transaction
from shared.messaging.service import Consume, Service

RECORDS: Final = 40_000
ROUNDS: Final = 3
GOAL: Final = 0.28
RAW_BATCH: Final = 500
BATCH: Final = 1000
_NO_CHANGE: Final = AccountChange()
_STORE: Final = """
    INSERT INTO accounts AS kept SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[]) ORDER BY 1
    ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, sequence = excluded.sequence
    WHERE excluded.sequence > kept.sequence
"""


async def _apply(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    newest = {event.subject: event for event in events}
    rows = sorted(newest)
    await tx.connection.execute(
        _STORE,
        texts(rows),
        texts([newest[key].data.display_name for key in rows]),
        numbers(newest[key].sequence or 0 for key in rows),
    )
    for event in events:
        data: AccountStated = event.data
        state = AccountState(
            account_id=data.account_id,
            status=data.status,
            enterprise_verified=data.enterprise_verified,
            display_name=data.display_name,
        )
        tx.emit(AccountKnown(state=state, change=_NO_CHANGE), key=data.account_id)


async def _raw(connection: "asyncpg.Connection[Any]") -> float:
    """Return rows a second of `INSERT … SELECT unnest`, 500 a transaction, keyed by uuid."""
    batches = [
        ([uuid7().bytes for _ in range(RAW_BATCH)], [f"acc-{number}" for number in range(RAW_BATCH)], [b"x" * 300] * RAW_BATCH)
        for _ in range(RECORDS // RAW_BATCH)
    ]
    texts = [([str(uuid7()) for _ in range(RAW_BATCH)], keys, values) for _, keys, values in batches]
    await connection.execute("TRUNCATE raw_rows")
    began = time.monotonic()
    for columns in texts:
        await connection.execute("INSERT INTO raw_rows SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])", *columns)
    return RECORDS / (time.monotonic() - began)


async def _fill(place: Place, first: int) -> None:
    """Put facts on the topic, each of an account of its own in this round."""
    producer = AIOKafkaProducer(
        bootstrap_servers=place.settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True, max_batch_size=128 * 1024
    )
    await producer.start()
    topic = f"{place.settings.topic_prefix}account-facts"
    pending = []
    for number in range(first, first + RECORDS):
        account = f"acc-{number % 20_000}"
        data = AccountStated(account_id=account, status="active", enterprise_verified=True, display_name="x" * 150)
        headers, value = encode(
            data, id=str(uuid7()), source="/bench", subject=account, time=datetime.now(UTC), sequence=number + 1
        )
        pending.append(await producer.send(topic, value, key=account.encode(), headers=headers))
    await asyncio.gather(*pending)
    await producer.stop()


async def _consumed(place: Place, connection: "asyncpg.Connection[Any]", before: int) -> float:
    """Return events a second, from the first committed batch to the last."""
    settings = place.settings.model_copy(update={"batch_records_max": BATCH})
    service = Service(SERVICE, settings, consumes=[Consume("account-facts", _apply)], relays=False)
    running = asyncio.create_task(service.run())
    try:
        first = before
        while first == before:
            await asyncio.sleep(0.002)
            first = await connection.fetchval("SELECT count(*) FROM inbox")
        began = time.monotonic()
        while (now := await connection.fetchval("SELECT sum(next_offset) FROM consumer_offsets")) < before + RECORDS:
            await asyncio.sleep(0.02)
        return float(now - first) / (time.monotonic() - began)
    finally:
        service.stop()
        await running


async def measure(place: Place) -> list[Figure]:
    """Alternate raw and consumed rounds; the ratio is that of the medians."""
    connection = await asyncpg.connect(place.dsn)
    raw, consumed = [], []
    try:
        for turn in range(ROUNDS):
            raw.append(await _raw(connection))
            await _fill(place, turn * RECORDS)
            consumed.append(await _consumed(place, connection, turn * RECORDS))
            await connection.execute("TRUNCATE outbox")
    finally:
        await connection.close()
    ours, theirs = statistics.median(consumed), statistics.median(raw)
    detail = f"{ours:,.0f}/s against {theirs:,.0f}/s; one process, up to {BATCH} a transaction"
    return [at_least("consumer", ours / theirs, GOAL, "raw insert", detail)]
